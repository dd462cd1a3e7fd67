"""Files that word vectors are evaluated with: analogy questions, and pairs that people judged.

Words keep the case that they have in the file; `evaluation` finds that of a vocabulary.
All functions raise FileNotFoundError where there is no file, and ValueError for a file of another
kind, such as a web page, and, naming the line, for bytes that are not UTF-8 and for what the
function says.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from common.storage.file_kinds import kind_of, opened, refusal
from common.storage.files import expanded

__all__ = ["Pair", "Question", "read_questions", "read_similarities", "text_lines"]

Question: TypeAlias = tuple[str, str, str, str]
Pair: TypeAlias = tuple[str, str, float]

SCORE_COLUMNS = ("score", "similarity", "simlex999", "human(mean)")
MOST_PAIRS = 1000  # of one file; BATS has 50
SEPARATORS = "\t", ";", ","  # of columns; the first that a line has, else blanks


def read_questions(path: str | Path, *, lower: bool = False) -> dict[str, list[Question]]:
    """Analogy questions by category -> {category: [(a, b, c, d)]}: a is to b as c is to d.

        : gram-plural                   a category; its questions follow, four words a line
        car cars child children

        album<tab>albums                or, as in BATS: pairs of words, in a file for each category,
        story<tab>stories/tales         whose name is the category's

    Every pair of a file is asked about every other: album albums story stories/tales. Of several
    right answers, with / between, b is the first and d any of them.
    path   a file, or a folder with files of pairs, at any depth
    lower  turn words into lower case
    Raises ValueError for a line without two or four words, too many pairs, a question before the
    first category, a category twice or without a name, and for a folder without files.
    Source: Mikolov et al. 2013, https://arxiv.org/abs/1301.3781; BATS: Gladkova et al. 2016,
    https://aclanthology.org/N16-2002/
    """
    path = expanded(path)
    if not path.is_dir():
        return _questions_of(path, lower)
    questions: dict[str, list[Question]] = {}
    files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
    if not files:
        raise ValueError(f"read_questions: {path}: the folder has no .txt files")
    for file in files:
        for category, asked in _questions_of(file, lower).items():
            if category in questions:
                raise ValueError(
                    f"read_questions: {file}: the category {category!r} is there twice"
                )
            questions[category] = asked
    return questions


def _questions_of(path: Path, lower: bool) -> dict[str, list[Question]]:
    """The questions of one file, of either kind."""
    questions: dict[str, list[Question]] = {}
    pairs: list[tuple[str, str]] = []
    category = None
    for where, line in text_lines("read_questions", path):
        if line.startswith(":"):
            category = line[1:].strip()
            if not category or category in questions:
                problem = "is there twice" if category else "has no name"
                raise ValueError(f"{where}: the category {category!r} {problem}")
            questions[category] = []
            continue
        words = (line.lower() if lower else line).split()
        if category is None and len(words) == 2:
            pairs.append((words[0], words[1]))
        elif category is None:
            raise ValueError(f"{where}: a question came before the first category `: name`")
        elif len(words) != 4 or pairs:
            raise ValueError(f"{where}: a question is four words, not {len(words)}: {line!r}")
        else:
            a, b, c, d = words
            questions[category].append((a, b, c, d))
    if len(pairs) > MOST_PAIRS:
        raise ValueError(
            f"read_questions: {path}: {len(pairs)} pairs are too many to ask each about every "
            f"other; {MOST_PAIRS} are the most"
        )
    if pairs and not questions:
        questions[path.stem] = [
            (a, b.split("/")[0] or b, c, d) for a, b in pairs for c, d in pairs if a != c
        ]
    if not any(questions.values()):
        raise ValueError(f"read_questions: {path} holds no question")
    return questions


def read_similarities(path: str | Path, *, lower: bool = False) -> list[Pair]:
    """Pairs of words and how similar people find them -> [(word1, word2, score)].

        # comments                              tabs, semicolons, commas or else blanks separate the
        sun sunlight 50.0                       columns of a line; MEN
        take;remove;V;6,81                      the first number is the score; a comma in it
        word1,word2,pos,score                   names of the columns first, as in SimLex-999

    With names, the score is in the column called score, similarity, SimLex999 or Human (mean).
    lower  turn words into lower case
    Raises ValueError for a missing column or word, and a score that is not a finite number.
    Source: Finkelstein et al. 2002; Hill et al. 2015, https://arxiv.org/abs/1408.3456; MEN: Bruni
    et al. 2014, https://doi.org/10.1613/jair.4135
    """
    column = None
    pairs: list[Pair] = []
    first = True
    for where, line in text_lines("read_similarities", path):
        if line.startswith("#"):
            continue
        separator = next((mark for mark in SEPARATORS if mark in line), None)
        fields = [field.strip() for field in line.split(separator)]
        if separator != ",":
            fields[2:] = [field.replace(",", ".") for field in fields[2:]]
        names = [re.sub("[ _]", "", field.lower()) for field in fields]
        if first and names[:2] == ["word1", "word2"]:
            column, first = _score_column(where, names), False
            continue
        first, needed = False, 3 if column is None else column + 1
        if len(fields) < needed:
            raise ValueError(f"{where}: {len(fields)} columns came, {needed} are needed: {line!r}")
        word1, word2 = (word.lower() if lower else word for word in fields[:2])
        if not word1 or not word2:
            raise ValueError(f"{where}: a word is missing: {line!r}")
        pairs.append(
            (word1, word2, _score(where, fields[2:] if column is None else [fields[column]]))
        )
    if not pairs:
        raise ValueError(f"read_similarities: {path} holds no pair of words")
    return pairs


def text_lines(function: str, path: str | Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not empty, each with its place for an error message."""
    with opened(expanded(path)) as file:
        start = file.peek()
        if kind_of(start):
            raise ValueError(f"{function}: {path}: {refusal('text file', start)}")
        for number, line in enumerate(file, start=1):
            where = f"{function}: {path}: line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{where}: {line[:40]!r} is not UTF-8 text") from error
            if text:
                yield where, text


def _score_column(where: str, names: list[str]) -> int:
    for k, name in enumerate(names):
        if name in SCORE_COLUMNS:
            return k
    raise ValueError(f"{where}: no column is called {', '.join(SCORE_COLUMNS)}, but {names}")


def _score(where: str, texts: list[str]) -> float:
    """The first number among the texts; it must be finite."""
    for text in texts:
        try:
            score = float(text if "_" not in text else "no")  # Python would read 1_0 as 10
        except ValueError:
            continue
        if math.isfinite(score):
            return score
    raise ValueError(f"{where}: a score is a finite number, not {' '.join(texts)!r}")
