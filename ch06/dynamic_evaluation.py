"""Dynamic evaluation: a language model that goes on learning from the text that it is tested on.

The model predicts a block of the text, and then learns from it before it predicts the next one. So
it is never told a word before it has predicted it. For every weight w:

    w += -lr * g / (sqrt(G) + EPS) + pull * (w0 - w),    pull = min(1, decay * sqrt(G) / m)

g is the gradient of the mean loss of the block, G the mean of g^2 over blocks of the training text,
m the mean of sqrt(G) over all weights, and w0 the trained weight, which w is drawn back to. Both lr
and decay are chosen on a text that is not the test text.  L words, T steps of a block.
Source: Krause et al. 2018, https://arxiv.org/abs/1709.07432.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy

from common.checks import checked_ids, text_on_host
from common.evaluate import progress_bar
from common.functions import perplexity
from common.gradients import remove_duplicate, to_dense
from common.network import evaluating, evaluation_options
from common.np import Array, fused, np
from common.optimizer import Optimizer

__all__ = ["EPS", "Follow", "eval_perplexity_dynamically", "mean_squares", "tune_dynamic"]

EPS = 2e-4  # keeps weights that training hardly moved from large steps


class Follow(Optimizer):
    """w += -lr * g / (sqrt(G) + EPS) + pull * (w0 - w), as above.

    params   the weights, of any shape, as they were trained
    squares  G of each of them
    lr       a number, or a function of the update number
    decay    0 never draws w back
    Raises ValueError for squares that do not go with the parameters, or are not finite or negative,
    and for a decay that is not finite or negative.
    """

    state_names = ("trained", "root", "pull")

    def __init__(self, params: list[Array], squares: list[Array], lr: Any, decay: float) -> None:
        super().__init__(lr)
        if not 0 <= decay < math.inf:
            raise ValueError(f"Follow: decay is finite and not negative, not {decay}")
        if [p.shape for p in params] != [G.shape for G in squares]:
            raise ValueError("Follow: the squares are those of another model")
        if not all(bool((np.isfinite(G) & (G >= 0)).all()) for G in squares):
            raise ValueError("Follow: squares are finite and not negative")
        self.decay = float(decay)
        roots = [np.sqrt(G) for G in squares]
        mean = sum(float(root.sum()) for root in roots) / sum(root.size for root in roots)
        self.state = {
            "trained": [p.copy() for p in params],
            "root": [root + EPS for root in roots],
            "pull": [np.minimum(root * (self.decay / (mean or 1)), 1) for root in roots],
        }

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"decay": self.decay}

    def update(self, params: list[Array], grads: list[Any]) -> None:
        """Move every parameter, of any shape: those without a gradient are drawn back as well."""
        super().update(params, [to_dense(g) for g in grads])

    def step(self, w: Array, g: Array, trained: Array, root: Array, pull: Array) -> None:
        fused(follow)(w, g, trained, root, pull, self.rate)


def follow(w: Array, g: Array, trained: Array, root: Array, pull: Array, rate: float) -> None:
    """The rule of `Follow`, any shape."""
    w += pull * (trained - w) - rate * g / root


def mean_squares(
    model: Any,
    corpus: Array,
    *,
    batch_size: int = 20,
    time_size: int = 20,
    progress: bool = True,
) -> list[Array]:
    """G, the mean of g^2 over blocks of the training text -> arrays of the shapes of the weights.

    corpus (L,)  ids; some of the training text is enough
    batch_size   rows that are read side by side: g is the gradient of the mean loss of all
    The model's state is reset before and after, its dropout is off, and it learns nothing.
    Raises ValueError for ids or a text that do not fit, and sizes below 1.
    """
    corpus = _checked("mean_squares", model, corpus, time_size, batch_size)
    rows = (len(corpus) - 1) // batch_size
    if rows < 1:
        raise ValueError(f"mean_squares: {len(corpus)} words are too few for {batch_size} rows")
    where = numpy.arange(batch_size)[:, None] * rows + numpy.arange(rows)
    squares, blocks = None, range(0, rows, time_size)
    with _reading(model):
        for start in progress_bar(blocks, shown=progress):
            block = where[:, start : start + time_size]
            _, _, grads = _gradients(model, corpus[block], corpus[block + 1])
            squares = squares or [np.zeros(g.shape, g.dtype) for g in grads]
            for G, g in zip(squares, map(to_dense, grads), strict=True):
                G += g * g / len(blocks)
    return squares or []


def eval_perplexity_dynamically(
    model: Any,
    corpus: Array,
    squares: list[Array],
    *,
    lr: float,
    decay: float,
    time_size: int = 20,
    progress: bool = True,
) -> float:
    """exp of the mean loss, in nats per word, of a model that learns from each block it has read.

    corpus (L,)  ids, read as one row from beginning to end; all words but the first are predicted
    squares      G, from `mean_squares`
    lr, decay    as above
    time_size    T, words of a block
    Afterwards the weights are those of before, to the last bit, and the model's state is reset.
    Raises ValueError for settings out of range, and for ids or a text that do not fit.
    """
    corpus = _checked("dynamic evaluation", model, corpus, time_size)
    ids, labels = corpus[None, :-1], corpus[None, 1:]
    params, _ = remove_duplicate(model.params, model.grads)
    optimizer = Follow(params, squares, lr, decay)
    losses = []
    try:
        with _reading(model):
            for start in progress_bar(range(0, ids.size, time_size), shown=progress):
                block = slice(start, start + time_size)
                loss, params, grads = _gradients(model, ids[:, block], labels[:, block])
                losses.append(loss * ids[:, block].size)
                optimizer.update(params, grads)
    finally:
        for p, trained in zip(params, optimizer.trained, strict=True):
            p[...] = trained
    return perplexity(math.fsum(map(float, losses)) / ids.size)


def tune_dynamic(
    model: Any,
    corpus: Array,
    squares: list[Array],
    lrs: Sequence[float],
    decays: Sequence[float],
    **options: Any,
) -> tuple[float, float, float]:
    """The lr and the decay with the lowest perplexity of a text -> lr, decay, that perplexity.

    The model reads the text, corpus (L,), once for each pair.  Other arguments and errors as above.
    """
    if not len(lrs) or not len(decays):
        raise ValueError("tune_dynamic: at least one lr and one decay are needed")
    found = [
        (
            eval_perplexity_dynamically(model, corpus, squares, lr=lr, decay=decay, **options),
            lr,
            decay,
        )
        for lr in lrs
        for decay in decays
    ]
    lowest, lr, decay = min(found)
    return lr, decay, lowest


def _gradients(model: Any, xs: Array, ts: Array) -> tuple[Array, list[Array], list[Any]]:
    """The mean loss of predicting ts (N, T) from xs (N, T), the weights, and their gradients."""
    loss = model.forward(xs, ts, **evaluation_options(model))
    model.backward()
    return loss, *remove_duplicate(model.params, model.grads)


@contextmanager
def _reading(model: Any) -> Iterator[None]:
    """Within it the model reads a text from its beginning, without dropout."""
    model.reset_state()
    try:
        with evaluating(model):
            yield
    finally:
        model.reset_state()


def _checked(who: str, model: Any, corpus: Array, *sizes: int) -> Array:
    """The corpus on the host, if all fits."""
    if min(sizes) < 1:
        raise ValueError(f"{who}: batch_size and time_size are at least 1, not {min(sizes)}")
    corpus = text_on_host(who, corpus)
    if len(corpus) < 2:
        raise ValueError(f"{who}: the text must be (L,) ids, L at least 2, not {corpus.shape}")
    return checked_ids(who, corpus, model.vocab_size)
