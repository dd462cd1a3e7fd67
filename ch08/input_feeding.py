"""Input feeding: what the decoder has just looked at goes into its next step.

N samples, T steps of the encoder, S of the decoder, D inputs, H hidden units, V characters.
Source: book 8.4.2 (figure 8-32); Luong et al. 2015, https://arxiv.org/abs/1508.04025, 3.3.
"""

import math
from typing import Any, ClassVar

from ch07.seq2seq import Decoder, Encoded, Seq2seq
from ch08.attention_seq2seq import AttentionEncoder
from common.attention import masked, rows
from common.checks import floats
from common.functions import sigmoid, softmax
from common.layers import Layer, fill_product
from common.multi_head import real_steps
from common.network import Network
from common.np import Array, np, to_cpu
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import TimeAffine, TimeEmbedding

__all__ = ["FeedingLSTM", "FeedingSeq2seq"]


class FeedingLSTM(Layer):
    """An LSTM that looks at the encoder's states, and at the next step reads what it saw.

    h_t, cell_t = LSTM([x_t, c_{t-1}], h_{t-1}, cell_{t-1})
    a_t = softmax of hs_enc @ h_t,  c_t = a_t @ hs_enc,  c_{-1} = 0

    Wx (D + H, 4H), Wh (H, 4H), b (4H,), gates as in `LSTM`
    start(hs_enc (N, T, H), h (N, H), cell (N, H) or None for zeros, mask (N, T) or None)
    forward(xs (N, S, D)) -> ys (N, S, 2H), at each step [c_t, h_t]; it goes on from the last call
    backward(dys) -> dxs; dhs_enc, dh, dc are the gradients of what `start` got
    Two gradients meet in c_t: that of the output, and that of the next step's input.
    attention_weights  S arrays (N, T), of the last forward
    Raises ValueError if the shapes do not fit, and as `TimeAttention` does for masks.
    """

    def __init__(self, Wx: Array, Wh: Array, b: Array) -> None:
        super().__init__(Wx=Wx, Wh=Wh, b=b)
        H = len(Wh)
        if len(Wx) <= H or (Wx.shape[1:], Wh.shape[1:], b.shape) != ((4 * H,),) * 3:
            raise self._refuse(
                f"weights are (D + H, 4H), (H, 4H) and (4H,), not {Wx.shape}, {Wh.shape}, {b.shape}"
            )
        self.hs_enc: Array = None
        self.mask: Array = None
        self.h: Array = None
        self.c: Array = None
        self.context: Array = None
        self.a: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """Of the encoder hs_enc (N, T, H) and mask (N, T); h, c and context (N, H) of the LSTM."""
        names = ("hs_enc", "mask", "h", "c", "context")
        found = (self.hs_enc, self.mask, self.h, self.c, self.context)
        return dict(zip(names, found, strict=True))

    def set_state(
        self,
        hs_enc: Array = None,
        mask: Array = None,
        h: Array = None,
        c: Array = None,
        context: Array = None,
    ) -> None:
        """Go on with other rows of hs_enc (N, T, H), mask (N, T), and h, c, context (N, H)."""
        self.hs_enc, self.mask = hs_enc, None if mask is None else to_cpu(mask)
        self.h, self.c, self.context = h, c, context

    def start(self, hs_enc: Array, h: Array, c: Array = None, mask: Array = None) -> None:
        """Begin with the states hs_enc (N, T, H) and mask (N, T) of an encoder, h and c (N, H)."""
        _, Wh, _ = self.params
        hs_enc, h = floats(self, hs_enc, Wh.dtype), floats(self, h, Wh.dtype)
        N, H = len(h), len(Wh)
        c = np.zeros_like(h) if c is None else floats(self, c, Wh.dtype)
        if hs_enc.ndim != 3 or hs_enc.shape[::2] != (N, H) or not h.shape == c.shape == (N, H):
            raise self._refuse(
                f"states are (N, T, {H}) and (N, {H}), not {hs_enc.shape}, {h.shape} and {c.shape}"
            )
        if mask is not None:
            mask = real_steps(self, mask, hs_enc.shape[:2])
        self.set_state(hs_enc, mask, h, c, np.zeros_like(h))

    def forward(self, xs: Array) -> Array:
        Wx, Wh, b = self.params
        xs, H = floats(self, xs, Wx.dtype), len(Wh)
        D = len(Wx) - H
        if self.hs_enc is None:
            raise self._refuse("start comes before forward")
        if xs.ndim != 3 or xs.shape[2] != D or len(xs) != len(self.hs_enc):
            raise self._refuse(
                f"input must be (N, S, {D}), N = {len(self.hs_enc)} as in start, not {xs.shape}"
            )
        N, S, _ = xs.shape
        W = np.concatenate([Wx[D:], Wh])  # of [context, h], which are known step by step
        pre = (rows(xs).dot(Wx[:D]) + b).reshape(N, S, 4 * H)
        fed = np.empty((S + 1, N, 2 * H), Wx.dtype)  # [t]: the context and h before step t
        cells, gates = np.empty((S + 1, N, H), Wx.dtype), np.empty((S, N, 4 * H), Wx.dtype)
        fed[0, :, :H], fed[0, :, H:], cells[0] = self.context, self.h, self.c
        a = np.empty((S, N, self.hs_enc.shape[1]), Wx.dtype)
        for t in range(S):
            z = fed[t].dot(W)
            z += pre[:, t]
            gates[t] = sigmoid(z)
            g = np.tanh(z[:, H : 2 * H])
            gates[t, :, H : 2 * H] = g
            f, i, o = (gates[t, :, k * H : (k + 1) * H] for k in (0, 2, 3))
            cells[t + 1] = f * cells[t] + g * i
            h = o * np.tanh(cells[t + 1])
            s = masked(self, (self.hs_enc @ h[:, :, None])[:, :, 0], self.mask)
            a[t] = softmax(s)
            fed[t + 1, :, :H] = (a[t][:, None] @ self.hs_enc)[:, 0]
            fed[t + 1, :, H:] = h
        last = fed[S].copy()
        self.context, self.h, self.c = last[:, :H], last[:, H:], cells[S].copy()
        self.a, self.cache, self.y_shape = a, (xs, W, fed, cells, gates), (N, S, 2 * H)
        return fed[1:].swapaxes(0, 1).copy()

    def backward(self, dys: Array) -> Array:
        self._check_gradient(dys)
        Wx, Wh, _ = self.params
        dWx, dWh, db = self.grads
        xs, W, fed, cells, gates = self.cache
        (N, S, D), H = xs.shape, len(Wh)
        dz, ds = np.empty_like(gates), np.empty_like(self.a)
        dcontext = np.empty((S, N, H), W.dtype)
        dfed, dc = np.zeros((N, 2 * H), W.dtype), np.zeros((N, H), W.dtype)
        for t in reversed(range(S)):
            dfed += dys[:, t]  # of the context and h, which also go into the next step
            dcontext[t], dh = dfed[:, :H], dfed[:, H:]
            da = (self.hs_enc @ dcontext[t][:, :, None])[:, :, 0]
            da -= (da * self.a[t]).sum(axis=1, keepdims=True)
            ds[t] = da * self.a[t]
            dh += (ds[t][:, None] @ self.hs_enc)[:, 0]
            f, g, i, o = (gates[t, :, k * H : (k + 1) * H] for k in range(4))
            tanh_c = np.tanh(cells[t + 1])
            dc += dh * o * (1 - tanh_c * tanh_c)
            dz[t, :, :H] = dc * cells[t] * f * (1 - f)
            dz[t, :, H : 2 * H] = dc * i * (1 - g * g)
            dz[t, :, 2 * H : 3 * H] = dc * g * i * (1 - i)
            dz[t, :, 3 * H :] = dh * tanh_c * o * (1 - o)
            dc *= f
            dfed = dz[t].dot(W.T)
        self.dh, self.dc = dfed[:, H:], dc
        flat = rows(dz)
        dW = rows(fed[:S]).T.dot(flat)
        dWx[D:], dWh[...] = dW[:H], dW[H:]
        fill_product(dWx[:D], rows(xs.swapaxes(0, 1)).T, flat)
        db[...] = flat.sum(axis=0)
        h = fed[1:, :, H:].swapaxes(0, 1)
        self.dhs_enc = self.a.transpose(1, 2, 0) @ dcontext.swapaxes(0, 1)
        self.dhs_enc += ds.transpose(1, 2, 0) @ h
        return flat.dot(Wx[:D].T).reshape(S, N, D).swapaxes(0, 1).copy()

    @property
    def attention_weights(self) -> list[Array]:
        """The weights of the last forward: S arrays (N, T), one for each step of the decoder."""
        return list(self.a)


