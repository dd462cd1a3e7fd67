"""Word vectors on their way to files and back.  V words, D numbers in a word's vector.

    save_vectors, load_vectors        our own .npz; the book's cbow_params.pkl is read as well
    write_word2vec, read_word2vec     the text and binary formats of word2vec, which gensim shares
    write_projector                   two tables for TensorBoard's projector

Whatever is wrong with a file is said in one ValueError with the function, the file and the place,
and nothing of it is returned. Files appear whole or not at all.
"""

import json
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy
from numpy.typing import DTypeLike

from common.np import Array, to_cpu
from common.storage.files import (
    is_npz,
    read_npz,
    regular,
    write_npz,
    write_together,
    write_whole,
)
from common.storage.safe_pickle import read_pickle

Vectors: TypeAlias = tuple[Array, dict[str, int], dict[int, str]]
"""word_vecs (V, D) float32 on the host, word_to_id, id_to_word."""

KIND = "file of word vectors"
VOCABULARY = "vocabulary.json"
PICKLED = {"word_vecs", "word_to_id", "id_to_word"}


def save_vectors(
    path: str | Path, word_vecs: Array, id_to_word: dict[int, str], *, dtype: DTypeLike = "float16"
) -> None:
    """Write vectors and their words to an .npz: an array `word_vecs`, and the words as JSON.

    word_vecs (V, D)  floats, in either array library
    id_to_word        the word of each row, ids 0..V-1
    dtype             float16, as in the book (three digits, half the size), or float32
    Raises ValueError for vectors that are not finite (in this dtype) or do not fit the words, and
    OSError if the file cannot be written.  Source: book 4.3.2, which pickles.
    """
    with _naming("save_vectors", path):
        if numpy.dtype(dtype).name not in ("float16", "float32"):
            raise ValueError(f"the dtype is float16 or float32, not {dtype}")
        vecs, words = _checked(word_vecs, _in_order(id_to_word), dtype)
    vocabulary = numpy.frombuffer(json.dumps(words).encode(), numpy.uint8)
    write_npz(Path(path), {}, {"word_vecs": vecs, VOCABULARY: vocabulary})


def load_vectors(path: str | Path) -> Vectors:
    """Read word vectors -> word_vecs (V, D) float32, word_to_id, id_to_word.

    What a file is, its content tells: ours (a zip), one of word2vec (it begins with two numbers;
    binary if its name ends in .bin), or else the book's pickle, a dictionary with the keys
    word_vecs, word_to_id and id_to_word. A pickle is read without calling what it names.
    Raises FileNotFoundError, or ValueError if the file is damaged or its parts do not fit together.
    """
    path = regular(Path(path))
    with path.open("rb") as file:
        start = file.read(20)
    if re.match(rb"\d+ \d+", start):
        return read_word2vec(path, binary=path.suffix == ".bin")
    with _naming("load_vectors", path):
        vecs, words = _read_npz(path) if is_npz(path, KIND) else _from_book(read_pickle(path, KIND))
        return _vectors(*_checked(vecs, words))


def write_word2vec(
    path: str | Path, word_vecs: Array, id_to_word: dict[int, str], *, binary: bool = False
) -> None:
    """Write vectors in a format of word2vec.  word_vecs (V, D), id_to_word as in `save_vectors`.

    text    a line `V D`, then one line a word: the word and D numbers, with single spaces between;
            float32 in as few digits as give the same number back
    binary  the same first line, then for each word: the word, a space, D little-endian float32
            numbers and a newline
    Words are UTF-8. Raises ValueError as `save_vectors` does, and for words with white space.
    Source: Mikolov et al. 2013, https://code.google.com/archive/p/word2vec/
    """
    with _naming("write_word2vec", path):
        vecs, words = _checked(word_vecs, _in_order(id_to_word))
        names = _encoded(words)

    def write(file: BinaryIO) -> None:
        file.write(b"%d %d\n" % vecs.shape)
        for name, row in zip(names, vecs.astype("<f4", copy=False), strict=True):
            numbers = row.tobytes() if binary else " ".join(row.astype(str)).encode()
            file.write(name + b" " + numbers + b"\n")

    write_whole(Path(path), write)


