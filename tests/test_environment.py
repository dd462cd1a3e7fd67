"""Scripts and training where the surroundings are unusual: no CuPy, no streams, no home, pipes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest

from ch02 import show_ptb
from ch04.skip_gram import SkipGram
from ch06 import eval as ch06_eval
from ch06 import train_rnnlm, trained
from common.evaluate import eval_perplexity
from common.optimizer import SGD
from common.trainer import Trainer
from common.words.text import create_contexts_target
from common.words.vector_files import load_vectors
from dataset import fetch
from tests.scripts import ROOT

posix = pytest.mark.skipif(os.name == "nt", reason="pipes and closed streams are POSIX's here")


def start(*argv, cwd, **env):
    """Run Python in a shell, so that streams can be closed."""
    env = (
        {k: v for k, v in os.environ.items() if k != "DLFS2_GPU"} | {"PYTHONPATH": str(ROOT)} | env
    )
    return subprocess.run(["sh", "-c", *argv], cwd=cwd, env=env, capture_output=True, text=True)


ALL_SCRIPTS = """
import contextlib, importlib, io, sys
sys.modules["cupy"] = None
from common import cli
from tests.test_help import SCRIPTS
for name in SCRIPTS:
    if name == "ch01.forward_net":  # which needs nothing of ours
        continue
    sys.argv = [name]
    for argv in [name], [name, "--help"]:
        sys.argv, end = argv, None
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                cli.run(importlib.import_module(name).main)
            except SystemExit as stop:
                end = stop.code
        print(name, end)
"""


@pytest.mark.parametrize(
    ("value", "problem"),
    [("yes", "error: DLFS2_GPU is 0 (NumPy) or 1 (CuPy), not 'yes'"), ("1", "error: cupy cannot")],
)
def test_without_the_array_library_every_script_says_so_in_one_line_and_helps(
    value, problem, tmp_path
):
    """The import of a script, which comes before everything else, is not where it is told."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "DLFS2_GPU": value}
    argv = [sys.executable, "-c", ALL_SCRIPTS]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) > 2 * 35
    for told, help_ in zip(lines[::2], lines[1::2], strict=True):
        assert problem in told
        assert help_.endswith(" 0")
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_scripts_go_on_where_streams_are_closed(closed, tmp_path):
    done = start(f"{sys.executable} -m ch01.train --max-epoch 1 {closed}", cwd=tmp_path)
    assert done.returncode == 0
    files = f"written to {tmp_path}: loss.png\nnext: python -m ch02.similarity\n"
    assert done.stderr == (files if closed == ">&-" else "")
    assert ("accuracy" in done.stdout) == (closed == "2>&-")
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_training_reports_and_evaluates_where_there_is_no_stream(name, monkeypatch):
    text = numpy.random.default_rng(0).integers(9, size=40)
    trainer = Trainer(SkipGram(9, 3, 1, text, rng=0), SGD(0.1))
    monkeypatch.setattr(sys, name, None)
    trainer.fit(*create_contexts_target(text), 1, 10, eval_interval=1)
    assert len(trainer.reports) == 3
    model = train_rnnlm.MODELS["rnnlm"](9, 3, 3, rng=0)
    assert eval_perplexity(model, text, 2, 5) > 1


@pytest.mark.parametrize("backend", ["nonsense", "module://nonsense"])
def test_an_unknown_backend_of_matplotlib_is_told_before_training(backend, tmp_path):
    command = f"{sys.executable} -m ch05.train"
    done = start(command, cwd=tmp_path, MPLBACKEND=backend)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "nonsense" in done.stderr
    done = start(
        f"{command} --no-plot --max-epoch 1 --corpus grammar", cwd=tmp_path, MPLBACKEND="x"
    )
    assert done.returncode == 0


def test_without_a_home_files_are_found_and_downloads_go_where_temporary_files_do(
    tmp_path, monkeypatch
):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(fetch, "gettempdir", lambda: str(tmp_path))
    assert tmp_path in fetch.user_cache().parents
    monkeypatch.setenv("DLFS2_DATA", str(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"")
    sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert fetch.read(fetch.DataFile("a.txt", 0, sha256, ())) == b""


# --- Pipes ---------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path):
    """pipe(content): the name of a pipe that gives the content to whoever opens it first."""
    threads = []

    def made(content):
        path = tmp_path / f"pipe {len(threads)}"
        os.mkfifo(path)
        threads.append(threading.Thread(target=path.write_bytes, args=(content,)))
        threads[-1].start()
        return path

    yield made
    for thread in threads:
        thread.join()


LINES = "".join(f"the cat sat on mat {k % 5}\n" for k in range(70)).encode()


@posix
def test_a_corpus_may_be_a_pipe_which_is_read_once(pipe, folder, capsys):
    show_ptb.main(str(pipe(LINES)))
    assert "corpus size: 392" in capsys.readouterr().out  # 56 lines of 6 words and <eos>
    sizes = {"wordvec_size": 3, "hidden_size": 3, "batch_size": 2}
    train_rnnlm.main(corpus=str(pipe(LINES)), max_epoch=1, plot=False, **sizes)
    perplexity = ch06_eval.main(corpus=str(pipe(LINES)), cache=True)
    Path("text").write_bytes(LINES)
    assert ch06_eval.main(corpus="text", cache=True) == perplexity


@posix
def test_archives_and_pickles_which_are_read_twice_are_refused_as_pipes(pipe, tmp_path):
    pickled = b"]q\0(K\1e."
    with pytest.raises(OSError, match=f"not a regular file: '{tmp_path}/pipe 0'"):
        load_vectors(pipe(pickled))
    with pytest.raises(OSError, match=f"not a regular file: '{tmp_path}/pipe 1'"):
        load_vectors(pipe(b"PK\3\4"))
    os.mkfifo(tmp_path / "weights")
    with pytest.raises(OSError, match=f"not a regular file: '{tmp_path}/weights'"):
        trained.load("rnnlm", tmp_path / "weights")
