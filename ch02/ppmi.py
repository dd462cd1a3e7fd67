"""From counts to positive pointwise mutual information, on one sentence.

    python -m ch02.ppmi
    python -m ch02.ppmi --window-size 2

Source: book 2.4.1.
"""

import numpy

from common.cli import run, then
from common.np import Array
from common.words.text import create_co_matrix, ppmi, preprocess
from dataset.tokens import cutter


def main(
    text: str = "You say goodbye and I say hello.",
    tokens: str | None = None,
    window_size: int = 1,
    precision: int = 3,
) -> Array:
    """Print the counts and their PPMI -> the latter, (V, V).

    text         text to count in (book 2.3.1)
    tokens       how the text is cut: words (at blanks), lower (lower case, punctuation marks apart)
                 or characters; if not given, lower case and full stops apart (book 2.3.1)
    window_size  words to each side that are counted (book 2.3.4)
    precision    digits to print after the decimal point
    """
    corpus, word_to_id, _ = preprocess(text, cut=cutter(tokens) if tokens else None)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    W = ppmi(C)
    with numpy.printoptions(precision=precision):
        print("co-occurrence matrix")
        print(C)
        print("-" * 50)
        print("PPMI")
        print(W)
    then("ch02.count_method_small")
    return W


if __name__ == "__main__":
    run(main)