def read_word2vec(path: str | Path, *, binary: bool = False) -> Vectors:
    """Read a file that word2vec, gensim or `write_word2vec` wrote, in text or in binary.

    -> word_vecs (V, D) float32, word_to_id, id_to_word; ids count up in the order of the file.
    Raises FileNotFoundError, or ValueError naming the line (text) or byte (binary), counted from 1
    and from 0, for a bad first line, a file shorter or longer than that promises, a bad number, a
    word twice, NaN, infinity, or bytes that are not UTF-8.
    """
    path = regular(Path(path))
    with _naming("read_word2vec", path), path.open("rb") as file:
        shape = _header(file.readline(100), path.stat().st_size, binary)
        vecs = numpy.empty(shape, "float32")
        words = _read_binary(file, vecs) if binary else _read_text(file, vecs)
        return _vectors(vecs, words)


def write_projector(folder: str | Path, word_vecs: Array, id_to_word: dict[int, str]) -> None:
    """Write vectors.tsv and metadata.tsv, which https://projector.tensorflow.org loads.

    word_vecs (V, D): one line a word in both, D numbers with tabs between, and the word (a single
    column has no heading there). The folder is made if it is missing, the files appear together.
    Raises ValueError as `write_word2vec` does, OSError if a file cannot be written.
    """
    folder = Path(folder)
    with _naming("write_projector", folder):
        vecs, words = _checked(word_vecs, _in_order(id_to_word))
        names = _encoded(words)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ("\t".join(row.astype(str)).encode() + b"\n" for row in vecs)
    write_together(
        {
            folder / "vectors.tsv": lambda file: file.writelines(rows),
            folder / "metadata.tsv": lambda file: file.writelines(name + b"\n" for name in names),
        }
    )


# --- What every format asks for ------------------------------------------------------------------


class _naming:
    """Put the function and the file before the text of a ValueError raised inside."""

    def __init__(self, function: str, path: str | Path) -> None:
        self.where = f"{function}: {path}: "

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ValueError):
            raise ValueError(self.where + str(error)) from error


def _in_order(id_to_word: dict[int, str]) -> list[str]:
    """The words by id; ValueError unless the ids are 0..V-1."""
    if set(id_to_word) != set(range(len(id_to_word))):
        raise ValueError(f"the {len(id_to_word)} words need the ids 0 to {len(id_to_word) - 1}")
    return [id_to_word[i] for i in range(len(id_to_word))]


def _checked(
    word_vecs: Array, words: Sequence[str], dtype: DTypeLike = "float32"
) -> tuple[Array, Sequence[str]]:
    """Vectors in a dtype, and words, that fit together; else ValueError."""
    vecs = to_cpu(word_vecs)
    if vecs.ndim != 2 or 0 in vecs.shape or vecs.dtype.kind != "f":
        raise ValueError(
            f"vectors are floats of shape (V, D), at least (1, 1), not {vecs.dtype} {vecs.shape}"
        )
    if len(words) != len(vecs):
        raise ValueError(f"{len(words)} words do not fit {len(vecs)} vectors")
    _check_distinct(words)
    with numpy.errstate(over="ignore"):  # what overflows is refused in the next line
        vecs = vecs.astype(dtype, copy=False)
    bad = numpy.flatnonzero(~numpy.isfinite(vecs).all(axis=1))
    if len(bad):
        raise ValueError(
            f"the vector of {words[bad[0]]!r} (row {bad[0]}) holds NaN, infinity, or a number too "
            f"large for {vecs.dtype}"
        )
    return vecs, words


def _check_distinct(words: Sequence[Any]) -> None:
    """Refuse what is no text, and a word that is there twice."""
    seen = set[str]()
    for word in words:
        if not isinstance(word, str):
            raise ValueError(f"a word is a text, not {reprlib.repr(word)}")
        if word in seen:
            raise ValueError(f"the word {word!r} is there twice")
        seen.add(word)


def _vectors(vecs: Array, words: Sequence[str]) -> Vectors:
    return vecs, {word: i for i, word in enumerate(words)}, dict(enumerate(words))


def _encoded(words: Sequence[str]) -> list[bytes]:
    for word in words:
        _check_word(word)
    return [word.encode() for word in words]


def _check_word(word: str) -> None:
    """Refuse what would end a word, or a line, in a text format."""
    if not word or re.search(r"\s", word, re.ASCII):
        raise ValueError(f"a word has letters and no white space here, unlike {word!r}")


# --- .npz and the book's pickle ------------------------------------------------------------------


