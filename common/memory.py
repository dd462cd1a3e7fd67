"""External memory: the parts of neural Turing machines (NTM) and differentiable computers (DNC).

N samples, R rows of the memory, W numbers in a row, K heads, S shifts. The memory is (N, R, W);
the weights w (N, K, R) of a head are not negative and sum to one, or to less in the DNC.

Each part is a layer without parameters, whose `backward` returns a gradient for each input. What
it computes stands in a pair of static methods, which models call at every time step:

    y, cache = Read.step(memory, w)
    dmemory, dw = Read.step_backward(dr, cache)

    ContentAddressing  rows that are like a key
    Interpolation      between these and where a head was before
    CircularShift      to rows nearby
    Sharpening         of weights that shifts have spread
    Read, Write        the memory itself; Write erases, then adds
    Usage, Allocation  which rows are taken, and which should be written to next
    TemporalLinks      the order in which rows were written
    LinkedReads        the rows written after and before those that were read
Source: book 8.5.3; Graves et al. 2014 (NTM), https://arxiv.org/abs/1410.5401; Graves et al. 2016
(DNC), https://doi.org/10.1038/nature20101.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from common.checks import floats
from common.functions import softmax
from common.network import NOTHING, Layer
from common.np import Array, np

__all__ = [
    "Allocation",
    "CircularShift",
    "ContentAddressing",
    "Interpolation",
    "LinkedReads",
    "Read",
    "Sharpening",
    "TemporalLinks",
    "Usage",
    "Write",
    "check_shifts",
]

NORM = 1e-6  # added to a sum of squares: the length of a row of zeros has a gradient
LOG = 1e-16  # added to weights before their logarithm
USAGE = 1e-6  # the least usage of a row, since the backward of products divides by it


class Part(Layer):
    """A layer without parameters whose inputs must fit each other, in any shape that `takes` tells.

    takes  input: a letter for each of its axes; one letter is one size
    step, step_backward  forward and backward without checks; outputs come before the cache
    """

    takes: Mapping[str, str] = NOTHING
    outputs = 1

    def __init__(self) -> None:
        super().__init__()
        self.y_shapes: list[Any] = [None] * self.outputs

    def forward(self, *inputs: Array) -> Any:
        if len(inputs) != len(self.takes):
            names, who = ", ".join(self.takes), type(self).__name__
            raise TypeError(f"{who}.forward takes {names}, not {len(inputs)} arrays")
        sizes: dict[str, int] = {}
        checked = [
            self._fitting(name, x, sizes) for name, x in zip(self.takes, inputs, strict=True)
        ]
        self._check_values(*checked)
        *ys, self.cache = self.step(*checked)
        self.y_shapes = [y.shape for y in ys]
        return ys[0] if len(ys) == 1 else tuple(ys)

    def backward(self, *dys: Array) -> Any:
        for dy, shape in zip(dys, self.y_shapes, strict=True):
            self.y_shape = shape
            self._check_gradient(dy)
        return self.step_backward(*dys, self.cache)

    @staticmethod
    def step(*inputs: Array) -> Any:
        """Inputs of any shape -> outputs, and what backward needs."""
        raise NotImplementedError

    @staticmethod
    def step_backward(*gradients: Array) -> Any:
        """The gradients of the outputs, of any shape, and the cache -> those of the inputs."""
        raise NotImplementedError

    def _fitting(self, name: str, x: Array, sizes: dict[str, int]) -> Array:
        x, axes = floats(self, x), self.takes[name]
        fits = x.ndim == len(axes)
        if not fits or any(sizes.setdefault(a, n) != n for a, n in zip(axes, x.shape, strict=True)):
            needed = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
            raise self._refuse(f"{name} is ({needed}), not {x.shape}")
        return x

    def _check_values(self, *inputs: Array) -> None:
        """Raise ValueError for what shapes do not tell."""


class ContentAddressing(Part):
    """w[n, k] = softmax over rows i of strength[n, k] * cos(key[n, k], memory[n, i]).

    cos(a, b) = a . b / (|a| |b|),  |a| = sqrt(sum of a^2 + 1e-6), so a row of zeros has cosine 0

    forward(memory (N, R, W), key (N, K, W), strength (N, K)) -> w (N, K, R)
    backward(dw) -> dmemory, dkey, dstrength.   With unit vectors q = key / |key|:
        dscore = w * (dw - sum(dw * w)),  dstrength = sum of dscore * cos,
        dcos = strength * dscore,  dq = dcos @ (memory / |memory|),
        dkey = (dq - q * sum(dq * q)) / |key|, and dmemory likewise
    Raises ValueError if the shapes do not fit.  Source: NTM, equations (5) and (6).
    """

    takes: Mapping[str, str] = {"memory": "NRW", "key": "NKW", "strength": "NK"}

    @staticmethod
    def step(memory: Array, key: Array, strength: Array) -> Any:
        """-> w (N, K, R), cache."""
        rows, row_size = directions(memory)
        keys, key_size = directions(key)
        cos = np.matmul(keys, rows.swapaxes(1, 2))
        strength = strength[:, :, None]
        w = softmax(strength * cos)
        return w, (rows, row_size, keys, key_size, cos, strength, w)

    @staticmethod
    def step_backward(dw: Array, cache: Any) -> Any:
        """dw (N, K, R) -> dmemory (N, R, W), dkey (N, K, W), dstrength (N, K)."""
        rows, row_size, keys, key_size, cos, strength, w = cache
        dscore = softmax_backward(dw, w)
        dcos = strength * dscore
        dmemory = directions_backward(np.matmul(dcos.swapaxes(1, 2), keys), rows, row_size)
        dkey = directions_backward(np.matmul(dcos, rows), keys, key_size)
        return dmemory, dkey, (dscore * cos).sum(axis=2)


class Interpolation(Part):
    """w = gate * new + (1 - gate) * old, one gate for each head.

    forward(new (N, K, R), old (N, K, R), gate (N, K)) -> w (N, K, R)
    backward(dw) -> dnew = gate * dw,  dold = (1 - gate) * dw,  dgate = sum of dw * (new - old)
    Raises ValueError if the shapes do not fit.  Source: NTM, equation (7).
    """

    takes: Mapping[str, str] = {"new": "NKR", "old": "NKR", "gate": "NK"}

    @staticmethod
    def step(new: Array, old: Array, gate: Array) -> Any:
        """-> w (N, K, R), cache."""
        gate, change = gate[:, :, None], new - old
        return old + gate * change, (change, gate)

    @staticmethod
    def step_backward(dw: Array, cache: Any) -> Any:
        """dw (N, K, R) -> dnew, dold (N, K, R), dgate (N, K)."""
        change, gate = cache
        dnew = gate * dw
        return dnew, dw - dnew, (dw * change).sum(axis=2)


class CircularShift(Part):
    """y[i] = sum over m of shift[m] * w[i - m],  m = -1, 0, 1 for S = 3; rows count modulo R.

    forward(w (N, K, R), shift (N, K, S)) -> y (N, K, R)
    backward(dy) -> dw[j] = sum over m of shift[m] * dy[j + m],  dshift[m] = sum of dy[i] * w[i - m]
    Raises ValueError if the shapes do not fit, if S is even, and if the memory has fewer rows than
    there are shifts.  Source: NTM, equation (8).
    """

    takes: Mapping[str, str] = {"w": "NKR", "shift": "NKS"}

    @staticmethod
    def step(w: Array, shift: Array) -> Any:
        """-> y (N, K, R), cache."""
        shift = shift[:, :, :, None]
        moved = w.take(neighbours(w.shape[2], shift.shape[2], -1, np.__name__), axis=2)
        return np.matmul(moved, shift)[:, :, :, 0], (moved, shift)

    @staticmethod
    def step_backward(dy: Array, cache: Any) -> Any:
        """dy (N, K, R) -> dw (N, K, R), dshift (N, K, S)."""
        moved, shift = cache
        back = dy.take(neighbours(dy.shape[2], shift.shape[2], 1, np.__name__), axis=2)
        return np.matmul(back, shift)[:, :, :, 0], np.matmul(dy[:, :, None], moved)[:, :, 0]

    def _check_values(self, w: Array, shift: Array) -> None:
        check_shifts(type(self).__name__, w.shape[2], shift.shape[2])


class Sharpening(Part):
    """y = w^sharpness / sum of w^sharpness, as softmax over rows of sharpness * log(w + 1e-16).

    forward(w (N, K, R), sharpness (N, K)) -> y (N, K, R);  w not negative, sharpness at least 1
    backward(dy) -> dw, dsharpness:
        dscore = y * (dy - sum(dy * y)),  dw = sharpness * dscore / (w + 1e-16),
        dsharpness = sum of dscore * log(w + 1e-16)
    As a logarithm, because w^sharpness of a w near 0 has no gradient that float32 can hold.
    Raises ValueError if the shapes do not fit, for sharpness below 1 and for weights below 0.
    Source: NTM, equation (9).
    """

    takes: Mapping[str, str] = {"w": "NKR", "sharpness": "NK"}

    @staticmethod
    def step(w: Array, sharpness: Array) -> Any:
        """-> y (N, K, R), cache."""
        w, sharpness = w + LOG, sharpness[:, :, None]
        log = np.log(w)
        y = softmax(sharpness * log)
        return y, (w, log, sharpness, y)

    @staticmethod
    def step_backward(dy: Array, cache: Any) -> Any:
        """dy (N, K, R) -> dw (N, K, R), dsharpness (N, K)."""
        w, log, sharpness, y = cache
        dscore = softmax_backward(dy, y)
        return sharpness * dscore / w, (dscore * log).sum(axis=2)

    def _check_values(self, w: Array, sharpness: Array) -> None:
        for name, x, least in ("sharpness", sharpness, 1), ("w", w, 0):
            if x.size and not float(x.min()) >= least:
                raise self._refuse(f"{name} is at least {least}, not {float(x.min())}")


class Read(Part):
    """r[n, k] = sum over rows i of w[n, k, i] * memory[n, i].

    forward(memory (N, R, W), w (N, K, R)) -> r (N, K, W)
    backward(dr) -> dmemory = w.T @ dr,  dw = dr @ memory.T, for each sample
    Raises ValueError if the shapes do not fit.  Source: NTM, equation (2).
    """

    takes: Mapping[str, str] = {"memory": "NRW", "w": "NKR"}

    @staticmethod
    def step(memory: Array, w: Array) -> Any:
        """-> r (N, K, W), cache."""
        return np.matmul(w, memory), (memory, w)

    @staticmethod
    def step_backward(dr: Array, cache: Any) -> Any:
        """dr (N, K, W) -> dmemory (N, R, W), dw (N, K, R)."""
        memory, w = cache
        return np.matmul(w.swapaxes(1, 2), dr), np.matmul(dr, memory.swapaxes(1, 2))


class Write(Part):
    """All heads erase, then all add:

    new[i] = memory[i] * product over k of (1 - w[k, i] * erase[k]) + sum over k of w[k, i] * add[k]

    forward(memory (N, R, W), w (N, K, R), erase (N, K, W), add (N, K, W)) -> new (N, R, W)
    backward(dnew) -> dmemory, dw, derase, dadd.   With e[k] for w[k, i] * erase[k]:
        dmemory = dnew * product of (1 - e[k]),  de[k] = -dnew * memory * product of the others,
        dw[k, i] = sum of de[k] * erase[k] + dnew[i] * add[k],
        derase[k] = sum over i of w[k, i] * de[k],  dadd[k] = sum over i of w[k, i] * dnew[i]
    Raises ValueError if the shapes do not fit.  Source: NTM, equations (3) and (4).
    """

    takes: Mapping[str, str] = {"memory": "NRW", "w": "NKR", "erase": "NKW", "add": "NKW"}

    @staticmethod
    def step(memory: Array, w: Array, erase: Array, add: Array) -> Any:
        """-> new (N, R, W), cache."""
        stays = 1 - w[:, :, :, None] * erase[:, :, None]
        stay = stays[:, 0] if stays.shape[1] == 1 else stays.prod(axis=1)
        return memory * stay + np.matmul(w.swapaxes(1, 2), add), (memory, w, erase, add, stays)

    @staticmethod
    def step_backward(dnew: Array, cache: Any) -> Any:
        """dnew (N, R, W) -> dmemory (N, R, W), dw (N, K, R), derase and dadd (N, K, W)."""
        memory, w, erase, add, stays = cache
        de = (dnew * memory)[:, None]
        if stays.shape[1] == 1:
            dmemory = dnew * stays[:, 0]
        else:
            dmemory = dnew * stays.prod(axis=1)
            de = de * product_of_others(stays)
        dw = np.matmul(add, dnew.swapaxes(1, 2))
        dw -= np.matmul(de, erase[:, :, :, None])[:, :, :, 0]
        derase = -np.matmul(w[:, :, None], de)[:, :, 0]
        return dmemory, dw, derase, np.matmul(w, dnew)


class Usage(Part):
    """How much each row is in use: what is written to it, but for what reading heads set free.

    new = (usage + w - usage * w) * kept,  kept[i] = product over k of (1 - free[k] * read[k, i])

    forward(usage (N, R), w (N, R), free (N, K), read (N, K, R)) -> new (N, R)
        w, read  the weights of the write head and of the read heads of the step before
    backward(dnew) -> dusage, dw, dfree, dread
    Raises ValueError if the shapes do not fit.  Source: DNC, methods, "Dynamic memory allocation".
    """

    takes: Mapping[str, str] = {"usage": "NR", "w": "NR", "free": "NK", "read": "NKR"}

    @staticmethod
    def step(usage: Array, w: Array, free: Array, read: Array) -> Any:
        """-> new (N, R), cache."""
        free = free[:, :, None]
        keeps = 1 - free * read
        kept, written = keeps.prod(axis=1), usage + w - usage * w
        return written * kept, (usage, w, free, read, keeps, kept, written)

    @staticmethod
    def step_backward(dnew: Array, cache: Any) -> Any:
        """dnew (N, R) -> dusage, dw (N, R), dfree (N, K), dread (N, K, R)."""
        usage, w, free, read, keeps, kept, written = cache
        dwritten = dnew * kept
        dfreed = -(dnew * written)[:, None] * product_of_others(keeps)
        return dwritten * (1 - w), dwritten * (1 - usage), (dfreed * read).sum(2), dfreed * free


class Allocation(Part):
    """Weights for writing, the largest on the rows that are used least.

    With rows in order of their usage u, the least used first, and u held at 1e-6 or above:
        w[j] = (1 - u[j]) * product of u[i] over all rows i before j

    forward(usage (N, R)) -> w (N, R);  usage lies in 0..1
    backward(dw) -> dusage.   With p[j] for the product, and d[j] for dw[j], in the same order:
        du[j] = -d[j] p[j] + (sum over i after j of d[i] (1 - u[i]) p[i]) / u[j]
    Of rows with equal usage, the one nearer to the top of the memory comes first. There w jumps,
    and dusage is the derivative that leaves the order as it is: the true one wherever the loss does
    not see the order, and of rows with usage 1.
    Raises ValueError if usage is not (N, R), or not in 0..1.  Source: DNC, equation (1) of the
    methods; the 1e-6 as in DeepMind's code, so that the backward can divide.
    """

    takes: Mapping[str, str] = {"usage": "NR"}

    @staticmethod
    def step(usage: Array) -> Any:
        """-> w (N, R), cache."""
        order = np.argsort(usage, axis=1, kind="stable")
        u = USAGE + (1 - USAGE) * np.take_along_axis(usage, order, axis=1)
        before = np.ones_like(u)
        np.cumprod(u[:, :-1], axis=1, out=before[:, 1:])
        w = np.take_along_axis((1 - u) * before, np.argsort(order, axis=1, kind="stable"), axis=1)
        return w, (order, u, before)

    @staticmethod
    def step_backward(dw: Array, cache: Any) -> Array:
        """dw (N, R) -> dusage (N, R)."""
        order, u, before = cache
        d = np.take_along_axis(dw, order, axis=1)
        after = np.zeros_like(u)
        terms = (d * (1 - u) * before)[:, :0:-1]
        after[:, :-1] = np.cumsum(terms, axis=1)[:, ::-1]
        du = (1 - USAGE) * (after / u - d * before)
        return np.take_along_axis(du, np.argsort(order, axis=1, kind="stable"), axis=1)

    def _check_values(self, usage: Array) -> None:
        if usage.size and not (float(usage.min()) >= 0 and float(usage.max()) <= 1):
            raise self._refuse(f"usage is in 0..1, not {float(usage.min())}..{float(usage.max())}")


class TemporalLinks(Part):
    """links[i, j]: how much row i was the next one written after row j.

    new[i, j] = (1 - w[i] - w[j]) * links[i, j] + w[i] * precedence[j],  new[i, i] = 0
    precedence = (1 - sum of w) * precedence + w:  how much a row was the last one written

    forward(links (N, R, R), precedence (N, R), w (N, R)) -> the new links, the new precedence
        w  the weights of the write head
    backward(dlinks, dprecedence) -> the gradients of the three inputs.   With D for dlinks without
    its diagonal, and s for the sum of dprecedence * precedence:
        dlinks[i, j] = (1 - w[i] - w[j]) * D[i, j]
        dprecedence[j] = sum over i of w[i] * D[i, j] + (1 - sum of w) * dprecedence[j]
        dw[i] = sum over j of D[i, j] * (precedence[j] - links[i, j]) - D[j, i] * links[j, i]
                + dprecedence[i] - s
    Raises ValueError if the shapes do not fit.  Source: DNC, methods, "Temporal memory linkage".
    """

    takes: Mapping[str, str] = {"links": "NRQ", "precedence": "NR", "w": "NR"}
    outputs = 2

    @staticmethod
    def step(links: Array, precedence: Array, w: Array) -> Any:
        """-> links (N, R, R), precedence (N, R), cache."""
        rows, rest = w[:, :, None], 1 - w.sum(axis=1, keepdims=True)
        stays = 1 - rows - w[:, None]
        new = without_diagonal(stays * links + rows * precedence[:, None])
        return new, rest * precedence + w, (links, precedence, w, stays, rest)

    @staticmethod
    def step_backward(dlinks: Array, dprecedence: Array, cache: Any) -> Any:
        """dlinks (N, R, R), dprecedence (N, R) -> those of links, precedence and w (N, R)."""
        links, precedence, w, stays, rest = cache
        D = without_diagonal(dlinks.copy())
        seen = D * links
        dw = np.matmul(D, precedence[:, :, None])[:, :, 0] - seen.sum(axis=2) - seen.sum(axis=1)
        dw += dprecedence
        dw -= (dprecedence * precedence).sum(axis=1, keepdims=True)
        return D * stays, np.matmul(w[:, None], D)[:, 0] + rest * dprecedence, dw

    def _check_values(self, links: Array, precedence: Array, w: Array) -> None:
        if links.shape[1] != links.shape[2]:
            raise self._refuse(f"links are (N, R, R), not {links.shape}")


class LinkedReads(Part):
    """The rows that were written after those a head has read, and those written before.

    after[i] = sum over j of links[i, j] * w[j],  before[i] = sum over j of links[j, i] * w[j]

    forward(links (N, R, R), w (N, K, R)) -> after (N, K, R), before (N, K, R)
        w  the weights of the read heads at the step before
    backward(dafter, dbefore) -> dlinks = dafter.T @ w + w.T @ dbefore,
                                 dw = dafter @ links + dbefore @ links.T, for each sample
    Raises ValueError if the shapes do not fit.  Source: DNC, methods, "Temporal memory linkage".
    """

    takes: Mapping[str, str] = {"links": "NQR", "w": "NKR"}
    outputs = 2

    @staticmethod
    def step(links: Array, w: Array) -> Any:
        """-> after (N, K, R), before (N, K, R), cache."""
        return np.matmul(w, links.swapaxes(1, 2)), np.matmul(w, links), (links, w)

    @staticmethod
    def step_backward(dafter: Array, dbefore: Array, cache: Any) -> Any:
        """dafter, dbefore (N, K, R) -> dlinks (N, R, R), dw (N, K, R)."""
        links, w = cache
        dlinks = np.matmul(dafter.swapaxes(1, 2), w) + np.matmul(w.swapaxes(1, 2), dbefore)
        return dlinks, np.matmul(dafter, links) + np.matmul(dbefore, links.swapaxes(1, 2))

    def _check_values(self, links: Array, w: Array) -> None:
        if links.shape[1] != links.shape[2]:
            raise self._refuse(f"links are (N, R, R), not {links.shape}")


def check_shifts(who: str, rows: int, shifts: int) -> None:
    """Raise ValueError unless a memory of so many rows can be shifted by a kernel of this size."""
    if shifts % 2 == 0:
        raise ValueError(f"{who}: the number of shifts is odd, with 0 in the middle, not {shifts}")
    if rows < shifts:
        raise ValueError(f"{who}: a memory of {rows} rows is smaller than the {shifts} shifts")


@cache
def neighbours(rows: int, shifts: int, sign: int, library: str) -> Array:
    """Row numbers (R, S), (i + sign * m) modulo R for m = -1, 0, 1, in the array library in use."""
    m = np.arange(shifts) - shifts // 2
    return (np.arange(rows)[:, None] + sign * m) % rows


def directions(x: Array) -> tuple[Array, Array]:
    """x (..., W) -> its rows divided by their lengths, and the lengths (..., 1)."""
    size = np.sqrt((x * x).sum(axis=-1, keepdims=True) + NORM)
    return x / size, size


def directions_backward(dy: Array, y: Array, size: Array) -> Array:
    """The gradient (..., W) of the directions y (..., W), whose lengths were size (..., 1)."""
    return (dy - y * (dy * y).sum(axis=-1, keepdims=True)) / size


def softmax_backward(dy: Array, y: Array) -> Array:
    """The gradient (..., C) of a softmax's output y (..., C) -> that of its input."""
    dx = y * dy
    dx -= y * dx.sum(axis=-1, keepdims=True)
    return dx


def product_of_others(x: Array) -> Array:
    """x (N, K, ...) -> for each k the product of x over all other k; zeros do no harm."""
    ones = np.ones_like(x[:, :1])
    before = np.cumprod(np.concatenate([ones, x[:, :-1]], axis=1), axis=1)
    after = np.cumprod(np.concatenate([ones, x[:, :0:-1]], axis=1), axis=1)
    return before * after[:, ::-1]


def without_diagonal(links: Array) -> Array:
    """links (N, R, R), their diagonals set to 0 in place."""
    i = np.arange(links.shape[1])
    links[:, i, i] = 0
    return links
