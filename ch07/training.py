"""What the training scripts of chapters 7 and 8 share: one run of training, and comparisons."""

import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from common import plots
from common.cli import check_writable, early_stop
from common.evaluate import print_answer, seq2seq_accuracy
from common.np import Array
from common.optimizer import Adam
from common.storage.checkpoint import digest
from common.storage.files import write_whole
from common.trainer import Trainer
from dataset import sequence

Curves = Mapping[str, list[list[float]]]  # label: the accuracies of each run, one per epoch


class Result(NamedTuple):
    """What `train` found out after each epoch.

    epochs      dictionaries with the keys epoch (from 1), accuracy, characters (the share of them
                that is right), loss (the mean of the epoch's reports, nats per character),
                train_seconds (of a resumed epoch, since then), test_seconds, and reports (how many
                there were so far)
    accuracies  the shares of test questions answered right
    """

    epochs: list[dict[str, Any]]

    @property
    def accuracies(self) -> list[float]:
        """Each epoch's share of the test questions that were answered right."""
        return [epoch["accuracy"] for epoch in self.epochs]


def new_model(
    classes: Mapping[str, Any],
    model: str,
    data: str,
    wordvec_size: int,
    hidden_size: int,
    *,
    padding: bool = False,
    **options: Any,
) -> Any:
    """A model with the vocabulary of a data file.

    classes  the model's name: its class
    padding  whether the blank is padding, which counts for nothing (`pad_id` of `Seq2seq`)
    options  go to the class
    Raises ValueError for another name, a size below 1, and padding in a file without a blank; what
    `sequence.load_data` raises for a file; and what the class raises.
    """
    if model not in classes:
        raise ValueError(f"new_model: model is one of {', '.join(classes)}, not {model!r}")
    if wordvec_size < 1 or hidden_size < 1:
        raise ValueError(
            "new_model: wordvec_size and hidden_size must be at least 1, not "
            f"{wordvec_size} and {hidden_size}"
        )
    char_to_id, _ = sequence.get_vocab(data)
    if padding and " " not in char_to_id:
        raise ValueError(f"new_model: {data} has no blank that could be padding")
    pad_id = char_to_id[" "] if padding else None
    return classes[model](len(char_to_id), wordvec_size, hidden_size, pad_id=pad_id, **options)


