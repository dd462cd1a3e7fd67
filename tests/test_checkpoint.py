"""Runs that are interrupted and go on: from any moment, to the same bits; and what is refused."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.interrupts import DeferredInterrupts
from common.np import np
from common.optimizer import SGD, Momentum
from common.storage.checkpoint import Checkpoint
from common.storage.files import read_npz, write_npz
from common.trainer import RnnlmTrainer, Trainer
from tests.interrupted_run import RUNS, Forked, outcome

ROOT = Path(__file__).parent.parent
KILLS = int(os.environ.get("DLFS2_KILLS", "20"))  # of each kind of run


def forks(test):
    """A test that forks processes, and kills them."""
    test = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")(test)
    return pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")(test)


class Stop(Exception):
    """What ends a run in the middle of a step."""


class Line:
    """y = a x: a model of one weight, which can be told to stop at a step."""

    def __init__(self, first=0.0, stop_at=None, stop=None):
        self.params, self.grads = [np.array([first])], [np.zeros(1)]
        self.steps, self.stop_at, self.stop = 0, stop_at, stop or self.fail

    def forward(self, x, t):
        self.steps += 1
        if self.steps == self.stop_at:
            self.stop()
        self.x, self.error = x, self.params[0] * x - np.asarray(t)
        return (self.error * self.error).mean()

    def backward(self):
        self.grads[0][...] = (2 * self.x * self.error).mean()

    def fail(self):
        raise Stop


X = numpy.arange(1.0, 13)


def fit(file, model=None, optimizer=None, x=X, rng=3, max_epoch=2, batch=3, **how):
    trainer = Trainer(model or Line(), optimizer or Momentum(0.001))
    trainer.fit(x, 2 * x, max_epoch, batch, None, 2, rng=rng, checkpoint=file, **how)
    return trainer


@pytest.fixture
def stopped(tmp_path):
    """A checkpoint of a run that stopped in its sixth step, in the second epoch."""
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Stop):
        fit(file, Line(stop_at=6), checkpoint_interval=1)
    return file


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("stop_at", range(1, 9))
def test_a_run_stopped_at_any_step_goes_on_to_the_same_end(stop_at, tmp_path):
    whole = fit(tmp_path / "whole", checkpoint_interval=3)
    with pytest.raises(Stop):
        fit(tmp_path / "parts", Line(stop_at=stop_at), checkpoint_interval=3)
    resume = (tmp_path / "parts").exists()
    assert resume == (stop_at > 3)
    parts = fit(tmp_path / "parts", resume=resume, checkpoint_interval=3)
    assert outcome(parts) == outcome(whole)
    assert parts.current_epoch == 2


@pytest.mark.parametrize("kind", RUNS)
def test_states_random_numbers_and_learning_rates_go_on_too(kind, tmp_path, monkeypatch):
    whole = outcome(RUNS[kind](checkpoint=tmp_path / "whole"))
    learn, steps = Trainer._learn, iter(range(130))

    def until_step_130(trainer, max_grad):
        if next(steps, None) is None:
            raise Stop
        learn(trainer, max_grad)

    monkeypatch.setattr("common.trainer._Loop._learn", until_step_130)
    with pytest.raises(Stop):
        RUNS[kind](checkpoint=tmp_path / "parts", checkpoint_interval=50)
    monkeypatch.undo()
    assert outcome(RUNS[kind](checkpoint=tmp_path / "parts", resume=True)) == whole


@pytest.mark.slow
@forks
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_killed_at_random_moments_ends_with_the_same_bits_and_leaves_nothing(kind, tmp_path):
    """Every other kill is inside a save. A run that is over before it is killed begins anew."""
    file, moment, kills = tmp_path / "run.checkpoint", random.Random(0), 0
    whole = outcome(RUNS[kind](verbose=False))

    def run(**how):
        return RUNS[kind](checkpoint=file, resume=file.exists(), verbose=False, **how)

    def work(child, in_save, interval):
        if in_save:
            stop_at_array(in_save, child.stop)
        run(checkpoint_interval=interval)

    while kills < KILLS:
        in_save = moment.randrange(1, 100) if kills % 2 else 0
        child = Forked(work, in_save, moment.randrange(1, 6))
        if in_save:
            child.wait()
        else:
            time.sleep(moment.uniform(0, 0.25))
        over = child.kill()
        kills += not over
        if over:
            assert outcome(run()) == whole
            file.unlink()
    assert outcome(run()) == whole
    assert list(tmp_path.iterdir()) == [file]


def stop_at_array(count, stop):
    """In a child: stop before the array of this number is written into a file, 1 is the first."""
    write, left = numpy.lib.format.write_array, iter(range(count - 1))

    def write_or_stop(*args, **how):
        if next(left, None) is None:
            stop()
        write(*args, **how)

    numpy.lib.format.write_array = write_or_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_run_after_a_whole_step_with_a_checkpoint(number, tmp_path):
    whole, file = fit(tmp_path / "whole"), tmp_path / "run.checkpoint"
    before = signal.getsignal(number)
    stopping = Line(stop_at=5, stop=lambda: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt) as stop:
        fit(file, stopping)
    assert stop.value.args == (number,)
    assert signal.getsignal(number) is before
    rest = fit(file, resume=True)
    assert rest.model.steps == 3
    assert outcome(rest) == outcome(whole)


def test_a_second_ctrl_c_does_not_wait():
    def press_twice():
        with DeferredInterrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert interrupts.caught == signal.SIGINT
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second one waited")

    with pytest.raises(KeyboardInterrupt) as stop:
        press_twice()
    assert stop.value.args == ()  # Python's own


def test_outside_the_main_thread_training_works_without_signals(tmp_path):
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(tmp_path / "run.checkpoint")))
    thread.start()
    thread.join()
    assert done[0].current_epoch == 2


def test_a_finished_run_can_be_resumed_for_more_epochs(tmp_path):
    long = fit(tmp_path / "long", max_epoch=4)
    fit(tmp_path / "run", max_epoch=2)
    again = fit(tmp_path / "run", max_epoch=2, resume=True)
    assert again.current_epoch == 2
    assert again.model.steps == 0
    assert outcome(fit(tmp_path / "run", max_epoch=4, resume=True)) == outcome(long)


def test_the_interrupted_objects_themselves_can_go_on(tmp_path):
    file, whole = tmp_path / "run", fit(tmp_path / "whole")
    stopping = Line(stop_at=5, stop=lambda: signal.raise_signal(signal.SIGINT))
    trainer = Trainer(stopping, Momentum(0.001))
    how = {"rng": 3, "checkpoint": file, "eval_interval": 2, "batch_size": 3, "max_epoch": 2}
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, 2 * X, **how)
    trainer.fit(X, 2 * X, **how, resume=True)
    assert outcome(trainer) == outcome(whole)
    fit(file, resume=True)  # and so can fresh ones, later


def test_what_after_epoch_returns_is_part_of_the_run(tmp_path):
    calls = []

    def after_epoch(trainer):
        calls.append(1)
        if len(calls) == 2:
            raise Stop
        return {"calls": len(calls), "weights": np.ones(2)}

    with pytest.raises(Stop):
        fit(tmp_path / "run", after_epoch=after_epoch)
    trainer = fit(tmp_path / "run", after_epoch=after_epoch, resume=True)
    assert [row["calls"] for row in trainer.epochs] == [1, 3]


OTHERS = {
    "first weights": ({"model": Line(1.0)}, r"first weights \(seed\)"),
    "seed of the order": ({"rng": 4}, r"first weights \(seed\)"),
    "data": ({"x": X + 1}, "x is"),
    "batch size": ({"batch": 4}, "batch_size is 3 there, 4 here"),
    "optimizer": ({"optimizer": SGD(0.001)}, "optimizer is Momentum there, SGD here"),
    "learning rate": ({"optimizer": Momentum(0.01)}, "lr is 0.001 there, 0.01 here"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_run_with_another_beginning_is_refused_with_nothing_changed(what, stopped):
    how, problem = OTHERS[what]
    content = stopped.read_bytes()
    with pytest.raises(ValueError, match=rf"Trainer\.fit: .*run\.checkpoint: is of .*{problem}"):
        fit(stopped, resume=True, **how)
    assert stopped.read_bytes() == content


def test_a_run_of_another_model_or_trainer_is_refused(stopped):
    class Other(Line):
        pass

    trainer = Trainer(Other(), Momentum(0.001))
    with pytest.raises(ValueError, match="model is Line there, Other here"):
        trainer.fit(X, 2 * X, 2, 3, None, 2, rng=3, checkpoint=stopped, resume=True)
    assert float(trainer.model.params[0][0]) == 0
    trainer = RnnlmTrainer(Line(), Momentum(0.001))
    with pytest.raises(ValueError, match="trainer is Trainer there, RnnlmTrainer here"):
        trainer.fit(X.astype(int), X.astype(int), 1, 2, 2, checkpoint=stopped, resume=True)


def test_a_new_run_does_not_take_the_place_of_an_unfinished_one(stopped):
    content = stopped.read_bytes()
    with pytest.raises(ValueError, match="holds a run that is not finished; resume it, or delete"):
        fit(stopped)
    assert stopped.read_bytes() == content
    fit(stopped, resume=True)
    fit(stopped)  # of a finished one it does


def test_a_file_that_is_no_checkpoint_is_neither_resumed_nor_replaced(tmp_path):
    file = tmp_path / "thesis.txt"
    file.write_text("my thesis")
    for resume in True, False:
        with pytest.raises(ValueError, match=r"thesis\.txt: not a readable checkpoint"):
            fit(file, resume=resume)
    weights = tmp_path / "weights.npz"
    numpy.savez(weights, a=numpy.ones(3))
    with pytest.raises(ValueError, match=r"weights\.npz: not a readable checkpoint"):
        fit(weights, resume=True)
    assert file.read_text() == "my thesis"


def test_without_a_file_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"Trainer\.fit: there is no checkpoint .*missing to"
    ):
        fit(tmp_path / "missing", resume=True)
    with pytest.raises(ValueError, match="resume=True needs the name of a checkpoint"):
        fit(None, resume=True)


def test_a_truncated_checkpoint_is_refused_wherever_it_ends(stopped):
    content = stopped.read_bytes()
    for length in [0, 1, *range(50, len(content), 97), len(content) - 1]:
        stopped.write_bytes(content[:length])
        with pytest.raises(ValueError, match="not a readable checkpoint"):
            fit(stopped, resume=True)


def test_weights_of_another_shape_are_refused_though_the_header_says_otherwise(stopped):
    header, arrays = read_npz(stopped, "checkpoint")
    arrays["run.weights.0"] = numpy.ones(3)
    write_npz(stopped, header, arrays)
    with pytest.raises(ValueError, match="does not hold what this model needs"):
        fit(stopped, resume=True)


def test_an_altered_checkpoint_never_changes_the_result(stopped):
    content, expected = stopped.read_bytes(), outcome(fit(None))

    @given(where=st.integers(0, len(content) - 1), bits=st.integers(1, 255))
    def alter(where, bits):
        altered = bytearray(content)
        altered[where] ^= bits
        stopped.write_bytes(altered)
        try:
            trainer = fit(stopped, resume=True)
        except ValueError:
            return
        assert outcome(trainer) == expected  # it was a time stamp or the like

    alter()


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
def test_a_disk_that_fills_up_while_saving_leaves_the_old_checkpoint(stopped):
    content, expected = stopped.read_bytes(), outcome(fit(None))
    code = f"""
