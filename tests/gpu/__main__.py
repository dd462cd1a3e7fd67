"""All that a GPU can prove, into one table and one JSON file, in less than 8 minutes.

    python -m tests.gpu                                  everything
    python -m tests.gpu equality steps --rows Rnnlm      these parts, and this row

tests     the test suite's cases over CuPy
equality  training steps of every model over NumPy and CuPy: the same losses and weights
steps     time and memory of a training step of every benchmark row, beside PyTorch with cuDNN
profile   where the time of a step goes, of three rows; and what single calls cost

Without a GPU the strict stand-in for CuPy computes, which proves less: the table says so. Times
then mean nothing.
"""

import argparse
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import ROWS
from tests.gpu import equality, profile, steps
from tests.gpu.library import about, has_gpu

ROOT = Path(__file__).parents[2]
PARTS = ("equality", "steps", "profile", "tests")  # in this order
PROFILED = ("BetterRnnlm", "Rnnlm", "AttentionSeq2seq")
GOALS = {"BetterRnnlm": 1.2, "Rnnlm": 1.5, "AttentionSeq2seq": 1.5}
MORE = 5  # times as many rounds for a row with a goal: the host of a lent GPU is noisy
SECONDS = 450


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="part", help=f"default: {' '.join(PARTS)}")
    parser.add_argument("--rows", nargs="+", default=steps.NAMES, help="default: every row")
    parser.add_argument("--models", nargs="+", default=[*equality.CASES], help="default: every one")
    parser.add_argument("--files", nargs="+", default=test_files(), help="test files")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each side; default: 5")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"default: {SECONDS}")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "dlfs2_gpu")
    args = parser.parse_args()
    for what, given, known in (
        ("part", args.parts, PARTS),
        ("row", args.rows, steps.NAMES),
        ("model", args.models, equality.CASES),
    ):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"no {what} {unknown[0]}; there are {', '.join(known)}")

    args.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + args.seconds
    real, torch = has_gpu(), imported("torch")
    report: dict[str, Any] = {"about": about(real), "errors": [], "seconds": {}}
    for part in [part for part in PARTS if part in (args.parts or PARTS)]:
        began = time.monotonic()
        report[part] = run_part(part, args, real, torch, deadline, report["errors"])
        report["seconds"][part] = round(time.monotonic() - began, 1)
        (args.out / "report.json").write_text(json.dumps(report, indent=1))
        (args.out / "report.md").write_text(markdown(report))
        print(f"{part}: {report['seconds'][part]} s", flush=True)
    print(markdown(report))
    print(f"{args.out / 'report.json'} has all numbers, report.md this table")
    sys.exit(0 if passed(report) else 1)


def run_part(
    part: str, args: Any, real: bool, torch: Any, deadline: float, errors: list[str]
) -> Any:
    """The results of a part, for the report. When the time is up, the rest is an error."""
    if part == "tests":
        return run_tests(args.files, args.out, real, deadline - time.monotonic())
    work: dict[str, Callable[[], Any]] = {}
    if part == "equality":
        for name, dtype in itertools.product(args.models, equality.TOLERANCE):
            work[f"{name} {dtype}"] = partial(equality.compare, name, dtype, real)
    elif part == "steps":
        for name in args.rows:
            rounds = args.rounds * (MORE if name in GOALS else 1)
            work[name] = partial(steps.measure, name, ROWS[name], rounds, real, torch)
    else:
        work["calls"] = partial(profile.calls, real)
        for name in PROFILED:
            if name in args.rows:
                work[name] = partial(profile.profile, name, ROWS[name], real, torch)
    found = []
    for name, call in work.items():
        if time.monotonic() > deadline:
            errors.append(f"{part}, {name}: no time was left")
            continue
        try:
            found.append(call())
        except Exception:  # of one model, which leaves the others
            errors.append(f"{part}, {name}: {traceback.format_exc()}")
    return found


