"""Recurrent layers: RNN, LSTM and GRU, one step or a whole sequence.

N samples, T time steps, D inputs, H hidden units; sequences are (N, T, ...). `x` is one step, `xs`
has a time axis; `dx` is the gradient of the loss with respect to `x`.

`RNN`, `LSTM` and `GRU` are one step, written to be read. `TimeRNN`, `TimeLSTM` and `TimeGRU` are
the same equations over T steps, arranged so that the loop holds only what depends on the step
before: all inputs go through one product beforehand, all weight gradients come from one product
afterwards.  Source: book chapters 5 and 6, appendix C.
"""

from typing import Any

from common.checks import checked_ratio
from common.cores.parallel import blocks
from common.functions import sigmoid
from common.layers import Layer, scaled_mask
from common.np import Array, np
from common.rng import Seed, device_generator

BETWEEN_ROWS = 16  # numbers; rows a power of two apart would get in each other's way in the cache


class _Recurrent(Layer):
    """Wx (D, kH), Wh (H, kH), b (kH,), in k blocks of H columns."""

    blocks = 1

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx=Wx, Wh=Wh, b=b)
        H, k = len(Wh), self.blocks
        if Wx.shape[1:] != (k * H,) or Wh.shape != (H, k * H) or b.shape != (k * H,):
            kH = f"{k}H" if k > 1 else "H"
            raise self._refuse(
                f"weights are (D, {kH}), (H, {kH}) and ({kH},), not {Wx.shape}, {Wh.shape}, "
                f"{b.shape}"
            )

    def output_size(self, size: int | None) -> int | None:
        """H, if the input may be of this width."""
        Wx, Wh, _ = self.params
        if size not in (None, len(Wx)):
            raise ValueError(f"{type(self).__name__} takes {len(Wx)} numbers, and gets {size}")
        return len(Wh)

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

    A layer says what happens from step to step in `_steps` and `_steps_backward`, where all that is
    worth reading stands. There, states are (T, N, H) and pre-activations (k, T, N, H), one of k
    blocks for each gate, so that what belongs to a step and a gate is one piece of memory.

    `mask` and `constant` are explained in `TimeRNN`.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Array = None
        self.dh: Array = None
        self.dconstant: Array = None
        self._rooms: dict[str, Array] = {}

    @property
    def state(self) -> dict[str, Array]:
        """h (N, H) after the last step; None before the first call."""
        return {"h": self.h}

    def set_state(self, h: Array) -> None:
        """Start the next call, if stateful, from h (N, H); None is zeros."""
        self.h = own(h)

    def forward(self, xs: Array, mask: Array = None, *, constant: Array = None) -> Array:
        Wx, Wh, _ = self.params
        if constant is not None and (constant.ndim != 2 or constant.shape[1] > len(Wx)):
            raise self._refuse(f"constant must be (N, C), C <= {len(Wx)}, not {constant.shape}")
        C = 0 if constant is None else constant.shape[1]
        if xs.ndim != 3 or xs.shape[2] != len(Wx) - C or not xs.shape[1]:
            raise self._refuse(f"input must be (N, T, {len(Wx) - C}) with T > 0, not {xs.shape}")
        (N, T, _), H = xs.shape, len(Wh)
        if constant is not None:
            self._check(constant, "constant", (N, C))
        padding = None
        if mask is not None:
            self._check(mask, "mask", (N, T))
            padding = np.asarray(~mask.astype(bool)).T[:, :, None]
        start = self._start(N)
        self._started, self._constant, self.dconstant = start[0] is not None, own(constant), None
        self._prepare(N, T)
        states = [self._room(f"state {k}", T + 1, N, H) for k in range(len(start))]
        for sequence, first in zip(states, start, strict=True):
            sequence[0] = 0 if first is None else first
        self._steps(self._inputs(xs), states, padding)
        self.set_state(*(sequence[T] for sequence in states))
        return states[0][1:].swapaxes(0, 1).copy()

    def _backward(self, dhs: Array, *dend: Array) -> tuple[Array, list[Array]]:
        """Fill `grads`; dend are the gradients of the last state -> dxs, those of the first one."""
        Wh = self.params[1]
        T, N, _ = self._rooms["x"].shape
        self._check(dhs, "dhs", (N, T, len(Wh)))
        dstate = [np.zeros((N, len(Wh)), Wh.dtype) for _ in self.state]
        for d, given in zip(dstate[1:], dend, strict=False):
            if given is not None:
                self._check(given, "dc", d.shape)
                d[...] = given
        da, dstart = self._steps_backward(dhs.swapaxes(0, 1), *dstate)
        return self._inputs_backward(da).swapaxes(0, 1).copy(), dstart

    def _steps(self, a: Array, states: list[Array], padding: Array) -> None:
        """Fill states (T + 1, N, H), of which the first is set; a (k, T, N, H) is xs @ Wx + b."""
        raise NotImplementedError

    def _steps_backward(self, dhs: Array, *dstate: Array) -> tuple[Array, list[Array]]:
        """The gradients of a and of the first state, given dstate (N, H), that of the last one."""
        raise NotImplementedError

    def _start(self, N: int) -> list[Array]:
        """The state that this call starts from; None for zeros."""
        shape = N, len(self.params[1])
        start = {name: last if self.stateful else None for name, last in self.state.items()}
        for name, last in start.items():
            if last is not None and last.shape != shape:
                raise self._refuse(
                    f"the kept {name} is {last.shape}, this batch needs {shape}; "
                    "reset_state() drops it"
                )
        return [*start.values()]

    def _prepare(self, N: int, T: int) -> None:
        """Called when the input was found good, before the steps."""

    def _room(self, name: str, *shape: int) -> Array:
        """Room for an array that lasts until the next call: that of the last call, where it fits.

        New memory would have to be cleared by the system, which takes as long as filling it.
        """
        room, dtype = self._rooms.get(name), self.params[1].dtype
        if room is None or room.shape != shape or room.dtype != dtype:
            room = self._rooms[name] = np.empty(shape, dtype)
        return room

    def _copied(self, Wh: Array) -> Array:
        """Wh (k, H, H) in one piece, but for the room between rows."""
        k, H, _ = Wh.shape
        copy = self._room("Wh", k, H, H + BETWEEN_ROWS)[:, :, :H]
        copy[...] = Wh
        return copy

    def _transposed(self, Wh: Array) -> Array:
        """A copy of each block of Wh (k, H, H) with rows and columns exchanged."""
        copy = self._room("WhT", *Wh.shape)
        copy[...] = Wh.swapaxes(1, 2)
        return copy

    def _inputs(self, xs: Array) -> Array:
        """xs (N, T, D) -> xs @ Wx + b as (k, T, N, H).

        b is the row of Wx that belongs to an input of 1, which makes one product of two sums.
        """
        Wx, Wh, b = self.params
        (N, T, D), H, k = xs.shape, len(Wh), self.blocks
        C = len(Wx) - D
        x = self._room("x", T, N, D + 1)
        x[:, :, :D] = xs.swapaxes(0, 1)
        x[:, :, D] = 1
        a = self._room("a", k, T * N, H)
        W = by_block(np.concatenate([Wx[C:], b[None]]), k)
        np.matmul(x.reshape(T * N, D + 1), W, out=a)
        a = a.reshape(k, T, N, H)
        if self._constant is not None:
            a += np.matmul(self._constant, by_block(Wx[:C], k))[:, None]
        return a

    def _inputs_backward(self, da: Array) -> Array:
        """da (k, T, N, H), of the pre-activations, -> dxs (T, N, D); fills the gradients."""
        Wx, _, _ = self.params
        dWx, dWh, db = self.grads
        k, T, N, H = da.shape
        x = self._rooms["x"].reshape(T * N, -1)[:, :-1]
        D = x.shape[1]
        C = len(Wx) - D
        if self._constant is not None:
            da_sum = da.sum(axis=1)
            np.matmul(self._constant.T, da_sum, out=by_block(dWx[:C], k))
            self.dconstant = sum_of_products(da_sum, by_block(Wx[:C], k))
        first = 0 if self._started else 1  # zeros, multiplied by Wh at step 0, add nothing to dWh
        da = da.reshape(k, T * N, H)
        np.matmul(x.T, da, out=by_block(dWx[C:], k))
        np.matmul(np.ones(T * N, da.dtype), da, out=db.reshape(k, H))  # the sum, in less time
        self._fill_dWh(slice(first, T), da[:, first * N :], by_block(dWh, k))
        return sum_of_products(da, by_block(Wx[C:], k)).reshape(T, N, D)

    def _fill_dWh(self, steps: slice, da: Array, dWh: Array) -> None:
        """dWh (k, H, H), given da (k, S * N, H) of these S steps."""
        sum_over_time(self._rooms["state 0"][steps], da, dWh)


