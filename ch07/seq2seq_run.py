"""One run of a seq2seq model: train, and answer all test questions after each epoch.

The scripts of chapters 7 and 8 share this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from ch07.seq2seq import CELLS, Seq2seq
from common import plots
from common.cli import at_least_one
from common.evaluate import print_answer, seq2seq_accuracy
from common.network import NOTHING
from common.optimizer import Adam
from common.run import train
from common.schedules import linear
from common.storage.files import expanded
from common.trainer import Row, Trainer
from dataset import sequence
from dataset.sequence import SPLITS, SequenceData

__all__ = ["Recipe", "Settings", "Training", "plot_accuracy", "train_and_answer"]


class Recipe(NamedTuple):
    """A model, and how it is trained.

    model_class  a class of models
    options      its keywords
    settings     fields of `Settings`, and `reverse`, where they are not those of the script
    """

    model_class: Any
    options: Mapping[str, Any] = NOTHING
    settings: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the scripts that train on questions and answers can be told.

    data           addition.txt (book 7.2.2), date.txt (book 8.3.1), or a file with a question, _
                   and an answer in each line, padded with blanks to the same widths (book 7.2.3);
                   or a file with a question, a tab and an answer of any lengths in each line
    split          random, as in the book (7.2.4), or answer: no answer of a test question is
                   trained on
    wordvec_size   embedding (book 7.3.1): numbers in a character's vector
    hidden_size    hidden layers (book 7.3.1): numbers in the state of each recurrent one
    batch_size     questions in a training step (book 1.4.3)
    max_epoch      epochs (book 1.4.3): passes over the training questions
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    lr             step size (book 1.3.6): learning rate of Adam
    beta2          factor by which Adam's mean of squared gradients fades at each update
    warmup         steps over which the learning rate rises to lr, a tenth of all at most; it starts
                   there if not given
    decay          let the learning rate fall in a line, to a twentieth of lr at the end
    eval_interval  iterations from report to report (book 1.4.4)
    resume         go on with a run that was stopped, from its checkpoint
    overwrite      replace the files of an earlier run
    plot           draw the accuracy after each epoch
    """

    data: str
    split: Annotated[str, SPLITS] = "random"
    wordvec_size: int
    hidden_size: int
    batch_size: int
    max_epoch: int
    max_grad: float
    lr: float = 0.001
    beta2: float = 0.999
    warmup: int | None = None
    decay: bool = False
    eval_interval: int = 20
    resume: bool = False
    overwrite: bool = False
    plot: bool = True

    def __post_init__(self) -> None:
        """ValueError for a size below 1."""
        at_least_one(wordvec_size=self.wordvec_size, hidden_size=self.hidden_size)

    def optimizer(self, questions: int) -> Adam:
        """Adam for so many training questions; errors as for `schedules.linear`.

        Of a short training, the warm-up is no more than a tenth.
        """
        updates = max(2, self.max_epoch * (questions // self.batch_size))
        if self.warmup is None and not self.decay:
            return Adam(self.lr, beta2=self.beta2)
        warmup, last = self.warmup, 0.05 if self.decay else 1.0
        if warmup is not None and warmup > updates // 10:
            warmup = max(1, updates // 10)
        return Adam(linear(self.lr, updates=updates, warmup=warmup, last=last), beta2=self.beta2)


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """What the training scripts of both chapters can be told as well.

    reverse        read questions from back to front (book 7.4.1)
    cell           recurrent layers: lstm (book 6.2), gru (book appendix C) or rnn (book 5.3)
    pass_cell      hand the encoder's last cell to the decoder as well (book 7.3.1: it is not)
    padding        blanks are padding, which counts for nothing (book 7.2.3), not characters;
                   of files with tabs, padding never counts
    seed           decides the first weights, and the order of the questions
    weights        file to save the weights in, <class>.npz if not given; checkpoint, history
                   (.json) and figures (.png) go beside it
    """

    reverse: bool = False
    cell: Annotated[str, CELLS] = "lstm"
    pass_cell: bool = False
    padding: bool = False
    seed: int = 0
    weights: str | None = None

    def load(self) -> SequenceData:
        """The questions and answers; `sequence.load` says what is raised."""
        data = sequence.load(self.data, split=self.split)
        return data.reversed() if self.reverse else data

    def model(self, classes: Mapping[str, Any], name: str, data: SequenceData, **how: Any) -> Any:
        """A new model of one of the classes, with the vocabulary of the data.

        classes  the model's name: its class
        how      goes to the class
        Raises ValueError for another name, for padding where no character is a blank, for a cell
        where the class has none, and what the class raises.
        """
        if name not in classes:
            raise ValueError(f"train: model is one of {', '.join(classes)}, not {name!r}")
        pad_id = data.pad_id
        if self.padding and pad_id is None:
            if " " not in data.char_to_id:
                raise ValueError(f"train: {self.data} has no blank that could be padding")
            pad_id = data.char_to_id[" "]
        cell = {"cell": self.cell, "pass_cell": self.pass_cell}
        made = classes[name]
        if issubclass(made, Seq2seq):
            how |= cell
        elif cell != {"cell": "lstm", "pass_cell": False}:
            raise ValueError(f"train: {name} has no recurrent layers, so no cell")
        sizes = len(data.char_to_id), self.wordvec_size, self.hidden_size
        model = made(*sizes, pad_id=pad_id, rng=self.seed, **how)
        model.trained_on = {"data": self.data}
        return model

    def file(self, model: Any) -> Path:
        """The file for the weights of a model."""
        return expanded(self.weights or f"{type(model).__name__}.npz")


def train_and_answer(
    model: Any,
    data: SequenceData,
    settings: Settings,
    *,
    weights: Path,
    seed: int,
    show: int = 10,
    flag: str = "--weights",
) -> list[Row]:
    """Train a model with Adam -> a row for each epoch, with what `common.run.train` puts there and

        accuracy    share of the test questions that were answered right
        characters  share of the characters that were right

    weights  the file of the weights, with the characters' ids; figure (.png) and the rest go beside
    seed     decides the order of the questions
    show     test questions to print with their guesses after each epoch
    flag     of the script, for `weights`
    Raises what `common.run.train` raises.  Source: book 7.3.4, 8.3.2.
    """

    def evaluate(trainer: Trainer) -> dict[str, Any]:
        accuracy = seq2seq_accuracy(model, data.x_test, data.t_test)
        asked = zip(data.x_test[:show], data.t_test[:, 1:], accuracy.guesses, strict=False)
        for question, answer, guess in asked:
            print_answer(question, answer, guess, data.id_to_char, data.reverse)
        print(f"val acc {100 * accuracy.exact:.3f}%")
        print(f"characters right {100 * accuracy.by_position:.3f}%")
        return {"accuracy": accuracy.exact, "characters": accuracy.by_position}

    epochs = train(
        Trainer(model, settings.optimizer(len(data.x_train))),
        data.x_train,
        data.t_train,
        weights=weights,
        save=lambda: model.save_params(weights, vocab=data.char_to_id),
        evaluate=evaluate,
        max_epoch=settings.max_epoch,
        batch_size=settings.batch_size,
        max_grad=settings.max_grad,
        eval_interval=settings.eval_interval,
        rng=seed,
        resume=settings.resume,
        overwrite=settings.overwrite,
        flag=flag,
    )
    if settings.plot:
        plot_accuracy({"": [[epoch["accuracy"] for epoch in epochs]]}, weights.with_suffix(".png"))
    return epochs


def plot_accuracy(
    curves: Mapping[str, list[list[float]]], file: Path = Path("accuracy.png"), ax: Any = None
) -> Any:
    """Figures 7-22, 7-24, 7-28, 8-25, 8-26: accuracy after each epoch -> the axes.

    curves  label: the accuracies of each run, one per epoch, 0 to 1
    Of several runs the mean has the dots, and the runs are thin lines.
    """
    with plots.axes(file, ax) as ax:
        plots.draw_runs(curves, ax)
        ax.set(ylabel="share of test questions right", ylim=(-0.05, 1.05))
    return ax
