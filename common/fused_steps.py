"""The loops over time of TimeRNN, TimeLSTM and TimeGRU on a GPU: products, and a kernel between.

N samples, T time steps, H hidden units, k gates. On a GPU a call costs more than its arithmetic. So
a step is one product for all gates and one kernel (`fused`), and a loop is recorded once and then
replayed by one call (`cuda_graphs.Loop`). What the kernels compute stands in `RNN`, `LSTM` and
`GRU` of `common/recurrent.py`, where the loops for NumPy are.

A loop works on buffers that stay where they are: those of the layer, into which what a caller hands
in is copied. What a loop leaves there is copied before it is handed out.

layer     lends its scratch buffers, their steps as views, and its `loops`
a         (1, T, N, kH), pre-activations without h @ Wh; in the end, the gates
hs, cs    (T + 1, N, H), of which [t] is the state before step t
padding   (T, N, 1), True where a step hands on the state it got; None if nowhere
"""

from collections.abc import Callable
from typing import Any, TypeVar

from common.cuda_graphs import product
from common.np import Array, fused, np

__all__ = [
    "RECORDED_FROM",
    "gates_of",
    "gru_backward",
    "gru_forward",
    "lstm_backward",
    "lstm_dstep",
    "lstm_forward",
    "lstm_step",
    "rnn_backward",
    "rnn_forward",
]

Result = TypeVar("Result")

RECORDED_FROM = 4  # time steps; math.inf turns recording off


def run(layer: Any, name: str, T: int, work: Callable[[], Result], *arrays: Array) -> Result:
    """Do the work of a loop of T steps on these arrays, of any shape; by a replay if it can be."""
    loop: Callable[..., Result] = layer.loops[name]
    return work() if T < RECORDED_FROM else loop(work, *arrays)


def lasting(layer: Any, Wh: Array) -> Array:
    """Wh (H, kH): the parameter itself, or a copy at a place that stays, as of a masked one."""
    contiguous = Wh.flags.c_contiguous or Wh.flags.f_contiguous
    return Wh if contiguous and Wh is layer.params[1] else layer.placed("Wh", Wh)


def rnn_forward(layer: Any, a: Array, Wh: Array, hs: Array, padding: Array) -> None:
    """Fill hs (T + 1, N, H), given hs[0] and a (1, T, N, H)."""
    T, inputs, states = a.shape[1], a[0], layer.steps("h")
    step = fused(relu_rnn_step if layer.activation == "relu" else rnn_step)
    Wh, padding = lasting(layer, Wh), layer.placed("padding", padding, bool)

    def loop() -> None:
        for t in range(T):
            product(states[t], Wh, inputs[t], add=True)
            step(inputs[t], states[t + 1])
            if padding is not None:
                np.copyto(states[t + 1], states[t], where=padding[t])

    run(layer, "forward", T, loop, a, Wh, hs, padding)


def rnn_step(a: Array, h: Array) -> None:
    """h (N, H), from a (N, H)."""
    h[...] = np.tanh(a)


def relu_rnn_step(a: Array, h: Array) -> None:
    """h (N, H), from a (N, H)."""
    h[...] = np.maximum(a, 0)


def rnn_backward(layer: Any, da: Array, Wh: Array, dhs: Array, padding: Array) -> Array:
    """da (1, T, N, H): slopes of the activation, which become the gradients of a -> dh (N, H)."""
    _, T, N, H = da.shape
    Wh, step, rows = lasting(layer, Wh), fused(rnn_dstep), da[0]
    first, second = layer.scratch("dh", N, H), layer.scratch("dh before", N, H)
    dhs, padding = layer.placed("dhs", dhs.swapaxes(0, 1)), layer.placed("padding", padding, bool)

    def loop() -> Array:
        dh, before = first, second
        np.copyto(dh, 0)
        for t in reversed(range(T)):
            step(rows[t], dhs[t], dh)
            product(rows[t], Wh.T, before)
            dh, before = handed_back(dh, before, padding, t)
        return dh

    return run(layer, "backward", T, loop, da, Wh, dhs, padding, first, second).copy()


def rnn_dstep(da: Array, dhs: Array, dh: Array) -> None:
    """All (N, H): dh becomes the whole gradient of h, and da that of the pre-activation."""
    dh += dhs
    da *= dh


