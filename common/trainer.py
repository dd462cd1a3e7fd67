"""Training loops: batching, one step, reporting.  N batch size, T time steps of a block."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from tqdm import tqdm

from common.cores.data_parallel import DataParallel
from common.functions import perplexity
from common.gradients import clip_grads, distinct, remove_duplicate
from common.interrupts import DeferredInterrupts
from common.np import Array, np, to_cpu
from common.plots import show
from common.rng import Seed, generator
from common.storage.checkpoint import Checkpoint

__all__ = ["RnnlmTrainer", "Trainer", "remove_duplicate"]

Batch = tuple[Array, Array]


class _Loop:
    """What the trainers share: steps, reports, checkpoints, the plot. They differ in their batches.

    epoch_list  what `after_epoch` returned after each epoch of the last call of `fit`
    """

    _quantity = "loss"
    _history = "loss_list"
    progress: tuple[str, ...] = (
        *("current_epoch", "epoch_list"),
        *("_epochs", "_iters", "_step", "_losses", "_seconds"),
    )
    _epochs: int  # of this run
    _iters: int  # of this epoch
    _step: int = 0  # of this run
    _seconds: float
    _verbose: bool
    _losses: list[Any]  # on the device until a report: reading one waits for it

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self.eval_interval: int | None = None
        self.current_epoch = 0
        self.epoch_list: list[Any] = []

    def _begin_epoch(self) -> None:
        """Called before the first batch of every epoch."""

    def _batch(self, k: int) -> Batch:
        """Batch k of the epoch; they are asked for in order."""
        raise NotImplementedError

    def _run(
        self,
        max_epoch: int,
        max_iters: int,
        settings: dict[str, Any],
        checkpoint: str | Path | None,
        resume: bool,
        checkpoint_interval: int,
        after_epoch: Callable[[], Any] | None,
    ) -> None:
        """Train on every batch of every epoch, with a report and a checkpoint now and then."""
        if checkpoint is None and resume:
            raise self._refuse("resume=True needs the name of a checkpoint")
        with DeferredInterrupts() as interrupts:
            self._open(checkpoint, resume, settings)
            self._good = [p.copy() for p in distinct(self.model.params)]
            start = time.monotonic() - self._seconds
            while self._epochs < max_epoch:
                epoch, gradients = self.current_epoch + 1, self._gradients()
                if self._iters == 0:
                    self._begin_epoch()
                how: dict[str, Any] = {
                    "initial": self._iters,
                    "total": max_iters,
                    "leave": False,
                    "disable": None if self._verbose else True,  # None: unless on a terminal
                }
                bar = tqdm(range(self._iters, max_iters), f"epoch {epoch}", **how)
                for k in bar:
                    with numpy.errstate(over="ignore", invalid="ignore"):  # _check_losses says it
                        self._losses.append(gradients(*self._batch(k)))
                        self._step += 1
                        self._seconds = time.monotonic() - start
                        if k % (self.eval_interval or max_iters) == 0:
                            loss = self._settle()
                            if self.eval_interval is not None:
                                report = self._report(loss)
                                if self._verbose:
                                    bar.write(
                                        f"| epoch {epoch} |  iter {k + 1} / {max_iters} "
                                        f"| time {self._seconds:.0f}[s] | {report}"
                                    )
                        self._learn(settings["max_grad"])
                    self._iters = k + 1
                    due = self._iters == max_iters or self._iters % checkpoint_interval == 0
                    if due or interrupts.caught:
                        self._save()
                    interrupts.raise_caught()
                self._check_losses()
                if after_epoch is not None:
                    self.epoch_list.append(after_epoch())
                self._epochs, self._iters = self._epochs + 1, 0
                self.current_epoch += 1
            self._save(finished=True)
        self._good.clear()

    @property
    def steps(self) -> int:
        """How many training steps the run of the last `fit` has taken."""
        return self._step

    def _open(self, path: str | Path | None, resume: bool, settings: dict[str, Any]) -> None:
        """Begin a run, or go on with the one in the file."""
        self._checkpoint = None if path is None else Checkpoint(path, self, settings)
        if self._checkpoint is not None and resume:
            self._checkpoint.resume()
            return
        if self._checkpoint is not None:
            self._checkpoint.begin()
        self._rewind()

    def _rewind(self) -> None:
        """Go to the beginning of a run."""
        self._epochs = self._iters = self._step = 0
        self._seconds, self._losses, self.epoch_list = 0.0, [], []

    def _save(self, *, finished: bool = False) -> None:
        if self._checkpoint is not None:
            self._losses = self._check_losses()
            self._check_weights()
            self._checkpoint.save(finished)

    def _gradients(self) -> Callable[[Array, Array], Array]:
        """What fills the gradients of a batch and returns its loss; asked for once an epoch."""

        def gradients(x: Array, t: Array) -> Array:
            loss = self.model.forward(x, t)
            self.model.backward()
            return loss

        return gradients

    def _learn(self, max_grad: float | None) -> None:
        """Merge the gradients of shared weights, clip, update."""
        params, grads = remove_duplicate(self.model.params, self.model.grads)
        if max_grad is not None:
            clip_grads(grads, max_grad)
        self.optimizer.update(params, grads)

    def _report(self, loss: float) -> str:
        value = self._of_loss(loss)
        getattr(self, self._history).append(value)
        return f"{self._quantity} {value:.2f}"

    def _settle(self) -> float:
        """The mean of the losses since last time; the weights of now are the good ones now."""
        losses = self._check_losses()
        self._losses.clear()
        for kept, p in zip(self._good, distinct(self.model.params), strict=True):
            kept[...] = p
        return math.fsum(losses) / len(losses)

    def _check_losses(self) -> list[float]:
        """The losses since last time; FloatingPointError names the step of one that is not finite.

        The weights then go back to the good ones.
        """
        losses = [float(loss) for loss in self._losses]
        for step, loss in enumerate(losses, start=self._step - len(losses) + 1):
            if not math.isfinite(loss):
                raise self._spoilt(f"the loss became {loss} at step {step}")
        return losses

    def _check_weights(self) -> None:
        """Raise FloatingPointError, as above, for weights that the latest update has spoilt."""
        if not all(np.isfinite(p).all() for p in distinct(self.model.params)):
            raise self._spoilt(f"weights became infinite or nan at step {self._step}")

    def _spoilt(self, how: str) -> FloatingPointError:
        for p, kept in zip(distinct(self.model.params), self._good, strict=True):
            p[...] = kept
        if hasattr(self.model, "reset_state"):
            self.model.reset_state()
        return FloatingPointError(
            f"{type(self).__name__}.fit: {how}, in epoch {self.current_epoch + 1}; the weights are "
            "back at those of the last report. A smaller learning rate, or max_grad, usually "
            "helps; go on with a new optimizer, since the state of this one is spoilt"
        )

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

    Large batches of a model that is `divisible` are divided between the cores (`DataParallel`).
    model      has forward(x, t) -> loss, backward(), params and grads
    optimizer  has update(params, grads)
    loss_list  the mean loss between one report and the next, kept over calls of `fit`
    Source: book 1.4.4.
    """

    progress = (*_Loop.progress, "loss_list", "_order")

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
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_interval: int = 1000,
        after_epoch: Callable[[], Any] | None = None,
        verbose: bool = True,
    ) -> None:
        """Go through the data max_epoch times, in a new order each time.

        x, t           samples (L, ...) and labels (L, ...), left as they are. What is left over
                       after the last full batch of an epoch is dropped
        max_grad       largest joint length of the gradients; None does not clip
        eval_interval  iterations from report to report; None reports nothing
        rng            seed or Generator of the order; None follows NumPy's global seed
        checkpoint     a file that keeps the run: saved every checkpoint_interval iterations, at the
                       end of each epoch, and before Ctrl-C or SIGTERM end the run
        resume         go on with the run in that file, as if it had never stopped. Model, optimizer
                       and data must be made as they were at first, seeds included; max_epoch may
                       differ
        after_epoch    called after each epoch; what it returns (a number, a text, an array) is kept
                       in `epoch_list`
        verbose        whether to print the reports, and to show a progress bar on a terminal

        Ctrl-C and SIGTERM end the run after a whole step, as KeyboardInterrupt. A run whose loss
        stopped being finite cannot be resumed to anything better: begin anew with other settings.
        Raises ValueError for data that cannot be trained on, for a checkpoint that is damaged or of
        another run, and for one that is not finished unless it is resumed; FileNotFoundError where
        there is none to resume; FloatingPointError if the loss stops being finite (seen at the next
        report); the weights are then those of the last report or resume.
        """
        x, t = to_cpu(x), to_cpu(t)
        self._check(
            max_epoch=max_epoch,
            batch_size=batch_size,
            eval_interval=eval_interval,
            checkpoint_interval=checkpoint_interval,
        )
        if len(x) != len(t):
            raise self._refuse(f"{len(x)} samples do not go with {len(t)} labels")
        if batch_size > len(x):
            raise self._refuse(f"a batch of {batch_size} needs more than the {len(x)} samples")
        self.eval_interval, self._verbose = eval_interval, verbose
        self._data, self._batch_size, self._rng = (x, t), batch_size, generator(rng)
        settings = {"batch_size": batch_size, "max_grad": max_grad, "eval_interval": eval_interval}
        self._run(
            max_epoch,
            len(x) // batch_size,
            settings | {"x": x, "t": t},
            checkpoint,
            resume,
            checkpoint_interval,
            after_epoch,
        )

    def _gradients(self) -> Callable[[Array, Array], Array]:
        return DataParallel(self.model).gradients

    def _begin_epoch(self) -> None:
        self._order = self._rng.permutation(len(self._data[0]))

    def _batch(self, k: int) -> Batch:
        x, t = self._data
        chosen = self._order[k * self._batch_size : (k + 1) * self._batch_size]
        return _on_device(x[chosen]), t[chosen]


