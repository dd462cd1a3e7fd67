"""Seq2seq: one LSTM reads a question, another writes the answer.

V characters, D character vector, H hidden size, N questions of T characters, answers of L.
Source: book 7.2, 7.3; Sutskever et al. 2014, https://arxiv.org/abs/1409.3215.
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy

from ch07.decoding import Hypothesis, beam_search, greedy
from common.base_model import BaseModel, Network
from common.checks import checked_ids
from common.cores.data_parallel import DataParallel
from common.np import Array, np, to_cpu
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import (
    TimeAffine,
    TimeBiLSTM,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeRNN,
    TimeSoftmaxWithLoss,
)

CELLS: dict[str, Any] = {"lstm": TimeLSTM, "gru": TimeGRU, "rnn": TimeRNN}


class Encoder(Network):
    """Reads questions:  ids (N, T) -> embedding -> LSTM -> its last hidden state (N, H).

    backward(dh (N, H)) fills `grads` and returns None: ids have no gradient.

    cell           the recurrent layer, `lstm` whichever it is: "lstm", "gru" or "rnn"
    bidirectional  an LSTM of size H/2 in each direction; the last state is that of both
    pad_id         the id of padding. What a question begins or ends with of it is not read
    rng            seed or Generator of the first weights; None follows NumPy's global seed
    hs (N, T, H)   all hidden states of the last forward;  c (N, H) the last cell of an LSTM;
                   mask (N, T) on the host, False at padding, None without a pad_id
    Raises ValueError for another cell, for two directions of anything but an LSTM of even size, for
    ids that are not in 0..V-1, and for a question of nothing but padding.
    Source: book 7.3.1, 8.4.1.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        cell: str = "lstm",
        bidirectional: bool = False,
        pad_id: int | None = None,
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = generator(rng)
        self.bidirectional, self.pad_id = bidirectional, pad_id
        embed_W = randn(rng, V, D) / 100
        if not bidirectional:
            self.lstm = recurrent(cell, D, H, rng)
        elif cell == "lstm" and H % 2 == 0:
            first, second = (recurrent_weights(rng, D, H // 2, blocks=4) for _ in range(2))
            self.lstm = TimeBiLSTM(*first, *second)
        else:
            raise ValueError(
                "Encoder: two directions need cell='lstm' and an even hidden_size, "
                f"not {cell!r} and {H}"
            )
        self.embed = TimeEmbedding(embed_W)
        super().__init__([self.embed, self.lstm])
        self.hs: Array = None
        self.mask: Array = None

    def forward(self, xs: Array) -> Array:
        return last_state(self.read(xs), self.bidirectional)

    def backward(self, dh: Array, *, dc: Array = None) -> None:
        """Fill `grads`, given the gradients of the last state and, where it is used, cell."""
        dhs = np.zeros_like(self.hs)
        add_to_last_state(dhs, dh, self.bidirectional)
        self.read_backward(dhs, dc)

    def read(self, xs: Array) -> Array:
        """ids (N, T) -> all hidden states (N, T, H)."""
        self.mask = None if self.pad_id is None else question_mask(xs, self.pad_id)
        self.hs = self.lstm.forward(self.embed.forward(xs), self.mask)
        return self.hs

    def read_backward(self, dhs: Array, dc: Array = None) -> None:
        """The backward of `read`; dc (N, H) is the gradient of the last cell."""
        how = {} if dc is None else {"dc": dc}
        self.embed.backward(self.lstm.backward(dhs, **how))

    @property
    def c(self) -> Array:
        """The cell (N, H) of an LSTM after the last step of the last forward."""
        return self.lstm.c


class Decoder(Network):
    """Writes answers:  ids (N, S) -> embedding -> LSTM -> affine -> scores (N, S, V) of the next.

    forward(xs, h (N, H))  the LSTM starts from h, and from the cell c where it is given
    backward(dscore) -> dh (N, H), the gradient of h; `dc` is that of c
    generate(h, start_id, sample_size) -> sample_size ids, each the most probable after those before
    start(h), then scores(ids) as often as wanted: the LSTM goes on from where it is
    cell, rng      as for `Encoder`
    bidirectional  whether the encoder is; it matters to decoders that get all of its states
    Raises ValueError if the states do not fit, or for ids that are not in 0..V-1.
    Source: book 7.3.2.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        cell: str = "lstm",
        bidirectional: bool = False,
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = generator(rng)
        lstm_inputs, affine_inputs = self.inputs(D, H)
        self.bidirectional = bidirectional
        embed_W = randn(rng, V, D) / 100
        self.lstm = recurrent(cell, lstm_inputs, H, rng, stateful=True)
        affine_W = randn(rng, affine_inputs, V) / math.sqrt(affine_inputs)
        self.embed = TimeEmbedding(embed_W)
        self.affine = TimeAffine(affine_W, np.zeros(V, dtype="f"))
        super().__init__([self.embed, self.lstm, self.affine])

    @staticmethod
    def inputs(D: int, H: int) -> tuple[int, int]:
        """How many numbers go into the LSTM at each step, and into the affine layer."""
        return D, H

    def forward(self, xs: Array, h: Array, *, c: Array = None) -> Array:
        self.start(h, c=c)
        return self.scores(xs)

    def start(self, h: Array, *, c: Array = None) -> None:
        """Begin answers to N questions with the states h, and c, (N, H)."""
        self.lstm.set_state(*([h] if c is None else [h, c]))

    def scores(self, xs: Array) -> Array:
        """ids (N, S) that go on with the answers -> scores (N, S, V) of the id after each."""
        return self.affine.forward(self.lstm.forward(self.embed.forward(xs)))

    def backward(self, dscore: Array) -> Array:
        self.embed.backward(self.lstm.backward(self.affine.backward(dscore)))
        return self.lstm.dh

    @property
    def dc(self) -> Array:
        """The gradient (N, H), after a backward, of the cell that an LSTM started from."""
        return self.lstm.dc

    def generate(
        self,
        h: Array,
        start_id: int,
        sample_size: int,
        *,
        stop_id: int | None = None,
        **beside: Any,
    ) -> list[int]:
        """The answer to one question, as sample_size ids without the start_id.

        Each id is the most probable one after those before it.
        h, beside  what `start` takes: h (1, H), and more if it takes more
        stop_id    once it comes, the rest is filled with it
        Raises ValueError for a sample_size below 1, ids outside 0..V-1, and if the scores are not
        finite.
        """
        self.start(h, **beside)
        (answer,) = greedy(self, 1, start_id, sample_size, stop_id)
        return [int(k) for k in answer]


class Seq2seq(BaseModel):
    """question (N, T) -> Encoder -> h (N, H) -> Decoder -> answer (N, L), which begins with a mark.

    forward(xs, ts) -> mean loss, in nats per character, of predicting ts[:, 1:] when the decoder
    reads ts[:, :-1] (teacher forcing).

    cell, bidirectional, rng  as for `Encoder` and `Decoder`
    pass_cell  whether the decoder starts from the encoder's cell as well, not from an empty one
    pad_id     the id of padding, which then counts for nothing: the encoder skips it around a
               question, and the loss behind an answer, of which the first pad_id is the end mark
    Raises ValueError as `Encoder` and `Decoder` do, for a cell to pass that is no LSTM's, for a
    pad_id outside 0..V-1, and for an answer that goes on after a pad_id.
    Source: book 7.3.3.
    """

    encoder_class: ClassVar[Any] = Encoder
    decoder_class: ClassVar[Any] = Decoder
    divisible: ClassVar[bool] = True
    pass_cell: bool = False  # for models typed from the book, whose __init__ does not set them
    pad_id: int | None = None

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        cell: str = "lstm",
        bidirectional: bool = False,
        pass_cell: bool = False,
        pad_id: int | None = None,
        rng: Seed = None,
    ) -> None:
        if pass_cell and cell != "lstm":
            raise ValueError(f"{type(self).__name__}: pass_cell needs cell='lstm', not {cell!r}")
        if pad_id is not None:
            checked_ids(f"{type(self).__name__}: pad_id", pad_id, vocab_size)
        sizes, rng = (vocab_size, wordvec_size, hidden_size), generator(rng)
        how: dict[str, Any] = {"cell": cell, "bidirectional": bidirectional}
        self.encoder = self.encoder_class(*sizes, **how, pad_id=pad_id, rng=rng)
        self.decoder = self.decoder_class(*sizes, **how, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()
        self.pass_cell, self.pad_id = pass_cell, pad_id
        self.options = how | {"pass_cell": pass_cell, "pad_id": pad_id}
        super().__init__(self.encoder.layers + self.decoder.layers)

    def forward(self, xs: Array, ts: Array) -> Array:
        labels = self._labels(ts)
        encoded = self.encoder.forward(xs)
        scores = self.decoder.forward(ts[:, :-1], encoded, **self._beside())
        return self.softmax.forward(scores, labels)

    def backward(self, dout: float = 1) -> None:
        dencoded = self.decoder.backward(self.softmax.backward(dout))
        self.encoder.backward(dencoded, **({"dc": self.decoder.dc} if self.pass_cell else {}))

    def loss_terms(self, ts: Array) -> int:
        """How many characters of ts (N, L) the mean loss counts."""
        labels = self._labels(to_cpu(ts))
        return labels.size if self.pad_id is None else int((labels != -1).sum())

    def _labels(self, ts: Array) -> Array:
        labels = ts[:, 1:]
        return labels if self.pad_id is None else answer_labels(labels, self.pad_id)

    def _beside(self) -> dict[str, Array]:
        """What the decoder starts with beside what the encoder returned."""
        return {"c": self.encoder.c} if self.pass_cell else {}

    def generate(
        self, xs: Array, start_id: int, sample_size: int, *, stop_id: int | None = None
    ) -> list[int]:
        """The answer to one question (1, T), as sample_size ids without the start_id.

        Each id is the most probable one after those before it.
        stop_id  once it comes, the rest is filled with it; a model with a pad_id always stops there
        Raises ValueError for more than one question, for a sample_size below 1 or a stop_id outside
        0..V-1, and if the scores are not finite.  Source: book 7.3.2.
        """
        if len(xs) != 1:
            raise ValueError(
                f"{type(self).__name__}.generate: one question at a time, (1, T), not {xs.shape}; "
                "generate_batch answers many"
            )
        stop_id = self.pad_id if stop_id is None else stop_id
        how = {} if stop_id is None else {"stop_id": stop_id}
        encoded = self.encoder.forward(xs)
        answer: list[int] = self.decoder.generate(
            encoded, start_id, sample_size, **self._beside(), **how
        )
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
        answers = numpy.empty((len(xs), max(sample_size, 0)), int)

        def answer(model: Seq2seq, rows: slice) -> None:
            model.decoder.start(model.encoder.forward(xs[rows]), **model._beside())
            answers[rows] = greedy(model.decoder, len(xs[rows]), start_id, sample_size, stop_id)

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
        stop_id, found = self.pad_id if stop_id is None else stop_id, list[list[Hypothesis]]()
        for rows in batches(len(xs), batch_size):
            encoded, beside = self.encoder.forward(xs[rows]), self._beside()
            self.decoder.start(
                np.repeat(encoded, beam_width, axis=0),
                **{name: a.repeat(beam_width, axis=0) for name, a in beside.items()},
            )
            found += beam_search(
                *(self.decoder, len(xs[rows]), start_id, sample_size, beam_width),
                stop_id=stop_id,
                length_penalty=length_penalty,
            )
        return found


def batches(N: int, size: int) -> Iterator[slice]:
    """Slices of `size` that together are N rows; ValueError for a size below 1."""
    if size < 1:
        raise ValueError(f"Seq2seq: batch_size must be at least 1, not {size}")
    for start in range(0, N, size):
        yield slice(start, start + size)


def recurrent(
    cell: str, D: int, H: int, rng: numpy.random.Generator, *, stateful: bool = False
) -> Any:
    """A new recurrent layer by name; ValueError for another name."""
    if cell not in CELLS:
        raise ValueError(f"recurrent: cell is one of {', '.join(CELLS)}, not {cell!r}")
    layer = CELLS[cell]
    return layer(*recurrent_weights(rng, D, H, layer.blocks), stateful=stateful)


def last_state(hs: Array, bidirectional: bool) -> Array:
    """hs (N, T, H) -> the state (N, H) after reading all; the second direction ends at t = 0."""
    if not bidirectional:
        return hs[:, -1]
    half = hs.shape[2] // 2
    return np.concatenate([hs[:, -1, :half], hs[:, 0, half:]], axis=1)


def add_to_last_state(dhs: Array, dh: Array, bidirectional: bool) -> None:
    """The backward of `last_state`: add dh (N, H) to where it came from in dhs (N, T, H)."""
    half = dhs.shape[2] // 2 if bidirectional else dhs.shape[2]
    dhs[:, -1, :half] += dh[:, :half]
    dhs[:, 0, half:] += dh[:, half:]


def question_mask(xs: Array, pad_id: int) -> Array:
    """ids (N, T) -> (N, T) on the host, False where a question begins or ends with padding.

    Raises ValueError for a question of nothing else.
    """
    real = to_cpu(xs) != pad_id
    if not real.any(axis=1).all():
        raise ValueError(f"Encoder: a question is all padding, id {pad_id}")
    begun = numpy.logical_or.accumulate(real, axis=1)
    goes_on = numpy.logical_or.accumulate(real[:, ::-1], axis=1)[:, ::-1]
    return begun & goes_on


def answer_labels(ts: Array, pad_id: int) -> Array:
    """ids (N, L) -> the same with -1 after the first pad_id of each row.

    Raises ValueError for a row that goes on with another id.
    """
    ts = to_cpu(ts)
    pads = (ts == pad_id).cumsum(axis=1)
    if (ts[pads > 0] != pad_id).any():
        raise ValueError(f"Seq2seq: an answer goes on after its padding, id {pad_id}")
    return numpy.where(pads > 1, -1, ts)
