"""A training run to be killed: `python -m tests.interrupted_run KIND FILE`, from the root.

Trains a tiny model, with a checkpoint in FILE after every step; goes on with FILE if it exists.
Prints "ready" just before, and a digest of the weights after the last step.
"""

import sys
from pathlib import Path

import numpy

from ch04.cbow import CBOW
from ch06.better_rnnlm import BetterRnnlm
from common.optimizer import SGD, Adam
from common.storage.checkpoint import digest
from common.trainer import RnnlmTrainer, Trainer
from common.words.text import create_contexts_target

TEXT = numpy.random.default_rng(0).integers(30, size=1500)


def language_model(**how):
    """Two LSTMs with every kind of dropout; the learning rate falls after each epoch."""
    model = BetterRnnlm(30, 6, 6, dropconnect_ratio=0.2, recurrent_dropout_ratio=0.2, rng=1)
    trainer = RnnlmTrainer(model, SGD(1.0))

    def after_epoch():
        trainer.optimizer.lr /= 2
        return trainer.optimizer.lr

    trainer.fit(TEXT[:-1], TEXT[1:], 6, 3, 5, 0.25, 20, after_epoch=after_epoch, **how)
    return trainer


def word_vectors(**how):
    """Adam with row-sparse gradients, negatives and order by random numbers."""
    rng = numpy.random.default_rng(1)
    trainer = Trainer(CBOW(30, 6, 1, TEXT, rng=rng), Adam())
    trainer.fit(*create_contexts_target(TEXT, 1), 6, 15, None, 20, rng=rng, **how)
    return trainer


RUNS = {"RnnlmTrainer": language_model, "Trainer": word_vectors}


def outcome(trainer):
    """All that a run leaves: weights, reports, learning rates and the optimizer's memory."""
    history = getattr(trainer, trainer._history)
    return digest(trainer.model.params, history, trainer.epoch_list, vars(trainer.optimizer))


if __name__ == "__main__":
    kind, file = sys.argv[1:]
    print("ready", flush=True)
    how = {"checkpoint": file, "resume": Path(file).exists(), "checkpoint_interval": 1}
    print(outcome(RUNS[kind](**how)))
