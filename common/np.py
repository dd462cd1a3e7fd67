"""The array library behind every layer: `np` holds NumPy, or CuPy after `use("cupy")`.

    from common.np import np        # in a module
    from common.np import *         # in a script typed from the book: the same `np`

`np` is one plain module whose contents are exchanged, so reading `np.tanh` costs what it costs in
NumPy, and a switch reaches code that imported `np` long before. `common.config.GPU` is the switch.
This is the only file that imports CuPy.  Source: book 1.5.

The environment variable DLFS2_GPU (0 or 1) decides at the start. With another value, or without
CuPy, the first use of `np` raises ValueError or ImportError.
"""

import importlib
import os
import types
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, TypeVar

import numpy

__all__ = ["np"]

Array: TypeAlias = Any
"""An array of the library in use. Shapes stand in the docstrings, where a type cannot say them."""

T = TypeVar("T")

np = types.ModuleType("np")


def use(name: str) -> None:
    """Fill `np` from the library `name`: "numpy" or "cupy".

    Arrays that exist already stay where they are; build models after switching.
    Raises ImportError if the library is not installed or finds no device, ValueError for another
    name; `np` is then what it was.
    """
    if name not in ("numpy", "cupy"):
        raise ValueError(f"use: the array library is 'numpy' or 'cupy', not {name!r}")
    source = _import(name)
    try:
        source.zeros(1)
    except Exception as error:  # CuPy has errors of its own
        raise ImportError(f"{name} is installed but cannot be used: {error}") from None
    np.__dict__.clear()
    np.__dict__.update(vars(source))


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Under NumPy `function` itself, under CuPy one kernel (`cupy.fuse`) that computes the same.

    Each of the many small steps of a formula would be a kernel of its own on a GPU, and starting
    one costs more than its arithmetic.
    function  takes arrays and Python's numbers, by position, and works element by element: with
              operators, ufuncs and `np.where`, in place or not. No indices, no attributes, no
              arithmetic of numbers alone, which would be float64
    """
    if np.__name__ == "numpy":
        return function
    return _kernel(np.fuse, function)


@cache
def _kernel(fuse: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    kernel: Callable[..., Any] = fuse(function)
    return kernel


def suited(for_numpy: T, for_cupy: T) -> T:
    """The one of two that suits the library in use, such as of two functions that do the same."""
    return for_numpy if np.__name__ == "numpy" else for_cupy


def to_cpu(x: Array) -> Array:
    """`x` of any shape as a NumPy array: the same object, or a copy (which waits for the GPU)."""
    on_gpu = hasattr(x, "get") and hasattr(x, "device")  # dictionaries and data frames have a get
    return x.get() if on_gpu else numpy.asarray(x)


def to_gpu(x: Array) -> Array:
    """`x` of any shape as a CuPy array: the same object if it is one, else a copy.

    Raises ImportError without CuPy.
    """
    return _import("cupy").asarray(x)


def _import(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} cannot be imported ({error}); running on a GPU needs CuPy, which comes with "
            "pip install '.[cuda12]' or '.[cuda13]' in the folder of this repository, by the CUDA "
            "version of the driver"
        ) from None  # the message has all that the first error said


def _start() -> str:
    value = os.environ.get("DLFS2_GPU", "0")
    if value not in ("", "0", "1"):
        raise ValueError(f"DLFS2_GPU is 0 (NumPy) or 1 (CuPy), not {value!r}")
    return "cupy" if value == "1" else "numpy"


try:
    use(_start())
except (ImportError, ValueError) as problem:
    # Raised where an array is wanted first, which is where a script can tell it in one line.
    def _refuse(name: str, problem: Exception = problem) -> Any:
        raise problem

    np.__dict__.clear()
    np.__dict__["__getattr__"] = _refuse
