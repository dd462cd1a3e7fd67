"""What a thesaurus says of words, and how far learned vectors agree with it.

    python -m ch02.thesaurus
    python -m ch02.thesaurus --query "cat dog boat" --database small

Prints senses, definitions, hypernyms and similarities of WordNet, and draws figure B-2: from the
whole database where it is on this machine, otherwise from the small network that ships (see
`dataset/wordnet.py`).
Source: book 2.2, appendix B.
"""

import math
from collections import defaultdict
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

from common.cli import run, then
from common.np import Array
from common.plots import show
from common.words.evaluation import spearman, spelling, unit
from common.words.evaluation_files import Pair, read_similarities
from common.words.vector_files import load_vectors
from dataset import wordnet
from dataset.wordnet import Synset, WordNet

CH04 = Path(__file__).parent.parent / "ch04"
BOOK = ("car", "novel", "dog", "motorcycle")
MOST = 12  # words in a figure


class Agreement(NamedTuple):
    """Spearman's rho of three rankings of pairs, two at a time, and how many pairs were ranked."""

    path_and_cosine: float
    path_and_people: float
    cosine_and_people: float
    answered: int
    asked: int


def main(
    query: str = " ".join(BOOK),
    database: str | None = None,
    vectors: str = str(CH04 / "vectors" / "cbow.npz"),
    similarities: str = str(CH04 / "similarities.tsv"),
    plot: bool = True,
) -> Agreement:
    """Print what WordNet has about words, draw what is above them, compare it with vectors.

    query         words, with blanks between, to describe and to compare the first of them with the
                  others (book B.2 to B.4)
    database      folder of WordNet 3.0, or small; if not given, the folder is searched in the usual
                  places, and the small network is used where there is none
    vectors       file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe,
                  fastText
    similarities  file of pairs of words with people's scores
    plot          whether to draw figure B-2
    """
    net = wordnet.small() if database == "small" else wordnet.load(database)
    words = query.split()
    if not 1 <= len(words) <= MOST:
        raise ValueError(f"thesaurus: query has {len(words)} words; 1 to {MOST} are needed")
    senses = {word: net.synsets(word) for word in words}
    first, *others = firsts = list(dict.fromkeys(found[0] for found in senses.values()))
    word_vecs, word_to_id, _ = load_vectors(vectors)
    agreement = compare(net, read_similarities(similarities), word_vecs, word_to_id)

    print(f"{net}\n")
    for word, found in senses.items():
        print(f"synsets of {word}: {', '.join(map(Synset.name, found))}")
    print(f"\ndefinition of {first.name()}: {first.definition()}")
    print("lemma names:", ", ".join(first.lemma_names()))
    for path in first.hypernym_paths():
        print("hypernym path:", ", ".join(map(Synset.name, path)))
    if others:
        print(f"\n{first.name() + ' and':<24} path                 Wu-Palmer  Leacock-Chodorow")
    for other in others:
        wup, lch = first.wup_similarity(other), first.lch_similarity(other)
        print(f"{other.name():<24} {first.path_similarity(other):<20} {wup:9.3f} {lch:17.3f}")
    print(f"\nSpearman's rho, {agreement.answered} of {agreement.asked} pairs of words")
    for name, rho in agreement._asdict().items():
        if name.startswith(("path", "cosine")):
            print(f"{name.replace('_', ' '):<24} {'-' if math.isnan(rho) else f'{rho:.3f}'}")
    if plot:
        plot_hypernyms(firsts)
    then("ch02.count_method_small")
    return agreement


def similarity(net: WordNet, a: str, b: str) -> float:
    """The path similarity of the two closest senses of two words.

    Raises KeyError for a word without a synset.
    """
    return max(x.path_similarity(y) for x in net.synsets(a) for y in net.synsets(b))


def compare(
    net: WordNet, pairs: list[Pair], word_vecs: Array, word_to_id: dict[str, int]
) -> Agreement:
    """Rank pairs of words by path similarity, by cosine and by people, and compare the rankings.

    pairs      (word1, word2, score), as `read_similarities` gives them; those are left out of which
               a word is no noun in the network or has no vector
    word_vecs  (V, D)
    """
    vecs = unit(word_vecs)
    ranked = []
    for a, b, score in pairs:
        ids = [word_to_id[form] for word in (a, b) if (form := spelling(word, word_to_id))]
        if len(ids) == 2 and a in net and b in net:
            ranked.append((similarity(net, a, b), float(vecs[ids[0]] @ vecs[ids[1]]), score))
    if not ranked:
        return Agreement(math.nan, math.nan, math.nan, 0, len(pairs))
    path, cosine, people = zip(*ranked, strict=True)
    rhos = spearman(path, cosine), spearman(path, people), spearman(cosine, people)
    return Agreement(*rhos, len(ranked), len(pairs))


def plot_hypernyms(synsets: list[Synset]) -> None:
    """Figure B-2: synsets and all that is above them, the first path to each in its own colour.

    Dashed lines lead to hypernyms that are on no such path.
    """
    import matplotlib.pyplot as plt

    at = places(synsets)
    deepest = max(y for _, y in at.values())
    plt.figure(figsize=(3 + 1.8 * len({x for x, _ in at.values()}) ** 0.8, 1 + 0.45 * deepest))
    for node in at:
        for above in node.hypernyms():
            plt.plot(*zip(at[above], at[node], strict=True), "--", color="gray", linewidth=1)
    for k, synset in enumerate(synsets):
        width = 2 + 2 * (len(synsets) - 1 - k)  # so that shared edges show every colour
        for edge in pairwise(synset.hypernym_paths()[0]):
            plt.plot(*zip(*(at[node] for node in edge), strict=True), f"C{k}", linewidth=width)
    for node, (x, y) in at.items():
        weight = "bold" if node in synsets else "normal"
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "lightgray"}
        plt.text(x, y, node.name(), ha="center", va="center", fontsize=8, weight=weight, bbox=box)
    plt.gca().invert_yaxis()
    plt.axis("off")
    plt.margins(0.1, 0.02)
    show("fig_b_2_hypernyms.png")


def places(synsets: list[Synset]) -> dict[Synset, tuple[float, float]]:
    """Where synsets and their hypernyms stand: x, and y, the depth, from 0 downwards.

    Each stands below its first hypernym, and over the middle of what stands below itself.
    """
    paths = [path for synset in synsets for path in synset.hypernym_paths()]
    nodes = dict.fromkeys(node for path in paths for node in path)
    below = defaultdict(list)
    for node in nodes:
        for above in node.hypernyms()[:1]:
            below[above].append(node)
    columns, at = count(), {}

    def place(node: Synset) -> float:
        xs = [place(lower) for lower in below[node]]
        x = (xs[0] + xs[-1]) / 2 if xs else float(next(columns))
        at[node] = (x, float(node.max_depth()))
        return x

    for node in nodes:
        if not node.hypernyms():
            place(node)
    return at


if __name__ == "__main__":
    run(main)
