"""Attention: what a decoder takes from all states of an encoder, by weights of its own choice.

N samples, T steps of the encoder, S steps of the decoder, H hidden units. hs (N, T, H) are the
encoder's states, h (N, H) is one state of the decoder; a (N, T) are the weights, one for each step
of the encoder, and c (N, H) is the context, the states weighted with a.

`WeightSum`, `AttentionWeight` and `Attention` are one step of the decoder, written to be read;
`TimeAttention` is the same for all S steps at once. How well a state of the encoder goes with one
of the decoder is a score, of which there are four kinds: `DotScore`, `ScaledDotScore`,
`GeneralScore` and `AdditiveScore`. The multi-head attention of the Transformer is in
`common/multi_head.py`.
mask (N, T), where given, is an array on the host that is False at padding, which gets weight 0.
Source: book 8.1; Luong et al. 2015, https://arxiv.org/abs/1508.04025.
"""

import math
from typing import Any

from common.checks import checked_mask, floats, name_of
from common.cores.parallel import matmul
from common.functions import softmax
from common.layers import Layer, Softmax, fill_product
from common.np import Array, np

__all__ = [
    "AdditiveScore",
    "Attention",
    "AttentionWeight",
    "DotScore",
    "GeneralScore",
    "ScaledDotScore",
    "TimeAttention",
    "WeightSum",
    "np",
]


class DotScore(Layer):
    """s[n, s, t] = sum over j of hs_dec[n, s, j] hs_enc[n, t, j]

    forward(hs_enc (N, T, H), hs_dec (N, S, H)) -> s (N, S, T)
    backward(ds) -> dhs_enc = ds.T @ hs_dec,  dhs_dec = ds @ hs_enc
    Raises ValueError if the shapes do not fit.  Source: book 8.1.4, (8.1).
    """

    cache: Any

    def __init__(self) -> None:
        super().__init__()

    def forward(self, hs_enc: Array, hs_dec: Array) -> Array:
        hs_enc, hs_dec = self._states(hs_enc, hs_dec)
        if hs_enc.shape[2] != hs_dec.shape[2]:
            raise self._misfit(hs_enc, hs_dec)
        self.cache = hs_enc, hs_dec
        return self._kept_shape(matmul(hs_dec, hs_enc.swapaxes(1, 2)))

    def backward(self, ds: Array) -> tuple[Array, Array]:
        self._check_gradient(ds)
        hs_enc, hs_dec = self.cache
        return matmul(ds.swapaxes(1, 2), hs_dec), matmul(ds, hs_enc)

    def _states(self, hs_enc: Array, hs_dec: Array) -> tuple[Array, Array]:
        """Refuse what cannot be states of N samples."""
        dtype = self.params[0].dtype if self.params else "float64"
        hs_enc, hs_dec = floats(self, hs_enc, dtype), floats(self, hs_dec, dtype)
        fit = hs_enc.ndim == hs_dec.ndim == 3 and len(hs_enc) == len(hs_dec)
        if not fit or not hs_enc.shape[1]:
            raise self._misfit(hs_enc, hs_dec)
        return hs_enc, hs_dec

    def _misfit(self, hs_enc: Array, hs_dec: Array) -> ValueError:
        weights = "".join(f", {n} {p.shape}" for n, p in zip(self.names, self.params, strict=True))
        return self._refuse(
            f"states are (N, T, H) and (N, S, H), not {hs_enc.shape} and {hs_dec.shape}{weights}"
        )

    def _kept_shape(self, s: Array) -> Array:
        self.y_shape = s.shape
        return s


