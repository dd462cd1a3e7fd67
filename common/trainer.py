"""Training loops: batching, one step, reporting.  N batch size, T time steps of a block."""

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy
from tqdm import tqdm

from common.functions import perplexity
from common.gradients import clip_grads, remove_duplicate
from common.np import Array, np, to_cpu
from common.plots import show
from common.rng import Seed, generator

__all__ = ["RnnlmTrainer", "Trainer", "remove_duplicate"]

Batch = tuple[Array, Array]


class _Loop:
    """What the trainers share: the step, the reports, the plot. They differ in their batches."""

    _quantity = "loss"
    _history = "loss_list"

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self.eval_interval: int | None = None
        self.current_epoch = 0

    def _run(
        self, epochs: Iterable[Iterable[Batch]], max_iters: int, max_grad: float | None
    ) -> None:
        """Train on every batch of every epoch, printing and keeping a report now and then."""
        self._losses: list[Any] = []  # on the device until a report: reading one waits for it
        self._good = [p.copy() for p in self.model.params]
        step, start = 0, time.monotonic()
        for batches in epochs:
            epoch = self.current_epoch + 1
            bar = tqdm(batches, f"epoch {epoch}", max_iters, leave=False, disable=None)
            for iters, batch in enumerate(bar):
                with numpy.errstate(over="ignore", invalid="ignore"):  # _check_losses says it
                    self._losses.append(self.model.forward(*batch))
                    step += 1
                    if iters % (self.eval_interval or max_iters) == 0:
                        loss = self._settle(step)
                        if self.eval_interval is not None:
                            seconds = time.monotonic() - start
                            bar.write(
                                f"| epoch {epoch} |  iter {iters + 1} / {max_iters} "
                                f"| time {seconds:.0f}[s] | {self._report(loss)}"
                            )
                    self._learn(max_grad)
            self._check_losses(step)
            self.current_epoch += 1
        self._good.clear()

    def _learn(self, max_grad: float | None) -> None:
        """Backward, merge the gradients of shared weights, clip, update."""
        self.model.backward()
        params, grads = remove_duplicate(self.model.params, self.model.grads)
        if max_grad is not None:
            clip_grads(grads, max_grad)
        self.optimizer.update(params, grads)

    def _report(self, loss: float) -> str:
        value = self._of_loss(loss)
        getattr(self, self._history).append(value)
        return f"{self._quantity} {value:.2f}"

    def _settle(self, step: int) -> float:
        """The mean of the losses since last time; the weights of now are the good ones now."""
        losses = self._check_losses(step)
        self._losses.clear()
        for kept, p in zip(self._good, self.model.params, strict=True):
            kept[...] = p
        return math.fsum(losses) / len(losses)

    def _check_losses(self, step: int) -> list[float]:
        """The losses since last time, of which `step` made the latest.

        If one is not finite, the weights go back to the good ones, and FloatingPointError names
        the step.
        """
        losses = [float(loss) for loss in self._losses]
        for k, loss in enumerate(losses, start=step - len(losses) + 1):
            if not math.isfinite(loss):
                for p, kept in zip(self.model.params, self._good, strict=True):
                    p[...] = kept
                if hasattr(self.model, "reset_state"):
                    self.model.reset_state()
                raise FloatingPointError(
                    f"{type(self).__name__}.fit: the loss became {loss} at step {k}, in epoch "
                    f"{self.current_epoch + 1}; the weights are back at those of the last report. "
                    "A smaller learning rate, or max_grad, usually helps; go on with a new "
                    "optimizer, since the state of this one is spoilt"
                )
        return losses

    def _of_loss(self, loss: float) -> float:
        return loss

    def plot(
        self, ylim: tuple[float, float] | None = None, *, file: str | Path | None = None
    ) -> None:
        """Draw what the reports said, the loss or the perplexity.

        ylim  lower and upper end of the axis
        file  where the figure goes on a machine without a display; loss.png or perplexity.png
        """
        import matplotlib.pyplot as plt

        history = getattr(self, self._history)
        if ylim is not None:
            plt.ylim(*ylim)
        plt.plot(range(len(history)), history, label="train")
        plt.xlabel(f"iterations (x{self.eval_interval})")
        plt.ylabel(self._quantity)
        show(file or f"{self._quantity}.png")

    def _check(self, **at_least_one: int | None) -> None:
        for name, value in at_least_one.items():
            if value is not None and value < 1:
                raise self._refuse(f"{name} must be at least 1, not {value}")

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self).__name__}.fit: {problem}")


