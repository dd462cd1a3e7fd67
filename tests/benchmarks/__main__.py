"""Time one training step of each model and of its PyTorch twin, in turn, in one run.

    python -m tests.benchmarks                      every row
    python -m tests.benchmarks Rnnlm --rounds 20    one row, more rounds

Prints a table, then all of it as one line of JSON.
"""

import argparse
import importlib.util
import json
import os
import platform
from pathlib import Path

from tests.benchmarks.measure import FORCED, SIDES, measure
from tests.benchmarks.rows import ROWS

LINE = "{:<14}{:>10}{:>10}{:>7}{:>14}{:>9}{:>10}"


def main() -> None:
    first, *_, last = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=f"{first} {last}")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--steps", type=int, help="timed steps of a block (default: 0.4 seconds)")
    parser.add_argument("--rounds", type=int, default=9, help="blocks of each side (default: 9)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if min(args.rounds, args.threads, args.steps or 1) < 1:
        parser.error("--steps, --rounds and --threads are at least 1")

    sides = SIDES
    if importlib.util.find_spec("torch") is None:
        sides = SIDES[:1]
        print("PyTorch is missing, so these are our own times: pip install '.[bench]'")
    for name in FORCED & os.environ.keys():
        print(f"{name}={os.environ[name]} is set; it does not count here")

    results = []
    for name in args.rows or ROWS:
        result = measure(name, sides, args.threads, args.steps, args.rounds)
        if not results:
            for side in sides:
                print(f"{side}:", ", ".join(f"{k} {v}" for k, v in result["about"][side].items()))
            print(
                LINE.format(
                    "row", "ours ms", "torch ms", "ratio", "min..max", "ours MB", "torch MB"
                )
            )
        results.append(result)
        print(_line(result), flush=True)
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({**machine, "threads": args.threads, "rows": results}))


def _line(result: dict) -> str:
    ms, mb, ratio = (result[key] for key in ("ms", "peak_mb", "ratio"))
    times = [f"{ms[side]:.3g}" if side in ms else "-" for side in SIDES]
    memory = [f"{mb[side]:.0f}" if side in mb else "-" for side in SIDES]
    ratios = (
        [f"{ratio['median']:.2f}", f"{ratio['min']:.2f}..{ratio['max']:.2f}"] if ratio else "--"
    )
    return LINE.format(result["row"], *times, *ratios, *memory)


def _cpu() -> str:
    """The processor's name, which `platform` does not know on Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
