"""AttentionSeq2seq: the decoder looks at all states of the encoder, at every step anew.

V characters, D character vector, H hidden size, N questions of T characters, answers of L.
Source: book 8.2; Luong et al. 2015, https://arxiv.org/abs/1508.04025.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy

from ch07.seq2seq import Decoder, Encoded, Encoder, Seq2seq, last_state
from common.attention import AdditiveScore, DotScore, GeneralScore, ScaledDotScore, TimeAttention
from common.np import Array, np, to_cpu
from common.rng import Seed, generator, randn

__all__ = ["SCORES", "AttentionDecoder", "AttentionEncoder", "AttentionSeq2seq"]


class AttentionEncoder(Encoder):
    """An `Encoder` that hands over all its hidden states.   ids (N, T) -> hs (N, T, H)

    forward(xs) -> hs, of which the last one is where the decoder starts; Encoded(h, c, hs, mask)
    where that is not all: with two directions, a cell to pass, or a pad_id
    backward(the gradient of that, in the same form) fills `grads` and returns None
    Source: book 8.2.1.
    """

    def forward(self, xs: Array) -> Any:
        hs = self.read(xs)
        if not (self.bidirectional or self.pass_cell or self.pad_id is not None):
            return hs
        h, c = last_state(hs, self.bidirectional), self.c if self.pass_cell else None
        return Encoded(h, c, hs, self.mask)

    def backward(self, dencoded: Any) -> None:
        if isinstance(dencoded, Encoded):
            self.read_backward(dencoded.hs.copy(), dencoded)
        else:
            self.embed.backward(self.lstm.backward(dencoded))


class AttentionDecoder(Decoder):
    """A `Decoder` that weighs the encoder's states by its own and adds what it found to the latter.

    ids (N, S) -> embedding -> LSTM -> hs (N, S, H); attention -> contexts cs (N, S, H);
    affine of [cs, hs] (N, S, 2H) -> scores (N, S, V)

    forward(xs, enc_hs (N, T, H))  the LSTM starts from the last of the encoder's states; or what
                                   else an `AttentionEncoder` hands over
    backward(dscore) -> denc_hs (N, T, H), or the gradient of the Encoded
    attention.attention_weights    what each step looked at, see `TimeAttention`
    enc_hs, mask   the encoder's states; (N, T) on the host, False at states of padding
    score          how states are compared: dot (the book's), scaled, general or additive
    Other arguments and errors as for `Decoder`, and ValueError for another score.
    Source: book 8.2.2, 8.1.4.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        score: str = "dot",
        rng: Seed = None,
        **options: Any,
    ) -> None:
        rng = generator(rng)
        super().__init__(vocab_size, wordvec_size, hidden_size, rng=rng, **options)
        self.attention = TimeAttention(score=new_score(score, hidden_size, rng))
        self.hold(embed=self.embed, lstm=self.lstm, affine=self.affine, attention=self.attention)
        self.enc_hs: Array = None
        self.mask: Array = None
        self.got_array = True

    @staticmethod
    def inputs(D: int, H: int) -> tuple[int, int]:
        return D, 2 * H

    def start(self, encoded: Any) -> None:
        """Begin answers to N questions with the states hs (N, T, H), or an Encoded."""
        self.got_array = not isinstance(encoded, Encoded)
        e = Encoded(encoded[:, -1], hs=encoded) if self.got_array else encoded
        super().start(e)
        self.set_state(e.hs, e.mask)

    @property
    def state(self) -> dict[str, Array]:
        """The states of the encoder (N, T, H), and their mask (N, T)."""
        return {"enc_hs": self.enc_hs, "mask": self.mask}

    def set_state(self, enc_hs: Array, mask: Array = None) -> None:
        """Go on with other rows of enc_hs (N, T, H) and mask (N, T)."""
        self.enc_hs, self.mask = enc_hs, None if mask is None else to_cpu(mask)

    def scores(self, xs: Array) -> Array:
        hs = self.lstm.forward(self.embed.forward(xs))
        cs = self.attention.forward(self.enc_hs, hs, self.mask)
        return self.affine.forward(np.concatenate([cs, hs], axis=2))

    def backward(self, dscore: Array) -> Any:
        d = self.affine.backward(dscore)
        H = d.shape[2] // 2
        denc_hs, dhs = self.attention.backward(d[:, :, :H])
        dhs += d[:, :, H:]
        self.embed.backward(self.lstm.backward(dhs))
        if self.got_array:
            denc_hs[:, -1] += self.lstm.dh
            return denc_hs
        return Encoded(self.lstm.dh, self.lstm.dc if self.got_cell else None, denc_hs)


class AttentionSeq2seq(Seq2seq):
    """question (N, T) -> AttentionEncoder -> hs (N, T, H) -> AttentionDecoder -> answer (N, L).

    score  as for `AttentionDecoder`
    Other arguments, methods and errors as for `Seq2seq`; with a pad_id, padding gets no attention.
    Source: book 8.2.3.
    """

    encoder_class: ClassVar[Any] = AttentionEncoder
    decoder_class: ClassVar[Any] = AttentionDecoder
    fixed: ClassVar[tuple[str, ...]] = (*Seq2seq.fixed, "score")

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        score: str = "dot",
        **options: Any,
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, **options, score=score)


SCORES: dict[str, Callable[[int, numpy.random.Generator], Any]] = {
    "dot": lambda H, rng: DotScore(),
    "scaled": lambda H, rng: ScaledDotScore(),
    "general": lambda H, rng: GeneralScore(randn(rng, H, H) / math.sqrt(H)),
    "additive": lambda H, rng: AdditiveScore(
        *(randn(rng, *shape) / math.sqrt(H) for shape in [(H, H), (H, H), (H,)])
    ),
}


def new_score(name: str, H: int, rng: numpy.random.Generator) -> Any:
    """A new layer for the scores of states (N, T, H) and (N, S, H); ValueError for another name."""
    if name not in SCORES:
        raise ValueError(f"new_score: score is one of {', '.join(SCORES)}, not {name!r}")
    return SCORES[name](H, rng)
