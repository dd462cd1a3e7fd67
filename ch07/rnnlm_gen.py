"""The language models of chapter 6, as writers.  N texts side by side, V words, H hidden size."""

import math
import operator
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy

from ch06.awd_lstm import AwdLstm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from common.checks import checked_ids
from common.language_model import LanguageModel
from common.np import Array, np, to_cpu
from common.recurrent import own
from common.rng import Seed, generator

__all__ = ["AwdLstmGen", "BetterRnnlmGen", "GruRnnlmGen", "RnnlmGen", "TextGenerator", "sample"]


class TextGenerator(LanguageModel):
    """What a language model needs to write: words drawn from its own predictions, one by one.

    A class of its own to inherit from, first, beside any model.  Source: book 7.1.
    """

    def generate(
        self,
        start_id: int | Sequence[int],
        skip_ids: Iterable[int] | None = None,
        sample_size: int = 100,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        greedy: bool = False,
        stop_id: int | None = None,
        batch_size: int | None = None,
        rng: Seed = None,
    ) -> list[Any]:
        """A text that begins with start_id -> sample_size ids, each drawn after those before it.

            p = softmax(scores / temperature), over the words that may come

        skip_ids     words that must not come: their probability is given to the others, in
                     proportion, as if a word were drawn again from the same p until it is another
        temperature  below 1 the probable words become more probable, above 1 less
        top_k        only the k most probable words may come
        greedy       no drawing: the most probable word comes, whatever temperature and top_k are
        stop_id      a word that ends the text where it is drawn, as its last, before sample_size
        batch_size   N: write N texts, from one start_id or from N -> a list of N texts
        rng          seed or Generator, which gives one number per text and word; None follows
                     NumPy's global seed

        The state is not reset: the text goes on from what the model has read. Afterwards it has
        read all of the text but the last word, so that `generate(text[-1])` goes on with it (where
        one of N texts stops before others, its row of the state is of no use).
        The published code asks the model again after each word that it rejects, which then reads
        the word before it twice; here the state moves by one step for each word.
        Raises ValueError for sizes below 1, a temperature that is not positive and finite, ids
        outside 0..V-1, skip_ids that leave no word, other than 1 or N start ids, or a state kept
        of other than N texts, all before the state moves; and for scores that are not finite.
        Source: book 7.1.1, 7.1.2.
        """
        sizes = {"sample_size": sample_size, "top_k": top_k, "batch_size": batch_size}
        for name, size in sizes.items():
            if size is not None and operator.index(size) < 1:
                raise ValueError(f"generate: {name} must be at least 1, not {size}")
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"generate: temperature must be above 0 and finite, not {temperature}; "
                "for the most probable words, greedy=True"
            )
        V, N = self.vocab_size, batch_size or 1
        start = checked_ids("generate: start_id", start_id, V)
        if start.shape not in ((), (batch_size,)):
            raise ValueError(
                f"generate: start_id has shape {start.shape}; it must be one id, or with "
                f"batch_size N of them, and batch_size is {batch_size}"
            )
        stop = -1 if stop_id is None else int(checked_ids("generate: stop_id", stop_id, V))
        skip = [] if skip_ids is None else sorted(set(skip_ids))
        if skip and len(checked_ids("generate: skip_ids", skip, V)) == V:
            raise ValueError(f"generate: skip_ids leave none of the {V} words")
        for a in chain(*(layer.state.values() for layer in self.recurrent_layers)):
            if a is not None and len(a) != N:
                raise ValueError(
                    f"generate: the kept state is of batch size {len(a)}, this call needs {N}; "
                    "reset_state() drops it"
                )

        rng = None if greedy else generator(rng)
        ids = numpy.full(N, start)
        texts, running = [[id_] for id_ in ids.tolist()], numpy.full(N, True)
        with self.turn.lock:
            for _ in range(sample_size - 1):
                scores = to_cpu(self.predict(ids[:, None]))[:, 0].astype("float64")  # (N, V)
                if not numpy.isfinite(scores).all():
                    raise ValueError(
                        "generate: the model's scores are not finite; check its weights"
                    )
                scores[:, skip] = -math.inf
                if rng is None:
                    ids = scores.argmax(axis=1)
                else:
                    ids = sample(scores, temperature, top_k, rng)
                for n in numpy.flatnonzero(running):
                    texts[n].append(int(ids[n]))
                running &= ids != stop
                if not running.any():
                    break
        return texts[0] if batch_size is None else texts

    def get_state(self) -> Any:
        """Copies of what the model remembers: (h, c) of its LSTM, each (N, H); of a GRU (h,).

        Of several layers a list of these, the first layer first; None for h and c where nothing
        has been read.
        """
        states = [tuple(own(a) for a in layer.state.values()) for layer in self.recurrent_layers]
        return states if len(states) > 1 else states[0]

    def set_state(self, state: Any) -> None:
        """Go on from a state of the form that `get_state` returns.

        Raises ValueError for another form, and for arrays that are not (N, H) with one N for all;
        the state is then what it was.
        """
        layers = self.recurrent_layers
        states = [
            [None if a is None else np.asarray(a) for a in arrays]
            for arrays in (state if len(layers) > 1 else [state])
        ]
        shapes = [[None if a is None else a.shape for a in arrays] for arrays in states]
        N = next((shape[0] for shape in chain(*shapes) if shape), 1)
        needed = [[(N, layer.output_size(None))] * len(layer.state) for layer in layers]
        if [*map(len, shapes)] != [*map(len, needed)] or any(
            found not in (None, right)
            for found, right in zip(chain(*shapes), chain(*needed), strict=True)
        ):
            raise ValueError(
                f"set_state: the arrays are {shapes}, and must be {needed}, N the same for all"
            )
        with self.turn.lock:
            self.turn.begin_text()
            for layer, arrays in zip(layers, states, strict=True):
                layer.set_state(**dict(zip(layer.state, arrays, strict=True)))


class RnnlmGen(TextGenerator, Rnnlm):
    """`Rnnlm`, its weight files included, that can `generate`.  Source: book 7.1.2."""

    weights_of = "Rnnlm"


class BetterRnnlmGen(TextGenerator, BetterRnnlm):
    """`BetterRnnlm`, its weight files included, that can `generate`.  Source: book 7.1.3."""

    weights_of = "BetterRnnlm"


class AwdLstmGen(TextGenerator, AwdLstm):
    """`AwdLstm`, its weight files included, that can `generate`."""

    weights_of = "AwdLstm"


class GruRnnlmGen(TextGenerator, GruRnnlm):
    """`GruRnnlm`, its weight files included, that can `generate`."""

    weights_of = "GruRnnlm"


def sample(
    scores: Array, temperature: float, top_k: int | None, rng: numpy.random.Generator
) -> Array:
    """One id (N,) per row of scores (N, V), drawn from softmax(scores / temperature); on the host.

    top_k  how many words of the highest scores may be drawn; of equal ones the first
    """
    if top_k is not None:
        others = (-scores).argsort(axis=1, kind="stable")[:, top_k:]
        numpy.put_along_axis(scores, others, -math.inf, axis=1)
    with numpy.errstate(over="ignore"):  # near temperature 0: the -inf is then the right limit
        weight = numpy.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    up_to = weight.cumsum(axis=1)
    u = rng.random((len(scores), 1)) * up_to[:, -1:]
    return (up_to <= u).sum(axis=1)  # the word on whose stretch of 0 .. the sum of weights u lies