import resource, sys
from tests.test_checkpoint import fit
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # a checkpoint is larger
fit({str(stopped)!r}, resume=True)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "OSError: " in run.stderr
    assert list(stopped.parent.iterdir()) == [stopped]
    assert stopped.read_bytes() == content
    assert outcome(fit(stopped, resume=True)) == expected


def test_spoilt_weights_never_reach_the_file(tmp_path):
    file = tmp_path / "run"
    with pytest.raises(FloatingPointError):
        fit(file, optimizer=Momentum(1e200), checkpoint_interval=1)
    assert not file.exists() or numpy.isfinite(numpy.load(file)["run.weights.0"]).all()


def test_an_update_that_spoils_the_weights_at_the_very_end_is_told(tmp_path):
    """The loss of a step is from before its update, so no loss tells of the last one."""
    trainer = Trainer(Line(1.0), Momentum(math.inf))
    with pytest.raises(FloatingPointError, match="weights became infinite or nan at step 1"):
        trainer.fit(X, 3 * X, 1, 12, checkpoint=tmp_path / "run")
    assert float(trainer.model.params[0][0]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_refused_at_the_start(tmp_path):
    model = Line()
    with pytest.raises(ValueError, match="run: there is no such folder"):
        fit(tmp_path / "missing" / "run", model)
    assert model.steps == 0


def test_a_stop_while_a_run_is_being_opened_comes_before_any_step(stopped, monkeypatch):
    content = stopped.read_bytes()
    resume = Checkpoint.resume

    def slowly(checkpoint):
        signal.raise_signal(signal.SIGINT)
        resume(checkpoint)

    monkeypatch.setattr(Checkpoint, "resume", slowly)
    model, rest = Line(), fit(None)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, model, resume=True)
    assert model.steps <= 1  # which is finished, and saved
    monkeypatch.undo()
    assert stopped.read_bytes() != content
    assert outcome(fit(stopped, resume=True)) == outcome(rest)


