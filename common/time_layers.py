"""Layers around the recurrent ones, for whole sequences; the book's import path for all of them.

N samples, T time steps, D inputs, M outputs, V words; sequences are (N, T, ...). `xs` has a time
axis; `dxs` is the gradient of the loss with respect to `xs`.  RNN, LSTM and GRU live in
`common/recurrent.py`.  Source: book chapters 5 and 6.
"""

import math

from common.checks import checked_ratio, floats, is_number
from common.layers import (
    Affine,
    Dropout,
    Elementwise,
    Embedding,
    SigmoidWithLoss,
    SoftmaxWithLoss,
    scaled_mask,
)
from common.np import Array, np
from common.recurrent import (
    GRU,
    LSTM,
    RNN,
    ReluRNN,
    TimeBiLSTM,
    TimeGRU,
    TimeLSTM,
    TimeReluRNN,
    TimeRNN,
)
from common.rng import Seed, device_generator

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ReluRNN",
    "TimeActivationPenalty",
    "TimeAffine",
    "TimeBiLSTM",
    "TimeDropout",
    "TimeEmbedding",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "TimeReluRNN",
    "TimeSigmoidWithLoss",
    "TimeSoftmaxWithLoss",
    "np",
]


class TimeEmbedding(Embedding):
    """Word vectors of id sequences.   W (V, D), ids (N, T) -> (N, T, D)

    While `train_flg` is True, whole words can be switched off, each in all places of a call:
        ys[n, t] = W[ids[n, t]] * mask[ids[n, t]],  mask (V, 1) scaled as in `TimeDropout`
    dropout_ratio  probability that a word is switched off
    rng            seed or Generator of the masks; None follows NumPy's global seed
    Backward, sparse=True and errors as for `Embedding`; ValueError for a ratio outside
    0 <= ratio < 1.
    Source: book 5.4.2; Gal and Ghahramani 2016 (words), https://arxiv.org/abs/1512.05287.
    """

    def __init__(
        self, W: Array, sparse: bool = False, *, dropout_ratio: float = 0.0, rng: Seed = None
    ) -> None:
        super().__init__(W, sparse)
        self.dropout_ratio = checked_ratio("TimeEmbedding: dropout_ratio", dropout_ratio)
        if dropout_ratio:
            self.settings = {"dropout_ratio": self.dropout_ratio}
            self.rng = device_generator(rng)

    def forward(self, idx: Array) -> Array:
        ys, (W,) = super().forward(idx), self.params
        self.mask = None
        if self.dropout_ratio and self.train_flg:
            words = scaled_mask(self.rng, self.dropout_ratio, W[:, :1])
            self.mask = words.take(np.asarray(self.idx), axis=0)  # (V, 1) -> (N, T, 1)
        return ys if self.mask is None else ys * self.mask

    def backward(self, dy: Array) -> None:
        self._check_gradient(dy)
        super().backward(dy if self.mask is None else dy * self.mask)

    @property
    def W(self) -> Array:
        """The word vectors (V, D)."""
        return self.params[0]


class TimeAffine(Affine):
    """ys = xs @ W + b at every step.   xs (N, T, D), W (D, M), b (M,) -> ys (N, T, M)

    One product for all steps. Backward and errors as for `Affine`.  Source: book 5.4.2.
    """


class TimeSoftmaxWithLoss(SoftmaxWithLoss):
    """Mean cross-entropy over the labelled positions of a batch of sequences.

    loss = -1/M * sum over labelled (n, t) of log softmax(xs[n, t])[ts[n, t]]

    forward(xs, ts) -> loss, nats per labelled position; its exp is the perplexity
        xs (N, T, V)  scores before softmax
        ts (N, T)     ids, -1 where nothing counts; one-hot (N, T, V) also works
    backward(dout=1) -> (N, T, V), zero where nothing counts
    label_smoothing  as for `SoftmaxWithLoss`
    Raises ValueError if no position is labelled (M = 0).  Source: book 5.4.2, (5.11).
    """

    ignore_label = -1

    def forward(self, x: Array, t: Array) -> Array:
        x = floats(self, x)
        if x.ndim != 3:
            raise self._refuse(f"scores need 3 dimensions, not shape {x.shape}")
        return super().forward(x, t)


