"""Two processes for a row, one for each side, and the turns they take.

Each side has a process of its own, so that peak memory belongs to it alone and the thread pools of
OpenBLAS and of PyTorch stay apart. While one works the other waits for its next block.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

SIDES: tuple[str, ...] = ("ours", "theirs")
ROOT = Path(__file__).parents[2]
PAUSE = 0.25  # seconds; threads that have just finished spin for up to 0.2 before they sleep
BLOCK = 0.4  # seconds that a block lasts if nobody says how many steps

# They make OpenBLAS use the kernels of another processor, whose speed is not what we ask for.
FORCED = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Worker:
    """One side of one row in a process of its own; see worker.py for the other end."""

    def __init__(self, side: str, row: str, threads: int) -> None:
        env = {name: value for name, value in os.environ.items() if name not in FORCED}
        self.name = f"{row}, {side}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", side, row],
            cwd=ROOT,
            env=env | dict.fromkeys(THREADS, str(threads)),
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
        """Take steps -> {"ms": the median step, "peak_mb": memory so far}."""
        assert self.process.stdin is not None
        time.sleep(PAUSE)
        print(steps, file=self.process.stdin, flush=True)
        result: dict[str, float] = self.answer()
        return result


def measure(
    row: str, sides: tuple[str, ...], threads: int, steps: int | None, rounds: int
) -> dict[str, Any]:
    """Time a row -> median times, and the ratio of the two sides: median, least, largest.

    The ratio is taken within each round, so that a drifting clock cancels.
    """
    with ExitStack() as stack:
        workers = {side: stack.enter_context(Worker(side, row, threads)) for side in sides}
        about = {side: worker.answer() for side, worker in workers.items()}
        for worker in workers.values():
            worker.run(2)  # a first warm-up
        if steps is None:
            slowest = max(worker.run(5)["ms"] for worker in workers.values())
            steps = max(5, round(BLOCK * 1000 / slowest))
        blocks: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for k in range(rounds):
            for side in sides if k % 2 else reversed(sides):
                blocks[side].append(workers[side].run(steps))
    ms = {side: [block["ms"] for block in blocks[side]] for side in sides}
    ratios = [a / b for a, b in zip(*ms.values(), strict=True)] if len(sides) == 2 else []
    return {
        "row": row,
        "ms": {side: median(ms[side]) for side in sides},
        "ratio": [median(ratios), min(ratios), max(ratios)] if ratios else [],
        "peak_mb": {side: blocks[side][-1]["peak_mb"] for side in sides},
        "steps": steps,
        "rounds": rounds,
        "about": about,
    }
