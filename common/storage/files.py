"""Writing files so that nothing is ever half written; arrays with a header in one file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy

from common.np import Array

HEADER = "header.json"


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a file that then takes the place of `path` in one move.

    Whatever goes wrong before that leaves an older file at `path` as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_npz(path: Path, header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write NumPy arrays of any shape by name, and a header for JSON, as one `.npz`, whole.

    Raises TypeError for another header, OSError if the file cannot be written.
    """
    text = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)
    content: dict[str, Any] = arrays | {HEADER: text}
    write_whole(path, lambda file: numpy.savez(file, **content))


def read_npz(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays that `write_npz` wrote, of any shape; nothing there is executed.

    Raises ValueError, which names the `kind` of file that was wanted, if it is damaged (a zip file
    has a checksum for every array) or has no header, OSError if it cannot be read.
    """
    with path.open("rb") as raw:
        try:
            with numpy.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop(HEADER).tobytes())
        except Exception as error:  # a damaged zip file can raise almost anything
            raise ValueError(f"not a readable {kind} ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"not a readable {kind} (its header is a {type(header).__name__})")
    return header, arrays
