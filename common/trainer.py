"""Training loops: batching, one step, reporting.  N batch size, T time steps of a block."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy
from tqdm import tqdm

from common.checks import is_number, on_host
from common.cores.data_parallel import DataParallel
from common.cores.parallel import threads
from common.evaluate import eval_perplexity, on_terminal, progress_bar
from common.functions import perplexity
from common.gradients import clip_grads, distinct, remove_duplicate
from common.interrupts import DeferredInterrupts
from common.network import (
    Layer,
    evaluating,
    evaluation_options,
    generators,
    set_states,
    states,
)
from common.np import Array, np, to_cpu
from common.plots import axes
from common.rng import Seed, generator
from common.storage.checkpoint import Checkpoint, unlike

__all__ = ["RnnlmTrainer", "StreamTrainer", "Trainer", "remove_duplicate"]

Batch = tuple[Array, Array]
Row = dict[str, Any]
LINES = 100  # of reports, in a log


@dataclass
class Options:
    """The keywords that `fit` of both trainers takes beside its own.

    checkpoint     a file that keeps the run: saved every checkpoint_interval iterations, at the end
                   of each epoch, and before Ctrl-C or SIGTERM end the run
    resume         go on with the run in that file, as if it had never stopped. Make model,
                   optimizer and data as they were at first, seeds and functions included; max_epoch
                   may differ. With another number of threads of BLAS, results may differ in their
                   last digits; this is printed
    overwrite      begin anew even if the run in that file is not finished
    valid          validation data like the training data: inputs (L, ...), labels (L, ...). Their
                   loss or perplexity is found after each epoch, printed, and kept in the history;
                   what is learned does not depend on it
    after_epoch    called with the trainer after each epoch; may return a dictionary, which joins
                   the epoch's row of the history, and may end the run with `trainer.stop()`
    verbose        print the reports, and show a progress bar on a terminal; elsewhere, as in a log,
                   at most LINES of the reports of a call are printed, evenly spread
    """

    checkpoint: str | Path | None = None
    resume: bool = False
    overwrite: bool = False
    checkpoint_interval: int = 1000
    valid: Batch | None = None
    after_epoch: Callable[[Any], Mapping[str, Any] | None] | None = None
    verbose: bool = True


@dataclass
class Position:
    """How far a trainer is; a checkpoint keeps this and the history.

    current_epoch, step         epochs and training steps so far, of all calls of `fit`
    epoch, iteration, seconds   of this call: finished epochs, steps of the next one, time
    losses                      since the last report; on the device: reading one waits for it
    reports                     of this epoch
    order (L,)                  of the samples, in this epoch
    time_idx                    steps of the text that each reading position has seen
    """

    current_epoch: int = 0
    step: int = 0
    epoch: int = 0
    iteration: int = 0
    seconds: float = 0.0
    losses: list[Any] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    order: Any = None
    time_idx: int = 0
    stopped: bool = False


class _Loop:
    """What the trainers share: steps, reports, checkpoints, the plot. They differ in their batches.

    history  one dictionary for each report (epoch, iteration, step, seconds, and the loss or
             perplexity since the last report) and one for each epoch (no iteration; the mean of its
             reports, and what validation and `after_epoch` found), over all calls of `fit`;
             `pandas.DataFrame(trainer.history)` is a table of them
    rng      generator of the order of the samples, if there is one
    """

    quantity = "loss"

    def __init__(self, model: Any, optimizer: Any) -> None:
        self.model = model
        self.optimizer = optimizer
        self.rng: Any = None
        self.eval_interval: int | None = None
        self.history: list[Row] = []
        self._at = Position()

    @property
    def current_epoch(self) -> int:
        """How many epochs are finished, over all calls of `fit`."""
        return self._at.current_epoch

    @property
    def steps(self) -> int:
        """How many training steps there were, over all calls of `fit`."""
        return self._at.step

    @property
    def epochs(self) -> list[Row]:
        """The rows of the history that tell of a whole epoch."""
        return [row for row in self.history if "iteration" not in row]

    @property
    def reports(self) -> list[float]:
        """The reported losses or perplexities, over all calls of `fit`."""
        return [row[self.quantity] for row in self.history if "iteration" in row]

    @property
    def progress(self) -> dict[str, Any]:
        """What a checkpoint keeps of a trainer: numbers, lists, and host arrays of any shape."""
        return {"history": self.history, "position": asdict(self._at)}

    @progress.setter
    def progress(self, saved: dict[str, Any]) -> None:
        self.history, self._at = saved["history"], Position(**saved["position"])

    @property
    def progress_like(self) -> dict[str, Any]:
        """What the progress of this run is compared with before it is set, see `unlike`."""
        position = asdict(Position(seconds=1.0, losses=[0.0])) | {
            "iteration": lambda k: not unlike(k, 0, "") and k <= self._iterations,
            "reports": lambda values: isinstance(values, list) and all(map(_is_report, values)),
            "order": self._is_order,
        }
        return {"history": self._is_history, "position": position}

    @property
    def example(self) -> Batch:
        """A batch like those of the run, any shape, from which nothing is learned."""
        raise NotImplementedError

    def _is_order(self, order: Any) -> bool:
        """Whether a checkpoint may hold it; here it has none."""
        return order is None

    def _is_history(self, rows: Any) -> bool:
        least: Row = {"epoch": 1, "step": 1, "seconds": 1.0}
        return isinstance(rows, list) and all(
            isinstance(row, dict)
            and not unlike({name: row.get(name) for name in least}, least, "")
            and not unlike(row.get("iteration", 1), 1, "")
            and _is_report(row.get(self.quantity, None if "iteration" in row else 0.0))
            for row in rows
        )

    def stop(self) -> None:
        """End the run after this epoch, with a finished checkpoint: early stopping."""
        self._at.stopped = True

    def _begin_epoch(self) -> None:
        """Called before the first batch of every epoch."""

    def _batch(self, k: int) -> Batch:
        """Batch k of the epoch; they are asked for in order."""
        raise NotImplementedError

    def _validate(self, x: Array, t: Array) -> float:
        """The loss or perplexity of validation data (L, ...), (L, ...)."""
        raise NotImplementedError

    def _checked(self, x: Array, t: Array, what: str = "") -> Batch:
        """Training data, or (what = "valid: ") validation data, on the host, if they are usable."""
        raise NotImplementedError

    def _run(
        self,
        data: dict[str, Array],
        sizes: dict[str, int],
        how: dict[str, Any],
        options: dict[str, Any],
    ) -> list[Row]:
        """Train on the batches of every epoch -> the history.

        sizes  of a batch
        how    max_epoch, max_grad and eval_interval
        """
        self._options, self._sizes = Options(**options), sizes
        interval, valid = self._options.checkpoint_interval, self._options.valid
        self._max_grad, self.eval_interval = how["max_grad"], how["eval_interval"]
        self._check(max_epoch=how["max_epoch"], **sizes)
        self._check(eval_interval=self.eval_interval, checkpoint_interval=interval)
        self._data = self._checked(*data.values())
        if valid is not None and not (isinstance(valid, tuple | list) and len(valid) == 2):
            raise self._refuse("valid must be a pair, inputs and labels")
        if not (self._options.after_epoch is None or callable(self._options.after_epoch)):
            raise self._refuse("after_epoch must be a function")
        if self._max_grad is not None and not (is_number(self._max_grad) and self._max_grad > 0):
            raise self._refuse(f"max_grad must be a number above 0, not {self._max_grad!r}")
        self._options.valid = valid and self._checked(*valid, what="valid: ")
        for pair in filter(None, (self._data, self._options.valid)):
            self._try_extremes(*pair)
        self._iterations = len(self._data[0]) // math.prod(sizes.values())
        self._reports = math.ceil(self._iterations / (self.eval_interval or self._iterations))
        self._printed = 1 if on_terminal() else math.ceil(how["max_epoch"] * self._reports / LINES)
        settings = sizes | {"max_grad": self._max_grad, "eval_interval": self.eval_interval}
        with DeferredInterrupts() as interrupts, ExitStack() as until_the_end:
            self._open(settings | dict(zip(data, self._data, strict=True)), until_the_end)
            self._snapshot = [p.copy() for p in distinct(self.model.params)]
            self._began = time.monotonic() - self._at.seconds
            while self._at.epoch < how["max_epoch"] and not self._at.stopped:
                self._train_epoch(interrupts)
                self._end_epoch()
            self._save(finished=True)
        self._snapshot.clear()
        return self.history

    def _train_epoch(self, interrupts: DeferredInterrupts) -> None:
        """Train on the batches of the epoch that are left, with a checkpoint now and then."""
        at, gradients = self._at, self._gradients()
        if at.iteration == 0:
            at.reports = []
            self._begin_epoch()
        bar = progress_bar(
            range(at.iteration, self._iterations),
            shown=self._options.verbose,
            desc=f"epoch {at.current_epoch + 1}",
            initial=at.iteration,
            total=self._iterations,
        )
        for k in bar:
            self._train_step(k, gradients)
            at.iteration = k + 1
            at_the_end = at.iteration == self._iterations
            due = at_the_end or at.iteration % self._options.checkpoint_interval == 0
            if due or interrupts.caught:
                self._save()
            interrupts.raise_caught()
        self._check_losses()

    def _train_step(self, k: int, gradients: Callable[[Array, Array], Array]) -> None:
        """Gradients of batch k, a report now and then, and the update of the weights."""
        with numpy.errstate(over="ignore", invalid="ignore"):  # _check_losses reports it
            self._at.losses.append(gradients(*self._batch(k)))
            self._at.step += 1
            self._at.seconds = time.monotonic() - self._began
            if k % (self.eval_interval or self._iterations) == 0:
                loss = self._mean_loss()
                if self.eval_interval is not None:
                    self._report(k, self._of_loss(loss))
            self._learn(self._max_grad)

    def _end_epoch(self) -> None:
        """Validate, let `after_epoch` do its work, and keep what both found."""
        at, options = self._at, self._options
        row: Row = {"epoch": at.current_epoch + 1, "step": at.step, "seconds": round(at.seconds, 3)}
        if at.reports:
            row[self.quantity] = self._mean_report(at.reports)
        if options.valid is not None:
            with left_as_it_was(self.model):
                value = row[f"valid_{self.quantity}"] = self._validate(*options.valid)
            if options.verbose:
                print(f"| epoch {row['epoch']} | valid {self.quantity} {value:.2f}")
        self.history.append(row)
        if options.after_epoch is not None:
            found = options.after_epoch(self)
            if not isinstance(found, Mapping | None):
                raise TypeError(
                    f"{type(self).__name__}.fit: after_epoch returned {found!r}; a dictionary or "
                    "None is needed"
                )
            row |= found or {}
        at.epoch, at.iteration, at.current_epoch = at.epoch + 1, 0, at.current_epoch + 1

    def _open(self, settings: dict[str, Any], until_the_end: ExitStack) -> None:
        """Begin a run, or go on with the one in the file, which is no other run's until the end."""
        path, resume = self._options.checkpoint, self._options.resume
        self._checkpoint = None if path is None else Checkpoint(path, self, settings)
        if self._checkpoint is not None:
            until_the_end.enter_context(self._checkpoint.held())
            if resume:
                there, here = self._checkpoint.resume(), threads()
                if there != here and self._options.verbose:
                    print(
                        f"{path}: the run had {there} threads of BLAS, and has {here} now; results "
                        "may differ in their last digits"
                    )
                return
            self._checkpoint.begin(overwrite=self._options.overwrite)
        elif resume:
            raise self._refuse("resume=True needs the name of a checkpoint")
        self._at = Position(self._at.current_epoch, self._at.step)

    def _save(self, *, finished: bool = False) -> None:
        if self._checkpoint is not None:
            self._at.losses = self._check_losses()
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

    def _report(self, k: int, value: float) -> None:
        """Keep, and print, the loss or perplexity of the steps since the last report."""
        at = self._at
        row = {"epoch": at.current_epoch + 1, "iteration": k + 1, "step": at.step}
        self.history.append(row | {"seconds": round(at.seconds, 3), self.quantity: value})
        at.reports.append(value)
        number = at.epoch * self._reports + len(at.reports) - 1
        if self._options.verbose and number % self._printed == 0:
            with tqdm.external_write_mode():  # `tqdm.write` needs a stdout
                print(
                    f"| epoch {at.current_epoch + 1} |  iter {k + 1} / {self._iterations} "
                    f"| time {at.seconds:.0f}[s] | {self.quantity} {value:.2f}"
                )

    def _mean_loss(self) -> float:
        """The mean of the losses since the last report; snapshot the weights for rollback."""
        losses = self._check_losses()
        self._at.losses.clear()
        for kept, p in zip(self._snapshot, distinct(self.model.params), strict=True):
            kept[...] = p
        return math.fsum(losses) / len(losses)

    def _check_losses(self) -> list[float]:
        """The losses since the last report, as numbers.

        Raises FloatingPointError, which names the step of a loss that is not finite; the weights
        are rolled back then.
        """
        losses = [float(loss) for loss in self._at.losses]
        for step, loss in enumerate(losses, start=self._at.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise self._rolled_back(f"the loss became {loss} at step {step}")
        return losses

    def _check_weights(self) -> None:
        """Raise FloatingPointError, as above, if the last update made weights infinite or nan."""
        if not all(np.isfinite(p).all() for p in distinct(self.model.params)):
            raise self._rolled_back(f"weights became infinite or nan at step {self._at.step}")

    def _rolled_back(self, how: str) -> FloatingPointError:
        """Roll the weights back to the last snapshot -> the error to raise."""
        for p, kept in zip(distinct(self.model.params), self._snapshot, strict=True):
            p[...] = kept
        if hasattr(self.model, "reset_state"):
            self.model.reset_state()
        return FloatingPointError(
            f"{type(self).__name__}.fit: {how}, in epoch {self.current_epoch + 1}; the weights are "
            f"back at those of the last report. {self._cause()}; go on with a new optimizer, since "
            "the state of this one is spoilt"
        )

    def _cause(self) -> str:
        """What is probably the matter with a run whose loss is not finite."""
        for name, a in zip(("inputs", "labels"), self._data[-2:], strict=True):
            if a.dtype.kind == "f" and not (finite := numpy.isfinite(a)).all():
                first = finite.reshape(len(a), -1).all(axis=1).argmin()
                return f"The cause is in the data: the {name} of sample {first} are infinite or nan"
        if not all(np.isfinite(p).all() for p in self._snapshot):
            return "These are infinite or nan themselves: the run began with such weights"
        return "A smaller learning rate, or max_grad, usually helps"

    def _of_loss(self, loss: float) -> float:
        """The loss in the quantity that is reported."""
        return loss

    def _mean_report(self, values: list[float]) -> float:
        return math.fsum(values) / len(values)

    def plot(
        self,
        ylim: tuple[float, float] | None = None,
        *,
        file: str | Path | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw the loss or perplexity of each report, and of the validation data -> the axes.

        ylim  lower and upper end of the axis
        file  where the figure goes on a machine without a display; loss.png or perplexity.png
        ax    Matplotlib's axes to draw into; a figure of its own if not given
        """
        from matplotlib.ticker import MaxNLocator

        reports, points = self.reports, []
        count = 0
        for row in self.history:
            count += "iteration" in row
            if f"valid_{self.quantity}" in row:
                points.append((count or row["epoch"], row[f"valid_{self.quantity}"]))
        with axes(file or f"{self.quantity}.png", ax) as ax:
            ax.plot(range(len(reports)), reports, label="train")
            if points:
                ax.plot(*zip(*points, strict=True), marker="o", label="valid")
                ax.legend()
            ax.set_xlabel(f"iterations (x{self.eval_interval})" if reports else "epoch")
            ax.set_ylabel("loss (nats)" if self.quantity == "loss" else self.quantity)
            ax.set_ylim(ylim)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return ax

    def _samples(self, x: Array, t: Array, which: Array | slice) -> Batch:
        """A batch of some of the data."""
        raise NotImplementedError

    def _try_extremes(self, x: Array, t: Array) -> None:
        """Raise ValueError if a model of ours refuses the smallest or largest ids or labels."""
        ids = [a for a in (x, t) if a.dtype.kind in "iu" and a.size]
        rows = [k * len(a) // a.size for a in ids for k in (int(a.argmin()), int(a.argmax()))]
        is_ours, N = isinstance(self.model, Layer), self._sizes["batch_size"]
        for batch in numpy.resize(rows, (-(-len(rows) // N), N)) if is_ours else ():
            with left_as_it_was(self.model):
                samples = self._samples(x, t, batch)
                self.model.forward(*samples, **evaluation_options(self.model))

    def _check(self, **at_least_one: int | None) -> None:
        for name, value in at_least_one.items():
            whole = isinstance(value, int | numpy.integer)
            if value is not None and not (whole and value >= 1):
                needed = "at least 1" if whole else "an integer of at least 1"
                raise self._refuse(f"{name} must be {needed}, not {value!r}")

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self).__name__}.fit: {problem}")


class Trainer(_Loop):
    """Trains a model on samples in random order.

    Large batches of a model that is `divisible` are divided between the cores (`DataParallel`).
    model      has forward(x, t) -> loss, backward(), params and grads
    optimizer  has update(params, grads)
    Source: book 1.4.4.
    """

    loss_list = _Loop.reports

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
        **options: Any,
    ) -> list[Row]:
        """Go through the data max_epoch times, in a new order each time -> the history.

        x, t           samples (L, ...) and labels (L, ...), left as they are. What is left over
                       after the last full batch of an epoch is dropped
        max_grad       largest joint length of the gradients; None does not clip
        eval_interval  iterations from report to report; None reports nothing
        rng            seed or Generator of the order; None follows NumPy's global seed
        options        checkpoint, resume, valid, after_epoch, ...: see `Options`

        A step: forward and backward of one batch, the gradients of shared weights merged, clipped,
        and given to the optimizer. Ctrl-C and SIGTERM end the run after a whole step, as
        KeyboardInterrupt. A run whose loss stopped being finite cannot be resumed to anything
        better: begin anew with other settings.
        Raises ValueError for data that cannot be trained on, for a checkpoint that is damaged, of
        another run, or in use by one, and for one that is not finished unless it is resumed;
        FileNotFoundError where there is none to resume; OSError where it cannot be written;
        TypeError for what it cannot hold; FloatingPointError if the loss stops being finite (seen
        at the next report); the weights are then those of the last report or resume.
        """
        self.rng = generator(rng)
        how = {"max_epoch": max_epoch, "max_grad": max_grad, "eval_interval": eval_interval}
        return self._run({"x": x, "t": t}, {"batch_size": batch_size}, how, options)

    def _checked(self, x: Array, t: Array, what: str = "") -> Batch:
        fewest = 1 if what else self._sizes["batch_size"]
        x, t = (on_host(f"{type(self).__name__}.fit", a) for a in (x, t))
        if not x.ndim or not t.ndim:
            raise self._refuse(f"{what}x and t must be (L, ...), not {x.shape} and {t.shape}")
        if len(x) != len(t):
            raise self._refuse(f"{what}{len(x)} samples do not go with {len(t)} labels")
        if fewest > len(x):
            raise self._refuse(f"{what}a batch of {fewest} needs more than the {len(x)} samples")
        return x, t

    @property
    def example(self) -> Batch:
        """The first samples (N, ...) and their labels (N, ...)."""
        return self._samples(*self._data, slice(self._sizes["batch_size"]))

    def _samples(self, x: Array, t: Array, which: Array | slice) -> Batch:
        return _on_device(x[which]), t[which]

    def _is_order(self, order: Any) -> bool:
        """Whether it is (L,), every sample once."""
        samples = numpy.arange(len(self._data[0]))
        known = not unlike(order, samples, "")
        return known and numpy.array_equal(numpy.sort(order), samples)

    def _gradients(self) -> Callable[[Array, Array], Array]:
        return DataParallel(self.model).gradients

    def _begin_epoch(self) -> None:
        self._at.order = self.rng.permutation(len(self._data[0]))

    def _batch(self, k: int) -> Batch:
        N = self._sizes["batch_size"]
        return self._samples(*self._data, self._at.order[k * N : (k + 1) * N])

    def _validate(self, x: Array, t: Array) -> float:
        N = self._sizes["batch_size"]
        batches = [slice(k, k + N) for k in range(0, len(x), N)]
        how = evaluation_options(self.model)
        losses = [float(self.model.forward(*self._samples(x, t, k), **how)) for k in batches]
        terms = [getattr(self.model, "loss_terms", len)(t[k]) for k in batches]
        return math.fsum(a * n for a, n in zip(losses, terms, strict=True)) / sum(terms)


class StreamTrainer(_Loop):
    """Trains a model on batches that are made as they are needed, without end.

    model      has forward(x, t) -> loss, backward(), params and grads
    An epoch is as many batches as it is told. Otherwise as `Trainer`.
    """

    def fit(
        self,
        batches: Callable[[int], Batch],
        iterations: int,
        max_epoch: int = 10,
        max_grad: float | None = None,
        eval_interval: int | None = 20,
        **options: Any,
    ) -> list[Row]:
        """Train on the batches of max_epoch epochs -> the history.

        batches     step -> x, t on the host, (N, ...) both, of that training step; 0 is the first
                    of all calls of `fit`. The same batch whenever it is asked for a step, so that a
                    run that is resumed goes on with the batch it would have had
        iterations  how many batches are an epoch
        The other arguments are those of `Trainer.fit`, without rng; there is no `valid`.
        Raises ValueError for fewer than one iteration and for `valid`, and what `Trainer.fit` does.
        """
        self._check(iterations=iterations)
        self._batches = batches
        how = {"max_epoch": max_epoch, "max_grad": max_grad, "eval_interval": eval_interval}
        x, t = batches(0)
        return self._run({"steps": numpy.arange(iterations), "x": x, "t": t}, {}, how, options)

    def _checked(self, *data: Array, what: str = "") -> Any:
        if what:
            raise self._refuse("there is no valid here; after_epoch can test on what it likes")
        return data

    def _try_extremes(self, *data: Array) -> None:
        """The batches are still to be made."""

    @property
    def example(self) -> Batch:
        """The first batch, x and t (N, ...)."""
        x, t = self._batches(0)
        return _on_device(x), t

    def _batch(self, k: int) -> Batch:
        x, t = self._batches(self.steps)
        return _on_device(x), t


class RnnlmTrainer(_Loop):
    """Trains a language model on a text read in order (truncated backpropagation through time).

    model  has forward(xs, ts) -> loss, backward(), params and grads, and keeps its state
    Source: book 5.5.4.
    """

    quantity = "perplexity"

    ppl_list = _Loop.reports

    @property
    def time_idx(self) -> int:
        """How many steps of the text each of the N reading positions has seen."""
        return self._at.time_idx

    @time_idx.setter
    def time_idx(self, steps: int) -> None:
        self._at.time_idx = steps

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
        lengths: Callable[[int], int] | None = None,
        **options: Any,
    ) -> list[Row]:
        """Read the text max_epoch times, from its beginning -> the history.

        xs, ts     ids (L,) of the text, and the same one word later
        time_size  steps T that gradients flow back through
        lengths    training step -> T of its block, where not all are time_size; 0 is the first of
                   all calls of `fit`. As many blocks are an epoch as if all were time_size
        The other arguments are those of `Trainer.fit`, without rng.

        Neither the reading position nor the model's state goes back to the start between epochs,
        unless after_epoch sees to it.
        Raises ValueError for a text too short for one batch or not made of ids, and what
        `Trainer.fit` raises.
        """
        sizes = {"batch_size": batch_size, "time_size": time_size}
        self._lengths = lengths or (lambda step: time_size)
        how = {"max_epoch": max_epoch, "max_grad": max_grad, "eval_interval": eval_interval}
        return self._run({"xs": xs, "ts": ts}, sizes, how, options)

    def _checked(self, x: Array, t: Array, what: str = "") -> Batch:
        x, t = (on_host(f"{type(self).__name__}.fit", a) for a in (x, t))
        N, T = 1 if what else self._sizes["batch_size"], self._sizes["time_size"]
        if x.ndim != 1 or x.shape != t.shape:
            raise self._refuse(f"{what}xs and ts must be (L,) both, not {x.shape} and {t.shape}")
        if len(x) < N * T:
            raise self._refuse(
                f"{what}a text of {len(x)} words is too short: one batch takes {N} x {T} = {N * T}"
            )
        if what and (x[1:] != t[:-1]).any():
            raise self._refuse(f"{what}the labels must be the text, one word later")
        return x, t

    @property
    def example(self) -> Batch:
        """The first words (N, T), and the same ones one word later."""
        N, T = self._sizes["batch_size"], self._sizes["time_size"]
        xs, ts = self._data
        return xs[: N * T].reshape(N, T), ts[: N * T].reshape(N, T)

    def _samples(self, x: Array, t: Array, which: Array | slice) -> Batch:
        return x[which][:, None], t[which][:, None]

    def _batch(self, k: int) -> Batch:
        length = self._lengths(self.steps)
        self._check(length=length)
        return self.get_batch(*self._data, self._sizes["batch_size"], length)

    def _validate(self, x: Array, t: Array) -> float:
        text = numpy.append(x, t[-1:])
        return eval_perplexity(self.model, text, progress=False, **self._sizes)

    def _of_loss(self, loss: float) -> float:
        return perplexity(loss)

    def _mean_report(self, values: list[float]) -> float:
        return perplexity(math.fsum(map(math.log, values)) / len(values))


@contextmanager
def left_as_it_was(model: Any) -> Iterator[None]:
    """Around an evaluation: out of training; state and random numbers are put back afterwards."""
    before, drawing = states(model), [(g, g.bit_generator.state) for g in generators(model)]
    try:
        with evaluating(model):
            yield
    finally:
        set_states(model, before)
        for rng, state in drawing:
            rng.bit_generator.state = state


def _is_report(value: Any) -> bool:
    """Whether it is a loss or a perplexity, which may be infinite."""
    return isinstance(value, float) and not math.isnan(value)


def _on_device(x: Array) -> Array:
    """Numbers move to the device here. Ids stay: a layer checks them first, at its door."""
    return x if x.dtype.kind in "iu" else np.asarray(x)
