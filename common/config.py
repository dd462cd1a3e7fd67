"""Library-wide settings, read and written as attributes of this module.

    from common import config
    config.GPU = True       # CuPy from here on; False goes back to NumPy

GPU  whether `common.np.np` is CuPy. The environment variable DLFS2_GPU (0 or 1) sets its first
     value. Setting it raises ImportError where CuPy is missing, and NumPy stays in place.
     Source: book 1.5.3.
"""

import sys
import types

from common.np import np, use


class _Config(types.ModuleType):
    @property
    def GPU(self) -> bool:
        return np.__name__ == "cupy"

    @GPU.setter
    def GPU(self, on: bool) -> None:
        use("cupy" if on else "numpy")


sys.modules[__name__].__class__ = _Config
