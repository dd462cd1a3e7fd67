"""Word vectors of Penn Treebank from counts, PPMI and SVD, and the neighbours of some words.

python -m ch02.count_method_big                      (time and result: ch02/README.md)
python -m ch02.count_method_big --corpus grammar     on made-up English
python -m ch02.count_method_big --corpus novel.txt   on a text of yours
python -m ch02.count_method_big --query "monday bank" --top 10
python -m ch02.count_method_big --dense              the book's way: whole matrices, 0.9 GB

Source: book 2.4.4.
"""

import numpy

from ch02.svd import truncated_svd
from common.cli import run, then
from common.np import Array
from common.words.queries import words_to_ask
from common.words.similarity import most_similar
from common.words.text import create_co_matrix, ppmi
from dataset import texts
from dataset.suitability import describe
from dataset.tokens import Cut

BOOK = ("you", "year", "car", "toyota")


def main(
    corpus: str = "ptb",
    tokens: str | Cut = "words",
    min_count: int = 1,
    query: str | None = None,
    window_size: int = 2,
    wordvec_size: int = 100,
    n_iter: int = 5,
    top: int = 5,
    dense: bool = False,
    seed: int = 0,
) -> tuple[Array, dict[str, int], dict[int, str]]:
    """Print the neighbours of some words -> word vectors (V, D), and vocabulary.

    corpus        text: ptb, grammar (made-up English), or a text file (one sentence a line), all of
                  which is used
    tokens        how lines of a text file are cut: words (at blanks), lower (lower case,
                  punctuation marks apart) or characters
    min_count     words that a text file has fewer times become <unk>
    query         words to print the neighbours of, with blanks between; if not given, you, year,
                  car and toyota (book 2.4.4), or frequent words where the text lacks these
    window_size   words to each side that are counted (book 2.3.4)
    wordvec_size  numbers in a word vector (book 2.4.3), at most the words of the vocabulary
    n_iter        rounds of the randomised SVD (book 2.4.4)
    top           neighbours to print of each word (book 2.3.6)
    dense         keep the zeros of the matrices, as the book does (book 2.4.4)
    seed          decides the first guess of the SVD
    """
    text, word_to_id, id_to_word = texts.load_text(corpus, tokens=tokens, min_count=min_count)
    V = len(word_to_id)
    if not 1 <= wordvec_size <= V:
        raise ValueError(f"wordvec_size {wordvec_size} is not in 1..{V}, the words of {corpus}")

    print(describe((text, word_to_id, id_to_word)))
    print("counting co-occurrence ...")
    C = create_co_matrix(text, V, window_size, sparse=not dense)
    print("calculating PPMI ...")
    W = ppmi(C, verbose=True)
    print("calculating SVD ...")
    word_vecs = left_vectors(W, wordvec_size, n_iter, seed)

    counts = numpy.bincount(text, minlength=V)
    for word in words_to_ask(query, BOOK, word_to_id, counts):
        most_similar(word, word_to_id, id_to_word, word_vecs, top)
    then("ch03.cbow_predict")
    return word_vecs, word_to_id, id_to_word


def left_vectors(W: Array, k: int, n_iter: int, seed: int) -> Array:
    """The first k left singular vectors of W (V, V) -> (V, k): scikit-learn's, or else our own."""
    try:
        from sklearn.utils.extmath import randomized_svd
    except ImportError:
        return truncated_svd(W, k, n_iter, rng=seed)[0]
    U, _, _ = randomized_svd(W, n_components=k, n_iter=n_iter, random_state=seed)
    return U


if __name__ == "__main__":
    run(main)
