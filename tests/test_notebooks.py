"""The notebooks: each with its text, no outputs kept, runs offline."""

import re
import time

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from tests.scripts import ROOT

NOTEBOOKS = sorted(ROOT.glob("ch0[1-8]/*.ipynb"))
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

LIMIT = 900  # seconds of a cell, so that a slow or busy machine is no failure


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


def test_it_installs_on_colab_and_redefines_nothing_of_ours(path):
    first = next(c for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    assert '"google.colab" in sys.modules' in first.source
    code = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    defined = set(re.findall(r"^(?:class|def) (\w+)", code, re.M))
    ours = "\n".join(p.read_text(encoding="utf-8") for p in ROOT.glob("common/*.py"))
    assert not re.search(r"^class ", code, re.M)
    assert not defined & set(re.findall(r"^(?:class|def) (\w+)", ours, re.M))


@pytest.mark.slow
def test_it_runs_top_to_bottom_offline(path, offline):
    notebook = nbformat.read(path, 4)
    client = NotebookClient(
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
