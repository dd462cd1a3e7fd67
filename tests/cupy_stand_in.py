"""A strict stand-in for CuPy, so that a machine without a GPU finds what would break on one.

    with install():                       # sys.modules["cupy"] is the stand-in inside the block
        use("cupy")                       # the library now computes on `ndarray` below
        ...
    with count_transfers() as counts:     # counts.to_host, counts.to_device, counts.waits
    with forbid_transfers():              # whatever waits for the GPU is an AssertionError

Numbers come from NumPy. Names, keywords and refusals are those of CuPy 14.2:
- a device array mixed with a NumPy array, or converted to one silently, is a TypeError;
- reductions and a[0, 0] are 0-d device arrays; float(), int(), bool(), str(), .item(), .tolist(),
  .get() and asnumpy() count as transfers; a size that depends on data (nonzero, unique, a[mask])
  counts as a wait; arrays have no __index__, so they are no sizes, axes or list positions;
- ids out of range wrap silently in take, a[ids] and add.at; floating point errors are silent;
- there is no errstate, einsum_path, insert, block, nditer ...; no sum(initial=, where=),
  take(mode=), clip(a, min=), einsum(out=), std(correction=), matmul(a, b, out) by position;
- .at, .reduce, .accumulate and .reduceat exist for few ufuncs, and .at for few types:
  subtract.at takes no floats; a @= b binds a new array; argsort knows no kind but "stable";
- `base` is the array that owns the memory, the same object for every view of it.

Stricter than CuPy: real `numpy` functions refuse device arrays (CuPy takes some of them over), the
module's functions refuse NumPy arrays (CuPy computes some on the host), as a[host_ids] does, and
`.at` everywhere. Missing although CuPy has it: files, fft, polynomials, c_, r_, mgrid, kernels,
`flat`, streams, names that NumPy 2 dropped. Not imitated: speed, rounding, memory order, the
undefined winner of a[ids] = b with repeated ids, limits of `fuse`.
"""

import contextlib
import functools
import inspect
import operator
import sys
import types
from dataclasses import dataclass
from importlib.machinery import ModuleSpec

import numpy

# --- What CuPy has ---------------------------------------------------------------------------

UFUNCS = """
abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
atan2 atanh bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor cbrt ceil conj conjugate copysign cos cosh deg2rad degrees divide
divmod equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp gcd greater
greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp left_shift less less_equal log
log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum
mod modf multiply negative nextafter not_equal positive pow power rad2deg radians reciprocal
remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc"""
FUNCTIONS = """
all allclose amax amin angle any append arange argmax argmin argpartition argsort argwhere around
array_equal array_equiv array_split ascontiguousarray asfortranarray astype atleast_1d atleast_2d
atleast_3d average bartlett bincount blackman broadcast_arrays broadcast_to can_cast choose clip
column_stack common_type compress concat concatenate convolve copy copyto corrcoef correlate
count_nonzero cov cross cumprod cumsum cumulative_prod cumulative_sum delete diag diag_indices
diag_indices_from diagflat diagonal diff digitize dot dsplit dstack ediff1d einsum empty empty_like
expand_dims extract eye fill_diagonal fix flatnonzero flip fliplr flipud full_like gradient hamming
hanning histogram histogram2d histogramdd hsplit hstack i0 identity imag indices inner interp
intersect1d isclose iscomplex iscomplexobj isfortran isin isneginf isposinf isreal isrealobj
isscalar ix_ kaiser kron lexsort linspace logspace mask_indices matmul matrix_transpose max
may_share_memory mean median meshgrid min min_scalar_type moveaxis nan_to_num nanargmax nanargmin
nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ndim nonzero ones
ones_like outer packbits pad partition percentile permute_dims place prod ptp put put_along_axis
putmask quantile ravel ravel_multi_index real real_if_close repeat require reshape resize
result_type roll rollaxis rot90 round searchsorted select setdiff1d setxor1d shape shares_memory
sinc size sort sort_complex split squeeze stack std sum swapaxes take take_along_axis tensordot tile
trace transpose trapezoid tri tril tril_indices tril_indices_from trim_zeros triu triu_indices
triu_indices_from union1d unique unique_all unique_counts unique_inverse unique_values unpackbits
unravel_index var vdot vsplit vstack where zeros zeros_like"""
PLAIN_NAMES = """
bool bool_ broadcast_shapes byte cdouble complex128 complex64 complexfloating csingle double dtype e
euler_gamma exceptions finfo float16 float32 float64 floating generic half iinfo index_exp inexact
inf int16 int32 int64 int8 int_ intc integer intp isdtype issubdtype iterable long longlong
mintypecode nan ndindex newaxis number pi promote_types s_ short signedinteger single typename ubyte
uint uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong unsignedinteger ushort"""
METHODS = """
all any argmax argmin argpartition argsort byteswap choose clip compress conj conjugate copy cumprod
cumsum diagonal dot fill flatten max mean min nonzero partition prod put ravel repeat reshape round
searchsorted sort squeeze std sum swapaxes take trace transpose var"""
LINALG = """
cholesky cond cross det eig eigh eigvals eigvalsh inv lstsq matmul matrix_power matrix_rank
matrix_transpose norm pinv qr slogdet solve svd tensorinv tensorsolve"""
RANDOM = """
beta binomial chisquare dirichlet exponential f gamma geometric gumbel hypergeometric laplace
logistic lognormal logseries multinomial multivariate_normal negative_binomial noncentral_chisquare
noncentral_f normal pareto poisson power rand randint randn random random_sample rayleigh
standard_cauchy standard_exponential standard_gamma standard_normal standard_t triangular uniform
vonmises wald weibull zipf"""
GENERATOR = """
beta binomial chisquare dirichlet exponential f gamma geometric hypergeometric integers logseries
poisson power random standard_exponential standard_gamma standard_normal uniform"""

