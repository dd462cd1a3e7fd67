"""Any text file as a corpus, in the form that `dataset.ptb` returns Penn Treebank in.

    corpus, word_to_id, id_to_word = text_file.load_data("novel.txt")

Every line that is not blank is a sentence: its words, which are what whitespace separates, then
`<eos>`. Nothing is lower-cased and no punctuation is cut off: prepare the file as you want it read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, chain
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EOS = "<eos>"
UNK = "<unk>"
FEWEST_LINES = 10  # so that 80/10/10 leaves none of the parts empty

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


def load_data(path: str | PathLike[str], data_type: str = "train") -> Corpus:
    """One part of a text file: corpus (N,) int64 ids, word_to_id, id_to_word.

    data_type  "train", "valid" (or "val") or "test"

    Raises ValueError for another data_type, and what `load_parts` raises.
    """
    split_name(data_type)
    return load_parts(path).part(data_type)


def load_parts(path: str | PathLike[str]) -> Parts:
    """The three parts of a text file and their vocabulary; the file is read once.

    Of n lines that are not blank, training has the first 8n // 10, validation those from there to
    9n // 10, and the test the rest. The vocabulary is that of the training part, ids by first
    appearance, with `<unk>` added as the last id if the text has none. Words of the other parts
    that it lacks become `<unk>`.

    Raises ValueError for text that is not UTF-8 and for fewer than ten lines; FileNotFoundError or
    IsADirectoryError where there is no file.
    """
    lengths = []

    def words() -> Iterator[str]:
        for line in lines(path):
            sentence = [*line.split(), EOS]
            lengths.append(len(sentence))
            yield from sentence

    corpus, word_to_id, id_to_word = number(words())
    n = len(lengths)
    if n < FEWEST_LINES:
        raise ValueError(
            f"{path} has {n} lines that are not blank; {FEWEST_LINES} are the fewest that can be "
            "divided into 80 % for training and 10 % each for validation and test"
        )
    ends = [*accumulate(lengths)]
    first, last = ends[8 * n // 10 - 1], ends[9 * n // 10 - 1]
    known = int(corpus[:first].max()) + 1  # words that come later have higher ids
    id_to_word = {i: id_to_word[i] for i in range(known)}
    word_to_id = {word: i for i, word in id_to_word.items()}
    unknown = word_to_id.setdefault(UNK, known)
    id_to_word[unknown] = UNK
    corpus[corpus >= known] = unknown
    return Parts(corpus[:first], corpus[first:last], corpus[last:], word_to_id, id_to_word)


def load_vocab(path: str | PathLike[str]) -> tuple[dict[str, int], dict[int, str]]:
    """word_to_id and id_to_word of the training part; errors as for `load_data`."""
    return load_data(path)[1:]


def split_name(data_type: str) -> str:
    """Check the name of a part and read "val" as "valid"; ValueError for an unknown name."""
    if data_type not in ("train", "valid", "val", "test"):
        raise ValueError(
            f"data_type is {data_type!r}; it can be 'train', 'valid' (or 'val') or 'test'"
        )
    return "valid" if data_type == "val" else data_type


def lines(path: str | PathLike[str]) -> Iterator[str]:
    """The lines of a UTF-8 file that are not blank, one at a time, to keep memory small.

    Raises ValueError that names the first byte that is not UTF-8, counted from 0.
    """
    offset = 0
    with Path(path).open("rb") as file:
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


def tokens(sentences: Iterable[str]) -> Iterator[str]:
    """The words of each sentence, then `<eos>`, as one stream."""
    return chain.from_iterable([*sentence.split(), EOS] for sentence in sentences)


def number(words: Iterable[str]) -> Corpus:
    """Give each word an id, 0, 1, 2, … by first appearance: corpus, word_to_id, id_to_word."""
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__  # a word looked up for the first time gets the next id
    corpus = encode(words, ids)
    return corpus, dict(ids), dict(enumerate(ids))


def encode(words: Iterable[str], word_to_id: Mapping[str, int]) -> NDArray[np.int64]:
    """The ids of a stream of words, (N,) int64; KeyError names a word that has none."""
    return np.fromiter(map(word_to_id.__getitem__, words), np.int64)
