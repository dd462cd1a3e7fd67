"""One training step of either library: forward, loss, backward, clipping if asked for, update."""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any

Step = Callable[[], object]


def our_step(model: Any, optimizer: Any, batches: Iterable[Any], max_grad: Any = None) -> Step:
    """The step that `Trainer.fit` and `RnnlmTrainer.fit` take."""
    from common.trainer import Trainer

    trainer, turns = Trainer(model, optimizer), cycle(batches)
    gradients = trainer._gradients()

    def step() -> None:
        gradients(*next(turns))
        trainer._learn(max_grad)

    return step


def torch_step(model: Any, optimizer: Any, batches: Iterable[Any], max_grad: Any = None) -> Step:
    """model(x, t) -> loss; batches are NumPy arrays."""
    import torch

    turns = cycle([[torch.as_tensor(a) for a in batch] for batch in batches])

    def step() -> None:
        optimizer.zero_grad()
        model(*next(turns)).backward()
        if max_grad is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad)
        optimizer.step()

    return step
