"""Neighbours and analogies of trained word vectors.

    python -m ch04.eval                                     CBOW vectors trained by ch04.train
    python -m ch04.eval --vectors ch04/vectors/skipgram.npz

Source: book 4.3.3.
"""

from pathlib import Path

from common.cli import run
from common.words.similarity import analogy, most_similar
from common.words.vector_files import load_vectors

SHIPPED = Path(__file__).parent / "vectors" / "cbow.npz"


def main(vectors: str = str(SHIPPED), top: int = 5, cosine: bool = False) -> None:
    """Print the neighbours of four words and the answers to four analogies.

    vectors  file that ch04.train saved, or the book's cbow_params.pkl
    top      words to print (book 2.3.6, 4.3.3)
    cosine   compare analogies by angle, instead of the book's dot product (book 4.3.3)
    """
    word_vecs, word_to_id, id_to_word = load_vectors(vectors)
    for query in "you", "year", "car", "toyota":
        most_similar(query, word_to_id, id_to_word, word_vecs, top=top)
    print("-" * 50)
    for a, b, c in [
        ("king", "man", "queen"),
        ("take", "took", "go"),
        ("car", "cars", "child"),
        ("good", "better", "bad"),
    ]:
        analogy(a, b, c, word_to_id, id_to_word, word_vecs, top=top, cosine=cosine)


if __name__ == "__main__":
    run(main)
