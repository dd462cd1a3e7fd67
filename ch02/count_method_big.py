"""Word vectors of Penn Treebank from counts, PPMI and SVD, and the neighbours of four words.

python -m ch02.count_method_big                      (time and result: ch02/README.md)
python -m ch02.count_method_big --corpus grammar     on made-up English
python -m ch02.count_method_big --corpus novel.txt   on a text of yours
python -m ch02.count_method_big --dense              the book's way: whole matrices, 0.9 GB

Source: book 2.4.4.
"""

from ch02.svd import truncated_svd
from common.cli import run
from common.np import Array
from common.words.similarity import most_similar
from common.words.text import create_co_matrix, ppmi
from dataset import texts


def main(
    corpus: str = "ptb",
    window_size: int = 2,
    wordvec_size: int = 100,
    n_iter: int = 5,
    top: int = 5,
    dense: bool = False,
    seed: int = 0,
) -> tuple[Array, dict[str, int], dict[int, str]]:
    """Print the neighbours of you, year, car and toyota -> word vectors (V, D), and vocabulary.

    corpus        text: ptb, grammar (made-up English), or a text file (one sentence a line)
    window_size   words to each side that are counted (book 2.3.4)
    wordvec_size  numbers in a word vector (book 2.4.3), at most the words of the vocabulary
    n_iter        rounds of the randomised SVD (book 2.4.4)
    top           neighbours to print of each word (book 2.3.6)
    dense         keep the zeros of the matrices, as the book does (book 2.4.4)
    seed          decides the first guess of the SVD
    """
    text, word_to_id, id_to_word = texts.load_data(corpus)
    V = len(word_to_id)
    if not 1 <= wordvec_size <= V:
        raise ValueError(f"wordvec_size {wordvec_size} is not in 1..{V}, the words of {corpus}")

    print("counting co-occurrence ...")
    C = create_co_matrix(text, V, window_size, sparse=not dense)
    print("calculating PPMI ...")
    W = ppmi(C, verbose=True)
    print("calculating SVD ...")
    word_vecs = left_vectors(W, wordvec_size, n_iter, seed)

    for query in ("you", "year", "car", "toyota"):
        most_similar(query, word_to_id, id_to_word, word_vecs, top)
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
