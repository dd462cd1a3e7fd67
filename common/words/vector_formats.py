"""Reading the word vectors of other programs: word2vec, GloVe, fastText.  V words, D numbers each.

    word2vec, text     a line `V D`, then one line a word: the word and D numbers
    fastText (.vec)    the same
    GloVe              the same without the first line
    word2vec, binary   a line `V D`, then for each word: the word, a blank, D float32 numbers

Text is UTF-8, with blanks or tabs between.
"""

import codecs
import re
import warnings
from collections.abc import Iterable
from io import BufferedReader
from itertools import chain

import numpy

from common.np import Array
from common.storage.file_kinds import BOM, refusal

__all__ = ["KIND", "read_vectors"]

KIND = "file of word vectors"
FIRST_LINE = 1 << 20  # bytes, at most
LONGEST_WORD = 1 << 16  # bytes
BLOCK = 1 << 20  # bytes read at once of a binary file
ROWS = 1 << 14  # rows of memory to begin with, where a file does not tell, or cannot be believed


def read_vectors(
    file: BufferedReader,
    *,
    binary: bool | None = None,
    size: int | None = None,
    limit: int | None = None,
    errors: str = "strict",
    where: str = "read_vectors",
) -> tuple[Array, list[str]]:
    """Vectors (V, D) float32 and their words, in the order of the file.

    binary  False or True: word2vec's text or binary format is needed; None: what the bytes tell
    size    bytes of the file, where known: a first line that promises more is refused at once
    limit   read only so many words, the first ones
    errors  for words that are not UTF-8: strict refuses them; replace, ignore and the others are
            those of `bytes.decode`
    where   what a warning begins with
    Of a word that comes again, the first vector is kept, and a warning tells how many came again.
    Raises ValueError naming the line (text) or byte (binary), counted from 1 and from 0; for a file
    that is none of these, what it seems to be; and for a limit below 1 or errors unknown to Python.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    try:
        codecs.lookup_error(errors)
    except LookupError as error:
        raise ValueError(f"errors is {errors!r}; it can be strict, replace, ignore") from error
    start = file.peek()
    if start.startswith(BOM):
        file.read(len(BOM))
    line = file.readline(FIRST_LINE)
    match = re.fullmatch(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})\s*", line)
    if match:
        V, D = (int(number) for number in match.groups())
    elif binary is None and _are_numbers(line.split()[1:]):
        V, D = None, len(line.split()) - 1
    elif binary is None:
        raise refusal(KIND, start)
    else:
        V = D = 0
    if V is not None:
        if binary is None:
            binary = _is_binary(file.peek(), D)
        _check_promise(line, V, D, size, binary)
    table = _Table(D, ROWS if V is None or size is None else min(V, limit or V), limit, errors)
    with numpy.errstate(over="ignore"):  # what overflows is not finite, and refused
        if V is None:
            _read_text(chain([line], file), table, V, first=1)
        elif binary:
            _read_binary(file, table, V, len(line))
        else:
            _read_text(file, table, V, first=2)
    if table.again:
        warnings.warn(
            f"{where}: {table.again} words came again, such as {table.example!r}; the first vector "
            "of each is kept",
            stacklevel=3,
        )
    V = len(table.words)
    vecs = table.vecs if len(table.vecs) == V else table.vecs[:V].copy()
    return vecs, list(table.words)


class _Table:
    """Words and their vectors, in memory that grows."""

    def __init__(self, D: int, rows: int, limit: int | None, errors: str) -> None:
        self.vecs = numpy.empty((min(rows, limit or rows), D), "float32")
        self.words: dict[str, None] = {}
        self.limit, self.errors = limit, errors
        self.again, self.example = 0, ""

    @property
    def full(self) -> bool:
        return len(self.words) == self.limit

    def add(self, name: bytes, numbers: Iterable[float] | Array) -> None:
        """Add a word, unless it is there; ValueError for what is no word, or not finite."""
        try:
            word = name.decode(errors=self.errors)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"the word {name[:40]!r} is not UTF-8 text; errors='replace' reads it"
            ) from error
        if not word or re.search(r"[\t\n\r\v\f]", word):
            raise ValueError(f"a word has letters and no white space here, unlike {word!r}")
        k = len(self.words)
        if k == len(self.vecs):
            more = numpy.empty_like(self.vecs)
            self.vecs = numpy.concatenate([self.vecs, more])
        self.vecs[k] = numbers
        if not numpy.isfinite(self.vecs[k]).all():
            raise ValueError("NaN, infinity, or a number too large for float32")
        if word in self.words:
            self.again, self.example = self.again + 1, self.example or word
        else:
            self.words[word] = None


def _check_promise(line: bytes, V: int, D: int, size: int | None, binary: bool) -> None:
    """ValueError for a first line that is not two counts, or promises more than the file holds."""
    if V < 1 or D < 1:
        raise ValueError(f"line 1: {line[:40]!r} came, two counts above 0 `V D` are needed")
    shortest = V * (2 + 4 * D) if binary else V * (2 + 2 * D) - 1  # words and numbers of one letter
    if size is not None and len(line) + shortest > size:
        raise ValueError(
            f"line 1: {V} vectors of {D} numbers need {len(line) + shortest} bytes or more, the "
            f"file has {size}"
        )


def _is_binary(ahead: bytes, D: int) -> bool:
    """Whether the numbers of the first word are bytes that no text has."""
    fields = ahead.split(b"\n", 1)[0].split()
    if len(fields) == D + 1 and _are_numbers(fields[1:]):
        return False
    numbers = ahead[ahead.find(b" ") + 1 :][: 4 * D]
    try:
        numbers[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return True
    return re.search(rb"[\x00-\x08\x0e-\x1f]", numbers) is not None


def _are_numbers(fields: list[bytes]) -> bool:
    """Whether there are fields, and all of them are numbers."""
    try:
        return bool(_numbers(fields))
    except ValueError:
        return False


def _numbers(fields: list[bytes]) -> list[float]:
    if b"_" in b"".join(fields):  # which Python allows in numbers
        raise ValueError("a number has digits and no underscores")
    return [float(field) for field in fields]


def _read_text(lines: Iterable[bytes], table: _Table, V: int | None, first: int) -> None:
    """Fill the table from lines of a word and numbers, the first of which has this number.

    V  how many there must be; None if the file does not tell
    """
    D, found, number = table.vecs.shape[1], 0, first - 1
    for number, line in enumerate(lines, start=first):
        if not line.strip() and (V is None or found == V):
            continue
        if found == V:
            raise ValueError(f"line {number}: the file goes on after the {V} words of line 1")
        name, *fields = line.rstrip().rsplit(None, D) or [b""]
        try:
            extra = name.split()[1:]  # a word may hold blanks, as some of GloVe's do
            if len(fields) < D or (extra and _are_numbers(extra[-1:])):
                count = len(line.split()[1:]) if line.strip() else 0
                raise ValueError(f"{count} numbers came after the word, {D} are needed")
            table.add(name, _numbers(fields))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        found += 1
        if table.full:
            return
    if V is not None and found < V:
        raise ValueError(f"line {found + first}: the file ends, line 1 promises {V} words")


def _read_binary(file: BufferedReader, table: _Table, V: int, start: int) -> None:
    """Fill the table from the bytes after the first line, which has `start` bytes."""
    D, content, at = table.vecs.shape[1], b"", 0
    for k in range(V):
        skipped = content.startswith(b"\n", at)  # some writers put one after each vector
        at += skipped
        while True:
            space = content.find(b" ", at)
            end = space + 1 + 4 * D
            if space >= 0 and end <= len(content):
                break
            more = file.read(BLOCK) if space >= 0 or len(content) - at < LONGEST_WORD else b""
            if not more:
                raise ValueError(
                    f"byte {start + at}: the file ends inside word {k + 1} of {V}, which has "
                    f"{D} numbers of 4 bytes"
                )
            start, content, at = start + at, content[at:] + more, 0
            if content.startswith(b"\n") and not skipped:
                skipped, at = True, 1
        try:
            table.add(content[at:space], numpy.frombuffer(content, "<f4", D, space + 1))
        except ValueError as error:
            raise ValueError(f"byte {start + at}: {error}") from error
        at = end
        if table.full:
            return
    if (content[at:] + file.read(BLOCK)).strip():
        raise ValueError(f"byte {start + at}: the file goes on after the {V} words of line 1")
