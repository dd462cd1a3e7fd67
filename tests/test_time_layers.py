"""Worked numbers, twins and state of the layers for sequences."""

import math
import re
from functools import partial
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.cores import parallel
from common.functions import sigmoid
from common.gradient_check import numeric_gradient
from common.layers import SigmoidWithLoss, scaled_mask
from common.np import np, to_cpu
from common.time_layers import (
    GRU,
    LSTM,
    RNN,
    ReluRNN,
    TimeAffine,
    TimeBiLSTM,
    TimeDropout,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeReluRNN,
    TimeRNN,
    TimeSigmoidWithLoss,
    TimeSoftmaxWithLoss,
)
from tests import reference

pytestmark = pytest.mark.usefixtures("backend")

N, T, D, H = 2, 4, 3, 5
TWINS = {
    TimeRNN: partial(reference.CellByCell, RNN),
    TimeReluRNN: partial(reference.CellByCell, ReluRNN),
    TimeLSTM: partial(reference.CellByCell, LSTM),
    TimeGRU: partial(reference.CellByCell, GRU),
    TimeBiLSTM: reference.TwoDirections,
}
CELLS = [RNN, ReluRNN, LSTM, GRU]
FORWARDS = [TimeRNN, TimeReluRNN, TimeLSTM, TimeGRU]
all_recurrent = pytest.mark.parametrize("cls", TWINS)
all_forwards = pytest.mark.parametrize("cls", FORWARDS)
with_cell = pytest.mark.parametrize("cls", [TimeLSTM, TimeBiLSTM])


def make(r, cls, D=D, H=H, **options):
    """A recurrent layer or cell with random weights."""
    if cls is TimeBiLSTM:
        return cls(*make(r, LSTM, D, H).params, *make(r, LSTM, D, H).params, **options)
    kH = cls.blocks * H
    return cls(r(D, kH), r(H, kH), r(kH), **options)


def random_state(r, layer, N=N, H=H):
    """h, or h and c, as `set_state` takes them."""
    width = 2 * H if isinstance(layer, TimeBiLSTM) else H
    return [r(N, width) for _ in layer.state]


def state_gradients(layer):
    return [layer.dh, layer.dc] if len(layer.state) == 2 else [layer.dh]


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(
        to_cpu(a), to_cpu(b), **{"rtol": 1e-12, "atol": 1e-12} | tolerance
    )


def all_same(found, expected, **tolerance):
    for a, b in zip(found, expected, strict=True):
        same(a, b, **tolerance)


def refused(message):
    return pytest.raises(ValueError, match=message)


def speaker(cls):
    """Who refuses: the two LSTMs of a TimeBiLSTM speak for it."""
    return "TimeLSTM" if cls is TimeBiLSTM else cls.__name__


# --- Worked numbers: N = D = H = 1, b = 0, x = (1, 2), upstream gradients 1 ----------------------

WORKED = {
    # h = tanh(0.5), tanh(1 + 0.462117); da = 1 - 0.898063^2, (1 - 0.462117^2) (1 + 0.193483)
    TimeRNN: {
        "weights": ([0.5], [1.0]),
        "hs": [0.462117, 0.898063],
        "dxs": [0.469306, 0.096741],  # da / 2
        "grads": ([1.325578], [0.089412], [1.132095]),  # Wh saw the first h only
        "dh": 0.938612,
    },
    # h = 0.5, 1 + 0.5; da = 1 + 1, 1, since both are above 0
    TimeReluRNN: {
        "weights": ([0.5], [1.0]),
        "hs": [0.5, 1.5],
        "dxs": [1.0, 0.5],
        "grads": ([4.0], [0.5], [3.0]),
        "dh": 2.0,
    },
    TimeLSTM: {
        "weights": ([0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]),
        "hs": [0.067590, 0.226631],
        "c": 0.335107,
        "dxs": [0.154617, 0.114753],
        "grads": (
            [0.035130, 1.303979, 0.171591, 0.170840],
            [0.001187, 0.023092, 0.003966, 0.004574],
            [0.017565, 0.962339, 0.112920, 0.103173],
        ),
        "dh": 0.438798,
    },
    TimeGRU: {
        "weights": ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]),
        "hs": [0.152933, 0.397291],
        "dxs": [0.250232, 0.125125],
        "grads": (
            [0.330867, 0.018938, 1.545362],
            [0.016119, 0.001448, 0.035648],
            [0.225471, 0.009469, 1.169722],
        ),
        "dh": 1.150812,
    },
}


@all_forwards
def test_time_layers_have_the_hand_worked_values(cls):
    worked = WORKED[cls]
    Wx, Wh = (np.array([w]) for w in worked["weights"])
    layer = cls(Wx, Wh, np.zeros(Wx.shape[1]))
    hs = layer.forward(np.array([[[1.0], [2.0]]]))
    dxs = layer.backward(np.ones((1, 2, 1)))
    close = {"rtol": 0, "atol": 5.1e-7}
    same(hs[0, :, 0], np.array(worked["hs"]), **close)
    same(dxs[0, :, 0], np.array(worked["dxs"]), **close)
    all_same([g.reshape(-1) for g in layer.grads], map(np.array, worked["grads"]), **close)
    assert float(layer.dh[0, 0]) == pytest.approx(worked["dh"], abs=5.1e-7)
    if "c" in worked:
        assert float(layer.c[0, 0]) == pytest.approx(worked["c"], abs=5.1e-7)


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


