"""A `~` in a path is the home folder, wherever a user names a file."""

import ast
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy
import pytest

from ch04.document_vectors import read_documents
from ch05.simple_rnnlm import SimpleRnnlm
from ch06 import trained
from common import plots
from common.base_model import load_model
from common.optimizer import SGD
from common.storage.files import expanded
from common.storage.safe_pickle import read_pickle
from common.trainer import Trainer
from common.words.evaluation_files import read_questions, read_similarities
from common.words.vector_files import (
    load_vectors,
    read_word2vec,
    save_vectors,
    write_projector,
    write_word2vec,
)
from dataset import dates, sequence, text_file, texts
from tests.scripts import ROOT, run, written
from tests.test_imports import FILES
from tests.test_trainer import Recorder

VECTORS = numpy.eye(3, dtype="float32"), dict(enumerate("abc"))


@pytest.fixture
def home(folder, monkeypatch):
    """The home folder, apart from the working folder, which must stay empty."""
    place = folder / "home"
    place.mkdir()
    (folder / "work").mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("USERPROFILE", str(place))  # of Windows
    monkeypatch.chdir(folder / "work")
    yield place
    assert list((folder / "work").iterdir()) == []


def test_the_home_folder_stands_for_a_tilde(home):
    assert expanded("~/m/x.npz") == expanded(Path("~/m/x.npz")) == home / "m" / "x.npz"
    assert expanded("~") == home
    assert expanded("a/~/x") == Path("a/~/x")


def test_a_users_home_stands_for_a_tilde_with_a_name(home):
    pwd = pytest.importorskip("pwd", reason="not on Windows")
    user = pwd.getpwuid(os.getuid())
    assert expanded(f"~{user.pw_name}/x") == Path(user.pw_dir) / "x"


def test_a_home_that_nobody_has_is_told_and_a_file_may_begin_with_a_tilde(home):
    with pytest.raises(FileNotFoundError, match="~nobody-here/x: no home folder is known for ~nob"):
        expanded("~nobody-here/x")
    assert expanded("~old.npz") == Path("~old.npz")


def test_a_folder_that_begins_with_a_tilde_is_one_if_it_is_there(folder):
    (folder / "~nobody-here").mkdir()
    assert expanded("~nobody-here/x") == Path("~nobody-here/x")


def test_every_function_that_writes_or_reads_a_file_expands_its_path(home):
    model = SimpleRnnlm(3, 4, 4, rng=0)
    model.save_params("~/m.npz", vocab={"a": 0, "b": 1, "c": 2})
    model.load_params("~/m.npz")
    assert load_model("~/m.npz").vocab == {"a": 0, "b": 1, "c": 2}
    assert trained.find("rnnlm", "~/m.npz") == home / "m.npz"
    save_vectors("~/v.npz", *VECTORS)
    write_word2vec("~/v.txt", *VECTORS)
    write_projector("~/projector", *VECTORS)
    for read in (lambda: load_vectors("~/v.npz"), lambda: read_word2vec("~/v.txt")):
        assert read()[1] == {"a": 0, "b": 1, "c": 2}
    (home / "pickle.pkl").write_bytes(b"\x80\x02]q\x00.")
    assert read_pickle("~/pickle.pkl") == []

    trainer, data = Trainer(Recorder(), SGD(1.0)), numpy.zeros(4)
    how = {"checkpoint": "~/run.checkpoint", "verbose": False}
    trainer.fit(data, data, 1, 2, rng=0, **how)
    Trainer(Recorder(), SGD(1.0)).fit(data, data, 1, 2, rng=0, resume=True, **how)
    trainer.plot(file="~/plot.png")
    with plots.into("~/figures"):
        plt.plot([1])
        plots.show("a.png")

    (home / "text.txt").write_text("a b\n" * 20)
    assert texts.load_parts("~/text.txt").word_to_id == text_file.load_parts("~/text.txt")[3]
    (home / "days.txt").write_text("\n".join(dates.lines(24)), encoding="utf-8")
    assert len(sequence.load("~/days.txt").x_test) == 2
    (home / "questions").write_text(": gram\na b c d\n")
    (home / "pairs").write_text("a\tb\t3\n")
    (home / "mails").write_text("good\tthank you\n")
    assert len(read_questions("~/questions")) == len(read_similarities("~/pairs")) == 1
    assert read_documents("~/mails") == (["thank you"], ["good"])
    assert {path.name for path in home.rglob("*") if path.suffix != ".txt"} == {
        *("m.npz", "v.npz", "projector", "vectors.tsv", "metadata.tsv", "pickle.pkl"),
        *("run.checkpoint", "plot.png", "figures", "a.png", "questions", "pairs", "mails"),
    }


def test_the_flags_of_scripts_are_expanded(home):
    (home / "text.txt").write_text("you say goodbye and i say hello .\n" * 20)
    sizes = ["--hidden-size=4", "--wordvec-size=4", "--max-epoch=1", "--corpus=~/text.txt"]
    done = run("-m", "ch05.train", *sizes, "--weights=~/m/x.npz", cwd=Path(), installed=ROOT)
    expected = {f"x.{ending}" for ending in ("npz", "checkpoint", "json", "png")}
    assert {path.name for path in (home / "m").iterdir()} == expected
    assert {path.parent for path in written(done)} == {home / "m"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_path_that_somebody_names_is_used_as_it_is(path):
    """`Path(name)` is for names of our own: `expanded` is for those of others."""
    ours = {
        "common/storage/files.py": {"found.parts[0]", "os.path.realpath(regular(path))"},
        "dataset/fetch.py": {"local", "gettempdir()"},  # of the system
        "dataset/sequence.py": {"folder"},  # a temporary one
        "dataset/wordnet.py": {"sys.prefix"},  # of Python
    }.get(path.relative_to(ROOT).as_posix(), set())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Path" and node.args:
            (arg,) = node.args
            name = ast.unparse(arg)
            constant = isinstance(arg, ast.Constant | ast.JoinedStr) or name == "__file__"
            home = name.startswith(("os.path.expanduser", "os.environ"))
            assert constant or home or name in ours, ast.unparse(node)
