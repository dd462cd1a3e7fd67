"""Draw all figures of chapter 1 that show numbers, into one folder.

    python -m ch01.figures
    python -m ch01.figures --folder elsewhere --at -0.5

1-10 the sigmoid, 1-14 a tangent, 1-31 the spiral, 1-32 the loss, 1-33 the regions learned; A-6 and
A-7 the derivatives of sigmoid and tanh, node by node.
Source: book 1.2.1, 1.3.2, 1.4, appendix A.
"""

from typing import Any

import numpy

from ch01 import show_spiral_dataset, train_custom_loop
from ch01.graph_nodes import Branch, Graph, Multiply, sigmoid_graph, tanh_graph
from common.cli import run, then
from common.functions import sigmoid
from common.np import Array, np, to_cpu
from common.plots import axes, into


def square(x: Array) -> tuple[Array, Array]:
    """x^2 and its derivative 2x, both in the shape of x, (..., N), from a graph.

    The graph is a branch, whose two copies are multiplied.
    """
    branch, multiply = Branch(), Multiply()
    y = multiply.forward(*branch.forward(x))
    return y, branch.backward(*multiply.backward(np.ones_like(y)))


def plot_sigmoid(file: str = "fig_1_10_sigmoid.png", ax: Any = None) -> Any:
    """Figure 1-10, again in figure 4-9: the curve of 1 / (1 + exp(-x)) -> the axes."""
    x = np.linspace(-5, 5, 201)
    with axes(file, ax) as ax:
        ax.plot(to_cpu(x), to_cpu(sigmoid(x)))
        ax.set(xlabel="x", ylabel="sigmoid(x)", yticks=[0, 0.5, 1])
    return ax


def plot_tangent(at: float, ax: Any = None) -> Any:
    """Figure 1-14: y = x^2, and the line of slope 2 `at` that touches it there -> the axes."""
    end = max(3, abs(at) + 1)
    x = numpy.linspace(-end, end, 201)
    y, _ = square(np.asarray(x))
    height, slope = (float(a) for a in square(np.asarray(at)))
    with axes("fig_1_14_tangent.png", ax) as ax:
        ax.plot(x, to_cpu(y), label="$y = x^2$")
        ax.plot(x, height + slope * (x - at), "--", label=f"slope {slope:g} at x = {at:g}")
        ax.plot(at, height, "o", color="black")
        ax.set(xlabel="x", ylabel="y", ylim=(-0.2 * end**2, end**2))
        ax.legend()
    return ax


def plot_derivation(graph: Graph, file: str, at: float = 1.0) -> None:
    """A graph with the value of each node at x = `at` and its gradient; y and its slope below.

    graph  from one number to one number, such as `sigmoid_graph()`
    """
    with axes(file, nrows=2, figsize=(12, 6)) as (above, below):
        x = np.linspace(-5, 5, 201)
        y = graph.forward(x)
        below.plot(to_cpu(x), to_cpu(y), label="y")
        below.plot(to_cpu(x), to_cpu(graph.backward(np.ones_like(y))), "--", label="slope")
        below.set_xlabel("x")
        below.legend()

        graph.backward(np.ones_like(graph.forward(np.asarray([at]))))
        place = places(graph)
        for name, (_, *inputs) in graph.nodes.items():
            for source in (i for i in inputs if isinstance(i, str)):
                above.plot(*zip(place[source], place[name], strict=True), color="gray", zorder=0)
        for name, (column, row) in place.items():
            value, gradient = (float(arrays[name][0]) for arrays in (graph.values, graph.gradients))
            text = f"{name}\nvalue {value:.4f}\ngradient {gradient:.4f}"
            box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "gray"}
            above.text(column, row, text, ha="center", va="center", bbox=box)
        above.set_ylim(-0.5, 1.5)
        above.margins(0.08)
        above.axis("off")


def places(graph: Graph) -> dict[str, tuple[int, int]]:
    """The column and the row of each value of a graph, those that are needed last on the right."""
    steps = {"y": 0}  # to the end
    for name, (_, *inputs) in reversed(graph.nodes.items()):
        for source in (i for i in inputs if isinstance(i, str)):
            steps[source] = max(steps.get(source, 0), steps[name] + 1)
    column = {name: steps["x"] - steps[name] for name in ("x", *graph.nodes)}
    rows = [[name for name in column if column[name] == k] for k in range(steps["x"] + 1)]
    return {name: (k, rows[k].index(name)) for name, k in column.items()}


def main(at: float = 1.0, max_epoch: int = 300, seed: int = 0, folder: str = "figures") -> None:
    """Draw the figures of chapter 1 and appendix A (book 1.2.1, 1.3.2, 1.4).

    at         the x where the tangent touches
    max_epoch  epochs of training before the regions are drawn
    seed       decides the first weights and the order of the samples
    folder     where the files go
    """
    if not abs(at) <= 1e6:
        raise ValueError(f"figures: at must be a number from -1e6 to 1e6, not {at:g}")
    with into(folder):
        plot_sigmoid()
        plot_tangent(at)
        show_spiral_dataset.main()
        train_custom_loop.main(max_epoch, seed=seed)
        plot_derivation(sigmoid_graph(), "fig_a_6_sigmoid.png")
        plot_derivation(tanh_graph(), "fig_a_7_tanh.png")
    then("ch01.train_custom_loop")


if __name__ == "__main__":
    run(main)