def test_zero_weights_halve_the_state_of_a_gru_at_each_step(r):
    layer = TimeGRU(np.zeros((D, 3 * H)), np.zeros((H, 3 * H)), np.zeros(3 * H), stateful=True)
    h = r(N, H)
    layer.set_state(h)
    hs = layer.forward(r(N, 3, D))  # z = 1/2, and the news is 0
    for t in range(3):
        same(hs[:, t], h / 2 ** (t + 1))


def test_a_closed_update_gate_keeps_the_state_and_an_open_one_replaces_it(r):
    cell, x, h = make(r, GRU), r(N, D), r(N, H)
    Wx, Wh, b = cell.params
    b[:H] = -50  # z = 0
    same(cell.forward(x, h), h)
    b[:H] = 50  # z = 1
    r_gate = sigmoid(x @ Wx[:, H : 2 * H] + h @ Wh[:, H : 2 * H] + b[H : 2 * H])
    news = np.tanh(x @ Wx[:, 2 * H :] + (r_gate * h) @ Wh[:, 2 * H :] + b[2 * H :])
    same(cell.forward(x, h), news)


def test_a_closed_reset_gate_hides_the_state_from_the_news(r):
    cell, x = make(r, GRU), r(N, D)
    Wx, _, b = cell.params
    b[:H], b[H : 2 * H] = 50, -50  # z = 1, r = 0
    for h in r(N, H), r(N, H):
        same(cell.forward(x, h), np.tanh(x @ Wx[:, 2 * H :] + b[2 * H :]))


def test_the_second_direction_is_fed_the_sequence_from_the_end(r):
    """A B C D for the first, D C B A for the second."""
    layer, xs = make(r, TimeBiLSTM), r(1, 4, D)
    second = TimeLSTM(*layer.params[3:])
    A, B, C, last = (xs[:, t] for t in range(4))
    same(layer.forward(xs)[:, ::-1, H:], second.forward(np.stack([last, C, B, A], axis=1)))


def test_each_direction_sees_its_own_side(r):
    layer, xs = make(r, TimeBiLSTM), r(1, 5, D)
    before = layer.forward(xs)
    changed = xs.copy()
    changed[:, 2] += 1
    differs = to_cpu((layer.forward(changed) != before)[0])
    assert differs[:, :H].any(axis=1).tolist() == [False, False, True, True, True]
    assert differs[:, H:].any(axis=1).tolist() == [True, True, True, False, False]


# --- Readable twins ------------------------------------------------------------------------------

sizes = st.integers(1, 5)


@all_recurrent
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(sizes, sizes, sizes, sizes)
def test_fast_layers_are_their_readable_twins(cls, N, T, D, H):
    rng = numpy.random.default_rng(0)

    def r(*shape):
        return np.asarray(rng.standard_normal(shape))

    fast = make(r, cls, D, H, stateful=True)
    twin = TWINS[cls](*fast.params)
    assert_same_as_twin(r, fast, twin, N, T)


def assert_same_as_twin(r, fast, twin, N=N, T=T, mask=None, through_c=False):
    """Outputs, states and all gradients, from a random state on.

    through_c  whether the last cell has a gradient, too
    """
    D, H = len(fast.params[0]), len(fast.params[1])
    xs, state = r(N, T, D), random_state(r, fast, N, H)
    fast.set_state(*state)
    hs, *end = twin.forward(xs, *state, mask=mask)
    same(fast.forward(xs, mask), hs)
    all_same(fast.state.values(), end)
    dhs, dc = r(*hs.shape), r(*end[0].shape)
    dxs, *dstate = twin.backward(dhs, *([np.zeros_like(dc), dc] if through_c else []))
    same(fast.backward(dhs, **({"dc": dc} if through_c else {})), dxs)
    all_same(state_gradients(fast), dstate)
    all_same(fast.grads, twin.grads)


@all_recurrent
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data(), sizes, sizes)
def test_steps_of_padding_change_nothing_wherever_they_are(cls, data, N, T):
    rng = numpy.random.default_rng(0)
    mask = numpy.array(data.draw(st.lists(st.booleans(), min_size=N * T, max_size=N * T)))

    def r(*shape):
        return np.asarray(rng.standard_normal(shape))

    fast = make(r, cls, stateful=True)
    twin, with_cell = TWINS[cls](*fast.params), cls in (TimeLSTM, TimeBiLSTM)
    assert_same_as_twin(r, fast, twin, N, T, mask.reshape(N, T), through_c=with_cell)


@pytest.mark.parametrize("ratios", [(0.4, 0), (0, 0.4), (0.4, 0.25)], ids=["Wh", "h", "both"])
def test_dropout_in_an_lstm_multiplies_the_same_masks_at_every_step(r, ratios):
    of_Wh, of_h = ratios
    options = {"dropconnect_ratio": of_Wh, "recurrent_dropout_ratio": of_h}
    fast = make(r, TimeLSTM, stateful=True, **options)
    draws = np.random.default_rng(5)
    Wh_mask = scaled_mask(draws, of_Wh, fast.params[1]) if of_Wh else 1
    h_mask = scaled_mask(draws, of_h, np.zeros((N, H))) if of_h else 1
    cell = partial(reference.MaskedLSTM, Wh_mask=Wh_mask, h_mask=h_mask)
    twin, padding = reference.CellByCell(cell, *fast.params), numpy.eye(N, T) == 0
    for mask in None, padding:
        fast.rng = np.random.default_rng(5)
        assert_same_as_twin(r, fast, twin, mask=mask, through_c=True)


