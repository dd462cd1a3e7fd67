"""What every layer promises, each promise written once and asked of all of them.

A new layer adds one line to LAYERS: how to make a tiny one in float64, and its inputs.
"""

import re
from typing import Any

import numpy
import pytest

from ch01.graph_nodes import (
    Add,
    Branch,
    Exp,
    Multiply,
    Reciprocal,
    Repeat,
    Sum,
    sigmoid_graph,
    tanh_graph,
)
from ch05.nplm import ContextEmbedding, DirectConnections
from ch08.dnc import TimeDNC
from ch08.input_feeding import FeedingLSTM
from ch08.memory_model import BitsWithLoss
from ch08.ntm import TimeNTM
from common.attention import (
    AdditiveScore,
    Attention,
    AttentionWeight,
    DotScore,
    GeneralScore,
    ScaledDotScore,
    TimeAttention,
    WeightSum,
)
from common.checks import floats
from common.convolution import GatedLinearUnit, TimeConvolution
from common.gradient_check import check_gradients
from common.gradients import to_dense
from common.layers import (
    GELU,
    Affine,
    Dropout,
    Embedding,
    EmbeddingPart,
    LayerNorm,
    MatMul,
    ReLU,
    Sigmoid,
    SigmoidWithLoss,
    Softmax,
    SoftmaxWithLoss,
    Tanh,
)
from common.memory import (
    Allocation,
    CircularShift,
    ContentAddressing,
    Interpolation,
    LinkedReads,
    Read,
    Sharpening,
    TemporalLinks,
    Usage,
    Write,
)
from common.multi_head import CrossAttention, SelfAttention
from common.negative_sampling import EmbeddingDot, NegativeSamplingLoss
from common.network import walk
from common.np import np, to_cpu
from common.positions import LearnedPositions, Positions
from common.time_layers import (
    GRU,
    LSTM,
    RNN,
    ReluRNN,
    TimeActivationPenalty,
    TimeAffine,
    TimeBiLSTM,
    TimeDropout,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeReluRNN,
    TimeRNN,
    TimeSigmoidWithLoss,
    TimeSoftmaxWithLoss,
)

pytestmark = pytest.mark.usefixtures("backend")


def recurrent(r, cls, D=3, H=4, **options):
    kH = cls.blocks * H
    return cls(r(D, kH), r(H, kH), r(kH), **options)


def bi_lstm(r, **options):
    first, second = recurrent(r, TimeLSTM), recurrent(r, TimeLSTM)
    return TimeBiLSTM(*first.params, *second.params, **options)


def negatives(r, **options):
    return NegativeSamplingLoss(r(5, 3), numpy.arange(5), sample_size=2, **options)


def self_attention(r, D=4, **options):
    return SelfAttention(r(D, 3 * D), r(3 * D), r(D, D), r(D), num_heads=2, **options)


class Looking(CrossAttention):
    """With the memory as a second input, whose gradient comes back."""

    def forward(self, x, memory, mask=None):
        self.set_memory(memory, mask)
        return super().forward(x)

    def backward(self, dy):
        return super().backward(dy), self.dmemory


def looking(r, D=4):
    return Looking(r(D, 3 * D), r(3 * D), r(D, D), r(D), num_heads=2)


class Weighing(TimeAttention):
    """With values of their own, whose gradient comes back."""

    def forward(self, hs_enc, hs_dec, values):
        return super().forward(hs_enc, hs_dec, values=floats(self, values))

    def backward(self, dcs):
        return *super().backward(dcs), self.dvalues


class Feeding(FeedingLSTM):
    """With what it begins from as further inputs, whose gradients come back."""

    def forward(self, xs, hs_enc, h, c, mask=None):
        self.start(hs_enc, h, floats(self, c), mask)
        return super().forward(xs)

    def backward(self, dys):
        return super().backward(dys), self.dhs_enc, self.dh, self.dc


def feeding(r, D=2, H=4):
    return Feeding(r(D + H, 4 * H), r(H, 4 * H), r(4 * H))


SCORES = {
    "dot": lambda r: DotScore(),
    "scaled dot": lambda r: ScaledDotScore(),
    "general": lambda r: GeneralScore(r(4, 4)),
    "additive": lambda r: AdditiveScore(r(4, 3), r(4, 3), r(3)),
}


