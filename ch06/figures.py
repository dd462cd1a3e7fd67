"""Draw all figures of chapter 6 that show numbers, into one folder, and print its tables.

    python -m ch06.figures

6-6 the slope of tanh, 6-8 and 6-9 gradients that grow and fade, 6-27 and 6-28 the perplexity of the
Rnnlm in `weights/` while it learned, 6-37 what the runs there came to.
Source: book 6.1.2, 6.1.3, 6.4, 6.5.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ch06 import rnn_gradient_graph
from ch06.trained import SHIPPED
from common.cli import run, then
from common.layers import Tanh
from common.np import np, to_cpu
from common.plots import GREEN, axes, into
from common.storage.files import read_npz


def plot_tanh(ax: Any = None) -> Any:
    """Figure 6-6: tanh, and its slope 1 - tanh^2, by which every step back shrinks a gradient.

    -> the axes
    """
    x, layer = np.linspace(-4, 4, 201), Tanh()
    y = layer.forward(x)
    slope = layer.backward(np.ones_like(y))
    with axes("fig_6_6_tanh.png", ax) as ax:
        ax.plot(to_cpu(x), to_cpu(y), label="y = tanh(x)")
        ax.plot(to_cpu(x), to_cpu(slope), "--", label="dy/dx = 1 - y²")
        ax.set(xlabel="x", ylabel="y, dy/dx")
        ax.legend()
    return ax


def histories(folder: Path = SHIPPED) -> dict[str, dict[str, Any]]:
    """What the training scripts wrote of the runs whose weights are in a folder, by model."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }


def print_reports(history: Mapping[str, Any], count: int = 20) -> None:
    """Figure 6-27: the first reports of a run, one for each `eval_interval` iterations."""
    for k, perplexity in enumerate(history["train"][:count]):
        print(f"| iter {k * history['eval_interval'] + 1:>3} | perplexity {perplexity:.2f}")


def plot_reports(history: Mapping[str, Any], ax: Any = None) -> Any:
    """Figure 6-28: the training perplexity of each report, up to 500 -> the axes."""
    with axes("fig_6_28_perplexity.png", ax) as ax:
        ax.plot(history["train"])
        name = f"iterations (x{history['eval_interval']})"
        ax.set(xlabel=name, ylabel="training perplexity", ylim=(0, 500))
    return ax


def plot_epochs(history: Mapping[str, Any], name: str) -> None:
    """The perplexity on training and validation text after each epoch, and the learning rate."""
    epochs = history["epochs"]
    numbers = [epoch["epoch"] for epoch in epochs]
    how = {"nrows": 2, "sharex": True, "height_ratios": [3, 1], "figsize": (6.4, 5.4)}
    with axes(f"{name}_epochs.png", **how) as (above, below):
        for part, marker in (("train", "."), ("valid", "o")):
            above.plot(numbers, [epoch[part] for epoch in epochs], marker=marker, label=part)
        above.set_title(name)
        above.set_ylabel("perplexity")
        above.set_yscale("log")
        ticks = [60, 80, 100, 150, 200, 300]
        above.set_yticks(ticks, map(str, ticks))
        above.minorticks_off()
        above.legend()
        rates = [epoch["lr"] for epoch in epochs]
        below.step(numbers, rates, where="mid", color=GREEN)
        below.set_yscale("log")
        different = sorted(set(rates), reverse=True)
        named = different[:: 1 + len(different) // 5]
        below.set_yticks(named, [f"{rate:.3g}" for rate in named])
        below.set_ylim(min(rates) / 2, max(rates) * 2)
        below.minorticks_off()
        below.set_ylabel("learning rate")
        below.set_xlabel("epoch")
        below.xaxis.get_major_locator().set_params(integer=True)


def print_results(folder: Path = SHIPPED) -> None:
    """Figure 6-37, for the models in a folder: weights, perplexity on validation and test text."""
    print("model        weights  valid   test")
    for name, history in histories(folder).items():
        _, arrays = read_npz(folder / f"{name}.npz", "weight file")
        weights = sum(math.prod(a.shape) for a in arrays.values())
        valid = min(epoch["valid"] for epoch in history["epochs"])
        print(f"{name:11} {weights / 1e6:6.1f}M {valid:6.2f} {history['test']:6.2f}")


def main(folder: str = "figures") -> None:
    """Draw the figures and print the tables of chapter 6 (book 6.1, 6.4, 6.5).

    folder  where the files go
    """
    runs = histories()
    print("Figure 6-27: Rnnlm's first reports")
    print_reports(runs["Rnnlm"])
    print("\nFigure 6-37: perplexity on Penn Treebank")
    print_results()
    print()
    with into(folder):
        plot_tanh()
        rnn_gradient_graph.main()
        rnn_gradient_graph.main(scale=0.5)
        plot_reports(runs["Rnnlm"])
        for name, history in runs.items():
            plot_epochs(history, name)
    then("ch06.train_rnnlm")


if __name__ == "__main__":
    run(main)
