"""Optimizers against hand-worked updates, against torch, and with row-sparse gradients."""

import math

import numpy
import pytest

from common.gradients import RowSparse
from common.layers import MatMul
from common.np import np, to_cpu
from common.optimizer import SGD, AdaGrad, Adam, AveragedSGD, Momentum, Nesterov, RMSprop

both = pytest.mark.usefixtures("backend")
ALL = [SGD, AveragedSGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam]
EXACT = ALL[:-1]  # row-sparse gradients end where dense ones do


def two_steps(optimizer):
    """w after gradients 2 and 1, from w = 1."""
    w, g = np.array([1.0]), np.array([2.0])
    optimizer.update([w], [g])
    first = float(w[0])
    optimizer.update([w], [g / 2])
    return first, float(w[0])


@both
def test_sgd_goes_down_the_gradient():
    assert two_steps(SGD(0.1)) == pytest.approx((0.8, 0.7))  # 1 - 0.1*2, then - 0.1*1


@both
def test_momentum_keeps_its_speed():
    # v = -0.1*2 = -0.2, w = 0.8;  v = 0.9*-0.2 - 0.1 = -0.28, w = 0.52
    assert two_steps(Momentum(0.1)) == pytest.approx((0.8, 0.52))


@both
def test_nesterov_looks_ahead_with_the_old_speed():
    # w = 1 + 0.81*0 - 1.9*0.1*2 = 0.62, v = -0.2;  w = 0.62 + 0.81*-0.2 - 1.9*0.1*1 = 0.268
    assert two_steps(Nesterov(0.1)) == pytest.approx((0.62, 0.268))


@both
def test_adagrad_slows_down_with_every_step():
    # h = 4, w = 1 - 0.1*2/2 = 0.9;  h = 5, w = 0.9 - 0.1/sqrt(5) = 0.8552786
    assert two_steps(AdaGrad(0.1)) == pytest.approx((0.9, 0.9 - 0.1 / math.sqrt(5)), rel=1e-6)


@both
def test_rmsprop_forgets_old_gradients():
    # h = 0.01*4 = 0.04, w = 1 - 0.1*2/0.2 = 0;  h = 0.0396 + 0.01 = 0.0496, w = -0.1/sqrt(0.0496)
    assert two_steps(RMSprop(0.1)) == pytest.approx((0, -0.1 / math.sqrt(0.0496)), abs=1e-6)


@both
def test_adam_first_step_is_lr_times_the_sign():
    # m = 0.2, v = 0.004; lr_1 = 0.1*sqrt(0.001)/0.1; w = 1 - lr_1*0.2/sqrt(0.004) = 0.9
    # m = 0.28, v = 0.004996; lr_2 = 0.1*sqrt(1-0.999^2)/0.19; w = 0.9 - lr_2*m/sqrt(v) = 0.806782
    second = 0.9 - 0.1 * math.sqrt(1 - 0.999**2) / 0.19 * 0.28 / math.sqrt(0.004996)
    assert two_steps(Adam(0.1)) == pytest.approx((0.9, second), abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(0.1), lambda o, p: o.SGD(p, 0.1)),
        (Momentum(0.1), lambda o, p: o.SGD(p, 0.1, momentum=0.9)),
        (AdaGrad(0.1), lambda o, p: o.Adagrad(p, 0.1, eps=1e-7)),
        (RMSprop(0.1), lambda o, p: o.RMSprop(p, 0.1, eps=1e-7)),
        (Adam(0.1), lambda o, p: o.Adam(p, 0.1)),
    ],
    ids=["SGD", "Momentum", "AdaGrad", "RMSprop", "Adam"],
)
def test_ten_steps_agree_with_torch(torch, ours, theirs):
    rng = numpy.random.default_rng(0)
    w = rng.standard_normal((4, 3))
    twin = torch.nn.Parameter(torch.from_numpy(w.copy()))
    optimizer = theirs(torch.optim, [twin])
    for step in range(1, 11):
        if isinstance(ours, Adam):  # our 1e-7 joins sqrt(v) before the correction, theirs after
            optimizer.param_groups[0]["eps"] = 1e-7 / math.sqrt(1 - 0.999**step)
        g = rng.standard_normal((4, 3))
        twin.grad = torch.from_numpy(g)
        optimizer.step()
        ours.update([w], [g])
    numpy.testing.assert_allclose(w, twin.detach().numpy(), atol=1e-6)


