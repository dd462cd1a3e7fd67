"""Language models with the same number of weights, from the NPLM of 2003 to the Transformer.

python -m ch08.compare_language_models                made-up English (time and result: README.md)
python -m ch08.compare_language_models --models gru   one of them; runs that were made are reused
python -m ch08.compare_language_models --models gru --rates 0.005 --seed 1    one run
python -m ch08.compare_language_models --corpus ptb --num-weights 2090400 --seeds 1 --file ptb.json

Source: book 5.1, 6.1, 6.4, 8.5.2, appendix C; Bengio et al. 2003, Le et al. 2015, Chung et al.
2014, Jozefowicz et al. 2015, Vaswani et al. 2017.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from ch05.nplm import NPLM
from ch05.simple_rnnlm import SimpleRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.language_model_run import Settings, train_and_test
from ch06.relu_rnnlm import ReluRnnlm
from ch06.rnnlm import Rnnlm
from ch08.transformer_lm import TransformerLM
from common import plots
from common.cli import at_least_one, run, then
from common.evaluate import eval_perplexity
from common.gradients import distinct
from common.language_model import LanguageModel
from common.optimizer import Adam, is_rate
from common.run import check_outputs, write_json
from common.schedules import linear
from common.storage.checkpoint import digest
from common.storage.files import expanded
from dataset import texts
from dataset.text_file import Parts


class Recipe(NamedTuple):
    """A kind of model, and how it is trained.

    make    (V words, width, seed, T steps) -> a model whose layers all have this width, or nearly
    longer  how many times longer than others its texts in training are, and so many times fewer
    """

    make: Callable[[int, int, int, int], LanguageModel]
    longer: int = 1

    def batch(self, how: "Comparison") -> tuple[int, int]:
        """N texts and T steps of a batch in training."""
        return max(1, how.batch_size // self.longer), how.time_size * self.longer


def layers_of(model_class: Any) -> Callable[[int, int, int, int], LanguageModel]:
    """Makes models of a class in which word vectors and hidden layer have one width."""
    return lambda V, width, seed, T: model_class(V, width, width, rng=seed)


def transformer(V: int, width: int, seed: int, T: int) -> TransformerLM:
    """Two blocks of 4 heads: the width is a multiple of 4, the nearest to a fourth of F."""
    D, F = 4 * max(1, round(width / 4)), 4 * width
    return TransformerLM(V, D, F, 0.0, num_layers=2, num_heads=4, context=T, rng=seed)


MODELS = {
    "nplm": Recipe(layers_of(NPLM)),
    "rnn": Recipe(layers_of(SimpleRnnlm)),
    "relu": Recipe(layers_of(ReluRnnlm)),
    "gru": Recipe(layers_of(GruRnnlm)),
    "lstm": Recipe(layers_of(Rnnlm)),
    # twice as long, since a word sees none before those of its text
    "transformer": Recipe(transformer, longer=2),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What this script can be told.

    corpus       text: ptb, grammar (made-up English), or a text file (one sentence a line)
    tokens       how lines of a text file are cut: words (at blanks), lower (lower case,
                 punctuation marks apart) or characters
    num_weights  how many numbers the weights of each model are, at most: its width follows
    max_epoch    epochs (book 1.4.3): passes over the training text
    batch_size   reading positions (book 5.2.5) that are trained side by side
    time_size    steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    max_grad     largest norm of all gradients together (clipping, book 6.1.4)
    corpus_size  use only the first so many words of the training text; all if not given
    seeds        runs of each model, with the seeds 0, 1, ...
    seed         decides the first weights: make the run with this seed only
    file         file (.json) of all results, from which runs that were made already are taken; the
                 figure goes beside it, and weights go into a folder of its name
    resume       go on with runs that were stopped, from their checkpoints
    overwrite    make all runs anew, and replace their files
    plot         draw the perplexity on the validation text after each epoch
    """

    corpus: str = "grammar"
    tokens: str = "words"
    num_weights: int = 30_000
    max_epoch: int = 8
    batch_size: int = 20
    time_size: int = 35
    max_grad: float = 1.0
    corpus_size: int | None = None
    seeds: int = 3
    seed: int | None = None
    file: str = "language_models.json"
    resume: bool = False
    overwrite: bool = False
    plot: bool = True


SETTINGS = Comparison()
WARMUP = 0.05  # share of the updates in which the learning rate rises


