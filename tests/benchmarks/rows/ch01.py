"""Chapter 1: two layers on the spiral, as each library naturally has it.

Ours is float64 with one-hot labels, as in the book; PyTorch's is float32 with class ids.
"""

import numpy

from dataset import spiral
from tests.benchmarks.rows.steps import Step, our_step, torch_step, update_by


class Spiral:
    def ours(self) -> Step:
        from ch01.two_layer_net import TwoLayerNet
        from common.optimizer import SGD

        return our_step(TwoLayerNet(2, 10, 3, rng=0), SGD(lr=1.0), self.batches())

    def theirs(self) -> Step:
        import torch
        from torch import nn

        class Net(nn.Sequential):
            def forward(self, x, t):
                return nn.functional.cross_entropy(super().forward(x), t)

        net = Net(nn.Linear(2, 10), nn.Sigmoid(), nn.Linear(10, 3))
        batches = [(x.astype("f"), t.argmax(axis=1)) for x, t in self.batches()]
        sgd = torch.optim.SGD(net.parameters(), lr=1.0, **update_by(net, foreach=False))
        return torch_step(net, sgd, batches)

    def batches(self):
        """The ten batches of an epoch: x (30, 2), t (30, 3)."""
        x, t = spiral.load_data()
        order = numpy.random.default_rng(0).permutation(300).reshape(10, 30)
        return [(x[chosen], t[chosen]) for chosen in order]
