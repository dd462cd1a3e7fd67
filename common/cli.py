"""Command lines for scripts: every keyword of `main` becomes a flag."""

import argparse
import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args


def arguments(main: Callable[..., Any], argv: list[str] | None = None) -> dict[str, Any]:
    """Read the command line by the signature of `main` -> its keyword arguments.

    main(max_epoch=4, plot=True) understands --max-epoch 3 and --no-plot. A flag's type is that of
    its annotation, or else of its default; its help is the line `name  text` of main's docstring.
    argv  what to read instead of the command line
    An unknown flag, or a value of the wrong type, ends the program with a message and status 2.
    """
    doc = inspect.getdoc(main) or ""
    parser = argparse.ArgumentParser(
        description=doc.split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    helps = _helps(doc)
    for name, parameter in inspect.signature(main).parameters.items():
        kind, default = _type(parameter), parameter.default
        how: dict[str, Any] = {"type": kind}
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, default=default, help=helps.get(name, " "), **how)
    return vars(parser.parse_args(argv))


def run(main: Callable[..., Any]) -> None:
    """Call `main` with what the command line says; Ctrl-C or SIGTERM end it without a traceback.

    The exit status is then the usual one, 128 and the signal's number.
    """
    try:
        main(**arguments(main))
    except KeyboardInterrupt as stop:
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


@contextmanager
def early_stop(trainer: Any, save: Callable[[], Any], checkpoint: Path) -> Iterator[None]:
    """Around `fit` in a script: where it is stopped, save what was learned and say how to go on."""
    try:
        yield
    except (KeyboardInterrupt, FloatingPointError) as stop:
        if trainer.steps:
            save()
        hint = ""
        if checkpoint.exists():
            diverged = isinstance(stop, FloatingPointError)
            what = "delete it to begin anew:" if diverged else "--resume goes on with"
            hint = f"; {what} {checkpoint}"
        print(f"stopped early{hint}")
        raise


def _type(parameter: inspect.Parameter) -> Any:
    """int of `int | None`, of `int`, and of a default 3."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return type(parameter.default)
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if kinds else annotation


def _helps(doc: str) -> dict[str, str]:
    """The lines `name  text` of a docstring, with the deeper lines that go on with the text."""
    helps: dict[str, str] = {}
    name = ""
    for line in doc.splitlines():
        head, _, text = line.partition("  ")
        if head.isidentifier() and text.strip():
            name = head
            helps[name] = text.strip()
        elif name and line.startswith(" "):
            helps[name] += " " + line.strip()
        else:
            name = ""
    return {name: text.replace("%", "%%") for name, text in helps.items()}
