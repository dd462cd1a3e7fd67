"""The tree: what is done to every layer of a network; a model made of new parts; typed models."""

import copy
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch06.better_rnnlm import BetterRnnlm
from ch07.decoding import beam_search
from ch07.encoder_decoder import EncoderDecoder
from ch07.peeky_seq2seq import PeekyDecoder, PeekySeq2seq
from ch07.seq2seq import Encoded, Seq2seq
from ch08.attention_seq2seq import AttentionDecoder, AttentionSeq2seq
from common.base_model import BaseModel, load_model
from common.cores.data_parallel import DataParallel
from common.gradient_check import check_gradients
from common.layers import Affine, Dropout, Embedding, Layer, Sigmoid
from common.network import (
    Network,
    Residual,
    evaluating,
    generators,
    named_params,
    param_names,
    set_states,
    states,
    walk,
)
from common.np import np, to_cpu
from common.optimizer import Adam
from common.rng import generator, randn, recurrent_weights
from common.time_layers import TimeAffine, TimeDropout, TimeEmbedding, TimeLSTM, TimeRNN
from common.trainer import Trainer
from tests.conftest import THREADS, sharing

both_backends = pytest.mark.usefixtures("backend")


def refused(message):
    return pytest.raises(ValueError, match=message)


# --- A model of new parts: nothing of the library knows these classes ----------------------------


class Normed(Layer):
    """A layer like LayerNorm:  y = gamma * (x - mean) / sqrt(variance + 1e-5) + beta."""

    def __init__(self, D):
        super().__init__(gamma=np.ones(D, "f"), beta=np.zeros(D, "f"))

    def forward(self, x):
        gamma, beta = self.params
        centred = x - x.mean(axis=-1, keepdims=True)
        self.scale = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)
        self.unit = centred * self.scale
        return gamma * self.unit + beta

    def backward(self, dy):
        axes = tuple(range(dy.ndim - 1))
        self.grads[0][...] = (dy * self.unit).sum(axis=axes)
        self.grads[1][...] = dy.sum(axis=axes)
        d = dy * self.params[0]
        d = d - d.mean(axis=-1, keepdims=True)
        return self.scale * (d - self.unit * (d * self.unit).mean(axis=-1, keepdims=True))

    def output_size(self, size):
        return size


class Trail(Layer):
    """A layer with a state of another name:  y_t = x_t + w * trail_t,  trail_{t+1} = y_t / 2."""

    def __init__(self, D):
        super().__init__(w=np.full(D, 0.5, "f"))
        self.trail = None

    @property
    def state(self):
        return {"trail": self.trail}

    def set_state(self, trail):
        self.trail = trail

    def forward(self, xs):
        (w,) = self.params
        trail = np.zeros_like(xs[:, 0]) if self.trail is None else self.trail
        self.trails, ys = [], []
        for t in range(xs.shape[1]):
            self.trails.append(trail)
            ys.append(xs[:, t] + w * trail)
            trail = ys[-1] / 2
        self.trail = trail
        return np.stack(ys, axis=1)

    def backward(self, dys):
        (w,) = self.params
        dxs, dtrail, dw = np.zeros_like(dys), 0, 0
        for t in reversed(range(dys.shape[1])):
            dxs[:, t] = dys[:, t] + dtrail / 2
            dw = dw + (dxs[:, t] * self.trails[t]).sum(axis=0)
            dtrail = dxs[:, t] * w
        self.grads[0][...] = dw
        return dxs

    def output_size(self, size):
        return size


def lstm(H, rng, **how):
    return TimeLSTM(*recurrent_weights(rng, H, H, blocks=4), **how)


class DeepEncoder(Network):
    """Embedding, two residual blocks of norm, LSTM and dropout -> all states."""

    def __init__(self, V, H, ratio, rng):
        blocks = [
            Residual([Normed(H), lstm(H, rng), TimeDropout(ratio, rng=rng)]) for _ in range(2)
        ]
        super().__init__([TimeEmbedding(randn(rng, V, H)), *blocks])


