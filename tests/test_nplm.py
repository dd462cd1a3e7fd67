"""The language models beside those of the book: the NPLM of 2003, and the RNN of ReLU."""

import math
import re

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch05.nplm import NPLM
from ch06.relu_rnnlm import ReluRnnlm
from ch07.rnnlm_gen import TextGenerator
from common.base_model import load_model
from common.evaluate import eval_perplexity
from common.gradient_check import check_gradients
from common.network import walk
from common.np import np, to_cpu
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from tests.reference import in_float64

V, N, T, K = 7, 2, 5, 3
MODELS = {
    "NPLM": lambda **how: NPLM(V, 4, 5, context=K, **how),
    "NPLM, direct": lambda **how: NPLM(V, 4, 5, context=K, direct=True, **how),
    "NPLM, one word": lambda **how: NPLM(V, 4, 5, context=1, **how),
    "ReluRnnlm": lambda **how: ReluRnnlm(V, 4, 5, **how),
}
each_model = pytest.mark.parametrize("name", MODELS)


def made(name, scale=0.5, **options):
    return in_float64(MODELS[name](rng=0, **options), scale)


def ids(*shape, seed=0):
    return numpy.random.default_rng(seed).integers(0, V, shape)


def same(a, b):
    numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), rtol=0, atol=1e-12)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


@each_model
@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_agree_with_differences(name, sparse, backend):
    check_gradients(made(name, sparse=sparse), ids(N, T), ids(N, T, seed=1), verbose=False)


@each_model
@given(cuts=st.sets(st.integers(1, 11)))
def test_blocks_of_a_text_are_one_text(name, cuts):
    model, xs = made(name), ids(N, 12)
    whole = to_cpu(model.predict(xs))
    for _ in range(2):
        model.reset_state()
        parts = [to_cpu(model.predict(part)) for part in numpy.split(xs, sorted(cuts), axis=1)]
        same(numpy.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("direct", [False, True])
def test_scores_are_those_of_the_formula(direct, backend):
    model, xs = made("NPLM, direct" if direct else "NPLM"), ids(N, T)
    W, hidden_W, hidden_b, U, c = map(to_cpu, model.params)
    padded = numpy.concatenate([numpy.full((N, K - 1), V), xs], axis=1)
    scores = to_cpu(model.predict(xs))
    for n in range(N):
        for t in range(T):
            x = numpy.concatenate([W[word] for word in padded[n, t : t + K]])
            h = numpy.tanh(x @ hidden_W + hidden_b)
            same(scores[n, t], numpy.concatenate([h, x] if direct else [h]) @ U + c)


def test_it_sees_the_last_words_and_no_others(backend):
    model, xs = made("NPLM"), ids(1, 2 * K)
    before = to_cpu(model.predict(xs))[0, -1]
    for t in range(2 * K):
        changed = xs.copy()
        changed[0, t] = (xs[0, t] + 1) % V
        model.reset_state()
        assert (to_cpu(model.predict(changed))[0, -1] == before).all() == (t < K)


def test_words_of_the_last_call_get_their_gradient(backend):
    model = made("NPLM", sparse=False)
    model.predict(numpy.array([[1, 2]]))
    model.forward(numpy.array([[3]]), numpy.array([[0]]))
    model.backward()
    rows = to_cpu(model.grads[0]).any(axis=1)
    assert rows.tolist() == [False, True, True, True, False, False, False, False]


def test_the_state_is_the_last_words_on_the_host(backend):
    model, xs = made("NPLM"), ids(N, T)
    model.predict(xs)
    (layer,) = model.recurrent_layers
    numpy.testing.assert_array_equal(layer.past, xs[:, 1 - K :])
    assert isinstance(layer.past, numpy.ndarray)
    model.select(numpy.array([1, 1, 0]))
    numpy.testing.assert_array_equal(layer.past, xs[[1, 1, 0], 1 - K :])


def test_refused_ids_and_labels_leave_the_words_kept():
    model, xs = made("NPLM"), ids(N, T)
    model.forward(xs, xs)
    with refused("ContextEmbedding: id 7 is not in 0..6"):
        model.forward(numpy.where(xs == xs.max(), V, xs), xs)
    with refused("ContextEmbedding: the kept words are of batch size 2, the input of 3"):
        model.forward(ids(3, T), ids(3, T))
    with refused("ContextEmbedding: ids are (N, T) with T > 0, not (5,)"):
        model.forward(xs[0], xs[0])
    with refused("TimeSoftmaxWithLoss: labels have shape (2, 4)"):
        model.forward(ids(N, T, seed=3), xs[:, 1:])
    numpy.testing.assert_array_equal(model.recurrent_layers[0].past, xs[:, 1 - K :])


def test_sizes_that_do_not_fit_are_refused():
    with refused("ContextEmbedding: context must be at least 1, not 0"):
        NPLM(V, 4, 5, context=0)


@each_model
def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(name):
    assert eval_perplexity(made(name, scale=0), ids(200), 3, 4, progress=False) == pytest.approx(V)


@each_model
def test_the_vocabulary_is_that_of_the_scores_and_one_seed_is_one_model(name):
    assert MODELS[name]().vocab_size == V
    first, again, other = (MODELS[name](rng=seed).params for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


@each_model
def test_a_weight_file_builds_the_model_again(name, folder):
    model = MODELS[name](rng=0)
    model.save_params("w.npz")
    again = load_model("w.npz")
    assert type(again) is type(model)
    same(again.predict(ids(N, T)), model.predict(ids(N, T)))


class Writer(TextGenerator, NPLM):
    """An NPLM that writes."""


def test_it_writes_from_its_last_words():
    model = in_float64(Writer(V, 4, 5, context=K, rng=0), 2.0)
    text = model.generate(3, sample_size=20, greedy=True)
    for t in range(1, 20):
        model.reset_state()
        scores = to_cpu(model.predict(numpy.array([text[:t]])))[0, -1]
        assert scores.argmax() == text[t]


@each_model
def test_it_learns_by_heart_what_its_context_decides(name):
    text, model = numpy.arange(600) % V, MODELS[name](rng=0)
    RnnlmTrainer(model, SGD(1.0)).fit(
        text[:-1], text[1:], 20, 4, 5, max_grad=1.0, eval_interval=None
    )
    assert eval_perplexity(model, text, progress=False) < 1.5


def test_the_recurrent_weights_begin_with_the_identity(backend):
    model = ReluRnnlm(V, 4, 5, rng=0)
    _, Wh, b = model.rnn_layer.params
    numpy.testing.assert_array_equal(to_cpu(Wh), numpy.eye(5))
    assert not to_cpu(b).any()
    assert [type(layer).__name__ for _, layer in walk(model)][2] == "TimeReluRNN"


def test_an_identity_hands_the_gradient_back_over_any_number_of_steps(backend):
    """Where no unit is switched off; with tanh the gradient would be gone."""
    layer = ReluRnnlm(V, 4, 5, rng=0).rnn_layer
    layer.params[2][...] = 1
    layer.forward(np.zeros((1, 200, 4), "f"))
    dhs = np.zeros((1, 200, 5), "f")
    dhs[:, -1] = 1
    layer.backward(dhs)
    assert to_cpu(layer.dh).tolist() == [[1.0] * 5]
    assert math.isclose(float(layer.h[0, 0]), 200)
