"""Every keyword of `main` is a flag; what stops a script is told in one message."""

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy
import pytest

from ch01 import train as ch01_train
from ch01 import train_custom_loop as ch01_loop
from ch03 import train as ch03_train
from ch04 import document_vectors
from ch04 import train as ch04_train
from ch05 import train as ch05_train
from ch05 import train_custom_loop as ch05_loop
from ch06 import eval as ch06_eval
from ch06 import rnn_gradient_graph, train_better_rnnlm, train_rnnlm, trained
from ch07 import comparison, train_seq2seq
from ch08 import train as ch08_train
from ch08 import visualize_attention
from common import cli
from common.cli import arguments, at_least_one, check_writable
from common.run import write_json
from common.trainer import RnnlmTrainer, Trainer
from common.words.text import preprocess, words_to_ids
from dataset import addition, dates
from tests.scripts import ROOT, run, written

NOTHING: Any = {}


def main(size=3, rate=0.5, name: str | None = None, count: int | None = None, plot=True, shift=-1):
    """Do something.

    size   how many things, in units
           and more about it
    rate   100 % at most
    plot   draw it

    Not a flag at all.
    """


def test_without_flags_the_defaults_hold():
    assert arguments(main, []) == {
        "size": 3,
        "rate": 0.5,
        "name": None,
        "count": None,
        "plot": True,
        "shift": -1,
    }


def test_flags_are_read_by_type():
    argv = ["--size", "7", "--rate", "2", "--name", "x", "--count", "9", "--no-plot"]
    got = arguments(main, argv)
    assert got == {"size": 7, "rate": 2.0, "name": "x", "count": 9, "plot": False, "shift": -1}
    assert isinstance(got["rate"], float)


def test_underscores_are_hyphens():
    def main(max_epoch=1):
        pass

    for argv in ["--max-epoch", "2"], ["--max_epoch", "2"], ["--max_epoch=2"]:
        assert arguments(main, argv) == {"max_epoch": 2}
    assert cli.parser(main).format_help().count("max_epoch") == 0


def test_a_value_keeps_its_underscores():
    assert arguments(main, ["--name", "a_b"])["name"] == "a_b"
    assert arguments(main, ["--name=--a_b"])["name"] == "--a_b"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--sise", "--size"),
        ("--sise=3", "--size"),
        ("--raet", "--rate"),
        ("--no_plto", "--no-plot"),
        ("--nothing-like-it", None),
    ],
)
def test_a_mistyped_flag_is_told_with_the_one_that_it_may_mean(word, meant, capsys):
    with pytest.raises(SystemExit):
        arguments(main, [word])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"; did you mean {meant}?" if meant else f"arguments: {word}")


COLOURS = {"red": 1, "green": 2}


def painted(
    *, colour: Annotated[str, COLOURS] = "red", other: Annotated[str | None, COLOURS] = None
):
    """Paint it.

    colour  of the paint
    other   another colour
    """
    return colour, other


def test_choices_are_shown_and_others_refused(capsys):
    text = " ".join(cli.parser(painted).format_help().split())
    assert "--colour {red,green} of the paint (default: red)" in text
    assert "--other {red,green} another colour" in text
    assert arguments(painted, ["--colour", "green"]) == {"colour": "green", "other": None}
    for argv, hint in (["--colour", "gren"], "; did you mean green?"), (["--other", "x"], ""):
        with pytest.raises(SystemExit) as ended:
            arguments(painted, argv)
        assert ended.value.code == 2
        told = f"argument {argv[0]}: it is one of red, green, not {argv[1]!r}{hint}\n"
        assert capsys.readouterr().err.endswith(told)


def test_choices_can_be_taken_over_from_another_script():
    settings = cli.settings_of(painted)
    assert settings.__dataclass_fields__["colour"].type == Annotated[str, ("red", "green")]


def test_scripts_offer_the_models_that_they_have():
    chosen = cli.flags(ch08_train.main)
    assert chosen["model"].choices == tuple(ch08_train.RECIPES)
    assert chosen["cell"].choices == ("lstm", "gru", "rnn")
    assert chosen["score"].choices
    assert cli.flags(ch06_eval.main)["model"].choices == tuple(trained.MODELS)


