"""Randomness is handed in: a seed or a NumPy Generator, always on the host."""

import math
from typing import Any

import numpy
from numpy.typing import DTypeLike

from common.np import Array, np

__all__ = ["Seed", "device_generator", "generator", "randn", "recurrent_weights"]

Seed = int | numpy.random.Generator | None


def generator(seed: Seed = None) -> numpy.random.Generator:
    """The Generator of a seed; a Generator passes through.

    None takes the seed from NumPy's global state, so that `np.random.seed(0)` at the top of a
    script typed from the book still decides what follows.
    """
    if seed is None:
        seed = numpy.random.randint(2**31)  # noqa: NPY002 - the global state is the point
    return numpy.random.default_rng(seed)


def device_generator(seed: Seed = None) -> Any:
    """A generator of the array library in use, for numbers drawn where they are needed.

    seed  as for `generator`; of a Generator, the next draw decides
    """
    return np.random.default_rng(int(generator(seed).integers(2**63)))


def randn(rng: numpy.random.Generator, *shape: int, dtype: DTypeLike = "float32") -> Array:
    """Standard normal numbers of a shape such as D, H -> (D, H), drawn on the host, then moved.

    One seed thus gives one network on both array libraries.
    """
    return np.asarray(rng.standard_normal(shape).astype(dtype))


def recurrent_weights(
    rng: numpy.random.Generator, D: int, H: int, blocks: int
) -> tuple[Array, Array, Array]:
    """First weights of an RNN (1 block), GRU (3) or LSTM (4), in float32: Wx, Wh and b.

    D inputs, H hidden units, k blocks: Wx (D, kH) and Wh (H, kH), drawn in this order, have
    standard deviation 1 / sqrt(rows), and b (kH,) is zero.
    Source: book 5.5.1, 6.4; a simple form of Glorot and Bengio 2010.
    """
    Wx = randn(rng, D, blocks * H) / math.sqrt(D)
    Wh = randn(rng, H, blocks * H) / math.sqrt(H)
    return Wx, Wh, np.zeros(blocks * H, dtype="f")
