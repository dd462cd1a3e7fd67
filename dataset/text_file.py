"""Any text file as a corpus, in the form that `dataset.ptb` returns Penn Treebank in.

    corpus, word_to_id, id_to_word = text_file.load_data("novel.txt")
    corpus, word_to_id, id_to_word = text_file.load_text("novel.txt")    # not divided
    text_file.load_parts("小説.txt", tokens="characters", min_count=2)

Every line that is not blank is a sentence: its tokens, then `<eos>`. Lines are cut at whitespace,
and nothing else is changed; `dataset.tokens` has other ways to cut them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.fetch import expanded
from dataset.tokens import Cut, cutter

__all__ = [
    "EOS",
    "UNK",
    "Corpus",
    "Parts",
    "check_kind",
    "encode",
    "load_data",
    "load_parts",
    "load_text",
    "load_vocab",
    "number",
    "split_name",
]

EOS = "<eos>"
UNK = "<unk>"
FEWEST = 10  # lines, or else tokens, so that 80/10/10 leaves none of the parts empty
STRANGERS = {  # how files begin that are no text to learn from, and what they seem to be
    rb"\x1f\x8b|PK\x03\x04|BZh\d|\xfd7zXZ": "compressed; unpack it",
    rb"(\xef\xbb\xbf)?\s*(?i:<!doctype html|<html)": "a web page; save its text",
    rb"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the file itself",
    rb"\xff\xfe|\xfe\xff": "UTF-16 text; save it as UTF-8",
}

Corpus = tuple[NDArray[np.int64], dict[str, int], dict[int, str]]


class Parts(NamedTuple):
    """A whole text: ids (N,) of its three parts, and the vocabulary they share."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    word_to_id: dict[str, int]
    id_to_word: dict[int, str]

    def part(self, data_type: str) -> Corpus:
        """One part, ids (N,), word_to_id, id_to_word; ValueError for another name of a part."""
        split = split_name(data_type)
        corpus = {"train": self.train, "valid": self.valid, "test": self.test}[split]
        return corpus, self.word_to_id, self.id_to_word


def load_data(
    path: str | PathLike[str],
    data_type: str = "train",
    *,
    tokens: str | Cut = "words",
    min_count: int = 1,
) -> Corpus:
    """One part of a text file: corpus (N,) int64 ids, word_to_id, id_to_word.

    data_type  "train", "valid" (or "val") or "test"

    Other arguments as for `load_parts`. Raises ValueError for another data_type, and what
    `load_parts` raises.
    """
    split_name(data_type)
    return load_parts(path, tokens=tokens, min_count=min_count).part(data_type)