PADDING = {
    "no padding": None,
    "padding": numpy.array([[False, True, True, False], [True, True, True, True]]),
}


@pytest.mark.parametrize("padding", PADDING)
@all_recurrent
def test_gradients_from_the_last_state_to_the_first_agree_with_differences(r, cls, padding):
    """Of the first state, the inputs and the weights, where the loss has the last cell in it."""
    layer, mask = make(r, cls, stateful=True), PADDING[padding]
    xs, state = r(N, T, D), random_state(r, layer)
    weight = r(*layer.forward(xs).shape)
    dc = [r(*a.shape) for a in state[1:]]

    def loss():
        layer.set_state(*state)
        of_hs = float((layer.forward(xs, mask) * weight).sum())
        return of_hs + sum(
            float((c * d).sum()) for c, d in zip([*layer.state.values()][1:], dc, strict=True)
        )

    loss()
    dxs = layer.backward(weight, *dc)
    found = [to_cpu(g).copy() for g in (dxs, *state_gradients(layer), *layer.grads)]
    expected = [numeric_gradient(loss, a) for a in (xs, *state, *layer.params)]
    all_same(expected, found, rtol=1e-6, atol=1e-8)


DROPOUTS = {"dropconnect_ratio": 0.3, "recurrent_dropout_ratio": 0.2, "rng": 0}
CASES: list[Any] = [(cls, {"stateful": stateful}) for cls in FORWARDS for stateful in (False, True)]
CASES += [(TimeLSTM, DROPOUTS)]


@pytest.mark.parametrize("padding", [False, True], ids=["", "padding"])
@pytest.mark.parametrize(("cls", "options"), CASES)
def test_a_constant_input_is_one_that_every_step_gets_first(r, cls, options, padding):
    C, mask = 6, numpy.random.default_rng(0).random((N, T)) < 0.6 if padding else None
    layer = make(r, cls, C + D, **options)
    twin = cls(*layer.params, **options)
    for _ in range(2):
        xs, constant, dhs = r(N, T, D), r(N, C), r(N, T, H)
        repeated = np.broadcast_to(constant[:, None], (N, T, C))
        hs = twin.forward(np.concatenate([repeated, xs], axis=2), mask)
        same(layer.forward(xs, mask, constant=constant), hs)
        for _ in range(2):
            both = twin.backward(dhs)
            same(layer.backward(dhs), both[:, :, C:])
            same(layer.dconstant, both[:, :, :C].sum(axis=1))
            all_same(layer.grads, twin.grads)
            all_same(state_gradients(layer), state_gradients(twin))


def test_a_layer_without_a_constant_input_has_no_gradient_of_it(r):
    layer = make(r, TimeLSTM)
    layer.backward(layer.forward(r(N, T, D - 1), constant=r(N, 1)))
    layer.backward(layer.forward(r(N, T, D)))
    assert layer.dconstant is None


@all_forwards
def test_all_of_the_input_may_be_constant_or_nothing(r, cls):
    layer, nothing = make(r, cls), np.zeros((N, 0))
    xs, x = r(N, T, D), r(N, D)
    same(layer.forward(xs, constant=nothing), layer.forward(xs))
    hs = layer.forward(np.zeros((N, T, 0)), constant=x)
    assert layer.backward(hs).shape == (N, T, 0)
    found = to_cpu(layer.dconstant)
    same(layer.forward(np.broadcast_to(x[:, None], (N, T, D))), hs)
    same(layer.backward(hs).sum(axis=1), found)


def test_a_constant_input_that_is_changed_later_was_copied(r):
    layer, constant = make(r, TimeLSTM), r(N, 1)
    dhs = layer.forward(r(N, T, D - 1), constant=constant)
    layer.backward(dhs)
    before = [to_cpu(g).copy() for g in layer.grads]
    constant[...] = 0
    layer.backward(dhs)
    all_same(layer.grads, before)


@pytest.mark.parametrize("block", [1, N * H, 2 * N * H, 3 * N * H])
def test_an_lstm_goes_back_in_blocks_of_any_size(r, monkeypatch, block):
    monkeypatch.setattr(parallel, "BLOCK", block)
    fast = make(r, TimeLSTM, stateful=True)
    assert_same_as_twin(r, fast, TWINS[TimeLSTM](*fast.params), through_c=True)


@all_recurrent
def test_a_layer_is_left_as_it_was_by_what_it_refuses(r, cls):
    layer = make(r, cls, stateful=True)
    layer.forward(r(6, 2, D))
    before = [to_cpu(a).copy() for a in layer.state.values()]
    with refused("this batch needs"):
        layer.forward(r(3, 2, D))
    all_same(layer.state.values(), before, rtol=0, atol=0)


