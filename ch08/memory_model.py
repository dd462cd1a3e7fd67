"""What machines with an external memory share: a controller, its heads, and a loss of bits.

N samples, T steps, D inputs, M outputs, H hidden units of the controller; the memory has R rows of
W numbers, which K heads read. P numbers, from which the heads take what they need, are the heads'
part of the controller's output.  Source: book 8.5.3; see `common/memory.py`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy

from common.base_model import Chain
from common.checks import floats, on_host
from common.cli import at_least_one
from common.functions import relu, sigmoid, softmax
from common.network import Layer, set_states, states
from common.np import Array, np
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import TimeAffine, TimeLSTM

__all__ = ["CONTROLLERS", "BitLSTM", "BitModel", "BitsWithLoss", "MemoryModel", "TimeMemory"]

CONTROLLERS = {"lstm": 4, "feedforward": 1}  # blocks of columns in Wx and Wh


class TimeMemory(Layer):
    """A controller with a memory, over T steps.   xs (N, T, D) -> ys (N, T, H + K W) = [h, r]

    a = xs[:, t] @ Wx + [h, r] @ Wh + b       h and r of the step before
    h = the LSTM's of a, with its cell c;     or tanh(a), with r alone before Wh, if feed-forward
    p = h @ Wp + bp, (N, P)                   of which some columns go through softplus, sigmoid and
                                              softmax
    r = what the heads read, told by p        `access`, which a subclass has

    forward(xs) -> ys;  backward(dys) -> dxs (N, T, D), through all steps of the call
    max_dw    the largest number in the gradients that go from a step to the one before through what
              the heads keep, but for the memory; larger ones are cut off, since those of a head
              that slips by a row are thousands of times as large as others. None: as they are
    stateful  whether a call starts from what the last one left, instead of an empty memory
    fields    name: shape of what the heads take from p, first those for softplus, then sigmoid,
              softmax (over the last axis) and none; `kinds` says how many names each of them has
    Raises ValueError if a shape does not fit, the kept state's included.
    """

    kinds: tuple[int, int, int] = (0, 0, 0)
    kept: Sequence[str] = ()  # names of the arrays (N, ...) that `access` changes, the memory first

    def __init__(
        self,
        D: int,
        H: int,
        fields: Mapping[str, tuple[int, ...]],
        *,
        memory: tuple[int, int],
        read_heads: int,
        controller: str,
        max_dw: float | None = None,
        rng: Any,
    ) -> None:
        if max_dw is not None and not max_dw > 0:
            raise self._refuse(f"max_dw is above 0, not {max_dw}")
        if controller not in CONTROLLERS:
            choices = " or ".join(CONTROLLERS)
            raise self._refuse(f"the controller is {choices}, not {controller!r}")
        self.memory_size, self.memory_width = memory
        self.max_dw = max_dw
        self.read_heads, self.H, self.recurrent = read_heads, H, controller == "lstm"
        KW = read_heads * self.memory_width
        sizes = [math.prod(shape) for shape in fields.values()]
        ends = numpy.cumsum([0, *sizes]).tolist()
        self.fields = dict(zip(fields, map(slice, ends[:-1], ends[1:]), strict=True))
        self.shapes = fields
        # where the columns for softplus, sigmoid and softmax end
        self.ends = [ends[k] for k in numpy.cumsum(self.kinds).tolist()]
        self.softmax_size = [*fields.values()][sum(self.kinds) - 1][-1]
        rng = generator(rng)
        Wx, Wh, b = recurrent_weights(rng, D, H, CONTROLLERS[controller])
        rows = H + KW if self.recurrent else KW
        Wh = randn(rng, rows, len(b)) / math.sqrt(rows)
        Wp, bp = randn(rng, H, ends[-1]) / math.sqrt(H), np.zeros(ends[-1], dtype="f")
        super().__init__(Wx=Wx, Wh=Wh, b=b, Wp=Wp, bp=bp)
        self.stateful = False
        self.last: dict[str, Array] = dict.fromkeys(
            ["output", *(["c"] if self.recurrent else []), *self.kept]
        )

    @property
    def state(self) -> dict[str, Array]:
        """Arrays (N, ...) after the last step: output [h, r], the cell c, and the memory's own."""
        return self.last

    def set_state(self, **arrays: Array) -> None:
        """Start the next call, if stateful, from these arrays (N, ...)."""
        self.last = self.last | {k: None if a is None else a.copy() for k, a in arrays.items()}

    def output_size(self, size: int | None) -> int | None:
        """H + K W, if the input may be of this width."""
        D = len(self.params[0])
        if size not in (None, D):
            raise ValueError(f"{type(self).__name__} takes {D} numbers, and gets {size}")
        return self.H + self.read_heads * self.memory_width

    def empty(self, N: int) -> dict[str, Array]:
        """The arrays (N, ...) of `kept` that a sequence starts from."""
        raise NotImplementedError

    def access(self, p: dict[str, Array], *state: Array) -> Any:
        """One step of the heads: p (N, ...) by field -> reads (N, K, W), the new state, cache."""
        raise NotImplementedError

    def access_backward(self, dreads: Array, dstate: Any, cache: Any) -> Any:
        """dreads (N, K, W), dstate -> the gradients of p by field, in order, and of the state."""
        raise NotImplementedError

    def forward(self, xs: Array) -> Array:
        Wx, Wh, b, Wp, bp = self._weights()
        xs = floats(self, xs, Wx.dtype)
        if xs.ndim != 3 or xs.shape[2] != len(Wx) or not xs.size:
            raise self._refuse(f"input must be (N, T, {len(Wx)}) with N, T > 0, not {xs.shape}")
        (N, T, D), H, K = xs.shape, self.H, self.read_heads
        width = H + K * self.memory_width
        output, c, state = self._start(N, width)
        x = xs.swapaxes(0, 1).reshape(T * N, D)  # time comes first inside
        a = (x.dot(Wx) + b).reshape(T, N, len(b))
        p = np.empty((T, N, len(bp)), Wx.dtype)
        hr = np.empty((T + 1, N, width), Wx.dtype)
        cs, tanh_c = np.empty((T + 1, N, H), Wx.dtype), np.empty((T, N, H), Wx.dtype)
        hr[0], cs[0] = output, c
        steps = []
        for t in range(T):
            before = hr[t] if self.recurrent else hr[t, :, H:]
            a[t] += before.dot(Wh)
            if self.recurrent:
                h, c, tanh_c[t] = lstm_step(a[t], c)
                cs[t + 1] = c
            else:
                h = np.tanh(a[t], out=a[t])
            np.add(h.dot(Wp), bp, out=p[t])
            self._activate(p[t])
            reads, state, heads = self.access(self._by_field(p[t]), *state)
            hr[t + 1, :, :H] = h
            hr[t + 1, :, H:] = reads.reshape(N, -1)
            steps.append(heads)
        self.cache, self.y_shape = (x, a, cs, tanh_c, hr, p, steps), (N, T, width)
        arrays = [hr[T].copy(), *([c] if self.recurrent else []), *state]
        self.last = dict(zip(self.last, arrays, strict=True))
        return hr[1:].swapaxes(0, 1).copy()

    def backward(self, dys: Array) -> Array:
        self._check_gradient(dys)
        Wx, Wh, _, Wp, _ = self.params
        dWx, dWh, db, dWp, dbp = self.grads
        x, gates, cs, tanh_c, hr, p, steps = self.cache
        (T, N, P), H, K = p.shape, self.H, self.read_heads
        first = 0 if self.recurrent else H
        dhr = np.zeros_like(hr)
        dhr[1:] = dys.swapaxes(0, 1)
        WhT, WpT = Wh.T.copy(), Wp.T.copy()
        slopes, dp = self._slopes(p), np.empty_like(p)
        if self.recurrent:
            da, dc_by_dh = lstm_slopes(gates, cs, tanh_c)
        else:
            da = 1 - gates * gates  # without its factor dh
        dc = np.zeros((N, H), p.dtype)
        dstate = [np.zeros(a.shape, p.dtype) for a in self.empty(N).values()]
        for t in reversed(range(T)):
            dreads = dhr[t + 1, :, H:].reshape(N, K, self.memory_width)
            dfields, dstate = self.access_backward(dreads, dstate, steps[t])
            if self.max_dw is not None:
                dmemory, *others = dstate
                dstate = [dmemory, *(np.clip(d, -self.max_dw, self.max_dw) for d in others)]
            np.concatenate([d.reshape(N, -1) for d in dfields], axis=1, out=dp[t])
            self._activate_backward(dp[t], p[t], slopes[t])
            dh = dhr[t + 1, :, :H] + dp[t].dot(WpT)
            if self.recurrent:
                dc += dh * dc_by_dh[t]  # c reaches the loss through h as well
                da[t, :, :3] *= dc[:, None]
                da[t, :, 3] *= dh
                dc *= gates[t, :, :H]
            else:
                da[t] *= dh
            dhr[t, :, first:] += da[t].reshape(N, -1).dot(WhT)
        rows = da.reshape(T * N, -1)
        dWx[...] = x.T.dot(rows)
        dWh[...] = hr[:-1, :, first:].reshape(T * N, -1).T.dot(rows)
        db[...] = rows.sum(axis=0)
        dWp[...] = hr[1:, :, :H].reshape(T * N, H).T.dot(dp.reshape(T * N, P))
        dbp[...] = dp.reshape(T * N, P).sum(axis=0)
        return rows.dot(Wx.T).reshape(T, N, len(Wx)).swapaxes(0, 1).copy()

    def over_time(self, name: str) -> Array:
        """What the heads took from p in the last forward, by field: (N, T, ...)."""
        p = self.cache[5].swapaxes(0, 1)
        return p[:, :, self.fields[name]].reshape(*p.shape[:2], *self.shapes[name])

    def _start(self, N: int, width: int) -> tuple[Array, Array, list[Array]]:
        """-> output, c and the state that the first step starts from."""
        dtype = self.params[0].dtype
        fresh = {"output": np.zeros((N, width), dtype), "c": np.zeros((N, self.H), dtype)}
        fresh |= {name: a.astype(dtype) for name, a in self.empty(N).items()}
        if self.stateful:
            for name, a in self.last.items():
                if a is not None and a.shape != fresh[name].shape:
                    raise self._refuse(
                        f"the kept {name} is {a.shape}, this batch needs {fresh[name].shape}; "
                        "reset_state() drops it"
                    )
            fresh |= {name: a for name, a in self.last.items() if a is not None}
        return fresh["output"], fresh["c"], [fresh[name] for name in self.kept]

    def _by_field(self, p: Array) -> dict[str, Array]:
        """p (N, P) -> its columns by field, (N, ...)."""
        return {k: p[:, s].reshape(len(p), *self.shapes[k]) for k, s in self.fields.items()}

    def _activate(self, p: Array) -> None:
        """p (N, P) through softplus, sigmoid and softmax, in place."""
        first, second, third = self.ends
        np.logaddexp(p[:, :first], 0, out=p[:, :first])
        gates = p[:, first:second]
        gates *= 0.5  # sigmoid(a) = (1 + tanh(a / 2)) / 2
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        shares = softmax(p[:, second:third].reshape(len(p), -1, self.softmax_size))
        p[:, second:third] = shares.reshape(len(p), -1)

    def _slopes(self, p: Array) -> Array:
        """The slopes of what `_activate` did, (T, N, P); of softmax its output, a factor."""
        first, second, third = self.ends
        slopes = np.ones_like(p)
        slopes[:, :, :first] -= np.exp(-p[:, :, :first])
        gates = p[:, :, first:second]
        slopes[:, :, first:second] = gates * (1 - gates)
        slopes[:, :, second:third] = p[:, :, second:third]
        return slopes

    def _activate_backward(self, dp: Array, p: Array, slopes: Array) -> None:
        """dp (N, P), the gradient after `_activate`, becomes that before it, in place."""
        _, second, third = self.ends
        dp *= slopes
        shape = len(p), -1, self.softmax_size
        d = dp[:, second:third].reshape(shape)
        d = d - p[:, second:third].reshape(shape) * d.sum(axis=2, keepdims=True)
        dp[:, second:third] = d.reshape(len(p), -1)


