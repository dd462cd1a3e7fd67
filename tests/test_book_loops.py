"""Training loops, optimizers and clipping as a reader types them, on models of every chapter."""

import copy
import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ch04.cbow import CBOW
from ch04.skip_gram import SkipGram
from ch07.seq2seq import Encoder, Seq2seq
from common import optimizer
from common.evaluate import seq2seq_accuracy
from common.gradients import RowSparse, clip_grads, remove_duplicate, to_dense
from common.layers import Embedding, SigmoidWithLoss
from common.network import walk
from common.np import np, to_cpu
from common.optimizer import SGD, Adam, Momentum
from common.rng import randn, recurrent_weights
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss
from tests.models import CORPUS, MODELS, V, ids

both = pytest.mark.usefixtures("backend")


# --- As typed from the formulas of book 1.3.6, 3.4 and 6.1.4 -------------------------------------


class MySGD:
    def __init__(self, lr=0.01):
        self.lr = lr

    def update(self, params, grads):
        for i in range(len(params)):
            params[i] -= self.lr * grads[i]


class MyMomentum(MySGD):
    v = None

    def update(self, params, grads):
        if self.v is None:
            self.v = [np.zeros_like(p) for p in params]
        for i in range(len(params)):
            self.v[i] = 0.9 * self.v[i] - self.lr * grads[i]
            params[i] += self.v[i]


class MyAdaGrad(MySGD):
    h = None

    def update(self, params, grads):
        if self.h is None:
            self.h = [np.zeros_like(p) for p in params]
        for i in range(len(params)):
            self.h[i] += grads[i] * grads[i]
            params[i] -= self.lr * grads[i] / (np.sqrt(self.h[i]) + 1e-7)


class MyRMSprop(MySGD):
    h = None

    def update(self, params, grads):
        if self.h is None:
            self.h = [np.zeros_like(p) for p in params]
        for i in range(len(params)):
            self.h[i] *= 0.99
            self.h[i] += (1 - 0.99) * grads[i] ** 2
            params[i] -= self.lr * grads[i] / (np.sqrt(self.h[i]) + 1e-7)


class MyAdam(MySGD):
    m, v, n = None, None, 0

    def update(self, params, grads):
        if self.m is None:
            self.m = [np.zeros_like(p) for p in params]
            self.v = [np.zeros_like(p) for p in params]
        self.n += 1
        lr = self.lr * math.sqrt(1 - 0.999**self.n) / (1 - 0.9**self.n)
        for i in range(len(params)):
            self.m[i] += (1 - 0.9) * (grads[i] - self.m[i])
            self.v[i] += (1 - 0.999) * (grads[i] ** 2 - self.v[i])
            params[i] -= lr * self.m[i] / (np.sqrt(self.v[i]) + 1e-7)


def my_clip(grads, max_norm):
    total = 0
    for g in grads:
        total += np.sum(g**2)
    rate = max_norm / (float(np.sqrt(total)) + 1e-6)
    if rate < 1:
        for g in grads:
            g *= rate


def my_merge(params, grads):
    params, grads = params[:], grads[:]
    for i in range(len(params)):
        for j in range(len(params) - 1, i, -1):
            a, b = params[i], params[j]
            if a is b:
                grads[i] += grads[j]
            elif a.ndim == b.ndim == 2 and a.T.shape == b.shape and (b == a.T).all():
                grads[i] += grads[j].T
            else:
                continue
            params.pop(j)
            grads.pop(j)
    return params, grads


TYPED = {  # and what the library does; without a step that a resting row misses, sparse or not
    "SGD": (MySGD(0.1), lambda: SGD(0.1), True),
    "Momentum": (MyMomentum(0.1), lambda: Momentum(0.1), False),
    "AdaGrad": (MyAdaGrad(0.01), lambda: optimizer.AdaGrad(0.01), True),
    "RMSprop": (MyRMSprop(0.01), lambda: optimizer.RMSprop(0.01), False),
    "Adam": (MyAdam(0.001), lambda: Adam(0.001), False),
}