class DeepDecoder(AttentionDecoder):
    """The attention decoder, behind a residual block that keeps an LSTM's state and a trail."""

    def __init__(self, V, H, rng):
        super().__init__(V, H, H, rng=rng)
        self.block = Residual([Normed(H), lstm(H, rng, stateful=True), Trail(H)])
        self.hold(**self.children, block=self.block)

    def start(self, encoded):
        self.block.reset_state()
        super().start(encoded)

    def scores(self, xs):
        hs = self.lstm.forward(self.block.forward(self.embed.forward(xs)))
        cs = self.attention.forward(self.enc_hs, hs, self.mask)
        return self.affine.forward(np.concatenate([cs, hs], axis=2))

    def backward(self, dscore):
        d = self.affine.backward(dscore)
        H = d.shape[2] // 2
        denc_hs, dhs = self.attention.backward(d[:, :, :H])
        self.embed.backward(self.block.backward(self.lstm.backward(dhs + d[:, :, H:])))
        denc_hs[:, -1] += self.lstm.dh
        return denc_hs


class DeepSeq2seq(EncoderDecoder):
    """The two together."""

    def __init__(self, vocab_size, hidden_size, ratio=0.0, *, rng=None):
        V, H, rng = vocab_size, hidden_size, generator(rng)
        super().__init__(DeepEncoder(V, H, ratio, rng), DeepDecoder(V, H, rng))
        self.settings = {"vocab_size": V, "hidden_size": H, "ratio": ratio}


V, H = 7, 4


def ids(N, T, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=(N, T))


def deep(**how):
    return DeepSeq2seq(V, H, rng=0, **how)


@both_backends
def test_new_parts_pass_the_gradient_check():
    model = deep().astype("float64")
    errors = check_gradients(model, ids(2, 4), ids(2, 5, seed=1), verbose=False)
    assert len(errors) == len(model.params)


@both_backends
def test_new_parts_tell_their_names_and_sizes():
    model = deep()
    assert [*named_params(model)][:7] == [
        "encoder.0.W",
        "encoder.1.0.gamma",
        "encoder.1.0.beta",
        "encoder.1.1.Wx",
        "encoder.1.1.Wh",
        "encoder.1.1.b",
        "encoder.2.0.gamma",
    ]
    assert "decoder.block.2.w" in named_params(model)
    lines = repr(model).splitlines()
    assert lines[
        1
    ] == f"  DeepEncoder: {sum(p.size for p in model.encoder.params)} parameters, " + ("float32")
    assert lines[3:6] == [
        "    Residual: 152 parameters, float32",
        "      Normed(gamma (4,), beta (4,))",
        "      TimeLSTM(Wx (4, 16), Wh (4, 16), b (16,))",
    ]
    assert "      Trail(w (4,))" in lines
    assert model.encoder.output_size(None) == H


@both_backends
def test_new_states_are_read_put_back_selected_and_reset():
    model = deep()
    model.forward(ids(3, 4), ids(3, 5, seed=1))
    kept = states(model)
    assert {path for path in kept if path.startswith("decoder")} == {
        "decoder",
        "decoder.lstm",
        "decoder.block.1",
        "decoder.block.2",
    }
    assert kept["decoder.block.2"]["trail"].shape == (3, H)
    first = to_cpu(model.decoder.scores(ids(3, 1)))
    model.decoder.scores(ids(3, 2, seed=5))
    set_states(model, kept)
    assert_array_equal(to_cpu(model.decoder.scores(ids(3, 1))), first)
    set_states(model, kept)
    model.decoder.select(numpy.array([2, 0, 0, 1]))
    chosen = to_cpu(model.decoder.scores(ids(3, 1)[[2, 0, 0, 1]]))
    assert_allclose(chosen, first[[2, 0, 0, 1]], rtol=1e-5, atol=1e-6)
    model.reset_state()
    assert all(a is None for arrays in states(model).values() for a in arrays.values())


@both_backends
def test_beam_search_works_on_new_parts():
    model = deep().astype("float64")
    xs = ids(3, 4)
    beams = model.beam_search(xs, 1, 4, beam_width=3)
    model.decoder.start(model.encoder.forward(xs))
    again = beam_search(model.decoder, 3, 1, 4, 3)
    assert [[h.ids for h in found] for found in beams] == [[h.ids for h in f] for f in again]
    for n, found in enumerate(beams):
        for hypothesis in found:
            read = numpy.array([[1, *hypothesis.ids[:-1]]])
            scores = to_cpu(model.decoder.forward(read, model.encoder.forward(xs[n : n + 1])))[0]
            log_p = scores - numpy.log(numpy.exp(scores).sum(axis=1, keepdims=True))
            expected = sum(log_p[k, i] for k, i in enumerate(hypothesis.ids))
            assert hypothesis.log_p == pytest.approx(expected, abs=1e-9)


