"""Train a seq2seq model on additions of numbers with up to three digits.

python -m ch07.train_seq2seq                           plain (time and result: README.md)
python -m ch07.train_seq2seq --reverse                 questions are read from back to front
python -m ch07.train_seq2seq --reverse --model peeky   and every step of the decoder sees them
python -m ch07.train_seq2seq --data pairs.txt          lines "question_answer" of yours

Source: book 7.3.4, 7.4.
"""

from dataclasses import replace
from typing import Any

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.seq2seq_run import Training, train_and_answer
from common.cli import run, then
from common.trainer import Row

MODELS = {"seq2seq": Seq2seq, "peeky": PeekySeq2seq}
BOOK: dict[str, Any] = {"data": "addition.txt", "wordvec_size": 16, "hidden_size": 128}
BOOK |= {"batch_size": 128, "max_epoch": 25, "max_grad": 5.0}
SETTINGS = Training(**BOOK)


def main(*, model: str = "seq2seq", bidirectional: bool = False, **settings: Any) -> list[Row]:
    """Train a seq2seq model, test it after each epoch, save its weights (book 7.3.4).

    model          seq2seq (book 7.3) or peeky (book 7.4.2)
    bidirectional  an encoder that reads in both directions (book 8.4.1)

    The other flags are the `Settings` and `Training` of seq2seq_run.py.
    """
    how = replace(SETTINGS, **settings)
    data = how.load()
    net = how.model(MODELS, model, data, bidirectional=bidirectional)
    then("ch07.compare", data=how.data)
    return train_and_answer(net, data, how, weights=how.file(net), seed=how.seed)


if __name__ == "__main__":
    run(main)
