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
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from ch04.cbow import CBOW
from ch06.better_rnnlm import BetterRnnlm
from common.interrupts import DeferredInterrupts
from common.network import generators, states
from common.np import np
from common.optimizer import SGD, Adam, Momentum
from common.storage.checkpoint import Checkpoint, digest, kept
from common.storage.files import read_npz, write_npz
from common.trainer import RnnlmTrainer, Trainer
from common.words.text import create_contexts_target
from tests.interrupted_run import RUNS, Forked, outcome
from tests.test_files import flipped

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
    assert f"OSError: [Errno 27] File too large: '{stopped}'" in run.stderr
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
    trainer = Trainer(Line(1.0), Momentum(1e308))
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


# --- What is written can be read -----------------------------------------------------------------

COME_BACK = [
    *({"array": 1.0}, {"pairs": [1]}, {"tuple": [1]}, {"scalar": 1}, {"scalar": ["float32", 1]}),
    *({1: "a", "b": None}, {True: 0, 0.5: 1, None: 2, "1": 3}, {}, {"": {"": []}}),
    *((), (1, (2, [3, (4,)])), [(0.5,)], "日本\ud800\0", -0.0, 10**100, math.inf, math.nan),
    *(numpy.float32(0.1), numpy.float64(0.1), numpy.int64(-3), numpy.uint8(3), numpy.bool_(True)),
    *(numpy.array(1.5), numpy.array(["a", "日本"]), numpy.array([1j]), numpy.array([True])),
    *(numpy.zeros((0, 3), "float16"), numpy.arange(3, dtype=">i4"), numpy.ones((2, 3), order="F")),
    {"a.b": numpy.ones(1), "a": {"b": numpy.zeros(1)}, "0": numpy.full(1, 2), "/\0\ud800": X},
]


@pytest.mark.parametrize("entry", COME_BACK, ids=repr)
def test_whatever_after_epoch_returns_comes_back_as_what_it_was(entry, tmp_path):
    fit(tmp_path / "run", after_epoch=lambda trainer: {"found": entry})
    rows = fit(tmp_path / "run", resume=True).epochs
    for row in rows:
        assert repr(row["found"]) == repr(entry)
        assert type(row["found"]) is type(entry)
    assert len(rows) == 2


class Number(int):
    """What would come back as an int."""


class Pair(NamedTuple):
    """What would come back as a tuple."""

    a: int


def endless():
    found = []
    found.append(found)
    return found


