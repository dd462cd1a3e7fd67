"""A two-layer network that only predicts, with its own layers and nothing but NumPy.

    python -m ch01.forward_net
    python -m ch01.forward_net --seed 1

N samples, I inputs, H hidden neurons, O outputs.  Source: book 1.2.2.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Sigmoid:
    """y = 1 / (1 + exp(-x)), element by element, for any shape.  Source: book (1.5)."""

    def __init__(self) -> None:
        self.params: list[Any] = []

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        return (1 + np.tanh(x / 2)) / 2  # the same function, in a form that cannot overflow


class Affine:
    """y = x @ W + b.   x (N, D), W (D, M), b (M,) -> y (N, M).  Source: book (1.3), (1.4)."""

    def __init__(self, W: NDArray[Any], b: NDArray[Any]) -> None:
        self.params = [W, b]

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        W, b = self.params
        y: NDArray[Any] = x @ W + b
        return y


class TwoLayerNet:
    """Affine, sigmoid, affine:  x (N, I) -> scores (N, O).

    All weights and biases are standard normal numbers.
    rng  seed or NumPy Generator that draws them; None follows NumPy's global seed
    Source: book 1.2.2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        I, H, O = input_size, hidden_size, output_size  # noqa: E741 - the letters of the docstring
        draw: Any = np.random if rng is None else np.random.default_rng(rng)
        self.layers: list[Any] = [
            Affine(draw.standard_normal((I, H)), draw.standard_normal(H)),
            Sigmoid(),
            Affine(draw.standard_normal((H, O)), draw.standard_normal(O)),
        ]
        self.params = [p for layer in self.layers for p in layer.params]

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Scores (N, O) of the inputs x (N, I); they are no probabilities yet."""
        for layer in self.layers:
            x = layer.forward(x)
        return x


def main(seed: int = 0) -> NDArray[Any]:
    """Print the scores (10, 3) that an untrained 2-4-3 network gives ten random points.

    seed  decides the weights and the points
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((10, 2))
    s = TwoLayerNet(2, 4, 3, rng=rng).predict(x)
    print(s)
    return s


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    explained = "decides the weights and the points (default: 0)"
    parser.add_argument("--seed", type=int, default=0, help=explained)
    flags = parser.parse_args()
    if flags.seed < 0:
        parser.error(f"argument --seed: it must not be negative, not {flags.seed}")
    main(flags.seed)
