"""Dynamic evaluation: equal to a slow twin, blind to the future, of use where words repeat."""

import math

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch06 import eval as eval_script
from ch06.awd_lstm import AwdLstm
from ch06.better_rnnlm import BetterRnnlm
from ch06.dynamic_evaluation import (
    EPS,
    Follow,
    eval_perplexity_dynamically,
    mean_squares,
    tune_dynamic,
)
from ch06.rnnlm import Rnnlm
from common.evaluate import eval_perplexity
from common.gradients import remove_duplicate, to_dense
from common.np import to_cpu
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import texts

V = 9
QUIET = {"progress": False}
MODELS = {
    "Rnnlm": lambda: Rnnlm(V, 4, 5, rng=0),
    "BetterRnnlm": lambda: BetterRnnlm(V, 4, 4, rng=0),
    "AwdLstm": lambda: AwdLstm(V, 4, 5, rng=0),
}

both_backends = pytest.mark.usefixtures("backend")
every_model = pytest.mark.parametrize("name", MODELS)


def made(name="BetterRnnlm"):
    """A model in float64, with weights large enough for gradients that differ."""
    model = MODELS[name]().astype("float64")
    model.params[0][...] *= 30
    return model


def text(length, seed=1):
    return numpy.random.default_rng(seed).integers(V, size=length)


def weights(model):
    return [to_cpu(p).copy() for p in remove_duplicate(model.params, model.grads)[0]]


def slow_squares(model, corpus, N, T):
    """Block by block, one weight array after the other."""
    model.reset_state()
    rows = (len(corpus) - 1) // N
    squares = []
    for start in range(0, rows, T):
        ids = numpy.array(
            [corpus[n * rows + start : n * rows + min(start + T, rows) + 1] for n in range(N)]
        )
        model.forward(ids[:, :-1], ids[:, 1:], **without_dropout(model))
        model.backward()
        _, grads = remove_duplicate(model.params, model.grads)
        squares.append([to_cpu(to_dense(g)).copy() ** 2 for g in grads])
    model.reset_state()
    return [numpy.mean(each, axis=0) for each in zip(*squares, strict=True)]


def without_dropout(model):
    return {} if isinstance(model, Rnnlm) else {"train_flg": False}


def slow_perplexity(model, corpus, squares, lr, decay, T):
    """The formulas of the module, on copies of the weights."""
    params, _ = remove_duplicate(model.params, model.grads)
    trained, roots = [p.copy() for p in params], [numpy.sqrt(G) for G in squares]
    m = sum(root.sum() for root in roots) / sum(root.size for root in roots)
    total = 0.0
    model.reset_state()
    for start in range(0, len(corpus) - 1, T):
        ids = corpus[None, start : start + T + 1]
        total += float(model.forward(ids[:, :-1], ids[:, 1:], **without_dropout(model))) * (
            ids.size - 1
        )
        model.backward()
        _, grads = remove_duplicate(model.params, model.grads)
        for w, g, w0, root in zip(params, grads, trained, roots, strict=True):
            pull = numpy.minimum(1, decay * root / m)
            w[...] = w - lr * to_cpu(to_dense(g)) / (root + EPS) + pull * (w0 - w)
    for p, w0 in zip(params, trained, strict=True):
        p[...] = w0
    model.reset_state()
    return math.exp(total / (len(corpus) - 1))


@every_model
@pytest.mark.parametrize("T", [1, 7, 100])
def test_it_is_what_the_slow_twin_finds(name, T):
    model, corpus = made(name), text(60)
    squares = mean_squares(model, text(200, seed=2), batch_size=3, time_size=7, **QUIET)
    how = {"lr": 0.02, "decay": 0.3}
    found = eval_perplexity_dynamically(model, corpus, squares, **how, time_size=T, **QUIET)
    assert found == pytest.approx(slow_perplexity(model, corpus, squares, 0.02, 0.3, T), rel=1e-10)


