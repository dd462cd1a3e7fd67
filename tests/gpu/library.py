"""CuPy, or the strict stand-in for it where no GPU can be used."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from common.np import np, use
from tests import cupy_stand_in


def has_gpu() -> bool:
    """Whether CuPy is installed and finds a GPU."""
    try:
        importlib.import_module("cupy").zeros(1)
    except Exception:  # CuPy has errors of its own
        return False
    return True


@contextmanager
def computing(library: str, real: bool) -> Iterator[None]:
    """Within it `library` computes: "numpy", or "cupy", which is the stand-in unless `real`."""
    here = nullcontext() if real or library == "numpy" else cupy_stand_in.install()
    with here:
        use(library)
        try:
            yield
        finally:
            use("numpy")


def wait() -> None:
    """Wait until the GPU, if there is one, has done all it was told."""
    if np.__name__ == "cupy":
        np.cuda.Device().synchronize()


def about(real: bool) -> dict[str, Any]:
    """The machine and the libraries, by name."""
    import os
    import platform

    import numpy

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "NumPy": numpy.__version__,
        "GPU": "none: the strict stand-in for CuPy",
    }
    if real:
        cupy = importlib.import_module("cupy")
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
        found |= {"CuPy": cupy.__version__, "GPU": name.decode()}
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return found
    found["PyTorch"] = torch.__version__
    if torch.cuda.is_available():
        found |= {
            "cuDNN": torch.backends.cudnn.version(),
            "TF32 in PyTorch's products": torch.backends.cuda.matmul.allow_tf32,
            "TF32 in cuDNN": torch.backends.cudnn.allow_tf32,
        }
    return found
