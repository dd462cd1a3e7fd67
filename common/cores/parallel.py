"""The rows of a batch, or of a parameter, side by side on the cores of the machine.

NumPy's element-by-element functions use one core, whatever the machine has. The threads of BLAS use
more, but wait for each other in every small product, which costs most where another program is at
work too. So BLAS is kept on one thread, and what is large is divided here.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from functools import cache
from itertools import pairwise
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from common.np import Array, np

__all__ = [
    "BLOCK",
    "FEWEST_NUMBERS",
    "FEWEST_ROWS",
    "affine",
    "blocks",
    "dot",
    "in_blocks",
    "in_parallel",
    "matmul",
    "product",
    "slices",
    "split",
    "threads",
    "worth",
]

FEWEST_ROWS = 32  # of a thread; with fewer, products take longer for each row
BLOCK = 1 << 16  # numbers of one array
FEWEST_NUMBERS = 1 << 13  # that a thread works on at a time; with fewer, starting it costs more
FEWEST_PRODUCTS = 1 << 21  # of two numbers that a thread adds up: some 40 microseconds

Part = TypeVar("Part")


def threads() -> int:
    """How many threads share large work: as many as OpenBLAS had when it was first asked, else 1.

    From then on OpenBLAS has one. 1 on a GPU, and where NumPy was built with another BLAS.
    """
    return _openblas_threads() if np.__name__ == "numpy" else 1


@cache
def _openblas_threads() -> int:
    from threadpoolctl import ThreadpoolController  # here, because it looks through all libraries

    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
    count = min((blas.num_threads for blas in found), default=1)
    for blas in found:
        blas.set_num_threads(1)
    return count


def split(rows: int, width: int) -> list[slice]:
    """Slices that together are all rows: one, or as many as should be worked on side by side.

    rows, width  what is gone through again and again is (rows, width)
    """
    parts = min(rows // FEWEST_ROWS, rows * width // FEWEST_NUMBERS)
    return slices(rows, min(parts, threads()) if parts > 1 else 1)


def worth(products: int) -> int:
    """How many threads should share products in which so many pairs of numbers are multiplied."""
    parts = products // FEWEST_PRODUCTS
    return min(parts, threads()) if parts > 1 and not _inside.get() else 1


def slices(rows: int, parts: int) -> list[slice]:
    """All rows in so many slices, as long as each other, but for one row; one within `work`."""
    parts = 1 if _inside.get() else max(1, parts)
    ends = [rows * k // parts for k in range(parts + 1)]
    return [slice(*part) for part in pairwise(ends)]


def product(rows: int, b: Array) -> Callable[[Array, Array, Array], Array]:
    """What computes a @ b for a (rows, D), b (..., D, M) again and again: `matmul`, or NumPy's."""
    return matmul if worth(rows * b.size) > 1 else np.matmul


def in_blocks(work: Callable[[slice], Any], rows: int, width: int) -> None:
    """Call work(some) for slices that together are all rows, on all cores if they are many.

    rows, width  what `work` goes through is (rows, width); of a slice it fits a cache
    """
    if rows * width <= BLOCK or np.__name__ != "numpy":
        work(slice(0, rows))
        return

    def turns(part: slice) -> None:
        for some in blocks(part, width):
            work(some)

    in_parallel(turns, slices(rows, min(rows, threads())))


def blocks(rows: slice, width: int) -> Iterator[slice]:
    """Slices of these rows for which a few arrays (rows, width) fit a cache; on a GPU, all rows."""
    size = max(1, BLOCK // max(1, width)) if np.__name__ == "numpy" else rows.stop
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))


def dot(a: Array, b: Array, out: Array = None) -> Array:
    """a @ b, of a (N, D) and b (D, M), in `out` (N, M) or a new array; divided if it is large.

    Raises ValueError, where it is not, for an `out` whose rows are not in memory one by one.
    """
    if a.size * b.shape[1] < 2 * FEWEST_PRODUCTS:
        return a.dot(b, out)
    return matmul(a, b, out)


