"""The nouns of WordNet: synsets, their hypernyms, and how similar they are.

    from dataset import wordnet

    wordnet.synsets("car")                        [car.n.01, car.n.02, ...]
    car, dog = wordnet.synset("car.n.01"), wordnet.synset("dog.n.01")
    car.definition(), car.lemma_names(), car.hypernym_paths(), car.path_similarity(dog)

A synset is one meaning, with the words (lemmas) that have it. Its hypernyms are more general
synsets. A name such as car.n.01 is a lemma, n for noun, and the number of the sense.

    load     the database of WordNet 3.0 where it is on this machine, otherwise the small network
    small    the small network that ships, enough for what the book prints

The database is free under a licence of its own, and not part of this package; on Debian and Ubuntu
`apt install wordnet-base` brings it. Of its files, the two for nouns are read. They are searched
when a synset is asked for, and everything found is checked.
Source: book 2.2, appendix B; the format of the files: wndb(5WN).
"""

import math
import re
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache, cached_property
from os import PathLike
from pathlib import Path
from typing import TypeVar

from dataset.fetch import expanded, folders

__all__ = ["FILES", "SMALL", "Synset", "WordNet", "find", "load", "small", "synset", "synsets"]

VERSION = "3.0"
SMALL = Path(__file__).with_name("wordnet.tsv")
FILES = ("index.noun", "data.noun")
PLACES = (
    Path(sys.prefix) / "share" / "wordnet",
    Path("/usr/share/wordnet"),  # Debian, Ubuntu
    Path("/usr/local/WordNet-3.0/dict"),  # Princeton's archive
    Path("~/nltk_data/corpora/wordnet"),
)
DEEPEST = 100  # edges of a hypernym path; WordNet has 19
MOST_PATHS = 1000  # from the root to one synset

HEADER = re.compile(rb"^  \d+ WordNet (\S+) Copyright", re.MULTILINE)
DATA = re.compile(  # offset, file, type, lemmas after their count, pointers after theirs, gloss
    rb"(\d{8}) \d\d n ([\da-f]{2})((?: \S+ [\da-f])+)"
    rb" (\d{3})((?: \S+ \d{8} [nvars] [\da-f]{4})*) \| (.*)"
)
HYPERNYM = re.compile(rb" @i? (\d{8}) n(?= )")

Node = TypeVar("Node", bound=Hashable)