class Run(NamedTuple):
    """A run, as the file holds it.

    settings    all that decides it: model, seed, learning rate, ...
    weights     how many numbers the weights are
    perplexity  on the train, valid and test text, of the weights that were best on the valid text;
                infinite if the run has diverged
    curve       perplexity on the valid text after each epoch
    seconds     how long the training of each epoch took
    """

    settings: dict[str, Any]
    weights: int
    perplexity: dict[str, float]
    curve: list[float]
    seconds: list[float]


def main(
    *, models: str = "all", rates: str = "0.002 0.005 0.01 0.02", **settings: Any
) -> dict[str, list[Run]]:
    """Train language models of the same number of weights, and compare their perplexities.

    models  names, with blanks between: nplm (book 5.1), rnn (5.5), relu (6.1), gru (appendix C),
            lstm (6.4), transformer (8.5.2); or all
    rates   learning rates of Adam to choose from, with blanks between

    With the first seed all learning rates are tried; the one that is best on the validation text
    is that of the other seeds.
    -> the runs of each model with its learning rate. Runs that the file has already, with these
    settings, are not repeated, so runs can be made side by side, by several commands with one file.
    Raises ValueError for settings that cannot be, a file of something else, and fewer weights than
    a model of width 1 has; and what `train_and_test` raises.
    """
    how = replace(SETTINGS, **settings)
    names = [*MODELS] if models == "all" else models.split()
    file = expanded(how.file)
    chosen = check(how, names, rates, file)
    text = texts.load_parts(how.corpus, tokens=how.tokens)
    text = text._replace(train=text.train[: how.corpus_size])
    widths = {name: width_of(name, len(text.word_to_id), how) for name in names}
    then("ch08.train_transformer_lm", corpus=how.corpus)
    found: dict[str, list[Run]] = {}
    first, *others = range(how.seeds) if how.seed is None else [how.seed]
    for name in names:
        tried = [one_run(name, widths[name], rate, first, text, how) for rate in chosen]
        best = min(tried, key=lambda run: run.perplexity["valid"])
        rate = best.settings["lr"]
        found[name] = [
            best,
            *(one_run(name, widths[name], rate, seed, text, how) for seed in others),
        ]
    for line in table(found):
        print(line)
    if how.plot:
        plot(found, file.with_suffix(".png"))
    return found


def check(how: Comparison, names: list[str], rates: str, file: Path) -> list[float]:
    """The learning rates given; ValueError for settings that cannot be."""
    who = "compare_language_models"
    at_least_one(seeds=how.seeds, max_epoch=how.max_epoch, time_size=how.time_size)
    at_least_one(batch_size=how.batch_size, corpus_size=how.corpus_size)
    if not names or not {*names} <= {*MODELS}:
        raise ValueError(f"{who}: models are some of {', '.join(MODELS)}, not {' '.join(names)!r}")
    try:
        chosen = [float(rate) for rate in rates.split()]
    except ValueError:
        chosen = []
    if not chosen or not all(map(is_rate, chosen)):
        raise ValueError(f"{who}: rates are numbers with blanks between, not {rates!r}")
    if file.suffix != ".json":  # the folder has its name without the ending
        raise ValueError(f"{who}: the file must end in .json, not {file}")
    check_outputs(file, *([file.with_suffix(".png")] if how.plot else []))
    read_runs(file)
    return chosen


def width_of(name: str, V: int, how: Comparison) -> int:
    """The largest width with which a model has no more weights than it may have.

    Raises ValueError where even the smallest has more.
    """
    _, T = MODELS[name].batch(how)

    def count(width: int) -> int:
        return num_weights(MODELS[name].make(V, width, 0, T))

    largest = how.num_weights // V + 1  # the embedding alone has V weights for each of a width
    width = bisect_right(range(1, largest + 1), how.num_weights, key=count)
    if not width:
        raise ValueError(
            f"compare_language_models: {name} of width 1 has {count(1)} weights for {V} words, "
            f"more than {how.num_weights}"
        )
    return width


def num_weights(model: LanguageModel) -> int:
    """How many numbers the weights are, shared ones counted once."""
    return sum(int(p.size) for p in distinct(model.params))


