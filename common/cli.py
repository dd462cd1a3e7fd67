"""Command lines for scripts: every keyword of `main` becomes a flag."""

import argparse
import difflib
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, fields, make_dataclass
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

__all__ = [
    "MESSAGES",
    "SHOW",
    "arguments",
    "at_least_one",
    "check_writable",
    "flags",
    "parser",
    "run",
    "settings_of",
    "then",
]

# What a user can mend: files, memory, settings, words, numbers that overflow, missing packages.
# Other errors are bugs.
MESSAGES = (OSError, MemoryError, ValueError, KeyError, FloatingPointError, ImportError)


class Flag(NamedTuple):
    """A flag of a script: the type of its value, its default (`REQUIRED` if none), its help.

    choices  the values that it can have; any if there are none
    """

    kind: Any
    default: Any
    help: str
    choices: tuple[str, ...] = ()


REQUIRED = inspect.Parameter.empty
LARGEST_SEED = 2**32 - 1  # of NumPy's and scikit-learn's generators
LARGEST = 2**31 - 1  # of other whole numbers, which are sizes and counts
SHOW = "show the figures on the screen as well, all together at the end"
_next: dict[str, dict[str, Any]] = {}  # what to run next, with some of its flags


def flags(main: Callable[..., Any]) -> dict[str, Flag]:
    """The flags of a script by name, without their hyphens.

    They are the keywords of `main`, explained by the lines `name  text` of its docstring. If it
    takes **settings as well, so are the fields of the dataclass instance SETTINGS of its script,
    explained by the docstring of their class. The names in `Annotated[str, names]` are choices.
    """
    # Signatures are searched here and nowhere else, so that the name, type and default of a flag
    # stand once, where a reader looks for them.
    parameters = inspect.signature(main, eval_str=True).parameters.values()
    own = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    found = [(p.name, p.annotation, p.default) for p in own]
    helps = _helps(inspect.getdoc(main) or "")
    if len(own) < len(parameters):
        settings = sys.modules[main.__module__].SETTINGS
        defaults = asdict(settings)
        found += [(field.name, field.type, defaults[field.name]) for field in fields(settings)]
        for part in type(settings).__mro__:
            helps = _helps(inspect.cleandoc(part.__doc__ or "")) | helps
    return {
        name: Flag(_type(kind, x), x, helps.get(name, ""), _choices(kind))
        for name, kind, x in found
    }


def settings_of(main: Callable[..., Any]) -> Any:
    """The keywords of another script's `main` as SETTINGS: an instance of a dataclass, see `flags`.

    Each must have a default.
    """
    found = [
        (name, Annotated[kind, choices], default)
        for name, (kind, default, _, choices) in flags(main).items()
    ]
    made = make_dataclass("Settings", found, frozen=True, kw_only=True)
    made.__doc__ = inspect.getdoc(main)
    return made()


