"""Randomness is handed in: a seed or a NumPy Generator, always on the host."""

from typing import Any

import numpy
from numpy.typing import DTypeLike

from common.np import Array, np

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
    """Standard normal numbers of a shape, drawn on the host, then moved to the array library.

    One seed thus gives one network on both libraries.
    """
    return np.asarray(rng.standard_normal(shape).astype(dtype))