class ScaledDotScore(DotScore):
    """s = hs_dec @ hs_enc.T / sqrt(H), so that scores do not grow with H and saturate the softmax.

    hs_enc (N, T, H), hs_dec (N, S, H) -> s (N, S, T). Backward: that of `DotScore`, of
    ds / sqrt(H). Errors as there.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, 3.2.1.
    """

    def forward(self, hs_enc: Array, hs_dec: Array) -> Array:
        s = super().forward(hs_enc, hs_dec)
        s /= math.sqrt(hs_enc.shape[2])
        return s

    def backward(self, ds: Array) -> tuple[Array, Array]:
        self._check_gradient(ds)
        return super().backward(ds / math.sqrt(self.cache[0].shape[2]))


class GeneralScore(DotScore):
    """s = hs_dec @ W @ hs_enc.T.   W (H_dec, H_enc)

    forward(hs_enc (N, T, H_enc), hs_dec (N, S, H_dec)) -> s (N, S, T)
    backward(ds) -> dhs_enc = ds.T @ hs_dec @ W,  dhs_dec = ds @ hs_enc @ W.T
        dW = sum over n of hs_dec.T @ ds @ hs_enc
    Raises ValueError if the shapes do not fit.  Source: book 8.1.4; Luong et al. 2015, (8).
    """

    def __init__(self, W: Array) -> None:
        Layer.__init__(self, W=W)
        if W.ndim != 2:
            raise self._refuse(f"W is (H_dec, H_enc), not {W.shape}")

    def forward(self, hs_enc: Array, hs_dec: Array) -> Array:
        (W,) = self._weights()
        hs_enc, hs_dec = self._states(hs_enc, hs_dec)
        if (hs_dec.shape[2], hs_enc.shape[2]) != W.shape:
            raise self._misfit(hs_enc, hs_dec)
        self.cache = hs_enc, hs_dec, hs_dec @ W
        return self._kept_shape(self.cache[2] @ hs_enc.swapaxes(1, 2))

    def backward(self, ds: Array) -> tuple[Array, Array]:
        self._check_gradient(ds)
        (W,), (dW,) = self.params, self.grads
        hs_enc, hs_dec, query = self.cache
        dquery = ds @ hs_enc  # of hs_dec @ W
        fill_product(dW, rows(hs_dec).T, rows(dquery))
        return ds.swapaxes(1, 2) @ query, dquery @ W.T


class AdditiveScore(DotScore):
    """s[n, s, t] = v . tanh(hs_dec[n, s] @ W1 + hs_enc[n, t] @ W2)

    W1 (H_dec, A), W2 (H_enc, A), v (A,)
    forward(hs_enc (N, T, H_enc), hs_dec (N, S, H_dec)) -> s (N, S, T)
    backward(ds) -> dhs_enc, dhs_dec, with u = tanh(...), du = ds v (1 - u^2):
        dhs_enc = (sum over s of du) @ W2.T,  dhs_dec = (sum over t of du) @ W1.T
    What tanh gives is (N, S, T, A): the largest array of the four kinds of score.
    Raises ValueError if the shapes do not fit.
    Source: book 8.1.4; Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473.
    """

    def __init__(self, W1: Array, W2: Array, v: Array) -> None:
        Layer.__init__(self, W1=W1, W2=W2, v=v)
        A = v.shape
        if W1.ndim != 2 or W2.ndim != 2 or W1.shape[1:] != A or W2.shape[1:] != A:
            raise self._refuse(
                f"weights are (H_dec, A), (H_enc, A) and (A,), not {W1.shape}, {W2.shape}, {A}"
            )

    def forward(self, hs_enc: Array, hs_dec: Array) -> Array:
        W1, W2, v = self._weights()
        hs_enc, hs_dec = self._states(hs_enc, hs_dec)
        if (hs_dec.shape[2], hs_enc.shape[2]) != (len(W1), len(W2)):
            raise self._misfit(hs_enc, hs_dec)
        u = (hs_dec @ W1)[:, :, None] + (hs_enc @ W2)[:, None]
        np.tanh(u, out=u)
        self.cache = hs_enc, hs_dec, u
        return self._kept_shape(u @ v)

    def backward(self, ds: Array) -> tuple[Array, Array]:
        self._check_gradient(ds)
        W1, W2, v = self.params
        dW1, dW2, dv = self.grads
        hs_enc, hs_dec, u = self.cache
        dv[...] = ds.reshape(-1).dot(rows(u))
        du = u * u
        np.subtract(1, du, out=du)
        du *= v
        du *= ds[..., None]
        of_dec, of_enc = du.sum(axis=2), du.sum(axis=1)  # (N, S, A), (N, T, A)
        fill_product(dW1, rows(hs_dec).T, rows(of_dec))
        fill_product(dW2, rows(hs_enc).T, rows(of_enc))
        return of_enc @ W2.T, of_dec @ W1.T


