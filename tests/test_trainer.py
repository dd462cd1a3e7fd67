"""The training loops: batches, steps, reports, and what happens when a loss is not a number."""

import io
import math
import re
import sys
from copy import deepcopy

import numpy
import pytest

from ch01.two_layer_net import TwoLayerNet
from ch04.cbow import CBOW
from ch06.better_rnnlm import BetterRnnlm
from common.evaluate import eval_perplexity
from common.network import states
from common.np import np, to_cpu
from common.optimizer import SGD, Adam
from common.trainer import RnnlmTrainer, Trainer
from common.words.text import create_contexts_target
from tests.conftest import REAL_GPU


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

    def test_a_log_has_at_most_a_hundred_lines_of_reports_and_a_terminal_all(
        self, capsys, monkeypatch
    ):
        x = numpy.zeros(5)
        for epochs, lines in (33, 99), (34, 51), (400, 100):
            t = trainer(Trainer)
            t.fit(x, x, max_epoch=epochs, batch_size=1, eval_interval=2)  # 3 reports an epoch
            assert len(t.loss_list) == 3 * epochs
            printed = capsys.readouterr().out.splitlines()
            assert len(printed) == lines
            assert printed[0].startswith("| epoch 1 |  iter 1 / 5 |")
        assert printed[1].startswith("| epoch 5 |  iter 1 / 5 |")  # every twelfth report
        monkeypatch.setattr("common.trainer.on_terminal", lambda: True)
        trainer(Trainer).fit(x, x, max_epoch=34, batch_size=1, eval_interval=2)
        assert len(capsys.readouterr().out.splitlines()) == 102

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
        assert len(t.reports) == 8
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
            ({"eval_interval": 1.5}, "eval_interval must be an integer of at least 1, not 1.5"),
            ({"max_epoch": math.nan}, "max_epoch must be an integer of at least 1, not nan"),
            ({"checkpoint_interval": "9"}, "checkpoint_interval must be an integer of at least 1"),
            ({"max_grad": 0}, "max_grad must be a number above 0, not 0"),
            ({"max_grad": math.nan}, "max_grad must be a number above 0, not nan"),
            ({"max_grad": "1"}, "max_grad must be a number above 0, not '1'"),
            ({"valid": 3}, "valid must be a pair, inputs and labels"),
            ({"after_epoch": 3}, "after_epoch must be a function"),
            ({"x": 3}, r"x and t must be \(L, ...\), not \(\) and \(4,\)"),
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

    def test_blocks_can_differ_in_length_and_rows_still_read_on(self):
        t = trainer(RnnlmTrainer)
        lengths = [3, 7, 4, 6]
        t.fit(*text(99), max_epoch=2, batch_size=10, time_size=4, lengths=lengths.__getitem__)
        shapes = [x.shape for x, _ in t.model.batches]
        assert shapes == [(10, T) for T in lengths]  # 99 words are 2 batches of 10 x 4
        firsts = [x[0, 0] for x, _ in t.model.batches]
        assert firsts == [0, 3, 10, 14]

    @pytest.mark.parametrize("bad", [0, 2.5])
    def test_a_length_that_is_none_is_refused(self, bad):
        with pytest.raises(ValueError, match=f"length must be .* not {bad}"):
            trainer(RnnlmTrainer).fit(*text(99), lengths=lambda step: bad, time_size=4)

    def test_a_new_fit_starts_at_the_beginning_but_counts_epochs_on(self):
        t = trainer(RnnlmTrainer)
        for k in range(2):
            t.fit(*text(20), max_epoch=1, batch_size=2, time_size=5)
            assert len(t.ppl_list) == k + 1
            assert t.time_idx == 10
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


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("what", ["inputs", "labels"])
def test_data_that_are_no_numbers_are_blamed_and_no_learning_rate(what, bad):
    data = {"inputs": numpy.ones((12, 3)), "labels": numpy.zeros((12, 2))}
    data[what][7, 1] = bad
    t = trainer(Trainer, losses=[1, math.nan])
    with pytest.raises(FloatingPointError) as error:
        t.fit(*data.values(), 1, 6)
    assert f"in the data: the {what} of sample 7 are infinite or nan" in str(error.value)
    assert "learning rate" not in str(error.value)