class RnnlmTrainer(_Loop):
    """Trains a language model on a text read in order (truncated backpropagation through time).

    model     has forward(xs, ts) -> loss, backward(), params and grads, and keeps its state
    time_idx  how many steps of the text each of the N reading positions has seen
    ppl_list  the perplexity between one report and the next, of the last call of `fit`
    Source: book 5.5.4.
    """

    _quantity = "perplexity"
    _history = "ppl_list"
    progress = (*_Loop.progress, "ppl_list", "time_idx")

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
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_interval: int = 1000,
        after_epoch: Callable[[], Any] | None = None,
        verbose: bool = True,
    ) -> None:
        """Read the text max_epoch times, from its beginning.

        xs, ts         ids (L,) of the text, and the same one word later
        max_grad       largest joint length of the gradients; None does not clip
        eval_interval  iterations from report to report; None reports nothing
        checkpoint, resume, checkpoint_interval, after_epoch, verbose  as for `Trainer.fit`

        Neither the reading position nor the model's state goes back to the start between epochs,
        unless after_epoch sees to it.
        Raises ValueError for a text too short for one batch or not made of ids, and what
        `Trainer.fit` raises.
        """
        xs, ts = to_cpu(xs), to_cpu(ts)
        self._check(
            max_epoch=max_epoch,
            batch_size=batch_size,
            time_size=time_size,
            eval_interval=eval_interval,
            checkpoint_interval=checkpoint_interval,
        )
        if xs.ndim != 1 or xs.shape != ts.shape:
            raise self._refuse(f"xs and ts must be (L,) both, not {xs.shape} and {ts.shape}")
        max_iters = len(xs) // (batch_size * time_size)
        if not max_iters:
            raise self._refuse(
                f"a text of {len(xs)} words is too short: one batch takes {batch_size} x "
                f"{time_size} = {batch_size * time_size}"
            )
        self.eval_interval, self._verbose = eval_interval, verbose
        self._data, self._window = (xs, ts), (batch_size, time_size)
        settings = {"batch_size": batch_size, "time_size": time_size, "max_grad": max_grad}
        self._run(
            max_epoch,
            max_iters,
            settings | {"eval_interval": eval_interval, "xs": xs, "ts": ts},
            checkpoint,
            resume,
            checkpoint_interval,
            after_epoch,
        )

    def _rewind(self) -> None:
        super()._rewind()
        self.time_idx, self.ppl_list = 0, []

    def _batch(self, k: int) -> Batch:
        return self.get_batch(*self._data, *self._window)

    def _of_loss(self, loss: float) -> float:
        return perplexity(loss)


def _on_device(x: Array) -> Array:
    """Numbers move to the device here. Ids stay: a layer checks them first, at its door."""
    return x if x.dtype.kind in "iu" else np.asarray(x)
