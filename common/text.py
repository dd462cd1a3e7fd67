"""From text to numbers."""

import numpy

from common.layers import checked_ids
from common.np import Array, to_cpu


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


def create_contexts_target(corpus: Array, window_size: int = 1) -> tuple[Array, Array]:
    """Training pairs for word2vec: every word that has W neighbours on both sides, and those.

    corpus (L,)  ids;  W is window_size
    -> contexts (L - 2W, 2W), the neighbours from left to right, and target (L - 2W,), both on the
       host and in the corpus' dtype.
    Raises ValueError if W is below 1 or the text has no word with W neighbours on both sides.
    Source: book 3.3.1.
    """
    corpus, W = to_cpu(corpus), window_size
    if W < 1 or len(corpus) <= 2 * W:
        raise ValueError(
            f"create_contexts_target: window_size {W} does not fit a text of {len(corpus)} words; "
            "it must be at least 1, and the text longer than 2 * window_size"
        )
    windows = numpy.lib.stride_tricks.sliding_window_view(corpus, 2 * W + 1)
    return numpy.delete(windows, W, axis=1), corpus[W:-W].copy()


def convert_one_hot(corpus: Array, vocab_size: int) -> Array:
    """Ids (N,) or (N, C) as vectors (N, V) or (N, C, V), int32, each with a single 1 at its id.

    Raises ValueError for other dimensions, or ids outside 0..V-1.  Source: book 3.3.2.
    """
    corpus = to_cpu(corpus)
    if corpus.ndim not in (1, 2):
        raise ValueError(f"convert_one_hot: ids are (N,) or (N, C), not {corpus.shape}")
    return numpy.eye(vocab_size, dtype="int32")[checked_ids("convert_one_hot", corpus, vocab_size)]


def words_to_ids(words: list[str], word_to_id: dict[str, int]) -> Array:
    """The ids (L,) of words, on the host.  Raises KeyError naming the words not in word_to_id."""
    unknown = sorted({word for word in words if word not in word_to_id})
    if unknown:
        raise KeyError(
            f"words_to_ids: not in the vocabulary of {len(word_to_id)} words: {', '.join(unknown)}"
        )
    return numpy.array([word_to_id[word] for word in words])
