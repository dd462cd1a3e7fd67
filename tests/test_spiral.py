"""dataset/spiral.py: the book's points, without the book's side effect."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dataset import spiral


def test_shapes_and_types_are_the_books():
    x, t = spiral.load_data()
    assert (x.shape, x.dtype) == ((300, 2), np.float64)
    assert (t.shape, t.dtype) == ((300, 3), np.int32)


@pytest.mark.parametrize(
    ("point", "place"),
    [
        (1, (-0.00097699, 0.00995216)),
        (99, (-0.58700916, -0.79719524)),
        (299, (-0.59743103, 0.78941508)),
    ],
)
def test_points_are_the_books(point, place):
    x, _ = spiral.load_data()
    assert_allclose(x[point], place, rtol=0, atol=5e-9)


def test_a_point_worked_by_hand():
    # The second normal of the old generator with seed 1984 is z = -0.68927369. Class 0, i = 1:
    # r = 0.01, angle = 4 * 0 + 4 * 0.01 + 0.2 * z = 0.04 - 0.137854738 = -0.097854738
    # x = (0.01 * sin(angle), 0.01 * cos(angle)) = (-0.00097699, 0.00995216)
    x, _ = spiral.load_data()
    assert_allclose(np.arctan2(x[1, 0], x[1, 1]), -0.097854738, rtol=0, atol=1e-8)


def test_point_i_of_each_class_lies_at_radius_i_hundredths():
    x, _ = spiral.load_data()
    radius = np.hypot(x[:, 0], x[:, 1]).reshape(3, 100)
    assert_allclose(radius, np.tile(np.arange(100) / 100, (3, 1)), rtol=0, atol=1e-15)


def test_every_class_begins_at_the_origin():
    x, _ = spiral.load_data()
    assert_array_equal(x[[0, 100, 200]], np.zeros((3, 2)))


def test_labels_are_one_hot_and_sorted_by_class():
    _, t = spiral.load_data()
    assert_array_equal(t.sum(axis=1), np.ones(300))
    assert_array_equal(t.argmax(axis=1), np.repeat([0, 1, 2], 100))


def test_another_seed_moves_the_points_along_their_circles_only():
    x, t = spiral.load_data()
    y, u = spiral.load_data(seed=7)
    assert not np.allclose(x, y)
    assert_allclose(np.hypot(*x.T), np.hypot(*y.T), atol=1e-15)
    assert_array_equal(t, u)


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(5)
    expected = np.random.rand(3)
    np.random.seed(5)
    x, _ = spiral.load_data()
    assert_array_equal(np.random.rand(3), expected)
    assert_array_equal(spiral.load_data()[0], x)
