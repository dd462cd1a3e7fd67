"""Loops over time on a GPU, recorded as CUDA graphs; and the products within, by cuBLAS.

A GPU is told each kernel by a call, which costs more than the arithmetic of a small one. A loop
that was recorded is told by one call.
Under NumPy nothing here is called.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from common.np import Array, np

__all__ = ["RECORDINGS", "Loop", "product"]

T = TypeVar("T")

GEMM = {"f": ctypes.c_float, "d": ctypes.c_double}  # dtypes that cuBLAS multiplies here
RECORDINGS = 32  # of one loop
WORKSPACE = 2**25  # bytes, what NVIDIA advises for its newest GPUs
if os.name == "nt":  # where a name is not looked for in the libraries that a library depends on
    GEMM = {}


class Loop:
    """A loop of kernels, which a GPU is told to do many times: from the third time on by one call.

    loop(work, *arrays) -> what work() returns. The first call with these arrays does the work, and
    kernels are compiled. The second records it as a CUDA graph and replays it, as later ones do.
    Each set of arrays, such as those of one length of a sequence, has a recording of its own; the
    `RECORDINGS` sets that were used last are known.
    work    does the same with the same arrays in every call: `fused` functions, `product`, and
            functions with `out`. It makes no array
    arrays  all that it reads or writes, of any shape, or None; what counts is the object, whose
            numbers may change

    A copy has recorded nothing. Where `product` is CuPy's, as in float16, nothing is recorded.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, Any]] = {}  # by id: arrays, and the graph with its result

    def __call__(self, work: Callable[[], T], *arrays: Array) -> T:
        if arrays[0].dtype.char not in GEMM:
            return work()
        key = tuple(map(id, arrays))  # which stay theirs, since what is known keeps them alive
        if key not in self._known:
            if len(self._known) == RECORDINGS:
                del self._known[next(iter(self._known))]
            self._known[key] = arrays, None
            return work()
        _, recorded = self._known[key]
        if recorded is None:
            recorded = *_blas().record(work), work  # `work` keeps its buffers alive
        del self._known[key]  # so that it is the last one again
        self._known[key] = arrays, recorded
        graph, result, _ = recorded
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
        functions = {"f": self.library.cublasSgemm_v2, "d": self.library.cublasDgemm_v2}
        self.gemm = {}
        for dtype, kind in GEMM.items():
            gemm = functions[dtype]
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
    return ctypes.CDLL(import_module("cupy_backends.cuda.libs.cublas").__file__)
