"""Every public name says what it is, and in which shapes arrays come and go."""

import ast
import functools
import importlib
import inspect
import re

import pytest

from common.time_layers import TimeLSTM
from tests.test_imports import FILES, ROOT

# (N, T, H), (D,), (..., D), (V, 2 * H), (N, sample_size)
SIZE = r"(?:\.\.\.|\d*[A-Z]{1,2}\d?|[nk]H?|\d+|\w+_size)(?: ?[-+*/] ?\w+)*"
SHAPE = re.compile(rf"\({SIZE},(?: {SIZE},?)*\)|\bscalar\b|\bany shape\b")
BY_CLASS = "__init__", "forward", "backward"  # which the docstring of the class may describe


def defined(path):
    """The public classes, functions, methods and properties of a file.

    For each its dotted name, itself, its syntax tree, and those of the classes around it, the
    innermost first.
    """
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    for node, *outer in walk(ast.parse(path.read_text(encoding="utf-8")).body):
        names = [n.name for n in (*reversed(outer), node)]
        yield ".".join(names), functools.reduce(getattr, names, module), node, outer


def walk(body, *outer):
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and public(node.name):
            yield node, *outer
        if isinstance(node, ast.ClassDef) and public(node.name):
            yield from walk(node.body, node, *outer)


def public(name):
    return name == "__init__" or not name.startswith("_")


def takes_arrays(node):
    """Whether an annotation of a function mentions Array (or NDArray, ArrayLike)."""
    args = node.args
    given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    notes = [a.annotation for a in given if a and a.annotation]
    notes += [node.returns] if node.returns else []
    return any("Array" in ast.unparse(note) for note in notes)


def test_a_shape_is_told_from_other_brackets():
    shapes = [
        "(N, T, H)",
        "(D,)",
        "(..., D)",
        "(N, 2 * window_size)",
        "(10, 3)",
        "(N, sample_size)",
    ]
    assert all(SHAPE.search(f"x {shape} rows") for shape in shapes)
    others = ["(3.6)", "(see `fit`)", "(Gal and Ghahramani 2016)", "(once, or twice)", "f(x)"]
    assert not any(SHAPE.search(other) for other in others)


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_public_name_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lacking = [] if ast.get_docstring(tree) else ["the module"]
    for name, found, node, outer in defined(path):
        if isinstance(node, ast.ClassDef):
            text = ast.get_docstring(node)  # of its own: that of a NamedTuple is made up
        else:
            text = inspect.getdoc(found) or described(node, outer)
        if not text:
            lacking.append(name)
    assert not lacking, f"{path.name}: no docstring at {lacking}"


def described(node, outer):
    """The docstring of a class, where it may stand for that of a method."""
    text = outer and node.name in BY_CLASS and ast.get_docstring(outer[0])
    return text if text and (node.name != "backward" or "backward" in text.lower()) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_who_takes_or_returns_arrays_says_in_which_shapes(path):
    lacking = []
    for name, found, node, outer in defined(path):
        if isinstance(node, ast.FunctionDef) and takes_arrays(node):
            text = "" if node.name == "__init__" else inspect.getdoc(found) or ""
            if not SHAPE.search(f"{text} {described(node, outer)}"):
                lacking.append(name)
    assert not lacking, f"{path.name}: no shape at {lacking}"


def test_help_for_a_layer_shows_shapes():
    text = inspect.getdoc(TimeLSTM)
    assert "xs (N, T, D) -> hs (N, T, H)" in text
    assert "dc (N, H)" in text
