"""Worked numbers, twins and state of the layers for sequences."""

import numpy
import pytest

from common.functions import sigmoid
from common.np import np, to_cpu
from common.time_layers import (
    LSTM,
    TimeAffine,
    TimeDropout,
    TimeEmbedding,
    TimeLSTM,
    TimeSoftmaxWithLoss,
)
from tests import reference

pytestmark = pytest.mark.usefixtures("backend")

N, T, D, H = 2, 4, 3, 5


def lstm(r, cls=TimeLSTM, **options):
    return cls(r(D, 4 * H), r(H, 4 * H), r(4 * H), **options)


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(
        to_cpu(a), to_cpu(b), **{"rtol": 1e-12, "atol": 1e-12} | tolerance
    )


def test_time_lstm_has_the_hand_worked_values():
    Wx, Wh = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[0.5, 0.6, 0.7, 0.8]])
    layer = TimeLSTM(Wx, Wh, np.zeros(4))
    hs = layer.forward(np.array([[[1.0], [2.0]]]))
    dxs = layer.backward(np.ones((1, 2, 1)))
    dWx, dWh, db = layer.grads
    for got, expected in [
        (hs[0, :, 0], [0.067590, 0.226631]),
        (layer.c[0], [0.335107]),
        (dxs[0, :, 0], [0.154617, 0.114753]),
        (dWx[0], [0.035130, 1.303979, 0.171591, 0.170840]),
        (dWh[0], [0.001187, 0.023092, 0.003966, 0.004574]),
        (db, [0.017565, 0.962339, 0.112920, 0.103173]),
        (layer.dh[0], [0.438798]),
    ]:
        same(got, np.array(expected), atol=5e-7)


def test_gates_come_in_the_order_f_g_i_o():
    cell = LSTM(np.zeros((1, 4)), np.zeros((1, 4)), np.array([20, 0.5, -20, 20]))
    h, c = cell.forward(np.zeros((1, 1)), np.zeros((1, 1)), np.array([[0.7]]))
    same(c[0], np.array([0.7]), atol=1e-8)  # f = 1 keeps the cell, i = 0 adds nothing
    same(h[0], np.array([0.604368]), atol=5e-7)  # o = 1 shows tanh(0.7)


