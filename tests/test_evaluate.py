"""Perplexity of a text."""

import math

import numpy
import pytest

from common.evaluate import eval_perplexity


class Uniform:
    """Gives each of V words the same chance, and keeps what it reads."""

    def __init__(self, V=50):
        self.V, self.read, self.resets = V, [], 0

    def forward(self, xs, ts):
        self.read.append((xs, ts))
        return math.log(self.V)

    def reset_state(self):
        self.resets += 1


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    assert eval_perplexity(Uniform(50), numpy.arange(101), 2, 5) == pytest.approx(50)


@pytest.mark.parametrize(("p", "perplexity"), [(0.8, 1.25), (0.2, 5.0)])
def test_perplexity_is_the_number_of_words_that_seem_possible(p, perplexity):
    model = Uniform()
    model.forward = lambda xs, ts: -math.log(p)
    assert eval_perplexity(model, numpy.arange(11), 2, 5) == pytest.approx(perplexity)


@pytest.mark.parametrize(("length", "blocks"), [(82430, 235), (73760, 210)])
def test_blocks_never_wrap_and_leftover_words_are_dropped(length, blocks):
    model = Uniform()
    eval_perplexity(model, numpy.arange(length), 10, 35)
    assert len(model.read) == blocks
    for xs, ts in model.read:
        assert (numpy.diff(xs, axis=1) == 1).all()
        numpy.testing.assert_array_equal(ts, xs + 1)
    rows = numpy.concatenate([xs for xs, _ in model.read], axis=1)
    numpy.testing.assert_array_equal(rows[:, 0], numpy.arange(10) * ((length - 1) // 10))
    assert (numpy.diff(rows, axis=1) == 1).all()


def test_a_hopeless_model_has_infinite_perplexity():
    model = Uniform()
    model.forward = lambda xs, ts: 800.0
    assert eval_perplexity(model, numpy.arange(11), 2, 5) == math.inf


def test_the_state_is_fresh_before_and_after():
    model = Uniform()
    eval_perplexity(model, numpy.arange(11), 2, 5)
    assert model.resets == 2


def test_dropout_is_off_where_there_is_any():
    flags = []

    class WithDropout(Uniform):
        def forward(self, xs, ts, train_flg=True):
            flags.append(train_flg)
            return 0.0

    eval_perplexity(WithDropout(), numpy.arange(11), 2, 5)
    assert flags == [False]


def test_a_type_error_of_the_model_is_not_hidden():
    class Faulty(Uniform):
        def forward(self, xs, ts, train_flg=True):
            raise TypeError("a mistake inside")

    with pytest.raises(TypeError, match="a mistake inside"):
        eval_perplexity(Faulty(), numpy.arange(11), 2, 5)


def test_it_says_what_it_does_unless_told_not_to(capsys):
    eval_perplexity(Uniform(), numpy.arange(11), 2, 5)
    assert capsys.readouterr().out == "evaluating perplexity ...\n"
    eval_perplexity(Uniform(), numpy.arange(11), 2, 5, progress=False)
    assert capsys.readouterr().out == ""


def test_a_short_text_is_read_by_fewer_rows():
    model = Uniform()
    eval_perplexity(model, numpy.arange(12), 10, 5)
    assert [xs.shape for xs, _ in model.read] == [(2, 5)]


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_text_too_short_is_refused(length):
    with pytest.raises(ValueError, match=f"eval_perplexity: a text of {length} words is too short"):
        eval_perplexity(Uniform(), numpy.arange(length), 2, 5)
