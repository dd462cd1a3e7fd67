"""Draw all figures of chapter 8 that show numbers, into one folder.

    python -m ch08.figures

8-7 and 8-8 a weighted sum, 8-9 and 8-10 its shapes, 8-25 and 8-26 the accuracy of three models by
epoch, as `ch08.compare` found it (`results/`), 8-27 and 8-28 what the model in `weights/` looks at.
Figure 8-24, questions and guesses, is what `ch08.train` prints after each epoch.
Source: book 8.1.2, 8.1.3, 8.3.2, 8.3.3.
"""

from pathlib import Path

import numpy

from ch03.figures import draw_cells
from ch07.comparison import curves_in
from ch07.seq2seq_run import plot_accuracy
from ch08.visualize_attention import COUNT, draw_question, draw_test_questions, load
from common.attention import WeightSum
from common.cli import run, then
from common.np import np
from common.plots import MAP, STYLE, axes, into
from common.rng import generator, randn
from dataset import sequence

RESULTS = Path(__file__).parent / "results" / "date_comparison.json"
MODELS = "baseline", "peeky", "attention"  # of the book; the file has others as well
WEIGHTS = (0.8, 0.1, 0.03, 0.05, 0.02)  # of five steps; the figure's
QUESTION = "FRIDAY, AUGUST 26, 1983"


def plot_weighted_sum(seed: int) -> None:
    """Figures 8-7, 8-8: five weights, five states (5, 4), and their weighted sum (4,)."""
    a = np.asarray(WEIGHTS)[:, None]
    hs = randn(generator(seed), 5, 4, dtype="float64")
    c = WeightSum().forward(hs[None], a.T)
    limit = float(np.abs(hs).max())
    how = {"ncols": 3, "figsize": (9, 4.4), "width_ratios": [1, 4, 4]}
    with axes("fig_8_8_weighted_sum.png", style=STYLE | MAP, **how) as parts:
        draw_cells(parts[0], a, "a (5,)", (0, 1))
        draw_cells(parts[1], hs, "hs (5, 4)", (-limit, limit))
        draw_cells(parts[2], c, "c = a @ hs (4,)", (-limit, limit))


def print_shapes(N: int = 10, T: int = 5, H: int = 4) -> None:
    """Figures 8-9, 8-10: the shapes of a weighted sum, for one sample and for N."""
    for samples, label in (((), "one sample"), ((N,), f"N = {N}")):
        hs, a = numpy.ones((*samples, T, H)), numpy.ones((*samples, T))
        products = a[..., None] * hs
        shapes = [x.shape for x in (a, a[..., None], hs, products, products.sum(axis=-2))]
        print("{}: a {} as {}, times hs {} = {}, summed over T = c {}".format(label, *shapes))


def plot_accuracies(results: Path = RESULTS) -> None:
    """Figures 8-25, 8-26: accuracy on test dates after each epoch, of attention, and of MODELS."""
    curves = curves_in(results)
    plot_accuracy({"attention": curves["attention"]}, Path("fig_8_25_accuracy.png"))
    plot_accuracy({m: curves[m] for m in MODELS}, Path("fig_8_26_accuracy.png"))


def plot_attention(count: int = COUNT) -> None:
    """Figures 8-27, 8-28: the maps of one date, and of `count` test dates."""
    model = load("attention", None, "date.txt")
    data = sequence.load("date.txt").reversed()
    draw_question(model, QUESTION, data, file=Path("fig_8_27_attention.png"))
    draw_test_questions(model, data, count=count, beside=Path("fig_8_28_attention"))


def main(seed: int = 0, folder: str = "figures") -> None:
    """Draw the figures of chapter 8 (book 8.1, 8.3).

    seed    decides the states of figure 8-8
    folder  where the files go
    """
    print("Figures 8-9, 8-10: shapes")
    print_shapes()
    print()
    with into(folder):
        plot_weighted_sum(seed)
        plot_accuracies()
        plot_attention()
    then("ch08.visualize_attention")


if __name__ == "__main__":
    run(main)
