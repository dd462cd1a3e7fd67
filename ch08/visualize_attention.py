"""Figures 8-27, 8-28: which characters of a date a model looks at while it writes each of its own.

python -m ch08.visualize_attention              five test dates, by the weights in this folder, else
                                                the shipped ones
python -m ch08.visualize_attention --question "FRIDAY, AUGUST 26, 1983"
python -m ch08.visualize_attention --model transformer   every head of every block
python -m ch08.visualize_attention --count 0 --score   how often it looks at the right place

Source: book 8.3.3.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy

from ch08.attention_score import attention_hits, head_maps, self_attention_maps, table
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from ch08.conv_seq2seq import ConvSeq2seq
from ch08.input_feeding import FeedingSeq2seq
from ch08.transformer import Transformer
from common import plots
from common.base_model import load_model
from common.cli import run, then
from common.np import Array
from common.storage.files import expanded
from common.storage.weights import find_weights, is_pickle
from dataset import sequence
from dataset.sequence import SPLITS, SequenceData

MODELS: dict[str, Any] = {
    "attention": AttentionSeq2seq,
    "bi": BiAttentionSeq2seq,
    "feeding": FeedingSeq2seq,
    "transformer": Transformer,
    "conv": ConvSeq2seq,
}
IN_ORDER = {"transformer", "conv"}  # what reads questions as they are, where nothing else is said
PARTS = ("cross", "encoder", "decoder")
SHIPPED = Path(__file__).parent / "weights"
COUNT = 5
SEED = 1984


def main(
    count: int = COUNT,
    question: str | None = None,
    score: bool = False,
    model: Annotated[str, MODELS] = "attention",
    weights: str | None = None,
    data: str = "date.txt",
    split: Annotated[str, SPLITS] = "random",
    reverse: bool | None = None,
    beam_width: int = 1,
    attention: Annotated[str, PARTS] = "cross",
) -> None:
    """Draw where a trained model looks while it writes (book 8.3.3).

    count       test questions to draw, with the model's answers; chosen at random, but always the
                same
    question    draw this one instead, with the answer that the model gives
    score       also look at all test dates: how often does it attend most to the right character?
    model       attention (book 8.2), bi (book 8.4.1), feeding (book 8.4.2), or transformer or conv
                (book 8.5.2), of which every head of every block is drawn; as in training
    weights     file of weights, ours (.npz) or the book's (.pkl); if not given, that of the class
                in the current folder, else the one that comes with the library
    data        file that it was trained on: date.txt (book 8.3.1), or another, see `ch08.train`
    split       random or answer, as in training (book 7.2.4)
    reverse     read questions from back to front (book 7.4.1), as in training; if not given, all
                but transformer and conv do
    beam_width  for a question: print so many answers, the most probable that beam search finds
    attention   cross: answers look at questions. Of the transformer also encoder, questions look at
                themselves, and decoder, answers look at what was written until then
    """
    if attention not in PARTS:
        known = ", ".join(PARTS)
        raise ValueError(f"visualize_attention: attention is one of {known}, not {attention!r}")
    if count < 0:
        raise ValueError(f"visualize_attention: count must not be negative, not {count}")
    if beam_width < 1:
        raise ValueError(f"visualize_attention: beam_width must be at least 1, not {beam_width}")
    net = load(model, weights, data)
    reverse = model not in IN_ORDER if reverse is None else reverse
    dates = sequence.load(data, split=split)
    dates = dates.reversed() if reverse else dates
    if question is not None:
        draw_question(net, question, dates, beam_width=beam_width, attention=attention)
    else:
        draw_test_questions(net, dates, count=count, attention=attention)
    then("ch08.compare", data=data)
    if score:
        x, t, id_to_char = dates.x_test, dates.t_test, dates.id_to_char
        for line in table(attention_hits(net, x, t, id_to_char, reverse=reverse)):
            print(line)


def load(model: str, weights: str | Path | None, data: str) -> Any:
    """The model with its weights; arguments as for `main`, sizes and options from a .npz file.

    Raises ValueError for another model, for weights of another model or vocabulary, and
    FileNotFoundError, which says how to train one, where there are no weights.
    """
    if model not in MODELS:
        raise ValueError(f"visualize_attention: model is one of {', '.join(MODELS)}, not {model!r}")
    model_class = MODELS[model]
    training = f"ch08.train --model {model}"
    file = expanded(weights) if weights else find_weights(model_class.__name__, SHIPPED, training)
    book = {"wordvec_size": 16, "hidden_size": 256} if is_pickle(file) else {}
    two_ways = {"bidirectional": model == "bi"} if model in ("attention", "bi") else {}
    return load_model(file, model_class, vocab=sequence.get_vocab(data)[0], **two_ways | book)


def draw_test_questions(
    model: Any,
    data: SequenceData,
    *,
    count: int = COUNT,
    beside: Path = Path("attention"),
    attention: str = "cross",
) -> None:
    """Draw test questions with the model's own answers into <beside>_1.png, ...

    The questions are chosen as in the book, which draws them with the right answers.
    attention  as for `main`
    """
    # the old generator, as there
    chosen = numpy.random.RandomState(SEED).randint(0, len(data.x_test), count)
    x, t = data.x_test[chosen], data.t_test[chosen]
    answers = t.copy()
    answers[:, 1:] = model.generate_batch(x, int(data.t_test[0, 0]), t.shape[1] - 1)
    for k in range(count):
        file = beside.with_name(f"{beside.stem}_{k + 1}.png")
        how: dict[str, Any] = {"reverse": data.reverse, "file": file, "attention": attention}
        draw(model, x[k], answers[k], data.id_to_char, right=t[k], **how)


def draw_question(
    model: Any,
    question: str,
    data: SequenceData,
    *,
    beam_width: int = 1,
    file: Path = Path("attention.png"),
    attention: str = "cross",
) -> None:
    """Draw a question with the answer that the model gives, and print both.

    beam_width  of the beam search; with more than 1, the other answers it found are printed too
    attention   as for `main`
    Raises ValueError for a question that `sequence.encode` refuses.
    """
    width, length = data.x_train.shape[1], data.t_train.shape[1] - 1
    asked = sequence.encode([question], data.char_to_id, width, reverse=data.reverse)
    start_id, id_to_char = int(data.t_train[0, 0]), data.id_to_char
    print("Q", question)
    if beam_width == 1:
        guess = model.generate(asked, start_id, length)
        print("A", sequence.decode(guess, id_to_char))
    else:
        ((best, *others),) = model.beam_search(asked, start_id, length, beam_width)
        guess = best.ids
        for found in (best, *others):
            print("A", sequence.decode(found.ids, id_to_char), f"{math.exp(found.log_p):.6f}")
    answer = numpy.array([start_id, *guess])
    how: dict[str, Any] = {"reverse": data.reverse, "file": file, "attention": attention}
    draw(model, asked[0], answer, id_to_char, **how)


def draw(
    model: Any,
    question: Array,
    answer: Array,
    id_to_char: Mapping[int, str],
    *,
    reverse: bool,
    right: Array | None = None,
    file: Path = Path("attention.png"),
    attention: str = "cross",
) -> None:
    """Draw the attention of an answer (L,), which the decoder reads, to a question (T,).

    A row is a character of the answer, the first on top; a column one of the question, the first
    on the left. A model of several blocks and heads has a map for each.
    reverse  whether the ids of the question stand in reverse order
    right    the right answer (L,), which the title tells where it is another one
    attention  as for `main`: of the encoder, rows are of the question too; of the decoder, columns
               are what was read of the answer
    """
    if attention == "cross":
        blocks = head_maps(model, question, answer, reverse=reverse)
    else:
        blocks = self_attention_maps(model, attention, question, answer)
    if attention == "encoder" and reverse:
        blocks = [a[:, ::-1, ::-1] for a in blocks]
    asked = sequence.decode(question[::-1] if reverse else question, id_to_char)
    answered = sequence.decode(answer[1:], id_to_char)
    seen = sequence.decode(answer[:-1], id_to_char) if attention == "decoder" else asked
    rows = asked if attention == "encoder" else answered
    maps = {
        f"block {k + 1}, head {head + 1}": weights
        for k, heads in enumerate(blocks)
        for head, weights in enumerate(heads)
    }
    title = f"{asked.strip()}  →  {answered.strip()}"
    if right is not None and (right != answer).any():
        title += f"  (wrong: {sequence.decode(right[1:], id_to_char).strip()} is right)"
    alone, across = len(maps) == 1, min(len(maps), 2)
    down = math.ceil(len(maps) / across)
    scale = 1 if alone else 0.7
    size = scale * across * (2 + len(seen.strip()) / 4), scale * down * (2 + len(rows.strip()) / 4)
    how = {"nrows": down, "ncols": across, "squeeze": False, "figsize": size}
    with plots.axes(file, style=plots.STYLE | plots.MAP, **how) as grid:
        for ax, (name, weights) in zip(grid.flat, maps.items(), strict=False):
            plots.attention_map(weights, seen, rows, ax, bar=False)
            ax.set_title("" if alone else name)
            if attention == "encoder":
                ax.set_ylabel("state: question")
            elif attention == "decoder":
                ax.set_xlabel("read: answer")
        for unused in grid.flat[len(maps) :]:
            unused.remove()
        plots.colour_bar(ax.images[0], grid, "attention weight")
        entitle = ax.set_title if alone else ax.figure.suptitle
        entitle(title, parse_math=False)  # a $ is a character


if __name__ == "__main__":
    run(main)
