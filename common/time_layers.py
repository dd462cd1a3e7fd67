"""Layers for whole sequences: RNN, LSTM and GRU, and what goes around them.

N samples, T time steps, D inputs, H hidden units, V words; sequences are (N, T, ...). `x` is one
step, `xs` has a time axis; `dx` is the gradient of the loss with respect to `x`.

`RNN`, `LSTM` and `GRU` are one step, written to be read. `TimeRNN`, `TimeLSTM` and `TimeGRU` are
the same equations over T steps, arranged so that the loop holds only what depends on the step
before: all inputs go through one product beforehand, all weight gradients come from one product
afterwards.  Source: book chapters 5 and 6, appendix C.
"""

from typing import Any

from common.functions import sigmoid
from common.layers import (
    Affine,
    Dropout,
    Embedding,
    Layer,
    SigmoidWithLoss,
    SoftmaxWithLoss,
    checked_ratio,
    kept,
)
from common.np import Array, np
from common.parallel import by_rows
from common.rng import Seed, device_generator

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "TimeAffine",
    "TimeBiLSTM",
    "TimeDropout",
    "TimeEmbedding",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "TimeSigmoidWithLoss",
    "TimeSoftmaxWithLoss",
    "np",
]


BLOCK = 1 << 15  # numbers of each array that backward goes through at a time; they fit a cache


class _Recurrent(Layer):
    """Wx (D, kH), Wh (H, kH), b (kH,), in k blocks of H columns."""

    blocks = 1

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx, Wh, b)
        H, k = len(Wh), self.blocks
        if Wx.shape[1:] != (k * H,) or Wh.shape != (H, k * H) or b.shape != (k * H,):
            kH = f"{k}H" if k > 1 else "H"
            raise self._refuse(
                f"weights are (D, {kH}), (H, {kH}) and ({kH},), not {Wx.shape}, {Wh.shape}, "
                f"{b.shape}"
            )

    def _check(self, x: Array, name: str, shape: tuple[Any, ...]) -> None:
        if x.shape != shape:
            raise self._refuse(f"{name} has shape {x.shape} where {shape} is needed")

    def _check_step(self, x: Array, *state: Array) -> None:
        """x must be (N, D), and h_prev (and c_prev) (N, H)."""
        Wx, Wh, _ = self.params
        self._check(x, "x", (len(x), len(Wx)))
        for name, a in zip(("h_prev", "c_prev"), state, strict=False):
            self._check(a, name, (len(x), len(Wh)))


class RNN(_Recurrent):
    """One step of a simple recurrent cell:  h = tanh(x @ Wx + h_prev @ Wh + b).

    forward(x (N, D), h_prev (N, H)) -> h (N, H)
    backward(dh) -> dx, dh_prev, with da = dh * (1 - h^2):
        dx = da @ Wx.T,  dh_prev = da @ Wh.T,  dWx = x.T @ da,  dWh = h_prev.T @ da,  db = sum of da
    Raises ValueError if a shape does not fit.  Source: book 5.3.1, (5.9), (5.10).
    """

    def forward(self, x: Array, h_prev: Array) -> Array:
        Wx, Wh, b = self.params
        self._check_step(x, h_prev)
        h = np.tanh(x @ Wx + h_prev @ Wh + b)
        self.cache = x, h_prev, h
        return h.copy()

    def backward(self, dh: Array) -> tuple[Array, Array]:
        Wx, Wh, _ = self.params
        x, h_prev, h = self.cache
        da = dh * (1 - h * h)
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ da
        dWh[...] = h_prev.T @ da
        db[...] = da.sum(axis=0)
        return da @ Wx.T, da @ Wh.T


class LSTM(_Recurrent):
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

    blocks = 4

    def forward(self, x: Array, h_prev: Array, c_prev: Array) -> tuple[Array, Array]:
        Wx, Wh, b = self.params
        self._check_step(x, h_prev, c_prev)
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


