"""The process of one side of a row: reads how many steps to take, answers with their times.

`measure.py` starts it, as in `python -m tests.benchmarks.worker ours Rnnlm`.
"""

import common  # noqa: F401, I001 - before NumPy, whose threads it tells how to wait

import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy
from threadpoolctl import threadpool_info

from tests.benchmarks.rows import ROWS


def main(side: str, row: str) -> None:
    step = getattr(ROWS[row], side)()
    answer(about(side, getattr(ROWS[row], "library", "torch")))
    for line in sys.stdin:
        steps = int(line)
        for _ in range(steps // 10 + 1):  # wakes threads and fills caches, not counted
            step()
        times = [timed(step) for _ in range(steps)]
        answer({"ms": median(times) * 1000, "peak_mb": peak_mb()})


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_mb() -> float:
    """The most memory this process ever held: ru_maxrss is in bytes on macOS, in KB elsewhere."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def about(side: str, library: str) -> dict[str, Any]:
    """The library of this side, its processor kernel and its threads, as they run."""
    if side == "ours":
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        keys = ("internal_api", "version", "architecture", "num_threads")
        api, version, kernel, threads = [pools[0].get(k) for k in keys] if pools else [None] * 4
        names = {"NumPy": numpy.__version__, "BLAS": f"{api} {version}"}
        return names | {"kernel": kernel, "threads": threads}
    if library == "gensim":
        import gensim

        return {"gensim": gensim.__version__, "threads": 1}
    import torch

    kernel, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return {"PyTorch": torch.__version__, "kernel": kernel, "threads": threads}


def answer(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
