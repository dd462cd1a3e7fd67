"""Attention: what a decoder takes from all states of an encoder, by weights of its own choice.

N samples, T steps of the encoder, S steps of the decoder, H hidden units. hs (N, T, H) are the
encoder's states, h (N, H) is one state of the decoder; a (N, T) are the weights, one for each step
of the encoder, and c (N, H) is the context, the states weighted with a.

`WeightSum`, `AttentionWeight` and `Attention` are one step of the decoder, written to be read;
`TimeAttention` is the same for all S steps at once. No layer here has parameters.
mask (N, T), where given, is an array on the host that is False at padding, which gets weight 0.
Source: book 8.1; Luong et al. 2015, https://arxiv.org/abs/1508.04025.
"""

from common.checks import checked_mask, floats, name_of
from common.functions import softmax
from common.layers import Layer, Softmax
from common.np import Array, np

__all__ = ["Attention", "AttentionWeight", "TimeAttention", "WeightSum", "np"]


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
    Raises ValueError if the shapes do not fit, the mask's included, or a row of it is all False.
    Source: book 8.1.4.
    """

    def __init__(self) -> None:
        self.softmax = Softmax()
        self.hold(softmax=self.softmax)

    def forward(self, hs: Array, h: Array, mask: Array = None) -> Array:
        hs, h = floats(self, hs), floats(self, h)
        if hs.ndim != 3 or h.shape != (len(hs), hs.shape[2]):
            raise self._refuse(f"states are (N, T, H) and (N, H), not {hs.shape}, {h.shape}")
        s = masked(self, (hs @ h[:, :, None])[:, :, 0], mask)
        self.cache, self.y_shape = (hs, h), s.shape
        return self.softmax.forward(s)

    def backward(self, da: Array) -> tuple[Array, Array]:
        self._check_gradient(da)
        hs, h = self.cache
        ds = self.softmax.backward(da)
        return ds[:, :, None] * h[:, None], (ds[:, None] @ hs)[:, 0]


class Attention(Layer):
    """`AttentionWeight`, then `WeightSum`.   hs (N, T, H), h (N, H) -> c (N, H)

    attention_weight  a (N, T) of the last forward
    Backward -> dhs, dh; hs is used twice, so dhs is a sum of two.
    Errors as for `AttentionWeight`.  Source: book 8.1.5.
    """

    def __init__(self) -> None:
        self.attention_weight_layer = AttentionWeight()
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
    Raises ValueError if the shapes do not fit, the mask's included, or a row of it is all False.
    Source: book 8.1.5.
    """

    def forward(self, hs_enc: Array, hs_dec: Array, mask: Array = None) -> Array:
        hs_enc, hs_dec = floats(self, hs_enc), floats(self, hs_dec)
        fit = hs_enc.ndim == hs_dec.ndim == 3 and hs_enc.shape[::2] == hs_dec.shape[::2]
        if not fit or not hs_enc.shape[1]:
            raise self._refuse(
                f"states are (N, T, H) and (N, S, H), not {hs_enc.shape} and {hs_dec.shape}"
            )
        s = masked(self, hs_dec @ hs_enc.swapaxes(1, 2), mask)
        a = softmax(s)
        self.cache, self.y_shape = (hs_enc, hs_dec, a), hs_dec.shape
        return a @ hs_enc

    def backward(self, dcs: Array) -> tuple[Array, Array]:
        self._check_gradient(dcs)
        hs_enc, hs_dec, a = self.cache
        da = dcs @ hs_enc.swapaxes(1, 2)
        ds = a * da
        ds -= a * ds.sum(axis=2, keepdims=True)
        dhs_enc = a.swapaxes(1, 2) @ dcs
        dhs_enc += ds.swapaxes(1, 2) @ hs_dec
        return dhs_enc, ds @ hs_enc

    @property
    def attention_weights(self) -> list[Array]:
        """The weights of the last forward: S arrays (N, T), one for each step of the decoder."""
        a = self.cache[2]
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