@all_forwards
def test_a_constant_input_that_does_not_fit_is_refused(r, cls):
    layer = make(r, cls, D + 2)
    layer.forward(r(N, T, D + 2))
    before = to_cpu(layer.h).copy()
    with refused(re.escape(f"constant has shape (3, 2) where ({N}, 2) is needed")):
        layer.forward(r(N, T, D), constant=r(N + 1, 2))
    for constant in r(2), r(N, D + 3):
        shape = re.escape(str(constant.shape))
        with refused(rf"constant must be \(N, C\), C <= {D + 2}, not {shape}"):
            layer.forward(r(N, T, D), constant=constant)
    with refused(re.escape(f"input must be (N, T, {D + 1}) with T > 0, not ({N}, {T}, {D})")):
        layer.forward(r(N, T, D), constant=r(N, 1))
    same(layer.h, before)


@all_recurrent
def test_padding_hands_on_the_state_exactly_and_its_inputs_have_no_gradient(r, cls):
    layer, xs, mask = make(r, cls, stateful=True), r(3, 5, D), numpy.zeros((3, 5), bool)
    mask[0, 1:3], mask[1, 2:] = True, True  # padding on both sides, before, and nothing else
    state = random_state(r, layer, 3)
    layer.set_state(*state)
    hs, padded = to_cpu(layer.forward(xs, mask)), slice(H)  # the first direction
    h = to_cpu(state[0])[:, padded]
    for row, t, expected in [(0, 0, h[0]), (1, 1, h[1]), (2, 4, h[2]), (0, 4, hs[0, 2, padded])]:
        numpy.testing.assert_array_equal(hs[row, t, padded], expected)
    for a, first in zip(layer.state.values(), state, strict=True):
        numpy.testing.assert_array_equal(to_cpu(a)[2], to_cpu(first)[2])
    dxs = to_cpu(layer.backward(r(*hs.shape)))
    numpy.testing.assert_array_equal((dxs != 0).any(axis=2), mask)


@all_recurrent
def test_what_stands_at_padding_does_not_matter(r, cls):
    layer, xs, mask = make(r, cls), r(N, T, D), PADDING["padding"]
    other = np.where(np.asarray(mask)[:, :, None], xs, 1e3)
    dhs, found = r(*layer.forward(xs).shape), []
    for inputs in xs, other:
        outputs = layer.forward(inputs, mask), layer.backward(dhs), *layer.grads
        found.append([to_cpu(a).copy() for a in outputs])
    for a, b in zip(*found, strict=True):
        numpy.testing.assert_array_equal(a, b)


@all_recurrent
def test_a_mask_without_padding_is_no_mask(r, cls):
    layer, xs = make(r, cls), r(N, T, D)
    dhs, found = r(*layer.forward(xs).shape), []
    for mask in None, numpy.ones((N, T), bool), numpy.ones((N, T), int):
        outputs = layer.forward(xs, mask), layer.backward(dhs), *layer.grads
        found.append([to_cpu(a).copy() for a in outputs])
    for k in 1, 2:
        for a, b in zip(found[0], found[k], strict=True):
            numpy.testing.assert_array_equal(a, b)


# --- State ---------------------------------------------------------------------------------------


@all_forwards
def test_two_stateful_halves_are_one_sequence(r, cls):
    layer, xs = make(r, cls, stateful=True), r(N, 2 * T, D)
    whole = layer.forward(xs)
    state = [*layer.state.values()]
    layer.reset_state()
    same(layer.forward(xs[:, :T]), whole[:, :T])
    same(layer.forward(xs[:, T:]), whole[:, T:])
    all_same(layer.state.values(), state)


@all_forwards
def test_set_state_goes_on_from_where_the_state_was_taken(r, cls):
    layer, xs = make(r, cls, stateful=True), r(N, 2 * T, D)
    layer.forward(xs[:, :T])
    state = [*layer.state.values()]
    second_half = layer.forward(xs[:, T:])
    layer.set_state(*state)
    same(layer.forward(xs[:, T:]), second_half)


@all_recurrent
def test_a_stateless_layer_starts_from_zeros_each_time(r, cls):
    layer, xs = make(r, cls), r(N, T, D)
    first = layer.forward(xs)
    same(layer.forward(xs), first)
    layer.set_state(*random_state(r, layer))
    same(layer.forward(xs), first)
    from_zeros = type(layer)(*layer.params, stateful=True)
    from_zeros.set_state(*(np.zeros_like(a) for a in layer.state.values()))
    same(from_zeros.forward(xs), first)


@all_recurrent
def test_reset_state_restores_the_first_output(r, cls):
    layer, xs = make(r, cls, stateful=True), r(N, T, D)
    first = layer.forward(xs)
    assert (to_cpu(layer.forward(xs)) != to_cpu(first)).any()
    layer.reset_state()
    assert set(layer.state.values()) == {None}
    same(layer.forward(xs), first)


@with_cell
def test_set_state_without_a_cell_empties_it(r, cls):
    layer, xs = make(r, cls, stateful=True), r(N, T, D)
    h, c = random_state(r, layer)
    layer.forward(xs)
    layer.set_state(h)
    kept = layer.forward(xs)
    layer.set_state(h, np.zeros_like(c))
    same(layer.forward(xs), kept)


