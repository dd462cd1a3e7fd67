"""GloVe: word vectors whose products are logarithms of counts.  V words, H hidden size, N cells."""

from typing import Any

import numpy

from common.base_model import BaseModel
from common.checks import is_number, numbers_on_host, on_host
from common.layers import Embedding
from common.np import Array, np
from common.rng import Seed, generator

__all__ = ["GloVe", "nonzero_cells"]


class GloVe(BaseModel):
    """Global vectors: weighted least squares on the counts X of a co-occurrence matrix.

    loss = sum over cells (i, j) of f(X_ij) (w_i . v_j + b_i + c_j - log X_ij)^2
    f(X) = min(1, (X / x_max)^alpha)

    forward(cells (N, 2), counts (N,)) -> loss
        cells   ids i, j of the words;  counts  X_ij, above 0;  `nonzero_cells` gives both
    params     W_in (V, H + 1), whose row i is w_i and, last, b_i; W_out (V, H + 1), v_j and c_j
    word_vecs  (V, H) w + v, a new array: either table alone is a set of word vectors too
    x_max      count from which cells weigh the same;  alpha  how fast smaller ones lose weight
    sparse     whether gradients hold only rows in use
    rng        seed or Generator of the first weights; None follows NumPy's global seed
    Raises ValueError for ids outside 0..V-1, counts that are not above 0, cells and counts that do
    not go together, an x_max or alpha that is not above 0.
    Source: Pennington et al. 2014, https://aclanthology.org/D14-1162/; book 3.5.3.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        *,
        x_max: float = 100.0,
        alpha: float = 0.75,
        sparse: bool = True,
        rng: Seed = None,
    ) -> None:
        for name, value in {"x_max": x_max, "alpha": alpha}.items():
            if not (is_number(value) and 0 < value < numpy.inf):
                raise ValueError(f"GloVe: {name} must be above 0, not {value!r}")
        V, H = vocab_size, hidden_size
        rng = generator(rng)
        self.x_max, self.alpha = float(x_max), float(alpha)
        W_in, W_out = (rng.random((2, V, H + 1)) - 0.5) / H
        self.in_layer = Embedding(np.asarray(W_in.astype("float32")), sparse)
        self.out_layer = Embedding(np.asarray(W_out.astype("float32")), sparse)
        super().__init__(in_layer=self.in_layer, out_layer=self.out_layer)
        self.settings: dict[str, Any] = {
            "vocab_size": V,
            "hidden_size": H,
            "x_max": self.x_max,
            "alpha": self.alpha,
            "sparse": sparse,
        }

    @property
    def word_vecs(self) -> Array:
        """w + v (V, H), a new array."""
        W_in, W_out = self.params
        return W_in[:, :-1] + W_out[:, :-1]

    def forward(self, cells: Array, counts: Array) -> Array:
        cells, X = on_host(self, cells), numbers_on_host(self, counts)
        if X.ndim != 1 or cells.shape != (len(X), 2):
            raise ValueError(
                f"GloVe: cells {cells.shape} and counts {X.shape} do not go together; (N, 2) and "
                "(N,) are needed"
            )
        if not (numpy.isfinite(X) & (X > 0)).all():
            raise ValueError("GloVe: counts must be above 0 and finite, for their logarithm")
        w, v = self.in_layer.forward(cells[:, 0]), self.out_layer.forward(cells[:, 1])
        log_X = np.asarray(numpy.log(X).astype(w.dtype))
        f = np.asarray((numpy.minimum(X / self.x_max, 1) ** self.alpha).astype(w.dtype))
        error = np.einsum("nh,nh->n", w[:, :-1], v[:, :-1]) + w[:, -1] + v[:, -1] - log_X
        self.w, self.v, self.slope = w, v, 2 * f * error
        return np.vdot(f * error, error)

    def backward(self, dout: float = 1) -> None:
        """Fill `grads`:  dw_i = 2 f (...) v_j and db_i = 2 f (...), summed over the cells of i."""
        slope = (dout * self.slope)[:, None]
        self.in_layer.backward(np.concatenate([slope * self.v[:, :-1], slope], axis=1))
        self.out_layer.backward(np.concatenate([slope * self.w[:, :-1], slope], axis=1))


def nonzero_cells(C: Array) -> tuple[Array, Array]:
    """The cells of a co-occurrence matrix that are not zero -> ids (N, 2), counts (N,).

    C (V, V)  counts as `create_co_matrix` gives them, dense or SciPy sparse
    Both results are on the host. Raises ValueError for a C that is not square, not symmetric, or
    all zero, and for numbers in it that are negative or not finite.
    """
    from scipy.sparse import csr_array  # here, because it takes longer to load than this module

    sparse = hasattr(C, "tocsr")
    C = C if sparse else numbers_on_host("nonzero_cells", C)
    if C.ndim != 2 or C.shape[0] != C.shape[1]:
        raise ValueError(f"nonzero_cells: counts have shape {C.shape}; they must be (V, V)")
    numbers = numbers_on_host("nonzero_cells", C.tocsr().data) if sparse else C
    if not (numpy.isfinite(numbers) & (numbers >= 0)).all():
        raise ValueError("nonzero_cells: counts must be finite and not negative")
    C = csr_array(C, dtype="float64", copy=True)
    C.sum_duplicates()
    C.eliminate_zeros()
    if not C.nnz:
        raise ValueError("nonzero_cells: all counts are 0, no word stands near another")
    T = C.T.tocsr()
    same_cells = numpy.array_equal(C.indptr, T.indptr) and numpy.array_equal(C.indices, T.indices)
    if not (same_cells and numpy.allclose(C.data, T.data)):
        raise ValueError(
            "nonzero_cells: counts are not symmetric; GloVe adds the vectors of its two tables, "
            "which belong together only if pairs are counted in both directions"
        )
    return numpy.stack(C.tocoo().coords, axis=1), C.data
