"""Figure 8-26: attention, Peeky and the plain seq2seq on dates.

python -m ch08.compare             three runs, one after the other (time and result: README.md)
python -m ch08.compare --seeds 3   each of them three times
python -m ch08.compare --resume    goes on where it was stopped

Source: book 8.3.2.
"""

from pathlib import Path

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.training import Curves, compare
from ch08.attention_seq2seq import AttentionSeq2seq
from common.cli import run

MODELS = {
    "baseline": (Seq2seq, True),
    "peeky": (PeekySeq2seq, True),
    "attention": (AttentionSeq2seq, True),
}


def main(
    data: str = "date.txt",
    split: str = "random",
    wordvec_size: int = 16,
    hidden_size: int = 256,
    batch_size: int = 128,
    max_epoch: int = 10,
    max_grad: float = 5.0,
    eval_interval: int = 20,
    seeds: int = 1,
    file: str = "date_comparison.json",
    resume: bool = False,
    plot: bool = True,
) -> Curves:
    """Train three models on dates, all reversed, and draw their accuracies together (book 8.3.2).

    data           date.txt (book 8.3.1), or another file that `ch08.train` can read
    split          random, as in the book (7.2.4), or answer: no answer of a test question is
                   trained on
    wordvec_size   embedding (book 7.3.1): numbers in a character's vector
    hidden_size    hidden layers (book 7.3.1): numbers in the state of each recurrent one
    batch_size     questions in a training step (book 1.4.3)
    max_epoch      epochs (book 1.4.3): passes over the training questions
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    eval_interval  iterations from report to report (book 1.4.4)
    seeds          runs of each model, with the seeds 0, 1, ...
    file           file (.json) of all accuracies, from which runs that were made already are taken;
                   the figure goes beside it, and weights go into a folder of its name
    resume         go on with a run that was stopped
    plot           draw the accuracies
    """
    return compare(
        MODELS,
        Path(file),
        data=data,
        split=split,
        wordvec_size=wordvec_size,
        hidden_size=hidden_size,
        batch_size=batch_size,
        max_epoch=max_epoch,
        max_grad=max_grad,
        eval_interval=eval_interval,
        seeds=seeds,
        resume=resume,
        plot=plot,
    )


if __name__ == "__main__":
    run(main)
