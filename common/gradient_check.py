"""Are the gradients of a layer or model right? Compare them with differences of its outputs.

check_gradients(Affine(W, b), x)        # raises AssertionError, saying where, if not
"""

from collections.abc import Callable
from typing import Any

import numpy

from common.gradients import remove_duplicate, to_dense
from common.np import Array, np, to_cpu


def numeric_gradient(f: Callable[[], Any], x: Array, eps: float = 1e-5) -> Array:
    """Central differences (f(x + eps) - f(x - eps)) / (2 eps), one element of x at a time.

    f  computes a scalar from x, which is changed in place and put back
    -> the gradient on the host, in the shape of x.
    Raises ValueError unless x is float64: in float32 the differences drown in rounding.
    """
    if x.dtype != numpy.float64:
        raise ValueError(f"numeric_gradient: needs float64, not {x.dtype}")
    gradient = numpy.empty(x.shape)
    for where in numpy.ndindex(x.shape):
        old = float(x[where])
        try:
            x[where] = old + eps
            above = float(f())
            x[where] = old - eps
            below = float(f())
        finally:
            x[where] = old
        gradient[where] = (above - below) / (2 * eps)
    return gradient


def check_gradients(
    layer: Any,
    *inputs: Array,
    tolerance: float = 1e-6,
    before: Callable[[], Any] | None = None,
) -> dict[str, float]:
    """Compare the gradients that `layer.backward` gives with numeric ones.

    layer    a layer or model with forward, backward, params and grads, in float64
    inputs   what its forward takes; gradients are checked for those that are float64
    before   called before every forward: to put back a state or a random generator. Without it,
             `reset_state` is, where the layer has one
    -> the relative error of each array, by name: max |analytic - numeric| / max(|either|).

    The outputs are weighted with random numbers: with ones, a softmax, whose rows always sum to
    one, would pass whatever its backward did.
    Raises AssertionError if an error exceeds `tolerance`, naming the array and its worst element.
    """
    start = before or getattr(layer, "reset_state", None) or (lambda: None)
    weights: list[Array] = []

    def forward() -> list[Array]:
        start()
        outputs = layer.forward(*inputs)
        return list(outputs) if isinstance(outputs, tuple) else [np.asarray(outputs)]

    def loss() -> float:
        return sum(float((y * w).sum()) for y, w in zip(forward(), weights, strict=True))

    rng = numpy.random.default_rng(0)
    weights += [np.asarray(rng.standard_normal(y.shape)) for y in forward()]
    # A scalar is a loss, and its backward takes a number.
    douts = [w if w.ndim else float(w) for w in weights]
    dinputs = layer.backward(*douts)
    dinputs = dinputs if isinstance(dinputs, tuple) else (dinputs,)

    checked = [
        (f"input {k}", x, dx)
        for k, (x, dx) in enumerate(zip(inputs, dinputs, strict=False))
        if x.dtype == numpy.float64 and dx is not None
    ]
    params, grads = remove_duplicate(layer.params, layer.grads)
    checked += [(f"params[{k}]", p, g) for k, (p, g) in enumerate(zip(params, grads, strict=True))]
    analytic = [to_cpu(to_dense(g)).copy() for _, _, g in checked]
    return {
        name: _compare(f"{type(layer).__name__}: {name}", a, numeric_gradient(loss, x), tolerance)
        for (name, x, _), a in zip(checked, analytic, strict=True)
    }


def _compare(name: str, analytic: Array, numeric: Array, tolerance: float) -> float:
    if analytic.shape != numeric.shape:
        raise AssertionError(
            f"{name}: the gradient has shape {analytic.shape}, the array {numeric.shape}"
        )
    if not analytic.size:
        return 0.0
    difference = numpy.abs(analytic - numeric)
    scale = max(numpy.abs(analytic).max(), numpy.abs(numeric).max(), 1e-8)
    error = float(difference.max() / scale)
    if not error <= tolerance:
        where = numpy.unravel_index(difference.argmax(), difference.shape)
        at = tuple(int(k) for k in where)
        raise AssertionError(
            f"{name}: relative error {error:.1e} is above {tolerance:.0e}; worst at {at}, where "
            f"backward gives {analytic[where]:.8g} and differences give {numeric[where]:.8g}"
        )
    return error
