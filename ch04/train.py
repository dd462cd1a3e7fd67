"""Train word vectors: CBOW or skip-gram with negative sampling.

    python -m ch04.train                            on Penn Treebank (time and result: README.md)
    python -m ch04.train --model skipgram
    python -m ch04.train --subsample 1e-3           leave out occurrences of frequent words
    python -m ch04.train --corpus novel.txt         on a text of yours, one sentence a line
    python -m ch04.train --corpus novel.txt --tokens characters   on Chinese or Japanese
    python -m ch04.train --resume                   go on after Ctrl-C

Source: book 4.3.2.
"""

from typing import Annotated, Any

import numpy

from ch04.cbow import CBOW
from ch04.skip_gram import SkipGram
from common.cli import at_least_one, run, then
from common.np import to_cpu
from common.optimizer import Adam
from common.rng import generator
from common.run import train
from common.storage.files import expanded
from common.trainer import Trainer
from common.words.text import create_contexts_target
from common.words.text import subsample as thinned
from common.words.vector_files import save_vectors
from dataset import texts
from dataset.suitability import describe
from dataset.tokens import Cut

MODELS = {"cbow": CBOW, "skipgram": SkipGram}


def main(
    model: Annotated[str, MODELS] = "cbow",
    corpus: str = "ptb",
    tokens: str | Cut = "words",
    min_count: int = 1,
    window_size: int = 5,
    hidden_size: int = 100,
    batch_size: int = 100,
    max_epoch: int = 10,
    sample_size: int = 5,
    subsample: float | None = None,
    lr: float = 0.001,
    eval_interval: int = 20,
    seed: int = 0,
    vectors: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    plot: bool = True,
) -> list[float]:
    """Train word vectors, save them as float16, and return the loss of each report.

    model          cbow (book 3.1, 4.3.1) or skipgram (book 3.5)
    corpus         text: ptb, grammar (made-up English), or a text file (one sentence a line), all
                   of which is used
    tokens         how lines of a text file are cut: words (at blanks), lower (lower case,
                   punctuation marks apart) or characters
    min_count      words that a text file has fewer times become <unk>
    window_size    words on each side of a word that are its neighbours (book 2.3.4, 4.3.2)
    hidden_size    hidden layer (book 3.2.1, 4.3.2): numbers in a word vector
    batch_size     words of one step (book 1.4.3), each with its neighbours
    max_epoch      epochs (book 1.4.3): passes over the text
    sample_size    words drawn as negatives for every right one (book 4.2.6)
    subsample      probability of a word above which its occurrences are left out at random, 1e-5 to
                   1e-3 as a rule; drawn once, before training. None are if not given
    lr             step size (book 1.3.6): learning rate of Adam
    eval_interval  iterations from report to report (book 1.4.4)
    seed           decides weights, order and negatives
    vectors        file to save them in; <model>_params.npz if not given. Checkpoint, history
                   (.json) and figure (.png) go beside it
    resume         go on with the run in the checkpoint
    overwrite      replace the files of an earlier run
    plot           draw the loss during training
    """
    if model not in MODELS:
        raise ValueError(f"train: model is one of {', '.join(MODELS)}, not {model!r}")
    file = expanded(vectors or f"{model}_params.npz")
    at_least_one(hidden_size=hidden_size)
    text, word_to_id, id_to_word = texts.load_text(corpus, tokens=tokens, min_count=min_count)
    print(describe((text, word_to_id, id_to_word)))
    rng = generator(seed)
    kept = text if subsample is None else thinned(text, subsample, rng=rng)
    contexts, target = create_contexts_target(kept, window_size)
    net = MODELS[model](
        len(word_to_id), hidden_size, window_size, text, sample_size=sample_size, rng=rng
    )
    trainer = Trainer(net, Adam(lr))
    how: dict[str, Any] = {"max_epoch": max_epoch, "batch_size": batch_size, "rng": rng}
    how |= {"eval_interval": eval_interval, "resume": resume}
    how |= {"overwrite": overwrite, "flag": "--vectors"}

    def save() -> None:
        counts = numpy.bincount(text, minlength=len(id_to_word))
        save_vectors(file, to_cpu(net.word_vecs), id_to_word, counts=counts)

    train(trainer, contexts, target, weights=file, save=save, **how)
    if plot:
        trainer.plot(file=file.with_suffix(".png"))
    then("ch04.eval", vectors=file)
    return trainer.loss_list


if __name__ == "__main__":
    run(main)
