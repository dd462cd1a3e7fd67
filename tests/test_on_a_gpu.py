"""`python -m tests.gpu`, over the stand-in for CuPy."""

import json
import sys

import pytest

from tests.benchmarks.rows.ch05 import LanguageModel, Recurrent
from tests.benchmarks.rows.ch07 import Answering
from tests.gpu import __main__ as gpu
from tests.gpu import equality, profile, steps


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """run(*arguments) -> exit code, the report, what was printed."""
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpu", *arguments, "--out", str(tmp_path)])
        with pytest.raises(SystemExit) as stop:
            gpu.main()
        report = tmp_path / "report.json"
        found = json.loads(report.read_text()) if report.exists() else None
        return stop.value.code, found, "".join(capsys.readouterr())

    return call


def test_the_report_has_every_part_and_says_that_no_gpu_was_there(run):
    one = ("--rows", "TwoLayerNet", "--models", "TwoLayerNet", "--files", "tests/test_functions.py")
    code, report, printed = run(*one, "--rounds", "1")
    assert code == 0, printed
    assert report["about"]["GPU"] == "none: the strict stand-in for CuPy"
    assert report["tests"]["passed"] > 0 == report["tests"]["failed"]
    assert [case["dtype"] for case in report["equality"]] == ["float64", "float32"]
    assert report["steps"][0]["ms"]["ours"] > 0
    assert "lstm_step" in report["profile"][0]
    assert "GPU: none: the strict stand-in for CuPy" in printed
    assert "agree after training: 2 of 2" in printed
    assert "| TwoLayerNet | " in printed


@pytest.mark.parametrize("name", equality.CASES)
def test_every_model_learns_the_same_over_both_libraries(name):
    assert equality.compare(name, "float64", real=False)["equal"]


def test_a_model_that_learns_otherwise_is_a_failure(run, monkeypatch):
    monkeypatch.setattr(equality, "TOLERANCE", {"float64": -1.0})
    code, report, printed = run("equality", "--models", "Rnnlm")
    assert code == 1
    assert not report["equality"][0]["equal"]
    assert "NOT EQUAL" in printed


def test_an_error_in_one_model_leaves_the_others(run, monkeypatch):
    monkeypatch.setitem(equality.CASES, "Rnnlm", None)
    code, report, printed = run("equality", "--models", "Rnnlm", "TwoLayerNet")
    assert code == 1
    assert [case["model"] for case in report["equality"]] == ["TwoLayerNet"] * 2
    assert "error: equality, Rnnlm float64: Traceback" in printed


def test_when_the_time_is_up_the_rest_is_an_error(run):
    code, report, _ = run("equality", "--models", "Rnnlm", "--seconds", "-1")
    assert code == 1
    assert report["errors"] == [
        f"equality, Rnnlm {t}: no time was left" for t in equality.TOLERANCE
    ]


@pytest.mark.parametrize(
    "row",
    [LanguageModel(cell="GRU", V=20), Recurrent("LSTM", 3), Answering(V=5, H=8, questions=9)],
    ids=["a model", "a layer", "answers"],
)
def test_a_row_is_timed_and_profiled_on_one_side_where_pytorch_is_missing(row):
    found = steps.measure("row", row, rounds=1, real=False, torch=None)
    assert list(found["ms"]) == ["ours"]
    assert found["ratio"] == []
    assert "ours, on the host:" in profile.profile("row", row, real=False, torch=None)


def test_both_sides_of_a_row_take_turns(torch):
    found = steps.measure("row", LanguageModel(V=20), rounds=3, real=False, torch=torch)
    middle, least, largest = found["ratio"]
    assert 0 < least <= middle <= largest
    assert gpu.step_line(found).count("|") == 11


def test_an_unknown_name_is_refused(run):
    code, _, printed = run("equality", "--models", "Perceptron")
    assert code == 2
    assert "no model Perceptron; there are TwoLayerNet" in printed