INTS, FLOATS = "int32 int64 uint32 uint64", "float32 float64"
AT = {
    "add": f"{INTS} float16 {FLOATS}", "maximum": f"{INTS} {FLOATS}", "minimum": f"{INTS} {FLOATS}",
    "subtract": "int32 uint32", "bitwise_and": INTS, "bitwise_or": INTS, "bitwise_xor": INTS,
}  # fmt: skip
OTHER_UFUNC_METHODS = {"add": "reduce accumulate reduceat", "multiply": "reduce accumulate"}

# Keywords of NumPy that no function of CuPy takes, and those that single functions lack.
NEVER = frozenset("correction device hermitian initial like mean sorted stable upper".split())
LACKS = {
    "kind": "argpartition isin partition", "order": "argpartition argsort partition sort",
    "min max": "clip", "mode": "take", "out order casting": "einsum", "keepdims": "count_nonzero",
    "axis": "lexsort trim_zeros", "weights": "percentile quantile", "sparse": "indices",
    "subok": "broadcast_arrays broadcast_to copy matmul", "rtol": "matrix_rank pinv",
    "shape": "reshape unravel_index", "arrays": "concat concatenate stack", "ary": "ediff1d",
    "m": "cov flip fliplr flipud rot90", "obj": "delete", "arr": "extract take_along_axis",
}  # fmt: skip

# --- What functions want of their arguments ------------------------------------------------------

SIZES = """arange bartlett blackman diag_indices empty eye hamming hanning identity indices kaiser
linspace logspace mask_indices ones tri tril_indices triu_indices zeros""".split()
ANYTHING = """can_cast common_type iscomplexobj isrealobj isscalar min_scalar_type ndim result_type
shape""".split()
SEQUENCE = """column_stack concat concatenate dstack hstack select stack vstack""".split()
ALL_ARRAYS = "atleast_1d atleast_2d atleast_3d broadcast_arrays einsum ix_ meshgrid".split()
PAIRS = """cross dot inner kron matmul may_share_memory outer shares_memory solve tensordot
vdot""".split()
OPERANDS = "allclose array_equal clip fill isclose searchsorted where".split()
WAITS = """argwhere bincount compress extract flatnonzero histogram intersect1d nonzero setdiff1d
setxor1d trim_zeros union1d unique unique_all unique_counts unique_inverse unique_values""".split()
DEVICE_SCALAR = "allclose array_equal array_equiv count_nonzero".split()
NOT_ARRAYS = frozenset("""axes axis axis1 axis2 ddof decimals destination indices_or_sections k kth
minlength newshape num offset pad_width reps sections shape shift size source""".split())

# --- Counting what waits for the GPU ---------------------------------------------------------


@dataclass
class Transfers:
    """to_host: copies to the host; to_device: copies from it; waits: sizes read from the GPU."""

    to_host: int = 0
    to_device: int = 0
    waits: int = 0

    def reset(self):
        self.to_host = self.to_device = self.waits = 0


transfers = Transfers()
_counters = [transfers]
_forbidden = 0


def _count(kind):
    if _forbidden and kind != "to_device":
        raise AssertionError(f"this waits for the GPU ({kind})")
    for counts in _counters:
        setattr(counts, kind, getattr(counts, kind) + 1)


@contextlib.contextmanager
def count_transfers():
    """Yield a Transfers that counts what happens in the block."""
    counts = Transfers()
    _counters.append(counts)
    try:
        yield counts
    finally:
        _counters[:] = [c for c in _counters if c is not counts]


