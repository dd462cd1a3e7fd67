"""Train a seq2seq model with attention to bring dates into one form.

python -m ch08.train                     (time and result: README.md)
python -m ch08.train --max-epoch 4       which is enough for the attention
python -m ch08.train --model bi          with an encoder that reads in both directions
python -m ch08.train --split answer      the days of the test dates are never trained on

Source: book 8.3.2.
"""

from dataclasses import replace
from typing import Any

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.seq2seq_run import Training, train_and_answer
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from ch08.visualize_attention import draw_test_questions
from common.cli import run, then
from common.trainer import Row

MODELS = {
    "attention": AttentionSeq2seq,
    "bi": BiAttentionSeq2seq,
    "peeky": PeekySeq2seq,
    "seq2seq": Seq2seq,
}
BOOK: dict[str, Any] = {"data": "date.txt", "wordvec_size": 16, "hidden_size": 256}
BOOK |= {"batch_size": 128, "max_epoch": 10, "max_grad": 5.0}
SETTINGS = Training(**BOOK, reverse=True)


def main(*, model: str = "attention", **settings: Any) -> list[Row]:
    """Train a seq2seq model, test it after each epoch, save its weights (book 8.3.2).

    model  attention (book 8.2), bi (its encoder reads in both directions, book 8.4.1), peeky (book
           7.4.2) or seq2seq (book 7.3)
    plot   draw the accuracy after each epoch, and what the attention of a model looks at in some
           test questions (book 8.3.3)

    The other flags are the `Settings` and `Training` of ch07/seq2seq_run.py.
    """
    how = replace(SETTINGS, **settings)
    data = how.load()
    net = how.model(MODELS, model, data)
    file = how.file(net)
    epochs = train_and_answer(net, data, how, weights=file, seed=how.seed)
    then("ch08.compare", data=how.data)
    if isinstance(net, AttentionSeq2seq):
        told = {"weights": how.weights, "data": how.data, "split": how.split}
        then("ch08.visualize_attention", model=model, reverse=how.reverse, **told)
    if how.plot and isinstance(net, AttentionSeq2seq):
        draw_test_questions(net, data, beside=file)
    return epochs


if __name__ == "__main__":
    run(main)
