"""Draw how a gradient grows or fades on its way back through an RNN (figures 6-8, 6-9).

    python -m ch06.rnn_gradient_graph                   grows, figure 6-8
    python -m ch06.rnn_gradient_graph --scale 0.5       fades, figure 6-9

Source: book 6.1.3.  N sequences, H hidden size, T time steps.
"""

import numpy

from common.cli import run, then
from common.np import Array
from common.plots import axes

N, H, T = 2, 3, 20
SEED = 3  # of the book's matrix


def recurrent_weights(scale: float = 1.0) -> Array:
    """Wh (H, H), standard normal numbers times `scale`, by NumPy's old generator as in the book."""
    return scale * numpy.random.RandomState(SEED).standard_normal((H, H))


@numpy.errstate(over="ignore", invalid="ignore")  # norms of a large scale become infinite
def gradient_norms(scale: float = 1.0) -> list[float]:
    """|dh| after each of T steps back:  dh = dh @ Wh.T, from dh (N, H) all ones.

    |dh| = sqrt(sum dh^2) / N.  An RNN's backward without its tanh, whose slope, at most 1, scales
    elements down. Each step multiplies `scale` in once more, so the t-th norm is scale^t
    times what it is for scale 1.
    """
    Wh, dh = recurrent_weights(scale), numpy.ones((N, H))
    norms = []
    for _ in range(T):
        dh = dh @ Wh.T
        norms.append(float(numpy.linalg.norm(dh)) / N)
    return norms


def main(scale: float = 1.0) -> None:
    """Print the norms and two numbers that foretell them; draw the norms.

    scale  factor that the weights are multiplied by (book 6.1.3)

    The spectral radius, the largest |eigenvalue| of Wh, is the growth per step in the long run. The
    largest singular value bounds each step: the gradient can only grow if it is above 1, and must
    fade if it is below (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063).
    """
    if not numpy.isfinite(scale):
        raise ValueError(f"rnn_gradient_graph: scale must be a finite number, not {scale}")
    Wh, norms = recurrent_weights(scale), gradient_norms(scale)
    print("norms:", *(f"{norm:.6g}" for norm in norms))
    print(f"largest singular value of Wh: {numpy.linalg.norm(Wh, 2):.3f}")
    print(f"spectral radius of Wh: {abs(numpy.linalg.eigvals(Wh)).max():.3f}")
    figure = {1.0: "fig_6_8", 0.5: "fig_6_9"}.get(scale, f"scale_{scale:g}")
    with axes(f"{figure}_gradient_norms.png") as ax:
        ax.plot(numpy.arange(1, T + 1), norms)
        ax.set(xlabel="time steps back", ylabel="norm of the gradient", xticks=[1, 5, 10, 15, T])
    then("ch06.clip_grads")


if __name__ == "__main__":
    run(main)
