"""How good word vectors are: analogy questions, and agreement with people about similarity.

V words, D numbers in a word's vector, Q questions. Questions and pairs with a word that has no
vector are left out of the score and counted: a score says little without its coverage. A word is
looked up as it is written, else in the case that the vocabulary has it in (see `spelling`).
Source: book 4.4.2.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy

from common.checks import numbers_on_host
from common.np import Array
from common.words.evaluation_files import Pair, Question

__all__ = [
    "Accuracy",
    "Correlation",
    "analogy_accuracy",
    "missing_words",
    "similarity_correlation",
    "spearman",
    "spelling",
    "total",
    "unit",
]

SCORES_AT_ONCE = 1 << 22  # question-word scores held in memory: 16 MB of float32


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


# --- Words ---------------------------------------------------------------------------------------


def spelling(word: str, word_to_id: Mapping[str, int]) -> str | None:
    """The word as a vocabulary has it: as it is, or else athens, Athens or ATHENS; None if not."""
    forms = (word, word.lower(), word.capitalize(), word.upper())
    return next((form for form in forms if form in word_to_id), None)


def missing_words(rows: Iterable[Question | Pair], word_to_id: Mapping[str, int]) -> Counter[str]:
    """The words of questions or pairs that a vocabulary has in no case: how many rows need each.

    Of several right answers, with / between, one is enough.
    """
    missing: Counter[str] = Counter()
    for row in rows:
        words = dict.fromkeys(word for word in row if isinstance(word, str))
        missing.update(word for word in words if not _answers(word, word_to_id))
    return missing


def _answers(word: str, word_to_id: Mapping[str, int]) -> list[int]:
    """The ids of a word, or of those of several right answers that a vocabulary has."""
    whole = spelling(word, word_to_id)
    forms = [whole] if whole else [spelling(each, word_to_id) for each in word.split("/") if each]
    return [word_to_id[form] for form in forms if form is not None]


# --- Analogies -----------------------------------------------------------------------------------


def analogy_accuracy(
    questions: dict[str, list[Question]],
    word_vecs: Array,
    word_to_id: dict[str, int],
    *,
    cosine: bool = False,
) -> dict[str, Accuracy]:
    """Answer a : b = c : ? for every question -> an Accuracy for each category.

    The answer is the word, other than a, b and c, that scores highest with v_b - v_a + v_c.
    questions  {category: [(a, b, c, d)]}, as `read_questions` gives them; d may be several right
               answers, with / between
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
        ids = [[_answers(word, word_to_id) for word in question] for question in asked]
        known = [words for words in ids if all(words)]
        given = numpy.array([[words[0] for words in q[:3]] for q in known], int).reshape(-1, 3)
        correct = _count_correct(given, [set(q[3]) for q in known], vecs)
        scores[category] = Accuracy(correct, len(known), len(asked))
    return scores


def total(scores: Iterable[Accuracy]) -> Accuracy:
    """The sum over categories, in which every question counts the same."""
    columns = numpy.array(list(scores), int).reshape(-1, 3)
    return Accuracy(*columns.sum(axis=0).tolist())


def _count_correct(ids: Array, right: Sequence[set[int]], vecs: Array) -> int:
    """How many questions, of words ids (Q, 3) and right answers (Q), the vectors (V, D) answer."""
    correct = 0
    block = max(1, SCORES_AT_ONCE // len(vecs))
    for start in range(0, len(ids), block):
        a, b, c = ids[start : start + block].T
        scores = (vecs[b] - vecs[a] + vecs[c]) @ vecs.T  # (block, V)
        for given in (a, b, c):
            scores[numpy.arange(len(given)), given] = -numpy.inf
        guesses = scores.argmax(axis=1).tolist()
        answers = right[start : start + block]
        correct += sum(k in answer for k, answer in zip(guesses, answers, strict=True))
    return correct


# --- Similarity ----------------------------------------------------------------------------------


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
    spelled = [(*(spelling(word, word_to_id) for word in pair[:2]), pair[2]) for pair in pairs]
    known = [pair for pair in spelled if None not in pair]
    if not known:
        return Correlation(math.nan, 0, len(pairs))
    firsts, seconds, scores = zip(*known, strict=True)
    x, y = (unit(vecs[[word_to_id[w] for w in words]]) for words in (firsts, seconds))
    return Correlation(spearman(scores, (x * y).sum(axis=1)), len(known), len(pairs))


def spearman(x: Sequence[float] | Array, y: Sequence[float] | Array) -> float:
    """Spearman's rank correlation rho of two lists of numbers, -1 to 1, by SciPy.

    x, y (L,)  numbers; equal ones share the mean of their ranks
    NaN for fewer than two numbers, if all of one list are equal, or if one is NaN.
    Raises ValueError for lists of different lengths.
    """
    from scipy.stats import spearmanr  # here, because it takes long to import

    x, y = numbers_on_host("spearman", x), numbers_on_host("spearman", y)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"spearman: lists of one length are needed, not {x.shape} and {y.shape}")
    if min(len(numpy.unique(a)) for a in (x, y)) < 2:  # of which SciPy would warn
        return math.nan
    return float(spearmanr(x, y).statistic)


def unit(vecs: Array) -> Array:
    """The rows of vecs (N, D) with length 1; unlike `normalize`'s, a zero row stays zero."""
    lengths = numpy.linalg.norm(vecs, axis=1, keepdims=True)
    return vecs / numpy.where(lengths == 0, 1, lengths)


def _floats(function: str, word_vecs: Array, word_to_id: dict[str, int]) -> Array:
    """The vectors on the host, in float32 at least: float16 is slow and coarse."""
    vecs = numbers_on_host(function, word_vecs)
    if vecs.ndim != 2 or len(vecs) != len(word_to_id):
        raise ValueError(f"{function}: vectors {vecs.shape} do not fit {len(word_to_id)} words")
    if not numpy.isfinite(vecs).all():
        raise ValueError(f"{function}: the vectors hold NaN or infinity")
    return vecs.astype(numpy.result_type(vecs, "float32"), copy=False)
