"""Command lines for scripts: every keyword of `main` becomes a flag."""

import argparse
import inspect
import linecache
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, get_args

OURS = r"common|dataset|ch\d\d|__main__"  # packages whose own errors are messages to the user


def parser(main: Callable[..., Any]) -> argparse.ArgumentParser:
    """The parser for the signature of `main`, see `arguments`.

    Its help shows the docstring of the script, or the first paragraph of main's where there is
    none; and for each flag the line `name  text` of main's docstring, with the default.
    """
    script = sys.modules[main.__module__]
    doc = inspect.getdoc(main) or ""
    made = argparse.ArgumentParser(
        prog=f"python -m {script.__spec__.name}" if script.__spec__ else None,
        description=inspect.getdoc(script) or doc.split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    helps = _helps(doc)
    for name, parameter in inspect.signature(main, eval_str=True).parameters.items():
        kind, default = _type(parameter), parameter.default
        if default is parameter.empty:
            made.add_argument(_flag(name), required=True, type=kind, help=helps.get(name))
            continue
        how: dict[str, Any] = {"type": kind}
        shown = "" if default is None else " (default: %(default)s)"
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
            shown = f" (default: {_flag(name if default else f'no_{name}')})"
        added = made.add_argument(_flag(name), default=default, **how)
        added.help = helps.get(name, "") + shown  # not before: some Pythons would add to it
    return made


def arguments(main: Callable[..., Any], argv: list[str] | None = None) -> dict[str, Any]:
    """Read the command line by the signature of `main` -> its keyword arguments.

    main(max_epoch=4, plot=True) understands --max-epoch 3 and --no-plot. A flag's type is that of
    its annotation, or else of its default; its help is the line `name  text` of main's docstring.
    argv  what to read instead of the command line
    An unknown flag, a value of the wrong type, or a negative int where the default is none ends the
    program with a message and status 2.
    """
    reader = parser(main)
    values = vars(reader.parse_args(argv))
    for name, value in values.items():
        if isinstance(value, int) and value < 0 <= (reader.get_default(name) or 0):
            reader.error(f"argument {_flag(name)}: it must not be negative, not {value}")
    return values


def run(main: Callable[..., Any]) -> None:
    """Call `main` with what the command line says; what stops it is told without a traceback.

    Ctrl-C or SIGTERM: the exit status is the usual one, 128 and the signal's number.
    Bad settings, missing files, too little memory: a message and status 1. These are OSError,
    MemoryError, and all that a `raise` of this library or of the script makes. Anything else is a
    bug and shows where it is, as everything does under `python -X dev`.
    A character that the terminal or a pipe cannot show is printed as ?; a pipe that is closed, as
    `| head` does, ends the program without a word.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        main(**arguments(main))
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(141)  # 128 + SIGPIPE, a signal that Windows has not
    except Exception as error:
        if sys.flags.dev_mode or not _is_message(error):
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        sys.exit(f"error: {text or type(error).__name__}")  # KeyError would quote its text


def check_writable(file: Path) -> None:
    """Make the folder of a file that is to be written later; OSError if that cannot succeed.

    A script asks before it trains, not after hours of it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise OSError(
            f"{file.name} cannot be written into {file.parent.absolute()}: {error.strerror}"
        ) from error
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; the name of a file is needed")


def at_least_one(**sizes: int | None) -> None:
    """ValueError, which names the setting, for a size below 1; None is no size."""
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")


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


def _is_message(error: Exception) -> bool:
    """Whether an error is meant for the user: it comes from outside, or from a `raise` of ours."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    package = frame.f_globals["__name__"].partition(".")[0]
    source = linecache.getline(frame.f_code.co_filename, line)
    raised = re.fullmatch(OURS, package) and re.search(r"\braise\b", source)
    return isinstance(error, OSError | MemoryError) or bool(raised)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _type(parameter: inspect.Parameter) -> Any:
    """int of `int | None`, of `int`, and of a default 3."""
    annotation, default = parameter.annotation, parameter.default
    if annotation is parameter.empty:
        return str if default in (None, parameter.empty) else type(default)
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