def test_zero_weights_halve_the_cell():
    cell = LSTM(np.zeros((1, 4)), np.zeros((1, 4)), np.zeros(4))
    h, c = cell.forward(np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    same(c[0], np.array([0.5]))
    same(h[0], np.array([0.231059]), atol=5e-7)  # tanh(0.5) / 2


def test_time_lstm_is_its_readable_twin(r):
    fast = lstm(r, stateful=True)
    twin = reference.StepByStepLSTM(*fast.params)
    xs, h, c, dhs = r(N, T, D), r(N, H), r(N, H), r(N, T, H)
    fast.set_state(h, c)
    hs, h_end, c_end = twin.forward(xs, h, c)
    same(fast.forward(xs), hs)
    same(fast.h, h_end)
    same(fast.c, c_end)
    dxs, dh, dc = twin.backward(dhs)
    same(fast.backward(dhs), dxs)
    same(fast.dh, dh)
    same(fast.dc, dc)
    for a, b in zip(fast.grads, twin.grads, strict=True):
        same(a, b)


def test_the_gradients_of_the_first_state_agree_with_differences(r):
    layer = lstm(r, stateful=True)
    xs, h, c, weight = r(N, T, D), r(N, H), r(N, H), r(N, T, H)

    def loss():
        layer.set_state(h, c)
        return float((layer.forward(xs) * weight).sum())

    from common.gradient_check import numeric_gradient

    loss()
    layer.backward(weight)
    dh, dc = to_cpu(layer.dh), to_cpu(layer.dc)
    same(numeric_gradient(loss, h), dh, atol=1e-8)
    same(numeric_gradient(loss, c), dc, atol=1e-8)


def test_two_stateful_halves_are_one_sequence(r):
    layer, xs = lstm(r, stateful=True), r(N, 2 * T, D)
    whole = layer.forward(xs)
    h, c = layer.h, layer.c
    layer.reset_state()
    same(layer.forward(xs[:, :T]), whole[:, :T])
    same(layer.forward(xs[:, T:]), whole[:, T:])
    same(layer.h, h)
    same(layer.c, c)


def test_a_stateless_layer_starts_from_zeros_each_time(r):
    layer, xs = lstm(r), r(N, T, D)
    same(layer.forward(xs), layer.forward(xs))


def test_reset_state_restores_the_first_output(r):
    layer, xs = lstm(r, stateful=True), r(N, T, D)
    first = layer.forward(xs)
    assert (to_cpu(layer.forward(xs)) != to_cpu(first)).any()
    layer.reset_state()
    same(layer.forward(xs), first)


def test_set_state_without_a_cell_empties_it(r):
    layer, xs, h = lstm(r, stateful=True), r(N, T, D), r(N, H)
    layer.forward(xs)
    layer.set_state(h)
    kept = layer.forward(xs)
    layer.set_state(h, np.zeros((N, H)))
    same(layer.forward(xs), kept)


def test_the_state_belongs_to_the_layer(r):
    layer, xs = lstm(r, stateful=True), r(N, T, D)
    hs = layer.forward(xs)
    hs[...] = 99
    assert float(np.abs(layer.h).max()) < 1
    first = to_cpu(layer.backward(np.ones((N, T, H)))).copy()
    layer.h[...] = 99
    same(layer.backward(np.ones((N, T, H))), first)


def test_time_lstm_agrees_with_torch(torch, r):
    for dtype, tolerance in ("float32", 1e-5), ("float64", 1e-10):
        fast = TimeLSTM(*(p.astype(dtype) for p in (r(D, 4 * H), r(H, 4 * H), r(4 * H))))
        xs, dhs = r(N, T, D).astype(dtype), r(N, T, H).astype(dtype)
        twin = torch.nn.LSTM(D, H, batch_first=True, dtype=getattr(torch, dtype))

        def to_torch(p, H=H):  # our columns f, g, i, o are torch's rows i, f, g, o
            f, g, i, o = numpy.split(to_cpu(p), 4, axis=-1)
            return torch.from_numpy(numpy.concatenate([i, f, g, o], axis=-1).T.copy())

        Wx, Wh, b = fast.params
        twin.load_state_dict(
            {
                "weight_ih_l0": to_torch(Wx),
                "weight_hh_l0": to_torch(Wh),
                "bias_ih_l0": to_torch(b),
                "bias_hh_l0": torch.zeros(4 * H, dtype=getattr(torch, dtype)),
            }
        )
        x = torch.from_numpy(to_cpu(xs)).requires_grad_()
        hs, _ = twin(x)
        hs.backward(torch.from_numpy(to_cpu(dhs)))
        within = {"rtol": tolerance, "atol": tolerance}
        numpy.testing.assert_allclose(to_cpu(fast.forward(xs)), hs.detach().numpy(), **within)
        numpy.testing.assert_allclose(to_cpu(fast.backward(dhs)), x.grad.numpy(), **within)
        for g, p in zip(fast.grads, list(twin.parameters())[:3], strict=True):
            numpy.testing.assert_allclose(to_torch(g).numpy(), p.grad.numpy(), **within)


@pytest.mark.parametrize(
    ("fast", "twin"),
    [
        (TimeAffine, reference.step_by_step_affine),
        (TimeEmbedding, reference.step_by_step_embedding),
    ],
)
def test_time_layers_are_one_layer_per_step(r, fast, twin):
    if fast is TimeAffine:
        params, xs, dys = (r(D, H), r(H)), r(N, T, D), r(N, T, H)
    else:
        params, xs, dys = (r(7, D),), numpy.arange(N * T).reshape(N, T) % 7, r(N, T, D)
    fast, twin = fast(*params), twin(*params)
    same(fast.forward(xs), twin.forward(xs))
    dxs, twin_dxs = fast.backward(dys), twin.backward(dys)
    assert (dxs is None) == (twin_dxs is None)
    if dxs is not None:
        same(dxs, twin_dxs)
    for a, b in zip(fast.grads, twin.grads, strict=True):
        same(a, b)


def test_time_softmax_with_loss_is_the_mean_over_labelled_positions(r):
    xs, ts = r(3, 4, 6), numpy.array([[0, -1, 2, 5], [-1, -1, -1, -1], [3, 3, -1, 1]])
    fast, twin = TimeSoftmaxWithLoss(), reference.StepByStepSoftmaxWithLoss()
    assert float(fast.forward(xs, ts)) == pytest.approx(float(twin.forward(xs, ts)), abs=1e-12)
    same(fast.backward(), twin.backward())


def test_ignored_positions_count_for_nothing():
    layer = TimeSoftmaxWithLoss()
    loss = layer.forward(np.zeros((2, 2, 4)), numpy.array([[0, -1], [3, -1]]))
    assert float(loss) == pytest.approx(1.386294, abs=5e-7)  # ln 4
    eighth = 1 / 8  # (softmax - onehot) / 2, softmax 1/4 everywhere
    expected = np.array(
        [
            [[-3 * eighth, eighth, eighth, eighth], [0, 0, 0, 0]],
            [[eighth, eighth, eighth, -3 * eighth], [0, 0, 0, 0]],
        ]
    )
    same(layer.backward(), expected)


def test_an_ignored_label_does_not_spoil_an_impossible_last_class():
    scores = np.array([[[0.0, -1e30], [0.0, 0.0]]])
    loss = TimeSoftmaxWithLoss().forward(scores, numpy.array([[-1, 0]]))
    assert float(loss) == pytest.approx(numpy.log(2))


def test_one_hot_labels_of_sequences_are_ids(r):
    xs, ts = r(2, 3, 4), numpy.array([[0, 1, 2], [3, 2, 1]])
    assert float(TimeSoftmaxWithLoss().forward(xs, numpy.eye(4, dtype=int)[ts])) == float(
        TimeSoftmaxWithLoss().forward(xs, ts)
    )


def test_time_dropout_scales_up_what_stays_and_rests_at_inference(r):
    layer, xs = TimeDropout(0.25, rng=0), np.ones((50, 40, 10))
    ys = to_cpu(layer.forward(xs))
    numpy.testing.assert_allclose(numpy.unique(ys), [0, 4 / 3])
    assert ys.mean() == pytest.approx(1, abs=0.02)  # 4 standard deviations of 20,000 draws
    same(layer.backward(xs), np.asarray(ys))
    assert (ys[:, 0] != ys[:, 1]).any()  # a fresh mask for every step
    layer.train_flg = False
    same(layer.forward(xs), xs)
    same(layer.backward(xs), xs)


def refused(message):
    return pytest.raises(ValueError, match=message)


def test_shapes_that_do_not_fit_are_refused_at_the_door(r):
    with refused(r"TimeLSTM: weights are \(D, 4H\)"):
        TimeLSTM(r(D, 4 * H), r(H, 3 * H), r(4 * H))
    with refused(r"TimeLSTM: input must be \(N, T, 3\) with T > 0, not \(2, 4\)"):
        lstm(r).forward(r(2, 4))
    with refused(r"not \(2, 0, 3\)"):
        lstm(r).forward(r(2, 0, D))
    with refused(r"LSTM: h_prev has shape \(3, 5\) where \(2, 5\)"):
        lstm(r, LSTM).forward(r(2, D), r(3, H), r(2, H))
    with refused("TimeSoftmaxWithLoss: scores need 3 dimensions"):
        TimeSoftmaxWithLoss().forward(r(2, 3), numpy.array([0, 1]))
    with refused(r"TimeSoftmaxWithLoss: labels have shape \(2, 3, 1\)"):
        TimeSoftmaxWithLoss().forward(r(2, 3, 4), numpy.zeros((2, 3, 1), int))


def test_a_state_of_another_batch_size_is_refused(r):
    layer = lstm(r, stateful=True)
    layer.forward(r(1, T, D))
    with refused(r"the kept h is \(1, 5\), this batch needs \(2, 5\); reset_state\(\)"):
        layer.forward(r(2, T, D))


def test_a_loss_without_any_label_is_refused():
    with refused("none of the 6 positions has a label"):
        TimeSoftmaxWithLoss().forward(np.zeros((2, 3, 4)), numpy.full((2, 3), -1))


@pytest.mark.parametrize("bad", [4, -2])
def test_labels_out_of_range_are_refused(bad):
    with refused(rf"TimeSoftmaxWithLoss: id {bad} is not in 0\.\.3"):
        TimeSoftmaxWithLoss().forward(np.zeros((1, 2, 4)), numpy.array([[bad, -1]]))


def test_the_fast_form_of_the_sigmoid_is_the_sigmoid():
    a = np.linspace(-30, 30, 601)
    same(np.tanh(a / 2) / 2 + 0.5, sigmoid(a), rtol=0)
