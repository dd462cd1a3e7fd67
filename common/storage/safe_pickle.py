"""Reading the book's old pickles without executing them.

Unpickling calls whatever the file names. This reader knows NumPy arrays and Python's own lists,
dictionaries, texts and numbers, and refuses the rest.
"""

import pickle
from pathlib import Path
from typing import Any, ClassVar


def read_pickle(path: str | Path) -> Any:
    """The object in a pickle file made of NumPy arrays and plain Python values.

    Raises ValueError if the pickle asks for anything else (which is then not called) or is damaged,
    OSError if the file cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            return _ArrayUnpickler(file).load()
        except ValueError:
            raise
        except Exception as error:  # a damaged pickle can raise almost anything
            raise ValueError(f"not a readable weight file ({error!r})") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Builds NumPy arrays and plain values; what else a pickle asks for is refused."""

    allowed: ClassVar = {
        (module, name)
        for package in ("numpy.core", "numpy._core")
        for module, name in (
            (f"{package}.multiarray", "_reconstruct"),
            (f"{package}.numeric", "_frombuffer"),
        )
    } | {("numpy", "ndarray"), ("numpy", "dtype")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 spells bytes
            return _latin1
        if (module, name) not in self.allowed:
            raise ValueError(f"refused: the pickle wants to call {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"refused: the pickle wants the encoding {encoding}")
    return text.encode("latin1")
