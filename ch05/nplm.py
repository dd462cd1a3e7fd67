"""NPLM, the neural probabilistic language model of 2003, which sees the last words only.

V words, D word-vector size, K context words, H hidden size; N texts of T words.
Source: book 5.1; Bengio et al. 2003, https://www.jmlr.org/papers/v3/bengio03a.html.
"""

import math
from typing import Any

import numpy

from common.checks import checked_ids
from common.language_model import LanguageModel
from common.layers import Tanh
from common.network import Network
from common.np import Array, np
from common.rng import Seed, generator, randn
from common.time_layers import TimeAffine, TimeEmbedding, TimeSoftmaxWithLoss

__all__ = ["NPLM", "ContextEmbedding", "DirectConnections"]


class ContextEmbedding(TimeEmbedding):
    """The vectors of the last K words side by side.   W (V + 1, D), ids (N, T) -> (N, T, K D)

    y[n, t] = [W[ids[n, t - K + 1]], ..., W[ids[n, t]]]

    Row V stands for every word before the first. A call goes on after the words of earlier calls,
    of which the last K - 1 are the state `past` (N, K - 1), on the host.
    context  K
    Backward and sparse as for `Embedding`: words of earlier calls get their gradients as well.
    Raises ValueError for ids that are not (N, T) in 0..V-1, for another batch size than that of the
    words kept, and for a context below 1.
    """

    def __init__(self, W: Array, context: int, *, sparse: bool = False) -> None:
        super().__init__(W, sparse)
        if context < 1:
            raise self._refuse(f"context must be at least 1, not {context}")
        self.context = context
        self.past: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """The last words (N, K - 1)."""
        return {"past": self.past}

    def set_state(self, past: Array = None) -> None:
        """Go on after these words (N, K - 1)."""
        self.past = past

    def forward(self, idx: Array) -> Array:
        V, D, K = len(self.W) - 1, self.W.shape[1], self.context
        idx = checked_ids(self, idx, V)
        if idx.ndim != 2 or not idx.shape[1]:
            raise self._refuse(f"ids are (N, T) with T > 0, not {idx.shape}")
        N, T = idx.shape
        past = numpy.full((N, K - 1), V) if self.past is None else self.past
        if len(past) != N:
            raise self._refuse(
                f"the kept words are of batch size {len(past)}, the input of {N}; "
                "reset_state() drops them"
            )
        words = numpy.concatenate([past, idx], axis=1)
        y = super().forward(numpy.lib.stride_tricks.sliding_window_view(words, K, axis=1))
        self.past, self.y_shape = words[:, T:], (N, T, K * D)
        return y.reshape(self.y_shape)

    def output_size(self, size: int | None) -> int | None:
        """K D; ids have no width."""
        return self.context * int(self.W.shape[1])


class DirectConnections(Network):
    """y = [f(x), x], f the layers in a row.   x (..., D) -> y (..., H + D)

    What comes next is so connected with x directly, and through f.
    Backward: dx = f.backward(the first H columns of dy) + the other D.
    """

    def forward(self, x: Array) -> Array:
        y = super().forward(x)
        self.H = y.shape[-1]
        y = np.concatenate([y, x], axis=-1)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return super().backward(dy[..., : self.H]) + dy[..., self.H :]

    def output_size(self, size: int | None) -> int | None:
        """H + D, where D is known."""
        inside = super().output_size(size)
        return None if size is None or inside is None else inside + size


class NPLM(LanguageModel):
    """Predicts each next word:  ids (N, T) -> the last K word vectors -> scores (N, T, V).

    scores = tanh(x @ W + b) @ U + c,  x (N, T, K D) the vectors side by side
    direct   whether they are connected with the scores directly as well: + x @ U', with U' (K D, V)
    context  K, how many words it sees: with K = n - 1, it is a model of n-grams
    hidden_size  H, of the tanh layer
    rng      seed or Generator of the first weights, as for `SimpleRnnlm`
    sparse   whether the embedding's gradient holds only the rows looked up
    Consecutive blocks of a text are one text: the last K - 1 words are kept from call to call.
    Raises ValueError for a context below 1. Methods and other errors as for `LanguageModel`.
    Source: book 5.1; Bengio et al. 2003, https://www.jmlr.org/papers/v3/bengio03a.html.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        context: int = 4,
        direct: bool = False,
        rng: Seed = None,
        sparse: bool = True,
    ) -> None:
        V, D, H, K = vocab_size, wordvec_size, hidden_size, context
        rng = generator(rng)
        embed = ContextEmbedding(randn(rng, V + 1, D) / 100, K, sparse=sparse)
        W = randn(rng, K * D, H) / math.sqrt(K * D)
        hidden: list[Any] = [TimeAffine(W, np.zeros(H, dtype="f")), Tanh()]
        M = H + K * D if direct else H
        affine = TimeAffine(randn(rng, M, V) / math.sqrt(M), np.zeros(V, dtype="f"))
        layers = [DirectConnections(hidden)] if direct else hidden
        super().__init__([embed, *layers, affine], TimeSoftmaxWithLoss())
        self.settings = {
            **{"vocab_size": V, "wordvec_size": D, "hidden_size": H},
            **{"context": K, "direct": direct, "sparse": sparse},
        }
