"""`python -m chNN.script --help`: each flag is explained, with its unit, its choices and the book.

The help is made in this process, as `--help` would print it.
"""

import ast
import importlib
import inspect
import re

import pytest

from common.cli import SHOW, flags, parser
from tests.scripts import ROOT, run


def has_main(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


FILES = [path for path in sorted(ROOT.glob("ch0[1-8]/*.py")) if has_main(path)]
SCRIPTS = [f"{path.parent.name}.{path.stem}" for path in FILES]
each_script = pytest.mark.parametrize("name", SCRIPTS)

# What a number can be a number of: things that are counted, and quantities without a unit.
COUNTED = """answers characters digits documents epochs heads iterations layers negatives
    neighbours neurons numbers parts passes positions questions rounds rows runs samples sequences
    steps texts words"""
PURE = "factor norm power probability rate x"  # x: a place on an axis
UNITS = set(f"{COUNTED} {PURE}".split())

CHOICES = {  # of flags that take one of some names, in every script
    "corpus": ["ptb", "grammar", "file"],
    "data_type": ["train", "valid", "test"],
    "method": ["pca", "tsne"],
    "tokens": ["words", "lower", "characters"],
    "split": ["random", "answer"],
    "cell": ["lstm", "gru", "rnn"],
    "task": ["copy", "copies", "repeat", "recall", "sort"],
    "controller": ["lstm", "feedforward"],
}


def main_of(name):
    return importlib.import_module(name).main


def explanations(name):
    """keyword: what the help says about it, without the name and the default."""
    text = parser(main_of(name)).format_help()
    entries = re.split(r"\n  (?=-)", text.partition("\noptions:")[2])[2:]  # the first is --help
    found = {}
    for entry in entries:
        head, *rest = re.split(r"\s{2,}", entry.strip(), maxsplit=1)
        keyword = re.match(r"--([\w-]+)", head)[1].replace("-", "_")
        found[keyword] = re.sub(r"\(default: .*\)$", "", " ".join("".join(rest).split())).strip()
    return found


def words(text):
    return set(re.findall(r"\w+", text))


def test_the_scripts_are_found():
    assert len(SCRIPTS) > 35
    assert {"ch01.forward_net", "ch04.train", "ch08.visualize_attention"} <= set(SCRIPTS)


@each_script
def test_every_keyword_is_explained(name):
    explained = explanations(name)
    assert list(explained) == list(flags(main_of(name)))
    main = inspect.signature(main_of(name)).parameters
    assert [p for p in main if p != "settings"] == list(explained)[
        : len(main) - ("settings" in main)
    ]
    for keyword, text in explained.items():
        assert len(text.split()) > 1, keyword


@each_script
def test_the_default_is_told_unless_there_is_none(name):
    text = " ".join(parser(main_of(name)).format_help().split())
    given = [flag for flag in flags(main_of(name)).values() if flag.default is not None]
    assert text.count("(default: ") == len(given)


@each_script
def test_the_head_says_what_the_script_does_how_it_is_called_and_where_the_book_has_it(name):
    parsed = parser(main_of(name))
    doc = importlib.import_module(name).__doc__
    assert parsed.description.splitlines()[0] == doc.splitlines()[0]
    assert re.search(rf"^ *python -m {re.escape(name)}( |$)", parsed.description, re.MULTILINE)
    assert re.search(r"Source: book \d\.\d", parsed.description)
    assert parsed.description in parsed.format_help()


@each_script
def test_a_number_has_a_unit_or_is_a_number_of_something(name):
    explained = explanations(name)
    for keyword, flag in flags(main_of(name)).items():
        text = explained[keyword]
        if keyword == "seed":
            assert "decides" in words(text), keyword
        elif flag.kind in (int, float):
            assert UNITS & words(f"{keyword} {text}"), f"{keyword}: {text}"


@each_script
def test_names_to_choose_from_are_listed(name):
    module, explained = importlib.import_module(name), explanations(name)
    choices = CHOICES | {"model": getattr(module, "MODELS", ())}
    for keyword, names in choices.items():
        if keyword in explained:
            assert set(names) <= words(explained[keyword]), keyword


@each_script
def test_a_script_starts_in_one_way(name):
    source = FILES[SCRIPTS.index(name)].read_text(encoding="utf-8")
    if name == "ch01.forward_net":  # nothing but NumPy: it reads its command line itself
        assert "common" not in source
    else:
        assert source.endswith('\n\nif __name__ == "__main__":\n    run(main)\n')


@pytest.mark.parametrize("name", ["ch04.train", "ch01.forward_net"])
def test_it_is_what_the_script_prints(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    printed = run("-m", name, "--help", cwd=ROOT).stdout
    expected = parser(main_of(name))
    if name == "ch01.forward_net":
        expected.prog = "forward_net.py"
    else:
        expected.add_argument("--show", action="store_true", help=SHOW)
    assert printed == expected.format_help()


@each_script
def test_what_is_to_be_run_next_is_a_script_with_the_flags_that_are_told(name):
    tree = ast.parse(FILES[SCRIPTS.index(name)].read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "then"
    ]
    assert calls or name == "ch01.forward_net"  # which is NumPy and nothing else
    for call in calls:
        there = call.args[0].value
        assert there in set(SCRIPTS) - {name}
        told = {keyword.arg for keyword in call.keywords} - {None}
        assert told <= set(flags(main_of(there)))
