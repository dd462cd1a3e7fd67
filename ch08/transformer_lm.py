"""A language model of Transformer blocks: the small GPT that other courses build.

V words, D numbers a step, F hidden units of a feed-forward layer, N texts of T words.
Source: book 8.5.2; Radford et al. 2018 (GPT), 2019 (GPT-2).
"""

from typing import Any, ClassVar

import numpy

from ch07.rnnlm_gen import TextGenerator
from ch08.transformer import Stack, embedding
from common.checks import checked_ids
from common.layers import Layer
from common.network import States, set_states, states
from common.np import Array, np
from common.rng import Seed, generator
from common.time_layers import TimeAffine, TimeSoftmaxWithLoss

__all__ = ["TransformerLM"]


class History(Layer):
    """Hands ids (N, T) on, and remembers all of them since the last reset: `ids`, on the host.

    Backward returns None: ids have no gradient. Raises ValueError for ids that are not in 0..V-1,
    and for another batch size than that of the ids kept.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.ids: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """The ids (N, T) read so far."""
        return {"ids": self.ids}

    def set_state(self, ids: Array = None) -> None:
        """Go on after these ids (N, T)."""
        self.ids = ids

    def forward(self, ids: Array) -> Array:
        ids = checked_ids(self, ids, self.vocab_size)
        if ids.ndim != 2:
            raise self._refuse(f"ids are (N, T), not {ids.shape}")
        if self.ids is not None and len(self.ids) != len(ids):
            raise self._refuse(
                f"the kept ids are of batch size {len(self.ids)}, the input of {len(ids)}; "
                "reset_state() drops them"
            )
        self.ids = ids if self.ids is None else numpy.concatenate([self.ids, ids], axis=1)
        return ids

    def backward(self, dy: Array) -> None:
        return None


class TransformerLM(TextGenerator):
    """Predicts each next word:  ids (N, T) -> causal `Stack` -> affine -> scores (N, T, V).

    The weights of the affine layer are the embedding, as in `BetterRnnlm`.

    vocab_size     V
    wordvec_size   D, the width of everything
    hidden_size    F, of the feed-forward layers
    num_layers, num_heads, dropout_ratio, norm_first  as for `Transformer`
    activation     gelu or relu
    context        how many words it sees at most, and the longest T that is trained
    rng            seed or Generator of the first weights and dropouts; None follows NumPy's seed

    In training, each call begins anew: its words see each other, and none before. Otherwise a call
    goes on after the last one, whose keys and values are kept; `reset_state()` starts a new text.
    Once `context` is full, the last half of it is read again as a beginning, so that a word sees
    between context / 2 and context words before it.
    Raises ValueError for a T above the context in training, for a context below 2, and as `Stack`
    does. Methods and errors as for `LanguageModel` and `TextGenerator`.
    """

    divisible: bool = True  # in training, what comes out for a text depends on no other
    fixed: ClassVar[tuple[str, ...]] = ("num_heads", "norm_first", "activation")

    def __init__(
        self,
        vocab_size: int = 10000,
        wordvec_size: int = 256,
        hidden_size: int = 1024,
        dropout_ratio: float = 0.3,
        *,
        num_layers: int = 4,
        num_heads: int = 4,
        norm_first: bool = True,
        activation: str = "gelu",
        context: int = 70,
        rng: Seed = None,
    ) -> None:
        V, D, F, rng = vocab_size, wordvec_size, hidden_size, generator(rng)
        if context < 2:
            raise self._refuse(f"context must be at least 2, not {context}")
        how: dict[str, Any] = {
            "num_layers": num_layers,
            "dropout_ratio": dropout_ratio,
            "norm_first": norm_first,
            "activation": activation,
        }
        W = embedding(V, D, rng)
        self.context, self.history = context, History(V)
        self.stack = Stack(W, F, num_heads, causal=True, sparse=True, rng=rng, **how)
        affine = TimeAffine(W.T, np.zeros(V, dtype="f"))
        super().__init__([self.history, self.stack, affine], TimeSoftmaxWithLoss())
        self.settings = {
            **{"vocab_size": V, "wordvec_size": D, "hidden_size": F, "num_heads": num_heads},
            **how,
            "context": context,
        }

    def predict(self, xs: Array, train_flg: bool = False) -> Array:
        """Scores (N, T, V) for ids (N, T); with train_flg, under dropout and from the beginning."""
        self.train(train_flg)
        if train_flg:
            self.reset_state()
            if xs.shape[1] > self.context:
                raise self._refuse(f"{xs.shape[1]} words are more than the context, {self.context}")
            return super().predict(xs)
        step = self.context // 2 if xs.shape[1] > self.context else max(1, xs.shape[1])
        parts = [self._go_on(xs[:, k : k + step]) for k in range(0, xs.shape[1], step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _go_on(self, xs: Array) -> Array:
        """Scores of at most `context` words, after those that were read."""
        read = self.history.ids
        if read is not None and read.shape[1] + xs.shape[1] > self.context:
            again = min(self.context // 2, self.context - xs.shape[1])
            self.reset_state()
            if again:
                super().predict(read[:, -again:])
        return super().predict(xs)

    def forward(self, xs: Array, ts: Array, train_flg: bool = True) -> Array:
        """Mean loss, under dropout unless train_flg is False; errors as for `LanguageModel`."""
        return super().forward(xs, ts, train_flg=train_flg)

    def get_state(self) -> States:
        """What the model remembers: ids (N, T), keys and values (N, T, 2D) of every block."""
        return states(self)

    def set_state(self, state: States) -> None:
        """Go on from what `get_state` returned; ValueError for the state of another model."""
        set_states(self, state)