@both_backends
def test_a_weight_file_builds_a_model_of_new_parts(tmp_path):
    model, vocab = deep(ratio=0.25), {c: k for k, c in enumerate("abcdefg")}
    model.save_params(tmp_path / "w.npz", vocab=vocab)
    other = load_model(tmp_path / "w.npz")
    assert (type(other), other.settings, other.vocab) == (DeepSeq2seq, model.settings, vocab)
    for a, b in zip(model.params, other.params, strict=True):
        assert_array_equal(to_cpu(a), to_cpu(b))
    xs = ids(5, 4)
    assert_array_equal(model.generate_batch(xs, 1, 4), other.generate_batch(xs, 1, 4))


def trained(file=None, epochs=4, **how):
    model = deep(ratio=0.25)
    trainer = Trainer(model, Adam(0.01))
    trainer.fit(ids(60, 4), ids(60, 5, seed=1), epochs, 20, rng=3, verbose=False, checkpoint=file)
    return model, trainer


@both_backends
def test_a_run_of_new_parts_is_resumed_bit_for_bit(tmp_path):
    whole, _ = trained()
    trained(tmp_path / "run", epochs=2)
    model, trainer = deep(ratio=0.25), None
    trainer = Trainer(model, Adam(0.01))
    trainer.fit(
        *(ids(60, 4), ids(60, 5, seed=1), 4, 20),
        rng=3,
        verbose=False,
        checkpoint=tmp_path / "run",
        resume=True,
    )
    if np.__name__ == "numpy":  # CuPy's generators give away no state
        for a, b in zip(whole.params, model.params, strict=True):
            assert_array_equal(a, b)
    assert trainer.current_epoch == 4


@pytest.mark.usefixtures("three_threads")
def test_a_batch_of_new_parts_is_divided():
    xs, ts = ids(9, 4), ids(9, 5, seed=1)
    model, twin = deep().astype("float64"), deep().astype("float64")
    copies = DataParallel(model)
    loss = copies.gradients(xs, ts)
    assert len(copies.replicas) == THREADS
    assert_allclose(loss, twin.forward(xs, ts), rtol=1e-12)
    twin.backward()
    for a, b in zip(model.grads, twin.grads, strict=True):
        assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# --- Dropout, divided ----------------------------------------------------------------------------


@pytest.mark.usefixtures("three_threads")
def test_parts_of_a_batch_have_masks_of_their_own():
    model = deep(ratio=0.5)
    copies = DataParallel(model)
    copies.gradients(ids(6, 4), ids(6, 5, seed=1))
    masks = [replica.encoder.layers[1].layers[2].mask for replica in copies.replicas]
    assert len(masks) == THREADS
    assert all((a != b).any() for k, a in enumerate(masks) for b in masks[:k])
    copies.gradients(ids(6, 4), ids(6, 5, seed=1))
    again = [replica.encoder.layers[1].layers[2].mask for replica in copies.replicas]
    assert all((a != b).any() for a, b in zip(masks, again, strict=True))


@pytest.mark.usefixtures("three_threads")
def test_a_divided_run_with_dropout_is_the_same_every_time_and_resumes_bit_for_bit(tmp_path):
    def run(epochs, **how):
        model = deep(ratio=0.5)
        Trainer(model, Adam(0.01)).fit(
            *(ids(60, 4), ids(60, 5, seed=1), epochs, 20), rng=3, verbose=False, **how
        )
        return model.params

    whole = run(4)
    file = tmp_path / "run"
    run(2, checkpoint=file)
    for other in run(4), run(4, checkpoint=file, resume=True):
        for a, b in zip(whole, other, strict=True):
            assert_array_equal(a, b)
    with sharing(1):
        undivided = run(4)
    assert any((a != b).any() for a, b in zip(whole, undivided, strict=True))


# --- Walks ---------------------------------------------------------------------------------------


def test_the_layers_of_a_model_come_with_their_paths_parents_first():
    paths = [path for path, _ in walk(AttentionSeq2seq(7, 3, 4, rng=0))]
    assert paths == [
        *("", "encoder", "encoder.embed", "encoder.lstm"),
        *("decoder", "decoder.embed", "decoder.lstm", "decoder.affine", "decoder.attention"),
        "decoder.attention.score",
        "softmax",
    ]


