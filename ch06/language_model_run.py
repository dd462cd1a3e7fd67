"""One run of a language model: train, keep the weights best on the validation text, test them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from common.cli import at_least_one
from common.evaluate import eval_perplexity
from common.language_model import LanguageModel
from common.optimizer import SGD, Optimizer
from common.run import train, write_history
from common.storage.files import expanded
from common.trainer import RnnlmTrainer
from dataset import grammar, texts
from dataset.suitability import describe
from dataset.text_file import Parts
from dataset.texts import source
from dataset.tokens import Cut

__all__ = ["Settings", "train_and_test"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What both training scripts of this chapter can be told.

    corpus         text: ptb, grammar (made-up English), or a text file (one sentence a line), of
                   which the last tenth is for testing and the one before for validation
    tokens         how lines of a text file are cut: words (at blanks), lower (lower case,
                   punctuation marks apart) or characters
    min_count      words that the training part of a text file has fewer times become <unk>
    max_epoch      epochs (book 1.4.3): passes over the training text
    batch_size     reading positions (book 5.2.5) that are trained side by side
    wordvec_size   embedding (book 6.4): numbers in a word vector
    hidden_size    LSTM layer (book 6.4): numbers in the recurrent layer's state
    time_size      steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    lr             step size (book 1.3.6): learning rate of SGD
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    eval_interval  iterations from report to report (book 5.5.4)
    corpus_size    use only the first so many words of the training text; all if not given
    seed           decides the first weights, and the dropouts where there are any
    weights        file to save the best weights in, <class>.npz if not given; checkpoint, history
                   (.json) and figure (.png) go beside it
    resume         go on with the run in the checkpoint
    overwrite      replace the files of an earlier run
    plot           draw the perplexity (book 5.5.2) during training
    """

    corpus: str = "ptb"
    tokens: str | Cut = "words"
    min_count: int = 1
    max_epoch: int
    batch_size: int
    wordvec_size: int
    hidden_size: int
    time_size: int = 35
    lr: float
    max_grad: float = 0.25
    eval_interval: int = 20
    corpus_size: int | None = None
    seed: int = 0
    weights: str | None = None
    resume: bool = False
    overwrite: bool = False
    plot: bool = True

    def __post_init__(self) -> None:
        """ValueError for a size below 1."""
        at_least_one(wordvec_size=self.wordvec_size, hidden_size=self.hidden_size)

    def load(self) -> Parts:
        """The text; `texts.load_parts` says what is raised."""
        return texts.load_parts(self.corpus, tokens=self.tokens, min_count=self.min_count)


def train_and_test(
    model: LanguageModel,
    text: Parts,
    settings: Settings,
    *,
    decay: float = 1.0,
    from_start: bool = False,
    optimizer: Optimizer | None = None,
    flag: str = "--weights",
    measured: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_valid: Callable[[RnnlmTrainer, float], dict[str, Any]] = lambda *_: {},
    **options: Any,
) -> float:
    """Train a language model and return the perplexity of its best weights on the test text.

    After each epoch the validation text decides: if its perplexity is the best so far, the weights
    are saved, else the learning rate is multiplied by `decay`.

    optimizer   another one than SGD; if its learning rate is a function, `decay` is not used
    flag        of the script, for the file of the weights
    measured    within it the model has the weights that are evaluated and saved
    after_valid called with the trainer and the validation perplexity of each epoch; what it returns
                joins the epoch's row of the history
    options     go to `RnnlmTrainer.fit`
    from_start  whether each epoch reads the text from its beginning, rather than where the one
                before stopped
    Raises ValueError, before it trains, for a text whose parts are too short to be evaluated, and
    what `RnnlmTrainer.fit` raises, KeyboardInterrupt included; the file then holds the best
    weights so far, or those of the stop in the first epoch.
    Source: book 6.4, 6.5.4.
    """
    file = expanded(settings.weights or f"{type(model).__name__}.npz")
    words = text.train[: settings.corpus_size]
    print(describe(text))
    for name, part in ("validation", text.valid), ("test", text.test):
        if len(part) < 2:
            raise ValueError(
                f"train: the {name} part of {settings.corpus} has {len(part)} words; a perplexity "
                "needs 2 or more, and so the text must be longer"
            )
    model.trained_on = source(settings.corpus, settings.tokens, settings.min_count)
    trainer = RnnlmTrainer(model, SGD(settings.lr) if optimizer is None else optimizer)

    def evaluate(trainer: RnnlmTrainer) -> dict[str, Any]:
        with measured():
            perplexity = eval_perplexity(model, text.valid)
        print(f"valid perplexity:  {perplexity:.2f}")
        print("-" * 50)
        if from_start:
            trainer.time_idx = 0
        trained = trainer.epochs[-1]["perplexity"]
        found = {"lr": trainer.optimizer.rate, "train": trained, "valid": perplexity}
        return found | after_valid(trainer, perplexity)

    def save() -> None:
        with measured():
            model.save_params(file, vocab=text.word_to_id)

    def slow_down() -> None:
        if not callable(trainer.optimizer.lr):
            trainer.optimizer.lr *= decay

    train(
        trainer,
        words[:-1],
        words[1:],
        weights=file,
        save=save,
        evaluate=evaluate,
        lowest="valid",
        on_plateau=slow_down,
        max_epoch=settings.max_epoch,
        batch_size=settings.batch_size,
        time_size=settings.time_size,
        max_grad=settings.max_grad,
        eval_interval=settings.eval_interval,
        resume=settings.resume,
        overwrite=settings.overwrite,
        flag=flag,
        **options,
    )

    model.load_params(file)
    perplexity = eval_perplexity(model, text.test)
    print(f"test perplexity:  {perplexity:.2f}")
    if settings.corpus == "grammar":
        print(f"true perplexity:  {grammar.true_perplexity('test'):.2f}  (no model can do better)")
    write_history(trainer, file, test=perplexity)
    if settings.plot:
        ylim = (0, 500) if settings.corpus == "ptb" else None
        trainer.plot(ylim, file=file.with_suffix(".png"))
    return perplexity