@both
@pytest.mark.parametrize("max_norm", [None, 0.05])
@pytest.mark.parametrize("rule", TYPED)
@pytest.mark.parametrize("name", MODELS)
def test_a_typed_loop_ends_with_the_weights_of_the_library(name, rule, max_norm):
    typed, ours, as_they_are = TYPED[rule]
    typed, ours = copy.deepcopy(typed), ours()
    model = MODELS[name][0]().astype("float64")  # small gradients are amplified, and rounding too
    twin, batch = copy.deepcopy(model), MODELS[name][1]()
    for k in range(3):
        for each in model, twin:
            same_masks(each, k)
        model.forward(*batch)
        model.backward()
        params, grads = my_merge(model.params, model.grads)
        if max_norm is not None:
            my_clip(grads, max_norm)
        typed.update(params, grads)

        twin.forward(*batch)
        twin.backward()
        params, grads = remove_duplicate(twin.params, twin.grads)
        if max_norm is not None:
            clip_grads(grads, max_norm)
        ours.update(params, grads if as_they_are else [to_dense(g) for g in grads])
    for p, q in zip(model.params, twin.params, strict=True):
        assert_allclose(to_cpu(p), to_cpu(q), rtol=1e-6, atol=1e-9)


def same_masks(model, seed):
    for _, layer in walk(model):
        if hasattr(layer, "dropout_ratio"):
            layer.rng = np.random.default_rng(seed)


@both
@pytest.mark.parametrize("name", ["CBOW", "SimpleRnnlm", "BetterRnnlm"])
def test_weight_decay_in_place_reaches_the_layers(name):
    model, batch = MODELS[name][0](), MODELS[name][1]()
    model.forward(*batch)
    model.backward()
    params, grads = model.params, model.grads
    held, before = list(grads), [to_cpu(to_dense(g)).copy() for g in grads]
    for i in range(len(params)):
        grads[i] += 0.1 * params[i]
    for k, g in enumerate(grads):
        assert g is held[k]
        assert_allclose(to_cpu(to_dense(g)), before[k] + 0.1 * to_cpu(params[k]), atol=1e-6)
    model.backward()  # which forgets it
    for g, was in zip(grads, before, strict=True):
        assert_allclose(to_cpu(to_dense(g)), was, atol=1e-6)


# --- A row-sparse gradient is an array -----------------------------------------------------------


def gradient():
    g = RowSparse((5, 2), numpy.dtype("float64"))
    g.assign(numpy.array([3, 1]), np.asarray([[1.0, -2], [3, 4]]))
    return g


DENSE = numpy.array([[0.0, 0], [3, 4], [0, 0], [1, -2], [0, 0]])
OTHER = numpy.arange(10.0).reshape(5, 2)

READ = {
    "g + 1": lambda g, a: g + 1,
    "a - g": lambda g, a: a - g,
    "g - a": lambda g, a: g - a,
    "g * g": lambda g, a: g * g,
    "0.5 * g": lambda g, a: 0.5 * g,
    "g / 2": lambda g, a: g / 2,
    "2 - g": lambda g, a: 2 - g,
    "g ** 2": lambda g, a: g**2,
    "-g": lambda g, a: -g,
    "g @ a.T": lambda g, a: g @ a.T,
    "a.T @ g": lambda g, a: a.T.copy() @ g[...],
    "abs(g)": lambda g, a: abs(g),
    "g > 0": lambda g, a: g > 0,
    "a == g": lambda g, a: a == g,
    "np.sqrt(g * g)": lambda g, a: np.sqrt(g * g),
    "np.abs(g)": lambda g, a: np.abs(g),
    "np.maximum(a, g)": lambda g, a: np.maximum(a, g),
    "np.sum(g ** 2)": lambda g, a: np.sum(g**2),
    "g.sum(axis=0)": lambda g, a: g.sum(axis=0),
    "g.max()": lambda g, a: g.max(),
    "g.mean()": lambda g, a: g.mean(),
    "g.copy()": lambda g, a: g.copy(),
    "g.reshape(-1)": lambda g, a: g.reshape(-1),
    "g.T": lambda g, a: g.T,
    "g.astype": lambda g, a: g.astype("f"),
    "g[3]": lambda g, a: g[3],
    "g[1:4, 0]": lambda g, a: g[1:4, 0],
    "rows": lambda g, a: np.stack([row * 2 for row in g]),
    "np.asarray(g)": lambda g, a: np.asarray(g),
}