@all_recurrent
@pytest.mark.parametrize(("N", "T"), [(2, 4), (1, 4), (2, 1)])
def test_the_state_is_that_after_the_last_step_and_belongs_to_the_layer(r, cls, N, T):
    layer, xs = make(r, cls, stateful=True), r(N, T, D)
    hs = layer.forward(xs)
    same(layer.h[:, :H], hs[:, -1, :H])
    same(layer.h[:, H:], hs[:, 0, H:])  # of a second direction, whose last step is the first
    hs[...] = math.inf
    assert bool(np.isfinite(layer.h).all())
    ones = np.ones_like(hs)
    first = to_cpu(layer.backward(ones)).copy()
    for a in layer.state.values():
        a[...] = 99
    same(layer.backward(ones), first)


def test_a_state_of_another_width_is_refused_by_both_directions(r):
    layer = make(r, TimeBiLSTM, stateful=True)
    layer.forward(r(N, T, D))
    before = [to_cpu(a).copy() for a in layer.state.values()]
    good = r(2, 2 * H)
    for shape in (2, H), (2, 3 * H), (2 * H,), (2, 1, 2 * H):
        for state in (r(*shape),), (good, r(*shape)):
            with refused(rf"TimeBiLSTM: a state is \(N, {2 * H}\), not {re.escape(str(shape))}"):
                layer.set_state(*state)
            all_same(layer.state.values(), before)


def test_the_second_direction_starts_from_zeros_unless_it_is_told(r):
    layer, xs = make(r, TimeBiLSTM, stateful=True), r(N, T, D)
    twin = reference.TwoDirections(*layer.params)
    zeros = np.zeros((N, H))
    hs, *state = twin.forward(xs, np.zeros((N, 2 * H)), np.zeros((N, 2 * H)))
    same(layer.forward(xs), hs)
    all_same(layer.state.values(), state)
    assert layer.h.shape == layer.c.shape == (N, 2 * H)
    for _ in range(2):  # the first goes on, the second begins anew
        halves = (reference.side_by_side(a[:, :H], zeros) for a in state)
        hs, *state = twin.forward(xs, *halves)
        same(layer.forward(xs), hs)
    given_ = random_state(r, layer)
    layer.set_state(*given_)
    same(layer.forward(xs), twin.forward(xs, *given_)[0])


# --- PyTorch -------------------------------------------------------------------------------------

# Our blocks of columns in the order of torch's blocks of rows, and torch's name for the layer.
IN_TORCH = {
    TimeRNN: ([0], "RNN"),
    TimeReluRNN: ([0], "RNN"),
    TimeLSTM: ([2, 0, 1, 3], "LSTM"),  # f, g, i, o and i, f, g, o
    TimeGRU: ([1, 0, 2], "GRU"),  # z, r, n and r, z, n
    TimeBiLSTM: ([2, 0, 1, 3], "LSTM"),
}
precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)]
)


@precisions
@pytest.mark.parametrize("lengths", [None, [2, 4]], ids=["", "packed"])
@all_recurrent
def test_recurrent_layers_agree_with_torch(torch, r, cls, lengths, dtype, tolerance):
    """Outputs, states and all gradients, with one through the last cell.

    packed: sequences of two lengths; torch has no states at padding, so none has a gradient there.
    nn.GRU differs from the book's GRU in two ways:

    - it exchanges z and 1 - z: the weights of z change sign, since sigmoid(-a) = 1 - sigmoid(a)
    - it applies r after the product with Wh_n: r * (h @ Wh_n) is (r * h) @ Wh_n where Wh_n is
      diagonal, so here it is, and of its gradient the diagonal is compared
    """
    order, name = IN_TORCH[cls]

    def to_torch(p):
        blocks = numpy.split(to_cpu(p), len(order), axis=-1)
        if cls is TimeGRU:
            blocks[0] = -blocks[0]
        return numpy.concatenate([blocks[k] for k in order], axis=-1).T

    def diagonal(Wh):
        if cls is TimeGRU:
            Wh[:, 2 * H :] *= np.eye(H, dtype=dtype)

    layer = make(lambda *shape: r(*shape).astype(dtype), cls, stateful=True)
    diagonal(layer.params[1])
    how = {"nonlinearity": "relu"} if cls is TimeReluRNN else {}
    how |= {"bidirectional": cls is TimeBiLSTM, "dtype": getattr(torch, dtype)}
    twin = getattr(torch.nn, name)(D, H, batch_first=True, **how)
    weights = [p for key, p in twin.named_parameters() if "bias_hh" not in key]
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
        for p, ours in zip(weights, layer.params, strict=True):
            p += torch.from_numpy(to_torch(ours))

    # torch has states (directions, N, H)
    xs, state = r(N, T, D).astype(dtype), [a.astype(dtype) for a in random_state(r, layer)]
    leaves = [torch.tensor(to_cpu(a), requires_grad=True) for a in (xs, *state)]
    h, *c = (a.reshape(N, -1, H).transpose(0, 1) for a in leaves[1:])
    mask, given, rnn = numpy.ones((N, T), bool), leaves[0], torch.nn.utils.rnn
    if lengths:
        mask = numpy.arange(T) < numpy.array(lengths)[:, None]
        given = rnn.pack_padded_sequence(given, lengths, batch_first=True, enforce_sorted=False)
    hs, end = twin(given, (h, *c) if c else h)
    if lengths:
        hs, _ = rnn.pad_packed_sequence(hs, batch_first=True)
    end = [a.transpose(0, 1).reshape(N, -1) for a in (end if c else [end])]
    real = np.asarray(mask[:, :, None].astype(dtype))
    dhs, dc = real * r(*hs.shape).astype(dtype), [r(*a.shape).astype(dtype) for a in state[1:]]
    douts = [torch.from_numpy(to_cpu(a)) for a in (dhs, *dc)]
    torch.autograd.backward([hs, *end[1:]], douts)

    layer.set_state(*state)
    within = {"rtol": tolerance, "atol": tolerance}
    same(layer.forward(xs, mask if lengths else None) * real, hs.detach(), **within)
    all_same(layer.state.values(), [a.detach() for a in end], **within)
    dxs = layer.backward(dhs, *dc)
    all_same([dxs, *state_gradients(layer)], [a.grad for a in leaves], **within)
    diagonal(layer.grads[1])
    if cls is TimeGRU:
        weights[1].grad[2 * H :] *= torch.eye(H)
    all_same(map(to_torch, layer.grads), [p.grad for p in weights], **within)


