"""Training loops: batching, one step, reporting.  N batch size, T time steps of a block."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy
from tqdm import tqdm

from common.gradients import clip_grads, remove_duplicate
from common.np import Array, np, to_cpu
from common.plots import show
from common.rng import Seed, generator

__all__ = ["RnnlmTrainer", "Trainer", "remove_duplicate"]

Batch = tuple[Array, Array]


class _Loop:
    """What the trainers share: the step, the reports, the plot. They differ in their batches."""

    _quantity = "loss"

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self.eval_interval: int | None = None
        self.current_epoch = 0

    def _run(
        self,
        epochs: Iterable[Iterable[Batch]],
        max_iters: int,
        max_grad: float | None,
        history: list[float],
    ) -> None:
        """Train on every batch of every epoch; reports go to `history` and are printed."""
        losses: list[Any] = []  # since the last report, on the device: reading one waits for it
        good = [p.copy() for p in self.model.params]
        step, start = 0, time.monotonic()
        for batches in epochs:
            bar = tqdm(batches, f"epoch {self.current_epoch + 1}", max_iters, False, disable=None)
            for iters, batch in enumerate(bar):
                with numpy.errstate(over="ignore", invalid="ignore"):  # _mean says it better
                    losses.append(self.model.forward(*batch))
                    step += 1
                    if self.eval_interval is not None and iters % self.eval_interval == 0:
                        value = self._of_loss(self._mean(losses, step, good))
                        losses.clear()
                        for kept, p in zip(good, self.model.params, strict=True):
                            kept[...] = p
                        history.append(value)
                        bar.write(
                            f"| epoch {self.current_epoch + 1} |  iter {iters + 1} / {max_iters} "
                            f"| time {time.monotonic() - start:.0f}[s] "
                            f"| {self._quantity} {value:.2f}"
                        )
                    self._learn(max_grad)
            self._mean(losses, step, good)
            self.current_epoch += 1

    def _learn(self, max_grad: float | None) -> None:
        """Backward, merge the gradients of shared weights, clip, update."""
        self.model.backward()
        params, grads = remove_duplicate(self.model.params, self.model.grads)
        if max_grad is not None:
            clip_grads(grads, max_grad)
        self.optimizer.update(params, grads)

    def _mean(self, losses: list[Any], step: int, good: list[Array]) -> float:
        """Mean of the losses of the steps up to `step`; puts `good` back if one is not finite."""
        values = [float(loss) for loss in losses]
        for k, value in enumerate(values):
            if not math.isfinite(value):
                for p, kept in zip(self.model.params, good, strict=True):
                    p[...] = kept
                raise FloatingPointError(
                    f"{type(self).__name__}.fit: the loss became {value} at step "
                    f"{step - len(values) + k + 1}, in epoch {self.current_epoch + 1}; the weights "
                    "are those of the last report before it. A smaller learning rate, or max_grad, "
                    "usually helps"
                )
        return math.fsum(values) / max(len(values), 1)

    def _of_loss(self, loss: float) -> float:
        return loss

    def _plot(self, history: list[float], ylim: tuple[float, float] | None) -> None:
        import matplotlib.pyplot as plt

        if ylim is not None:
            plt.ylim(*ylim)
        plt.plot(range(len(history)), history, label="train")
        plt.xlabel(f"iterations (x{self.eval_interval})")
        plt.ylabel(self._quantity)
        show(f"{self._quantity}.png")

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
        self._check(batch_size=batch_size, eval_interval=eval_interval)
        if len(x) != len(t):
            raise self._refuse(f"{len(x)} samples do not go with {len(t)} labels")
        if batch_size > len(x):
            raise self._refuse(f"a batch of {batch_size} needs more than the {len(x)} samples")
        self.eval_interval = eval_interval
        rng = generator(rng)
        epochs = (self._batches(x, t, batch_size, rng) for _ in range(max_epoch))
        self._run(epochs, len(x) // batch_size, max_grad, self.loss_list)

    def _batches(
        self, x: Array, t: Array, batch_size: int, rng: numpy.random.Generator
    ) -> Iterator[Batch]:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield _on_device(x[chosen]), t[chosen]

    def plot(self, ylim: tuple[float, float] | None = None) -> None:
        """Draw the loss of every report; without a display, into loss.png in the current folder.

        ylim  lower and upper end of the axis
        """
        self._plot(self.loss_list, ylim)


class RnnlmTrainer(_Loop):
    """Trains a language model on a text read in order (truncated backpropagation through time).

    model     has forward(xs, ts) -> loss, backward(), params and grads, and keeps its state
    time_idx  how many steps of the text each of the N reading positions has seen
    ppl_list  the perplexity between one report and the next, of the last call of `fit`
    Source: book 5.5.4.
    """

    _quantity = "perplexity"

    def __init__(self, model: Any, optimizer: Any) -> None:
        super().__init__(model, optimizer)
        self.time_idx = 0
        self.ppl_list: list[float] = []

    def get_batch(self, x: Array, t: Array, batch_size: int, time_size: int) -> Batch:
        """The next window (N, T) of N reading positions spread over the text; wraps at its end.

        Row n starts at n * (len(x) // N); time_idx moves on by T.  Source: book 5.2.4, 5.2.5.
        """
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
        self._check(batch_size=batch_size, time_size=time_size, eval_interval=eval_interval)
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
        self._run(epochs, max_iters, max_grad, self.ppl_list)

    def plot(self, ylim: tuple[float, float] | None = None) -> None:
        """Draw the perplexity of every report; without a display, into perplexity.png.

        ylim  lower and upper end of the axis
        """
        self._plot(self.ppl_list, ylim)

    def _of_loss(self, loss: float) -> float:
        return math.exp(loss) if loss < 700 else math.inf


def _on_device(x: Array) -> Array:
    """Numbers move to the device here. Ids stay: a layer checks them first, at its door."""
    return x if x.dtype.kind in "iu" else np.asarray(x)