def affine(x: Array, W: Array, b: Array) -> Array:
    """x @ W + b (N, M), of x (N, D), W (D, M) and b (M,), in a new array; divided if large."""
    if x.size * len(b) < 2 * FEWEST_PRODUCTS:
        y = x.dot(W)
        y += b
        return y
    return matmul(x, W, plus=b)


def matmul(a: Array, b: Array, out: Array = None, *, plus: Array = None) -> Array:
    """a @ b + plus, of a (..., N, D) and b (..., D, M), in `out` (..., N, M) or a new array.

    plus (M,), if given, is added to every row, by the thread that has computed it.
    Large ones are divided: many products (K, ..., N, M) between them, a single one by its rows, or
    by its columns where there are more.
    """
    (N, D), M = a.shape[-2:], b.shape[-1]
    many = max(a, b, key=lambda x: x.ndim).shape[:-2]
    parts = worth(math.prod(many) * N * D * M)
    if parts < 2:
        return add_to_rows(np.matmul(a, b, out=out), plus)
    if out is None:
        out = np.empty((*many, N, M), np.result_type(a, b))

    def each(part: slice) -> None:
        of_part = (x[part] if x.ndim == out.ndim else x for x in (a, b))
        add_to_rows(np.matmul(*of_part, out=out[part]), plus)

    def by_rows(part: slice) -> None:
        add_to_rows(np.matmul(a[..., part, :], b, out=out[..., part, :]), plus)

    def by_columns(part: slice) -> None:
        some = None if plus is None else plus[part]
        add_to_rows(np.matmul(a, b[..., part], out=out[..., part]), some)

    if many and (many[0] % parts == 0 or many[0] > 8 * parts):
        in_parallel(each, slices(many[0], parts))
    elif N >= M:
        in_parallel(by_rows, slices(N, parts))
    else:
        in_parallel(by_columns, slices(M, parts))
    return out


def add_to_rows(product: Array, plus: Array) -> Array:
    """The product (..., M), to which plus (M,) has been added in place; None adds nothing."""
    if plus is not None:
        product += plus
    return product


def in_parallel(work: Callable[[Part], Any], parts: Sequence[Part]) -> None:
    """Call work(part) for every part, each in a thread of its own; one after the other within it.

    What `work` raises is raised after all calls have ended.
    """
    first, *others = parts
    if not others or _inside.get():
        for part in parts:
            work(part)
        return
    before = _inside.set(True)
    try:
        calls = [_Call(work, part) for part in others]
        _workers.start(calls)
        try:
            work(first)
        finally:
            problems = [call.wait() for call in calls]
    finally:
        _inside.reset(before)
    for problem in problems:
        if problem is not None:
            raise problem


class _Call:
    """work(part), to be done in the context of the caller, to which numpy.errstate belongs."""

    def __init__(self, work: Callable[[Any], Any], part: Any) -> None:
        self.work, self.part, self.context = work, part, copy_context()
        self.problem: BaseException | None = None
        self.running = Lock()
        self.running.acquire()

    def run(self) -> None:
        try:
            self.context.run(self.work, self.part)
        except BaseException as problem:
            self.problem = problem
        self.running.release()

    def wait(self) -> BaseException | None:
        self.running.acquire()
        return self.problem


class _Workers:
    """Threads that take calls from a queue: they start them in half the time of an executor."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[_Call] = SimpleQueue()
        self.count = 0
        self.counting = Lock()

    def start(self, calls: list[_Call]) -> None:
        with self.counting:
            for _ in range(self.count, len(calls)):
                Thread(target=self._work, daemon=True).start()
                self.count += 1
        for call in calls:
            self.calls.put(call)

    def _work(self) -> None:
        while True:
            self.calls.get().run()


_inside = ContextVar("_inside", default=False)  # a call of `work`, whose own parts take turns
_workers = _Workers()


def _begin_anew() -> None:
    """In a forked child, which has none of its parent's threads, nor what they were about to do."""
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
