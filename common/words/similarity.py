"""Which words are alike: cosines, neighbours, analogies.  V words, D numbers in a word vector.

Everything is computed by the array library in use; words and scores come back to the host.
"""

from collections.abc import Mapping
from itertools import islice

import numpy

from common.checks import described, floats
from common.np import Array, np, to_cpu

__all__ = ["Ranking", "analogy", "cos_similarity", "most_similar", "normalize"]

Ranking = list[tuple[str, float]]


def cos_similarity(x: Array, y: Array, eps: float = 1e-8) -> Array:
    """x . y / ((|x| + eps) (|y| + eps)): the cosine of the angle between two vectors, -1..1.

    x, y (D,)  of any number type; 16-bit floats are computed in 32 bits, integers in 64
    eps        makes the similarity with a zero vector 0
    Raises ValueError for shapes that differ or are no vectors.  Source: book 2.3.5, (2.1).
    """
    x, y = _floats("cos_similarity", x), _floats("cos_similarity", y)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"cos_similarity: shapes are {x.shape} and {y.shape}; they must be (D,), the same D"
        )
    return x / (_length(x) + eps) @ (y / (_length(y) + eps))


def most_similar(
    query: str,
    word_to_id: Mapping[str, int],
    id_to_word: Mapping[int, str],
    word_matrix: Array,
    top: int = 5,
) -> Ranking:
    """Print and return the words whose vectors have the highest cosine with that of the query.

    word_matrix (V, D)  row i is the vector of word i
    top                 how many; all, if there are fewer
    -> [(word, similarity), ...], highest first, ties in the order of ids, without the query and
       without words whose similarity is NaN. Of an unknown query that is printed, and [] returned.
    Raises ValueError for a word_matrix of another shape, or top below 1.  Source: book 2.3.6.
    """
    matrix = _checked("most_similar", word_matrix, id_to_word, top)
    if not _known(query, word_to_id):
        return []
    print(f"\n[query] {query}")
    rows = matrix / (_length(matrix) + 1e-8)
    return _report(rows @ rows[word_to_id[query]], id_to_word, {word_to_id[query]}, top)


def analogy(
    a: str,
    b: str,
    c: str,
    word_to_id: Mapping[str, int],
    id_to_word: Mapping[int, str],
    word_matrix: Array,
    top: int = 5,
    answer: str | None = None,
    *,
    cosine: bool = False,
) -> Ranking:
    """Solve a : b = c : ? and print and return the words that fit best.

    score[i] = v_i . q / |q|,   q = v_b - v_a + v_c

    word_matrix (V, D)  row i is the vector v_i of word i
    top                 how many; all, if there are fewer
    answer              also print the score of this word
    cosine              scale all vectors to length 1 first, so that long ones are not favoured;
                        without it, as in the book, scores can exceed 1
    -> [(word, score), ...], highest first, ties in the order of ids, without a, b, c and without
       words whose score is NaN (with `cosine`, those of zero vectors). If a, b or c is unknown,
       that is printed and [] returned.
    Raises ValueError for a word_matrix of another shape, or top below 1.  Source: book 4.3.3.
    """
    matrix = _checked("analogy", word_matrix, id_to_word, top)
    if [word for word in (a, b, c) if not _known(word, word_to_id)]:
        return []
    print(f"\n[analogy] {a}:{b} = {c}:?")
    if cosine:
        matrix = normalize(matrix.copy())
    i, j, k = (word_to_id[word] for word in (a, b, c))
    q = normalize(matrix[j] - matrix[i] + matrix[k])
    scores = to_cpu(matrix @ q)
    if answer is not None and _known(answer, word_to_id):
        print(f"answer {answer}: {float(scores[word_to_id[answer]])}")
    return _report(scores, id_to_word, {i, j, k}, top)


def normalize(x: Array) -> Array:
    """Scale a vector (D,), or each row of a matrix (N, D), to length 1, in place -> x.

    A zero vector has no direction and becomes NaN.
    Raises ValueError for other dimensions, or numbers that are not floats.  Source: book 4.3.3.
    """
    if getattr(x, "ndim", 0) not in (1, 2) or x.dtype.kind != "f":
        raise ValueError(f"normalize: x is {described(x)}; it must be floats, (D,) or (N, D)")
    length = _length(x.astype("float32") if x.dtype == "float16" else x)
    length[length == 0] = float("nan")
    x /= length
    return x


def _floats(who: str, x: Array) -> Array:
    """x on the device in at least 32 bits, because 16 lose the eps that guards a zero vector."""
    x = np.asarray(floats(who, x))
    return x.astype(np.result_type(x.dtype, np.float32), copy=False)


def _length(x: Array) -> Array:
    """The length of each row, (D,) -> (1,) or (N, D) -> (N, 1)."""
    return (x * x).sum(axis=-1, keepdims=True) ** 0.5


def _checked(who: str, word_matrix: Array, id_to_word: Mapping[int, str], top: int) -> Array:
    word_matrix = _floats(who, word_matrix)
    if word_matrix.ndim != 2 or len(word_matrix) != len(id_to_word):
        raise ValueError(
            f"{who}: word_matrix has shape {word_matrix.shape}; "
            f"a vocabulary of {len(id_to_word)} words needs ({len(id_to_word)}, D)"
        )
    if top < 1:
        raise ValueError(f"{who}: top is {top}; it must be at least 1")
    return word_matrix


def _known(word: str, word_to_id: Mapping[str, int]) -> bool:
    if word not in word_to_id:
        print(f"{word} is not found")
    return word in word_to_id


def _report(scores: Array, id_to_word: Mapping[int, str], but: set[int], top: int) -> Ranking:
    """Print and return the `top` highest scores (V,), leaving out the ids in `but` and NaN."""
    scores = to_cpu(scores)
    order = numpy.argsort(-scores, kind="stable").tolist()
    chosen = (i for i in order if i not in but and not numpy.isnan(scores[i]))
    ranking = [(id_to_word[i], float(scores[i])) for i in islice(chosen, top)]
    for word, score in ranking:
        print(f" {word}: {score}")
    return ranking