def book_gru(torch, xs, h, Wx, Wh, b):
    """(C.1) to (C.4), step by step."""
    (Wx_z, Wx_r, Wx_n), (Wh_z, Wh_r, Wh_n) = Wx.chunk(3, dim=1), Wh.chunk(3, dim=1)
    b_z, b_r, b_n = b.chunk(3)
    hs = []
    for x in xs.unbind(dim=1):
        z = torch.sigmoid(x @ Wx_z + h @ Wh_z + b_z)
        r = torch.sigmoid(x @ Wx_r + h @ Wh_r + b_r)
        n = torch.tanh(x @ Wx_n + (r * h) @ Wh_n + b_n)
        h = (1 - z) * h + z * n
        hs.append(h)
    return torch.stack(hs, dim=1)


@precisions
def test_a_gru_has_the_gradients_that_torch_finds_for_the_equations_of_the_book(
    torch, r, dtype, tolerance
):
    layer = make(lambda *shape: r(*shape).astype(dtype), TimeGRU, stateful=True)
    xs, h, dhs = (a.astype(dtype) for a in (r(N, T, D), r(N, H), r(N, T, H)))
    leaves = [torch.tensor(to_cpu(a), requires_grad=True) for a in (xs, h, *layer.params)]
    hs = book_gru(torch, *leaves)
    hs.backward(torch.from_numpy(to_cpu(dhs)))
    layer.set_state(h)
    within = {"rtol": tolerance, "atol": tolerance}
    same(layer.forward(xs), hs.detach(), **within)
    dxs = layer.backward(dhs)
    all_same([dxs, layer.dh, *layer.grads], [a.grad for a in leaves], **within)


# --- Embedding, affine and losses ----------------------------------------------------------------


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


def test_time_sigmoid_with_loss_is_the_mean_over_the_steps(r):
    xs, ts = r(2, 3), numpy.array([[0, 1, 1], [1, 0, 1]])
    fast, twins = TimeSigmoidWithLoss(), [SigmoidWithLoss() for _ in range(3)]
    losses = [float(twins[t].forward(xs[:, t], ts[:, t])) for t in range(3)]
    assert float(fast.forward(xs, ts)) == pytest.approx(sum(losses) / 3, rel=1e-12)
    dxs = [twin.backward(1 / 3) for twin in twins]
    same(fast.backward(), np.stack(dxs, axis=1))


def test_undecided_answers_cost_ln_2_each():
    layer = TimeSigmoidWithLoss()
    loss = layer.forward(np.zeros((1, 4)), numpy.array([[0, 1, 1, 0]]))
    assert float(loss) == pytest.approx(0.693147, abs=5e-7)  # ln 2
    same(layer.backward(), np.array([[1, -1, -1, 1]]) / 8)  # (1/2 - t) / 4


def test_a_loss_without_any_label_is_refused():
    with refused("none of the 6 positions has a label"):
        TimeSoftmaxWithLoss().forward(np.zeros((2, 3, 4)), numpy.full((2, 3), -1))


@pytest.mark.parametrize("bad", [4, -2])
def test_labels_out_of_range_are_refused(bad):
    with refused(rf"TimeSoftmaxWithLoss: id {bad} is not in 0\.\.3"):
        TimeSoftmaxWithLoss().forward(np.zeros((1, 2, 4)), numpy.array([[bad, -1]]))


def test_scores_and_labels_that_do_not_fit_are_refused(r):
    softmax, binary = TimeSoftmaxWithLoss(), TimeSigmoidWithLoss()
    with refused("TimeSoftmaxWithLoss: scores need 3 dimensions"):
        softmax.forward(r(2, 3), numpy.array([0, 1]))
    with refused(r"TimeSoftmaxWithLoss: labels have shape \(2, 3, 1\)"):
        softmax.forward(r(2, 3, 4), numpy.zeros((2, 3, 1), int))
    with refused(r"TimeSigmoidWithLoss: scores need 2 dimensions, not shape \(2, 3, 1\)"):
        binary.forward(r(2, 3, 1), numpy.zeros((2, 3, 1), int))
    with refused(r"TimeSigmoidWithLoss: labels have shape \(2,\), scores have \(2, 3\)"):
        binary.forward(r(2, 3), numpy.zeros(2, int))
    with refused(r"TimeSigmoidWithLoss: labels lie in 0\.\.1, not in 0\.\.2"):
        binary.forward(r(1, 2), numpy.array([[0, 2]]))


