"""`ch08.compare_language_models`: one number of weights, the best learning rate, runs reused."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ch08 import compare_language_models as script
from ch08.compare_language_models import MODELS, SETTINGS, Run, main, num_weights, width_of
from common.base_model import load_model
from common.cli import arguments, flags
from common.evaluate import eval_perplexity
from dataset import grammar, texts
from tests.scripts import assert_not_blank

TINY: dict[str, Any] = {
    "corpus_size": 400,
    "num_weights": 2000,
    "max_epoch": 2,
    "batch_size": 4,
    "time_size": 5,
}
TINY |= {"corpus": "words.txt", "rates": "0.001 0.01", "seeds": 1, "plot": False}


@pytest.fixture
def words(folder):
    """A folder to work in, with a text of 8 words, <eos> a ninth, in words.txt."""
    Path("words.txt").write_text("the sun sets\nit rises again today\n" * 90)
    return folder


@pytest.fixture
def trained(monkeypatch):
    """The names of the weight files of all runs that were not taken from the file."""
    names, train = [], script.train_and_test

    def counted(model, text, settings, **how):
        names.append(Path(settings.weights).stem)
        return train(model, text, settings, **how)

    monkeypatch.setattr(script, "train_and_test", counted)
    return names


def compared(**how):
    return main(**TINY | how)


@pytest.mark.parametrize("num", [30_000, 100_000])
@pytest.mark.parametrize("name", MODELS)
def test_the_width_is_the_largest_with_no_more_weights(name, num):
    V, make = 50, MODELS[name].make
    width = width_of(name, V, replace(SETTINGS, num_weights=num))
    found = [num_weights(make(V, w, 0, 10)) for w in (width, width + 1)]
    assert 0.9 * num < found[0] <= num < found[1]


def test_shared_weights_count_once():
    model = MODELS["transformer"].make(50, 8, 0, 10)
    assert num_weights(model) == sum(p.size for p in model.params) - 50 * 8


def test_every_model_is_trained_and_one_table_and_one_figure_tell_of_all(words, capsys):
    found = compared(plot=True, seeds=2, max_epoch=1)
    assert list(found) == list(MODELS)
    assert_not_blank("language_models.png")
    lines = capsys.readouterr().out.split("an epoch\n")[1].splitlines()
    assert len(lines) == 3 * len(MODELS) + 1  # the figure
    for k, (name, runs) in enumerate(found.items()):
        assert [run.settings["seed"] for run in runs] == [0, 1]
        assert len({run.settings["lr"] for run in runs}) == 1
        for run, line in zip(runs, lines[3 * k :], strict=False):
            how, p = run.settings, run.perplexity
            start = rf"{name} +{how['width']} +{run.weights} +{how['lr']} +{how['seed']} +"
            assert re.match(start + rf"{p['train']:.2f} +{p['valid']:.2f} +{p['test']:.2f} ", line)
            assert run.weights <= 2000
        means = [sum(run.perplexity[part] for run in runs) / 2 for part in ("train", "test")]
        assert re.search(r"mean +{:.2f} .* +{:.2f} ".format(*means), lines[3 * k + 2])


def test_perplexities_are_those_of_the_weights_that_are_saved(words, trained):
    (run,) = compared(models="gru", rates="0.01")["gru"]
    model = load_model(f"language_models/{trained[0]}.npz")
    text = texts.load_parts("words.txt")
    parts = {"train": text.train[:400], "valid": text.valid, "test": text.test}
    for name, part in parts.items():
        assert eval_perplexity(model, part, progress=False) == run.perplexity[name]
    assert run.perplexity["valid"] == min(run.curve)
    assert len(run.curve) == len(run.seconds) == 2


def test_the_learning_rate_is_that_which_is_best_on_the_validation_text(words):
    one, other = (compared(models="lstm", rates=rate)["lstm"][0] for rate in ("0.001", "0.01"))
    best = min(one, other, key=lambda run: run.perplexity["valid"])
    assert one.perplexity != other.perplexity
    assert compared(models="lstm")["lstm"] == [best]


def test_runs_that_the_file_has_are_not_repeated(words, trained):
    first = compared(models="nplm rnn")
    assert len(trained) == 4
    assert compared(models="nplm rnn") == first
    assert len(trained) == 4
    compared(models="rnn nplm", seeds=2)
    assert [name.split("_")[0] for name in trained[4:]] == ["rnn", "nplm"]
    compared(models="rnn", rates="0.01", max_epoch=1)  # the fall of the rate depends on its end
    compared(models="rnn", rates="0.01", num_weights=1000)
    compared(models="rnn", rates="0.01", corpus_size=300)
    assert len(trained) == 9


def test_one_run_is_made_alone(words, trained):
    (run,) = compared(models="relu", rates="0.01", seed=3)["relu"]
    assert run.settings["seed"] == 3
    assert len(trained) == 1


def test_a_command_beside_this_one_loses_nothing(words, monkeypatch):
    file, train = Path("language_models.json"), script.train_and_test
    compared(models="gru", rates="0.01")
    beside = json.loads(file.read_text())

    def meanwhile(*args, **how):
        file.write_text(json.dumps(beside))
        return train(*args, **how)

    file.unlink()
    monkeypatch.setattr(script, "train_and_test", meanwhile)
    compared(models="rnn", rates="0.01")
    assert [run.settings["model"] for run in script.read_runs(file)] == ["gru", "rnn"]


def test_a_run_that_was_stopped_goes_on(words, monkeypatch):
    whole = compared(models="transformer", rates="0.01", file="whole.json")["transformer"][0]
    evaluations = iter([None])

    def stopped(*args, **how):
        if next(evaluations, "stop") == "stop":
            raise KeyboardInterrupt
        return eval_perplexity(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr("ch06.language_model_run.eval_perplexity", stopped)
        with pytest.raises(KeyboardInterrupt):
            compared(models="transformer", rates="0.01")
    with pytest.raises(FileExistsError, match=r"another --file keeps.*--resume goes on"):
        compared(models="transformer", rates="0.01")
    (run,) = compared(models="transformer", rates="0.01", resume=True)["transformer"]
    assert run._replace(seconds=whole.seconds) == whole


def test_a_run_that_diverges_is_no_best_one(words, monkeypatch, capsys):
    train = script.train_and_test

    def diverging(model, text, settings, **how):
        if settings.lr == 0.001:
            raise FloatingPointError
        return train(model, text, settings, **how)

    monkeypatch.setattr(script, "train_and_test", diverging)
    for _ in range(2):  # as it comes, and from the file
        (run,) = compared(models="rnn")["rnn"]
        assert run.settings["lr"] == 0.01
        (diverged,) = compared(models="rnn", rates="0.001", plot=True)["rnn"]
        assert diverged.perplexity == dict.fromkeys(("train", "valid", "test"), math.inf)
        assert diverged.curve == [math.inf] * 2
    assert " inf     inf     inf" in capsys.readouterr().out


def test_the_grammar_tells_its_true_perplexity(folder, capsys):
    how = {"corpus": "grammar", "corpus_size": 2000, "num_weights": 3000, "max_epoch": 1}
    main(**TINY | how | {"models": "rnn", "rates": "0.01"})
    assert f"true perplexity:  {grammar.true_perplexity('test'):.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"models": "rnn lsmt"}, "models are some of nplm, rnn, .*transformer, not 'rnn lsmt'"),
        ({"models": ""}, "models are some of nplm, .* not ''"),
        ({"rates": "fast"}, "rates are numbers with blanks between, not 'fast'"),
        ({"rates": ""}, "rates are numbers with blanks between, not ''"),
        ({"rates": "0.1 -1"}, "rates are numbers with blanks between, not '0.1 -1'"),
        ({"rates": "nan"}, "rates are numbers"),
        ({"num_weights": 5}, r"nplm of width 1 has \d+ weights for 9 words, more than 5"),
        ({"models": "transformer", "num_weights": 300}, r"transformer of width 1 has \d+ weights"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        ({"max_epoch": 0}, "max_epoch must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"time_size": 0}, "time_size must be at least 1, not 0"),
        ({"corpus_size": 0}, "corpus_size must be at least 1, not 0"),
        ({"file": "runs"}, "the file must end in .json, not runs"),
        ({"corpus": "lost.txt"}, "'lost.txt' is neither 'ptb' nor 'grammar' nor a file"),
        ({"tokens": "syllables"}, "syllables"),
        ({"file": "words.json"}, "words.json holds no comparison"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_is_refused_before_a_file_is_touched(words, how, problem):
    Path("words.json").write_text('{"runs": [{"settings": {}}]}')
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        compared(**how)
    assert sorted(path.name for path in words.iterdir()) == ["words.json", "words.txt"]


@pytest.mark.parametrize("content", ["[]", "{", '{"runs": [[]]}', '{"runs": [1]}', "null"])
def test_a_file_of_something_else_is_refused(folder, content):
    file = Path("runs.json")
    file.write_text(content)
    with pytest.raises(ValueError, match=r"runs\.json holds no comparison"):
        script.read_runs(file)


def test_the_readme_s_runs_are_those_of_the_defaults():
    """The file that ships has every run of a call without flags, so that nothing is repeated."""
    shipped = script.read_runs(Path(script.__file__).parent / "results/language_models.json")
    assert {run.settings["model"] for run in shipped} == {*MODELS}
    assert all(isinstance(run, Run) and math.isfinite(run.perplexity["test"]) for run in shipped)
    rates = [float(rate) for rate in flags(main)["rates"].default.split()]
    for name in MODELS:
        runs = [run for run in shipped if run.settings["model"] == name]
        tried = [run.settings["lr"] for run in runs if run.settings["seed"] == 0]
        assert sorted(tried) == rates
        assert sorted(run.settings["seed"] for run in runs) == [0] * len(rates) + [1, 2]


def test_the_readme_s_runs_on_penn_treebank_have_one_learning_rate_in_common():
    shipped = script.read_runs(Path(script.__file__).parent / "results/ptb_models.json")
    runs = [run for run in shipped if run.settings["lr"] == 0.002]
    assert sorted(run.settings["model"] for run in runs) == sorted(MODELS)
    assert all(0.98 * 2_090_400 < run.weights <= 2_090_400 for run in shipped)
    for run in shipped:
        assert run.settings["corpus"] == "ptb"
        assert run.settings["max_epoch"] == len(run.curve) == SETTINGS.max_epoch
        assert run.perplexity["valid"] == min(run.curve)


def test_flags_are_the_settings():
    assert arguments(main, ["--models", "gru", "--seed", "1"])["seed"] == 1
    assert arguments(main, [])["num_weights"] == SETTINGS.num_weights
