"""Checkpoints: a training run in one file, to go on with as if nothing had happened.

A run is made of numbers, texts, arrays and the states of random generators, in lists, tuples and
dictionaries. The arrays become arrays of an `.npz`, the rest its JSON header; nothing is pickled.

What is drawn from NumPy's global state is not part of a run. CuPy's generators give away no state:
on a GPU, masks are drawn anew after a resume.
"""

import hashlib
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy

from common.cores.parallel import threads
from common.gradients import RowSparse, distinct, remove_duplicate
from common.network import (
    States,
    attributes,
    declared,
    flattened,
    generators,
    is_array,
    set_states,
    states,
    twin_of,
)
from common.np import Array, np, to_cpu
from common.storage.files import (
    expanded,
    hidden,
    read_npz,
    remove_leftovers,
    try_to_write,
    write_npz,
)

__all__ = ["Checkpoint", "digest", "kept", "unlike"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

KEYS = {"begun", "finished", "weights", "optimizer", "progress", "states", "generators", "threads"}
ON_DEVICE = {"weights", "optimizer", "states"}  # a trainer keeps its place on the host
MARKS = ({"array"}, {"pairs"}, {"tuple"}, {"scalar"})  # keys that tell what JSON does not know
PLAIN = (type(None), bool, int, float, str)
DEEPEST = 50  # lists and dictionaries in one another
NUMERIC = "biuf"  # kinds of dtypes: bool, int, unsigned, float
NUMBERS = "list of numbers"
# In the state of a bit generator; NumPy would take more, and read beyond its arrays.
LARGEST = {"has_uint32": 1, "uinteger": 2**32 - 1, "pos": 624, "buffer_pos": 4}


class Checkpoint:
    """The file of one training run: a trainer's weights, optimizer, state and position.

    trainer   has a model, an optimizer, a position `progress`, which is a dictionary, with
              `progress_like` to compare it with, a random generator `rng`, or None, and a batch to
              try, `example`
    settings  what a run must have in common to be the same run; arrays count by their content

    Raises TypeError if the optimizer holds something that the file cannot.
    """

    def __init__(self, path: str | Path, trainer: Any, settings: dict[str, Any]) -> None:
        self.path, self.trainer = expanded(path), trainer
        model, optimizer = trainer.model, trainer.optimizer
        self.begun = {
            "trainer": type(trainer).__name__,
            "model": type(model).__name__,
            "shapes of the weights": [list(p.shape) for p in distinct(model.params)],
            "optimizer": type(optimizer).__name__,
            "lr": "a function" if callable(attributes(optimizer).get("lr")) else "a number",
            **{k: v for k, v in kept(optimizer).items() if isinstance(v, int | float)},
            **{k: digest(v) if hasattr(v, "dtype") else v for k, v in settings.items()},
            **declared(model).settings,
            "first weights (seed)": digest(
                distinct(model.params), kept(optimizer), states(model), drawn(trainer)
            ),
        }

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it no other run can use the file; what killed saves left is removed.

        A lock on a file beside it, which the system takes back from a run that is killed.
        Raises ValueError if another run has it, OSError if a save could not succeed.
        """
        if not self.path.parent.is_dir():  # `begin` and `resume` say so
            yield
            return
        try_to_write(self.path)
        lock, _ = hidden(self.path, "lock")
        file = locked(lock)
        if file is None:
            raise self._refuse("another run, which is not over, uses this file")
        try:
            remove_leftovers(self.path)
            yield
        finally:
            if sys.platform == "win32":  # where open files cannot be removed
                file.close()
            with suppress(OSError):
                lock.unlink()
            file.close()

    def save(self, finished: bool) -> None:
        """Write the run as it stands; an older file stays until the new one is whole.

        Raises TypeError for what could not be read back as it is, ValueError for what `resume`
        would not take, OSError if the file cannot be written; the older one stays then.
        """
        trainer, arrays = self.trainer, dict[str, Array]()
        run = {
            "begun": self.begun,
            "finished": finished,
            "weights": distinct(trainer.model.params),
            "optimizer": kept(trainer.optimizer),
            "progress": trainer.progress,
            "states": states(trainer.model),
            "generators": drawn(trainer),
            "threads": threads(),
        }
        header = _pack(run, "run", arrays)
        self._compare(run)
        write_npz(self.path, header, arrays)

    def begin(self, *, overwrite: bool = False) -> None:
        """Make sure that no unfinished run is lost by a new one, unless it may be.

        Raises ValueError if the file exists and is anything but a finished run, or if its folder
        does not exist.
        """
        if not self.path.parent.is_dir():
            raise self._refuse("there is no such folder")
        if not overwrite and self.path.exists() and not self._read()["finished"]:
            raise self._refuse(
                "holds a run that is not finished; resume it, or delete the file to begin anew"
            )

    def resume(self) -> int:
        """Put the trainer, its model and its optimizer where the file says the run was.

        Returns how many threads of BLAS the run had: with another number, results differ in their
        last digits.
        Raises ValueError, with nothing changed, if the file is damaged or of another run,
        FileNotFoundError if there is none.
        """
        if not self.path.exists():
            name = type(self.trainer).__name__
            raise FileNotFoundError(f"{name}.fit: there is no checkpoint {self.path} to resume")
        run, trainer = self._read(), self.trainer
        self._compare_begun(run)
        self._compare(run)
        self._try_settings(run["optimizer"])
        self._try_states(run["states"])
        self._try_generators(run["generators"])

        # Everything has been looked at: from here on nothing fails.
        for p, saved in zip(distinct(trainer.model.params), run["weights"], strict=True):
            p[...] = saved
        set_states(trainer.model, run["states"])
        for rng, state in zip(drawing(trainer), run["generators"], strict=True):
            rng.bit_generator.state = state
        attributes(trainer.optimizer).update(run["optimizer"])
        self.begun, trainer.progress = run["begun"], run["progress"]
        count: int = run["threads"]
        return count

    # --- Is it this run? -------------------------------------------------------------------------

    def _compare_begun(self, run: dict[str, Any]) -> None:
        """Refuse a file of another run."""
        here, there = self.begun, run["begun"]
        moved_on: set[str] = set()
        if digest(distinct(self.trainer.model.params)) == digest(run["weights"]):
            # the interrupted objects themselves, which are not at their beginning any more
            moved_on = {"first weights (seed)", *kept(self.trainer.optimizer)}
        for name in here | there:
            known = name in here and name in there
            same = known and digest(here[name]) == digest(there[name])
            if not same and not (known and name in moved_on):
                raise self._refuse(
                    f"is of another run: {name} is {there.get(name)} there, {here.get(name)} here"
                )

    def _compare(self, run: dict[str, Any]) -> None:
        """Refuse what is of another kind than what the run has here."""
        trainer = self.trainer
        layers = states(trainer.model).items()
        here = {
            "finished": True,
            "weights": distinct(trainer.model.params),
            "optimizer": self._optimizer_like,
            "progress": trainer.progress_like,
            "states": {path: dict.fromkeys(arrays, is_state) for path, arrays in layers},
            "generators": drawn(trainer),
            "threads": 1,
        }
        for name, value in here.items():
            if problem := unlike(run[name], value, name):
                raise self._refuse(f"does not hold what this model needs: {problem}")

    @cached_property
    def _optimizer_like(self) -> dict[str, Any]:
        """What the optimizer keeps after an update, which a copy makes of copies of the weights.

        A whole number that an update leaves as it was is a setting, and may be any number.
        """
        model, twin = self.trainer.model, deepcopy(self.trainer.optimizer)
        before, numbers = dict(kept(twin)), attributes(twin)
        if "lr" not in before and "lr" in numbers:
            numbers["lr"] = 1.0  # the function may count its calls
        params, grads = remove_duplicate(model.params, model.grads)
        with numpy.errstate(all="ignore"):
            twin.update([p.copy() for p in params], [ones_like(g) for g in grads])
        return {
            name: float(value) if type(value) is int and value == before.get(name) else value
            for name, value in kept(twin).items()
            if name in before or name != "lr"
        }

    def _try_settings(self, saved: dict[str, Any]) -> None:
        """Refuse settings with which the optimizer could not have been made."""
        optimizer = self.trainer.optimizer
        here = getattr(optimizer, "settings", None)
        if not isinstance(here, dict):
            return
        try:
            with suppress(TypeError):  # a class of one's own may take other arguments
                type(optimizer)(**{name: saved.get(name, here[name]) for name in here})
        except ValueError as error:
            raise self._refuse(f"holds settings that cannot be: {error}") from error

    def _try_states(self, saved: States) -> None:
        """Refuse states with which a copy of the model cannot go on to a batch."""
        if all(a is None for arrays in saved.values() for a in arrays.values()):
            return
        twin = twin_of(self.trainer.model)
        try:
            with numpy.errstate(all="ignore"):
                twin.forward(*self.trainer.example)
                here = dict(flattened("states", states(twin)))
                set_states(twin, deepcopy(saved))
                loss = float(twin.forward(*self.trainer.example))
        except Exception as error:  # what a model makes of a wrong state is its own affair
            raise self._refuse(f"the model cannot go on with the states there: {error}") from error
        for name, a in flattened("states", saved):
            b = here[name]
            if a is not None and b is not None:
                same = (a.ndim, a.dtype) == (b.ndim, b.dtype)
                if not same or not is_in_range(a, b):
                    raise self._refuse(f"{name} is {kind(a)}, the model makes it {kind(b)}")
        if not math.isfinite(loss):
            raise self._refuse(f"with the states there the loss is {loss}")

    def _try_generators(self, saved: list[dict[str, Any]]) -> None:
        """Refuse the state of a generator that a copy of the generator does not take over."""
        for rng, state in zip(drawing(self.trainer), saved, strict=True):
            twin = deepcopy(rng).bit_generator
            try:
                twin.state = state
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                raise self._refuse(f"holds the state of no generator: {error}") from error
            numbers = {name.rpartition(".")[2]: n for name, n in flattened("state", state)}
            small = all(numbers.get(name, 0) <= most for name, most in LARGEST.items())
            if not small or digest(twin.state) != digest(state):
                raise self._refuse("holds the state of no generator")

    def _read(self) -> dict[str, Any]:
        try:
            header, arrays = read_npz(self.path, "checkpoint")
            on_device = {name: np.asarray(a) for name, a in arrays.items()}
            run: dict[str, Any] = {
                name: _unpack(value, on_device if name in ON_DEVICE else arrays)
                for name, value in header.items()
            }
            run.setdefault("threads", threads())  # which files of older versions lack
            if run.keys() != KEYS or not isinstance(run["begun"], dict):
                raise ValueError("not a readable checkpoint (of this version)")
            _pack(run, "run", {})  # refuses what no run can have written
            return run
        except OSError:
            raise
        except Exception as error:  # a header can be anything
            raise self._refuse(str(error) or type(error).__name__) from error

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self.trainer).__name__}.fit: {self.path}: {problem}")


def drawing(trainer: Any) -> list[numpy.random.Generator]:
    """The random generators of a run: the trainer's own, if it has one, and those of the layers."""
    own = [] if trainer.rng is None else [trainer.rng]
    return own + [rng for rng in generators(trainer.model) if rng is not trainer.rng]


def drawn(trainer: Any) -> list[dict[str, Any]]:
    """The states of these generators."""
    return [dict(rng.bit_generator.state) for rng in drawing(trainer)]


def kept(optimizer: Any) -> dict[str, Any]:
    """The attributes of an optimizer: ours, or one typed from the book.

    A function that gives the learning rate is left out: whoever resumes the run gives it again.
    """
    return {k: v for k, v in attributes(optimizer).items() if k != "lr" or not callable(v)}


def digest(*values: Any) -> str:
    """SHA-256 of arrays and of what else a run may hold: equal for equal content."""
    arrays: dict[str, Array] = {}
    sha = hashlib.sha256(repr(_pack([*values], "value", arrays)).encode())
    for a in arrays.values():
        sha.update(repr((a.shape, a.dtype.str)).encode())
        sha.update(numpy.ascontiguousarray(a).data)
    return sha.hexdigest()[:16]


# --- Values as JSON and arrays -------------------------------------------------------------------


def _pack(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """`value` as JSON can hold it, with the arrays put aside by name; `_unpack` is the inverse.

    Raises TypeError, with its name, for what would come back as something else.
    """
    if type(value) in PLAIN:
        return value
    if name.count(".") > DEEPEST:
        raise TypeError(f"a checkpoint cannot hold {name}: it is nested too deeply")
    if type(value) in (list, tuple):
        parts = [_pack(part, f"{name}.{k}", arrays) for k, part in enumerate(value)]
        return parts if type(value) is list else {"tuple": parts}
    if type(value) is dict:
        packed = {}
        for k, (key, part) in enumerate(value.items()):
            if type(key) not in PLAIN:
                raise TypeError(f"a checkpoint cannot hold {name}: {key!r}, a key, is no text")
            # Only a simple key becomes part of a name, so that no two arrays have one name.
            simple = isinstance(key, str) and re.fullmatch(r"[A-Za-z_]\w{0,99}", key, re.ASCII)
            packed[key] = _pack(part, f"{name}.{key if simple else k}", arrays)
        plain = all(type(key) is str for key in packed) and packed.keys() not in MARKS
        return packed if plain else {"pairs": [*packed.items()]}
    if isinstance(value, numpy.generic) and value.dtype.kind in NUMERIC and value.itemsize <= 8:
        return {"scalar": [value.dtype.name, value.item()]}
    if type(value) in (numpy.ndarray, np.ndarray) and value.dtype.kind in "biufcSU":
        arrays[name] = to_cpu(value)
        return {"array": name}
    what = f"{type(value).__name__} of {value.dtype}" if is_array(value) else type(value).__name__
    raise TypeError(f"a checkpoint cannot hold {name}, a {what}")


def _unpack(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unpack(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"array"}:
        return arrays[value["array"]]
    if value.keys() == {"tuple"}:
        return tuple(_unpack(part, arrays) for part in value["tuple"])
    if value.keys() == {"scalar"}:
        name, number = value["scalar"]
        if numpy.dtype(name).kind not in NUMERIC:
            raise ValueError(f"{name} is no type of numbers")
        return numpy.dtype(name).type(number)
    if value.keys() == {"pairs"}:
        return {key: _unpack(part, arrays) for key, part in value["pairs"]}
    return {key: _unpack(part, arrays) for key, part in value.items()}


# --- Values of a file, compared with those of a run ----------------------------------------------


def unlike(there: Any, here: Any, name: str) -> str:
    """Where, and how, a value from a file is of another kind than the one here; "" if it is not.

    Of one kind are
        arrays of one shape and dtype
        numbers of one type (a float may be an int), which are finite, and not negative, where the
        one here is; numbers in arrays are finite likewise
        dictionaries with the same keys; lists, and tuples, of one length: all parts of one kind
        lists of numbers, of any length
    None here says nothing of what there may be; a function here says whether it takes the value.
    """
    if callable(here):
        return "" if here(there) else f"{name} is {kind(there)}, which does not fit"
    if here is None:
        return ""
    if kind(there) != kind(here) and not (type(here) is float and type(there) is int):
        return f"{name} is {kind(there)}, not {kind(here)}"
    if not is_in_range(there, here):
        return f"{name} is out of range"
    parts = list[tuple[Any, Any, Any]]()
    if isinstance(here, dict):
        parts = [(key, there[key], here[key]) for key in here]
    elif kind(here) == NUMBERS:
        parts = [(k, part, here[0] if here else part) for k, part in enumerate(there)]
    elif isinstance(here, list | tuple):
        parts = [(k, *pair) for k, pair in enumerate(zip(there, here, strict=True))]
    problems = (unlike(a, b, f"{name}.{key}") for key, a, b in parts)
    return next(filter(None, problems), "")


def kind(value: Any) -> str:
    """What a value is, in words: equal for values of one kind."""
    if isinstance(value, numpy.generic):
        return f"{value.dtype} number"
    if is_array(value):
        return f"{value.dtype} array {value.shape}"
    if isinstance(value, dict):
        return f"dictionary of {', '.join(sorted(map(repr, value)))}"
    if isinstance(value, list) and all(isinstance(part, int | float) for part in value):
        return NUMBERS
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def is_in_range(there: Any, here: Any) -> bool:
    """Whether numbers, or arrays of any shape, stay where the ones here are: finite, not negative.

    A float that is zero here may be negative there. A whole number has 64 bits, as a count has.
    """
    if is_array(here) or isinstance(here, numpy.generic):
        return is_finite(there) or not is_finite(here)
    if isinstance(here, float):
        return (math.isfinite(there) or not math.isfinite(here)) and not there < 0 < here
    if isinstance(here, int):
        return not there < 0 <= here and (abs(there) < 2**63 or abs(here) >= 2**63)
    return True


def is_finite(a: Array) -> bool:
    """Whether no number in an array, of any shape, is infinite or nan."""
    return a.dtype.kind not in "fc" or bool((abs(a) < math.inf).all())


def is_state(a: Any) -> bool:
    """Whether `a` can be the state of a layer, an array of any shape: None is the first one."""
    return a is None or (is_array(a) and a.dtype.kind in NUMERIC)


def ones_like(g: Any) -> Any:
    """A gradient of ones, of the kind and shape of `g`; one row, if it is row-sparse."""
    if not isinstance(g, RowSparse):
        return np.ones_like(g)
    ones = RowSparse(g.shape, g.dtype)
    ones.assign(numpy.zeros(1, int), np.ones((1, g.shape[1]), g.dtype))
    return ones


# --- One run at a time ---------------------------------------------------------------------------


def locked(lock: Path) -> IO[bytes] | None:
    """The file, made and locked until it is closed; None if somebody else has locked it."""
    while True:
        file = lock.open("ab")
        if not _lock(file):
            file.close()
            return None
        try:
            if os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                return file
        except FileNotFoundError:
            pass
        file.close()  # a run that ended has just removed it


def _lock(file: IO[bytes]) -> bool:
    """Whether nobody else has locked it: other processes, and other opened files of this one."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
