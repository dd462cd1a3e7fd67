"""tests/benchmarks runs and reports; how fast anything is, is not tested here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.rows import ROWS

ROOT = Path(__file__).parents[1]


def run(*arguments, module="tests.benchmarks"):
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "rows", [["TwoLayerNet"], pytest.param([], marks=pytest.mark.slow)], ids=["one", "all"]
)
def test_rows_are_timed_on_both_sides(rows):
    for library in "torch", "gensim":
        pytest.importorskip(library, reason="not installed: pip install '.[bench]'")
    done = run(*rows, "--rounds", "1", "--steps", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [result["row"] for result in results] == (rows or list(ROWS))
    for result in results:
        assert (result["rounds"], result["steps"]) == (1, 2)
        assert result["ratio"] == [result["ms"]["ours"] / result["ms"]["theirs"]] * 3
        assert min(result["peak_mb"].values()) > 1
        assert [side["threads"] for side in result["about"].values()] == [1, 1]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_both_sides_get_the_same_batches_every_time(row):
    for first, again in zip(row.batches(), row.batches(), strict=True):
        assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_an_unknown_row_is_refused_with_the_names_that_exist():
    done = run("Perceptron")
    assert done.returncode == 2
    assert "no row Perceptron; the rows are TwoLayerNet" in done.stderr


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_memory_grows_with_the_steps_and_not_faster(cell):
    done = run(cell, "--steps", "50", "100", module="tests.benchmarks.growth")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [line[:2] for line in lines] == [[f"Time{cell}", "50"], [f"Time{cell}", "100"]]
    per_step = [float(line[-1]) for line in lines]
    assert per_step[1] == pytest.approx(per_step[0], rel=0.05)


def test_the_growth_of_an_unknown_cell_is_refused():
    done = run("MLP", module="tests.benchmarks.growth")
    assert done.returncode == 2
    assert "no cell MLP; the cells are RNN LSTM GRU" in done.stderr
