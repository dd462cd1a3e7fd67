"""How good word vectors are: analogy questions, and agreement with people about similarity.

V words, D numbers in a word's vector, Q questions. Questions and pairs with a word that has no
vector are left out of the score and counted: a score says little without its coverage.
Source: book 4.4.2.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy

from common.checks import numbers_on_host
from common.np import Array

Question: TypeAlias = tuple[str, str, str, str]
Pair: TypeAlias = tuple[str, str, float]

SCORES_AT_ONCE = 1 << 22  # question-word scores held in memory: 16 MB of float32
SCORE_COLUMNS = ("score", "similarity", "simlex999", "human(mean)")


class Accuracy(NamedTuple):
    """Analogy questions: answered correctly, with all words known, and asked."""

    correct: int
    answered: int
    asked: int

    @property
    def accuracy(self) -> float:
        """Share of the answered questions that are correct, 0 to 1; NaN if none was answered."""
        return self.correct / self.answered if self.answered else math.nan

    @property
    def coverage(self) -> float:
        """Share of the questions that were answered, 0 to 1; NaN if none was asked."""
        return self.answered / self.asked if self.asked else math.nan


class Correlation(NamedTuple):
    """Agreement with people: Spearman's rho, pairs with both words known, and pairs asked."""

    rho: float
    answered: int
    asked: int

    @property
    def coverage(self) -> float:
        """Share of the pairs that were compared, 0 to 1; NaN if there is none."""
        return self.answered / self.asked if self.asked else math.nan


# --- Analogies -----------------------------------------------------------------------------------


def read_questions(path: str | Path, *, lower: bool = True) -> dict[str, list[Question]]:
    """Analogy questions by category, from the usual kind of file -> {category: [(a, b, c, d)]}.

        : gram-plural
        car cars child children         a is to b as c is to d

    lower  turn words into lower case, as the vocabularies of this library are
    Empty lines are skipped. Raises FileNotFoundError, or ValueError naming the line, for a line
    without four words, a question before the first category, a category twice or without a name,
    and bytes that are not UTF-8; or naming the file, if there is no question.
    Source: Mikolov et al. 2013, https://arxiv.org/abs/1301.3781
    """
    questions: dict[str, list[Question]] = {}
    category = None
    for where, line in _lines("read_questions", path):
        if line.startswith(":"):
            category = line[1:].strip()
            if not category or category in questions:
                problem = "is there twice" if category else "has no name"
                raise ValueError(f"{where}: the category {category!r} {problem}")
            questions[category] = []
            continue
        words = (line.lower() if lower else line).split()
        if category is None:
            raise ValueError(f"{where}: a question came before the first category `: name`")
        if len(words) != 4:
            raise ValueError(f"{where}: a question is four words, not {len(words)}: {line!r}")
        a, b, c, d = words
        questions[category].append((a, b, c, d))
    if not any(questions.values()):
        raise ValueError(f"read_questions: {path} holds no question")
    return questions


def analogy_accuracy(
    questions: dict[str, list[Question]],
    word_vecs: Array,
    word_to_id: dict[str, int],
    *,
    cosine: bool = False,
) -> dict[str, Accuracy]:
    """Answer a : b = c : ? for every question -> an Accuracy for each category.

    The answer is the word, other than a, b and c, that scores highest with v_b - v_a + v_c.
    word_vecs (V, D)
    cosine  False: the score is the dot product, as in the book's `analogy`, so long vectors win
            True: all vectors are brought to length 1 before anything else (3CosAdd, the measure of
            the literature; `analogy` does this for vectors that went through `normalize`)
    Raises ValueError for vectors that do not fit the vocabulary or are not finite.
    Source: book 4.3.3, 4.4.2; Mikolov et al. 2013, https://aclanthology.org/N13-1090/
    """
    vecs = _floats("analogy_accuracy", word_vecs, word_to_id)
    if cosine:
        vecs = unit(vecs)
    scores = {}
    for category, asked in questions.items():
        known = [[word_to_id[w] for w in q] for q in asked if all(w in word_to_id for w in q)]
        correct = _count_correct(numpy.array(known, int).reshape(-1, 4), vecs)
        scores[category] = Accuracy(correct, len(known), len(asked))
    return scores


def total(scores: Iterable[Accuracy]) -> Accuracy:
    """The sum over categories, in which every question counts the same."""
    columns = numpy.array(list(scores), int).reshape(-1, 3)
    return Accuracy(*columns.sum(axis=0).tolist())


