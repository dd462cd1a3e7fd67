"""tests/benchmarks runs and reports; how fast anything is, is not tested here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ch06.rnnlm import Rnnlm
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks.rows import ROWS, ch06, steps

ROOT = Path(__file__).parents[1]


def run(*arguments, module="tests.benchmarks"):
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_row_is_timed_on_both_sides():
    pytest.importorskip("torch", reason="not installed: pip install '.[bench]'")
    done = run("TwoLayerNet", "--rounds", "1", "--steps", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert (result["row"], result["rounds"], result["steps"]) == ("TwoLayerNet", 1, 2)
    assert result["ratio"] == [result["ms"]["ours"] / result["ms"]["theirs"]] * 3
    assert min(result["peak_mb"].values()) > 1
    assert [side["threads"] for side in result["about"].values()] == [1, 1]


def test_a_row_is_timed_without_avx512_beside_busy_processes_and_in_a_loop_of_its_own():
    few = "--rounds", "1", "--steps", "2"
    done = run("SimpleRnnlm", *few, "--own", "--busy", "--avx2")
    assert done.returncode == 0, done.stderr
    *_, summary, report = done.stdout.splitlines()
    (result,) = json.loads(report)["rows"]
    assert [*result["ms"]] == [*result["busy"]] == ["own", "ours"]
    assert result["ratio"] == [result["ms"]["own"] / result["ms"]["ours"]] * 3
    ratio = f"{result['ratio'][0]:.2f}"
    assert summary == f"worst ratio {ratio} (SimpleRnnlm), geometric mean {ratio}"
    for side in result["about"].values():
        assert side["kernel"] in (None, "Haswell", "Zen") or side["BLAS"].startswith("None")
        assert "512" not in side["loops"]


def test_a_loop_of_its_own_takes_the_steps_of_the_trainer(monkeypatch):
    def losses():
        seen, forward = [], Rnnlm.forward
        row = ch06.LanguageModel(V=50, N=3, T=4)
        with monkeypatch.context() as patch:
            patch.setattr(Rnnlm, "forward", lambda *args: seen.append(forward(*args)) or seen[-1])
            step = row.ours()
            for _ in range(5):
                step()
        return seen

    trainer = losses()
    monkeypatch.setattr(steps, "own_loop", True)
    assert losses() == trainer


def test_every_row_is_timed_if_none_is_named(monkeypatch, capsys):
    def measured(row, sides, threads, steps, rounds, **how):
        assert threads == (1 if row.endswith("-words") else 7)
        return {
            "row": row,
            "ms": {"ours": 1},
            "ratio": [],
            "busy": {},
            "peak_mb": {"ours": 1},
            "about": {},
        }

    monkeypatch.setattr(benchmarks, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--threads", "7"])
    benchmarks.main()
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [result["row"] for result in report["rows"]] == list(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_both_sides_take_a_step(row):
    library = getattr(row, "library", "torch")
    pytest.importorskip(library, reason="not installed: pip install '.[bench]'")
    for side in row.ours, row.theirs:
        side()()


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
