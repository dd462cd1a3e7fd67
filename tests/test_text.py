"""From text to ids, and from ids to counts and PPMI."""

import math

import numpy
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from common.np import np
from common.words.text import (
    convert_one_hot,
    create_co_matrix,
    create_contexts_target,
    ppmi,
    preprocess,
    subsample,
    words_to_ids,
)


def test_the_sentence_of_the_book():
    corpus, word_to_id, id_to_word = preprocess("You say goodbye and I say hello.")
    assert corpus.tolist() == [0, 1, 2, 3, 4, 1, 5, 6]
    words = ["you", "say", "goodbye", "and", "i", "hello", "."]
    assert list(word_to_id) == words
    assert id_to_word == dict(enumerate(words))
    assert isinstance(corpus, numpy.ndarray)


@given(st.lists(st.from_regex(r"[a-z,]{1,3}", fullmatch=True), min_size=1))
def test_ids_count_up_and_lead_back_to_the_words(words):
    corpus, word_to_id, id_to_word = preprocess("  ".join(words) + " ")
    assert [id_to_word[k] for k in corpus.tolist()] == words
    assert sorted(word_to_id.values()) == list(range(len(word_to_id)))


@pytest.mark.parametrize("text", ["", "  \n "])
def test_text_without_words_is_refused(text):
    with pytest.raises(ValueError, match="preprocess: there is no word"):
        preprocess(text)


def test_unknown_words_are_named():
    with pytest.raises(KeyError, match="vocabulary of 1 words: dog, fox"):
        words_to_ids(["a", "fox", "dog", "fox"], {"a": 0})


def test_contexts_and_targets_of_the_book():
    corpus, _, _ = preprocess("You say goodbye and I say hello.")
    contexts, target = create_contexts_target(corpus, 1)
    assert contexts.tolist() == [[0, 2], [1, 3], [2, 4], [3, 1], [4, 5], [1, 6]]
    assert target.tolist() == [1, 2, 3, 4, 1, 5]


@given(st.integers(1, 4), st.integers(0, 20))
def test_contexts_are_the_neighbours_left_to_right(W, more):
    corpus = numpy.random.default_rng(0).integers(100, size=2 * W + 1 + more).astype("int32")
    contexts, target = create_contexts_target(corpus, W)
    assert contexts.shape == (len(corpus) - 2 * W, 2 * W)
    assert contexts.dtype == target.dtype == "int32"
    for j, (row, word) in enumerate(zip(contexts, target, strict=True)):
        p = j + W
        assert word == corpus[p]
        assert row.tolist() == [corpus[p + d] for d in range(-W, W + 1) if d]


def test_contexts_do_not_share_memory_with_the_corpus():
    corpus = numpy.arange(9)
    contexts, target = create_contexts_target(corpus, 2)
    contexts[...], target[...] = 0, 0
    assert corpus.tolist() == list(range(9))


@pytest.mark.parametrize(("W", "length"), [(0, 9), (-1, 9), (2, 4), (1, 0)])
def test_a_window_that_does_not_fit_is_refused(W, length):
    with pytest.raises(ValueError, match=f"create_contexts_target: window_size {W} .* {length} w"):
        create_contexts_target(numpy.arange(length), W)


def test_one_hot_has_the_shapes_of_the_book():
    corpus, word_to_id, _ = preprocess("You say goodbye and I say hello.")
    contexts, target = create_contexts_target(corpus, 1)
    V = len(word_to_id)
    assert convert_one_hot(target, V).shape == (6, 7)
    one_hot = convert_one_hot(contexts, V)
    assert one_hot.shape == (6, 2, 7)
    assert one_hot.dtype == "int32"
    numpy.testing.assert_array_equal(one_hot.argmax(axis=2), contexts)
    assert (one_hot.sum(axis=2) == 1).all()


