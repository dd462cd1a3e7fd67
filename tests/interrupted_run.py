"""Training runs to be interrupted or killed, and what is left of them."""

import os
import signal

import numpy

from ch04.cbow import CBOW
from ch06.better_rnnlm import BetterRnnlm
from common.optimizer import SGD, Adam
from common.storage.checkpoint import digest, kept
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
    return digest(
        *(trainer.model.params, rows, kept(trainer.optimizer)),
        *(trainer.current_epoch, trainer.steps),
    )


class Forked:
    """work(self, *args) in a child process that is warm: what this process has imported is there.

    `stop()`, in the child, lets `wait` return in this process, and waits to be killed.
    """

    def __init__(self, work, *args):
        self.reading, writing = os.pipe()
        self.stop = lambda *_: (os.write(writing, b"x"), signal.pause())
        self.process = os.fork()
        if not self.process:
            status = 1
            try:
                work(self, *args)
                status = 0
            finally:
                os._exit(status)
        os.close(writing)

    def wait(self):
        """Until it stops, or is over."""
        os.read(self.reading, 1)

    def kill(self):
        """End it, wherever it is -> whether it had ended by itself, and well.

        AssertionError if it failed.
        """
        os.kill(self.process, signal.SIGKILL)  # until it is waited for, its number is its own
        os.close(self.reading)
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        assert status in (0, -signal.SIGKILL)
        return status == 0
