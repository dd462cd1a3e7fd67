"""Layers, optimizers, trainers and text tools shared by the chapters."""

import sys

__version__ = "0.2.0"
COMMON = "dlfs2"  # which the chapters ask for: other packages have the name `common` too

if sys.version_info < (3, 11):  # noqa: UP036 - run from a folder, nothing else has looked yet
    version = ".".join(str(part) for part in sys.version_info[:2])
    raise ImportError("dlfs2 needs Python 3.11 or newer; this is Python " + version)