class TimeSigmoidWithLoss(SigmoidWithLoss):
    """Mean binary cross-entropy over all positions of a batch of sequences.

    loss = -1/(N T) * sum over (n, t) of  ts log y + (1 - ts) log(1 - y),  y = sigmoid(xs)

    forward(xs (N, T), ts (N, T)) -> loss, in nats per position;  backward(dout=1) -> (N, T)
    Raises ValueError for scores that are not (N, T), and as `SigmoidWithLoss` does.
    Source: book, common/time_layers.py.
    """

    def forward(self, x: Array, t: Array) -> Array:
        x = floats(self, x)
        if x.ndim != 2:
            raise self._refuse(f"scores need 2 dimensions, not shape {x.shape}")
        return super().forward(x, t)


class TimeDropout(Dropout):
    """Switch off a random share of the elements while training, scaling up what stays.

    train_flg True:   ys = xs * mask, mask 0 with probability dropout_ratio, else 1 / (1 - ratio)
    train_flg False:  ys = xs
    The flag is an attribute, the mode of the layer (`train`).
    variational  False: a fresh mask for every element of every step; True: one mask (N, 1, D) for
                 all steps of a call (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287)
    Backward: dxs = dys * mask.  Other arguments and errors as for `Dropout`.  Source: book 6.5.2.
    """

    def __init__(
        self, dropout_ratio: float = 0.5, *, variational: bool = False, rng: Seed = None
    ) -> None:
        super().__init__(dropout_ratio, rng=rng)
        self.variational = variational

    def forward(self, xs: Array) -> Array:
        xs = floats(self, xs)
        like = xs[:, :1] if self.variational else xs
        drops = self.train_flg and self.dropout_ratio > 0
        mask = scaled_mask(self.rng, self.dropout_ratio, like) if drops else None
        self.mask, self.y_shape = mask, xs.shape
        return xs if mask is None else xs * mask

    def backward(self, dys: Array) -> Array:
        self._check_gradient(dys)
        return dys if self.mask is None else dys * self.mask


class TimeActivationPenalty(Elementwise):
    """ys = xs (N, T, D), and a penalty on activations that are large, or that change fast.

    penalty = alpha * mean of xs^2 + beta * mean of (xs[:, t] - xs[:, t - 1])^2
    Backward:  dxs = dys + dpenalty * (gradient of the penalty)

    penalty   a scalar after forward, for the model to add to its loss; 0 outside training
    dpenalty  gradient of the loss with respect to it, for the model to set before backward
    Raises ValueError for an input that is not (N, T, D), and for a factor that is negative or not
    finite.
    Source: Merity et al. 2017 (activation regularization, temporal activation regularization),
    https://arxiv.org/abs/1708.01009.
    """

    def __init__(self, alpha: float = 0.0, beta: float = 0.0) -> None:
        super().__init__()
        for name, factor in ("alpha", alpha), ("beta", beta):
            if not (is_number(factor) and 0 <= factor < math.inf):
                raise self._refuse(f"{name} is finite and not negative, not {factor!r}")
        self.alpha, self.beta = float(alpha), float(beta)
        self.settings = {"alpha": self.alpha, "beta": self.beta}
        self.dpenalty = 0.0

    def forward(self, xs: Array) -> Array:
        xs = floats(self, xs)
        if xs.ndim != 3:
            raise self._refuse(f"input must be (N, T, D), not {xs.shape}")
        self.y_shape, self.xs, self.changes = xs.shape, None, None
        self.penalty: Array = 0.0
        if self.alpha and self.train_flg and xs.size:
            self.xs = xs
            self.penalty = self.penalty + self.alpha / xs.size * np.vdot(xs, xs)
        if self.beta and self.train_flg and xs[:, 1:].size:
            self.changes = changes = xs[:, 1:] - xs[:, :-1]
            self.penalty = self.penalty + self.beta / changes.size * np.vdot(changes, changes)
        return xs

    def backward(self, dys: Array) -> Array:
        self._check_gradient(dys)
        dxs = dys
        if self.xs is not None:
            dxs = dxs + self.xs * (2 * self.alpha / self.xs.size * self.dpenalty)
        if self.changes is not None:
            pull = self.changes * (2 * self.beta / self.changes.size * self.dpenalty)
            dxs = dxs.copy()
            dxs[:, 1:] += pull
            dxs[:, :-1] -= pull
        return dxs