def test_help_comes_from_the_docstrings(capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(main, ["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: python -m tests.test_cli ")
    assert "Every keyword of `main` is a flag;" in text
    assert "--size SIZE how many things, in units and more about it (default: 3)" in text
    assert "100 % at most (default: 0.5)" in text
    assert "--name NAME --count COUNT" in text  # nothing to say
    assert "--plot, --no-plot draw it (default: --plot)" in text
    assert "Not a flag" not in text


def test_without_a_docstring_of_the_script_the_help_begins_with_that_of_main(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "__doc__", None)
    assert "\n\nDo something.\n\n" in cli.parser(main).format_help()


@dataclass(frozen=True, kw_only=True)
class Base:
    """What several scripts can be told.

    width   how wide, in units
    height  how high, in units
    """

    width: int
    height: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What this one can be told as well.

    colour  of the paint
    """

    colour: str | None = None
    open: bool = False


SETTINGS = Settings(width=7)


def with_settings(*, size=3, **settings):
    """Do something.

    height  how high it is here
    """
    return size, replace(SETTINGS, **settings)


def test_settings_of_a_dataclass_are_flags_too():
    argv = ["--width", "8", "--colour", "red", "--open"]
    expected = (3, Settings(width=8, colour="red", open=True))
    assert with_settings(**arguments(with_settings, argv)) == expected
    assert with_settings(**arguments(with_settings, [])) == (3, SETTINGS)
    found = cli.flags(with_settings)
    assert list(found) == ["size", "width", "height", "colour", "open"]
    assert found["width"][:3] == (int, 7, "how wide, in units")
    assert found["height"][:3] == (
        float,
        2.0,
        "how high it is here",
    )  # what the script says goes first
    assert found["colour"][:3] == (str, None, "of the paint")
    with pytest.raises(TypeError, match="'sise'"):
        with_settings(sise=3)


def test_the_flags_of_another_script_can_be_taken_over():
    settings = cli.settings_of(main)
    assert asdict(settings) == arguments(main, [])
    assert replace(settings, size=4).size == 4


@pytest.mark.parametrize(
    "argv",
    [
        ["--sise", "3"],
        ["--size", "three"],
        ["--size", "1_0"],
        ["--rate", "1_0.5"],
        ["--size"],
        ["3"],
    ],
)
def test_what_is_not_understood_ends_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(main, argv)
    assert ended.value.code == 2
    assert argv[-1].lstrip("-") in capsys.readouterr().err


def test_flags_may_not_be_shortened():
    with pytest.raises(SystemExit):
        arguments(main, ["--si", "3"])


@pytest.mark.parametrize("flag", ["--size", "--count"])
def test_an_int_is_negative_only_where_its_default_is(flag, capsys):
    assert arguments(main, ["--shift", "-7", "--rate", "-0.5", flag, "0"])["shift"] == -7
    with pytest.raises(SystemExit) as ended:
        arguments(main, [flag, "-7"])
    assert ended.value.code == 2
    assert f"argument {flag}: it must not be negative, not -7" in capsys.readouterr().err


# What stops a script


def stopped_by(action, monkeypatch):
    """The exit status of a script that does this, a message if there is one."""
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda: action())
    return ended.value.code


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Path("lost.txt").read_bytes(), "No such file or directory: 'lost.txt'"),
        (lambda: numpy.empty(2**60, "int8"), "Unable to allocate"),
        (lambda: preprocess(""), "preprocess: there is no word in the text ''"),
        (lambda: words_to_ids(["a"], {}), "words_to_ids: not in the vocabulary of 0 words: a"),
        (lambda: Trainer(None, None).fit([0], [0], 0), "max_epoch must be at least 1, not 0"),
    ],
    ids=["file", "memory", "value", "word", "setting"],
)
def test_what_the_user_can_mend_is_one_message(action, message, monkeypatch, folder):
    told = stopped_by(action, monkeypatch)
    assert told.startswith("error: ")
    assert message in told
    assert not told.endswith("'\"")  # a KeyError puts its text into quotes


@pytest.mark.parametrize("error", cli.MESSAGES)
def test_the_class_of_an_error_says_whether_the_user_can_mend_it(error, monkeypatch):
    class Special(error):
        pass

    for kind in error, Special:
        assert stopped_by(lambda kind=kind: fail(kind("because")), monkeypatch) == "error: because"


def fail(error):
    raise error


@pytest.mark.parametrize(
    "action",
    [
        lambda: NOTHING.shape,  # AttributeError
        lambda: preprocess(NOTHING),
        lambda: [][0],  # IndexError
        lambda: len(NOTHING + 3),  # TypeError
        lambda: 1 // 0,
        lambda: fail(AssertionError("no")),
        lambda: fail(NotImplementedError("not yet")),
    ],
)
def test_a_bug_shows_where_it_is(action, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    with pytest.raises(
        (AttributeError, IndexError, TypeError, ZeroDivisionError, AssertionError, RuntimeError)
    ) as raised:
        cli.run(lambda: action())
    assert raised.traceback[-1].path != Path(cli.__file__)


@pytest.mark.parametrize(("args", "status"), [((), 130), ((signal.SIGTERM,), 143)])
def test_a_signal_is_the_exit_status(args, status, monkeypatch):
    def action():
        raise KeyboardInterrupt(*args)

    assert stopped_by(action, monkeypatch) == status


TYPED = """
from common.cli import arguments, run

def main(size=3):
    if size == 0:
        raise ValueError("size is 0")
    print("日本", size)

if __name__ == "__main__":
    {start}
"""


@pytest.mark.parametrize("start", ["run(main)", "main(**arguments(main))"])
def test_a_script_of_the_reader_starts_either_way(start, folder, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    Path("typed.py").write_text(TYPED.format(start=start), encoding="utf-8")
    done = run("typed.py", "--size=2", cwd=folder, installed=ROOT)
    assert done.stdout.endswith(" 2\n")
    done = run("typed.py", "--size=0", cwd=folder, installed=ROOT, status=1)
    assert done.stderr.endswith("size is 0\n")
    assert ("Traceback" in done.stderr) == (start != "run(main)")
    done = run("typed.py", "--sise=0", cwd=folder, installed=ROOT, status=2)
    assert "typed.py: error: unrecognized arguments: --sise=0" in done.stderr


def test_in_the_development_mode_of_python_every_error_shows_where_it_is(folder):
    Path("typed.py").write_text(TYPED.format(start="run(main)"), encoding="utf-8")
    done = run("-X", "dev", "typed.py", "--size=0", cwd=folder, installed=ROOT, status=1)
    assert 'raise ValueError("size is 0")' in done.stderr


def test_a_character_that_the_terminal_lacks_is_a_question_mark(folder, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    Path("typed.py").write_text(TYPED.format(start="run(main)"), encoding="utf-8")
    assert run("typed.py", cwd=folder, installed=ROOT).stdout == "?? 3\n"


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("ch05.train --corpus lost.txt", 1, "'lost.txt' is neither 'ptb' nor 'grammar' nor a file"),
        (
            "ch04.train --model glove",
            2,
            "argument --model: it is one of cbow, skipgram, not 'glove'",
        ),
        ("ch07.train_seq2seq --cell gruu", 2, "lstm, gru, rnn, not 'gruu'; did you mean gru?"),
        ("ch01.forward_net --seed -1", 2, "argument --seed: it must not be negative, not -1"),
        (
            "ch01.show_spiral_dataset --seed 4294967296",
            2,
            "it must be at most 4294967295, not 4294967296",
        ),
        (
            "ch05.train --hidden-size 9223372036854775808",
            2,
            "at most 2147483647, not 9223372036854775808",
        ),
    ],
)
def test_a_wrong_flag_of_a_script_is_one_message(command, status, message, folder):
    done = run("-m", *command.split(), cwd=folder, installed=ROOT, status=status)
    *usage, last = done.stderr.splitlines()
    assert "error: " in last
    assert last.endswith(message)
    assert "Traceback" not in done.stderr
    assert (status == 2) == bool(usage)
    assert done.stdout == ""
    assert list(folder.iterdir()) == []


# What it wrote, and what to run next

WRITES = """
from pathlib import Path

from common.cli import run, then
from common.run import write_json

def main(fail=False):
    write_json(Path("b.json"), 1)
    write_json(Path("deep/c.json"), 2)
    write_json(Path("b.json"), 3)
    print("done")
    then("ch02.ppmi")
    then("ch08.visualize_attention", model="bi", weights="my file.npz", reverse=False, count=5)
    if fail:
        raise ValueError("no")

if __name__ == "__main__":
    run(main)
"""


def test_a_script_ends_with_its_files_and_what_to_run_next(folder):
    Path("deep").mkdir()
    Path("deep/c.json").write_text("0")
    Path("typed.py").write_text(WRITES, encoding="utf-8")
    done = run("typed.py", cwd=folder, installed=ROOT)
    assert done.stdout == "done\n"  # the rest is no output of the script
    command = "python -m ch08.visualize_attention --model bi --weights 'my file.npz' --no-reverse"
    assert done.stderr.splitlines() == [
        f"written to {folder}: b.json",
        f"written to {folder / 'deep'}: c.json (replaced)",
        f"next: {command}",  # count is what it is without a flag
    ]
    assert written(done) == [folder / "b.json", folder / "deep" / "c.json"]
    how = arguments(visualize_attention.main, shlex.split(command)[3:])
    assert how == arguments(visualize_attention.main, []) | {
        "model": "bi",
        "weights": "my file.npz",
        "reverse": False,
    }


def test_a_script_that_fails_tells_its_files_too(folder):
    Path("deep").mkdir()
    Path("typed.py").write_text(WRITES, encoding="utf-8")
    done = run("typed.py", "--fail", cwd=folder, installed=ROOT, status=1)
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "written",
        "written",
        "error:",
    ]


def test_a_script_that_is_not_there_is_not_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    cli.run(lambda: cli.then("ch09.train"))
    assert capsys.readouterr().err == ""


def test_a_training_script_names_its_files_and_the_script_that_uses_them(folder):
    argv = "--corpus grammar --hidden-size 4 --wordvec-size 4 --max-epoch 1 --weights w/a.npz"
    done = run("-m", "ch06.train_rnnlm", *argv.split(), cwd=folder, installed=ROOT)
    *_, files, after = done.stderr.splitlines()
    assert files == f"written to {folder / 'w'}: a.checkpoint, a.npz, a.json, a.png"
    assert sorted(written(done)) == sorted((folder / "w").iterdir())
    _, command = after.split("next: python ")
    done = run(*shlex.split(command), "--sample-size", "5", cwd=folder, installed=ROOT)
    assert done.stdout.split()


# Settings


def test_sizes_begin_at_one():
    at_least_one(hidden_size=1, wordvec_size=None)
    with pytest.raises(ValueError, match=r"^hidden_size must be at least 1, not 0$"):
        at_least_one(wordvec_size=3, hidden_size=0)


@pytest.mark.parametrize(
    ("main", "name", "how"),
    [
        (ch01_train.main, "hidden_size", {}),
        (ch01_loop.main, "hidden_size", {}),
        (ch01_loop.main, "max_epoch", {}),
        (ch03_train.main, "hidden_size", {}),
        (ch04_train.main, "hidden_size", {"corpus": "grammar"}),
        (document_vectors.main, "top", {}),
        (ch05_train.main, "wordvec_size", {"corpus": "grammar"}),
        (ch05_loop.main, "hidden_size", {"corpus": "grammar"}),
        (ch05_loop.main, "max_epoch", {"corpus": "grammar"}),
        (train_rnnlm.main, "hidden_size", {"corpus": "grammar"}),
        (train_better_rnnlm.main, "hidden_size", {"corpus": "grammar", "wordvec_size": 1}),
        (ch06_eval.main, "hidden_size", {"corpus": "grammar"}),
    ],
)
def test_scripts_refuse_a_size_of_zero(main, name, how, folder):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, not 0$"):
        main(**how | {name: 0})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_matrix_is_not_scaled_by_what_is_no_number(scale, folder):
    with pytest.raises(ValueError, match="scale must be a finite number"):
        rnn_gradient_graph.main(scale)


# Where results go


def test_the_folder_of_a_file_is_made_and_left_empty(folder):
    check_writable(folder / "deep" / "er" / "w.npz")
    assert list((folder / "deep" / "er").iterdir()) == []


def test_an_older_file_stays_as_it_was(folder):
    (folder / "w.npz").write_text("mine")
    check_writable(folder / "w.npz")
    assert (folder / "w.npz").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_told(folder):
    (folder / "taken").write_text("mine")
    with pytest.raises(OSError, match=r"w\.npz cannot be written into .*taken: "):
        check_writable(folder / "taken" / "w.npz")


def test_a_folder_without_the_right_to_write_is_told(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(OSError, match=r"w\.npz cannot be written into .*closed: Permission denied"):
        check_writable(closed / "w.npz")


@pytest.mark.parametrize(
    ("main", "how"),
    [
        (ch04_train.main, {"corpus": "grammar", "vectors": "results"}),
        (ch05_train.main, {"corpus": "grammar", "weights": "results"}),
        (train_rnnlm.main, {"corpus": "grammar", "weights": "results"}),
        (train_better_rnnlm.main, {"corpus": "grammar", "weights": "results", "wordvec_size": 6}),
        (train_seq2seq.main, {"data": "sums.txt", "weights": "results"}),
        (ch08_train.main, {"data": "days.txt", "weights": "results"}),
    ],
)
def test_training_does_not_begin_where_its_results_cannot_be_written(
    main, how, folder, monkeypatch
):
    for trainer in Trainer, RnnlmTrainer:
        monkeypatch.setattr(trainer, "fit", lambda *_, **__: pytest.fail("training began"))
    for name, lines in ("sums.txt", addition.lines), ("days.txt", dates.lines):
        Path(name).write_text("\n".join(lines(30)), encoding="utf-8")
    Path("results").mkdir()
    with pytest.raises(IsADirectoryError, match="results is a folder; the name of a file"):
        main(**how | {"hidden_size": 6})
    assert list(Path("results").iterdir()) == []


def test_two_comparisons_at_once_keep_the_runs_of_each_other(folder, monkeypatch):
    Path("sums.txt").write_text("\n".join(addition.lines(20)), encoding="utf-8")
    file, others = Path("c.json"), {"settings": {"label": "other"}, "accuracies": [0.5]}

    def train(*args, **how):  # and meanwhile, in another process
        write_json(file, {"runs": [others]})
        return [{"accuracy": 1.0, "train_seconds": 2.0}]

    monkeypatch.setattr(comparison, "train_and_answer", train)
    sizes = {"wordvec_size": 4, "hidden_size": 4, "batch_size": 4, "max_epoch": 1, "max_grad": 5.0}
    how = comparison.Comparison(data="sums.txt", file=str(file), plot=False, **sizes)
    comparison.compare({"plain": comparison.Recipe(train_seq2seq.MODELS["seq2seq"])}, how)
    assert [run["accuracies"] for run in json.loads(file.read_text())["runs"]] == [[0.5], [1.0]]


def test_a_comparison_is_told_at_its_start_what_it_cannot_write(folder):
    how = comparison.Comparison(
        data="sums.txt",
        file="c.json",
        **{"wordvec_size": 4, "hidden_size": 4, "batch_size": 4, "max_epoch": 1},
        max_grad=5.0,
    )
    Path("c.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"c\.png is a folder"):
        comparison.compare({}, how)
    for name in "c.png", "c.JSON", "c":
        with pytest.raises(ValueError, match=rf"must end in \.json, not {name}"):
            comparison.compare({}, replace(how, file=name))


@pytest.mark.parametrize("runs", ["[{}]", '[{"settings": {}, "accuracies": []}]', "[]]", "3"])
def test_a_file_of_something_else_is_no_comparison(runs, folder):
    Path("c.json").write_text(f'{{"runs": {runs}}}')
    with pytest.raises(ValueError, match=r"compare: c\.json holds no comparison"):
        comparison.curves_in(Path("c.json"))


def test_a_closed_pipe_ends_the_program_without_a_word():
    argv = [sys.executable, "-m", "ch02.similarity"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as script:
        script.stdout.close()
        assert script.stderr.read() == b""
    assert script.returncode == 141
