"""Recurrent layers: RNN, LSTM and GRU, one step or a whole sequence.

N samples, T time steps, D inputs, H hidden units; sequences are (N, T, ...). `x` is one step, `xs`
has a time axis; `dx` is the gradient of the loss with respect to `x`.

`RNN`, `LSTM` and `GRU` are one step, written to be read. `TimeRNN`, `TimeLSTM` and `TimeGRU` are
the same equations over T steps, arranged so that the loop holds only what depends on the step
before: one product for all inputs comes before the loop, one product for each weight gradient after
that of backward. The loops here are those of NumPy; `common/fused_steps.py` has those of a GPU,
which computes all gates in one product.  Source: book chapters 5 and 6, appendix C.
"""

import math
from typing import Any, ClassVar

from common import fused_steps
from common.checks import checked_mask, checked_ratio, floats
from common.cores import parallel
from common.cuda_graphs import Loop
from common.functions import sigmoid
from common.layers import Layer, scaled_mask
from common.np import Array, np, suited
from common.rng import Seed, device_generator

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ReluRNN",
    "TimeBiLSTM",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "TimeReluRNN",
    "own",
]

SMALL = 1 << 14  # numbers, of which some arrays fit the first cache
ROW_PADDING = 16  # numbers; rows a power of two apart would evict each other from the cache
MOST_SHAPES = 100  # kept as views of a scratch buffer


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
        if floats(self, x).shape != shape:
            raise self._refuse(f"{name} has shape {x.shape} where {shape} is needed")

    def _check_step(self, x: Array, *state: Array) -> None:
        """x must be (N, D), and h_prev (and c_prev) (N, H)."""
        Wx, Wh, _ = self._weights()
        N = floats(self, x).shape[:1]
        self._check(x, "x", (*N, len(Wx)))
        for name, a in zip(("h_prev", "c_prev"), state, strict=False):
            self._check(a, name, (*N, len(Wh)))
        self.y_shape = *N, len(Wh)


class RNN(_Recurrent):
    """One step of a simple recurrent cell:  h = tanh(x @ Wx + h_prev @ Wh + b).

    forward(x (N, D), h_prev (N, H)) -> h (N, H)
    backward(dh) -> dx, dh_prev, with da = dh * (1 - h^2):
        dx = da @ Wx.T,  dh_prev = da @ Wh.T,  dWx = x.T @ da,  dWh = h_prev.T @ da,  db = sum of da
    Raises ValueError if a shape does not fit.  Source: book 5.3.1, (5.9), (5.10).
    """

    activation: ClassVar[str] = "tanh"

    def forward(self, x: Array, h_prev: Array) -> Array:
        Wx, Wh, b = self.params
        self._check_step(x, h_prev)
        h = activate(self.activation, x @ Wx + h_prev @ Wh + b)
        self.cache = x, h_prev, h
        return h.copy()

    def backward(self, dh: Array) -> tuple[Array, Array]:
        self._check_gradient(dh)
        Wx, Wh, _ = self.params
        x, h_prev, h = self.cache
        da = dh * slope(self.activation, h)
        dWx, dWh, db = self.grads
        dWx[...] = x.T @ da
        dWh[...] = h_prev.T @ da
        db[...] = da.sum(axis=0)
        return da @ Wx.T, da @ Wh.T


class ReluRNN(RNN):
    """One step of an `RNN` with another activation:  h = max(0, x @ Wx + h_prev @ Wh + b).

    Backward: da = dh where h > 0, else 0. Otherwise as `RNN`.
    Source: Le et al. 2015, https://arxiv.org/abs/1504.00941.
    """

    activation = "relu"


def activate(activation: str, a: Array, out: Array = None) -> Array:
    """tanh(a), or max(0, a) if the activation is relu; a of any shape."""
    return np.maximum(a, 0, out=out) if activation == "relu" else np.tanh(a, out=out)


