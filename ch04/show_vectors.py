"""Pictures of word vectors in two dimensions, and the parallelogram of figure 4-20.

    python -m ch04.show_vectors
    python -m ch04.show_vectors --analogy "france paris japan tokyo"
    python -m ch04.show_vectors --method tsne --words "car truck toyota ford monday friday"

Source: book 4.3.3.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy

from ch04.eval import SHIPPED
from common.cli import run, then
from common.np import Array
from common.plots import BLUE, RED, axes, make_readable
from common.words.evaluation import unit
from common.words.queries import words_to_ask
from common.words.vector_files import load_vectors, read_counts

WORDS = (
    "he she we they you car truck toyota ford honda bank loan credit savings monday tuesday friday "
    "january june december week month year dog cat animal japan germany france britain tokyo paris "
    "london doctor hospital patient lawyer judge court"
)
METHODS = ("pca", "tsne")
SPOTS = numpy.array(  # where a word may stand, in points from its dot, best first
    [
        (far * x, far * y)
        for far in (6, 12, 20, 30, 42, 56)
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
    ]
)


def pca(x: Array, dims: int = 2) -> Array:
    """Project points on the directions in which they spread most.  x (N, D) -> (N, dims)

    x - mean = U S V^T, and the coordinates are the first columns of U S. The decomposition leaves
    the sign of a column open: here the coordinate of largest size is positive.
    Raises ValueError for fewer than `dims` points, or numbers in a vector.
    """
    if min(x.shape) < dims:
        raise ValueError(f"pca: points of shape {x.shape} do not have {dims} directions")
    U, S, _ = numpy.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    y = (U * S)[:, :dims]
    return y * numpy.where(y.max(axis=0) < -y.min(axis=0), -1, 1)


def tsne(x: Array, seed: int = 0) -> Array:
    """A map on which near points stay near; far distances mean little.  x (N, D) -> (N, 2)

    Raises ValueError for fewer than 4 points.
    Source: van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(x) < 4:
        raise ValueError(f"tsne: a map needs 4 points or more, not {len(x)}")
    perplexity = min(30, (len(x) - 1) / 3)  # scikit-learn's default, or what a few points allow
    with threadpool_limits(1):  # on few points, threads mostly wait for each other
        y: Array = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
    return y


def label(points: Array, words: Sequence[str], ax: Any, avoid: Array | None = None) -> None:
    """Write each word beside its dot, in the first spot where it covers least.

    points (N, 2)  where the dots are
    avoid (M, 2)   what else not to cover
    """
    from matplotlib.text import Text

    ax.figure.canvas.draw()  # fixes the limits of the axes, and so where dots are on the page
    dots = ax.transData.transform(points)  # in pixels
    others = dots if avoid is None else numpy.vstack([dots, ax.transData.transform(avoid)])
    taken = numpy.hstack([others - 5, others + 5])  # left, bottom, right, top of what is there
    side = numpy.sign(SPOTS)
    line = {"arrowstyle": "-", "color": "0.7", "shrinkA": 0, "shrinkB": 3}
    how: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "arrowprops": line}
    how["parse_math"] = False  # $ is a word
    pairs = zip(words, points, strict=True)
    notes = [ax.annotate(word, point, (0, 0), **how) for word, point in pairs]
    make_readable(ax)  # before words are measured
    for dot, note in zip(dots, notes, strict=True):
        size = Text.get_window_extent(note).size  # of the word without its line
        corners = dot + SPOTS * ax.figure.dpi / 72 - size * (1 - side) / 2
        boxes = numpy.hstack([corners, corners + size])
        best = _covered(boxes, taken).argmin()
        x, y = side[best]
        note.set(
            position=SPOTS[best],
            horizontalalignment=("center", "left", "right")[x],
            verticalalignment=("center", "bottom", "top")[y],
        )
        taken = numpy.vstack([taken, boxes[best]])


def _covered(boxes: Array, taken: Array) -> Array:
    """The area that each box (M, 4) shares with the boxes taken (K, 4) -> (M,)"""
    a, b = boxes[:, None], taken
    sides = numpy.minimum(a[..., 2:], b[:, 2:]) - numpy.maximum(a[..., :2], b[:, :2])
    return sides.clip(0).prod(axis=2).sum(axis=1)


def plot_words(
    points: Array, words: Sequence[str], path: str = "word_vectors.png", ax: Any = None
) -> Any:
    """Dots (N, 2) with their words beside them -> the axes."""
    with axes(path, ax, figsize=(8, 6)) as ax:
        ax.scatter(points[:, 0], points[:, 1], s=12)
        ax.margins(0.12)
        ax.set(xlabel="first direction", ylabel="second direction")
        label(points, words, ax)
    return ax


def plot_analogy(points: Array, words: Sequence[str], path: str, ax: Any = None) -> Any:
    """Arrows from the first word to the second and from the third to the fourth (figure 4-20).

    points (4, 2) -> the axes
    """
    with axes(path, ax, figsize=(6, 4.5)) as ax:
        ax.scatter(points[:, 0], points[:, 1], s=12)
        ax.margins(0.2)
        ax.set_aspect("equal", adjustable="datalim")  # equal arrows must look equal
        ax.set(xlabel="first direction", ylabel="second direction")
        for start, end, color in ((0, 1, BLUE), (2, 3, RED)):
            arrow = {"arrowstyle": "->", "color": color, "shrinkA": 3, "shrinkB": 3, "lw": 1.5}
            ax.annotate("", points[end], xytext=points[start], arrowprops=arrow)
        arrows = numpy.linspace(points[::2], points[1::2], 30)  # (30, 2, 2), points along both
        label(points, words, ax, avoid=arrows.reshape(-1, 2))
    return ax


def main(
    vectors: str = str(SHIPPED),
    words: str | None = None,
    analogy: str = "man woman king queen",
    method: Annotated[str, METHODS] = "pca",
    limit: int | None = None,
    seed: int = 0,
) -> None:
    """Draw words by the directions of their vectors; and two arrows, if all their words are known.

    vectors  file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe, fastText
    words    the words to draw, with blanks between; unknown ones are left out and named. If not
             given, forty of Penn Treebank, or frequent words where the vectors lack these
    analogy  four words for the two arrows, with blanks between (book 4.3.1)
    method   pca, a projection, or tsne, a map of neighbours
    limit    use only the first so many words of the file; all if not given
    seed     decides the random choices of tsne
    """
    if len(analogy.split()) != 4:
        raise ValueError(f"show_vectors: analogy is four words, not {analogy!r}")
    if method not in METHODS:
        raise ValueError(f"show_vectors: the method is pca or tsne, not {method!r}")
    word_vecs, word_to_id, _ = load_vectors(vectors, limit=limit)
    counts = read_counts(vectors, limit=limit)
    asked = words_to_ask(words, WORDS.split(), word_to_id, counts)
    unknown = [word for word in asked if word not in word_to_id]
    if unknown:
        print("not in the vocabulary:", *unknown)
    known = [word for word in asked if word in word_to_id]
    x = unit(word_vecs[[word_to_id[word] for word in known]])  # directions, as the cosine sees them
    plot_words(pca(x) if method == "pca" else tsne(x, seed), known, f"word_vectors_{method}.png")
    four = words_to_ask(analogy, (), word_to_id)
    if all(word in word_to_id for word in four):
        x = unit(word_vecs[[word_to_id[word] for word in four]])
        plot_analogy(pca(x), four, "fig_4_20_analogy.png")
    then("ch04.evaluate", vectors=vectors, limit=limit)


if __name__ == "__main__":
    run(main)
