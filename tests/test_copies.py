"""Copies of models: by copy, pickle, joblib, another process, for another thread."""

import copy
import io
import multiprocessing
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from numpy.testing import assert_array_equal

from ch01.two_layer_net import TwoLayerNet
from ch04.cbow import CBOW
from ch04.skip_gram import SkipGram
from ch06.better_rnnlm import BetterRnnlm
from ch07.rnnlm_gen import RnnlmGen
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from common.base_model import BaseModel, load_model
from common.gradients import distinct, remove_duplicate, to_dense
from common.layers import Affine
from common.network import Network, children_of, param_names, walk
from common.np import np, to_cpu
from common.optimizer import Adam
from common.time_layers import TimeAffine, TimeDropout, TimeEmbedding, TimeSoftmaxWithLoss
from common.trainer import Trainer
from tests.models import MODELS, V, ids


def through_joblib(thing):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "old pickle": lambda thing: pickle.loads(pickle.dumps(thing, protocol=2)),
    "joblib": through_joblib,
    "replica": lambda model: model.replica(),
}
copies = pytest.mark.parametrize("how", COPIES.values(), ids=COPIES)


def step(model, batch):
    """The loss of a batch, and the gradients of all weights once."""
    for _, layer in walk(model):
        layer.rng = numpy.random.default_rng(3) if layer.rng is not None else None
    if hasattr(model, "reset_state"):
        model.reset_state()
    loss = float(model.forward(*batch))
    model.backward()
    _, grads = remove_duplicate(model.params, model.grads)
    return [loss, *(to_cpu(to_dense(g)).copy() for g in grads)]


def lists_are_those_of_the_layers(model):
    parts = children_of(model).values()
    for name in "params", "grads":
        theirs = [id(a) for part in parts for a in getattr(part, name)]
        if [id(a) for a in getattr(model, name)] != theirs:
            return False
    return all(lists_are_those_of_the_layers(part) for part in parts if children_of(part))


@copies
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_shares_weights_as_the_model_does_and_has_its_gradients(name, how):
    make, batch = MODELS[name]
    model, arrays = make(), batch()
    expected = step(model, arrays)
    twin = how(model)
    assert len(distinct(twin.params)) == len(distinct(model.params))
    assert lists_are_those_of_the_layers(twin)
    for found, wanted in zip(step(twin, arrays), expected, strict=True):
        assert_array_equal(found, wanted)
    params, grads = remove_duplicate(twin.params, twin.grads)
    Adam(lr=0.1).update(params, grads)  # which must reach the layers
    assert step(twin, arrays)[0] != expected[0]


@copies
@pytest.mark.parametrize("name", MODELS)
def test_the_file_of_a_copy_is_that_of_the_model(name, how, tmp_path):
    model = MODELS[name][0]()
    model.save_params(tmp_path / "a.npz")
    how(model).save_params(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_copy_of_tied_weights_loads_where_the_model_does(tmp_path):
    twin = copy.deepcopy(BetterRnnlm(20, 8, 8))
    assert len(distinct(twin.params)) == 8
    twin.save_params(tmp_path / "w.npz")
    assert_array_equal(load_model(tmp_path / "w.npz").params[0], twin.params[0])
    twin.params[0][3, 5] = 42
    assert twin.layers[-1].params[0][5, 3] == 42


class Typed(BaseModel):
    """Tied weights in a model typed as in the book, which declares nothing."""

    def __init__(self):
        W = np.asarray(numpy.random.default_rng(0).standard_normal((V, 4)).astype("f"))
        self.embed, self.affine = TimeEmbedding(W), TimeAffine(W.T, np.zeros(V, "f"))
        self.loss_layer = TimeSoftmaxWithLoss()
        self.word_vecs = W
        self.params, self.grads = [], []
        for layer in self.embed, self.affine:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, xs, ts):
        return self.loss_layer.forward(self.affine.forward(self.embed.forward(xs)), ts)

    def backward(self, dout=1):
        self.embed.backward(self.affine.backward(self.loss_layer.backward(dout)))


@copies
def test_a_copy_of_a_typed_model_keeps_its_ties_and_its_names(how):
    model, batch = Typed(), (ids(2, 3), ids(2, 3))
    expected = step(model, batch)
    twin = how(model)
    assert len(distinct(twin.params)) == 2
    assert twin.word_vecs is twin.params[0] is twin.embed.params[0]
    assert twin.affine.params[0] is twin.params[1]
    for found, wanted in zip(step(twin, batch), expected, strict=True):
        assert_array_equal(found, wanted)


