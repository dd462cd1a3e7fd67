"""Worked numbers and bad input of the one-step layers; what all layers share is in the contract."""

import re

import numpy
import pytest

from common.functions import cross_entropy_error, softmax
from common.gradients import to_dense
from common.layers import (
    Affine,
    Dropout,
    Embedding,
    EmbeddingPart,
    MatMul,
    Sigmoid,
    SigmoidWithLoss,
    Softmax,
    SoftmaxWithLoss,
    Tanh,
)
from common.np import np, to_cpu
from common.time_layers import TimeSoftmaxWithLoss

pytestmark = pytest.mark.usefixtures("backend")

SCORES = [[0.3, 2.9, 4.0], [1.0, 1.0, 1.0]]


def test_sigmoid_and_tanh_have_the_slopes_of_the_book():
    x, ones = np.array([-1.0, 0.0, 1.0, 2.0]), np.ones(4)
    layer = Sigmoid()
    layer.forward(x)
    numpy.testing.assert_allclose(
        to_cpu(layer.backward(ones)), [0.19661193, 0.25, 0.19661193, 0.10499359], atol=5e-9
    )
    layer = Tanh()
    assert float(layer.forward(np.zeros(1))[0]) == 0
    assert float(layer.backward(np.ones(1))[0]) == 1


@pytest.mark.parametrize("t", [[2, 0], [[0, 0, 1], [1, 0, 0]]], ids=["ids", "one-hot"])
def test_softmax_with_loss_has_the_worked_values(t):
    layer, x, t = SoftmaxWithLoss(), np.array(SCORES), numpy.array(t)
    # The book's 1e-7 inside the logarithm makes 0.70216316; without it the loss is exact.
    assert float(cross_entropy_error(softmax(x), t)) == pytest.approx(0.70216316, abs=5e-9)
    assert float(layer.forward(x, t)) == pytest.approx(0.70216338, abs=5e-9)
    numpy.testing.assert_allclose(
        to_cpu(layer.backward()),
        [[0.00910564, 0.12259591, -0.13170154], [-1 / 3, 1 / 6, 1 / 6]],
        atol=5e-9,
    )


