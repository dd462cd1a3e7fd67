"""Layers for one step: products, activations, embedding, dropout, losses.

N samples, D inputs, M outputs, C classes, V words; `...` stands for any leading dimensions.
`x` comes in, `y` goes out, and `dy` is the gradient of the loss with respect to `y`.

Every layer has `forward` and `backward`, and lists `params` and `grads` that go together by
position. `backward` writes the gradients of the parameters into the arrays of `grads`, which stay
the same objects for the layer's whole life, and returns the gradient of the input; calling it again
gives the same again. It takes a gradient of the shape of the last output, and no other.
All in float32 stays float32, all in float64 float64; integers in a product take the dtype of the
weights, other integers become float64. What is no array of floats or integers is a ValueError.
`forward` reads no attribute that it sets, so that threads may call it side by side.
Products are often written `a.dot(b)`: it starts half a microsecond sooner than `a @ b`, which small
networks feel.
Source: book 1.2.2, 1.3.4.
"""

import math
from typing import Any

import numpy

from common.checks import (
    REAL,
    checked_ids,
    checked_one_hot,
    checked_ratio,
    described,
    floats,
    on_host,
)
from common.cores.parallel import affine, dot, in_blocks
from common.functions import relu, sigmoid, softmax
from common.gradients import RowSparse, sum_by_id
from common.network import Layer
from common.np import Array, fused, np
from common.rng import Seed, device_generator

__all__ = [
    "GELU",
    "Affine",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "MatMul",
    "ReLU",
    "Sigmoid",
    "SigmoidWithLoss",
    "Softmax",
    "SoftmaxWithLoss",
    "Tanh",
    "np",
]


class Affine(Layer):
    """y = x @ W + b.   x (..., D), W (D, M), b (M,) -> y (..., M)

    Backward:  dx = dy @ W.T,  dW = x.T @ dy and db = sum of dy, both over all samples.
    Raises ValueError if the shapes do not fit.  Source: book 1.2.1, 1.3.5, (1.14).
    """

    def __init__(self, W: Array, b: Array) -> None:
        super().__init__(W=W, b=b)
        if W.ndim != 2 or b.shape != W.shape[1:]:
            raise self._refuse(f"W is (D, M) and b (M,), not {W.shape} and {b.shape}")

    def forward(self, x: Array) -> Array:
        W, b = self._weights()
        x = floats(self, x, W.dtype)
        shape = x.shape
        if shape[-1:] != W.shape[:1]:
            raise self._refuse(f"input {shape} needs {len(W)} columns, W is {W.shape}")
        self.x_shape, self.x = shape, (rows := x.reshape(-1, len(W)))
        y = affine(rows, W, b)
        self.y_shape = y_shape = shape[:-1] + b.shape
        return y.reshape(y_shape)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        W, _ = self.params
        dW, db = self.grads
        dy = dy.reshape(-1, W.shape[1])
        fill_product(dW, self.x.T, dy)
        fill_sum(db, dy)
        return dot(dy, W.T).reshape(self.x_shape)

    def output_size(self, size: int | None) -> int | None:
        """M, if the input may be of this width."""
        return matched(self, size)


class MatMul(Layer):
    """y = x @ W.   x (N, D), W (D, M) -> y (N, M).  Backward: dx = dy @ W.T, dW = x.T @ dy.

    Raises ValueError if the shapes do not fit.  Source: book 1.3.4.5, (1.14).
    """

    def __init__(self, W: Array) -> None:
        super().__init__(W=W)

    def forward(self, x: Array) -> Array:
        (W,) = self._weights()
        x = floats(self, x, W.dtype)
        if x.ndim != 2 or x.shape[1] != len(W):
            raise self._refuse(f"input must be (N, {len(W)}), not {x.shape}")
        self.x, y = x, dot(x, W)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        (W,) = self.params
        fill_product(self.grads[0], self.x.T, dy)
        return dot(dy, W.T)

    def output_size(self, size: int | None) -> int | None:
        """M, if the input may be of this width."""
        return matched(self, size)


class Elementwise(Layer):
    """A layer whose output has the shape of its input, any shape."""

    def output_size(self, size: int | None) -> int | None:
        """The width of the input."""
        return size