@both
@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_what_is_read_is_that_of_the_whole_matrix(read):
    a = np.asarray(OTHER)
    assert_array_equal(to_cpu(read(gradient(), a)), to_cpu(read(np.asarray(DENSE), a)))


@both
def test_its_sizes_are_those_of_the_whole_matrix():
    g = gradient()
    assert (g.shape, g.ndim, g.size, len(g), g.dtype) == ((5, 2), 2, 10, 5, "float64")
    with pytest.raises(AttributeError, match="RowSparse has no forward"):
        g.forward()
    with pytest.raises(ValueError, match="ambiguous"):
        bool(g)


def in_place(change):
    """What is in the object after a change in place, which must be the object of before."""

    def changed(g, a):
        held = [g]
        change(held, a)
        assert held[0] is g
        return g

    return changed


def plus(held, a):
    held[0] += a


def minus(held, a):
    held[0] -= a


def times(held, a):
    held[0] *= a


def over(held, a):
    held[0] /= a + 1


def scaled(held, a):
    held[0] *= 0.5


def twice(held, a):
    held[0] += held[0]


def element(held, a):
    held[0][2, 1] = 7


def rows(held, a):
    held[0][1:3] += a[1:3]


def turned(held, a):
    held[0].T[...] = a.T


def filled(held, a):
    held[0].fill(3)


def clipped(held, a):
    np.clip(held[0][...], -1, 1, out=held[0][...])


@both
@pytest.mark.parametrize(
    "change",
    [plus, minus, times, over, scaled, twice, element, rows, turned, filled, clipped],
)
def test_what_is_written_stays_in_the_object(change):
    change, a = in_place(change), np.asarray(OTHER)
    found, expected = change(gradient(), a), change(np.asarray(DENSE.copy()), a)
    assert_array_equal(to_cpu(to_dense(found)), to_cpu(expected))
    assert found.dtype == "float64"


@both
def test_it_is_added_to_an_array_in_place():
    w, g = np.ones((5, 2)), gradient()
    held = w
    w -= g
    w += 2 * g
    assert w is held
    assert_array_equal(to_cpu(w), 1 + DENSE)
    with pytest.raises(ValueError, match="broadcast"):
        g += np.ones((3, 2, 2))
    assert_array_equal(to_cpu(to_dense(g)), DENSE)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda g: g.copy()])
def test_a_copy_is_a_gradient_of_its_own(how):
    g = gradient()
    twin = how(g)
    twin *= 2
    twin[0] = 9
    assert_array_equal(g, DENSE)


def test_functions_of_numpy_take_it():
    g = gradient()
    assert numpy.linalg.norm(g) == pytest.approx(math.sqrt(30))
    assert numpy.sum(g) == 6
    assert numpy.vdot(g, g) == 30
    assert_array_equal(numpy.zeros_like(g), numpy.zeros((5, 2)))
    out = numpy.empty((5, 2))
    assert numpy.multiply(g, 2, out=out) is out
    assert_array_equal(out, 2 * DENSE)
    numpy.clip(g, -1, 1, out=g)
    assert_array_equal(g, DENSE.clip(-1, 1))
    numpy.add.at(g, [0, 0], 1.0)
    assert_array_equal(g[0], [2, 2])


def test_sums_of_two_and_products_with_a_number_stay_sparse():
    g = gradient()
    g += gradient()
    g *= 0.5
    assert len(g.ids) == 2
    assert_array_equal(g, DENSE)
    assert len(g.ids) == 5


@given(st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(0, 4), max_size=8))
def test_sparse_or_dense_the_next_backward_and_update_are_the_same(first, second):
    W = numpy.random.default_rng(0).standard_normal((5, 2))
    layers = [Embedding(W.copy(), sparse=True) for _ in range(2)]
    for layer, read in zip(layers, (False, True), strict=True):
        rule = Momentum(0.1)
        for batch in first, second:
            layer.forward(numpy.array(batch, int))
            layer.backward(numpy.ones((len(batch), 2)))
            if read:
                layer.grads[0].max()  # dense from now on, until the next backward
            rule.update(layer.params, layer.grads)
        layer.params[0] += rule.v[0] * 0
    sparse, dense = (layer.params[0] for layer in layers)
    seen_last = sorted(set(second))
    assert_allclose(sparse[seen_last], dense[seen_last], atol=1e-12)