# --- Dropout -------------------------------------------------------------------------------------


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


def test_a_variational_mask_is_the_same_for_all_steps_and_fresh_for_each_call():
    layer, xs = TimeDropout(0.25, variational=True, rng=0), np.ones((50, 4, 40))
    ys = to_cpu(layer.forward(xs))
    numpy.testing.assert_array_equal(ys, numpy.repeat(ys[:, :1], 4, axis=1))
    assert (ys[0, 0] != ys[1, 0]).any()  # samples have masks of their own
    numpy.testing.assert_allclose(numpy.unique(ys), [0, 4 / 3])
    assert ys.mean() == pytest.approx(1, abs=0.052)  # 4 standard deviations of 2,000 draws
    same(layer.backward(xs), np.asarray(ys))
    assert (to_cpu(layer.forward(xs)) != ys).any()
    layer.train_flg = False
    same(layer.forward(xs), xs)


def zeros_of(a):
    return to_cpu(a) == 0


def test_dropconnect_switches_off_the_same_weights_at_every_step_and_others_in_the_next_call(r):
    layer, xs = make(r, TimeLSTM, H=20, dropconnect_ratio=0.3, rng=0), r(2, 10, D)
    off = []
    for _ in range(2):
        layer.forward(xs)
        layer.backward(r(2, 10, 20))
        off.append(zeros_of(layer.grads[1]))  # a weight used at any step has a gradient
    assert off[0].shape == (20, 80)
    assert off[0].mean() == pytest.approx(0.3, abs=0.046)  # 4 standard deviations of 1,600 draws
    assert (off[0] != off[1]).any()


def test_recurrent_dropout_hides_the_same_elements_of_h_at_every_step(r):
    """With one sample, an element of h that Wh never sees leaves a row of dWh zero."""
    layer, xs = make(r, TimeLSTM, H=200, recurrent_dropout_ratio=0.3, rng=0), r(1, 10, D)
    off = []
    for _ in range(2):
        layer.forward(xs)
        layer.backward(r(1, 10, 200))
        off.append(zeros_of(layer.grads[1]).all(axis=1))
        numpy.testing.assert_array_equal(zeros_of(layer.dh[0]), off[-1])
    assert off[0].mean() == pytest.approx(0.3, abs=0.13)  # 4 standard deviations of 200 draws
    assert (off[0] != off[1]).any()


def test_samples_have_recurrent_masks_of_their_own(r):
    layer = make(r, TimeLSTM, H=20, recurrent_dropout_ratio=0.5, rng=0)
    layer.forward(r(2, 3, D))
    layer.backward(r(2, 3, 20))
    assert (zeros_of(layer.dh[0]) != zeros_of(layer.dh[1])).any()


def test_without_training_there_is_no_dropout_in_an_lstm(r):
    layer = make(r, TimeLSTM, dropconnect_ratio=0.4, recurrent_dropout_ratio=0.4, rng=0)
    plain = TimeLSTM(*layer.params)
    xs, dhs = r(N, T, D), r(N, T, H)
    assert (to_cpu(layer.forward(xs)) != to_cpu(plain.forward(xs))).any()
    layer.train_flg = False
    same(layer.forward(xs), plain.forward(xs))
    same(layer.backward(dhs), plain.backward(dhs))
    all_same(layer.grads, plain.grads)


def test_the_seed_decides_the_masks(r):
    weights, xs = make(r, LSTM).params, r(N, T, D)
    ratios = {"dropconnect_ratio": 0.4, "recurrent_dropout_ratio": 0.4}
    a, b, c = (TimeLSTM(*weights, **ratios, rng=seed).forward(xs) for seed in (0, 0, 1))
    same(a, b)
    assert (to_cpu(a) != to_cpu(c)).any()


@pytest.mark.parametrize("ratio", [1, 1.5, -0.1, numpy.nan])
def test_ratios_that_are_no_probability_below_one_are_refused(r, ratio):
    for option in "dropconnect_ratio", "recurrent_dropout_ratio":
        with refused(r"TimeLSTM: .*at least 0 and below 1, not"):
            make(r, TimeLSTM, **{option: ratio})
    with refused(r"TimeDropout: .*at least 0 and below 1, not"):
        TimeDropout(ratio)


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [*CELLS, *FORWARDS])
def test_weights_that_do_not_fit_are_refused(r, cls):
    Wx, Wh, b = make(r, cls).params
    kH = {1: "H", 3: "3H", 4: "4H"}[cls.blocks]
    for bad in (Wx[:, 1:], Wh, b), (Wx, Wh[1:], b), (Wx, Wh[:, 1:], b), (Wx, Wh, b[1:]), (b, Wh, b):
        with refused(rf"^{cls.__name__}: weights are \(D, {kH}\), \(H, {kH}\) and \({kH},\), not"):
            cls(*bad)


