"""Functions without state: sigmoid, ReLU, softmax, cross-entropy.  N samples, C classes.

They take arrays of floats, or of integers, which become floats; anything else is a ValueError.
"""

import math

import numpy

from common.checks import REAL, checked_ids, checked_one_hot, floats, on_host
from common.np import Array, fused, np

__all__ = ["cross_entropy_error", "np", "perplexity", "relu", "sigmoid", "softmax"]


@numpy.errstate(over="ignore")  # where exp(-x) is infinite, 1 / (1 + inf) is the 0 wanted
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), element by element, for any shape.

    No score is too large: where exp(-x) has no finite value, the result is the limit, 0.
    Source: book 1.2.1, (1.5); appendix A.
    """
    return fused(logistic)(floats("sigmoid", x))


def logistic(x: Array) -> Array:
    """The formula of `sigmoid`, any shape."""
    return 1 / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    """max(0, x), element by element, for any shape.  Source: book 1.2, common/functions.py."""
    return np.maximum(0, floats("relu", x))


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) over the last axis: rows of positive numbers that sum to one.

    x (..., C) -> the same shape. Scores are shifted by their maximum, so none overflows.
    Raises ValueError for a scalar, and for C = 0.  Source: book 1.3.1, (1.6).
    """
    x = floats("softmax", x)
    if not x.ndim or not x.shape[-1]:
        found = f"of shape {x.shape}" if x.ndim else "a scalar"
        raise ValueError(f"softmax: scores are (..., C), not {found}")
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def cross_entropy_error(y: Array, t: Array) -> Array:
    """-1/N * sum over n of ln(y[n, t[n]] + 1e-7): mean surprise, in nats, at the true classes.

    y (N, C) or (C,)  probabilities
    t (N,) class ids, or one-hot of the shape of y
    Raises ValueError if t is neither, for ids outside 0..C-1, and if there is no sample. Labels on
    the device are taken as they are: to look at them would be to wait.
    Source: book 1.3.1, (1.7) and (1.8); the 1e-7 keeps ln(0) away and stands in the code only.
    """
    who = "cross_entropy_error"
    y, t = floats(who, y), t if isinstance(t, np.ndarray) else on_host(who, t)
    if not y.size:
        raise ValueError(f"{who}: probabilities of shape {y.shape} are of no sample")
    shape, kind, may_look = y.shape, t.dtype.kind, isinstance(t, numpy.ndarray)
    y = y.reshape(-1, shape[-1]) if shape else y.reshape(1, 1)
    N, C = y.shape
    if t.shape == shape and kind in REAL:
        if may_look:
            checked_one_hot(who, t)
        t = t.reshape(N, C).argmax(axis=1)
    elif t.size != N or kind not in "iu":
        raise ValueError(
            f"{who}: labels of shape {t.shape}, {t.dtype}, do not go with probabilities {shape}; "
            "integers are needed, one id for each sample, or one-hot"
        )
    elif may_look:
        checked_ids(who, t, C)
    return -np.log(y[np.arange(N), np.asarray(t).reshape(-1)] + 1e-7).sum() / N


def perplexity(loss: float) -> float:
    """exp(loss): how many words seem possible on average, for a mean loss in nats; inf beyond 700.

    Source: book 5.5.2, (5.12), (5.13).
    """
    return math.exp(loss) if loss < 700 else math.inf