@contextlib.contextmanager
def forbid_transfers():
    """Raise AssertionError for every copy to the host and every wait in the block."""
    global _forbidden
    _forbidden += 1
    try:
        yield
    finally:
        _forbidden -= 1


# --- Between device and host arrays ----------------------------------------------------------

_silent = functools.partial(numpy.errstate, all="ignore")
_SCALARS = (bool, int, float, complex, numpy.number, numpy.bool_)


def _unsupported(x):
    return TypeError(f"Unsupported type {type(x)}")


def _array(x):
    if type(x) is not ndarray:
        raise _unsupported(x)
    return x._host


def _operand(x):
    """Device arrays and scalars: all that elementwise work accepts."""
    if type(x) is ndarray:
        return x._host
    if isinstance(x, _SCALARS):
        return x
    raise _unsupported(x)


def _strip(x):
    """Host arrays in place of device arrays, also inside lists; no host array may come in."""
    kind = type(x)
    if kind is ndarray:
        return x._host
    if kind is tuple or kind is list:
        return kind(map(_strip, x))
    if isinstance(x, numpy.ndarray):
        raise _unsupported(x)
    return x


def _owner(host):
    while isinstance(host.base, numpy.ndarray):
        host = host.base
    return host


def _device_arrays(x):
    if type(x) is ndarray:
        yield x
    elif isinstance(x, (tuple, list)):
        for y in x:
            yield from _device_arrays(y)


def _own(host, base=None):
    if host.dtype.char not in "?bhilqBHILQefdFD":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    x = ndarray.__new__(ndarray)
    x._host, x._base = host, base
    return x


def _result(value, *sources):
    """The device array for a NumPy result: one of the sources, a view of one, or a new array."""
    if isinstance(value, numpy.ndarray):
        for x in _device_arrays(sources):
            if value is x._host:
                return x
        if value.base is not None:
            owner = _owner(value)
            for x in _device_arrays(sources):
                if owner is _owner(x._host):
                    return _own(value, x if x._base is None else x._base)
        return _own(value)
    if isinstance(value, numpy.generic):
        return _own(numpy.asarray(value))
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(_result(v, *sources) for v in value)
    if isinstance(value, (tuple, list)):
        return type(value)(_result(v, *sources) for v in value)
    return value


def _index(host, key):
    """-> the key for the host array with ids wrapped into range, and whether it holds a mask."""
    parts = key if type(key) is tuple else (key,)
    if not any(isinstance(p, (ndarray, list, numpy.ndarray)) for p in parts):
        return key, False
    stripped = [numpy.asarray(_strip(p)) if isinstance(p, list) else _strip(p) for p in parts]
    masks = [isinstance(p, numpy.ndarray) and p.dtype == bool for p in stripped]
    used = [p.ndim if mask else int(p is not None and p is not Ellipsis)
            for p, mask in zip(stripped, masks, strict=True)]  # fmt: skip
    axis, found = 0, []
    for p, mask, n in zip(stripped, masks, used, strict=True):
        if isinstance(p, numpy.ndarray) and not mask:
            if p.dtype.kind not in "iu" and p.size:
                raise IndexError("arrays used as indices must be of integer or boolean type")
            p = p.astype(numpy.int64)
            if axis < host.ndim and host.shape[axis]:
                p = p % host.shape[axis]
        found.append(p)
        axis += host.ndim - sum(used) if p is Ellipsis else n
    return (tuple(found) if type(key) is tuple else found[0]), any(masks)


# --- The array -------------------------------------------------------------------------------


class Flags:
    """CuPy's flags: no `writeable` to read, and setting it does nothing."""

    def __init__(self, x):
        self.c_contiguous, self.f_contiguous = (x._host.flags[f"{o}_CONTIGUOUS"] for o in "CF")
        self.owndata = x._base is None

    def __getitem__(self, name):
        return getattr(self, name.lower())


