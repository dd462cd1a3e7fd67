"""The continuous cache: equal to a slow twin, blind to the future, of use where words repeat."""

import math
from itertools import pairwise

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch06.better_rnnlm import BetterRnnlm
from ch06.cache_pointer import eval_perplexity_with_cache, log_probabilities, tune_cache
from ch06.rnnlm import Rnnlm
from common.evaluate import eval_perplexity
from common.language_model import LanguageModel
from common.np import np, to_cpu
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss

QUIET = {"progress": False}


def make(V=9, D=3, H=4, seed=0):
    """A language model in float64, with weights large enough for states that differ."""
    rng = numpy.random.default_rng(seed)

    def draw(*shape):
        return np.asarray(rng.standard_normal(shape))

    lstm = TimeLSTM(draw(D, 4 * H), draw(H, 4 * H), draw(4 * H), stateful=True)
    layers = [TimeEmbedding(draw(V, D)), lstm, TimeAffine(draw(H, V), draw(V))]
    return LanguageModel(layers, TimeSoftmaxWithLoss())


def text(length, V=9, seed=1):
    return numpy.random.default_rng(seed).integers(V, size=length)


def slow_perplexity(model, corpus, cache_size, theta, mix):
    """Word by word: the cache a list of pairs, its probabilities a dictionary."""
    model.reset_state()
    cache, logs = [], []
    for word, following in pairwise(corpus.tolist()):
        x = numpy.array([[word]])
        for layer in model.layers[:-1]:
            x = layer.forward(x)
        h = to_cpu(x)[0, 0].copy()
        scores = to_cpu(model.layers[-1].forward(x))[0, 0]
        p = math.exp(scores[following]) / sum(math.exp(score) for score in scores)
        weights = {}
        for h_i, word_i in cache[-cache_size:]:
            weights[word_i] = weights.get(word_i, 0) + math.exp(theta * (h @ h_i))
        if weights:
            p = (1 - mix) * p + mix * weights.get(following, 0) / sum(weights.values())
        logs.append(math.log(p))
        cache.append((h, following))
    model.reset_state()
    return math.exp(-math.fsum(logs) / len(logs))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("cache_size", "time_size"), [(1, 1), (5, 7), (7, 5), (500, 35)])
def test_it_is_what_the_slow_twin_finds(cache_size, time_size):
    model, corpus = make(), text(60)
    fast = eval_perplexity_with_cache(
        model, corpus, cache_size, theta=0.7, mix=0.3, time_size=time_size, **QUIET
    )
    slow = slow_perplexity(model, corpus, cache_size, 0.7, 0.3)
    assert fast == pytest.approx(slow, rel=1e-10)


@settings(max_examples=40)
@given(
    length=st.integers(2, 40),
    cache_size=st.integers(1, 50),
    time_size=st.integers(1, 50),
    theta=st.floats(0, 20),
    mix=st.floats(0, 0.999),
    seed=st.integers(0, 9),
)
def test_any_sizes_give_what_the_slow_twin_finds(length, cache_size, time_size, theta, mix, seed):
    model, corpus = make(seed=seed), text(length, seed=seed)
    fast = eval_perplexity_with_cache(
        model, corpus, cache_size, theta=theta, mix=mix, time_size=time_size, **QUIET
    )
    assert fast == pytest.approx(slow_perplexity(model, corpus, cache_size, theta, mix), rel=1e-10)


def test_two_words_by_hand():
    """A model that gives each of 4 words 1/4; theta 0, so the cache counts words."""
    model = make(V=4)
    for p in model.layers[-1].params:
        p[...] = 0
    corpus = numpy.array([0, 1, 1, 2, 1])
    # the cache holds   -, 1, 1 1, 1 1 2   and the words that come are   1, 1, 2, 1
    p = [1 / 4, 0.5 / 4 + 0.5 * 1, 0.5 / 4 + 0.5 * 0, 0.5 / 4 + 0.5 * 2 / 3]
    found = eval_perplexity_with_cache(model, corpus, theta=0, mix=0.5, **QUIET)
    assert found == pytest.approx(math.prod(p) ** (-1 / 4), rel=1e-12)
    # remembering one step, it holds   -, 1, 1, 2
    p[3] = 0.5 / 4
    found = eval_perplexity_with_cache(model, corpus, 1, theta=0, mix=0.5, **QUIET)
    assert found == pytest.approx(math.prod(p) ** (-1 / 4), rel=1e-12)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("model_class", [Rnnlm, BetterRnnlm])
