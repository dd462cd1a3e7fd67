"""Skip-gram: the neighbours guessed from a word.  V words, H hidden size, C = 2 * window_size."""

from copy import copy
from functools import cached_property
from typing import Any

from ch04.cbow import CBOW, check_pairs
from common.negative_sampling import with_parts
from common.np import Array, np

__all__ = ["SkipGram"]


class SkipGram(CBOW):
    """The word's vector should fit the rows of all its neighbours.

    forward(contexts (N, C), target (N,)) -> loss, in nats:
        h = W_in[target],  loss = sum over c of negative sampling of (h, contexts[:, c]) by W_out
    Arguments, weights, `word_vecs` and errors as for `CBOW`; every neighbour has negatives of its
    own.  Source: book 3.5.2, 4.1; Mikolov et al. 2013.
    """

    @cached_property
    def loss_layers(self) -> list[Any]:
        """The book's losses, one for each neighbour; they are parts of `ns_loss`."""
        losses = [copy(self.ns_loss) for _ in range(2 * self.window_size)]
        return with_parts(losses, self.ns_loss)

    def forward(self, contexts: Array, target: Array) -> Array:
        check_pairs(self, contexts, target)
        self.C = contexts.shape[1]
        h = np.repeat(self.in_layer.forward(target), self.C, axis=0)  # (N * C, H)
        return self.ns_loss.forward(h, contexts.reshape(-1)) * self.C

    def backward(self, dout: float = 1) -> None:
        dh = self.ns_loss.backward(dout * self.C)
        self.in_layer.backward(dh.reshape(-1, self.C, dh.shape[1]).sum(axis=1))
