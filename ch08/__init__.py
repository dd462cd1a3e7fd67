"""Chapter 8: attention."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
