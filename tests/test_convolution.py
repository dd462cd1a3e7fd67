"""Convolution over time and the gated linear unit: slow twins, causality, PyTorch's layers."""

import re
from itertools import pairwise

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.convolution import GatedLinearUnit, TimeConvolution
from common.np import np, to_cpu

pytestmark = pytest.mark.usefixtures("backend")

N, T, D, M = 2, 6, 3, 4


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(
        to_cpu(a), to_cpu(b), **{"rtol": 1e-10, "atol": 1e-12} | tolerance
    )


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def made(r, k=3, **options):
    return TimeConvolution(r(k, D, M), r(M), **options)


def slow_convolution(x, W, b, left, real):
    """One sample (T, D), one step and one step under the kernel after the other."""
    y = numpy.zeros((len(x), len(b)))
    for t in range(len(x)):
        y[t] = b
        for j in range(len(W)):
            where = t + j - left
            if 0 <= where < len(x) and real[where]:
                y[t] += x[where] @ W[j]
    return y


sizes = st.integers(1, 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(sizes, sizes, sizes, st.booleans(), st.booleans(), st.randoms())
def test_a_convolution_is_its_slow_twin(N, T, k, causal, padded, random):
    rng = numpy.random.default_rng(random.randrange(2**32))
    k = k if causal else 2 * k - 1
    W, b, x = (rng.standard_normal(shape) for shape in ((k, D, M), (M,), (N, T, D)))
    real = rng.random((N, T)) < 0.6 if padded else numpy.ones((N, T), bool)
    layer = TimeConvolution(np.asarray(W), np.asarray(b), causal=causal)
    y = layer.forward(np.asarray(x), real if padded else None)
    left = k - 1 if causal else (k - 1) // 2
    for n in range(N):
        same(y[n], slow_convolution(x[n], W, b, left, real[n]))


def test_later_steps_do_not_influence_earlier_ones(r):
    layer, x = made(r, causal=True), r(N, T, D)
    y = layer.forward(x)
    for t in range(1, T):
        changed = x.copy()
        changed[:, t:] = r(N, T - t, D)
        numpy.testing.assert_array_equal(to_cpu(layer.forward(changed)[:, :t]), to_cpu(y[:, :t]))


@pytest.mark.parametrize("parts", [[1] * T, [2, 4], [5, 1]])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_parts_one_after_the_other_are_the_whole(r, parts, k):
    layer, x = made(r, k, causal=True, stateful=True), r(N, T, D)
    whole = layer.forward(x)
    layer.reset_state()
    ends = numpy.cumsum([0, *parts])
    same(np.concatenate([layer.forward(x[:, a:b]) for a, b in pairwise(ends)], axis=1), whole)


def test_selected_rows_go_on(r):
    layer, x, rows = made(r, causal=True, stateful=True), r(N, T, D), np.asarray([1, 1, 0])
    whole = layer.forward(x)
    layer.reset_state()
    layer.forward(x[:, :3])
    layer.select(numpy.array([1, 1, 0]))
    same(layer.forward(x[rows][:, 3:]), whole[rows][:, 3:])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_convolution_is_that_of_pytorch(torch, r, dtype, tolerance, causal):
    layer = made(lambda *s: r(*s).astype(dtype), causal=causal)
    x, dy = r(N, T, D).astype(dtype), r(N, T, M).astype(dtype)
    twin = torch.nn.Conv1d(D, M, 3, padding=2 if causal else 1, dtype=getattr(torch, dtype))
    W, b = (torch.as_tensor(to_cpu(p)) for p in layer.params)
    with torch.no_grad():
        twin.weight.copy_(W.permute(2, 1, 0))
        twin.bias.copy_(b)
    x2 = torch.tensor(to_cpu(x), requires_grad=True)
    y2 = twin(x2.transpose(1, 2)).transpose(1, 2)[:, :T]
    y2.backward(torch.as_tensor(to_cpu(dy)))
    dW = twin.weight.grad.permute(2, 1, 0)
    found = [layer.forward(x), layer.backward(dy), *layer.grads]
    for a, b in zip(found, [y2.detach(), x2.grad, dW, twin.bias.grad], strict=True):
        same(a, b.numpy(), rtol=0, atol=tolerance * max(1, float(b.abs().max())))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_a_gated_linear_unit_is_that_of_pytorch(torch, r, dtype, tolerance):
    x, dy, layer = r(N, T, 2 * M).astype(dtype), r(N, T, M).astype(dtype), GatedLinearUnit()
    x2 = torch.tensor(to_cpu(x), requires_grad=True)
    y2 = torch.nn.functional.glu(x2)
    y2.backward(torch.as_tensor(to_cpu(dy)))
    same(layer.forward(x), y2.detach().numpy(), rtol=tolerance, atol=tolerance)
    same(layer.backward(dy), x2.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_an_even_kernel_has_no_middle(r):
    with refused("TimeConvolution: a kernel of 4 steps has no middle: k must be odd"):
        made(r, 4)
    with refused("TimeConvolution: a kernel of 0 steps has no middle"):
        made(r, 0)
    made(r, 4, causal=True)


def test_what_does_not_fit_is_refused(r):
    with refused("TimeConvolution: W is (k, D, M) and b (M,), not (3, 4) and (4,)"):
        TimeConvolution(r(3, 4), r(4))
    with refused("TimeConvolution: stateful needs causal"):
        made(r, stateful=True)
    with refused("TimeConvolution: input must be (N, T, 3), not (2, 6, 4)"):
        made(r).forward(r(N, T, 4))
    with refused("GatedLinearUnit: takes an even number of numbers, and gets 3"):
        GatedLinearUnit().forward(r(2, 3))
    layer = made(r, causal=True, stateful=True)
    layer.forward(r(N, T, D))
    with refused("TimeConvolution: the kept past is of batch size 2, the input of 3"):
        layer.forward(r(3, T, D))
