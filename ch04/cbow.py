"""CBOW: a word guessed from its neighbours.  V words, H hidden size, C = 2 * window_size."""

from functools import cached_property
from typing import Any

from common.base_model import BaseModel
from common.checks import on_host
from common.layers import Embedding, EmbeddingPart
from common.negative_sampling import NegativeSamplingLoss
from common.np import Array, np
from common.rng import Seed, generator, randn

__all__ = ["CBOW", "check_pairs"]


class CBOW(BaseModel):
    """Continuous bag of words: the mean of the neighbours' vectors should fit the word's own row.

    forward(contexts (N, C), target (N,)) -> loss, in nats:
        h = mean over c of W_in[contexts[:, c]],  loss = negative sampling of (h, target) by W_out
    word_vecs (V, H)  W_in, which is what training is for
    corpus            ids (L,), for the frequencies of the negatives
    power, sample_size  of the negatives;  sparse: whether gradients hold only rows in use
    rng               seed or Generator; None follows NumPy's global seed
    Raises ValueError for ids outside 0..V-1 or contexts that are not (N, C).
    Source: book 4.3.1; Mikolov et al. 2013.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        window_size: int,
        corpus: Array,
        *,
        power: float = 0.75,
        sample_size: int = 5,
        sparse: bool = True,
        rng: Seed = None,
    ) -> None:
        V, H = vocab_size, hidden_size
        rng = generator(rng)
        W_in = 0.01 * randn(rng, V, H)
        W_out = 0.01 * randn(rng, V, H)

        self.window_size = window_size
        self.in_layer = Embedding(W_in, sparse)
        self.ns_loss = NegativeSamplingLoss(
            W_out, corpus, power, sample_size, sparse=sparse, rng=rng
        )
        super().__init__(in_layer=self.in_layer, ns_loss=self.ns_loss)
        self.settings = {  # and the corpus, which `load_model` must be given
            "vocab_size": V,
            "hidden_size": H,
            "window_size": window_size,
            "power": power,
            "sample_size": sample_size,
            "sparse": sparse,
        }

    @property
    def word_vecs(self) -> Array:
        """W_in (V, H) itself."""
        return self.in_layer.params[0]

    @cached_property
    def in_layers(self) -> list[Any]:
        """The book's input layers, one for each neighbour; they are parts of `in_layer`."""
        parts: list[Any] = []
        return [EmbeddingPart(self.in_layer, parts) for _ in range(2 * self.window_size)]

    def forward(self, contexts: Array, target: Array) -> Array:
        check_pairs(self, contexts, target)
        rows = self.in_layer.forward(contexts)  # (N, C, H)
        C = rows.shape[1]
        h = np.matmul(np.full((1, C), 1 / C, rows.dtype), rows)[:, 0]  # the mean, sooner than mean
        return self.ns_loss.forward(h, target)

    def backward(self, dout: float = 1) -> None:
        self.in_layer.collect(self.ns_loss.backward(dout) / (2 * self.window_size))


def check_pairs(model: CBOW, contexts: Array, target: Array) -> None:
    """Refuse contexts that are not (N, 2 * window_size) for N targets."""
    contexts, target = on_host(model, contexts), on_host(model, target)
    needed = (target.size, 2 * model.window_size)
    if target.ndim != 1 or contexts.shape != needed:
        raise ValueError(
            f"{type(model).__name__}: contexts {contexts.shape} and target {target.shape} do not "
            f"go together; (N, {needed[1]}) and (N,) are needed"
        )
