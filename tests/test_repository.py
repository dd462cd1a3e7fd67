"""What stands around the code: the workflow for GitHub, versions, the guide for contributors."""

import importlib
import re
import tomllib

import pytest
import yaml

from common import __version__
from tests.scripts import ROOT

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_workflow_runs_everything_on_linux_and_the_quick_tests_elsewhere():
    text = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    everything, quick = (yaml.safe_load(text)["jobs"][name] for name in ("everything", "quick"))
    assert everything["runs-on"] == "ubuntu-latest"
    assert everything["steps"][-1] == {"run": ".ci/run"}
    assert quick["strategy"]["matrix"]["os"] == ["windows-latest", "macos-latest"]
    assert quick["steps"][-1]["run"].endswith('-m "not slow"')
    assert any(m.startswith("slow:") for m in PROJECT["tool"]["pytest"]["ini_options"]["markers"])
    for job in everything, quick:
        assert job["strategy"]["matrix"]["python"] == PYTHONS


def test_the_metadata_name_the_same_versions_of_python_and_one_address():
    project = PROJECT["project"]
    minor = [c.rpartition(" ")[2] for c in project["classifiers"] if ":: Python :: 3." in c]
    assert minor == PYTHONS
    assert project["requires-python"] == f">={PYTHONS[0]}"
    address = project["urls"]["Repository"]
    assert all(url.startswith(address) for url in project["urls"].values())
    for notebook in ROOT.glob("ch0[1-8]/*.nb.py"):
        assert f'REPOSITORY = "{address}"' in notebook.read_text(encoding="utf-8")


def test_every_package_says_that_it_is_typed():
    for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "py.typed").is_file(), package


def test_the_newest_changes_and_the_citation_are_of_this_version():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+),", changes, re.M)[1] == __version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_files_that_the_guide_names_are_there():
    named = set(re.findall(r"`((?:\w+/)+[\w.]*|[A-Z]+\.md|\.ci/run)`", GUIDE))
    assert len(named) > 15
    for name in named - {"chNN/README.md", "chNN/name.py", "chNN/figures.py"}:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(
    ("table", "file"), re.findall(r"`([A-Z]+)`\s+of\s+`(tests/\w+\.py)`", GUIDE)
)
def test_the_tables_that_the_guide_names_are_there(table, file):
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    assert getattr(module, table)


def test_the_guide_names_the_tables_of_the_tests():
    assert len(re.findall(r"`([A-Z]+)`\s+of\s+`tests/", GUIDE)) >= 6
