"""What happens to gradients between backward and update: sharing, clipping; the row-sparse kind."""

from copy import deepcopy
from typing import Any

import numpy

from common.checks import described, is_number
from common.np import Array, np, suited, to_cpu

__all__ = [
    "RowSparse",
    "add_rows",
    "clip_grads",
    "distinct",
    "layout",
    "numbered",
    "owner",
    "remove_duplicate",
    "sum_by_id",
    "sums_by_product",
    "sums_in_turn",
    "to_dense",
]


class ArrayLike:
    """What stands for an array, of any shape: operators, methods and functions act on `to_dense()`.

    What is written in place, as in g += 1, g[0] = 1 or g.fill(1), is written into that array.
    """

    def to_dense(self) -> Array:
        """The array, of any shape, the same one every time."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return getattr(self.to_dense(), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return numpy.array(to_cpu(self.to_dense()), dtype, copy=copy)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        if out:
            (options["out"],) = map(to_dense, out)
        function = getattr(getattr(np, ufunc.__name__), method)  # that of the library in use
        result = function(*map(to_dense, inputs), **options)
        return out[0] if out else result

    def __cupy_override_elementwise_kernel__(self, ufunc: Any, *args: Any, **options: Any) -> Any:
        return ufunc(*map(to_dense, args), **options)


def _operator(name: str) -> Any:
    def method(self: ArrayLike, *others: Any) -> Any:
        dense = self.to_dense()
        result = getattr(dense, name)(*map(to_dense, others))
        return self if result is dense else result

    return method


_ONE_FORM = "len iter getitem setitem bool neg pos abs lt le eq ne gt ge divmod rdivmod"
_THREE_FORMS = "add sub mul truediv floordiv mod pow matmul"
for _form, _names in ("", f"{_ONE_FORM} {_THREE_FORMS}"), ("r", _THREE_FORMS), ("i", _THREE_FORMS):
    for _name in _names.split():
        setattr(ArrayLike, f"__{_form}{_name}__", _operator(f"__{_form}{_name}__"))


class RowSparse(ArrayLike):
    """The gradient of a matrix (V, D) of which only some rows are not zero.

    ids    K different row numbers, on the host
    index  the same, on the device: what to index a parameter with
    rows   (K, D), rows[k] belongs to row ids[k]

    An embedding looks up a few hundred of its V words a step; this keeps the work at that size.
    Where it is used as an array, it becomes dense, with all V rows, until the next `assign`. What
    stays sparse is the sum of two, and the product with a number.
    """

    base = None  # it owns its memory, which `owner` asks of an array

    def __init__(self, shape: tuple[int, int], dtype: Any) -> None:
        self.shape, self.dtype = shape, numpy.dtype(dtype)
        self.assign(numpy.empty(0, int), np.empty((0, shape[1]), dtype))

    def assign(self, ids: Array, rows: Array) -> None:
        """Take over `ids` (K,) on the host, each once, and `rows` (K, D)."""
        self.ids, self.index, self.rows = ids, np.asarray(ids), rows

    def to_dense(self) -> Array:
        """The whole matrix (V, D), on the device; from now on `rows` is this matrix."""
        every = numpy.arange(self.shape[0])
        if not numpy.array_equal(self.ids, every):
            dense = np.zeros(self.shape, self.dtype)
            dense[self.index] = self.rows
            self.assign(every, dense)
        return self.rows

    def __iadd__(self, other: Any) -> "RowSparse":
        if not isinstance(other, RowSparse):
            return super().__iadd__(other)  # type: ignore[misc,no-any-return]
        ids = numpy.concatenate([self.ids, other.ids])
        self.assign(*sum_by_id(ids, np.concatenate([self.rows, other.rows])))
        return self

    def __imul__(self, factor: Any) -> "RowSparse":
        if getattr(factor, "ndim", 0):
            return super().__imul__(factor)  # type: ignore[misc,no-any-return]
        self.rows *= factor
        return self

    def __copy__(self) -> "RowSparse":
        return deepcopy(self)  # as of an array

    def __repr__(self) -> str:
        return f"RowSparse({len(self.ids)} rows of {self.shape}, {self.dtype})"


def to_dense(g: Any) -> Array:
    """A gradient of either kind as an array: any shape, (V, D) if it is row-sparse."""
    return g.to_dense() if isinstance(g, ArrayLike) else g


def sum_by_id(ids: Array, rows: Array, weights: Array = None) -> tuple[Array, Array]:
    """For every id, the sum of weight times row over the places that have it.

    ids      (N * C,) on the host: row n belongs to the C ids from n * C on
    rows     (N, D)
    weights  (N * C,), 1 if there are none
    -> the K different ids in order, on the host, and their sums (K, D)
    """
    if not ids.size:
        return ids, rows[:0]
    unique, where = numbered(ids)
    sums = sums_by_product if np.__name__ == "numpy" and rows.dtype.char in "fd" else sums_in_turn
    return unique, sums(len(unique), where, rows, weights)


def numbered(ids: Array) -> tuple[Array, Array]:
    """The K different ids in order, and which of these each id (M,) is, all on the host.

    What `numpy.unique` finds by sorting, found in a table with a place for each word.
    """
    present = numpy.zeros(ids.max() + 1, bool)
    present[ids] = True
    unique = numpy.flatnonzero(present)
    place = numpy.empty(len(present), int)
    place[unique] = numpy.arange(len(unique))
    return unique, place.take(ids)


def sums_in_turn(K: int, where: Array, rows: Array, weights: Array = None) -> Array:
    """Each row (N, D) times its weights, added at its C places of `where` (N * C,) -> (K, D)."""
    if len(where) > len(rows):
        rows = np.repeat(rows, len(where) // len(rows), axis=0)
    if weights is not None:
        rows = weights[:, None] * rows
    total = np.zeros((K, rows.shape[1]), rows.dtype)
    np.add.at(total, np.asarray(where), rows)
    return total


def sums_by_product(K: int, where: Array, rows: Array, weights: Array = None) -> Array:
    """The same, as a product with a sparse matrix (K, N): column n holds the weights of row n.

    It copies no row, and takes a tenth of the time.
    """
    from scipy.sparse import csc_array  # here, because it takes longer to load than this module

    N, M = len(rows), len(where)
    if weights is None:
        weights = numpy.ones(M, rows.dtype)
    return csc_array((weights, where, numpy.arange(0, M + 1, M // N)), (K, N)) @ rows


def add_rows(total: Array, ids: Array, rows: Array) -> None:
    """total[ids[m]] += rows[m] for every m, ids that repeat included.

    total (V, D), ids (M,) on the host, rows (M, D).
    """
    unique, sums = sum_by_id(ids, rows)
    total[np.asarray(unique)] += sums


def remove_duplicate(params: list[Array], grads: list[Any]) -> tuple[list[Array], list[Any]]:
    """Merge the gradients of shared weights -> params and grads with every weight once.

    Shared means the same memory: the same array, or its transposed view, whose gradient is then
    transposed too: W (V, H) and W.T (H, V) are one weight. The lists and arrays given are left as
    they are; a merged gradient is new.
    Source: book 6.5.3 (weight tying), common/trainer.py.
    """
    kept: list[Array] = []
    sums: list[Any] = []
    place: dict[int, int] = {}  # in `kept`, by the array that owns the memory
    for p, g in zip(params, grads, strict=True):
        k = place.setdefault(id(owner(p)), len(kept))
        same = k < len(kept) and layout(p) == layout(kept[k])
        if same or (k < len(kept) and layout(p.T) == layout(kept[k])):
            sums[k] = total(sums[k], g if same else g.T)
        else:
            kept.append(p)
            sums.append(g)
    return kept, sums


def distinct(params: list[Array]) -> list[Array]:
    """Every weight, of any shape, once: shared ones as the array that owns the memory."""
    return list({id(owner(p)): owner(p) for p in params}.values())


def owner(p: Array) -> Array:
    """The array that owns the memory of p, if p, of any shape, is the whole of it, else p."""
    base = p.base
    return base if isinstance(base, type(p)) and base.size == p.size else p


def layout(p: Array) -> Any:
    """Shape and strides of p, any shape: with the memory, what tells one view from another."""
    return p.shape, p.strides


def total(a: Any, b: Any) -> Any:
    """a + b of two gradients of one shape, any shape, as a new one; row-sparse if both are."""
    sparse, other = (a, b) if isinstance(a, RowSparse) else (b, a)
    if not isinstance(sparse, RowSparse):
        return a + b
    if isinstance(other, RowSparse):
        new = deepcopy(sparse)
        new += other
        return new
    dense = other.copy()
    dense[sparse.index] += sparse.rows
    return dense


def clip_grads(grads: list[Any], max_norm: float) -> None:
    """Scale all gradients, in place, so that their joint length is at most max_norm.

    norm = sqrt(sum over all arrays of sum g^2);  g *= min(1, max_norm / (norm + 1e-6))

    The factor stays on the device: nothing waits for it.
    Raises ValueError if max_norm is not positive, and for gradients that hold no floats.
    Source: book 6.1.4; Pascanu et al. 2013.
    """
    if not (is_number(max_norm) and max_norm > 0):
        raise ValueError(f"clip_grads: max_norm must be positive, not {max_norm}")
    parts = [g.rows if isinstance(g, RowSparse) else g for g in grads]
    for part in parts:
        if getattr(getattr(part, "dtype", None), "kind", "") != "f":
            raise ValueError(f"clip_grads: gradients hold floats, not {described(part)}")
    squares = suited(squares_in_turn, squares_at_once)(parts)
    rate = np.minimum(max_norm / (np.sqrt(squares) + 1e-6), 1)
    for part in parts:
        part *= rate.astype(part.dtype, copy=False)


def squares_in_turn(parts: list[Array]) -> Array:
    """The sum of the squares of arrays of any shape, a product for each."""
    return sum(np.vdot(part, part) for part in parts)


def squares_at_once(parts: list[Array]) -> Array:
    """The same of arrays of any shape, for a GPU: three kernels in all instead of for each."""
    flat = np.concatenate([part.ravel("K") for part in parts]) if parts else np.zeros(1)
    return np.vdot(flat, flat)