class GRU(_Recurrent):
    """One step of a gated recurrent unit, with blocks of columns z, r, n.

    z = sigmoid(x @ Wx_z + h_prev @ Wh_z + b_z)         how much of the state is new
    r = sigmoid(x @ Wx_r + h_prev @ Wh_r + b_r)         how much of the old one the news may see
    n = tanh(x @ Wx_n + (r * h_prev) @ Wh_n + b_n)      the news
    h = (1 - z) * h_prev + z * n

    Others exchange z and 1 - z, or apply r after the product with Wh_n (PyTorch does both).

    forward(x (N, D), h_prev (N, H)) -> h (N, H)
    backward(dh) -> dx, dh_prev
    Raises ValueError if a shape does not fit.  Source: book appendix C, (C.1) to (C.4); Cho et al.
    2014.
    """

    blocks = 3

    def forward(self, x: Array, h_prev: Array) -> Array:
        Wx, Wh, b = self.params
        self._check_step(x, h_prev)
        H = len(Wh)
        a = x @ Wx + b
        z, r = np.split(sigmoid(a[:, : 2 * H] + h_prev @ Wh[:, : 2 * H]), 2, axis=1)
        n = np.tanh(a[:, 2 * H :] + (r * h_prev) @ Wh[:, 2 * H :])
        self.cache = x, h_prev, z, r, n
        return (1 - z) * h_prev + z * n

    def backward(self, dh: Array) -> tuple[Array, Array]:
        Wx, Wh, _ = self.params
        x, h_prev, z, r, n = self.cache
        H = len(Wh)
        da_n = dh * z * (1 - n * n)
        d_rh = da_n @ Wh[:, 2 * H :].T  # of r * h_prev
        da_z = dh * (n - h_prev) * z * (1 - z)
        da_r = d_rh * h_prev * r * (1 - r)
        da_zr = np.hstack([da_z, da_r])
        da = np.hstack([da_zr, da_n])
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ da
        dWh[:, : 2 * H] = h_prev.T @ da_zr
        dWh[:, 2 * H :] = (r * h_prev).T @ da_n
        db[...] = da.sum(axis=0)
        return da @ Wx.T, dh * (1 - z) + d_rh * r + da_zr @ Wh[:, : 2 * H].T