@copies
def test_ties_inside_a_part_and_between_parts_are_kept(r, how):
    W = r(3, 3)
    inner = Network([Affine(W, r(3)), Affine(W.T, r(3))])
    net = Network([inner, Affine(W, r(3)), Affine(r(3, 3), r(3))])
    twin = how(net)
    assert len(distinct(twin.params)) == len(distinct(net.params)) == 6
    assert lists_are_those_of_the_layers(twin)
    assert param_names(twin) == param_names(net)
    twin.params[0][0, 1] = 5
    assert twin.layers[0].layers[1].params[0][1, 0] == twin.layers[1].params[0][0, 1] == 5


class Child(Affine):
    """A layer that knows the network it belongs to."""


@copies
def test_a_layer_may_hold_the_network_that_holds_it(r, how):
    W = r(3, 3)
    net = Network([Network([Affine(W, r(3)), Child(W.T, r(3))]), Affine(W.T, r(3))])
    net.layers[0].layers[1].net = net
    twin = how(net)
    if twin.layers is not net.layers:
        assert twin.layers[0].layers[1].net is twin
    assert len(distinct(twin.params)) == 4
    assert lists_are_those_of_the_layers(twin)


@copies
@pytest.mark.parametrize("cls", [CBOW, SkipGram])
def test_the_parts_of_the_book_are_parts_of_the_copy(cls, how):
    model = cls(V, 5, 2, ids(40), rng=1)
    first = [model.in_layers, model.ns_loss.embed_dot_layers, getattr(model, "loss_layers", None)]
    assert len(first[0]) == 4
    twin = how(model)
    part = twin.in_layers[0]
    assert part.params[0] is twin.word_vecs
    part.forward(ids(6))
    part.backward(np.ones((6, 5), "f"))
    assert to_dense(twin.grads[0]).sum() == 30
    if twin.in_layer is not model.in_layer:
        assert to_dense(model.grads[0]).sum() == 0


class WithoutLog(BetterRnnlm):
    """A model that leaves something out of its pickle."""

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "log"}


class OwnState(TwoLayerNet):
    def __getstate__(self):
        return dict(vars(self))


def test_a_class_may_say_itself_what_is_pickled():
    model = WithoutLog(V, 4, 4)
    model.log = lambda: None
    twin = pickle.loads(pickle.dumps(model))
    assert not hasattr(twin, "log")
    assert len(distinct(twin.params)) == 8
    own = pickle.loads(pickle.dumps(OwnState(4, 5, 3)))
    assert own.params[0] is own.layers[0].params[0]


def test_what_is_equal_but_not_shared_stays_apart():
    W = np.zeros((3, 3))
    twin = copy.deepcopy(Network([Affine(W, np.zeros(3)), Affine(W.copy(), np.zeros(3))]))
    twin.params[0][0, 0] = 5
    assert twin.params[2][0, 0] == 0


def test_a_deep_copy_shares_nothing_and_a_replica_the_weights_alone():
    model = MODELS["Rnnlm"][0]()
    model.forward(*MODELS["Rnnlm"][1]())
    deep, replica = copy.deepcopy(model), model.replica()
    assert_array_equal(deep.rnn_layer.h, model.rnn_layer.h)
    assert replica.rnn_layer.h is None
    model.params[1][...] = 0
    assert deep.params[1].any()
    assert not replica.params[1].any()
    assert not any(g is h for g, h in zip(replica.grads, model.grads, strict=True))


def test_a_copied_trainer_trains_a_model_of_its_own():
    x, t = MODELS["TwoLayerNet"][1]()
    trainer = Trainer(TwoLayerNet(4, 5, 3, rng=1), Adam())
    trainer.fit(x, t, 1, 3, rng=0, verbose=False)
    twin = pickle.loads(pickle.dumps(trainer))
    trainer.fit(x, t, 2, 3, rng=0, verbose=False)
    assert not numpy.array_equal(twin.model.params[0], trainer.model.params[0])
    twin.fit(x, t, 2, 3, rng=0, verbose=False)
    for p, q in zip(twin.model.params, trainer.model.params, strict=True):
        assert_array_equal(p, q)


def loss_of(model):
    return step(model, MODELS["BetterRnnlm"][1]())[0]


def test_another_process_gets_a_model_that_is_whole():
    model = MODELS["BetterRnnlm"][0]()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(loss_of, (model,)) == loss_of(model)


