"""Learning rates that change: functions of the update number, which an optimizer takes as its lr.

Adam(lr=linear(2e-3, warmup=100, updates=2112))
"""

from collections.abc import Callable

from common.optimizer import is_rate

__all__ = ["inverse_root", "linear"]

Schedule = Callable[[int], float]


def linear(lr: float, *, updates: int, warmup: int | None = None, last: float = 0.05) -> Schedule:
    """Rise to lr over the first `warmup` updates, then fall in a line to last * lr at the end.

    lr * (k + 1) / warmup                            for update k < warmup
    lr * (1 - (1 - last) * (k - warmup) / (updates - warmup)), not below last * lr, from there on

    updates  of the whole training;  warmup  None starts with lr itself
    Adam's steps are largest while its mean of g^2 has seen few gradients: what warm-up is for.
    Raises ValueError for an lr that is no learning rate, a warmup or a number of updates below 1,
    a warmup as long as the training or longer, and a `last` outside 0..1.
    Source: Vaswani et al. 2017, 5.3, for the warm-up; Devlin et al. 2019 for the line.
    """
    begin = _checked("linear", lr, warmup)
    if updates <= begin:
        raise ValueError(f"linear: {updates} updates are not more than a warmup of {begin}")
    if not 0 <= last <= 1:
        raise ValueError(f"linear: last is in 0..1, not {last}")

    def rate(k: int) -> float:
        if k < begin:
            return lr * (k + 1) / begin
        return lr * max(last, 1 - (1 - last) * (k - begin) / (updates - begin))

    return rate


def inverse_root(lr: float, *, warmup: int) -> Schedule:
    """Rise to lr over the first `warmup` updates, then fall with 1 / sqrt(number of the update).

    lr * min((k + 1) / warmup, sqrt(warmup / (k + 1)))

    Raises ValueError for an lr that is no learning rate, and a warmup below 1.
    Source: Vaswani et al. 2017, (3), where lr is 1 / sqrt(D * warmup).
    """
    begin = _checked("inverse_root", lr, warmup)
    return lambda k: lr * min((k + 1) / begin, (begin / (k + 1)) ** 0.5)


def _checked(name: str, lr: float, warmup: int | None) -> int:
    """The warmup, 0 if there is none."""
    if not is_rate(lr):
        raise ValueError(f"{name}: lr is {lr}; a learning rate is finite and not negative")
    if warmup is not None and warmup < 1:
        raise ValueError(f"{name}: warmup must be at least 1 update, not {warmup}")
    return warmup or 0
