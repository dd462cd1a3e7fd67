"""The training loops: batches, steps, reports, and what happens when a loss is not a number."""

import math
import re

import numpy
import pytest

from common.np import np, to_cpu
from common.optimizer import SGD
from common.trainer import RnnlmTrainer, Trainer


class Recorder:
    """A model that keeps what it is given and plays back losses."""

    def __init__(self, losses=()):
        self.params, self.grads = [np.zeros(1)], [np.ones(1)]
        self.batches, self.losses = [], list(losses)

    def forward(self, x, t):
        self.batches.append((to_cpu(x).copy(), to_cpu(t).copy()))
        return self.losses.pop(0) if self.losses else 1.0

    def backward(self):
        pass


def trainer(cls, **options):
    return cls(Recorder(**options), SGD(1.0))


SMALL = {Trainer: {}, RnnlmTrainer: {"time_size": 1}}


def text(n):
    return numpy.arange(n), numpy.arange(1, n + 1)


@pytest.mark.usefixtures("backend")
class TestTrainer:
    def test_every_epoch_sees_every_sample_once_in_a_new_order(self):
        t = trainer(Trainer)
        x = numpy.arange(30.0)[:, None]
        t.fit(x, numpy.arange(30), max_epoch=2, batch_size=10, rng=0)
        assert len(t.model.batches) == 6
        epochs = [numpy.concatenate([b[1] for b in t.model.batches[k : k + 3]]) for k in (0, 3)]
        assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(30))
        assert epochs[0].tolist() != epochs[1].tolist()
        for xs, ts in t.model.batches:
            numpy.testing.assert_array_equal(xs[:, 0], ts)

    def test_the_remainder_is_dropped_and_the_data_stay_as_they_are(self):
        t = trainer(Trainer)
        x, labels = numpy.arange(7.0), numpy.arange(7)
        t.fit(x, labels, max_epoch=1, batch_size=3)
        assert len(t.model.batches) == 2
        assert labels.tolist() == x.tolist() == list(range(7))

    def test_reports_are_means_since_the_last_one(self, capsys):
        t = trainer(Trainer, losses=[1, 2, 3, 4, 5, 6])
        t.fit(numpy.zeros(4), numpy.zeros(4), max_epoch=2, batch_size=1, eval_interval=2)
        assert t.loss_list == [1, 2.5, 4.5, 3.5]  # 1 | 2 3 | 4 5 | 6 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "| epoch 1 |  iter 1 / 4 | time 0[s] | loss 1.00"
        assert lines[3] == "| epoch 2 |  iter 3 / 4 | time 0[s] | loss 3.50"
        assert len(lines) == 4

    def test_epochs_and_losses_go_on_over_calls(self, capsys):
        t = trainer(Trainer)
        for _ in range(2):
            t.fit(numpy.zeros(4), numpy.zeros(4), max_epoch=1, batch_size=4)
        assert t.current_epoch == 2
        assert len(t.loss_list) == 2
        assert "epoch 2" in capsys.readouterr().out

    def test_without_an_interval_nothing_is_reported(self, capsys):
        t = trainer(Trainer)
        t.fit(numpy.zeros(4), numpy.zeros(4), 2, 2, eval_interval=None)
        assert t.loss_list == []
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("cls", [Trainer, RnnlmTrainer])
    def test_a_quiet_run_keeps_its_reports_and_prints_nothing(self, cls, capsys):
        t = trainer(cls)
        t.fit(*text(8), 2, 2, eval_interval=1, verbose=False, **SMALL[cls])
        assert len(getattr(t, t._history)) == 8
        assert capsys.readouterr() == ("", "")

    def test_gradients_are_clipped_before_the_update(self):
        t = trainer(Trainer)
        t.fit(numpy.zeros(1), numpy.zeros(1), 1, 1, max_grad=0.25)
        assert float(t.model.params[0][0]) == pytest.approx(-0.25, rel=1e-4)

    def test_shared_weights_are_updated_once(self):
        t = trainer(Trainer)
        t.model.params *= 2
        t.model.grads *= 2
        t.fit(numpy.zeros(1), numpy.zeros(1), 1, 1)
        assert float(t.model.params[0][0]) == -2

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("interval", [1, 4, None])
    def test_a_loss_that_is_no_number_stops_with_its_step_and_good_weights(self, bad, interval):
        t = trainer(Trainer, losses=[1] * 6 + [bad] * 6)
        message = re.escape(f"Trainer.fit: the loss became {bad} at step 7, in epoch 2")
        with pytest.raises(FloatingPointError, match=message):
            t.fit(numpy.zeros(5), numpy.zeros(5), 3, 1, eval_interval=interval)
        # Every step takes 1 off, and step 6 was the last that proved its weights to be good.
        assert float(t.model.params[0][0]) == -5

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"batch_size": 5}, "a batch of 5 needs more than the 4 samples"),
            ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
            ({"max_epoch": -1}, "max_epoch must be at least 1, not -1"),
            ({"eval_interval": 0}, "eval_interval must be at least 1, not 0"),
            ({"t": numpy.zeros(3)}, "4 samples do not go with 3 labels"),
        ],
    )
    def test_bad_arguments_are_refused_before_anything_happens(self, options, problem):
        t = trainer(Trainer)
        with pytest.raises(ValueError, match="Trainer.fit: " + problem):
            t.fit(**{"x": numpy.zeros(4), "t": numpy.zeros(4), "batch_size": 2} | options)
        assert t.model.batches == []
        assert t.current_epoch == 0


