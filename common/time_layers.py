"""Layers for whole sequences, and the LSTM.

N samples, T time steps, D inputs, H hidden units, V words; sequences are (N, T, ...). `x` is one
step, `xs` has a time axis; `dx` is the gradient of the loss with respect to `x`.

`LSTM` is one step, written to be read. `TimeLSTM` is the same equations over T steps, arranged so
that the loop holds only what depends on the step before: all inputs go through one product
beforehand, all weight gradients come from one product afterwards.  Source: book chapters 5 and 6.
"""

from typing import Any

from common.functions import sigmoid
from common.layers import Affine, Dropout, Embedding, Layer, SoftmaxWithLoss
from common.np import Array, np
from common.rng import Seed

__all__ = [
    "LSTM",
    "TimeAffine",
    "TimeDropout",
    "TimeEmbedding",
    "TimeLSTM",
    "TimeSoftmaxWithLoss",
    "np",
]


class _LSTMWeights(Layer):
    """Wx (D, 4H), Wh (H, 4H), b (4H,): the blocks of columns are f, g, i, o."""

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx, Wh, b)
        H = len(Wh)
        if Wx.shape[1:] != (4 * H,) or Wh.shape != (H, 4 * H) or b.shape != (4 * H,):
            raise self._refuse(
                f"weights are (D, 4H), (H, 4H) and (4H,), not {Wx.shape}, {Wh.shape}, {b.shape}"
            )

    def _check(self, x: Array, name: str, shape: tuple[Any, ...]) -> None:
        if x.shape != shape:
            raise self._refuse(f"{name} has shape {x.shape} where {shape} is needed")


