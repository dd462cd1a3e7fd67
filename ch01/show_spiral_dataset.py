"""Draw the spiral data set of chapter 1 (figure 1-31).

    python -m ch01.show_spiral_dataset

Source: book 1.4.1.
"""

from common.cli import run, then
from common.np import Array
from common.plots import show
from dataset import spiral

COLORS = ("tab:blue", "tab:orange", "tab:green")
MARKERS = ("o", "x", "^")


def draw_points(x: Array, t: Array) -> None:
    """A scatter plot, each class in its own colour and marker.  x (N, 2); t (N, 3), one-hot."""
    import matplotlib.pyplot as plt

    classes = t.argmax(axis=1)
    for k, (color, marker) in enumerate(zip(COLORS, MARKERS, strict=True)):
        across, up = x[classes == k].T
        plt.scatter(across, up, s=40, color=color, marker=marker, label=f"class {k}")
    plt.gca().set_aspect("equal")


def main(seed: int = 1984) -> None:
    """Print the shapes of the spiral data set and draw it.

    seed  decides the noise of the points; 1984 makes those of the book (book 1.4.1)
    """
    x, t = spiral.load_data(seed)
    print("x", x.shape)
    print("t", t.shape)

    import matplotlib.pyplot as plt

    draw_points(x, t)
    plt.xlabel("x[:, 0]")
    plt.ylabel("x[:, 1]")
    plt.xticks([-1, -0.5, 0, 0.5, 1])
    plt.yticks([-1, -0.5, 0, 0.5, 1])
    plt.legend()
    show("fig_1_31_spiral.png")
    then("ch01.train_custom_loop")


if __name__ == "__main__":
    run(main)
