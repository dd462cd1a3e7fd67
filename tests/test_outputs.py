"""What a run leaves: files with paths of their own, told before training if they cannot be."""

import os
import re
from pathlib import Path

import numpy
import pytest

from ch04 import train as ch04_train
from ch05 import train as ch05_train
from ch05.simple_rnnlm import SimpleRnnlm
from ch06 import train_better_rnnlm, train_rnnlm
from ch06.trained import SHIPPED
from ch07 import compare, train_seq2seq
from ch08 import train as ch08_train
from common import run
from common.cli import check_writable, flags
from common.optimizer import SGD
from common.run import check_outputs
from common.trainer import RnnlmTrainer, Trainer
from dataset import dates
from tests.test_trainer import Recorder

DATA = numpy.zeros(4), numpy.zeros(4)


def begin(weights):
    """A run whose training would be a failure."""
    trainer = Trainer(None, None)
    trainer.fit = lambda *_, **__: pytest.fail("training began")
    run.train(trainer, [], [], weights=weights, save=lambda: pytest.fail("saved"))


@pytest.mark.parametrize("ending", [".png", ".json", ".checkpoint", ".PNG", ".Json"])
def test_no_two_outputs_of_a_run_have_one_path(ending, tmp_path):
    file = tmp_path / f"out{ending}"
    file.write_text("mine")
    lower = re.escape(str(file.with_suffix(ending.lower())))
    with pytest.raises(ValueError, match=f"^{lower} would be written twice: the weights, and"):
        begin(file)
    assert [*tmp_path.iterdir()] == [file]
    assert file.read_text() == "mine"


def test_a_link_does_not_hide_that_two_outputs_are_one_file(tmp_path):
    (tmp_path / "w.npz").symlink_to(tmp_path / "w.json")
    with pytest.raises(ValueError, match=r"w\.json would be written twice"):
        begin(tmp_path / "w.npz")