class BitsWithLoss(Layer):
    """Mean binary cross-entropy over the labelled bits of a batch of sequences.

    loss = -1/L * sum over the L labelled bits of  t log y + (1 - t) log(1 - y),  y = sigmoid(x)

    forward(x (N, T, M), t (N, T, M)) -> loss, a scalar, in nats per bit
        t  0 or 1, -1 where nothing counts
    backward(dout=1) -> (N, T, M), zero where nothing counts
    Raises ValueError for labels of another shape, others than -1, 0 and 1, and if none counts.
    Computed as in `SigmoidWithLoss`, which neither overflows nor takes log(0).
    """

    def forward(self, x: Array, t: Array) -> Array:
        x, t = floats(self, x), on_host(self, t)
        if t.shape != x.shape:
            raise self._refuse(f"labels have shape {t.shape}, scores have {x.shape}")
        if t.dtype.kind not in "iufb" or not numpy.isin(t, (-1, 0, 1)).all():
            raise self._refuse("labels are 0 or 1, or -1 where nothing counts")
        counts = t >= 0
        if not counts.any():
            raise self._refuse("none of the bits has a label")
        weight = (counts / numpy.count_nonzero(counts)).astype(x.dtype)
        self.x, self.t, self.weight = x, np.asarray(t.astype(x.dtype)), np.asarray(weight)
        self.y_shape = ()
        return ((relu(x) - x * self.t + np.log1p(np.exp(-np.abs(x)))) * self.weight).sum()

    def backward(self, dout: float = 1) -> Array:
        return self._loss_factor(dout) * self.weight * (sigmoid(self.x) - self.t)