@both_backends
def test_the_mode_is_set_down_the_tree_and_put_back():
    model = BetterRnnlm(7, 4, 4, rng=0)
    xs = ids(2, 3)
    model.train(False)
    assert not any(layer.train_flg for _, layer in walk(model))
    model.train()
    model.layers[1].train_flg = False
    with evaluating(model):
        assert not any(layer.train_flg for _, layer in walk(model))
    assert [layer.train_flg for layer in model.drop_layers] == [False, True, True]
    dropout = Dropout(0.5, rng=0)
    with evaluating(dropout):
        assert_allclose(to_cpu(dropout.forward(np.ones((2, 3)))), 0.5)
    assert set(to_cpu(dropout.forward(np.ones((9, 9)))).flat) == {0, 1}
    assert model.predict(xs).shape == (2, 3, 7)


@both_backends
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_model_changes_its_dtype_and_keeps_its_ties(dtype):
    model = BetterRnnlm(7, 4, 4, rng=0)  # V x H tied to H x V
    square = BetterRnnlm(4, 4, 4, rng=0)
    for m in model, square:
        before = [to_cpu(p).copy() for p in m.params]
        m.forward(ids(2, 3) % 4, ids(2, 3) % 4)
        assert m.astype(dtype) is m
        assert {str(a.dtype) for a in (*m.params, *m.grads)} == {dtype}
        for p, was in zip(m.params, before, strict=True):
            assert_array_equal(to_cpu(p), was.astype(dtype))
        E, W = m.layers[0].params[0], m.layers[-1].params[0]
        E[2, 1] += 1
        assert_array_equal(to_cpu(E).T, to_cpu(W))
        assert m.params[0] is E
        assert m.params[-2] is W
        assert [id(g) for layer in m.layers for g in layer.grads] == [id(g) for g in m.grads]
        assert {str(a.dtype) for arrays in states(m).values() for a in arrays.values()} == {dtype}


def test_word_vectors_stay_current_when_the_dtype_changes():
    from ch04.cbow import CBOW

    model = CBOW(7, 3, 1, numpy.arange(7), rng=0).astype("float64")
    assert model.word_vecs is model.in_layer.params[0]
    assert model.word_vecs.dtype == "float64"


@both_backends
def test_a_residual_block_adds_its_input(r):
    W, b, x, dy = r(3, 3), r(3), r(2, 3), r(2, 3)
    block, affine = Residual([Affine(W, b)]), Affine(W, b)
    assert_allclose(to_cpu(block.forward(x)), to_cpu(x + affine.forward(x)))
    assert_allclose(to_cpu(block.backward(dy)), to_cpu(dy + affine.backward(dy)))
    nested = Residual([Residual([Affine(W, b)]), Sigmoid()])
    assert check_gradients(nested, x, verbose=False)


# --- Bad input -----------------------------------------------------------------------------------


def test_a_child_that_is_declared_twice_is_refused(r):
    affine = Affine(r(3, 3), r(3))
    with refused("Network: 1 is declared twice, as 0 as well"):
        Network([affine, affine])
    with refused(r"Network: again\.0 is declared twice, as 0 as well"):
        Network([affine], again=Network([affine]))


def test_a_row_whose_sizes_do_not_follow_is_refused(r):
    rows: dict[str, Any] = {
        "layer 1: Affine takes 4 numbers, and gets 5": [
            Affine(r(3, 5), r(5)),
            Affine(r(4, 2), r(2)),
        ],
        "layer 1: TimeRNN takes 2 numbers, and gets 3": [
            TimeEmbedding(r(7, 3)),
            TimeRNN(r(2, 4), r(4, 4), r(4)),
        ],
        "layer 2: Affine takes 4 numbers, and gets 5": [
            *(Affine(r(3, 5), r(5)), Sigmoid()),
            Affine(r(4, 2), r(2)),
        ],
        "layer 1: Residual: the layers make 2 numbers of 5": [
            Affine(r(3, 5), r(5)),
            Residual([TimeAffine(r(5, 2), r(2))]),
        ],
    }
    for problem, layers in rows.items():
        with refused(f"Network: {problem}"):
            Network(layers)
    with refused(r"Residual: the layers make \(2, 5\) of \(2, 3\); x cannot be added"):
        Residual([Affine(r(3, 5), r(5))]).forward(r(2, 3))


