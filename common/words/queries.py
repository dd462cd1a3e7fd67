"""The words a script asks about: those of a flag, else the book's, else the most frequent ones."""

from collections.abc import Mapping, Sequence

from common.np import Array
from common.words.evaluation import spelling

__all__ = ["analogies_to_ask", "words_to_ask"]


def words_to_ask(
    query: str | None, book: Sequence[str], word_to_id: Mapping[str, int], counts: Array = None
) -> list[str]:
    """The words of a query; without one, as many as the book asks.

    query   words with blanks between, each taken in the case that the vocabulary has it in
    book    its words; those that the vocabulary lacks give way to the most frequent words
    counts  how often each word stands in the text, (V,); None: words are in the order of that
    """
    if query is not None:
        return [spelling(word, word_to_id) or word for word in query.split()]
    known = [word for word in book if word in word_to_id]
    others = [word for word in most_frequent(word_to_id, counts) if word not in known]
    return known + others[: len(book) - len(known)]


def most_frequent(word_to_id: Mapping[str, int], counts: Array = None) -> list[str]:
    """The words of a vocabulary, most frequent first, without marks such as `<eos>` and `,`.

    counts  as for `words_to_ask`, (V,)
    """
    words = sorted(word_to_id, key=word_to_id.__getitem__)
    if counts is not None:
        words = [words[i] for i in (-counts).argsort(kind="stable").tolist()]
    return [word for word in words if word[:1] != "<" and any(map(str.isalnum, word))]


def analogies_to_ask(
    analogy: str | None,
    book: Sequence[tuple[str, str, str]],
    word_to_id: Mapping[str, int],
) -> list[tuple[str, str, str]]:
    """The analogies a : b = c : ? of a flag; without one, those of the book whose words are known.

    analogy  three words each, with blanks between, and with semicolons between several
    Raises ValueError for an analogy of more or fewer words.
    """
    if analogy is None:
        return [words for words in book if all(word in word_to_id for word in words)]
    found = []
    for part in analogy.split(";"):
        words = words_to_ask(part, (), word_to_id)
        if len(words) != 3:
            raise ValueError(
                f"analogy: three words are needed, as in 'king man queen', not {part.strip()!r}"
            )
        found.append((words[0], words[1], words[2]))
    return found
