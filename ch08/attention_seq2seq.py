"""AttentionSeq2seq: the decoder looks at all states of the encoder, at every step anew.

V characters, D character vector, H hidden size, N questions of T characters, answers of L.
Source: book 8.2; Luong et al. 2015, https://arxiv.org/abs/1508.04025.
"""

from typing import Any, ClassVar

from ch07.seq2seq import Decoder, Encoder, Seq2seq, add_to_last_state, last_state
from common.attention import TimeAttention
from common.np import Array, np


class AttentionEncoder(Encoder):
    """An `Encoder` that hands over all its hidden states.   ids (N, T) -> hs (N, T, H)

    backward(dhs) fills `grads` and returns None.  Source: book 8.2.1.
    """

    def forward(self, xs: Array) -> Array:
        return self.read(xs)

    def backward(self, dhs: Array, *, dc: Array = None) -> None:
        self.read_backward(dhs, dc)


class AttentionDecoder(Decoder):
    """A `Decoder` that weighs the encoder's states by its own and adds what it found to the latter.

    ids (N, S) -> embedding -> LSTM -> hs (N, S, H); attention -> contexts cs (N, S, H);
    affine of [cs, hs] (N, S, 2H) -> scores (N, S, V)

    forward(xs, enc_hs (N, T, H))  the LSTM starts from the last of the encoder's states
    backward(dscore) -> denc_hs (N, T, H)
    attention.attention_weights    what each step looked at, see `TimeAttention`
    mask           (N, T) on the host, False at states of padding, which get no attention
    Arguments and errors as for `Decoder`.  Source: book 8.2.2.
    """

    def __init__(
        self, vocab_size: int, wordvec_size: int, hidden_size: int, **options: Any
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, **options)
        self.attention = TimeAttention()
        self.mask: Array = None

    @staticmethod
    def inputs(D: int, H: int) -> tuple[int, int]:
        return D, 2 * H

    def forward(self, xs: Array, enc_hs: Array, *, c: Array = None, mask: Array = None) -> Array:
        self.start(enc_hs, c=c, mask=mask)
        return self.scores(xs)

    def start(self, enc_hs: Array, *, c: Array = None, mask: Array = None) -> None:
        """Begin answers to N questions with the encoder's states (N, T, H), and c (N, H)."""
        super().start(last_state(enc_hs, self.bidirectional), c=c)
        self.enc_hs, self.mask = enc_hs, mask

    def scores(self, xs: Array) -> Array:
        hs = self.lstm.forward(self.embed.forward(xs))
        cs = self.attention.forward(self.enc_hs, hs, self.mask)
        return self.affine.forward(np.concatenate([cs, hs], axis=2))

    def backward(self, dscore: Array) -> Array:
        d = self.affine.backward(dscore)
        H = d.shape[2] // 2
        denc_hs, dhs = self.attention.backward(d[:, :, :H])
        dhs += d[:, :, H:]
        self.embed.backward(self.lstm.backward(dhs))
        add_to_last_state(denc_hs, self.lstm.dh, self.bidirectional)
        return denc_hs


class AttentionSeq2seq(Seq2seq):
    """question (N, T) -> AttentionEncoder -> hs (N, T, H) -> AttentionDecoder -> answer (N, L).

    Arguments, methods and errors as for `Seq2seq`; with a pad_id, padding gets no attention.
    Source: book 8.2.3.
    """

    encoder_class: ClassVar[Any] = AttentionEncoder
    decoder_class: ClassVar[Any] = AttentionDecoder
    divisible: ClassVar[bool] = True

    def _beside(self) -> dict[str, Array]:
        return super()._beside() | ({} if self.pad_id is None else {"mask": self.encoder.mask})