def _count_correct(ids: Array, vecs: Array) -> int:
    """How many of the questions ids (Q, 4) the vectors (V, D) answer."""
    correct = 0
    block = max(1, SCORES_AT_ONCE // len(vecs))
    for start in range(0, len(ids), block):
        a, b, c, d = ids[start : start + block].T
        scores = (vecs[b] - vecs[a] + vecs[c]) @ vecs.T  # (block, V)
        for given in (a, b, c):
            scores[numpy.arange(len(d)), given] = -numpy.inf
        correct += int((scores.argmax(axis=1) == d).sum())
    return correct


# --- Similarity ----------------------------------------------------------------------------------


def read_similarities(path: str | Path, *, lower: bool = True) -> list[Pair]:
    """Pairs of words and how similar people find them -> [(word1, word2, score)].

    Two kinds of file are read, with tabs or else commas between the columns:
        # Word 1    Word 2    Score             comments; then word, word, score, as in WordSim-353
        word1,word2,pos,score                   names of the columns first, as in SimLex-999
    In the second kind the score is in the column called score, similarity, SimLex999 or
    Human (mean). lower as in `read_questions`.
    Raises FileNotFoundError, or ValueError naming the line, for a missing column or word, a score
    that is not a finite number, and bytes that are not UTF-8; or naming the file, if there is no
    pair.
    Source: Finkelstein et al. 2002; Hill et al. 2015, https://arxiv.org/abs/1408.3456
    """
    columns = (0, 1, 2)
    pairs: list[Pair] = []
    first = True
    for where, line in _lines("read_similarities", path):
        if line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t" if "\t" in line else ",")]
        names = [field.lower().replace(" ", "") for field in fields]
        if first and names[:2] == ["word1", "word2"]:
            columns = (0, 1, _score_column(where, names))
        elif len(fields) <= columns[2]:
            raise ValueError(
                f"{where}: {len(fields)} columns came, {columns[2] + 1} are needed: {line!r}"
            )
        else:
            word1, word2 = (fields[k].lower() if lower else fields[k] for k in columns[:2])
            if not word1 or not word2:
                raise ValueError(f"{where}: a word is missing: {line!r}")
            pairs.append((word1, word2, _number(where, fields[columns[2]])))
        first = False
    if not pairs:
        raise ValueError(f"read_similarities: {path} holds no pair of words")
    return pairs


def similarity_correlation(
    pairs: Sequence[Pair], word_vecs: Array, word_to_id: dict[str, int]
) -> Correlation:
    """Rank correlation between people's scores and the cosine of the words' vectors.

    pairs      (word1, word2, score), as `read_similarities` gives them
    word_vecs  (V, D)
    A cosine with a zero vector is 0. rho is NaN where ranks cannot be compared (see `spearman`).
    Raises ValueError for vectors that do not fit the vocabulary or are not finite.
    """
    vecs = _floats("similarity_correlation", word_vecs, word_to_id)
    known = [pair for pair in pairs if pair[0] in word_to_id and pair[1] in word_to_id]
    if not known:
        return Correlation(math.nan, 0, len(pairs))
    firsts, seconds, scores = zip(*known, strict=True)
    x, y = (unit(vecs[[word_to_id[w] for w in words]]) for words in (firsts, seconds))
    return Correlation(spearman(scores, (x * y).sum(axis=1)), len(known), len(pairs))


def spearman(x: Sequence[float] | Array, y: Sequence[float] | Array) -> float:
    """Spearman's rank correlation rho of two lists of numbers, -1 to 1: Pearson's of their ranks.

    x, y (L,)  numbers; equal ones share the mean of their ranks
    NaN for fewer than two numbers, if all of one list are equal, or if one is NaN.
    Raises ValueError for lists of different lengths.
    """
    x, y = numbers_on_host("spearman", x), numbers_on_host("spearman", y)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"spearman: lists of one length are needed, not {x.shape} and {y.shape}")
    if numpy.isnan(x).any() or numpy.isnan(y).any():
        return math.nan
    mean = (len(x) + 1) / 2
    a, b = _ranks(x) - mean, _ranks(y) - mean
    length = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / length if length else math.nan


def _ranks(x: Sequence[float] | Array) -> Array:
    _, which, counts = numpy.unique(numpy.asarray(x), return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[which]


def unit(vecs: Array) -> Array:
    """The rows of vecs (N, D) with length 1; unlike `normalize`'s, a zero row stays zero."""
    lengths = numpy.linalg.norm(vecs, axis=1, keepdims=True)
    return vecs / numpy.where(lengths == 0, 1, lengths)


# --- Small help ----------------------------------------------------------------------------------


def _lines(function: str, path: str | Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not empty, each with its place for an error message."""
    with Path(path).open("rb") as file:
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


def _number(where: str, text: str) -> float:
    try:
        number = math.nan if "_" in text else float(text)  # 1_0 is Python's way to write 10
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: a score is a finite number, not {text!r}")
    return number


def _floats(function: str, word_vecs: Array, word_to_id: dict[str, int]) -> Array:
    """The vectors on the host, in float32 at least: float16 is slow and coarse."""
    vecs = numbers_on_host(function, word_vecs)
    if vecs.ndim != 2 or len(vecs) != len(word_to_id):
        raise ValueError(f"{function}: vectors {vecs.shape} do not fit {len(word_to_id)} words")
    if not numpy.isfinite(vecs).all():
        raise ValueError(f"{function}: the vectors hold NaN or infinity")
    return vecs.astype(numpy.result_type(vecs, "float32"), copy=False)
