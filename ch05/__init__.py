"""Chapter 5: recurrent networks."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
