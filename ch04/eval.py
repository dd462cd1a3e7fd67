"""Neighbours and analogies of trained word vectors.

    python -m ch04.eval                                     CBOW vectors trained by ch04.train
    python -m ch04.eval --vectors ch04/vectors/skipgram.npz
    python -m ch04.eval --query "monday bank" --analogy "france paris japan; man king woman"
    python -m ch04.eval --vectors glove.txt --limit 50000

Source: book 4.3.3.
"""

from pathlib import Path

from common.cli import run, then
from common.words import similarity
from common.words.queries import analogies_to_ask, words_to_ask
from common.words.vector_files import load_vectors, read_counts

SHIPPED = Path(__file__).parent / "vectors" / "cbow.npz"
WORDS = ("you", "year", "car", "toyota")
ANALOGIES = [
    ("king", "man", "queen"),
    ("take", "took", "go"),
    ("car", "cars", "child"),
    ("good", "better", "bad"),
]


def main(
    vectors: str = str(SHIPPED),
    query: str | None = None,
    analogy: str | None = None,
    top: int = 5,
    cosine: bool = False,
    limit: int | None = None,
) -> None:
    """Print the neighbours of some words and the answers to some analogies.

    vectors  file of word vectors: ours (.npz), the book's (.pkl), or of word2vec, GloVe, fastText
    query    words to print the neighbours of, with blanks between; if not given, you, year, car and
             toyota (book 4.3.3), or frequent words where the vectors lack these
    analogy  three words each, a b c for a : b = c : ?, with semicolons between several; if not
             given, those of the book (4.3.3) whose words have vectors
    top      words to print (book 2.3.6, 4.3.3)
    cosine   compare analogies by angle, instead of the book's dot product (book 4.3.3)
    limit    use only the first so many words of the file; all if not given
    """
    word_vecs, word_to_id, id_to_word = load_vectors(vectors, limit=limit)
    asked = analogies_to_ask(analogy, ANALOGIES, word_to_id)
    for word in words_to_ask(query, WORDS, word_to_id, read_counts(vectors, limit=limit)):
        similarity.most_similar(word, word_to_id, id_to_word, word_vecs, top=top)
    print("-" * 50)
    for a, b, c in asked:
        similarity.analogy(a, b, c, word_to_id, id_to_word, word_vecs, top=top, cosine=cosine)
    if not asked:
        print("no analogy of the book has vectors for all its words; ask with --analogy")
    then("ch04.show_vectors", vectors=vectors, limit=limit)


if __name__ == "__main__":
    run(main)
