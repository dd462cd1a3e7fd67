"""From text to numbers."""

from collections.abc import Callable, Sequence

import numpy

from common.checks import checked_ids, is_number, numbers_on_host, on_host, text_on_host
from common.np import Array
from common.rng import Seed, generator

__all__ = [
    "convert_one_hot",
    "create_co_matrix",
    "create_contexts_target",
    "ppmi",
    "preprocess",
    "subsample",
    "words_to_ids",
]


def preprocess(
    text: str, *, cut: Callable[[str], Sequence[str]] | None = None
) -> tuple[Array, dict[str, int], dict[int, str]]:
    """Cut a text into words and number them -> corpus, word_to_id, id_to_word.

    Lower case; a full stop is a word of its own; words stand between white space. Ids count up
    from 0 in order of first appearance.
    cut          another way to cut a text into words, such as `list`, into characters
    corpus (L,)  the text as ids, on the host
    Raises ValueError for a text without words.  Source: book 2.3.1.
    """
    words = list(cut(text)) if cut else text.lower().replace(".", " .").split()
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
    corpus, W = text_on_host("create_contexts_target", corpus), window_size
    if W < 1 or len(corpus) <= 2 * W:
        raise ValueError(
            f"create_contexts_target: window_size {W} does not fit a text of {len(corpus)} words; "
            "it must be at least 1, and the text longer than 2 * window_size"
        )
    windows = numpy.lib.stride_tricks.sliding_window_view(corpus, 2 * W + 1)
    return numpy.delete(windows, W, axis=1), corpus[W:-W].copy()


def subsample(corpus: Array, threshold: float, *, rng: Seed = None) -> Array:
    """Leave out occurrences of frequent words at random -> the others (K,), in order, on the host.

    P(an occurrence of w stays) = min(1, sqrt(t / f(w))),  f(w) = count of w / L

    corpus (L,)  ids
    threshold    t, the share of the text above which a word is frequent, usually 1e-5 to 1e-3
    rng          seed or Generator; None follows NumPy's global seed
    Raises ValueError for a corpus that is not (L,) ids, or a threshold that is not above 0.
    Source: Mikolov et al. 2013, https://arxiv.org/abs/1310.4546, (5).
    """
    corpus = text_on_host("subsample", corpus)
    if not (is_number(threshold) and threshold > 0):
        raise ValueError(f"subsample: the threshold must be above 0, not {threshold!r}")
    _, which, counts = numpy.unique(corpus, return_inverse=True, return_counts=True)
    stays = numpy.sqrt(threshold * len(corpus) / counts)  # a probability, or above 1
    return corpus[generator(rng).random(len(corpus)) < stays[which]]


def convert_one_hot(corpus: Array, vocab_size: int) -> Array:
    """Ids (N,) or (N, C) as vectors (N, V) or (N, C, V), int32, each with a single 1 at its id.

    Raises ValueError for other dimensions, or ids outside 0..V-1.  Source: book 3.3.2.
    """
    corpus = on_host("convert_one_hot", corpus)
    if corpus.ndim not in (1, 2):
        raise ValueError(f"convert_one_hot: ids are (N,) or (N, C), not {corpus.shape}")
    return numpy.eye(vocab_size, dtype="int32")[checked_ids("convert_one_hot", corpus, vocab_size)]


def create_co_matrix(
    corpus: Array,
    vocab_size: int,
    window_size: int = 1,
    *,
    sparse: bool = False,
    by_distance: bool = False,
    border: int | None = None,
) -> Array:
    """Count how often each word stands near each other word -> C (V, V), int32, on the host.

    C[i, j] = number of pairs of positions p, q with corpus[p] = i, corpus[q] = j, 1 <= |p - q| <= W

    corpus (L,)  ids;  V is vocab_size, W is window_size
    sparse       C as a SciPy CSR array, which keeps only what is not zero: at V = 10,000 some
                 megabytes instead of 400
    by_distance  a pair counts 1 / |p - q| instead of 1, and C is float64 (Pennington et al. 2014)
    border       id of a word, such as <eos>, that ends a sentence: it has no pairs, and none reach
                 across it. Without it, sentence ends are words like others
    C is symmetric, its row i is the vector of word i. Without border and by_distance, all of it
    adds up to 2 * ((L - 1) + ... + (L - W)).
    Raises ValueError for a corpus that is not (L,), ids outside 0..V-1 (border too), or W outside
    1..L-1: a text of one word has no pairs, and an empty one has no words.  Source: book 2.3.4.
    """
    corpus, V, W = text_on_host("create_co_matrix", corpus), vocab_size, window_size
    if not 1 <= W < len(corpus):
        raise ValueError(
            f"create_co_matrix: window_size {W} does not fit a text of shape {corpus.shape}; it "
            "must be between 1 and L - 1"
        )
    corpus = checked_ids("create_co_matrix", corpus, V).astype("int64")
    if border is not None:
        checked_ids("create_co_matrix: border", border, V)
    sentence = numpy.cumsum(corpus == border)  # its number; a border has that of the words after it
    lefts, rights, weights = [], [], []
    for d in range(1, W + 1):
        left, right = corpus[:-d], corpus[d:]
        if border is not None:
            inside = (sentence[:-d] == sentence[d:]) & (left != border)
            left, right = left[inside], right[inside]
        lefts.append(left)
        rights.append(right)
        weights.append(numpy.full(len(left), 1 / d if by_distance else 1))
    left, right, weight = map(numpy.concatenate, (lefts, rights, weights))
    weight = weight.astype("float64" if by_distance else "int32")
    if sparse:
        from scipy.sparse import coo_array  # here, because it takes longer to load than this module

        pairs = coo_array((weight, (left, right)), shape=(V, V)).tocsr()
        return (pairs + pairs.T).tocsr()
    C = numpy.zeros((V, V), weight.dtype)
    for word, neighbour in ((left, right), (right, left)):
        # add.at, because `+=` counts a pair that repeats once; flat, because that is its fast way
        numpy.add.at(C.reshape(-1), word * V + neighbour, weight)
    return C