def slope(activation: str, h: Array) -> Array:
    """The derivative of an activation where its value is h, of any shape."""
    return (h > 0).astype(h.dtype) if activation == "relu" else 1 - h * h


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
        self._check_gradient(dh)
        self._check_gradient(dc)
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

    z = sigmoid(x @ Wx_z + h_prev @ Wh_z + b_z)         how much of the new state is n
    r = sigmoid(x @ Wx_r + h_prev @ Wh_r + b_r)         how much of the old state the candidate sees
    n = tanh(x @ Wx_n + (r * h_prev) @ Wh_n + b_n)      the candidate state
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
        self._check_gradient(dh)
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
    """What `TimeRNN`, `TimeLSTM` and `TimeGRU` share: the state, the door check, and the inputs.

    Inside, time comes before the samples: states are (T + 1, N, H), of which [t] is the state
    before step t, and pre-activations (k, T, N, H), one of k for each gate. What belongs to one
    step and gate is then contiguous. On a GPU they are (1, T, N, kH), so that a product is one.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Array = None
        self.dh: Array = None
        self.dconstant: Array = None
        self._buffers: dict[str, Array] = {}
        self._views: dict[str, dict[tuple[int, ...], Array]] = {}
        self._steps: dict[Any, tuple[int, Array, list[Any]]] = {}
        self.loops = {"forward": Loop(), "backward": Loop()}  # of a GPU

    @property
    def state(self) -> dict[str, Array]:
        """h (N, H) after the last step; None before the first call."""
        return {"h": self.h}

    def set_state(self, h: Array) -> None:
        """Start the next call, if stateful, from h (N, H); None is zeros."""
        self.h = own(h)

    def _check_sequence(
        self, xs: Array, mask: Array, constant: Array
    ) -> tuple[Array, Array, Array]:
        """Refuse what does not fit -> xs, where there is padding (T, N, 1) or None, constant."""
        Wx, Wh, _ = self._weights()
        xs, D = floats(self, xs, Wx.dtype), len(Wx)
        constant = None if constant is None else floats(self, constant, Wx.dtype)
        if constant is not None and (constant.ndim != 2 or constant.shape[1] > D):
            raise self._refuse(f"constant must be (N, C), C <= {D}, not {constant.shape}")
        C = 0 if constant is None else constant.shape[1]
        if xs.ndim != 3 or xs.shape[2] != D - C or not xs.shape[1]:
            raise self._refuse(f"input must be (N, T, {D - C}) with T > 0, not {xs.shape}")
        N, T, _ = xs.shape
        if constant is not None:
            self._check(constant, "constant", (N, C))
        self.y_shape = N, T, len(Wh)
        if mask is None:
            return xs, None, constant
        return xs, np.asarray(~checked_mask(self, mask, (N, T))).T[:, :, None], constant

    def _start(self, N: int, T: int) -> list[Any]:
        """-> first, and for each state a buffer (T + 1, N, H) whose [0] is the kept one, or zeros.

        first  the first step whose h_prev is not zeros: 0 with a kept h, else 1
        """
        shape = N, len(self.params[1])
        kept = self.state if self.stateful else dict.fromkeys(self.state)
        for name, last in kept.items():
            if last is not None and last.shape != shape:
                raise self._refuse(
                    f"the kept {name} is {last.shape}, this batch needs {shape}; "
                    "reset_state() drops it"
                )
        states = [self.scratch(name, T + 1, *shape) for name in kept]
        for steps, last in zip(states, kept.values(), strict=True):
            steps[0] = 0 if last is None else last
        return [1 if kept["h"] is None else 0, *states]

    def _inputs_forward(self, xs: Array, constant: Array) -> Array:
        """xs (N, T, D) -> xs @ Wx + b, (k, T, N, H), the part of a that needs no h."""
        Wx, _, b = self.params
        (N, T, D), k = xs.shape, suited(self.blocks, 1)
        H = Wx.shape[1] // k
        C = len(Wx) - D  # the rows of Wx that belong to the constant come first
        x = self.scratch("x", T, N, D + 1)
        x[:, :, :D] = xs.swapaxes(0, 1)
        x[:, :, D] = 1  # an input of 1, whose row of W is b: the product adds the bias
        a = self.scratch("a", k, T, N, H)
        W = by_gate(np.concatenate([Wx[C:], b[None]]), k)
        parallel.matmul(x.reshape(T * N, D + 1), W, a.reshape(k, T * N, H))
        constant = own(constant)
        if constant is not None:
            a += np.matmul(constant, by_gate(Wx[:C], k))[:, None]
        self._inputs, self.dconstant = (x, constant), None
        return a

    def _inputs_backward(self, da: Array) -> Array:
        """da (k, T, N, H) -> dxs (N, T, D); fills dWx, db and dconstant."""
        Wx, _, _ = self.params
        dWx, _, db = self.grads
        x, constant = self._inputs
        k, T, N, H = da.shape
        D = x.shape[2] - 1
        C = len(Wx) - D
        rows = da.reshape(k, T * N, H)
        parallel.matmul(x.reshape(T * N, D + 1)[:, :D].T, rows, by_gate(dWx[C:], k))
        np.matmul(np.ones(T * N, da.dtype), rows, out=db.reshape(k, H))  # a sum, but faster
        if constant is not None:
            da_sum = da.sum(axis=1)  # over time: every step got the constant
            np.matmul(constant.T, da_sum, out=by_gate(dWx[:C], k))
            self.dconstant = sum_over_gates(da_sum, by_gate(Wx[:C], k))
        dxs = sum_over_gates(rows, by_gate(Wx[C:], k)).reshape(T, N, D)
        return by_sample(dxs)

    def scratch(self, name: str, *shape: int, dtype: Any = None) -> Array:
        """A scratch buffer, reused between calls: the beginning of the largest of this name.

        Fresh memory costs as much as filling it, because the system clears it first. For a shape
        that has been asked for before, the array is the same one, as recorded loops need it.
        """
        buffer, dtype = self._buffers.get(name), dtype or self.params[1].dtype
        if buffer is None or buffer.shape != shape or buffer.dtype != dtype:
            buffer = self._buffers[name] = self._view(name, shape, dtype)
        return buffer

    def _view(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """The beginning of the largest buffer of this name, or a new one, in this shape (...)."""
        views, size = self._views.get(name, {}), math.prod(shape)
        largest = next(iter(views.values()), None)
        if largest is None or largest.size < size or largest.dtype != dtype:
            views = self._views[name] = {shape: np.empty(shape, dtype)}
        elif shape not in views:
            if len(views) > MOST_SHAPES:
                views = self._views[name] = {largest.shape: largest}
                self._steps.clear()
            views[shape] = largest.reshape(-1)[:size].reshape(shape)
        return views[shape]

    def placed(self, name: str, a: Array, dtype: Any = None) -> Array:
        """A copy of `a`, of any shape, in a scratch buffer; None stays None."""
        if a is None:
            return None
        buffer = self.scratch(name, *a.shape, dtype=dtype)
        buffer[...] = a
        return buffer

    def steps(self, name: str, k: int = 0) -> list[Any]:
        """The T steps (N, H) of a scratch buffer; of (1, T, N, kH), the k gates of each.

        These views are made once for a buffer: making them takes a GPU's loop a third of its time.
        """
        buffer = self._buffers[name]
        made_of, _, views = self._steps.get((name, buffer.shape), (0, None, []))
        if made_of != id(buffer):  # a number, since in a copy of this layer views are copies
            views = [*buffer]
            if k:
                views = [[*step] for step in fused_steps.gates_of(buffer, k).swapaxes(0, 1)]
            self._steps[name, buffer.shape] = id(buffer), buffer, views
        return views

    def _padded_copy(self, W: Array) -> Array:
        """A contiguous copy of W (k, H, H) with padded rows (avoids cache conflicts): the only one.

        For matmul, which takes it as it is; `dot` would copy it once more.
        """
        k, H, _ = W.shape
        copy = self.scratch("W", k, H, H + ROW_PADDING)[:, :, :H]
        copy[...] = W
        return copy


def by_gate(W: Array, k: int) -> Array:
    """W (D, kH) as a view (k, D, H): one matrix for each gate."""
    return W.reshape(len(W), k, W.shape[1] // k).swapaxes(0, 1)


def sum_over_gates(da: Array, W: Array) -> Array:
    """da (k, R, H), W (k, D, H) -> the sum over k of da @ W.T, (R, D)."""
    total = np.empty((da.shape[1], W.shape[1]), da.dtype)

    def work(part: slice) -> None:
        np.matmul(da[0, part], W[0].T, out=total[part])
        for d, w in zip(da[1:], W[1:], strict=True):
            total[part] += d[part].dot(w.T)

    parallel.in_parallel(work, parallel.slices(len(total), parallel.worth(da.size * W.shape[1])))
    return total


def sum_over_steps(h_prev: Array, da: Array, dWh: Array) -> None:
    """Fill dWh (k, H, H) with the sum of h_prev.T @ da, h_prev (T, N, H) and da (k, T, N, H).

    Or dWh (1, H, kH), with da (1, T, N, kH).
    """
    (T, N, H), k = h_prev.shape, len(da)
    parallel.matmul(h_prev.reshape(T * N, H).T, da.reshape(k, T * N, da.shape[3]), dWh)


def by_sample(steps: Array) -> Array:
    """A copy of steps (T, N, H) as sequences (N, T, H)."""
    T, N, H = steps.shape
    sequences = np.empty((N, T, H), steps.dtype)

    def work(rows: slice) -> None:
        sequences[rows] = steps[:, rows].swapaxes(0, 1)

    parallel.in_blocks(work, N, T * H)
    return sequences


def own(a: Array) -> Array:
    """A copy, so that the caller may go on with the array, of any shape; None stays None."""
    return None if a is None else a.copy()


class TimeRNN(_TimeRecurrent):
    """The equation of `RNN` over T steps.   xs (N, T, D) -> hs (N, T, H)

    h = tanh(xs[:, t] @ Wx + h @ Wh + b),  hs[:, t] = h

    forward(xs, mask=None, *, constant=None) -> hs;  backward(dhs (N, T, H)) -> dxs (N, T, D)
    stateful   whether a call starts from the h that the last one left, instead of zeros. Gradients
               never cross calls (truncated backpropagation through time)
    mask       (N, T), an array on the host, False at padding: such a step hands on the state it
               got, and its input has no gradient
    constant   (N, C), an input that is the same at every step. It gives what xs of
               [constant, xs[:, t]] would give, but is multiplied only once. Wx is (C + D, H) then
    h, dh      (N, H) after the last step;  gradient of the h that the call started from
    dconstant  (N, C), gradient of the constant; None without one
    Raises ValueError if a shape does not fit, the kept state's included.  Source: book 5.3.2.
    """

    activation: ClassVar[str] = "tanh"

    def forward(self, xs: Array, mask: Array = None, *, constant: Array = None) -> Array:
        _, Wh, _ = self.params
        xs, padding, constant = self._check_sequence(xs, mask, constant)
        N, T, _ = xs.shape
        first, hs = self._start(N, T)
        a = self._inputs_forward(xs, constant)
        suited(TimeRNN._forward_steps, fused_steps.rnn_forward)(self, a, Wh, hs, padding)
        self.cache = hs, padding, first
        self.set_state(hs[T])
        return by_sample(hs[1:])

    def backward(self, dhs: Array) -> Array:
        self._check_gradient(dhs)
        _, Wh, _ = self.params
        _, dWh, _ = self.grads
        hs, padding, first = self.cache
        T, N, H = hs[1:].shape

        # Independent of later steps: da without its factor dh, the slope of the activation.
        da = self.scratch("da", 1, T, N, H)
        da[0] = slope(self.activation, hs[1:])
        if padding is not None:
            np.copyto(da[0], 0, where=padding)
        steps = suited(TimeRNN._backward_steps, fused_steps.rnn_backward)
        self.dh = steps(self, da, Wh, dhs, padding)

        sum_over_steps(hs[first:T], da[:, first:], dWh[None])
        return self._inputs_backward(da)

    def _forward_steps(self, a: Array, Wh: Array, hs: Array, padding: Array) -> None:
        """Fill hs (T + 1, N, H), given hs[0] and a (1, T, N, H) without h @ Wh."""

        def loop(rows: slice) -> None:
            h = hs[0, rows]
            for t, (inputs, h_next) in enumerate(zip(a[0, :, rows], hs[1:, rows], strict=True)):
                pre = parallel.dot(h, Wh)
                pre += inputs
                activate(self.activation, pre, out=h_next)
                if padding is not None:
                    np.copyto(h_next, h, where=padding[t, rows])
                h = h_next

        parallel.in_parallel(loop, parallel.split(len(hs[0]), len(Wh) // 2))

    def _backward_steps(self, da: Array, Wh: Array, dhs: Array, padding: Array) -> Array:
        """Multiply the slopes da (1, T, N, H) by the gradients of h -> dh (N, H) before step 0."""
        (da,), WhT = da, self.scratch("WhT", *Wh.shape)
        WhT[...] = Wh.T
        all_dh = np.empty_like(da[0])

        def loop(rows: slice) -> None:
            dh, my_da, my_dhs = np.zeros_like(all_dh[rows]), da[:, rows], dhs[rows]
            for t in reversed(range(len(da))):
                dh += my_dhs[:, t]  # h is the output of this step and the input of the next
                da_t = my_da[t]
                da_t *= dh
                dh_prev = parallel.dot(da_t, WhT)
                dh = dh_prev if padding is None else np.where(padding[t, rows], dh, dh_prev)
            all_dh[rows] = dh

        parallel.in_parallel(loop, parallel.split(len(all_dh), len(Wh) // 2))
        return all_dh


class TimeReluRNN(TimeRNN):
    """The equation of `ReluRNN` over T steps.   xs (N, T, D) -> hs (N, T, H)

    h = max(0, xs[:, t] @ Wx + h @ Wh + b),  hs[:, t] = h

    forward, backward, options, attributes and errors: see `TimeRNN`. Nothing bounds h: begin with
    the identity as Wh, and clip gradients.
    Source: Le et al. 2015, https://arxiv.org/abs/1504.00941; book 6.1.
    """

    activation = "relu"


class TimeLSTM(_TimeRecurrent):
    """The equations of `LSTM` over T steps.   xs (N, T, D) -> hs (N, T, H)

    a = xs[:, t] @ Wx + h @ Wh + b, cut into four blocks (N, H), one per gate:
        f = sigmoid(a_f),  g = tanh(a_g),  i = sigmoid(a_i),  o = sigmoid(a_o)
    c = f * c + g * i
    h = o * tanh(c),  hs[:, t] = h

    forward(xs, mask=None, *, constant=None) -> hs
    backward(dhs (N, T, H), dc=None) -> dxs (N, T, D)
        dc (N, H) is the gradient of c after the last step, where that is used
    h, c    (N, H) after the last step;  dh, dc: gradients of the h and c that the call started from
    stateful, mask, constant, dconstant: see `TimeRNN`; a stateful layer keeps h and c

    While `train_flg` is True, two kinds of dropout can act on h @ Wh, each with one mask for all
    steps of a call, scaled as in `TimeDropout`:
    dropconnect_ratio        share of the elements of Wh (H, 4H) that are switched off
    recurrent_dropout_ratio  share of the elements of h (N, H) that are, in this product only
    rng                      seed or Generator of the masks; None follows NumPy's global seed
    Raises ValueError if a shape does not fit, the kept state's included, or for a ratio outside
    0 <= ratio < 1.
    Source: book 6.3; Merity et al. 2018 (DropConnect), https://arxiv.org/abs/1708.02182; Gal and
    Ghahramani 2016 (recurrent dropout), https://arxiv.org/abs/1512.05287.
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

    def forward(self, xs: Array, mask: Array = None, *, constant: Array = None) -> Array:
        _, Wh, _ = self.params
        xs, padding, constant = self._check_sequence(xs, mask, constant)
        N, T, _ = xs.shape
        first, hs, cs = self._start(N, T)
        Wh_mask = self._dropout_mask(self.dropconnect_ratio, Wh)
        h_mask = self._dropout_mask(self.recurrent_dropout_ratio, hs[0])
        Wh = Wh if Wh_mask is None else Wh * Wh_mask
        a = self._inputs_forward(xs, constant)  # pre-activations, still without h @ Wh
        steps = suited(TimeLSTM._forward_steps, fused_steps.lstm_forward)
        kept = steps(self, a, Wh, hs, cs, first, h_mask, padding)
        self.cache = hs, cs, padding, first, Wh_mask, h_mask, kept
        self.set_state(hs[T], cs[T])
        return by_sample(hs[1:])

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        self._check_gradient(dhs)
        _, dWh, _ = self.grads
        hs, cs, padding, first, Wh_mask, h_mask, kept = self.cache
        T = len(hs) - 1
        if dc is not None:
            self._check(dc, "dc", hs[0].shape)

        dc = np.zeros_like(hs[0]) if dc is None else dc.astype(hs.dtype)  # a copy, to write into
        steps = suited(TimeLSTM._backward_steps, fused_steps.lstm_backward)
        da, self.dh, self.dc = steps(self, kept, cs, dhs, dc, h_mask, padding)

        h_prev = hs[first:T] if h_mask is None else hs[first:T] * h_mask
        sum_over_steps(h_prev, da[:, first:], by_gate(dWh, len(da)))
        if Wh_mask is not None:
            dWh *= Wh_mask
        return self._inputs_backward(da)

    def _forward_steps(
        self,
        gates: Array,
        Wh: Array,
        hs: Array,
        cs: Array,
        first: int,
        h_mask: Array,
        padding: Array,
    ) -> tuple[Array, ...]:
        """Fill hs and cs (T + 1, N, H), given their [0] and gates (4, T, N, H) without h @ Wh.

        -> what `_backward_steps` needs beside them
        """
        _, T, N, H = gates.shape
        tanh_cs = self.scratch("tanh_c", T, N, H)
        multiplied = Wh = by_gate(Wh, 4)
        if 4 * H <= N * T:  # with fewer rows, the copy takes longer than it saves
            multiplied = self._padded_copy(Wh)
        # sigmoid(a) = (1 + tanh(a / 2)) / 2, so one tanh serves all four gates of a step.
        scales = np.asarray([0.5, 1, 0.5, 0.5], gates.dtype)[:, None, None]  # g is a tanh as it is
        shifts = 1 - scales
        closed = np.asarray([1, 0, 0, 0], gates.dtype)[:, None, None]  # f = 1 hands on the cell

        gates_t, flat = gates.swapaxes(0, 1), self.scratch("step", N * 4 * H)

        def loop(rows: slice) -> None:
            buffer = flat[4 * H * rows.start : 4 * H * rows.stop].reshape(4, -1, H)
            scale, shift = scales, shifts
            if T > 4 and buffer.size < SMALL:  # of the size of the gates, they take half the time
                scale, shift = np.zeros_like(buffer) + scale, np.zeros_like(buffer) + shift
            h, c = hs[0, rows], cs[0, rows]
            product = parallel.product(len(h), multiplied)
            steps = zip(
                gates_t[:, :, rows], hs[1:, rows], cs[1:, rows], tanh_cs[:, rows], strict=True
            )
            for t, (a, h_next, c_next, tanh_c) in enumerate(steps):
                inputs = a
                if t >= first:  # before, h is zero
                    masked = h if h_mask is None else h * h_mask[rows]
                    inputs = np.add(a, product(masked, multiplied, buffer), out=buffer)
                np.multiply(inputs, scale, out=buffer)
                np.tanh(buffer, out=buffer)
                np.multiply(buffer, scale, out=buffer)
                f, g, i, o = np.add(buffer, shift, out=a)
                if padding is not None:
                    np.copyto(a, closed, where=padding[t, rows])
                np.multiply(f, c, out=c_next)
                c_next += np.multiply(g, i, out=tanh_c)
                np.tanh(c_next, out=tanh_c)
                np.multiply(o, tanh_c, out=h_next)
                if padding is not None:
                    np.copyto(h_next, h, where=padding[t, rows])
                h, c = h_next, c_next

        parallel.in_parallel(loop, parallel.split(N, 4 * H))
        return gates, Wh, tanh_cs

    def _backward_steps(
        self,
        kept: tuple[Array, ...],
        cs: Array,
        dhs: Array,
        dc: Array,
        h_mask: Array,
        padding: Array,
    ) -> tuple[Array, Array, Array]:
        """The gradients da (4, T, N, H), and dh and dc (N, H) before step 0; writes into dc."""
        gates, Wh, tanh_cs = kept
        _, T, N, H = gates.shape
        da = self.scratch("da", *gates.shape)
        dc_by_dh = self.scratch("dc_by_dh", T, N, H)
        WhT = self._padded_copy(Wh.swapaxes(1, 2))
        dh = np.zeros_like(dc)
        steps, das = [*parallel.blocks(slice(0, T), N * H)], da.swapaxes(0, 1)

        def loop(rows: slice) -> None:
            my_dh, my_dc, my_dhs = dh[rows], dc[rows], dhs[rows].swapaxes(0, 1)
            my_das, my_dc_by_dh, my_f = das[:, :, rows], dc_by_dh[:, rows], gates[0, :, rows]
            before, dh_prev = np.empty((4, *my_dh.shape), da.dtype), np.empty_like(my_dh)
            product = parallel.product(len(my_dh), WhT)
            for block in reversed(steps):
                # Independent of later steps, for a block of them that fits the cache: da without
                # its factor dc (dh for da_o), and dc_by_dh, the factor of dh in dc.
                (_, g, i, o), tanh_c = gates[:, block, rows], tanh_cs[block, rows]
                slopes = np.subtract(1, gates[:, block, rows], out=da[:, block, rows])
                slopes *= gates[:, block, rows]  # the slope of sigmoid, y (1 - y)
                da_f, da_g, da_i, da_o = slopes
                np.subtract(1, g * g, out=da_g)  # the slope of tanh
                da_f *= cs[block, rows]  # c before the step
                da_g *= i
                da_i *= g
                da_o *= tanh_c
                np.multiply(o, 1 - tanh_c * tanh_c, out=dc_by_dh[block, rows])

                for t in reversed(range(block.start, block.stop)):
                    my_dh += my_dhs[t]  # h is the output of this step and the input of the next
                    my_dc += np.multiply(my_dh, my_dc_by_dh[t], out=dh_prev)  # by h as well
                    da_t = my_das[t]
                    da_t[:3] *= my_dc
                    da_t[3] *= my_dh
                    my_dc *= my_f[t]
                    np.add.reduce(product(da_t, WhT, before), axis=0, out=dh_prev)
                    if h_mask is not None:
                        dh_prev *= h_mask[rows]
                    if padding is not None:
                        np.copyto(dh_prev, my_dh, where=padding[t, rows])
                    my_dh[...] = dh_prev

        parallel.in_parallel(loop, parallel.split(N, 4 * H))
        return da, dh, dc

    def _dropout_mask(self, ratio: float, x: Array) -> Array:
        """A mask for x, of any shape; None where nothing is switched off."""
        return scaled_mask(self.rng, ratio, x) if ratio and self.train_flg else None


