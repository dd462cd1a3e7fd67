"""Sort customers' e-mails into positive, neutral and negative by the mean of their word vectors.

    python -m ch04.sentiment

The word vectors come from text without labels; only the small classifier on top of them learns from
the e-mails (transfer learning).  Source: book 4.4.1, figures 4-21 and 4-22.
"""

from collections import Counter

import numpy

from ch04.document_vectors import EMAILS, document_vectors, read_documents
from ch04.eval import SHIPPED
from common.cli import run, then
from common.np import Array
from common.words.vector_files import load_vectors
from dataset.tokens import Cut


def predict_held_out(x: Array, labels: list[str], folds: int = 5, seed: int = 0) -> list[str]:
    """The label of each document as foretold by a classifier that has not seen it.

    x (N, D)  document vectors; each number is brought to mean 0 and variance 1 on the training part
    labels    N of them
    folds     parts, with equal shares of each label, that are held out in turn
    The classifier is multinomial logistic regression: softmax(x W + b) with an L2 penalty on W.
    Raises ValueError for fewer than two folds or labels, or a label on fewer documents than folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = Counter(labels)
    if folds < 2:
        raise ValueError(f"predict_held_out: folds must be at least 2, not {folds}")
    if len(counts) < 2 or min(counts.values()) < folds:
        raise ValueError(
            f"predict_held_out: {folds} folds need two labels or more, each on {folds} documents "
            f"or more, not {dict(counts)}"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    guesses: list[str] = cross_val_predict(model, x, labels, cv=parts).tolist()
    return guesses


def confusion(labels: list[str], guesses: list[str], names: list[str]) -> Array:
    """How often each label (row) was guessed as each (column) -> counts (M, M) of M names."""
    table = numpy.zeros((len(names), len(names)), int)
    for label, guess in zip(labels, guesses, strict=True):
        table[names.index(label), names.index(guess)] += 1
    return table


def main(
    vectors: str = str(SHIPPED),
    emails: str = str(EMAILS),
    tokens: str | Cut | None = None,
    folds: int = 5,
    seed: int = 0,
    limit: int | None = None,
) -> float:
    """Print the accuracy on held-out e-mails and the confusion table; return the accuracy.

    vectors  file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe, fastText
    emails   file of lines `label<tab>text` (book 4.4.1), each of which is held out once
    tokens   how e-mails are cut: words (at blanks), lower (lower case, punctuation marks apart) or
             characters; if not given, as Penn Treebank is
    folds    parts of the e-mails, each held out in turn; at least 2
    seed     decides which e-mail is in which part
    limit    use only the first so many words of the vectors; all if not given
    """
    word_vecs, word_to_id, _ = load_vectors(vectors, limit=limit)
    texts, labels = read_documents(emails)
    x, known = document_vectors(texts, word_vecs, word_to_id, tokens=tokens)
    names = list(dict.fromkeys(labels))
    table = confusion(labels, predict_held_out(x, labels, folds, seed), names)
    accuracy = float(table.trace() / table.sum())
    majority = Counter(labels).most_common(1)[0][1] / len(labels)

    print(f"{len(texts)} e-mails, {known.mean():.1f} known words in each on average")
    print(f"accuracy  {accuracy:.3f}   (always the commonest label: {majority:.3f})")
    print(f"\n{'is, taken for:':<16}" + "".join(f"{name:>10}" for name in names))
    for name, row in zip(names, table, strict=True):
        print(f"{name:<16}" + "".join(f"{count:10}" for count in row))
    then("ch05.train_custom_loop")
    return accuracy


if __name__ == "__main__":
    run(main)
