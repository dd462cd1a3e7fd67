"""Layers, optimizers, trainers and text tools shared by the chapters."""

import os
import sys

__version__ = "0.2.0"

if sys.version_info < (3, 11):  # noqa: UP036 - run from a folder, nothing else has looked yet
    version = ".".join(str(part) for part in sys.version_info[:2])
    raise ImportError("dlfs2 needs Python 3.11 or newer; this is Python " + version)

# After a product, OpenBLAS's threads go on asking for work for 30 ms, on cores that others could
# use. This sends them to sleep after less than 1 ms (2^20 clock ticks); NumPy reads it when loaded.
if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
