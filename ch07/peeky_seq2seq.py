"""PeekySeq2seq: every step of the decoder sees what the encoder made of the question.

Letters as in `ch07/seq2seq.py`.
"""

from typing import Any, ClassVar

from ch07.seq2seq import Decoder, Seq2seq
from common.np import Array, np

__all__ = ["PeekyDecoder", "PeekySeq2seq"]


class PeekyDecoder(Decoder):
    """A `Decoder` whose LSTM and affine layer get h (N, H) beside their input at every step.

    The LSTM reads [h, embedding] (N, S, H + D), the affine layer [h, state] (N, S, 2H).
    backward(dscore (N, S, V)) -> dh (N, H), the sum over all places where h is used
    Errors as for `Decoder`.
    Source: book 7.4.2; Cho et al. 2014, https://arxiv.org/abs/1406.1078.
    """

    h: Array = None

    @staticmethod
    def inputs(D: int, H: int) -> tuple[int, int]:
        return H + D, 2 * H

    def start(self, encoded: Any) -> None:
        super().start(encoded)
        self.h = self.lstm.h

    @property
    def state(self) -> dict[str, Array]:
        """h (N, H), what the encoder handed over."""
        return {"h": self.h}

    def set_state(self, h: Array) -> None:
        """Go on with other rows of h (N, H)."""
        self.h = h

    def scores(self, xs: Array) -> Array:
        if len(self.h) != len(xs):
            raise ValueError(
                f"PeekyDecoder: {len(xs)} answers need as many states, not {len(self.h)}"
            )
        zs = self.lstm.forward(self.embed.forward(xs), constant=self.h)
        hs = np.broadcast_to(self.h[:, None], zs.shape)
        return self.affine.forward(np.concatenate([hs, zs], axis=2))

    def backward(self, dscore: Array) -> Any:
        H = self.h.shape[1]
        d_affine = self.affine.backward(dscore)
        self.embed.backward(self.lstm.backward(d_affine[:, :, H:]))
        dh = self.lstm.dh + self.lstm.dconstant + d_affine[:, :, :H].sum(axis=1)
        return self.dencoded(dh)


class PeekySeq2seq(Seq2seq):
    """A `Seq2seq` with a `PeekyDecoder`.  Source: book 7.4.2."""

    decoder_class: ClassVar[Any] = PeekyDecoder