class BitModel(Chain):
    """Sequences of bits from sequences of numbers: a recurrent layer, an affine layer, a loss.

    xs (N, T, D) -> the recurrent layer -> affine -> scores (N, T, M), above 0 for a bit of 1

    forward(xs, ts (N, T, M)) -> the loss of `BitsWithLoss`, in nats per bit
    settings  what the constructor was given, by name
    stateful  whether a call of `predict` goes on where the last one stopped
    """

    def __init__(self, layer: Any, output_size: int, settings: dict[str, Any], rng: Any) -> None:
        width = layer.output_size(None)
        W = randn(rng, width, output_size) / math.sqrt(width)
        self.layer = layer
        super().__init__([layer, TimeAffine(W, np.zeros(output_size, dtype="f"))], BitsWithLoss())
        self.settings = settings

    def forward(self, x: Array, t: Array) -> Array:
        """The loss for x (N, T, D), t (N, T, M); what is refused leaves the state where it was."""
        before = states(self)
        try:
            return super().forward(x, t)
        except Exception:
            set_states(self, before)
            raise

    @property
    def stateful(self) -> bool:
        """Whether the recurrent layer goes on from its state."""
        return bool(self.layer.stateful)

    @stateful.setter
    def stateful(self, on: bool) -> None:
        self.layer.stateful = on


