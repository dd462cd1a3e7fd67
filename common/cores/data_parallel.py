"""Data parallelism: samples divided between copies of a model, one for each core.

Everything between the first layer and the gradients, or the answers, then runs side by side, and
the threads meet only once a step.
"""

from collections.abc import Callable, Sequence
from typing import Any

from common.cores.parallel import in_parallel, split
from common.network import twin_of, walk
from common.np import Array
from common.rng import generator

__all__ = ["DataParallel"]


class DataParallel:
    """A model at work on many samples; if it is `divisible`, with copies that share its weights.

    replicas  the model, and as many copies of it as were needed so far. A copy is made once: what
              changes in the model later, but for the numbers in its `params`, it does not see

    A copy draws random numbers of its own, such as dropout masks: for each step, the generator of
    every layer of the model gives its twin in the copy a seed. So a run is the same every time, and
    goes on from a checkpoint as it was, as long as it is divided alike.
    """

    def __init__(self, model: Any) -> None:
        self.replicas = [model]
        layers = [layer for _, layer in walk(model)]
        self.divisible = all(layer.divisible for layer in layers)
        self.drawing = [[layer for layer in layers if layer.rng is not None]]

    def gradients(self, x: Array, t: Array) -> Array:
        """Samples (N, ...) and their labels (N, ...) -> the mean loss; fills the model's `grads`.

        With the share of part k in the terms of the mean,
            loss = sum over k of share_k * loss_k, and the same for the gradients.
        What the model keeps for later, such as states and attention weights, is then that of the
        first part. `parallel.split` says which batches are large enough.
        Raises what the model raises.
        """
        model = self.replicas[0]
        parts = self._parts(len(x))
        terms = [model.loss_terms(t[rows]) for rows in parts]
        if len(parts) < 2 or not all(terms):
            loss = model.forward(x, t)
            model.backward()
            return loss
        losses: list[Array] = [None] * len(parts)

        def work(k: int) -> None:
            replica, share = self.replicas[k], terms[k] / sum(terms)
            losses[k] = share * replica.forward(x[parts[k]], t[parts[k]])
            replica.backward(share)

        self._replicate(len(parts))
        for drawing in self.drawing[1 : len(parts)]:
            for layer, twin in zip(self.drawing[0], drawing, strict=True):
                twin.rng = generator(int(layer.rng.integers(2**63)))
        in_parallel(work, range(len(parts)))
        for replica in self.replicas[1 : len(parts)]:
            pairs = zip(model.grads, replica.grads, strict=True)
            for whole, g in {id(whole): (whole, g) for whole, g in pairs}.values():
                whole += g
        return sum(losses)

    def for_each(self, work: Callable[[Any, slice], None], batches: Sequence[slice]) -> None:
        """Call work(replica, rows) for every batch, which is the slice of its samples.

        There are as many replicas, each in a thread of its own, as one batch is large enough for
        (`parallel.split`); a replica works on one batch after the other. What the model keeps is
        then that of one of the batches.
        Raises what `work` raises, after all threads have ended.
        """
        parts = self._parts(batches[0].stop - batches[0].start) if len(batches) > 1 else []
        count = max(1, min(len(parts), len(batches)))
        self._replicate(count)

        def turns(k: int) -> None:
            for rows in batches[k::count]:
                work(self.replicas[k], rows)

        in_parallel(turns, range(count))

    def _parts(self, N: int) -> list[slice]:
        """The rows of each part of N samples; none if the model is not divisible."""
        if not self.divisible:
            return []
        return split(N, max(p.shape[-1] for p in self.replicas[0].params if p.ndim))

    def _replicate(self, count: int) -> None:
        """Make copies until there are at least `count` replicas."""
        while len(self.replicas) < count:
            copy = twin_of(self.replicas[0])
            self.replicas.append(copy)
            self.drawing.append([layer for _, layer in walk(copy) if layer.rng is not None])
