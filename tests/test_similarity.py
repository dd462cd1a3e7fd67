"""Cosines, neighbours and analogies."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from common.np import np, to_cpu
from common.words.similarity import analogy, cos_similarity, most_similar, normalize
from common.words.text import create_co_matrix, preprocess

both = pytest.mark.usefixtures("backend")
numbers = st.floats(-100, 100, width=32)

CORPUS, WORD_TO_ID, ID_TO_WORD = preprocess("You say goodbye and I say hello.")
COUNTS = create_co_matrix(CORPUS, 7)


def vocabulary(words):
    words = words.split()
    return {word: i for i, word in enumerate(words)}, dict(enumerate(words))


# --- Cosine --------------------------------------------------------------------------------------


@both
def test_you_and_i_are_as_alike_as_in_the_book():
    you, i = np.asarray(COUNTS[0]), np.asarray(COUNTS[4])
    assert float(cos_similarity(you, i)) == pytest.approx(0.7071067691154799, abs=1e-15)


@both
def test_cosine_is_between_the_same_way_and_the_opposite():
    x, y = np.array([3.0, 4.0]), np.array([-4.0, 3.0])
    for other, cosine in [(2 * x, 1), (y, 0), (-x, -1), (x + y, 0.5**0.5)]:
        assert float(cos_similarity(x, other)) == pytest.approx(cosine, abs=1e-8)


@given(arrays("float32", (2, 4), elements=numbers))
def test_cosine_is_symmetric_and_at_most_one(pair):
    x, y = pair
    assert abs(cos_similarity(x, y)) <= 1 + 1e-5
    assert cos_similarity(x, y) == cos_similarity(y, x)


@both
@pytest.mark.parametrize("dtype", ["int32", "float16", "float32", "float64"])
def test_a_zero_vector_is_like_nothing(dtype):
    zero, x = np.zeros(3, dtype), np.array([1, 2, 3], dtype)
    assert float(cos_similarity(zero, x)) == float(cos_similarity(zero, zero)) == 0


@both
def test_squares_of_large_counts_do_not_overflow():
    x = np.array([100_000, 0], "int32")
    assert float(cos_similarity(x, x)) == pytest.approx(1)
    x = np.array([1000, 1], "float16")  # 1000^2 is beyond 16 bits
    assert float(cos_similarity(x, x)) == pytest.approx(1)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1, 3), (3,)), ((), ())])
def test_cosine_refuses_what_are_no_two_vectors(shapes):
    x, y = map(numpy.ones, shapes)
    with pytest.raises(ValueError, match="cos_similarity: shapes are"):
        cos_similarity(x, y)


# --- Neighbours ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("on_device", [True, False])
def test_the_ranking_of_the_book_with_ties_in_the_order_of_ids(on_device, capsys):
    C = np.asarray(COUNTS) if on_device else COUNTS
    ranking = most_similar("you", WORD_TO_ID, ID_TO_WORD, C, top=5)
    assert capsys.readouterr().out == (
        "\n[query] you\n"
        " goodbye: 0.7071067691154799\n"
        " i: 0.7071067691154799\n"
        " hello: 0.7071067691154799\n"
        " say: 0.0\n"
        " and: 0.0\n"
    )
    assert [word for word, _ in ranking] == ["goodbye", "i", "hello", "say", "and"]
    assert all(type(similarity) is float for _, similarity in ranking)


def test_argsort_of_the_book():
    x = numpy.array([100, -20, 2])
    assert x.argsort().tolist() == [1, 2, 0]
    assert (-x).argsort(kind="stable").tolist() == [0, 2, 1]


@both
def test_an_unknown_query_is_reported(capsys):
    assert most_similar("cat", WORD_TO_ID, ID_TO_WORD, np.asarray(COUNTS)) == []
    assert capsys.readouterr().out == "cat is not found\n"


def test_five_are_listed_or_all_there_are():
    assert len(most_similar("you", WORD_TO_ID, ID_TO_WORD, COUNTS)) == 5
    assert len(most_similar("you", WORD_TO_ID, ID_TO_WORD, COUNTS, top=99)) == 6
    assert len(most_similar("you", WORD_TO_ID, ID_TO_WORD, COUNTS, top=1)) == 1


@given(arrays("float32", (6, 3), elements=numbers), st.integers(0, 5))
def test_similarities_are_the_cosines_falling(matrix, query):
    word_to_id, id_to_word = vocabulary("a b c d e f")
    ranking = most_similar(id_to_word[query], word_to_id, id_to_word, matrix, top=9)
    assert sorted(word for word, _ in ranking) == sorted(set(word_to_id) - {id_to_word[query]})
    values = [similarity for _, similarity in ranking]
    assert values == sorted(values, reverse=True)
    expected = [cos_similarity(matrix[word_to_id[word]], matrix[query]) for word, _ in ranking]
    assert_allclose(values, expected, atol=1e-6)


@both
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_zero_vectors_are_like_nothing_and_nan_is_left_out(dtype):
    word_to_id, id_to_word = vocabulary("a zero b nan opposite")
    matrix = np.array([[1, 0], [0, 0], [1, 0.5], [numpy.nan, 1], [-1, 0]], dtype)
    ranking = most_similar("a", word_to_id, id_to_word, matrix)
    assert [word for word, _ in ranking] == ["b", "zero", "opposite"]
    assert [value for _, value in ranking] == pytest.approx([0.8**0.5, 0, -1], abs=1e-6)
    assert most_similar("nan", word_to_id, id_to_word, matrix) == []
    assert {value for _, value in most_similar("zero", word_to_id, id_to_word, matrix)} == {0.0}


@both
def test_the_word_vectors_stay_as_they_were():
    matrix = np.asarray(numpy.arange(14, dtype="float32").reshape(7, 2))
    most_similar("you", WORD_TO_ID, ID_TO_WORD, matrix)
    analogy("you", "say", "i", WORD_TO_ID, ID_TO_WORD, matrix)
    analogy("you", "say", "i", WORD_TO_ID, ID_TO_WORD, matrix, cosine=True)
    assert_array_equal(to_cpu(matrix), numpy.arange(14).reshape(7, 2))


@pytest.mark.parametrize("shape", [(7,), (6, 3), (8, 3), (7, 3, 1)])
@pytest.mark.parametrize("who", ["most_similar", "analogy"])
def test_a_matrix_that_does_not_fit_the_vocabulary_is_refused(who, shape):
    words = ["you"] if who == "most_similar" else ["you", "say", "i"]
    call = {"most_similar": most_similar, "analogy": analogy}[who]
    with pytest.raises(ValueError, match=rf"{who}: word_matrix has shape .* \(7, D\)"):
        call(*words, WORD_TO_ID, ID_TO_WORD, numpy.ones(shape))
    with pytest.raises(ValueError, match=f"{who}: top is 0"):
        call(*words, WORD_TO_ID, ID_TO_WORD, COUNTS, top=0)


# --- Analogies -----------------------------------------------------------------------------------

# man -> woman adds (0, 1), and so does king -> queen; the tower stands far out that way.
PEOPLE = vocabulary("man woman king queen tower mute")
VECTORS = [[1, 0], [1, 1], [3, 0], [3, 1], [8, 8], [0, 0]]


@both
def test_an_analogy_is_scored_by_the_raw_product_with_a_unit_query(capsys):
    ranking = analogy("man", "woman", "king", *PEOPLE, np.array(VECTORS, "float32"))
    # q = (1, 1) - (1, 0) + (3, 0) = (3, 1); |q| = sqrt 10
    assert [word for word, _ in ranking] == ["tower", "queen", "mute"]
    scores = [value for _, value in ranking]
    assert scores == pytest.approx([32 / 10**0.5, 10**0.5, 0], rel=1e-6)
    tower, queen, mute = scores
    assert capsys.readouterr().out == (
        f"\n[analogy] man:woman = king:?\n tower: {tower}\n queen: {queen}\n mute: {mute}\n"
    )


@both
def test_by_cosine_only_directions_count_and_zero_vectors_are_left_out():
    matrix = np.array(VECTORS, "float32")
    ranking = analogy("man", "woman", "king", *PEOPLE, matrix, cosine=True)
    # q = (1, 1) / sqrt 2 - (1, 0) + (1, 0); the tower is (8, 8), the queen (3, 1)
    assert [word for word, _ in ranking] == ["tower", "queen"]
    assert [value for _, value in ranking] == pytest.approx([1, 4 / 20**0.5], rel=1e-6)
    longer = matrix * np.arange(1, len(VECTORS) + 1, dtype="float32")[:, None]
    again = analogy("man", "woman", "king", *PEOPLE, longer, cosine=True)
    assert [value for _, value in again] == pytest.approx([1, 4 / 20**0.5], rel=1e-6)


def test_the_three_words_of_the_question_are_no_answers():
    ranking = analogy("man", "woman", "king", *PEOPLE, numpy.array(VECTORS, float), top=99)
    assert not {word for word, _ in ranking} & {"man", "woman", "king"}
    assert len(ranking) == 3


@both
def test_the_score_of_an_answer_is_printed_on_request(capsys):
    matrix = np.array(VECTORS, float)
    analogy("man", "woman", "king", *PEOPLE, matrix, top=1, answer="queen")
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["", "[analogy] man:woman = king:?"]
    assert float(out[2].removeprefix("answer queen: ")) == pytest.approx(10**0.5)
    assert len(out) == 4
    assert len(analogy("man", "woman", "king", *PEOPLE, matrix, top=1, answer="cat")) == 1
    assert "cat is not found" in capsys.readouterr().out


def test_unknown_words_of_an_analogy_are_reported(capsys):
    assert analogy("man", "cat", "dog", *PEOPLE, numpy.array(VECTORS)) == []
    assert capsys.readouterr().out == "cat is not found\ndog is not found\n"


@both
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_analogies_take_vectors_of_other_types_and_skip_nan(dtype):
    matrix = numpy.array(VECTORS, dtype)
    if matrix.dtype.kind == "f":
        matrix[4] = numpy.nan
    ranking = analogy("man", "woman", "king", *PEOPLE, np.asarray(matrix))
    assert ("tower" in dict(ranking)) == (dtype == "int64")
    assert dict(ranking)["queen"] == pytest.approx(10**0.5, rel=1e-6)


@both
def test_a_question_without_direction_has_no_answer(capsys):
    matrix = np.array([[1, 1], [1, 0], [0, 1], [1, 2]], float)  # b - a + c = 0
    assert analogy("a", "b", "c", *vocabulary("a b c d"), matrix) == []
    assert capsys.readouterr().out == "\n[analogy] a:b = c:?\n"


# --- Unit length ---------------------------------------------------------------------------------


@both
def test_normalize_scales_vectors_and_rows_in_place():
    x, X = np.array([3.0, 4.0]), np.array([[3, 4], [0, 2]], "float32")
    assert normalize(x) is x
    assert normalize(X) is X
    assert_allclose(to_cpu(x), [0.6, 0.8])
    assert_allclose(to_cpu(X), [[0.6, 0.8], [0, 1]], rtol=1e-6)
    assert X.dtype == np.float32


@both
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normalize_makes_nan_of_zero_rows_without_a_warning(dtype):
    X = normalize(np.array([[0, 0], [300, 400]], dtype))
    assert X.dtype == dtype
    assert_allclose(to_cpu(X), [[numpy.nan, numpy.nan], [0.6, 0.8]], rtol=1e-3)


@pytest.mark.parametrize("x", [numpy.array([3, 4]), numpy.ones((1, 1, 2)), numpy.array(1.0)])
def test_normalize_refuses_integers_and_other_dimensions(x):
    with pytest.raises(ValueError, match=r"normalize: x is (int|float)64 of shape"):
        normalize(x)


def test_the_books_import_path_has_these_functions():
    from common import util

    for function in (analogy, cos_similarity, create_co_matrix, most_similar, normalize):
        assert getattr(util, function.__name__) is function