def parser(main: Callable[..., Any]) -> argparse.ArgumentParser:
    """The parser for the flags of `main`, see `arguments`.

    Its help shows the docstring of the script, or the first paragraph of main's where there is
    none; and for each flag its help and its default.
    """
    script = sys.modules[main.__module__]
    doc = inspect.getdoc(main) or ""
    made = argparse.ArgumentParser(
        prog=f"python -m {script.__spec__.name}" if script.__spec__ else None,
        description=inspect.getdoc(script) or doc.split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for number in int, float:
        made.register("type", number, partial(_number, number))
    for name, (kind, default, text, choices) in flags(main).items():
        how: dict[str, Any] = {"type": kind}
        if choices:
            how = {"type": partial(_one_of, choices), "metavar": f"{{{','.join(choices)}}}"}
        if default is REQUIRED:
            made.add_argument(_flag(name), required=True, help=text, **how)
            continue
        shown = "" if default is None else " (default: %(default)s)"
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
            if default is not None:
                shown = f" (default: {_flag(name if default else f'no_{name}')})"
        added = made.add_argument(_flag(name), default=default, **how)
        added.help = text + shown  # not before: some Pythons would add to it
    return made


def _number(kind: Callable[[str], Any], text: str) -> Any:
    if "_" in text:  # Python reads 1_0 as 10
        raise ValueError
    return kind(text)


def _one_of(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise argparse.ArgumentTypeError(
            f"it is one of {', '.join(choices)}, not {text!r}{_did_you_mean(text, choices)}"
        )
    return text


def _did_you_mean(text: str, known: Iterable[str]) -> str:
    return "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(text, known, 1))


def arguments(main: Callable[..., Any], argv: list[str] | None = None) -> dict[str, Any]:
    """Read the command line by the `flags` of `main` -> its keyword arguments.

    main(max_epoch=4, plot=True) understands --max-epoch 3, --max_epoch 3 and --no-plot. A flag's
    type is that of its annotation, or else of its default.
    argv  what to read instead of the command line
    An unknown flag, a value of the wrong type or none of the choices, a whole number that is too
    large for a seed or a size, or one below 0 where the default is not, ends the program with a
    message and status 2.
    """
    return _read(parser(main), argv)


def _read(reader: argparse.ArgumentParser, argv: list[str] | None) -> dict[str, Any]:
    words = sys.argv[1:] if argv is None else argv
    found, unknown = reader.parse_known_args([_hyphenated(word) for word in words])
    values = vars(found)
    if unknown:
        known = ["--help", *map(_flag, values)]
        known += [_flag(f"no_{name}") for name, value in values.items() if isinstance(value, bool)]
        hint = _did_you_mean(unknown[0].partition("=")[0], known)
        reader.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    for name, value in values.items():
        if isinstance(value, int) and value < 0 <= (reader.get_default(name) or 0):
            reader.error(f"argument {_flag(name)}: it must not be negative, not {value}")
        largest = LARGEST_SEED if name == "seed" else LARGEST
        if isinstance(value, int) and abs(value) > largest:
            reader.error(f"argument {_flag(name)}: it must be at most {largest}, not {value}")
    return values


def run(main: Callable[..., Any]) -> None:
    """Call `main` with what the command line says; then tell its files, and what to run next.

    Figures are saved, and with --show they appear on the screen as well, when all are drawn.
    Ctrl-C or SIGTERM: the exit status is the usual one, 128 and the signal's number.
    Bad settings, missing files, too little memory (the classes in `MESSAGES`): one line and status
    1. Any other error is a bug and shows its traceback. `python -X dev` shows every traceback.
    A character that the terminal or a pipe cannot show is printed as ?; a pipe that is closed, as
    `| head` does, ends the program without a word.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        from common import plots  # here, because it needs an array library
        from common.storage.files import written

        written.clear()
        _next.clear()
        reader = parser(main)
        if added := "show" not in flags(main):
            reader.add_argument("--show", action="store_true", help=SHOW)
        values = _read(reader, None)
        shown = added and values.pop("show")
        _check_environment(draws=bool(values.get("plot")))
        with plots.saved(shown=shown):
            try:
                main(**values)
                print(end="", flush=True)
            finally:
                _tell_files(written)
            _tell_next()
    except KeyboardInterrupt as stop:
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(141)  # 128 + SIGPIPE, a signal that Windows has not
    except MESSAGES as error:
        if sys.flags.dev_mode:
            raise
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        sys.exit(f"error: {text or type(error).__name__}")  # KeyError would quote its text


def then(script: str, **values: Any) -> None:
    """Let `run` tell at its end what to run next; the last call counts.

    values  some of the flags of that script; those at their default are not told
    """
    _next.clear()
    _next[script] = values


def _tell_files(written: dict[Path, bool]) -> None:
    folders: dict[Path, list[str]] = {}
    for file, replaced in written.items():
        name = f"{file.name} (replaced)" if replaced else file.name
        folders.setdefault(file.parent.absolute(), []).append(name)
    for folder, names in folders.items():
        print(f"written to {folder}: {', '.join(names)}", file=sys.stderr)


def _tell_next() -> None:
    for script, values in _next.items():
        with suppress(ImportError):  # of a chapter that is not installed
            there = flags(import_module(script).main)
            command = ["python", "-m", script]
            for name, value in values.items():
                if value != there[name].default:
                    on_off = isinstance(value, bool)
                    command.append(_flag(f"no_{name}" if on_off and not value else name))
                    command += [] if on_off else [str(value)]
            print("next:", shlex.join(command), file=sys.stderr)


def _check_environment(*, draws: bool) -> None:
    """Raise ImportError or ValueError for an array library or a plotting backend that is none."""
    from common.np import np  # here, because `--help` needs neither of them

    np.zeros(0)
    if draws:
        import matplotlib.pyplot as plt

        plt.switch_backend(plt.get_backend())


def check_writable(file: Path) -> None:
    """Make the folder of a file that is to be written later; OSError if that cannot succeed.

    A script asks before it trains, not after hours of it.
    """
    from common.storage.files import try_to_write  # here, because it needs an array library

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try_to_write(file)
    except IsADirectoryError:
        raise IsADirectoryError(f"{file} is a folder; the name of a file is needed") from None
    except OSError as error:
        raise OSError(
            f"{file.name} cannot be written into {file.parent.absolute()}: {error.strerror}"
        ) from error


def at_least_one(**sizes: int | None) -> None:
    """ValueError, which names the setting, for a size below 1; None is no size."""
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _hyphenated(word: str) -> str:
    """--max_epoch=3 as --max-epoch=3; anything but a flag as it is."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _choices(annotation: Any) -> tuple[str, ...]:
    """The names of `Annotated[str, names]`."""
    return tuple(annotation.__metadata__[0]) if get_origin(annotation) is Annotated else ()


def _type(annotation: Any, default: Any) -> Any:
    """int of `int | None`, of `int`, and of a default 3."""
    if annotation is REQUIRED:
        return str if default in (None, REQUIRED) else type(default)
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return _type(kinds[0], default) if kinds else annotation


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
