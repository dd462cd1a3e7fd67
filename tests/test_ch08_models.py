"""The scripts of chapter 8 with its further models: training, comparing, drawing every head."""

import json
import re
import shutil
from pathlib import Path

import numpy
import pytest

from ch07 import comparison
from ch08 import compare, train, visualize_attention
from ch08.attention_score import attention_maps, head_maps, self_attention_maps
from ch08.transformer import Transformer
from common import plots
from common.base_model import load_model
from common.evaluate import seq2seq_accuracy
from dataset import dates, sequence
from tests.reference import in_float64
from tests.scripts import ROOT

SIZES = {"wordvec_size": 8, "hidden_size": 8}
TINY = SIZES | {"data": "days.txt", "batch_size": 16, "max_epoch": 1, "plot": False}


@pytest.fixture
def days(folder):
    Path("days.txt").write_text("\n".join(dates.lines(60)), encoding="utf-8")
    return folder


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize("model", train.RECIPES)
def test_each_model_is_trained_and_its_weights_build_it_again(days, model, capsys):
    (row,) = train.main(model=model, **TINY, weights="w.npz")
    assert 0 <= row["accuracy"] <= 1
    recipe, net = train.RECIPES[model], load_model("w.npz")
    assert type(net) is recipe.model_class
    assert {k: net.settings[k] for k in recipe.options} == dict(recipe.options)


def test_flags_win_over_the_recipe_of_a_model(monkeypatch, days):
    seen = []

    def keep(model, data, settings, **how):
        seen.append((model, data, settings))
        return []

    monkeypatch.setattr(train, "train_and_answer", keep)
    train.main(model="transformer", data="days.txt", plot=False)
    train.main(model="transformer", data="days.txt", plot=False, lr=0.5, reverse=True, num_heads=2)
    train.main(data="days.txt", plot=False, score="general")
    (plain, data, first), (heads, turned, second), (general, _, third) = seen
    assert (plain.settings["num_heads"], plain.settings["wordvec_size"]) == (4, 64)
    assert (first.lr, first.warmup, first.decay, first.max_epoch) == (0.003, 100, True, 6)
    assert (data.reverse, turned.reverse) == (False, True)
    assert (second.lr, heads.settings["num_heads"]) == (0.5, 2)
    assert general.settings["score"] == "general"
    assert (third.lr, third.warmup, third.max_epoch, third.reverse) == (0.001, None, 10, True)


@pytest.mark.parametrize(
    ("file", "models", "how"),
    [
        ("date_comparison", "scaled general additive feeding transformer conv", {}),
        ("date_comparison_by_answer", "transformer", {"split": "answer"}),
        ("addition_comparison", "transformer-2", {"data": "addition.txt"}),
    ],
)
def test_the_shipped_accuracies_are_of_the_recipes_as_they_are(
    folder, monkeypatch, file, models, how
):
    monkeypatch.setattr(comparison, "train_and_answer", None)  # nothing is trained
    shutil.copy(ROOT / f"ch08/results/{file}.json", folder)
    curves = compare.main(models=models, seeds=3, file=f"{file}.json", plot=False, **how)
    for model, runs in curves.items():
        epochs = train.RECIPES[model].settings.get("max_epoch", train.BOOK["max_epoch"])
        assert [len(run) for run in runs] == [epochs] * 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"model": "conv", "num_heads": 2}, "train: conv has no num_heads"),
        ({"model": "transformer", "score": "dot"}, "train: transformer has no score"),
        ({"model": "transformer", "cell": "gru"}, "train: transformer has no recurrent layers"),
        ({"score": "cosine"}, "new_score: score is one of dot, scaled, general, additive, not"),
        ({"model": "transformer", "num_heads": 3}, "the width 8 cannot be divided between 3 heads"),
        ({"model": "transformer", "label_smoothing": 1.0}, "label_smoothing is at least 0 and bel"),
        ({"model": "transformer", "warmup": 0}, "linear: warmup must be at least 1 update, not 0"),
    ],
    ids=str,
)
def test_what_a_model_does_not_have_is_refused(days, how, message):
    with refused(message):
        train.main(**TINY | how)
    assert [file.name for file in days.iterdir()] == ["days.txt"]


