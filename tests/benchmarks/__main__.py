"""Time one training step of each model and of its twin in PyTorch or gensim, in turn, in one run.

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
from typing import Any

from tests.benchmarks.measure import FORCED, SIDES, measure
from tests.benchmarks.rows import ROWS

HEADS = ("row", "ours ms", "theirs ms", "ratio", "min..max", "ours MB", "theirs MB")
LINE = "{:<25}{:>10}{:>10}{:>7}{:>14}{:>9}{:>10}"


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rows", nargs="*", metavar="row", help=f"default: {' '.join(ROWS)}")
    parser.add_argument("--steps", type=int, help="timed steps of a block; default: 0.4 s of them")
    parser.add_argument("--rounds", type=int, default=9, help="blocks of each side; default: 9")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {' '.join(sorted(unknown))}; the rows are {' '.join(ROWS)}")
    if min(args.rounds, args.threads, args.steps or 1) < 1:
        parser.error("--steps, --rounds and --threads are at least 1")

    rows = {row: getattr(ROWS[row], "library", "torch") for row in args.rows or ROWS}
    for library in sorted(set(rows.values())):
        if importlib.util.find_spec(library) is None:
            print(f"{library} is missing, so its rows show our times only: pip install '.[bench]'")
    for name in sorted(FORCED & os.environ.keys()):
        print(f"{name}={os.environ[name]} is set; the measured processes run without it")

    results: list[dict[str, Any]] = []
    for row, library in rows.items():
        sides = SIDES if importlib.util.find_spec(library) else SIDES[:1]
        threads = getattr(ROWS[row], "threads", args.threads)
        results.append(measure(row, sides, threads, args.steps, args.rounds))
        if len(results) == 1:
            for side, about in results[0]["about"].items():
                print(f"{side}:", ", ".join(f"{name} {value}" for name, value in about.items()))
            print(LINE.format(*HEADS))
        print(line(results[-1]), flush=True)
    machine = {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps(machine | {"threads": args.threads, "rows": results}))


def line(result: dict) -> str:
    ms = [f"{result['ms'][side]:.3g}" if side in result["ms"] else "-" for side in SIDES]
    mb = [f"{result['peak_mb'][side]:.0f}" if side in result["peak_mb"] else "-" for side in SIDES]
    ratio = ["-", "-"]
    if result["ratio"]:
        ratio = ["{:.2f}".format(*result["ratio"]), "{1:.2f}..{2:.2f}".format(*result["ratio"])]
    return LINE.format(result["row"], *ms, *ratio, *mb)


def cpu() -> str:
    """The processor's name, which `platform` does not know on Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
