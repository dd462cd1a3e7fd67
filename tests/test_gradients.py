"""Between backward and update: the row-sparse gradient, shared weights, clipping."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.gradients import (
    RowSparse,
    add_rows,
    clip_grads,
    numbered,
    remove_duplicate,
    sum_by_id,
    sums_by_product,
    sums_in_turn,
)
from common.np import np, to_cpu
from tests import cupy_stand_in

both = pytest.mark.usefixtures("backend")


def row_sparse(V, ids, rows):
    g = RowSparse((V, rows.shape[1]), rows.dtype)
    g.assign(numpy.array(ids), rows)
    return g


@both
def test_row_sparse_is_the_matrix_it_stands_for(r):
    rows = r(2, 3)
    g = row_sparse(5, [4, 1], rows)
    assert repr(g) == "RowSparse(2 rows of (5, 3), float64)"
    dense = numpy.asarray(g)
    assert g.shape == dense.shape == (5, 3)
    assert g.dtype == dense.dtype
    numpy.testing.assert_array_equal(dense[[4, 1]], to_cpu(rows))
    assert (dense[[0, 2, 3]] == 0).all()


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 4))
def test_adding_rows_by_id_is_adding_them_one_by_one(ids, width):
    rows = numpy.random.default_rng(0).standard_normal((len(ids), width))
    expected = numpy.zeros((7, width))
    for id_, row in zip(ids, rows, strict=True):
        expected[id_] += row
    total = numpy.zeros((7, width))
    add_rows(total, numpy.array(ids, int), rows)
    numpy.testing.assert_allclose(total, expected, atol=1e-12)
    unique, sums = sum_by_id(numpy.array(ids, int), rows)
    assert unique.tolist() == sorted(set(ids))
    numpy.testing.assert_allclose(sums, expected[unique], atol=1e-12)


@given(st.integers(1, 8), st.integers(1, 4), st.booleans(), st.sampled_from("fd"), st.data())
def test_the_sums_by_a_sparse_product_are_those_in_turn(N, C, weighted, dtype, data):
    ids = numpy.array(data.draw(st.lists(st.integers(0, 9), min_size=N * C, max_size=N * C)))
    rng = numpy.random.default_rng(0)
    rows = numpy.asfortranarray(rng.standard_normal((N, 3)), dtype)
    weights = rng.standard_normal(N * C).astype(dtype) if weighted else None
    unique, where = numbered(ids)
    for found, expected in zip(
        (unique, where), numpy.unique(ids, return_inverse=True), strict=True
    ):
        numpy.testing.assert_array_equal(found, expected)
    quick, plain = (
        sums(len(unique), where, rows, weights) for sums in (sums_by_product, sums_in_turn)
    )
    assert quick.dtype == plain.dtype == rows.dtype
    numpy.testing.assert_allclose(quick, plain, rtol=0, atol=1e-14 if dtype == "d" else 1e-5)


@both
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_row_goes_to_all_its_ids_by_their_weights(dtype):
    rows, weights = np.array([[1, 2], [4, 8]], dtype), np.array([1, 2, 0.5, -1], dtype)
    ids = numpy.array([7, 3, 7, 0])  # two of each row
    unique, sums = sum_by_id(ids, rows, weights)
    assert isinstance(unique, numpy.ndarray)
    assert unique.tolist() == [0, 3, 7]
    assert sums.dtype == dtype
    assert sums.tolist() == [[-4, -8], [2, 4], [3, 6]]
    assert sum_by_id(ids, rows)[1].tolist() == [[4, 8], [1, 2], [5, 10]]


@both
def test_an_infinite_row_spoils_only_its_own_ids():
    rows = np.array([[np.inf], [np.nan], [1.0]])
    unique, sums = sum_by_id(numpy.array([4, 2, 9]), rows)
    assert unique.tolist() == [2, 4, 9]
    numpy.testing.assert_array_equal(to_cpu(sums), [[numpy.nan], [numpy.inf], [1]])


@both
def test_equal_values_are_not_shared_weights():
    zeros = [np.zeros((3, 3)), np.zeros((3, 3))]
    params, grads = remove_duplicate(zeros, [np.ones((3, 3)), np.ones((3, 3))])
    assert len(params) == len(grads) == 2


@both
def test_two_parts_of_one_array_are_not_shared_weights():
    both_halves = np.zeros((4, 3))
    params, _ = remove_duplicate([both_halves[:2], both_halves[2:]], [0, 0])
    assert len(params) == 2


@both
@pytest.mark.parametrize("shape", [(3, 4), (3, 3), (1, 4)])
@pytest.mark.parametrize("kinds", ["dd", "ds", "sd"], ids=["dense", "dense+sparse", "sparse+dense"])
@pytest.mark.parametrize("tied", [False, True], ids=["same array", "transposed view"])
def test_gradients_of_shared_weights_are_summed(r, shape, kinds, tied):
    W = r(*shape)
    second = W.T if tied else W
    dense = [r(*shape), r(*second.shape)]
    expected = to_cpu(dense[0]) + to_cpu(dense[1].T if tied else dense[1])
    given_ = [
        row_sparse(len(g), range(len(g)), g) if kind == "s" else g
        for kind, g in zip(kinds, dense, strict=True)
    ]
    before = [numpy.asarray(to_cpu(g)).copy() for g in dense]
    b, db = r(2), r(2)
    params, grads = remove_duplicate([W, b, second], [given_[0], db, given_[1]])
    assert params[0] is W
    assert params[1] is b
    assert len(params) == len(grads) == 2
    numpy.testing.assert_allclose(numpy.asarray(to_cpu(grads[0])), expected)
    for g, was in zip(dense, before, strict=True):
        numpy.testing.assert_array_equal(to_cpu(g), was)


@both
def test_a_weight_that_is_itself_a_view_is_still_one_weight():
    W = np.arange(12.0).reshape(3, 4)
    params, (g,) = remove_duplicate([W, W.T], [np.ones((3, 4)), np.ones((4, 3))])
    assert params[0] is W
    assert float(g.min()) == 2


@both
def test_row_sparse_gradients_of_one_matrix_stay_row_sparse():
    W = np.zeros((5, 2))
    first, second = row_sparse(5, [0, 3], np.ones((2, 2))), row_sparse(5, [3, 4], np.ones((2, 2)))
    _, (g,) = remove_duplicate([W, W], [first, second])
    assert isinstance(g, RowSparse)
    numpy.testing.assert_array_equal(numpy.asarray(g)[:, 0], [1, 0, 0, 2, 1])


@both
def test_three_uses_of_a_weight_are_one():
    W = np.zeros((2, 3))
    params, grads = remove_duplicate(
        [W, W.T, W], [np.ones((2, 3)), 10 * np.ones((3, 2)), 100 * np.ones((2, 3))]
    )
    assert len(params) == 1
    numpy.testing.assert_array_equal(to_cpu(grads[0]), 111)


@both
def test_clipping_bounds_the_joint_length_and_keeps_the_direction(r):
    grads = [10 * r(3, 3), 10 * r(3, 3)]
    before = [to_cpu(g).copy() for g in grads]
    length = numpy.sqrt(sum((g**2).sum() for g in before))
    assert length > 5
    assert clip_grads(grads, 5.0) is None
    for g, was in zip(grads, before, strict=True):
        numpy.testing.assert_allclose(to_cpu(g), was * 5 / (length + 1e-6))


@both
def test_short_gradients_are_not_clipped():
    grads = [np.array([3.0]), np.array([[4.0]])]  # length 5
    clip_grads(grads, 5.1)
    assert [float(g.sum()) for g in grads] == [3, 4]


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_counts_row_sparse_gradients_and_keeps_dtypes(dtype):
    dense = np.array([3.0], dtype=dtype)
    sparse = row_sparse(100, [7], np.array([[4.0]], dtype=dtype))
    clip_grads([dense, sparse], 1.0)
    assert float(dense[0]) == pytest.approx(0.6, rel=1e-5)
    assert float(sparse.rows[0, 0]) == pytest.approx(0.8, rel=1e-5)
    assert dense.dtype == sparse.rows.dtype == dtype


def test_clipping_does_not_wait_for_the_device():
    with cupy_stand_in.install() as cupy:
        from common.np import use

        use("cupy")
        try:
            grads = [cupy.ones((3, 3))]
            with cupy_stand_in.forbid_transfers():
                clip_grads(grads, 1.0)
            assert float((grads[0] ** 2).sum()) == pytest.approx(1, rel=1e-5)
        finally:
            use("numpy")


@pytest.mark.parametrize("max_norm", [0, -1, numpy.nan])
def test_clipping_to_nothing_is_refused(max_norm):
    with pytest.raises(ValueError, match="clip_grads: max_norm must be positive"):
        clip_grads([numpy.ones(2)], max_norm)