@pytest.mark.usefixtures("backend")
class TestRnnlmTrainer:
    def test_rows_read_on_from_batch_to_batch(self):
        t = trainer(RnnlmTrainer)
        x, labels = text(999)
        xs, ts = t.get_batch(x, labels, 2, 10)
        # (1000 words - 1) // 2 = 499 is where the second row starts
        numpy.testing.assert_array_equal(xs, [range(10), range(499, 509)])
        numpy.testing.assert_array_equal(ts, xs + 1)
        xs, _ = t.get_batch(x, labels, 2, 10)
        numpy.testing.assert_array_equal(xs, [range(10, 20), range(509, 519)])
        assert t.time_idx == 20

    def test_rows_wrap_at_the_end_of_the_text(self):
        t = trainer(RnnlmTrainer)
        x, labels = text(999)
        t.time_idx = 105
        xs, ts = t.get_batch(x, labels, 10, 5)
        # row 9 starts at 9 * 99 = 891 and has 108 words left; counters 105 .. 109
        assert xs[9].tolist() == [996, 997, 998, 0, 1]
        assert ts[9].tolist() == [997, 998, 999, 1, 2]

    def test_an_epoch_has_as_many_batches_as_fit(self):
        t = trainer(RnnlmTrainer)
        t.fit(*text(999), max_epoch=2, batch_size=10, time_size=5)
        assert len(t.model.batches) == 2 * 19
        assert t.time_idx == 2 * 19 * 5  # reading goes on over the epochs

    def test_a_new_fit_starts_at_the_beginning_but_counts_epochs_on(self):
        t = trainer(RnnlmTrainer)
        for _ in range(2):
            t.fit(*text(20), max_epoch=1, batch_size=2, time_size=5)
            assert len(t.ppl_list) == 1
        first, second = t.model.batches[0], t.model.batches[2]
        numpy.testing.assert_array_equal(first, second)
        assert t.current_epoch == 2

    def test_reports_are_perplexities(self, capsys):
        t = trainer(RnnlmTrainer, losses=[math.log(4), math.log(2), math.log(8)])
        t.fit(*text(6), max_epoch=1, batch_size=1, time_size=2, eval_interval=2)
        assert t.ppl_list == pytest.approx([4, 4])  # exp of the mean of ln 2 and ln 8
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "| epoch 1 |  iter 1 / 3 | time 0[s] | perplexity 4.00"

    def test_ids_stay_on_the_host_for_the_layers_to_check(self, backend):
        seen = []
        t = trainer(RnnlmTrainer)
        t.model.forward = lambda x, _: seen.append(type(x)) or 1.0
        t.fit(*(np.asarray(a) for a in text(20)), 1, 2, 5)
        assert set(seen) == {numpy.ndarray}

    def test_an_astronomical_loss_is_an_infinite_perplexity(self):
        t = trainer(RnnlmTrainer, losses=[1e4])
        t.fit(*text(4), 1, 2, 2)
        assert t.ppl_list == [math.inf]

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (text(0), "a text of 0 words is too short: one batch takes 2 x 5 = 10"),
            (text(9), "a text of 9 words is too short"),
            ((numpy.zeros(20, int), numpy.zeros(19, int)), r"not \(20,\) and \(19,\)"),
            ((numpy.zeros((20, 1), int),) * 2, r"must be \(L,\) both"),
        ],
    )
    def test_a_text_that_cannot_be_read_is_refused(self, data, problem):
        with pytest.raises(ValueError, match="RnnlmTrainer.fit: .*" + problem):
            trainer(RnnlmTrainer).fit(*data, 1, 2, 5)


def test_after_a_loss_that_is_no_number_the_state_is_fresh():
    t, resets = trainer(RnnlmTrainer, losses=[math.nan]), []
    t.model.reset_state = lambda: resets.append(1)
    with pytest.raises(FloatingPointError, match="go on with a new optimizer"):
        t.fit(*text(20), 1, 2, 5)
    assert resets == [1]


def test_the_trainers_are_repeatable_by_seed():
    def order(seed):
        t = trainer(Trainer)
        t.fit(numpy.arange(20.0), numpy.arange(20), 1, 5, rng=seed)
        return numpy.concatenate([b[1] for b in t.model.batches]).tolist()

    assert order(1) == order(1) != order(2)


def test_plot_draws_every_report(tmp_path):
    t = trainer(RnnlmTrainer)
    t.fit(*text(40), 4, 2, 5)
    t.plot(ylim=(0, 5), file=tmp_path / "ppl.png")
    assert (tmp_path / "ppl.png").stat().st_size > 5000
