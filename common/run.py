"""One training run of a script: files, evaluation, the weights that are kept, a clean stop."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.cli import check_writable
from common.np import Array
from common.storage.files import write_whole
from common.trainer import RnnlmTrainer, Trainer

__all__ = ["check_outputs", "improves", "train", "write_history", "write_json"]


def train(
    trainer: Trainer | RnnlmTrainer,
    x: Array,
    t: Array,
    *,
    weights: Path,
    save: Callable[[], Any],
    evaluate: Callable[[Any], dict[str, Any]] | None = None,
    lowest: str | None = None,
    on_plateau: Callable[[], Any] | None = None,
    overwrite: bool = False,
    flag: str = "--weights",
    **settings: Any,
) -> list[dict[str, Any]]:
    """Train, and leave weights and history in files -> the rows of the epochs.

    x, t        training data (L, ...), as `trainer.fit` takes them
    weights     the file that `save` writes. Beside it: the checkpoint (.checkpoint) to resume from,
                the history (.json), and what the script draws (.png)
    evaluate    called with the trainer after each epoch; the numbers that it returns by name join
                the epoch's row
    lowest      one of these names: keep the weights of the epoch where it is lowest. Without it,
                those of the last epoch are kept
    on_plateau  called after an epoch that is not the best so far
    overwrite   begin anew where these files are there already; without it they are replaced only by
                the run that wrote them, with resume
    flag        that of the script for `weights`, for the error
    settings    go to `trainer.fit`

    A run that is stopped (Ctrl-C, SIGTERM, a loss that is not finite) saves its weights, unless
    better ones are in the file, and prints how to go on.
    Raises, before it trains, OSError if the files cannot be written, FileExistsError if they are
    there already, ValueError if two of them have one path, or for both resume and overwrite; and
    what `trainer.fit` raises.
    """
    checkpoint = weights.with_suffix(".checkpoint")
    outputs = weights, checkpoint, weights.with_suffix(".json"), weights.with_suffix(".png")
    resume = settings.get("resume", False)
    if resume and overwrite:
        raise ValueError("--resume goes on with a run, --overwrite begins anew: not both")
    check_outputs(*outputs)
    found = [str(file) for file in outputs if file.exists()]
    if found and not resume and not overwrite:
        going_on = ", --resume goes on with that run" if checkpoint.exists() else ""
        raise FileExistsError(
            f"{', '.join(found)} would be overwritten: --overwrite allows it, another {flag} keeps "
            f"what is there{going_on}"
        )
    began = time.monotonic()

    def after_epoch(trainer: Any) -> None:
        nonlocal began
        assert evaluate is not None
        trained = time.monotonic()
        found, row = evaluate(trainer), trainer.history[-1]
        if lowest is not None:
            if improves(found[lowest], [earlier[lowest] for earlier in trainer.epochs[:-1]]):
                save()
            elif on_plateau is not None:
                on_plateau()
        now = time.monotonic()
        row |= found | {"train_seconds": trained - began, "test_seconds": now - trained}
        write_history(trainer, weights)
        began = time.monotonic()

    settings |= {
        "checkpoint": checkpoint,
        "overwrite": overwrite,
        "after_epoch": after_epoch if evaluate else None,
    }
    try:
        trainer.fit(x, t, **settings)
    except (KeyboardInterrupt, FloatingPointError) as stop:
        if trainer.steps and not any(lowest in row for row in trainer.epochs):
            save()
        hint = ""
        if checkpoint.exists():
            diverged = isinstance(stop, FloatingPointError)
            what = "delete it to begin anew:" if diverged else "--resume goes on with"
            hint = f"; {what} {checkpoint}"
        print(f"stopped early{hint}")
        raise
    if lowest is None:
        save()
    write_history(trainer, weights)
    return trainer.epochs


def check_outputs(*files: Path) -> None:
    """Make the folders of files that are to be written later, all by one run.

    Raises OSError if one of them cannot be written, ValueError if two of them are one file.
    """
    places: dict[str, Path] = {}
    for file in files:
        check_writable(file)
        place = os.path.realpath(file).casefold()  # most systems think so of A.png and a.PNG
        if place in places:
            raise ValueError(
                f"{file} would be written twice: the weights, and what goes beside them "
                "(.checkpoint, .json, .png), need names of their own"
            )
        places[place] = file


def improves(value: float, earlier: list[float]) -> bool:
    """Whether it is below all earlier ones; the first always improves, an equal or nan never."""
    return not earlier or value < min(v for v in [math.inf, *earlier] if v == v)


def write_history(trainer: Any, weights: Path, **results: float) -> None:
    """Write the .json beside a weight file: reports and epochs of a trainer, and results."""
    history = results | {
        "epochs": trainer.epochs,
        "eval_interval": trainer.eval_interval,
        "train": trainer.reports,
    }
    write_json(weights.with_suffix(".json"), history)


def write_json(file: Path, content: Any) -> None:
    """Write what JSON can hold, whole; OSError where that fails, and an older file stays.

    Numbers that are not finite become null, since JSON has none.
    """
    text = json.dumps(_finite(content), indent=1, allow_nan=False).encode()
    write_whole(file, lambda opened: opened.write(text))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [*map(_finite, content)]
    return None if isinstance(content, float) and not math.isfinite(content) else content
