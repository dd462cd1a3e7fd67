"""Measure word vectors: analogy questions by category, and agreement with people on similarity.

    python -m ch04.evaluate
    python -m ch04.evaluate --similarities ch04/similarities.csv
    python -m ch04.evaluate --vectors vectors.bin --questions questions-words.txt --cosine

The files beside this script are small and hold words of Penn Treebank only; larger ones of the same
kinds are read as well. In similarities.tsv people judge how related two words are; in
similarities.csv how alike in meaning, where opposites score low. Vectors that learn from neighbours
find opposites alike, so the second is harder.  Source: book 4.4.2.
"""

import math
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from ch04.eval import SHIPPED
from common.cli import run, then
from common.words.evaluation import (
    Accuracy,
    Correlation,
    analogy_accuracy,
    missing_words,
    similarity_correlation,
    total,
)
from common.words.evaluation_files import Pair, Question, read_questions, read_similarities
from common.words.vector_files import load_vectors

HERE = Path(__file__).parent
SYNTAX = re.compile(r"gram|[ID]\d\d ")  # how categories of inflection or derivation begin


def main(
    vectors: str = str(SHIPPED),
    questions: str = str(HERE / "questions.txt"),
    similarities: str = str(HERE / "similarities.tsv"),
    cosine: bool = False,
    limit: int | None = None,
) -> tuple[dict[str, Accuracy], Correlation]:
    """Print and return the accuracy of each category of questions, and the rank correlation.

    vectors       file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe,
                  fastText
    questions     file of analogy questions (book 4.4.2), or the folder of BATS. A category that
                  begins with `gram`, or with I or D as in BATS, counts as syntax
    similarities  file of pairs of words with people's scores (book 4.4.2)
    cosine        bring vectors to length 1 before they answer questions (book 4.3.3: it does not)
    limit         use only the first so many words of the vectors; all if not given
    """
    word_vecs, word_to_id, _ = load_vectors(vectors, limit=limit)
    asked, pairs = read_questions(questions), read_similarities(similarities)
    by_category = analogy_accuracy(asked, word_vecs, word_to_id, cosine=cosine)
    syntax = total(s for name, s in by_category.items() if SYNTAX.match(name))
    meaning = total(s for name, s in by_category.items() if not SYNTAX.match(name))

    print(f"{'analogies':<32} accuracy  correct  answered  asked  coverage")
    sums = {"semantics": meaning, "syntax": syntax, "total": total(by_category.values())}
    for name, score in [*by_category.items(), *sums.items()]:
        print_row(name, score)

    print_missing(chain.from_iterable(asked.values()), word_to_id)

    agreement = similarity_correlation(pairs, word_vecs, word_to_id)
    rho = "-" if math.isnan(agreement.rho) else f"{agreement.rho:.3f}"
    print(f"\nsimilarity: Spearman's rho {rho} on {agreement.answered} of {agreement.asked} pairs")
    print_missing(pairs, word_to_id)
    then("ch04.document_vectors", vectors=vectors, limit=limit)
    return by_category, agreement


def print_missing(rows: Iterable[Question | Pair], word_to_id: dict[str, int]) -> None:
    """Why questions or pairs were left out: words without a vector, the most needed first."""
    missing = missing_words(rows, word_to_id)
    if missing:
        examples = ", ".join(f"{word} ({count})" for word, count in missing.most_common(5))
        more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
        print(f"left out, as these words have no vector: {examples}{more}")


def print_row(name: str, score: Accuracy) -> None:
    """One line of the table; shares in percent, and - for a share of nothing."""
    accuracy, coverage = (
        "-" if math.isnan(share) else f"{100 * share:.1f} %"
        for share in (score.accuracy, score.coverage)
    )
    print(
        f"{name:<32} {accuracy:>8}{score.correct:9}{score.answered:10}{score.asked:7}{coverage:>10}"
    )


if __name__ == "__main__":
    run(main)