def load_parts(
    path: str | PathLike[str], *, tokens: str | Cut = "words", min_count: int = 1
) -> Parts:
    """The three parts of a text file and their vocabulary; the file is read once.

    Of n lines that are not blank, training has the first 8n // 10, validation those from there to
    9n // 10, and the test the rest. A text of fewer than ten lines is divided in the same way by
    its tokens. The vocabulary is that of the training part, ids by first appearance, with `<unk>`
    added as the last id if the text has none. Words of the other parts that it lacks become
    `<unk>`.

    tokens     how a line is cut: words, lower or characters, or a function (see `dataset.tokens`)
    min_count  words that training has fewer times become `<unk>` as well. With 2 or more, a model
               can learn where unknown words stand

    Raises ValueError for text that is not UTF-8, for fewer than ten tokens, and for a min_count
    below 1; FileNotFoundError or IsADirectoryError where there is no file; and what
    `tokens.cutter` raises.
    """
    corpus, words, lengths = _read(path, tokens)
    n = len(lengths)
    ends = [*accumulate(lengths)] if n >= FEWEST else [*range(1, len(corpus) + 1)]
    if len(ends) < FEWEST:
        hint = (
            ". Text without blanks is cut with --tokens characters"
            if 0 < 2 * n == len(ends)
            else ""
        )
        raise ValueError(
            f"{path} has {n} lines that are not blank, of {len(corpus)} tokens in all; {FEWEST} "
            "are the fewest that can be divided into 80 % for training and 10 % each for "
            f"validation and test{hint}"
        )
    first, last = (ends[k * len(ends) // 10 - 1] for k in (8, 9))
    corpus, word_to_id, id_to_word = _encoded(corpus, words, first, min_count, always=True)
    return Parts(corpus[:first], corpus[first:last], corpus[last:], word_to_id, id_to_word)


def load_text(
    path: str | PathLike[str], *, tokens: str | Cut = "words", min_count: int = 1
) -> Corpus:
    """All of a text file, as word vectors need no test: corpus (N,), word_to_id, id_to_word.

    tokens, min_count  as for `load_parts`; `<unk>` gets an id only if it occurs
    Raises ValueError for a text without words, and what `load_parts` raises but for short texts.
    """
    corpus, words, _ = _read(path, tokens)
    if not len(corpus):
        raise ValueError(f"{path} has no words")
    return _encoded(corpus, words, len(corpus), min_count)


def load_vocab(
    path: str | PathLike[str], *, tokens: str | Cut = "words", min_count: int = 1
) -> tuple[dict[str, int], dict[int, str]]:
    """word_to_id and id_to_word of the training part; arguments and errors as for `load_data`."""
    return load_data(path, tokens=tokens, min_count=min_count)[1:]


def _read(
    path: str | PathLike[str], tokens: str | Cut
) -> tuple[NDArray[np.int64], list[str], list[int]]:
    """A file's ids (N,) by first appearance, its words by id, and how many tokens each line has."""
    cut, lengths = cutter(tokens), []

    def stream() -> Iterator[str]:
        for line in lines(path):
            sentence = [*cut(line.rstrip("\r\n")), EOS]
            lengths.append(len(sentence))
            yield from sentence

    corpus, word_to_id, _ = number(stream())
    return corpus, list(word_to_id), lengths


def _encoded(
    corpus: NDArray[np.int64], words: list[str], length: int, least: int, always: bool = False
) -> Corpus:
    """The corpus (N,) with `<unk>` for words that its first `length` tokens have too rarely.

    least   how many times they must have a word
    always  give `<unk>` an id even if it does not occur
    """
    if least < 1:
        raise ValueError(f"min_count must be at least 1, not {least}")
    counts = np.bincount(corpus[:length], minlength=len(words)).tolist()
    kept = [
        i
        for i, (word, count) in enumerate(zip(words, counts, strict=True))
        if count >= (1 if word in (EOS, UNK) else least)
    ]
    word_to_id = {words[old]: new for new, old in enumerate(kept)}
    if always or len(kept) < len(words):
        word_to_id.setdefault(UNK, len(kept))
    new_ids = np.full(len(words), word_to_id.get(UNK, -1))
    new_ids[kept] = range(len(kept))
    return new_ids[corpus], word_to_id, {i: word for word, i in word_to_id.items()}


def split_name(data_type: str) -> str:
    """Check the name of a part and read "val" as "valid"; ValueError for an unknown name."""
    if data_type not in ("train", "valid", "val", "test"):
        raise ValueError(
            f"data_type is {data_type!r}; it can be 'train', 'valid' (or 'val') or 'test'"
        )
    return "valid" if data_type == "val" else data_type


def lines(path: str | PathLike[str]) -> Iterator[str]:
    """The lines of a UTF-8 file that are not blank, one at a time, to keep memory small.

    Raises ValueError that names the first byte that is not UTF-8, counted from 0, and what
    `check_kind` raises.
    """
    offset = 0
    with expanded(path).open("rb") as file:
        check_kind(path, file.peek())
        for raw in file:
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path} is not UTF-8 text: byte {offset + error.start} is "
                    f"0x{raw[error.start]:02x} ({error.reason}); save it as UTF-8"
                ) from error
            if offset == 0:
                line = line.removeprefix("\ufeff")  # the byte order mark of some editors
            offset += len(raw)
            if line.strip():
                yield line


def check_kind(path: str | PathLike[str], start: bytes) -> None:
    """ValueError, with what it seems to be, for a file that begins as one of `STRANGERS` does."""
    for pattern, kind in STRANGERS.items():
        if re.match(pattern, start):
            raise ValueError(f"{path} is not a text to read: it seems to be {kind}")


def number(words: Iterable[str]) -> Corpus:
    """Give each word an id, 0, 1, 2, … by first appearance: corpus, word_to_id, id_to_word."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__  # a word looked up for the first time gets the next id
    corpus = encode(words, ids)
    return corpus, dict(ids), dict(enumerate(ids))


def encode(words: Iterable[str], word_to_id: Mapping[str, int]) -> NDArray[np.int64]:
    """The ids of a stream of words, (N,) int64; KeyError names a word that has none."""
    return np.fromiter(map(word_to_id.__getitem__, words), np.int64)
