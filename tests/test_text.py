"""From text to ids."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.text import (
    convert_one_hot,
    create_contexts_target,
    preprocess,
    words_to_ids,
)


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


def test_contexts_and_targets_of_the_book():
    corpus, _, _ = preprocess("You say goodbye and I say hello.")
    contexts, target = create_contexts_target(corpus, 1)
    assert contexts.tolist() == [[0, 2], [1, 3], [2, 4], [3, 1], [4, 5], [1, 6]]
    assert target.tolist() == [1, 2, 3, 4, 1, 5]


@given(st.integers(1, 4), st.integers(0, 20))
def test_contexts_are_the_neighbours_left_to_right(W, more):
    corpus = numpy.random.default_rng(0).integers(100, size=2 * W + 1 + more).astype("int32")
    contexts, target = create_contexts_target(corpus, W)
    assert contexts.shape == (len(corpus) - 2 * W, 2 * W)
    assert contexts.dtype == target.dtype == "int32"
    for j, (row, word) in enumerate(zip(contexts, target, strict=True)):
        p = j + W
        assert word == corpus[p]
        assert row.tolist() == [corpus[p + d] for d in range(-W, W + 1) if d]


def test_contexts_do_not_share_memory_with_the_corpus():
    corpus = numpy.arange(9)
    contexts, target = create_contexts_target(corpus, 2)
    contexts[...], target[...] = 0, 0
    assert corpus.tolist() == list(range(9))


@pytest.mark.parametrize(("W", "length"), [(0, 9), (-1, 9), (2, 4), (1, 0)])
def test_a_window_that_does_not_fit_is_refused(W, length):
    with pytest.raises(ValueError, match=f"create_contexts_target: window_size {W} .* {length} w"):
        create_contexts_target(numpy.arange(length), W)


def test_one_hot_has_the_shapes_of_the_book():
    corpus, word_to_id, _ = preprocess("You say goodbye and I say hello.")
    contexts, target = create_contexts_target(corpus, 1)
    V = len(word_to_id)
    assert convert_one_hot(target, V).shape == (6, 7)
    one_hot = convert_one_hot(contexts, V)
    assert one_hot.shape == (6, 2, 7)
    assert one_hot.dtype == "int32"
    numpy.testing.assert_array_equal(one_hot.argmax(axis=2), contexts)
    assert (one_hot.sum(axis=2) == 1).all()


@pytest.mark.parametrize("ids", [[7], [-1], [[0], [8]]])
def test_one_hot_of_unknown_ids_is_refused(ids):
    with pytest.raises(ValueError, match=r"convert_one_hot: id -?\d is not in 0\.\.6"):
        convert_one_hot(numpy.array(ids), 7)


def test_one_hot_of_other_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"convert_one_hot: .*not \(1, 1, 1\)"):
        convert_one_hot(numpy.zeros((1, 1, 1), int), 7)
