"""Chapter 3: word2vec, the simple version."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
