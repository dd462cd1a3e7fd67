"""Time one training step of each model and of its twin in PyTorch or gensim, in turn, in one run.

    python -m tests.benchmarks                      every row
    python -m tests.benchmarks Rnnlm --rounds 20    one row, more rounds
    python -m tests.benchmarks --avx2               as on a processor without AVX-512
    python -m tests.benchmarks --busy               alone, and beside one busy process per core
    python -m tests.benchmarks --own                our loop of forward, backward, update, with
                                                    NumPy imported first, against Trainer

Prints a table, the worst and the mean ratio, then all of it as one line of JSON.
"""

import argparse
import importlib.util
import json
import os
import platform
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from tests.benchmarks.measure import FORCED, OWN_LOOP, SIDES, avx2, measure
from tests.benchmarks.rows import ROWS

LINE = "{:<25}{:>10}{:>10}{:>7}{:>14}{:>9}{:>10}{:>17}"


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rows", nargs="*", metavar="row", help=f"default: {' '.join(ROWS)}")
    parser.add_argument("--steps", type=int, help="timed steps of a block; default: 0.4 s of them")
    parser.add_argument("--rounds", type=int, default=9, help="blocks of each side; default: 9")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument("--avx2", action="store_true", help="both sides without AVX-512")
    parser.add_argument("--busy", action="store_true", help="again beside busy processes")
    parser.add_argument("--own", action="store_true", help="a loop of one's own against Trainer")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {' '.join(sorted(unknown))}; the rows are {' '.join(ROWS)}")
    if min(args.rounds, args.threads, args.steps or 1) < 1:
        parser.error("--steps, --rounds and --threads are at least 1")

    rows = {row: getattr(ROWS[row], "library", "torch") for row in args.rows or ROWS}
    pair, kernels = OWN_LOOP if args.own else SIDES, avx2() if args.avx2 else {}
    for library in sorted(set(rows.values())):
        if importlib.util.find_spec(library) is None:
            print(f"{library} is missing, so its rows show our times only: pip install '.[bench]'")
    for name in sorted(FORCED & os.environ.keys()):
        print(f"{name}={os.environ[name]} is set; the measured processes run without it")

    results: list[dict[str, Any]] = []
    for row, library in rows.items():
        sides = pair if args.own or importlib.util.find_spec(library) else pair[:1]
        threads = getattr(ROWS[row], "threads", args.threads)
        how = {"kernels": kernels, "busy": args.busy}
        results.append(measure(row, sides, threads, args.steps, args.rounds, **how))
        if len(results) == 1:
            for side, about in results[0]["about"].items():
                print(f"{side}:", ", ".join(f"{name} {value}" for name, value in about.items()))
            print(LINE.format(*heads(pair, args.busy)))
        print(line(results[-1]), flush=True)
    if ratios := {r["row"]: r["ratio"][0] for r in results if r["ratio"]}:
        worst = max(ratios, key=lambda row: ratios[row])
        mean = geometric_mean(ratios.values())
        print(f"worst ratio {ratios[worst]:.2f} ({worst}), geometric mean {mean:.2f}")
    machine = {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps(machine | {"threads": args.threads, "rows": results}))


def heads(pair: tuple[str, ...], busy: bool) -> tuple[str, ...]:
    a, b = pair
    memory = f"{a} MB", f"{b} MB"
    return "row", f"{a} ms", f"{b} ms", "ratio", "min..max", *memory, "busy/alone" * busy


def line(result: dict) -> str:
    sides = [*result["ms"], None][:2]
    ms = [f"{result['ms'][side]:.3g}" if side else "-" for side in sides]
    mb = [f"{result['peak_mb'][side]:.0f}" if side else "-" for side in sides]
    busy = " ".join(f"{times:.2f}" for times in result["busy"].values())
    ratio = ["-", "-"]
    if result["ratio"]:
        ratio = ["{:.2f}".format(*result["ratio"]), "{1:.2f}..{2:.2f}".format(*result["ratio"])]
    return LINE.format(result["row"], *ms, *ratio, *mb, busy).rstrip()


def cpu() -> str:
    """The processor's name, which `platform` does not know on Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