REFUSED = {
    "set": ({1}, ", a set"),
    "bytes": (b"a", ", a bytes"),
    "complex": (1j, ", a complex"),
    "generator": (numpy.random.default_rng(0), ", a Generator"),
    "subclass of int": ({"k": Number(1)}, ".k, a Number"),
    "named tuple": ([0, Pair(1)], ".1, a Pair"),
    "key from NumPy": ({numpy.int64(1): 2}, "a key, is no text"),
    "key that is a tuple": ({"k": {(0, 1): 0.5}}, r".k: \(0, 1\), a key, is no text"),
    "objects": (numpy.array(["a", None], object), ", a ndarray of object"),
    "masked": (numpy.ma.array([1, 2], mask=[False, True]), ", a MaskedArray of int64"),
    "structured": (numpy.zeros(2, "i4,f4"), ", a ndarray of .*i4"),
    "a date": (numpy.datetime64("2020-01-01"), ", a datetime64"),
    "without an end": (endless(), "it is nested too deeply"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_not_come_back_is_refused_by_name_and_the_good_file_stays(what, tmp_path):
    entry, problem = REFUSED[what]
    file, contents = tmp_path / "run", []

    def after_epoch(trainer):
        contents.append(file.read_bytes())
        return {"found": entry}

    name = r"run\.progress\.history\.2\.found"
    with pytest.raises(TypeError, match=f"a checkpoint cannot hold {name}.*{problem}"):
        fit(file, after_epoch=after_epoch)
    assert [file.read_bytes()] == contents
    assert outcome(fit(file, resume=True)) == outcome(fit(None))
    assert list(tmp_path.iterdir()) == [file]


def test_an_optimizer_that_no_resume_would_take_is_refused_at_the_first_save(tmp_path):
    """Here one that keeps what nobody could compare with anything."""

    class Collector(SGD):
        def update(self, params, grads):
            super().update(params, grads)
            self.found = {**getattr(self, "found", {}), self.iter: 1.0}

    model = Line()
    with pytest.raises(ValueError, match=r"run: does not hold .*: optimizer\.found is dictionary"):
        fit(tmp_path / "run", model, Collector(0.001))
    assert model.steps == 4
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_whole_numbers_may_become_fractions_and_lists_of_numbers_may_grow(
    tmp_path,
):
    class Growing(SGD):
        def __init__(self, lr):
            super().__init__(lr)
            self.norms, self.last = [], None

        def update(self, params, grads):
            super().update(params, grads)
            self.last = grads[0].copy()
            self.norms.append(float(abs(grads[0]).sum()))

    def after_epoch(trainer):
        trainer.optimizer.lr = 0.001

    how = {"after_epoch": after_epoch, "max_epoch": 3}
    with pytest.raises(FloatingPointError):
        fit(None, optimizer=Growing(1), max_epoch=30)
    whole = fit(tmp_path / "whole", optimizer=Growing(0), **how)
    with pytest.raises(Stop):
        fit(tmp_path / "run", Line(stop_at=9), Growing(0), **how)
    assert outcome(fit(tmp_path / "run", optimizer=Growing(0), resume=True, **how)) == outcome(
        whole
    )


# --- What is read is compared first --------------------------------------------------------------


def reading():
    """A short run with states, in its second epoch, and how to go on with it."""
    trainer = RnnlmTrainer(BetterRnnlm(12, 4, 4, rng=1), SGD(1.0))
    return trainer, (WORDS[:-1], WORDS[1:], 2, 3, 5, 0.25, 3), {}


def looking_up():
    """A short run with the moments and counts of row-sparse gradients, an order, two generators."""
    trainer = Trainer(CBOW(12, 4, 1, WORDS, rng=numpy.random.default_rng(1)), Adam(0.01))
    order = numpy.random.Generator(numpy.random.MT19937(3))
    return trainer, (*create_contexts_target(WORDS, 1), 2, 15, None, 3), {"rng": order}


WORDS = numpy.random.default_rng(0).integers(12, size=61)
VALUES: list[Any] = [
    *(None, True, 7, -1, 2**70, 0.5, math.nan, math.inf, -0.5, "3", [], [1], {}, {"a": 1}),
    *({"array": "nothing"}, {"pairs": 1}, {"tuple": []}, {"scalar": ["O", 1]}, {"scalar": ["f4"]}),
]


def altered(value, path=()):
    """Each part of a nested value replaced, removed, or joined by another -> its path, the new."""
    for other in VALUES:
        if repr(other) != repr(value):
            yield path, other
    if isinstance(value, list):
        yield from ((path, value[:k] + value[k + 1 :]) for k in range(len(value)))
        yield path, [*value, 0.5]
    if isinstance(value, dict):
        yield from ((path, {a: b for a, b in value.items() if a != k}) for k in value)
        yield path, value | {"extra": 1}
    if isinstance(value, list | dict):
        for k, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from altered(part, (*path, k))


def with_part(value, path, part):
    """A nested value in which the part at the path is another."""
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = with_part(value[path[0]], path[1:], part)
    return changed


def part_at(value, path):
    for k in path:
        value = value[k]
    return value


def altered_arrays(arrays):
    """Each array of another shape or dtype, not finite, or missing."""
    for name, a in arrays.items():
        yield name, {k: b for k, b in arrays.items() if k != name}
        others = [a[None], a[1:], numpy.concatenate([a, a]), numpy.zeros(())]
        with numpy.errstate(over="ignore"):
            others += [a.astype(t) for t in ("f2", "f4", "f8", bool, "i4", complex, str)]
        others.append(a.astype(a.dtype.newbyteorder()))
        if a.dtype.kind == "f":
            last = numpy.arange(a.size).reshape(a.shape) == a.size - 1
            others += [numpy.where(last, bad, a).astype(a.dtype) for bad in (math.nan, -math.inf)]
        for b in others:
            if (b.shape, b.dtype) != (a.shape, a.dtype) or not numpy.array_equal(a, b):
                yield name, arrays | {name: b}


def could_be(was, now, path):
    """Whether a run could have had this value there as well."""
    if path[0] == "progress" and isinstance(was, list | dict):
        return True  # more or fewer rows, reports and losses, more in a row
    if path[:2] == ("progress", "history") and path[3] == "perplexity":
        return True  # of an epoch: `after_epoch` decides
    if path[0] in ("begun", "weights"):
        return False
    if path[0] == "states":
        return now is None
    if path[0] == "threads" and isinstance(now, int):
        return now >= 0
    if isinstance(was, float) and type(now) in (int, float):
        return not math.isnan(now)
    return type(was) is type(now) and (type(was) is not int or now >= 0)


@pytest.mark.slow
@pytest.mark.parametrize("make", [reading, looking_up])
def test_an_altered_part_is_refused_with_nothing_changed_or_could_have_been(
    make, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which takes most of the time
    file = tmp_path / "run"
    how = {"checkpoint": file, "verbose": False}

    def state(trainer, options):
        model, rng = trainer.model, options.get("rng")
        drawn = [g.bit_generator.state for g in (*generators(model), *([rng] if rng else []))]
        rest = model.params, kept(trainer.optimizer), states(model), trainer.progress
        return digest(*rest, drawn)

    def attempt(header, arrays):
        """-> whether it is accepted"""
        write_npz(file, header, arrays)
        trainer, data, options = make()
        before = state(trainer, options)
        trainer._train_epoch = fail  # which begins when all is in place
        try:
            trainer.fit(*data, **how, **options, resume=True)
        except ValueError as error:
            assert str(error).startswith(f"{type(trainer).__name__}.fit: {file}: ")  # noqa: PT017
            assert state(trainer, options) == before
            return False
        except Stop:
            pass
        return True

    def fail(_):
        raise Stop

    trainer, data, options = make()
    learn, steps = trainer._learn, iter(range(5))
    trainer._learn = lambda max_grad: learn(max_grad) if next(steps, None) is not None else fail(0)
    with pytest.raises(Stop):
        trainer.fit(*data, **how, **options, checkpoint_interval=1)
    header, arrays = read_npz(file, "checkpoint")
    assert attempt(header, arrays)
    for name, others in altered_arrays(arrays):
        assert not attempt(header, others), name
    accepted = 0
    parts = [(path, part) for path, part in altered(header) if path]
    for path, part in random.Random(0).sample(parts, 600):
        if attempt(with_part(header, path, part), arrays):
            assert could_be(part_at(header, path), part, path), (path, part)
            accepted += 1
    assert accepted < 100


@pytest.mark.parametrize(("name", "value"), [("beta1", 7.0), ("beta2", -0.5), ("lr", -1.0)])
def test_settings_that_no_optimizer_has_are_refused_with_nothing_changed(name, value, tmp_path):
    file, (trainer, data, options) = tmp_path / "run", looking_up()
    trainer.fit(*data, checkpoint=file, verbose=False, **options)
    header, arrays = read_npz(file, "checkpoint")
    header["optimizer"][name] = value
    write_npz(file, header, arrays)
    trainer, data, options = looking_up()
    before = digest(trainer.model.params, kept(trainer.optimizer))
    problem = r"run: (holds settings that cannot be|does not hold what)"
    with pytest.raises(ValueError, match=problem):
        trainer.fit(*data, checkpoint=file, resume=True, verbose=False, **options)
    assert digest(trainer.model.params, kept(trainer.optimizer)) == before


def test_an_optimizer_with_arguments_of_its_own_goes_on(tmp_path):
    class Mine(Adam):
        def __init__(self):
            super().__init__(0.01)

    fit(tmp_path / "run", optimizer=Mine(), max_epoch=1)
    again = fit(tmp_path / "run", optimizer=Mine(), resume=True)
    assert outcome(again) == outcome(fit(None, optimizer=Mine()))


def test_every_flipped_bit_is_noticed_or_changes_nothing(stopped):
    content, expected = stopped.read_bytes(), digest(*read_npz(stopped, "checkpoint"))
    for damaged in flipped(content):
        stopped.write_bytes(damaged)
        try:
            found = read_npz(stopped, "checkpoint")
        except ValueError:
            continue
        assert digest(*found) == expected  # the bit was of a date, a version, ...


def test_a_state_of_another_batch_is_refused_before_it_is_in_place(tmp_path):
    file, (trainer, data, _) = tmp_path / "run", reading()
    trainer.fit(*data, checkpoint=file, verbose=False)
    header, arrays = read_npz(file, "checkpoint")
    for path in header["states"]:
        name = header["states"][path]["h"]["array"]
        assert arrays[name].shape == (3, 4)
        for shape in (2, 4), (3, 5):
            write_npz(file, header, arrays | {name: numpy.zeros(shape, "f")})
            trainer, data, _ = reading()
            with pytest.raises(ValueError, match=r"run: the model cannot go on with the states"):
                trainer.fit(*data, checkpoint=file, resume=True, verbose=False)
            assert all(a is None for kept in states(trainer.model).values() for a in kept.values())


# --- One run at a time ---------------------------------------------------------------------------


def test_a_second_run_with_one_checkpoint_is_refused_at_its_start(tmp_path):
    file, others = tmp_path / "run", []
    (tmp_path / "link").symlink_to(file)

    def begin_another(trainer):
        for name in "run", "link":
            others.append(Line())
            with pytest.raises(ValueError, match="another run, which is not over, uses this file"):
                fit(tmp_path / name, others[-1], resume=trainer.current_epoch == 0)

    whole = fit(file, after_epoch=begin_another)
    assert [model.steps for model in others] == [0] * 4
    assert outcome(whole) == outcome(fit(None))
    fit(tmp_path / "link")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "link"}


@forks
def test_a_killed_run_holds_nothing_and_what_it_left_is_gone_before_the_next_step(tmp_path):
    file = tmp_path / "run"

    def work(child):
        stop_at_array(7, child.stop)
        fit(file, checkpoint_interval=1)

    def look():
        found.extend(path.suffix for path in tmp_path.iterdir())
        raise Stop

    for resume in True, False:
        if not resume:
            file.unlink()
        child, found = Forked(work) if resume else None, []
        if child:
            child.wait()
            assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".lock", ".part"]
            with pytest.raises(ValueError, match="another run, which is not over"):
                fit(file, resume=True)
            child.kill()
        with pytest.raises(Stop):
            fit(file, Line(stop_at=1, stop=look), resume=resume)
        assert sorted(found) == ["", ".lock"][not resume :]
        assert list(tmp_path.iterdir()) == [file][: 1 if resume else 0]


@pytest.mark.parametrize("what", ["folder", "fifo", "device", "long name", "read-only folder"])
def test_a_file_that_could_not_be_saved_is_told_before_the_first_step(what, tmp_path):
    if os.name == "nt" and what in ("fifo", "device"):
        pytest.skip("POSIX's")
    model, file = Line(), tmp_path / "run"
    if what == "folder":
        file.mkdir()
    elif what == "fifo":
        os.mkfifo(file)
    elif what == "device":
        file = Path(os.devnull)
    elif what == "long name":
        file = tmp_path / ("a" * 256)
    else:
        (tmp_path / "closed").mkdir(mode=0o555)
        file = tmp_path / "closed" / "run"
        if os.access(file.parent, os.W_OK):
            pytest.skip("this user may write everywhere")
    for resume in False, True:
        with pytest.raises(OSError, match=f"'{file}'"):
            fit(file, model, resume=resume)
    assert model.steps == 0


@forks
def test_a_child_that_is_killed_while_it_makes_a_progress_bar_stops_nobody():
    child = Forked(lambda child: (tqdm.get_lock().acquire(), child.stop()))
    child.wait()
    child.kill()
    assert tqdm.get_lock().acquire(timeout=600)
    tqdm.get_lock().release()


@pytest.mark.parametrize(("number", "said"), [(1, False), (2, True)])
def test_another_number_of_blas_threads_is_told(number, said, stopped, monkeypatch, capsys):
    header, arrays = read_npz(stopped, "checkpoint")
    for name in "common.trainer.threads", "common.storage.checkpoint.threads":
        monkeypatch.setattr(name, lambda: number)
    write_npz(stopped, header | {"threads": 1}, arrays)
    capsys.readouterr()
    fit(stopped, resume=True)
    note = f"{stopped}: the run had 1 threads of BLAS, and has 2 now; results may differ"
    assert (note in capsys.readouterr().out) == said
    assert read_npz(stopped, "checkpoint")[0]["threads"] == number


def test_a_checkpoint_of_the_version_before_is_resumed(stopped):
    header, arrays = read_npz(stopped, "checkpoint")
    del header["threads"]
    write_npz(stopped, header, arrays)
    assert outcome(fit(stopped, resume=True)) == outcome(fit(None))


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
