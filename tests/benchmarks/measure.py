"""Two processes for a row, one for each side, and the turns they take.

Each side has a process of its own, so that peak memory belongs to it alone and the thread pools of
NumPy and of PyTorch stay apart. While one works the other waits for its next block.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

SIDES: tuple[str, ...] = ("ours", "theirs")
OWN_LOOP: tuple[str, ...] = ("own", "ours")
ROOT = Path(__file__).parents[2]
PAUSE = 0.25  # seconds; threads that have just finished spin for up to 0.2 before they sleep
BLOCK = 0.4  # seconds that a block lasts if nobody says how many steps

# They make OpenBLAS use the kernels of another processor, whose speed is not what we ask for.
FORCED = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
AVX2 = {  # both sides as on a processor without AVX-512, which most laptops have
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


def avx2() -> dict[str, str]:
    """The environment in which both sides do without AVX-512."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    above = [f for f in __cpu_dispatch__ if f == "X86_V4" or f.startswith("AVX512")]
    off = " ".join(f for f in above if __cpu_features__.get(f))
    return AVX2 | ({"NPY_DISABLE_CPU_FEATURES": off} if off else {})


class Worker:
    """One side of one row in a process of its own; see worker.py for the other end."""

    def __init__(self, side: str, row: str, threads: int, kernels: dict[str, str]) -> None:
        env = {name: value for name, value in os.environ.items() if name not in FORCED}
        self.name = f"{row}, {side}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", side, row],
            cwd=ROOT,
            env=env | dict.fromkeys(THREADS, str(threads)) | kernels,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()  # closes its input, which ends it

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the process ended, its message is above")
        content: dict[str, Any] = json.loads(line)
        return content

    def run(self, steps: int) -> dict[str, float]:
        """Take steps -> {"ms": the median step, "mean_ms": the mean, "peak_mb": memory so far}."""
        assert self.process.stdin is not None
        time.sleep(PAUSE)
        print(steps, file=self.process.stdin, flush=True)
        result: dict[str, float] = self.answer()
        return result


@contextmanager
def busy_cores() -> Iterator[None]:
    """One process for each core that computes without end, as another program might."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure(
    row: str,
    sides: tuple[str, ...],
    threads: int,
    steps: int | None,
    rounds: int,
    *,
    kernels: dict[str, str] | None = None,
    busy: bool = False,
) -> dict[str, Any]:
    """Time a row -> median times, and the ratio of the two sides: median, least, largest.

    The ratio is taken within each round, so that a drifting clock cancels.
    busy  time every block again beside busy processes -> "busy": by side, how many times as long
          the mean step takes then
    """
    with ExitStack() as stack:
        kernels = kernels or {}
        workers = {s: stack.enter_context(Worker(s, row, threads, kernels)) for s in sides}
        about = {side: worker.answer() for side, worker in workers.items()}
        for worker in workers.values():
            worker.run(2)  # a first warm-up
        if steps is None:
            slowest = max(worker.run(5)["ms"] for worker in workers.values())
            steps = max(5, round(BLOCK * 1000 / slowest))
        blocks: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        slower: dict[str, list[float]] = {side: [] for side in sides}
        for k in range(rounds):
            for side in sides if k % 2 else reversed(sides):
                blocks[side].append(workers[side].run(steps))
                if busy:
                    with busy_cores():
                        beside = workers[side].run(steps)["mean_ms"]
                    slower[side].append(beside / blocks[side][-1]["mean_ms"])
    ms = {side: [block["ms"] for block in blocks[side]] for side in sides}
    ratios = [a / b for a, b in zip(*ms.values(), strict=True)] if len(sides) == 2 else []
    return {
        "row": row,
        "ms": {side: median(ms[side]) for side in sides},
        "ratio": [median(ratios), min(ratios), max(ratios)] if ratios else [],
        "busy": {side: median(times) for side, times in slower.items() if times},
        "peak_mb": {side: blocks[side][-1]["peak_mb"] for side in sides},
        "steps": steps,
        "rounds": rounds,
        "about": about,
    }
