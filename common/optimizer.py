"""Optimizers: how parameters follow their gradients.

w a parameter, g its gradient, lr the learning rate. `update(params, grads)` changes the parameters
in place, because layers hold the same arrays; it makes the state, zeros like each parameter, at the
first call.

lr is a number, or a function of the update number, which is 0 for the first update:

    SGD(lr=lambda step: 0.1 * min(1, (step + 1) / 500))    # warm-up over 500 updates

A row-sparse gradient costs only its own rows. Rows without a gradient are updated lazily: missed
momentum steps are applied when the row is next part of a gradient (`catch_up`). The result is that
of dense gradients, except that a model sees such a row without the steps it has missed. Adam has a
rule of its own.
Source: book 1.3.6.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from numbers import Number
from typing import Any

import numpy

from common.checks import REAL, checked_ratio, described, is_number
from common.cores.parallel import BLOCK, blocks, in_parallel, split
from common.gradients import RowSparse, to_dense
from common.np import Array, fused, np

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AveragedSGD",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "adagrad",
    "adam",
    "is_rate",
    "momentum",
    "nesterov",
    "rmsprop",
    "sgd",
]

LearningRate = float | Callable[[int], float]
RATES = "a learning rate is finite and not negative"


class Optimizer:
    """Walks the parameters; a subclass names its state and gives the rule, element by element.

    lr     a number, or a function of the update number (0 for the first); called once per update
    rate   the learning rate of the current update, a number
    iter   number of updates so far
    state  name: arrays like the parameters, such as the speeds `v` of Momentum
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, lr: LearningRate = 0.01) -> None:
        if not (callable(lr) or is_rate(lr)):
            raise ValueError(f"{type(self).__name__}: lr is {lr}; {RATES}")
        self.lr = lr
        self.rate = 0.0
        self.iter = 0
        self.state: dict[str, list[Array]] = {}
        self._seen: dict[int, Array] = {}  # by position: the update each row was last part of

    def __getattr__(self, name: str) -> Any:
        """The book's names of the state: `v` of Momentum is `state["v"]`, None before an update."""
        if name not in type(self).state_names:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return self.state.get(name)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor was given, by name, as it is now."""
        return {"lr": self.lr}

    def __repr__(self) -> str:
        try:
            settings = self.settings
        except AttributeError:  # `__init__` has not run
            settings = {}
        shown = [  # Adam(lr=0.001, beta1=0.9, beta2=0.999); of a function its name
            f"{name}={getattr(value, '__name__', value)}"
            for name, value in settings.items()
            if isinstance(value, Number) or callable(value)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def update(self, params: list[Array], grads: list[Any]) -> None:
        """Move every parameter, in place, by its gradient, which has the same shape, any shape.

        Raises ValueError if the lists, or the shapes in them, do not go together, if a gradient
        does not hold floats or a parameter is read-only, or if lr, or what that function returns,
        is no learning rate; nothing has changed then.
        """
        if len(params) != len(grads):
            raise self._mismatch(params, grads)
        for p, g in zip(params, grads):  # noqa: B905 - as long as each other; to be strict takes time
            try:
                fit, real = p.shape == g.shape, p.dtype.kind == "f" and g.dtype.kind in REAL
            except AttributeError:
                found = f"{described(p)} and {described(g)}"
                raise self._refuse(f"arrays are needed, not {found}") from None
            if not fit:
                raise self._mismatch(params, grads)
            if not real:
                found = f"{described(p)} and {described(g)}"
                raise self._refuse(f"parameters and gradients hold floats, not {found}")
            if not getattr(p.flags, "writeable", True):  # CuPy knows no other arrays
                raise self._refuse(f"a parameter, {described(p)}, is read-only")
        rate = self._rate()
        states = zip(*self._state(params), strict=True) if self.state_names else repeat(())
        self.rate = rate
        self.iter += 1
        for k, (p, g, state) in enumerate(zip(params, grads, states)):  # noqa: B905 - repeat(())
            if k in self._seen and not isinstance(g, RowSparse):  # rows may have missed updates
                dense, g = g, RowSparse(g.shape, g.dtype)
                g.assign(numpy.arange(len(dense)), dense)
            if isinstance(g, RowSparse):
                self.update_rows(p, g, self._missed(k, p, g) if state else None, *state)
            elif p.size <= BLOCK:
                self.step(p, g, *state)
            else:
                self._update_large(p, g, *state)

    def _rate(self) -> float:
        """The learning rate of the next update."""
        rate = self.lr(self.iter) if callable(self.lr) else self.lr
        if not is_rate(rate):
            name = f"lr({self.iter})" if callable(self.lr) else "lr"
            raise self._refuse(f"{name} is {rate}; {RATES}")
        return float(rate)

    def _update_large(self, *arrays: Array) -> None:
        """Apply the rule block by block, so that what it computes in between stays in a cache."""
        p = arrays[0]
        width = p.size // len(p)

        def work(part: slice) -> None:
            for rows in blocks(part, width):
                self.step(*(a[rows] for a in arrays))

        # An update goes through its arrays only once: for a thread to pay, they must be larger.
        in_parallel(work, split(len(p), max(1, width // 16)))

    def update_rows(self, p: Array, g: RowSparse, missed: Array, *state: Array) -> None:
        """Move the rows that are in g, of which each missed (K, 1) updates since the last time."""
        rows = [a.take(g.index, axis=0) for a in (p, *state)]  # faster than a[index]
        self.catch_up(missed, *rows)
        self.step(rows[0], g.rows, *rows[1:])
        for a, changed in zip((p, *state), rows, strict=True):
            a[g.index] = changed

    def step(self, w: Array, g: Array, *state: Array) -> None:
        """Apply the rule in place, to a parameter w, or to some rows of a large one.

        g and what state belongs to w are of the shape of w, which may be any shape; `rate` is the
        learning rate. The rows of one parameter may come in several calls, side by side in threads:
        what becomes of an element must depend on no other, and nothing of the optimizer may be
        changed here.
        """
        raise NotImplementedError

    def catch_up(self, missed: Array, w: Array, *state: Array) -> None:
        """Do to rows (K, D), in place, what `missed` (K, 1) updates with a zero gradient do."""

    def _missed(self, k: int, p: Array, g: RowSparse) -> Array:
        if k not in self._seen:
            self._seen[k] = np.full(len(p), self.iter - 1, p.dtype)
        seen = self._seen[k]
        missed = self.iter - 1 - seen.take(g.index)
        seen[g.index] = self.iter
        return missed[:, None]

    def _state(self, params: list[Array]) -> list[list[Array]]:
        if not self.state:
            self.state = {name: [np.zeros_like(p) for p in params] for name in self.state_names}
        shapes = [p.shape for p in params]
        if any([a.shape for a in arrays] != shapes for arrays in self.state.values()):
            raise self._refuse(
                f"the state belongs to other parameters than {shapes}; use a new optimizer for "
                "another model"
            )
        return [*self.state.values()]

    def _mismatch(self, params: list[Array], grads: list[Any]) -> ValueError:
        shapes = [p.shape for p in params], [g.shape for g in grads]
        return self._refuse("parameters {} do not go with gradients {}".format(*shapes))

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self).__name__}.update: {problem}")


def is_rate(value: Any) -> bool:
    """Whether a value can be a learning rate."""
    return is_number(value) and 0 <= value < math.inf  # nan is neither


def over_root(a: Array, b: Array) -> Array:
    """a / (sqrt(b) + 1e-7), any shape, in one buffer: with more, memory is what takes the time."""
    root = np.sqrt(b)
    root += 1e-7
    return np.divide(a, root, out=root)


def geometric(r: float, n: Array) -> Array:
    """r + r^2 + ... + r^n, for 0 <= r < 1.   n of any shape -> the same shape"""
    return (r - r ** (n + 1)) / (1 - r)


class SGD(Optimizer):
    """w -= lr * g.  Source: book (1.16)."""

    def step(self, w: Array, g: Array) -> None:
        fused(sgd)(w, g, self.rate)


def sgd(w: Array, g: Array, rate: float) -> None:
    """The rule of `SGD`, any shape."""
    w -= rate * g


class AveragedSGD(SGD):
    """w -= lr * (g + weight_decay * w);  from `start_averaging` on, also the mean of the w so far.

    The w of a large learning rate move around a good place without coming to rest; their mean is
    nearer to it than any of them. `averaged(params)` lends it to the model:

        with optimizer.averaged(params):
            perplexity = eval_perplexity(model, valid)

    begun  the number of updates when averaging began, None before
    Source: Polyak and Juditsky 1992.
    """

    state_names = ("mean",)

    def __init__(self, lr: LearningRate = 0.01, weight_decay: float = 0.0) -> None:
        super().__init__(lr)
        if not is_rate(weight_decay):
            raise ValueError(
                f"AveragedSGD: weight_decay is finite and not negative, not {weight_decay}"
            )
        self.weight_decay = float(weight_decay)
        self.begun: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"weight_decay": self.weight_decay}

    @property
    def count(self) -> int:
        """How many w the mean is of."""
        return 0 if self.begun is None else self.iter - self.begun

    def start_averaging(self) -> None:
        """Let the next update be the first of the mean; nothing changes if there is one already."""
        if self.begun is None:
            self.begun = self.iter

    @contextmanager
    def averaged(self, params: list[Array]) -> Iterator[None]:
        """Within it the parameters, of any shape, hold their means; then they are as they were.

        params  as `update` takes them
        Raises ValueError if nothing has been averaged, or for other parameters.
        """
        if not self.count:
            raise ValueError("AveragedSGD: there is no mean; start_averaging() and update first")
        (means,) = self._state(params)
        before = [p.copy() for p in params]
        try:
            for p, mean in zip(params, means, strict=True):
                p[...] = mean
            yield
        finally:
            for p, w in zip(params, before, strict=True):
                p[...] = w

    def update(self, params: list[Array], grads: list[Any]) -> None:
        """Move every parameter, of any shape; row-sparse gradients become dense: all rows move."""
        super().update(params, [to_dense(g) for g in grads])

    def step(self, w: Array, g: Array, mean: Array) -> None:
        if self.count:
            fused(averaged_sgd)(w, g, mean, self.rate, self.weight_decay, 1 / self.count)
        else:
            fused(decayed_sgd)(w, g, self.rate, self.weight_decay)


def decayed_sgd(w: Array, g: Array, rate: float, decay: float) -> None:
    """The rule of `AveragedSGD` before it averages, any shape."""
    w -= rate * (g + decay * w)


def averaged_sgd(w: Array, g: Array, mean: Array, rate: float, decay: float, share: float) -> None:
    """The rule of `AveragedSGD`, any shape; share = 1 / count, and the mean is that of count."""
    w -= rate * (g + decay * w)
    mean += share * (w - mean)


class Momentum(Optimizer):
    """v = momentum * v - lr * g;  w += v.  Source: Polyak 1964; book 1.3.6."""

    state_names = ("v",)

    def __init__(self, lr: LearningRate = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr)
        self.momentum = checked_ratio(f"{type(self).__name__}: momentum", momentum)

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"momentum": self.momentum}

    def step(self, w: Array, g: Array, v: Array) -> None:
        fused(momentum)(w, g, v, self.rate, float(self.momentum))

    def catch_up(self, missed: Array, w: Array, v: Array) -> None:
        w += v * geometric(self.momentum, missed)
        v *= self.momentum**missed


def momentum(w: Array, g: Array, v: Array, rate: float, m: float) -> None:
    """The rule of `Momentum`, any shape."""
    v *= m
    v -= rate * g
    w += v


class Nesterov(Momentum):
    """w += m * m * v - (1 + m) * lr * g, with the old v;  then v = m * v - lr * g.

    m is the momentum; w is kept at the point looked ahead to.  Source: Nesterov 1983, in the form
    of Bengio et al. 2012; book 1.3.6.
    """

    def step(self, w: Array, g: Array, v: Array) -> None:
        m = float(self.momentum)
        fused(nesterov)(w, g, v, self.rate, m, 1 + m)

    def catch_up(self, missed: Array, w: Array, v: Array) -> None:
        w += self.momentum * v * geometric(self.momentum, missed)
        v *= self.momentum**missed


def nesterov(w: Array, g: Array, v: Array, rate: float, m: float, one_and_m: float) -> None:
    """The rule of `Nesterov`, any shape."""
    lr_g = rate * g
    v *= m
    w += m * v - one_and_m * lr_g
    v -= lr_g


class AdaGrad(Optimizer):
    """h += g^2;  w -= lr * g / (sqrt(h) + 1e-7).  Source: Duchi et al. 2011; book 1.3.6."""

    state_names = ("h",)

    def step(self, w: Array, g: Array, h: Array) -> None:
        fused(adagrad)(w, g, h, self.rate)


def adagrad(w: Array, g: Array, h: Array, rate: float) -> None:
    """The rule of `AdaGrad`, any shape."""
    h += g * g
    w -= rate * over_root(g, h)


class RMSprop(Optimizer):
    """h = d * h + (1 - d) * g^2;  w -= lr * g / (sqrt(h) + 1e-7), with d the decay rate.

    Source: Tieleman and Hinton 2012; book 1.3.6.
    """

    state_names = ("h",)

    def __init__(self, lr: LearningRate = 0.01, decay_rate: float = 0.99) -> None:
        super().__init__(lr)
        self.decay_rate = checked_ratio("RMSprop: decay_rate", decay_rate)

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"decay_rate": self.decay_rate}

    def step(self, w: Array, g: Array, h: Array) -> None:
        d = float(self.decay_rate)
        fused(rmsprop)(w, g, h, self.rate, d, 1 - d)

    def catch_up(self, missed: Array, w: Array, h: Array) -> None:
        h *= self.decay_rate**missed


def rmsprop(w: Array, g: Array, h: Array, rate: float, d: float, rest: float) -> None:
    """The rule of `RMSprop`, any shape; rest = 1 - d."""
    h *= d
    h += rest * g * g
    w -= rate * over_root(g, h)


class Adam(Optimizer):
    """m += (1 - beta1) (g - m);  v += (1 - beta2) (g^2 - v);  w -= lr_t * m / (sqrt(v) + 1e-7)

    where lr_t = lr * sqrt(1 - beta2^iter) / (1 - beta1^iter) makes up for m and v starting at zero.

    A gradient moves w in this and the following updates, by shares that fade with beta1. The rows
    of a row-sparse gradient go at once to where it would carry them,
        v = beta2^(updates since) v + (1 - beta2) g^2
        w -= lr * sqrt(1 - beta2^iter) * g / (sqrt(v) + 1e-7)
    so they need no m. torch.optim.SparseAdam does without the fading of v between, which leaves
    the vectors of rare words short (compared in ch04/README.md).
    Source: Kingma and Ba 2015; book 1.3.6.
    """

    state_names = ("m", "v")

    def __init__(self, lr: LearningRate = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        super().__init__(lr)
        self.beta1 = checked_ratio("Adam: beta1", beta1)
        self.beta2 = checked_ratio("Adam: beta2", beta2)

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"beta1": self.beta1, "beta2": self.beta2}

    def step(self, w: Array, g: Array, m: Array, v: Array) -> None:
        correction = math.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        rests = 1 - float(self.beta1), 1 - float(self.beta2)
        fused(adam)(w, g, m, v, float(self.rate * correction), *rests)

    def update_rows(self, p: Array, g: RowSparse, missed: Array, m: Array, v: Array) -> None:
        fresh = g.rows * g.rows
        fresh *= 1 - float(self.beta2)
        faded = v.take(g.index, axis=0)
        faded *= float(self.beta2) ** (missed + 1)
        faded += fresh
        move = over_root(g.rows, faded)
        move *= float(self.rate * math.sqrt(1 - self.beta2**self.iter))
        v[g.index] = faded
        p[g.index] = np.subtract(p.take(g.index, axis=0), move, out=move)


def adam(w: Array, g: Array, m: Array, v: Array, rate: float, rest1: float, rest2: float) -> None:
    """The rule of `Adam`, any shape; rest1 = 1 - beta1, rest2 = 1 - beta2."""
    m += rest1 * (g - m)
    v += rest2 * (g * g - v)
    w -= rate * over_root(m, v)