class Trainer(_Loop):
    """Trains a model on samples in random order.

    model      has forward(x, t) -> loss, backward(), params and grads
    optimizer  has update(params, grads)
    loss_list  the mean loss between one report and the next, kept over calls of `fit`
    Source: book 1.4.4.
    """

    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self.loss_list: list[float] = []

    def fit(
        self,
        x: Array,
        t: Array,
        max_epoch: int = 10,
        batch_size: int = 32,
        max_grad: float | None = None,
        eval_interval: int | None = 20,
        *,
        rng: Seed = None,
    ) -> None:
        """Go through the data max_epoch times, in a new order each time.

        x, t           samples and labels, one per entry of the first axis; left as they are. What
                       is left over after the last full batch of an epoch is dropped
        max_grad       largest joint length of the gradients; None does not clip
        eval_interval  iterations from report to report; None reports nothing
        rng            seed or Generator of the order; None follows NumPy's global seed
        Raises ValueError for data that cannot be trained on, FloatingPointError if the loss stops
        being finite (seen at the next report); the weights are then those of the last report.
        """
        x, t = to_cpu(x), to_cpu(t)
        self._check(max_epoch=max_epoch, batch_size=batch_size, eval_interval=eval_interval)
        if len(x) != len(t):
            raise self._refuse(f"{len(x)} samples do not go with {len(t)} labels")
        if batch_size > len(x):
            raise self._refuse(f"a batch of {batch_size} needs more than the {len(x)} samples")
        self.eval_interval = eval_interval
        rng = generator(rng)
        epochs = (self._batches(x, t, batch_size, rng) for _ in range(max_epoch))
        self._run(epochs, len(x) // batch_size, max_grad)

    def _batches(
        self, x: Array, t: Array, batch_size: int, rng: numpy.random.Generator
    ) -> Iterator[Batch]:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield _on_device(x[chosen]), t[chosen]


class RnnlmTrainer(_Loop):
    """Trains a language model on a text read in order (truncated backpropagation through time).

    model     has forward(xs, ts) -> loss, backward(), params and grads, and keeps its state
    time_idx  how many steps of the text each of the N reading positions has seen
    ppl_list  the perplexity between one report and the next, of the last call of `fit`
    Source: book 5.5.4.
    """

    _quantity = "perplexity"
    _history = "ppl_list"

    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self.time_idx = 0
        self.ppl_list: list[float] = []

    def get_batch(self, x: Array, t: Array, batch_size: int, time_size: int) -> Batch:
        """The next window (N, T) of N reading positions spread over the text; wraps at its end.

        Row n starts at n * (len(x) // N); time_idx moves on by T.  Source: book 5.2.4, 5.2.5.
        """
        x, t = to_cpu(x), to_cpu(t)
        starts = numpy.arange(batch_size) * (len(x) // batch_size)
        steps = self.time_idx + numpy.arange(time_size)
        where = (starts[:, None] + steps) % len(x)
        self.time_idx += time_size
        return x[where], t[where]

    def fit(
        self,
        xs: Array,
        ts: Array,
        max_epoch: int = 10,
        batch_size: int = 20,
        time_size: int = 35,
        max_grad: float | None = None,
        eval_interval: int | None = 20,
    ) -> None:
        """Read the text max_epoch times, from its beginning.

        xs, ts         ids (L,) of the text, and the same one word later
        max_grad       largest joint length of the gradients; None does not clip
        eval_interval  iterations from report to report; None reports nothing
        Neither the reading position nor the model's state goes back to the start between epochs.
        Raises ValueError for a text too short for one batch or not made of ids, FloatingPointError
        as `Trainer.fit` does.
        """
        xs, ts = to_cpu(xs), to_cpu(ts)
        self._check(
            max_epoch=max_epoch,
            batch_size=batch_size,
            time_size=time_size,
            eval_interval=eval_interval,
        )
        if xs.ndim != 1 or xs.shape != ts.shape:
            raise self._refuse(f"xs and ts must be (L,) both, not {xs.shape} and {ts.shape}")
        max_iters = len(xs) // (batch_size * time_size)
        if not max_iters:
            raise self._refuse(
                f"a text of {len(xs)} words is too short: one batch takes {batch_size} x "
                f"{time_size} = {batch_size * time_size}"
            )
        self.eval_interval = eval_interval
        self.time_idx, self.ppl_list = 0, []
        epochs = (
            (self.get_batch(xs, ts, batch_size, time_size) for _ in range(max_iters))
            for _ in range(max_epoch)
        )
        self._run(epochs, max_iters, max_grad)

    def _of_loss(self, loss: float) -> float:
        return perplexity(loss)


def _on_device(x: Array) -> Array:
    """Numbers move to the device here. Ids stay: a layer checks them first, at its door."""
    return x if x.dtype.kind in "iu" else np.asarray(x)
