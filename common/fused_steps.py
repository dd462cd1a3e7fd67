"""The loops over time of TimeRNN, TimeLSTM and TimeGRU on a GPU: products, and a kernel between.

N samples, T time steps, H hidden units, k gates. On a GPU a call costs more than its arithmetic, so
a step is one product for all gates, one kernel (`common.np.fused`), and no more. What the kernels
compute stands in `RNN`, `LSTM` and `GRU` of `common/recurrent.py`, where the loops for NumPy are.

layer     lends its scratch buffers, and their steps as views
a         (1, T, N, kH), pre-activations without h @ Wh; in the end, the gates
hs, cs    (T + 1, N, H), of which [t] is the state before step t
padding   (T, N, 1), True where a step hands on the state it got; None if nowhere
"""

from typing import Any

from common.np import Array, fused, np


def rnn_forward(layer: Any, a: Array, Wh: Array, hs: Array, padding: Array) -> None:
    """Fill hs (T + 1, N, H), given hs[0] and a (1, T, N, H)."""
    _, T, N, H = a.shape
    product, step = layer.scratch("product", N, H), fused(rnn_step)
    states, inputs = layer.steps("h"), a[0]
    for t in range(T):
        states[t].dot(Wh, product)
        step(inputs[t], product, states[t + 1])
        if padding is not None:
            np.copyto(states[t + 1], states[t], where=padding[t])


def rnn_step(a: Array, product: Array, h: Array) -> None:
    """h (N, H), from a (N, H) and the product h_prev @ Wh (N, H)."""
    h[...] = np.tanh(a + product)


def rnn_backward(layer: Any, da: Array, Wh: Array, dhs: Array, padding: Array) -> Array:
    """da (1, T, N, H) holds the slopes of tanh, which become the gradients of a -> dh (N, H)."""
    _, T, N, H = da.shape
    dh, product, step = np.zeros((N, H), da.dtype), layer.scratch("product", N, H), fused(rnn_dstep)
    steps, outputs = da[0], dhs.swapaxes(0, 1)
    for t in reversed(range(T)):
        now = steps[t]
        step(now, outputs[t], dh)
        now.dot(Wh.T, product)
        dh, product = handed_back(dh, product, padding, t)
    return dh


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
    _, T, N, kH = a.shape
    product, step = layer.scratch("product", 1, 1, N, kH)[0, 0], fused(lstm_step)
    (products,) = layer.steps("product", 4)
    gates, h, c = layer.steps("a", 4), layer.steps("h"), layer.steps("c")
    for t in range(T):
        (h[t] if h_mask is None else h[t] * h_mask).dot(Wh, product)
        step(*gates[t], *products, c[t], c[t + 1], h[t + 1])
        if padding is not None:
            f, g, i, o = gates[t]
            for gate, closed in (f, 1), (g, 0), (i, 0), (o, 0):  # f = 1 hands on the cell
                np.copyto(gate, closed, where=padding[t])
            np.copyto(c[t + 1], c[t], where=padding[t])
            np.copyto(h[t + 1], h[t], where=padding[t])
    return a, Wh


def lstm_step(
    f: Array,
    g: Array,
    i: Array,
    o: Array,
    product_f: Array,
    product_g: Array,
    product_i: Array,
    product_o: Array,
    c_prev: Array,
    c: Array,
    h: Array,
) -> None:
    """All (N, H): pre-activations without and with h_prev @ Wh -> the gates, in place; c and h."""
    f[...] = sigmoid(f + product_f)
    g[...] = np.tanh(g + product_g)
    i[...] = sigmoid(i + product_i)
    o[...] = sigmoid(o + product_o)
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
    """The gradients da (1, T, N, 4H), and dh and dc (N, H) before step 0; writes into dc."""
    a, Wh = kept
    T, N, H = cs[1:].shape
    da, dc_by_dh = layer.scratch("da", *a.shape), layer.scratch("dc_by_dh", T, N, H)
    fused(lstm_slopes)(*gates_of(a, 4), cs[:-1], cs[1:], *gates_of(da, 4), dc_by_dh)
    gates, das, slopes = layer.steps("a", 4), layer.steps("da", 4), layer.steps("dc_by_dh")
    dh, product, step = np.zeros_like(dc), layer.scratch("dproduct", N, H), fused(lstm_dstep)
    rows, outputs = da[0], dhs.swapaxes(0, 1)
    for t in reversed(range(T)):
        step(*das[t], gates[t][0], slopes[t], outputs[t], dh, dc)
        rows[t].dot(Wh.T, product)
        if h_mask is not None:
            product *= h_mask
        dh, product = handed_back(dh, product, padding, t)
    return da, dh, dc


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
    _, T, N, _ = a.shape
    H = len(Wh)
    Wh_zr, Wh_n = Wh[:, : 2 * H].copy(), Wh[:, 2 * H :].copy()
    product = layer.scratch("product", 1, 1, N, 2 * H)[0, 0]
    n_product = layer.scratch("product n", N, H)
    ((z_product, r_product),) = layer.steps("product", 2)
    gates, h, rh = layer.steps("a", 3), layer.steps("h"), layer.steps("rh")
    first, second = fused(gru_step_zr), fused(gru_step_n)
    for t in range(T):
        z, r, n = gates[t]
        h[t].dot(Wh_zr, product)
        first(z, r, z_product, r_product, h[t], rh[t])
        if padding is not None:
            np.copyto(z, 0, where=padding[t])
        rh[t].dot(Wh_n, n_product)
        second(z, n, n_product, h[t], h[t + 1])
    return a, Wh


