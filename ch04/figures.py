"""Draw the sigmoid (figure 4-9) and what sampling by frequency gives (figure 4-18).

    python -m ch04.figures
    python -m ch04.figures --power 1 --draws 100000

Figure 4-20 is drawn by show_vectors, the loss curve by train.  Source: book 4.2.3, 4.2.6.
"""

import numpy

from ch01.figures import plot_sigmoid
from common.cli import arguments
from common.negative_sampling import UnigramSampler
from common.plots import show
from dataset import grammar

RANKS = (1, 2, 4, 8, 16, 32, 64, 128)


def plot_sampling(power: float, draws: int, seed: int) -> None:
    """Figure 4-18: the share of some words in a text, flattened by the power, and drawn."""
    import matplotlib.pyplot as plt

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
    for k, (label, height) in enumerate(bars):
        plt.bar(x + 0.27 * (k - 1), height[words], 0.25, label=label)
    names = [f"{id_to_word[int(w)]}\n{rank}." for w, rank in zip(words, RANKS, strict=True)]
    plt.xticks(x, names)
    plt.xlabel("word, and its rank by frequency")
    plt.ylabel("probability")
    plt.yscale("log")
    plt.legend()
    show("fig_4_18_sampling.png")


def main(power: float = 0.75, draws: int = 10000, seed: int = 0) -> None:
    """Draw both figures.

    power  of the shares (book 4.2.6); 1 leaves them as they are, 0 makes them equal
    draws  how many words to draw
    seed   decides which
    """
    plot_sigmoid("fig_4_9_sigmoid.png")
    plot_sampling(power, draws, seed)


if __name__ == "__main__":
    main(**arguments(main))