def test_two_directions_of_different_sizes_are_refused(r):
    first = make(r, LSTM).params
    for second in make(r, LSTM, D=D + 1).params, make(r, LSTM, H=H + 1).params:
        with refused(r"TimeBiLSTM: Wx1 is \(3, 20\), Wx2 \((4, 20|3, 24)\); both must be the same"):
            TimeBiLSTM(*first, *second)
    with refused(r"TimeLSTM: weights are \(D, 4H\)"):
        TimeBiLSTM(*first, first[0], first[0], first[2])


@pytest.mark.parametrize("cls", CELLS)
def test_cells_refuse_what_does_not_fit(r, cls):
    cell, x, state = make(r, cls), r(N, D), [r(N, H) for _ in range(2 if cls is LSTM else 1)]
    with refused(rf"^{cls.__name__}: x has shape \(2, 4\) where \(2, 3\) is needed"):
        cell.forward(r(N, D + 1), *state)
    for k, which in enumerate(["h_prev", "c_prev"][: len(state)]):
        for shape in (N + 1, H), (N, H + 1), (1, H):
            bad = [r(*shape) if i == k else a for i, a in enumerate(state)]
            message = f"{cls.__name__}: {which} has shape {shape} where (2, 5) is needed"
            with refused(re.escape(message)):
                cell.forward(x, *bad)


@all_recurrent
def test_sequences_that_do_not_fit_are_refused(r, cls):
    layer = make(r, cls)
    for shape in (N, T), (N, T, D + 1), (N, 0, D), (N, T, D, 1):
        message = f"{speaker(cls)}: input must be (N, T, 3) with T > 0, not {shape}"
        with refused(re.escape(message)):
            layer.forward(r(*shape))


@all_recurrent
def test_masks_that_do_not_fit_are_refused(r, cls):
    layer = make(r, cls)
    for shape in (N, T + 1), (1, T), (N, 1), (N, T, 1):
        with refused(re.escape(f"{speaker(cls)}: the mask is {shape} where (2, 4) is needed")):
            layer.forward(r(N, T, D), numpy.ones(shape, bool))


@with_cell
def test_a_gradient_of_the_cell_that_does_not_fit_is_refused(r, cls):
    layer = make(r, cls)
    dhs = r(*layer.forward(r(N, T, D)).shape)
    for shape in (1, dhs.shape[2]), (N + 1, dhs.shape[2]), (N, dhs.shape[2] + 1), (N, 2):
        with refused(
            r": dc has shape \(\d, \d+\) where \(2, \d+\) is needed"
            rf"|TimeBiLSTM: a state is \(N, {2 * H}\), not {re.escape(str(shape))}"
        ):
            layer.backward(dhs, r(*shape))


@with_cell
def test_a_gradient_of_the_cell_that_does_not_fit_changes_nothing(r, cls):
    layer = make(r, cls)
    dhs = r(*layer.forward(r(N, T, D)).shape)
    width = dhs.shape[2]
    expected = layer.backward(dhs, r(N, width))
    before = [to_cpu(a).copy() for a in (*layer.grads, *state_gradients(layer))]
    shapes = [(1, width), (N + 1, width), (N, width + 1), (N, width - 1), (N, 2), (N, 2 * width)]
    for shape in [*shapes, (width,), (N, 1, width), ()]:
        with refused("dc has shape|a state is"):
            layer.backward(r(*dhs.shape), r(*shape))
        for a, b in zip((*layer.grads, *state_gradients(layer)), before, strict=True):
            numpy.testing.assert_array_equal(to_cpu(a), b)
    assert expected.shape == (N, T, D)


@all_recurrent
def test_upstream_gradients_that_do_not_fit_are_refused(r, cls):
    layer = make(r, cls)
    _, _, width = layer.forward(r(N, T, D)).shape
    others = (N, T), (N, T, width + 1), (N, T, width - 1), (N, T - 1, width), (1, T, width)
    for shape in others:
        needed = f"{cls.__name__}: the gradient must be an array of floats of shape (2, 4, {width})"
        with refused(rf"{re.escape(needed)}.* not float64 of shape {re.escape(str(shape))}"):
            layer.backward(r(*shape))


@all_recurrent
def test_a_state_of_another_batch_size_is_refused_and_kept(r, cls):
    for n, other in (1, 2), (3, 2), (3, 1):  # one row would broadcast
        layer = make(r, cls, stateful=True)
        layer.forward(r(n, T, D))
        state = [*layer.state.values()]
        with refused(
            rf"the kept h is \({n}, 5\), this batch needs \({other}, 5\); reset_state\(\)"
        ):
            layer.forward(r(other, T, D))
        assert all(a is b for a, b in zip(layer.state.values(), state, strict=True))
        layer.reset_state()
        layer.forward(r(other, T, D))


@with_cell
def test_a_cell_of_another_size_than_h_is_refused(r, cls):
    layer = make(r, cls, stateful=True)
    h, c = random_state(r, layer)
    layer.set_state(h, c[:1])
    with refused(r"TimeLSTM: the kept c is \(1, 5\), this batch needs \(2, 5\)"):
        layer.forward(r(N, T, D))


def test_the_fast_form_of_the_sigmoid_is_the_sigmoid():
    a = np.linspace(-30, 30, 601)
    same(np.tanh(a / 2) / 2 + 0.5, sigmoid(a), rtol=0)
