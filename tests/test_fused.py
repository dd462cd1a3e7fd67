"""`common.np.fused`: one formula, a plain function under NumPy and one kernel under CuPy."""

import inspect

import numpy
import pytest

from common import fused_steps
from common.functions import logistic
from common.layers import fill_mask
from common.np import fused, np, suited, to_cpu, use
from common.optimizer import adagrad, adam, momentum, nesterov, rmsprop, sgd
from tests import cupy_stand_in

STEPS = [
    function
    for name, function in vars(fused_steps).items()
    if name.endswith(("step", "step_zr", "step_n", "slopes"))
]
FORMULAS = [*STEPS, sgd, momentum, nesterov, adagrad, rmsprop, adam, fill_mask, logistic]


def arguments(formula, dtype):
    """Arrays (3, 4) of numbers in 0..1, and a number where it takes one."""
    rng = numpy.random.default_rng(0)
    kinds = [parameter.annotation for parameter in inspect.signature(formula).parameters.values()]
    return [0.25 if kind is float else rng.random((3, 4)).astype(dtype) for kind in kinds]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.__name__)
def test_a_kernel_computes_what_the_function_computes(formula, dtype, backend):
    plain = arguments(formula, dtype)
    moved = [
        np.asarray(a) if isinstance(a, numpy.ndarray) else a for a in arguments(formula, dtype)
    ]
    result = fused(formula)(*moved)
    use("numpy")
    expected = formula(*plain)
    pairs = [*zip(moved, plain, strict=True)] + ([] if expected is None else [(result, expected)])
    for ours, theirs in pairs:
        if not isinstance(theirs, float):
            assert ours.dtype == dtype
            tolerance = 1e-5 if dtype == "float32" else 1e-13
            numpy.testing.assert_allclose(to_cpu(ours), theirs, tolerance, tolerance)
    before = arguments(formula, dtype)
    changed = sum(not numpy.array_equal(a, b) for a, b in zip(plain, before, strict=True))
    assert changed or expected is not None


@pytest.mark.gpu
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.__name__)
def test_cupy_makes_one_elementwise_kernel_of_every_formula(formula):
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    try:
        cupy.zeros(1)
    except Exception as error:
        pytest.skip(f"no GPU: {error}")
    use("cupy")
    try:
        kernel = fused(formula)
        kernel(
            *[
                cupy.asarray(a) if isinstance(a, numpy.ndarray) else a
                for a in arguments(formula, "f")
            ]
        )
    finally:
        use("numpy")
    assert kernel.new_fusion is None  # else CuPy took its other way, with several kernels


def test_all_steps_are_among_them():
    assert len(STEPS) == 11


def test_under_numpy_a_formula_is_the_function_itself():
    assert fused(sgd) is sgd
    assert suited("numpy's", "cupy's") == "numpy's"


def test_a_kernel_is_made_once_for_a_library():
    with cupy_stand_in.install():
        use("cupy")
        try:
            assert fused(sgd) is fused(sgd) is not sgd
            assert suited("numpy's", "cupy's") == "cupy's"
        finally:
            use("numpy")