class Synset:
    """One meaning of nouns.  Methods have the names that NLTK gives them, similarities its values.

    d is the number of edges between two synsets, by the shortest way over a common hypernym.
    """

    def __init__(
        self, net: "WordNet", name: str, lemmas: Sequence[str], above: Sequence[int], gloss: str
    ) -> None:
        """The synset of a network, with the keys of its hypernyms."""
        self._net, self._name, self._lemmas, self._gloss = net, name, lemmas, gloss
        self._keys = above

    def __repr__(self) -> str:
        return f"Synset({self._name!r})"

    def name(self) -> str:
        """Such as car.n.01: its first lemma, n for noun, and which sense of that lemma it is."""
        return self._name

    def definition(self) -> str:
        """What it means, for people to read."""
        return self._gloss

    def lemma_names(self) -> list[str]:
        """The words that have this meaning, with _ for blanks."""
        return list(self._lemmas)

    def hypernyms(self) -> list["Synset"]:
        """The synsets right above it, by name; those that it is an instance of are among them.

        Raises ValueError for a damaged database.
        """
        return list(self._hypernyms)

    @cached_property
    def _hypernyms(self) -> list["Synset"]:
        return sorted(map(self._net._synset, self._keys), key=Synset.name)

    def hypernym_paths(self) -> list[list["Synset"]]:
        """Every path from a root down to this synset.

        Raises ValueError for a damaged database, such as one whose hypernyms form a cycle.
        """
        self.max_depth()  # raises for a cycle
        return self._paths()

    def _paths(self) -> list[list["Synset"]]:
        paths = [[*path, self] for above in self._hypernyms for path in above._paths()]
        if len(paths) > MOST_PATHS:
            raise ValueError(f"{self._net}: {self._name} has over {MOST_PATHS} hypernym paths")
        return paths or [[self]]

    def max_depth(self) -> int:
        """Edges of its longest hypernym path; errors as for `hypernym_paths`."""
        return _longest([self], lambda synset: synset._hypernyms, self._net)

    def min_depth(self) -> int:
        """Edges of its shortest hypernym path; errors as for `hypernym_paths`."""
        self.max_depth()  # raises for a cycle
        return min(d for above, d in self._distances.items() if not above._keys)

    @cached_property
    def _distances(self) -> dict["Synset", int]:
        """Edges to itself, 0, and to every synset above it."""
        found: dict[Synset, int] = {}
        level, d = [self], 0
        while level:
            found |= dict.fromkeys(level, d)
            above = dict.fromkeys(synset for lower in level for synset in lower._hypernyms)
            level, d = [synset for synset in above if synset not in found], d + 1
        return found

    def _common(self, other: "Synset") -> list["Synset"]:
        """Their common hypernyms, a synset counted among its own."""
        found = [synset for synset in self._distances if synset in other._distances]
        if not found:
            a, b = (f"{synset._name} of {synset._net}" for synset in (self, other))
            raise ValueError(f"Synset: {a} and {b} have no common hypernym")
        return found

    def shortest_path_distance(self, other: "Synset") -> int:
        """d.

        Raises ValueError for synsets without a common hypernym, as those of two networks are.
        """
        return min(self._distances[s] + other._distances[s] for s in self._common(other))

    def path_similarity(self, other: "Synset") -> float:
        """1 / (1 + d), at most 1; errors as for `shortest_path_distance`.  Source: book B.4."""
        return 1 / (1 + self.shortest_path_distance(other))

    def lowest_common_hypernym(self, other: "Synset") -> "Synset":
        """The common hypernym with the largest `min_depth`.

        Of several, this synset itself if it is one, or else the first by name.
        Raises ValueError as `shortest_path_distance` does.
        """
        return min(self._common(other), key=lambda s: (-s.min_depth(), s is not self, s.name()))

    def wup_similarity(self, other: "Synset") -> float:
        """2 D / (D + d1 + D + d2), at most 1.

        D is the number of nodes on the longest path from the root to the lowest common hypernym,
        d1 and d2 are its distances d to the two synsets.
        Raises ValueError as `shortest_path_distance` does.
        Source: Wu and Palmer 1994, https://aclanthology.org/P94-1019/
        """
        common = self.lowest_common_hypernym(other)
        D = common.max_depth() + 1
        d1, d2 = (synset.shortest_path_distance(common) for synset in (self, other))
        return 2 * D / (D + d1 + D + d2)

    def lch_similarity(self, other: "Synset") -> float:
        """-ln((d + 1) / (2 L)), where L is the `deepest` of the network; at most ln(2 L).

        Raises ValueError as `shortest_path_distance` does.
        Source: Leacock and Chodorow 1998.
        """
        return -math.log((self.shortest_path_distance(other) + 1) / (2 * self._net.deepest))