class FeedingDecoder(Decoder):
    """ids (N, S) -> embedding -> `FeedingLSTM` -> affine of [context, h] -> scores (N, S, V).

    context_out  False: the affine layer sees h alone, as in figure 8-32
    lstm         the `FeedingLSTM`, whose attention_weights tell what each step looked at
    start(hs (N, T, H)), forward, scores, backward, generate and errors as for `AttentionDecoder`;
    ValueError for another cell than "lstm"
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        cell: str = "lstm",
        context_out: bool = True,
        rng: Seed = None,
    ) -> None:
        if cell != "lstm":
            raise self._refuse(f"cell must be 'lstm', not {cell!r}")
        V, D, H, rng = vocab_size, wordvec_size, hidden_size, generator(rng)
        M = 2 * H if context_out else H
        self.vocab_size, self.context_out = V, context_out
        self.embed = TimeEmbedding(randn(rng, V, D) / 100)
        self.lstm = self.attention = FeedingLSTM(*recurrent_weights(rng, D + H, H, blocks=4))
        self.affine = TimeAffine(randn(rng, M, V) / math.sqrt(M), np.zeros(V, dtype="f"))
        Network.__init__(self, embed=self.embed, lstm=self.lstm, affine=self.affine)

    def start(self, encoded: Any) -> None:
        """Begin answers to N questions with the states hs (N, T, H), or an Encoded."""
        self.got_array = not isinstance(encoded, Encoded)
        e = Encoded(encoded[:, -1], hs=encoded) if self.got_array else encoded
        self.got_cell = e.c is not None
        self.lstm.start(e.hs, e.h, e.c, e.mask)

    def scores(self, xs: Array) -> Array:
        ys = self.lstm.forward(self.embed.forward(xs))
        return self.affine.forward(ys if self.context_out else ys[:, :, ys.shape[2] // 2 :])

    def backward(self, dscore: Array) -> Any:
        dys = self.affine.backward(dscore)
        if not self.context_out:
            dys = np.concatenate([np.zeros_like(dys), dys], axis=2)
        self.embed.backward(self.lstm.backward(dys))
        denc_hs, dh = self.lstm.dhs_enc, self.lstm.dh
        if self.got_array:
            denc_hs[:, -1] += dh
            return denc_hs
        return Encoded(dh, self.lstm.dc if self.got_cell else None, denc_hs)


class FeedingSeq2seq(Seq2seq):
    """question (N, T) -> `AttentionEncoder` -> `FeedingDecoder` -> answer (N, L).

    context_out  as for `FeedingDecoder`
    Other arguments, methods and errors as for `AttentionSeq2seq`.
    """

    encoder_class: ClassVar[Any] = AttentionEncoder
    decoder_class: ClassVar[Any] = FeedingDecoder

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        context_out: bool = True,
        **options: Any,
    ) -> None:
        sizes = vocab_size, wordvec_size, hidden_size
        super().__init__(*sizes, **options, context_out=context_out)
