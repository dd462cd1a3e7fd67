"""common/run.py: what every training script does; and that its data are read once."""

import io
import json
import math
from collections import Counter
from pathlib import Path

import numpy
import pytest

from ch06 import train_rnnlm
from ch08 import train as ch08_train
from common.optimizer import SGD
from common.run import improves, train
from common.trainer import RnnlmTrainer, Trainer
from dataset import dates, ptb, sequence
from tests.test_ptb import small  # noqa: F401 - a fixture
from tests.test_trainer import Recorder

DATA = numpy.zeros(4), numpy.zeros(4)


def run(losses=(), saved=None, **how):
    """Train a model that plays back losses; `saved` collects the steps at which it is saved."""
    trainer = Trainer(Recorder(losses), SGD(1.0))
    saved = [] if saved is None else saved
    how = {"max_epoch": 3, "batch_size": 2, "verbose": False, "rng": 0} | how
    save = lambda: saved.append(trainer.steps)  # noqa: E731
    return train(trainer, *DATA, weights=Path("w.npz"), save=save, **how), trainer, saved


def history():
    return json.loads(Path("w.json").read_text())


def plays(values):
    left = iter(values)
    return lambda trainer: {"valid": next(left)}


def test_the_last_weights_are_saved_and_the_history_lies_beside_them(folder):
    epochs, trainer, saved = run()
    assert saved == [6]
    assert sorted(path.name for path in folder.iterdir()) == ["w.checkpoint", "w.json"]
    assert history() == {"epochs": epochs, "eval_interval": 20, "train": [1.0, 1.0, 1.0]}
    assert epochs == trainer.epochs


def test_an_evaluation_after_each_epoch_joins_its_row(folder):
    seen = []

    def evaluate(trainer):
        if trainer.current_epoch:
            seen.append([row["accuracy"] for row in history()["epochs"]])
        return {"accuracy": trainer.steps / 10}

    epochs, _, saved = run(evaluate=evaluate)
    assert [row["accuracy"] for row in epochs] == [0.2, 0.4, 0.6]
    assert all(min(row["train_seconds"], row["test_seconds"]) >= 0 for row in epochs)
    assert seen == [[0.2], [0.2, 0.4]]  # written after each epoch
    assert history()["epochs"] == epochs
    assert saved == [6]


def test_the_best_weights_are_kept_and_a_plateau_is_told(folder):
    plateaus = []
    how = {"lowest": "valid", "on_plateau": lambda: plateaus.append(1), "max_epoch": 5}
    _, _, saved = run(evaluate=plays([9, 7, 8, math.nan, 6]), **how)
    assert saved == [2, 4, 10]
    assert len(plateaus) == 2


def test_only_a_lower_number_is_an_improvement():
    nan = math.nan
    assert improves(9.0, [])
    assert improves(8.0, [9.0, 8.5])
    assert not improves(8.5, [9.0, 8.5])
    assert not improves(nan, [9.0])
    assert improves(nan, [])
    assert improves(9.0, [nan])
    assert not improves(9.0, [nan, 8.0, nan])


@pytest.mark.parametrize(
    ("evaluate", "lowest", "expected"),
    [
        (None, None, [5]),  # the weights of the stop
        (plays([9, 7]), "valid", [2, 4]),  # the best so far, of finished epochs
        (plays([9, 7]), None, [5]),
    ],
)
def test_a_loss_that_is_not_finite_leaves_weights_and_says_so(
    evaluate, lowest, expected, folder, capsys
):
    saved = []
    with pytest.raises(FloatingPointError):
        run([1, 1, 1, 1, math.nan], saved, evaluate=evaluate, lowest=lowest)
    assert saved == expected
    told = "stopped early; delete it to begin anew: w.checkpoint\n"
    assert capsys.readouterr().out == told


def test_a_run_that_is_stopped_says_how_to_go_on(folder, capsys):
    saved = []

    def evaluate(trainer):
        if trainer.steps == 4:
            raise KeyboardInterrupt
        return {"valid": 1.0}

    with pytest.raises(KeyboardInterrupt):
        run(saved=saved, evaluate=evaluate, lowest="valid")
    assert saved == [2]
    assert capsys.readouterr().out == "stopped early; --resume goes on with w.checkpoint\n"
    saved.clear()
    epochs, _, _ = run(saved=saved, evaluate=plays([0.5, 2.0]), lowest="valid", resume=True)
    assert [row["valid"] for row in epochs] == [1.0, 0.5, 2.0]
    assert saved == [4]


