"""How alike are two words, "you" and "i", judged by the words around them?

    python -m ch02.similarity
    python -m ch02.similarity --window-size 2
    python -m ch02.similarity --query "goodbye hello"

Source: book 2.3.5.
"""

from common.cli import run, then
from common.words.similarity import cos_similarity
from common.words.text import create_co_matrix, preprocess, words_to_ids
from dataset.tokens import cutter


def main(
    text: str = "You say goodbye and I say hello.",
    tokens: str | None = None,
    query: str = "you i",
    window_size: int = 1,
) -> float:
    """Print and return the cosine of the count vectors of two words.

    text         text to count in (book 2.3.1); it must hold both words
    query        the two words, with a blank between
    tokens       how the text is cut: words (at blanks), lower (lower case, punctuation marks apart)
                 or characters; if not given, lower case and full stops apart (book 2.3.1)
    window_size  words to each side that are counted (book 2.3.4)
    """
    corpus, word_to_id, _ = preprocess(text, cut=cutter(tokens) if tokens else None)
    C = create_co_matrix(corpus, len(word_to_id), window_size)
    words = query.split()
    if len(words) != 2:
        raise ValueError(f"similarity: query is two words, not {query!r}")
    x, y = C[words_to_ids(words, word_to_id)]
    similarity = float(cos_similarity(x, y))
    print(similarity)
    then("ch02.most_similar")
    return similarity


if __name__ == "__main__":
    run(main)
