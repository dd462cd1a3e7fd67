"""Rank the words of a sentence by how alike their counts are to those of "you".

    python -m ch02.most_similar
    python -m ch02.most_similar --query hello

Source: book 2.3.6.
"""

from common.cli import run, then
from common.words.similarity import Ranking, most_similar
from common.words.text import create_co_matrix, preprocess
from dataset.tokens import cutter


def main(
    text: str = "You say goodbye and I say hello.",
    tokens: str | None = None,
    window_size: int = 1,
    query: str = "you",
    top: int = 5,
) -> Ranking:
    """Print and return the words most similar to the query.

    text         text to count in (book 2.3.1)
    tokens       how the text is cut: words (at blanks), lower (lower case, punctuation marks apart)
                 or characters; if not given, lower case and full stops apart (book 2.3.1)
    window_size  words to each side that are counted (book 2.3.4)
    query        the word to compare with (book 2.3.6)
    top          words to print (book 2.3.6)
    """
    corpus, word_to_id, id_to_word = preprocess(text, cut=cutter(tokens) if tokens else None)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    then("ch02.ppmi")
    return most_similar(query, word_to_id, id_to_word, C, top)


if __name__ == "__main__":
    run(main)
