"""Chapter 1: neural networks in review."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