def test_softmax_with_loss_keeps_the_probabilities_that_softmax_gives():
    layer = SoftmaxWithLoss()
    layer.forward(np.array(SCORES), numpy.array([2, 0]))
    numpy.testing.assert_allclose(to_cpu(layer.y), to_cpu(Softmax().forward(np.array(SCORES))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_extreme_scores_are_exact_and_finite(dtype):
    x = np.array([[1e4, 0.0], [0.0, 1e4]], dtype=dtype)
    layer = SoftmaxWithLoss()
    assert float(layer.forward(x, numpy.array([1, 1]))) == 5000  # (10000 + 0) / 2
    numpy.testing.assert_array_equal(to_cpu(layer.backward()), [[0.5, -0.5], [0, 0]])
    layer = SigmoidWithLoss()
    assert float(layer.forward(x[:, 0], numpy.array([0, 1]))) == pytest.approx(5000.34657)


def test_backward_of_a_loss_scales_with_its_upstream_gradient():
    layer = SoftmaxWithLoss()
    layer.forward(np.array(SCORES), numpy.array([2, 0]))
    numpy.testing.assert_allclose(to_cpu(layer.backward(2.0)), 2 * to_cpu(layer.backward()))


def test_sigmoid_with_loss_is_the_mean_binary_cross_entropy():
    # scores 0 and ln 3: y = 1/2 and 3/4; loss = -(ln 1/2 + ln 1/4) / 2
    layer = SigmoidWithLoss()
    loss = layer.forward(np.array([0.0, numpy.log(3)]), numpy.array([1, 0]))
    assert float(loss) == pytest.approx((numpy.log(2) + numpy.log(4)) / 2)
    numpy.testing.assert_allclose(to_cpu(layer.backward()), [-0.25, 0.375])


def test_embedding_adds_up_the_gradients_of_a_repeated_id():
    dense, sparse = Embedding(np.zeros((4, 2))), Embedding(np.zeros((4, 2)), sparse=True)
    dy = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    for layer in dense, sparse:
        layer.forward(numpy.array([3, 1, 3]))
        layer.backward(dy)
    expected = [[0, 0], [10, 20], [0, 0], [101, 202]]
    numpy.testing.assert_array_equal(to_cpu(dense.grads[0]), expected)
    numpy.testing.assert_array_equal(sparse.grads[0].ids, [1, 3])
    numpy.testing.assert_array_equal(to_cpu(sparse.grads[0].to_dense()), expected)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_embedding_collects_what_backward_would_of_the_spelled_out_gradient(r, sparse, weighted):
    W, ids, dh = r(6, 2), numpy.array([[3, 1, 3], [0, 3, 5]]), r(2, 2)
    weights = r(2, 3) if weighted else None
    spelled_out, short = Embedding(W, sparse), Embedding(W, sparse)
    part = EmbeddingPart(Embedding(W, sparse), [])
    for layer in spelled_out, short, part:
        layer.forward(ids)
    spelled_out.backward(
        (np.ones((2, 3)) if weights is None else weights)[:, :, None] * dh[:, None]
    )
    expected = to_cpu(to_dense(spelled_out.grads[0]))
    for layer in short, part:
        layer.collect(dh, weights)
    for layer in short, part.whole:
        found = to_cpu(to_dense(layer.grads[0]))
        numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_dropout_switches_off_the_given_share_and_shrinks_at_inference():
    layer, x = Dropout(0.3, rng=0), np.ones((100, 100))
    y = to_cpu(layer.forward(x))
    assert set(numpy.unique(y)) == {0, 1}
    assert y.mean() == pytest.approx(0.7, abs=0.02)  # 4 standard deviations of 10,000 draws
    numpy.testing.assert_array_equal(to_cpu(layer.backward(x)), y)
    numpy.testing.assert_allclose(to_cpu(layer.forward(x, train_flg=False)), 0.7)


def test_dropout_is_repeatable_by_seed():
    x = np.ones((5, 5))
    a, b, c = (to_cpu(Dropout(rng=seed).forward(x)) for seed in (1, 1, 2))
    numpy.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_a_batch_of_ten_goes_through_two_affine_layers():
    rng = numpy.random.default_rng(0)
    W1, b1, W2, b2 = (np.asarray(rng.standard_normal(s)) for s in ((2, 4), 4, (4, 3), 3))
    h = Sigmoid().forward(Affine(W1, b1).forward(np.asarray(rng.standard_normal((10, 2)))))
    assert h.shape == (10, 4)
    assert Affine(W2, b2).forward(h).shape == (10, 3)


def test_repr_shows_the_sizes():
    assert repr(Affine(np.zeros((2, 3)), np.zeros(3))) == "Affine(W (2, 3), b (3,))"


def refused(message):
    return pytest.raises(ValueError, match=message)


def test_shapes_that_do_not_fit_are_refused_at_the_door():
    with refused(r"Affine: W is .*\(2, 3\) and \(2,\)"):
        Affine(np.zeros((2, 3)), np.zeros(2))
    with refused(r"Affine: input \(4, 3\) needs 2 columns"):
        Affine(np.zeros((2, 3)), np.zeros(3)).forward(np.zeros((4, 3)))
    with refused(r"MatMul: input must be \(N, 2\), not \(4, 3\)"):
        MatMul(np.zeros((2, 3))).forward(np.zeros((4, 3)))
    with refused(r"Embedding: W is \(V, D\), not \(3,\)"):
        Embedding(np.zeros(3))
    with refused(
        r"SoftmaxWithLoss: labels have shape \(1,\), scores \(3,\) need \(\), one id each"
    ):
        SoftmaxWithLoss().forward(np.zeros(3), numpy.array([1]))
    with refused(r"SoftmaxWithLoss: scores are \(\.\.\., C\), not a scalar"):
        SoftmaxWithLoss().forward(np.zeros(()), numpy.array(0))
    with refused("SigmoidWithLoss: labels have shape"):
        SigmoidWithLoss().forward(np.zeros(3), numpy.zeros((3, 1)))


@pytest.mark.parametrize(
    ("t", "problem"),
    [
        ([[0], [1]], "labels have shape (2, 1), scores (2, 3) need (2,)"),
        ([0, 1, 2], "labels have shape (3,)"),
        ([0, 3], "id 3 is not in 0..2"),
        ([0, -1], "id -1 is not in 0..2"),
        ([0.0, 1.0], "ids must be integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(t, problem):
    with refused("SoftmaxWithLoss: " + re.escape(problem)):
        SoftmaxWithLoss().forward(np.zeros((2, 3)), numpy.array(t))


@pytest.mark.parametrize("t", [[0, 2], [-1, 0], [0, numpy.nan]])
def test_sigmoid_labels_outside_zero_and_one_are_refused(t):
    with refused("SigmoidWithLoss: labels lie in 0..1"):
        SigmoidWithLoss().forward(np.zeros(2), numpy.array(t))


@pytest.mark.parametrize("bad", [5, -1])
def test_ids_out_of_range_are_refused_before_anything_changes(bad):
    layer = Embedding(np.zeros((5, 2)))
    layer.forward(numpy.array([4]))
    with refused(rf"Embedding: id {bad} is not in 0\.\.4"):
        layer.forward(numpy.array([0, bad]))
    layer.backward(np.ones((1, 2)))
    numpy.testing.assert_array_equal(to_cpu(layer.grads[0])[4], 1)


def test_ids_that_are_no_integers_are_refused():
    with refused("Embedding: ids must be integers, not float64"):
        Embedding(np.zeros((5, 2))).forward(numpy.array([1.0]))


def test_ids_may_come_from_the_device():
    y = Embedding(np.eye(3)).forward(np.array([2, 0]))
    numpy.testing.assert_array_equal(to_cpu(y), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 2, numpy.nan])
def test_dropout_refuses_a_ratio_that_is_no_share(ratio):
    with refused("Dropout: dropout_ratio"):
        Dropout(ratio)


def test_scores_in_any_memory_order_have_the_same_gradient(r):
    x, t = r(4, 5), numpy.array([0, 4, 2, 2])
    first, second = SoftmaxWithLoss(), SoftmaxWithLoss()
    first.forward(x, t)
    second.forward(np.asfortranarray(x), t)
    numpy.testing.assert_array_equal(to_cpu(first.backward()), to_cpu(second.backward()))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint64"])
def test_ids_of_any_integer_type_are_the_same_ids(dtype):
    idx = numpy.array([0, 200, 200], dtype)
    for layer in Embedding(np.zeros((256, 100))), Embedding(np.zeros((256, 100)), sparse=True):
        layer.forward(idx)
        layer.backward(np.ones((3, 100)))
        assert numpy.flatnonzero(
            numpy.asarray(to_cpu(to_dense(layer.grads[0])))[:, 0]
        ).tolist() == [0, 200]
    numpy.testing.assert_allclose(
        float(SoftmaxWithLoss().forward(np.zeros((3, 256)), idx)), numpy.log(256)
    )


def test_integers_compute_like_floats():
    x = numpy.array([[1, 2], [3, 4]])
    W, b = np.ones((2, 3), dtype="f"), np.zeros(3, dtype="f")
    y = Affine(W, b).forward(x)
    assert y.dtype == "float32"
    numpy.testing.assert_array_equal(to_cpu(y)[:, 0], [3, 7])
    assert MatMul(W).forward(x).dtype == "float32"
    t = numpy.array([0, 1])
    assert float(SoftmaxWithLoss().forward(x, t)) == float(
        SoftmaxWithLoss().forward(np.asarray(x, dtype=float), t)
    )
    half = numpy.array([[0.5, 1], [0.5, 1]])
    assert float(SigmoidWithLoss().forward(np.asarray(x), half)) == float(
        SigmoidWithLoss().forward(np.asarray(x, dtype=float), half)
    )


def test_an_empty_batch_is_an_empty_result():
    layer = Affine(np.ones((2, 3)), np.ones(3))
    assert layer.forward(np.zeros((0, 2))).shape == (0, 3)
    assert layer.backward(np.zeros((0, 3))).shape == (0, 2)
    assert float(np.abs(layer.grads[0]).max()) == 0


def test_labels_of_a_language_model_are_integers():
    layer, x = TimeSoftmaxWithLoss(), np.zeros((1, 2, 3))
    for kind in bool, float:
        with refused(f"TimeSoftmaxWithLoss: ids must be integers, not {kind.__name__}"):
            layer.forward(x, numpy.array([[1, 0]], kind))
    with refused(r"TimeSoftmaxWithLoss: id -2 is not in 0\.\.2"):
        layer.forward(x, numpy.array([[-1, -2]]))


def test_a_loss_of_nothing_is_refused():
    with refused(r"SigmoidWithLoss: labels have shape \(0,\), scores have \(0,\)"):
        SigmoidWithLoss().forward(np.zeros(0), numpy.zeros(0))
    with refused("SoftmaxWithLoss: none of the 0 positions has a label"):
        SoftmaxWithLoss().forward(np.zeros((0, 3)), numpy.zeros(0, int))


def test_a_transposed_gradient_is_named():
    layer = Affine(np.zeros((2, 3)), np.zeros(3))
    with refused("Affine: backward needs a forward first"):
        layer.backward(np.zeros((5, 3)))
    layer.forward(np.zeros((5, 2)))
    with refused(
        r"Affine: the gradient must be an array of floats of shape \(5, 3\), like the last output, "
        r"not float64 of shape \(3, 5\)"
    ):
        layer.backward(np.zeros((3, 5)))


@pytest.mark.parametrize("W", [[[1.0]], None, numpy.eye(2, dtype=int), numpy.eye(2) * 1j])
def test_parameters_that_are_no_floats_are_refused(W):
    for make in Embedding, MatMul, lambda W: Affine(W, np.zeros(2)):
        with refused("parameters are arrays of floats, not "):
            make(W)
