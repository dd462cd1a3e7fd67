"""Parts of external memories: content and place, reading and writing, usage and links."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from common.gradient_check import numeric_gradient
from common.memory import (
    Allocation,
    CircularShift,
    ContentAddressing,
    Interpolation,
    LinkedReads,
    Read,
    Sharpening,
    TemporalLinks,
    Usage,
    Write,
)
from common.np import np, to_cpu
from tests.reference import slow_allocation, slow_focus, slow_links

RNG = numpy.random.default_rng(0)


def weights(rng, *shape):
    w = rng.random(shape)
    return w / w.sum(axis=-1, keepdims=True)


# --- What each part does --------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_the_row_that_is_like_the_key_gets_the_weight():
    memory = np.asarray([[[1.0, 0], [0, 2], [-3, 0], [0, 0]]])
    w = ContentAddressing().forward(memory, np.asarray([[[0, 0.1]]]), np.asarray([[20.0]]))
    assert_allclose(to_cpu(w)[0, 0], [0, 1, 0, 0], atol=1e-8)


def test_a_row_of_zeros_is_like_nothing_and_has_a_gradient():
    layer = ContentAddressing()
    w = layer.forward(np.zeros((1, 3, 2)), np.ones((1, 1, 2)), np.ones((1, 1)))
    assert_allclose(w, numpy.full((1, 1, 3), 1 / 3))
    assert all(numpy.isfinite(d).all() for d in layer.backward(np.asarray([[[1.0, 0, 0]]])))


def test_a_closed_gate_leaves_a_head_where_it_was():
    new, old = weights(RNG, 2, 2, 5), weights(RNG, 2, 2, 5)
    assert_allclose(Interpolation().forward(new, old, numpy.zeros((2, 2))), old)
    assert_allclose(Interpolation().forward(new, old, numpy.ones((2, 2))), new)


@pytest.mark.usefixtures("backend")
def test_a_shift_moves_weights_down_and_around_the_end():
    w = np.asarray([[[0.1, 0.2, 0.3, 0.4]]])
    down, up = np.asarray([[[0.0, 0, 1]]]), np.asarray([[[1.0, 0, 0]]])
    assert_allclose(to_cpu(CircularShift().forward(w, down))[0, 0], [0.4, 0.1, 0.2, 0.3])
    assert_allclose(to_cpu(CircularShift().forward(w, up))[0, 0], [0.2, 0.3, 0.4, 0.1])


def test_sharpening_is_a_power_that_sums_to_one():
    w = weights(RNG, 2, 2, 5)
    sharp = Sharpening().forward(w, numpy.full((2, 2), 3.0))
    assert_allclose(sharp, w**3 / (w**3).sum(axis=2, keepdims=True))
    assert_allclose(Sharpening().forward(w, numpy.ones((2, 2))), w)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sharpness", [1.0, 2.0, 50.0])
def test_sharpening_has_a_gradient_at_a_weight_of_zero(dtype, sharpness):
    layer = Sharpening()
    w = numpy.array([[[0, 0, 1]]], dtype)
    y = layer.forward(w, numpy.full((1, 1), sharpness, dtype))
    assert_allclose(y, w, atol=1e-6)
    for d in layer.backward(numpy.array([[[1, -2, 3]]], dtype)):
        assert numpy.isfinite(d).all()
        assert abs(d).max() < 10 * sharpness


def test_write_erases_then_adds_and_read_finds_it():
    memory = numpy.array([[[1.0, 2], [3, 4]]])
    w, erase, add = numpy.array([[[0, 1.0]]]), numpy.array([[[1.0, 0]]]), numpy.array([[[5.0, 6]]])
    new = Write().forward(memory, w, erase, add)
    assert_array_equal(new, [[[1, 2], [5, 10]]])  # 3 * (1 - 1) + 5, 4 * (1 - 0) + 6
    assert_array_equal(Read().forward(new, w), [[[5, 10]]])


def test_heads_that_write_together_erase_before_they_add_in_any_order():
    memory, w = RNG.random((2, 4, 3)), weights(RNG, 2, 2, 4)
    erase, add = RNG.random((2, 2, 3)), RNG.random((2, 2, 3))
    new = Write().forward(memory, w, erase, add)
    turned = Write().forward(memory, *(a[:, ::-1] for a in (w, erase, add)))
    assert_allclose(new, turned, rtol=1e-14)
    stay = [1 - w[:, k, :, None] * erase[:, k, None] for k in range(2)]
    added = sum(w[:, k, :, None] * add[:, k, None] for k in range(2))
    assert_allclose(new, memory * stay[0] * stay[1] + added)


def test_usage_grows_by_writing_and_shrinks_by_reading_with_an_open_gate():
    usage, w, read = numpy.array([[0.5, 0]]), numpy.array([[0.5, 1]]), numpy.array([[[1.0, 0.5]]])
    closed, opened = numpy.zeros((1, 1)), numpy.ones((1, 1))
    assert_array_equal(Usage().forward(usage, w, closed, read), [[0.75, 1]])  # .5 + .5 - .25
    assert_array_equal(Usage().forward(usage, w, opened, read), [[0, 0.5]])


# --- The same as row by row -----------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("R", "S"), [(3, 3), (5, 3), (6, 5), (1, 1)])
def test_the_four_steps_of_a_head_are_those_of_one_memory_at_a_time(R, S):
    rng = numpy.random.default_rng(1)
    N, K, W = 2, 2, 3
    memory, key, old = rng.random((N, R, W)), rng.random((N, K, W)), weights(rng, N, K, R)
    strength, gate, sharpness = rng.random((3, N, K))
    shift = weights(rng, N, K, S)
    on_device = [np.asarray(a) for a in (memory, key, old, strength, gate, shift, sharpness)]
    m, k, o, b, g, s, c = on_device
    w = Interpolation().forward(ContentAddressing().forward(m, k, 5 * b), o, g)
    w = to_cpu(Sharpening().forward(CircularShift().forward(w, s), 1 + c))
    for n in range(N):
        for h in range(K):
            at = n, h
            parts = old[at], key[at], 5 * strength[at], gate[at], shift[at], 1 + sharpness[at]
            assert_allclose(w[at], slow_focus(memory[n], *parts), rtol=1e-9)


@given(st.lists(st.sampled_from([0, 0.1, 0.5, 0.5000001, 1]), min_size=1, max_size=7))
def test_allocation_is_the_product_over_the_rows_that_are_used_less(usage):
    w = Allocation().forward(numpy.array([usage], "d"))
    assert_allclose(w[0], slow_allocation(usage), atol=1e-15)
    assert 0 <= w.min() <= w.sum() <= 1 + 1e-12


@pytest.mark.usefixtures("backend")
def test_allocation_of_a_batch_is_that_of_each_memory():
    usage = numpy.random.default_rng(2).random((4, 9)).round(1)  # with ties
    w = to_cpu(Allocation().forward(np.asarray(usage)))
    assert_allclose(w, [slow_allocation(u) for u in usage], atol=1e-15)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("R", [1, 2, 6])
def test_links_and_precedence_are_those_built_cell_by_cell(R):
    rng, N, T = numpy.random.default_rng(3), 3, 5
    writes = weights(rng, T, N, R) * rng.random((T, N, 1))
    links, precedence = np.zeros((N, R, R)), np.zeros((N, R))
    for w in writes:
        links, precedence = TemporalLinks().forward(links, precedence, np.asarray(w))
    for n in range(N):
        slow = slow_links(writes[:, n])
        assert_allclose(to_cpu(links)[n], slow[0], atol=1e-15)
        assert_allclose(to_cpu(precedence)[n], slow[1], atol=1e-15)


def test_links_lead_from_a_row_to_the_one_written_next_and_back():
    links, precedence = numpy.zeros((1, 4, 4)), numpy.zeros((1, 4))
    for row in (2, 0, 3):
        links, precedence = TemporalLinks().forward(links, precedence, numpy.eye(4)[None, row])
    at = numpy.eye(4)[None, [2, 0]]  # one head on row 2, another on row 0
    after, before = LinkedReads().forward(links, at)
    assert_array_equal(after, numpy.eye(4)[None, [0, 3]])
    assert_array_equal(before, [[[0, 0, 0, 0], [0, 0, 1, 0]]])


# --- Gradients where a sort has ties --------------------------------------------------------------


def difference_and_backward(usage, dw):
    usage = np.asarray(numpy.array([usage], "d"))
    dw = np.asarray(numpy.array([dw], "d"))
    numeric = numeric_gradient(lambda: float((Allocation.step(usage)[0] * dw).sum()), usage)
    _, cache = Allocation.step(usage)
    return numeric, to_cpu(Allocation.step_backward(dw, cache))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("usage", "dw"),
    [
        ([0.3, 0.6, 0.3, 0.9], [0, 1.5, 0, -2]),  # the loss does not see the tied rows
        ([0.3, 0.6, 0.3, 0.9], [0.7, 1.5, 0.7, -2]),  # it sees them alike: their sum has no jump
        ([1.0, 0.5, 1.0, 1.0], [1.0, 2, 3, 4]),  # full rows get nothing, in whatever order
    ],
)
def test_the_gradient_of_a_sort_is_right_at_ties_where_there_is_one(usage, dw):
    numeric, analytic = difference_and_backward(usage, dw)
    assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-9)


def test_a_tie_that_the_loss_sees_has_the_gradient_of_the_order_it_is_in():
    _, tied = difference_and_backward([0.3, 0.3, 0.8], [1.0, 2, 3])
    _, apart = difference_and_backward([0.3 - 1e-9, 0.3, 0.8], [1.0, 2, 3])
    assert_allclose(tied, apart, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_memory_has_a_finite_gradient_however_many_rows_it_has(dtype):
    layer = Allocation()
    w = layer.forward(numpy.zeros((1, 200), dtype))
    assert_allclose(w[0, :2], [1, 1e-6], rtol=1e-5)
    assert numpy.isfinite(layer.backward(numpy.ones((1, 200), dtype))).all()


# --- What is refused ------------------------------------------------------------------------------


def test_keys_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"ContentAddressing: key is \(2, 1, 4\), not \(2, 1, 3\)"):
        ContentAddressing().forward(np.zeros((2, 5, 4)), np.zeros((2, 1, 3)), np.zeros((2, 1)))


def test_a_memory_smaller_than_the_shifts_is_refused():
    with pytest.raises(ValueError, match="CircularShift: a memory of 2 rows is smaller than the 3"):
        CircularShift().forward(np.zeros((1, 1, 2)), np.zeros((1, 1, 3)))
    with pytest.raises(ValueError, match=r"the number of shifts is odd, .* not 2"):
        CircularShift().forward(np.zeros((1, 1, 5)), np.zeros((1, 1, 2)))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("wrong", [0.99, -1, numpy.nan])
def test_sharpness_below_one_is_refused(wrong):
    with pytest.raises(ValueError, match="Sharpening: sharpness is at least 1, not "):
        Sharpening().forward(np.ones((1, 2, 3)), np.asarray([[1, wrong]]))


def test_weights_below_zero_have_no_power():
    with pytest.raises(ValueError, match=r"Sharpening: w is at least 0, not -0\.5"):
        Sharpening().forward(np.asarray([[[1, -0.5]]]), np.ones((1, 1)))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("wrong", [-0.1, 1.1, numpy.nan])
def test_usage_below_zero_or_above_one_is_refused(wrong):
    with pytest.raises(ValueError, match=r"Allocation: usage is in 0\.\.1, not "):
        Allocation().forward(np.asarray([[0.5, wrong]]))


@pytest.mark.parametrize("part", [TemporalLinks, LinkedReads])
def test_links_are_square(part):
    links, *others = {
        TemporalLinks: [np.zeros((1, 3, 4)), np.zeros((1, 3)), np.zeros((1, 3))],
        LinkedReads: [np.zeros((1, 4, 3)), np.zeros((1, 2, 3))],
    }[part]
    with pytest.raises(ValueError, match=rf"{part.__name__}: links are \(N, R, R\), not"):
        part().forward(links, *others)


def test_inputs_that_are_missing_are_named():
    with pytest.raises(TypeError, match=r"Read\.forward takes memory, w, not 1 arrays"):
        Read().forward(np.ones((1, 2, 3)))


@pytest.mark.parametrize(
    ("part", "shapes"),
    [
        (Interpolation, [(2, 1, 4), (2, 1, 5), (2, 1)]),
        (Sharpening, [(2, 1, 4), (2, 2)]),
        (Read, [(2, 4, 3), (2, 1, 5)]),
        (Read, [(2, 4, 3), (3, 1, 4)]),
        (Write, [(2, 4, 3), (2, 1, 4), (2, 1, 3), (2, 1, 4)]),
        (Usage, [(2, 4), (2, 4), (2, 1), (2, 2, 4)]),
        (Allocation, [(4,)]),
        (TemporalLinks, [(2, 4, 4), (2, 4), (3, 4)]),
        (LinkedReads, [(2, 4, 4), (2, 4)]),
    ],
)
def test_inputs_that_do_not_fit_each_other_are_refused(part, shapes):
    with pytest.raises(ValueError, match=rf"^{part.__name__}: \w+ is \("):
        part().forward(*(np.ones(shape) for shape in shapes))
