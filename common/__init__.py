"""Layers, optimizers, trainers and text tools shared by the chapters."""

import os
import sys

__version__ = "0.1.0"

# After a product, OpenBLAS's threads go on asking for work for 30 ms, on cores that others could
# use. This sends them to sleep after less than 1 ms (2^20 clock ticks); NumPy reads it when loaded.
if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