class TimeGRU(_TimeRecurrent):
    """The equations of `GRU` over T steps.   xs (N, T, D) -> hs (N, T, H)

    z = sigmoid(xs[:, t] @ Wx_z + h @ Wh_z + b_z)
    r = sigmoid(xs[:, t] @ Wx_r + h @ Wh_r + b_r)
    n = tanh(xs[:, t] @ Wx_n + (r * h) @ Wh_n + b_n)
    h = (1 - z) * h + z * n,  hs[:, t] = h

    forward, backward, options, attributes and errors: see `TimeRNN`.  Source: book appendix C.
    """

    blocks = 3

    def forward(self, xs: Array, mask: Array = None, *, constant: Array = None) -> Array:
        _, Wh, _ = self.params
        xs, padding, constant = self._check_sequence(xs, mask, constant)
        (N, T, _), H = xs.shape, len(Wh)
        first, hs = self._start(N, T)
        rhs = self.scratch("rh", T, N, H)  # r * h, which n depends on
        a = self._inputs_forward(xs, constant)  # pre-activations, still without h @ Wh
        steps = suited(TimeGRU._forward_steps, fused_steps.gru_forward)
        self.cache = hs, rhs, first, steps(self, a, Wh, hs, rhs, padding)
        self.set_state(hs[T])
        return by_sample(hs[1:])

    def backward(self, dhs: Array) -> Array:
        self._check_gradient(dhs)
        _, dWh, _ = self.grads
        hs, rhs, first, kept = self.cache
        T, H = len(rhs), len(dWh)
        steps = suited(TimeGRU._backward_steps, fused_steps.gru_backward)
        da, self.dh = steps(self, kept, hs, dhs)

        (da_zr, da_n), (dWh_zr, dWh_n) = split_n(da, H), split_n(by_gate(dWh, len(da)), H)
        sum_over_steps(hs[first:T], da_zr[:, first:], dWh_zr)
        sum_over_steps(rhs[first:], da_n[:, first:], dWh_n)
        return self._inputs_backward(da)

    def _forward_steps(
        self, gates: Array, Wh: Array, hs: Array, rhs: Array, padding: Array
    ) -> tuple[Array, Array]:
        """Fill hs (T + 1, N, H) and rhs, given hs[0] and gates (3, T, N, H) without h @ Wh.

        -> what `_backward_steps` needs beside them
        """
        Wh = by_gate(Wh, 3)
        Wh_zr, Wh_n = (copy := self._padded_copy(Wh))[:2], copy[2]

        def loop(rows: slice) -> None:
            buffer = np.empty((3, len(hs[0, rows]), len(Wh[0])), gates.dtype)
            for t in range(len(rhs)):
                h, new, (*_, n) = hs[t, rows], hs[t + 1, rows], gates[:, t, rows]
                zr = np.add(
                    gates[:2, t, rows], parallel.matmul(h, Wh_zr, buffer[:2]), out=buffer[:2]
                )
                zr *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
                np.tanh(zr, out=zr)
                zr *= 0.5
                z, r = np.add(zr, 0.5, out=gates[:2, t, rows])
                if padding is not None:
                    np.copyto(z, 0, where=padding[t, rows])
                rh = np.multiply(r, h, out=rhs[t, rows])
                n += parallel.matmul(rh, Wh_n, buffer[2])
                np.tanh(n, out=n)
                np.subtract(n, h, out=new)  # h + z * (n - h)
                new *= z
                new += h

        parallel.in_parallel(loop, parallel.split(len(hs[0]), 3 * len(Wh[0])))
        return gates, Wh

    def _backward_steps(
        self, kept: tuple[Array, Array], hs: Array, dhs: Array
    ) -> tuple[Array, Array]:
        """The gradients da (3, T, N, H), and dh (N, H) before step 0."""
        gates, Wh = kept
        _, T, N, H = gates.shape

        da, stays = self.scratch("da", *gates.shape), self.scratch("1 - z", T, N, H)
        WhT = self._padded_copy(Wh.swapaxes(1, 2))
        dh = np.zeros_like(hs[0])

        def loop(rows: slice) -> None:
            # Independent of later steps: da without its factor dh (drh for da_r).
            (z, r, n), h_prev, my_dh = gates[:, :, rows], hs[:T, rows], dh[rows]
            np.subtract(1, z, out=stays[:, rows])
            np.multiply((n - h_prev) * z, stays[:, rows], out=da[0, :, rows])
            np.multiply(h_prev * r, 1 - r, out=da[1, :, rows])
            np.multiply(z, 1 - n * n, out=da[2, :, rows])
            buffer, drh = np.empty((2, *my_dh.shape), da.dtype), np.empty_like(my_dh)
            for t in reversed(range(T)):
                my_dh += dhs[rows, t]  # h is the output of this step and the input of the next
                da_z, da_r, da_n = da[:, t, rows]
                da_n *= my_dh
                parallel.matmul(da_n, WhT[2], drh)
                da_z *= my_dh
                da_r *= drh
                my_dh *= stays[t, rows]
                my_dh += np.multiply(drh, r[t], out=drh)
                my_dh += np.add(*parallel.matmul(da[:2, t, rows], WhT[:2], buffer), out=drh)

        parallel.in_parallel(loop, parallel.split(N, 3 * H))
        return da, dh