def test_weights_that_were_no_numbers_at_the_start_are_blamed():
    t = trainer(Trainer, losses=[math.nan])
    t.model.params[0][...] = math.nan
    with pytest.raises(FloatingPointError, match="the run began with such weights; go on"):
        t.fit(numpy.zeros(4), numpy.zeros(4), 1, 2)


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


# --- History, validation, early stopping ---------------------------------------------------------

both_trainers = pytest.mark.parametrize("cls", [Trainer, RnnlmTrainer])


def untimed(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_fit_returns_a_row_for_each_report_and_each_epoch():
    t = trainer(Trainer, losses=[1, 2, 3, 4, 5, 6])
    rows = t.fit(numpy.zeros(3), numpy.zeros(3), max_epoch=2, batch_size=1, eval_interval=2)
    assert rows is t.history
    assert untimed(rows) == [
        {"epoch": 1, "iteration": 1, "step": 1, "loss": 1},
        {"epoch": 1, "iteration": 3, "step": 3, "loss": 2.5},
        {"epoch": 1, "step": 3, "loss": 1.75},  # the mean of its reports
        {"epoch": 2, "iteration": 1, "step": 4, "loss": 4},
        {"epoch": 2, "iteration": 3, "step": 6, "loss": 5.5},
        {"epoch": 2, "step": 6, "loss": 4.75},
    ]
    assert all(row["seconds"] >= 0 for row in rows)
    assert t.epochs == [rows[2], rows[5]]
    assert t.loss_list == [1, 2.5, 4, 5.5]


def test_the_perplexity_of_an_epoch_is_that_of_the_mean_loss_of_its_reports():
    t = trainer(RnnlmTrainer, losses=[math.log(2), math.log(8)])
    t.fit(*text(4), max_epoch=1, batch_size=1, time_size=2, eval_interval=1)
    assert untimed(t.epochs) == [{"epoch": 1, "step": 2, "perplexity": pytest.approx(4)}]


@both_trainers
def test_a_second_fit_goes_on_with_history_epochs_and_steps(cls):
    t = trainer(cls)
    for _ in range(2):
        rows = t.fit(*text(6), 2, 2, eval_interval=1, verbose=False, **SMALL[cls])
    assert t.current_epoch == 4
    assert t.steps == 12
    assert [row["epoch"] for row in t.epochs] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "iteration" in row] == list(range(1, 13))
    assert t.reports == (t.loss_list if cls is Trainer else t.ppl_list)
    assert len(t.reports) == 12


def test_an_epoch_after_a_run_that_failed_has_only_its_own_reports():
    t = trainer(Trainer, losses=[9, 9, math.nan, 1, 1, 1])
    how = {"max_epoch": 1, "batch_size": 1, "eval_interval": 1}
    with pytest.raises(FloatingPointError):
        t.fit(numpy.zeros(3), numpy.zeros(3), **how)
    t.fit(numpy.zeros(3), numpy.zeros(3), **how)
    assert t.epochs[0]["loss"] == 1


@both_trainers
def test_what_after_epoch_returns_joins_the_row_of_the_epoch(cls):
    t = trainer(cls)
    seen = []

    def after_epoch(given):
        assert given is t
        seen.append(dict(t.history[-1]))
        return {"accuracy": len(seen) / 10} if len(seen) < 2 else None

    t.fit(*text(4), 2, 2, verbose=False, after_epoch=after_epoch, **SMALL[cls])
    assert [row["epoch"] for row in seen] == [1, 2]
    assert t.epochs[0] == seen[0] | {"accuracy": 0.1}
    assert t.epochs[1] == seen[1]


def test_after_epoch_must_return_a_dictionary_or_none():
    with pytest.raises(TypeError, match=r"Trainer\.fit: after_epoch returned 0\.0; a dictionary"):
        trainer(Trainer).fit(*text(4), 1, 2, after_epoch=lambda _: 0.0)