def machine(r, cls, **how):
    """A controller with a memory of three rows of two numbers."""
    how = {"memory": (3, 2), "read_heads": 1, "controller": "lstm", "rng": 0} | how
    layer = cls(2, 2, **how).astype(r(1).dtype)
    for p in layer.params:
        p[...] = r(*p.shape)
    return layer


def ntm(r, **how):
    return machine(r, TimeNTM, **{"write_heads": 1, "shifts": 3, "focused": True} | how)


def share(r, *shape):
    """Numbers between 0 and 1."""
    return 1 / (1 + np.exp(-r(*shape)))


def ids(*values):
    return numpy.array(values)


def mask(*rows):
    """A row for each sample, of x where there is something and . where there is padding."""
    return numpy.array([[step == "x" for step in row] for row in rows])


LAYERS: dict[str, Any] = {
    "Affine": lambda r: (Affine(r(3, 5), r(5)), r(2, 3)),
    "Affine, more dimensions": lambda r: (Affine(r(3, 5), r(5)), r(2, 4, 3)),
    "MatMul": lambda r: (MatMul(r(3, 5)), r(2, 3)),
    "Sigmoid": lambda r: (Sigmoid(), r(2, 3)),
    "Tanh": lambda r: (Tanh(), r(2, 3)),
    "ReLU": lambda r: (ReLU(), r(2, 3)),
    "GELU": lambda r: (GELU(), r(2, 3)),
    "LayerNorm": lambda r: (LayerNorm(r(5), r(5)), r(2, 5)),
    "LayerNorm, more dimensions": lambda r: (LayerNorm(r(3), r(3)), r(2, 4, 3)),
    "LayerNorm, one row": lambda r: (LayerNorm(r(3), r(3)), r(3)),
    "Softmax": lambda r: (Softmax(), r(2, 3)),
    "Softmax, one row": lambda r: (Softmax(), r(3)),
    "Softmax, more dimensions": lambda r: (Softmax(), r(2, 3, 2, 4)),
    "SoftmaxWithLoss, ids": lambda r: (SoftmaxWithLoss(), r(4, 3), ids(0, 2, 1, 1)),
    "SoftmaxWithLoss, more dimensions": lambda r: (
        *(SoftmaxWithLoss(), r(2, 2, 2, 3)),
        ids([[0, 2], [1, 1]], [[2, 2], [0, 1]]),
    ),
    "SoftmaxWithLoss, one-hot": lambda r: (SoftmaxWithLoss(), r(3, 3), numpy.eye(3, dtype="i")),
    "SoftmaxWithLoss, smoothed": lambda r: (
        *(SoftmaxWithLoss(label_smoothing=0.3), r(4, 3)),
        ids(0, 2, 1, 1),
    ),
    "SigmoidWithLoss": lambda r: (SigmoidWithLoss(), r(4), ids(0, 1, 1, 0)),
    "Dropout": lambda r: (Dropout(0.3, rng=1), r(4, 5)),
    "Embedding": lambda r: (Embedding(r(5, 3)), ids(1, 4, 1, 0)),
    "Embedding, sparse": lambda r: (Embedding(r(5, 3), sparse=True), ids([1, 4], [1, 0])),
    "EmbeddingPart": lambda r: (EmbeddingPart(Embedding(r(5, 3)), []), ids(1, 4, 1, 0)),
    "EmbeddingDot": lambda r: (EmbeddingDot(r(5, 3)), r(4, 3), ids(1, 4, 1, 0)),
    "NegativeSamplingLoss": lambda r: (negatives(r), r(4, 3), ids(1, 4, 1, 0)),
    "NegativeSamplingLoss, sparse": lambda r: (negatives(r, sparse=True), r(4, 3), ids(1, 4, 1, 0)),
    "RNN": lambda r: (recurrent(r, RNN), r(2, 3), r(2, 4)),
    "ReluRNN": lambda r: (recurrent(r, ReluRNN), r(2, 3), r(2, 4)),
    "TimeRNN": lambda r: (recurrent(r, TimeRNN), r(2, 3, 3)),
    "TimeRNN, one step": lambda r: (recurrent(r, TimeRNN), r(1, 1, 3)),
    "TimeRNN, stateful": lambda r: (recurrent(r, TimeRNN, stateful=True), r(2, 3, 3)),
    "TimeReluRNN": lambda r: (recurrent(r, TimeReluRNN), r(2, 3, 3)),
    "TimeReluRNN, stateful": lambda r: (recurrent(r, TimeReluRNN, stateful=True), r(2, 3, 3)),
    "LSTM": lambda r: (recurrent(r, LSTM), r(2, 3), r(2, 4), r(2, 4)),
    "TimeLSTM": lambda r: (recurrent(r, TimeLSTM), r(2, 3, 3)),
    "TimeLSTM, one step": lambda r: (recurrent(r, TimeLSTM), r(1, 1, 3)),
    "TimeLSTM, stateful": lambda r: (recurrent(r, TimeLSTM, stateful=True), r(2, 3, 3)),
    "TimeLSTM, DropConnect": lambda r: (
        recurrent(r, TimeLSTM, dropconnect_ratio=0.4),
        r(2, 3, 3),
    ),
    "TimeLSTM, recurrent dropout": lambda r: (
        recurrent(r, TimeLSTM, recurrent_dropout_ratio=0.4),
        r(2, 3, 3),
    ),
    "TimeLSTM, both": lambda r: (
        recurrent(r, TimeLSTM, dropconnect_ratio=0.4, recurrent_dropout_ratio=0.4),
        r(2, 3, 3),
    ),
    "TimeLSTM, both, padding": lambda r: (
        recurrent(r, TimeLSTM, dropconnect_ratio=0.4, recurrent_dropout_ratio=0.4),
        r(2, 3, 3),
        mask(".xx", "xx."),
    ),
    "GRU": lambda r: (recurrent(r, GRU), r(2, 3), r(2, 4)),
    "TimeGRU": lambda r: (recurrent(r, TimeGRU), r(2, 3, 3)),
    "TimeGRU, one step": lambda r: (recurrent(r, TimeGRU), r(1, 1, 3)),
    "TimeGRU, stateful": lambda r: (recurrent(r, TimeGRU, stateful=True), r(2, 3, 3)),
    "TimeBiLSTM": lambda r: (bi_lstm(r), r(2, 3, 3)),
    "TimeBiLSTM, one step": lambda r: (bi_lstm(r), r(1, 1, 3)),
    "TimeBiLSTM, stateful": lambda r: (bi_lstm(r, stateful=True), r(2, 3, 3)),
    **{
        f"{name}, padding": lambda r, make=make: (make(r), r(3, 4, 3), mask("..xx", "xx..", ".xx."))
        for name, make in {
            "TimeRNN": lambda r: recurrent(r, TimeRNN),
            "TimeReluRNN": lambda r: recurrent(r, TimeReluRNN),
            "TimeLSTM": lambda r: recurrent(r, TimeLSTM),
            "TimeGRU": lambda r: recurrent(r, TimeGRU),
            "TimeBiLSTM": bi_lstm,
        }.items()
    },
    "WeightSum": lambda r: (WeightSum(), r(2, 3, 4), r(2, 3)),
    "AttentionWeight": lambda r: (AttentionWeight(), r(2, 3, 4), r(2, 4)),
    "AttentionWeight, padding": lambda r: (
        *(AttentionWeight(), r(2, 3, 4), r(2, 4)),
        mask(".xx", "xx."),
    ),
    "Attention": lambda r: (Attention(), r(2, 3, 4), r(2, 4)),
    "Attention, padding": lambda r: (Attention(), r(2, 3, 4), r(2, 4), mask(".xx", "xx.")),
    "TimeAttention": lambda r: (TimeAttention(), r(2, 3, 4), r(2, 5, 4)),
    "TimeAttention, padding": lambda r: (
        *(TimeAttention(), r(2, 3, 4), r(2, 5, 4)),
        mask(".xx", "xx."),
    ),
    "TimeAttention, one step": lambda r: (TimeAttention(), r(1, 1, 4), r(1, 1, 4)),
    **{
        f"{type(score(lambda *shape: np.zeros(shape))).__name__}": lambda r, score=score: (
            *(score(r), r(2, 3, 4)),
            r(2, 5, 4),
        )
        for score in SCORES.values()
    },
    "GeneralScore, other widths": lambda r: (GeneralScore(r(3, 4)), r(2, 3, 4), r(2, 5, 3)),
    "AdditiveScore, other widths": lambda r: (
        *(AdditiveScore(r(3, 2), r(4, 2), r(2)), r(2, 3, 4)),
        r(2, 5, 3),
    ),
    **{
        f"{cls.__name__}, {name}, padding": lambda r, cls=cls, score=score, shape=shape: (
            *(cls(score=score(r)), r(2, 3, 4), r(*shape)),
            mask(".xx", "xx."),
        )
        for name, score in SCORES.items()
        for cls, shape in [(Attention, (2, 4)), (TimeAttention, (2, 5, 4))]
    },
    "SelfAttention": lambda r: (self_attention(r), r(2, 3, 4)),
    "SelfAttention, one step": lambda r: (self_attention(r), r(1, 1, 4)),
    "SelfAttention, padding": lambda r: (self_attention(r), r(2, 3, 4), mask(".xx", "xx.")),
    "SelfAttention, causal": lambda r: (self_attention(r, causal=True), r(2, 3, 4)),
    "SelfAttention, causal, padding": lambda r: (
        *(self_attention(r, causal=True), r(2, 3, 4)),
        mask(".xx", "xx."),
    ),
    "SelfAttention, stateful": lambda r: (
        self_attention(r, causal=True, stateful=True),
        r(2, 3, 4),
    ),
    "CrossAttention": lambda r: (looking(r), r(2, 3, 4), r(2, 5, 4)),
    "CrossAttention, padding": lambda r: (
        *(looking(r), r(2, 3, 4), r(2, 4, 4)),
        mask("..xx", "xx.x"),
    ),
    "TimeAttention, values": lambda r: (Weighing(), r(2, 3, 4), r(2, 5, 4), r(2, 3, 2)),
    "TimeConvolution": lambda r: (TimeConvolution(r(3, 4, 2), r(2)), r(2, 5, 4)),
    "TimeConvolution, longer than the input": lambda r: (
        TimeConvolution(r(5, 2, 3), r(3)),
        r(2, 1, 2),
    ),
    "TimeConvolution, padding": lambda r: (
        *(TimeConvolution(r(3, 4, 2), r(2)), r(2, 5, 4)),
        mask(".xxx.", "xx..x"),
    ),
    "TimeConvolution, causal": lambda r: (
        TimeConvolution(r(2, 4, 3), r(3), causal=True),
        r(2, 5, 4),
    ),
    "TimeConvolution, stateful": lambda r: (
        TimeConvolution(r(3, 4, 2), r(2), causal=True, stateful=True),
        r(2, 3, 4),
    ),
    "GatedLinearUnit": lambda r: (GatedLinearUnit(), r(2, 3, 6)),
    "FeedingLSTM": lambda r: (feeding(r), r(2, 3, 2), r(2, 5, 4), r(2, 4), r(2, 4)),
    "FeedingLSTM, padding": lambda r: (
        *(feeding(r), r(2, 3, 2), r(2, 3, 4), r(2, 4), r(2, 4)),
        mask(".xx", "xx."),
    ),
    "Positions": lambda r: (Positions(), r(2, 3, 5)),
    "Positions, scaled": lambda r: (Positions(scale=2.0), r(2, 3, 4)),
    "Positions, padding": lambda r: (Positions(), r(2, 3, 4), mask(".xx", "xx.")),
    "Positions, stateful": lambda r: (Positions(stateful=True), r(2, 3, 4)),
    "LearnedPositions": lambda r: (LearnedPositions(r(4, 3)), r(2, 4, 3)),
    "LearnedPositions, one row": lambda r: (LearnedPositions(r(4, 3)), r(1, 2, 3)),
    "LearnedPositions, padding": lambda r: (
        *(LearnedPositions(r(3, 4), scale=2.0), r(2, 3, 4)),
        mask(".xx", "xx."),
    ),
    "TimeEmbedding": lambda r: (TimeEmbedding(r(5, 3)), ids([1, 4, 1], [0, 0, 2])),
    "TimeEmbedding, sparse": lambda r: (TimeEmbedding(r(5, 3), sparse=True), ids([1, 4], [1, 0])),
    "ContextEmbedding": lambda r: (ContextEmbedding(r(6, 3), 2), ids([1, 4, 1], [0, 0, 2])),
    "ContextEmbedding, one word": lambda r: (ContextEmbedding(r(6, 3), 1), ids([1, 4], [1, 0])),
    "ContextEmbedding, sparse": lambda r: (
        ContextEmbedding(r(6, 3), 3, sparse=True),
        ids([1, 4, 1], [0, 0, 2]),
    ),
    "DirectConnections": lambda r: (
        DirectConnections([TimeAffine(r(3, 5), r(5)), Tanh()]),
        r(2, 4, 3),
    ),
    "TimeAffine": lambda r: (TimeAffine(r(3, 5), r(5)), r(2, 4, 3)),
    "TimeSoftmaxWithLoss": lambda r: (TimeSoftmaxWithLoss(), r(2, 2, 4), ids([0, 3], [2, 1])),
    "TimeSoftmaxWithLoss, some ignored": lambda r: (
        TimeSoftmaxWithLoss(),
        r(2, 3, 4),
        ids([0, -1, 3], [-1, -1, 2]),
    ),
    "TimeSoftmaxWithLoss, smoothed, some ignored": lambda r: (
        TimeSoftmaxWithLoss(label_smoothing=0.2),
        r(2, 3, 4),
        ids([0, -1, 3], [-1, -1, 2]),
    ),
    "TimeSigmoidWithLoss": lambda r: (TimeSigmoidWithLoss(), r(2, 3), ids([0, 1, 1], [1, 0, 0])),
    "TimeEmbedding, words dropped": lambda r: (
        TimeEmbedding(r(5, 3), dropout_ratio=0.4, rng=1),
        ids([1, 4], [1, 0]),
    ),
    "TimeActivationPenalty": lambda r: (TimeActivationPenalty(2.0, 1.0), r(2, 3, 4)),
    "TimeActivationPenalty, one step": lambda r: (TimeActivationPenalty(2.0, 1.0), r(2, 1, 4)),
    "TimeDropout": lambda r: (TimeDropout(0.3, rng=1), r(2, 3, 4)),
    "TimeDropout, variational": lambda r: (TimeDropout(0.3, variational=True, rng=1), r(2, 3, 4)),
    "ContentAddressing": lambda r: (ContentAddressing(), r(2, 4, 3), r(2, 2, 3), r(2, 2)),
    "Interpolation": lambda r: (Interpolation(), r(2, 2, 4), r(2, 2, 4), r(2, 2)),
    "CircularShift": lambda r: (CircularShift(), r(2, 2, 5), r(2, 2, 3)),
    "CircularShift, as many shifts as rows": lambda r: (CircularShift(), r(2, 1, 5), r(2, 1, 5)),
    "Sharpening": lambda r: (Sharpening(), share(r, 2, 2, 4), 1 + share(r, 2, 2)),
    "Read": lambda r: (Read(), r(2, 4, 3), r(2, 2, 4)),
    "Write": lambda r: (Write(), r(2, 4, 3), r(2, 1, 4), r(2, 1, 3), r(2, 1, 3)),
    "Write, three heads": lambda r: (Write(), r(2, 4, 2), r(2, 3, 4), r(2, 3, 2), r(2, 3, 2)),
    "Usage": lambda r: (Usage(), r(2, 4), r(2, 4), r(2, 2), r(2, 2, 4)),
    "Usage, one head": lambda r: (Usage(), r(2, 4), r(2, 4), r(2, 1), r(2, 1, 4)),
    "Allocation": lambda r: (Allocation(), share(r, 2, 5)),
    "Allocation, one row": lambda r: (Allocation(), share(r, 2, 1)),
    "TemporalLinks": lambda r: (TemporalLinks(), r(2, 4, 4), r(2, 4), r(2, 4)),
    "LinkedReads": lambda r: (LinkedReads(), r(2, 4, 4), r(2, 3, 4)),
    "TimeNTM": lambda r: (ntm(r), r(2, 2, 2)),
    "TimeNTM, feed-forward, several heads": lambda r: (
        ntm(r, controller="feedforward", read_heads=2, write_heads=2),
        r(1, 2, 2),
    ),
    "TimeDNC": lambda r: (machine(r, TimeDNC), r(2, 2, 2)),
    "TimeDNC, feed-forward, two heads": lambda r: (
        machine(r, TimeDNC, controller="feedforward", read_heads=2),
        r(1, 2, 2),
    ),
    "BitsWithLoss": lambda r: (BitsWithLoss(), r(1, 3, 2), ids([[0, 1], [-1, 1], [-1, -1]])),
    "Add": lambda r: (Add(), r(2, 3), r(2, 3)),
    "Multiply": lambda r: (Multiply(), r(2, 3), r(2, 3)),
    "Branch": lambda r: (Branch(3), r(2, 3)),
    "Repeat": lambda r: (Repeat(4), r(1, 3)),
    "Sum": lambda r: (Sum(), r(4, 3)),
    "Exp": lambda r: (Exp(), r(2, 3)),
    "Reciprocal": lambda r: (Reciprocal(), r(2, 3) ** 2 + 1),
    "Graph, sigmoid": lambda r: (sigmoid_graph(), r(2, 3)),
    "Graph, tanh": lambda r: (tanh_graph(), r(2, 3)),
}