@both_backends
@pytest.mark.parametrize("rows", [[0, 3], [-1, 0]])
def test_rows_out_of_range_are_refused_with_nothing_changed(rows):
    for model in Seq2seq(7, 3, 4, rng=0), PeekySeq2seq(7, 3, 4, rng=0), deep():
        model.forward(ids(3, 4), ids(3, 5))
        before = states(model)
        with refused(r"\.select: id -?\d is not in 0\.\.2"):
            model.decoder.select(numpy.array(rows))
        after = states(model)
        assert all(
            after[path][name] is a for path, kept in before.items() for name, a in kept.items()
        )


@both_backends
def test_a_state_of_another_batch_size_or_model_is_refused():
    model = Seq2seq(7, 3, 4, rng=0)
    model.decoder.start(np.zeros((2, 4), "f"))
    with refused(r"the kept h is \(2, 4\), this batch needs \(3, 4\)"):
        model.decoder.scores(ids(3, 1))
    with refused("set_states: the model keeps"):
        set_states(model, states(deep()))


@both_backends
def test_a_decoder_takes_what_its_encoder_hands_over_and_nothing_less():
    model = AttentionSeq2seq(7, 3, 4, pass_cell=True, rng=0)
    encoded = model.encoder.forward(ids(2, 4))
    assert isinstance(encoded, Encoded)
    model.decoder.start(encoded)
    assert_array_equal(to_cpu(model.decoder.lstm.c), to_cpu(model.encoder.c))


# --- Models typed from the book, which declare nothing -------------------------------------------


class TypedLayer:
    """A recurrent layer as a reader writes it: it inherits nothing."""

    def __init__(self, W):
        self.params, self.grads = [W], [np.zeros_like(W)]
        self.memory = None

    def forward(self, x):
        self.memory = x if self.memory is None else x + self.memory
        return self.memory @ self.params[0]

    def backward(self, dy):
        self.grads[0][...] = self.memory.T @ dy
        return dy @ self.params[0].T

    def reset_state(self):
        self.memory = None


class TypedModel(BaseModel):
    """A model as in the book: it calls no `__init__` of ours and lists its own parameters."""

    def __init__(self):
        rng = numpy.random.default_rng(0)
        self.layers = [
            Affine(np.asarray(rng.standard_normal((3, 3))), np.zeros(3)),
            TypedLayer(np.asarray(rng.standard_normal((3, 2)))),
        ]
        self.drop = [Dropout(0.5, rng=1)]
        self.rng = numpy.random.default_rng(5)
        self.params = [p for layer in self.layers for p in layer.params]
        self.grads = [g for layer in self.layers for g in layer.grads]


@both_backends
def test_the_parts_of_a_typed_model_are_found():
    model = TypedModel()
    assert [path for path, _ in walk(model)] == ["", "0", "1", "drop.0"]
    assert param_names(model) == ["0.W", "0.b", "1.params[0]"]
    expected = [model.rng] + ([model.drop[0].rng] if np.__name__ == "numpy" else [])
    assert [id(rng) for rng in generators(model)] == [id(rng) for rng in expected]
    assert not DataParallel(model).divisible


@both_backends
def test_the_state_of_a_typed_layer_is_kept_under_whatever_name():
    model = TypedModel()
    model.layers[1].forward(np.ones((2, 3)))
    kept = states(model)
    assert set(kept["1"]) == {"memory"}
    model.layers[1].forward(np.ones((2, 3)))
    set_states(model, kept)
    assert_array_equal(to_cpu(model.layers[1].memory), 1)
    model.reset_state()
    assert model.layers[1].memory is None


def test_a_typed_model_changes_its_dtype_and_mode_too():
    model = TypedModel()
    model.astype("float32")
    assert {str(p.dtype) for layer in model.layers for p in layer.params} == {"float32"}
    assert model.params[2] is model.layers[1].params[0]
    with evaluating(model):
        assert not model.drop[0].train_flg
    assert model.drop[0].train_flg


def test_models_that_hold_each_other_are_walked_once():
    one, two = BaseModel(), BaseModel()
    one.other, two.other = two, one
    assert [path for path, _ in walk(one)] == ["", "other"]


def test_a_copy_of_a_network_has_a_tree_of_its_own():
    model = deep()
    twin = copy.deepcopy(model)
    assert [path for path, _ in walk(twin)] == [path for path, _ in walk(model)]
    mine, theirs = ({id(layer) for _, layer in walk(m)} for m in (model, twin))
    assert not mine & theirs


