"""Time and memory of a training step of every benchmark row on a GPU, beside PyTorch's.

Both run in this process, a block of steps each in turn. A block is timed from an idle GPU until
the GPU has done all its steps.
"""

import gc
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any

from common.np import np
from tests.benchmarks.rows import ROWS
from tests.gpu.library import computing, wait

BLOCK = 0.15  # seconds of a block
NAMES = [name for name, row in ROWS.items() if getattr(row, "library", "torch") == "torch"]


def measure(name: str, row: Any, rounds: int, real: bool, torch: Any) -> dict[str, Any]:
    """Time a row -> milliseconds: median and least of the blocks; memory in MB.

    torch  the library, or None where it is missing: there is only one side then
    """
    gc.collect()
    with computing("cupy", real):
        pool = np.get_default_memory_pool()
        pool.free_all_blocks()
        sides = {"ours": (row.ours(), wait)}
        if torch is not None:
            sides["theirs"] = (their_step(row, torch), waits_for(torch))
        for step, synchronize in sides.values():
            block(step, synchronize, 3)  # kernels are compiled, buffers made
        counts = {}
        for side, (step, synchronize) in sides.items():
            seconds, _ = block(step, synchronize, 2)
            counts[side] = max(1, round(BLOCK / seconds)) if real else 1
        total: dict[str, list[float]] = {side: [] for side in sides}
        told: dict[str, list[float]] = {side: [] for side in sides}
        for k in range(rounds):
            for side in sides if k % 2 else reversed(sides):
                step, synchronize = sides[side]
                seconds, until_told = block(step, synchronize, counts[side])
                total[side].append(seconds * 1000)
                told[side].append(until_told * 1000)
        memory = {"ours": {"held": pool.total_bytes() / 2**20, "used": pool.used_bytes() / 2**20}}
        if torch is not None and torch.cuda.is_available():
            held, used = torch.cuda.max_memory_reserved(), torch.cuda.max_memory_allocated()
            memory["theirs"] = {"held": held / 2**20, "used": used / 2**20}
    pairs = [*zip(*total.values(), strict=True)] if len(total) == 2 else []
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "row": name,
        "ms": {side: median(values) for side, values in total.items()},
        "least_ms": {side: min(values) for side, values in total.items()},
        "host_ms": {side: median(values) for side, values in told.items()},
        "ratio": [median(ratios), min(ratios), max(ratios)] if ratios else [],
        "memory_mb": memory,
        "steps": counts,
        "rounds": rounds,
    }


def block(step: Callable[[], object], synchronize: Callable[[], None], n: int) -> tuple[float, ...]:
    """Seconds for each of n steps: until the GPU has done them, and until it was told to."""
    synchronize()
    start = time.perf_counter()
    for _ in range(n):
        step()
    told = time.perf_counter()
    synchronize()
    return (time.perf_counter() - start) / n, (told - start) / n


def their_step(row: Any, torch: Any) -> Callable[[], object]:
    """PyTorch's step, with the model on the GPU, if it finds one."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with torch.device("cuda") if on_gpu else nullcontext():
        step: Callable[[], object] = row.theirs()
    return step


def waits_for(torch: Any) -> Callable[[], None]:
    return torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