def test_nesterov_is_torch_nesterov_seen_one_step_ahead(torch):
    """torch keeps w and looks ahead in the step; ours keeps the point looked ahead to."""
    rng = numpy.random.default_rng(0)
    w = rng.standard_normal(5)
    twin = torch.nn.Parameter(torch.from_numpy(w.copy()))
    optimizer = torch.optim.SGD([twin], 0.1, momentum=0.9, nesterov=True)
    ours = Nesterov(0.1)
    for _ in range(10):
        g = rng.standard_normal(5)
        twin.grad = torch.from_numpy(g)
        optimizer.step()
        ours.update([w], [g])
    numpy.testing.assert_allclose(w, twin.detach().numpy(), atol=1e-6)


@both
@pytest.mark.parametrize("cls", ALL)
def test_parameters_change_in_place_and_keep_their_dtype(cls):
    for dtype in "float32", "float64":
        w = np.ones((2, 3), dtype=dtype)
        params = [w]
        cls(lr=np.float64(0.1)).update(params, [np.ones((2, 3), dtype=dtype)])
        assert params[0] is w
        assert w.dtype == dtype
        assert float(w.max()) < 1


@both
@pytest.mark.parametrize("cls", EXACT)
def test_row_sparse_gradients_with_all_rows_are_dense_ones(cls, r):
    dense = r(4, 2)
    sparse = dense.copy()
    a, b = cls(0.1), cls(0.1)
    for _ in range(3):
        g, order = r(4, 2), numpy.array([2, 0, 3, 1])
        rows = RowSparse((4, 2), g.dtype)
        rows.assign(order, g[np.asarray(order)])
        a.update([dense], [g])
        b.update([sparse], [rows])
    numpy.testing.assert_allclose(to_cpu(sparse), to_cpu(dense), rtol=1e-12)


@both
@pytest.mark.parametrize("cls", ALL)
def test_rows_outside_a_row_sparse_gradient_rest(cls):
    w, rows = np.ones((4, 2)), RowSparse((4, 2), float)
    optimizer = cls(0.1)
    for ids in [0, 1], [1, 2]:
        rows.assign(numpy.array(ids), np.ones((2, 2)))
        before = to_cpu(w).copy()
        optimizer.update([w], [rows])
        moved = (to_cpu(w) != before).any(axis=1)
        assert moved.tolist() == [k in ids for k in range(4)]


@both
@pytest.mark.parametrize("cls", EXACT)
def test_resting_rows_catch_up_with_dense_gradients(cls, r):
    """Twenty sparse steps and one with all rows end where the dense steps end."""
    rng, dense = numpy.random.default_rng(0), r(8, 2)
    sparse = dense.copy()
    a, b = cls(0.1), cls(0.1)
    for step in range(21):
        ids = numpy.arange(8) if step == 20 else rng.choice(8, rng.integers(1, 4), replace=False)
        rows = RowSparse((8, 2), float)
        rows.assign(ids, r(len(ids), 2))
        a.update([dense], [rows.to_dense()])
        b.update([sparse], [rows])
    numpy.testing.assert_allclose(to_cpu(sparse), to_cpu(dense), atol=1e-10)