@both_trainers
def test_after_epoch_may_stop_the_run(cls):
    t = trainer(cls)
    how = {"verbose": False, "max_grad": 1.0, **SMALL[cls]}
    t.fit(*text(4), 9, 2, after_epoch=lambda t: t.stop() if t.steps > 3 else None, **how)
    assert t.current_epoch == 2
    t.fit(*text(4), 3, 2, **how)
    assert t.current_epoch == 5  # a new run is not stopped


def test_an_unknown_keyword_is_named():
    with pytest.raises(TypeError, match="'chekpoint'"):
        trainer(Trainer).fit(*text(4), 1, 2, chekpoint="run")


@pytest.mark.usefixtures("backend")
def test_validation_is_the_mean_loss_of_all_samples_printed_drawn_and_kept(capsys, tmp_path):
    t = trainer(Trainer, losses=[1, 2, 4, 8])
    x, labels = numpy.arange(5.0), numpy.arange(5)
    t.fit(x[:2], labels[:2], 1, 2, valid=(x, labels))
    # one step with loss 1, then batches of 2, 2, 1
    assert t.epochs[0]["valid_loss"] == (2 * 2 + 2 * 4 + 8) / 5
    assert [labels.tolist() for _, labels in t.model.batches[1:]] == [[0, 1], [2, 3], [4]]
    assert capsys.readouterr().out.endswith("| epoch 1 | valid loss 4.00\n")
    t.plot(file=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_validation_is_drawn_where_its_epoch_ends(monkeypatch):
    import matplotlib.pyplot as plt

    seen = []

    def look(_):
        seen.extend(line.get_xydata().tolist() for line in plt.gca().lines)
        seen.append(plt.gca().get_xlabel())
        plt.close()

    monkeypatch.setattr("common.plots.show", look)
    for interval in 1, None:
        t = trainer(Trainer)
        t.fit(*text(4), 2, 2, eval_interval=interval, valid=text(2))
        t.plot()
    assert seen[:3] == [[[k, 1] for k in range(4)], [[2, 1], [4, 1]], "iterations (x1)"]
    assert seen[3:] == [[], [[1, 1], [2, 1]], "epoch"]


def language_model():
    return BetterRnnlm(12, 6, 6, rng=1), SGD(1.0), RnnlmTrainer, {"time_size": 5}


def word_vectors():
    rng = numpy.random.default_rng(1)  # of weights, order and negatives
    corpus = numpy.arange(200) % 12
    return CBOW(12, 6, 1, corpus, rng=rng), Adam(), Trainer, {"rng": rng}


@pytest.mark.parametrize("made", [language_model, word_vectors])
def test_validation_changes_nothing_in_what_is_learned(made, backend):
    """Dropout, recurrent state and negative samples go on as without it.

    Bit by bit, except on a GPU, which adds rows of gradients in no fixed order.
    """
    found, tolerance = [], 1e-3 if REAL_GPU and backend == "cupy" else 0
    for validated in False, True:
        model, optimizer, cls, how = made()
        ids = numpy.random.default_rng(0).integers(12, size=200)
        data = create_contexts_target(ids, 1) if cls is Trainer else (ids[:-1], ids[1:])
        seen = []
        if validated:
            how["valid"] = data[0][:50], data[1][:50]
        how["after_epoch"] = lambda t, seen=seen: seen.append(deepcopy(states(t.model)))
        t = cls(model, optimizer)
        t.fit(*data, 3, 4, eval_interval=5, verbose=False, **how)
        kept = [a for layers in seen for layer in layers.values() for a in layer.values()]
        found.append([t.reports, *map(to_cpu, [*model.params, *kept])])
        assert all(f"valid_{t.quantity}" in row for row in t.epochs) == validated
    for without, with_validation in zip(*found, strict=True):
        numpy.testing.assert_allclose(with_validation, without, tolerance, tolerance)


def test_validation_of_a_language_model_is_without_dropout_and_from_a_fresh_state():
    model, optimizer, cls, how = language_model()
    ids = numpy.random.default_rng(0).integers(12, size=200)
    t = cls(model, optimizer)
    t.fit(ids[:-1], ids[1:], 1, 4, valid=(ids[:60], ids[1:61]), verbose=False, **how)
    expected = eval_perplexity(model, ids[:61], 4, 5, progress=False)
    assert t.epochs[0]["valid_perplexity"] == expected


@pytest.mark.parametrize(
    ("cls", "valid", "problem"),
    [
        (Trainer, (numpy.zeros(3), numpy.zeros(2)), "valid: 3 samples do not go with 2 labels"),
        (
            Trainer,
            (numpy.zeros(0), numpy.zeros(0)),
            "valid: a batch of 1 needs more than the 0 samples",
        ),
        (RnnlmTrainer, text(0), "valid: a text of 0 words is too short"),
        (RnnlmTrainer, (numpy.arange(9), numpy.arange(9)), "valid: the labels must be the text"),
    ],
)
def test_validation_data_are_refused_before_anything_happens(cls, valid, problem):
    t = trainer(cls)
    with pytest.raises(ValueError, match=rf"{cls.__name__}\.fit: {problem}"):
        t.fit(*text(8), 1, 2, valid=valid, **SMALL[cls])
    assert t.model.batches == []


@pytest.mark.parametrize("at", [0, 150, 299])
def test_one_id_out_of_range_among_many_is_told_before_the_first_step(at):
    rng = numpy.random.default_rng(0)
    x, t, ids = rng.standard_normal((300, 2)), rng.integers(3, size=300), rng.integers(7, size=301)
    bad_t, bad_ids = t.copy(), ids.copy()
    bad_t[at], bad_ids[at] = 3, -1
    net, rnn = TwoLayerNet(2, 4, 3, rng=0), BetterRnnlm(7, 4, 4, rng=0)
    before = [p.copy() for p in (*net.params, *rnn.params)]
    for data, valid in ((x, bad_t), None), ((x, t), (x, bad_t)):
        trainer = Trainer(net, SGD(0.1))
        with pytest.raises(ValueError, match=r"^SoftmaxWithLoss: id 3 is not in 0\.\.2"):
            trainer.fit(*data, 1, valid=valid, max_grad=1.0)
        assert trainer.steps == 0
    for text, valid in (bad_ids, None), (ids, (bad_ids[:-1], bad_ids[1:])):
        trainer = RnnlmTrainer(rnn, SGD(0.1))
        with pytest.raises(ValueError, match=r"^TimeEmbedding: id -1 is not in 0\.\.6"):
            trainer.fit(text[:-1], text[1:], 1, 2, 5, valid=valid)
        assert trainer.steps == 0
    for a, b in zip(before, (*net.params, *rnn.params), strict=True):
        numpy.testing.assert_array_equal(a, b)


def test_trying_ids_first_changes_no_result():
    """State, dropout's random numbers and negatives go on as without it."""
    ids = numpy.random.default_rng(0).integers(7, size=61)

    def trained():
        model = BetterRnnlm(7, 4, 4, recurrent_dropout_ratio=0.5, rng=0)
        trainer = RnnlmTrainer(model, SGD(0.1))
        trainer.fit(ids[:-1], ids[1:], 2, 2, 5, verbose=False)
        return model.params

    expected = trained()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RnnlmTrainer, "_try_extremes", lambda *_: None)
        for a, b in zip(trained(), expected, strict=True):
            numpy.testing.assert_array_equal(a, b)


def test_a_second_fit_goes_on_with_the_state_of_one_text():
    ids = numpy.random.default_rng(0).integers(7, size=61)
    model = BetterRnnlm(7, 4, 4, rng=0)
    for _ in range(2):  # a batch of four ids to try would not fit the state
        trainer = RnnlmTrainer(model, SGD(0.1))
        trainer.fit(ids[:-1], ids[1:], 1, 1, 5, verbose=False, valid=(ids[:9], ids[1:10]))
    assert {len(a) for kept in states(model).values() for a in kept.values()} == {1}


def test_a_closed_stderr_stops_no_run(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert len(trainer(Trainer).fit(*text(4), 1, 2)) > 1


def test_the_history_is_a_table_for_pandas():
    pandas = pytest.importorskip("pandas")
    t = trainer(Trainer)
    table = pandas.DataFrame(t.fit(*text(4), 2, 2, after_epoch=lambda t: {"accuracy": 0.5}))
    assert table["accuracy"].dropna().tolist() == [0.5, 0.5]