def test_a_stop_in_the_first_evaluation_still_saves_weights(folder):
    def evaluate(trainer):
        raise KeyboardInterrupt

    saved = []
    with pytest.raises(KeyboardInterrupt):
        run(saved=saved, evaluate=evaluate, lowest="valid")
    assert saved == [2]


def test_nothing_is_trained_where_files_cannot_be_written(folder):
    Path("w.npz").mkdir()
    saved = []
    with pytest.raises(IsADirectoryError):
        run(saved=saved)
    assert saved == []


def test_both_trainers_can_be_run(folder):
    trainer = RnnlmTrainer(Recorder(), SGD(1.0))
    ids = numpy.arange(20)
    how = {"max_epoch": 1, "batch_size": 2, "time_size": 5, "verbose": False}
    train(trainer, ids[:-1], ids[1:], weights=Path("w.npz"), save=lambda: None, **how)
    assert history()["train"] == trainer.ppl_list


def test_a_history_is_json_that_every_program_reads(folder):
    with numpy.errstate(over="ignore"):
        trainer = RnnlmTrainer(Recorder([1000.0, 1.0]), SGD(1.0))
        ids = numpy.arange(20)
        how = {"max_epoch": 1, "batch_size": 2, "time_size": 4, "verbose": False}
        train(
            trainer,
            *(ids[:-1], ids[1:]),
            **{"weights": Path("w.npz"), "save": lambda: None, "eval_interval": 1} | how,
            evaluate=lambda trainer: {"lr": math.nan, "rates": (1.0, -math.inf)},
        )
    assert trainer.ppl_list[0] == math.inf
    text = Path("w.json").read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["train"][0] is None
    assert (found["epochs"][0]["lr"], found["epochs"][0]["rates"]) == (None, [1.0, None])


# --- Data are read once --------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch):
    """How often each file was opened, by name."""
    counts = Counter()
    real = io.open

    def counting(file, *args, **how):
        counts[Path(str(file)).name] += 1
        return real(file, *args, **how)

    monkeypatch.setattr(io, "open", counting)
    monkeypatch.setattr("builtins.open", counting)
    return counts


TINY = {"wordvec_size": 4, "hidden_size": 4, "max_epoch": 1}


def test_training_a_language_model_opens_each_file_of_penn_treebank_once(
    small,  # noqa: F811
    folder,
    opened,
    monkeypatch,
):
    monkeypatch.setattr("ch06.language_model_run.eval_perplexity", lambda *_: 5.0)
    train_rnnlm.main(**TINY, batch_size=1, time_size=2)
    assert {file.name: opened[file.name] for file in ptb.FILES.values()} == {
        "ptb.train.txt": 1,
        "ptb.valid.txt": 1,
        "ptb.test.txt": 1,
    }


def test_training_with_attention_and_drawing_what_it_looks_at_opens_the_dates_once(
    folder, opened, monkeypatch
):
    Path("date.txt").write_text("\n".join(dates.lines(200)), encoding="utf-8")
    opened.clear()
    ch08_train.main(**TINY, batch_size=50)
    assert Path("AttentionSeq2seq_5.png").exists()
    assert opened["date.txt"] == 1


def test_an_object_of_questions_is_what_the_books_functions_load(folder):
    Path("date.txt").write_text("\n".join(dates.lines(200)), encoding="utf-8")
    data = sequence.load("date.txt", split="answer")
    (x, t), (x_test, t_test) = sequence.load_data("date.txt", split="answer")
    for a, b in zip((x, t, x_test, t_test), data[:4], strict=True):
        numpy.testing.assert_array_equal(a, b)
    assert (data.char_to_id, data.id_to_char) == sequence.get_vocab("date.txt")
    turned = data.reversed()
    assert (data.reverse, turned.reverse, turned.reversed().reverse) == (False, True, False)
    numpy.testing.assert_array_equal(turned.x_train, x[:, ::-1])
    numpy.testing.assert_array_equal(turned.x_test, x_test[:, ::-1])
    numpy.testing.assert_array_equal(turned.t_test, t_test)
