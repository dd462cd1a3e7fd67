"""The gradient checker finds right gradients right, and the usual mistakes wrong."""

import numpy
import pytest

from common.gradient_check import check_gradients, numeric_gradient
from common.layers import Affine, Softmax

rng = numpy.random.default_rng(0)


class Mistaken(Affine):
    """An affine layer whose backward is changed by `spoil(layer, dx)`."""

    def __init__(self, spoil):
        super().__init__(rng.standard_normal((3, 3)), rng.standard_normal(3))
        self.spoil = spoil

    def backward(self, dy):
        return self.spoil(self, super().backward(dy))


def test_the_slope_of_a_square_is_twice_its_place():
    x = numpy.array([[1.0, -2.0], [3.0, 0.0]])
    before = x.copy()
    numpy.testing.assert_allclose(numeric_gradient(lambda: (x**2).sum(), x), 2 * x, atol=1e-9)
    numpy.testing.assert_array_equal(x, before)


def test_right_gradients_have_tiny_errors():
    layer = Affine(rng.standard_normal((3, 5)), rng.standard_normal(5))
    errors = check_gradients(layer, rng.standard_normal((2, 3)))
    assert list(errors) == ["input 0", "params[0]", "params[1]"]
    assert max(errors.values()) < 1e-9


def spoil_weight(change):
    def spoil(layer, dx):
        layer.grads[0][...] = change(layer.grads[0])
        return dx

    return spoil


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda layer, dx: 2 * dx, "input 0"),
        (lambda layer, dx: dx + 1e-4, "input 0"),
        (lambda layer, dx: dx[:1], "input 0: the gradient has shape"),
        (lambda layer, dx: dx * numpy.nan, "input 0"),
        (spoil_weight(lambda g: g.T.copy()), r"params\[0\].*worst at"),
        (spoil_weight(lambda g: g / 2), r"params\[0\]"),
    ],
    ids=["factor", "offset", "shape", "nan", "transposed", "missing half"],
)
def test_mistakes_are_found_and_named(spoil, named):
    with pytest.raises(AssertionError, match=f"Mistaken: {named}"):
        check_gradients(Mistaken(spoil), rng.standard_normal((2, 3)))


def test_a_softmax_backward_seven_times_too_large_is_found():
    class Sevenfold(Softmax):
        def backward(self, dy):
            return 7 * super().backward(dy)

    with pytest.raises(AssertionError, match="Sevenfold: input 0"):
        check_gradients(Sevenfold(), rng.standard_normal((2, 3)))


def test_float32_is_refused():
    with pytest.raises(ValueError, match="numeric_gradient: needs float64, not float32"):
        numeric_gradient(lambda: 0, numpy.zeros(2, "f"))