@every_model
def test_the_squares_are_those_of_the_slow_twin(name):
    model, corpus = made(name), text(200)
    found = mean_squares(model, corpus, batch_size=3, time_size=7, **QUIET)
    for G, expected in zip(found, slow_squares(model, corpus, 3, 7), strict=True):
        assert_allclose(to_cpu(G), expected, rtol=1e-10)


@both_backends
@every_model
def test_the_weights_are_afterwards_what_they_were_and_the_state_is_reset(name):
    model = MODELS[name]()
    before = weights(model)
    squares = mean_squares(model, text(200), batch_size=2, **QUIET)
    how = {"lr": 0.01, "decay": 0.1, "time_size": 5}
    first = eval_perplexity_dynamically(model, text(50), squares, **how, **QUIET)
    for a, b in zip(before, weights(model), strict=True):
        assert_array_equal(a, b)
    assert first == eval_perplexity_dynamically(model, text(50), squares, **how, **QUIET)


def test_the_weights_come_back_after_an_error_too(monkeypatch):
    model = made()
    before, squares = weights(model), mean_squares(model, text(200), **QUIET)
    update = Follow.update

    def failing(optimizer, params, grads):
        update(optimizer, params, grads)
        raise KeyboardInterrupt

    monkeypatch.setattr(Follow, "update", failing)
    with pytest.raises(KeyboardInterrupt):
        eval_perplexity_dynamically(model, text(50), squares, lr=0.1, decay=0, **QUIET)
    for a, b in zip(before, weights(model), strict=True):
        assert_array_equal(a, b)


@both_backends
@every_model
def test_without_learning_it_is_the_plain_perplexity(name):
    model, corpus = MODELS[name](), text(71)
    squares = mean_squares(model, corpus, **QUIET)
    found = eval_perplexity_dynamically(model, corpus, squares, lr=0.0, decay=0.5, **QUIET)
    assert found == pytest.approx(eval_perplexity(model, corpus, 1, 70, **QUIET), rel=1e-5)


def test_the_future_is_never_seen():
    """With other words from position 25 on, the words before it are predicted as well as before."""
    model, corpus = made(), text(41)
    squares = mean_squares(model, text(200, seed=2), **QUIET)
    how = {"lr": 0.05, "decay": 0.1, "time_size": 5, **QUIET}
    other = corpus.copy()
    other[26:] = (other[26:] + 1) % V
    logs = [
        [
            math.log(eval_perplexity_dynamically(model, t[:n], squares, **how)) * (n - 1)
            for n in (26, 41)
        ]
        for t in (corpus, other)
    ]
    assert logs[0][0] == logs[1][0]
    assert logs[0][1] != logs[1][1]


def test_it_is_of_use_where_a_text_repeats_itself():
    model = BetterRnnlm(V, 8, 8, 0.0, rng=0)
    corpus = text(600)
    RnnlmTrainer(model, SGD(1.0)).fit(corpus[:-1], corpus[1:], 2, 5, 10, verbose=False)
    squares = mean_squares(model, corpus, **QUIET)
    repeating = numpy.tile(text(8, seed=5), 40)
    plain = eval_perplexity(model, repeating, 1, **QUIET)
    found = eval_perplexity_dynamically(model, repeating, squares, lr=0.003, decay=0, **QUIET)
    assert found < 0.9 * plain


def test_a_full_pull_brings_every_weight_back_at_once():
    params = [numpy.array([1.0, 2.0])]
    optimizer = Follow(params, [numpy.array([4.0, 4.0])], 0.5, 1.0)
    params[0] += 7
    optimizer.update(params, [numpy.zeros(2)])
    assert params[0].tolist() == [1, 2]


def test_one_update_by_hand():
    params = [numpy.array([1.0])]
    optimizer = Follow(params, [numpy.array([4.0])], 0.5, 0.25)
    optimizer.update(params, [numpy.array([3.0])])
    assert params[0][0] == pytest.approx(1 - 0.5 * 3 / (2 + EPS))  # nothing to come back from
    optimizer.update(params, [numpy.array([0.0])])
    assert params[0][0] == pytest.approx(1 - 0.75 * 0.5 * 3 / (2 + EPS))  # a quarter of the way