class WordNet:
    """A network of nouns.  `word in net` tells whether a word has a synset.

    Keys of synsets are numbers; those who inherit tell what `_senses`, `_read` and `_edges` find.
    """

    hint = ""  # what to do about a word that is not there

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[int, Synset] = {}

    def __repr__(self) -> str:
        return self._name

    def __contains__(self, word: str) -> bool:
        return bool(self._senses(_lemma(word)))

    def synsets(self, word: str) -> list[Synset]:
        """All senses of a word, in any case, the most frequent first.

        Raises KeyError for a word that has none, and ValueError for a damaged database.
        """
        if keys := self._senses(_lemma(word)):
            return [self._synset(key) for key in keys]
        raise KeyError(f"synsets: {word!r} is no noun in {self}{self.hint}")

    def synset(self, name: str) -> Synset:
        """The synset of a name such as car.n.01.

        Raises KeyError if there is none of this name, and ValueError for a damaged database.
        """
        for synset in map(self._synset, self._senses(name.partition(".n.")[0])):
            if synset.name() == name:
                return synset
        raise KeyError(f"synset: {name!r} is not in {self}{self.hint}")

    @cached_property
    def deepest(self) -> int:
        """Edges of the longest hypernym path of all synsets.

        The first call reads all of them, which takes a fraction of a second.
        Raises ValueError for a damaged database, such as one in which nothing is below a root.
        """
        below, roots = defaultdict(list), []
        for key, above in self._edges():
            for hypernym in above:
                below[hypernym].append(key)
            if not above:
                roots.append(key)
        if edges := _longest(roots, lambda key: below.get(key, ()), self):
            return edges
        raise ValueError(f"{self}: no synset is below a root")

    def nouns(self) -> list[str]:
        """All lemmas, in lower case, with _ for blanks."""
        raise NotImplementedError

    def _synset(self, key: int) -> Synset:
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def _senses(self, lemma: str) -> Sequence[int]:
        """The keys of the synsets of a lemma; none if there is no such lemma."""
        raise NotImplementedError

    def _read(self, key: int) -> Synset:
        """The synset of a key."""
        raise NotImplementedError

    def _edges(self) -> Iterable[tuple[int, Sequence[int]]]:
        """The key of every synset, with those of its hypernyms."""
        raise NotImplementedError


def _lemma(word: str) -> str:
    return "_".join(word.lower().split())


def _longest(level: Iterable[Node], after: Callable[[Node], Iterable[Node]], net: WordNet) -> int:
    """Edges of the longest path from any of the nodes; ValueError if it is longer than DEEPEST."""
    for edges in range(DEEPEST + 1):
        level = {following for node in level for following in after(node)}
        if not level:
            return edges
    raise ValueError(f"{net}: hypernyms form a cycle, or a path of more than {DEEPEST} edges")


# --- The small network ---------------------------------------------------------------------------


class _Small(WordNet):
    """Lines of name, lemmas, names of the hypernyms, and definition, with tabs between."""

    hint = "; WordNet has 117,798 nouns (on Debian and Ubuntu: apt install wordnet-base)"

    def __init__(self) -> None:
        super().__init__("the small network")
        lines = SMALL.read_text(encoding="utf-8").splitlines()
        self.rows = [line.split("\t") for line in lines if not line.startswith("#")]
        self.keys = {name: key for key, (name, *_) in enumerate(self.rows)}
        self.senses = defaultdict(list)
        for key, (_, lemmas, *_) in enumerate(self.rows):
            for lemma in lemmas.lower().split():
                self.senses[lemma].append(key)

    def nouns(self) -> list[str]:
        return list(self.senses)

    def _senses(self, lemma: str) -> Sequence[int]:
        return self.senses.get(lemma, ())

    def _read(self, key: int) -> Synset:
        name, lemmas, _, gloss = self.rows[key]
        return Synset(self, name, lemmas.split(), self._above(key), gloss)

    def _edges(self) -> Iterable[tuple[int, Sequence[int]]]:
        return ((key, self._above(key)) for key in range(len(self.rows)))

    def _above(self, key: int) -> list[int]:
        return [self.keys[name] for name in self.rows[key][2].split()]


@cache
def small() -> WordNet:
    """The small network that ships."""
    return _Small()


# --- The database --------------------------------------------------------------------------------