class LSTM(_LSTMWeights):
    """One step of a long short-term memory cell.

    a = x @ Wx + h_prev @ Wh + b, cut into four blocks (N, H), one per gate:
        f = sigmoid(a_f)    how much of the old cell stays
        g = tanh(a_g)       what could be added
        i = sigmoid(a_i)    how much of it is
        o = sigmoid(a_o)    how much of the cell shows
    c = f * c_prev + g * i
    h = o * tanh(c)

    forward(x (N, D), h_prev (N, H), c_prev (N, H)) -> h, c
    backward(dh, dc) -> dx, dh_prev, dc_prev
    Raises ValueError if a shape does not fit.  Source: book 6.2, (6.6) to (6.8).
    """

    def forward(self, x: Array, h_prev: Array, c_prev: Array) -> tuple[Array, Array]:
        Wx, Wh, b = self.params
        N, H = len(x), len(Wh)
        self._check(x, "x", (N, len(Wx)))
        self._check(h_prev, "h_prev", (N, H))
        self._check(c_prev, "c_prev", (N, H))
        f, g, i, o = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        c = f * c_prev + g * i
        tanh_c = np.tanh(c)
        self.cache = x, h_prev, c_prev, f, g, i, o, tanh_c
        return o * tanh_c, c

    def backward(self, dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        Wx, Wh, _ = self.params
        x, h_prev, c_prev, f, g, i, o, tanh_c = self.cache
        dc = dc + dh * o * (1 - tanh_c * tanh_c)  # c reaches the loss through h as well
        da = np.hstack(
            [
                dc * c_prev * f * (1 - f),
                dc * i * (1 - g * g),
                dc * g * i * (1 - i),
                dh * tanh_c * o * (1 - o),
            ]
        )
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ da
        dWh[...] = h_prev.T @ da
        db[...] = da.sum(axis=0)
        return da @ Wx.T, da @ Wh.T, dc * f


class TimeLSTM(_LSTMWeights):
    """An LSTM over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful  whether a call starts from the h and c that the last one left, instead of zeros;
              gradients never cross calls (truncated backpropagation through time)
    h, c      (N, H) after the last step;  dh, dc: gradients of the h and c it started from
    Raises ValueError if a shape does not fit, the kept state's included.  Source: book 6.3.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Array = None
        self.c: Array = None
        self.dh: Array = None
        self.dc: Array = None

    def forward(self, xs: Array) -> Array:
        Wx, Wh, b = self.params
        if xs.ndim != 3 or xs.shape[2] != len(Wx) or not xs.shape[1]:
            raise self._refuse(f"input must be (N, T, {len(Wx)}) with T > 0, not {xs.shape}")
        (N, T, _), H, dtype = xs.shape, len(Wh), Wh.dtype
        # Time first, so that what belongs to a step is one block of memory.
        x = xs.transpose(1, 0, 2).reshape(T * N, len(Wx))
        gates = (x @ Wx).reshape(T, N, 4, H)
        gates += b.reshape(4, H)
        hs, cs = np.empty((T + 1, N, H), dtype), np.empty((T + 1, N, H), dtype)
        hs[0], cs[0] = self._start("h", self.h, N), self._start("c", self.c, N)
        tanh_cs = np.empty((T, N, H), dtype)

        # sigmoid(a) = (1 + tanh(a / 2)) / 2, so one tanh serves all four gates of a step.
        scale = np.full((4, H), 0.5, dtype)
        scale[1] = 1  # g is a tanh as it is
        shift = 1 - scale
        for t in range(T):
            a = gates[t]
            a += (hs[t] @ Wh).reshape(N, 4, H)
            a *= scale
            np.tanh(a, out=a)
            a *= scale
            a += shift
            f, g, i, o = a[:, 0], a[:, 1], a[:, 2], a[:, 3]
            c = cs[t + 1]
            np.multiply(f, cs[t], out=c)
            c += g * i
            np.tanh(c, out=tanh_cs[t])
            np.multiply(o, tanh_cs[t], out=hs[t + 1])
        self.cache = x, hs, cs, tanh_cs, gates
        self.h, self.c = hs[T].copy(), cs[T].copy()
        return np.ascontiguousarray(hs[1:].transpose(1, 0, 2))

    def backward(self, dhs: Array) -> Array:
        Wx, Wh, _ = self.params
        x, hs, cs, tanh_cs, gates = self.cache
        T, N, H = tanh_cs.shape
        self._check(dhs, "dhs", (N, T, H))
        dhs = np.ascontiguousarray(dhs.transpose(1, 0, 2))
        f, g, i, o = (gates[:, :, k] for k in range(4))

        # Everything that does not wait for a later step: what dc and dh are multiplied by.
        da_by_dc = np.empty((T, N, 3, H), Wh.dtype)
        da_by_dc[:, :, 0] = cs[:T] * f * (1 - f)
        da_by_dc[:, :, 1] = i * (1 - g * g)
        da_by_dc[:, :, 2] = g * i * (1 - i)
        da_by_dh = tanh_cs * o * (1 - o)
        dc_by_dh = o * (1 - tanh_cs * tanh_cs)

        da = np.empty_like(gates)
        dh = np.zeros((N, H), Wh.dtype)
        dc = np.zeros((N, H), Wh.dtype)
        for t in reversed(range(T)):
            dh = dh + dhs[t]  # h went up and to the right
            dc += dh * dc_by_dh[t]
            np.multiply(dc[:, None], da_by_dc[t], out=da[t, :, :3])
            np.multiply(dh, da_by_dh[t], out=da[t, :, 3])
            dc *= f[t]
            dh = (Wh @ da[t].reshape(N, 4 * H).T).T  # = da @ Wh.T, which BLAS does half as fast
        self.dh, self.dc = dh, dc

        rows = da.reshape(T * N, 4 * H)
        dWx, dWh, db = self.grads
        np.matmul(x.T, rows, out=dWx)
        np.matmul(hs[:T].reshape(T * N, H).T, rows, out=dWh)
        rows.sum(axis=0, out=db)
        return np.ascontiguousarray((rows @ Wx.T).reshape(T, N, len(Wx)).transpose(1, 0, 2))

    @property
    def state(self) -> tuple[Array, Array]:
        """h and c (N, H) as `set_state` takes them, None before the first call."""
        return self.h, self.c

    def set_state(self, h: Array, c: Array = None) -> None:
        """Start the next call, if stateful, from h and c (N, H); without c, from an empty cell."""
        self.h, self.c = h, c

    def reset_state(self) -> None:
        """Start the next call from zeros."""
        self.h = self.c = None

    def _start(self, name: str, kept: Array, N: int) -> Array:
        """The state that a call with N sequences begins with."""
        shape = (N, len(self.params[1]))
        if not self.stateful or kept is None:
            return np.zeros(shape, self.params[1].dtype)
        if kept.shape != shape:
            raise self._refuse(
                f"the kept {name} is {kept.shape}, this batch needs {shape}; reset_state() drops it"
            )
        return kept


class TimeEmbedding(Embedding):
    """Word vectors of id sequences.   W (V, D), ids (N, T) -> (N, T, D)

    Backward, sparse=True and errors as for `Embedding`.  Source: book 5.4.2.
    """


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
    Raises ValueError if no position is labelled (M = 0).  Source: book 5.4.2, (5.11).
    """

    ndim = 3
    ignore_label = -1


class TimeDropout(Dropout):
    """Switch off a random share of the elements while training, scaling up what stays.

    train_flg True:   ys = xs * mask, mask 0 with probability dropout_ratio, else 1 / (1 - ratio)
    train_flg False:  ys = xs
    A fresh mask for every element of every step. The flag is an attribute, which models set.
    Backward: dxs = dys * mask.  Arguments and errors as for `Dropout`.  Source: book 6.5.2.
    """

    def __init__(self, dropout_ratio: float = 0.5, *, rng: Seed = None) -> None:
        super().__init__(dropout_ratio, rng=rng)
        self.train_flg = True

    def forward(self, xs: Array) -> Array:  # type: ignore[override]
        self.mask = self._kept(xs) / (1 - self.dropout_ratio) if self.train_flg else None
        return xs if self.mask is None else xs * self.mask

    def backward(self, dys: Array) -> Array:
        return dys if self.mask is None else dys * self.mask
