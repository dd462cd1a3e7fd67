"""Clip the gradients of two matrices to a joint length of at most 5.

    python -m ch06.clip_grads
    python -m ch06.clip_grads --max-norm 1 --seed 0

`from clip_grads import clip_grads` gives a script in this folder the function itself.
Source: book 6.1.4.
"""

from common.cli import run, then
from common.gradients import clip_grads
from common.np import Array, np
from common.rng import generator

__all__ = ["clip_grads", "joint_norm", "main"]


def joint_norm(grads: list[Array]) -> float:
    """sqrt(sum over all arrays of sum g^2), a scalar: the length of all gradients as one vector."""
    return float(np.sqrt(sum((g**2).sum() for g in grads)))


def main(max_norm: float = 5.0, seed: int | None = None) -> None:
    """Print two random gradients, before and after they are clipped.

    max_norm  largest norm of both gradients together that is left as it is (book 6.1.4)
    seed      decides the gradients; if not given, every run has others
    """
    rng = generator(seed)
    grads = [np.asarray(10 * rng.random((3, 3))) for _ in range(2)]
    for when in "before", "after":
        if when == "after":
            clip_grads(grads, max_norm)
        print(f"{when}: joint norm {joint_norm(grads):.4f}")
        for g in grads:
            print(g)
    then("ch06.train_rnnlm")


if __name__ == "__main__":
    run(main)
