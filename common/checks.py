"""Values checked at the door, where they enter: ids, ratios, sizes."""

import numpy

from common.np import Array, to_cpu


def checked_ids(who: str, ids: Array, size: int) -> Array:
    """ids of any shape, as int64 on the host; ValueError in the name of `who` beyond 0..size-1.

    Checked here because a negative id would pick from the end, and a GPU wraps any id silently.
    """
    ids = to_cpu(ids)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{who}: ids must be integers, not {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        bad = ids[(ids < 0) | (ids >= size)][0]
        raise ValueError(f"{who}: id {bad} is not in 0..{size - 1}")
    return ids.astype(numpy.int64, copy=False)  # because products of small integers wrap around


def checked_ratio(name: str, ratio: float) -> float:
    """`ratio` if it is in 0 <= ratio < 1, else ValueError that begins with `name`."""
    if not 0 <= ratio < 1:
        raise ValueError(f"{name} is at least 0 and below 1, not {ratio}")
    return float(ratio)
