"""Draw the spiral data set of chapter 1 (figure 1-31).

    python -m ch01.show_spiral_dataset

Source: book 1.4.1.
"""

from typing import Any

from common.cli import run, then
from common.np import Array
from common.plots import COLORS, axes
from dataset import spiral

MARKERS = ("o", "x", "^")


def draw_points(x: Array, t: Array, ax: Any) -> None:
    """A scatter plot, each class in its own colour and marker.  x (N, 2); t (N, 3), one-hot."""
    classes = t.argmax(axis=1)
    for k, (color, marker) in enumerate(zip(COLORS, MARKERS, strict=False)):
        across, up = x[classes == k].T
        ax.scatter(across, up, s=40, color=color, marker=marker, label=f"class {k}")
    ax.set_aspect("equal")


def main(seed: int = 1984) -> None:
    """Print the shapes of the spiral data set and draw it.

    seed  decides the noise of the points; 1984 makes those of the book (book 1.4.1)
    """
    x, t = spiral.load_data(seed)
    print("x", x.shape)
    print("t", t.shape)
    ticks = [-1, -0.5, 0, 0.5, 1]
    with axes("fig_1_31_spiral.png", figsize=(6, 5)) as ax:
        draw_points(x, t, ax)
        ax.set(xlabel="x[:, 0]", ylabel="x[:, 1]", xticks=ticks, yticks=ticks)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    then("ch01.train_custom_loop")


if __name__ == "__main__":
    run(main)
