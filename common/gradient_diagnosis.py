"""What is probably wrong with a gradient? Sentences for `common.gradient_check`, from its numbers.

A diagnosis is a function that takes a `Case` and gives a sentence, or None where the numbers do not
show its mistake. Most change the gradient as the mistake would have to be undone, and speak only if
the changed one passes the check.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy

from common.np import Array

__all__ = ["Case", "diagnose", "lengths"]


@dataclass
class Case:
    """One array, its gradient from `backward` and its gradient from differences, on the host.

    name      what to call the array: "W"
    place     where backward puts its gradient: "grads[0]"
    analytic  what backward gives, and `again` if called again, `anew` after one more forward
    numeric   what differences give, in the shape of the array, and `finer` by a tenth of the step
    slopes    the differences below and above one element
    replaced  whether `grads` holds another array object than before backward
    lengths   what a factor may come from, as ("the batch size N", 4), which comes first
    parts     the numeric gradient if only one index of the output counts, by its name: "sample 0"
    tolerance the largest relative error that passes
    """

    name: str
    place: str
    analytic: Array
    again: Array
    anew: Array
    numeric: Array
    finer: Callable[[], Array]
    slopes: Callable[[tuple[int, ...]], tuple[float, float]]
    replaced: bool
    lengths: list[tuple[str, int]]
    parts: dict[str, Callable[[], Array]]
    tolerance: float

    @property
    def error(self) -> float:
        """The `relative_error` of what backward gives, which `tolerance` limits."""
        return relative_error(self.analytic, self.numeric)

    @property
    def worst(self) -> tuple[int, ...] | None:
        """Where the error is largest, or the first nan; None if two elements do not face."""
        if self.analytic.shape != self.numeric.shape or not self.numeric.size:
            return None
        with numpy.errstate(invalid="ignore"):  # inf - inf
            difference = numpy.abs(self.analytic - self.numeric)
        where = numpy.unravel_index(difference.argmax(), difference.shape)
        return tuple(int(k) for k in where)

    def passes(self, gradient: Array) -> bool:
        """Whether `gradient`, of any shape, would be the right one."""
        return relative_error(gradient, self.numeric) <= self.tolerance


def relative_error(a: Array, b: Array) -> float:
    """max |a - b| / max(|either|, 1e-8), any shape; inf for two shapes, nan if not finite."""
    if a.shape != b.shape:
        return math.inf
    if not a.size:
        return 0.0
    if not (numpy.isfinite(a).all() and numpy.isfinite(b).all()):
        return math.nan
    a, b = a.astype("float64"), b.astype("float64")
    return float(abs(a - b).max() / max(abs(a).max(), abs(b).max(), 1e-8))


def diagnose(case: Case) -> str | None:
    """What is probably wrong, in one sentence; None if nothing is."""
    tried = CONDUCT if case.error <= case.tolerance else CONDUCT + NUMBERS
    found = next((sentence for diagnosis in tried if (sentence := diagnosis(case))), None)
    return "; besides, ".join(s for s in (found, replaced(case)) if s) or None


# --- What backward does, even where its numbers are right ----------------------------------------


def replaced(case: Case) -> str | None:
    """`grads` holds another array object than before: what a model collected is the old one."""
    if not case.replaced:
        return None
    return (
        f"backward puts another array into {case.place}, and a model that has collected grads "
        f"keeps the old one: write {case.place}[...] = value"
    )


def accumulates(case: Case) -> str | None:
    """What the second backward gives more than the first, the third gives more than the second."""
    a, again, anew = case.analytic, case.again, case.anew
    if unchanged(case, again) or unchanged(case, anew) or not a.shape == again.shape == anew.shape:
        return None
    if not relative_error(again - a, anew - again) <= case.tolerance:
        return None
    return f"each backward adds the same again: it adds to {case.place} instead of overwriting it"


def works_once(case: Case) -> str | None:
    """One more backward, or one more forward and backward, gives another gradient."""
    if not unchanged(case, case.again):
        return (
            "backward gives something else when called again: it changes what forward has kept, "
            "or something is left over from the first call"
        )
    if not unchanged(case, case.anew):
        return (
            "another forward and backward give something else on the same input: something is "
            "left over from the first time"
        )
    return None


def unchanged(case: Case, later: Array) -> bool:
    """Whether a later gradient, any shape, is the first one; True where one is not finite."""
    finite = numpy.isfinite(case.analytic).all() and numpy.isfinite(later).all()
    return not finite or relative_error(case.analytic, later) <= case.tolerance


# --- What the numbers of a wrong gradient show ---------------------------------------------------


def not_finite(case: Case) -> str | None:
    """Some elements are nan or inf: how many, and where the first is."""
    for source, a in ("the gradient", case.analytic), ("what differences give", case.numeric):
        bad = numpy.argwhere(~numpy.isfinite(a))
        if len(bad):
            at = tuple(bad[0].tolist())
            return f"{len(bad)} of {a.size} elements of {source} are nan or inf, the first at {at}"
    return None


def transposed(case: Case) -> str | None:
    """Right if two axes are exchanged; of a matrix, if it is transposed."""
    a = case.analytic
    if a.ndim == 2 and case.passes(a.T):
        return "the gradient is transposed: its element (i, j) belongs to (j, i)"
    for i, j in itertools.combinations(range(a.ndim), 2):
        if case.passes(a.swapaxes(i, j)):
            return f"axes {i} and {j} of the gradient are exchanged"
    return None


def not_summed(case: Case) -> str | None:
    """Right if summed over axes that the array does not have: (N, M) for a bias (M,)."""
    a, needed = case.analytic, case.numeric
    for n in range(1, a.ndim + 1):
        for axes in itertools.combinations(range(a.ndim), n):
            total = a.sum(axis=axes)
            if a.size > total.size == needed.size and case.passes(total.reshape(needed.shape)):
                over = f"axis {axes[0]}" if n == 1 else f"axes {' and '.join(map(str, axes))}"
                _, N = case.lengths[0]
                batch = ", the batch" if axes == (0,) and len(a) == N else ""
                return (
                    f"the gradient has shape {a.shape} instead of {needed.shape}: "
                    f"sum over {over}{batch}"
                )
    return None


def misshapen(case: Case) -> str | None:
    """The gradient has another shape than its array; its numbers may be right, in their order."""
    a, needed = case.analytic, case.numeric
    if a.shape == needed.shape:
        return None
    same = a.size == needed.size and case.passes(a.reshape(needed.shape))
    end = ": the numbers are right, reshape it" if same else ""
    return f"the gradient has shape {a.shape} instead of {needed.shape}{end}"


# From here on, both have one shape and are finite.


def kink(case: Case) -> str | None:
    """The output bends where the error is largest: the gradient there is between two slopes."""
    below, above = case.slopes(case.worst or ())
    bend = abs(above - below)
    gradient = float(case.analytic[case.worst or ()])
    if not bend > 1e-3 * max(abs(below), abs(above)):
        return None
    if not min(below, above) - bend / 100 <= gradient <= max(below, above) + bend / 100:
        return None
    return (
        f"the output has a kink there, with slope {below:.4g} below and {above:.4g} above, so this "
        "may be no mistake: ReLU has one at 0, for example. Check with other weights and inputs"
    )


def uncertain(case: Case) -> str | None:
    """Differences by a smaller step are off by as much: rounding, or a kink or steep place of f."""
    off, step = abs(case.analytic - case.numeric), abs(case.finer() - case.numeric)
    if off.max() > 2 * step[case.worst]:
        return None
    return (
        "differences by a smaller step give something else there, so this may be no mistake: check "
        "with other weights and inputs, near 1 and away from kinks"
    )


def too_few_digits(case: Case) -> str | None:
    """The gradient is not float64, and off by no more than float32 or float16 explains, 1e-3."""
    if case.analytic.dtype == numpy.float64 or case.error > 1e-3:
        return None
    return (
        f"the gradient is {case.analytic.dtype}, which has too few digits: make its array like "
        "the parameter or input, as np.zeros_like does"
    )


def zero(case: Case) -> str | None:
    """The gradient is zero where the differences are not."""
    if case.analytic.any():
        return None
    return f"the gradient is zero everywhere: backward never writes {case.place}, or writes zeros"


def unused(case: Case) -> str | None:
    """The differences are zero where the gradient is not."""
    if abs(case.numeric).max() > 1e-8 * min(1, abs(case.analytic).max()):
        return None
    return f"the gradient should be zero: the output does not change with {case.name}"


def factor(case: Case) -> str | None:
    """analytic = c * numeric, where c is -1, an integer or 1 / integer, or fits many elements."""
    a, n = case.analytic, case.numeric
    c = float((a * n).sum() / (n * n).sum())
    if not relative_error(a, c * n) <= case.tolerance or math.isclose(c, 1, rel_tol=1e-3):
        return None
    size, times = abs(c), f"{c:.6g}"
    whole = round(max(size, 1 / size))
    if not math.isclose(whole, max(size, 1 / size), rel_tol=1e-5):
        several = numpy.count_nonzero(n) > 1  # one number is always a multiple of another
        return f"every element is {times} times what it should be" if several else None
    if size < 1 and whole > 1:
        times = f"{'-' * (c < 0)}1/{whole}"
    sentence = f"every element is {times} times what it should be"
    if whole == 1:
        return f"{sentence}: the sign is wrong"
    name = next((name for name, length in case.lengths if length == whole), None)
    if name is None:
        return sentence
    divides, other = ("forward", "backward") if size > 1 else ("backward", "forward")
    reason = f"perhaps {divides} divides by it, and {other} does not"
    return f"{sentence}, and {whole} is {name}: {reason}"


def only_a_part(case: Case) -> str | None:
    """Right if nothing but the first or last sample, or step, of the output counted."""
    for name, numeric in case.parts.items():
        if relative_error(case.analytic, numeric()) <= case.tolerance:
            return f"only {name} of the output counts; the sum over the others is missing"
    return None


def right_at_the_end(case: Case) -> str | None:
    """Of a gradient (N, T, D) step T-1 is right, and something is off at every step before."""
    off = elements_off(case)
    if off.ndim != 3 or off.shape[1] == 1 or off[:, -1].any():
        return None
    if not off[:, :-1].any(axis=(0, 2)).all():
        return None
    return (
        "the last step (axis 1) is right and all steps before it are off: look at what comes back "
        "from the step after"
    )


def scattered(case: Case) -> str:
    """Where nothing else fits: how many elements are off, and in which rows and columns."""
    off = elements_off(case)
    if off.all():
        return f"all {off.size} elements are off, by no common factor"
    spans = [span for axis in range(off.ndim) if (span := lines_with(off, axis))]
    where = f", all in {' and '.join(spans)}" if spans else ""
    return f"{numpy.count_nonzero(off)} of {off.size} elements are off{where}"


def elements_off(case: Case) -> Array:
    """True where |analytic - numeric| > tolerance * max(|either|); any shape."""
    a, n = case.analytic, case.numeric
    scale = max(abs(a).max(), abs(n).max())
    off: Array = abs(a - n) > case.tolerance * scale
    return off


def lines_with(off: Array, axis: int) -> str | None:
    """Where along an axis of off, any shape, it is True: "rows 0 to 2"; None if everywhere."""
    others = tuple(k for k in range(off.ndim) if k != axis)
    at = numpy.flatnonzero(off.any(axis=others)).tolist()
    length = off.shape[axis]
    if len(at) == length:
        return None
    one, many = ("row", "rows") if axis == 0 else ("column", "columns")
    if off.ndim != 2:
        one, many = f"axis {axis} at index", f"axis {axis} at indices"
    first, last = at[0], at[-1]
    if first == last:
        end = {0: " (the first)", length - 1: " (the last)"}.get(first, "")
        return f"{one} {first}{end}"
    if last - first == len(at) - 1:
        return f"{many} {first} to {last} of {length}"
    return f"{many} {', '.join(map(str, at))} of {length}"


def lengths(named: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    """What a wrong factor may come from: N, T, N * T, any axis, the number of all elements.

    named  the shapes of inputs and outputs. The longest tells N, and T if it has three axes.
    """
    name, shape = max(named.items(), key=lambda item: len(item[1]))
    found = []
    if shape:
        found.append((f"the batch size N (axis 0 of {name})", shape[0]))
    if len(shape) == 3:
        found.append((f"T (axis 1 of {name})", shape[1]))
        found.append((f"N * T (axes 0 and 1 of {name})", shape[0] * shape[1]))
    for name, shape in named.items():
        found += [(f"the length of axis {axis} of {name}", n) for axis, n in enumerate(shape)]
        found.append((f"the number of elements of {name}", math.prod(shape)))
    return found


CONDUCT = [accumulates, works_once]
NUMBERS = [
    *(not_finite, transposed, not_summed, misshapen),
    *(kink, uncertain, too_few_digits, zero, unused, factor),
    *(only_a_part, right_at_the_end, scattered),
]
