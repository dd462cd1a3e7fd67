"""Find a data file on this machine, or download it. Either way its SHA-256 decides.

The folders searched, in this order:

    1. the folder that the environment variable DLFS2_DATA names; a ~ at its beginning is the home
    2. the folder of this package, the book's place
    3. the user's cache: ~/.cache/dlfs2 on Linux; downloads go here

A file with another digest is refused wherever it lies, and never passed over in silence: it is
where somebody put the data, so it is better to say what is wrong with it.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple
from urllib.request import Request, urlopen

__all__ = [
    "DamagedFileError",
    "DataFile",
    "expanded",
    "find",
    "folders",
    "read",
    "read_checked",
    "user_cache",
]

PACKAGE_FOLDER = Path(__file__).resolve().parent
TIMEOUT = 15.0  # seconds without a byte before the next mirror is tried
BLOCK = 1 << 16  # bytes


class DataFile(NamedTuple):
    """A published file: its name, size in bytes, SHA-256 in hexadecimal, and where to get it.

    Without URLs it is one that the library makes.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


class DamagedFileError(OSError):
    """A data file was found, but it is not the published one."""


def read(file: DataFile) -> bytes:
    """What is in the file, downloaded into the user's cache if need be; opened once.

    A download that breaks off is continued by the next call, or by the next mirror. Two processes
    may fetch the same file: one downloads, the other waits.

    Raises DamagedFileError if a copy with another digest is found, and FileNotFoundError if there
    is no copy and no mirror delivers one, or if DLFS2_DATA is no folder. All are OSErrors.
    """
    return read_checked(find(file), file)


def read_checked(path: Path, file: DataFile) -> bytes:
    """What is at the path, if it is this file; else DamagedFileError."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found == file.sha256:
        return content
    size = len(content)
    guess = (
        f"It is {file.size - size} bytes short: a download or copy broke off."
        if size < file.size
        else "It was altered, or is another version."
    )
    again = "downloaded" if file.urls else "made again"
    raise DamagedFileError(
        f"{path} is not the {'published' if file.urls else 'generated'} {file.name} and is not "
        "used.\n"
        f"  found     {size} bytes, SHA-256 {found}\n"
        f"  expected  {file.size} bytes, SHA-256 {file.sha256}\n"
        f"{guess} Put a whole copy in its place, or delete it to have it {again}."
    )


def find(file: DataFile) -> Path:
    """The path of a copy, found or downloaded, not yet checked; FileNotFoundError as for `read`."""
    searched = folders()
    for folder in searched:
        if (folder / file.name).exists():
            return folder / file.name
    problems = download(file, searched[-1])
    if not problems:
        return searched[-1] / file.name
    report = [
        f"{file.name} was not found and could not be downloaded.",
        f"  size      {file.size} bytes",
        f"  SHA-256   {file.sha256}",
        *(f"  not in    {folder}" for folder in searched),
        *(f"  failed    {problem}" for problem in problems),
        "If you have the file, put it into one of these folders, or set DLFS2_DATA to its folder.",
        "The language models also run on other text: --corpus grammar (made by the program)",
        "or --corpus FILE (your own).",
    ]
    raise FileNotFoundError("\n".join(report))


def folders() -> list[Path]:
    """Where files are looked for, in this order; FileNotFoundError if DLFS2_DATA is no folder."""
    named = os.environ.get("DLFS2_DATA")
    others = [PACKAGE_FOLDER, user_cache()]
    if not named:
        return others
    folder = expanded(named)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(
            f"DLFS2_DATA is {named!r}, which is not a folder: {folder.absolute()} {found}. Set it "
            "to the folder that holds the data files, without quotes, or unset it"
        )
    return [folder, *others]


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path as a user writes it, with the home folder that a `~` or `~user` before it means."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises for an unknown user


def user_cache() -> Path:
    """The folder for downloads, by the custom of the operating system.

    That for temporary files where the user has no home, as in many containers.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(gettempdir())
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not base.is_absolute():  # the XDG specification says to ignore such a value
            base = home / ".cache"
    return base / "dlfs2"


def download(file: DataFile, folder: Path) -> list[str]:
    """Download the file into the folder and return [], or what went wrong with each mirror.

    The bytes gather in SHA256.part, which outlives a broken connection and a killed process, and
    get the file's name only when the digest is right. The lock file stays behind, empty.
    """
    path, partial = folder / file.name, folder / f"{file.sha256}.part"
    problems = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f"{file.sha256}.lock"):
            if path.exists():  # another process downloaded it while this one waited
                return []
            for url in file.urls:
                try:
                    _download_from(url, partial, file)
                except (OSError, HTTPException) as error:
                    problems.append(f"{url}: {error}")
                else:
                    partial.replace(path)
                    print(f"{file.name} was downloaded, once: {path}")
                    return []
    except OSError as error:  # no right to write there, or a file system without locks
        problems.append(f"{folder}: {error}")
    return problems


def _download_from(url: str, partial: Path, file: DataFile) -> None:
    """Bring the partial file to the right size and digest, or raise OSError or HTTPException."""
    while True:
        resumed = _transfer(url, partial, file.size)
        found = _sha256(partial)
        if found == file.sha256:
            return
        partial.unlink()
        if not resumed:  # otherwise only the bytes from before may have been wrong: start anew
            raise OSError(f"the file there is another one, SHA-256 {found}")


def _transfer(url: str, partial: Path, size: int) -> bool:
    """Fetch the bytes that the partial file lacks; True if it already held some that were kept."""
    have = partial.stat().st_size if partial.exists() else 0
    if have >= size:
        return True
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=TIMEOUT) as answer:
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends the whole file
        resumed = have > 0
        promised = answer.headers.get("Content-Length")
        if promised and have + int(promised) != size:
            raise OSError(f"the file there has {have + int(promised)} bytes, not {size}")
        with partial.open("ab" if resumed else "wb") as out:
            while have < size and (block := answer.read1(min(BLOCK, size - have))):
                out.write(block)
                have += len(block)
    if have < size:
        raise OSError(f"the connection closed after {have} of {size} bytes")
    return resumed


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file at path; others wait. It never goes stale: a dead process holds none."""
    with path.open("ab") as file:
        _lock(file.fileno())
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        while True:
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLK:  # which only says that ten seconds have passed
                    raise

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
