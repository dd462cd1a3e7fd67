"""What a time step costs as sequences grow: time and memory of forward and backward, per step.

    python -m tests.benchmarks.growth                  TimeRNN, TimeLSTM, TimeGRU
    python -m tests.benchmarks.growth LSTM --steps 10 100

20 sequences, 100 inputs, 100 hidden units, float32. Each length runs in a process of its own. Time
is the median of many calls. Memory is the most that NumPy held at once during a call, and what the
layer keeps from the call before, beyond the weights and the arrays handed in.
"""

import argparse
import multiprocessing
import tracemalloc
from statistics import median

from tests.benchmarks.rows.ch05 import Recurrent
from tests.benchmarks.worker import timed

CELLS = ("RNN", "LSTM", "GRU")
SECONDS = 1.0  # of timed calls


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.growth", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("cells", nargs="*", metavar="cell", help=f"default: {' '.join(CELLS)}")
    lengths = (10, 30, 100, 300, 1000)
    parser.add_argument("--steps", type=int, nargs="+", default=lengths, help="lengths T")
    args = parser.parse_args()
    if unknown := set(args.cells) - set(CELLS):
        parser.error(f"no cell {' '.join(sorted(unknown))}; the cells are {' '.join(CELLS)}")

    print(f"{'layer':<10}{'T':>6}{'ms':>10}{'ms/step':>10}{'MB':>8}{'KB/step':>9}")
    fresh = multiprocessing.get_context("spawn")
    for cell in args.cells or CELLS:
        for T in args.steps:
            with fresh.Pool(1) as pool:
                ms, size = pool.apply(measure, (cell, T))
            per_step = f"{ms / T:>10.4f}{size / 2**20:>8.2f}{size / 2**10 / T:>9.1f}"
            print(f"{'Time' + cell:<10}{T:>6}{ms:>10.2f}{per_step}", flush=True)


def measure(cell: str, T: int) -> tuple[float, int]:
    """A forward and a backward -> milliseconds, bytes held at most."""
    call = Recurrent(cell, T).ours()
    call()  # a first warm-up
    times = [timed(call) for _ in range(3)]
    times = [timed(call) for _ in range(max(3, int(SECONDS / median(times))))]

    call = Recurrent(cell, T).ours()
    tracemalloc.start()
    call()
    call()  # while the cache of the first is still there
    return median(times) * 1000, tracemalloc.get_traced_memory()[1]


if __name__ == "__main__":
    main()