class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x)), any shape.  Backward: dx = dy * y * (1 - y).  Source: book (1.15)."""

    def forward(self, x: Array) -> Array:
        self.out = y = sigmoid(x)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * (1 - self.out) * self.out


class Tanh(Elementwise):
    """y = tanh(x), any shape.  Backward: dx = dy * (1 - y^2).  Source: book appendix A, (A.9)."""

    def forward(self, x: Array) -> Array:
        self.out = y = np.tanh(floats(self, x))
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * (1 - self.out * self.out)


class ReLU(Elementwise):
    """y = max(0, x), any shape.  Backward: dx = dy where x > 0, else 0.  Source: book 1.2.1."""

    def forward(self, x: Array) -> Array:
        self.out = y = relu(x)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * (self.out > 0)


class GELU(Elementwise):
    """y = x / 2 * (1 + tanh(u)),  u = sqrt(2 / pi) * (x + 0.044715 x^3), any shape.

    A smooth ReLU: nearly x * P(Z < x) for a standard normal Z.
    Backward: dx = dy * (1 + tanh(u) + x * (1 - tanh(u)^2) * du/dx) / 2.
    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415.
    """

    def forward(self, x: Array) -> Array:
        self.x = x = floats(self, x)
        self.tanh = tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
        self.y_shape = x.shape
        return 0.5 * x * (1 + tanh)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        x, tanh = self.x, self.tanh
        du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (x * x))
        return dy * (0.5 * (1 + tanh + x * (1 - tanh * tanh) * du))


class LayerNorm(Elementwise):
    """y = gamma * z + beta,  z = (x - mean) / s,  s = sqrt(variance + eps).   x (..., D)

    Mean and variance are over the last axis, for each sample and step alone; gamma, beta (D,).
    Backward, with g = gamma * dy:  dx = (g - mean(g) - z * mean(g * z)) / s,
    dgamma = sum of dy * z and dbeta = sum of dy, both over all samples.
    eps  keeps s from 0
    Raises ValueError if the shapes do not fit, and for an eps that is not positive.
    Source: book 8.5.2; Ba et al. 2016, https://arxiv.org/abs/1607.06450.
    """

    def __init__(self, gamma: Array, beta: Array, *, eps: float = 1e-5) -> None:
        super().__init__(gamma=gamma, beta=beta)
        if gamma.ndim != 1 or beta.shape != gamma.shape or not len(gamma):
            raise self._refuse(f"gamma and beta are (D,), not {gamma.shape} and {beta.shape}")
        if not eps > 0:
            raise self._refuse(f"eps must be positive, not {eps}")
        self.eps = float(eps)

    def forward(self, x: Array) -> Array:
        gamma, beta = self._weights()
        x = floats(self, x, gamma.dtype)
        D = len(gamma)
        self.output_size(x.shape[-1] if x.ndim else 0)
        rows = x.reshape(-1, D)
        share = np.full(D, 1 / D, rows.dtype)
        z, y, rate = np.empty_like(rows), np.empty_like(rows), np.empty(len(rows), rows.dtype)

        def work(some: slice) -> None:
            centred = np.subtract(rows[some], rows[some].dot(share)[:, None], out=z[some])
            square = np.multiply(centred, centred, out=y[some])
            rate[some] = 1 / np.sqrt(square.dot(share) + self.eps)  # a mean, but faster
            centred *= rate[some, None]
            np.multiply(centred, gamma, out=y[some])
            y[some] += beta

        in_blocks(work, *rows.shape)
        self.z, self.rate, self.y_shape = z, rate, x.shape
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        gamma, _ = self.params
        dgamma, dbeta = self.grads
        z, D = self.z, len(gamma)
        dy = dy.reshape(-1, D)
        dx, dyz, share = np.empty_like(z), np.empty_like(z), gamma / D

        def work(some: slice) -> None:
            np.multiply(dy[some], z[some], out=dyz[some])
            np.multiply(dy[some], gamma, out=dx[some])
            dx[some] -= dy[some].dot(share)[:, None]
            dx[some] -= z[some] * dyz[some].dot(share)[:, None]
            dx[some] *= self.rate[some, None]

        in_blocks(work, *z.shape)
        fill_sum(dgamma, dyz)
        fill_sum(dbeta, dy)
        return dx.reshape(self.y_shape)

    def output_size(self, size: int | None) -> int | None:
        """D, if the input may be of this width."""
        D = len(self.params[0])
        if size not in (None, D):
            raise self._refuse(f"takes {D} numbers, and gets {size}")
        return D


class Softmax(Elementwise):
    """y = exp(x) / sum(exp(x)), the sum over the last axis.   x (..., C) -> the same shape

    Backward: dx = y * (dy - sum(dy * y)), the sum likewise.
    Raises ValueError for a scalar.  Source: book 1.3.1, (1.6).
    """

    def forward(self, x: Array) -> Array:
        self.out = y = softmax(x)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        dx = self.out * dy
        return dx - self.out * dx.sum(axis=-1, keepdims=True)


class SoftmaxWithLoss(Layer):
    """Softmax and mean cross-entropy in one:  loss = -1/N * sum over n of log softmax(x[n])[t[n]].

    forward(x, t) -> loss, in nats
        x (..., C)  scores of N samples, N the product of the leading dimensions
        t (...)     class ids; one-hot (..., C) also works
    backward(dout=1) -> (..., C):  dx = dout / N * (y - onehot(t))

    The logarithm is taken of the sum of exponentials, never of a probability, so no score is too
    large or too small.
    label_smoothing  q: in training, the right class counts 1 - q, and all C share q equally, so
                     that no score need grow without end (Szegedy et al. 2016,
                     https://arxiv.org/abs/1512.00567). Outside training the loss is the plain one
    Raises ValueError for labels that do not fit, and a q outside 0 <= q < 1.
    Source: book 1.3.1, 1.3.5.3, (1.8).
    """

    ignore_label: int | None = None

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        name = f"{type(self).__name__}: label_smoothing"
        self.label_smoothing = checked_ratio(name, label_smoothing)
        if label_smoothing:
            self.settings = {"label_smoothing": self.label_smoothing}

    def forward(self, x: Array, t: Array) -> Array:
        x = floats(self, x)
        if not x.ndim:
            raise self._refuse("scores are (..., C), not a scalar")
        x = np.ascontiguousarray(x)  # so that its flat form is a view
        self.at_label, self.weight = at_label, weight = self._labels(x, on_host(self, t))
        self.shape, x = x.shape, x.reshape(-1, x.shape[-1])
        self.smoothing = smoothing = self.label_smoothing if self.train_flg else 0.0
        self.e: Array = None  # before there is a new one, which may be large
        N, C = x.shape
        ones, e = np.ones(C, x.dtype), np.empty_like(x)
        label_scores, total = np.empty(N, x.dtype), np.empty(N, x.dtype)

        def work(rows: slice) -> None:
            scores = np.subtract(x[rows], x[rows].max(axis=1, keepdims=True), out=e[rows])
            label_scores[rows] = e.take(at_label[rows])
            if smoothing:
                mean = scores.dot(ones) / C
                label_scores[rows] += smoothing * (mean - label_scores[rows])
            total[rows] = np.exp(scores, out=scores).dot(ones)  # faster than sum

        in_blocks(work, N, C)
        self.e, self.total, self.y_shape = e, total, ()
        return (np.log(total) - label_scores).dot(weight)

    def backward(self, dout: float = 1) -> Array:
        weight = self._loss_factor(dout) * self.weight
        dx, factor, smoothing = np.empty_like(self.e), weight / self.total, self.smoothing

        def work(rows: slice) -> None:
            np.multiply(self.e[rows], factor[rows, None], out=dx[rows])
            if smoothing:
                dx[rows] -= (smoothing / dx.shape[1] * weight[rows])[:, None]

        in_blocks(work, *dx.shape)
        dx.reshape(-1)[self.at_label] -= (1 - smoothing) * weight
        return dx.reshape(self.shape)

    @property
    def y(self) -> Array:
        """The probabilities (..., C) of the last forward."""
        return (self.e / self.total[:, None]).reshape(self.shape)

    @property
    def t(self) -> Array:
        """The labels of the last forward as ids, (N,) or (N, T); 0 where none counts."""
        return (self.at_label % self.shape[-1]).reshape(self.shape[:-1])

    def _labels(self, x: Array, t: Array) -> tuple[Array, Array]:
        """Labels on the host -> where they are in the flat scores, (N,), and what each counts.

        That is 1/M for the M that count, and 0 for ignored ones, which point at class 0.
        """
        C, ignored = x.shape[-1], None
        if t.shape == x.shape:
            at_label = checked_one_hot(self, t)
        elif t.shape == x.shape[:-1]:
            ids = checked_ids(self, t, C, ignore=self.ignore_label).reshape(-1)
            if self.ignore_label is not None:
                ignored = ids == self.ignore_label
                ids = numpy.where(ignored, 0, ids)
            at_label = numpy.arange(len(ids)) * C + ids
        else:
            raise self._refuse(
                f"labels have shape {t.shape}, scores {x.shape} need {x.shape[:-1]}, one id each, "
                "or one-hot rows"
            )
        N = len(at_label)
        count = N if ignored is None else numpy.count_nonzero(~ignored)
        if not count:
            raise self._refuse(f"none of the {N} positions has a label")
        weight = numpy.empty(N, x.dtype)
        weight.fill(1 / count)
        if ignored is not None:
            weight[ignored] = 0
        return np.asarray(at_label), np.asarray(weight)


class SigmoidWithLoss(Layer):
    """Sigmoid and mean binary cross-entropy:  loss = -mean(t log y + (1 - t) log(1 - y)).

    forward(x, t) -> loss, in nats
        x  scores, any shape;  y = sigmoid(x)
        t  0 or 1, the shape of x (a probability in between also works)
    backward(dout=1) -> shape of x:  dx = dout / size * (y - t)

    Computed as max(x, 0) - x t + log(1 + exp(-|x|)), which neither overflows nor takes log(0).
    Raises ValueError for labels of another shape or outside 0..1, or none.  Source: book 4.2.4.
    """

    def forward(self, x: Array, t: Array) -> Array:
        x, t = floats(self, x), on_host(self, t)
        if t.shape != x.shape or not x.size:
            raise self._refuse(f"labels have shape {t.shape}, scores have {x.shape}")
        if t.dtype.kind not in REAL:
            raise self._refuse(f"labels are floats or integers, not {described(t)}")
        if not (t.min() >= 0 and t.max() <= 1):
            raise self._refuse(f"labels lie in 0..1, not in {t.min()}..{t.max()}")
        t = np.asarray(t.astype(x.dtype))
        self.x, self.t, self.y_shape = x, t, ()
        self.loss = loss = (relu(x) - x * t + np.log1p(np.exp(-np.abs(x)))).mean()
        return loss

    def backward(self, dout: float = 1) -> Array:
        return self._loss_factor(dout) / self.x.size * (self.y - self.t)

    @property
    def y(self) -> Array:
        """The probabilities of the last forward, which like its scores have any shape."""
        return sigmoid(self.x)


class Dropout(Elementwise):
    """Switch off a random share of the elements while training; shrink all of them afterwards.

    train_flg=True:   y = x * mask, mask 0 with probability dropout_ratio, else 1
    train_flg=False:  y = x * (1 - dropout_ratio), the mean of the above
    x and y are of any shape.  Backward: dx = dy * mask (or the same shrinking).
    `TimeDropout` is the other way round: it scales in training.

    train_flg  None: the mode of the layer, see `train`
    rng        a seed or NumPy Generator; None follows NumPy's global seed
    Raises ValueError for a ratio outside 0 <= ratio < 1.  Source: book 6.5.2; Srivastava 2014.
    """

    def __init__(self, dropout_ratio: float = 0.5, *, rng: Seed = None) -> None:
        super().__init__()
        self.dropout_ratio = checked_ratio(f"{type(self).__name__}: dropout_ratio", dropout_ratio)
        self.settings = {"dropout_ratio": self.dropout_ratio}
        self.rng = device_generator(rng)

    def forward(self, x: Array, train_flg: bool | None = None) -> Array:
        x, train_flg = floats(self, x), self.train_flg if train_flg is None else train_flg
        mask = kept(self.rng, self.dropout_ratio, x) if train_flg else 1 - self.dropout_ratio
        self.mask, self.y_shape = mask, x.shape
        return x * mask

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * self.mask


class Embedding(Layer):
    """Rows of W by id:  y[...] = W[ids[...]].   W (V, D), ids (...) -> y (..., D)

    Backward adds dy[...] to row ids[...] of the gradient, repeated ids included, and returns None:
    ids have no gradient. With sparse=True the gradient is a `RowSparse`, which keeps a step at the
    cost of the rows looked up instead of all V.
    Raises ValueError for ids that are not integers in 0..V-1.  Source: book 4.1.1.
    """

    def __init__(self, W: Array, sparse: bool = False) -> None:
        super().__init__(W=W)
        if W.ndim != 2:
            raise self._refuse(f"W is (V, D), not {W.shape}")
        if sparse:
            self.grads = [RowSparse(W.shape, W.dtype)]

    def forward(self, idx: Array) -> Array:
        (W,) = self._weights()
        self.idx = idx = checked_ids(self, idx, len(W))
        y = W.take(np.asarray(idx), axis=0)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> None:
        self._check_gradient(dy)
        self.collect(dy.reshape(-1, self.grads[0].shape[1]))

    def collect(self, dh: Array, weights: Array = None) -> None:
        """What `backward` does for dy[n, c] = weights[n, c] * dh[n], without making that dy.

        dh (N, D), where ids were (N, C); weights (N, C), 1 if there are none.
        """
        weights = None if weights is None else weights.reshape(-1)
        fill_rows(self.grads[0], self.idx.reshape(-1), dh, weights)

    def output_size(self, size: int | None) -> int | None:
        """D; ids have no width."""
        return int(self.params[0].shape[1])


class EmbeddingPart(Embedding):
    """One of several embeddings on one matrix W (V, D), as a model of the book has them.

    whole  the `Embedding` that stands for all of them: its gradient is the sum of those of its
           `parts`, each as its last backward left it

    So a model works by hand, part by part, as well: its `grads` are those of `whole`, and those of
    the parts have the same sum.
    """

    def __init__(self, whole: Embedding, parts: list[Any]) -> None:
        super().__init__(whole.params[0], sparse=True)
        self.params, self.whole, self.parts = whole.params, whole, parts
        parts.append(self)

    def collect(self, dh: Array, weights: Array = None) -> None:
        super().collect(dh, weights)
        self.add_up()

    def add_up(self) -> None:
        """Put the sum of all parts into the gradient of the whole, which may be a part itself."""
        ids = numpy.concatenate([part.grads[0].ids for part in self.parts])
        rows = np.concatenate([part.grads[0].rows for part in self.parts])
        fill_rows(self.whole.grads[0], ids, rows)
        if isinstance(self.whole, EmbeddingPart):
            self.whole.add_up()


def fill_rows(dW: Any, ids: Array, rows: Array, weights: Array = None) -> None:
    """dW (V, D) = 0, but for the sums of `sum_by_id`, which tells the arguments."""
    if isinstance(dW, RowSparse):
        dW.assign(*sum_by_id(ids, rows, weights))
    else:
        ids, rows = sum_by_id(ids, rows, weights)
        dW[...] = 0
        dW[np.asarray(ids)] = rows


def matched(layer: Layer, size: int | None) -> int:
    """M of a layer whose first parameter W is (D, M); ValueError if `size` is known and not D."""
    D, M = layer.params[0].shape
    if size not in (None, D):
        raise ValueError(f"{type(layer).__name__} takes {D} numbers, and gets {size}")
    return int(M)


def fill_product(out: Array, a: Array, b: Array) -> None:
    """out (D, M) = a (D, N) @ b (N, M), by `dot`, which takes half the time in a small network."""
    try:
        dot(a, b, out)
    except ValueError:  # `out` is a transposed view, as of a tied weight, or of another type
        np.matmul(a, b, out=out)


def fill_sum(out: Array, rows: Array) -> None:
    """out (D,) = the sum of rows (N, D), as a product, which takes half the time."""
    fill_product(out[None], np.ones((1, len(rows)), rows.dtype), rows)


def kept(rng: Any, ratio: float, x: Array) -> Array:
    """1 where an element of x, any shape, stays, else 0, in the dtype of x; drawn in float32."""
    return (rng.random(x.shape, dtype=np.float32) >= ratio).astype(x.dtype)


def scaled_mask(rng: Any, ratio: float, x: Array) -> Array:
    """0 with probability `ratio`, else 1 / (1 - ratio): for x of any shape, whose mean it keeps."""
    mask = np.empty(x.shape, x.dtype)
    fused(fill_mask)(mask, rng.random(x.shape, dtype=np.float32), ratio, 1 - ratio)
    return mask


def fill_mask(mask: Array, u: Array, ratio: float, share: float) -> None:
    """mask = 1 / share where u >= ratio, else 0; mask and u of any shape."""
    mask[...] = u >= ratio
    mask /= share
