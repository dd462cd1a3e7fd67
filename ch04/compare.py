"""Five kinds of word vectors learned from one text, in one table.

    python -m ch04.compare                                  on Penn Treebank (result: README.md)
    python -m ch04.compare --corpus grammar --max-epoch 1   on made-up English, in seconds
    python -m ch04.compare --kinds "counts glove"           two of them

Vectors that are in the folder already are used, runs that were stopped go on, and what is missing
is trained. The kinds do not depend on each other: several of these commands may train them side by
side, into one folder.

Source: book 3.5.3, 4.4.2; Mikolov et al. 2013 for the fifth kind.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ch02.count_method_big import left_vectors
from ch03 import train_glove
from ch04 import train
from ch04.eval import SHIPPED
from ch04.evaluate import HERE
from common.cli import at_least_one, check_writable, run, then
from common.storage.files import expanded
from common.words.evaluation import (
    Accuracy,
    Correlation,
    analogy_accuracy,
    similarity_correlation,
    total,
)
from common.words.evaluation_files import read_questions, read_similarities
from common.words.text import create_co_matrix, ppmi
from common.words.vector_files import load_vectors, save_vectors
from dataset import texts
from dataset.tokens import Cut

SUBSAMPLE = 1e-3
FEWEST_WORDS = 6  # the target and 5 negatives
BOOK: dict[str, Any] = {"corpus": "ptb", "hidden_size": 100, "max_epoch": None, "seed": 0}
"""The settings of the vectors that are shipped."""


class Row(NamedTuple):
    """One kind of vectors: analogies by cosine and by dot product, agreement on two lists."""

    cosine: Accuracy
    dot: Accuracy
    related: Correlation
    alike: Correlation


def main(
    corpus: str = "ptb",
    tokens: str | Cut = "words",
    min_count: int = 1,
    kinds: str = "counts cbow skipgram glove subsampled",
    hidden_size: int = 100,
    max_epoch: int | None = None,
    seed: int = 0,
    folder: str = "compared",
) -> dict[str, Row]:
    """Train what is missing, print a line for each kind of vectors, and return them by name.

    corpus       text: ptb, grammar (made-up English), or a text file (one sentence a line), all of
                 which is used
    tokens       how lines of a text file are cut: words (at blanks), lower (lower case, punctuation
                 marks apart) or characters
    min_count    words that a text file has fewer times become <unk>
    kinds        names, with blanks between: counts (PPMI and SVD, book 2.4), cbow and skipgram
                 (book 4.3), glove (book 3.5.3), and subsampled (CBOW, with frequent words
                 subsampled)
    hidden_size  hidden layer (book 3.2.1): numbers in a word vector
    max_epoch    epochs (book 1.4.3) of what is trained; if not given, 15 of GloVe and 10 of others
    seed         decides weights, order and negatives
    folder       where the vectors are, or go, as <kind>.npz. With the usual settings, CBOW and
                 skip-gram that this folder lacks are those shipped in ch04/vectors
    """
    names = kinds.split()
    unknown = [name for name in names if name not in KINDS]
    if unknown or not names:
        raise ValueError(f"compare: kinds are some of {' '.join(KINDS)}, not {kinds!r}")
    at_least_one(hidden_size=hidden_size)
    source = {"corpus": corpus, "tokens": tokens, "min_count": min_count}
    word_to_id = texts.load_text(corpus, tokens=tokens, min_count=min_count)[1]
    if len(word_to_id) < FEWEST_WORDS:
        found = len(word_to_id)
        raise ValueError(f"compare: a text needs {FEWEST_WORDS} different words, and has {found}")
    place = expanded(folder)
    how = source | {"hidden_size": hidden_size, "seed": seed}
    how |= {} if max_epoch is None else {"max_epoch": max_epoch}
    usual = {"corpus": corpus, "hidden_size": hidden_size, "max_epoch": max_epoch, "seed": seed}

    rows = {}
    for name in names:
        file, shipped = place / f"{name}.npz", SHIPPED.parent / f"{name}.npz"
        if usual == BOOK and shipped.exists() and not file.with_suffix(".checkpoint").exists():
            file = file if file.exists() else shipped
        print(f"--- {name}: {file}")
        if not file.exists() or file.with_suffix(".checkpoint").exists():
            check_writable(file)
            KINDS[name](file, how)
        rows[name] = judged(file, word_to_id)
    print(f"\n{'':12}analogies: cosine         dot  similarity: related   alike")
    for name, row in rows.items():
        scores = [f"{score.correct} of {score.answered}" for score in (row.cosine, row.dot)]
        rhos = ["-" if math.isnan(c.rho) else f"{c.rho:.3f}" for c in (row.related, row.alike)]
        print(f"{name:12}{scores[0]:>17}{scores[1]:>12}{rhos[0]:>21}{rhos[1]:>8}")
    then("ch04.shifted_pmi")
    return rows


def judged(file: Path, word_to_id: dict[str, int]) -> Row:
    """What the evaluation of this chapter finds of the vectors in a file.

    Raises ValueError for vectors of other words.
    """
    vecs, found, _ = load_vectors(file)
    if found != word_to_id:
        raise ValueError(f"compare: {file} holds vectors of other words than the text's")
    questions = read_questions(HERE / "questions.txt")
    return Row(
        total(analogy_accuracy(questions, vecs, found, cosine=True).values()),
        total(analogy_accuracy(questions, vecs, found).values()),
        similarity_correlation(read_similarities(HERE / "similarities.tsv"), vecs, found),
        similarity_correlation(read_similarities(HERE / "similarities.csv"), vecs, found),
    )


# --- How each kind is made ------------------------------------------------------------------------


def count(file: Path, how: dict[str, Any]) -> None:
    """Counts within two words, PPMI and SVD, as `ch02.count_method_big` has them."""
    source = {name: how[name] for name in ("tokens", "min_count")}
    text, word_to_id, id_to_word = texts.load_text(how["corpus"], **source)
    V, H = len(word_to_id), how["hidden_size"]
    if H > V:
        raise ValueError(f"compare: hidden_size {H} is not in 1..{V}, the words of the text")
    M = ppmi(create_co_matrix(text, V, 2, sparse=True))
    save_vectors(file, left_vectors(M, H, 5, how["seed"]), id_to_word)


def word2vec(model: str, **own: Any) -> Callable[[Path, dict[str, Any]], None]:
    """What trains CBOW or skip-gram with settings of its own."""
    return lambda file, how: begin_or_go_on(train.main, file, how | own | {"model": model})


def glove(file: Path, how: dict[str, Any]) -> None:
    """GloVe, as `ch03.train_glove` has it."""
    begin_or_go_on(train_glove.main, file, how)


def begin_or_go_on(main: Callable[..., Any], file: Path, how: dict[str, Any]) -> None:
    """A run of a training script, resumed where it has a checkpoint: a finished one ends at once.

    Raises what the script raises, as ValueError for a checkpoint of other settings.
    """
    resume = file.with_suffix(".checkpoint").exists()
    main(**how, vectors=str(file), resume=resume, eval_interval=1000, plot=False)


KINDS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "counts": count,
    "cbow": word2vec("cbow"),
    "skipgram": word2vec("skipgram"),
    "glove": glove,
    "subsampled": word2vec("cbow", subsample=SUBSAMPLE),
}

if __name__ == "__main__":
    run(main)
