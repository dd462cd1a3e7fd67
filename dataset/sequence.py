"""Questions and answers of fixed widths as arrays of character ids, for seq2seq.

    (x_train, t_train), (x_test, t_test) = sequence.load_data("addition.txt")
    char_to_id, id_to_char = sequence.get_vocab()
    data = sequence.load("addition.txt")    # the same in one object: data.x_train, data.char_to_id

    file            questions    answers    characters
    addition.txt    (N, 7)       (N, 5)     13             "71+118 " and "_189 "
    date.txt        (N, 29)      (N, 11)    59             "feb 7, 1972   ..." and "_1972-02-07"

A line of a file is a question, `_`, and the rest of its answer, both padded with blanks. `_` is
part of the answer: a decoder begins with it. Any UTF-8 file of this form can be read, and so can
files of pairs, whose lines are a question, a tab and an answer, of any lengths:

    Go.<tab>Va !            what follows a second tab, as in Tatoeba's collections, is left out

There the answer begins with the tab, questions and answers are padded on the right with a character
of their own, of which at least one follows each answer, and `pad_id` is its id. As a character it
is "", so that decoded text has no padding.

A name without a folder is looked for in the working folder, then where `fetch` looks. The two files
above are made by `addition` and `dates` where they are missing: 50,000 lines each, kept in the
user's cache, where their digests are checked. They follow the distributions of the published files
and number the characters alike.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataset import addition, dates, fetch
from dataset.fetch import DataFile
from dataset.text_file import check_kind

__all__ = [
    "FILES",
    "MADE",
    "SPLITS",
    "SequenceData",
    "decode",
    "encode",
    "get_vocab",
    "load",
    "load_data",
]

PAD = ""  # the character that padding is in files of pairs
PLACEHOLDER = "\n"  # stands for it while a file is read, where no line has one
MADE = {"addition.txt": addition.lines, "date.txt": dates.lines}
FILES = {  # as they are made
    "addition.txt": DataFile(
        "addition.txt",
        650_000,
        "1ed4bfd74d00bcfdb30ad6a406cf0698009073e4481016aef614968cb7f794a2",
        (),
    ),
    "date.txt": DataFile(
        "date.txt",
        2_050_000,
        "b80264a0b1bc012ba428e7800cb99f3d93176fbc44e3a87bbee87c9316e46b21",
        (),
    ),
}
SPLITS = ("random", "answer")
HELD_OUT = 10  # one line in ten is for testing

Ids = NDArray[np.int64]
Pair = tuple[Ids, Ids]
Vocabulary = tuple[dict[str, int], dict[int, str]]

_last_read: dict[str, int] = {}


class SequenceData(NamedTuple):
    """Questions x and answers t of a file, divided for training and testing, and its characters.

    x_train, x_test (N, Q), t_train, t_test (N, A)  int64 ids
    reverse  whether the ids of the questions stand in reverse order
    pad_id   the id of padding, for a model's `pad_id`; None where a file is padded with blanks
    """

    x_train: Ids
    t_train: Ids
    x_test: Ids
    t_test: Ids
    char_to_id: dict[str, int]
    id_to_char: dict[int, str]
    reverse: bool = False

    @property
    def pad_id(self) -> int | None:
        """The id of padding, see above."""
        return self.char_to_id.get(PAD)

    def reversed(self) -> "SequenceData":
        """The same with the questions (N, Q) turned round, padding first.  Source: book 7.4.1."""
        x_train, x_test = self.x_train[:, ::-1], self.x_test[:, ::-1]
        return self._replace(x_train=x_train, x_test=x_test, reverse=not self.reverse)


def load_data(
    file_name: str | PathLike[str] = "addition.txt",
    seed: int | None = 1984,
    *,
    split: str = "random",
) -> tuple[Pair, Pair]:
    """(x_train, t_train), (x_test, t_test): questions (N, Q) and answers (N, A), int64 ids.

    The arguments, and what is raised, are those of `load`.
    """
    global _last_read
    data = load(file_name, seed=seed, split=split)
    _last_read = data.char_to_id
    return (data.x_train, data.t_train), (data.x_test, data.t_test)


def load(
    file_name: str | PathLike[str] = "addition.txt",
    *,
    seed: int | None = 1984,
    split: str = "random",
) -> SequenceData:
    """Read a file once: its questions and answers, divided, and its characters.

    file_name  a path, or a name to be looked for (see the top of this file)
    seed       0 to 2**32 - 1. The rows are those of the book's loader, but NumPy's global
               generator is left alone; with None it does the shuffling, so that
               `np.random.seed(0)` in a script decides
    split      "random", as in the book: n lines are shuffled, and the last n // 10 are the test
               set. Questions with a test question's answer may stand in training.
               "answer": no answer is on both sides. The distinct answers are shuffled, and the
               last of them, as many as have at most n // 10 questions together (at least one),
               are the answers of the test set; then the questions are shuffled.

    Ids are given by first appearance in the file.
    Raises FileNotFoundError for a missing file, `fetch.DamagedFileError` for one in the cache that
    is not as it was made, and ValueError for another split, for a file with
    one answer only that is to be split by answer, and for a damaged file: text that is not UTF-8,
    or is of another kind (see `text_file.check_kind`), fewer than ten lines, a line without
    question, `_` (or tab) or answer, or widths that change.
    Source: book 7.2.4, 8.3.1.
    """
    if split not in SPLITS:
        raise ValueError(f"load_data: split is {split!r}; it can be 'random' or 'answer'")
    x, t, char_to_id = _read(file_name)
    rng = np.random if seed is None else np.random.RandomState(seed)
    rows, most = np.arange(len(x)), len(x) // HELD_OUT
    if split == "random":
        rng.shuffle(rows)
        train, test = rows[:-most], rows[-most:]
    else:
        _, answer_of, counts = np.unique(t, axis=0, return_inverse=True, return_counts=True)
        if len(counts) == 1:
            raise ValueError(f"load_data: {file_name} has one answer only, split is 'answer'")
        answers = np.arange(len(counts))
        rng.shuffle(answers)
        rng.shuffle(rows)
        fitting = np.count_nonzero(counts[answers[::-1]].cumsum() <= most)
        held_out = answers[-max(1, int(fitting)) :]
        in_test = np.isin(answer_of.reshape(-1)[rows], held_out)  # NumPy 2.0 gives it as (n, 1)
        train, test = rows[~in_test], rows[in_test]
    id_to_char = dict(enumerate(char_to_id))
    return SequenceData(x[train], t[train], x[test], t[test], char_to_id, id_to_char)


def get_vocab(file_name: str | PathLike[str] | None = None) -> Vocabulary:
    """char_to_id and id_to_char of a file; without a name, of the file that was loaded last.

    Raises ValueError if none was loaded, and what `load_data` raises for a file.
    """
    char_to_id = _last_read if file_name is None else _read(file_name)[2]
    if not char_to_id:
        raise ValueError("get_vocab: no file was loaded yet; call load_data first, or name a file")
    return dict(char_to_id), dict(enumerate(char_to_id))


def encode(
    questions: Iterable[str], char_to_id: Mapping[str, int], length: int, *, reverse: bool = False
) -> Ids:
    """Ids (N, length) of questions, padded on the right, then turned round if asked.

    Padding is that of the vocabulary, or else blanks.
    Raises TypeError for a single string, and ValueError for a question that is longer than
    `length` or has a character (a blank, if there is padding) that the vocabulary lacks.
    """
    if isinstance(questions, str):
        raise TypeError(f"encode: questions is the string {questions!r}; a list of them is needed")
    rows = []
    for question in questions:
        if len(question) > length:
            raise ValueError(
                f"encode: {question!r} has {len(question)} characters; {length} are the most"
            )
        padding = PAD if PAD in char_to_id else " "
        padded = [*question, *[padding] * (length - len(question))]
        try:
            rows.append([char_to_id[char] for char in (padded[::-1] if reverse else padded)])
        except KeyError as error:
            raise ValueError(f"encode: {question!r} needs {error}, which has no id") from error
    return np.array(rows, np.int64).reshape(len(rows), length)


@overload
def decode(ids: Sequence[int], id_to_char: Mapping[int, str]) -> str: ...
@overload
def decode(ids: Sequence[Sequence[int]], id_to_char: Mapping[int, str]) -> list[str]: ...
@overload
def decode(ids: ArrayLike, id_to_char: Mapping[int, str]) -> str | list[str]: ...
def decode(ids: ArrayLike, id_to_char: Mapping[int, str]) -> str | list[str]:
    """The string of ids (T,), or the list of strings of ids (N, T); padding stays.

    Raises ValueError for another number of axes, and for an id that the vocabulary lacks.
    """
    try:
        ids = np.asarray(ids)
    except ValueError:
        raise ValueError("decode: rows of ids have one length") from None
    if ids.size and ids.dtype.kind not in "iu":
        raise ValueError(f"decode: ids are integers, not {ids.dtype}")
    if ids.ndim not in (1, 2):
        raise ValueError(f"decode: ids have shape {ids.shape}; (T,) or (N, T) is needed")
    try:
        strings = ["".join(id_to_char[i] for i in row) for row in np.atleast_2d(ids).tolist()]
    except KeyError as error:
        raise ValueError(f"decode: no character has the id {error}") from error
    return strings if ids.ndim == 2 else strings[0]


def _read(file_name: str | PathLike[str]) -> tuple[Ids, Ids, dict[str, int]]:
    """Questions (N, Q), answers (N, A) and char_to_id of a file, in its order; errors as above."""
    path, content = _find(file_name)
    check_kind(path, content)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {number}: not UTF-8 text ({error.reason})") from error
    # U+FEFF is the mark that some editors put first
    text = text.removeprefix("\ufeff").rstrip("\r\n")
    if not text:
        raise ValueError(f"{path} is empty")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    pairs = "\t" in lines[0]
    if pairs:
        lines = _padded(path, lines)
    width, length = lines[0].find("\t" if pairs else "_"), len(lines[0])
    for number, line in enumerate([] if pairs else lines, 1):
        at = line.find("_")
        if not 0 < at < len(line) - 1:
            raise ValueError(
                f"{path}, line {number}: {line[:60]!r} is not a question, '_' and an answer"
            )
        if (at, len(line)) != (width, length):
            raise ValueError(
                f"{path}, line {number}: question and answer have {at} and {len(line) - at} "
                f"characters, not {width} and {length - width} as on line 1; pad them with blanks"
            )
    if len(lines) < HELD_OUT:
        raise ValueError(
            f"{path} has {len(lines)} lines; {HELD_OUT} are the fewest, as one in {HELD_OUT} is "
            "held out for testing"
        )
    # A character is a number of 32 bits, and a table turns all of them into ids at once.
    joined = "".join(lines)
    char_to_id = {char: i for i, char in enumerate(dict.fromkeys(joined))}
    codes = np.frombuffer(joined.encode("utf-32-le"), "<u4").reshape(len(lines), length)
    table = np.zeros(codes.max() + 1, np.int64)
    table[[ord(char) for char in char_to_id]] = range(len(char_to_id))
    ids = table[codes]
    char_to_id = {PAD if char == PLACEHOLDER else char: i for char, i in char_to_id.items()}
    return ids[:, :width], ids[:, width:], char_to_id


def _padded(path: Path, lines: list[str]) -> list[str]:
    """Lines of one length, the tab at one place, of lines with a question, a tab and an answer."""
    pairs = []
    for number, line in enumerate(lines, 1):
        question, answer, *_ = (*map(str.strip, line.split("\t")), "", "")
        if not question or not answer:
            raise ValueError(
                f"{path}, line {number}: {line[:60]!r} is not a question, a tab and an answer, as "
                "line 1 is"
            )
        pairs.append((question, answer))
    width, length = (max(map(len, column)) for column in zip(*pairs, strict=True))
    return [
        question.ljust(width, PLACEHOLDER) + "\t" + answer.ljust(length + 1, PLACEHOLDER)
        for question, answer in pairs
    ]


def _find(file_name: str | PathLike[str]) -> tuple[Path, bytes]:
    """Where a file lies, and what is in it; made if it is one of ours; FileNotFoundError if not."""
    path = fetch.expanded(file_name)
    if os.fspath(file_name) != path.name or path.is_file():
        return path, path.read_bytes()
    folders = fetch.folders()
    for folder in folders:
        there = folder / path
        if there.is_file() and folder == folders[-1] and path.name in FILES:
            return there, fetch.read_checked(there, FILES[path.name])
        if there.is_file():
            return there, there.read_bytes()
    if path.name not in MADE:
        raise FileNotFoundError(
            "\n".join(
                [
                    f"{file_name} was not found.",
                    *(f"  not in    {folder}" for folder in [Path.cwd(), *folders]),
                    f"Only {' and '.join(MADE)} are made where they are missing.",
                ]
            )
        )
    return _make(folders[-1] / path)


def _make(path: Path) -> tuple[Path, bytes]:
    """Write the file of this name, and return what is in it even if it cannot be written."""
    content = "".join(line + "\n" for line in MADE[path.name]()).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may do the same: each has a folder of its own, and moves a whole file.
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            partial = Path(folder) / path.name
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        print(f"{path.name} was made, once: {path}")
    except OSError:
        pass  # no right to write there, or no room: the next call makes the same lines again
    return path, content
