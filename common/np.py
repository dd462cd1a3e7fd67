"""The array library behind every layer: `np` holds NumPy, or CuPy after `use("cupy")`.

    from common.np import np        # in a module
    from common.np import *         # in a script typed from the book: the same `np`

`np` is one plain module whose contents are exchanged, so reading `np.tanh` costs what it costs in
NumPy, and a switch reaches code that imported `np` long before. `common.config.GPU` is the switch.
This is the only file that imports CuPy.  Source: book 1.5.

The environment variable DLFS2_GPU (0 or 1) decides at the start. With another value, or without
CuPy, the first use of `np` raises ValueError or ImportError.
"""

import ctypes
import importlib
import operator
import os
import threading
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


GEMM = {"f": ("cublasSgemm_v2", ctypes.c_float), "d": ("cublasDgemm_v2", ctypes.c_double)}
WORKSPACE = 2**25  # bytes, what NVIDIA advises for its newest GPUs
if os.name == "nt":  # where a name is not looked for in the libraries that a library depends on
    GEMM = {}


class Loop:
    """A loop of kernels, which a GPU is told to do many times: from the third time on by one call.

    loop(work, *arrays) -> what work() returns. The first call with these arrays does the work, and
    kernels are compiled. The second records it as a CUDA graph and replays it, as later ones do.
    Other arrays begin anew.
    work    does the same with the same arrays in every call: `fused` functions, `product`, and
            functions with `out`. It makes no array
    arrays  all that it reads or writes, of any shape, or None; what counts is the object, whose
            numbers may change

    A copy has recorded nothing. Where `product` is CuPy's, as in float16, nothing is recorded.
    """

    def __init__(self) -> None:
        self._arrays: tuple[Array, ...] = ()
        self._recorded: Any = None  # the graph, and the result

    def __call__(self, work: Callable[[], T], *arrays: Array) -> T:
        kept = self._arrays
        if arrays[0].dtype.char not in GEMM:
            return work()
        if len(arrays) != len(kept) or not all(map(operator.is_, arrays, kept)):
            self._arrays, self._recorded = arrays, None
            return work()
        if self._recorded is None:
            self._recorded = (*_blas().record(work), work)  # `work` keeps its buffers alive
        graph, result, _ = self._recorded
        graph.launch()
        return result  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        return Loop, ()


def product(a: Array, b: Array, out: Array, add: bool = False) -> None:
    """out = a @ b, or out += a @ b, on a GPU.   a (N, K), b (K, M), out (N, M), of one dtype

    a and out have contiguous rows; b has contiguous rows or columns.
    """
    if out.dtype.char in GEMM:
        _blas().product(a, b, out, add)
    else:
        out[...] = a.dot(b) + out if add else a.dot(b)


class _Blas:
    """cuBLAS through ctypes, and the stream that loops are recorded on: of a thread and a device.

    CuPy calls the same library, but refuses to while a stream records.
    """

    def __init__(self) -> None:
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.library, self.handle = _cublas(), pointer()
        self.gemm = {}
        for dtype, (name, kind) in GEMM.items():
            gemm = getattr(self.library, name)
            gemm.argtypes = [pointer, *[number] * 5, pointer, *[pointer, number] * 2]
            gemm.argtypes += [pointer, pointer, number]
            self.gemm[dtype] = gemm, kind(0), kind(1)
        self.library.cublasCreate_v2.argtypes = [pointer]
        self.library.cublasSetStream_v2.argtypes = [pointer, pointer]
        self.library.cublasSetWorkspace_v2.argtypes = [pointer, pointer, ctypes.c_size_t]
        _check(self.library.cublasCreate_v2(ctypes.byref(self.handle)))
        self.workspace = np.empty(WORKSPACE, np.uint8)
        self.recording = np.cuda.Stream(non_blocking=True)
        self.stream: int | None = None

    def product(self, a: Array, b: Array, out: Array, add: bool) -> None:
        """See `product`. cuBLAS counts by columns: what it computes is out.T = b.T @ a.T."""
        stream = np.cuda.get_current_stream().ptr
        if stream != self.stream:
            _check(self.library.cublasSetStream_v2(self.handle, stream))
            at, size = self.workspace.data.ptr, WORKSPACE  # a new stream forgets it
            _check(self.library.cublasSetWorkspace_v2(self.handle, at, size))
            self.stream = stream
        gemm, zero, one = self.gemm[out.dtype.char]
        (N, K), M = a.shape, out.shape[1]
        (a_turned, a_width), (b_turned, b_width), (_, width) = map(_layout, (a, b, out))
        beta = ctypes.byref(one if add else zero)
        _check(
            gemm(
                *(self.handle, b_turned, a_turned, M, N, K, ctypes.byref(one)),
                *(b.data.ptr, b_width, a.data.ptr, a_width, beta, out.data.ptr, width),
            )
        )

    def record(self, work: Callable[[], T]) -> tuple[Any, T]:
        """-> the CUDA graph of the work, which is not done yet, and its result."""
        with self.recording as stream:
            stream.begin_capture()
            try:
                result = work()
            finally:
                graph = stream.end_capture()
        return graph, result


def _layout(a: Array) -> tuple[int, int]:
    """a (R, C) -> 0 if its rows are contiguous, 1 if its columns are, and from one to the next."""
    rows, columns = (step // a.itemsize for step in a.strides)
    return (0, max(rows, a.shape[1])) if columns == 1 else (1, columns)


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"cuBLAS failed with status {status}")


def _blas() -> _Blas:
    return _blas_of(np.cuda, np.cuda.runtime.getDevice(), threading.get_ident())


@cache
def _blas_of(*_: Any) -> _Blas:
    return _Blas()


def _cublas() -> Any:
    """The library, which CuPy's module for it depends on."""
    return ctypes.CDLL(_import("cupy_backends.cuda.libs.cublas").__file__)


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
