"""Learning rates that rise and fall."""

import re

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.optimizer import SGD
from common.schedules import inverse_root, linear


def test_a_line_rises_and_falls_to_its_last_rate():
    """4 updates up in steps of 0.25, then from 1 down to 0.2 in 8 steps of 0.1."""
    rate = linear(1.0, updates=12, warmup=4, last=0.2)
    rates = [rate(k) for k in range(14)]
    down = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2]
    numpy.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, *down])


def test_the_root_falls_by_half_when_updates_are_four_times_as_many():
    rate = inverse_root(0.1, warmup=10)
    numpy.testing.assert_allclose([rate(k) for k in (0, 4, 9, 39)], [0.01, 0.05, 0.1, 0.05])


@given(st.floats(0, 10), st.integers(1, 50), st.integers(51, 500), st.floats(0, 1))
def test_no_rate_is_above_lr_or_below_zero(lr, warmup, updates, last):
    for rate in (
        linear(lr, updates=updates, warmup=warmup, last=last),
        inverse_root(lr, warmup=warmup),
    ):
        assert all(0 <= rate(k) <= lr * (1 + 1e-12) for k in range(0, 600, 7))


def test_an_optimizer_takes_it():
    w, sgd = numpy.zeros(1), SGD(linear(1.0, updates=4, warmup=2, last=0.0))
    for _ in range(4):
        sgd.update([w], [numpy.ones(1)])
    assert w[0] == -(0.5 + 1.0 + 1.0 + 0.5)
    assert repr(sgd) == "SGD(lr=rate)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(1, updates=9, warmup=0), "linear: warmup must be at least 1 update, not 0"),
        (lambda: inverse_root(1, warmup=0), "inverse_root: warmup must be at least 1 update"),
        (lambda: linear(-1, updates=9), "linear: lr is -1; a learning rate is finite and not neg"),
        (lambda: linear(1, updates=9, warmup=9), "linear: 9 updates are not more than a warmup of"),
        (lambda: linear(1, updates=0), "linear: 0 updates are not more than a warmup of 0"),
        (lambda: linear(1, updates=9, last=1.5), "linear: last is in 0..1, not 1.5"),
    ],
)
def test_what_is_no_schedule_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