def one_run(name: str, width: int, rate: float, seed: int, text: Parts, how: Comparison) -> Run:
    """One run: from the file if it has it, else by training.  Raises what `main` raises."""
    file, (N, T) = expanded(how.file), MODELS[name].batch(how)
    what = {
        **{"model": name, "width": width, "lr": rate, "seed": seed, "corpus": how.corpus},
        **{"content": digest(text.train, text.valid, text.test), "max_epoch": how.max_epoch},
        **{"batch_size": N, "time_size": T, "max_grad": how.max_grad},
    }
    for made in read_runs(file):
        if made.settings == what and not how.overwrite:
            return made
    model = MODELS[name].make(len(text.word_to_id), width, seed, T)
    print(f"{name}, width {width}, {num_weights(model):,} weights, lr {rate}, seed {seed}")
    weights = file.with_suffix("") / f"{name}_{rate}_{seed}_{digest(what)[:6]}.npz"
    training = Settings(
        corpus=how.corpus,
        tokens=how.tokens,
        max_epoch=how.max_epoch,
        batch_size=N,
        wordvec_size=width,
        hidden_size=width,
        time_size=T,
        lr=rate,
        max_grad=how.max_grad,
        eval_interval=100,
        seed=seed,
        weights=str(weights),
        resume=how.resume and weights.with_suffix(".checkpoint").exists(),
        overwrite=how.overwrite,
        plot=False,
    )
    updates = max(2, how.max_epoch * ((len(text.train) - 1) // (N * T)))
    rates = linear(rate, updates=updates, warmup=max(1, int(WARMUP * updates)))
    optimizer = Adam(rates, beta2=0.98)
    perplexity = dict.fromkeys(("train", "valid", "test"), math.inf)
    with suppress(FloatingPointError):  # it has diverged: another learning rate is better
        test = train_and_test(model, text, training, optimizer=optimizer, flag="--file")
        parts = {"train": text.train, "valid": text.valid}
        perplexity = {name: eval_perplexity(model, part) for name, part in parts.items()}
        perplexity["test"] = test
    history = weights.with_suffix(".json")
    epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"] if history.exists() else []
    curve = [number(epoch["valid"]) for epoch in epochs]
    curve += [math.inf] * (how.max_epoch - len(curve))
    seconds = [epoch["train_seconds"] for epoch in epochs]
    made = Run(what, num_weights(model), perplexity, curve, seconds)
    # read again: another command may have written meanwhile
    others = [other for other in read_runs(file) if other.settings != what]
    write_json(file, {"runs": [other._asdict() for other in [*others, made]]})
    return made


def read_runs(file: Path) -> list[Run]:
    """The runs that earlier commands left in a file, none if it does not exist.

    Raises ValueError for a file of something else.
    """
    if not file.exists():
        return []
    try:
        runs = [Run(**run) for run in json.loads(file.read_text(encoding="utf-8"))["runs"]]
        return [
            run._replace(
                settings=dict(run.settings),
                perplexity={part: number(run.perplexity[part]) for part in run.perplexity},
                curve=[*map(number, run.curve)],
            )
            for run in runs
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"compare_language_models: {file} holds no comparison ({error!r})"
        ) from error


def number(a: Any) -> float:
    """The number that a file holds: null stands for infinity, which JSON does not have."""
    return math.inf if a is None else float(a)


def table(found: Mapping[str, list[Run]]) -> Iterable[str]:
    """Lines that tell the perplexities of all runs, and of each model's mean where it has several.

    The time of an epoch is that of the middle one.
    """
    yield "model        width  weights      lr  seed   train   valid    test   an epoch"
    for name, runs in found.items():
        rows: list[tuple[Any, list[float]]] = [
            (run.settings["seed"], [*run.perplexity.values()]) for run in runs
        ]
        if len(runs) > 1:
            rows.append(("mean", [mean(column) for column in zip(*dict(rows).values())]))  # noqa: B905
        took = median([a for run in runs for a in run.seconds] or [math.inf])
        how, weights = runs[0].settings, runs[0].weights
        model = f"{name:11} {how['width']:6} {weights:8} {how['lr']:7}"
        for seed, numbers in rows:
            yield f"{model} {seed:>5}{''.join(f'{a:8.2f}' for a in numbers)}{took:9.1f} s"


def plot(found: Mapping[str, list[Run]], file: Path, ax: Any = None) -> Any:
    """Perplexity on the validation text after each epoch -> the axes."""
    with plots.axes(file, ax) as ax:
        plots.draw_runs({name: [run.curve for run in runs] for name, runs in found.items()}, ax)
        ax.set_ylabel("perplexity on the validation text")
    return ax


if __name__ == "__main__":
    run(main)