def gru_step_zr(
    z: Array, r: Array, z_product: Array, r_product: Array, h_prev: Array, rh: Array
) -> None:
    """All (N, H): pre-activations -> the gates z and r, in place; rh = r * h_prev."""
    z[...] = sigmoid(z + z_product)
    r[...] = sigmoid(r + r_product)
    rh[...] = r * h_prev


def gru_step_n(z: Array, n: Array, n_product: Array, h_prev: Array, h: Array) -> None:
    """All (N, H): pre-activation -> the candidate n, in place; h = (1 - z) * h_prev + z * n."""
    n[...] = np.tanh(n + n_product)
    h[...] = h_prev + z * (n - h_prev)


def gru_backward(
    layer: Any, kept: tuple[Array, Array], hs: Array, dhs: Array
) -> tuple[Array, Array]:
    """The gradients da (1, T, N, 3H), and dh (N, H) before step 0."""
    a, Wh = kept
    T, N, H = hs[1:].shape
    Wh_zr, Wh_n = Wh[:, : 2 * H].copy(), Wh[:, 2 * H :].copy()
    da = layer.scratch("da", *a.shape)
    fused(gru_slopes)(*gates_of(a, 3), hs[:-1], *gates_of(da, 3))
    gates, das, outputs = layer.steps("a", 3), layer.steps("da", 3), dhs.swapaxes(0, 1)
    d_zr, d_n = layer.scratch("d_zr", 1, 1, N, 2 * H)[0, 0], layer.scratch("d_n", N, H)
    ((d_z, d_r),) = layer.steps("d_zr", 2)  # contiguous copies of da, which a product needs
    drh, product = layer.scratch("drh", N, H), np.zeros((N, H), da.dtype)
    dh, first, second = np.zeros_like(product), fused(gru_dstep_n), fused(gru_dstep_zr)
    for t in reversed(range(T)):
        z, r, _ = gates[t]
        dz, dr, dn = das[t]
        first(dn, d_n, outputs[t], product, dh)
        d_n.dot(Wh_n.T, drh)
        second(dz, dr, d_z, d_r, z, r, drh, dh)
        d_zr.dot(Wh_zr.T, product)
    dh += product
    return da, dh


def gru_slopes(
    z: Array, r: Array, n: Array, h_prev: Array, dz: Array, dr: Array, dn: Array
) -> None:
    """All (T, N, H): da without its factor dh (drh for dr)."""
    dz[...] = (n - h_prev) * z * (1 - z)
    dr[...] = h_prev * r * (1 - r)
    dn[...] = z * (1 - n * n)


def gru_dstep_n(dn: Array, d_n: Array, dhs: Array, product: Array, dh: Array) -> None:
    """All (N, H): dh becomes the whole gradient of h, and dn that of n's pre-activation."""
    dh += product + dhs
    dn *= dh
    d_n[...] = dn


def gru_dstep_zr(
    dz: Array, dr: Array, d_z: Array, d_r: Array, z: Array, r: Array, drh: Array, dh: Array
) -> None:
    """All (N, H): dz and dr become gradients, dh that of h_prev but for what comes by z and r."""
    dz *= dh
    dr *= drh
    d_z[...] = dz
    d_r[...] = dr
    dh[...] = dh * (1 - z) + drh * r


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), any shape, as (1 + tanh(a / 2)) / 2, which cannot overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def gates_of(a: Array, k: int) -> Array:
    """a (1, T, N, kH) as a view (k, T, N, H)."""
    _, T, N, kH = a.shape
    return a.reshape(T, N, k, kH // k).transpose(2, 0, 1, 3)


def handed_back(dh: Array, product: Array, padding: Array, t: int) -> tuple[Array, Array]:
    """The gradient (N, H) of the state before step t, and a buffer for the next product.

    dh is that after the step, which padding hands back as it is; the product da @ Wh.T is what
    comes through the step.
    """
    if padding is not None:
        np.copyto(product, dh, where=padding[t])
    return product, dh
