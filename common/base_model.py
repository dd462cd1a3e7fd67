"""What models share: saving and loading of weights, and layers in a row.

A weight file is `.npz`: one array per parameter under a name of its own, and a JSON header with
the class, the shapes and the library's version. The book's old files, a pickled list of float16
arrays, are read as well, by an unpickler that can build NumPy arrays and nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import recursive_repr
from textwrap import indent
from types import MappingProxyType
from typing import Any, ClassVar

import numpy
from numpy.typing import DTypeLike

from common import __version__
from common.gradients import distinct, owner
from common.layers import Layer, describe, listed
from common.np import Array, np, to_cpu
from common.storage.files import read_npz, write_npz
from common.storage.safe_pickle import read_pickle


class Network:
    """What is made of layers: a model, or a part of one such as an encoder.

    layers         whose parameters and gradients, in their order, become those of the network
    params, grads  lists of arrays of any shape, which go together by position

    Its repr shows the number of parameters, shared ones once, and a line for each layer:

        Rnnlm: 2,090,400 parameters, float32
          TimeEmbedding(W (10000, 100))
          TimeLSTM(Wx (100, 400), Wh (100, 400), b (400,))
          TimeAffine(W (100, 10000), b (10000,))

    The lines are those of `layers`; without such a list, or where a part is a Network itself, those
    of the attributes that have parameters. Nothing is read from an array but its shape and dtype.
    """

    def __init__(self, layers: Sequence[Any] = ()) -> None:
        self.layers = list(layers)
        self.params: list[Array] = [p for layer in self.layers for p in layer.params]
        self.grads: list[Any] = [g for layer in self.layers for g in layer.grads]

    @recursive_repr()
    def __repr__(self) -> str:
        arrays = distinct([p for p in listed(self, "params") if hasattr(p, "base")])
        dtypes = sorted({str(p.dtype) for p in arrays})
        title = ", ".join([f"{sum(p.size for p in arrays):,} parameters", *dtypes])
        lines = [f"{type(self).__name__}: {title}"]
        for part in self._parts():
            ours = isinstance(part, Layer | Network)  # else a repr that might show whole arrays
            lines.append(indent(repr(part) if ours else describe(part), "  "))
        return "\n".join(lines)

    def _parts(self) -> list[Any]:
        layers, held = listed(self, "layers"), dict[int, Any]()
        for value in vars(self).values():
            parts = value if isinstance(value, list) else [value]
            if parts is not layers:
                held |= {id(part): part for part in parts if listed(part, "params")}
        nested = any(isinstance(part, Network) for part in held.values())
        return list(held.values()) if nested or not layers else layers


class BaseModel(Network):
    """A model: lists `params` and `grads`, and the methods that every model answers to.

    weights_of  the class in whose name this one writes weight files, if it is not itself: that of a
                model to which it adds no weights. Files of all classes it inherits from are read
    options     settings that a weight file keeps, since with others its weights mean another model
    divisible   whether copies may share the work (`DataParallel`), as of a batch of `Trainer`: the
                loss is a mean over samples (`loss_terms`) that have nothing to do with each other,
                nor with the batch before, `backward` takes a factor dout, weights are used as they
                stand in `params`, and nothing is drawn. A class says so of itself, not of those
                derived from it, which may add dropout, whose masks must not be the same for each
                part
    Source: book 6.4, 7.3.
    """

    weights_of: ClassVar[str | None] = None
    options: Mapping[str, Any] = MappingProxyType({})
    divisible: ClassVar[bool] = False

    def forward(self, *args: Any) -> Array:
        """The loss, a scalar in nats, of one batch; a model says of which arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *args: Any) -> Any:
        """Fill `grads` with the gradients of the last forward's loss, times dout where given."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def loss_terms(self, t: Array) -> int:
        """How many terms the mean loss has, given labels t (N, ...): N, unless a model says else.

        Where it is divisible, parts of a batch are put together again by this.
        """
        return len(t)

    def save_params(
        self,
        file_name: str | Path | None = None,
        *,
        dtype: DTypeLike = "float32",
        vocab: Mapping[str, int] | None = None,
    ) -> None:
        """Write all parameters to `file_name` (default: <class name>.npz in the current folder).

        dtype  float32, or float16 for half the size and three digits, or float64
        vocab  the ids of words or characters, kept in the file for `load_params` to compare
        The file appears whole or not at all: it is written under another name and renamed.
        Raises ValueError for another dtype, or weights that are not finite in it, and OSError if
        the file cannot be written.
        """
        path = Path(file_name or self._default_file())
        if numpy.dtype(dtype).name not in ("float16", "float32", "float64"):
            raise ValueError(f"{type(self).__name__}.save_params: dtype must be float, not {dtype}")
        with numpy.errstate(over="ignore"):  # told below
            arrays = {name: to_cpu(p).astype(dtype) for name, p in self._weights().items()}
        for name, a in arrays.items():
            if not numpy.isfinite(a).all():
                raise ValueError(
                    f"{type(self).__name__}.save_params: {name} is not finite as {a.dtype}"
                )
        header = {
            "class": self._weights_class(),
            "shapes": {name: a.shape for name, a in arrays.items()},
            "options": dict(self.options),
            "vocab": None if vocab is None else _by_id(vocab),
            "dlfs2": __version__,
        }
        write_npz(path, header, arrays)

    def load_params(
        self, file_name: str | Path | None = None, *, vocab: Mapping[str, int] | None = None
    ) -> None:
        """Copy the parameters of `file_name` into this model's arrays, in place.

        Reads what `save_params` wrote and the book's pickled lists; which of the two a file is, its
        content tells. A name that does not exist is tried with `.npz` and `.pkl` exchanged.
        Class, names, shapes and dtypes are compared first, so a model is never half loaded.
        vocab  ids that the model will be used with, compared with those in the file, if it has any
        Raises FileNotFoundError, or ValueError if the file is damaged, of another model, or for
        another vocabulary.
        """
        path = _existing(Path(file_name or self._default_file()))
        zipped = _is_zip(path)
        try:
            arrays = self._read_npz(path, vocab) if zipped else _read_pickle(path)
            params = [*self._weights().values()] if zipped else self.params
            self._check(arrays, params)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}.load_params: {path}: {error}") from error
        for p, a in zip(params, arrays, strict=True):
            p[...] = np.asarray(a.astype(p.dtype))

    def param_names(self) -> list[str]:
        """A name for each entry of `params`: number and class of its layer, number in the layer."""
        names = [
            f"{i}.{type(layer).__name__}.{k}"
            for i, layer in enumerate(getattr(self, "layers", []))
            for k in range(len(layer.params))
        ]
        if len(names) != len(self.params):
            return [f"params.{k}" for k in range(len(self.params))]
        return names

    def _weights(self) -> dict[str, Array]:
        """Every weight once, by name; of shared ones the first."""
        once: dict[int, tuple[str, Array]] = {}
        for name, p in zip(self.param_names(), self.params, strict=True):
            once.setdefault(id(owner(p)), (name, p))
        return dict(once.values())

    def _default_file(self) -> str:
        return f"{self._weights_class()}.npz"

    def _weights_class(self) -> str:
        return self.weights_of or type(self).__name__

    def _read_npz(self, path: Path, vocab: Mapping[str, int] | None) -> list[Array]:
        header, content = read_npz(path, "weight file")
        if header.get("class") not in [c.__name__ for c in type(self).__mro__]:
            raise ValueError(f"holds the weights of {header.get('class')}")
        options = header.get("options", {})
        if options and options != dict(self.options):
            raise ValueError(f"belongs to a model with {options}, not {dict(self.options)}")
        names = list(self._weights())
        if list(content) != names:
            raise ValueError(f"holds the arrays {list(content)}, the model needs {names}")
        if vocab is not None and header.get("vocab") is not None:
            known = header["vocab"]
            for i, name in enumerate(known):
                if vocab.get(name) != i:
                    here = vocab.get(name)
                    raise ValueError(f"is for a vocabulary where {name!r} is {i}, not {here}")
            if len(vocab) != len(known):
                raise ValueError(f"is for a vocabulary of {len(known)}, not of {len(vocab)}")
        return list(content.values())

    def _check(self, arrays: list[Array], params: list[Array]) -> None:
        for a in arrays:
            if not isinstance(a, numpy.ndarray) or a.dtype.kind != "f":
                kind = a.dtype if isinstance(a, numpy.ndarray) else type(a).__name__
                raise ValueError(f"holds {kind} where an array of floats is needed")
        shapes, needed = [a.shape for a in arrays], [p.shape for p in params]
        if shapes != needed:
            raise ValueError(f"holds arrays of shapes {shapes}, the model needs {needed}")


class Chain(BaseModel):
    """A model made of layers in a row, with a loss layer at the end.  Source: book 1.4.2, 6.4.

    layers      each one's output is the next one's input
    loss_layer  compares the scores of the last one with the labels
    """

    def __init__(self, layers: list[Any], loss_layer: Any) -> None:
        super().__init__(layers)
        self.loss_layer = loss_layer

    def predict(self, x: Array) -> Array:
        """The scores (N, ..., C) that the last layer gives for the inputs x (N, ...)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def forward(self, x: Array, t: Array) -> Array:
        """The loss, a scalar, of the scores for x (N, ...), given the labels t (N, ...)."""
        return self.loss_layer.forward(self.predict(x), t)

    def backward(self, dout: float = 1) -> Array:
        """Fill `grads` for the last forward -> the gradient of its x (N, ...); None for ids."""
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays, of any shape, of a file that `save_params` wrote; of another file, none.

    What they tell is enough to build the model that `load_params` then fills.
    Raises FileNotFoundError, or ValueError if the file is damaged.
    """
    path = _existing(path)
    if not _is_zip(path):
        return {}, {}
    try:
        return read_npz(path, "weight file")
    except ValueError as error:
        raise ValueError(f"read_weights: {path}: {error}") from error


def find_weights(name: str, shipped: Path | None, trained_by: str) -> Path:
    """The weight file of a class: in the current folder (.npz or .pkl), else in the shipped one.

    Raises FileNotFoundError, which says what trains it, if it is in neither.
    """
    places = [
        Path(f"{name}.npz"),
        Path(f"{name}.pkl"),
        *([shipped / f"{name}.npz"] if shipped else []),
    ]
    for path in places:
        if path.exists():
            return path
    raise FileNotFoundError(f"there is no {name}.npz here; python -m {trained_by} trains one")


def _by_id(vocab: Mapping[str, int]) -> list[str]:
    """The words of a vocabulary in the order of their ids; ValueError unless those are 0..V-1."""
    words = sorted(vocab, key=vocab.__getitem__)
    if [vocab[word] for word in words] != [*range(len(words))]:
        raise ValueError(f"save_params: the ids of a vocabulary are 0..{len(words) - 1}, each once")
    return words


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _existing(path: Path) -> Path:
    """`path`, or its twin with the other ending where only that one exists."""
    other = {".npz": ".pkl", ".pkl": ".npz"}.get(path.suffix)
    if not path.exists() and other and path.with_suffix(other).exists():
        return path.with_suffix(other)
    if not path.exists():
        raise FileNotFoundError(f"load_params: there is no weight file {path}")
    return path


def _read_pickle(path: Path) -> list[Array]:
    arrays = read_pickle(path)
    if not isinstance(arrays, list):
        raise ValueError(f"holds a {type(arrays).__name__}, not the list of arrays of a model")
    return arrays
