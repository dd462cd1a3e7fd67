"""`common.np.Loop` and `product`: loops over time that are recorded once and then replayed."""

import copy
import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import fused_steps
from common.cuda_graphs import RECORDINGS, Loop, _blas, product
from common.np import np, to_cpu, use
from common.recurrent import TimeGRU, TimeLSTM, TimeReluRNN, TimeRNN
from tests.conftest import REAL_GPU
from tests.gpu.library import computing

N, T, D, H = 2, 5, 3, 4
STEPS = 6
DROPPING = {"dropconnect_ratio": 0.4, "recurrent_dropout_ratio": 0.4, "rng": 1}
CASES = {
    "TimeRNN": (TimeRNN, {}, {}),
    "TimeRNN, padding": (TimeRNN, {}, {"mask"}),
    "TimeReluRNN": (TimeReluRNN, {}, {}),
    "TimeLSTM": (TimeLSTM, {}, {}),
    "TimeLSTM, stateful": (TimeLSTM, {"stateful": True}, {}),
    "TimeLSTM, padding": (TimeLSTM, {}, {"mask"}),
    "TimeLSTM, constant": (TimeLSTM, {}, {"constant"}),
    "TimeLSTM, dropout": (TimeLSTM, DROPPING, {}),
    "TimeLSTM, dropout, padding": (TimeLSTM, DROPPING, {"mask"}),
    "TimeGRU": (TimeGRU, {"stateful": True}, {}),
    "TimeGRU, padding": (TimeGRU, {}, {"mask"}),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def products(monkeypatch):
    """How many products the host has asked for, in a list of one number."""
    count = [0]

    def counted(*args, **kwargs):
        count[0] += 1
        product(*args, **kwargs)

    monkeypatch.setattr(fused_steps, "product", counted)
    return count


def layer_of(kind, options=(), dtype="float64"):
    rng = numpy.random.default_rng(0)
    k = kind.blocks
    shapes = (D, k * H), (H, k * H), (k * H,)
    weights = [np.asarray(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
    return kind(*weights, **dict(options))


def step(layer, seed, inputs=(), n=N, t=T):
    """Forward, backward and an update with numbers of this seed -> all results, on the host."""
    rng, dtype = numpy.random.default_rng(seed), layer.params[1].dtype
    given = {}
    if "mask" in inputs:
        given["mask"] = numpy.arange(t) < rng.integers(1, t + 1, size=(n, 1))
    width = D
    if "constant" in inputs:
        width, given["constant"] = 1, np.asarray(rng.standard_normal((n, D - 1)).astype(dtype))
    xs, dhs, dc = (
        np.asarray(rng.standard_normal(shape).astype(dtype))
        for shape in ((n, t, width), (n, t, H), (n, H))
    )
    found = [layer.forward(xs, **given), layer.h]
    found.append(layer.backward(dhs, dc) if isinstance(layer, TimeLSTM) else layer.backward(dhs))
    found += [layer.dh, *layer.grads, *([layer.dc] if isinstance(layer, TimeLSTM) else [])]
    for p, g in zip(layer.params, layer.grads, strict=True):
        p -= 0.1 * g
    return found


def on_host(results):
    return [to_cpu(a) for found in results for a in found]


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        tolerance = 1e-11 if a.dtype == "float64" else 1e-4
        numpy.testing.assert_allclose(a, b, tolerance, tolerance)


@pytest.mark.usefixtures("cupy_backend")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_replays_give_what_a_plain_loop_and_numpy_give(case, dtype, monkeypatch):
    """Handed-out arrays are compared in the end: no later call may have written into them."""
    kind, options, inputs = case

    def results():
        layer = layer_of(kind, options, dtype)
        return on_host([step(layer, seed, inputs) for seed in range(STEPS)])

    replayed = results()
    monkeypatch.setattr(fused_steps, "RECORDED_FROM", math.inf)
    assert_close(replayed, results())
    if "rng" not in options and dtype != "float16":  # other draws, and sums in float32, on a GPU
        use("numpy")
        assert_close(replayed, results())


@pytest.mark.usefixtures("cupy_backend")
def test_from_the_second_step_on_the_host_asks_for_nothing_in_the_loops(case, products):
    kind, options, inputs = case
    layer, counts = layer_of(kind, options), []
    for seed in range(STEPS):
        before = products[0]
        step(layer, seed, inputs)
        counts.append(products[0] - before)
    plain = (4 if kind is TimeGRU else 2) * T
    assert counts == [plain, plain, 0, 0, 0, 0]  # the second time to record


@pytest.mark.usefixtures("cupy_backend")
def test_each_length_is_recorded_once_whatever_comes_in_between(case, products):
    """The longest comes last, so that buffers which were too short are left behind."""
    kind, options, inputs = case
    layer, lengths = layer_of(kind, options), (T, T + 2, T - 1)
    for t in (T - 1, T, T + 2):
        for seed in range(2):
            step(layer, seed, inputs, t=t)
    for t in lengths:  # those that moved into longer buffers begin anew
        for seed in range(2):
            step(layer, seed, inputs, t=t)
    before = products[0]
    for seed, t in enumerate(lengths * 2):
        step(layer, seed, inputs, t=t)
    assert products[0] == before


@pytest.mark.usefixtures("cupy_backend")
def test_lengths_in_turn_give_what_numpy_gives(case):
    kind, options, inputs = case
    options = {name: value for name, value in dict(options).items() if name == "stateful"}
    lengths = [T, T + 3, T - 1, T, T + 3] * 3

    def results():
        layer = layer_of(kind, options)
        return on_host([step(layer, seed, inputs, t=t) for seed, t in enumerate(lengths)])

    ours = results()
    use("numpy")
    assert_close(ours, results())


@pytest.mark.usefixtures("cupy_backend")
def test_the_recordings_used_last_are_kept():
    loop, calls = Loop(), []
    arrays = [np.ones(3) for _ in range(RECORDINGS + 1)]
    for a in (*arrays, arrays[1], arrays[0], arrays[1]):
        loop(lambda: calls.append(1), a)
    # each once; the second again, to be recorded; the first, which made room for the last, again
    assert len(calls) == RECORDINGS + 1 + 2


CHANGES = {
    "another weight": lambda layer: layer.params.__setitem__(1, layer.params[1] * 2),
    "weights by columns": lambda layer: layer.params.__setitem__(1, layer.params[1].T.copy().T),
    "another dtype": lambda layer: layer.astype("float32"),
    "another batch size": lambda layer: step(layer, 7, n=N + 1),
    "another length": lambda layer: step(layer, 7, t=T + 1),
    "another layer": lambda layer: [step(layer_of(type(layer)), 7 + k) for k in range(4)],
    "a copy": lambda layer: [step(copy.deepcopy(layer), 7 + k) for k in range(4)],
}


@pytest.mark.usefixtures("cupy_backend")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [TimeRNN, TimeLSTM, TimeGRU])
def test_a_change_between_replays_is_followed(kind, change):
    def results():
        layer, found = layer_of(kind), []
        for seed in range(STEPS):
            if seed in (3, 4):
                CHANGES[change](layer)
            found.append(step(layer, seed))
        return on_host(found)

    ours = results()
    use("numpy")
    assert_close(ours, results())


@pytest.mark.usefixtures("cupy_backend")
def test_a_short_loop_is_not_recorded(products):
    layer = layer_of(TimeRNN)
    for seed in range(STEPS):
        step(layer, seed, t=fused_steps.RECORDED_FROM - 1)
    assert products[0] == STEPS * 2 * (fused_steps.RECORDED_FROM - 1)


@pytest.mark.usefixtures("cupy_backend")
def test_a_copy_of_a_loop_has_recorded_nothing():
    loop, a, calls = Loop(), np.ones(3), []

    def work():
        calls.append("work")
        np.multiply(a, 2, out=a)

    for _ in range(3):
        loop(work, a)
    assert calls == ["work"] * 2
    copy.deepcopy(loop)(work, a)
    assert calls == ["work"] * 3
    assert to_cpu(a).tolist() == [16.0] * 3


@pytest.mark.usefixtures("cupy_backend")
def test_an_error_while_recording_is_told_and_leaves_the_stream_usable():
    loop, a = Loop(), np.ones(3)

    def work():
        np.multiply(a, 2, out=a)
        if calls:
            raise ZeroDivisionError
        calls.append(1)

    calls = []
    loop(work, a)
    with pytest.raises(ZeroDivisionError):
        loop(work, a)
    assert to_cpu(a).tolist() == [2.0] * 3  # what was recorded has not been done
    calls.clear()
    loop(work, a)
    assert to_cpu(a).tolist() == [4.0] * 3


SIZES = st.integers(1, 4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@given(n=SIZES, k=SIZES, m=SIZES, spare=st.integers(0, 2), turned=st.booleans(), add=st.booleans())
def test_a_product_over_cupy_is_that_of_numpy_in_every_layout(dtype, n, k, m, spare, turned, add):
    rng = numpy.random.default_rng(n + 10 * k + 100 * m)
    a, b, out = (rng.standard_normal(s).astype(dtype) for s in ((n, k), (k, m), (n, m)))
    expected = a @ b + (out if add else 0)
    tolerance = 1e-2 if dtype == "float16" else 1e-5
    with computing("cupy", REAL_GPU):
        a, b, out = (with_spare_columns(x, spare, turned and x is b) for x in (a, b, out))
        product(a, b, out, add=add)
        numpy.testing.assert_allclose(to_cpu(out), expected, tolerance, tolerance)


def with_spare_columns(a, spare, turned):
    """a (R, C) on the device, as part of a wider array; by columns if turned."""
    a = a.T if turned else a
    wide = np.zeros((len(a), a.shape[1] + spare), a.dtype)
    wide[:, : a.shape[1]] = np.asarray(a)
    part = wide[:, : a.shape[1]]
    return part.T if turned else part


@pytest.mark.usefixtures("cupy_backend")
def test_a_failure_of_cublas_is_an_error(monkeypatch):
    a = np.ones((3, 3))
    failing = lambda *_: 7, *_blas().gemm["d"][1:]
    monkeypatch.setitem(_blas().gemm, "d", failing)
    with pytest.raises(RuntimeError, match="cuBLAS failed with status 7"):
        product(a, a, a)
