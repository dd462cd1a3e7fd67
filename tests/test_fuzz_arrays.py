"""Wrong arrays by the thousand: layers and public functions take them, or say what they need.

One ValueError or TypeError in the name of the layer or function; a layer that refused goes on as if
nothing had happened.  A new layer is here by its line in LAYERS, a function by one in FUNCTIONS.
"""

import contextlib
import random
import re
from copy import copy

import numpy
import pytest

from ch01.two_layer_net import TwoLayerNet
from ch02.svd import truncated_svd
from ch03.glove import GloVe, nonzero_cells
from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from ch04.cbow import CBOW
from ch04.document_vectors import document_vectors
from ch04.skip_gram import SkipGram
from ch05.simple_rnnlm import SimpleRnnlm
from ch06.better_rnnlm import BetterRnnlm
from ch06.cache_pointer import eval_perplexity_with_cache
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from common import optimizer
from common.evaluate import eval_perplexity, seq2seq_accuracy
from common.functions import cross_entropy_error, relu, sigmoid, softmax
from common.gradients import clip_grads
from common.network import walk
from common.trainer import RnnlmTrainer, Trainer
from common.words.evaluation import analogy_accuracy, similarity_correlation, spearman
from common.words.similarity import analogy, cos_similarity, most_similar, normalize
from common.words.text import (
    convert_one_hot,
    create_co_matrix,
    create_contexts_target,
    ppmi,
    subsample,
)
from common.words.vector_files import save_vectors, write_projector, write_word2vec
from dataset import sequence
from tests.fuzz import times
from tests.test_layer_contract import LAYERS, all_equal, backward, forward, snapshot

KINDS = ["f2", "f4", "f8", "i1", "i8", "u1", "u8", "?", "c16", "U3", "S2", "O", "M8[s]", "V4"]
VALUES = [numpy.nan, numpy.inf, -numpy.inf, -1, 7, 2**31, 2**63, 1e300, 0.5]
OTHERS = [None, 1, -1.5, "text", b"bytes", [], [1], [[1.0, 2.0]], [[1], [1, 2]], {}, {1: 2}, object]


def wrong(good, rng):
    """Like a good array, but of another kind or shape, with another number, or no array."""
    a = numpy.asarray(good)
    match rng.choice(["kind", "number", "sizes", "more axes", "fewer axes", "no array"]):
        case "kind":
            return a.astype(rng.choice(KINDS))
        case "number" if a.size:
            changed = a.astype(rng.choice([a.dtype, "f8"]))
            with contextlib.suppress(OverflowError, ValueError):  # of an id that is no integer
                changed.reshape(-1)[rng.randrange(a.size)] = rng.choice(VALUES)
            return changed
        case "sizes":
            shape = [rng.choice([n, n, 0, 1, n + 1, 2 * n]) for n in a.shape]
        case "more axes":
            shape = [*a.shape, 1]
            rng.shuffle(shape)
        case "fewer axes":
            shape = a.shape[1:]
        case _:
            return rng.choice(OTHERS)
    return numpy.resize(a, shape) if a.size else numpy.zeros(shape, a.dtype)


pytestmark = pytest.mark.parametrize("backend", ["numpy"], indirect=True)


@pytest.fixture(autouse=True)
def quiet(backend):
    with numpy.errstate(all="ignore"):
        yield


def attempt(names, function, *arguments):
    """Call a function, which may refuse its arguments in one of the names."""
    try:
        function(*arguments)
    except (ValueError, TypeError) as error:
        if not re.match(rf"({'|'.join(names)})\b", str(error), re.IGNORECASE):
            raise AssertionError(f"{error!r} for {arguments!r}") from error
    except FloatingPointError:  # of a training whose data are not finite
        pass


# --- Layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_takes_an_array_or_refuses_it_and_goes_on(name, r):
    layer, *inputs = LAYERS[name](r)
    outputs = forward(layer, inputs)
    expected, before = backward(layer, outputs), snapshot(layer)
    names = {type(part).__name__ for _, part in walk(layer)}
    rng = random.Random(name)
    for _ in times(40):
        given, k = [*inputs], rng.randrange(len(inputs))
        given[k] = wrong(inputs[k], rng)
        attempt(names, layer.forward, *given)
        forward(layer, inputs)
        douts, k = [y if y.ndim else 1.0 for y in outputs], rng.randrange(len(outputs))
        douts[k] = wrong(outputs[k], rng)
        attempt(names, layer.backward, *douts)
    all_equal(backward(layer, forward(layer, inputs)), expected)
    all_equal(snapshot(layer), before)