class _TimeRecurrent(_Recurrent):
    """What the recurrent layers over T steps share: the state, and the products outside the loop.

    Inside, arrays are (T, N, ...), so that what belongs to a step is one block of memory.

    forward(xs, mask=None): mask (N, T), an array on the host, is False at padding: such a step
    hands on the state it got, and its input has no gradient.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Array = None
        self.dh: Array = None
        self._rooms: dict[str, Array] = {}

    @property
    def state(self) -> tuple[Array, ...]:
        """h (N, H) as `set_state` takes it; None before the first call."""
        return (self.h,)

    def set_state(self, h: Array) -> None:
        """Start the next call, if stateful, from h (N, H)."""
        self.h = own(h)

    def reset_state(self) -> None:
        """Start the next call from zeros."""
        self.h = None

    def _begin(self, xs: Array) -> tuple[Array, Array]:
        """xs (N, T, D) -> x (T * N, D + 1), the last column 1; xs @ Wx + b as (T, N, kH).

        b is the row of Wx that belongs to an input of 1, which makes one product of two sums.
        """
        Wx, _, b = self.params
        if xs.ndim != 3 or xs.shape[2] != len(Wx) or not xs.shape[1]:
            raise self._refuse(f"input must be (N, T, {len(Wx)}) with T > 0, not {xs.shape}")
        N, T, D = xs.shape
        x, a = self._room("x", T, N, D + 1), self._room("a", T, N, len(b))
        x[:, :, :D] = xs.swapaxes(0, 1)
        x[:, :, D] = 1
        rows = x.reshape(T * N, D + 1)
        np.dot(rows, np.concatenate([Wx, b[None]]), out=a.reshape(T * N, len(b)))
        return rows, a

    def _states(self, name: str, kept: Array, T: int, N: int) -> Array:
        """Room for the T + 1 values (T + 1, N, H) of a state, of which the first is set."""
        shape = N, len(self.params[1])
        if self.stateful and kept is not None and kept.shape != shape:
            raise self._refuse(
                f"the kept {name} is {kept.shape}, this batch needs {shape}; reset_state() drops it"
            )
        states = self._room(name, T + 1, *shape)
        states[0] = kept if self.stateful and kept is not None else 0
        return states

    def _padding(self, mask: Array, T: int, N: int) -> Array:
        """mask (N, T), False at padding -> (T, N, 1) on the device, True there; None stays None."""
        if mask is None:
            return None
        self._check(mask, "mask", (N, T))
        return np.asarray(~mask.T[:, :, None].astype(bool))

    def _room(self, name: str, *shape: int) -> Array:
        """Room for an array that lasts until the next call: that of the last call, where it fits.

        New memory would have to be cleared by the system, which takes as long as filling it.
        """
        room, dtype = self._rooms.get(name), self.params[1].dtype
        if room is None or room.shape != shape or room.dtype != dtype:
            room = self._rooms[name] = np.empty(shape, dtype)
        return room

    def _end(self, x: Array, h_prev: Array, da: Array) -> Array:
        """Fill the gradients of Wx, Wh and b from those of the pre-activations -> dxs (N, T, D).

        x (T * N, D + 1) is that of `_begin`; h_prev (T, N, H) was multiplied by Wh
        """
        Wx, Wh, _ = self.params
        dWx, dWh, db = self.grads
        T, N, kH = da.shape
        rows = da.reshape(T * N, kH)
        dWx_and_db = x.T.dot(rows)
        dWx[...], db[...] = dWx_and_db[:-1], dWx_and_db[-1]
        np.matmul(h_prev.reshape(T * N, len(Wh)).T, rows, out=dWh)
        return batch_first(rows.dot(Wx.T).reshape(T, N, len(Wx)))


def batch_first(xs: Array) -> Array:
    """(T, N, ...) -> (N, T, ...) or back, as an array of its own."""
    return xs.swapaxes(0, 1).copy()


def own(a: Array) -> Array:
    """A copy, so that the caller may go on with the array; None stays None."""
    return None if a is None else a.copy()


def times_transposed(da: Array, Wh: Array) -> Array:
    """da @ Wh.T for few rows da, in the order that BLAS does twice as fast."""
    return np.ascontiguousarray(Wh.dot(da.T).T)


class TimeRNN(_TimeRecurrent):
    """An RNN over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful  whether a call starts from the h that the last one left, instead of zeros; gradients
              never cross calls (truncated backpropagation through time)
    h   (N, H) after the last step;  dh: gradient of the h it started from
    Raises ValueError if a shape does not fit, the kept state's included.  Source: book 5.3.2.
    """

    def forward(self, xs: Array, mask: Array = None) -> Array:
        _, Wh, _ = self.params
        x, a = self._begin(xs)
        T, N, _ = a.shape
        hs, padding = self._states("h", self.h, T, N), self._padding(mask, T, N)
        for t in range(T):
            h = hs[t].dot(Wh)
            h += a[t]
            np.tanh(h, out=hs[t + 1])
            if padding is not None:
                np.copyto(hs[t + 1], hs[t], where=padding[t])
        self.cache = x, hs, padding
        self.h = hs[T].copy()
        return batch_first(hs[1:])

    def backward(self, dhs: Array) -> Array:
        _, Wh, _ = self.params
        x, hs, padding = self.cache
        T, N, H = hs[1:].shape
        self._check(dhs, "dhs", (N, T, H))
        dhs = dhs.swapaxes(0, 1)
        da = self._room("da", T, N, H)
        np.multiply(hs[1:], hs[1:], out=da)
        np.subtract(1, da, out=da)
        if padding is not None:
            np.copyto(da, 0, where=padding)
        dh = np.zeros((N, H), Wh.dtype)
        for t in reversed(range(T)):
            dh += dhs[t]  # h went up and to the right
            da[t] *= dh
            handed_on = 0 if padding is None else dh * padding[t]
            dh = times_transposed(da[t], Wh)
            dh += handed_on
        self.dh = dh
        return self._end(x, hs[:T], da)


class TimeLSTM(_TimeRecurrent):
    """An LSTM over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful  whether a call starts from the h and c that the last one left, instead of zeros;
              gradients never cross calls (truncated backpropagation through time)
    h, c      (N, H) after the last step;  dh, dc: gradients of the h and c it started from
    backward(dhs, dc=None): dc (N, H) is the gradient of c after the last step, where that is used

    While `train_flg` is True, two kinds of dropout can act on the recurrent product, each with one
    mask for all steps of a call, scaled as in `TimeDropout`:
    dropconnect_ratio        of elements of Wh (H, 4H) that are switched off
    recurrent_dropout_ratio  of elements of h (N, H) that are, where h is multiplied by Wh
    rng                      seed or Generator of the masks; None follows NumPy's global seed
    Raises ValueError if a shape does not fit, the kept state's included, or for a ratio outside
    0 <= ratio < 1.
    Source: book 6.3; Merity et al. 2018 (DropConnect), https://arxiv.org/abs/1708.02182; Gal and
    Ghahramani 2016 (the other), https://arxiv.org/abs/1512.05287.
    """

    blocks = 4

    def __init__(
        self,
        Wx: Array,
        Wh: Array,
        b: Array,
        stateful: bool = False,
        *,
        dropconnect_ratio: float = 0.0,
        recurrent_dropout_ratio: float = 0.0,
        rng: Seed = None,
    ) -> None:
        super().__init__(Wx, Wh, b, stateful)
        self.c: Array = None
        self.dc: Array = None
        self.train_flg = True
        self.dropconnect_ratio = checked_ratio("TimeLSTM: dropconnect_ratio", dropconnect_ratio)
        self.recurrent_dropout_ratio = checked_ratio(
            "TimeLSTM: recurrent_dropout_ratio", recurrent_dropout_ratio
        )
        dropping = dropconnect_ratio or recurrent_dropout_ratio
        self.rng = device_generator(rng) if dropping else None

    @property
    def state(self) -> tuple[Array, ...]:
        """h and c (N, H) as `set_state` takes them; None before the first call."""
        return self.h, self.c

    def set_state(self, h: Array, c: Array = None) -> None:
        """Start the next call, if stateful, from h and c (N, H); without c, from an empty cell."""
        self.h, self.c = own(h), own(c)

    def reset_state(self) -> None:
        """Start the next call from zeros."""
        self.h = self.c = None

    def forward(self, xs: Array, mask: Array = None) -> Array:
        x, a = self._begin(xs)
        (T, N, _), H = a.shape, len(self.params[1])
        padding = self._padding(mask, T, N)
        hs, cs = self._states("h", self.h, T, N), self._states("c", self.c, T, N)
        tanh_cs = self._room("tanh_c", T, N, H)
        Wh = self.params[1]
        Wh_mask = self._mask(self.dropconnect_ratio, Wh)
        h_mask = self._mask(self.recurrent_dropout_ratio, hs[0])
        if Wh_mask is not None:
            Wh = Wh * Wh_mask
        gates = a.reshape(T, N, 4, H)

        # sigmoid(a) = (1 + tanh(a / 2)) / 2, so one tanh serves all four gates of a step.
        scale = np.full((4, H), 0.5, a.dtype)
        scale[1] = 1  # g is a tanh as it is
        shift = 1 - scale
        closed = np.asarray([1, 0, 0, 0], a.dtype)[:, None]  # keeps the cell, hides it

        def steps(rows: slice) -> None:
            for t in range(T):
                a, c, h = gates[t, rows], cs[t + 1, rows], hs[t, rows]
                a += (h if h_mask is None else h * h_mask[rows]).dot(Wh).reshape(a.shape)
                a *= scale
                np.tanh(a, out=a)
                a *= scale
                a += shift
                if padding is not None:
                    np.copyto(a, closed, where=padding[t, rows, :, None])
                f, g, i, o = a[:, 0], a[:, 1], a[:, 2], a[:, 3]
                np.multiply(f, cs[t, rows], out=c)
                c += g * i
                np.tanh(c, out=tanh_cs[t, rows])
                np.multiply(o, tanh_cs[t, rows], out=hs[t + 1, rows])
                if padding is not None:
                    np.copyto(hs[t + 1, rows], h, where=padding[t, rows])

        by_rows(steps, N, 4 * H)
        self.cache = x, hs, cs, tanh_cs, gates, Wh, Wh_mask, h_mask, padding
        self.h, self.c = hs[T].copy(), cs[T].copy()
        return batch_first(hs[1:])

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        x, hs, cs, tanh_cs, gates, Wh, Wh_mask, h_mask, padding = self.cache
        T, N, H = tanh_cs.shape
        self._check(dhs, "dhs", (N, T, H))
        dhs = dhs.swapaxes(0, 1)
        da = self._room("da", T, N, 4, H)
        dh_start = np.zeros((N, H), Wh.dtype)
        dc_start = np.zeros((N, H), Wh.dtype) if dc is None else dc.copy()
        self._check(dc_start, "dc", (N, H))

        def steps(rows: slice) -> None:
            dh, dc = dh_start[rows], dc_start[rows]
            size = max(1, BLOCK // dh.size)
            for first in reversed(range(0, T, size)):
                # Everything that does not wait for a later step: what dc and dh are multiplied by.
                block = slice(first, min(first + size, T)), rows
                f, g, i, o = (gates[block][:, :, k] for k in range(4))
                tanh_c, d = tanh_cs[block], da[block]
                d[:, :, 0] = cs[block] * f * (1 - f)
                d[:, :, 1] = i * (1 - g * g)
                d[:, :, 2] = g * i * (1 - i)
                d[:, :, 3] = tanh_c * o * (1 - o)
                dc_by_dh = o * (1 - tanh_c * tanh_c)
                for k in reversed(range(len(d))):
                    t = first + k
                    dh += dhs[t, rows]  # h went up and to the right
                    dc += dh * dc_by_dh[k]
                    d[k, :, :3] *= dc[:, None]
                    d[k, :, 3] *= dh
                    dc *= f[k]
                    if padding is not None:
                        handed_on = dh * padding[t, rows]
                    dh[...] = times_transposed(d[k].reshape(len(dh), 4 * H), Wh)
                    if h_mask is not None:
                        dh *= h_mask[rows]
                    if padding is not None:
                        dh += handed_on

        by_rows(steps, N, 4 * H)
        self.dh, self.dc = dh_start, dc_start
        h_prev = hs[:T] if h_mask is None else hs[:T] * h_mask
        dxs = self._end(x, h_prev, da.reshape(T, N, 4 * H))
        if Wh_mask is not None:
            self.grads[1][...] *= Wh_mask
        return dxs

    def _mask(self, ratio: float, x: Array) -> Array:
        """A mask for x; None where nothing is switched off."""
        return scaled_mask(self.rng, ratio, x) if ratio and self.train_flg else None


class TimeGRU(_TimeRecurrent):
    """A GRU over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful, h, dh and errors as for `TimeRNN`.  Source: book appendix C.
    """

    blocks = 3

    def forward(self, xs: Array, mask: Array = None) -> Array:
        _, Wh, _ = self.params
        x, a = self._begin(xs)
        (T, N, _), H = a.shape, len(Wh)
        hs, padding = self._states("h", self.h, T, N), self._padding(mask, T, N)
        rhs = self._room("rh", T, N, H)  # r * h, what the candidate sees
        zr, n = a[:, :, : 2 * H], a[:, :, 2 * H :]
        Wh_zr, Wh_n = (np.ascontiguousarray(W) for W in (Wh[:, : 2 * H], Wh[:, 2 * H :]))
        for t in range(T):
            gates, new = zr[t], n[t]
            gates += hs[t].dot(Wh_zr)
            gates *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
            np.tanh(gates, out=gates)
            gates *= 0.5
            gates += 0.5
            z, r = gates[:, :H], gates[:, H:]
            if padding is not None:
                np.copyto(z, 0, where=padding[t])
            np.multiply(r, hs[t], out=rhs[t])
            new += rhs[t].dot(Wh_n)
            np.tanh(new, out=new)
            np.subtract(new, hs[t], out=hs[t + 1])
            hs[t + 1] *= z
            hs[t + 1] += hs[t]
        self.cache = x, hs, rhs, a, Wh_zr, Wh_n
        self.h = hs[T].copy()
        return batch_first(hs[1:])

    def backward(self, dhs: Array) -> Array:
        x, hs, rhs, a, Wh_zr, Wh_n = self.cache
        T, N, H = rhs.shape
        self._check(dhs, "dhs", (N, T, H))
        dhs = dhs.swapaxes(0, 1)
        z, r, n = (a[:, :, k * H : (k + 1) * H] for k in range(3))

        # Everything that does not wait for a later step: what gradients are multiplied by.
        stays = 1 - z
        dn_by_dh = z * (1 - n * n)
        dz_by_dh = (n - hs[:T]) * z * stays
        dr_by_drh = hs[:T] * r * (1 - r)

        da = self._room("da", *a.shape)
        dh = np.zeros((N, H), a.dtype)
        for t in reversed(range(T)):
            dh = dh + dhs[t]  # h went up and to the right
            da_z, da_r, da_n = (da[t, :, k * H : (k + 1) * H] for k in range(3))
            np.multiply(dh, dn_by_dh[t], out=da_n)
            drh = times_transposed(da_n, Wh_n)
            np.multiply(dh, dz_by_dh[t], out=da_z)
            np.multiply(drh, dr_by_drh[t], out=da_r)
            dh *= stays[t]
            dh += drh * r[t]
            dh += times_transposed(da[t, :, : 2 * H], Wh_zr)
        self.dh = dh
        dxs = self._end(x, hs[:T], da)
        rows = da.reshape(T * N, 3 * H)[:, 2 * H :]
        self.grads[1][:, 2 * H :] = rhs.reshape(T * N, H).T.dot(rows)  # n saw r * h, not h
        return dxs


class TimeBiLSTM(Layer):
    """Two LSTMs over T steps, one reading forwards, one backwards.   xs (N, T, D) -> hs (N, T, 2H)

    hs[:, t] is what the first has made of xs[:, :t+1], beside what the second has made of
    xs[:, t:], read from the end. The weights of the first come first.

    stateful    whether the first goes on from where the last call stopped. For the second, whose
                last step is the first of the text, there is nothing to go on from: unless
                `set_state` says otherwise, it starts from zeros
    h, c        (N, 2H) after the last step of each;  dh, dc: gradients of what they started from
    Raises ValueError as `TimeLSTM` does, and for LSTMs of different sizes.
    Source: book 8.4.1; Schuster and Paliwal 1997.
    """

    def __init__(
        self,
        Wx1: Array,
        Wh1: Array,
        b1: Array,
        Wx2: Array,
        Wh2: Array,
        b2: Array,
        stateful: bool = False,
    ) -> None:
        self.forwards = TimeLSTM(Wx1, Wh1, b1, stateful)
        self.backwards = TimeLSTM(Wx2, Wh2, b2, stateful)
        self.params = self.forwards.params + self.backwards.params
        self.grads = self.forwards.grads + self.backwards.grads
        if Wx1.shape != Wx2.shape:
            raise self._refuse(f"Wx1 is {Wx1.shape}, Wx2 {Wx2.shape}; both must be the same")
        self.stateful = stateful
        self.h: Array = None
        self.c: Array = None
        self.dh: Array = None
        self.dc: Array = None

    def forward(self, xs: Array, mask: Array = None) -> Array:
        first, second = self.forwards, self.backwards
        turned = None if mask is None else mask[:, ::-1]
        hs = first.forward(xs, mask), second.forward(xs[:, ::-1], turned)[:, ::-1]
        self.h, self.c = side_by_side(first.h, second.h), side_by_side(first.c, second.c)
        second.reset_state()
        return side_by_side(*hs)

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        first, second = self.forwards, self.backwards
        H = len(first.params[1])
        if dhs.shape[2:] != (2 * H,):
            raise self._refuse(f"dhs has shape {dhs.shape} where (N, T, {2 * H}) is needed")
        dcs = (None, None) if dc is None else (dc[:, :H], dc[:, H:])
        dxs = first.backward(dhs[:, :, :H], dcs[0])
        dxs += second.backward(dhs[:, ::-1, H:], dcs[1])[:, ::-1]
        self.dh, self.dc = side_by_side(first.dh, second.dh), side_by_side(first.dc, second.dc)
        return dxs

    @property
    def state(self) -> tuple[Array, ...]:
        """h and c (N, 2H) after the last step of each, as another layer may go on from them."""
        return self.h, self.c

    def set_state(self, h: Array, c: Array = None) -> None:
        """Start the next call, if stateful, from h and c (N, 2H); without c, from empty cells.

        Raises ValueError for another width.
        """
        H = len(self.forwards.params[1])
        for a in (h, c):
            if a is not None and a.shape[1:] != (2 * H,):
                raise self._refuse(f"the state is (N, {2 * H}), not {a.shape}")
        self.h, self.c = own(h), own(c)
        for layer, half in (self.forwards, slice(H)), (self.backwards, slice(H, None)):
            layer.set_state(*(None if a is None else a[:, half] for a in (h, c)))

    def reset_state(self) -> None:
        """Start the next call from zeros."""
        self.set_state(None)


def side_by_side(a: Array, b: Array) -> Array:
    """a (..., H) and b (..., H) as (..., 2H)."""
    return np.concatenate([a, b], axis=-1)


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


class TimeSigmoidWithLoss(SigmoidWithLoss):
    """Mean binary cross-entropy over all positions of a batch of sequences.

    loss = -1/(N T) * sum over (n, t) of  ts log y + (1 - ts) log(1 - y),  y = sigmoid(xs)

    forward(xs (N, T), ts (N, T)) -> loss, in nats per position;  backward(dout=1) -> (N, T)
    Raises ValueError for scores that are not (N, T), and as `SigmoidWithLoss` does.
    Source: book, common/time_layers.py.
    """

    def forward(self, x: Array, t: Array) -> Array:
        if x.ndim != 2:
            raise self._refuse(f"scores need 2 dimensions, not shape {x.shape}")
        return super().forward(x, t)


class TimeDropout(Dropout):
    """Switch off a random share of the elements while training, scaling up what stays.

    train_flg True:   ys = xs * mask, mask 0 with probability dropout_ratio, else 1 / (1 - ratio)
    train_flg False:  ys = xs
    The flag is an attribute, which models set.
    variational  False: a fresh mask for every element of every step; True: one mask (N, 1, D) for
                 all steps of a call (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287)
    Backward: dxs = dys * mask.  Other arguments and errors as for `Dropout`.  Source: book 6.5.2.
    """

    def __init__(
        self, dropout_ratio: float = 0.5, *, variational: bool = False, rng: Seed = None
    ) -> None:
        super().__init__(dropout_ratio, rng=rng)
        self.variational = variational
        self.train_flg = True

    def forward(self, xs: Array) -> Array:  # type: ignore[override]
        like = xs[:, :1] if self.variational else xs
        self.mask = scaled_mask(self.rng, self.dropout_ratio, like) if self.train_flg else None
        return xs if self.mask is None else xs * self.mask

    def backward(self, dys: Array) -> Array:
        return dys if self.mask is None else dys * self.mask


def scaled_mask(rng: Any, ratio: float, x: Array) -> Array:
    """Zeros with probability `ratio`, else 1 / (1 - ratio), so that the mean of x stays."""
    return kept(rng, ratio, x) / (1 - ratio)
