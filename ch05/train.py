"""Train a language model with the RnnlmTrainer, which chapter 6 uses as well.

    python -m ch05.train                    on Penn Treebank (result: ch05/README.md)
    python -m ch05.train --corpus grammar   on made-up English
    python -m ch05.train --resume           go on after Ctrl-C

Source: book 5.5.4.
"""

from dataclasses import replace
from typing import Any

from ch05 import train_custom_loop
from ch05.simple_rnnlm import SimpleRnnlm
from common.cli import at_least_one, run, settings_of, then
from common.optimizer import SGD
from common.run import train
from common.storage.files import expanded
from common.trainer import RnnlmTrainer
from dataset import texts
from dataset.suitability import describe
from dataset.texts import source

SETTINGS = settings_of(train_custom_loop.main)


def main(
    *,
    eval_interval: int = 19,
    weights: str = "SimpleRnnlm.npz",
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> tuple[SimpleRnnlm, list[float]]:
    """Train SimpleRnnlm on the first words of a text -> the model and the reported perplexities.

    eval_interval  iterations from report to report (book 5.5.4); the default is an epoch of the
                   other defaults
    weights        file to save the weights in; checkpoint, history (.json) and figure (.png) go
                   beside it
    resume         go on with the run in the checkpoint
    overwrite      replace the files of an earlier run

    The other flags are those of train_custom_loop.py.  Raises what `RnnlmTrainer.fit` raises.
    """
    how, file = replace(SETTINGS, **settings), expanded(weights)
    at_least_one(wordvec_size=how.wordvec_size, hidden_size=how.hidden_size)
    cut = {"tokens": how.tokens, "min_count": how.min_count}
    whole = texts.load_text(how.corpus, **cut)
    text = whole[0][: how.corpus_size]
    vocab_size = int(text.max(initial=0)) + 1  # ids count up in order of first appearance
    if how.corpus not in texts.MADE:
        print(describe(whole))
        print(f"corpus size: {len(text)}, vocabulary size: {vocab_size}")
    model = SimpleRnnlm(vocab_size, how.wordvec_size, how.hidden_size, rng=how.seed)
    model.trained_on = source(how.corpus, how.tokens, how.min_count)
    trainer = RnnlmTrainer(model, SGD(how.lr))

    train(
        trainer,
        text[:-1],
        text[1:],
        weights=file,
        save=lambda: model.save_params(file),
        max_epoch=how.max_epoch,
        batch_size=how.batch_size,
        time_size=how.time_size,
        eval_interval=eval_interval,
        resume=resume,
        overwrite=overwrite,
    )
    if how.plot:
        trainer.plot(file=file.with_suffix(".png"))
    then("ch06.train_rnnlm", corpus=how.corpus, **cut)
    return model, trainer.ppl_list


if __name__ == "__main__":
    run(main)