def rows(x: Array) -> Array:
    """x (..., D) -> (M, D), the leading dimensions as one."""
    return x.reshape(-1, x.shape[-1])


class WeightSum(Layer):
    """c[n] = sum over t of a[n, t] hs[n, t].   hs (N, T, H), a (N, T) -> c (N, H)

    Backward:  dhs[n, t] = a[n, t] dc[n],  da[n, t] = sum over j of dc[n, j] hs[n, t, j].
    Raises ValueError if the shapes do not fit.  Source: book 8.1.3.
    """

    def forward(self, hs: Array, a: Array) -> Array:
        hs, a = floats(self, hs), floats(self, a)
        if hs.ndim != 3 or a.shape != hs.shape[:2]:
            raise self._refuse(
                f"states are (N, T, H) and weights (N, T), not {hs.shape}, {a.shape}"
            )
        self.cache = hs, a
        c = (a[:, None] @ hs)[:, 0]
        self.y_shape = c.shape
        return c

    def backward(self, dc: Array) -> tuple[Array, Array]:
        self._check_gradient(dc)
        hs, a = self.cache
        return a[:, :, None] * dc[:, None], (hs @ dc[:, :, None])[:, :, 0]


class AttentionWeight(Layer):
    """a = softmax over t of s,  s[n, t] = sum over j of hs[n, t, j] h[n, j].

    hs (N, T, H), h (N, H) -> a (N, T), rows that sum to one
    Backward:  ds = a * (da - sum(da * a)),  dhs[n, t] = ds[n, t] h[n],
               dh[n] = sum over t of ds[n, t] hs[n, t].
    score  another score for s than this inner product; dhs and dh are then what it says
    Raises ValueError if the shapes do not fit, the mask's included, or a row of it is all False.
    Source: book 8.1.4.
    """

    def __init__(self, *, score: Any = None) -> None:
        self.score, self.softmax = DotScore() if score is None else score, Softmax()
        self.hold(score=self.score, softmax=self.softmax)

    def forward(self, hs: Array, h: Array, mask: Array = None) -> Array:
        hs, h = floats(self, hs), floats(self, h)
        if hs.ndim != 3 or h.ndim != 2 or len(h) != len(hs):
            raise self._refuse(f"states are (N, T, H) and (N, H), not {hs.shape}, {h.shape}")
        s = masked(self, self.score.forward(hs, h[:, None])[:, 0], mask)
        self.y_shape = s.shape
        return self.softmax.forward(s)

    def backward(self, da: Array) -> tuple[Array, Array]:
        self._check_gradient(da)
        dhs, dh = self.score.backward(self.softmax.backward(da)[:, None])
        return dhs, dh[:, 0]


