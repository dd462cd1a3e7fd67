"""How alike are "you" and "i", judged by the words around them?

    python -m ch02.similarity
    python -m ch02.similarity --window-size 2

Source: book 2.3.5.
"""

from common.cli import run
from common.words.similarity import cos_similarity
from common.words.text import create_co_matrix, preprocess, words_to_ids


def main(text: str = "You say goodbye and I say hello.", window_size: int = 1) -> float:
    """Print and return the cosine of the count vectors of "you" and "i".

    text         text to count in (book 2.3.1); it must hold both words
    window_size  words to each side that are counted (book 2.3.4)
    """
    corpus, word_to_id, _ = preprocess(text)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    you, i = C[words_to_ids(["you", "i"], word_to_id)]
    similarity = float(cos_similarity(you, i))
    print(similarity)
    return similarity


if __name__ == "__main__":
    run(main)
