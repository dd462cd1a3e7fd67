"""The process of one side of a row: reads how many steps to take, answers with their times.

`measure.py` starts it, as in `python -m tests.benchmarks.worker ours Rnnlm`. The side `own` is ours
in a loop of its own, as a notebook has it: NumPy is imported first, and a step is forward, backward
and update.
"""

# ruff: noqa: I001 - what is imported first is part of what is measured
import sys

if sys.argv[1:2] == ["own"]:
    import numpy
import common  # noqa: F401

import json
import resource
import time
from collections.abc import Callable
from statistics import fmean, median
from typing import Any

import numpy
from threadpoolctl import threadpool_info

from tests.benchmarks.rows import ROWS, steps


def main(side: str, row: str) -> None:
    pools = blas()
    steps.own_loop = side == "own"
    step = getattr(ROWS[row], "theirs" if side == "theirs" else "ours")()
    answer(about(side, getattr(ROWS[row], "library", "torch"), pools))
    for line in sys.stdin:
        count = int(line)
        for _ in range(count // 10 + 1):  # wakes threads and fills caches, not counted
            step()
        times = [timed(step) * 1000 for _ in range(count)]
        answer({"ms": median(times), "mean_ms": fmean(times), "peak_mb": peak_mb()})


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_mb() -> float:
    """The most memory this process ever held: ru_maxrss is in bytes on macOS, in KB elsewhere."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def blas() -> dict[str, Any]:
    """What NumPy multiplies with, before our layers take over its threads."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return dict(pools[0]) if pools else {}


def about(side: str, library: str, pool: dict[str, Any]) -> dict[str, Any]:
    """The library of this side, its processor kernel and its threads, as they run."""
    if side != "theirs":
        return {
            "NumPy": numpy.__version__,
            "BLAS": f"{pool.get('internal_api')} {pool.get('version')}",
            "kernel": pool.get("architecture"),
            "loops": numpy_kernel(),
            "threads": pool.get("num_threads"),
        }
    if library == "gensim":
        import gensim

        return {"gensim": gensim.__version__, "threads": 1}
    import torch

    kernel, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return {"PyTorch": torch.__version__, "kernel": kernel, "threads": threads}


def numpy_kernel() -> str:
    """The widest instructions that NumPy's own loops use here."""
    from numpy._core._multiarray_umath import __cpu_baseline__, __cpu_dispatch__, __cpu_features__

    used = [f for f in __cpu_dispatch__ if __cpu_features__.get(f)]
    return str((used or __cpu_baseline__)[-1])


def answer(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
