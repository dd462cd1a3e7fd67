"""Are the gradients of a layer or model right? Compare them with differences of its outputs.

    class Scale(Layer):                             # y = x * W.   x (N, D), W (D,)
        def __init__(self, W):
            super().__init__(W=W)
        def forward(self, x):
            self.x = x
            return x * self.params[0]
        def backward(self, dy):
            self.grads[0][...] = dy.sum(axis=0)     # forgotten: * x
            return dy * self.params[0]

    check_gradients(Scale(rng.standard_normal(3)), rng.standard_normal((2, 3)))

prints a line for each array, inputs first: the largest relative error, and where that is.

    Scale  shape   error    at
    x      (2, 3)  2.1e-12  (1, 1)  ok
    W      (3,)    1.0e+00  (2,)    WRONG

Then it raises AssertionError: the wrong lines, what backward and differences give there, and what
is probably wrong, for which `common.gradient_diagnosis` has the usual mistakes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy

from common.checks import described
from common.gradient_diagnosis import Case, diagnose, lengths
from common.gradients import owner, remove_duplicate, to_dense
from common.network import arguments_of, flattened, param_names
from common.np import Array, np, to_cpu

__all__ = ["check_gradients", "numeric_gradient"]


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
    *inputs: Any,
    tolerance: float = 1e-6,
    before: Callable[[], Any] | None = None,
    verbose: bool = True,
) -> dict[str, float]:
    """Compare the gradients that `layer.backward` gives with numeric ones.

    layer    a layer or model with forward, backward, params and grads, in float64
    inputs   what its forward takes; gradients are checked for those that are float64
    before   called before every forward: to put back a state or a random generator. Without it,
             `reset_state` is, where the layer has one
    verbose  whether to print the table of errors
    -> the relative error of each array, by "input 0", "params[0]", shared parameters once:
       max |analytic - numeric| / max(|either|).

    The outputs are weighted with random numbers: with ones, a softmax, whose rows always sum to
    one, would pass whatever its backward did. `backward` is called again, alone and after another
    forward, and must give the same.
    Raises ValueError for what cannot be checked: arrays that are not float64 or not finite, grads
    that do not go with params, a forward that gives another output when called again. Raises
    AssertionError, after all arrays have been compared, if an error exceeds `tolerance`, `grads` is
    not written in place or backward works only once, with a sentence for each wrong array; at once
    if forward gives nan or inf or changes arrays of the caller, as backward must not either.
    """
    subject = _Subject(layer, inputs, before)
    held = list(layer.grads)  # as a model collects them
    subject.weigh()
    first = subject.backward()
    subject.check_untouched("backward")
    again, anew, crash = subject.backward_twice_more(first)
    if not first:
        raise subject.refusal("has nothing to check: no params, no gradient of a float64 input")
    cases = {}
    for key, gradient in first.items():
        name, x, uses = subject.arrays[key]
        moved = [k for k in uses if layer.grads[k] is not held[k]]
        cases[key] = Case(
            name=name,
            place=f"grads[{(moved or uses)[0]}]" if uses else f"the gradient of {name}",
            analytic=gradient,
            again=again.get(key, numpy.empty(0)),
            anew=anew.get(key, numpy.empty(0)),
            numeric=subject.differences(x, subject.weights),
            finer=partial(subject.differences, x, subject.weights, 1e-6),
            slopes=partial(subject.slopes, x),
            replaced=bool(moved),
            lengths=subject.lengths,
            parts=subject.parts(x),
            tolerance=tolerance,
        )
    found = {key: sentence for key, case in cases.items() if (sentence := diagnose(case))}
    lines = _table(subject, cases, found)
    if verbose:
        print("\n".join(lines.values()))
    if found:
        text = [f"{subject.name}: {len(found)} of {len(cases)} gradients are wrong", lines["title"]]
        for key, sentence in found.items():
            text += [lines[key], *_numbers(cases[key]), f"    {sentence}"]
        raise AssertionError("\n".join(text))
    if crash:
        raise AssertionError(
            f"{subject.name}: backward works only once: called again, it raises {crash!r}"
        ) from crash
    return {key: case.error for key, case in cases.items()}


class _Named(NamedTuple):
    """An array whose gradient counts; `uses` says where in `params` it is, if it is there."""

    name: str
    array: Array
    uses: list[int]


class _Subject:
    """A layer under test, from a fixed start, and one number made of its outputs: the loss.

    arrays   whose gradients count, by key
    weights  one for each element of each output:  loss = sum of output * weight
    lengths  see `Case`
    """

    def __init__(
        self, layer: Any, inputs: tuple[Any, ...], before: Callable[[], Any] | None
    ) -> None:
        self.name, self.layer = type(layer).__name__, layer
        self.start = before or getattr(layer, "reset_state", None) or (lambda: None)
        for name in "forward", "backward", "params", "grads":
            if not hasattr(layer, name):
                raise self.refusal(f"has no {name}")
        if not arguments_of(layer.backward):
            raise self.refusal(
                "has a backward without arguments; it needs the gradient of what forward returns, "
                "1 of a loss: backward(self, dout=1)"
            )
        for name, arrays in ("params", layer.params), ("grads", layer.grads):
            for k, a in enumerate(arrays):
                if a is not None and not (hasattr(a, "__setitem__") and hasattr(a, "dtype")):
                    raise self.refusal(f"needs arrays in {name}, {name}[{k}] is a {described(a)}")
        for k, x in enumerate(inputs):
            if isinstance(x, list | tuple) and any(
                isinstance(y, float) for _, y in flattened("", x)
            ):
                raise self.refusal(f"needs arrays, input {k} is a {described(x)}: np.array(...)")
        self._check_grads()
        # Copies, so that the caller's stay as they are and one array given twice counts as two.
        self.inputs = [np.array(x) if _is_float(x) else x for x in inputs]
        self.input_names = _positional(layer.forward)
        self.input_names += [f"input {k}" for k in range(len(self.input_names), len(inputs))]
        self.arrays = {
            f"input {k}": _Named(self.input_names[k], x, [])
            for k, x in enumerate(self.inputs)
            if _is_float(x)
        }
        names = param_names(layer)
        for p in remove_duplicate(layer.params, layer.grads)[0]:
            k = next(i for i, q in enumerate(layer.params) if q is p)
            uses = [i for i, q in enumerate(layer.params) if owner(q) is owner(p)]
            self.arrays[f"params[{k}]"] = _Named(names[k], p, uses)
        for name, x, _ in self.arrays.values():
            if x.dtype != numpy.float64:
                raise self.refusal(
                    f"needs float64, {name} is {x.dtype}: give the layer and its inputs "
                    "a.astype('float64'); where __init__ draws the weights, leave out astype('f')"
                )
            if not numpy.isfinite(to_cpu(x)).all():
                raise self.refusal(f"cannot be checked where {name} holds nan or inf")
        self.before = {key: to_cpu(a.array).copy() for key, a in self.arrays.items()}

    def refusal(self, problem: str) -> ValueError:
        return ValueError(f"check_gradients: {self.name} {problem}")

    def _check_grads(self) -> None:
        there = sum(g is not None for g in self.layer.grads)
        if there != len(self.layer.params) or there != len(self.layer.grads):
            raise self.refusal(
                f"has {len(self.layer.params)} arrays in params and {there} in grads; each needs "
                "one of its shape, made in __init__"
            )

    def check_untouched(self, method: str) -> None:
        for key, a in self.arrays.items():
            if not numpy.array_equal(to_cpu(a.array), self.before[key]):
                raise AssertionError(f"{self.name}: {method} changes {a.name} itself, not a copy")

    def forward(self) -> list[Array]:
        self.start()
        return [np.asarray(y) for y in _several(self.layer.forward(*self.inputs))]

    def weigh(self) -> None:
        """Draw the weights, for outputs that must be finite and the same whenever called."""
        first, second = self.forward(), self.forward()
        self.check_untouched("forward")
        for y, y2 in zip(map(to_cpu, first), map(to_cpu, second), strict=True):
            if y.dtype != numpy.float64:
                raise self.refusal(
                    f"needs float64 throughout, its forward gives {y.dtype}: leave out dtype='f' "
                    "where it makes arrays"
                )
            if not y.size:
                raise self.refusal(f"has nothing to check: its forward gives shape {y.shape}")
            if not numpy.isfinite(y).all():
                at = tuple(numpy.argwhere(~numpy.isfinite(y))[0].tolist())
                raise AssertionError(f"{self.name}: forward gives nan or inf, first at {at}")
            if y.shape != y2.shape or not numpy.allclose(y, y2, rtol=1e-9, atol=1e-12):
                raise self.refusal(
                    "gives another output when called again on the same input: pass before=, "
                    "which puts back its state or random generator"
                )
        rng = numpy.random.default_rng(0)
        self.weights = [np.asarray(rng.standard_normal(y.shape)) for y in first]
        named = zip(self.input_names, self.inputs, strict=False)
        shapes = {name: x.shape for name, x in named if hasattr(x, "shape")}
        self.lengths = lengths(shapes | {"the output": first[0].shape})

    def loss(self, weights: list[Array]) -> float:
        return sum(float((y * w).sum()) for y, w in zip(self.forward(), weights, strict=True))

    def differences(self, x: Array, weights: list[Array], eps: float = 1e-5) -> Array:
        return numeric_gradient(lambda: self.loss(weights), x, eps)

    def slopes(self, x: Array, where: tuple[int, ...], eps: float = 1e-5) -> tuple[float, float]:
        """The differences of the loss below and above one element of x."""
        old, here = float(x[where]), self.loss(self.weights)
        try:
            x[where] = old - eps
            below = self.loss(self.weights)
            x[where] = old + eps
            above = self.loss(self.weights)
        finally:
            x[where] = old
        return (here - below) / eps, (above - here) / eps

    def parts(self, x: Array) -> dict[str, Callable[[], Array]]:
        """See `Case`: first and last along axis 0, and along axis 1 of outputs of three axes."""
        parts: dict[str, Callable[[], Array]] = {}
        shape = self.weights[0].shape
        for axis, kind, end in ((0, "sample", "N-1"), (1, "step", "T-1"))[: 1 + (len(shape) > 2)]:
            if len(shape) and shape[axis] > 1:
                last = shape[axis] - 1
                for k, name in (0, f"{kind} 0"), (last, f"{kind} {last} ({end})"):
                    parts[name] = partial(self.differences, x, self._only(axis, k))
        return parts

    def _only(self, axis: int, k: int) -> list[Array]:
        """The weights, zero but at index k of the axis."""
        where = (slice(None),) * axis + (slice(k, k + 1),)
        only = [np.zeros_like(w) for w in self.weights]
        for part, w in zip(only, self.weights, strict=True):
            if w.ndim > axis:
                part[where] = w[where]
        return only

    def backward(self) -> dict[str, Array]:
        """The gradients by key, on the host; none for an input where backward gives None."""
        # Copies, since a backward may write into what it gets. A scalar is a loss, and its
        # backward takes a number.
        douts = [w.copy() if w.ndim else float(w) for w in self.weights]
        dinputs = _several(self.layer.backward(*douts))
        self._check_grads()
        keys = [f"input {k}" for k in range(len(self.inputs))]
        floats = [key for key in keys if key in self.arrays]
        if len(dinputs) > len(keys):
            raise self.refusal(f"backward returns {len(dinputs)} gradients for {len(keys)} inputs")
        if len(dinputs) < len(keys) and len(dinputs) == len(floats):  # none for ids: a decoder
            keys = floats
        found = {key: dx for key, dx in zip(keys, dinputs, strict=False) if dx is not None}
        grads = remove_duplicate(self.layer.params, self.layer.grads)[1]
        params = [key for key, a in self.arrays.items() if a.uses]
        found |= {key: to_dense(g) for key, g in zip(params, grads, strict=True)}
        return {key: to_cpu(found[key]).copy() for key in self.arrays if key in found}

    def backward_twice_more(
        self, first: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array], Exception | None]:
        """The gradients of another backward, and of one after another forward.

        If one raises, the `first` gradients stand for them, as they may tell why.
        """
        try:
            again = self.backward()
            self.forward()
            return again, self.backward(), None
        except Exception as error:
            return first, first, error


def _is_float(x: Any) -> bool:
    return hasattr(x, "dtype") and x.dtype.kind == "f"


def _several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def _positional(function: Callable[..., Any]) -> list[str]:
    """The names of a function's positional parameters."""
    return [
        p.name
        for p in arguments_of(function).values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _table(subject: _Subject, cases: dict[str, Case], found: dict[str, str]) -> dict[str, str]:
    """The lines of the table, by key; "title" for the first."""
    rows = {"title": (subject.name, "shape", "error", "at", "")}
    for key, (name, x, _) in subject.arrays.items():
        error, at, verdict = "-", "-", "no gradient"
        if case := cases.get(key):
            error = "shape" if case.error == math.inf else f"{case.error:.1e}"
            at = "-" if case.worst is None else str(case.worst)
            verdict = "WRONG" if key in found else "ok"
        rows[key] = name, str(x.shape), error, at, verdict
    widths = [max(map(len, column)) for column in zip(*rows.values(), strict=True)]
    return {
        key: "  ".join(f"{cell:{n}}" for cell, n in zip(row, widths, strict=True)).rstrip()
        for key, row in rows.items()
    }


def _numbers(case: Case) -> list[str]:
    """The line that compares the worst element, if there is one."""
    at = case.worst
    if at is None or case.error <= case.tolerance:
        return []
    return [
        f"    at {at} backward gives {case.analytic[at]:.8g}, "
        f"differences give {case.numeric[at]:.8g}"
    ]
