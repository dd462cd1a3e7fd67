"""The largest singular values of a matrix and their vectors, without computing all of them."""

import numpy

from common.checks import numbers_on_host
from common.np import Array
from common.rng import Seed, generator

__all__ = ["truncated_svd"]

EXTRA = 10  # columns beyond k; the paper finds 5 to 10 enough


def truncated_svd(
    W: Array, k: int, n_iter: int = 5, *, rng: Seed = None
) -> tuple[Array, Array, Array]:
    """W ~ U @ diag(s) @ Vt with the k largest singular values, on the host.

    W (R, C)  dense or SciPy sparse
    n_iter    rounds that sharpen the result; each multiplies by W^T and by W
    rng       seed or Generator of the first guess; None follows NumPy's global seed
    -> U (R, k) with orthonormal columns, s (k,) falling, Vt (k, C) with orthonormal rows; float64
       if W is float64 or holds 32-bit integers or larger, else float32. The sign of a column of U,
       with its row of Vt, is arbitrary.

    W times a few random vectors spans, nearly, the directions that W stretches most; each round
    brings it nearer. In an orthonormal basis Q of them, W is the small matrix Q^T W.
    Raises ValueError if W is no matrix of finite numbers, k is not in 1..min(R, C), or n_iter is
    negative.
    Source: book 2.4.3; Halko, Martinsson, Tropp 2011, https://arxiv.org/abs/0909.4061,
    algorithms 4.4 and 5.1.
    """
    W = W.tocsr() if hasattr(W, "tocsr") else numbers_on_host("truncated_svd", W)
    if W.ndim != 2 or not 1 <= k <= min(W.shape) or n_iter < 0:
        raise ValueError(
            f"truncated_svd: k is {k} and n_iter {n_iter} for W of shape {W.shape}; "
            "W must be (R, C), k in 1..min(R, C) and n_iter at least 0"
        )
    if not numpy.isfinite(W.data if hasattr(W, "tocsr") else W).all():
        raise ValueError("truncated_svd: W holds NaN or infinity")
    W = W.astype(numpy.result_type(W.dtype, numpy.float32))
    width = min(k + EXTRA, *W.shape)
    guess = generator(rng).standard_normal((W.shape[1], width)).astype(W.dtype)
    Q = _basis(W @ guess)
    for _ in range(n_iter):
        Q = _basis(W @ _basis(W.T @ Q))  # a basis each time, or all columns turn into the first
    U, s, Vt = numpy.linalg.svd((W.T @ Q).T, full_matrices=False)
    return Q @ U[:, :k], s[:k], Vt[:k]


def _basis(X: Array) -> Array:
    """Orthonormal columns that span those of X."""
    return numpy.linalg.qr(X)[0]