def ppmi(C: Array, verbose: bool = False, eps: float = 1e-8) -> Array:
    """Positive pointwise mutual information of co-occurrence counts -> M (V, V), float32, in bits.

    M[i, j] = max(0, log2(C[i, j] * N / (S[i] * S[j]) + eps)),   S[j] = sum of column j, N = sum S

    C (V, V)  counts, dense or SciPy sparse; M is of the same kind, on the host (sparse as CSR)
    verbose   print how far it is, every V * V // 100 + 1 cells
    eps       0..1; the book's guard against log2(0)
    M is 0 wherever C is, and for words without neighbours (S = 0).
    Raises ValueError if C is not square or holds a negative number or NaN, or for another eps.
    Source: book 2.4.1, (2.6).
    """
    sparse = hasattr(C, "tocsr")  # a question that does not load SciPy
    C = C.tocsr(copy=True) if sparse else numbers_on_host("ppmi", C)
    if C.ndim != 2 or C.shape[0] != C.shape[1]:
        raise ValueError(f"ppmi: counts have shape {C.shape}; they must be (V, V)")
    if not (C.data if sparse else C).min(initial=0) >= 0:
        raise ValueError("ppmi: counts must not be negative or NaN")
    if not 0 <= eps <= 1:
        raise ValueError(f"ppmi: eps is {eps}; outside 0..1, zero counts would not give zero")
    V = C.shape[0]
    if sparse:
        C.sum_duplicates()
        S, M = numpy.bincount(C.indices, C.data, V).astype("float64"), C.astype("float32")
    else:
        # float64, because the product of two frequent words' counts exceeds 32 bits
        S, M = C.sum(axis=0, dtype="float64"), numpy.zeros((V, V), "float32")
    N = S.sum()
    S[S == 0] = numpy.inf  # what never occurs gives log2(0 + eps), not 0 / 0

    step = V // 100 + 1  # rows; a block also bounds the memory needed beside C and M
    for start in range(0, V, step):
        stop = min(start + step, V)
        if sparse:
            cells = slice(C.indptr[start], C.indptr[stop])
            row = numpy.repeat(S[start:stop], numpy.diff(C.indptr[start : stop + 1]))
            M.data[cells] = _ppmi(C.data[cells], row, S[C.indices[cells]], N, eps)
        else:
            i, j = numpy.nonzero(C[start:stop])
            i += start
            M[i, j] = _ppmi(C[i, j], S[i], S[j], N, eps)
        if verbose:
            every = V * V // 100 + 1  # cells
            for done in range((start * V // every + 1) * every, stop * V + 1, every):
                print(f"{100 * done / V**2:.1f}% done")
    if sparse:
        M.eliminate_zeros()
    return M


def _ppmi(count: Array, S_i: Array, S_j: Array, N: float, eps: float) -> Array:
    return numpy.log2(numpy.maximum(count * N / (S_i * S_j) + eps, 1))


def words_to_ids(words: list[str], word_to_id: dict[str, int]) -> Array:
    """The ids (L,) of words, on the host.  Raises KeyError naming the words not in word_to_id."""
    unknown = sorted({word for word in words if word not in word_to_id})
    if unknown:
        raise KeyError(
            f"words_to_ids: not in the vocabulary of {len(word_to_id)} words: {', '.join(unknown)}"
        )
    return numpy.array([word_to_id[word] for word in words])
