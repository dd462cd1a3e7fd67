"""A comparison of seq2seq models: several runs, a table, and their accuracies in one figure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy

from ch07.seq2seq_run import Recipe, Settings, plot_accuracy, train_and_answer
from common.checks import is_number
from common.network import NOTHING
from common.run import check_outputs, write_json
from common.storage.checkpoint import digest
from common.storage.files import expanded
from dataset import sequence
from dataset.sequence import SequenceData

__all__ = ["Comparison", "Curves", "compare", "curves_in", "table"]

Curves = Mapping[str, list[list[float]]]  # label: the accuracies of each run, one per epoch


@dataclass(frozen=True, kw_only=True)
class Comparison(Settings):
    """What the comparisons of both chapters can be told.

    seeds  runs of each model, with the seeds 0, 1, ...
    file   file (.json) of all accuracies, from which runs that were made already are taken; the
           figure goes beside it, and weights go into a folder of its name
    """

    seeds: int = 1
    file: str


def compare(models: Mapping[str, Recipe], settings: Comparison) -> Curves:
    """Train several models with several seeds; print a table, draw their accuracies in one figure.

    models  label: class, its options, and settings of its own. Whether questions are read from back
            to front is one of them, `reverse`
    Runs that the file has already, with these settings and at least as many epochs, are not
    repeated.
    Raises ValueError for fewer than one seed or epoch, a file of another ending or of something
    else, and what `train_and_answer` raises.  Source: book 7.4, 8.3.2.
    """
    s, file = settings, expanded(settings.file)
    if s.seeds < 1 or s.max_epoch < 1:
        raise ValueError(
            f"compare: seeds and max_epoch must be at least 1, not {s.seeds}, {s.max_epoch}"
        )
    if file.suffix != ".json":  # the folder has its name without the ending
        raise ValueError(f"compare: the file must end in .json, not {file}")
    check_outputs(file, *([file.with_suffix(".png")] if s.plot else []))
    data = sequence.load(s.data, split=s.split)
    content = digest([[data.x_train, data.t_train], [data.x_test, data.t_test]])
    curves: dict[str, list[list[float]]] = {label: [] for label in models}
    seconds: dict[str, list[float]] = {label: [] for label in models}
    for seed in range(s.seeds):
        for label, recipe in models.items():
            own = dict(recipe.settings)
            reverse, how = own.pop("reverse", False), replace(s, **own)
            what = {
                **{"label": label, "model": recipe.model_class.__name__, "reverse": reverse},
                **{"seed": seed, "data": s.data, "content": content},
                **decisive(how),
                **recipe.options,
            }
            run = one_run(recipe, data.reversed() if reverse else data, how, what)
            curves[label].append(run["accuracies"][: how.max_epoch])
            seconds[label] += run["seconds"]
    for line in table(curves, seconds):
        print(line)
    if s.plot:
        plot_accuracy(curves, file.with_suffix(".png"))
    return curves


def decisive(how: Comparison) -> dict[str, Any]:
    """The settings on which accuracies depend. A fall of the learning rate depends on its end."""
    names = ("wordvec_size", "hidden_size", "split", "batch_size", "max_grad", "eval_interval")
    settings = asdict(how)
    plain = {f.name: f.default for f in fields(how)}
    changed = [n for n in ("lr", "beta2", "warmup", "decay") if settings[n] != plain[n]]
    changed += ["max_epoch"] if how.decay else []
    return {name: settings[name] for name in (*names, *changed)}


def one_run(
    recipe: Recipe, data: SequenceData, settings: Comparison, what: dict[str, Any]
) -> dict[str, Any]:
    """One run, as `read_runs` gives it: from the file if it has it, else by training.

    what  all that decides the run: label, seed, and so on
    Raises what `compare` raises.
    """
    s, file, label, seed = settings, expanded(settings.file), what["label"], what["seed"]
    for run in read_runs(file):
        enough = len(run["accuracies"]) >= s.max_epoch and not s.overwrite
        if run["settings"] == what and enough:
            return run
    print(f"{label}, seed {seed}")
    name = "_".join([*re.findall(r"\w+", label), str(seed), digest(what)[:6]])
    weights = file.with_suffix("") / f"{name}.npz"
    resume = s.resume and weights.with_suffix(".checkpoint").exists()
    sizes = len(data.char_to_id), s.wordvec_size, s.hidden_size
    model = recipe.model_class(*sizes, pad_id=data.pad_id, rng=seed, **recipe.options)
    how = replace(s, resume=resume, plot=False)
    epochs = train_and_answer(model, data, how, weights=weights, seed=seed, show=0, flag="--file")
    run = {
        "settings": what,
        "accuracies": [epoch["accuracy"] for epoch in epochs],
        "seconds": [epoch["train_seconds"] for epoch in epochs],
    }
    # read again: another comparison may have written meanwhile
    others = [other for other in read_runs(file) if other["settings"] != what]
    write_json(file, {"runs": [*others, run]})
    return run


def read_runs(file: Path) -> list[dict[str, Any]]:
    """The runs that an earlier comparison left in a file, none if it does not exist.

    Each has settings, accuracies by epoch, and the seconds that epochs took, if they are known.
    Raises ValueError for a file of something else.
    """
    if not file.exists():
        return []
    try:
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        found = [
            {
                "settings": run["settings"],
                "accuracies": [*run["accuracies"]],
                "seconds": [*run.get("seconds", [])],
            }
            for run in runs
        ]
        labels = [run["settings"]["label"] for run in found]
        numbers = [a for run in found for a in run["accuracies"] + run["seconds"]]
        if not all(isinstance(label, str) for label in labels) or not all(map(is_number, numbers)):
            raise TypeError("labels are texts, accuracies and seconds are numbers")
        return found
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


def table(curves: Curves, seconds: Mapping[str, list[float]] = NOTHING) -> Iterable[str]:
    """Lines that tell the accuracies of all runs, and of each model's mean where it has several.

    seconds  label: how long its epochs took, of which the middle one is told
    """
    width = max(map(len, ["model", *curves]))
    yield f"{'model':{width}}  seed   last epoch   best epoch   an epoch"
    for label, runs in curves.items():
        rows: list[tuple[Any, list[float]]] = [*enumerate(runs)]
        if len(runs) > 1:
            rows.append(("mean", numpy.mean(runs, axis=0).tolist()))
        took = seconds.get(label)
        time = f"{median(took):9.1f} s" if took else ""
        for seed, run in rows:
            line = f"{label:{width}}  {seed:>4}  {100 * run[-1]:9.2f} %  {100 * max(run):9.2f} %"
            yield f"{line}{time}"