class _Database(WordNet):
    """The files index.noun and data.noun.  The key of a synset is the offset of its line."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"WordNet {VERSION} in {folder}")
        self.folder = folder
        self.index, self.data = (_checked(folder / file) for file in FILES)

    def nouns(self) -> list[str]:
        lines = self.index.split(b"\n")
        return [_lemma_of(line).decode(errors="replace") for line in lines if _lemma_of(line)]

    def _senses(self, lemma: str) -> Sequence[int]:
        word = lemma.encode(errors="replace")
        places = range(len(self.index))  # whose lines are sorted by lemma
        at = bisect_left(places, word, key=lambda at: _lemma_of(_line(self.index, at)))
        line = _line(self.index, at)
        if not word or _lemma_of(line) != word:
            return ()
        try:  # lemma, part of speech, count, pointers after their count, two counts, offsets
            _, pos, senses, pointers, *rest = line.split()
            keys = [int(key) for key in rest[int(pointers) + 2 :]]
        except ValueError:
            raise self._damaged("index.noun", at) from None
        if pos != b"n" or b"%d" % len(keys) != senses:
            raise self._damaged("index.noun", at)
        return keys

    def _read(self, key: int) -> Synset:
        match = DATA.fullmatch(_line(self.data, key))
        if not match or int(match[1]) != key:
            raise self._damaged("data.noun", key)
        lemmas = match[3].decode(errors="replace").split()[::2]
        if len(lemmas) != int(match[2], 16) or len(match[5].split()) != 4 * int(match[4]):
            raise self._damaged("data.noun", key)
        senses = self._senses(lemmas[0].lower())
        if key not in senses:
            raise ValueError(f"wordnet: {self.folder / 'index.noun'} lacks a sense of {lemmas[0]}")
        name = f"{lemmas[0].lower()}.n.{senses.index(key) + 1:02}"
        gloss = match[6].decode(errors="replace").partition('; "')[0].strip()  # without examples
        return Synset(self, name, lemmas, _above(match[5]), gloss)

    def _edges(self) -> Iterable[tuple[int, Sequence[int]]]:
        at = 0
        for line in self.data.split(b"\n"):
            if line and not line.startswith(b"  "):  # which is the licence
                if line[:9] != b"%08d " % at:
                    raise self._damaged("data.noun", at)
                yield at, _above(line.partition(b" | ")[0])
            at += len(line) + 1

    def _damaged(self, file: str, at: int) -> ValueError:
        return ValueError(f"wordnet: {self.folder / file} is damaged at byte {at}")


def _line(content: bytes, at: int) -> bytes:
    """The line around a byte."""
    end = content.find(b"\n", at)
    return content[content.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(content)]


def _lemma_of(line: bytes) -> bytes:
    return line.partition(b" ")[0]


def _above(pointers: bytes) -> list[int]:
    return [int(key) for key in HYPERNYM.findall(pointers)]


def _checked(path: Path) -> bytes:
    """The content of a file of the database, if it is one, and of the right version."""
    if not path.is_file():
        raise FileNotFoundError(
            f"wordnet: {path} is missing; the database is the files {' and '.join(FILES)} in one "
            "folder"
        )
    content = path.read_bytes()
    version = HEADER.search(content, 0, 4096)
    if not version or version[1].decode(errors="replace") != VERSION:
        what = f"of WordNet {version[1].decode(errors='replace')}" if version else "not WordNet's"
        raise ValueError(f"wordnet: {path} is {what}; WordNet {VERSION} is needed")
    if not content.endswith(b"\n"):
        raise ValueError(f"wordnet: {path} is cut off: its last line has no end")
    return content


@cache
def _database(folder: Path) -> WordNet:
    return _Database(folder)


def find() -> Path | None:
    """The folder of the database, or None.

    It is, or is the folder `wordnet` in, one that `fetch.folders` names (DLFS2_DATA first), or else
    one of PLACES. A folder with one of its two files counts, so that `load` can tell what it lacks.
    Raises FileNotFoundError if DLFS2_DATA is no folder.
    """
    places = [place for folder in folders() for place in (folder, folder / "wordnet")]
    for place in [*places, *map(expanded, PLACES)]:
        if any((place / file).exists() for file in FILES):
            return place
    return None


def load(folder: str | PathLike[str] | None = None) -> WordNet:
    """The database in a folder; if none is named, that of `find`, or else the small network.

    Raises FileNotFoundError if a file is missing, ValueError for one that is not of WordNet 3.0.
    """
    place = find() if folder is None else expanded(folder)
    return _database(place) if place else small()


def synsets(word: str) -> list[Synset]:
    """All senses of a word in the network of `load`; errors as for it and `WordNet.synsets`."""
    return load().synsets(word)


def synset(name: str) -> Synset:
    """The synset of a name in the network of `load`; errors as for it and `WordNet.synset`."""
    return load().synset(name)