@pytest.mark.parametrize("ids", [[7], [-1], [[0], [8]]])
def test_one_hot_of_unknown_ids_is_refused(ids):
    with pytest.raises(ValueError, match=r"convert_one_hot: id -?\d is not in 0\.\.6"):
        convert_one_hot(numpy.array(ids), 7)


def test_one_hot_of_other_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"convert_one_hot: .*not \(1, 1, 1\)"):
        convert_one_hot(numpy.zeros((1, 1, 1), int), 7)


# --- Counts --------------------------------------------------------------------------------------

both_kinds = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
SENTENCE = preprocess("You say goodbye and I say hello.")[0]
COUNTS = [
    [0, 1, 0, 0, 0, 0, 0],
    [1, 0, 1, 0, 1, 1, 0],
    [0, 1, 0, 1, 0, 0, 0],
    [0, 0, 1, 0, 1, 0, 0],
    [0, 1, 0, 1, 0, 0, 0],
    [0, 1, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
]


def dense(matrix):
    return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


def counts_one_by_one(corpus, V, W):
    C = numpy.zeros((V, V), int)
    for p, word in enumerate(corpus):
        for d in range(1, W + 1):
            if p - d >= 0:
                C[word, corpus[p - d]] += 1
            if p + d < len(corpus):
                C[word, corpus[p + d]] += 1
    return C


def ppmi_one_by_one(C, eps=1e-8):
    M, S, N = numpy.zeros(C.shape), C.sum(axis=0), C.sum()
    for i, j in numpy.ndindex(*C.shape):
        if S[i] and S[j]:
            M[i, j] = max(0, math.log2(C[i, j] * N / (S[i] * S[j]) + eps))
    return M


@st.composite
def corpora(draw):
    """A corpus, a vocabulary that may have words the corpus lacks, and a window that fits."""
    corpus = draw(st.lists(st.integers(0, 9), min_size=2, max_size=40))
    V = max(corpus) + 1 + draw(st.integers(0, 3))
    return numpy.array(corpus), V, draw(st.integers(1, len(corpus) - 1))


@both_kinds
def test_counts_of_the_sentence(sparse):
    C = create_co_matrix(SENTENCE, 7, sparse=sparse)
    assert C.dtype == "int32"
    assert dense(C).tolist() == COUNTS
    assert C.sum() == 14
    assert create_co_matrix(SENTENCE, 7, 2, sparse=sparse).sum() == 26  # 2 * (7 + 6)


def test_a_window_of_two_around_goodbye():
    row = create_co_matrix(SENTENCE, 7, 2)[2]
    assert row.tolist() == [1, 1, 0, 1, 1, 0, 0]  # you, say; and, i


@given(corpora())
def test_counts_are_those_of_counting_one_by_one(case):
    corpus, V, W = case
    C, in_csr = create_co_matrix(corpus, V, W), create_co_matrix(corpus, V, W, sparse=True)
    numpy.testing.assert_array_equal(C, counts_one_by_one(corpus, V, W))
    numpy.testing.assert_array_equal(in_csr.toarray(), C)
    numpy.testing.assert_array_equal(C, C.T)
    assert C.sum() == 2 * sum(len(corpus) - d for d in range(1, W + 1))
    assert in_csr.format == "csr"
    assert in_csr.nnz == numpy.count_nonzero(C)
    assert in_csr.dtype == C.dtype == "int32"


def counts_sentence_by_sentence(sentences, V, W, by_distance):
    """The counts of a program that reads line by line: each pair once, for both of its words."""
    C = numpy.zeros((V, V))
    for sentence in sentences:
        for p, word in enumerate(sentence):
            for q in range(max(0, p - W), p):
                C[word, sentence[q]] += 1 / (p - q) if by_distance else 1
                C[sentence[q], word] += 1 / (p - q) if by_distance else 1
    return C


@given(
    st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=6),
    st.integers(1, 4),
    st.booleans(),
)
def test_counts_within_sentences_are_those_of_counting_line_by_line(sentences, W, by_distance):
    corpus = numpy.array([0] * W + [id_ for sentence in sentences for id_ in [*sentence, 0]])
    how = {"by_distance": by_distance, "border": 0}
    C, in_csr = (create_co_matrix(corpus, 8, W, sparse=sparse, **how) for sparse in (False, True))
    expected = counts_sentence_by_sentence(sentences, 8, W, by_distance)
    numpy.testing.assert_allclose(C, expected, rtol=1e-12)
    numpy.testing.assert_allclose(in_csr.toarray(), expected, rtol=1e-12)
    assert in_csr.dtype == C.dtype == ("float64" if by_distance else "int32")


