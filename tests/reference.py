"""Slow, readable twins of fast code: one obvious step after the other, over one-step layers."""

import numpy

from common.layers import Affine, Embedding, SigmoidWithLoss, SoftmaxWithLoss
from common.negative_sampling import EmbeddingDot
from common.np import np
from common.time_layers import LSTM


class StepByStepLSTM:
    """TimeLSTM as T cells in a row, which is how the book introduces it."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]

    def forward(self, xs, h, c):
        self.cells, hs = [], []
        for t in range(xs.shape[1]):
            self.cells.append(LSTM(*self.params))
            h, c = self.cells[-1].forward(xs[:, t], h, c)
            hs.append(h)
        return np.stack(hs, axis=1), h, c

    def backward(self, dhs):
        dh, dc, dxs = 0, 0, []
        self.grads = [0, 0, 0]
        for t, cell in reversed(list(enumerate(self.cells))):
            dx, dh, dc = cell.backward(dhs[:, t] + dh, dc)
            dxs.insert(0, dx)
            self.grads = [total + g for total, g in zip(self.grads, cell.grads, strict=True)]
        return np.stack(dxs, axis=1), dh, dc


class StepByStep:
    """T layers of a class, one for each step of (N, T, ...), sharing their parameters."""

    def __init__(self, layer_class, *params):
        self.make = lambda: layer_class(*params)

    def forward(self, xs):
        self.layers = [self.make() for _ in range(xs.shape[1])]
        return np.stack([self.layers[t].forward(xs[:, t]) for t in range(xs.shape[1])], axis=1)

    def backward(self, dys):
        dxs = [layer.backward(dys[:, t]) for t, layer in enumerate(self.layers)]
        self.grads = [sum(gs) for gs in zip(*(layer.grads for layer in self.layers), strict=True)]
        return None if dxs[0] is None else np.stack(dxs, axis=1)


def step_by_step_affine(W, b):
    return StepByStep(Affine, W, b)


def step_by_step_embedding(W):
    return StepByStep(Embedding, W)


class StepByStepSoftmaxWithLoss:
    """The loss of every labelled position by a layer of its own, and their mean."""

    def forward(self, xs, ts):
        self.shape = xs.shape
        self.layers = {}
        losses = []
        for n, t in zip(*numpy.nonzero(ts != -1), strict=True):
            layer = self.layers[int(n), int(t)] = SoftmaxWithLoss()
            losses.append(layer.forward(xs[n : n + 1, t], ts[n : n + 1, t]))
        return sum(losses) / len(losses)

    def backward(self):
        dxs = np.zeros(self.shape)
        for (n, t), layer in self.layers.items():
            dxs[n, t] = layer.backward()[0] / len(self.layers)
        return dxs


class QuestionByQuestion:
    """NegativeSamplingLoss as 1 + k layers, each asking one question; negatives are given."""

    def __init__(self, W, sample_size):
        self.dots = [EmbeddingDot(W) for _ in range(1 + sample_size)]
        self.losses = [SigmoidWithLoss() for _ in self.dots]

    def forward(self, h, target, negatives):
        loss = 0
        for k, (dot, question) in enumerate(zip(self.dots, self.losses, strict=True)):
            ids = target if k == 0 else negatives[:, k - 1]
            right = numpy.full(len(ids), int(k == 0))
            loss += question.forward(dot.forward(h, ids), right)
        return loss

    def backward(self):
        dh = sum(
            dot.backward(question.backward())
            for dot, question in zip(self.dots, self.losses, strict=True)
        )
        self.grads = [sum(dot.grads[0] for dot in self.dots)]
        return dh