@both
def test_row_sparse_adam_goes_where_dense_adam_comes_to_rest(r):
    """Each row gets a gradient now and then; zero gradients let the dense momentum run out."""
    dense = r(50, 2)
    start, sparse = to_cpu(dense).copy(), dense.copy()
    a, b = Adam(0.01), Adam(0.01)
    a.iter = b.iter = 10**5  # so that the corrections for the start are 1
    rows = RowSparse((50, 2), float)
    for step in range(600):
        rows.assign(numpy.array([step % 50]), r(1, 2))
        a.update([dense], [rows.to_dense()])
        b.update([sparse], [rows])
    for _ in range(300):
        a.update([dense], [np.zeros((50, 2))])
    moved = to_cpu(dense) - start
    assert numpy.abs(moved).max() > 0.5
    numpy.testing.assert_allclose(to_cpu(sparse) - start, moved, atol=0.02 * numpy.abs(moved).max())


@both
def test_row_sparse_adam_has_the_hand_worked_values():
    # iter 1: v = 0.001*4 = 0.004, w = 1 - 0.1*sqrt(0.001)*2/sqrt(0.004) = 0.9
    # iter 2 leaves the row out; iter 3: v = 0.004*0.999^2 + 0.001 and g = 1
    w, g = np.ones((2, 1)), RowSparse((2, 1), float)
    adam = Adam(0.1)
    for row, gradient in (0, 2.0), (1, 5.0), (0, 1.0):
        g.assign(numpy.array([row]), np.array([[gradient]]))
        adam.update([w], [g])
    third = 0.1 * math.sqrt(1 - 0.999**3) / math.sqrt(0.004 * 0.999**2 + 0.001)
    assert float(w[0, 0]) == pytest.approx(0.9 - third, abs=1e-5)


@pytest.mark.parametrize("cls", ALL)
def test_what_does_not_go_together_is_refused_with_nothing_changed(cls):
    optimizer, w = cls(), numpy.ones((2, 3))
    for grads in [], [numpy.ones(3)], [numpy.ones((2, 3))] * 2:
        with pytest.raises(ValueError, match=rf"{cls.__name__}.update: parameters \[\(2, 3\)\]"):
            optimizer.update([w], grads)
    assert (w == 1).all()
    assert getattr(optimizer, "iter", 0) == 0


@pytest.mark.parametrize("cls", [c for c in ALL if c is not SGD])
def test_an_optimizer_refuses_another_model(cls):
    optimizer = cls()
    optimizer.update([numpy.ones(3)], [numpy.ones(3)])
    with pytest.raises(ValueError, match="the state belongs to other parameters"):
        optimizer.update([numpy.ones(4)], [numpy.ones(4)])


# A learning rate that is a function of the update number


@both
@pytest.mark.parametrize("cls", ALL)
def test_a_learning_rate_may_be_a_function_of_the_update_number(cls, r):
    """It is asked once an update, from 0 on, and each update is that of its number."""
    asked, gradients = [], [r(3, 2) for _ in range(4)]
    rates = [0.1, 0.0, 0.3, 0.05]
    w = r(3, 2)
    expected = w.copy()
    scheduled, numbered = cls(lambda step: asked.append(step) or rates[step]), cls(0.1)
    for rate, g in zip(rates, gradients, strict=True):
        numbered.lr = rate
        scheduled.update([w, w * 2], [g, g])
        numbered.update([expected, expected * 2], [g, g])
        numpy.testing.assert_array_equal(to_cpu(w), to_cpu(expected))
        assert scheduled.rate == rate
    assert asked == [0, 1, 2, 3]


@both
@pytest.mark.parametrize("cls", EXACT)
def test_rows_without_a_gradient_follow_a_changing_learning_rate_too(cls, r):
    rng, dense = numpy.random.default_rng(0), r(8, 2)
    sparse = dense.copy()
    a, b = cls(lambda step: 0.1 / (1 + step)), cls(lambda step: 0.1 / (1 + step))
    for step in range(12):
        ids = numpy.arange(8) if step == 11 else rng.choice(8, 3, replace=False)
        rows = RowSparse((8, 2), float)
        rows.assign(ids, r(len(ids), 2))
        a.update([dense], [rows.to_dense()])
        b.update([sparse], [rows])
    numpy.testing.assert_allclose(to_cpu(sparse), to_cpu(dense), atol=1e-10)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.1])