def test_a_neighbour_at_distance_three_counts_a_third():
    C = create_co_matrix(numpy.array([0, 1, 2, 3]), 4, 3, by_distance=True)
    assert C[0].tolist() == [0, 1, 1 / 2, 1 / 3]


@pytest.mark.slow
@pytest.mark.parametrize(("W", "cells"), [(5, 1_898_881), (10, 2_913_589)])
def test_cells_of_penn_treebank_are_as_many_as_those_of_the_authors_of_glove(W, cells, ptb_text):
    text, word_to_id, _ = ptb_text("train")
    how = {"sparse": True, "by_distance": True, "border": word_to_id["<eos>"]}
    assert create_co_matrix(text, len(word_to_id), W, **how).nnz == cells


@both_kinds
@pytest.mark.parametrize("border", [-1, 7])
def test_counting_refuses_a_border_outside_the_vocabulary(border, sparse):
    with pytest.raises(
        ValueError, match=rf"create_co_matrix: border: id {border} is not in 0\.\.6"
    ):
        create_co_matrix(SENTENCE, 7, sparse=sparse, border=border)


def test_a_word_near_itself_is_counted_for_both_places():
    assert create_co_matrix(numpy.array([0, 0, 1]), 2).tolist() == [[2, 1], [1, 0]]


@both_kinds
def test_ids_of_eight_bits_do_not_overflow(sparse):
    corpus = numpy.array([100, 120, 100], "uint8")
    C = create_co_matrix(corpus, 200, sparse=sparse)
    assert C[100, 120] == C[120, 100] == 2
    assert C.sum() == 4


@both_kinds
@pytest.mark.usefixtures("backend")
def test_counts_stay_on_the_host_and_take_ids_from_the_device(sparse):
    C = create_co_matrix(np.asarray(SENTENCE), 7, sparse=sparse)
    assert dense(C).tolist() == COUNTS
    assert isinstance(dense(ppmi(C)), numpy.ndarray)


@both_kinds
@pytest.mark.parametrize(("length", "W"), [(0, 1), (1, 1), (8, 0), (8, -1), (8, 8), (8, 9)])
def test_counting_refuses_a_window_that_does_not_fit(length, W, sparse):
    with pytest.raises(ValueError, match=rf"create_co_matrix: window_size {W} .*\({length},\)"):
        create_co_matrix(numpy.zeros(length, int), 1, W, sparse=sparse)


def test_counting_refuses_ids_that_are_no_row_of_words():
    with pytest.raises(ValueError, match=r"create_co_matrix: .*\(1, 8\)"):
        create_co_matrix(SENTENCE[None], 7)
    with pytest.raises(ValueError, match="create_co_matrix: ids must be integers, not float64"):
        create_co_matrix(SENTENCE.astype(float), 7)


@both_kinds
@pytest.mark.parametrize("bad", [-1, 7])
def test_counting_refuses_ids_outside_the_vocabulary(bad, sparse):
    with pytest.raises(ValueError, match=rf"create_co_matrix: id {bad} is not in 0\.\.6"):
        create_co_matrix(numpy.array([0, bad, 1]), 7, sparse=sparse)


# --- PPMI ----------------------------------------------------------------------------------------