def load_data(
    data: str, split: str, reverse: bool
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, t_train), (x_test, t_test) of `sequence.load_data`.

    Questions x are (N, Q), answers t (N, A).
    reverse  whether the questions are turned round, padding first.  Source: book 7.4.1.
    """
    (x_train, t_train), (x_test, t_test) = sequence.load_data(data, split=split)
    step = -1 if reverse else 1
    return (x_train[:, ::step], t_train), (x_test[:, ::step], t_test)


def train(
    model: Any,
    data: str,
    *,
    reverse: bool,
    split: str,
    max_epoch: int,
    batch_size: int,
    max_grad: float,
    eval_interval: int,
    seed: int,
    weights: Path,
    resume: bool,
    plot: bool,
    show: int = 10,
) -> Result:
    """Train a seq2seq model with Adam, and let it answer all test questions after each epoch.

    data, split  file and division, see `dataset.sequence.load_data`
    reverse      whether questions are read from back to front
    seed         decides the order of the questions
    weights      the file of the weights, with the characters' ids, saved at the end or when the run
                 is stopped. Beside it: the checkpoint to resume from, the history (.json, the
                 epochs of the result) and the figure of the accuracy (.png)
    show         test questions to print with their guesses after each epoch
    Raises ValueError for a negative `show`, and what `sequence.load_data` and `Trainer.fit` raise,
    KeyboardInterrupt included; the last weights are then in the file.
    Source: book 7.3.4, 8.3.2.
    """
    if show < 0:
        raise ValueError(f"train: show must not be negative, not {show}")
    check_writable(weights)
    (x, t), (x_test, t_test) = load_data(data, split, reverse)
    char_to_id, id_to_char = sequence.get_vocab(data)
    trainer = Trainer(model, Adam())
    begun = time.monotonic()

    def after_epoch() -> dict[str, Any]:
        nonlocal begun
        trained = time.monotonic()
        accuracy = seq2seq_accuracy(model, x_test, t_test)
        for asked in zip(x_test[:show], t_test[:, 1:], accuracy.guesses, strict=False):
            print_answer(*asked, id_to_char, reverse)
        print(f"val acc {100 * accuracy.exact:.3f}%")
        print(f"characters right {100 * accuracy.by_position:.3f}%")
        earlier = trainer.epoch_list
        reports = trainer.loss_list[earlier[-1]["reports"] if earlier else 0 :]
        epoch = {
            "epoch": trainer.current_epoch + 1,
            "accuracy": accuracy.exact,
            "characters": accuracy.by_position,
            "loss": math.fsum(reports) / len(reports),
            "train_seconds": trained - begun,
            "test_seconds": time.monotonic() - trained,
            "reports": len(trainer.loss_list),
        }
        write_json(weights.with_suffix(".json"), {"epochs": [*earlier, epoch]})
        begun = time.monotonic()
        return epoch

    def keep() -> None:
        model.save_params(weights, vocab=char_to_id)

    checkpoint = weights.with_suffix(".checkpoint")
    with early_stop(trainer, keep, checkpoint):
        trainer.fit(
            x,
            t,
            max_epoch,
            batch_size,
            max_grad,
            eval_interval,
            rng=seed,
            checkpoint=checkpoint,
            resume=resume,
            after_epoch=after_epoch,
        )
    keep()
    result = Result(trainer.epoch_list)
    if plot:
        plot_accuracy({"": [result.accuracies]}, weights.with_suffix(".png"))
    return result


def compare(
    models: Mapping[str, tuple[Any, bool]],
    file: Path,
    *,
    data: str,
    split: str,
    wordvec_size: int,
    hidden_size: int,
    batch_size: int,
    max_epoch: int,
    max_grad: float,
    eval_interval: int,
    seeds: int,
    resume: bool,
    plot: bool,
) -> Curves:
    """Train several models with several seeds; print a table, draw their accuracies in one figure.

    models  label: class, and whether it reads questions from back to front
    file    the .json of all accuracies and settings. Runs that it has already, with these settings
            and at least as many epochs, are not repeated. Beside it: the figure (.png), and a
            folder with the weights of each run and the rest that `train` writes
    seeds   runs of each model, with the seeds 0, 1, ...
    resume  go on with a run that was stopped, where there is one
    The other arguments are those of `train` and of the models.
    Raises ValueError for fewer than one seed or epoch, a file of another ending or of something
    else, and what `train` raises.  Source: book 7.4, 8.3.2.
    """
    if seeds < 1 or max_epoch < 1:
        raise ValueError(
            f"compare: seeds and max_epoch must be at least 1, not {seeds}, {max_epoch}"
        )
    if file.suffix != ".json":  # the folder has its name without the ending
        raise ValueError(f"compare: the file must end in .json, not {file}")
    how: dict[str, Any] = {
        "split": split,
        "batch_size": batch_size,
        "max_grad": max_grad,
        "eval_interval": eval_interval,
    }
    sizes: dict[str, Any] = {"wordvec_size": wordvec_size, "hidden_size": hidden_size}
    content = digest(sequence.load_data(data, split=split))
    settings = {"data": data, "content": content} | sizes | how
    runs = read_runs(file)
    curves: dict[str, list[list[float]]] = {label: [] for label in models}
    for seed in range(seeds):
        for label, (model_class, reverse) in models.items():
            what = {"label": label, "model": model_class.__name__, "reverse": reverse, "seed": seed}
            what |= settings
            known = [run["accuracies"] for run in runs if run["settings"] == what]
            if not known or len(known[0]) < max_epoch:
                print(f"{label}, seed {seed}")
                name = "_".join([*re.findall(r"\w+", label), str(seed), digest(what)[:6]])
                weights = file.with_suffix("") / f"{name}.npz"
                accuracies = train(
                    new_model({label: model_class}, label, data, **sizes, rng=seed),
                    data,
                    reverse=reverse,
                    max_epoch=max_epoch,
                    seed=seed,
                    weights=weights,
                    resume=resume and weights.with_suffix(".checkpoint").exists(),
                    plot=False,
                    show=0,
                    **how,
                ).accuracies
                # read again: another comparison may have written meanwhile
                runs = [run for run in read_runs(file) if run["settings"] != what]
                runs.append({"settings": what, "accuracies": accuracies})
                write_json(file, {"runs": runs})
                known = [accuracies]
            curves[label].append(known[0][:max_epoch])
    for line in table(curves):
        print(line)
    if plot:
        plot_accuracy(curves, file.with_suffix(".png"))
    return curves


def read_runs(file: Path) -> list[dict[str, Any]]:
    """The runs that an earlier comparison left in a file, none if it does not exist.

    Raises ValueError for a file of something else.
    """
    if not file.exists():
        return []
    try:
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        return [{"settings": run["settings"], "accuracies": [*run["accuracies"]]} for run in runs]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"compare: {file} holds no comparison ({error!r})") from error


def curves_in(file: Path) -> dict[str, list[list[float]]]:
    """The accuracies that `compare` wrote into a file, by label, one list for each run.

    Raises FileNotFoundError, or ValueError for a file of something else.
    """
    if not file.exists():
        raise FileNotFoundError(f"curves_in: there is no {file}; `compare` of a chapter makes it")
    curves: dict[str, list[list[float]]] = {}
    for run in read_runs(file):
        curves.setdefault(run["settings"]["label"], []).append(run["accuracies"])
    return curves


def table(curves: Curves) -> Iterable[str]:
    """Lines that tell the accuracies of all runs, and of each model's mean where it has several."""
    width = max(map(len, ["model", *curves]))
    yield f"{'model':{width}}  seed   last epoch   best epoch"
    for label, runs in curves.items():
        rows: list[tuple[Any, list[float]]] = [*enumerate(runs)]
        if len(runs) > 1:
            rows.append(("mean", numpy.mean(runs, axis=0).tolist()))
        for seed, run in rows:
            yield f"{label:{width}}  {seed:>4}  {100 * run[-1]:9.2f} %  {100 * max(run):9.2f} %"


def plot_accuracy(curves: Curves, file: Path = Path("accuracy.png")) -> None:
    """Figures 7-22, 7-24, 7-28, 8-25, 8-26: accuracy against epoch; 0 is after the first.

    Of several runs the mean has the dots, and the runs are thin lines.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    for k, (label, runs) in enumerate(curves.items()):
        if len(runs) > 1:
            plt.plot(numpy.transpose(runs), color=f"C{k}", alpha=0.4, linewidth=0.8)
        plt.plot(numpy.mean(runs, axis=0), color=f"C{k}", marker="os^Dv"[k % 5], label=label)
    plt.xlabel("epochs")
    plt.ylabel("accuracy")
    plt.ylim(-0.05, 1.05)
    plt.gca().xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(curves) > 1:
        plt.legend()
    plots.show(file)


def write_json(file: Path, content: Any) -> None:
    """Write what JSON can hold, whole; OSError where that fails, and an older file stays."""
    text = json.dumps(content, indent=1).encode()
    write_whole(file, lambda opened: opened.write(text))
