"""LayerNorm, GELU and label smoothing: worked numbers, slow twins, PyTorch's."""

import math
import re

import numpy
import pytest

from common.layers import GELU, LayerNorm, SoftmaxWithLoss
from common.np import np, to_cpu
from common.time_layers import TimeSoftmaxWithLoss
from tests.reference import slow_layer_norm

pytestmark = pytest.mark.usefixtures("backend")

DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])


def close(a, b, tolerance):
    numpy.testing.assert_allclose(to_cpu(a), b.detach().numpy(), rtol=tolerance, atol=tolerance)


def leaf(torch, a):
    return torch.tensor(to_cpu(a), requires_grad=True)


# --- LayerNorm ------------------------------------------------------------------------------------


def test_a_row_is_shifted_and_scaled_to_mean_beta_and_deviation_gamma():
    """(1, 3): mean 2, variance 1, so z = (-1, 1) / sqrt(1.25) with eps 0.25; y = 2 z + 1."""
    layer = LayerNorm(np.full(2, 2.0), np.ones(2), eps=0.25)
    y = to_cpu(layer.forward(np.array([[1.0, 3.0]])))
    numpy.testing.assert_allclose(y, [[1 - 2 / math.sqrt(1.25), 1 + 2 / math.sqrt(1.25)]])


def test_layer_norm_is_its_slow_twin(r):
    gamma, beta, x = r(5), r(5), 100 + r(2, 3, 5)
    y = to_cpu(LayerNorm(gamma, beta).forward(x))
    for where in numpy.ndindex(2, 3):
        expected = slow_layer_norm(*map(to_cpu, (x[where], gamma, beta)))
        numpy.testing.assert_allclose(y[where], expected, rtol=1e-9)


def test_equal_numbers_become_beta(r):
    beta = r(4)
    y = LayerNorm(r(4), beta).forward(np.full((2, 4), 7.0))
    numpy.testing.assert_array_equal(to_cpu(y), to_cpu(np.stack([beta, beta])))


@DTYPES
def test_layer_norm_is_that_of_pytorch(torch, r, dtype, tolerance):
    gamma, beta, x, dy = (r(*s).astype(dtype) for s in ((6,), (6,), (2, 3, 6), (2, 3, 6)))
    layer, twin = LayerNorm(gamma, beta), torch.nn.LayerNorm(6, dtype=getattr(torch, dtype))
    with torch.no_grad():
        twin.weight.copy_(torch.as_tensor(to_cpu(gamma)))
        twin.bias.copy_(torch.as_tensor(to_cpu(beta)))
    x2 = leaf(torch, x)
    y2 = twin(x2)
    y2.backward(torch.as_tensor(to_cpu(dy)))
    close(layer.forward(x), y2, tolerance)
    close(layer.backward(dy), x2.grad, tolerance)
    close(layer.grads[0], twin.weight.grad, tolerance)
    close(layer.grads[1], twin.bias.grad, tolerance)


def test_what_is_no_layer_norm_is_refused(r):
    def refused(message):
        return pytest.raises(ValueError, match=re.escape(f"LayerNorm: {message}"))

    with refused("gamma and beta are (D,), not (4,) and (3,)"):
        LayerNorm(r(4), r(3))
    with refused("eps must be positive, not 0"):
        LayerNorm(r(4), r(4), eps=0)
    with refused("takes 4 numbers, and gets 3"):
        LayerNorm(r(4), r(4)).forward(r(2, 3))


# --- GELU -----------------------------------------------------------------------------------------


def test_gelu_is_nearly_x_times_the_normal_distribution():
    x = numpy.linspace(-6, 6, 101)
    exact = [a * 0.5 * (1 + math.erf(a / math.sqrt(2))) for a in x]
    numpy.testing.assert_allclose(to_cpu(GELU().forward(np.asarray(x))), exact, atol=5e-4)


@DTYPES
def test_gelu_is_that_of_pytorch(torch, r, dtype, tolerance):
    x, dy, layer = 3 * r(4, 5).astype(dtype), r(4, 5).astype(dtype), GELU()
    x2 = leaf(torch, x)
    y2 = torch.nn.functional.gelu(x2, approximate="tanh")
    y2.backward(torch.as_tensor(to_cpu(dy)))
    close(layer.forward(x), y2, tolerance)
    close(layer.backward(dy), x2.grad, tolerance)


# --- Label smoothing ------------------------------------------------------------------------------


def test_smoothed_labels_share_q_among_all_classes():
    """q = 0.3 over 3 classes: the right one has 0.7 + 0.1, the others 0.1 each."""
    x = numpy.log([[0.5, 0.25, 0.25]])
    loss = SoftmaxWithLoss(label_smoothing=0.3).forward(np.asarray(x), numpy.array([0]))
    expected = -(0.8 * math.log(0.5) + 2 * 0.1 * math.log(0.25))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


@DTYPES
def test_the_smoothed_loss_is_that_of_pytorch(torch, r, dtype, tolerance):
    x, t = r(2, 4, 5).astype(dtype), numpy.array([[0, 4, -1, 2], [3, -1, -1, 1]])
    layer, x2 = TimeSoftmaxWithLoss(label_smoothing=0.2), leaf(torch, x)
    loss2 = torch.nn.functional.cross_entropy(
        x2.flatten(0, 1), torch.as_tensor(t).flatten(), ignore_index=-1, label_smoothing=0.2
    )
    loss2.backward()
    assert float(layer.forward(x, t)) == pytest.approx(float(loss2.detach()), rel=tolerance)
    close(layer.backward(), x2.grad, tolerance)


def test_the_loss_is_smoothed_in_training_only(r):
    x, t, layer = r(3, 4), numpy.array([0, 1, 3]), SoftmaxWithLoss(label_smoothing=0.5)
    layer.train(False)
    plain = SoftmaxWithLoss()
    assert float(layer.forward(x, t)) == float(plain.forward(x, t))
    numpy.testing.assert_array_equal(to_cpu(layer.backward()), to_cpu(plain.backward()))


def test_a_score_of_minus_infinity_does_no_harm_without_smoothing():
    x = np.array([[0.0, -np.inf, 0.0]])
    layer = SoftmaxWithLoss()
    assert float(layer.forward(x, numpy.array([0]))) == pytest.approx(math.log(2))
    assert np.isfinite(layer.backward()).all()


@pytest.mark.parametrize("q", [-0.1, 1, 1.5, math.nan, None])
def test_smoothing_outside_0_to_1_is_refused(q):
    with pytest.raises(ValueError, match=r"TimeSoftmaxWithLoss: label_smoothing is at least 0"):
        TimeSoftmaxWithLoss(label_smoothing=q)
