"""Codes that tell a layer without recurrence where in a sequence a step is.

N samples of T steps with D numbers each.  Source: book 8.5.2; Vaswani et al. 2017,
https://arxiv.org/abs/1706.03762, 3.5.
"""

from typing import Any

import numpy

from common.checks import checked_mask, floats
from common.gradients import add_rows
from common.layers import Elementwise, Layer
from common.np import Array, np

__all__ = ["LearnedPositions", "Positions", "np"]


class Positions(Elementwise):
    """y[n, t] = scale * x[n, t] + P[p],  p the position of step t.   x (N, T, D) -> y (N, T, D)

    P[p, 2i] = sin(p / 10000^(2i / D)),  P[p, 2i + 1] = cos(the same): waves of growing length,
    of which each step of a fixed distance is a rotation.
    forward(x, mask=None) -> y. Positions are 0, 1, ...; with a mask (N, T), padding has none: they
    are counted over the other steps
    backward(dy) -> dx = scale * dy
    stateful  whether a call goes on counting where the last one stopped; `count` (N,), on the
              host, is the state
    Raises ValueError for x of other dimensions, and a kept state of another batch size.
    Source: book 8.5.2; Vaswani et al. 2017, 3.5.
    """

    def __init__(self, *, scale: float = 1.0, stateful: bool = False) -> None:
        super().__init__()
        self._begin(scale, stateful)

    def _begin(self, scale: float, stateful: bool) -> None:
        self.scale, self.stateful = float(scale), stateful
        self.count: Array = None
        self._waves: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """How many steps came before, (N,) on the host."""
        return {"count": self.count} if self.stateful else {}

    def set_state(self, count: Array = None) -> None:
        """Go on counting from count (N,), an array on the host."""
        self.count = count

    def forward(self, x: Array, mask: Array = None) -> Array:
        x = floats(self, x, self._dtype())
        if x.ndim != 3:
            raise self._refuse(f"input must be (N, T, D), not {x.shape}")
        N, T, D = x.shape
        if self.count is not None and len(self.count) != N:
            raise self._refuse(
                f"the kept count is of batch size {len(self.count)}, the input of {N}; "
                "reset_state() drops it"
            )
        where = numpy.arange(T)[None]
        if mask is not None:
            real = checked_mask(self, mask, (N, T))
            where = numpy.maximum(real.cumsum(axis=1) - 1, 0)
        if self.count is not None:
            where = where + self.count[:, None]
        P = self._table(int(where.max(initial=-1)) + 1, D, x.dtype)
        if self.stateful:
            self.count = numpy.broadcast_to(where[:, -1] + 1, N).copy() if T else self.count
        self.where, self.y_shape = where, x.shape
        y = P.take(np.asarray(where), axis=0)
        y = y + (x if self.scale == 1 else self.scale * x)
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return self.scale * dy

    def _dtype(self) -> Any:
        return "float64"

    def _table(self, length: int, D: int, dtype: Any) -> Array:
        """The codes (L, D) of at least so many positions."""
        kept = self._waves
        if kept is None or len(kept) < length or kept.shape[1] != D or kept.dtype != dtype:
            self._waves = np.asarray(waves(max(2 * length, 64), D).astype(dtype))
        return self._waves


class LearnedPositions(Positions):
    """y[n, t] = scale * x[n, t] + P[p],  p the position of step t, of learned codes P (L, D).

    Positions, mask, state and errors as for `Positions`, and ValueError for more than L positions.
    Backward: dx = scale * dy, and row p of dP is the sum of dy at this position.
    Source: Gehring et al. 2017, https://arxiv.org/abs/1705.03122, 3.1.
    """

    def __init__(self, P: Array, *, scale: float = 1.0, stateful: bool = False) -> None:
        Layer.__init__(self, P=P)
        if P.ndim != 2:
            raise self._refuse(f"P is (L, D), not {P.shape}")
        self._begin(scale, stateful)

    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy)
        (dP,) = self.grads
        dP[...] = 0
        if len(self.where) == 1:  # all rows are at the same positions
            dP[self.where[0, 0] : self.where[0, -1] + 1] = dy.sum(axis=0)
        else:
            add_rows(dP, self.where.reshape(-1), dy.reshape(-1, dy.shape[2]))
        return dx

    def output_size(self, size: int | None) -> int | None:
        """D, if the input may be of this width."""
        D = self.params[0].shape[1]
        if size not in (None, D):
            raise self._refuse(f"takes {D} numbers, and gets {size}")
        return int(D)

    def _dtype(self) -> Any:
        return self.params[0].dtype

    def _table(self, length: int, D: int, dtype: Any) -> Array:
        (P,) = self._weights()
        self.output_size(D)
        if length > len(P):
            raise self._refuse(f"a sequence of {length} steps is longer than the {len(P)} learned")
        return P


def waves(length: int, D: int) -> Array:
    """The sinusoidal codes (L, D) of positions 0..L-1, float64 on the host; see `Positions`."""
    i = numpy.arange(D)
    angle = numpy.arange(length)[:, None] / 10000 ** (i // 2 * 2 / D)
    return numpy.where(i % 2 == 0, numpy.sin(angle), numpy.cos(angle))