def split_n(a: Array, H: int) -> tuple[Array, Array]:
    """What belongs to z and r, and to n: a (3, ..., H) by gate, or a (1, ..., 3H) on a GPU."""
    return (a[:2], a[2:]) if len(a) == 3 else (a[..., : 2 * H], a[..., 2 * H :])


class TimeBiLSTM(Layer):
    """Two LSTMs over T steps, one reading forwards, one backwards.   xs (N, T, D) -> hs (N, T, 2H)

    hs = [forward_lstm(xs), backward_lstm(xs[:, ::-1])[:, ::-1]], side by side

    So hs[:, t] holds the first LSTM's summary of xs[:, :t+1] and the second's of xs[:, t:].

    forward(xs, mask=None) -> hs;  backward(dhs (N, T, 2H), dc=None) -> dxs (N, T, D)
    stateful  whether the forward LSTM starts from the state that the last call left. The backward
              one ends a call at the first step of the text, so the next call does not follow on
              from there: it starts from zeros, unless `set_state` has set its state
    h, c      (N, 2H) after the last step of each;  dh, dc: gradients of the ones they started from
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
        forwards = first.forward(xs, mask)
        turned = None if mask is None else mask[:, ::-1]
        hs = forwards, second.forward(xs[:, ::-1], turned)[:, ::-1]
        self.y_shape = *forwards.shape[:2], 2 * forwards.shape[2]
        self.h, self.c = side_by_side(first.h, second.h), side_by_side(first.c, second.c)
        second.reset_state()
        return side_by_side(*hs)

    def backward(self, dhs: Array, dc: Array = None) -> Array:
        self._check_gradient(dhs)
        first, second = self.forward_lstm, self.backward_lstm
        H = len(first.params[1])
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
