"""AwdLstm: a deep LSTM language model, regularised in every place; blocks of varying length.

V words, D word vector, H hidden size.  Source: Merity, Keskar and Socher 2018, "Regularizing and
Optimizing LSTM Language Models", https://arxiv.org/abs/1708.02182; book 6.5.5.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy

from common.language_model import DroppingLanguageModel
from common.network import Network
from common.np import Array, np
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import (
    TimeActivationPenalty,
    TimeAffine,
    TimeDropout,
    TimeEmbedding,
    TimeLSTM,
    TimeSoftmaxWithLoss,
)

__all__ = ["AwdLstm", "varying_length"]

GRID = 5  # steps: lengths are multiples, since a GPU records its loops anew for every length


class AwdLstm(DroppingLanguageModel):
    """ids (N, T) -> embedding, (dropout, LSTM) three times, dropout, affine -> scores (N, T, V).

    wordvec_size   D, of the embedding
    hidden_size    H, of all LSTM layers but the last
    num_layers     LSTM layers
    last_size      of the last LSTM layer; None is D if weights are tied, else H

    What keeps it from learning the training text by heart, each with the value that leaves it out:
    tied               False  the affine layer has the embedding matrix, transposed, as weights
    embedding_dropout  0      share of the words that are switched off, as in `TimeEmbedding`
    input_dropout      0      share of the elements of word vectors
    hidden_dropout     0      share of the elements between LSTM layers
    output_dropout     0      share of the elements of the last LSTM layer's output
    variational        False  these three keep one mask for a whole block, as in `TimeDropout`
    dropconnect        0      share of the elements of every Wh, as in `TimeLSTM`
    alpha              0      penalty on large outputs of the last dropout, `TimeActivationPenalty`
    beta               0      penalty on fast changes of the last LSTM layer's output
    The paper, with layers of 1150, has more: input 0.4, hidden 0.25, output 0.4, dropconnect 0.5.

    forward(xs, ts) -> mean loss; in training with the penalties, so that it is what `backward`
    differentiates
    rng  seed or Generator of first weights and dropouts; None follows NumPy's global seed
    Raises ValueError if weights are tied and last_size is not wordvec_size, for num_layers below 1,
    and for a ratio or a factor out of range.
    """

    def __init__(
        self,
        vocab_size: int = 10000,
        wordvec_size: int = 400,
        hidden_size: int = 650,
        *,
        num_layers: int = 3,
        last_size: int | None = None,
        tied: bool = True,
        embedding_dropout: float = 0.1,
        input_dropout: float = 0.3,
        hidden_dropout: float = 0.2,
        output_dropout: float = 0.3,
        variational: bool = True,
        dropconnect: float = 0.4,
        alpha: float = 2.0,
        beta: float = 1.0,
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        if num_layers < 1:
            raise ValueError(f"AwdLstm: num_layers must be at least 1, not {num_layers}")
        last = last_size or (D if tied else H)
        if tied and last != D:
            raise ValueError(
                f"AwdLstm: tied weights need a last layer of wordvec_size {D}, not of {last}"
            )
        rng = generator(rng)
        drop = partial(TimeDropout, variational=variational, rng=rng)
        embed_W = randn(rng, V, D) / 20
        layers: list[Any] = [
            TimeEmbedding(embed_W, sparse=True, dropout_ratio=embedding_dropout, rng=rng),
            drop(input_dropout),
        ]
        for before, size in pairwise([D, *[H] * (num_layers - 1), last]):
            weights = recurrent_weights(rng, before, size, blocks=4)
            lstm = TimeLSTM(*weights, stateful=True, dropconnect_ratio=dropconnect, rng=rng)
            layers += [lstm, drop(hidden_dropout)]
        fast, large = TimeActivationPenalty(beta=beta), TimeActivationPenalty(alpha=alpha)
        affine_W = embed_W.T if tied else randn(rng, last, V) / 20
        affine = TimeAffine(affine_W, np.zeros(V, dtype="f"))
        layers[-1:] = [fast, drop(output_dropout), large, affine]
        super().__init__(layers, TimeSoftmaxWithLoss())
        self.penalties = fast, large
        self.settings = {
            "vocab_size": V,
            "wordvec_size": D,
            "hidden_size": H,
            "num_layers": num_layers,
            "last_size": last,
            "tied": tied,
            "embedding_dropout": embedding_dropout,
            "input_dropout": input_dropout,
            "hidden_dropout": hidden_dropout,
            "output_dropout": output_dropout,
            "variational": variational,
            "dropconnect": dropconnect,
            "alpha": alpha,
            "beta": beta,
        }

    def forward(self, xs: Array, ts: Array, train_flg: bool = True) -> Array:
        """Mean loss, in training with the penalties; errors as for `LanguageModel`."""
        loss = super().forward(xs, ts, train_flg)
        for layer in self.penalties if train_flg else ():
            loss = loss + layer.penalty
        return loss

    def backward(self, dout: float = 1) -> Array:
        """Fill `grads` with the gradients of the last forward's loss, times dout -> None."""
        dscores = self.loss_layer.backward(dout)
        for layer in self.penalties:
            layer.dpenalty = float(dout)
        return Network.backward(self, dscores)


def varying_length(time_size: int, seed: int) -> Callable[[int], int]:
    """A function that gives the length T of the block of a training step.

    T is drawn from a normal distribution with a standard deviation of 5 steps, around time_size,
    or, in one of 20 steps, around half of it; then rounded to a multiple of 5, at least 5. So a
    text is not cut in the same places in every epoch.
    The same step has the same length whenever it is asked for.
    Raises ValueError for a time_size below 1.
    """
    if time_size < 1:
        raise ValueError(f"varying_length: time_size must be at least 1, not {time_size}")

    def length(step: int) -> int:
        rng = numpy.random.default_rng([seed, step])
        mean = time_size if rng.random() < 0.95 else time_size / 2
        return GRID * max(1, round(rng.normal(mean, 5) / GRID))

    return length
