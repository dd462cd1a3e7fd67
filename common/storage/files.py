"""Writing files so that nothing is ever half written; arrays with a header in one file.

An `.npz` is a zip file of `.npy` files, one for each array, not compressed, as `numpy.savez` writes
it. One more array, `header.json`, holds the bytes of a JSON text; its key `digest` is the SHA-256
of the rest of the header, and of the names, sizes and checksums (CRC-32) of all arrays.
"""

import errno
import hashlib
import io
import json
import math
import os
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy

from common.np import Array
from common.storage.file_kinds import begins_as_pickle, refusal

__all__ = [
    "expanded",
    "hidden",
    "is_npz",
    "part_of",
    "read_npz",
    "read_npz_header",
    "regular",
    "remove_leftovers",
    "try_to_write",
    "write_npz",
    "write_together",
    "write_whole",
    "written",
]

HEADER = "header.json"
DIGEST = "digest"

written: dict[Path, bool] = {}
"""The files that this process wrote, in this order, and whether each replaced an older one."""


def expanded(path: str | Path) -> Path:
    """A path as a user writes it, with the home folder that a `~` or `~user` before it means.

    A shell leaves it to the program in --weights=~/m/x.npz. A file may begin with ~, as ~old.npz.
    Raises FileNotFoundError for a folder that begins with ~ and is neither a home nor there.
    """
    found = Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises for such a file, too
    if found.parts[1:] and found.parts[0].startswith("~") and not Path(found.parts[0]).exists():
        raise FileNotFoundError(f"{path}: no home folder is known for {found.parts[0]}")
    return found


# --- Whole files ---------------------------------------------------------------------------------

HEADERS = {  # of the versions of the .npy format that hold arrays of numbers
    (1, 0): numpy.lib.format.read_array_header_1_0,
    (2, 0): numpy.lib.format.read_array_header_2_0,
}


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a file that then takes the place of `path` in one move.

    Whatever goes wrong before that leaves an older file at `path` as it was. A link stays, and what
    it points to is replaced. An older file's mode is kept. Several threads may save at once; what
    killed processes left of their saves to `path` is removed.
    Raises OSError, which names `path`, if the file cannot be written or `path` is no regular file.
    """
    write_together({path: write})


def write_together(files: Mapping[Path, Callable[[BinaryIO], Any]]) -> None:
    """`write_whole` for several files: all are written before the first takes its place."""
    parts: dict[Path, tuple[Path, Path]] = {}
    try:
        for path, write in files.items():
            with _naming(path):
                remove_leftovers(path)
                part, target = parts[path] = part_of(path)
                with part.open("xb") as file:
                    if target.exists():
                        part.chmod(stat.S_IMODE(target.stat().st_mode))
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
        for path, (part, target) in parts.items():
            with _naming(path):
                written.setdefault(path, target.exists())
                part.replace(target)
    finally:
        for part, _ in parts.values():
            part.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError of any class name `path`, whichever file it met."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise type(error)(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error  # Python picks the class


def regular(path: Path) -> Path:
    """`path`; OSError if it is a folder, a device or a pipe, which could be read only once."""
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(code, "not a regular file", str(path))
    return path


def hidden(path: Path, ending: str) -> tuple[Path, Path]:
    """A file that belongs to `path`, with a short name, and `path`, or where it leads as a link.

    Raises OSError if `path` exists and is no regular file but a folder, a device or a FIFO.
    """
    target = Path(os.path.realpath(regular(path)))
    stem = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".{stem}.{ending}"), target


def part_of(path: Path) -> tuple[Path, Path]:
    """The temporary file of this thread for saves to `path`, and the file whose place it takes."""
    return hidden(path, f"{os.getpid()}.{threading.get_native_id()}.part")


def try_to_write(path: Path) -> None:
    """Make the temporary file of a save to `path`, and remove it again.

    Raises OSError, which names `path`, where a save could not succeed.
    """
    with _naming(path):
        remove_leftovers(path)
        part, target = part_of(path)
        with suppress(FileNotFoundError):
            target.stat()  # its name may be too long
        part.open("xb").close()
        part.unlink()


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of saves to `path` that were killed; those of live ones stay.

    Raises OSError as `hidden` does.
    """
    (own, target), (every, _) = part_of(path), hidden(path, "*.part")
    for part in target.parent.glob(every.name):
        _, _, process, *_ = part.name.split(".")
        if part == own or not _is_alive(int(process)):  # `own` is of an earlier process, if any
            with suppress(OSError):  # it may be somebody else's
                part.unlink()


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # where `os.kill` would end it
        return True
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # but somebody else's
    return True


