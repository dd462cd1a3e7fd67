"""Weight files: an `.npz` with one named array per parameter, and a header for JSON.

The header tells the class, the settings that build the model again, the shapes, the vocabulary and
the library's version. The book's old files, a pickled list of float16 arrays, are read as well,
without executing them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import DTypeLike

from common import __version__
from common.network import named_params
from common.np import Array, np, to_cpu
from common.storage.files import is_npz, read_npz, read_npz_header, write_npz
from common.storage.safe_pickle import read_pickle

__all__ = ["check_class", "fill", "find_weights", "is_pickle", "read", "save", "trained_on"]


def save(
    model: Any, path: Path, *, dtype: DTypeLike = "float32", vocab: Mapping[str, int] | None = None
) -> None:
    """Write the weights of a model, see `BaseModel.save_params`."""
    who = f"{type(model).__name__}.save_params"
    if numpy.dtype(dtype).name not in ("float16", "float32", "float64"):
        raise ValueError(f"{who}: dtype must be float, not {dtype}")
    with numpy.errstate(over="ignore"):  # told below
        arrays = {name: to_cpu(p).astype(dtype) for name, p in named_params(model).items()}
    for name, a in arrays.items():
        if not numpy.isfinite(a).all():
            raise ValueError(f"{who}: {name} is not finite as {a.dtype}")
    header = {
        "class": model.weights_class(),
        "settings": dict(model.settings),
        "shapes": {name: a.shape for name, a in arrays.items()},
        "vocab": None if vocab is None else words_by_id(vocab),
        "trained_on": dict(getattr(model, "trained_on", {})),
        "dlfs2": __version__,
    }
    write_npz(path, header, arrays)


def read(path: Path) -> tuple[dict[str, Any], Any]:
    """Header and arrays by name of a weight file; of the book's pickle {} and a list of arrays.

    The header has the settings that build the model, also where version 0.1.0 wrote the file.
    Raises FileNotFoundError, or ValueError if the file is damaged.
    """
    path = existing(path)
    if not is_npz(path, "weight file"):
        arrays = read_pickle(path)
        if not isinstance(arrays, list):
            raise ValueError(f"holds a {type(arrays).__name__}, not the list of arrays of a model")
        return {}, arrays
    header, content = read_npz(path, "weight file")
    old = header.get("options", {})
    settings, words = header.setdefault("settings", {}), header.get("vocab")
    if not isinstance(old, dict) or not isinstance(settings, dict):
        raise ValueError("not a readable weight file (its settings)")
    if not isinstance(header.get("class"), str):
        raise ValueError("not a readable weight file (its class)")
    if not isinstance(words, list | None) or not all(isinstance(w, str) for w in words or []):
        raise ValueError("not a readable weight file (its vocabulary)")
    if not isinstance(header.get("trained_on", {}), dict):
        raise ValueError("not a readable weight file (what it was trained on)")
    if not settings:
        header["settings"] = settings_of_version_0_1_0(header, content) | old
    return header, content


def fill(
    model: Any, header: Mapping[str, Any], content: Any, vocab: Mapping[str, int] | None = None
) -> None:
    """Copy what `read` returned into the weights of a model, arrays of any shape, in place.

    Everything is compared before anything is changed.
    Raises ValueError for weights of another model, or for another vocabulary.
    """
    if header:
        check_header(model, header, vocab)
        named = named_params(model)
        if [*content] != [*named] and (not is_old(content) or len(content) != len(named)):
            raise ValueError(f"holds the arrays {[*content]}, the model needs {[*named]}")
        params, arrays = [*named.values()], [*content.values()]
    else:
        params, arrays = model.params, content
    for p, a in zip(params, converted(arrays, params), strict=True):
        p[...] = np.asarray(a)


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


def is_old(content: Mapping[str, Array]) -> bool:
    """Whether version 0.1.0 wrote these arrays, of any shape, with names such as 1.TimeLSTM.0.

    Each is place and class of a layer, and place in the layer. The order of arrays is today's.
    """
    return all(re.fullmatch(r"\d+\.\w+\.\d+|params\.\d+", name) for name in content)


def settings_of_version_0_1_0(
    header: Mapping[str, Any], content: Mapping[str, Array]
) -> dict[str, Any]:
    """What builds the model of a file whose header has no settings; {} where nobody can tell.

    V, D and H are told by its embedding W (V, D) and the last of its recurrent Wh (H, kH).
    """
    recurrent = [name for name in content if re.fullmatch(r"\d+\.Time(RNN|LSTM|GRU)\.1", name)]
    embedding = content.get("0.TimeEmbedding.0")
    if not recurrent or embedding is None or embedding.ndim != 2:
        return {}
    (V, D), H = embedding.shape, len(content[recurrent[-1]])
    layers = {"num_layers": len(recurrent)} if header.get("class") == "BetterRnnlm" else {}
    return {"vocab_size": V, "wordvec_size": D, "hidden_size": H} | layers


def check_class(model_class: type, header: Mapping[str, Any]) -> None:
    """Raise ValueError unless the class, or one that it inherits from, wrote the file."""
    if header and header.get("class") not in [c.__name__ for c in model_class.__mro__]:
        raise ValueError(f"holds the weights of {header.get('class')}")


def check_header(model: Any, header: Mapping[str, Any], vocab: Mapping[str, int] | None) -> None:
    """Raise ValueError for a file of another class, with other settings or for another vocabulary.

    Only those settings count with which the same weights mean another model.
    """
    check_class(type(model), header)
    there = header["settings"]
    here = {name: model.settings[name] for name in model.fixed if name in model.settings}
    shown = {name: there[name] for name in here if name in there}
    if shown != {name: here[name] for name in shown}:
        raise ValueError(f"belongs to a model with {shown}, not {here}")
    if vocab is not None and header.get("vocab") is not None:
        check_vocabulary(header["vocab"], vocab, header.get("trained_on", {}))


def check_vocabulary(
    known: list[str], vocab: Mapping[str, int], trained_on: Mapping[str, Any]
) -> None:
    """Raise ValueError unless the words of a file have their places for ids in a vocabulary.

    trained_on  names the text of the file, if anything does: the flag of a script
    """
    wrong = next((i for i, word in enumerate(known) if vocab.get(word) != i), None)
    if wrong is not None:
        problem = f"where {known[wrong]!r} is {wrong}, not {vocab.get(known[wrong])}"
    elif len(vocab) != len(known):
        problem = f"of {len(known)}, not of {len(vocab)}"
    else:
        return
    for flag in ("corpus", "data"):
        if flag in trained_on:
            name = trained_on[flag]
            raise ValueError(
                f"these weights are of {flag} {name}: add `--{flag} {name}`, or train again if it "
                f"has changed (they are for a vocabulary {problem})"
            )
    raise ValueError(f"is for a vocabulary {problem}")


def converted(arrays: list[Array], params: list[Array]) -> list[Array]:
    """The arrays, of any shape, in the dtypes of the parameters, if those could hold them.

    Raises ValueError unless they are arrays of floats, of the shapes of the parameters, and finite
    in their dtypes: 1e300 is infinite in float32.
    """
    for a in arrays:
        if not isinstance(a, numpy.ndarray) or a.dtype.kind != "f":
            kind = a.dtype if isinstance(a, numpy.ndarray) else type(a).__name__
            raise ValueError(f"holds {kind} where an array of floats is needed")
    shapes, needed = [a.shape for a in arrays], [p.shape for p in params]
    if shapes != needed:
        raise ValueError(f"holds arrays of shapes {shapes}, the model needs {needed}")
    with numpy.errstate(over="ignore"):  # told below
        found = [a.astype(p.dtype, copy=False) for a, p in zip(arrays, params, strict=True)]
    for k, a in enumerate(found):
        if not numpy.isfinite(a).all():
            raise ValueError(f"holds a number that is not finite as {a.dtype}, in array {k}")
    return found


def words_by_id(vocab: Mapping[str, int]) -> list[str]:
    """The words of a vocabulary in the order of their ids; ValueError unless those are 0..V-1."""
    words = sorted(vocab, key=vocab.__getitem__)
    if [vocab[word] for word in words] != [*range(len(words))]:
        raise ValueError(f"save_params: the ids of a vocabulary are 0..{len(words) - 1}, each once")
    return words


def trained_on(path: Path) -> dict[str, Any]:
    """How the text of a weight file was read, see `BaseModel`; {} where the file does not tell.

    Raises FileNotFoundError, or ValueError if the file is damaged.
    """
    if is_pickle(path):
        return {}
    try:
        told = read_npz_header(existing(path), "weight file").get("trained_on", {})
        if not isinstance(told, dict):
            raise ValueError("not a readable weight file (what it was trained on)")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return told


def is_pickle(path: Path) -> bool:
    """Whether a weight file is one of the book's, which tell neither class nor sizes.

    Raises FileNotFoundError, or ValueError, which names the file, if it is no weight file.
    """
    try:
        return not is_npz(existing(path), "weight file")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def existing(path: Path) -> Path:
    """`path`, or its twin with the other ending where only that one exists."""
    other = {".npz": ".pkl", ".pkl": ".npz"}.get(path.suffix)
    if not path.exists() and other and path.with_suffix(other).exists():
        return path.with_suffix(other)
    if not path.exists():
        raise FileNotFoundError(f"load_params: there is no weight file {path}")
    return path
