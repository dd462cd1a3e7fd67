"""Print the tables of chapter 3 and draw its figures, into one folder.

    python -m ch03.figures
    python -m ch03.figures --seed 1

3-4 ids and one-hot vectors, 3-16 to 3-18 contexts and targets, 3-8 a one-hot vector times a matrix,
3-12 what each neuron of CBOW says, 3-21 its loss.
Source: book 3.1.3, 3.2.1, 3.2.2, 3.3.1, 3.3.2, 3.4.2.
"""

from typing import Any

import numpy

from ch03 import train
from ch03.train import SENTENCE
from common.cli import run, then
from common.functions import softmax
from common.layers import MatMul
from common.np import Array, np, to_cpu
from common.plots import MAP, RED, STYLE, axes, into
from common.rng import generator, randn
from common.words.text import convert_one_hot, create_contexts_target, preprocess


def print_words(words: list[str], word_to_id: dict[str, int]) -> None:
    """Figure 3-4: words as ids and as one-hot vectors."""
    print("\nFigure 3-4: a word, its id, its one-hot vector")
    for word in words:
        one_hot = convert_one_hot(numpy.array([word_to_id[word]]), len(word_to_id))[0]
        print(f"{word:8} {word_to_id[word]}  {one_hot}")


def print_pairs(contexts: Array, target: Array, id_to_word: dict[int, str]) -> None:
    """Figures 3-16, 3-17: every context (n, 2) and its target (n,), as words and as ids."""
    print("\nFigure 3-16: contexts and target, as words")
    for row, id_ in zip(contexts.tolist(), target.tolist(), strict=True):
        print(f"{', '.join(id_to_word[k] for k in row):16} {id_to_word[id_]}")
    print(f"\nFigure 3-17: the same, as ids: contexts {contexts.shape}, target {target.shape}")
    for row, id_ in zip(contexts, target, strict=True):
        print(f"{row!s:16} {id_}")


def print_one_hot(contexts: Array, target: Array, vocab_size: int) -> None:
    """Figure 3-18: the same pairs as one-hot vectors; contexts (n, 2), target (n,), ids."""
    xs, ts = (convert_one_hot(ids, vocab_size) for ids in (contexts, target))
    print(f"\nFigure 3-18: the same, one-hot: contexts {xs.shape}, target {ts.shape}")
    for (before, after), word in zip(xs, ts, strict=True):
        print(before, after, "", word)


def plot_matmul(seed: int) -> None:
    """Figure 3-8: a one-hot row (1, 7) times W (7, 3) is a row of W."""
    c = np.asarray(convert_one_hot(numpy.array([0]), 7), "float64")
    W = randn(generator(seed), 7, 3, dtype="float64")
    h = MatMul(W).forward(c)

    limit = float(np.abs(W).max())
    how = {"ncols": 3, "figsize": (9, 5), "width_ratios": [7, 3, 3]}
    with axes("fig_3_8_matmul.png", style=STYLE | MAP, **how) as parts:
        draw_cells(parts[0], c, "c (1, 7)", (0, 1), "{:.0f}")
        draw_cells(parts[1], W, "W (7, 3)", (-limit, limit))
        draw_cells(parts[2], h, "h = c @ W (1, 3)", (-limit, limit))
        for ax in parts[1:]:
            ax.plot([0, 3, 3, 0, 0], [0, 0, 1, 1, 0], color=RED, linewidth=3, clip_on=False)


def plot_activations(model: Any, words: list[str]) -> None:
    """Figure 3-12: what each neuron of a SimpleCBOW says for the context (you, goodbye)."""
    contexts = convert_one_hot(numpy.array([[words.index("you"), words.index("goodbye")]]), 7)
    s = model.predict(contexts)
    h = model.out_layer.x
    columns = [
        (contexts[:, 0], '"you"', (0, 1), "{:.0f}"),
        (contexts[:, 1], '"goodbye"', (0, 1), "{:.0f}"),
        (h, "hidden", (float(h.min()), float(h.max())), "{:.2f}"),
        (s, "scores", (float(s.min()), float(s.max())), "{:.1f}"),
        (softmax(s), "probabilities", (0, 1), "{:.2f}"),
    ]
    how = {"ncols": 5, "figsize": (9, 4.6)}
    with axes("fig_3_12_activations.png", style=STYLE | MAP, **how) as parts:
        for ax, (values, title, limits, number) in zip(parts, columns, strict=True):
            draw_cells(ax, values.T, title, limits, number)
        for ax in parts[[0, 3]]:
            ax.set_yticks(numpy.arange(7) + 0.5, words)


def draw_cells(
    ax: Any, values: Array, title: str, limits: tuple[float, float], number: str = "{:.2f}"
) -> None:
    """A matrix (M, N) as squares, the larger the darker, with the numbers in them.

    limits  the values drawn white and black
    number  the format of a value
    Every picture is seven squares high, so that squares are of one size side by side.
    """
    values, (low, high) = to_cpu(values), limits
    ax.pcolormesh(values, cmap="Greys", vmin=low, vmax=high, edgecolors="grey", linewidth=0.8)
    for (i, j), value in numpy.ndenumerate(values):
        color = "white" if value - low > 0.55 * (high - low) else "black"
        ax.text(j + 0.5, i + 0.5, number.format(value), ha="center", va="center", color=color)
    ax.set_title(title)
    ax.set_aspect("equal")
    ax.set_ylim(len(values) / 2 + 3.6, len(values) / 2 - 3.6)  # row 0 on top
    ax.set_xticks([])
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.set_frame_on(False)


def main(max_epoch: int = 1000, seed: int = 0, folder: str = "figures") -> None:
    """Print the tables and draw the figures of chapter 3 (book 3.1.3, 3.2, 3.3, 3.4.2).

    max_epoch  epochs that CBOW learns before figure 3-12 looks into it
    seed       decides CBOW's first weights, the order of its samples, and W of figure 3-8
    folder     where the files go
    """
    corpus, word_to_id, id_to_word = preprocess(SENTENCE)
    contexts, target = create_contexts_target(corpus)
    print(SENTENCE)
    print(corpus)
    print_words(["you", "goodbye"], word_to_id)
    print_pairs(contexts, target, id_to_word)
    print_one_hot(contexts, target, len(id_to_word))

    print()
    with into(folder):
        plot_matmul(seed)
        model, _ = train.main("cbow", max_epoch=max_epoch, seed=seed)
        plot_activations(model, list(word_to_id))
    then("ch03.train")


if __name__ == "__main__":
    run(main)
