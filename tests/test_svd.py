"""The truncated SVD against NumPy's full one and scikit-learn's randomised one."""

import numpy
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.extmath import randomized_svd

from ch02.svd import truncated_svd
from common.np import np
from common.words.text import create_co_matrix, ppmi, preprocess
from dataset import grammar


def falling(rows, columns, dtype="float64", seed=0):
    """A matrix whose singular values are 1, 1/2, 1/3, ..."""
    rng = numpy.random.default_rng(seed)
    n = min(rows, columns)
    U, V = (numpy.linalg.qr(rng.standard_normal((m, n)))[0] for m in (rows, columns))
    return (U / numpy.arange(1, n + 1) @ V.T).astype(dtype)


@pytest.mark.parametrize("shape", [(60, 60), (80, 50), (50, 80)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-7), ("float32", 1e-4)])
def test_singular_values_and_vectors_are_those_of_the_full_svd(shape, dtype, tolerance):
    W, k = falling(*shape, dtype), 5
    U, s, Vt = truncated_svd(W, k, n_iter=10, rng=0)
    assert (U.shape, s.shape, Vt.shape) == ((shape[0], k), (k,), (k, shape[1]))
    assert {a.dtype for a in (U, s, Vt)} == {numpy.dtype(dtype)}
    full_U, full_s, full_Vt = numpy.linalg.svd(W, full_matrices=False)
    assert_allclose(s, full_s[:k], rtol=tolerance)
    # A column's sign is arbitrary, but U and Vt must agree on it.
    signs = numpy.sign((U * full_U[:, :k]).sum(axis=0))
    assert_allclose(U * signs, full_U[:, :k], atol=10 * tolerance)
    assert_allclose(Vt * signs[:, None], full_Vt[:k], atol=10 * tolerance)


@given(st.integers(2, 15), st.integers(2, 15), st.integers(0, 99))
def test_all_singular_values_give_the_matrix_back(rows, columns, seed):
    W = numpy.random.default_rng(seed).standard_normal((rows, columns))
    U, s, Vt = truncated_svd(W, min(rows, columns), rng=seed)
    assert_allclose(U * s @ Vt, W, atol=1e-10)
    assert_allclose(U.T @ U, numpy.eye(len(s)), atol=1e-10)
    assert_allclose(Vt @ Vt.T, numpy.eye(len(s)), atol=1e-10)
    assert (numpy.diff(s) <= 0).all()


def test_a_matrix_of_low_rank_needs_no_rounds():
    rng = numpy.random.default_rng(0)
    W = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 100))
    U, s, Vt = truncated_svd(W, 3, n_iter=0, rng=0)
    assert_allclose(U * s @ Vt, W, atol=1e-10)


def test_rounds_bring_it_nearer():
    W = numpy.random.default_rng(0).standard_normal((300, 300))  # values fall slowly: a hard case
    best = numpy.linalg.svd(W, compute_uv=False)[:5]
    errors = [abs(truncated_svd(W, 5, n, rng=0)[1] - best).max() for n in (0, 2, 10, 30)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * best[-1]


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_scikit_learn_finds_in_a_text(seed):
    text, word_to_id, _ = grammar.load_data("train", tokens=20_000)
    W = ppmi(create_co_matrix(text, len(word_to_id), 2, sparse=True))
    U, s, _ = truncated_svd(W, 10, rng=seed)
    their_U, their_s, _ = randomized_svd(W, n_components=10, n_iter=5, random_state=seed)
    assert_allclose(s[:5], their_s[:5], rtol=1e-4)
    # The same plane of word vectors: every direction of the one lies in the other.
    overlap = numpy.linalg.svd(U[:, :3].T @ their_U, compute_uv=False)
    assert_allclose(overlap, 1, atol=1e-3)


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "coo_array"])
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_sparse_and_dense_are_the_same(kind, dtype):
    W = numpy.random.default_rng(0).integers(0, 4, (40, 30)).astype(dtype)
    W[W == 1] = 0
    dense, sparse = (truncated_svd(M, 4, rng=1) for M in (W, getattr(scipy.sparse, kind)(W)))
    for a, b in zip(dense, sparse, strict=True):
        assert type(b) is numpy.ndarray
        assert a.dtype == b.dtype
        assert_allclose(a, b, atol=1e-4 if dtype == "float32" else 1e-9)


def test_equal_singular_values_of_the_sentence():
    corpus, word_to_id, _ = preprocess("You say goodbye and I say hello.")
    _, s, _ = truncated_svd(ppmi(create_co_matrix(corpus, len(word_to_id))), 7, rng=0)
    expected = [3.168045, 3.168045, 2.702987, 2.702987, 1.514481, 1.514481, 0]
    assert_allclose(s, expected, atol=2e-6)


def test_one_seed_is_one_result_and_the_global_seed_of_numpy_works_too():
    W = falling(30, 30)
    a, b, c = (truncated_svd(W, 3, 0, rng=seed)[0] for seed in (0, 0, 1))
    assert_array_equal(a, b)
    assert (a != c).any()
    found = []
    for _ in range(2):
        numpy.random.seed(5)
        found.append(truncated_svd(W, 3, 0)[0])
    assert_array_equal(*found)


@pytest.mark.usefixtures("backend")
def test_arrays_of_the_device_come_back_on_the_host():
    W = falling(20, 20)
    for a, b in zip(
        truncated_svd(np.asarray(W), 3, rng=0), truncated_svd(W, 3, rng=0), strict=True
    ):
        assert type(a) is numpy.ndarray
        assert_array_equal(a, b)


def test_a_matrix_of_zeros_has_zero_values():
    U, s, _ = truncated_svd(numpy.zeros((5, 5), "float16"), 2, rng=0)
    assert s.tolist() == [0, 0]
    assert U.dtype == "float32"
    assert_allclose(U.T @ U, numpy.eye(2), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "k", "n_iter"), [((4, 3), 0, 5), ((4, 3), 4, 5), ((4, 3), 2, -1), ((4,), 1, 5)]
)
def test_numbers_that_do_not_fit_are_refused(shape, k, n_iter):
    with pytest.raises(ValueError, match=rf"truncated_svd: k is {k} and n_iter {n_iter} for W of"):
        truncated_svd(numpy.ones(shape), k, n_iter)
