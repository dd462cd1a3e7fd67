"""Tasks for machines with memory: copy, copies in a row, repeat copy, associative recall, sort.

N sequences of T steps, D inputs, M outputs. A batch is x (N, T, D) in float32, what comes in, and
t (N, T, M) in int8, the bits that should come out: 0 or 1, and -1 at steps where nothing is asked.
All sequences of a batch have the same sizes. Inputs are the bits of a vector, -1 or 1, then what
else there is to say: delimiters, and a number. Where nothing comes in, all inputs are 0. (With bits
of 0 and 1, as in the paper, a vector of zeros looks like a step without a vector.)

    task = TASKS["copy"]
    x, t = task.batch(seed=0, step=1000, N=4)    the same whenever it is asked for

So there are as many batches as one likes, and a run that goes on at step 1000 gets batch 1000.
Source: book 8.5.3; Graves et al. 2014, https://arxiv.org/abs/1410.5401, section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["TASKS", "associative_recall", "copy", "priority_sort", "wrong_bits"]

Batch = tuple[Any, Any]
ITEM = 3  # vectors in an item of associative recall


def copy(rng: np.random.Generator, N: int, bits: int, length: int) -> Batch:
    """Vectors and a delimiter; the answer is the vectors.  T = 2 length + 1

    -> x (N, T, bits + 1), t (N, T, bits)
    """
    vectors = random_bits(rng, N, length, bits)
    x, t = blank(N, 2 * length + 1, bits + 1, bits)
    x[:, :length, :bits], x[:, length, bits] = signs(vectors), 1
    t[:, length + 1 :] = vectors
    return x, t


def copies(rng: np.random.Generator, N: int, bits: int, length: int, times: int) -> Batch:
    """`copy` so many times in a row, with other vectors each time.  T = times (2 length + 1)

    What has been answered may be forgotten, so a memory of `length` rows is enough.
    -> x (N, T, bits + 1), t (N, T, bits)
    """
    parts = [copy(rng, N, bits, length) for _ in range(times)]
    x, t = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return x, t


def repeat_copy(rng: np.random.Generator, N: int, bits: int, length: int, repeats: int) -> Batch:
    """Vectors and a delimiter with a number; the answer is the vectors so many times, and an end.

    T = length (1 + repeats) + 2
    -> x (N, T, bits + 2), with the number of repeats divided by 10 beside the delimiter;
       t (N, T, bits + 1), whose last bit is 1 at the end mark, after the last vector
    """
    vectors = random_bits(rng, N, length, bits)
    x, t = blank(N, length * (1 + repeats) + 2, bits + 2, bits + 1)
    x[:, :length, :bits], x[:, length, bits:] = signs(vectors), (1, repeats / 10)
    t[:, length + 1 :] = 0
    t[:, length + 1 : -1, :bits] = np.tile(vectors, (1, repeats, 1))
    t[:, -1, bits] = 1
    return x, t


def associative_recall(rng: np.random.Generator, N: int, bits: int, items: int) -> Batch:
    """Items of three vectors, a delimiter before each; then one of them, between delimiters of
    another kind; the answer is the item that came after it.  T = 4 items + 8

    -> x (N, T, bits + 2), t (N, T, bits).  Raises ValueError for fewer than two items.
    """
    if items < 2:
        raise ValueError(f"associative_recall: at least 2 items are needed, not {items}")
    vectors = random_bits(rng, N, items, ITEM, bits)
    asked, sample = rng.integers(items - 1, size=N), np.arange(N)
    x, t = blank(N, items * (ITEM + 1) + 2 * ITEM + 2, bits + 2, bits)
    shown = x[:, : items * (ITEM + 1)].reshape(N, items, ITEM + 1, bits + 2)
    shown[:, :, 0, bits], shown[:, :, 1:, :bits] = 1, signs(vectors)
    x[:, -2 * ITEM - 2, bits + 1] = x[:, -ITEM - 1, bits + 1] = 1
    x[:, -2 * ITEM - 1 : -ITEM - 1, :bits] = signs(vectors[sample, asked])
    t[:, -ITEM:] = vectors[sample, asked + 1]
    return x, t


def priority_sort(rng: np.random.Generator, N: int, bits: int, length: int) -> Batch:
    """Vectors, each with a priority in -1..1, and a delimiter; the answer is the four fifths of the
    vectors that have the highest priorities, the highest first.  T = length + 1 + 4 length // 5

    -> x (N, T, bits + 2), with the priority beside the delimiter; t (N, T, bits).
    Raises ValueError for fewer than two vectors.
    """
    if length < 2:
        raise ValueError(f"priority_sort: at least 2 vectors are needed, not {length}")
    vectors, kept = random_bits(rng, N, length, bits), 4 * length // 5
    priority = rng.uniform(-1, 1, (N, length)).astype("f")
    x, t = blank(N, length + 1 + kept, bits + 2, bits)
    x[:, :length, :bits], x[:, :length, bits + 1] = signs(vectors), priority
    x[:, length, bits] = 1
    order = np.argsort(-priority, axis=1)[:, :kept, None]
    t[:, length + 1 :] = np.take_along_axis(vectors, order, axis=1)
    return x, t


def random_bits(rng: np.random.Generator, *shape: int) -> Any:
    """Bits of any shape, 0 or 1 with the same probability, as int8."""
    return rng.integers(2, size=shape, dtype=np.int8)


def signs(vectors: Any) -> Any:
    """Bits of any shape, 0 or 1, as -1 or 1."""
    return 2 * vectors - 1


def blank(N: int, T: int, D: int, M: int) -> Batch:
    """x (N, T, D) without any input, t (N, T, M) in which nothing is asked."""
    return np.zeros((N, T, D), "f"), np.full((N, T, M), -1, np.int8)


@dataclass(frozen=True)
class Task:
    """A task, and the sizes that it is trained with.

    make     the function that makes its sequences
    bits     of a vector
    low, high  the least and the greatest of each size that `make` takes after the bits
    extra    inputs and outputs beside the bits
    grows    which of the sizes is longer in tests than in training
    """

    make: Callable[..., Batch]
    bits: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    extra: tuple[int, int]
    grows: int = 0

    @property
    def input_size(self) -> int:
        """D."""
        return self.bits + self.extra[0]

    @property
    def output_size(self) -> int:
        """M."""
        return self.bits + self.extra[1]

    def batch(self, seed: int, step: int, N: int) -> Batch:
        """x (N, T, D), t (N, T, M) of training step `step`, of sizes drawn between low and high."""
        rng = np.random.default_rng((0, seed, step))
        sizes = rng.integers(self.low, self.high, endpoint=True).tolist()
        return self.make(rng, N, self.bits, *sizes)

    def test(self, seed: int, N: int, *sizes: int) -> Batch:
        """x (N, T, D), t (N, T, M) of these sizes, which are drawn apart from all batches."""
        return self.make(np.random.default_rng((1, seed, *sizes)), N, self.bits, *sizes)


TASKS = {
    "copy": Task(copy, 8, (1,), (20,), (1, 0)),
    "copies": Task(copies, 8, (1, 1), (5, 4), (1, 0), grows=1),
    "repeat": Task(repeat_copy, 8, (1, 1), (10, 5), (2, 1)),
    "recall": Task(associative_recall, 6, (2,), (6,), (2, 0)),
    "sort": Task(priority_sort, 8, (2,), (20,), (2, 0)),
}


def wrong_bits(scores: Any, t: Any) -> Any:
    """How many bits of each sequence are wrong, (N,): scores (N, T, M) above 0 stand for a 1."""
    return ((scores > 0) != (t == 1)).sum(axis=(1, 2), where=t >= 0)
