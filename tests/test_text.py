"""From text to ids."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.text import preprocess, words_to_ids


def test_the_sentence_of_the_book():
    corpus, word_to_id, id_to_word = preprocess("You say goodbye and I say hello.")
    assert corpus.tolist() == [0, 1, 2, 3, 4, 1, 5, 6]
    words = ["you", "say", "goodbye", "and", "i", "hello", "."]
    assert list(word_to_id) == words
    assert id_to_word == dict(enumerate(words))
    assert isinstance(corpus, numpy.ndarray)


@given(st.lists(st.from_regex(r"[a-z,]{1,3}", fullmatch=True), min_size=1))
def test_ids_count_up_and_lead_back_to_the_words(words):
    corpus, word_to_id, id_to_word = preprocess("  ".join(words) + " ")
    assert [id_to_word[k] for k in corpus.tolist()] == words
    assert sorted(word_to_id.values()) == list(range(len(word_to_id)))


@pytest.mark.parametrize("text", ["", "  \n "])
def test_text_without_words_is_refused(text):
    with pytest.raises(ValueError, match="preprocess: there is no word"):
        preprocess(text)


def test_unknown_words_are_named():
    with pytest.raises(KeyError, match="vocabulary of 1 words: dog, fox"):
        words_to_ids(["a", "fox", "dog", "fox"], {"a": 0})
