"""Chapter 6: gated recurrent networks."""

import common  # noqa: F401 - before NumPy, whose threads it tells how to wait