def lstm_forward(
    layer: Any, a: Array, Wh: Array, hs: Array, cs: Array, _: int, h_mask: Array, padding: Array
) -> tuple[Array, Array]:
    """Fill hs and cs, given hs[0] and cs[0], and turn a into the gates f, g, i, o -> a, Wh.

    h_mask  (N, H), which multiplies h before the product, or None
    """
    T, inputs, Wh, step = a.shape[1], a[0], lasting(layer, Wh), fused(lstm_step)
    gates, h, c = layer.steps("a", 4), layer.steps("h"), layer.steps("c")
    h_mask, masked = layer.placed("h_mask", h_mask), layer.scratch("masked h", *hs[0].shape)
    padding = layer.placed("padding", padding, bool)

    def loop() -> None:
        for t in range(T):
            if h_mask is not None:
                np.multiply(h[t], h_mask, out=masked)
            product(h[t] if h_mask is None else masked, Wh, inputs[t], add=True)
            step(*gates[t], c[t], c[t + 1], h[t + 1])
            if padding is not None:
                f, g, i, o = gates[t]
                for gate, closed in (f, 1), (g, 0), (i, 0), (o, 0):  # f = 1 hands on the cell
                    np.copyto(gate, closed, where=padding[t])
                np.copyto(c[t + 1], c[t], where=padding[t])
                np.copyto(h[t + 1], h[t], where=padding[t])

    run(layer, "forward", T, loop, a, Wh, hs, cs, h_mask, masked, padding)
    return a, Wh


def lstm_step(f: Array, g: Array, i: Array, o: Array, c_prev: Array, c: Array, h: Array) -> None:
    """All (N, H): pre-activations -> the gates, in place; c and h."""
    f[...] = sigmoid(f)
    g[...] = np.tanh(g)
    i[...] = sigmoid(i)
    o[...] = sigmoid(o)
    c[...] = f * c_prev + g * i
    h[...] = o * np.tanh(c)


def lstm_backward(
    layer: Any,
    kept: tuple[Array, Array],
    cs: Array,
    dhs: Array,
    dc: Array,
    h_mask: Array,
    padding: Array,
) -> tuple[Array, Array, Array]:
    """The gradients da (1, T, N, 4H), and dh and dc (N, H) before step 0."""
    a, Wh = kept
    T, N, H = cs[1:].shape
    da, dc_by_dh = layer.scratch("da", *a.shape), layer.scratch("dc_by_dh", T, N, H)
    gates, das, slopes = layer.steps("a", 4), layer.steps("da", 4), layer.steps("dc_by_dh")
    first, second = layer.scratch("dh", N, H), layer.scratch("dh before", N, H)
    dhs, dc = layer.placed("dhs", dhs.swapaxes(0, 1)), layer.placed("dc", dc)
    h_mask, padding = layer.placed("h_mask", h_mask), layer.placed("padding", padding, bool)
    rows, step = da[0], fused(lstm_dstep)

    def loop() -> Array:
        fused(lstm_slopes)(*gates_of(a, 4), cs[:-1], cs[1:], *gates_of(da, 4), dc_by_dh)
        dh, before = first, second
        np.copyto(dh, 0)
        for t in reversed(range(T)):
            step(*das[t], gates[t][0], slopes[t], dhs[t], dh, dc)
            product(rows[t], Wh.T, before)
            if h_mask is not None:
                np.multiply(before, h_mask, out=before)
            dh, before = handed_back(dh, before, padding, t)
        return dh

    arrays = a, Wh, cs, da, dc_by_dh, dhs, dc, h_mask, padding, first, second
    dh = run(layer, "backward", T, loop, *arrays)
    return da, dh.copy(), dc.copy()


def lstm_slopes(
    f: Array,
    g: Array,
    i: Array,
    o: Array,
    c_prev: Array,
    c: Array,
    df: Array,
    dg: Array,
    di: Array,
    do: Array,
    dc_by_dh: Array,
) -> None:
    """All (T, N, H): da without its factor dc (dh for do), and dc_by_dh, the factor of dh in dc.

    They depend on no later step, so one kernel computes them for all.
    """
    tanh_c = np.tanh(c)
    df[...] = c_prev * f * (1 - f)
    dg[...] = i * (1 - g * g)
    di[...] = g * i * (1 - i)
    do[...] = tanh_c * o * (1 - o)
    dc_by_dh[...] = o * (1 - tanh_c * tanh_c)


def lstm_dstep(
    df: Array,
    dg: Array,
    di: Array,
    do: Array,
    f: Array,
    dc_by_dh: Array,
    dhs: Array,
    dh: Array,
    dc: Array,
) -> None:
    """All (N, H): slopes become gradients, dh the whole gradient of h, dc that of c_prev."""
    dh += dhs  # h is the output of this step and the input of the next
    dc += dh * dc_by_dh  # c reaches the loss through h as well
    df *= dc
    dg *= dc
    di *= dc
    do *= dh
    dc *= f