def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(tmp_path / "run", Line(stop_at=3, stop=lambda: signal.raise_signal(signal.SIGINT)))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("entry", [{"array": 1.0}, {"pairs": [1]}, {1: "a", "b": None}])
def test_whatever_after_epoch_returns_comes_back(entry, tmp_path):
    fit(tmp_path / "run", after_epoch=lambda trainer: {"found": entry})
    rows = fit(tmp_path / "run", resume=True).epochs
    assert [row["found"] for row in rows] == [entry, entry]


def test_a_run_that_was_stopped_early_is_finished_and_stays_stopped(tmp_path):
    """Wherever it was killed: its last checkpoint but one, and the last one, lead to one end."""

    def after_epoch(trainer):
        if trainer.current_epoch + 1 == 3:
            trainer.stop()

    whole = fit(tmp_path / "whole", max_epoch=9, after_epoch=after_epoch)
    assert whole.current_epoch == 3
    with pytest.raises(Stop):
        fit(tmp_path / "run", Line(stop_at=12), max_epoch=9, after_epoch=after_epoch)
    for _ in range(2):
        again = fit(tmp_path / "run", max_epoch=9, after_epoch=after_epoch, resume=True)
        assert outcome(again) == outcome(whole)
    assert again.model.steps == 0
    fit(tmp_path / "run")  # finished, so that a new run may take its place


