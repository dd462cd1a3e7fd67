"""Chapter 2: word vectors from counts."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