def run_tests(files: list[str], out: Path, real: bool, seconds: float) -> dict[str, Any]:
    """Run the cases of these test files that compute over CuPy -> how many there were of a kind."""
    xml = out / "tests.xml"
    xml.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *files, "-k", "cupy", "-q", "--color=no"]
    command += ["--junitxml", str(xml), "-p", "no:cacheprovider", "-p", "no:benchmark"]
    if real and imported("xdist") is not None:
        command += ["-n", str(min(14, os.cpu_count() or 1))]
    env = os.environ | {"DLFS2_GPU": str(int(real))}
    with (out / "tests.log").open("w") as log:
        run = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            run.wait(max(1, seconds - 15))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGINT)  # pytest then reports what it has
            try:
                run.wait(10)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
    counts = {"exit": run.returncode, "passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for case in ET.parse(xml).iter("testcase") if xml.exists() else ():
        kinds = {part.tag for part in case}
        outcome = "failed" if kinds & {"failure", "error"} else "passed"
        outcome = "skipped" if "skipped" in kinds else outcome
        counts[outcome] += 1
        if outcome == "failed":
            failures.append(f"{case.get('classname')}::{case.get('name')}")
    return counts | {"failures": failures}


def test_files() -> list[str]:
    """The files whose tests run over both libraries, and those for a GPU alone."""
    found = []
    for file in sorted((ROOT / "tests").glob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        if "backend" in text or "mark.gpu" in text:  # the fixtures `backend` and `cupy_backend`
            found.append(str(file.relative_to(ROOT)))
    return found


def passed(report: dict[str, Any]) -> bool:
    """Whether all tests passed and all models are equal; a time is no failure."""
    tests_pass = report.get("tests", {"exit": 0})["exit"] == 0
    equal = all(case["equal"] for case in report.get("equality", []))
    return tests_pass and equal and not report["errors"]


def markdown(report: dict[str, Any]) -> str:
    """The table."""
    lines = [", ".join(f"{name}: {value}" for name, value in report["about"].items()), ""]
    if "tests" in report:
        found = report["tests"]
        names = ("passed", "failed", "skipped")
        lines += ["Tests over CuPy: " + ", ".join(f"{found[n]} {n}" for n in names), ""]
        lines += [f"- failed: {name}" for name in found["failures"][:40]]
    if cases := report.get("equality"):
        equal = sum(case["equal"] for case in cases)
        lines += [f"NumPy and CuPy agree after training: {equal} of {len(cases)}", ""]
        lines += ["| model | dtype | losses differ by | weights by |", "|---|---|---|---|"]
        lines += [
            f"| {c['model']} | {c['dtype']} | {c['losses']:.1e} | {c['weights']:.1e} |"
            + ("" if c["equal"] else " NOT EQUAL")
            for c in cases
        ]
        lines.append("")
    if rows := report.get("steps"):
        tf32 = "TF32 in cuDNN" if report["about"].get("TF32 in cuDNN") else "float32 alone"
        heads = ["row", "ours", "PyTorch", "ratio", "range", "rounds", "goal", "told in"]
        heads += ["memory ours", "PyTorch"]
        lines += [
            "Medians over rounds, in each of which both sides take turns; the ratio is the median "
            f"of the rounds' ratios. Ours computes in float32, PyTorch in {tf32}.",
            "",
            f"| {' | '.join(heads)} |",
            "|---" * len(heads) + "|",
        ]
        lines += [step_line(row) for row in rows]
        lines.append("")
    for found in report.get("profile", []):
        lines += ["```", found, "```"]
    lines += [f"- error: {error}" for error in report["errors"]]
    return "\n".join(lines)


def step_line(row: dict[str, Any]) -> str:
    """A line of the table of steps."""
    theirs = "theirs" in row["ms"]
    ms = [f"{row['ms'][side]:.3g} ms" for side in row["ms"]] + ([] if theirs else ["-"])
    ratio = ["{:.2f}".format(*row["ratio"]), "{1:.2f} to {2:.2f}".format(*row["ratio"])]
    goal = str(GOALS.get(row["row"], ""))
    held = [f"{m['used']:.0f} of {m['held']:.0f} MB" for m in row["memory_mb"].values()]
    cells = [row["row"], *ms, *(ratio if row["ratio"] else "--"), str(row["rounds"]), goal]
    cells += [f"{row['host_ms']['ours']:.3g} ms", *held, *["-"] * (2 - len(held))]
    return f"| {' | '.join(cells)} |"


def imported(name: str) -> Any:
    """A module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


if __name__ == "__main__":
    main()
