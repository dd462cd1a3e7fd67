"""The rows of a batch, side by side on the cores of the machine.

NumPy's element-by-element functions use one core, whatever the machine has, and BLAS gains little
from a second one in the small products of a recurrent step. Where a batch is large, half of its
rows on each core is faster.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from common.np import np

FEWEST_ROWS = 32  # of a thread; with fewer, products take longer for each row
FEWEST_NUMBERS = 1 << 13  # that a thread works on at a time; with fewer, starting it costs more


def by_rows(work: Callable[[slice], Any], rows: int, width: int) -> None:
    """Call work(part) for slices that together are all rows: one call, or one for each thread.

    rows, width  what `work` goes through again and again is (rows, width)

    There are at most as many threads as BLAS may use, and each then has BLAS to itself on one core.
    On a GPU, or where BLAS does not let itself be told, all rows are one slice.
    What `work` raises is raised, after all calls have ended.
    """
    blas = _blas() if np.__name__ == "numpy" else None
    threads = min(
        _threads(blas), rows // FEWEST_ROWS, rows * width // FEWEST_NUMBERS
    )
    if threads < 2:
        work(slice(0, rows))
        return
    ends = [rows * k // threads for k in range(threads + 1)]
    first, *others = (slice(*part) for part in zip(ends, ends[1:], strict=False))
    with blas.limit(limits=1):
        calls = [_pool().submit(work, part) for part in others]
        try:
            work(first)
        finally:
            problems = [call.exception() for call in calls]
    for problem in problems:
        if problem is not None:
            raise problem


def _threads(blas: Any) -> int:
    """How many threads BLAS uses; 1 where that is not known."""
    return min((lib.num_threads for lib in blas.lib_controllers), default=1) if blas else 1


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController  # here, because it looks through all libraries

    return ThreadpoolController().select(user_api="blas")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "dlfs2")


if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