class Attention(Layer):
    """`AttentionWeight`, then `WeightSum`.   hs (N, T, H), h (N, H) -> c (N, H)

    attention_weight  a (N, T) of the last forward
    Backward -> dhs, dh; hs is used twice, so dhs is a sum of two.
    score and errors as for `AttentionWeight`.  Source: book 8.1.5.
    """

    def __init__(self, *, score: Any = None) -> None:
        self.attention_weight_layer = AttentionWeight(score=score)
        self.weight_sum_layer = WeightSum()
        self.hold(attention_weight=self.attention_weight_layer, weight_sum=self.weight_sum_layer)
        self.attention_weight: Array = None

    def forward(self, hs: Array, h: Array, mask: Array = None) -> Array:
        self.attention_weight = a = self.attention_weight_layer.forward(hs, h, mask)
        return self.weight_sum_layer.forward(hs, a)

    def backward(self, dc: Array) -> tuple[Array, Array]:
        dhs_sum, da = self.weight_sum_layer.backward(dc)
        dhs_weight, dh = self.attention_weight_layer.backward(da)
        return dhs_sum + dhs_weight, dh


class TimeAttention(Layer):
    """Attention of S steps of a decoder, each for itself, in two products for each sample:

    a = softmax over t of hs_dec @ hs_enc.T   (S, T)
    c = a @ hs_enc                            (S, H)

    forward(hs_enc (N, T, H), hs_dec (N, S, H)) -> cs (N, S, H)
    backward(dcs) -> dhs_enc, dhs_dec:
        da = dcs @ hs_enc.T,  ds = a * (da - sum(da * a)),
        dhs_enc = a.T @ dcs + ds.T @ hs_dec,  dhs_dec = ds @ hs_enc
    score   another score than this product, whose backward then gives dhs_dec and a part of dhs_enc
    values  forward(hs_enc, hs_dec, mask, values=(N, T, M)): what is weighted instead of hs_enc;
            c is then (S, M). `dvalues` is its gradient, and dhs_enc has only its second part
    Raises ValueError if the shapes do not fit, the mask's included, or a row of it is all False.
    Source: book 8.1.5.
    """

    def __init__(self, *, score: Any = None) -> None:
        self.score = DotScore() if score is None else score
        self.hold(score=self.score)
        self.dvalues: Array = None

    def forward(
        self, hs_enc: Array, hs_dec: Array, mask: Array = None, *, values: Array = None
    ) -> Array:
        a = softmax(masked(self, self.score.forward(hs_enc, hs_dec), mask))
        self.of_values = values is not None
        values = floats(self, values if self.of_values else hs_enc, a.dtype)
        if values.ndim != 3 or values.shape[:2] != hs_enc.shape[:2]:
            raise self._refuse(f"values {values.shape} do not go with states {hs_enc.shape}")
        cs = matmul(a, values)
        self.cache, self.y_shape, self.dvalues = (values, a), cs.shape, None
        return cs

    def backward(self, dcs: Array) -> tuple[Array, Array]:
        self._check_gradient(dcs)
        values, a = self.cache
        ds = matmul(dcs, values.swapaxes(1, 2))
        ds *= a
        ds -= a * ds.sum(axis=2, keepdims=True)
        dhs_enc, dhs_dec = self.score.backward(ds)
        dvalues = matmul(a.swapaxes(1, 2), dcs)
        if self.of_values:
            self.dvalues = dvalues
        else:
            dhs_enc += dvalues
        return dhs_enc, dhs_dec

    @property
    def attention_weights(self) -> list[Array]:
        """The weights of the last forward: S arrays (N, T), one for each step of the decoder."""
        a = self.cache[1]
        return [a[:, s] for s in range(a.shape[1])]


def masked(who: Layer, s: Array, mask: Array) -> Array:
    """Scores s (N, T) or (N, S, T) with -inf where the mask (N, T), on the host, is False.

    No mask changes nothing. Raises ValueError, in the name of `who`, for a mask of another shape,
    and where nothing would be left.
    """
    if mask is None:
        return s
    mask = checked_mask(who, mask, (len(s), s.shape[-1]))
    if not mask.any(axis=-1).all():
        raise ValueError(f"{name_of(who)}: a row of the mask is all padding")
    shape = len(s), *[1] * (s.ndim - 2), s.shape[-1]
    return np.where(np.asarray(mask.reshape(shape)), s, -np.inf).astype(s.dtype)