def test_a_function_that_returns_no_learning_rate_is_refused_with_nothing_changed(cls, bad):
    optimizer = cls(lambda step: 0.1 if step == 0 else bad)
    w, g = numpy.ones(3), numpy.ones(3)
    optimizer.update([w], [g])
    before = w.copy(), {name: arrays[0].copy() for name, arrays in optimizer.state.items()}
    with pytest.raises(ValueError, match=rf"{cls.__name__}\.update: lr\(1\) is {bad}; a learning"):
        optimizer.update([w], [g])
    assert optimizer.iter == 1
    numpy.testing.assert_array_equal(w, before[0])
    for name, a in before[1].items():
        numpy.testing.assert_array_equal(optimizer.state[name][0], a)


def test_a_learning_rate_from_numpy_does_not_change_the_type_of_the_parameters():
    w = numpy.ones(3, "float32")
    Adam(lambda step: numpy.float64(0.1)).update([w], [numpy.ones(3, "float32")])
    assert w.dtype == "float32"


# What is refused


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("lr", [-1, math.nan, math.inf, "0.1", None, [0.1], 1j])
def test_what_is_no_learning_rate_is_refused(cls, lr):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: lr is .*finite and not negative"):
        cls(lr)
    optimizer, w = cls(), numpy.ones(2)
    optimizer.lr = lr
    with pytest.raises(ValueError, match=rf"{cls.__name__}\.update: lr is "):
        optimizer.update([w], [w])
    assert optimizer.iter == 0


@pytest.mark.parametrize("bad", [1, -0.1, math.nan, "0.9", None])
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Momentum, "momentum"),
        (Nesterov, "momentum"),
        (RMSprop, "decay_rate"),
        (Adam, "beta1"),
        (Adam, "beta2"),
    ],
)
def test_a_share_of_the_past_is_below_one(cls, name, bad):
    with pytest.raises(ValueError, match=f"{cls.__name__}: {name} is at least 0 and below 1, not"):
        cls(**{name: bad})


@both
@pytest.mark.parametrize("cls", ALL)
def test_a_refused_update_leaves_weights_and_moments_as_they_were(cls, r):
    params, optimizer = [r(2, 3), r(3)], cls()
    good = [r(2, 3), r(3)]
    optimizer.update(params, good)
    arrays = [*params, *(a for kept in optimizer.state.values() for a in kept)]
    before = [to_cpu(a).copy() for a in arrays]
    text = numpy.full(3, "1")
    for wrong in good[1][None], good[1][:2], good[1] * 1j, text, text.astype(object):
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.update: "):
            optimizer.update(params, [good[0], wrong])
    for a, was in zip(arrays, before, strict=True):
        numpy.testing.assert_array_equal(to_cpu(a), was)
    assert optimizer.iter == 1


def test_a_read_only_parameter_can_be_computed_with_but_not_updated():
    W = numpy.eye(2)
    W.flags.writeable = False
    layer, optimizer = MatMul(W), Adam()
    layer.backward(layer.forward(numpy.ones((1, 2))))
    with pytest.raises(
        ValueError, match=r"Adam\.update: a parameter, float64 of shape \(2, 2\), is read-only"
    ):
        optimizer.update(layer.params, layer.grads)
    assert optimizer.iter == 0
    assert optimizer.state == {}


@pytest.mark.parametrize("layout", ["Fortran", "strided"])
@pytest.mark.parametrize("cls", ALL)
def test_the_order_of_parameters_in_memory_does_not_matter(cls, layout):
    rng = numpy.random.default_rng(0)
    start, g = rng.standard_normal((2, 300, 300))  # so large that it is updated by parts
    plain = start.copy()
    other = numpy.asfortranarray(start) if layout == "Fortran" else numpy.zeros((300, 600))[:, ::2]
    other[...] = start
    for w in plain, other:
        optimizer = cls(0.1)
        for _ in range(2):
            optimizer.update([w], [g])
    numpy.testing.assert_allclose(other, plain, rtol=1e-12)
    assert not numpy.array_equal(plain, start)


