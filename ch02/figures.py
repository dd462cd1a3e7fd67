"""Print the count tables of chapter 2 and draw its figures, into one folder.

    python -m ch02.figures
    python -m ch02.figures --window-size 2

2-4 to 2-7 tables of counts, 2-8 the idea of SVD, 2-11 words in two dimensions, B-2 words in the
small network of WordNet. Figure 2-12, the beginning of a text, is printed by `ch02.show_ptb`.
Source: book 2.3.4, 2.4.2, 2.4.3, B.3.
"""

from collections.abc import Mapping
from typing import Any

import numpy

from ch02 import count_method_small, thesaurus
from common.cli import run, then
from common.np import Array, to_cpu
from common.plots import MAP, RED, STYLE, axes, colour_bar, heat_map, into
from common.rng import generator
from common.words.similarity import normalize
from common.words.text import create_co_matrix, preprocess, words_to_ids
from dataset.wordnet import small


def main(
    text: str = "You say goodbye and I say hello.",
    window_size: int = 1,
    seed: int = 0,
    folder: str = "figures",
) -> None:
    """Print the tables of counts, draw a projection and the words (book 2.3.4, 2.4.2, 2.4.3).

    text         what to count in
    window_size  how many words to each side are counted
    seed         decides the points of figure 2-8
    folder       where the files go
    """
    corpus, word_to_id, id_to_word = preprocess(text)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    words = list(word_to_id)

    first, second = id_to_word[0], id_to_word[1]
    print(f"figure 2-4: the words within {window_size} of {first!r}")
    print(" ".join(words[i] for i in C[0].nonzero()[0]))
    print(f"\nfigure 2-5: the counts of {first!r}")
    print(table(C[:1], words[:1], words))
    print(f"\nfigure 2-6: the counts of {second!r}")
    print(table(C[1:2], words[1:2], words))
    print("\nfigure 2-7: the co-occurrence matrix")
    print(table(C, words, words))
    print()
    with into(folder):
        plot_projection(correlated_points(seed))
        count_method_small.main(text, window_size=window_size)
        thesaurus.plot_hypernyms([small().synset(f"{word}.n.01") for word in thesaurus.BOOK])
    then("ch02.count_method_big")


def table(numbers: Array, rows: list[str], columns: list[str]) -> str:
    """Numbers (R, C) in aligned columns, with a name for each row and each column."""
    lines = [["", *columns]]
    lines += [[name, *map(str, row)] for name, row in zip(rows, numbers.tolist(), strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def correlated_points(seed: int) -> Array:
    """30 points (30, 2) around the origin that spread four times as far one way as across."""
    z = generator(seed).standard_normal((30, 2)) * [2, 0.5]
    angle = numpy.pi / 6
    turn = [[numpy.cos(angle), numpy.sin(angle)], [-numpy.sin(angle), numpy.cos(angle)]]
    points = z @ turn
    return points - points.mean(axis=0)


def project(points: Array) -> tuple[Array, Array]:
    """The direction (2,) in which points (N, 2) spread most, and their place (N,) along it.

    It is the first right singular vector, with the sign that makes it point to the right.
    """
    _, _, Vt = numpy.linalg.svd(points, full_matrices=False)
    direction = Vt[0] if Vt[0, 0] > 0 else -Vt[0]
    return direction, points @ direction


def plot_projection(points: Array) -> None:
    """Figure 2-8: points (N, 2), two numbers for each, and the one that says most of both."""
    direction, along = project(points)
    feet = along[:, None] * direction
    end = 1.15 * abs(along).max()

    how = {"ncols": 2, "figsize": (9, 3.8), "sharex": True, "sharey": True}
    with axes("fig_2_8_projection.png", **how) as (left, right):
        left.scatter(*points.T, alpha=0.6)
        left.set(title="two numbers for each point", ylabel="second number")
        ends = numpy.outer([-end, end], direction)
        right.plot(*ends.T, color=RED, label="new axis: first singular vector")
        for point, foot in zip(points, feet, strict=True):
            right.plot(*zip(point, foot, strict=True), color="lightgray", linewidth=1, zorder=0)
        right.scatter(*points.T, alpha=0.2)
        right.scatter(*feet.T, s=20, color=RED, zorder=3)
        right.set_title("one number: the place on the new axis")
        right.legend(loc="lower right")
        for ax in (left, right):
            ax.axhline(0, color="lightgray", linewidth=1, zorder=0)
            ax.axvline(0, color="lightgray", linewidth=1, zorder=0)
            ax.set_aspect("equal")
            ax.set_xlabel("first number")


def plot_cosines(found: Mapping[str, Array], words: list[str], word_to_id: dict[str, int]) -> None:
    """How alike words are: a map of cosines, -1 to 1, for each matrix (V, D) of vectors, by title.

    Raises KeyError for a word that is not in the vocabulary.
    """
    ids = words_to_ids(words, word_to_id)
    size = {"ncols": len(found), "figsize": (4 * len(found), 4.6), "squeeze": False}
    with axes("cosines.png", style=STYLE | MAP, **size) as ((*maps,),):
        for ax, (title, vectors) in zip(maps, found.items(), strict=True):
            rows = normalize(to_cpu(vectors)[ids].astype("float32"))
            image = heat_map(rows @ rows.T, ax, limits=(-1, 1))
            ax.set_title(title)
            ax.set_aspect("equal")
            how: dict[str, Any] = {"fontsize": 9, "parse_math": False}  # $ is a word
            ax.set_xticks(range(len(ids)), words, rotation=90, **how)
            ax.set_yticks(range(len(ids)), words, **how)
        colour_bar(image, maps, "cosine")


if __name__ == "__main__":
    run(main)
