"""The notebooks: each with its text, no outputs kept, runs offline."""

import importlib.util
import os
import re
import subprocess
import sys
import time

import pytest

from tests.scripts import ROOT

jupytext, nbformat, nbclient = (
    pytest.importorskip(name, reason="not installed: pip install '.[test]'")
    for name in ("jupytext", "nbformat", "nbclient")
)
NOTEBOOKS = sorted(ROOT.glob("ch0[1-8]/*.ipynb"))
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

LIMIT = int(os.environ.get("DLFS2_NOTEBOOK_SECONDS", "0")) or None  # of a cell; set by .ci/run


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty folder to work in, on a machine without network, data, caches and a display."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing answers
    for name in ("DLFS2_DATA", "DLFS2_GPU", "MPLBACKEND", "DISPLAY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_the_text_and_the_notebook_say_the_same(path):
    notebook = nbformat.read(path, 4)
    text = jupytext.read(path.with_suffix(".nb.py"), fmt="py:percent")
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in text.cells
    ], "jupytext --sync brings them together"


def test_no_outputs_are_kept_and_the_kernel_is_named(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.fixture
def pip(path, monkeypatch):
    """pip(found): what the first cell runs where `common` is found, or is not."""

    def run(found):
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found or None)
        ran = []
        monkeypatch.setattr(subprocess, "run", lambda argv, check: ran.append(argv))
        cell = next(c for c in nbformat.read(path, 4).cells if c.cell_type == "code")
        exec(cell.source, names := {})
        assert sys.path[-1] == ".."  # where `common` is in a clone
        return ran, names["REPOSITORY"]

    return run


def test_it_installs_nothing_where_the_library_is(path, pip):
    assert pip(found=True)[0] == []


def test_elsewhere_it_installs_the_repository_of_one_address(path, pip):
    ran, address = pip(found=False)
    assert ran == [[sys.executable, "-m", "pip", "install", "-q", f"git+{address}"]]
    assert address == "https://github.com/<owner>/dlfs2"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "`REPOSITORY`" in readme


def test_it_finds_the_library_in_a_clone_that_is_not_installed(path, tmp_path):
    cell = next(c for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    (tmp_path / "cell.py").write_text(cell.source + "\nimport common\nprint(common.__file__)")
    (tmp_path / "clone" / "common").mkdir(parents=True)
    (tmp_path / "clone" / "common" / "__init__.py").write_text("")
    (tmp_path / "clone" / path.stem).mkdir()
    argv = [sys.executable, "-I", "-S", str(tmp_path / "cell.py")]  # without installed packages
    done = subprocess.run(
        argv, cwd=tmp_path / "clone" / path.stem, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(f"common{os.sep}__init__.py\n")


def test_it_redefines_nothing_of_ours(path):
    code = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    defined = set(re.findall(r"^(?:class|def) (\w+)", code, re.M))
    ours = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("common/*.py"))
    assert not re.search(r"^class ", code, re.M)
    assert not defined & set(re.findall(r"^(?:class|def) (\w+)", ours, re.M))


@pytest.mark.slow
def test_it_runs_top_to_bottom_offline(path, offline):
    notebook = nbformat.read(path, 4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=LIMIT,
        kernel_name="python3",
        resources={"metadata": {"path": str(offline)}},
    )
    begun = time.monotonic()
    client.execute()
    print(f"{path.name} took {time.monotonic() - begun:.0f} s; about a minute is meant")
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 2
    assert list(offline.iterdir()) == []  # it shows, and leaves no files
