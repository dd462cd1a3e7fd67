"""Values checked at the door, where they enter: arrays, ids, labels, masks, ratios."""

from typing import Any

import numpy

from common.np import Array, np, to_cpu

__all__ = [
    "REAL",
    "checked_ids",
    "checked_mask",
    "checked_one_hot",
    "checked_ratio",
    "described",
    "floats",
    "is_number",
    "name_of",
    "numbers_on_host",
    "on_host",
    "text_on_host",
]

REAL = "fiub"  # kinds of dtypes: floats, integers with and without a sign, bools


def floats(who: Any, x: Array, dtype: Any = "float64") -> Array:
    """x, of any shape, if it holds floats; integers and bools as `dtype`, on the device.

    Raises ValueError, in the name of `who`, a layer or the name of a function, for anything else:
    complex numbers, texts, dates, structures and objects would become floats without a word, or
    be computed with as they are. Raises TypeError for a NumPy array where CuPy is in use.
    """
    try:
        kind = x.dtype.kind
    except AttributeError:
        kind = "none"
    if kind == "f" and type(x) is np.ndarray:
        return x
    if kind == "f" and np.__name__ != "numpy" and isinstance(x, numpy.ndarray):
        problem = f"a NumPy array came, and {np.__name__} is in use: np.asarray(x) moves it"
        raise TypeError(f"{name_of(who)}: {problem}")
    if kind not in REAL or isinstance(x, numpy.ma.MaskedArray):  # whose mask would be forgotten
        raise ValueError(
            f"{name_of(who)}: an array of floats or integers is needed, not {described(x)}"
        )
    return np.asarray(x, x.dtype if kind == "f" else dtype)


def described(x: Any) -> str:
    """What a value is, of whatever type and shape: "float64 of shape (2, 3)", or "list"."""
    name = type(x).__name__
    if not (hasattr(x, "dtype") and hasattr(x, "shape")):
        return name
    return f"{x.dtype} {'' if name in ('ndarray', str(x.dtype)) else name + ' '}of shape {x.shape}"


def name_of(who: Any) -> str:
    """The name of a layer's class; a text is a name itself."""
    return who if isinstance(who, str) else type(who).__name__


def on_host(who: Any, labels: Array) -> Array:
    """ids or labels, of any shape, on the host; ValueError in the name of `who` if they are none.

    Lists become arrays, unless their rows differ in length.
    """
    try:
        return to_cpu(labels)
    except ValueError:
        problem = f"an array is needed, not a {described(labels)} with rows of different lengths"
        raise ValueError(f"{name_of(who)}: {problem}") from None


def numbers_on_host(who: Any, x: Array) -> Array:
    """x, of any shape, on the host; ValueError in the name of `who` if it holds no real numbers."""
    x = on_host(who, x)
    if x.dtype.kind not in REAL:
        raise ValueError(
            f"{name_of(who)}: an array of floats or integers is needed, not {described(x)}"
        )
    return x


def text_on_host(who: Any, text: Array) -> Array:
    """The ids (L,) of a text, on the host; ValueError in the name of `who` for another array."""
    text = on_host(who, text)
    if text.ndim != 1:
        raise ValueError(f"{name_of(who)}: a text is (L,) ids, not {described(text)}")
    if text.dtype.kind not in "iu":
        raise ValueError(f"{name_of(who)}: ids must be integers, not {text.dtype}")
    return text


def checked_ids(who: Any, ids: Array, size: int, *, ignore: int | None = None) -> Array:
    """ids of any shape, as int64 on the host; ValueError in the name of `who` beyond 0..size-1.

    ignore  an id that is let through
    Checked here because a negative id would pick from the end, and a GPU wraps any id silently.
    """
    ids = on_host(who, ids)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{name_of(who)}: ids must be integers, not {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        wrong = (ids < 0) | (ids >= size)
        if ignore is not None:
            wrong &= ids != ignore
        if wrong.any():
            raise ValueError(f"{name_of(who)}: id {ids[wrong][0]} is not in 0..{size - 1}")
    return ids.astype(numpy.int64, copy=False)  # because products of small integers wrap around


def checked_one_hot(who: Any, t: Array) -> Array:
    """Where the ones are in one-hot labels t (..., C), on the host -> (N,) places in the flat t.

    Raises ValueError, in the name of `who`, unless every row is a single 1 among zeros.
    """
    if t.dtype.kind in REAL and t.size:
        C, flat = t.shape[-1], t.reshape(-1)
        (place,) = flat.nonzero()
        N = len(flat) // C
        if (place // C).tolist() == [*range(N)] and flat.take(place).tolist() == [1] * N:
            return place
    raise ValueError(f"{name_of(who)}: one-hot labels have a single 1 in every row, else zeros")


def checked_mask(who: Any, mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask (N, T), on the host, as bools; ValueError in the name of `who` for another `shape`."""
    if not isinstance(mask, numpy.ndarray) or mask.dtype.kind not in REAL:
        raise ValueError(f"{name_of(who)}: the mask must be a NumPy array of bools, {shape}")
    if mask.shape != shape:
        raise ValueError(f"{name_of(who)}: the mask is {mask.shape} where {shape} is needed")
    return mask.astype(bool, copy=False)


def checked_ratio(name: str, ratio: float) -> float:
    """`ratio` if it is in 0 <= ratio < 1, else ValueError that begins with `name`."""
    if not (is_number(ratio) and 0 <= ratio < 1):
        raise ValueError(f"{name} is at least 0 and below 1, not {ratio}")
    return float(ratio)


def is_number(value: Any) -> bool:
    """Whether a value is one real number: Python's, NumPy's, or an array () of either library."""
    return isinstance(value, int | float) or (
        getattr(value, "shape", None) == () and value.dtype.kind in REAL
    )