# --- Functions, models, optimizers, trainers -----------------------------------------------------

WORDS = ["the", "cat", "sat", "on", "mat"]
IDS, NAMES = {word: k for k, word in enumerate(WORDS)}, dict(enumerate(WORDS))
TEXT = numpy.random.default_rng(0).integers(5, size=60)
VECS = numpy.random.default_rng(1).standard_normal((5, 3)).astype("f")
X, T = numpy.random.default_rng(2).standard_normal((6, 2)), numpy.array([0, 1, 2, 0, 1, 2])
PAIRS = create_contexts_target(TEXT)
ONE_HOT = [convert_one_hot(ids, 5) for ids in PAIRS]
BLOCK = TEXT[:12].reshape(3, 4), TEXT[1:13].reshape(3, 4)
QUESTIONS, ANSWERS = numpy.array([[1, 2, 3], [2, 3, 4]]), numpy.array([[0, 1, 2], [0, 2, 1]])
ANALOGIES, SCORES = {"a": [("the", "cat", "sat", "on")]}, [("cat", "mat", 1.0), ("the", "on", 2.0)]


def two_layers():
    return TwoLayerNet(2, 3, 3, rng=0)


def fit(x, t, **how):
    """Train on x and t, or validate with them."""
    Trainer(two_layers(), optimizer.SGD(0.1)).fit(x, t, 1, 3, rng=0, verbose=False, **how)


def fit_language_model(xs, ts):
    trainer = RnnlmTrainer(SimpleRnnlm(5, 3, 3, rng=0), optimizer.SGD(0.1))
    trainer.fit(xs, ts, 1, 2, 3, verbose=False)


def update(cls):
    """An update of two parameters, of which one, or its gradient, is given."""
    return lambda p, g: cls(0.1).update([copy(p), X.copy()], [g, X.copy()])


def words(cls):
    return cls(5, 3, 1, TEXT, sample_size=2, rng=0)


def seq2seq(cls=Seq2seq):
    return cls(6, 3, 3, rng=0)