def gru_forward(
    layer: Any, a: Array, Wh: Array, hs: Array, rhs: Array, padding: Array
) -> tuple[Array, Array]:
    """Fill hs and rhs = r * h (T, N, H), given hs[0]; turn a into the gates z, r, n -> a, Wh."""
    T, inputs, Wh = len(rhs), a[0], lasting(layer, Wh)
    H = len(Wh)
    Wh_zr, Wh_n = Wh[:, : 2 * H], Wh[:, 2 * H :]
    padding = layer.placed("padding", padding, bool)
    gates, h, rh = layer.steps("a", 3), layer.steps("h"), layer.steps("rh")
    first, second = fused(gru_step_zr), fused(gru_step_n)

    def loop() -> None:
        for t in range(T):
            z, r, n = gates[t]
            product(h[t], Wh_zr, inputs[t, :, : 2 * H], add=True)
            first(z, r, h[t], rh[t])
            if padding is not None:
                np.copyto(z, 0, where=padding[t])
            product(rh[t], Wh_n, n, add=True)
            second(z, n, h[t], h[t + 1])

    run(layer, "forward", T, loop, a, Wh, hs, rhs, padding)
    return a, Wh


def gru_step_zr(z: Array, r: Array, h_prev: Array, rh: Array) -> None:
    """All (N, H): pre-activations -> the gates z and r, in place; rh = r * h_prev."""
    z[...] = sigmoid(z)
    r[...] = sigmoid(r)
    rh[...] = r * h_prev


def gru_step_n(z: Array, n: Array, h_prev: Array, h: Array) -> None:
    """All (N, H): pre-activation -> the candidate n, in place; h = (1 - z) * h_prev + z * n."""
    n[...] = np.tanh(n)
    h[...] = h_prev + z * (n - h_prev)


def gru_backward(
    layer: Any, kept: tuple[Array, Array], hs: Array, dhs: Array
) -> tuple[Array, Array]:
    """The gradients da (1, T, N, 3H), and dh (N, H) before step 0."""
    a, Wh = kept
    T, N, H = hs[1:].shape
    Wh_zr, Wh_n = Wh[:, : 2 * H], Wh[:, 2 * H :]
    da, dhs = layer.scratch("da", *a.shape), layer.placed("dhs", dhs.swapaxes(0, 1))
    gates, das, rows = layer.steps("a", 3), layer.steps("da", 3), da[0]
    dh, drh = layer.scratch("dh", N, H), layer.scratch("drh", N, H)
    first, second = fused(gru_dstep_n), fused(gru_dstep_zr)

    def loop() -> None:
        fused(gru_slopes)(*gates_of(a, 3), hs[:-1], *gates_of(da, 3))
        np.copyto(dh, 0)
        for t in reversed(range(T)):
            z, r, _ = gates[t]
            dz, dr, dn = das[t]
            first(dn, dhs[t], dh)
            product(dn, Wh_n.T, drh)
            second(dz, dr, z, r, drh, dh)
            product(rows[t, :, : 2 * H], Wh_zr.T, dh, add=True)

    run(layer, "backward", T, loop, a, Wh, hs, da, dhs, dh, drh)
    return da, dh.copy()


def gru_slopes(
    z: Array, r: Array, n: Array, h_prev: Array, dz: Array, dr: Array, dn: Array
) -> None:
    """All (T, N, H): da without its factor dh (drh for dr)."""
    dz[...] = (n - h_prev) * z * (1 - z)
    dr[...] = h_prev * r * (1 - r)
    dn[...] = z * (1 - n * n)


def gru_dstep_n(dn: Array, dhs: Array, dh: Array) -> None:
    """All (N, H): dh becomes the whole gradient of h, and dn that of n's pre-activation."""
    dh += dhs
    dn *= dh


def gru_dstep_zr(dz: Array, dr: Array, z: Array, r: Array, drh: Array, dh: Array) -> None:
    """All (N, H): dz and dr become gradients, dh that of h_prev but for what comes by z and r."""
    dz *= dh
    dr *= drh
    dh[...] = dh * (1 - z) + drh * r


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), any shape, as (1 + tanh(a / 2)) / 2, which cannot overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def gates_of(a: Array, k: int) -> Array:
    """a (1, T, N, kH) as a view (k, T, N, H)."""
    _, T, N, kH = a.shape
    return a.reshape(T, N, k, kH // k).transpose(2, 0, 1, 3)


def handed_back(dh: Array, before: Array, padding: Array, t: int) -> tuple[Array, Array]:
    """The gradient (N, H) of the state before step t, and a buffer for that of the one before.

    dh is that after the step, which padding hands back as it is; `before` is da @ Wh.T, what comes
    through the step.
    """
    if padding is not None:
        np.copyto(before, dh, where=padding[t])
    return before, dh
