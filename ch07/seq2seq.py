"""Seq2seq: one LSTM reads a question, another writes the answer.

V characters, D character vector, H hidden size, N questions of T characters, answers of L.
Source: book 7.2, 7.3; Sutskever et al. 2014, https://arxiv.org/abs/1409.3215.
"""

import math
from typing import Any, ClassVar, NamedTuple

import numpy

from ch07.decoding import greedy
from ch07.encoder_decoder import EncoderDecoder
from common.network import Network
from common.np import Array, np, to_cpu
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import (
    TimeAffine,
    TimeBiLSTM,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeRNN,
)

__all__ = ["CELLS", "Decoder", "Encoded", "Encoder", "Seq2seq", "last_state", "question_mask"]

CELLS: dict[str, Any] = {"lstm": TimeLSTM, "gru": TimeGRU, "rnn": TimeRNN}


class Encoded(NamedTuple):
    """What an encoder hands to a decoder where one array does not tell it all; or its gradient.

    h (N, H)      the state after reading everything
    c (N, H)      the cell of an LSTM, where the decoder starts from it as well
    hs (N, T, H)  all states, for attention
    mask (N, T)   on the host, False at states of padding, which get no attention
    None stands for what is not handed over.
    """

    h: Array
    c: Array = None
    hs: Array = None
    mask: Array = None


class Encoder(Network):
    """Reads questions:  ids (N, T) -> embedding -> LSTM -> its last hidden state h (N, H).

    forward(xs) -> h; with pass_cell, Encoded(h, c)
    backward(the gradient of that, in the same form) fills `grads` and returns None: ids have none

    cell           the recurrent layer, `lstm` whichever it is: "lstm", "gru" or "rnn"
    bidirectional  an LSTM of size H/2 in each direction; the last state is that of both
    pass_cell      whether the decoder gets the last cell of an LSTM as well
    pad_id         the id of padding. What a question begins or ends with of it is not read
    rng            seed or Generator of the first weights; None follows NumPy's global seed
    hs (N, T, H)   all hidden states of the last forward;  c (N, H) the last cell of an LSTM;
                   mask (N, T) on the host, False at padding, None without a pad_id
    Raises ValueError for another cell, for two directions of anything but an LSTM of even size, for
    a cell to pass that is no LSTM's, for ids that are not in 0..V-1, and for a question of nothing
    but padding.
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
        pass_cell: bool = False,
        pad_id: int | None = None,
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = generator(rng)
        self.bidirectional, self.pass_cell, self.pad_id = bidirectional, pass_cell, pad_id
        if pass_cell and cell != "lstm":
            raise self._refuse(f"pass_cell needs cell='lstm', not {cell!r}")
        embed_W = randn(rng, V, D) / 100
        if not bidirectional:
            self.lstm = recurrent(cell, D, H, rng)
        elif cell == "lstm" and H % 2 == 0:
            first, second = (recurrent_weights(rng, D, H // 2, blocks=4) for _ in range(2))
            self.lstm = TimeBiLSTM(*first, *second)
        else:
            raise self._refuse(
                f"two directions need cell='lstm' and an even hidden_size, not {cell!r} and {H}"
            )
        self.embed = TimeEmbedding(embed_W)
        super().__init__(embed=self.embed, lstm=self.lstm)
        self.hs: Array = None
        self.mask: Array = None

    def forward(self, xs: Array) -> Any:
        h = last_state(self.read(xs), self.bidirectional)
        return Encoded(h, self.c) if self.pass_cell else h

    def backward(self, dencoded: Any) -> None:
        """Fill `grads`, given the gradient of what `forward` returned: h (N, H) or Encoded."""
        d = dencoded if isinstance(dencoded, Encoded) else Encoded(dencoded)
        self.read_backward(np.zeros_like(self.hs), d)

    def read(self, xs: Array) -> Array:
        """ids (N, T) -> all hidden states (N, T, H)."""
        self.mask = None if self.pad_id is None else question_mask(xs, self.pad_id)
        self.hs = self.lstm.forward(self.embed.forward(xs), self.mask)
        return self.hs

    def read_backward(self, dhs: Array, d: Encoded) -> None:
        """The backward of `read`: dhs (N, T, H), to which that of the last state is added."""
        add_to_last_state(dhs, d.h, self.bidirectional)
        how = {} if d.c is None else {"dc": d.c}
        self.embed.backward(self.lstm.backward(dhs, **how))

    @property
    def c(self) -> Array:
        """The cell (N, H) of an LSTM after the last step of the last forward."""
        return self.lstm.c


class Decoder(Network):
    """Writes answers:  ids (N, S) -> embedding -> LSTM -> affine -> scores (N, S, V) of the next.

    forward(xs, h (N, H))  the LSTM starts from h; from h and c of an Encoded(h, c)
    backward(dscore) -> the gradient of h, or of the Encoded
    generate(h, start_id, sample_size) -> sample_size ids, each the most probable after those before
    start(h), then scores(ids) as often as wanted: the LSTM goes on from where it is
    cell, rng      as for `Encoder`
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
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = generator(rng)
        lstm_inputs, affine_inputs = self.inputs(D, H)
        embed_W = randn(rng, V, D) / 100
        self.lstm = recurrent(cell, lstm_inputs, H, rng, stateful=True)
        affine_W = randn(rng, affine_inputs, V) / math.sqrt(affine_inputs)
        self.embed = TimeEmbedding(embed_W)
        self.affine = TimeAffine(affine_W, np.zeros(V, dtype="f"))
        super().__init__(embed=self.embed, lstm=self.lstm, affine=self.affine)
        self.vocab_size, self.got_cell = V, False

    @staticmethod
    def inputs(D: int, H: int) -> tuple[int, int]:
        """How many numbers go into the LSTM at each step, and into the affine layer."""
        return D, H

    def forward(self, xs: Array, encoded: Any) -> Array:
        self.start(encoded)
        return self.scores(xs)

    def start(self, encoded: Any) -> None:
        """Begin answers to N questions with the states h (N, H), or with h and c of an Encoded."""
        h, c = encoded[:2] if isinstance(encoded, Encoded) else (encoded, None)
        self.got_cell = c is not None
        self.lstm.set_state(*([h, c] if self.got_cell else [h]))

    def scores(self, xs: Array) -> Array:
        """ids (N, S) that go on with the answers -> scores (N, S, V) of the id after each."""
        return self.affine.forward(self.lstm.forward(self.embed.forward(xs)))

    def backward(self, dscore: Array) -> Any:
        self.embed.backward(self.lstm.backward(self.affine.backward(dscore)))
        return self.dencoded(self.lstm.dh)

    def dencoded(self, dh: Array) -> Any:
        """The gradient of what `start` got, given that of h (N, H)."""
        return Encoded(dh, self.lstm.dc) if self.got_cell else dh

    def generate(
        self, encoded: Any, start_id: int, sample_size: int, *, stop_id: int | None = None
    ) -> list[int]:
        """The answer to one question, as sample_size ids without the start_id.

        Each id is the most probable one after those before it.
        encoded  what `start` takes, for one question: h (1, H)
        stop_id  once it comes, the rest is filled with it
        Raises ValueError for a sample_size below 1, ids outside 0..V-1, and if the scores are not
        finite.
        """
        self.start(encoded)
        (answer,) = greedy(self, 1, start_id, sample_size, stop_id)
        return [int(k) for k in answer]