@pytest.fixture(params=LAYERS)
def case(request, backend, r):
    return LAYERS[request.param](r)


def several(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


def start(layer):
    """The same start every time: no kept state, the same random mask, the same negatives."""
    if hasattr(layer, "reset_state"):
        layer.reset_state()
    if hasattr(layer, "rng"):
        layer.rng = np.random.default_rng(5)
    if hasattr(layer, "sampler"):
        layer.sampler.rng = numpy.random.default_rng(5)


def forward(layer, inputs):
    start(layer)
    return several(layer.forward(*inputs))


def backward(layer, outputs):
    """The gradients of inputs and parameters, for upstream gradients that are not all alike."""
    rng = numpy.random.default_rng(1)
    douts = [np.asarray(rng.standard_normal(y.shape).astype(y.dtype)) for y in outputs]
    douts = [d if d.ndim else float(d) for d in douts]
    dinputs = several(layer.backward(*douts))
    found = [to_cpu(dx) for dx in dinputs if dx is not None]
    return found + [to_cpu(to_dense(g)).copy() for g in layer.grads]


def test_gradients_agree_with_differences(case):
    layer, *inputs = case
    errors = check_gradients(layer, *inputs, before=lambda: start(layer))
    assert errors or isinstance(layer, Embedding)


def test_params_and_grads_go_together(case):
    layer, *inputs = case
    backward(layer, forward(layer, inputs))
    assert [p.shape for p in layer.params] == [g.shape for g in layer.grads]
    assert [p.dtype for p in layer.params] == [g.dtype for g in layer.grads]


def test_backward_twice_gives_the_same_twice(case):
    layer, *inputs = case
    outputs = forward(layer, inputs)
    first, second = backward(layer, outputs), backward(layer, outputs)
    for a, b in zip(first, second, strict=True):
        numpy.testing.assert_array_equal(a, b)


def test_gradient_arrays_are_overwritten_never_replaced(case):
    layer, *inputs = case
    before = list(layer.grads)
    once = backward(layer, forward(layer, inputs))
    again = backward(layer, forward(layer, inputs))
    assert all(a is b for a, b in zip(before, layer.grads, strict=True))
    for a, b in zip(once, again, strict=True):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_dtype_follows_the_weights(name, dtype, r):
    layer, *inputs = LAYERS[name](lambda *shape: r(*shape).astype(dtype))
    outputs = forward(layer, inputs)
    assert {str(y.dtype) for y in outputs} == {dtype}
    assert {str(g.dtype) for g in backward(layer, outputs)} <= {dtype}


def test_arrays_of_the_caller_stay_untouched(case):
    layer, *inputs = case
    given = [*inputs, *layer.params]
    before = [to_cpu(a).copy() for a in given]
    outputs = forward(layer, inputs)
    douts = [np.ones_like(y) if y.ndim else 1.0 for y in outputs]
    layer.backward(*douts)
    for a, b in zip(given, before, strict=True):
        numpy.testing.assert_array_equal(to_cpu(a), b)
    for dout in douts:
        assert float(np.asarray(dout).min()) == float(np.asarray(dout).max()) == 1


def test_a_later_forward_leaves_earlier_outputs_alone(case):
    layer, *inputs = case
    outputs = forward(layer, inputs)
    before = [to_cpu(y).copy() for y in outputs]
    forward(layer, [x * 0 + 1 if x.dtype.kind == "f" else x for x in inputs])
    for y, was in zip(outputs, before, strict=True):
        numpy.testing.assert_array_equal(to_cpu(y), was)


# --- What is refused: one ValueError that names the layer, and nothing has changed ----------------


def refused(layer):
    """ValueError in the name of the layer, one of its parts, or the function that it stands for."""
    names = {type(part).__name__ for _, part in walk(layer)}
    return pytest.raises(ValueError, match=re.compile(rf"^({'|'.join(names)})\b", re.IGNORECASE))


def snapshot(layer):
    return [to_cpu(to_dense(a)).copy() for a in (*layer.params, *layer.grads)]


def all_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_array_equal(a, b)


def wrong_gradients(y):
    """What must not pass for a gradient of y, although much of it could be broadcast."""
    if not y.ndim:
        return [np.ones(1), np.ones((1, 1)), np.asarray(1j), "1", [1.0], None, 1j]
    others = [y.T, y[0], y[:1], y[..., :1], y[..., 0], y[None], y[..., None], np.ones(())]
    return [
        *(a for a in others if a.shape != y.shape),
        *(y * 1j, numpy.full(y.shape, "1"), numpy.full(y.shape, 1, object)),
        *(y.tolist(), 1.0, 1, None),
    ]


def test_gradients_of_another_shape_or_kind_are_refused(case, request):
    layer, *inputs = case
    outputs = forward(layer, inputs)
    expected, before = backward(layer, outputs), snapshot(layer)
    for k, y in enumerate(outputs):
        for wrong in wrong_gradients(y):
            douts = [a if a.ndim else 1.0 for a in outputs]
            douts[k] = wrong
            with refused(layer):
                layer.backward(*douts)
    all_equal(snapshot(layer), before)
    all_equal(backward(layer, outputs), expected)


def test_backward_before_forward_is_refused(case, request, r):
    layer, *_ = case
    twin, *inputs = LAYERS[request.node.callspec.params["case"]](r)
    outputs, before = forward(twin, inputs), snapshot(layer)
    with refused(layer):
        layer.backward(*(np.ones_like(y) if y.ndim else 1.0 for y in outputs))
    all_equal(snapshot(layer), before)


def wrong_inputs(x):
    """What must not pass for x: floats, ids, labels or a mask."""
    host = to_cpu(x)
    kinds = [complex, str, object, "V4"] + (["M8[s]"] if host.dtype.kind in "iu" else [])
    wrong = [x.astype(complex), *(host.astype(kind) for kind in kinds if kind is not complex)]
    wrong += ["text", {1: 2}, [[1], [1, 2]], object()]
    if host.dtype.kind == "f":
        wrong += [x.tolist(), 1.0]
    return wrong + ([] if host.dtype.kind == "b" else [None])


def test_inputs_of_other_kinds_are_refused(case, request):
    layer, *inputs = case
    outputs = forward(layer, inputs)
    expected, before = backward(layer, outputs), snapshot(layer)
    for k, x in enumerate(inputs):
        for wrong in wrong_inputs(x):
            with refused(layer):
                layer.forward(*inputs[:k], wrong, *inputs[k + 1 :])
    all_equal(snapshot(layer), before)
    all_equal(backward(layer, outputs), expected)


# --- Memory: how arrays lie in it is nobody's business --------------------------------------------


def strided(a):
    """Every other element of an array twice as large along each axis."""
    view = np.zeros([2 * n for n in a.shape], a.dtype)[tuple([slice(None, None, 2)] * a.ndim)]
    view[...] = a
    return view


def first_columns(a):
    """The left half of an array twice as wide."""
    view = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)[..., : a.shape[-1]]
    view[...] = a
    return view


def read_only(a):
    """As pandas gives out its columns; CuPy has no such arrays."""
    if isinstance(a, numpy.ndarray):
        a.flags.writeable = False
    return a


LAYOUTS = {
    "Fortran": lambda a: np.asfortranarray(a),
    "transposed": lambda a: a.T.copy().T,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "strided": strided,
    "columns": first_columns,
    "read-only": read_only,
    "read-only, transposed": lambda a: read_only(a.T.copy()).T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_arrays_in_memory_does_not_matter(case, request, layout):
    def made(arranged):
        rng = numpy.random.default_rng(3)
        layer, *inputs = LAYERS[request.node.callspec.params["case"]](
            lambda *shape: arranged(np.asarray(rng.standard_normal(shape)))
        )
        outputs = forward(layer, inputs)
        return [*map(to_cpu, outputs), *backward(layer, outputs)]

    for a, b in zip(made(LAYOUTS[layout]), made(lambda a: a), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