# --- The layers of the book in models that need fewer --------------------------------------------


def by_hand_cbow(model, contexts, target):
    """Forward and backward of book 4.3.1, over `in_layers`."""
    layers = model.in_layers
    h = sum(layer.forward(contexts[:, k]) for k, layer in enumerate(layers)) / len(layers)
    loss = model.ns_loss.forward(h, target)
    dh = model.ns_loss.backward() / len(layers)
    for layer in reversed(layers):
        layer.backward(dh)
    return loss


def by_hand_skip_gram(model, contexts, target):
    h = model.in_layer.forward(target)
    loss = sum(layer.forward(h, contexts[:, k]) for k, layer in enumerate(model.loss_layers))
    model.in_layer.backward(sum(layer.backward() for layer in model.loss_layers))
    return loss


def by_hand_negatives(layer, h, target):
    """Forward and backward of book 4.2.7, over `embed_dot_layers` and `loss_layers`."""
    negatives = layer.sampler.get_negative_sample(target)
    asked = numpy.concatenate([target[:, None], negatives], axis=1)
    pairs = list(zip(layer.loss_layers, layer.embed_dot_layers, strict=True))
    loss = 0
    for k, (loss_layer, dot) in enumerate(pairs):
        label = numpy.full(len(target), k == 0, int)
        loss += loss_layer.forward(dot.forward(h, asked[:, k]), label)
    return loss, sum(dot.backward(loss_layer.backward()) for loss_layer, dot in pairs)


def same_draws(cls, sparse):
    model = cls(V, 5, 2, CORPUS, rng=1, sparse=sparse)
    twin = copy.deepcopy(model)
    return model, twin


def assert_same_gradients(model, twin):
    for g, h in zip(model.grads, twin.grads, strict=True):
        assert_allclose(to_cpu(to_dense(g)), to_cpu(to_dense(h)), atol=1e-6)


@both
@pytest.mark.parametrize("sparse", [True, False])
def test_cbow_works_layer_by_layer_as_in_the_book(sparse):
    model, twin = same_draws(CBOW, sparse)
    contexts, target = ids(6, 4), ids(6)
    assert len(model.in_layers) == 4
    assert all(layer.params[0] is model.word_vecs for layer in model.in_layers)
    for _ in range(2):
        loss, expected = by_hand_cbow(model, contexts, target), twin.forward(contexts, target)
        twin.backward()
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
        assert_same_gradients(model, twin)
        parts = [layer.grads[0] for layer in model.in_layers]
        _, (total,) = remove_duplicate([model.word_vecs] * 4, parts)
        assert_allclose(to_cpu(to_dense(total)), to_cpu(to_dense(twin.grads[0])), atol=1e-6)
    for each in model, twin:  # after work by hand, the model works as before
        each.forward(contexts[::-1], target)
        each.backward()
    assert_same_gradients(model, twin)


@both
@pytest.mark.parametrize("sparse", [True, False])
def test_skip_gram_works_layer_by_layer_as_in_the_book(sparse):
    model, twin = same_draws(SkipGram, sparse)
    contexts, target = ids(6, 4), ids(6)
    assert len(model.loss_layers) == 4
    model.ns_loss.sampler.get_negative_sample = fixed_negatives
    twin.ns_loss.sampler.get_negative_sample = fixed_negatives
    loss, expected = by_hand_skip_gram(model, contexts, target), twin.forward(contexts, target)
    twin.backward()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert_same_gradients(model, twin)


def fixed_negatives(target):
    return (numpy.asarray(target)[:, None] + numpy.arange(1, 6)) % V