def test_the_transformer_s_own_steps_are_drawn_as_well(folder, capsys):
    data = sequence.load("date.txt")
    model = visualize_attention.load("transformer", None, "date.txt")
    x, t = data.x_test[0], data.t_test[0]
    (inside,), (so_far,) = (
        self_attention_maps(model, part, x, t) for part in ("encoder", "decoder")
    )
    assert inside.shape == (4, len(x), len(x))
    assert so_far.shape == (4, len(t) - 1, len(t) - 1)
    for maps in inside, so_far:
        numpy.testing.assert_allclose(maps.sum(axis=2), 1, rtol=1e-5)
    assert (numpy.triu(so_far, 1) == 0).all()  # nothing of what comes later
    for attention in "encoder", "decoder":
        visualize_attention.main(model="transformer", count=1, attention=attention)
        assert Path("attention_1.png").exists()
    with refused("visualize_attention: attention is one of cross, encoder, decoder, not 'self'"):
        visualize_attention.main(model="transformer", attention="self")
    with refused("self_attention_maps: AttentionSeq2seq has no self-attention"):
        visualize_attention.main(count=1, attention="decoder")


def test_a_comparison_takes_any_models_and_tells_the_time_of_an_epoch(days, capsys):
    curves = compare.main(models="scaled feeding transformer conv", **TINY)
    assert list(curves) == ["scaled", "feeding", "transformer", "conv"]
    runs = json.loads(Path("date_comparison.json").read_text())["runs"]
    assert [run["settings"]["reverse"] for run in runs] == [True, True, False, False]
    assert [run["settings"].get("lr") for run in runs] == [0.003, None, 0.003, 0.003]
    assert runs[0]["settings"]["score"] == "scaled"
    assert all(len(run["seconds"]) == 1 for run in runs)
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"\d\.\d s$", [line for line in lines if line.startswith("conv")][-1])
    with refused("train: model is one of"):
        compare.main(models="scaled lstm", **TINY)


def test_runs_of_another_learning_rate_are_other_runs(days, monkeypatch):
    compare.main(models="conv", **TINY)
    compare.main(models="conv", **TINY | {"lr": 0.1})
    compare.main(models="conv", **TINY)
    runs = json.loads(Path("date_comparison.json").read_text())["runs"]
    assert [run["settings"]["lr"] for run in runs] == [0.003, 0.1]


def test_the_shipped_transformer_answers_test_dates(folder):
    data = sequence.load("date.txt")
    model = visualize_attention.load("transformer", None, "date.txt")
    assert seq2seq_accuracy(model, data.x_test[:1000], data.t_test[:1000]).exact >= 0.995


# --- Maps -----------------------------------------------------------------------------------------


def test_there_is_a_map_for_each_block_and_head():
    model = in_float64(Transformer(9, 8, 8, num_layers=2, num_heads=4, rng=0))
    x, t = numpy.arange(6), numpy.arange(5)
    blocks = head_maps(model, x, t, reverse=False)
    assert [maps.shape for maps in blocks] == [(4, 4, 6)] * 2
    for maps in blocks:
        numpy.testing.assert_allclose(maps.sum(axis=2), 1)
    (mean,) = attention_maps(model, x[None], t[None], reverse=False)
    numpy.testing.assert_allclose(mean, numpy.mean(blocks, axis=(0, 1)))
    turned = head_maps(model, x, t, reverse=True)
    numpy.testing.assert_array_equal(turned[1], blocks[1][:, :, ::-1])


@pytest.mark.parametrize(
    ("model", "maps"), [("attention", 1), ("feeding", 1), ("transformer", 4), ("conv", 2)]
)
def test_every_head_of_every_block_is_drawn(days, monkeypatch, model, maps):
    import matplotlib.pyplot as plt

    train.main(model=model, **TINY)
    drawn = []

    def keep(file):
        drawn.append(len(plt.gcf().axes) - 1)  # without the colour bar
        plt.close()

    monkeypatch.setattr(plots, "show", keep)
    visualize_attention.main(model=model, data="days.txt", question="1/2/99")
    assert drawn == [maps]


def test_the_transformer_reads_questions_in_order_unless_told_otherwise(days, monkeypatch):
    seen = []
    monkeypatch.setattr(
        visualize_attention, "draw_test_questions", lambda net, data, **_: seen.append(data.reverse)
    )
    monkeypatch.setattr(visualize_attention, "load", lambda *_: None)
    for model, reverse in [("transformer", None), ("attention", None), ("transformer", True)]:
        visualize_attention.main(model=model, data="days.txt", reverse=reverse)
    assert seen == [False, True, True]
    assert sequence.load("days.txt").reverse is False
