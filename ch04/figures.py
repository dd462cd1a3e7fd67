"""Print the tables of chapter 4 and draw its figures, into one folder.

    python -m ch04.figures
    python -m ch04.figures --power 1 --draws 100000

4-14 one dot product for each word, 4-19 contexts and targets, 4-9 the sigmoid, 4-18 sampling by
frequency, 4-20 the parallelogram of an analogy. The loss curve is drawn by `ch04.train`.
Source: book 4.2.3, 4.2.4, 4.2.6, 4.3.1, 4.3.3.
"""

import math
from typing import Any

import numpy

from ch01.figures import plot_sigmoid
from ch03.figures import print_pairs
from ch03.train import SENTENCE
from ch04 import show_vectors
from common.cli import at_least_one, run, then
from common.negative_sampling import EmbeddingDot, UnigramSampler
from common.np import np, to_cpu
from common.plots import axes, into
from common.words.text import create_contexts_target, preprocess
from dataset import grammar

RANKS = (1, 2, 4, 8, 16, 32, 64, 128)


def print_dot_products() -> None:
    """Figure 4-14: the rows of W that three targets choose, times h, summed to a score each."""
    W = np.arange(21.0).reshape(7, 3)
    idx, h = np.array([0, 3, 1]), np.arange(9.0).reshape(3, 3)
    layer = EmbeddingDot(W)
    out = layer.forward(h, idx)
    print("Figure 4-14: EmbeddingDot, step by step")
    with numpy.printoptions(formatter={"float": "{:g}".format}):
        for name, a in [
            ("W", W),
            ("idx", idx),
            ("h", h),
            ("W[idx]", W[idx]),
            ("W[idx] * h", W[idx] * h),
        ]:
            print(f"{name}\n{to_cpu(a)}")
        print(f"out\n{to_cpu(out)}")


def plot_sampling(power: float, draws: int, seed: int, ax: Any = None) -> Any:
    """Figure 4-18: the share of some words in a text, flattened by the power, and drawn.

    -> the axes
    """
    corpus, _, id_to_word = grammar.load_data()
    counts = numpy.bincount(corpus)
    words = numpy.argsort(-counts)[[rank - 1 for rank in RANKS]]
    sampler = UnigramSampler(corpus, power, 1, rng=seed)
    rarest = numpy.full(draws, counts.argmin())  # as the target, it hardly changes the rest
    drawn = numpy.bincount(sampler.get_negative_sample(rarest)[:, 0], minlength=len(counts))

    x = numpy.arange(len(words))
    bars = [
        ("share of the text", counts / counts.sum()),
        (f"to the power {power:g}, made to sum to 1", sampler.word_p),
        (f"share of {draws:,} draws", drawn / draws),
    ]
    names = [f"{id_to_word[int(w)]}\n{rank}." for w, rank in zip(words, RANKS, strict=True)]
    with axes("fig_4_18_sampling.png", ax, figsize=(7, 4.5)) as ax:
        for k, (label, height) in enumerate(bars):
            ax.bar(x + 0.27 * (k - 1), height[words], 0.25, label=label)
        ax.set_xticks(x, names)
        ax.set(xlabel="word, and its rank by frequency", ylabel="probability", yscale="log")
        ax.legend()
    return ax


def main(power: float = 0.75, draws: int = 10000, seed: int = 0, folder: str = "figures") -> None:
    """Print the tables and draw the figures of chapter 4 (book 4.2, 4.3).

    power   exponent of the words' probabilities (book 4.2.6); 1 leaves them as they are, 0 makes
            them equal
    draws   words to draw for figure 4-18
    seed    decides the words drawn
    folder  where the files go
    """
    at_least_one(draws=draws)
    if not math.isfinite(power):
        raise ValueError(f"figures: power must be a finite number, not {power}")
    print_dot_products()
    corpus, _, id_to_word = preprocess(SENTENCE)
    print("\nFigure 4-19 is the pair of figures 3-16 and 3-17:")
    print_pairs(*create_contexts_target(corpus), id_to_word)
    with into(folder):
        plot_sigmoid("fig_4_9_sigmoid.png")
        plot_sampling(power, draws, seed)
        show_vectors.main()
    then("ch04.train")


if __name__ == "__main__":
    run(main)