class Seq2seq(EncoderDecoder):
    """question (N, T) -> Encoder -> h (N, H) -> Decoder -> answer (N, L).

    Loss, answers and pad_id as for `EncoderDecoder`; questions and answers share V characters.

    cell, bidirectional, pass_cell, rng  as for `Encoder` and `Decoder`
    pad_id  the encoder does not read it around a question, and the loss does not count it behind an
            answer
    writing  further keywords of a class of decoders
    Raises ValueError as `Encoder` and `EncoderDecoder` do.
    Source: book 7.3.3.
    """

    encoder_class: ClassVar[Any] = Encoder
    decoder_class: ClassVar[Any] = Decoder
    fixed: ClassVar[tuple[str, ...]] = ("cell", "bidirectional", "pass_cell", "pad_id")

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
        **writing: Any,
    ) -> None:
        sizes, rng = (vocab_size, wordvec_size, hidden_size), generator(rng)
        reading: dict[str, Any] = {
            "cell": cell,
            "bidirectional": bidirectional,
            "pass_cell": pass_cell,
            "pad_id": pad_id,
        }
        encoder = self.encoder_class(*sizes, **reading, rng=rng)
        decoder = self.decoder_class(*sizes, cell=cell, rng=rng, **writing)
        super().__init__(encoder, decoder, pad_id)
        names = ("vocab_size", "wordvec_size", "hidden_size")
        self.settings = dict(zip(names, sizes, strict=True)) | reading | writing


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
