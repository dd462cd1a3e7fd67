"""The training script of the machines with memory, and the pictures of what they do."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy
import pytest

from ch08 import show_memory, train_memory
from ch08.memory_model import BitLSTM
from ch08.ntm import NTM
from common import plots
from common.base_model import load_model
from common.storage.checkpoint import digest
from common.storage.weights import read
from dataset.copying import TASKS, wrong_bits

TINY = {"sequences": 8, "hidden_size": 4, "max_length": 2, "plot": False}
ROWS = {"memory_size": 4, "memory_width": 3, "test_memory": 6}


def weights(file="w.npz"):
    return digest(read(Path(file))[1])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", train_memory.MODELS)
def test_every_model_takes_every_task(model, task, folder, capsys):
    rows = {} if model == "lstm" else ROWS
    found = train_memory.main(model=model, task=task, weights="w.npz", **TINY, **rows)
    sizes = [4, 10, 24] if task == "copies" else [2, 5, 12]
    assert list(found) == [f"wrong_{size}" for size in sizes]
    assert f"{sizes[2]}" in capsys.readouterr().out.splitlines()[-1]
    history = json.loads(Path("w.json").read_text())
    assert {k: history[k] for k in found} == found
    assert history["epochs"][0]["bits"] > 0
    net = load_model("w.npz")
    assert net.settings["input_size"] == TASKS[task].input_size
    assert net.settings.get("memory_size", 4) == 4


def test_settings_reach_the_machine(folder):
    how = {"read_heads": 2, "write_heads": 3, "controller": "feedforward", "focused": False}
    train_memory.main(weights="w.npz", **TINY, **ROWS, **how)
    assert load_model("w.npz").settings == {
        **{"input_size": 9, "output_size": 8, "hidden_size": 4},
        **{"memory_size": 4, "memory_width": 3, "shifts": 3},
        **how,
        "max_dw": 0.05,
    }


def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_weights(folder, monkeypatch):
    how = {"weights": "w.npz", **TINY, **ROWS, "sequences": 24}
    monkeypatch.setattr(train_memory, "EPOCH", 8)
    found = train_memory.main(**how)
    whole = weights()
    assert len(json.loads(Path("w.json").read_text())["epochs"]) == 3
    for file in folder.glob("w.*"):
        file.unlink()
    measured, count = train_memory.measured, []

    def interrupted(*args, **options):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return measured(*args, **options)

    monkeypatch.setattr(train_memory, "measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_memory.main(**how)
    monkeypatch.setattr(train_memory, "measured", measured)
    assert train_memory.main(**how, resume=True) == found
    assert weights() == whole


def test_the_curve_and_the_heads_are_drawn(folder):
    train_memory.main(weights="w.npz", **TINY | {"plot": True}, **ROWS)
    assert {p.name for p in folder.glob("*.png")} == {"w.png", "w_heads.png"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "gru"}, "model is one of ntm, dnc, lstm, not 'gru'"),
        ({"task": "add"}, "task is one of copy, copies, repeat, recall, sort, not 'add'"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"task": "sort", "max_length": 1}, "sort needs a max_length of at least 2"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"sequences": 0}, "sequences must be at least 1"),
        ({"memory_size": 2}, "a memory of 2 rows is smaller than the 3 shifts"),
    ],
)
def test_settings_that_make_no_run_are_refused(wrong, message, folder):
    with pytest.raises(ValueError, match=message):
        train_memory.main(**TINY | wrong)
    assert [*folder.iterdir()] == []


def test_wrong_bits_and_bits_are_those_of_all_sequences_together():
    x, t = TASKS["copy"].test(0, 23, 3)
    model = BitLSTM(9, 8, 4, rng=0)
    scores = model.predict(x)
    found = train_memory.measured(model, x, t)
    assert found["wrong"] == pytest.approx(wrong_bits(scores, t).mean())
    bits = float(model.loss_layer.forward(scores, t)) * 24 / numpy.log(2)
    assert found["bits"] == pytest.approx(bits, rel=1e-5)


@pytest.mark.parametrize(("name", "length"), [("NTM_copy", 20), ("DNC_copy", 10)])
def test_the_shipped_machines_copy_without_a_mistake(name, length):
    model = load_model(show_memory.WEIGHTS / f"{name}.npz")
    x, t = TASKS["copy"].test(0, 20, length)
    assert wrong_bits(model.predict(x), t).sum() == 0


def test_the_shipped_ntm_copies_what_is_twice_as_long_in_a_larger_memory():
    model = load_model(show_memory.WEIGHTS / "NTM_copy.npz")
    x, t = TASKS["copy"].test(0, 5, 40)
    assert wrong_bits(model.predict(x), t).min() > 0  # 40 vectors do not fit 32 rows
    assert wrong_bits(model.with_memory(80).predict(x), t).sum() == 0


def test_the_picture_shows_what_comes_in_what_goes_out_and_where_the_heads_are(monkeypatch):
    x, t = TASKS["copy"].test(0, 1, 3)
    model = NTM(9, 8, 4, memory_size=5, memory_width=2, read_heads=2, rng=0)
    shown = {}

    def looked_at(file):
        for ax in plt.gcf().axes[:-1]:  # without the colour bar
            shown[ax.get_ylabel()] = ax.images[0].get_array()
        plt.close()

    monkeypatch.setattr(plots, "show", looked_at)
    wrong = show_memory.plot_heads(model, x, t, Path("heads.png"))
    scores = model.predict(x)
    assert wrong == wrong_bits(scores, t)[0]
    assert list(shown) == [
        *("input", "output", "write weights", "read weights 1", "read weights 2")
    ]
    numpy.testing.assert_array_equal(shown["input"], x[0].T)
    numpy.testing.assert_array_equal(shown["output"][:, :4], 0)
    numpy.testing.assert_allclose(shown["output"][:, 4:], 1 / (1 + numpy.exp(-scores[0, 4:].T)))
    numpy.testing.assert_array_equal(shown["read weights 2"], model.layer.read_weights[0, :, 1].T)


def test_curves_of_several_runs_are_drawn_in_one_figure(folder, monkeypatch):
    for name in "ntm_0", "ntm_1", "lstm_0":
        model = name.split("_")[0]
        train_memory.main(model=model, weights=f"{name}.npz", **TINY, **ROWS)
    drawn = []

    def looked_at(file):
        (ax,) = plt.gcf().axes
        drawn.append([(line.get_label(), *line.get_xydata()[0]) for line in ax.lines])
        plt.close()

    monkeypatch.setattr(plots, "show", looked_at)
    show_memory.main(runs="*.json")
    ((lstm, x, y), (ntm, *_), (hidden, *_)) = drawn[0]
    assert (lstm, ntm) == ("lstm", "ntm")
    assert hidden.startswith("_")
    rows = json.loads(Path("lstm_0.json").read_text())["epochs"]
    assert [x, y] == pytest.approx([8 / 1000, rows[0]["bits"]])
    Path("other.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"show_memory: other\.json is no history of a run"):
        show_memory.main(runs="*.json")
    with pytest.raises(FileNotFoundError, match="no file fits nothing"):
        show_memory.main(runs="nothing*.json")


def test_a_file_of_ones_own_is_shown_and_one_without_a_memory_refused(folder, capsys):
    NTM(9, 8, 4, memory_size=5, memory_width=2, rng=0).save_params("mine.npz")
    show_memory.main(weights="mine.npz", length=3, memory_size=8)
    assert (folder / "NTM_copy_heads.png").exists()
    assert "bits wrong" in capsys.readouterr().out
    BitLSTM(9, 8, 4, rng=0).save_params("lstm.npz")
    with pytest.raises(ValueError, match="show_memory: a BitLSTM has no memory to show"):
        show_memory.main(weights="lstm.npz")
    with pytest.raises(ValueError, match="show_memory: task is one of copy"):
        show_memory.main(task="add")
