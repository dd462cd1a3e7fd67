"""Word vectors on their way to files and back.  V words, D numbers in a word's vector.

    save_vectors, load_vectors        our own .npz; the book's cbow_params.pkl is read as well, and
                                      files of word2vec, GloVe, fastText (`vector_formats`)
    write_word2vec, read_word2vec     the text and binary formats of word2vec, which gensim shares
    write_projector                   two tables for TensorBoard's projector

Whatever is wrong with a file is said in one ValueError with the function, the file and the place,
and nothing of it is returned. Files appear whole or not at all.
"""

import json
import re
import reprlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy
from numpy.typing import DTypeLike

from common.np import Array, to_cpu
from common.storage.file_kinds import begins_as_pickle, opened, unpacked
from common.storage.files import (
    expanded,
    is_npz,
    read_npz,
    regular,
    write_npz,
    write_together,
    write_whole,
)
from common.storage.safe_pickle import read_pickle
from common.words.vector_formats import KIND, read_vectors

__all__ = [
    "load_vectors",
    "read_counts",
    "read_word2vec",
    "save_vectors",
    "write_projector",
    "write_word2vec",
]

Vectors: TypeAlias = tuple[Array, dict[str, int], dict[int, str]]
"""word_vecs (V, D) float32 on the host, word_to_id, id_to_word."""

VOCABULARY = "vocabulary.json"
COUNTS = "counts"
PICKLED = {"word_vecs", "word_to_id", "id_to_word"}


def save_vectors(
    path: str | Path,
    word_vecs: Array,
    id_to_word: dict[int, str],
    *,
    dtype: DTypeLike = "float16",
    counts: Array = None,
) -> None:
    """Write vectors and their words to an .npz: an array `word_vecs`, and the words as JSON.

    word_vecs (V, D)  floats, in either array library
    id_to_word        the word of each row, ids 0..V-1
    dtype             float16, as in the book (three digits, half the size), or float32
    counts (V,)       how often each word stands in the text, kept for `read_counts`
    Raises ValueError for vectors that are not finite (in this dtype) or do not fit the words,
    counts that do not, and OSError if the file cannot be written.
    Source: book 4.3.2, which pickles.
    """
    with _naming("save_vectors", path):
        if numpy.dtype(dtype).name not in ("float16", "float32"):
            raise ValueError(f"the dtype is float16 or float32, not {dtype}")
        vecs, words = _checked(word_vecs, _in_order(id_to_word), dtype)
        arrays = {"word_vecs": vecs, VOCABULARY: _bytes(json.dumps(words))}
        if counts is not None:
            arrays[COUNTS] = _checked_counts(to_cpu(counts), len(words))
    write_npz(expanded(path), {}, arrays)


def load_vectors(path: str | Path, *, limit: int | None = None, errors: str = "strict") -> Vectors:
    """Read word vectors -> word_vecs (V, D) float32, word_to_id, id_to_word.

    The content of a file tells what it is: ours (.npz); the book's pickle, a dictionary with the
    keys word_vecs, word_to_id and id_to_word; or one of word2vec (text or binary), GloVe or
    fastText (.vec), also compressed by gzip, bzip2 or xz, or alone in a zip. A pickle is read
    without calling what it names.
    limit   read only so many words, the first ones
    errors  "replace" or "ignore" for words of other programs that are not UTF-8, as `bytes.decode`
    If a word of another program comes again, its first vector is kept, with a warning.
    Raises FileNotFoundError, or ValueError if the file is none of these (with what it seems to be),
    is damaged or its parts do not fit together, and for a limit below 1.
    """
    path = expanded(path)
    with _naming("load_vectors", path), opened(path) as file:
        start = file.peek()
        if start.startswith(b"PK") or begins_as_pickle(start):
            regular(path)  # because these are read more than once
        if not begins_as_pickle(start) and not (start.startswith(b"PK") and _holds_arrays(path)):
            with unpacked(file) as text:
                size = path.stat().st_size if text is file and path.is_file() else None
                how: Any = {"limit": limit, "errors": errors, "where": f"load_vectors: {path}"}
                return _vectors(*read_vectors(text, size=size, **how))
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        vecs, words = _read_npz(path) if is_npz(path, KIND) else _from_book(read_pickle(path, KIND))
        vecs, words = _checked(vecs, words)
        return _vectors(vecs[:limit], words[:limit])


def read_counts(path: str | Path, *, limit: int | None = None) -> Array:
    """How often each word stands in the text, (V,), where `save_vectors` kept that; else None.

    limit  only of so many words, the first ones
    """
    path = expanded(path)
    with path.open("rb") as file:
        ours = file.read(2) == b"PK"
    if not ours or not _holds_arrays(path):
        return None
    with _naming("read_counts", path):
        _, arrays = read_npz(path, KIND, headless=True)
        return arrays[COUNTS][:limit] if COUNTS in arrays else None


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

    write_whole(expanded(path), write)


def read_word2vec(
    path: str | Path, *, binary: bool = False, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Read a file that word2vec, gensim or `write_word2vec` wrote, in text or in binary.

    -> word_vecs (V, D) float32, word_to_id, id_to_word; ids count up in the order of the file.
    limit, errors  as for `load_vectors`
    If a word comes again, its first vector is kept, with a warning.
    Raises FileNotFoundError, or ValueError naming the line (text) or byte (binary), counted from 1
    and from 0, for a bad first line, a file shorter or longer than that promises, a bad number,
    NaN, infinity, or bytes that are not UTF-8.
    """
    path = expanded(path)
    with _naming("read_word2vec", path), opened(path) as file:
        return _vectors(
            *read_vectors(
                file,
                binary=binary,
                size=path.stat().st_size,
                limit=limit,
                errors=errors,
                where=f"read_word2vec: {path}",
            )
        )


def write_projector(folder: str | Path, word_vecs: Array, id_to_word: dict[int, str]) -> None:
    """Write vectors.tsv and metadata.tsv, which https://projector.tensorflow.org loads.

    word_vecs (V, D): one line a word in both, D numbers with tabs between, and the word (a single
    column has no heading there). The folder is made if it is missing, the files appear together.
    Raises ValueError as `write_word2vec` does, OSError if a file cannot be written.
    """
    folder = expanded(folder)
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


def _bytes(text: str) -> Array:
    return numpy.frombuffer(text.encode(), numpy.uint8)


def _checked_counts(counts: Array, V: int) -> Array:
    if counts.shape != (V,) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(
            f"counts are whole numbers from 0 ({V},), not {counts.dtype} {counts.shape}"
        )
    return counts.astype("int64")


def _holds_arrays(path: Path) -> bool:
    """Whether a zip holds arrays, as ours do, or is damaged; False for a zip of other files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except Exception:  # a damaged zip file can raise almost anything
        return True


def _read_npz(path: Path) -> tuple[Array, Sequence[str]]:
    _, arrays = read_npz(path, KIND, headless=True)
    if arrays.keys() - {COUNTS} != {"word_vecs", VOCABULARY}:
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
