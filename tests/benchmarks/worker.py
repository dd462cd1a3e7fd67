"""The process of one side of a row: reads how many steps to take, answers with their times.

python -m tests.benchmarks.worker ours Rnnlm
"""

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
    answer({"ours": about_numpy, "theirs": about_torch}[side]())
    for line in sys.stdin:
        steps = int(line)
        for _ in range(steps // 10 + 1):  # wakes threads and fills caches, not counted
            step()
        times = [timed(step) for _ in range(steps)]
        answer({"ms": median(times) * 1000, "peak_mb": peak_mb()})


def timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_mb() -> float:
    """The most memory this process ever held: ru_maxrss is in bytes on macOS, in KB elsewhere."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def about_numpy() -> dict[str, Any]:
    """Version, and the BLAS that ran with its kernel."""
    blas = next((p for p in threadpool_info() if p["user_api"] == "blas"), {})
    names = {"internal_api": "BLAS", "version": "version", "architecture": "kernel"}
    return {"NumPy": numpy.__version__} | {
        name: blas.get(key) for key, name in (names | {"num_threads": "threads"}).items()
    }


def about_torch() -> dict[str, Any]:
    import torch

    return {
        "PyTorch": torch.__version__,
        "MKL": torch.backends.mkl.is_available(),
        "kernel": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def answer(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
