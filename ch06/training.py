"""What the training scripts of this chapter share: train, validate, keep the best, test."""

import json
import math
from pathlib import Path
from typing import Any

from common.cli import check_writable, early_stop
from common.evaluate import eval_perplexity
from common.language_model import LanguageModel
from common.optimizer import SGD
from common.storage.files import write_whole
from common.trainer import RnnlmTrainer
from dataset import grammar, texts


def improves(perplexity: float, earlier: list[float]) -> bool:
    """Whether it is below all earlier ones; the first always improves, an equal or nan never."""
    return not earlier or perplexity < min(p for p in [math.inf, *earlier] if p == p)


def train(
    model: LanguageModel,
    lr: float,
    corpus: str,
    corpus_size: int | None,
    max_epoch: int,
    batch_size: int,
    time_size: int,
    max_grad: float,
    eval_interval: int,
    weights: Path,
    resume: bool,
    plot: bool,
    *,
    decay: float = 1.0,
    from_start: bool = False,
) -> float:
    """Train a language model and return the perplexity of its best weights on the test text.

    After each epoch the validation text decides: if its perplexity is the best so far, the weights
    are saved, else the learning rate is multiplied by `decay`.

    weights     the file of the best weights. Beside it: the checkpoint to resume from, the history
                (.json, perplexities and learning rate of each epoch) and the figure (.png)
    from_start  whether each epoch reads the text from its beginning, rather than where the one
                before stopped
    Raises what the loaders of `dataset` and `RnnlmTrainer.fit` raise, KeyboardInterrupt included;
    the file then holds the best weights so far, or those of the stop in the first epoch.
    Source: book 6.4, 6.5.4.
    """
    check_writable(weights)
    valid, test = (texts.load_data(corpus, part)[0] for part in ("valid", "test"))
    text, vocab, _ = texts.load_data(corpus, "train")
    text = text[:corpus_size]
    trainer = RnnlmTrainer(model, SGD(lr))

    def after_epoch() -> dict[str, Any]:
        perplexity = eval_perplexity(model, valid)
        print(f"valid perplexity:  {perplexity:.2f}")
        earlier = trainer.epoch_list
        reports = trainer.ppl_list[earlier[-1]["reports"] if earlier else 0 :]
        epoch = {
            "epoch": trainer.current_epoch + 1,
            "lr": trainer.optimizer.lr,
            "train": math.exp(math.fsum(map(math.log, reports)) / len(reports)),
            "valid": perplexity,
            "reports": len(trainer.ppl_list),  # until here
        }
        if improves(perplexity, [e["valid"] for e in earlier]):
            model.save_params(weights, vocab=vocab)
        else:
            trainer.optimizer.lr *= decay
        if from_start:
            trainer.time_idx = 0
        print("-" * 50)
        write_history([*earlier, epoch])
        return epoch

    def write_history(epochs: list[dict[str, Any]], **results: float) -> None:
        history = results | {
            "epochs": epochs,
            "eval_interval": eval_interval,
            "train": trainer.ppl_list,
        }
        content = json.dumps(history, indent=1).encode()
        write_whole(weights.with_suffix(".json"), lambda file: file.write(content))

    checkpoint = weights.with_suffix(".checkpoint")

    def keep() -> None:
        if not trainer.epoch_list:  # else the best weights are in the file
            model.save_params(weights, vocab=vocab)

    with early_stop(trainer, keep, checkpoint):
        trainer.fit(
            text[:-1],
            text[1:],
            max_epoch,
            batch_size,
            time_size,
            max_grad,
            eval_interval,
            checkpoint=checkpoint,
            resume=resume,
            after_epoch=after_epoch,
        )

    model.load_params(weights)
    perplexity = eval_perplexity(model, test)
    print(f"test perplexity:  {perplexity:.2f}")
    if corpus == "grammar":
        print(f"true perplexity:  {grammar.true_perplexity('test'):.2f}  (no model can do better)")
    write_history(trainer.epoch_list, test=perplexity)
    if plot:
        trainer.plot((0, 500) if corpus == "ptb" else None, file=weights.with_suffix(".png"))
    return perplexity