def test_without_a_share_for_the_cache_it_is_the_plain_perplexity(model_class):
    model, corpus = model_class(9, 4, 4, rng=0), text(71)
    plain = eval_perplexity(model, corpus, 1, 35, **QUIET)
    found = eval_perplexity_with_cache(model, corpus, theta=1, mix=0, **QUIET)
    assert found == pytest.approx(plain, rel=1e-6)


def test_every_word_but_the_first_counts():
    plain, cached = log_probabilities(make(), text(40), [0.5], time_size=35, **QUIET)
    assert plain.shape == (39,)
    assert cached.shape == (1, 39)
    assert plain.dtype == cached.dtype == "float64"
    model, ids = make(), text(40)[None]
    model.forward(ids[:, :-1], ids[:, 1:])
    labels = model.loss_layer.y[0, numpy.arange(39), ids[0, 1:]]
    numpy.testing.assert_allclose(numpy.exp(plain), labels, rtol=1e-12)


@pytest.mark.usefixtures("backend")
def test_the_size_of_a_block_changes_nothing():
    one = log_probabilities(make(), text(50), [0, 1.5], 10, time_size=1, **QUIET)
    for time_size in 4, 49, 100:
        other = log_probabilities(make(), text(50), [0, 1.5], 10, time_size=time_size, **QUIET)
        for a, b in zip(one, other, strict=True):
            numpy.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("known", [2, 10, 23])
def test_the_future_is_never_seen(known):
    """Other words from position `known` on leave all probabilities before it as they are."""
    corpus = text(40)
    other = corpus.copy()
    other[known:] = (other[known:] + 1) % 9
    for a, b in zip(
        log_probabilities(make(), corpus, [0, 2], 7, time_size=6, **QUIET),
        log_probabilities(make(), other, [0, 2], 7, time_size=6, **QUIET),
        strict=True,
    ):
        numpy.testing.assert_array_equal(a[..., : known - 1], b[..., : known - 1])
        assert (a[..., known - 1 :] != b[..., known - 1 :]).any()


def test_what_is_beyond_the_cache_is_forgotten():
    corpus = numpy.array([0, 5, *[1, 2, 3] * 4, 5])  # word 5 again, 13 steps later
    for cache_size, found in [(12, False), (13, True)]:
        _, cached = log_probabilities(make(), corpus, [1], cache_size, time_size=4, **QUIET)
        assert (cached[0, -1] > -math.inf) == found


def test_probabilities_of_all_words_add_up_to_one():
    """The last word may be any: over all V, the mixture sums to one."""
    total = 0.0
    for last in range(9):
        corpus = numpy.append(text(30), last)
        plain, cached = log_probabilities(make(), corpus, [1.3], 12, **QUIET)
        total += 0.8 * math.exp(plain[-1]) + 0.2 * math.exp(cached[0, -1])
    assert total == pytest.approx(1, rel=1e-12)


def test_a_rare_word_that_comes_again_gains():
    """A fresh model gives every word 1/1000; ten words of a text over and over gain much."""
    model = Rnnlm(1000, 8, 8, rng=0)
    corpus = numpy.tile(numpy.arange(500, 510), 30)
    found = eval_perplexity_with_cache(model, corpus, theta=1, mix=0.5, **QUIET)
    assert found < 30 < 990 < eval_perplexity(model, corpus, 1, **QUIET)


def test_likeness_tells_more_than_counting():
    """Where each of 9 words decides the next, a state points at what followed it before."""
    corpus = numpy.tile(numpy.arange(9), 20)
    _, cached = log_probabilities(make(H=30), corpus, [0, 3], **QUIET)
    counting, pointing = numpy.exp(-cached[:, 20:].mean(axis=1))  # perplexities
    assert counting > 9  # the word that comes is always the one seen longest ago
    assert pointing < 2


@pytest.mark.usefixtures("backend")
def test_tuning_finds_the_best_of_all_pairs_with_one_reading(monkeypatch):
    model, corpus = make(), text(80)
    thetas, mixes = [0, 0.4, 1.0], [0, 0.1, 0.3]
    every = {
        (theta, mix): eval_perplexity_with_cache(model, corpus, 20, theta=theta, mix=mix, **QUIET)
        for theta in thetas
        for mix in mixes
    }
    blocks, predict = [], model.predict
    monkeypatch.setattr(model, "predict", lambda xs: blocks.append(xs.size) or predict(xs))
    theta, mix, lowest = tune_cache(model, corpus, thetas, mixes, 20, **QUIET)
    assert lowest == every[theta, mix] == min(every.values())
    assert sum(blocks) == 79


