"""Convolution over time, and the gated linear unit.

N samples of T steps, D inputs and M outputs a step, k steps under the kernel.
Source: book 8.5.2; Gehring et al. 2017, https://arxiv.org/abs/1705.03122.
"""

import math

from common.checks import checked_mask, floats
from common.cores.parallel import affine, dot, in_blocks
from common.functions import sigmoid
from common.layers import Layer, fill_sum
from common.np import Array, np

__all__ = ["GatedLinearUnit", "TimeConvolution", "np"]


class TimeConvolution(Layer):
    """y[n, t] = b + sum over j of x[n, t + j - left] @ W[j].   x (N, T, D) -> y (N, T, M)

    W (k, D, M), b (M,). Steps beyond the ends count as zeros.
    forward(x, mask=None) -> y. Steps that the mask (N, T), on the host, calls padding count as
    zeros, too
    backward(dy) -> dx[n, t] = sum over j of dy[n, t - j + left] @ W[j].T,
        dW[j] = sum over n, t of x[n, t + j - left].T @ dy[n, t]
    causal    False: step t is under the middle of the kernel, left = (k - 1) / 2
              True: step t is its last one, left = k - 1, so that no output sees later steps
    stateful  whether a call goes on after the steps of earlier calls, of which the last k - 1 are
              the state `past` (N, k - 1, D). Causal only. Gradients never cross calls
    All products are one: of the k steps under the kernel side by side, (N T, k D), and W (k D, M).
    Raises ValueError if a shape does not fit, the kept state's included, and for an even k unless
    causal.
    """

    def __init__(self, W: Array, b: Array, *, causal: bool = False, stateful: bool = False) -> None:
        super().__init__(W=W, b=b)
        if W.ndim != 3 or b.shape != W.shape[2:]:
            raise self._refuse(f"W is (k, D, M) and b (M,), not {W.shape} and {b.shape}")
        if not causal and len(W) % 2 == 0:
            raise self._refuse(f"a kernel of {len(W)} steps has no middle: k must be odd")
        if stateful and not causal:
            raise self._refuse("stateful needs causal: earlier steps are not computed again")
        self.causal, self.stateful = causal, stateful
        self.left = len(W) - 1 if causal else len(W) // 2
        self.past: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """The last steps (N, k - 1, D) of the input."""
        return {"past": self.past} if self.stateful else {}

    def set_state(self, past: Array = None) -> None:
        """Go on after these steps (N, k - 1, D)."""
        self.past = past

    def forward(self, x: Array, mask: Array = None) -> Array:
        W, b = self._weights()
        k, D, M = W.shape
        x = floats(self, x, W.dtype)
        if x.ndim != 3 or x.shape[2] != D:
            raise self._refuse(f"input must be (N, T, {D}), not {x.shape}")
        N, T, _ = x.shape
        if self.past is not None and len(self.past) != N:
            raise self._refuse(
                f"the kept past is of batch size {len(self.past)}, the input of {N}; "
                "reset_state() drops it"
            )
        real = None if mask is None else np.asarray(checked_mask(self, mask, (N, T)))[:, :, None]
        padded = np.zeros((N, T + k - 1, D), W.dtype)
        middle = padded[:, self.left : self.left + T]
        middle[...] = x
        if real is not None:
            middle *= real
        if self.past is not None:
            padded[:, : self.left] = self.past
        if self.stateful:
            self.past = padded[:, T:].copy()
        steps = np.empty((N, T, k, D), W.dtype)

        def work(rows: slice) -> None:
            for j in range(k):
                steps[rows, :, j] = padded[rows, j : j + T]

        in_blocks(work, N, T * k * D)
        self.cache, self.y_shape = (steps.reshape(-1, k * D), real), (N, T, M)
        return affine(self.cache[0], W.reshape(-1, M), b).reshape(N, T, M)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        W, _ = self.params
        dW, db = self.grads
        k, D, M = W.shape
        N, T, _ = dy.shape
        steps, real = self.cache
        dy = dy.reshape(-1, M)
        dW[...] = dot(steps.T, dy).reshape(W.shape)
        fill_sum(db, dy)
        dsteps = dot(dy, W.reshape(-1, M).T).reshape(N, T, k, D)
        dpadded = np.zeros((N, T + k - 1, D), W.dtype)

        def work(rows: slice) -> None:
            for j in range(k):
                dpadded[rows, j : j + T] += dsteps[rows, :, j]

        in_blocks(work, N, T * k * D)
        dx = dpadded[:, self.left : self.left + T]
        return dx.copy() if real is None else dx * real

    def output_size(self, size: int | None) -> int | None:
        """M, if the input may be of this width."""
        _, D, M = self.params[0].shape
        if size not in (None, D):
            raise self._refuse(f"takes {D} numbers, and gets {size}")
        return int(M)


class GatedLinearUnit(Layer):
    """y = a * sigmoid(b),  a and b the two halves of x's last axis.   x (..., 2H) -> y (..., H)

    Backward: da = dy * sigmoid(b),  db = dy * a * sigmoid(b) * (1 - sigmoid(b)).
    Raises ValueError if the width is odd.
    Source: Dauphin et al. 2017, https://arxiv.org/abs/1612.08083.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        x = floats(self, x)
        width = x.shape[-1] if x.ndim else 1
        self.output_size(width)
        H = width // 2
        rows = x.reshape(math.prod(x.shape[:-1]), width)
        gate, y = (np.empty((len(rows), H), x.dtype) for _ in "gy")

        def work(some: slice) -> None:
            gate[some] = sigmoid(rows[some, H:])
            np.multiply(rows[some, :H], gate[some], out=y[some])

        in_blocks(work, *rows.shape)
        self.cache, self.y_shape = (rows[:, :H], gate), (*x.shape[:-1], H)
        return y.reshape(self.y_shape)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        a, gate = self.cache
        H = dy.shape[-1]
        dx, drows = np.empty((len(gate), 2 * H), gate.dtype), dy.reshape(len(gate), H)

        def work(some: slice) -> None:
            da, db = dx[some, :H], dx[some, H:]
            np.multiply(drows[some], gate[some], out=da)
            np.multiply(da, a[some], out=db)
            db *= 1 - gate[some]

        in_blocks(work, *dx.shape)
        return dx.reshape(*dy.shape[:-1], 2 * H)

    def output_size(self, size: int | None) -> int | None:
        """H, half of the width of the input."""
        if size is not None and size % 2:
            raise self._refuse(f"takes an even number of numbers, and gets {size}")
        return None if size is None else size // 2