@both_kinds
def test_ppmi_of_the_sentence(sparse):
    M = ppmi(create_co_matrix(SENTENCE, 7, sparse=sparse))
    assert M.dtype == "float32"
    expected = numpy.zeros((7, 7))
    for i, j, ratio in [
        (0, 1, 3.5),  # you say:  1 * 14 / (1 * 4)
        (2, 3, 3.5),  # goodbye and:  1 * 14 / (2 * 2)
        (3, 4, 3.5),
        (1, 2, 1.75),  # say goodbye:  1 * 14 / (4 * 2)
        (1, 4, 1.75),
        (1, 5, 1.75),
        (5, 6, 7),  # hello and the full stop:  1 * 14 / (2 * 1)
    ]:
        expected[i, j] = expected[j, i] = math.log2(ratio)
    numpy.testing.assert_allclose(dense(M), expected, atol=1e-6)


@both_kinds
def test_pmi_of_the_car_and_its_drive(sparse):
    """N = 10,000: the 1000, car 20, drive 10; the-car 10, car-drive 5; other words the rest."""
    C = numpy.array([[0, 10, 0, 990], [10, 0, 5, 5], [0, 5, 0, 5], [990, 5, 5, 7970]])
    assert C.sum(axis=0).tolist() == [1000, 20, 10, 8970]
    M = dense(ppmi(scipy.sparse.csr_array(C) if sparse else C))
    assert M[0, 1] == pytest.approx(2.3219, abs=1e-4)  # log2(10 * 10000 / (1000 * 20))
    assert M[1, 2] == pytest.approx(7.9658, abs=1e-4)  # log2(5 * 10000 / (20 * 10))
    assert M[0, 3] == pytest.approx(math.log2(990 * 10000 / (1000 * 8970)), abs=1e-6)
    assert M[3, 3] == 0  # log2(7970 * 10000 / 8970^2) < 0


@given(corpora())
def test_ppmi_is_that_of_the_formula_cell_by_cell(case):
    C = create_co_matrix(*case)
    M, in_csr = ppmi(C), ppmi(scipy.sparse.csr_array(C))
    assert M.dtype == in_csr.dtype == "float32"
    assert in_csr.format == "csr"
    assert in_csr.nnz == numpy.count_nonzero(M)
    assert (M >= 0).all()
    numpy.testing.assert_array_equal(M, M.T)
    numpy.testing.assert_allclose(M, ppmi_one_by_one(C), atol=1e-6)
    numpy.testing.assert_allclose(in_csr.toarray(), M, atol=1e-6)


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_array", "csc_matrix"])
def test_ppmi_takes_every_kind_of_sparse_matrix_and_leaves_it_alone(kind):
    C = getattr(scipy.sparse, kind)(numpy.array(COUNTS))
    M = ppmi(C)
    assert M.format == "csr"
    numpy.testing.assert_array_equal(M.toarray(), ppmi(numpy.array(COUNTS)))
    assert C.toarray().tolist() == COUNTS


