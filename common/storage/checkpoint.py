"""Checkpoints: a training run in one file, to go on with as if nothing had happened.

A run is made of numbers, texts, arrays and random generators, in lists and dictionaries. The arrays
become arrays of an `.npz`, the rest its JSON header; nothing is pickled.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy

from common.gradients import distinct
from common.np import Array, np, to_cpu
from common.storage.files import read_npz, write_npz

STATE = ("h", "c")  # what recurrent layers keep from call to call
PLAIN = (type(None), bool, int, float, str)  # what JSON knows
MARKS = ({"array"}, {"pairs"})  # keys by which the header tells what JSON does not know


class Checkpoint:
    """The file of one training run: a trainer's weights, optimizer, state and position.

    trainer   has a model, an optimizer, `rng` (its random generator or None), and `progress`, a
              dictionary that can be read and set
    settings  what a run must have in common to be the same run; arrays count by their content

    Raises TypeError if the optimizer holds something that the file cannot.
    """

    def __init__(self, path: str | Path, trainer: Any, settings: dict[str, Any]) -> None:
        self.path, self.trainer = Path(path), trainer
        model, optimizer = trainer.model, trainer.optimizer
        self.begun = {
            "trainer": type(trainer).__name__,
            "model": type(model).__name__,
            "shapes of the weights": [list(p.shape) for p in distinct(model.params)],
            "optimizer": type(optimizer).__name__,
            "lr": "a function" if callable(getattr(optimizer, "lr", None)) else "a number",
            **{k: v for k, v in kept(optimizer).items() if isinstance(v, int | float)},
            **{k: digest(v) if hasattr(v, "dtype") else v for k, v in settings.items()},
            **getattr(model, "options", {}),
            "first weights (seed)": digest(
                distinct(model.params), kept(optimizer), state_of(model, trainer.rng)
            ),
        }

    def save(self, finished: bool) -> None:
        """Write the run as it stands; an older file stays until the new one is whole.

        Raises OSError if it cannot be written.
        """
        trainer, arrays = self.trainer, dict[str, Array]()
        run = {
            "begun": self.begun,
            "finished": finished,
            "weights": distinct(trainer.model.params),
            "optimizer": kept(trainer.optimizer),
            "progress": trainer.progress,
            "state": state_of(trainer.model, trainer.rng),
        }
        write_npz(self.path, _pack(run, "run", arrays), arrays)

    def begin(self) -> None:
        """Make sure that no unfinished run is lost by a new one.

        Raises ValueError if the file exists and is anything but a finished run, or if its folder
        does not exist.
        """
        if not self.path.parent.is_dir():
            raise self._refuse("there is no such folder")
        if self.path.exists() and not self._read()["finished"]:
            raise self._refuse(
                "holds a run that is not finished; resume it, or delete the file to begin anew"
            )

    def resume(self) -> None:
        """Put the trainer, its model and its optimizer where the file says the run was.

        Raises ValueError, with nothing changed, if the file is damaged or of another run,
        FileNotFoundError if there is none.
        """
        if not self.path.exists():
            name = type(self.trainer).__name__
            raise FileNotFoundError(f"{name}.fit: there is no checkpoint {self.path} to resume")
        run, trainer = self._read(), self.trainer
        weights = distinct(trainer.model.params)
        here, there = self.begun, run["begun"]
        same_objects = digest(weights) == digest(run["weights"])  # those that were interrupted
        moved_on = {"first weights (seed)", *kept(trainer.optimizer)} if same_objects else set()
        for name in here | there:
            if name not in moved_on and here.get(name) != there.get(name):
                raise self._refuse(
                    f"is of another run: {name} is {there.get(name)} there, {here.get(name)} here"
                )
        shapes = [getattr(saved, "shape", None) for saved in run["weights"]]
        if (
            len(state_of(trainer.model, trainer.rng)) != len(run["state"])
            or shapes != [p.shape for p in weights]
            or set(run["progress"]) != set(trainer.progress)
        ):
            raise self._refuse("does not hold what this model needs")
        for p, saved in zip(weights, run["weights"], strict=True):
            p[...] = saved.astype(p.dtype)
        set_state(trainer.model, trainer.rng, values=run["state"])
        vars(trainer.optimizer).update(run["optimizer"])
        self.begun = run["begun"]
        trainer.progress = run["progress"]

    def _read(self) -> dict[str, Any]:
        try:
            header, arrays = read_npz(self.path, "checkpoint")
            on_device = {name: np.asarray(a) for name, a in arrays.items()}
            run: dict[str, Any] = {  # a trainer keeps its place on the host
                name: _unpack(value, arrays if name == "progress" else on_device)
                for name, value in header.items()
            }
            if run.keys() != {
                "begun",
                "finished",
                "weights",
                "optimizer",
                "progress",
                "state",
            } or not isinstance(run["begun"], dict):
                raise ValueError("not a readable checkpoint (of this version)")
            return run
        except (ValueError, KeyError, TypeError) as error:
            raise self._refuse(str(error)) from error

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self.trainer).__name__}.fit: {self.path}: {problem}")


def kept(optimizer: Any) -> dict[str, Any]:
    """What a checkpoint keeps of an optimizer; the script gives a function `lr` again."""
    return {k: v for k, v in vars(optimizer).items() if k != "lr" or not callable(v)}


def moving_parts(thing: Any) -> Iterator[tuple[Any, Any]]:
    """What changes in a model beside its weights, as (owner, attribute), always in one order.

    That is the state of recurrent layers, and NumPy's random generators, wherever they are among
    the attributes (or in a list or dictionary, whose place stands for the attribute). What is drawn
    from NumPy's global state is not part of a run. CuPy's generators give away no state: on a GPU,
    masks are drawn anew.
    """
    waiting, seen = [thing], set()
    for thing in waiting:
        if id(thing) in seen or isinstance(thing, type | ModuleType):
            continue
        seen.add(id(thing))
        inside: Any = thing
        if isinstance(thing, list | tuple):
            inside = dict(enumerate(thing))
        elif not isinstance(thing, dict):
            inside = getattr(thing, "__dict__", {})  # arrays and numbers have none
        for name, value in inside.items():
            generator = isinstance(value, numpy.random.Generator)
            if generator or (name in STATE and hasattr(thing, "reset_state")):
                yield thing, name
            else:
                waiting.append(value)


def state_of(*things: Any) -> list[Any]:
    """The values of their moving parts; of a random generator its state."""
    values = [_get(owner, name) for owner, name in moving_parts(things)]
    generator = numpy.random.Generator
    return [v.bit_generator.state if isinstance(v, generator) else v for v in values]


def set_state(*things: Any, values: list[Any]) -> None:
    """Give the moving parts the values that `state_of` found."""
    for (owner, name), value in zip(moving_parts(things), values, strict=True):
        if isinstance(_get(owner, name), numpy.random.Generator):
            _get(owner, name).bit_generator.state = value
        else:
            setattr(owner, name, value)


def _get(owner: Any, name: Any) -> Any:
    return owner[name] if isinstance(owner, list | tuple | dict) else getattr(owner, name)


def digest(*values: Any) -> str:
    """SHA-256 of arrays and of what else a run may hold: equal for equal content."""
    arrays: dict[str, Array] = {}
    sha = hashlib.sha256(repr(_pack(values, "value", arrays)).encode())
    for a in arrays.values():
        sha.update(repr((a.shape, a.dtype.str)).encode())
        sha.update(numpy.ascontiguousarray(a).data)
    return sha.hexdigest()[:16]


def _pack(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """`value` as JSON can hold it, with the arrays put aside by name."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple):
        return [_pack(part, f"{name}.{k}", arrays) for k, part in enumerate(value)]
    if isinstance(value, dict):
        packed = {
            k: part if isinstance(part, PLAIN) else _pack(part, f"{name}.{k}", arrays)
            for k, part in value.items()
        }
        plain = all(isinstance(k, str) for k in packed) and packed.keys() not in MARKS
        return packed if plain else {"pairs": [*packed.items()]}
    if isinstance(value, numpy.random.Generator):
        return _pack(value.bit_generator.state, name, arrays)
    if hasattr(value, "dtype"):
        arrays[name] = to_cpu(value)
        return {"array": name}
    raise TypeError(f"a checkpoint cannot hold {name}, a {type(value).__name__}")


def _unpack(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unpack(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"array"}:
        return arrays[value["array"]]
    if value.keys() == {"pairs"}:
        return {k: _unpack(part, arrays) for k, part in value["pairs"]}
    return {k: _unpack(part, arrays) for k, part in value.items()}
