"""Chapter 6: language models.  V words, D word vector, H hidden, N sequences of T steps."""

from dataclasses import dataclass

import numpy

from tests.benchmarks.rows.steps import Step, our_step, torch_step


@dataclass
class LanguageModel:
    """Rnnlm: float32, SGD, gradients clipped, state kept from batch to batch."""

    V: int = 10000
    D: int = 100
    H: int = 100
    N: int = 20
    T: int = 35

    def ours(self) -> Step:
        from ch06.rnnlm import Rnnlm
        from common.optimizer import SGD

        model = Rnnlm(self.V, self.D, self.H, rng=0)
        return our_step(model, SGD(lr=20.0), self.batches(), max_grad=0.25)

    def theirs(self) -> Step:
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self, V, D, H):
                super().__init__()
                self.embed = nn.Embedding(V, D)
                self.lstm = nn.LSTM(D, H, batch_first=True)
                self.affine = nn.Linear(H, V)
                self.state = None

            def forward(self, xs, ts):
                hs, state = self.lstm(self.embed(xs), self.state)
                self.state = [s.detach() for s in state]
                return nn.functional.cross_entropy(self.affine(hs).flatten(0, 1), ts.flatten())

        net = Net(self.V, self.D, self.H)
        # foreach is its fastest here; a sparse embedding gradient gains nothing, and PyTorch's
        # clip_grad_norm_ refuses one.
        sgd = torch.optim.SGD(net.parameters(), lr=20.0, foreach=True)
        return torch_step(net, sgd, self.batches(), max_grad=0.25)

    def batches(self):
        """Twenty pairs of ids (N, T), with the frequencies of words: 1 / rank."""
        p = 1 / numpy.arange(1, self.V + 1)
        shape = (20, 2, self.N, self.T)
        return numpy.random.default_rng(0).choice(self.V, shape, p=p / p.sum())
