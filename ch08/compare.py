"""Figure 8-26: attention, Peeky and the plain seq2seq on dates.

python -m ch08.compare    three runs, one after the other (time and result: README.md); the flags
                          are those of ch07.compare

Source: book 8.3.2.
"""

from dataclasses import replace
from typing import Any

from ch07.comparison import Comparison, Curves, compare
from ch08 import train
from common.cli import run, then

LABELS = {"baseline": "seq2seq", "peeky": "peeky", "attention": "attention"}
REVERSED = {label: (train.MODELS[model], True) for label, model in LABELS.items()}
SETTINGS = Comparison(**train.BOOK, file="date_comparison.json")


def main(**settings: Any) -> Curves:
    """Train three models on dates, all reversed, and draw their accuracies together (book 8.3.2).

    The flags are the `Settings` of ch07/seq2seq_run.py and those of `Comparison`.
    """
    then("ch08.visualize_attention")
    return compare(REVERSED, replace(SETTINGS, **settings))


if __name__ == "__main__":
    run(main)
