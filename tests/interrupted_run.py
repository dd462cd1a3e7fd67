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

    def after_epoch(trainer):
        trainer.optimizer.lr /= 2
        return {"lr": trainer.optimizer.lr}

    trainer.fit(TEXT[:-1], TEXT[1:], 6, 3, 5, 0.25, 20, after_epoch=after_epoch, **how)
    return trainer


def word_vectors(lr=0.001, **how):
    """Adam with row-sparse gradients, negatives and order by random numbers."""
    rng = numpy.random.default_rng(1)
    trainer = Trainer(CBOW(30, 6, 1, TEXT, rng=rng), Adam(lr))
    trainer.fit(*create_contexts_target(TEXT, 1), 6, 15, None, 20, rng=rng, **how)
    return trainer


def scheduled(**how):
    """The same with a learning rate that rises, then falls, by the number of the update."""
    return word_vectors(lambda step: 0.1 * min((step + 1) / 100, 10 / (step + 1)), **how)


def validated(**how):
    """Two LSTMs with dropout, and validation after each epoch."""
    trainer = RnnlmTrainer(BetterRnnlm(30, 6, 6, rng=1), SGD(1.0))
    valid = TEXT[:200], TEXT[1:201]
    trainer.fit(TEXT[:-1], TEXT[1:], 6, 3, 5, 0.25, 20, valid=valid, **how)
    return trainer


RUNS = {
    "RnnlmTrainer": language_model,
    "Trainer": word_vectors,
    "lr is a function": scheduled,
    "valid": validated,
}


def outcome(trainer):
    """All that a run leaves, but for its times: weights, history and the optimizer's memory."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    memory = {k: v for k, v in vars(trainer.optimizer).items() if not callable(v)}
    return digest(trainer.model.params, rows, memory, trainer.current_epoch, trainer.steps)


if __name__ == "__main__":
    kind, file = sys.argv[1:]
    print("ready", flush=True)
    how = {"checkpoint": file, "resume": Path(file).exists(), "checkpoint_interval": 1}
    print(outcome(RUNS[kind](**how)))
