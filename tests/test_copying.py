"""The tasks for machines with memory: what is shown, what is asked, and that batches never end."""

from dataclasses import replace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dataset.copying import TASKS, associative_recall, priority_sort, wrong_bits

each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
sizes = st.integers(2, 6)


def test_copy_asks_for_the_vectors_after_the_delimiter():
    x, t = TASKS["copy"].test(0, 3, 5)
    assert (x.shape, t.shape) == ((3, 11, 9), (3, 11, 8))
    assert_array_equal(2 * t[:, 6:] - 1, x[:, :5, :8])
    assert_array_equal(t[:, :6], -1)
    assert_array_equal(x[:, :, 8], numpy.eye(11)[[5, 5, 5]])
    assert_array_equal(x[:, 6:], 0)


def test_copies_are_copies_of_other_vectors_one_after_another():
    x, t = TASKS["copies"].test(0, 2, 3, 4)
    assert (x.shape, t.shape) == ((2, 28, 9), (2, 28, 8))
    parts = numpy.split(x, 4, axis=1)
    for part, asked in zip(parts, numpy.split(t, 4, axis=1), strict=True):
        assert_array_equal(2 * asked[:, 4:] - 1, part[:, :3, :8])
        assert_array_equal(part[:, 3, 8], 1)
    assert len({part.tobytes() for part in parts}) == 4


@given(length=sizes, repeats=sizes)
def test_repeat_copy_asks_for_the_vectors_so_often_and_an_end_mark(length, repeats):
    x, t = TASKS["repeat"].test(0, 2, length, repeats)
    assert x.shape == (2, length * (1 + repeats) + 2, 10)
    assert_array_equal(x[:, length, 8:], [[1, numpy.float32(repeats / 10)]] * 2)
    asked = t[:, length + 1 : -1]
    assert_array_equal(asked[:, :, 8], 0)
    for k in range(repeats):
        bits = asked[:, k * length : (k + 1) * length, :8]
        assert_array_equal(2 * bits - 1, x[:, :length, :8])
    assert_array_equal(t[:, -1], [[0] * 8 + [1]] * 2)
    assert_array_equal(t[:, : length + 1], -1)


@given(items=sizes, seed=st.integers(0, 100))
def test_recall_asks_for_the_item_after_the_one_that_is_shown_again(items, seed):
    x, t = TASKS["recall"].test(seed, 4, items)
    assert x.shape == (4, 4 * items + 8, 8)
    for n in range(4):
        shown = x[n, : 4 * items].reshape(items, 4, 8)
        assert_array_equal(shown[:, 0], [[0] * 6 + [1, 0]] * items)
        asked = [k for k in range(items - 1) if (shown[k, 1:] == x[n, -7:-4]).all()]
        answers = [shown[k + 1, 1:, :6] for k in asked]
        assert any((2 * t[n, -3:] - 1 == answer).all() for answer in answers)
        assert_array_equal(x[n, [-8, -4], 7], 1)
        assert x[n, :, 7].sum() == 2
    assert_array_equal(t[:, :-3], -1)


@given(length=st.integers(2, 20), seed=st.integers(0, 100))
def test_sort_asks_for_the_four_fifths_of_highest_priority_in_order(length, seed):
    x, t = TASKS["sort"].test(seed, 3, length)
    kept = 4 * length // 5
    assert t.shape == (3, length + 1 + kept, 8)
    for n in range(3):
        priority = x[n, :length, 9].tolist()
        order = sorted(range(length), key=lambda i: -priority[i])[:kept]
        assert_array_equal(2 * t[n, length + 1 :] - 1, x[n, order, :8])
    assert_array_equal(x[:, :, 8], numpy.eye(length + 1 + kept)[[length] * 3])
    assert abs(x[:, :length, 9]).max() <= 1


@each_task
def test_a_batch_is_the_same_whenever_it_is_asked_for_and_differs_from_all_others(task):
    x, t = task.batch(3, 1000, 4)
    for a, b in zip(task.batch(3, 1000, 4), (x, t), strict=True):
        assert_array_equal(a, b)
    assert x.dtype == "float32"
    assert t.dtype == "int8"
    assert (x.shape[2], t.shape[2]) == (task.input_size, task.output_size)
    alone = [task.batch(seed, step, 4)[0].tobytes() for seed in range(3) for step in range(20)]
    low, high = task.low, task.high
    alone.append(task.test(0, 4, *high)[0].tobytes())
    assert len(set(alone)) >= 60 - 3  # short ones may be alike by chance
    assert len(low) == len(high)


@each_task
def test_sizes_lie_between_the_least_and_the_greatest_and_both_come(task):
    task = replace(task, high=tuple(n + 1 for n in task.low))
    steps = {task.batch(0, step, 1)[0].shape[1] for step in range(60)}
    low, high = (task.test(0, 1, *n)[0].shape[1] for n in (task.low, task.high))
    assert {low, high} <= steps
    assert low <= min(steps)
    assert max(steps) <= high


def test_batches_leave_the_global_random_state_alone():
    before = numpy.random.get_state()[1].tolist()
    TASKS["sort"].batch(0, 0, 2)
    assert numpy.random.get_state()[1].tolist() == before


def test_bits_are_half_ones():
    x, _ = TASKS["copy"].test(0, 50, 50)
    assert abs(x[:, :50, :8].mean()) < 0.04
    assert set(x[:, :50, :8].flat) == {-1, 1}


def test_wrong_bits_are_counted_where_bits_are_asked_for():
    t = numpy.array([[[0, 1], [-1, -1]], [[1, 1], [-1, 0]]])
    scores = numpy.array([[[-0.1, 2], [5, -5]], [[-1, 0.0], [1, 3]]])
    assert wrong_bits(scores, t).tolist() == [0, 3]


def test_one_item_has_none_after_it_and_one_vector_no_order():
    rng = numpy.random.default_rng(0)
    with pytest.raises(ValueError, match="associative_recall: at least 2 items are needed, not 1"):
        associative_recall(rng, 2, 6, 1)
    with pytest.raises(ValueError, match="priority_sort: at least 2 vectors are needed, not 1"):
        priority_sort(rng, 2, 8, 1)
