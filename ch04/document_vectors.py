"""A document as one vector: the mean of the vectors of its words. Their order is lost.

    python -m ch04.document_vectors --text "the hotel room was dirty and cold"

Source: book 4.4.1.  D numbers in a word's vector, N documents.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy

from ch04.eval import SHIPPED
from common.checks import numbers_on_host
from common.cli import at_least_one, run, then
from common.np import Array
from common.words.evaluation_files import text_lines
from common.words.similarity import cos_similarity
from common.words.vector_files import load_vectors
from dataset.tokens import Cut, cutter

EMAILS = Path(__file__).parent / "emails.tsv"


def split_words(text: str, vocabulary: Collection[str]) -> list[str]:
    """The words of a text as Penn Treebank writes them: lower case, don't as do n't, it's as it 's.

    vocabulary  the known words, which keep their punctuation marks (mr., u.s.); others lose them.
                A word that it has with capitals only keeps these
    """
    words = []
    for piece in text.replace("n't", " n't").replace("'s", " 's").split():
        forms = (piece, piece.strip("\"'()"), piece.strip("\"'().,:;!?"))
        small = [form.lower() for form in forms]
        words.append(next((form for form in [*small, *forms] if form in vocabulary), small[-1]))
    return [word for word in words if word]


def document_vectors(
    texts: Sequence[str],
    word_vecs: Array,
    word_to_id: Mapping[str, int],
    *,
    tokens: str | Cut | None = None,
) -> tuple[Array, Array]:
    """The mean of the vectors of the known words of each text -> vectors (N, D), known (N,).

    word_vecs (V, D)  row i is the vector of word i
    tokens            how texts are cut, see `dataset.tokens`; None: by `split_words`
    known             how many words of each text have a vector; where none has, the vector is zero
    Raises ValueError for vectors that do not fit the vocabulary.
    """
    vecs = numbers_on_host("document_vectors", word_vecs)
    if vecs.ndim != 2 or len(vecs) != len(word_to_id):
        raise ValueError(
            f"document_vectors: vectors {vecs.shape} do not fit {len(word_to_id)} words"
        )
    docs = numpy.zeros((len(texts), vecs.shape[1]), vecs.dtype)
    known = numpy.zeros(len(texts), int)
    for n, text in enumerate(texts):
        words = cutter(tokens)(text) if tokens else split_words(text, word_to_id)
        ids = [word_to_id[w] for w in words if w in word_to_id]
        known[n] = len(ids)
        if ids:
            docs[n] = vecs[ids].mean(axis=0)
    return docs, known


def read_documents(path: str | Path = EMAILS) -> tuple[list[str], list[str]]:
    """Texts and their labels from lines `label<tab>text` -> texts, labels, each N long.

    Raises FileNotFoundError, or ValueError naming the first line that is not two non-empty columns,
    or not UTF-8. Empty lines are skipped.
    """
    texts, labels = [], []
    for where, line in text_lines("read_documents", path):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 2 or not all(columns):
            raise ValueError(f"{where}: `label<tab>text` is needed, not {line!r}")
        labels.append(columns[0])
        texts.append(columns[1])
    if not texts:
        raise ValueError(f"read_documents: {path} holds no document")
    return texts, labels


def main(
    text: str = "the hotel room was dirty and cold",
    vectors: str = str(SHIPPED),
    documents: str = str(EMAILS),
    tokens: str | Cut | None = None,
    top: int = 5,
    limit: int | None = None,
) -> list[str]:
    """Print and return the documents whose vectors have the highest cosine with that of a text.

    text       words to look for (book 4.4.1)
    vectors    file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe, fastText
    documents  file of lines `label<tab>text`
    tokens     how texts are cut: words (at blanks), lower (lower case, punctuation marks apart) or
               characters; if not given, as Penn Treebank is
    top        documents to print
    limit      use only the first so many words of the vectors; all if not given
    """
    at_least_one(top=top)
    word_vecs, word_to_id, _ = load_vectors(vectors, limit=limit)
    texts, _ = read_documents(documents)
    (query, *docs), (known, *_) = document_vectors(
        [text, *texts], word_vecs, word_to_id, tokens=tokens
    )
    if not known:
        raise ValueError(f"document_vectors: no word of {text!r} has a vector")
    words = cutter(tokens)(text) if tokens else split_words(text, word_to_id)
    unknown = [word for word in words if word not in word_to_id]
    if unknown:
        print("not in the vocabulary:", *unknown)
    scores = [float(cos_similarity(query, doc)) for doc in docs]
    best = sorted(range(len(texts)), key=lambda n: -scores[n])[:top]
    for n in best:
        print(f"{scores[n]:.3f}  {texts[n]}")
    then("ch04.sentiment", vectors=vectors, limit=limit)
    return [texts[n] for n in best]


if __name__ == "__main__":
    run(main)