# --- Arrays with a header ------------------------------------------------------------------------


def write_npz(path: Path, header: dict[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write NumPy arrays of any shape by name, and a header for JSON, as one `.npz`, whole.

    The header's key `digest` is taken.
    Raises TypeError for another header, ValueError for an array of objects, and OSError if the file
    cannot be written.
    """
    header = json.loads(json.dumps(header))  # as it will be read

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as members:
            for name, a in arrays.items():
                _write_member(members, name, a)
            text = json.dumps(header | {DIGEST: _digest_of(header, members)}).encode()
            _write_member(members, HEADER, numpy.frombuffer(text, numpy.uint8))

    write_whole(path, write)


def read_npz(
    path: Path, kind: str, *, headless: bool = False
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays that `write_npz` wrote, of any shape; nothing there is executed.

    kind      what the file should be, for errors
    headless  whether a file without a header is read as well; {} is its header
    Every member is read to its end, where its checksum is compared, and all checksums are compared
    with the digest, which files of older versions lack. Compressed files are refused: ours never
    are, and so no file takes more memory than its own size.
    Raises ValueError if the file is damaged, OSError if it cannot be read.
    """
    with _members(path, kind) as (members, infos):
        header = {} if headless and HEADER not in infos else _read_header(members)
        infos.pop(HEADER, None)
        arrays = {name: _from_npy(members.read(info)) for name, info in infos.items()}
        if header.pop(DIGEST, None) not in (None, _digest_of(header, members)):
            raise ValueError("its digest belongs to another content")
        return header, arrays


def read_npz_header(path: Path, kind: str) -> dict[str, Any]:
    """The header alone, of which only its own checksum is compared; errors as for `read_npz`."""
    with _members(path, kind) as (members, _):
        header = _read_header(members)
        header.pop(DIGEST, None)
        return header


def is_npz(path: Path, kind: str) -> bool:
    """Whether a file begins as an `.npz`, or else as a pickle of a list or a dictionary.

    Raises ValueError, which names the `kind` of file that was wanted and what this one seems to be,
    if it begins as neither, OSError if it cannot be read or is no regular file.
    """
    with regular(path).open("rb") as file:
        start = file.read(512)
    if not start.startswith(b"PK") and not begins_as_pickle(start):
        raise refusal(kind, start)
    return start.startswith(b"PK")


@contextmanager
def _members(path: Path, kind: str) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """A zip file and its members by the names of their arrays, none larger than the file."""
    with regular(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as members:
                infos = {info.filename.removesuffix(".npy"): info for info in members.infolist()}
                if len(infos) < len(members.infolist()):
                    raise ValueError("two arrays have one name")
                if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
                    raise ValueError("it is compressed")
                if sum(info.file_size for info in infos.values()) > file.seek(0, io.SEEK_END):
                    raise ValueError("its arrays are larger than the file")
                yield members, infos
        except Exception as error:  # a damaged zip file can raise almost anything
            raise ValueError(f"not a readable {kind} ({error})") from error


def _read_header(members: zipfile.ZipFile) -> dict[str, Any]:
    header = json.loads(_from_npy(members.read(f"{HEADER}.npy")).tobytes())
    if not isinstance(header, dict):
        raise ValueError(f"its header is a {type(header).__name__}")
    header.pop("sha256", None)  # what files had before there was `digest`
    return header


def _digest_of(header: dict[str, Any], members: zipfile.ZipFile) -> str:
    """The digest of a header and of the members before it, whose checksums zipfile compares."""
    arrays = [[info.filename, info.file_size, info.CRC] for info in members.infolist()]
    text = json.dumps([header, [array for array in arrays if array[0] != f"{HEADER}.npy"]])
    return hashlib.sha256(text.encode()).hexdigest()


def _write_member(members: zipfile.ZipFile, name: str, a: Array) -> None:
    file = io.BytesIO()
    numpy.lib.format.write_array(file, numpy.asanyarray(a), allow_pickle=False)
    members.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getbuffer())


def _from_npy(content: bytes) -> Array:
    """The array in the bytes of a `.npy` file, which it fills."""
    file = io.BytesIO(content)
    version = numpy.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"an array in version {version} of the .npy format")
    shape, fortran, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds objects")
    size = file.tell() + math.prod(shape) * dtype.itemsize
    if size != len(content) or min(shape, default=0) < 0:
        raise ValueError(f"{len(content)} bytes are no array of {dtype} {shape}")
    order: Any = "F" if fortran else "C"
    return numpy.ndarray(shape, dtype, content, file.tell(), order=order).copy(order="K")
