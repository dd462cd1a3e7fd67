"""The rows of a batch, or of a parameter, side by side on the cores of the machine.

NumPy's element-by-element functions use one core, whatever the machine has, and BLAS gains little
from a second one in the small products of a recurrent step. Where there are many rows, half of them
on each core is faster.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any, TypeVar

from common.np import np

FEWEST_ROWS = 32  # of a thread; with fewer, products take longer for each row
BLOCK = 1 << 16  # numbers of one array
FEWEST_NUMBERS = 1 << 13  # that a thread works on at a time; with fewer, starting it costs more

Part = TypeVar("Part")


def split(rows: int, width: int) -> list[slice]:
    """Slices that together are all rows: one, or as many as should be worked on side by side.

    rows, width  what is gone through again and again is (rows, width)

    On a GPU there is one slice, as there is where threads of BLAS would be in the way: it must be
    OpenBLAS, loaded after the package `common`, which tells its threads to sleep when idle.
    """
    parts = min(rows // FEWEST_ROWS, rows * width // FEWEST_NUMBERS)
    parts = min(parts, threads()) if parts > 1 and _idle_threads_sleep() else 1
    ends = [rows * k // parts for k in range(parts + 1)]
    return [slice(*part) for part in pairwise(ends)]


def blocks(rows: slice, width: int) -> Iterator[slice]:
    """Slices of these rows for which a few arrays (rows, width) fit a cache; on a GPU, all rows."""
    size = max(1, BLOCK // max(1, width)) if np.__name__ == "numpy" else rows.stop
    for start in range(rows.start, rows.stop, size):
        yield slice(start, min(start + size, rows.stop))


def in_parallel(work: Callable[[Part], Any], parts: Sequence[Part]) -> None:
    """Call work(part) for every part, each in a thread of its own with BLAS on one core.

    Callers in several threads wait for each other. What `work` raises is raised after all calls
    have ended.
    """
    first, *others = parts
    if not others or _inside.get():
        for part in parts:
            work(part)
        return
    with _blas_on_one_core():
        # each in a copy of the context, to which numpy.errstate belongs
        calls = [_pool().submit(copy_context().run, work, part) for part in others]
        try:
            work(first)
        finally:
            problems = [call.exception() for call in calls]
    for problem in problems:
        if problem is not None:
            raise problem


def threads() -> int:
    """How many threads BLAS may use, as the program was told; 1 if there is no OpenBLAS to ask.

    That `in_parallel` keeps BLAS on one core, for a thread of this program, makes no difference.
    """
    if np.__name__ != "numpy":
        return 1
    with _limit.asked:
        return _limit.told or _count()


class _Limit:
    """Who may change the number of BLAS's threads, which is one for the whole process."""

    def __init__(self) -> None:
        self.used = Lock()  # by one `in_parallel` at a time
        self.asked = Lock()  # held while the number is asked for, or changed
        self.told = 0  # the number of before, while BLAS is kept on one core


_limit = _Limit()
_inside = ContextVar("_inside", default=False)  # a call of `work`, which may have parts of its own


@contextmanager
def _blas_on_one_core() -> Iterator[None]:
    with _limit.used, ExitStack() as limits:
        with _limit.asked:
            _limit.told = _count()
            limits.enter_context(_openblas().limit(limits=1))
        before = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(before)
            with _limit.asked:
                limits.close()
                _limit.told = 0


def _count() -> int:
    return min((blas.num_threads for blas in _openblas().lib_controllers), default=1)


def _idle_threads_sleep() -> bool:
    """Whether BLAS's threads do not keep cores busy while they wait."""
    return "OPENBLAS_THREAD_TIMEOUT" in os.environ


@cache
def _openblas() -> Any:
    from threadpoolctl import ThreadpoolController  # here, because it looks through all libraries

    return ThreadpoolController().select(internal_api="openblas")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "dlfs2")


def _begin_anew() -> None:
    """In a forked child, which has none of its parent's threads, nor what they were about to do."""
    global _limit
    _pool.cache_clear()
    _limit = _Limit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
