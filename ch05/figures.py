"""Draw all figures of chapter 5 that show numbers, into one folder.

    python -m ch05.figures
    python -m ch05.figures --max-epoch 1000   more training before figure 5-26
    python -m ch05.figures --corpus grammar   figure 5-33 without Penn Treebank

5-26 what a model expects after each word, 5-31 first weights, 5-32 two models, 5-33 perplexity.
Source: book 5.4.1, 5.5.
"""

import math
import sys
from typing import Any

import numpy

from ch03.train import SENTENCE
from ch05 import train_custom_loop
from ch05.simple_rnnlm import SimpleRnnlm
from common.cli import run, then
from common.functions import perplexity, softmax
from common.np import Array, to_cpu
from common.optimizer import SGD
from common.plots import BLUE, RED, axes, into
from common.words.text import preprocess

WORDS = list(preprocess(SENTENCE)[1])  # you say goodbye and i hello .
GOOD = numpy.array([0.02, 0.8, 0.04, 0.04, 0.02, 0.06, 0.02])  # of "say" after "you"; made up
BAD = numpy.array([0.08, 0.2, 0.1, 0.4, 0.06, 0.1, 0.06])


def learned(max_epoch: int, seed: int) -> tuple[Array, Array]:
    """SimpleRnnlm after reading the sentence max_epoch times, each time from its beginning.

    -> ids (T + 1,) of the sentence, and for each of its words but the last the probabilities
       (T, V) of what comes next.
    """
    corpus, word_to_id, _ = preprocess(SENTENCE)
    xs, ts = corpus[None, :-1], corpus[None, 1:]  # N = 1
    model = SimpleRnnlm(len(word_to_id), wordvec_size=20, hidden_size=20, rng=seed)
    optimizer = SGD(0.1)
    for _ in range(max_epoch):
        model.reset_state()
        model.forward(xs, ts)
        model.backward()
        optimizer.update(model.params, model.grads)
    model.reset_state()
    return corpus, to_cpu(softmax(model.predict(xs)[0]))


def plot_steps(max_epoch: int, seed: int) -> None:
    """Figure 5-26: what a trained model expects after each word, all before it remembered."""
    corpus, probabilities = learned(max_epoch, seed)
    how = {"ncols": len(probabilities), "figsize": (11, 3), "sharey": True}
    with axes("fig_5_26_steps.png", **how) as steps:
        for t, (ax, y) in enumerate(zip(steps, probabilities, strict=True)):
            draw_distribution(ax, y, corpus[t + 1])
            ax.set_title(("… " if t else "") + f'"{WORDS[corpus[t]]}"')
        ax.invert_yaxis()  # the axis is shared: word 0 on top in all
        ax.figure.supxlabel("probability of the next word (red: the word that comes next)")


def plot_first_weights(seed: int, n: int = 100, ax: Any = None) -> Any:
    """Figure 5-31: numbers drawn for a matrix of n rows, with standard deviation 1 / sqrt(n).

    -> the axes
    """
    _, _, Wh, *_ = SimpleRnnlm(vocab_size=1, wordvec_size=1, hidden_size=n, rng=seed).params
    w, std = numpy.linspace(-0.5, 0.5, 201), 1 / math.sqrt(n)
    density = numpy.exp(-(w**2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))
    with axes("fig_5_31_first_weights.png", ax) as ax:
        ax.hist(to_cpu(Wh).ravel(), bins=40, density=True, color="lightgrey", label=f"Wh, n = {n}")
        ax.plot(w, density, label=rf"normal, standard deviation $1 / \sqrt{{n}}$ = {std:g}")
        ax.set(xlabel="weight", ylabel="density", ylim=(0, 1.35 * density.max()))  # for the legend
        ax.legend(loc="upper center")
    return ax


def plot_two_models() -> None:
    """Figure 5-32: two models' guesses after "you", and the perplexity of "say" under each."""
    say = WORDS.index("say")
    how = {"ncols": 2, "figsize": (8, 3.2), "sharey": True}
    with axes("fig_5_32_two_models.png", **how) as models:
        for ax, y, name in zip(models, (GOOD, BAD), ("model 1", "model 2"), strict=True):
            draw_distribution(ax, y, say)
            p = y[say]
            ax.set_title(f'{name}: "say" {p:g}, perplexity {perplexity(-math.log(p)):.2f}')
            ax.set_xlabel('probability after "you"')
        ax.invert_yaxis()


def draw_distribution(ax: Any, y: Array, right: int) -> None:
    """Probabilities (V,) of all words as bars, that of the id `right` in another colour."""
    colors = [BLUE] * len(y)
    colors[right] = RED
    ax.barh(WORDS, y, color=colors)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])


def main(max_epoch: int = 40, seed: int = 0, corpus: str = "ptb", folder: str = "figures") -> None:
    """Draw the figures of chapter 5 (book 5.4.1, 5.5); all but 5-33 without Penn Treebank.

    max_epoch  epochs: how often the model of figure 5-26 reads its sentence
    seed       decides the first weights
    corpus     the text of figure 5-33: ptb, grammar, or a text file (one sentence a line)
    folder     where the files go
    """
    with into(folder):
        plot_steps(max_epoch, seed)
        plot_first_weights(seed)
        plot_two_models()
        try:
            train_custom_loop.main(corpus, seed=seed)
        except FileNotFoundError as error:
            if corpus != "ptb":
                raise
            print(f"figure 5-33 is left out, or try --corpus grammar: {error}", file=sys.stderr)
    then("ch05.train", corpus=corpus)


if __name__ == "__main__":
    run(main)