class ndarray:
    __slots__ = ("__weakref__", "_base", "_host")
    __array_ufunc__ = None  # NumPy's operators hand over to ours, its ufuncs raise TypeError
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape, dtype=float, order="C"):
        self._host, self._base = numpy.empty(shape, dtype, order=order), None

    def __array_function__(self, function, kinds, args, kwargs):
        return NotImplemented

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    ndim, size, strides, itemsize, nbytes, dtype, shape = (
        property(operator.attrgetter(f"_host.{name}"))
        for name in ("ndim", "size", "strides", "itemsize", "nbytes", "dtype", "shape")
    )
    T, mT, real, imag = (
        property(lambda self, get=operator.attrgetter(name): _result(get(self._host), self))
        for name in ("T", "mT", "real", "imag")
    )
    base = property(operator.attrgetter("_base"))
    flags = property(Flags)
    device = property(lambda self: Device(0))
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))

    @shape.setter
    def shape(self, shape):
        self._host = self._host.reshape(shape, copy=False) if self._base else self._host
        if self._base is None:
            self._host.shape = shape

    def get(self, stream=None, order="C", out=None, blocking=True):
        _count("to_host")
        if out is None:
            return numpy.array(self._host, order=order)
        out[...] = self._host
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, numpy.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        _count("to_device")
        self._host[...] = arr

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting is not supported yet")
        with _silent():
            return _result(self._host.astype(dtype, order, copy=copy), self)

    def view(self, dtype=None):
        return _result(self._host.view(*(() if dtype is None else (dtype,))), self)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        key, mask = _index(self._host, key)
        if mask:
            _count("waits")
        return _result(self._host[key], self)

    def __setitem__(self, key, value):
        if isinstance(value, (list, tuple)) or (isinstance(value, numpy.ndarray) and value.ndim):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        value = value if isinstance(value, numpy.ndarray) else _operand(value)
        with _silent():
            self._host[_index(self._host, key)[0]] = value

    def __bool__(self):
        if self.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
        return bool(self.get())

    def __copy__(self):
        return _own(self._host.copy())

    def __deepcopy__(self, memo):
        return _own(self._host.copy())

    def __reduce__(self):
        return array, (self.get(),)

    def __format__(self, spec):
        return format(self.get(), spec)


def _conversion(name):
    return lambda self: getattr(self.get(), name)()


def _unary(name):
    host = getattr(numpy.ndarray, name)

    def method(self):
        return _result(host(self._host), self)

    return method


def _binary(name, check=_operand):
    host = getattr(numpy.ndarray, name)

    def method(self, other):
        value = check(other)
        with _silent():
            return _result(host(self._host, value), self)

    return method


for _name in "int float complex str repr".split():
    setattr(ndarray, f"__{_name}__", _conversion(f"__{_name}__"))
for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))
for _name in "add sub mul truediv floordiv mod pow lshift rshift and or xor".split():
    for _form in ("", "r", "i"):
        setattr(ndarray, f"__{_form}{_name}__", _binary(f"__{_form}{_name}__"))
for _name in "eq ne lt le gt ge divmod rdivmod".split():
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
for _name in "matmul rmatmul".split():
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__", _array))

# --- Functions -------------------------------------------------------------------------------


def _not_array_positions(name):
    try:
        parameters = inspect.signature(getattr(numpy, name)).parameters
    except (AttributeError, TypeError, ValueError):
        return frozenset()
    return frozenset(i for i, p in enumerate(parameters) if p in NOT_ARRAYS)


def _check_arrays(name, args, kwargs):
    """Refuse, before NumPy sees them, the arguments where CuPy wants device arrays."""
    first = args[0] if args else next(iter(kwargs.values()), None)
    if name in ALL_ARRAYS:
        for x in args[1:] if name == "einsum" else args:
            _array(x)
    elif name in SEQUENCE and isinstance(first, (list, tuple)):
        for x in first:
            _strip(x) if name == "select" else _array(x)
    elif name not in ANYTHING:
        for x in args[: 2 if name in PAIRS else 1] or [first]:
            _array(x)
        if name in OPERANDS:
            for x in args[1:]:
                _operand(0 if x is None or isinstance(x, str) else x)
    if name == "matmul" and len(args) > 2:
        raise TypeError("matmul() takes its output as out=")
    if (kind := kwargs.get("kind")) not in (None, "stable") and name == "argsort":
        raise ValueError(f"kind can only be None or 'stable', not {kind!r}")


def _function(name, host, method=False):
    """CuPy's function `name`, computed by NumPy's `host`."""
    refused = NEVER | {k for ks, names in LACKS.items() if name in names.split() for k in ks.split()}
    refused = (refused - {"min", "max"} if method else refused) | {"where"} - {"where" * (name == "copyto")}
    skip = _not_array_positions(name)
    no_arrays = name in SIZES or name in ("reshape", "transpose")
    if name in ("take", "put"):
        host = functools.partial(host, mode="wrap")

    def call(*args, **kwargs):
        if kwargs and not refused.isdisjoint(kwargs):
            keyword = next(k for k in kwargs if k in refused)
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")
        if name not in SIZES:
            _check_arrays(name, args, kwargs)
        if name in WAITS or (name == "where" and len(args) == 1):
            _count("waits")
        ...
    return call
