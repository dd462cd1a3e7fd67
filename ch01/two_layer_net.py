"""TwoLayerNet, the classifier of chapter 1.  N samples, I inputs, H hidden neurons, O classes."""

from typing import Any

from common.base_model import Chain
from common.layers import Affine, Sigmoid, SoftmaxWithLoss
from common.np import Array, np, to_cpu
from common.rng import Seed, generator, randn

__all__ = ["TwoLayerNet", "accuracy"]


class TwoLayerNet(Chain):
    """Affine, sigmoid, affine:  x (N, I) -> scores (N, O); softmax with cross-entropy as the loss.

    forward(x, t) takes the classes t as ids (N,) or one-hot (N, O); `predict` gives the scores.
    Weights start at 0.01 times standard normal numbers, biases at zero, all in float64.
    rng  seed or Generator of the first weights; None follows NumPy's global seed
    Source: book 1.4.2.
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, *, rng: Seed = None
    ) -> None:
        I, H, O = input_size, hidden_size, output_size  # noqa: E741 - the letters of the docstring
        rng = generator(rng)
        W1 = 0.01 * randn(rng, I, H, dtype="float64")
        W2 = 0.01 * randn(rng, H, O, dtype="float64")

        super().__init__(
            [Affine(W1, np.zeros(H)), Sigmoid(), Affine(W2, np.zeros(O))], SoftmaxWithLoss()
        )
        self.settings = {"input_size": I, "hidden_size": H, "output_size": O}


def accuracy(model: Any, x: Array, t: Array) -> float:
    """Share of the samples whose highest score is at their class.  x (N, I); t (N, O), one-hot."""
    predicted = to_cpu(model.predict(np.asarray(x))).argmax(axis=1)
    return float((predicted == to_cpu(t).argmax(axis=1)).mean())
