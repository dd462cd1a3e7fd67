import warnings
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from common.functions import cross_entropy_error, relu, sigmoid, softmax
from common.layers import Affine, Sigmoid, SoftmaxWithLoss
from common.np import np, to_cpu
from common.time_layers import TimeSoftmaxWithLoss
from tests import cupy_stand_in

both = pytest.mark.usefixtures("backend")
scores = st.floats(-1e4, 1e4)


@both
def test_sigmoid_has_the_values_of_the_book():
    y = sigmoid(np.array([-1.0, 0.0, 1.0, 2.0]))
    numpy.testing.assert_allclose(
        to_cpu(y), [0.26894142, 0.5, 0.73105858, 0.88079708], rtol=0, atol=5e-9
    )


@both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_never_overflows_and_keeps_small_values(dtype):
    y = to_cpu(sigmoid(np.array([-1e4, -80, -20, 20, 1e4], dtype=dtype)))
    assert y.dtype == dtype
    numpy.testing.assert_allclose(y[1:3], numpy.exp([-80.0, -20.0]), rtol=1e-4)
    assert y[0] == 0
    assert y[4] == 1


def test_tanh_is_a_stretched_sigmoid():
    x = numpy.linspace(-6, 6, 101)
    numpy.testing.assert_allclose(numpy.tanh(x), 2 * sigmoid(2 * x) - 1, atol=1e-15)


@given(arrays(float, array_shapes(min_dims=1, max_dims=4, max_side=6), elements=scores))
def test_softmax_rows_are_probabilities_and_ignore_a_shift(x):
    y = softmax(x)
    assert y.shape == x.shape
    assert (y >= 0).all()
    numpy.testing.assert_allclose(y.sum(axis=-1), 1)
    numpy.testing.assert_allclose(softmax(x + 7), y, atol=1e-9)


@both
def test_softmax_of_large_scores_is_finite():
    y = to_cpu(softmax(np.array([1010.0, 1000.0, 990.0])))
    numpy.testing.assert_allclose(y, [0.9999546, 4.53978686e-05, 2.0610600e-09], rtol=1e-6)


def test_softmax_refuses_a_scalar():
    with pytest.raises(ValueError, match=r"softmax: scores are \(\.\.\., C\), not a scalar"):
        softmax(numpy.zeros(()))


@both
def test_relu_keeps_what_is_positive():
    numpy.testing.assert_array_equal(to_cpu(relu(np.array([-2.0, 0.0, 3.0]))), [0, 0, 3])


@both
def test_cross_entropy_takes_ids_one_hot_and_a_single_row():
    y = np.array([[0.2, 0.8], [0.5, 0.5]])
    # -(ln 0.8 + ln 0.5) / 2 = (0.22314 + 0.69315) / 2
    for t in ([1, 0], [[0, 1], [1, 0]]):
        assert float(cross_entropy_error(y, np.array(t))) == pytest.approx(0.4581454, abs=1e-6)
    assert float(cross_entropy_error(y[0], np.array([0, 1]))) == pytest.approx(0.2231435, abs=1e-6)


def test_cross_entropy_of_an_impossible_event_is_finite():
    assert cross_entropy_error(numpy.array([[1.0, 0.0]]), numpy.array([1])) == pytest.approx(
        -numpy.log(1e-7)
    )


def test_cross_entropy_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"cross_entropy_error.*\(3,\).*\(2, 4\)"):
        cross_entropy_error(numpy.full((2, 4), 0.25), numpy.array([0, 1, 2]))


@both
@pytest.mark.parametrize("t", [[0, 4], [0, -1], [0, 255]])
def test_cross_entropy_refuses_ids_out_of_range(t):
    for labels in t, numpy.array(t):
        with pytest.raises(ValueError, match=rf"cross_entropy_error: id {t[1]} is not in 0\.\.3"):
            cross_entropy_error(np.full((2, 4), 0.25), labels)