def test_what_goes_beside_the_weights_must_be_writable_too(tmp_path):
    (tmp_path / "w.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"w\.json is a folder"):
        begin(tmp_path / "w.npz")
    with pytest.raises(
        OSError, match=r"\.checkpoint cannot be written into .*: File name too long"
    ):
        begin(tmp_path / ("a" * 251 + ".npz"))


def test_outputs_with_names_of_their_own_are_left_alone(tmp_path):
    check_outputs(*(tmp_path / "deep" / f"w{ending}" for ending in ("", ".npz", ".json", ".png")))
    assert [*tmp_path.rglob("*")] == [tmp_path / "deep"]


@pytest.mark.skipif(os.name == "nt", reason="FIFOs and devices are POSIX's")
def test_what_is_no_regular_file_is_told_at_the_start_and_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(os.devnull)
    for file in tmp_path / "fifo", tmp_path / "link", Path(os.devnull):
        with pytest.raises(OSError, match=f"{file.name} cannot be written .*: not a regular file"):
            check_writable(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "link"]
    assert not Path(os.devnull).is_file()


def test_the_longest_name_is_writable_and_a_longer_one_is_told(tmp_path):
    check_writable(tmp_path / ("a" * 255))
    with pytest.raises(OSError, match=r"a cannot be written into .*: File name too long"):
        check_writable(tmp_path / ("a" * 256))
    assert [*tmp_path.iterdir()] == []


# --- Finished work stays -------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["w.npz", "w.checkpoint", "w.json", "w.png"])
def test_no_file_of_an_earlier_run_or_of_the_user_is_replaced_unasked(there, folder):
    (folder / there).write_text("mine")
    with pytest.raises(FileExistsError) as raised:
        begin(Path("w.npz"))
    ways = "--overwrite allows it, another --weights keeps what is there"
    going_on = ", --resume goes on with that run" if there == "w.checkpoint" else ""
    assert str(raised.value) == f"{there} would be overwritten: {ways}{going_on}"
    assert [path.name for path in folder.iterdir()] == [there]
    assert (folder / there).read_text() == "mine"


def learn(weights=Path("w.npz"), stop=None, **how):
    """A run of some epochs -> the epochs of its history."""

    def evaluate(trainer):
        if trainer.current_epoch == stop:
            raise KeyboardInterrupt
        return {"seed": how.get("rng", 0)}

    trainer = Trainer(Recorder(), SGD(1.0))
    save = lambda: weights.write_text(str(how.get("rng", 0)))  # noqa: E731
    how = {"max_epoch": 3, "batch_size": 2, "rng": 0, "verbose": False} | how
    return run.train(trainer, *DATA, weights=weights, save=save, evaluate=evaluate, **how)


def test_a_run_begins_anew_where_it_may_overwrite(folder):
    learn()
    before = Path("w.checkpoint").read_bytes()
    with pytest.raises(FileExistsError, match=r"w\.npz, w\.checkpoint, w\.json would be"):
        learn(rng=1)
    assert Path("w.npz").read_text() == "0"
    assert Path("w.checkpoint").read_bytes() == before
    assert [row["seed"] for row in learn(rng=1, overwrite=True)] == [1, 1, 1]
    assert Path("w.npz").read_text() == "1"
    assert Path("w.checkpoint").read_bytes() != before


def test_a_finished_run_goes_on_without_leave_to_overwrite(folder):
    learn(max_epoch=1)
    assert [row["epoch"] for row in learn(resume=True)] == [1, 2, 3]
    assert [row["epoch"] for row in learn(resume=True, max_epoch=1)] == [1, 2, 3]


def test_an_unfinished_run_is_kept_resumed_or_overwritten_as_one_asks(folder):
    with pytest.raises(KeyboardInterrupt):
        learn(stop=1)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match=r"--resume goes on with that run$"):
        learn()
    with pytest.raises(ValueError, match=r"^--resume goes on with a run, --overwrite begins anew"):
        learn(resume=True, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(KeyboardInterrupt):
        learn(stop=0, overwrite=True)
    assert [row["epoch"] for row in learn(resume=True)] == [1, 2, 3]


def test_a_damaged_checkpoint_is_no_reason_not_to_overwrite(folder):
    Path("w.checkpoint").write_bytes(b"PK damaged")
    assert len(learn(overwrite=True)) == 3


def test_without_a_script_a_checkpoint_is_overwritten_only_if_asked(folder):
    def fit(**how):
        trainer = Trainer(Recorder(), SGD(1.0))
        trainer.fit(*DATA, 2, 2, rng=0, verbose=False, checkpoint="c", **how)

    def stop(trainer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(after_epoch=stop)
    with pytest.raises(ValueError, match="not finished; resume it, or delete the file"):
        fit()
    fit(overwrite=True)


def test_a_model_of_the_book_saves_over_its_file(folder):
    for seed in 0, 1:
        model = SimpleRnnlm(3, 4, 4, rng=seed)
        model.save_params()
    other = SimpleRnnlm(3, 4, 4, rng=2)
    other.load_params()
    for a, b in zip(other.params, model.params, strict=True):
        numpy.testing.assert_array_equal(a, b)


TINY = {"hidden_size": 6, "max_epoch": 1}
RNN = TINY | {"wordvec_size": 6, "corpus": "grammar"}
SCRIPTS = {  # a training script, how it is called, its weights, and the flag that names them
    "ch04": (ch04_train.main, TINY | {"corpus": "grammar"}, "cbow_params.npz", "--vectors"),
    "ch05": (ch05_train.main, RNN, "SimpleRnnlm.npz", "--weights"),
    "ch06": (train_rnnlm.main, RNN, "Rnnlm.npz", "--weights"),
    "ch06 gru": (train_rnnlm.main, RNN | {"model": "gru"}, "GruRnnlm.npz", "--weights"),
    "ch06 better": (train_better_rnnlm.main, RNN, "BetterRnnlm.npz", "--weights"),
    "ch07": (train_seq2seq.main, TINY | {"data": "days.txt"}, "Seq2seq.npz", "--weights"),
    "ch08": (ch08_train.main, TINY | {"data": "days.txt"}, "AttentionSeq2seq.npz", "--weights"),
    "shipped": (
        train_rnnlm.main,
        RNN | {"weights": str(SHIPPED / "Rnnlm.npz")},
        str(SHIPPED / "Rnnlm.npz"),
        "--weights",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_training_script_says_before_it_trains_what_it_would_overwrite(name, folder, monkeypatch):
    main, how, weights, flag = SCRIPTS[name]
    for trainer in Trainer, RnnlmTrainer:
        monkeypatch.setattr(trainer, "fit", lambda *_, **__: pytest.fail("training began"))
    Path("days.txt").write_text("\n".join(dates.lines(30)), encoding="utf-8")
    if name != "shipped":
        Path(weights).write_text("five hours")
    before = Path(weights).read_bytes()
    problem = f"{re.escape(weights)}.* would be overwritten: --overwrite allows it, another {flag} "
    with pytest.raises(FileExistsError, match=problem):
        main(**how)
    assert Path(weights).read_bytes() == before
    assert flags(main)["overwrite"].default is False


def test_a_comparison_repeats_its_runs_only_if_it_may_overwrite_them(folder, capsys):
    Path("days.txt").write_text("\n".join(dates.lines(60)), encoding="utf-8")
    how = TINY | {"data": "days.txt", "file": "c.json", "plot": False, "wordvec_size": 4}
    how |= {"batch_size": 10}
    curves = compare.main(**how)
    capsys.readouterr()
    assert compare.main(**how) == curves
    assert "seed 0\n" not in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="another --file keeps what is there, --resume goes"):
        compare.main(**how | {"max_epoch": 2})
    capsys.readouterr()
    assert compare.main(**how, overwrite=True) == curves
    assert capsys.readouterr().out.count("seed 0\n") == 3
    longer = compare.main(**how | {"max_epoch": 2, "resume": True})
    assert [len(run) for runs in longer.values() for run in runs] == [2, 2, 2]