def test_ids_have_no_width_and_an_unknown_layer_tells_none(r):
    class Unknown(Layer):
        pass

    assert Embedding(r(5, 3)).output_size(None) == 3
    assert Network([Affine(r(3, 5), r(5)), Unknown(), Affine(r(4, 2), r(2))]).output_size(None) == 2


def test_weights_that_are_views_keep_their_shape_when_the_dtype_changes():
    flat = np.arange(9.0)
    for W in flat.reshape(3, 3), flat.reshape(3, 3)[:], flat.reshape(3, 3).T:
        before = W.copy()
        affine = Affine(W, np.zeros(3)).astype("float32")
        assert_array_equal(affine.params[0], before.astype("float32"))
        tied = Network([Affine(W, np.zeros(3)), Affine(W.T, np.zeros(3))]).astype("float32")
        tied.params[0][0, 1] = 77
        assert tied.params[2][1, 0] == 77


def test_only_floats_can_be_the_dtype_of_weights():
    affine = Affine(np.ones((2, 3)), np.zeros(3))
    with refused("Affine: weights are floats, not int64"):
        affine.astype("int64")
    assert affine.params[0].dtype == "float64"


class WithArrays(TypedModel):
    """A model as in the book that holds arrays which are no state."""

    def __init__(self):
        super().__init__()
        self.table, self.scale = np.ones((5, 3)), numpy.float64(3)
        self.first_weights = self.layers[0].params[0]

    def forward(self, x, t):
        self.last = self.layers[1].forward(self.layers[0].forward(x))
        return (self.last**2).mean()

    def backward(self, dout=1):
        dy = 2 * self.last / self.last.size * dout
        self.layers[0].backward(self.layers[1].backward(dy))


def test_arrays_of_a_typed_model_are_no_state():
    model = WithArrays()
    model.forward(np.ones((2, 3)), None)
    model.reset_state()
    model.select([1, 0])
    assert model.table.shape == (5, 3)
    assert model.scale == 3
    assert model.layers[1].memory is None
    assert set(states(model)) == {"1"}


def test_a_typed_model_is_validated_like_ours():
    model, x = WithArrays(), numpy.ones((6, 3))
    model.layers[1].forward = lambda x: x @ model.layers[1].params[0]
    model.layers[1].backward = lambda dy: dy @ model.layers[1].params[0].T
    history = Trainer(model, Adam()).fit(x, x, 2, 3, valid=(x[:2], x[:2]), rng=0, verbose=False)
    assert len([row for row in history if "valid_loss" in row]) == 2


def test_attributes_of_a_typed_model_follow_its_weights():
    model = WithArrays().astype("float32")
    assert model.first_weights is model.layers[0].params[0]
    assert model.first_weights.dtype == "float32"


class OwnReset(Layer):
    """A layer with a reset of its own, and a state that it does not declare."""

    calls = 0

    def reset_state(self):
        self.calls += 1
        super().reset_state()


def test_a_layer_with_a_reset_of_its_own_is_asked_to():
    own = OwnReset()
    Network([own]).reset_state()
    assert own.calls == 1


def test_a_part_that_was_put_in_place_of_another_is_found():
    class Typed(Seq2seq):
        def __init__(self):
            super().__init__(7, 3, 4, rng=0)
            self.decoder = PeekyDecoder(7, 3, 4, rng=1)
            self.params = self.encoder.params + self.decoder.params
            self.grads = self.encoder.grads + self.decoder.grads

    model = Typed()
    model.train(False)
    assert not model.decoder.train_flg
    model.astype("float64")
    assert {str(p.dtype) for p in model.decoder.params} == {"float64"}
    assert model.params[-1] is model.decoder.params[-1]
    assert repr(model).count("PeekyDecoder") == 1


def test_a_layer_with_some_names_has_none():
    class Half(Layer):
        def __init__(self):
            super().__init__(np.ones(2), b=np.ones(3))

    assert param_names(Half()) == ["params[0]", "params[1]"]


@pytest.mark.usefixtures("three_threads")
def test_what_draws_without_declaring_it_is_not_divided():
    class Noise(Network):
        def __init__(self):
            self.rng = numpy.random.default_rng(0)

    class Noisy(Seq2seq):
        def __init__(self):
            super().__init__(7, 3, 4, rng=0)
            self.hold(**self.children, noise=Noise())

    assert not DataParallel(Noisy()).divisible
    assert DataParallel(Seq2seq(7, 3, 4, rng=0)).divisible
