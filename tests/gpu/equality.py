"""Training steps of every model over both libraries: the same seed, batches, losses and weights.

V words or characters, N samples, T steps, L characters of an answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from ch01.two_layer_net import TwoLayerNet
from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from ch04.cbow import CBOW
from ch04.skip_gram import SkipGram
from ch05.simple_rnnlm import SimpleRnnlm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from ch08.conv_seq2seq import ConvSeq2seq
from ch08.dnc import DNC
from ch08.input_feeding import FeedingSeq2seq
from ch08.ntm import NTM
from ch08.transformer import Transformer
from ch08.transformer_lm import TransformerLM
from common.np import to_cpu
from common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from dataset.copying import copy
from tests.benchmarks.rows.steps import our_gradients
from tests.gpu.library import computing

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}  # relative, after all steps
STEPS = 5
V, N, T, L, H = 60, 8, 7, 5, 24


def ids(*shape: int) -> Any:
    return numpy.random.default_rng(0).integers(1, V, size=shape)


def windows() -> list[Any]:
    return [*zip(ids(STEPS, N, 4), ids(STEPS, N), strict=True)]


def texts() -> list[Any]:
    return [*zip(ids(STEPS, N, T), ids(STEPS + 1, N, T)[1:], strict=True)]


def one_hot_windows() -> list[Any]:
    rows = numpy.eye(V, dtype="float32")
    return [(rows[x[:, :2]], rows[t]) for x, t in windows()]


def questions() -> list[Any]:
    return [*zip(ids(STEPS, N, T), ids(STEPS + 1, N, L)[1:], strict=True)]


def padded() -> list[Any]:
    """Questions and answers of different lengths, which are filled up with id 0."""
    batches = [(x.copy(), t.copy()) for x, t in questions()]
    for x, t in batches:
        for n in range(N):
            x[n, T - n % 4 :] = 0
            t[n, L - n % 3 :] = 0
    return batches


def points() -> list[Any]:
    rng = numpy.random.default_rng(0)
    return [(rng.standard_normal((N, 2)), rng.integers(3, size=N)) for _ in range(STEPS)]


@dataclass
class Case:
    """A model, its optimizer and batches; all optimizers come up."""

    model: Callable[[], Any]
    optimizer: Callable[[], Any]
    batches: Callable[[], list[Any]]
    max_grad: float | None = 0.25


def copies() -> list[Any]:
    rng = numpy.random.default_rng(0)
    return [copy(rng, N, 8, L) for _ in range(STEPS)]


def corpus() -> Any:
    return ids(2000)


CASES = {
    "TwoLayerNet": Case(lambda: TwoLayerNet(2, 10, 3, rng=0), lambda: SGD(1.0), points, None),
    "SimpleCBOW": Case(lambda: SimpleCBOW(V, H, rng=0), Momentum, one_hot_windows),
    "SimpleSkipGram": Case(lambda: SimpleSkipGram(V, H, rng=0), AdaGrad, one_hot_windows),
    "CBOW": Case(lambda: CBOW(V, H, 2, corpus(), rng=0), Adam, windows),
    "SkipGram": Case(lambda: SkipGram(V, H, 2, corpus(), rng=0), RMSprop, windows),
    "SimpleRnnlm": Case(lambda: SimpleRnnlm(V, H, H, rng=0), lambda: SGD(1.0), texts),
    "Rnnlm": Case(lambda: Rnnlm(V, H, H, rng=0), lambda: Momentum(0.5), texts),
    "GruRnnlm": Case(lambda: GruRnnlm(V, H, H, rng=0), lambda: Nesterov(0.5), texts),
    "BetterRnnlm": Case(lambda: BetterRnnlm(V, H, H, 0.0, rng=0), lambda: SGD(1.0), texts),
    "Seq2seq": Case(lambda: Seq2seq(V, H, H, rng=0), Adam, questions),
    "Seq2seq, GRU": Case(lambda: Seq2seq(V, H, H, cell="gru", rng=0), Adam, questions),
    "Seq2seq, RNN, padding": Case(
        lambda: Seq2seq(V, H, H, cell="rnn", pad_id=0, rng=0), Adam, padded
    ),
    "PeekySeq2seq": Case(lambda: PeekySeq2seq(V, H, H, rng=0), Adam, questions),
    "AttentionSeq2seq": Case(lambda: AttentionSeq2seq(V, H, H, rng=0), Adam, questions),
    "AttentionSeq2seq, padding": Case(
        lambda: AttentionSeq2seq(V, H, H, pad_id=0, rng=0), Adam, padded
    ),
    "BiAttentionSeq2seq": Case(lambda: BiAttentionSeq2seq(V, H, H, rng=0), Adam, questions),
    "FeedingSeq2seq": Case(lambda: FeedingSeq2seq(V, H, H, rng=0), Adam, questions),
    "ConvSeq2seq": Case(lambda: ConvSeq2seq(V, H, H, rng=0), Adam, questions),
    "Transformer": Case(lambda: Transformer(V, H, H, pad_id=0, rng=0), Adam, padded),
    "TransformerLM": Case(lambda: TransformerLM(V, H, H, 0.0, context=T, rng=0), Adam, texts),
    "NTM": Case(lambda: NTM(9, 8, H, memory_size=6, memory_width=4, rng=0), Adam, copies),
    "DNC": Case(lambda: DNC(9, 8, H, memory_size=6, memory_width=4, rng=0), Adam, copies),
}


def compare(name: str, dtype: str, real: bool) -> dict[str, Any]:
    """Train over both libraries -> the largest relative difference of losses and of weights."""
    results = []
    for library in "numpy", "cupy":
        with computing(library, real):
            results.append(trained(CASES[name], dtype))
    (losses, weights), (other_losses, other_weights) = results
    worst = max(map(difference, weights, other_weights))
    found = {"losses": difference(losses, other_losses), "weights": worst}
    equal = all(value <= TOLERANCE[dtype] for value in found.values())  # nan is not
    return {"model": name, "dtype": dtype, "steps": len(losses), "equal": equal} | found


def trained(case: Case, dtype: str) -> tuple[Any, list[Any]]:
    """-> the losses, and the weights afterwards, on the host."""
    model = case.model().astype(dtype)
    gradients, learn = our_gradients(model, case.optimizer())
    losses = []
    for x, t in case.batches():
        losses.append(gradients(x.astype(dtype) if x.dtype.kind == "f" else x, t))
        learn(case.max_grad)
    return numpy.array([float(loss) for loss in losses]), [to_cpu(p) for p in model.params]


def difference(a: Any, b: Any) -> float:
    """|a - b| / |a| of two arrays of the same shape, any shape."""
    return float(numpy.linalg.norm(a - b) / numpy.linalg.norm(a))
