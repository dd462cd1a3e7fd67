"""What a model with attention looks at while it writes a date, and whether that is the right place.

The attention map of a question has a row for each character of the answer, without its `_`, and a
column for each character of the question, in the order in which people read it.
N dates, S characters of an answer, T of a question.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy

from ch08.transformer import Block
from common.np import Array, to_cpu
from dataset import sequence

__all__ = ["Hits", "attention_hits", "attention_maps", "head_maps", "places", "table"]

# M/D/YY, Mon D, YYYY, Month D, YYYY, and Weekday, Month D, YYYY; see `dataset/dates.py`
DATE = re.compile(
    r"(?:[a-z]+, )?(?P<month>[a-z]+|\d\d?)[ /](?P<day>\d\d?)(?:, |/)(?P<year>\d{4}|\d\d) *",
    re.IGNORECASE,
)


class Hits(NamedTuple):
    """How often the largest weight of a row is where it should be: a share, of so many rows."""

    share: float
    of: int


def attention_maps(
    model: Any, questions: Array, answers: Array, *, reverse: bool, batch_size: int = 250
) -> Array:
    """Maps (N, S, T) on the host; the decoder reads the answers, not its own guesses.

    Of a model with several blocks or heads they are the mean over all of them.
    questions (N, T), answers (N, S + 1)  ids
    reverse     whether the ids of the questions stand in reverse order
    batch_size  questions that the model reads side by side
    """
    maps = []
    for k in range(0, len(questions), batch_size):
        model.forward(questions[k : k + batch_size], answers[k : k + batch_size])
        if hasattr(model.decoder, "head_maps"):
            rows = [to_cpu(a).mean(axis=1) for a in model.decoder.head_maps]
            maps.append(numpy.mean(rows, axis=0))
        else:
            rows = [to_cpu(a) for a in model.decoder.attention.attention_weights]
            maps.append(numpy.stack(rows, axis=1))
    joined = numpy.concatenate(maps)
    return joined[:, :, ::-1] if reverse else joined


def head_maps(model: Any, question: Array, answer: Array, *, reverse: bool) -> list[Array]:
    """The maps (h, S, T) of one question (T,) and its answer (S + 1,), for each block.

    Of a model with one attention that is one map.  reverse  as for `attention_maps`
    """
    if not hasattr(model.decoder, "head_maps"):
        return [attention_maps(model, question[None], answer[None], reverse=reverse)]
    model.forward(question[None], answer[None])
    maps = [to_cpu(a)[0] for a in model.decoder.head_maps]
    return [a[:, :, ::-1] if reverse else a for a in maps]


def self_attention_maps(model: Any, part: str, question: Array, answer: Array) -> list[Array]:
    """The maps of the question's (h, T, T), or the answer's (h, S, S) own steps, for each block.

    part  encoder: each character of the question (T,) looks at the question; decoder: each one of
          the answer (S + 1,) looks at those that were read until then, from the start id on
    Raises ValueError for a model that has no self-attention.
    """
    network = {"encoder": model.encoder, "decoder": model.decoder}[part]
    blocks = getattr(getattr(network, "stack", None), "blocks", [])
    layers = [block.attention for block in blocks if isinstance(block, Block)]
    if not layers:
        raise ValueError(f"self_attention_maps: {type(model).__name__} has no self-attention")
    model.forward(question[None], answer[None])
    return [to_cpu(layer.attention_weights)[0] for layer in layers]


def attention_hits(
    model: Any,
    questions: Array,
    answers: Array,
    id_to_char: Mapping[int, str],
    *,
    reverse: bool,
    batch_size: int = 250,
) -> dict[str, Hits]:
    """For each character of a date's answer: how often the model looks at the right one most.

    It reads the right answer meanwhile (teacher forcing), also where its own would be wrong.

    questions (N, T), answers (N, S + 1), and the rest as for `attention_maps`; `places` tells what
    is right. A part of the answer that no question has a place for is left out.
    Raises ValueError for a question that is no date as `dataset.dates` writes them.
    """
    columns = attention_maps(
        model, questions, answers, reverse=reverse, batch_size=batch_size
    ).argmax(axis=2)
    hits: dict[str, list[bool]] = {}
    texts = sequence.decode(to_cpu(questions)[:, :: -1 if reverse else 1], id_to_char)
    for text, looked_at in zip(texts, columns, strict=True):
        for name, row, right in places(text):
            hits.setdefault(name, []).append(looked_at[row] in right)
    return {name: Hits(float(numpy.mean(found)), len(found)) for name, found in hits.items()}


def places(question: str) -> Iterator[tuple[str, int, range]]:
    """(what it is, row, right columns) for characters of the answer YYYY-MM-DD.

    A year's digits belong to those of the question, the first two only if it has them. A month
    belongs to any letter of its name, or to the last digit of its number. The second digit of a day
    belongs to the last one of the question, the first one to the first of two. Hyphens belong
    nowhere.
    Raises ValueError for anything but a date.
    """
    date = DATE.fullmatch(question)
    if date is None:
        raise ValueError(f"attention_hits: {question.rstrip()!r} is no date of a known form")
    (month, month_end), (day, day_end), (year, year_end) = map(date.span, ("month", "day", "year"))
    for row in range(4):
        column = year_end - 4 + row
        if column >= year:
            yield f"digit {row + 1} of the year", row, range(column, column + 1)
    named = date["month"].isalpha()
    right = range(month, month_end) if named else range(month_end - 1, month_end)
    for row in (5, 6):
        yield f"digit {row - 4} of the month, a {'name' if named else 'number'}", row, right
    if day_end - day == 2:
        yield "digit 1 of the day, of two", 8, range(day, day + 1)
    yield "digit 2 of the day", 9, range(day_end - 1, day_end)


def table(hits: Mapping[str, Hits]) -> Iterator[str]:
    """Lines that tell the hits."""
    title = "most attention on the right place, teacher forced"
    width = max(map(len, [title, *hits]))
    yield f"{title:{width}}    share  dates"
    for name in sorted(hits):
        yield f"{name:{width}}  {100 * hits[name].share:5.1f} %  {hits[name].of:5}"