FUNCTIONS = {  # name: how it is called, and the arrays that are exchanged for wrong ones
    "sigmoid": (sigmoid, X),
    "relu": (relu, X),
    "softmax": (softmax, X),
    "cross_entropy_error": (cross_entropy_error, softmax(X), numpy.array([0, 1, 0, 1, 0, 1])),
    "clip_grads": (lambda g: clip_grads([copy(g), X.copy()], 0.5), VECS),
    "cos_similarity": (cos_similarity, *VECS[:2]),
    "normalize": (lambda x: normalize(copy(x)), VECS),
    "most_similar": (lambda vecs: most_similar("cat", IDS, NAMES, vecs), VECS),
    "analogy": (lambda vecs: analogy("the", "cat", "sat", IDS, NAMES, vecs), VECS),
    "create_contexts_target": (create_contexts_target, TEXT),
    "convert_one_hot": (lambda ids: convert_one_hot(ids, 5), TEXT),
    "create_co_matrix": (lambda ids: create_co_matrix(ids, 5), TEXT),
    "subsample": (lambda ids: subsample(ids, 0.1, rng=0), TEXT),
    "nonzero_cells": (nonzero_cells, create_co_matrix(TEXT, 5)),
    "GloVe": (
        lambda cells, counts: GloVe(5, 3, rng=0).forward(cells, counts),
        *nonzero_cells(create_co_matrix(TEXT, 5)),
    ),
    "ppmi": (ppmi, create_co_matrix(TEXT, 5)),
    "truncated_svd": (lambda W: truncated_svd(W, 2, rng=0), VECS),
    "spearman": (spearman, X[:, 0], X[:, 1]),
    "analogy_accuracy": (lambda vecs: analogy_accuracy(ANALOGIES, vecs, IDS), VECS),
    "similarity_correlation": (lambda vecs: similarity_correlation(SCORES, vecs, IDS), VECS),
    "document_vectors": (lambda vecs: document_vectors(["the cat"], vecs, IDS), VECS),
    "save_vectors": (lambda vecs: save_vectors("v.npz", vecs, NAMES), VECS),
    "write_word2vec": (lambda vecs: write_word2vec("v.txt", vecs, NAMES), VECS),
    "write_projector": (lambda vecs: write_projector("p", vecs, NAMES), VECS),
    "decode": (lambda ids: sequence.decode(ids, NAMES), QUESTIONS),
    "eval_perplexity": (
        lambda text: eval_perplexity(SimpleRnnlm(5, 3, 3), text, 2, 3, progress=False),
        TEXT,
    ),
    "cache": (
        lambda text: eval_perplexity_with_cache(
            BetterRnnlm(5, 3, 3), text, 4, theta=0.1, mix=0.1, progress=False
        ),
        TEXT,
    ),
    "seq2seq_accuracy": (lambda x, t: seq2seq_accuracy(seq2seq(), x, t), QUESTIONS, ANSWERS),
    "TwoLayerNet": (lambda x, t: two_layers().forward(x, t), X, T),
    "CBOW": (lambda contexts, t: words(CBOW).forward(contexts, t), *PAIRS),
    "SkipGram": (lambda contexts, t: words(SkipGram).forward(contexts, t), *PAIRS),
    "SimpleCBOW": (lambda contexts, t: SimpleCBOW(5, 3, rng=0).forward(contexts, t), *ONE_HOT),
    "SimpleSkipGram": (
        lambda contexts, t: SimpleSkipGram(5, 3, rng=0).forward(contexts, t),
        *ONE_HOT,
    ),
    "SimpleRnnlm": (lambda xs, ts: SimpleRnnlm(5, 3, 3).forward(xs, ts), *BLOCK),
    "BetterRnnlm": (lambda xs, ts: BetterRnnlm(5, 3, 3, rng=0).forward(xs, ts), *BLOCK),
    "Seq2seq": (lambda x, t: seq2seq().forward(x, t), QUESTIONS, ANSWERS),
    "Seq2seq.generate": (lambda x: seq2seq().generate(x, 0, 3), QUESTIONS[:1]),
    "AttentionSeq2seq": (lambda x, t: seq2seq(AttentionSeq2seq).forward(x, t), QUESTIONS, ANSWERS),
    "Trainer.fit": (fit, X, T),
    "Trainer.fit, valid": (lambda x, t: fit(X, T, valid=(x, t)), X, T),
    "RnnlmTrainer.fit": (fit_language_model, TEXT[:-1], TEXT[1:]),
    **{
        f"{name}.update": (update(getattr(optimizer, name)), VECS, VECS)
        for name in ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam")
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_an_array_or_refuses_it_in_its_name(name, folder):
    function, *arrays = FUNCTIONS[name]
    own = re.split(r"\W", name)[0]
    layers = {type(part).__name__ for cls in MODELS.get(own, []) for _, part in walk(cls())}
    before, rng = [a.copy() for a in arrays], random.Random(name)
    for _ in times(100):
        given, k = [*arrays], rng.randrange(len(arrays))
        given[k] = wrong(arrays[k], rng)
        attempt({own, *layers}, function, *given)
    all_equal(arrays, before)


MODELS = {  # whose layers refuse what reaches them
    "TwoLayerNet": [two_layers],
    "Trainer": [two_layers],
    "CBOW": [lambda: words(CBOW)],
    "SkipGram": [lambda: words(SkipGram)],
    "GloVe": [lambda: GloVe(5, 3)],
    "SimpleCBOW": [lambda: SimpleCBOW(5, 3)],
    "SimpleSkipGram": [lambda: SimpleSkipGram(5, 3)],
    "SimpleRnnlm": [lambda: SimpleRnnlm(5, 3, 3)],
    "RnnlmTrainer": [lambda: SimpleRnnlm(5, 3, 3)],
    "eval_perplexity": [lambda: SimpleRnnlm(5, 3, 3)],
    "BetterRnnlm": [lambda: BetterRnnlm(5, 3, 3)],
    "Seq2seq": [seq2seq],
    "seq2seq_accuracy": [seq2seq],
    "AttentionSeq2seq": [lambda: seq2seq(AttentionSeq2seq)],
}