def test_over_the_other_library_too(backend):
    model = MODELS["BetterRnnlm"][0]()
    twin = copy.deepcopy(model)
    assert len(distinct(twin.params)) == len(distinct(model.params))
    twin.params[0][2, 3] = 7
    assert float(twin.layers[-1].params[0][3, 2]) == 7


def test_a_copy_draws_the_masks_that_its_original_draws(backend):
    layer = TimeDropout(0.5, rng=0)
    layer.train()
    x = np.ones((2, 3, 4))
    layer.forward(x)
    twins = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    for drawn in [layer.forward(x) for _ in range(3)]:
        for twin in twins:
            assert_array_equal(to_cpu(twin.forward(x)), to_cpu(drawn))


# --- Threads -------------------------------------------------------------------------------------


@pytest.fixture
def four_threads():
    """Threads that change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(4) as pool:
        yield lambda work, items: list(pool.map(work, items))
    sys.setswitchinterval(before)


def sharp(model):
    """With larger weights, so that answers differ."""
    for p in distinct(model.params):
        p *= 4
    return model


@pytest.mark.parametrize("cls", [Seq2seq, AttentionSeq2seq])
@pytest.mark.parametrize("entry", ["generate", "generate_batch", "beam_search"])
def test_one_model_answers_in_four_threads_as_in_one(cls, entry, four_threads):
    model = sharp(cls(V, 8, 16, rng=1))
    questions = [numpy.random.default_rng(k).integers(0, V, (1, 5)) for k in range(30)]

    def answer(question):
        more = {"beam_width": 2} if entry == "beam_search" else {}
        return numpy.array(getattr(model, entry)(question, 1, 6, **more), object).tolist()

    expected = [answer(question) for question in questions]
    assert four_threads(answer, questions) == expected
    assert len({str(a) for a in expected}) > 3


@pytest.mark.parametrize("name", ["TwoLayerNet", "SimpleCBOW"])
def test_scores_in_four_threads_are_those_of_one(name, four_threads):
    model = MODELS[name][0]()
    rng = numpy.random.default_rng(0)
    inputs = [
        rng.standard_normal((20, 4) if name == "TwoLayerNet" else (3, 2, V)) for _ in range(60)
    ]
    expected = [model.predict(x) for x in inputs]
    for found, wanted in zip(four_threads(model.predict, inputs), expected, strict=True):
        assert_array_equal(found, wanted)


def text(model, k):
    model.reset_state()
    model.predict(numpy.array([[k % V, 2 * k % V]]))
    return model.generate(k % V, sample_size=10, greedy=True)


def test_a_text_begun_in_one_thread_is_right_or_refused_in_the_others(four_threads):
    model = sharp(RnnlmGen(V, 8, 16, rng=1))
    expected = [text(model, k) for k in range(60)]

    def attempt(k):
        try:
            return text(model, k)
        except RuntimeError as error:
            return str(error)

    for found, wanted in zip(four_threads(attempt, range(60)), expected, strict=True):
        assert found == wanted or "another thread has begun a text with this model" in found


def test_a_replica_for_each_thread_writes_what_the_model_does(four_threads):
    model = sharp(RnnlmGen(V, 8, 16, rng=1))
    expected = [text(model, k) for k in range(60)]
    assert four_threads(lambda k: text(model.replica(), k), range(60)) == expected


def test_a_text_may_go_on_in_another_thread_when_the_first_has_ended():
    model = sharp(RnnlmGen(V, 8, 16, rng=1))
    with ThreadPoolExecutor(1) as first:
        first.submit(model.predict, ids(1, 3)).result()
        with pytest.raises(RuntimeError, match="RnnlmGen: another thread has begun"):
            model.predict(ids(1, 1))
        state = first.submit(model.get_state).result()
        model.set_state(state)  # or so, without waiting
        model.predict(ids(1, 1))
    model.predict(ids(1, 1))


def test_a_refused_thread_leaves_the_text_of_the_other_as_it_is():
    model, (xs, ts) = sharp(RnnlmGen(V, 8, 16, rng=1)), (ids(1, 3), ids(1, 3))
    with ThreadPoolExecutor(1) as other:
        other.submit(model.predict, xs).result()
        before = model.get_state()
        with pytest.raises(RuntimeError):
            model.forward(xs, ts)
        for a, b in zip(model.get_state(), before, strict=True):
            assert_array_equal(a, b)
