"""From text to numbers."""

import numpy

from common.np import Array


def preprocess(text: str) -> tuple[Array, dict[str, int], dict[int, str]]:
    """Cut a text into words and number them -> corpus, word_to_id, id_to_word.

    Lower case; a full stop is a word of its own; words stand between white space. Ids count up
    from 0 in order of first appearance.
    corpus (L,)  the text as ids, on the host
    Raises ValueError for a text without words.  Source: book 2.3.1.
    """
    words = text.lower().replace(".", " .").split()
    if not words:
        raise ValueError(f"preprocess: there is no word in the text {text[:20]!r}")
    word_to_id = {word: id_ for id_, word in enumerate(dict.fromkeys(words))}
    id_to_word = dict(enumerate(word_to_id))
    return words_to_ids(words, word_to_id), word_to_id, id_to_word


def words_to_ids(words: list[str], word_to_id: dict[str, int]) -> Array:
    """The ids (L,) of words, on the host.  Raises KeyError naming the words not in word_to_id."""
    unknown = sorted({word for word in words if word not in word_to_id})
    if unknown:
        raise KeyError(
            f"words_to_ids: not in the vocabulary of {len(word_to_id)} words: {', '.join(unknown)}"
        )
    return numpy.array([word_to_id[word] for word in words])
