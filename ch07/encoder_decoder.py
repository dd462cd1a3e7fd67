"""EncoderDecoder: one network reads a question, another writes the answer.

N questions of T ids, answers of L ids, V ids in all of the decoder.  Source: book 7.2, 7.3.
"""

from collections.abc import Iterator
from typing import Any

import numpy

from ch07.decoding import Hypothesis, beam_search, greedy
from common.base_model import BaseModel
from common.checks import checked_ids, described
from common.cores.data_parallel import DataParallel
from common.network import evaluating
from common.np import Array, to_cpu
from common.time_layers import TimeSoftmaxWithLoss

__all__ = ["EncoderDecoder"]


class EncoderDecoder(BaseModel):
    """question (N, ...) -> encoder -> encoded -> decoder -> answer (N, L), begun by a start token.

    forward(xs, ts) -> mean loss, in nats per id, of predicting ts[:, 1:] when the decoder reads
    ts[:, :-1] (teacher forcing).

    encoder  forward(xs) -> encoded, whatever the decoder needs; backward(its gradient)
    decoder  vocab_size    V
             start(encoded)                begin the answers to N questions
             scores(ids (N, S))            go on with them -> the scores (N, S, V) of the id after
                                           each; as often as wanted, with S ids or one at a time
             forward(ids, encoded)         start, then scores
             backward(dscores (N, S, V))   -> the gradient of `encoded`, in its form
             select(rows)                  go on with these rows, as every `Network` does
             generate(encoded, start_id, sample_size)   one answer, as in the book
    pad_id   the id of padding, which the loss does not count behind an answer, of which the first
             pad_id is the end token; None if there is none
    Raises ValueError for a pad_id outside 0..V-1, and for an answer that goes on after a pad_id.
    Source: book 7.3.3.
    """

    divisible: bool = True
    pad_id: int | None = None  # for models typed from the book, whose __init__ does not set it

    def __init__(self, encoder: Any, decoder: Any, pad_id: int | None = None) -> None:
        if pad_id is not None:
            checked_ids(f"{type(self).__name__}: pad_id", pad_id, decoder.vocab_size)
        self.encoder, self.decoder, self.pad_id = encoder, decoder, pad_id
        self.softmax = TimeSoftmaxWithLoss()
        super().__init__(encoder=encoder, decoder=decoder, softmax=self.softmax)

    def forward(self, xs: Array, ts: Array) -> Array:
        if getattr(ts, "ndim", 0) != 2:
            problem = f"answers are ids (N, L), not {described(ts)}"
            raise ValueError(f"{type(self).__name__}.forward: {problem}")
        labels = self._labels(ts)
        scores = self.decoder.forward(ts[:, :-1], self.encoder.forward(xs))
        return self.softmax.forward(scores, labels)

    def backward(self, dout: float = 1) -> None:
        self.encoder.backward(self.decoder.backward(self.softmax.backward(dout)))

    def loss_terms(self, ts: Array) -> int:
        """How many ids of ts (N, L) the mean loss counts."""
        labels = self._labels(to_cpu(ts))
        return labels.size if self.pad_id is None else int((labels != -1).sum())

    def _labels(self, ts: Array) -> Array:
        labels = ts[:, 1:]
        return labels if self.pad_id is None else answer_labels(labels, self.pad_id)

    def generate(
        self, xs: Array, start_id: int, sample_size: int, *, stop_id: int | None = None
    ) -> list[int]:
        """The answer to one question (1, T), as sample_size ids without the start_id.

        Each id is the most probable one after those before it.
        stop_id  once it comes, the rest is filled with it; a model with a pad_id always stops there
        Raises ValueError for more than one question, for a sample_size below 1 or a stop_id outside
        0..V-1, and if the scores are not finite.  Source: book 7.3.2.
        """
        if getattr(xs, "ndim", 0) != 2 or len(xs) != 1:
            raise ValueError(
                f"{type(self).__name__}.generate: one question at a time, (1, T), not "
                f"{getattr(xs, 'shape', described(xs))}; generate_batch answers many"
            )
        stop_id = self.pad_id if stop_id is None else stop_id
        how = {} if stop_id is None else {"stop_id": stop_id}
        with self.turn.lock, evaluating(self):
            encoded = self.encoder.forward(xs)
            answer: list[int] = self.decoder.generate(encoded, start_id, sample_size, **how)
        return answer

    def generate_batch(
        self,
        xs: Array,
        start_id: int,
        sample_size: int,
        *,
        stop_id: int | None = None,
        batch_size: int = 125,
    ) -> Array:
        """What `generate` gives for each question (N, T) alone, as (N, sample_size) on the host.

        Products of many rows are rounded differently from those of one: where two ids are equally
        probable but for the last digit, the answers may differ.
        batch_size  questions answered side by side; batches are divided between the cores
        Raises ValueError for a batch_size below 1, and what `generate` raises.
        """
        stop_id = self.pad_id if stop_id is None else stop_id
        if getattr(xs, "ndim", 0) != 2:
            problem = f"questions are ids (N, T), not {described(xs)}"
            raise ValueError(f"{type(self).__name__}.generate_batch: {problem}")
        answers = numpy.empty((len(xs), max(sample_size, 0)), int)

        def answer(model: EncoderDecoder, rows: slice) -> None:
            if not hasattr(model.decoder, "start"):  # typed from the book: one question at a time
                how = {} if stop_id is None else {"stop_id": stop_id}
                for k in range(len(xs))[rows]:
                    answers[k] = model.generate(xs[k : k + 1], start_id, sample_size, **how)
                return
            with evaluating(model):
                model.decoder.start(model.encoder.forward(xs[rows]))
                answers[rows] = greedy(model.decoder, len(xs[rows]), start_id, sample_size, stop_id)

        with self.turn.lock:
            DataParallel(self).for_each(answer, [*batches(len(xs), batch_size)])
        return answers

    def beam_search(
        self,
        xs: Array,
        start_id: int,
        sample_size: int,
        beam_width: int,
        *,
        stop_id: int | None = None,
        length_penalty: float = 0.0,
        batch_size: int = 50,
    ) -> list[list[Hypothesis]]:
        """The beam_width most probable answers found for each question (N, T), the best first.

        batch_size  questions answered side by side
        Other arguments, and errors, as for `decoding.beam_search`.
        """
        if beam_width < 1:
            raise ValueError(f"beam_search: beam_width must be at least 1, not {beam_width}")
        if not hasattr(self.decoder, "start"):
            name = type(self.decoder).__name__
            raise TypeError(f"beam_search: {name} needs start, scores and select, as our decoders")
        stop_id, found = self.pad_id if stop_id is None else stop_id, list[list[Hypothesis]]()
        with self.turn.lock, evaluating(self):
            for rows in batches(len(xs), batch_size):
                self.decoder.start(self.encoder.forward(xs[rows]))
                found += beam_search(
                    *(self.decoder, len(xs[rows]), start_id, sample_size, beam_width),
                    stop_id=stop_id,
                    length_penalty=length_penalty,
                )
        return found


def batches(N: int, size: int) -> Iterator[slice]:
    """Slices of `size` that together are N rows; ValueError for a size below 1."""
    if size < 1:
        raise ValueError(f"EncoderDecoder: batch_size must be at least 1, not {size}")
    for start in range(0, N, size):
        yield slice(start, start + size)


def answer_labels(ts: Array, pad_id: int) -> Array:
    """ids (N, L) -> the same with -1 after the first pad_id of each row.

    Raises ValueError for a row that goes on with another id.
    """
    ts = to_cpu(ts)
    pads = (ts == pad_id).cumsum(axis=1)
    if (ts[pads > 0] != pad_id).any():
        raise ValueError(f"EncoderDecoder: an answer goes on after its padding, id {pad_id}")
    return numpy.where(pads > 1, -1, ts)