def test_the_best_pair_of_settings_is_found():
    model, corpus = made(), text(60)
    squares = mean_squares(model, text(200, seed=2), **QUIET)
    lrs, decays = (0.0, 0.01, 5.0), (0.0, 0.1)
    every = {
        (lr, decay): eval_perplexity_dynamically(
            model, corpus, squares, lr=lr, decay=decay, **QUIET
        )
        for lr in lrs
        for decay in decays
    }
    *pair, lowest = tune_dynamic(model, corpus, squares, lrs, decays, **QUIET)
    assert lowest == min(every.values()) == every[tuple(pair)]
    with pytest.raises(ValueError, match="at least one lr and one decay are needed"):
        tune_dynamic(model, corpus, squares, [], decays)


SQUARES = [numpy.ones((2, 3))]


@pytest.mark.parametrize(
    ("squares", "lr", "decay", "problem"),
    [
        ([numpy.ones((3, 2))], 1, 0, "the squares are those of another model"),
        ([-numpy.ones((2, 3))], 1, 0, "squares are finite and not negative"),
        ([numpy.full((2, 3), numpy.nan)], 1, 0, "squares are finite and not negative"),
        (SQUARES, -1, 0, "lr is -1; a learning rate is finite and not negative"),
        (SQUARES, 1, -1, "decay is finite and not negative, not -1"),
        (SQUARES, 1, math.inf, "decay is finite and not negative, not inf"),
    ],
)
def test_settings_out_of_range_are_refused(squares, lr, decay, problem):
    with pytest.raises(ValueError, match=problem):
        Follow([numpy.zeros((2, 3))], squares, lr, decay)


@pytest.mark.parametrize(
    ("corpus", "how", "problem"),
    [
        (text(1), {}, r"must be \(L,\) ids, L at least 2, not \(1,\)"),
        (text(9)[None], {}, r"a text is \(L,\) ids"),
        (numpy.array([0, V]), {}, f"id {V} is not in 0..{V - 1}"),
        (text(9), {"time_size": 0}, "batch_size and time_size are at least 1, not 0"),
    ],
)
def test_texts_that_do_not_fit_are_refused(corpus, how, problem):
    model = made()
    squares = mean_squares(model, text(60), **QUIET)
    with pytest.raises(ValueError, match=problem):
        mean_squares(model, corpus, **{"batch_size": 1} | how)
    with pytest.raises(ValueError, match=problem):
        eval_perplexity_dynamically(model, corpus, squares, lr=0.1, decay=0, **how)
    with pytest.raises(ValueError, match="60 words are too few for 60 rows"):
        mean_squares(model, text(60), batch_size=60)


def test_the_script_chooses_the_settings_on_validation_and_tells_them(folder, monkeypatch):
    model = Rnnlm(140, 6, 6, rng=0)
    model.save_params()
    parts, read = texts.load_parts("grammar"), []

    def tune(model, corpus, *_):
        read.append(corpus)
        return 0.001, 0.1, 1.0

    monkeypatch.setattr(eval_script, "tune_dynamic", tune)
    monkeypatch.setattr(eval_script, "SQUARES_OF", 2000)
    result = eval_script.main(corpus="grammar", dynamic=True)
    assert_array_equal(read, [parts.valid[: eval_script.TUNED_ON]])
    squares = mean_squares(model, parts.train[:2000], **QUIET)
    how = {"lr": 0.001, "decay": 0.1}
    assert result == eval_perplexity_dynamically(model, parts.test, squares, **how, **QUIET)


def test_a_sentence_has_no_dynamic_evaluation(folder):
    with pytest.raises(ValueError, match="dynamic evaluation is for the test text, not for a"):
        eval_script.main(corpus="grammar", sentence="the dog sleeps", dynamic=True)