NOT_ONE_HOT: list[Any] = [[[0, 0, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 0]], [[1, 0, 1], [0, 1, 0]]]
NOT_ONE_HOT += [[[2, 0, 0], [0, 1, 0]], [[0.5, 0.5, 0], [0, 1, 0]], [[numpy.nan, 0, 0], [0, 1, 0]]]
NOT_ONE_HOT += [[[1, 0, 0], [0, -1, 0]], [[0, 0, 0], [0, 0, 0]]]


@both
@pytest.mark.parametrize("t", NOT_ONE_HOT, ids=repr)
def test_labels_that_are_not_one_hot_are_refused(t):
    y, t = np.full((2, 3), 1 / 3), numpy.array(t)
    for who, loss in [
        ("cross_entropy_error", lambda: cross_entropy_error(y, t)),
        ("SoftmaxWithLoss", lambda: SoftmaxWithLoss().forward(y, t)),
        ("TimeSoftmaxWithLoss", lambda: TimeSoftmaxWithLoss().forward(y[None], t[None])),
    ]:
        with pytest.raises(ValueError, match=f"{who}: one-hot labels have a single 1 in every row"):
            loss()


@both
@pytest.mark.parametrize(
    "t", ["x", [True, False], [0.0, 1.0], [1j, 0], ["0", "1"], None, [[0], []]]
)
def test_cross_entropy_refuses_labels_of_another_kind(t):
    with pytest.raises(ValueError, match="cross_entropy_error: "):
        cross_entropy_error(np.full((2, 4), 0.25), t)


@both
def test_cross_entropy_of_no_sample_is_refused():
    with pytest.raises(ValueError, match=r"cross_entropy_error: .*\(0, 4\) are of no sample"):
        cross_entropy_error(np.zeros((0, 4)), numpy.zeros(0, int))


@both
def test_labels_on_the_device_make_nobody_wait():
    y, ids, one_hot = np.full((2, 4), 0.25), np.array([0, 3]), np.eye(4)[:2]
    with cupy_stand_in.forbid_transfers():
        losses = [cross_entropy_error(y, t) for t in (ids, one_hot)]
    assert [float(loss) for loss in losses] == pytest.approx([1.3862940] * 2)  # ln 4


NOT_REAL = [
    numpy.array([[1j]]),
    numpy.array([["1"]]),
    numpy.array([["2020-01-01"]], "M8[D]"),
    numpy.array([[(1, 2)]], "i,i"),
    numpy.array([[1]], object),
    *([[1.0]], None, 1.0, "1"),
]


@both
@pytest.mark.parametrize(
    "function", [sigmoid, relu, softmax, lambda x: cross_entropy_error(x, [0])]
)
@pytest.mark.parametrize("x", NOT_REAL, ids=repr)
def test_functions_take_floats_and_integers_and_nothing_else(function, x):
    who = "cross_entropy_error" if function.__name__ == "<lambda>" else function.__name__
    with pytest.raises(ValueError, match=f"{who}: an array of floats or integers is needed, not "):
        function(x)


@both
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
@pytest.mark.parametrize("function", [sigmoid, relu, softmax])
def test_functions_of_integers_are_those_of_floats(function, dtype):
    x = np.array([[0, 1, 1]], dtype=dtype)
    numpy.testing.assert_array_equal(to_cpu(function(x)), to_cpu(function(x.astype(float))))


def test_arrays_of_other_classes_are_plain_ones_or_refused(tmp_path):
    x = numpy.array([[0.0, 1], [2, 3]])
    numpy.save(tmp_path / "x.npy", x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's own, about the class
        matrix = numpy.matrix(x)  # of which a * b is a matrix product
    for other in numpy.load(tmp_path / "x.npy", mmap_mode="r"), matrix:
        layer = Sigmoid()
        assert type(layer.forward(other)) is numpy.ndarray
        y = 1 / (1 + numpy.exp(-x))
        numpy.testing.assert_allclose(layer.backward(x), x * y * (1 - y))
    with pytest.raises(ValueError, match="not float64 MaskedArray of shape"):
        sigmoid(numpy.ma.masked_array(x, x > 2))
    for wrong in matrix, numpy.ma.masked_array(x, x > 2):
        with pytest.raises(ValueError, match="parameters are arrays of floats, not float64 "):
            Affine(wrong, numpy.zeros(2))