@both
@pytest.mark.parametrize("sparse", [True, False])
def test_negative_sampling_works_question_by_question_as_in_the_book(r, sparse):
    model, twin = same_draws(CBOW, sparse)
    layer, other = model.ns_loss.astype("float64"), twin.ns_loss.astype("float64")
    h, target = r(6, 5), ids(6)
    assert len(layer.loss_layers) == len(layer.embed_dot_layers) == 6
    assert all(isinstance(part, SigmoidWithLoss) for part in layer.loss_layers)
    loss, dh = by_hand_negatives(layer, h, target)
    assert float(loss) == pytest.approx(float(other.forward(h, target)))
    assert_allclose(to_cpu(dh), to_cpu(other.backward()), atol=1e-12)
    assert_same_gradients(layer, other)


def test_parts_of_parts_add_up_too():
    model, twin = same_draws(SkipGram, sparse=True)
    contexts, target = ids(6, 4), ids(6)
    for each in model, twin:
        each.ns_loss.sampler.get_negative_sample = fixed_negatives
        assert len(each.ns_loss.embed_dot_layers) == 6  # are not those of the copies
        assert each.ns_loss.loss_layers is not each.loss_layers[0].loss_layers
    h = model.in_layer.forward(target)
    for k, layer in enumerate(model.loss_layers):
        by_hand_negatives(layer, h, contexts[:, k])
    twin.forward(contexts, target)
    twin.backward()
    assert_allclose(to_dense(model.grads[1]), to_dense(twin.grads[1]), atol=1e-6)


def test_more_names_of_the_book():
    model = MODELS["SimpleRnnlm"][0]()
    assert model.layers[0].W is model.params[0]
    loss = SigmoidWithLoss()
    assert loss.forward(np.ones(3), numpy.array([0, 1, 1])) == loss.loss
    classifier, (x, t) = MODELS["TwoLayerNet"][0](), MODELS["TwoLayerNet"][1]()
    classifier.forward(x, t)
    assert_array_equal(classifier.loss_layer.t, t)
    assert_array_equal(classifier.loss_layer.y.argmax(axis=1), classifier.predict(x).argmax(axis=1))
    rule = Adam()
    assert rule.m is rule.v is None
    classifier.backward()
    rule.update(classifier.params, classifier.grads)
    assert [m.shape for m in rule.m] == [p.shape for p in classifier.params]
    with pytest.raises(AttributeError, match="Adam has no h"):
        rule.h  # noqa: B018


# --- A decoder of the book, which answers one question at a time ---------------------------------


class MyDecoder:
    def __init__(self, vocab, wordvec, hidden):
        rng = numpy.random.default_rng(0)
        self.embed = TimeEmbedding(randn(rng, vocab, wordvec))
        self.lstm = TimeLSTM(*recurrent_weights(rng, wordvec, hidden, 4), stateful=True)
        self.affine = TimeAffine(randn(rng, hidden, vocab), np.zeros(vocab, "f"))
        self.params, self.grads = [], []
        for layer in self.embed, self.lstm, self.affine:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, xs, h):
        self.lstm.set_state(h)
        return self.affine.forward(self.lstm.forward(self.embed.forward(xs)))

    def backward(self, dscore):
        self.embed.backward(self.lstm.backward(self.affine.backward(dscore)))
        return self.lstm.dh

    def generate(self, h, start_id, sample_size):
        self.lstm.set_state(h)
        found, last = [], start_id
        for _ in range(sample_size):
            out = self.lstm.forward(self.embed.forward(np.array([[last]])))
            last = int(self.affine.forward(out).reshape(-1).argmax())
            found.append(last)
        return found


class MySeq2seq(Seq2seq):
    def __init__(self, vocab, wordvec, hidden):
        self.encoder = Encoder(vocab, wordvec, hidden, rng=1)
        self.decoder = MyDecoder(vocab, wordvec, hidden)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads


@both
def test_a_typed_decoder_answers_many_questions_one_by_one():
    model, questions = MySeq2seq(V, 4, 6), ids(5, 3)
    alone = [model.generate(question[None], 1, 4) for question in questions]
    assert_array_equal(model.generate_batch(questions, 1, 4), alone)
    answers = numpy.concatenate([numpy.ones((5, 1), int), alone], axis=1)
    assert seq2seq_accuracy(model, questions, answers).exact == 1
    with pytest.raises(TypeError, match="beam_search: MyDecoder needs start, scores and select"):
        model.beam_search(questions, 1, 4, 2)
