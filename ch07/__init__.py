"""Chapter 7: generating text, and from sequence to sequence."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