def test_a_learning_rate_function_does_not_go_on_as_a_number_nor_a_number_as_a_function(tmp_path):
    for k, (first, second) in enumerate([(0.001, lambda step: 0.001), (lambda step: 0.001, 0.001)]):
        fit(tmp_path / f"run{k}", optimizer=Momentum(first))
        with pytest.raises(ValueError, match="is of another run: lr is"):
            fit(tmp_path / f"run{k}", optimizer=Momentum(second), resume=True)


def test_a_bad_learning_rate_in_the_middle_leaves_weights_and_checkpoint_as_they_were(tmp_path):
    file, model = tmp_path / "run", Line()
    optimizer = Momentum(lambda step: math.nan if step == 5 else 0.001)
    with pytest.raises(ValueError, match=r"Momentum\.update: lr\(5\) is nan"):
        fit(file, model, optimizer, checkpoint_interval=1)
    assert optimizer.iter == 5
    resumed = fit(file, optimizer=Momentum(lambda step: 0.001), resume=True)
    assert float(resumed.model.params[0][0]) == float(fit(None).model.params[0][0])


def test_an_optimizer_that_a_file_cannot_hold_is_refused_at_the_start(tmp_path):
    optimizer = SGD(0.1)
    optimizer.schedule = lambda step: 0.1 / step
    with pytest.raises(TypeError, match=r"cannot hold .*schedule, a function"):
        fit(tmp_path / "run", optimizer=optimizer)
    assert list(tmp_path.iterdir()) == []
