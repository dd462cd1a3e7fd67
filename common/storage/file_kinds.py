"""What a file is, told by its first bytes, never by its name; compressed files, opened."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["BOM", "begins_as_pickle", "kind_of", "opened", "refusal", "unpacked"]

BUFFER = 1 << 16  # bytes read at once, of which the first tell the kind
BOM = b"\xef\xbb\xbf"  # the mark that some editors put before UTF-8 text

# How each kind begins, in the words of an error message.
PICKLE = rb"\x80[\x00-\x05]|\([dl](p\d|[.(VSIFLNg])|[\]}][(.qr]"
KINDS = {
    rb"\Z": "an empty file",
    rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml)": "a web page",
    rb"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the file itself",
    rb"\xba\x16\x4f\x2f": "a binary model of fastText; its vectors are in the .vec file beside it",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text; save it as UTF-8",
    rb"\x1f\x8b": "compressed by gzip",
    rb"BZh\d": "compressed by bzip2",
    rb"\xfd7zXZ\x00": "compressed by xz",
    rb"\x28\xb5\x2f\xfd": "compressed by Zstandard; unpack it first",
    rb"7z\xbc\xaf": "a 7z archive; unpack it first",
    rb"Rar!": "a RAR archive; unpack it first",
    rb"[\s\S]{257}ustar": "a tar archive; unpack it first",
    rb"PK\x03\x04": "a zip archive",
    rb"\x89HDF": "an HDF5 file, as Keras writes",
    rb"\x93NUMPY": "a single NumPy array",
    rb"%PDF": "a PDF document",
    rb"\x89PNG|\xff\xd8\xff|GIF8": "a picture",
    rb"SQLite format": "an SQLite database",
    rb'\s*(\{|\[\s*["{\[])': "JSON",
    PICKLE: "a pickle",
}
OPENERS: dict[str, Any] = {
    "compressed by gzip": gzip.open,
    "compressed by bzip2": bz2.open,
    "compressed by xz": lzma.open,
}
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError)


def kind_of(start: bytes) -> str | None:
    """What a file that begins with these bytes seems to be; None if nothing here knows it."""
    for pattern, kind in KINDS.items():
        if re.match(pattern, start, re.IGNORECASE if b"<" in pattern else 0):
            return kind
    return None


def begins_as_pickle(start: bytes) -> bool:
    """Whether bytes begin as a pickle of a list or a dictionary."""
    return re.match(PICKLE, start) is not None


def refusal(kind: str, start: bytes) -> ValueError:
    """The error for a file that is not of the kind that was wanted, given its first bytes."""
    found = kind_of(start)
    seems = f"it seems to be {found}" if found else f"it begins with {start[:4]!r}"
    return ValueError(f"not a readable {kind} ({seems})")


def opened(path: Path) -> io.BufferedReader:
    """A file opened for reading, whose `peek` shows enough to tell what it is."""
    return io.BufferedReader(io.FileIO(str(path)), BUFFER)  # an error shows a str by itself


@contextmanager
def unpacked(raw: io.BufferedReader) -> Iterator[io.BufferedReader]:
    """An open file, unpacked if it is gzip, bzip2, xz, or a zip of a single file.

    Raises ValueError for a zip of several files, and while reading for a damaged compressed file.
    """
    kind = kind_of(raw.peek())
    if kind == "a zip archive":
        with _only_member(raw) as member:
            yield _Reader(member, BUFFER)
    elif kind in OPENERS:
        with OPENERS[kind](raw) as stream:
            yield _Reader(stream, BUFFER)
    else:
        yield raw


class _Reader(io.BufferedReader):
    """Reads an unpacked stream; what breaks off is a ValueError."""

    def __init__(self, stream: Any, size: int) -> None:
        super().__init__(_Checked(stream), size)


class _Checked(io.RawIOBase):
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self.stream.read(len(buffer))
        except DAMAGE as error:
            raise ValueError(f"the compressed file is damaged or cut off ({error})") from error
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def _only_member(raw: io.BufferedReader) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(raw) as archive:
            members = [
                m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename
            ]
            if len(members) != 1:
                names = ", ".join(m.filename for m in members[:6])
                raise ValueError(f"the zip holds {len(members)} files; unpack one of {names}")
            with archive.open(members[0]) as member:
                yield member
    except (*DAMAGE, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"the zip file is damaged or locked ({error})") from error