@pytest.mark.usefixtures("backend")
def test_very_large_scores_and_likenesses_do_no_harm():
    for dtype in "float32", "float64":
        model = make()
        model.layers[-1].__init__(*(100 * p.astype(dtype) for p in model.layers[-1].params))
        plain, cached = log_probabilities(model, text(60), [0, 1e30], 20, **QUIET)
        assert numpy.isfinite(plain).all()
        assert not numpy.isnan(cached).any()
        found = eval_perplexity_with_cache(model, text(60), theta=1e30, mix=0.5, **QUIET)
        assert math.isfinite(found)


@pytest.mark.usefixtures("backend")
def test_float32_stays_close_to_float64():
    model = Rnnlm(9, 4, 4, rng=0)
    low = eval_perplexity_with_cache(model, text(60), 10, theta=1, mix=0.3, **QUIET)
    for layer in model.layers:
        options = {"stateful": True} if hasattr(layer, "stateful") else {}
        layer.__init__(*(p.astype("float64") for p in layer.params), **options)
    high = eval_perplexity_with_cache(model, text(60), 10, theta=1, mix=0.3, **QUIET)
    assert low == pytest.approx(high, rel=1e-6)


@pytest.mark.usefixtures("backend")
def test_model_and_text_are_left_as_they_were_and_the_state_is_fresh(capsys):
    model, corpus = BetterRnnlm(9, 4, 4, rng=0), text(50)
    before, words = [to_cpu(p).copy() for p in model.params], corpus.copy()
    first = eval_perplexity_with_cache(model, corpus, 5, theta=1, mix=0.2)
    assert model.lstm_layers[0].h is None
    model.predict(corpus[None])  # a state that must not matter
    model.forward(corpus[None, :-1], corpus[None, 1:])  # and dropout that is on
    assert eval_perplexity_with_cache(model, corpus, 5, theta=1, mix=0.2) == first
    assert [layer.h for layer in model.lstm_layers] == [None, None]
    for p, was in zip(model.params, before, strict=True):
        numpy.testing.assert_array_equal(to_cpu(p), was)
    numpy.testing.assert_array_equal(corpus, words)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("backend")
def test_a_text_on_the_device_is_read_too():
    on_host = log_probabilities(make(), text(20), [1], **QUIET)
    on_device = log_probabilities(make(), np.asarray(text(20)), [1], **QUIET)
    for a, b in zip(on_host, on_device, strict=True):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"cache_size": 0}, "cache_size and time_size must be at least 1, not 0 and 35"),
        ({"time_size": 0}, "cache_size and time_size must be at least 1, not 500 and 0"),
        ({"theta": -0.1}, "theta must be finite and not negative, not -0.1"),
        ({"theta": math.inf}, "theta must be finite and not negative, not inf"),
        ({"theta": math.nan}, "theta must be finite and not negative, not nan"),
        ({"mix": -0.1}, "mix must be at least 0 and below 1, not -0.1"),
        ({"mix": 1.0}, "mix must be at least 0 and below 1, not 1.0"),
        ({"mix": math.nan}, "mix must be at least 0 and below 1, not nan"),
        ({"corpus": text(1)}, r"the text must be \(L,\) ids, L at least 2, not \(1,\)"),
        ({"corpus": text((2, 9))}, r"a text is \(L,\) ids, not int64 of shape \(2, 9\)"),
        ({"corpus": text(9) + 7}, r"id \d+ is not in 0\.\.8"),
        ({"corpus": text(9) - 7}, r"id -\d is not in 0\.\.8"),
        ({"corpus": text(9) / 2}, "ids must be integers, not float64"),
        ({"model": LanguageModel([TimeEmbedding(numpy.ones((9, 9)))], None)}, "TimeEmbedding"),
        ({"model": LanguageModel([], None)}, "last layer of the model must be affine"),
        ({"model": object()}, "last layer of the model must be affine"),
    ],
)
def test_bad_input_is_refused_before_anything_is_read(change, problem):
    class Untouched(LanguageModel):
        def reset_state(self):
            raise AssertionError("read already")

    made = make()
    good = {"model": Untouched(made.layers, None), "corpus": text(9), "theta": 0.5, "mix": 0.1}
    with pytest.raises(ValueError, match=f"^cache: .*{problem}"):
        eval_perplexity_with_cache(**good | change, **QUIET)
    bad = good | change
    choice = {"thetas": [0, bad.pop("theta")], "mixes": [0, bad.pop("mix")]}
    with pytest.raises(ValueError, match=f"^cache: .*{problem}"):
        tune_cache(**bad, **choice, **QUIET)


@pytest.mark.parametrize("choice", [([], [0.1]), ([0.5], [])])
def test_tuning_needs_something_to_choose_from(choice):
    with pytest.raises(ValueError, match="tune_cache: at least one theta and one mix are needed"):
        tune_cache(make(), text(9), *choice)
