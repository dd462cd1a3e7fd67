"""Train on the spiral with every step of the loop in sight; draw figures 1-32 and 1-33.

    python -m ch01.train_custom_loop                      (time and result: ch01/README.md)
    python -m ch01.train_custom_loop --hidden-size 3

Source: book 1.4.3.
"""

from typing import Any

import numpy

from ch01.show_spiral_dataset import draw_points
from ch01.two_layer_net import TwoLayerNet, accuracy
from common.cli import at_least_one, run, then
from common.np import Array, np, to_cpu
from common.optimizer import SGD
from common.plots import COLORS, axes
from common.rng import generator
from dataset import spiral


def main(
    max_epoch: int = 300,
    batch_size: int = 30,
    hidden_size: int = 10,
    lr: float = 1.0,
    seed: int = 0,
    plot: bool = True,
) -> tuple[TwoLayerNet, list[float]]:
    """Train a two-layer network on the spiral -> the model and the mean loss of each epoch.

    max_epoch    epochs (book 1.4.3): how often to go through the data
    batch_size   samples of one step (book 1.4.3); what is left over in an epoch is dropped
    hidden_size  hidden layer (book 1.2.1): neurons between input and output
    lr           step size (book 1.3.6): learning rate
    seed         decides the first weights and the order of the samples
    plot         whether to draw the loss and the decision regions
    """
    at_least_one(max_epoch=max_epoch, hidden_size=hidden_size)
    x, t = spiral.load_data()
    if not 1 <= batch_size <= len(x):
        raise ValueError(f"batch_size is one of 1..{len(x)}, not {batch_size}")
    rng = generator(seed)
    model = TwoLayerNet(input_size=2, hidden_size=hidden_size, output_size=3, rng=rng)
    optimizer = SGD(lr)

    max_iters = len(x) // batch_size
    loss_list = []
    for epoch in range(max_epoch):
        order = rng.permutation(len(x))
        total_loss = 0
        for iters in range(max_iters):
            chosen = order[iters * batch_size : (iters + 1) * batch_size]
            total_loss += model.forward(np.asarray(x[chosen]), t[chosen])
            model.backward()
            optimizer.update(model.params, model.grads)
        loss_list.append(float(total_loss) / max_iters)
        print(f"| epoch {epoch + 1} |  iter {max_iters} / {max_iters} | loss {loss_list[-1]:.2f}")
    print(f"accuracy {accuracy(model, x, t):.3f}")

    if plot:
        plot_loss(loss_list, max_iters)
        plot_regions(model, x, t)
    then("ch01.train")
    return model, loss_list


def plot_loss(loss_list: list[float], max_iters: int, ax: Any = None) -> Any:
    """Figure 1-32: the mean loss of every max_iters iterations -> the axes."""
    with axes("fig_1_32_loss.png", ax) as ax:
        ax.plot(loss_list)
        ax.set(xlabel=f"iterations (x{max_iters})", ylabel="training loss (nats)", ylim=(0, None))
    return ax


def plot_regions(model: TwoLayerNet, x: Array, t: Array, ax: Any = None) -> Any:
    """Figure 1-33: which class the model gives to each place of the plane, and the points.

    x (N, 2); t (N, 3), one-hot -> the axes
    """
    margin, step = 0.1, 0.01
    (left, low), (right, high) = x.min(axis=0) - margin, x.max(axis=0) + margin
    across, up = numpy.meshgrid(numpy.arange(left, right, step), numpy.arange(low, high, step))
    places = np.asarray(numpy.stack([across, up], axis=-1))  # (rows, columns, 2)
    classes = to_cpu(model.predict(places)).argmax(axis=-1)

    # One class at a time: class 1 is no height between 0 and 2 that a contour must pass.
    with axes("fig_1_33_regions.png", ax, figsize=(5, 5)) as ax:
        for k, color in enumerate(COLORS[:3]):
            ax.contourf(across, up, classes == k, levels=[0.5, 1], colors=[color], alpha=0.3)
        draw_points(x, t, ax)
        ax.axis("off")
    return ax


if __name__ == "__main__":
    run(main)
