"""Multi-head attention, which looks in several places at once.

N samples of T steps, S of which are asked about; D numbers a step, h heads of d = D / h each.
A mask (N, T), where given, is an array on the host that is False at padding, which gets weight 0.
Source: book 8.5.2; Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
"""

import math

import numpy

from common.checks import checked_mask, floats
from common.cores.parallel import affine, dot, in_blocks
from common.layers import Layer, fill_product, fill_sum
from common.np import Array, np

__all__ = ["CrossAttention", "SelfAttention", "np"]


class _MultiHead(Layer):
    """What `SelfAttention` and `CrossAttention` share: weights, and attention by heads.

    q, k, v = the three blocks of W's columns, times their inputs; for each head
        a = softmax over t of q @ k.T / sqrt(d),  c = a @ v
    y = the heads' c side by side @ Wo + bo
    """

    def __init__(self, W: Array, b: Array, Wo: Array, bo: Array, *, num_heads: int) -> None:
        super().__init__(W=W, b=b, Wo=Wo, bo=bo)
        D = len(Wo)
        shapes = [p.shape for p in self.params]
        if shapes != [(D, 3 * D), (3 * D,), (D, D), (D,)]:
            raise self._refuse(f"weights are (D, 3D), (3D,), (D, D) and (D,), not {shapes}")
        if num_heads < 1 or D % num_heads:
            raise self._refuse(f"the width {D} cannot be divided between {num_heads} heads")
        self.num_heads = num_heads
        self.settings = {"num_heads": num_heads}
        self.a: Array = None

    @property
    def attention_weights(self) -> Array:
        """The weights a (N, h, S, T) of the last forward."""
        return self.a

    def output_size(self, size: int | None) -> int | None:
        """D, if the input may be of this width."""
        D = len(self.params[2])
        if size not in (None, D):
            raise self._refuse(f"takes {D} numbers, and gets {size}")
        return D

    def _input(self, x: Array) -> Array:
        W = self._weights()[0]
        x = floats(self, x, W.dtype)
        if x.ndim != 3 or x.shape[2] != len(W) or not x.shape[1]:
            raise self._refuse(f"input must be (N, T, {len(W)}) with T > 0, not {x.shape}")
        return x

    def _by_head(self, x: Array) -> Array:
        """x (N, T, kD) as a view (k, N, h, T, d): one matrix for each head."""
        N, T, kD = x.shape
        D, h = len(self.params[2]), self.num_heads
        return x.reshape(N, T, kD // D, h, D // h).transpose(2, 0, 3, 1, 4)

    def _attend(self, q: Array, kv: Array, hidden: Array) -> Array:
        """Queries (N, S, D), keys and values (N, T, 2D) -> y (N, S, D).

        hidden  what may not be seen: an array that can be broadcast to (N, h, S, T), or None
        """
        _, _, Wo, bo = self.params
        N, S, D = q.shape
        (q,), (k, v) = self._by_head(q), self._by_head(kv)
        q = q * (1 / math.sqrt(q.shape[-1]))
        a = np.empty((N, q.shape[1], S, k.shape[2]), q.dtype)
        c = np.empty((N, S, D), q.dtype)
        (ch,) = self._by_head(c)

        def work(rows: slice) -> None:
            s = np.matmul(q[rows], k[rows].swapaxes(2, 3), out=a[rows])
            if hidden is not None:
                np.copyto(s, -np.inf, where=hidden if hidden.ndim == 2 else hidden[rows])
            s -= s.max(axis=3, keepdims=True)
            np.exp(s, out=s)
            s /= s.sum(axis=3, keepdims=True)
            np.matmul(s, v[rows], out=ch[rows])

        in_blocks(work, N, math.prod(a.shape[1:]))
        self.a, self.cache, self.y_shape = a, (q, k, v, c), (N, S, D)
        return affine(c.reshape(-1, D), Wo, bo).reshape(N, S, D)

    def _attend_backward(self, dy: Array, dq: Array, dkv: Array) -> None:
        """Fill dq (N, S, D), and dkv (N, T, 2D) of the last T keys and values; dWo and dbo."""
        _, _, Wo, _ = self.params
        _, _, dWo, dbo = self.grads
        (q, k, v, c), a = self.cache, self.a
        dy = dy.reshape(-1, len(Wo))
        fill_product(dWo, c.reshape(dy.shape).T, dy)
        fill_sum(dbo, dy)
        dc = dot(dy, Wo.T).reshape(c.shape)
        (dq,), (dk, dv) = self._by_head(dq), self._by_head(dkv)
        (dch,), (ch,) = self._by_head(dc), self._by_head(c)
        T = dk.shape[2]

        def work(rows: slice) -> None:
            da, weights = dch[rows], a[rows]
            np.matmul(weights[..., -T:].swapaxes(2, 3), da, out=dv[rows])
            ds = da @ v[rows].swapaxes(2, 3)
            ds -= np.einsum("nhsd,nhsd->nhs", da, ch[rows])[..., None]  # = sum over t of a * da
            ds *= weights
            np.matmul(ds[..., -T:].swapaxes(2, 3), q[rows], out=dk[rows])
            np.multiply(ds @ k[rows], 1 / math.sqrt(q.shape[-1]), out=dq[rows])

        in_blocks(work, len(a), math.prod(a.shape[1:]))


class SelfAttention(_MultiHead):
    """Each step of a sequence looks at all of it, with h heads.   x (N, T, D) -> y (N, T, D)

    q, k, v = x @ W + b in three blocks, each cut into h heads of d = D / h columns; for each head
        a = softmax over the steps of q @ k.T / sqrt(d),  c = a @ v
    y = the heads' c side by side @ Wo + bo

    W (D, 3D), b (3D,), Wo (D, D), bo (D,)
    forward(x, mask=None) -> y, with a mask (N, T)
    backward(dy) -> dx, for each head:
        dv = a.T @ dc,  da = dc @ v.T,  ds = a * (da - sum(da * a)),
        dq = ds @ k / sqrt(d),  dk = ds.T @ q / sqrt(d)
    causal    whether a step looks at itself and earlier ones only; at itself even if it is padding
    stateful  whether a call goes on after the steps of earlier calls, as a writing decoder does:
              their keys and values (N, T, 2D) are the state `kv`. Causal only. Gradients never
              cross calls
    attention_weights  (N, h, S, T) of the last forward, for its S steps
    Raises ValueError if a shape does not fit, the kept state's included, for a D that the heads do
    not divide, and for a mask that leaves a sample nothing.
    Source: book 8.5.2; Vaswani et al. 2017, 3.2.
    """

    def __init__(
        self,
        W: Array,
        b: Array,
        Wo: Array,
        bo: Array,
        *,
        num_heads: int,
        causal: bool = False,
        stateful: bool = False,
    ) -> None:
        super().__init__(W, b, Wo, bo, num_heads=num_heads)
        if stateful and not causal:
            raise self._refuse("stateful needs causal: earlier steps are not computed again")
        self.causal, self.stateful = causal, stateful
        self.kv: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """Keys and values (N, T, 2D) of the steps so far."""
        return {"kv": self.kv} if self.stateful else {}

    def set_state(self, kv: Array = None) -> None:
        """Go on after steps with these keys and values (N, T, 2D)."""
        self.kv = kv

    def forward(self, x: Array, mask: Array = None) -> Array:
        W, b, _, _ = self.params
        x = self._input(x)
        N, S, D = x.shape
        before = 0 if self.kv is None else self.kv.shape[1]
        if before and self.kv.shape[::2] != (N, 2 * D):
            raise self._refuse(
                f"the kept kv is {self.kv.shape}, this batch needs ({N}, {before}, {2 * D}); "
                "reset_state() drops it"
            )
        if mask is not None and before:
            raise self._refuse("a mask is for whole sequences, not for one that goes on")
        hidden = self._hidden(N, S, before, mask)
        x_rows = x.reshape(-1, D)
        qkv = affine(x_rows, W, b).reshape(N, S, 3 * D)
        self.x, kv = x_rows, qkv[:, :, D:]
        if before:
            kv = np.concatenate([self.kv, kv], axis=1)
        if self.stateful:
            self.kv = kv
        return self._attend(qkv[:, :, :D], kv, hidden)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        W, _, _, _ = self.params
        dW, db, _, _ = self.grads
        N, S, D = dy.shape
        dqkv = np.empty((N, S, 3 * D), W.dtype)
        self._attend_backward(dy, dqkv[:, :, :D], dqkv[:, :, D:])
        dqkv = dqkv.reshape(-1, 3 * D)
        fill_product(dW, self.x.T, dqkv)
        fill_sum(db, dqkv)
        return dot(dqkv, W.T).reshape(N, S, D)

    def _hidden(self, N: int, S: int, before: int, mask: Array) -> Array:
        """What may not be seen: (S, T) or (N, 1, S, T), True there; None if all may."""
        seen = None if mask is None else real_steps(self, mask, (N, S))[:, None, None]
        if not self.causal:
            return None if seen is None else np.asarray(~seen)
        later = numpy.arange(before + S) > numpy.arange(before, before + S)[:, None]
        if seen is None:
            return np.asarray(later) if S > 1 else None
        return np.asarray((later | ~seen) & ~numpy.eye(S, dtype=bool))


class CrossAttention(_MultiHead):
    """Each step of a sequence looks at all of another one, the memory, with h heads.

    q = x @ the first block of W + b;  k, v = memory @ the other two; then as in `SelfAttention`.
    x (N, S, D), memory (N, T, D) -> y (N, S, D)

    set_memory(memory, mask=None) before forward, as often as there is another one; its keys and
    values (N, T, 2D), and the mask, are the state
    forward(x) -> y;  backward(dy) -> dx, and dmemory (N, T, D) is the gradient of the memory
    Weights, attention_weights and errors as for `SelfAttention`, and ValueError without a memory.
    Source: book 8.5.2; Vaswani et al. 2017, 3.2.
    """

    def __init__(self, W: Array, b: Array, Wo: Array, bo: Array, *, num_heads: int) -> None:
        super().__init__(W, b, Wo, bo, num_heads=num_heads)
        self.kv: Array = None
        self.mask: Array = None
        self.memory: Array = None
        self.dmemory: Array = None

    @property
    def state(self) -> dict[str, Array]:
        """Keys and values (N, T, 2D) of the memory, and its mask (N, T)."""
        return {"kv": self.kv, "mask": self.mask}

    def set_state(self, kv: Array = None, mask: Array = None) -> None:
        """Go on with the keys and values (N, T, 2D) of a memory, and its mask (N, T)."""
        self.kv, self.mask = kv, mask

    def set_memory(self, memory: Array, mask: Array = None) -> None:
        """What is looked at from now on: memory (N, T, D), of which the mask (N, T) hides some."""
        W, b, _, _ = self.params
        memory = self._input(memory)
        if mask is not None:
            mask = real_steps(self, mask, memory.shape[:2])
        N, T, D = memory.shape
        self.memory = memory.reshape(-1, D)
        kv = affine(self.memory, W[:, D:], b[D:])
        self.kv, self.mask, self.dmemory = kv.reshape(N, T, 2 * D), mask, None

    def forward(self, x: Array) -> Array:
        W, b, _, _ = self.params
        x = self._input(x)
        N, S, D = x.shape
        if self.kv is None:
            raise self._refuse("set_memory comes before forward")
        if len(self.kv) != N:
            raise self._refuse(f"the memory is of batch size {len(self.kv)}, the input of {N}")
        self.x = x.reshape(-1, D)
        q = affine(self.x, W[:, :D], b[:D])
        hidden = None if self.mask is None else np.asarray(~self.mask[:, None, None])
        return self._attend(q.reshape(N, S, D), self.kv, hidden)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        W, _, _, _ = self.params
        dW, db, _, _ = self.grads
        N, S, D = dy.shape
        dq, dkv = np.empty((N, S, D), W.dtype), np.empty(self.kv.shape, W.dtype)
        self._attend_backward(dy, dq, dkv)
        dq, dkv = dq.reshape(-1, D), dkv.reshape(-1, 2 * D)
        fill_product(dW[:, :D], self.x.T, dq)
        fill_product(dW[:, D:], self.memory.T, dkv)
        fill_sum(db[:D], dq)
        fill_sum(db[D:], dkv)
        self.dmemory = dot(dkv, W[:, D:].T).reshape(N, -1, D)
        return dot(dq, W[:, :D].T).reshape(N, S, D)


def real_steps(who: Layer, mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask (N, T), checked; ValueError in the name of `who` where it leaves a sample nothing."""
    mask = checked_mask(who, mask, shape)
    if not mask.any(axis=1).all():
        raise ValueError(f"{type(who).__name__}: a row of the mask is all padding")
    return mask
