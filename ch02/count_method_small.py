"""Counts, PPMI and SVD on one sentence; draw its words in two dimensions (figure 2-11).

    python -m ch02.count_method_small
    python -m ch02.count_method_small --window-size 2

Source: book 2.4.3.
"""

from typing import Any

import numpy

from common.cli import run, then
from common.np import Array
from common.plots import axes
from common.words.text import create_co_matrix, ppmi, preprocess
from dataset.tokens import cutter


def main(
    text: str = "You say goodbye and I say hello.",
    tokens: str | None = None,
    window_size: int = 1,
    precision: int = 3,
    plot: bool = True,
) -> tuple[Array, Array]:
    """Print the first word's counts, PPMI and SVD -> U (V, V) and the singular values (V,).

    text         text to count in (book 2.3.1)
    tokens       how the text is cut: words (at blanks), lower (lower case, punctuation marks apart)
                 or characters; if not given, lower case and full stops apart (book 2.3.1)
    window_size  words to each side that are counted (book 2.3.4)
    precision    digits to print after the decimal point
    plot         draw the words at their first two numbers (book 2.4.3)
    """
    corpus, word_to_id, _ = preprocess(text, cut=cutter(tokens) if tokens else None)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    W = ppmi(C)
    U, s, _ = numpy.linalg.svd(W)
    with numpy.printoptions(precision=precision):
        print(C[0])
        print(W[0])
        print(U[0])
    if plot:
        plot_words(word_to_id, U)
    then("ch02.count_method_big")
    return U, s


def plot_words(word_to_id: dict[str, int], U: Array, ax: Any = None) -> Any:
    """Figure 2-11: each word at (U[i, 0], U[i, 1]) of U (V, V) -> the axes.

    Words in one place share a label.
    The picture is not unique: singular values that come in pairs leave its rotation open, and every
    column its sign, so that libraries and machines differ.
    """
    places: dict[tuple[float, float], list[str]] = {}
    for word, i in word_to_id.items():
        x, y = (round(float(a), 3) + 0.0 for a in U[i, :2])  # + 0.0 makes -0.0 the same place
        places.setdefault((x, y), []).append(word)

    with axes("fig_2_11_words.png", ax) as ax:
        ax.axhline(0, color="lightgray", linewidth=1, zorder=0)
        ax.axvline(0, color="lightgray", linewidth=1, zorder=0)
        ax.scatter(U[:, 0], U[:, 1], alpha=0.5)
        for k, ((x, y), words) in enumerate(sorted(places.items())):
            above = abs(x) > abs(y)  # or below: a point near the horizontal axis
            far = 8 if k % 2 else -8  # points; neighbours on two sides, so that no labels overlap
            ax.annotate(
                ", ".join(f'"{word}"' if word == "." else word for word in words),
                (x, y),
                xytext=(0, far) if above else (far, 0),
                textcoords="offset points",
                parse_math=False,  # $ is a word
                ha="center" if above else "left" if far > 0 else "right",
                va="center" if not above else "bottom" if far > 0 else "top",
            )
        ax.margins(0.25)
        ax.set(xlabel="U[:, 0]", ylabel="U[:, 1]")
    return ax


if __name__ == "__main__":
    run(main)
