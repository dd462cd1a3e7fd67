"""Functions without state: sigmoid, ReLU, softmax, cross-entropy.  N samples, C classes."""

import math

import numpy

from common.np import Array, np

__all__ = ["cross_entropy_error", "np", "perplexity", "relu", "sigmoid", "softmax"]


@numpy.errstate(over="ignore")  # where exp(-x) is infinite, 1 / (1 + inf) is the 0 wanted
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), element by element, for any shape.

    No score is too large: where exp(-x) has no finite value, the result is the limit, 0.
    Source: book 1.2.1, (1.5); appendix A.
    """
    return 1 / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    """max(0, x), element by element, for any shape.  Source: book 1.2, common/functions.py."""
    return np.maximum(0, x)


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) over the last axis: rows of positive numbers that sum to one.

    x (..., C) -> the same shape. Scores are shifted by their maximum, so none overflows.
    Raises ValueError for a scalar.  Source: book 1.3.1, (1.6).
    """
    if not x.ndim:
        raise ValueError("softmax: scores are (..., C), not a scalar")
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def cross_entropy_error(y: Array, t: Array) -> Array:
    """-1/N * sum over n of ln(y[n, t[n]] + 1e-7): mean surprise, in nats, at the true classes.

    y (N, C) or (C,)  probabilities
    t (N,) class ids, or one-hot of the shape of y
    Raises ValueError if t is neither.  Source: book 1.3.1, (1.7) and (1.8); the 1e-7 keeps ln(0)
    away and stands in the code only.
    """
    y = y.reshape(-1, y.shape[-1])
    t = np.asarray(t)
    if t.size == y.size:
        t = t.reshape(y.shape).argmax(axis=1)
    elif t.size != len(y):
        raise ValueError(
            f"cross_entropy_error: labels of shape {t.shape} do not go with probabilities {y.shape}"
        )
    return -np.log(y[np.arange(len(y)), t.reshape(-1)] + 1e-7).sum() / len(y)


def perplexity(loss: float) -> float:
    """exp(loss): how many words seem possible on average, for a mean loss in nats; inf beyond 700.

    Source: book 5.5.2, (5.12), (5.13).
    """
    return math.exp(loss) if loss < 700 else math.inf
