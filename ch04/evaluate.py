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
from pathlib import Path

from ch04.eval import SHIPPED
from common.cli import run
from common.words.evaluation import (
    Accuracy,
    Correlation,
    analogy_accuracy,
    read_questions,
    read_similarities,
    similarity_correlation,
    total,
)
from common.words.vector_files import load_vectors

HERE = Path(__file__).parent


def main(
    vectors: str = str(SHIPPED),
    questions: str = str(HERE / "questions.txt"),
    similarities: str = str(HERE / "similarities.tsv"),
    cosine: bool = False,
) -> tuple[dict[str, Accuracy], Correlation]:
    """Print and return the accuracy of each category of questions, and the rank correlation.

    vectors       file of word vectors: ours (.npz), the book's (.pkl), or word2vec's
    questions     file of analogy questions (book 4.4.2); a category that begins with `gram` counts
                  as syntax
    similarities  file of pairs of words with people's scores (book 4.4.2)
    cosine        bring vectors to length 1 before they answer questions (book 4.3.3: it does not)
    """
    word_vecs, word_to_id, _ = load_vectors(vectors)
    by_category = analogy_accuracy(read_questions(questions), word_vecs, word_to_id, cosine=cosine)
    syntax = total(s for name, s in by_category.items() if name.startswith("gram"))
    meaning = total(s for name, s in by_category.items() if not name.startswith("gram"))

    print(f"{'analogies':<32} accuracy  correct  answered  asked  coverage")
    sums = {"semantics": meaning, "syntax": syntax, "total": total(by_category.values())}
    for name, score in [*by_category.items(), *sums.items()]:
        print_row(name, score)

    agreement = similarity_correlation(read_similarities(similarities), word_vecs, word_to_id)
    rho = "-" if math.isnan(agreement.rho) else f"{agreement.rho:.3f}"
    print(f"\nsimilarity: Spearman's rho {rho} on {agreement.answered} of {agreement.asked} pairs")
    return by_category, agreement


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