def test_ppmi_adds_up_cells_that_a_sparse_matrix_holds_twice():
    twice = scipy.sparse.csr_array(([1.0, 1, 2], [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    numpy.testing.assert_array_equal(ppmi(twice).toarray(), ppmi(numpy.array([[0, 2], [2, 0]])))


@both_kinds
@pytest.mark.parametrize("eps", [1e-8, 0, 1])
def test_words_without_neighbours_have_zero_ppmi(eps, sparse):
    C = numpy.zeros((4, 4), "int32")
    for counts in (C, C + numpy.diag([0, 3, 0, 1]).astype("int32")):
        M = dense(ppmi(scipy.sparse.csr_array(counts) if sparse else counts, eps=eps))
        assert numpy.isfinite(M).all()
        assert not M[[0, 2]].any()
        assert not M[:, [0, 2]].any()


@both_kinds
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_products_of_frequent_words_do_not_overflow_32_bits(dtype, sparse):
    C = numpy.array([[0, 200_000, 10], [200_000, 0, 100_000], [10, 100_000, 5]], dtype)
    M = dense(ppmi(scipy.sparse.csr_array(C) if sparse else C))
    numpy.testing.assert_allclose(M, ppmi_one_by_one(C.astype(float)), atol=1e-6)


@both_kinds
@pytest.mark.parametrize("V", [7, 100, 101, 250])
def test_ppmi_reports_about_a_hundred_times(V, sparse, capsys):
    C = numpy.ones((V, V), "int32")
    C = scipy.sparse.csr_array(C) if sparse else C
    every = V * V // 100 + 1
    silent = dense(ppmi(C))
    assert capsys.readouterr().out == ""
    numpy.testing.assert_array_equal(dense(ppmi(C, verbose=True)), silent)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{100 * n / V**2:.1f}% done" for n in range(every, V * V + 1, every)]
    assert len(lines) == 49 if V == 7 else 95 < len(lines) < 101


@both_kinds
@pytest.mark.parametrize(
    ("C", "eps", "problem"),
    [
        (numpy.ones((2, 3)), 1e-8, r"counts have shape \(2, 3\)"),
        (-numpy.eye(2), 1e-8, "counts must not be negative or NaN"),
        (numpy.diag([1, numpy.nan]), 1e-8, "counts must not be negative or NaN"),
        (numpy.eye(2), 2.0, r"eps is 2\.0"),
        (numpy.eye(2), -1e-8, "eps is -1e-08"),
    ],
)
def test_ppmi_refuses_what_are_no_counts(C, eps, problem, sparse):
    with pytest.raises(ValueError, match=f"ppmi: {problem}"):
        ppmi(scipy.sparse.csr_array(C) if sparse else C, eps=eps)


def test_ppmi_refuses_a_row_of_counts():
    with pytest.raises(ValueError, match=r"ppmi: counts have shape \(7,\)"):
        ppmi(numpy.ones(7))


# --- Subsampling ---------------------------------------------------------------------------------


def test_frequent_words_stay_by_the_root_of_threshold_over_share():
    corpus = numpy.repeat([0, 1, 2], [90_000, 9_900, 100])  # shares 0.9, 0.099, 0.001
    kept = numpy.bincount(subsample(corpus, 1e-3, rng=0), minlength=3)
    for count, share, of in zip(kept, [0.9, 0.099, 0.001], [90_000, 9_900, 100], strict=True):
        stays = min(1, math.sqrt(1e-3 / share))
        assert abs(count - of * stays) <= 4 * math.sqrt(of * stays * (1 - stays))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.floats(1e-6, 2), st.integers(0, 99))
def test_what_stays_is_in_order_and_one_seed_leaves_the_same(words, threshold, seed):
    corpus = numpy.array(words)
    places = subsample(numpy.arange(len(words)), 1, rng=seed)
    assert places.tolist() == [*range(len(words))]  # no word is frequent
    kept = subsample(corpus, threshold, rng=seed)
    left = iter(words)
    assert all(word in left for word in kept.tolist())  # a subsequence
    numpy.testing.assert_array_equal(kept, subsample(corpus, threshold, rng=seed))
    assert corpus.tolist() == words


@pytest.mark.parametrize("threshold", [0, -1e-3, math.nan, None, "1e-3"])
def test_subsampling_refuses_a_threshold_that_is_not_above_0(threshold):
    with pytest.raises(ValueError, match="subsample: the threshold must be above 0, not"):
        subsample(SENTENCE, threshold, rng=0)


@pytest.mark.parametrize("corpus", [SENTENCE[None], SENTENCE.astype(float)])
def test_subsampling_refuses_what_is_no_text(corpus):
    with pytest.raises(ValueError, match="subsample: "):
        subsample(corpus, 1e-3, rng=0)