def _read_npz(path: Path) -> tuple[Array, Sequence[str]]:
    _, arrays = read_npz(path, KIND, headless=True)
    if arrays.keys() != {"word_vecs", VOCABULARY}:
        raise ValueError(f"not a readable {KIND} (it holds {sorted(arrays)})")
    try:
        words = json.loads(arrays[VOCABULARY].tobytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a readable {KIND} ({error})") from error
    if not isinstance(words, list):
        raise ValueError(f"the vocabulary is a {type(words).__name__}, not a list of words")
    return arrays["word_vecs"], words


def _from_book(content: Any) -> tuple[Array, Sequence[str]]:
    if not isinstance(content, dict) or set(content) != PICKLED:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"holds {found}, not a dictionary with the keys {sorted(PICKLED)}")
    vecs, word_to_id, id_to_word = (content[k] for k in ("word_vecs", "word_to_id", "id_to_word"))
    kinds = [type(part).__name__ for part in (vecs, word_to_id, id_to_word)]
    if kinds != ["ndarray", "dict", "dict"]:
        raise ValueError(f"holds a {', a '.join(kinds)}, not an array and two dictionaries")
    words = _in_order(id_to_word)
    _check_distinct(words)
    ids = {word: i for i, word in enumerate(words)}
    if any(type(i) is not int for i in word_to_id.values()) or word_to_id != ids:
        raise ValueError("word_to_id and id_to_word contradict each other")
    return vecs, words


# --- word2vec ------------------------------------------------------------------------------------


def _header(line: bytes, size: int, binary: bool) -> tuple[int, int]:
    """V and D of the first line, if a file of `size` bytes can hold so much."""
    match = re.fullmatch(rb"(\d{1,18}) (\d{1,18})\s*", line)
    V, D = (int(number) for number in match.groups()) if match else (0, 0)
    if V < 1 or D < 1:
        raise ValueError(f"line 1: {line[:40]!r} came, two counts above 0 `V D` are needed")
    shortest = V * (2 + 4 * D) if binary else V * (2 + 2 * D) - 1  # words and numbers of one letter
    if len(line) + shortest > size:
        raise ValueError(
            f"line 1: {V} vectors of {D} numbers need {len(line) + shortest} bytes or more, the "
            f"file has {size}"
        )
    return V, D


def _new_word(name: bytes, words: dict[str, None]) -> str:
    """The word that the bytes spell, if `words` lacks it."""
    try:
        word = name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the word {name[:40]!r} is not UTF-8 text") from error
    _check_word(word)
    if word in words:
        raise ValueError(f"the word {word!r} is there twice")
    return word


def _read_text(file: BinaryIO, vecs: Array) -> list[str]:
    """Fill vecs (V, D) from the lines after the first -> the words."""
    V, D = vecs.shape
    words: dict[str, None] = {}
    for number, line in enumerate(file, start=2):
        name, *numbers = line.rstrip().split(b" ")
        if len(words) == V:
            if not line.strip():
                continue
            raise ValueError(f"line {number}: the file goes on after the {V} words of line 1")
        try:
            if len(numbers) != D:
                raise ValueError(f"{len(numbers)} numbers came after the word, {D} are needed")
            if b"_" in b"".join(numbers):  # which Python allows in numbers
                raise ValueError("a number has digits and no underscores")
            word = _new_word(name, words)
            _fill(vecs[len(words)], [float(x) for x in numbers])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        words[word] = None
    if len(words) < V:
        raise ValueError(f"line {len(words) + 2}: the file ends, line 1 promises {V} words")
    return list(words)


def _read_binary(file: BinaryIO, vecs: Array) -> list[str]:
    """Fill vecs (V, D) from the bytes after the first line -> the words."""
    V, D = vecs.shape
    start = file.tell()
    content = file.read()
    words: dict[str, None] = {}
    at = 0
    for row in vecs:
        at += content.startswith(b"\n", at)  # some writers put one after each vector
        space = content.find(b" ", at)
        end = space + 1 + 4 * D
        if space < 0 or end > len(content):
            raise ValueError(
                f"byte {start + at}: the file ends inside word {len(words) + 1} of {V}, which has "
                f"{D} numbers of 4 bytes"
            )
        try:
            word = _new_word(content[at:space], words)
            _fill(row, numpy.frombuffer(content, "<f4", D, space + 1))
        except ValueError as error:
            raise ValueError(f"byte {start + at}: {error}") from error
        words[word] = None
        at = end
    if content[at:].strip():
        raise ValueError(f"byte {start + at}: the file goes on after the {V} words of line 1")
    return list(words)


def _fill(row: Array, numbers: Any) -> None:
    """Put finite numbers into a row; ValueError for others."""
    with numpy.errstate(over="ignore"):  # what overflows is refused in the next line
        row[...] = numbers
    if not numpy.isfinite(row).all():
        raise ValueError("NaN, infinity, or a number too large for float32")