@both
@pytest.mark.parametrize("cls", EXACT)
@pytest.mark.parametrize("turns", ["sdsds", "ddsdds"])
def test_row_sparse_and_dense_gradients_may_come_in_turn(cls, turns, r):
    """As in a loop that clips by `g * rate` where the gradient is long."""
    dense = r(5, 3)
    mixed = dense.copy()
    a, b = cls(0.1), cls(0.1)
    for k, turn in enumerate([*turns, "s"]):
        rows = RowSparse(dense.shape, dense.dtype)
        ids = numpy.arange(5) if k == len(turns) else numpy.array([k % 5, (k + 2) % 5])
        rows.assign(ids, r(len(ids), 3))
        whole = rows.to_dense().copy() if turn == "d" else numpy.asarray(rows)
        a.update([dense], [np.asarray(whole)])
        b.update([mixed], [rows if turn == "s" else whole])
    numpy.testing.assert_allclose(to_cpu(mixed), to_cpu(dense), atol=1e-12)


# --- AveragedSGD ---------------------------------------------------------------------------------


@both
def test_weight_decay_joins_the_gradient():
    # 1 - 0.1 * (2 + 0.5 * 1), then - 0.1 * (1 + 0.5 * 0.75)
    assert two_steps(AveragedSGD(0.1, 0.5)) == pytest.approx((0.75, 0.6125))


@both
def test_the_average_is_the_mean_of_the_weights_since_it_began(r):
    params, optimizer = [r(4, 3), r(2)], AveragedSGD(0.3, 0.01)
    after = []
    for k in range(7):
        if k == 3:
            optimizer.start_averaging()
        optimizer.update(params, [r(4, 3) * k, r(2) + k])
        after.append([to_cpu(p).copy() for p in params])
    optimizer.start_averaging()  # again, which changes nothing
    assert optimizer.count == 4
    with optimizer.averaged(params):
        for k, p in enumerate(params):
            mean = numpy.mean([w[k] for w in after[3:]], axis=0)
            numpy.testing.assert_allclose(to_cpu(p), mean, rtol=1e-12)
    for p, last in zip(params, after[-1], strict=True):
        numpy.testing.assert_array_equal(to_cpu(p), last)


@both
def test_rows_without_a_gradient_are_averaged_and_decay_too(r):
    sparse = r(5, 2)
    dense = sparse.copy()
    rows = numpy.array([1, 3])
    optimizers = AveragedSGD(0.3, 0.1), AveragedSGD(0.3, 0.1)
    for optimizer in optimizers:
        optimizer.start_averaging()
    for _ in range(3):
        g, whole = RowSparse((5, 2), "float64"), np.zeros((5, 2))
        g.assign(rows, r(2, 2))
        whole[np.asarray(rows)] = g.rows
        optimizers[0].update([sparse], [g])
        optimizers[1].update([dense], [whole])
    for ours, theirs in (sparse, dense), (optimizers[0].mean[0], optimizers[1].mean[0]):
        numpy.testing.assert_array_equal(to_cpu(ours), to_cpu(theirs))


@both
def test_after_an_error_within_the_average_the_weights_are_what_they_were(r):
    p, optimizer = r(3), AveragedSGD(0.1)
    optimizer.start_averaging()
    for _ in range(2):
        optimizer.update([p], [r(3)])
    before = to_cpu(p).copy()
    with pytest.raises(ZeroDivisionError), optimizer.averaged([p]):
        raise ZeroDivisionError
    numpy.testing.assert_array_equal(to_cpu(p), before)


@pytest.mark.parametrize("begun", [False, True])
def test_an_average_that_never_began_is_refused(begun, r):
    p, optimizer = r(3), AveragedSGD(0.1)
    optimizer.update([p], [r(3)])
    if begun:
        optimizer.start_averaging()
    with pytest.raises(ValueError, match="there is no mean"), optimizer.averaged([p]):
        pass
    with pytest.raises(ValueError, match="weight_decay is finite and not negative, not -1"):
        AveragedSGD(0.1, -1)