class BitLSTM(BitModel):
    """The baseline without a memory: an LSTM in place of the machine, see `BitModel`.

    input_size, output_size  D, M;  hidden_size  H of the LSTM
    rng  a seed or NumPy Generator for the first weights; None follows NumPy's global seed
    """

    def __init__(
        self, input_size: int, output_size: int, hidden_size: int = 256, *, rng: Seed = None
    ) -> None:
        settings = {"input_size": input_size, "output_size": output_size}
        settings |= {"hidden_size": hidden_size}
        at_least_one(**settings)
        rng = generator(rng)
        layer = TimeLSTM(*recurrent_weights(rng, input_size, hidden_size, 4))
        super().__init__(layer, output_size, settings, rng)


class MemoryModel(BitModel):
    """A `BitModel` whose recurrent layer is a `TimeMemory`.

    The weights do not depend on the number of rows in the memory, but what they do may; so a file
    is for one number, and `with_memory` is how to ask for another.
    """

    fixed: ClassVar[tuple[str, ...]] = ("memory_size",)

    def __init__(
        self, layer_class: Any, sizes: dict[str, int], options: dict[str, Any], rng: Seed
    ) -> None:
        """Arguments of the model by name, those of at least 1 as `sizes`; ValueError below 1."""
        at_least_one(**sizes)
        settings, rng = sizes | options, generator(rng)
        how: dict[str, Any] = dict(settings)
        D, M, H = (how.pop(name) for name in ("input_size", "output_size", "hidden_size"))
        memory = how.pop("memory_size"), how.pop("memory_width")
        super().__init__(layer_class(D, H, memory=memory, rng=rng, **how), M, settings, rng)

    def with_memory(self, rows: int) -> Any:
        """A new model with these weights and a memory of so many rows.

        Raises ValueError for a memory that the model cannot have.
        """
        other = type(self)(**{**self.settings, "memory_size": rows}, rng=0)
        for p, q in zip(other.params, self.params, strict=True):
            p[...] = q
        return other


def lstm_step(a: Array, c: Array) -> tuple[Array, Array, Array]:
    """The equations of `LSTM`: a (N, 4H), c (N, H) -> h, the new c, tanh(c); a becomes the gates.

    sigmoid(a) = (1 + tanh(a / 2)) / 2, so one tanh serves all four gates.
    """
    H = c.shape[1]
    for gates in a[:, :H], a[:, 2 * H :]:
        gates *= 0.5
    np.tanh(a, out=a)
    for gates in a[:, :H], a[:, 2 * H :]:
        gates *= 0.5
        gates += 0.5
    f, g, i, o = (a[:, k * H : (k + 1) * H] for k in range(4))
    c = f * c + g * i
    tanh_c = np.tanh(c)
    return o * tanh_c, c, tanh_c


def lstm_slopes(gates: Array, cs: Array, tanh_c: Array) -> tuple[Array, Array]:
    """gates (T, N, 4H), cs (T + 1, N, H), tanh_c (T, N, H) -> da (T, N, 4, H), dc_by_dh (T, N, H).

    da is without its factor dc, or dh for the gate o; dc_by_dh is the factor of dh in dc.
    """
    T, N, H = tanh_c.shape
    gates = gates.reshape(T, N, 4, H)
    g, i, o = (gates[:, :, k] for k in (1, 2, 3))
    da = gates * (1 - gates)  # the slope of sigmoid
    da[:, :, 0] *= cs[:-1]
    da[:, :, 1] = i * (1 - g * g)
    da[:, :, 2] *= g
    da[:, :, 3] *= tanh_c
    return da, o * (1 - tanh_c * tanh_c)