def sum_over_time(h_prev: Array, da: Array, dWh: Array) -> None:
    """Fill dWh (k, H, H) with h_prev.T @ da, for h_prev (S, N, H) and da (k, S * N, H)."""
    np.matmul(h_prev.reshape(-1, h_prev.shape[2]).T, da, out=dWh)


def by_block(W: Array, blocks: int) -> Array:
    """W (D, kH) as a view (k, D, H)."""
    return W.reshape(len(W), blocks, W.shape[1] // blocks).swapaxes(0, 1)


def sum_of_products(da: Array, W: Array) -> Array:
    """da (k, R, H), W (k, D, H) -> the sum over k of da @ W.T, (R, D)."""
    total = da[0].dot(W[0].T)
    for d, w in zip(da[1:], W[1:], strict=True):
        total += d.dot(w.T)
    return total


def own(a: Array) -> Array:
    """A copy, so that the caller may go on with the array, of any shape; None stays None."""
    return None if a is None else a.copy()


class TimeRNN(_TimeRecurrent):
    """An RNN over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful  whether a call starts from the h that the last one left, instead of zeros; gradients
              never cross calls (truncated backpropagation through time)
    h   (N, H) after the last step;  dh: gradient of the h it started from
    forward(xs, mask=None, *, constant=None)
        mask      (N, T), an array on the host, is False at padding: such a step hands on the state
                  it got, and its input has no gradient
        constant  (N, C), what every step gets before its own input: the same as xs of
                  [constant, xs[:, t]], but multiplied only once. Wx is (C + D, kH) then
    backward(dhs (N, T, H)) -> dxs (N, T, D);  dconstant: gradient of the constant, None without
    Raises ValueError if a shape does not fit, the kept state's included.  Source: book 5.3.2.
    """

    def _steps(self, a: Array, states: list[Array], padding: Array) -> None:
        Wh, (hs,) = self.params[1], states
        for t in range(a.shape[1]):
            h = hs[t].dot(Wh)
            h += a[0, t]
            np.tanh(h, out=hs[t + 1])
            if padding is not None:
                np.copyto(hs[t + 1], hs[t], where=padding[t])
        self.cache = hs, padding

    def backward(self, dhs: Array) -> Array:
        dxs, (self.dh,) = self._backward(dhs)
        return dxs

    def _steps_backward(self, dhs: Array, *dstate: Array) -> tuple[Array, list[Array]]:
        (dh,) = dstate
        hs, padding = self.cache
        (WhT,) = self._transposed(by_block(self.params[1], 1))
        da = self._room("da", *hs[1:].shape)
        np.multiply(hs[1:], hs[1:], out=da)
        np.subtract(1, da, out=da)
        if padding is not None:
            np.copyto(da, 0, where=padding)
        for t in reversed(range(len(da))):
            dh += dhs[t]  # h went up and to the right
            da[t] *= dh
            through = da[t].dot(WhT)
            dh = before_step(dh, through, None if padding is None else padding[t])
        return da[None], [dh]


class TimeLSTM(_TimeRecurrent):
    """An LSTM over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful  whether a call starts from the h and c that the last one left, instead of zeros;
              gradients never cross calls (truncated backpropagation through time)
    h, c      (N, H) after the last step;  dh, dc: gradients of the h and c it started from
    forward(xs, mask=None, *, constant=None), and dconstant, as for `TimeRNN`
    backward(dhs, dc=None) -> dxs (N, T, D); dc (N, H) is the gradient of c after the last step,
              where that is used

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
        self.dropconnect_ratio = checked_ratio("TimeLSTM: dropconnect_ratio", dropconnect_ratio)
        self.recurrent_dropout_ratio = checked_ratio(
            "TimeLSTM: recurrent_dropout_ratio", recurrent_dropout_ratio
        )
        dropping = dropconnect_ratio or recurrent_dropout_ratio
        self.rng = device_generator(rng) if dropping else None

    @property
    def state(self) -> dict[str, Array]:
        """h and c (N, H) after the last step; None before the first call."""
        return {"h": self.h, "c": self.c}

    def set_state(self, h: Array, c: Array = None) -> None:
        """Start the next call, if stateful, from h and c (N, H); without c, from an empty cell."""
        self.h, self.c = own(h), own(c)

    def _prepare(self, N: int, T: int) -> None:
        Wh = self.params[1]
        self._Wh_mask = self._mask(self.dropconnect_ratio, Wh.shape)
        self._h_mask = self._mask(self.recurrent_dropout_ratio, (N, len(Wh)))
        self._Wh = by_block(Wh if self._Wh_mask is None else Wh * self._Wh_mask, 4)
        if Wh.shape[1] <= N * T:  # then a faster product pays for a copy
            self._Wh = self._copied(self._Wh)

    def _mask(self, ratio: float, shape: tuple[int, ...]) -> Array:
        """A mask; None where nothing is switched off."""
        like = np.empty(shape, self.params[1].dtype)
        return scaled_mask(self.rng, ratio, like) if ratio and self.train_flg else None

    def _steps(self, gates: Array, states: list[Array], padding: Array) -> None:
        (_, *shape), (hs, cs), h_mask = gates.shape, states, self._h_mask
        tanh_cs = self._room("tanh_c", *shape)

        # sigmoid(a) = (1 + tanh(a / 2)) / 2, so one tanh serves all four gates of a step.
        scale = np.asarray([0.5, 1, 0.5, 0.5], gates.dtype)[:, None, None]  # g is a tanh as it is
        shift = 1 - scale
        closed = np.asarray([1, 0, 0, 0], gates.dtype)[:, None, None]  # keeps the cell, hides it
        for t in range(len(tanh_cs)):
            a, c = gates[:, t], cs[t + 1]
            if t or self._started:  # else h is zero
                a += np.matmul(hs[t] if h_mask is None else hs[t] * h_mask, self._Wh)
            a *= scale
            np.tanh(a, out=a)
            a *= scale
            a += shift
            if padding is not None:
                np.copyto(a, closed, where=padding[t])
            f, g, i, o = a
            np.multiply(f, cs[t], out=c)
            c += g * i
            np.tanh(c, out=tanh_cs[t])
            np.multiply(o, tanh_cs[t], out=hs[t + 1])
            if padding is not None:
                np.copyto(hs[t + 1], hs[t], where=padding[t])
        self.cache = gates, cs, tanh_cs, padding

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        dxs, (self.dh, self.dc) = self._backward(dhs, dc)
        if self._Wh_mask is not None:
            self.grads[1][...] *= self._Wh_mask
        return dxs

    def _steps_backward(self, dhs: Array, *dstate: Array) -> tuple[Array, list[Array]]:
        dh, dc = dstate
        gates, cs, tanh_cs, padding = self.cache
        _, T, N, H = gates.shape
        da = self._room("da", *gates.shape)
        WhT = self._transposed(self._Wh)
        for block in reversed([*blocks(slice(0, T), N * H)]):
            # Everything that does not wait for a later step: what dc and dh are multiplied by.
            (f, g, i, o), tanh_c, d = gates[:, block], tanh_cs[block], da[:, block]
            np.subtract(1, gates[:, block], out=d)
            d *= gates[:, block]  # the slope of a sigmoid
            d[1] = 1 - g * g
            for of_gate, factor in zip(d, (cs[block], i, g, tanh_c), strict=True):
                of_gate *= factor
            dc_by_dh = o * (1 - tanh_c * tanh_c)
            for t in reversed(range(block.start, block.stop)):
                dh += dhs[t]  # h went up and to the right
                dc += dh * dc_by_dh[t - block.start]
                da[:3, t] *= dc
                da[3, t] *= dh
                dc *= f[t - block.start]
                through = np.matmul(da[:, t], WhT).sum(axis=0)
                if self._h_mask is not None:
                    through = through * self._h_mask
                dh = before_step(dh, through, None if padding is None else padding[t])
        return da, [dh, dc]

    def _fill_dWh(self, steps: slice, da: Array, dWh: Array) -> None:
        h_prev = self._rooms["state 0"][steps]
        sum_over_time(h_prev if self._h_mask is None else h_prev * self._h_mask, da, dWh)


class TimeGRU(_TimeRecurrent):
    """A GRU over T steps.   xs (N, T, D) -> hs (N, T, H)

    stateful, forward, h, dh, dconstant, backward and errors as for `TimeRNN`.
    Source: book appendix C.
    """

    blocks = 3

    def _steps(self, a: Array, states: list[Array], padding: Array) -> None:
        (_, *shape), (hs,) = a.shape, states
        rhs = self._room("rh", *shape)  # r * h, what the candidate sees
        Wh = self._copied(by_block(self.params[1], 3))
        for t in range(len(rhs)):
            zr, n = a[:2, t], a[2, t]
            zr += np.matmul(hs[t], Wh[:2])
            zr *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
            np.tanh(zr, out=zr)
            zr *= 0.5
            zr += 0.5
            z, r = zr
            if padding is not None:
                np.copyto(z, 0, where=padding[t])
            np.multiply(r, hs[t], out=rhs[t])
            n += rhs[t].dot(Wh[2])
            np.tanh(n, out=n)
            np.subtract(n, hs[t], out=hs[t + 1])
            hs[t + 1] *= z
            hs[t + 1] += hs[t]
        self.cache = a, hs, rhs, Wh

    def backward(self, dhs: Array) -> Array:
        dxs, (self.dh,) = self._backward(dhs)
        return dxs

    def _steps_backward(self, dhs: Array, *dstate: Array) -> tuple[Array, list[Array]]:
        (dh,) = dstate
        a, hs, rhs, Wh = self.cache
        z, r, n = a

        # Everything that does not wait for a later step: what gradients are multiplied by.
        stays = 1 - z
        dn_by_dh = z * (1 - n * n)
        dz_by_dh = (n - hs[:-1]) * z * stays
        dr_by_drh = hs[:-1] * r * (1 - r)

        da = self._room("da", *a.shape)
        WhT = self._transposed(Wh)
        for t in reversed(range(len(rhs))):
            dh += dhs[t]  # h went up and to the right
            da_z, da_r, da_n = da[:, t]
            np.multiply(dh, dn_by_dh[t], out=da_n)
            drh = da_n.dot(WhT[2])
            np.multiply(dh, dz_by_dh[t], out=da_z)
            np.multiply(drh, dr_by_drh[t], out=da_r)
            dh *= stays[t]
            dh += drh * r[t]
            dh += np.matmul(da[:2, t], WhT[:2]).sum(axis=0)
        return da, [dh]

    def _fill_dWh(self, steps: slice, da: Array, dWh: Array) -> None:
        super()._fill_dWh(steps, da[:2], dWh[:2])
        sum_over_time(self._rooms["rh"][steps], da[2:], dWh[2:])  # n saw r * h, not h


def before_step(dh: Array, through: Array, padding: Array) -> Array:
    """The gradient (N, H) of the state before a step, given dh, that of the state after it.

    It is what came back through the step, except where padding (N, 1) is True: such a step handed
    the state on. padding None is none.
    """
    return through if padding is None else np.where(padding, dh, through)


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
        self.forward_lstm = TimeLSTM(Wx1, Wh1, b1, stateful)
        self.backward_lstm = TimeLSTM(Wx2, Wh2, b2, stateful)
        self.hold(forward_lstm=self.forward_lstm, backward_lstm=self.backward_lstm)
        self.names = ["Wx1", "Wh1", "b1", "Wx2", "Wh2", "b2"]
        if Wx1.shape != Wx2.shape:
            raise self._refuse(f"Wx1 is {Wx1.shape}, Wx2 {Wx2.shape}; both must be the same")
        self.stateful = stateful
        self.h: Array = None
        self.c: Array = None
        self.dh: Array = None
        self.dc: Array = None

    def forward(self, xs: Array, mask: Array = None) -> Array:
        first, second = self.forward_lstm, self.backward_lstm
        turned = None if mask is None else mask[..., ::-1]
        hs = first.forward(xs, mask), second.forward(xs[:, ::-1], turned)[:, ::-1]
        self.h, self.c = side_by_side(first.h, second.h), side_by_side(first.c, second.c)
        second.reset_state()
        return side_by_side(*hs)

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        first, second = self.forward_lstm, self.backward_lstm
        H = len(first.params[1])
        if dhs.shape[2:] != (2 * H,):
            raise self._refuse(f"dhs has shape {dhs.shape} where (N, T, {2 * H}) is needed")
        if dc is not None:
            self._check_state(dc)
        dcs = (None, None) if dc is None else (dc[:, :H], dc[:, H:])
        dxs = first.backward(dhs[:, :, :H], dcs[0])
        dxs += second.backward(dhs[:, ::-1, H:], dcs[1])[:, ::-1]
        self.dh, self.dc = side_by_side(first.dh, second.dh), side_by_side(first.dc, second.dc)
        return dxs

    @property
    def state(self) -> dict[str, Array]:
        """h and c (N, 2H) after the last step of each, as another layer may go on from them."""
        return {"h": self.h, "c": self.c}

    def output_size(self, size: int | None) -> int | None:
        """2H, if the input may be of this width."""
        H = self.forward_lstm.output_size(size)
        return None if H is None else 2 * H

    def set_state(self, h: Array, c: Array = None) -> None:
        """Start the next call, if stateful, from h and c (N, 2H); without c, from empty cells.

        Raises ValueError for another width.
        """
        H = len(self.forward_lstm.params[1])
        for a in (h, c):
            if a is not None:
                self._check_state(a)
        self.h, self.c = own(h), own(c)
        for layer, half in (self.forward_lstm, slice(H)), (self.backward_lstm, slice(H, None)):
            layer.set_state(*(None if a is None else a[:, half] for a in (h, c)))

    def _check_state(self, a: Array) -> None:
        H = len(self.forward_lstm.params[1])
        if a.ndim != 2 or a.shape[1] != 2 * H:
            raise self._refuse(f"a state is (N, {2 * H}), not {a.shape}")


def side_by_side(a: Array, b: Array) -> Array:
    """a (..., H) and b (..., H) as (..., 2H)."""
    return np.concatenate([a, b], axis=-1)
