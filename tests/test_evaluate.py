"""Perplexity of a text, and the share of questions that a seq2seq model answers right."""

import math
import os
import sys
import types

import numpy
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from common import evaluate, util
from common.evaluate import eval_perplexity, eval_seq2seq, seq2seq_accuracy
from common.np import np


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


@pytest.mark.parametrize("length", [2, 5, 34])
def test_a_text_shorter_than_a_block_is_read_in_one_that_fits(length):
    model = Uniform()
    assert eval_perplexity(model, numpy.arange(length), 10, 35) == pytest.approx(50)
    ((xs, ts),) = model.read
    assert xs.tolist() == [list(range(length - 1))]
    assert ts.tolist() == [list(range(1, length))]


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_too_short_is_refused(length):
    with pytest.raises(ValueError, match=f"eval_perplexity: a text of {length} words is too short"):
        eval_perplexity(Uniform(), numpy.arange(length), 2, 5)


CHARS = dict(enumerate("_abc "))  # 0 is the mark that answers begin with


class Copies:
    """Answers every question with its first characters."""

    def __init__(self):
        self.asked = []

    def generate(self, xs, start_id, sample_size):
        self.asked.append((xs.tolist(), start_id, sample_size))
        return xs[0, :sample_size].tolist()

    def generate_batch(self, xs, start_id, sample_size):
        return xs[:, :sample_size]


def test_a_model_that_copies_is_always_right_where_that_is_asked():
    x = numpy.random.default_rng(0).integers(1, 5, (50, 4))
    t = numpy.insert(x[:, :3], 0, 0, axis=1)
    model = Copies()
    assert sum(eval_seq2seq(model, x[[i]], t[[i]], CHARS) for i in range(50)) == 50
    assert model.asked[7] == (x[[7]].tolist(), 0, 3)
    exact, by_position, guesses = seq2seq_accuracy(model, x, t)
    assert (exact, by_position) == (1, 1)
    numpy.testing.assert_array_equal(guesses, x[:, :3])


def test_half_right_answers_are_wrong_but_their_characters_count():
    x = numpy.array([[1, 2], [3, 4], [1, 1], [2, 4]])
    t = numpy.array([[0, 1, 2], [0, 3, 3], [0, 2, 2], [0, 3, 4]])  # padding, 4, is a character
    exact, by_position, _ = seq2seq_accuracy(Copies(), x, t)
    assert exact == 1 / 4
    assert by_position == (2 + 1 + 0 + 1) / 8
    assert [eval_seq2seq(Copies(), x[[i]], t[[i]], CHARS) for i in range(4)] == [1, 0, 0, 0]


@pytest.mark.parametrize("how", [{}, {"pad_id": 4}], ids=["blanks are written", "padding"])
@pytest.mark.parametrize("model_class", [Seq2seq, PeekySeq2seq, AttentionSeq2seq])
def test_many_at_once_are_judged_as_one_by_one(backend, model_class, how):
    rng = numpy.random.default_rng(1)
    x = rng.integers(1, 4, (300, 3))
    model = model_class(5, 4, 6, rng=0, **how)
    t = numpy.insert(model.generate_batch(x, 0, 4), 0, 0, axis=1)
    t[::3, 2] = 1  # some are wrong now
    accuracy = seq2seq_accuracy(model, x, t)
    one_by_one = [
        eval_seq2seq(model, np.asarray(x[[i]]), np.asarray(t[[i]]), CHARS) for i in range(len(x))
    ]
    assert accuracy.exact == sum(one_by_one) / 300
    assert 200 <= sum(one_by_one) < 300
    assert accuracy.by_position == (accuracy.guesses == t[:, 1:]).mean()


@pytest.fixture
def terminal(monkeypatch):
    """What is printed appears on a terminal."""
    monkeypatch.setattr(evaluate, "on_terminal", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_it_prints_what_the_book_prints(capsys):
    x, t = numpy.array([[1, 2, 4]]), numpy.array([[0, 1, 2]])
    assert eval_seq2seq(Copies(), x, t, CHARS) == 1
    assert capsys.readouterr().out == ""
    assert eval_seq2seq(Copies(), x, t, CHARS, verbose=True) == 1
    assert capsys.readouterr().out == "Q ab \nT ab\n\033[92m☑\033[0m ab\n---\n"
    assert eval_seq2seq(Copies(), x, t[:, [0, 2, 2]], CHARS, True, True) == 0  # as in the book
    assert capsys.readouterr().out == "Q  ba\nT bb\n\033[91m☒\033[0m ab\n---\n"


def test_marks_have_a_colour_on_a_terminal_only(capsys):
    x, t = numpy.array([[1, 2, 4]]), numpy.array([[0, 1, 2]])
    eval_seq2seq(Copies(), x, t, CHARS, verbose=True)
    eval_seq2seq(Copies(), x, t[:, [0, 2, 2]], CHARS, verbose=True)
    assert capsys.readouterr().out == "Q ab \nT ab\n☑ ab\n---\nQ ab \nT bb\n☒ ab\n---\n"


@pytest.mark.skipif(os.name == "nt", reason="terminals that a test can make are POSIX's")
def test_a_terminal_is_told_from_a_file(monkeypatch, tmp_path):
    ours, its = os.openpty()
    with os.fdopen(its, "w") as terminal, os.fdopen(ours), (tmp_path / "log").open("w") as log:
        for stream, expected in (terminal, True), (log, False), (None, False):
            monkeypatch.setattr(sys, "stdout", stream)
            assert evaluate.on_terminal() is expected


def test_marks_are_letters_on_windows(capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "os", types.SimpleNamespace(name="nt"))
    x = numpy.array([[1, 2]])
    eval_seq2seq(Copies(), x, numpy.array([[0, 1, 2]]), CHARS, verbose=True)
    eval_seq2seq(Copies(), x, numpy.array([[0, 1, 1]]), CHARS, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert (lines[2], lines[6]) == ("O ab", "X ab")


def test_the_book_imports_it_from_util():
    assert util.eval_seq2seq is eval_seq2seq


def test_questions_without_answers_are_refused():
    x, t = numpy.ones((3, 2), int), numpy.zeros((3, 2), int)
    with pytest.raises(ValueError, match=r"questions \(3, 2\) and answers \(2, 2\)"):
        seq2seq_accuracy(Copies(), x, t[:2])
    with pytest.raises(ValueError, match=r"questions \(0, 2\) and answers \(0, 2\)"):
        seq2seq_accuracy(Copies(), x[:0], t[:0])
    for answers in t[:, :1], t[:, :0], t[0]:
        with pytest.raises(ValueError, match=r"answers are ids \(N, L\) with L > 1, not int64"):
            seq2seq_accuracy(Copies(), x, answers)
    t[1, 0] = 1
    with pytest.raises(ValueError, match="begin with different ids"):
        seq2seq_accuracy(Copies(), x, t)
    with pytest.raises(ValueError, match=r"one question .* at a time"):
        eval_seq2seq(Copies(), x, t, CHARS)


@pytest.mark.parametrize("sizes", [(0, 5), (2, 0), (2, -1)])
def test_a_perplexity_by_blocks_of_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match="eval_perplexity: batch_size and time_size are at least"):
        eval_perplexity(Uniform(), numpy.arange(11), *sizes)
