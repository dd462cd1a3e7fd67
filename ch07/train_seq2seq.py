"""Train a seq2seq model on additions of numbers with up to three digits.

python -m ch07.train_seq2seq                           plain (time and result: README.md)
python -m ch07.train_seq2seq --reverse                 questions are read from back to front
python -m ch07.train_seq2seq --reverse --model peeky   and every step of the decoder sees them
python -m ch07.train_seq2seq --data pairs.txt          lines "question_answer" of yours

Source: book 7.3.4, 7.4.
"""

from pathlib import Path

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.training import Result, new_model, train
from common.cli import run

MODELS = {"seq2seq": Seq2seq, "peeky": PeekySeq2seq}


def main(
    model: str = "seq2seq",
    reverse: bool = False,
    data: str = "addition.txt",
    split: str = "random",
    wordvec_size: int = 16,
    hidden_size: int = 128,
    batch_size: int = 128,
    max_epoch: int = 25,
    max_grad: float = 5.0,
    eval_interval: int = 20,
    cell: str = "lstm",
    bidirectional: bool = False,
    pass_cell: bool = False,
    padding: bool = False,
    seed: int = 0,
    weights: str | None = None,
    resume: bool = False,
    plot: bool = True,
) -> Result:
    """Train a seq2seq model, test it after each epoch, save its weights (book 7.3.4).

    model          seq2seq (book 7.3) or peeky (book 7.4.2)
    reverse        read questions from back to front (book 7.4.1)
    data           addition.txt (book 7.2.2), date.txt (book 8.3.1), or a file with a question, _
                   and an answer in each line, padded with blanks to the same widths (book 7.2.3)
    split          random, as in the book (7.2.4), or answer: no answer of a test question is
                   trained on
    wordvec_size   embedding (book 7.3.1): numbers in a character's vector
    hidden_size    hidden layers (book 7.3.1): numbers in the state of each recurrent one
    batch_size     questions in a training step (book 1.4.3)
    max_epoch      epochs (book 1.4.3): passes over the training questions
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    eval_interval  iterations from report to report (book 1.4.4)
    cell           recurrent layers: lstm (book 6.2), gru (book appendix C) or rnn (book 5.3)
    bidirectional  an encoder that reads in both directions (book 8.4.1)
    pass_cell      hand the encoder's last cell to the decoder as well (book 7.3.1: it is not)
    padding        blanks are padding, which counts for nothing (book 7.2.3), not characters
    seed           decides the first weights, and the order of the questions
    weights        file to save the weights in, <class>.npz if not given; checkpoint, history
                   (.json) and figure (.png) go beside it
    resume         go on with the run in the checkpoint
    plot           draw the accuracy after each epoch
    """
    net = new_model(
        *(MODELS, model, data, wordvec_size, hidden_size),
        padding=padding,
        cell=cell,
        bidirectional=bidirectional,
        pass_cell=pass_cell,
        rng=seed,
    )
    return train(
        net,
        data,
        reverse=reverse,
        split=split,
        max_epoch=max_epoch,
        batch_size=batch_size,
        max_grad=max_grad,
        eval_interval=eval_interval,
        seed=seed,
        weights=Path(weights or f"{type(net).__name__}.npz"),
        resume=resume,
        plot=plot,
    )


if __name__ == "__main__":
    run(main)
