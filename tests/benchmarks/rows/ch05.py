"""Chapter 5: a language model, and recurrent layers alone.

V words, D word vector, H hidden, N sequences of T steps. PyTorch's layers get their sequences as
(T, N, ...), with which they are a little faster than with (N, T, ...).
"""

from dataclasses import dataclass
from typing import Any

import numpy

from tests.benchmarks.rows.steps import Step, our_step, torch_step, update_by


@dataclass
class LanguageModel:
    """SimpleRnnlm: float32, SGD, state kept from batch to batch.

    cell, layers, dropout, tied  what PyTorch's twin is built from: RNN, LSTM or GRU, how many on
                                 top of each other, dropout around each, one matrix for
                                 embedding and affine
    foreach                      the setting of PyTorch's SGD, whichever is fastest
    """

    V: int = 418
    D: int = 100
    H: int = 100
    N: int = 10
    T: int = 5
    lr: float = 0.1
    max_grad: float | None = None
    cell: str = "RNN"
    layers: int = 1
    dropout: float = 0.0
    tied: bool = False
    foreach: bool = False

    def our_model(self) -> Any:
        from ch05.simple_rnnlm import SimpleRnnlm

        return SimpleRnnlm(self.V, self.D, self.H, rng=0)

    def ours(self) -> Step:
        from common.optimizer import SGD

        return our_step(self.our_model(), SGD(self.lr), self.batches(), self.max_grad)

    def theirs(self) -> Step:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                cell, V, D, H = getattr(nn, size.cell), size.V, size.D, size.H
                self.embed = nn.Embedding(V, D)
                self.recurrent = cell(D, H, size.layers, dropout=size.dropout)
                self.drop = nn.Dropout(size.dropout)
                self.affine = nn.Linear(H, V)
                if size.tied:
                    self.affine.weight = self.embed.weight
                    nn.init.normal_(self.embed.weight, std=0.01)  # as ours
                self.state = None

            def forward(self, xs, ts):
                hs, state = self.recurrent(self.drop(self.embed(xs.t())), self.state)
                lstm = isinstance(state, tuple)
                self.state = tuple(s.detach() for s in state) if lstm else state.detach()
                scores = self.affine(self.drop(hs))
                return nn.functional.cross_entropy(scores.flatten(0, 1), ts.t().flatten())

        net = Net(self)
        sgd = torch.optim.SGD(net.parameters(), lr=self.lr, **update_by(net, self.foreach))
        return torch_step(net, sgd, self.batches(), self.max_grad)

    def batches(self):
        """Twenty pairs of ids (N, T), with the frequencies of words: 1 / rank."""
        p = 1 / numpy.arange(1, self.V + 1)
        shape = (20, 2, self.N, self.T)
        return numpy.random.default_rng(0).choice(self.V, shape, p=p / p.sum())


@dataclass
class Recurrent:
    """Forward and backward of TimeRNN, TimeLSTM or TimeGRU in float32, gradient of xs included."""

    cell: str
    T: int
    N: int = 20
    D: int = 100
    H: int = 100

    def ours(self) -> Step:
        from common import time_layers
        from common.np import np

        layer_class = getattr(time_layers, f"Time{self.cell}")
        r, kH = numpy.random.default_rng(0).standard_normal, layer_class.blocks * self.H
        weights = r((self.D, kH)), r((self.H, kH)), r(kH)
        layer = layer_class(*(np.asarray((w / 10).astype("f")) for w in weights))
        xs, dhs = (np.asarray(a) for a in self.batches()[0])

        def step() -> None:
            layer.forward(xs)
            layer.backward(dhs)

        return step

    def theirs(self) -> Step:
        import torch
        from torch import nn

        layer = getattr(nn, self.cell)(self.D, self.H)
        xs, dhs = (torch.as_tensor(a).transpose(0, 1).contiguous() for a in self.batches()[0])
        xs.requires_grad = True

        def step() -> None:
            layer.zero_grad()
            xs.grad = None
            layer(xs)[0].backward(dhs)

        return step

    def batches(self):
        """Inputs (N, T, D), and the gradient (N, T, H) that comes back."""
        r = numpy.random.default_rng(0).standard_normal
        shapes = (self.N, self.T, self.D), (self.N, self.T, self.H)
        return [[r(shape).astype("f") for shape in shapes]]
