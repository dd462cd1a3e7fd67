"""Figure 7-28: seq2seq on additions, plain, with reversed questions, and with Peeky as well.

python -m ch07.compare             three runs, one after the other (time and result: README.md)
python -m ch07.compare --seeds 3   each of them three times
python -m ch07.compare --resume    goes on where it was stopped

Source: book 7.4.
"""

from dataclasses import replace
from typing import Any

from ch07.comparison import Comparison, Curves, compare
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.seq2seq_run import Recipe
from ch07.train_seq2seq import BOOK
from common.cli import run, then

REVERSED = {"reverse": True}
MODELS = {
    "baseline": Recipe(Seq2seq),
    "reverse": Recipe(Seq2seq, settings=REVERSED),
    "reverse + peeky": Recipe(PeekySeq2seq, settings=REVERSED),
}
SETTINGS = Comparison(**BOOK, file="addition_comparison.json")


def main(**settings: Any) -> Curves:
    """Train three models on additions, and draw their accuracies in one figure (book 7.4).

    The flags are the `Settings` of seq2seq_run.py and those of `Comparison`.
    """
    then("ch08.train")
    return compare(MODELS, replace(SETTINGS, **settings))


if __name__ == "__main__":
    run(main)
