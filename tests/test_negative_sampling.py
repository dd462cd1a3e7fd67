"""One question, all questions at once, and the words that should get a no."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from common.negative_sampling import (
    EmbeddingDot,
    NegativeSamplingLoss,
    UnigramSampler,
    alias_table,
)
from common.np import np, to_cpu
from tests import reference

both = pytest.mark.usefixtures("backend")
TOY = numpy.array([0, 1, 2, 3, 4, 1, 2, 3])


def same(a, b):
    numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), rtol=1e-12, atol=1e-12)


@both
def test_embedding_dot_has_the_values_of_the_book():
    W, h = np.arange(21.0).reshape(7, 3), np.arange(9.0).reshape(3, 3)
    layer = EmbeddingDot(W)
    y = layer.forward(h, numpy.array([0, 3, 1]))
    same(layer.rows, np.array([[0.0, 1, 2], [9, 10, 11], [3, 4, 5]]))
    same(y, np.array([5.0, 122, 86]))  # 0+1+4, 27+40+55, 18+28+40


@both
@pytest.mark.parametrize("sparse", [False, True])
def test_all_questions_at_once_are_one_after_the_other(r, sparse):
    W, h, target = r(7, 3), r(4, 3), numpy.array([3, 0, 1, 3])
    fast = NegativeSamplingLoss(W, TOY, sample_size=3, sparse=sparse, rng=0)
    negatives = fast.sampler.get_negative_sample(target)
    fast.sampler.get_negative_sample = lambda _: negatives
    twin = reference.QuestionByQuestion(W, 3)
    same(fast.forward(h, target), twin.forward(h, target, negatives))
    same(fast.backward(), twin.backward())
    same(numpy.asarray(to_cpu(fast.grads[0])) if sparse else fast.grads[0], twin.grads[0])


@both
def test_every_forward_draws_fresh_negatives(r):
    layer = NegativeSamplingLoss(r(50, 3), numpy.arange(50), rng=0)
    h, target = r(4, 3), numpy.arange(4)
    assert float(layer.forward(h, target)) != float(layer.forward(h, target))


def test_scores_beyond_all_bounds_give_finite_losses():
    W = numpy.array([[1e4], [-1e4], [0.0]], "f")
    layer = NegativeSamplingLoss(W, numpy.arange(3), sample_size=2, rng=0)
    loss = layer.forward(numpy.ones((1, 1), "f"), numpy.array([1]))
    assert loss == pytest.approx(2e4 + numpy.log(2), rel=1e-6)  # both 1e4 wrong, one undecided
    assert numpy.isfinite(layer.backward()).all()


def test_the_distribution_is_flattened_by_the_power():
    numpy.testing.assert_allclose(
        UnigramSampler(TOY, 0.75, 2).word_p,
        [0.14193702, 0.23870866, 0.23870866, 0.23870866, 0.14193702],
        atol=5e-9,
    )
    corpus = numpy.repeat([0, 1, 2], [70, 29, 1])
    numpy.testing.assert_allclose(
        UnigramSampler(corpus, 0.75, 1).word_p, [0.64196878, 0.33150408, 0.02652714], atol=5e-9
    )
    numpy.testing.assert_allclose(UnigramSampler(corpus, 1, 1).word_p, [0.7, 0.29, 0.01])
    numpy.testing.assert_allclose(UnigramSampler(corpus, 0, 1).word_p, [1 / 3] * 3)


def test_words_that_do_not_occur_are_never_drawn():
    sampler = UnigramSampler(numpy.array([0, 1, 5, 5]), 1, 2, vocab_size=8, rng=0)
    numpy.testing.assert_array_equal(sampler.word_p, [0.25, 0.25, 0, 0, 0, 0.5, 0, 0])
    assert sampler.vocab_size == 8
    drawn = sampler.get_negative_sample(numpy.full(500, 7))
    assert set(drawn.ravel().tolist()) == {0, 1, 5}


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50).filter(any))
def test_the_parts_of_an_alias_table_add_up_to_the_distribution(counts):
    p = numpy.array(counts) / sum(counts)
    share, other = alias_table(p)
    total = share + numpy.bincount(other, 1 - share, minlength=len(p))
    numpy.testing.assert_allclose(total / len(p), p, atol=1e-12)
    assert ((share >= 0) & (share <= 1)).all()
    assert (p[other[share < 1]] > 0).all()


@given(st.integers(2, 12), st.data())
def test_a_row_has_no_repeat_and_not_its_target(V, data):
    k = data.draw(st.integers(1, V - 1))
    corpus = numpy.repeat(numpy.arange(V), 3 ** numpy.arange(V).clip(max=8))  # very uneven
    target = numpy.array(data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=20)))
    sample = UnigramSampler(corpus, 0.75, k, rng=0).get_negative_sample(target)
    assert sample.shape == (len(target), k)
    for row, word in zip(sample.tolist(), target.tolist(), strict=True):
        assert len({*row, word}) == k + 1
        assert all(0 <= w < V for w in row)


def test_a_million_draws_have_the_frequencies_of_the_distribution():
    corpus = numpy.repeat(numpy.arange(20), numpy.arange(20, 0, -1) ** 2)
    sampler = UnigramSampler(corpus, 0.75, 1, rng=0)
    drawn = sampler.get_negative_sample(numpy.full(1_000_000, 3))
    expected = sampler.word_p.copy()
    expected[3] = 0
    expected *= len(drawn) / expected.sum()
    others = numpy.arange(20) != 3
    counts = numpy.bincount(drawn[:, 0], minlength=20)
    assert counts[3] == 0
    assert chisquare(counts[others], expected[others]).pvalue > 0.001


@pytest.mark.parametrize("power", [0.75, 3])
def test_rows_are_as_if_drawn_one_by_one_without_replacement(power):
    """P(a, then b) = p_a / (1 - p_t) * p_b / (1 - p_t - p_a), for the target t."""
    corpus, target = numpy.repeat([0, 1, 2, 3], [1, 2, 4, 13]), 1
    sampler = UnigramSampler(corpus, power, 2, rng=0)
    drawn = sampler.get_negative_sample(numpy.full(100_000, target))
    p = sampler.word_p
    pairs = list(itertools.permutations([0, 2, 3], 2))
    expected = [p[a] / (1 - p[target]) * p[b] / (1 - p[target] - p[a]) for a, b in pairs]
    counts = [(drawn == pair).all(axis=1).sum() for pair in pairs]
    assert chisquare(counts, numpy.array(expected) * len(drawn)).pvalue > 0.001


def test_one_seed_gives_one_sample():
    target = numpy.arange(5)
    a, b, c = (UnigramSampler(TOY, 0.75, 2, rng=s).get_negative_sample(target) for s in (0, 0, 1))
    assert (a == b).all()
    assert (a != c).any()


@both
def test_the_sample_is_host_data_wherever_the_target_is(backend):
    sample = UnigramSampler(np.asarray(TOY), 0.75, 2, rng=0).get_negative_sample(np.array([1, 2]))
    assert isinstance(sample, numpy.ndarray)


@pytest.mark.parametrize("k", [0, 5, 6])
def test_too_few_words_to_draw_from_are_refused(k):
    with pytest.raises(ValueError, match=rf"UnigramSampler: sample_size is one of 1\.\.4, not {k}"):
        UnigramSampler(TOY, 0.75, k)


def test_ids_outside_the_vocabulary_are_refused(r):
    with pytest.raises(ValueError, match=r"UnigramSampler: id 3 is not in 0\.\.2"):
        NegativeSamplingLoss(r(3, 2), TOY, sample_size=2)
    layer = NegativeSamplingLoss(r(5, 2), TOY, sample_size=2)
    with pytest.raises(ValueError, match=r"NegativeSamplingLoss: id -1 is not in 0\.\.4"):
        layer.forward(r(1, 2), numpy.array([-1]))


@pytest.mark.parametrize(("h", "ids"), [((3, 2), 2), ((2, 3), 2), ((2,), 2)])
def test_hidden_vectors_that_do_not_fit_are_refused(r, h, ids):
    for layer in EmbeddingDot(r(5, 2)), NegativeSamplingLoss(r(5, 2), TOY, sample_size=2):
        with pytest.raises(ValueError, match=f"{type(layer).__name__}: h has shape"):
            layer.forward(r(*h), numpy.zeros(ids, int))
