"""Checkpoints: a training run in one file, to go on with as if nothing had happened.

A run is made of numbers, texts, arrays and random generators, in lists and dictionaries. The arrays
become arrays of an `.npz`, the rest its JSON header; nothing is pickled.

What is drawn from NumPy's global state is not part of a run. CuPy's generators give away no state:
on a GPU, masks are drawn anew after a resume.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy

from common.gradients import distinct
from common.network import attributes, declared, generators, names_in, set_states, states
from common.np import Array, np, to_cpu
from common.storage.files import read_npz, write_npz

KEYS = {"begun", "finished", "weights", "optimizer", "progress", "states", "generators"}
PLAIN = (type(None), bool, int, float, str)  # what JSON knows
MARKS = ({"array"}, {"pairs"})  # keys by which the header tells what JSON does not know


class Checkpoint:
    """The file of one training run: a trainer's weights, optimizer, state and position.

    trainer   has a model, an optimizer, a position `progress`, which is a dictionary, and a random
              generator `rng`, or None
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
            "lr": "a function" if callable(attributes(optimizer).get("lr")) else "a number",
            **{k: v for k, v in kept(optimizer).items() if isinstance(v, int | float)},
            **{k: digest(v) if hasattr(v, "dtype") else v for k, v in settings.items()},
            **declared(model).settings,
            "first weights (seed)": digest(
                distinct(model.params), kept(optimizer), states(model), drawing(trainer)
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
            "states": states(trainer.model),
            "generators": drawing(trainer),
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
        rngs, layers = drawing(trainer), states(trainer.model)
        shapes = [getattr(saved, "shape", None) for saved in run["weights"]]
        if (
            len(rngs) != len(run["generators"])
            or names_in(layers) != names_in(run["states"])
            or shapes != [p.shape for p in weights]
            or set(run["progress"]) != set(trainer.progress)
        ):
            raise self._refuse("does not hold what this model needs")
        for p, saved in zip(weights, run["weights"], strict=True):
            p[...] = saved.astype(p.dtype)
        set_states(trainer.model, run["states"])
        for rng, state in zip(rngs, run["generators"], strict=True):
            rng.bit_generator.state = state
        attributes(trainer.optimizer).update(run["optimizer"])
        self.begun, trainer.progress = run["begun"], run["progress"]

    def _read(self) -> dict[str, Any]:
        try:
            header, arrays = read_npz(self.path, "checkpoint")
            on_device = {name: np.asarray(a) for name, a in arrays.items()}
            run: dict[str, Any] = {  # a trainer keeps its place on the host
                name: _unpack(value, arrays if name == "progress" else on_device)
                for name, value in header.items()
            }
            if run.keys() != KEYS or not isinstance(run["begun"], dict):
                raise ValueError("not a readable checkpoint (of this version)")
            return run
        except (ValueError, KeyError, TypeError) as error:
            raise self._refuse(str(error)) from error

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self.trainer).__name__}.fit: {self.path}: {problem}")


def drawing(trainer: Any) -> list[numpy.random.Generator]:
    """The random generators of a run: the trainer's own, if it has one, and those of the layers."""
    own = [] if trainer.rng is None else [trainer.rng]
    return own + [rng for rng in generators(trainer.model) if rng is not trainer.rng]


def kept(optimizer: Any) -> dict[str, Any]:
    """The attributes of an optimizer: ours, or one typed from the book.

    A function that gives the learning rate is left out: whoever resumes the run gives it again.
    """
    return {k: v for k, v in attributes(optimizer).items() if k != "lr" or not callable(v)}


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
