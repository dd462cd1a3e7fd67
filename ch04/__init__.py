"""Chapter 4: word2vec, fast."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
