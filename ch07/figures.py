"""Draw all figures of chapter 7 that show numbers, into one folder.

    python -m ch07.figures

7-2 to 7-4 how a language model writes, 7-12 additions, 7-22, 7-24 and 7-28 the accuracy of three
models by epoch, as `ch07.compare` found it (`results/`). Figures 7-20 and 7-21, questions and
guesses, are what `ch07.train_seq2seq` prints after each epoch.
Source: book 7.1.1, 7.2.2, 7.3.4, 7.4.
"""

from pathlib import Path

from ch07 import next_word_figure
from ch07.comparison import curves_in
from ch07.seq2seq_run import plot_accuracy
from common.cli import run, then
from common.plots import into
from dataset import addition

RESULTS = Path(__file__).parent / "results" / "addition_comparison.json"


def plot_accuracies(results: Path = RESULTS) -> None:
    """Figures 7-22, 7-24, 7-28: one model, two and three, on test questions after each epoch."""
    curves = curves_in(results)
    labels = ["baseline", "reverse", "reverse + peeky"]
    for count, number in ((1, "7_22"), (2, "7_24"), (3, "7_28")):
        chosen = {label: curves[label] for label in labels[:count]}
        plot_accuracy(chosen, Path(f"fig_{number}_accuracy.png"))


def main(seed: int = 0, folder: str = "figures") -> None:
    """Draw the figures of chapter 7 (book 7.1.1, 7.2.2, 7.3.4, 7.4).

    seed    decides the words drawn in figures 7-2 to 7-4, and the first weights of their model
    folder  where the files go
    """
    print("Figure 7-12: the first lines of the additions")
    print(*addition.lines(15), sep="\n")
    print()
    with into(folder):
        next_word_figure.main(seed=seed)
        plot_accuracies()
    then("ch07.train_seq2seq")


if __name__ == "__main__":
    run(main)
