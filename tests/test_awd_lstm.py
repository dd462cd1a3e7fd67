"""AwdLstm: its gradients with every trick on, each trick left out, its training script."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch06 import eval as eval_script
from ch06 import language_model_run, train_awd_lstm
from ch06.awd_lstm import AwdLstm, varying_length
from ch06.better_rnnlm import BetterRnnlm
from common.base_model import load_model
from common.gradient_check import check_gradients
from common.gradients import remove_duplicate, to_dense
from common.network import generators
from common.np import np, to_cpu, use
from common.optimizer import SGD
from common.time_layers import TimeActivationPenalty, TimeEmbedding
from common.trainer import RnnlmTrainer
from tests.scripts import ROOT, run

V, D, H = 7, 4, 5
PLAIN: dict[str, Any] = {
    "embedding_dropout": 0,
    "input_dropout": 0,
    "hidden_dropout": 0,
    "output_dropout": 0,
    "dropconnect": 0,
    "alpha": 0,
    "beta": 0,
}
TINY: dict[str, Any] = {"wordvec_size": 6, "hidden_size": 8, "batch_size": 4, "time_size": 10}
TINY |= {"corpus": "grammar", "corpus_size": 801, "lr": 1.0, "plot": False, "weights": "w.npz"}

both_backends = pytest.mark.usefixtures("backend")


def ids(*shape, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=shape)


def small(**options):
    return AwdLstm(V, D, H, rng=0, **options)


def start(model):
    """The same start every time: the same state, the same random masks."""
    rng = numpy.random.default_rng(1)
    for layer in model.recurrent_layers:
        size = layer.output_size(None)
        layer.set_state(*(np.asarray(rng.standard_normal((2, size))) for _ in layer.state))
    for seed, layer in enumerate(model.layers):
        if layer.rng is not None:
            layer.rng = np.random.default_rng(seed)


@pytest.mark.parametrize("options", [{}, {"tied": False}, {"variational": False}, PLAIN])
def test_gradients_agree_with_differences(options):
    model = small(**options).astype("float64")
    model.params[0][...] *= 20
    assert check_gradients(model, ids(2, 3), ids(2, 3, seed=1), before=lambda: start(model))


@pytest.mark.usefixtures("cupy_backend")
def test_a_gpu_finds_the_gradients_that_numpy_finds():
    """Without masks, which are other draws there."""

    def found():
        model = small(**PLAIN | {"alpha": 2.0, "beta": 1.0}).astype("float64")
        model.forward(ids(2, 6), ids(2, 6, seed=1))
        model.backward()
        return [to_cpu(to_dense(g)) for g in model.grads]

    ours = found()
    use("numpy")
    for a, b in zip(ours, found(), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@both_backends
def test_the_gradient_goes_with_the_factor_of_the_loss():
    model = small().astype("float64")
    found = []
    for dout in 1, 3:
        start(model)
        model.forward(ids(2, 3), ids(2, 3, seed=1))
        model.backward(dout)
        found.append([to_cpu(g).copy() for g in remove_duplicate(model.params, model.grads)[1]])
    for once, threefold in zip(*found, strict=True):
        assert_allclose(threefold, 3 * once, rtol=1e-12)


def test_the_layers_are_wide_in_the_middle_and_fit_the_tie():
    model = AwdLstm(20, 4, 6, rng=0)
    assert [layer.output_size(None) for layer in model.recurrent_layers] == [6, 6, 4]
    model.params[0][2, 1] += 1
    assert_array_equal(model.params[0].T, model.layers[-1].params[0])
    loose = AwdLstm(20, 4, 6, rng=0, tied=False)
    assert [layer.output_size(None) for layer in loose.recurrent_layers] == [6, 6, 6]
    assert not numpy.shares_memory(loose.params[0], loose.layers[-1].params[0])


def test_without_its_tricks_it_is_the_plain_stack():
    """BetterRnnlm without dropout has the same layers, of one size."""
    model = AwdLstm(V, D, D, num_layers=2, rng=0, **PLAIN)
    plain = BetterRnnlm(V, D, D, 0.0, rng=1)
    for p, q in zip(plain.params, model.params, strict=True):
        p[...] = q
    assert not generators(model.layers[0])
    for k in range(3):
        xs, ts = ids(2, 5, seed=k), ids(2, 5, seed=k + 9)
        assert model.forward(xs, ts) == plain.forward(xs, ts)
        model.backward()
        plain.backward()
        for g, h in zip(model.grads, plain.grads, strict=True):
            assert_array_equal(to_cpu(g), to_cpu(h))


EACH = {
    "embedding_dropout": 0.4,
    "input_dropout": 0.4,
    "hidden_dropout": 0.4,
    "output_dropout": 0.4,
    "dropconnect": 0.4,
    "alpha": 2.0,
    "beta": 1.0,
}


@pytest.mark.parametrize("name", EACH)
def test_each_trick_changes_training_and_nothing_else(name):
    plain, model = small(**PLAIN), small(**PLAIN | {name: EACH[name]})
    for p, q in zip(model.params, plain.params, strict=True):
        p[...] = q
    xs, ts = ids(2, 5), ids(2, 5, seed=1)
    assert model.forward(xs, ts) != plain.forward(xs, ts)
    model.reset_state()
    plain.reset_state()
    assert model.forward(xs, ts, train_flg=False) == plain.forward(xs, ts, train_flg=False)


def test_the_loss_of_training_is_that_of_the_scores_and_the_penalties_by_hand():
    model = small(**PLAIN | {"alpha": 2.0, "beta": 3.0})
    xs, ts = ids(2, 5), ids(2, 5, seed=1)
    loss = float(model.forward(xs, ts))
    h = model.layers[-1].x.reshape(2, 5, D)  # what the affine layer was given
    model.reset_state()
    plain = float(model.forward(xs, ts, train_flg=False))
    changes = numpy.diff(h, axis=1)
    assert loss == pytest.approx(plain + 2 * (h**2).mean() + 3 * (changes**2).mean(), rel=1e-5)


def test_one_penalty_is_on_the_dropped_output_and_one_on_the_raw():
    model = small()
    names = [type(layer).__name__ for layer in model.layers[-4:]]
    assert names == ["TimeActivationPenalty", "TimeDropout", "TimeActivationPenalty", "TimeAffine"]
    assert [(layer.alpha, layer.beta) for layer in model.penalties] == [(0, 1), (2, 0)]


def test_it_is_built_again_from_its_weight_file(tmp_path):
    model = small(tied=False, hidden_dropout=0.1, num_layers=2)
    model.save_params(tmp_path / "w.npz")
    again = load_model(tmp_path / "w.npz")
    assert again.settings == model.settings
    xs, ts = ids(2, 5), ids(2, 5, seed=1)
    assert again.forward(xs, ts, train_flg=False) == model.forward(xs, ts, train_flg=False)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"last_size": 5}, "tied weights need a last layer of wordvec_size 4, not of 5"),
        ({"num_layers": 0}, "num_layers must be at least 1, not 0"),
        ({"embedding_dropout": 1}, "dropout_ratio is at least 0 and below 1, not 1"),
        ({"dropconnect": -0.1}, "dropconnect_ratio is at least 0 and below 1, not -0.1"),
        ({"alpha": -1}, "alpha is finite and not negative, not -1"),
        ({"beta": float("nan")}, "beta is finite and not negative, not nan"),
    ],
)
def test_what_does_not_fit_is_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        small(**options)


# --- Its layers ----------------------------------------------------------------------------------


@both_backends
def test_a_dropped_word_is_dropped_wherever_it_stands():
    layer = TimeEmbedding(np.ones((50, 3)), dropout_ratio=0.5, rng=0)
    xs = numpy.tile(numpy.arange(50), (2, 2))  # every word four times
    ys = to_cpu(layer.forward(xs)).reshape(4, 50, 3)
    assert {*numpy.unique(ys)} == {0, 2}  # scaled by 1 / (1 - 0.5)
    assert (ys == ys[:1, :, :1]).all()
    assert (ys != to_cpu(layer.forward(xs)).reshape(4, 50, 3)).any()
    layer.train(False)
    assert (to_cpu(layer.forward(xs)) == 1).all()


@both_backends
def test_a_dropped_word_learns_nothing():
    layer = TimeEmbedding(np.ones((6, 2)), dropout_ratio=0.5, rng=0)
    ys = layer.forward(numpy.arange(6)[None])
    layer.backward(np.ones_like(ys))
    assert_array_equal(to_cpu(layer.grads[0]), to_cpu(ys[0]))


@both_backends
@pytest.mark.parametrize("shape", [(2, 4, 3), (1, 1, 2), (3, 2, 1)])
def test_the_gradient_of_a_penalty_agrees_with_differences(shape, r):
    layer, xs = TimeActivationPenalty(0.7, 1.3), r(*shape)

    def penalty(x):
        layer.forward(x)
        return float(layer.penalty)

    penalty(xs)
    layer.dpenalty = 2.0
    dxs = to_cpu(layer.backward(np.zeros_like(xs)))
    direction, eps = r(*shape) + 1, 1e-6
    slope = (penalty(xs + eps * direction) - penalty(xs - eps * direction)) / (2 * eps)
    assert (dxs * to_cpu(direction)).sum() == pytest.approx(2 * slope, rel=1e-6)


def test_a_penalty_by_hand(r):
    layer = TimeActivationPenalty(2.0, 3.0)
    xs = numpy.array([[[1.0], [2.0], [4.0]]])
    assert layer.forward(xs) is xs
    # 2 * (1 + 4 + 16) / 3 + 3 * (1 + 4) / 2
    assert layer.penalty == pytest.approx(14 + 7.5)
    layer.train(False)
    layer.forward(xs)
    assert layer.penalty == 0
    with pytest.raises(ValueError, match=r"input must be \(N, T, D\)"):
        layer.forward(r(2, 3))


# --- Blocks of varying length --------------------------------------------------------------------


def test_lengths_are_multiples_of_5_around_the_size_and_now_and_then_around_half_of_it():
    length = varying_length(70, 0)
    found = numpy.array([length(step) for step in range(2000)])
    assert found.tolist() == [varying_length(70, 0)(step) for step in range(2000)]
    assert (found % 5 == 0).all()
    short = found < 52
    assert 0.03 < short.mean() < 0.07
    assert found[short].mean() == pytest.approx(35, abs=2)
    assert found[~short].mean() == pytest.approx(70, abs=0.5)
    assert found[~short].std() == pytest.approx(5.2, abs=0.5)
    assert found.tolist() != [varying_length(70, 1)(step) for step in range(2000)]
    assert {varying_length(1, 0)(step) for step in range(50)} <= {5, 10, 15}
    with pytest.raises(ValueError, match="time_size must be at least 1, not 0"):
        varying_length(0, 0)


# --- The script ----------------------------------------------------------------------------------


def script(**how):
    return train_awd_lstm.main(**TINY | how)


def history(file="w.json"):
    return json.loads(Path(file).read_text())


@pytest.fixture
def valid(monkeypatch):
    """valid(5, 4): let validation find these perplexities, and the test 1."""

    def scripted(*perplexities):
        left = iter([*perplexities, 1.0])
        monkeypatch.setattr(language_model_run, "eval_perplexity", lambda *_: next(left))

    return scripted


def test_the_mean_is_taken_once_validation_is_above_its_best_of_more_than_5_epochs_ago(
    folder, valid
):
    valid(50, 40, *[41] * 6, 39, 38)
    script(max_epoch=10)
    averaged = [row["averaged"] for row in history()["epochs"]]
    # 41 in epoch 8 is above the 40 of epoch 2: 20 updates in each epoch from then on
    assert averaged == [0] * 8 + [20, 40]


def test_the_mean_begins_after_30_epochs_at_the_latest(folder, valid):
    valid(*range(40, 8, -1))  # better in every epoch
    script(max_epoch=32, corpus_size=101)
    averaged = [row["averaged"] for row in history()["epochs"]]
    assert averaged == [0] * 30 + [2, 4]  # 2 updates in each epoch


def test_without_averaging_there_is_no_mean(folder, valid):
    valid(*[9] * 8, 10)
    script(max_epoch=9, averaging=False, average_from=1)
    assert {row["averaged"] for row in history()["epochs"]} == {0}


def test_the_mean_can_begin_in_a_given_epoch_and_is_what_is_evaluated_and_saved(
    folder, monkeypatch
):
    """The mean of 20 weights, one after each update, kept by a twin of the optimizer's rule."""
    trained, weights, evaluated = [], [], []
    update = train_awd_lstm.AveragedSGD.update

    def watched(optimizer, params, grads):
        update(optimizer, params, grads)
        trained.append(optimizer)
        if optimizer is trained[0]:  # not the copy that a checkpoint tries
            weights.append([p.copy() for p in params])

    def evaluate(model, *_):
        evaluated.append([p.copy() for p in remove_duplicate(model.params, model.grads)[0]])
        return 9.0 - len(evaluated)

    monkeypatch.setattr(train_awd_lstm.AveragedSGD, "update", watched)
    monkeypatch.setattr(language_model_run, "eval_perplexity", evaluate)
    script(max_epoch=2, average_from=1)
    mean = [numpy.mean([w[k] for w in weights[20:]], axis=0) for k in range(len(weights[0]))]
    for found, last in zip(evaluated[0], weights[19], strict=True):
        assert_array_equal(found, last)
    for found, expected in zip(evaluated[1], mean, strict=True):
        assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    saved = load_model("w.npz")
    for p, expected in zip(remove_duplicate(saved.params, saved.grads)[0], mean, strict=True):
        assert_allclose(p, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("lowest", [100.0, 99.0])
def test_it_stops_by_itself_if_validation_is_not_below_100_after_10_epochs(
    folder, valid, capsys, lowest
):
    valid(*[150] * 4, lowest, *[150] * 10)
    script(max_epoch=12, averaging=False)
    stopped = lowest == 100
    assert len(history()["epochs"]) == (10 if stopped else 12)
    told = "stopped: validation is not below 100 after 10 epochs"
    assert (told in capsys.readouterr().out) == stopped


def test_a_step_is_as_large_as_its_block_is_long(folder, monkeypatch):
    rates, lengths = [], []
    forward = AwdLstm.forward

    def reading(model, xs, ts, **how):
        lengths.append(xs.shape[1])
        return forward(model, xs, ts, **how)

    step = train_awd_lstm.AveragedSGD.step

    def stepping(optimizer, *arrays):
        rates.append((optimizer.iter, optimizer.rate))
        step(optimizer, *arrays)

    monkeypatch.setattr(AwdLstm, "forward", reading)
    monkeypatch.setattr(train_awd_lstm.AveragedSGD, "step", stepping)
    monkeypatch.setattr(language_model_run, "eval_perplexity", lambda *_: 5.0)
    script(max_epoch=1, lr=2.0)
    lengths = lengths[-20:]
    assert len({*lengths}) > 1
    assert [dict(rates)[k + 1] for k in range(20)] == [2.0 * T / 10 for T in lengths]


@pytest.mark.parametrize("average_from", [30, 1])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(folder, average_from):
    how = {"average_from": average_from}
    script(max_epoch=3, weights="whole.npz", **how)
    script(max_epoch=1, weights="parts.npz", **how)
    script(max_epoch=3, weights="parts.npz", resume=True, **how)
    whole, parts = (history(f"{name}.json") for name in ("whole", "parts"))
    assert whole["train"] == parts["train"]
    assert whole["test"] == parts["test"]
    assert [row["averaged"] for row in parts["epochs"]] == (
        [0, 20, 40] if average_from == 1 else [0] * 3
    )
    with numpy.load("whole.npz") as a, numpy.load("parts.npz") as b:
        for name in a.files:
            assert_array_equal(a[name], b[name])


def test_with_everything_left_out_it_trains_as_sgd_does(folder, monkeypatch):
    off = {"weight_decay": 0.0, "varying": False, "averaging": False}
    monkeypatch.setattr(language_model_run, "eval_perplexity", lambda *_: 5.0)
    script(max_epoch=1, **PLAIN, **off)
    words = train_awd_lstm.replace(train_awd_lstm.SETTINGS, **TINY).load().train[:801]
    model = AwdLstm(140, 6, 8, rng=0, **PLAIN)
    RnnlmTrainer(model, SGD(1.0)).fit(words[:-1], words[1:], 1, 4, 10, max_grad=0.25, verbose=False)
    for p, q in zip(model.params, load_model("w.npz").params, strict=True):
        assert_allclose(p, q, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"average_from": 0}, "average_from is at least 1 epoch, not 0"),
        ({"stop_above": 0.0}, "stop_above is a perplexity above 0, not 0.0"),
        ({"weight_decay": -1.0}, "weight_decay is finite and not negative, not -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(folder, how, problem):
    with pytest.raises(ValueError, match=problem):
        script(max_epoch=1, **how)
    assert not [*Path().iterdir()]


def test_from_the_command_line_it_trains_is_evaluated_and_says_what_to_run_next(folder):
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if k != "plot"]
    ran = run("-m", "ch06.train_awd_lstm", *flags, "--max-epoch=1", cwd=folder, installed=ROOT)
    assert "test perplexity:" in ran.stdout
    assert "python -m ch06.eval --model awd --weights w.npz --cache" in ran.stderr
    result = eval_script.main(weights="w.npz", model="awd")
    assert result == history()["test"]
