"""One training step of either library: forward, loss, backward, clipping if asked for, update."""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import Any

Step = Callable[[], object]
own_loop = False  # whether our steps are those of a loop of one's own, as in a notebook


def our_gradients(model: Any, optimizer: Any) -> tuple[Callable[..., Any], Callable[..., None]]:
    """The two parts of a step of `Trainer.fit`: gradients(x, t) -> loss, and learn(max_grad)."""
    from common.trainer import Trainer, _on_device

    trainer = Trainer(model, optimizer)
    gradients = trainer._gradients()
    return lambda x, t: gradients(_on_device(x), t), trainer._learn


def our_step(model: Any, optimizer: Any, batches: Iterable[Any], max_grad: Any = None) -> Step:
    """The step that `Trainer.fit` and `RnnlmTrainer.fit` take, or that of `own_loop`."""
    turns = cycle(batches)
    if own_loop:
        from common.gradients import clip_grads, remove_duplicate

        def own_step() -> None:
            model.forward(*next(turns))
            model.backward()
            params, grads = remove_duplicate(model.params, model.grads)
            if max_grad is not None:
                clip_grads(grads, max_grad)
            optimizer.update(params, grads)

        return own_step
    gradients, learn = our_gradients(model, optimizer)

    def step() -> None:
        gradients(*next(turns))
        learn(max_grad)

    return step


def torch_step(model: Any, optimizer: Any, batches: Iterable[Any], max_grad: Any = None) -> Step:
    """model(x, t) -> loss; batches are NumPy arrays, which a step moves to where the model is."""
    import torch

    turns = cycle([[torch.as_tensor(a, device="cpu") for a in batch] for batch in batches])
    there = next(model.parameters()).device

    def step() -> None:
        optimizer.zero_grad()
        model(*(a.to(there) for a in next(turns))).backward()
        if max_grad is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad)
        optimizer.step()

    return step


def update_by(model: Any, foreach: bool) -> dict[str, bool]:
    """How PyTorch's SGD updates: by `foreach` or not on the CPU, in one kernel on a GPU."""
    on_gpu = next(model.parameters()).is_cuda
    return {"fused": True} if on_gpu else {"foreach": foreach}
