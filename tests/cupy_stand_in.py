"""A strict stand-in for CuPy, so that a machine without a GPU finds what would break on one.

    with install():                       # sys.modules["cupy"] is the stand-in inside the block
        use("cupy")                       # the library now computes on `ndarray` below
        ...
    with count_transfers() as counts:     # counts.to_host, counts.to_device, counts.waits
    with forbid_transfers():              # whatever waits for the GPU is an AssertionError

Numbers come from NumPy; names, keywords and refusals are those of CuPy 14.2:
- a device array mixed with a NumPy array, or converted to one silently, is a TypeError;
- reductions and a[0, 0] are 0-d device arrays. float(), int(), bool(), str(), .item(), .tolist(),
  .get() and asnumpy() count as transfers, a result whose size depends on data (nonzero, unique,
  a[mask]) as a wait. There is no __index__: a device number is no size, axis or list position;
- ids out of range wrap silently in take, a[ids] and add.at; floating point errors are silent;
- there is no errstate, einsum_path, insert, block, nditer ...; no sum(initial=, where=),
  take(mode=), clip(a, min=), einsum(out=), std(correction=), and no matmul(a, b, out) by position;
- .at, .reduce, .accumulate and .reduceat exist for few ufuncs, and .at for few types:
  subtract.at takes no floats. a @= b binds a new array. argsort knows no kind but "stable";
- `base` is the array that owns the memory, the same object for every view of it.

Stricter than CuPy: functions of the real `numpy` refuse device arrays (CuPy takes some of them
over); functions of the module, indexing and `.at` refuse NumPy arrays (CuPy converts a few, and
computes a few on the host); lists of numbers are arrays for array(), asarray(), take and a[list].
Missing although CuPy has it: files, fft, polynomials, c_, r_, mgrid, kernels, `flat`,
setting `shape`, dtype= of the old random functions, names that NumPy 2 dropped. Not imitated:
speed, rounding, memory order, the undefined winner of a[ids] = b with repeated ids. A function in
`fuse` may use what CuPy fuses: ufuncs, operators, where, a[...] = b and the dtype. Where CuPy would
fuse it in another, slower way, such as with an index or a sum, it is a TypeError here.

A stream records what writes into arrays that exist: fused functions, ufuncs with `out`, in-place
operators, a[...] = b, copyto and cuBLAS; nothing is computed before the graph is launched. A new
array or a transfer meanwhile is a RuntimeError. cuBLAS itself, which `common.np` calls through
ctypes, is imitated on the addresses that it is given.
"""

import contextlib
import ctypes
import functools
import inspect
import operator
import sys
import types
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from unittest import mock

import numpy

words = str.split

# --- What CuPy has -------------------------------------------------------------------------------

NAMES = words("""
abs absolute acos acosh add all allclose amax amin angle any append arange arccos arccosh arcsin
arcsinh arctan arctan2 arctanh argmax argmin argpartition argsort argwhere around array_equal
array_equiv array_split ascontiguousarray asfortranarray asin asinh astype atan atan2 atanh
atleast_1d atleast_2d atleast_3d average bartlett bincount bitwise_and bitwise_count bitwise_invert
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman bool bool_
broadcast_arrays broadcast_shapes broadcast_to byte can_cast cbrt cdouble ceil choose clip
column_stack common_type complex128 complex64 complexfloating compress concat concatenate conj
conjugate convolve copy copysign copyto corrcoef correlate cos cosh count_nonzero cov cross csingle
cumprod cumsum cumulative_prod cumulative_sum deg2rad degrees delete diag diag_indices
diag_indices_from diagflat diagonal diff digitize divide divmod dot double dsplit dstack dtype e
ediff1d einsum empty empty_like equal euler_gamma exceptions exp exp2 expand_dims expm1 extract eye
fabs fill_diagonal finfo fix flatnonzero flip fliplr flipud float16 float32 float64 float_power
floating floor floor_divide fmax fmin fmod frexp full_like gcd generic gradient greater
greater_equal half hamming hanning heaviside histogram histogram2d histogramdd hsplit hstack hypot
i0 identity iinfo imag index_exp indices inexact inf inner int16 int32 int64 int8 int_ intc integer
interp intersect1d intp invert isclose iscomplex iscomplexobj isdtype isfinite isfortran isin isinf
isnan isneginf isposinf isreal isrealobj isscalar issubdtype iterable ix_ kaiser kron lcm ldexp
left_shift less less_equal lexsort linspace log log10 log1p log2 logaddexp logaddexp2 logical_and
logical_not logical_or logical_xor logspace long longlong mask_indices matmul matrix_transpose max
maximum may_share_memory mean median meshgrid min min_scalar_type minimum mintypecode mod modf
moveaxis multiply nan nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian
nanmin nanprod nanstd nansum nanvar ndim ndindex negative newaxis nextafter nonzero not_equal number
ones ones_like outer packbits pad partition percentile permute_dims pi place positive pow power prod
promote_types ptp put put_along_axis putmask quantile rad2deg radians ravel ravel_multi_index real
real_if_close reciprocal remainder repeat require reshape resize result_type right_shift rint roll
rollaxis rot90 round s_ searchsorted select setdiff1d setxor1d shape shares_memory short sign
signbit signedinteger sin sinc single sinh size sort sort_complex split sqrt square squeeze stack
std subtract sum swapaxes take take_along_axis tan tanh tensordot tile trace transpose trapezoid tri
tril tril_indices tril_indices_from trim_zeros triu triu_indices triu_indices_from true_divide trunc
typename ubyte uint uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong union1d unique unique_all
unique_counts unique_inverse unique_values unpackbits unravel_index unsignedinteger ushort var vdot
vsplit vstack where zeros zeros_like""")
METHODS = words("""
all any argmax argmin argpartition argsort byteswap choose clip compress conj conjugate copy cumprod
cumsum diagonal dot fill flatten max mean min nonzero partition prod put ravel repeat reshape round
searchsorted sort squeeze std sum swapaxes take trace transpose var""")
LINALG = words("""
cholesky cond cross det eig eigh eigvals eigvalsh inv lstsq matmul matrix_power matrix_rank
matrix_transpose norm pinv qr slogdet solve svd tensorinv tensorsolve""")
RANDOM = words("""
beta binomial chisquare dirichlet exponential f gamma geometric gumbel hypergeometric laplace
logistic lognormal logseries multinomial multivariate_normal negative_binomial noncentral_chisquare
noncentral_f normal pareto poisson power rand randint randn random random_sample rayleigh
standard_cauchy standard_exponential standard_gamma standard_normal standard_t triangular uniform
vonmises wald weibull zipf""")
GENERATOR = words("""
beta binomial chisquare dirichlet exponential f gamma geometric hypergeometric integers logseries
poisson power random standard_exponential standard_gamma standard_normal uniform""")

INTS, FLOATS = "int32 int64 uint32 uint64", "float32 float64"
AT = {
    "add": f"{INTS} float16 {FLOATS}", "maximum": f"{INTS} {FLOATS}", "minimum": f"{INTS} {FLOATS}",
    "subtract": "int32 uint32", "bitwise_and": INTS, "bitwise_or": INTS, "bitwise_xor": INTS,
}  # fmt: skip
UFUNC_METHODS = {"add": "outer reduce accumulate reduceat", "multiply": "outer reduce accumulate"}

# Keywords of NumPy that no function of CuPy takes, and those that single functions lack.
NEVER = frozenset(words("correction device hermitian initial like sorted stable upper where"))
LACKS = {
    "kind": "argpartition isin partition", "order": "argpartition argsort partition sort",
    "min max": "clip", "mode": "take", "out order casting": "einsum", "keepdims": "count_nonzero",
    "axis": "lexsort trim_zeros", "weights": "percentile quantile", "sparse": "indices",
    "subok": "broadcast_arrays broadcast_to copy matmul", "rtol": "matrix_rank pinv",
    "shape": "reshape unravel_index", "arrays": "concat concatenate stack", "ary": "ediff1d",
    "m": "cov flip fliplr flipud rot90", "mean": "nanstd nanvar std var", "obj": "delete",
    "arr": "extract take_along_axis",
}  # fmt: skip

# What functions want of their arguments: sizes only, anything, a sequence of arrays, nothing but
# arrays, two arrays, arrays or scalars. All others want an array first.
SIZES = words("""arange bartlett blackman diag_indices empty eye hamming hanning identity indices
kaiser linspace logspace mask_indices ones tri tril_indices triu_indices zeros""")
ANYTHING = words("""broadcast_shapes can_cast common_type iscomplexobj isdtype isrealobj isscalar
issubdtype iterable min_scalar_type mintypecode ndim promote_types result_type shape typename""")
SEQUENCES = words("column_stack concat concatenate dstack hstack select stack vstack")
ALL_ARRAYS = words("atleast_1d atleast_2d atleast_3d broadcast_arrays einsum ix_ meshgrid")
PAIRS = words("""cross dot inner kron matmul may_share_memory outer shares_memory solve tensordot
vdot""")
OPERANDS = words("allclose array_equal clip fill isclose searchsorted where")
WAITS = words("""argwhere bincount compress extract flatnonzero histogram intersect1d nonzero
setdiff1d setxor1d trim_zeros union1d unique unique_all unique_counts unique_inverse
unique_values""")
DEVICE_SCALARS = words("allclose array_equal array_equiv count_nonzero")
NOT_ARRAYS = words("""axes axis axis1 axis2 ddof decimals destination indices_or_sections k kth
minlength newshape num offset pad_width reps sections shape shift size source""")

# --- Counting what waits for the GPU -------------------------------------------------------------


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
    if _recorded is not None:
        raise RuntimeError(f"a stream is recording, and this waits for the GPU ({kind})")
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


# --- Streams and graphs --------------------------------------------------------------------------

_recorded: list[functools.partial] | None = None  # by the stream that records


def _deferred(call, *args, **kwargs):
    """Whether a stream is recording; it then keeps the call for later."""
    if _recorded is None:
        return False
    _recorded.append(functools.partial(call, *args, **kwargs))
    return True


class Stream:
    """Work is done at once, in the order of the calls, or recorded."""

    null: "Stream"
    _current: list["Stream"] = []  # noqa: RUF012 - of all streams

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else id(self)

    def __enter__(self):
        self._current.append(self)
        return self

    def __exit__(self, *error):
        self._current.pop()

    def synchronize(self):
        _count("waits")

    def begin_capture(self, mode=None):
        global _recorded
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        _recorded = []

    def end_capture(self):
        global _recorded
        calls, _recorded = _recorded, None
        return Graph(calls)


Stream.null = Stream(null=True)


class Graph:
    """What a stream has recorded."""

    def __init__(self, calls):
        self._calls = calls

    def launch(self, stream=None):
        for call in self._calls:
            call()

    def __reduce__(self):
        raise TypeError("no default __reduce__ due to non-trivial __cinit__")


def get_current_stream(device_id=-1):
    return Stream._current[-1] if Stream._current else Stream.null


# --- cuBLAS --------------------------------------------------------------------------------------


def _c_function(prototype, function):
    """A function that C declares with these types of arguments: whoever calls it must say so."""
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int, "z": ctypes.c_size_t}
    types = [kinds[letter] for letter in prototype.replace(" ", "")]

    def call(*args):
        assert call.argtypes == types
        for kind, x in zip(types, args, strict=True):
            kind.from_param(x)  # a TypeError, if this is none
        return function(*args)

    return call


def _gemm(kind):
    def gemm(handle, a_turned, b_turned, m, n, k, alpha, a, a_width, b, b_width, beta, c, c_width):
        """C = alpha * A @ B + beta * C, by columns: A, B and C by address."""
        given = a_turned, b_turned, m, n, k, alpha, a, a_width, b, b_width, beta, c, c_width
        if _deferred(gemm, handle, *given):
            return 0
        least = k if a_turned else m, n if b_turned else k, m
        if any(map(operator.lt, (a_width, b_width, c_width), least)):
            return 7  # CUBLAS_STATUS_INVALID_VALUE

        def at(address, rows, columns, width):
            size = (columns - 1) * width + rows if rows and columns else 0
            flat = numpy.frombuffer((kind * size).from_address(address), kind)
            step = flat.itemsize
            return numpy.lib.stride_tricks.as_strided(flat, (rows, columns), (step, width * step))

        A = at(a, k, m, a_width).T if a_turned else at(a, m, k, a_width)
        B = at(b, n, k, b_width).T if b_turned else at(b, k, n, b_width)
        C = at(c, m, n, c_width)
        with _silent():
            C[...] = alpha._obj.value * (A @ B) + (beta._obj.value * C if beta._obj.value else 0)
        return 0

    return gemm


def cublas():
    """The functions of libcublas that `common.np` calls. Their results are states, 0 if well."""
    return types.SimpleNamespace(
        cublasCreate_v2=_c_function("p", lambda handle: 0),
        cublasSetStream_v2=_c_function("pp", lambda handle, stream: 0),
        cublasSetWorkspace_v2=_c_function("ppz", lambda handle, address, size: 0),
        cublasSgemm_v2=_c_function("p iiiii p pi pi p pi", _gemm(ctypes.c_float)),
        cublasDgemm_v2=_c_function("p iiiii p pi pi p pi", _gemm(ctypes.c_double)),
    )


# --- Between device and host arrays --------------------------------------------------------------

OVERRIDE = "__cupy_override_elementwise_kernel__"  # a method that ufuncs and operators hand over to
_silent = functools.partial(numpy.errstate, all="ignore")
_SCALARS = (bool, int, float, complex, numpy.number, numpy.bool_)


def _array(x):
    if type(x) is not ndarray:
        raise TypeError(f"Unsupported type {type(x)}")
    return x._host


def _operand(x):
    """Device arrays and scalars: all that elementwise work accepts."""
    if type(x) is ndarray:
        return x._host
    if isinstance(x, _SCALARS):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def _strip(x):
    """Host arrays in place of device arrays, also inside lists; no host array may come in."""
    kind = type(x)
    if kind is ndarray:
        return x._host
    if kind is tuple or kind is list:
        return kind(map(_strip, x))
    if isinstance(x, numpy.ndarray):
        raise TypeError(f"Unsupported type {kind}")
    return x


def _leaves(x):
    if isinstance(x, (tuple, list)):
        for y in x:
            yield from _leaves(y)
    else:
        yield x


def _owner(host):
    while isinstance(host.base, numpy.ndarray):
        host = host.base
    return host


def _own(host, base=None):
    if host.dtype.char not in "?bhilqBHILQefdFD":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    if base is None and _recorded is not None:
        raise RuntimeError("a stream is recording, and this makes an array")
    x = ndarray.__new__(ndarray)
    x._host, x._base = host, base
    return x


def _result(value, *sources):
    """The device array for a NumPy result: one of the sources, a view of one, or a new array."""
    if isinstance(value, numpy.ndarray):
        owner = _owner(value)
        for x in _leaves(sources):
            if type(x) is ndarray:
                if value is x._host:
                    return x
                if owner is not value and owner is _owner(x._host):
                    return _own(value, x if x._base is None else x._base)
        return _own(value)
    if isinstance(value, numpy.generic):
        return _own(numpy.asarray(value))
    if isinstance(value, (tuple, list)):
        make = getattr(value, "_make", type(value))
        return make([_result(v, *sources) for v in value])
    return value


def _index(host, key):
    """-> the key for the host array with ids wrapped into range, and whether it holds a mask."""
    parts = key if type(key) is tuple else (key,)
    if not any(isinstance(p, (ndarray, list, numpy.ndarray)) for p in parts):
        return key, False
    parts = [numpy.asarray(_strip(p)) if isinstance(p, list) else _strip(p) for p in parts]
    masks = [isinstance(p, numpy.ndarray) and p.dtype == bool for p in parts]
    used = [
        p.ndim if mask else int(p is not None and p is not Ellipsis)
        for p, mask in zip(parts, masks, strict=True)
    ]
    axis = 0
    for i, p in enumerate(parts):
        if isinstance(p, numpy.ndarray) and not masks[i]:
            if p.dtype.kind not in "iu" and p.size:
                raise IndexError("arrays used as indices must be of integer or boolean type")
            size = host.shape[axis] if axis < host.ndim else 1
            parts[i] = p.astype(numpy.int64) % max(size, 1)
        axis += host.ndim - sum(used) if p is Ellipsis else used[i]
    return (tuple(parts) if type(key) is tuple else parts[0]), any(masks)


# --- The array -----------------------------------------------------------------------------------


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

    base = property(lambda self: self._base)
    device = property(lambda self: Device(0))
    flags = property(
        lambda self: types.SimpleNamespace(
            c_contiguous=self._host.flags.c_contiguous,
            f_contiguous=self._host.flags.f_contiguous,
            owndata=self._base is None,
        )
    )
    data = property(lambda self: types.SimpleNamespace(ptr=self._host.ctypes.data))

    def get(self, stream=None, order="C", out=None, blocking=True):
        _count("to_host")
        if out is None:
            return numpy.array(self._host, order=order)
        out[...] = self._host
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, numpy.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self._host.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self._host.dtype} array")
        if arr.shape != self._host.shape:
            raise ValueError(f"Shape mismatch: {self._host.shape} and {arr.shape}")
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
        return _result(self._host.view() if dtype is None else self._host.view(dtype), self)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self._host.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._host)))

    def __getitem__(self, key):
        key, mask = _index(self._host, key)
        if mask:
            _count("waits")
        value = self._host[key]
        if isinstance(value, numpy.generic):  # a[0, 0] is a 0-d view
            value = self._host[(*key, ...) if type(key) is tuple else (key, ...)]
        return _result(value, self)

    def __setitem__(self, key, value):
        if _deferred(self.__setitem__, key, value):
            return
        if isinstance(value, (list, tuple)) or (isinstance(value, numpy.ndarray) and value.ndim):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        value = value if isinstance(value, numpy.ndarray) else _operand(value)
        with _silent():
            self._host[_index(self._host, key)[0]] = value

    def __bool__(self):
        if self._host.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous")
        return bool(self.get())

    def __copy__(self):
        return _own(self._host.copy())

    def __deepcopy__(self, memo):
        return _own(self._host.copy())

    def __reduce__(self):
        return array, (self.get(),)

    def __format__(self, spec):
        return format(self.get(), spec)


def _read(name):
    return property(lambda self: getattr(self._host, name))


def _part(name):
    return property(lambda self: _result(getattr(self._host, name), self))


def _conversion(name):
    return lambda self: getattr(self.get(), name)()


def _unary(name):
    return lambda self: _result(getattr(self._host, name)(), self)


def _binary(name, operand=_operand):
    host = getattr(numpy.ndarray, name)

    def method(self, other):
        if hasattr(other, OVERRIDE):
            return getattr(other, OVERRIDE)(method, self, other)
        if name.startswith("__i") and _deferred(method, self, other):
            return self
        other = operand(other)
        with _silent():
            return _result(host(self._host, other), self)

    return method


for _name in words("ndim size shape strides itemsize nbytes dtype"):
    setattr(ndarray, _name, _read(_name))
for _name in words("T mT real imag"):
    setattr(ndarray, _name, _part(_name))
for _name in words("int float complex str repr"):
    setattr(ndarray, f"__{_name}__", _conversion(f"__{_name}__"))
for _name in words("neg pos abs invert"):
    setattr(ndarray, f"__{_name}__", _unary(f"__{_name}__"))
for _name in words("add sub mul truediv floordiv mod pow lshift rshift and or xor"):
    for _form in ("", "r", "i"):
        setattr(ndarray, f"__{_form}{_name}__", _binary(f"__{_form}{_name}__"))
for _name in words("eq ne lt le gt ge divmod rdivmod"):
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
for _name in ("__matmul__", "__rmatmul__"):
    setattr(ndarray, _name, _binary(_name, _array))

# --- Functions -----------------------------------------------------------------------------------


def _argsort(a, axis=-1, kind=None):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return numpy.argsort(a, axis, kind=kind)


SPECIAL = {
    "argsort": _argsort,
    "matmul": lambda a, b, **keywords: numpy.matmul(a, b, **keywords),
    "put": functools.partial(numpy.put, mode="wrap"),
    "take": functools.partial(numpy.take, mode="wrap"),
}


def _must_be_arrays(name):
    """-> a function that picks, out of the positional arguments, those that CuPy wants as arrays"""
    if name in SIZES or name in ANYTHING:
        return lambda args: ()
    if name in ALL_ARRAYS:
        return lambda args: args[name == "einsum" :]
    if name in SEQUENCES:
        return lambda args: args[0] if isinstance(args[0], (list, tuple)) else args[:1]
    return lambda args: args[: 2 if name in PAIRS else 1]


def _unwrapping(name):
    """-> the function that turns an argument into what NumPy gets"""
    if name in SIZES:
        return lambda x: x  # a device array has no __index__, so NumPy refuses it
    if name in ANYTHING:
        return lambda x: x._host if type(x) is ndarray else x
    if name in OPERANDS:
        return lambda x: x if x is None or isinstance(x, str) else _operand(x)
    return _strip


def _positions(name):
    """Where in a call `name` takes no arrays, as far as NumPy tells."""
    try:
        parameters = inspect.signature(getattr(numpy, name)).parameters
    except (AttributeError, TypeError, ValueError):
        return frozenset()
    return frozenset(i for i, parameter in enumerate(parameters) if parameter in NOT_ARRAYS)


def _function(name, host, wanted=None, method=False):
    """CuPy's function `name`, computed by NumPy's `host`."""
    refused = NEVER.union(*(k.split() for k, names in LACKS.items() if name in names.split()))
    refused -= {"where"} if name == "copyto" else {"min", "max"} if method else set()
    wanted, unwrap, positions = wanted or _must_be_arrays(name), _unwrapping(name), _positions(name)
    if method and name in ("reshape", "transpose"):
        positions = range(1, 99)
    waits, scalar, host = name in WAITS, name in DEVICE_SCALARS, SPECIAL.get(name, host)

    def call(*args, **kwargs):
        if any(type(x) is _Variable for x in args):
            if name != "where":
                raise TypeError(f"{name} is no part of an elementwise kernel")
            return _fused_call(call, *args, **kwargs)
        if not refused.isdisjoint(kwargs):
            keyword = next(k for k in kwargs if k in refused)
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")
        for x in wanted(args):
            _array(x)
        if name == "copyto" and _deferred(call, *args, **kwargs):
            return None
        if waits or (name == "where" and len(args) == 1):
            _count("waits")
        inputs = [x if i in positions else unwrap(x) for i, x in enumerate(args)]
        keywords = {k: x if k in NOT_ARRAYS else unwrap(x) for k, x in kwargs.items()}
        with _silent():
            value = host(*inputs, **keywords)
        return _result(numpy.asarray(value) if scalar else value, args, kwargs.get("out"))

    call.__name__ = name
    return call


class ufunc:
    def __init__(self, host):
        self._host, self.nin, self.nout, self.nargs = host, host.nin, host.nout, host.nargs
        self.name = self.__name__ = f"cupy_{host.__name__}"

    def __call__(self, *args, **kwargs):
        if any(type(x) is _Variable for x in (*args, *kwargs.values())):
            return _fused_call(self, *args, **kwargs)
        for x in args:
            if hasattr(x, OVERRIDE):
                return getattr(x, OVERRIDE)(self, *args, **kwargs)
        if kwargs.get("out") is not None and _deferred(self, *args, **kwargs):
            return kwargs["out"]
        outs = args[self.nin :]
        inputs = [_operand(x) for x in args]
        if kwargs:
            if not kwargs.keys() <= {"out", "where", "dtype", "casting"}:
                raise TypeError(f"Wrong arguments {kwargs}")
            outs += (kwargs.get("out"),)
            if "where" in kwargs:
                kwargs["where"] = _array(kwargs["where"])
            if kwargs.get("out") is not None:
                kwargs["out"] = tuple(_array(x) for x in _leaves(kwargs["out"]))
        with _silent():
            return _result(self._host(*inputs, **kwargs), outs)

    def at(self, a, indices, b=None):
        name, host = self._host.__name__, _array(a)
        if name not in AT:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if host.dtype.name not in AT[name].split():
            raise TypeError(f"cupy.{name}.at only supports {AT[name]} as data type")
        self._host.at(host, _index(host, indices)[0], _operand(b))


def _ufunc_method(name):
    def method(self, a, *args, **kwargs):
        if name not in UFUNC_METHODS.get(self._host.__name__, "outer").split():
            raise NotImplementedError(f"`{self.name}.{name}` is not supported yet")
        if kwargs.keys() & {"initial", "where"}:
            raise TypeError(f"Wrong arguments {kwargs}")
        inputs, keywords = map(_strip, args), {k: _strip(v) for k, v in kwargs.items()}
        with _silent():
            value = getattr(self._host, name)(_array(a), *inputs, **keywords)
        return _result(value, kwargs.get("out"))

    return method


for _name in words("reduce accumulate reduceat outer"):
    setattr(ufunc, _name, _ufunc_method(_name))
for _name in METHODS:
    setattr(ndarray, _name, _function(_name, getattr(numpy.ndarray, _name), method=True))


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    on_device = [type(x) is ndarray for x in _leaves(obj)]
    if not any(on_device):
        _count("to_device")
        return _own(numpy.array(obj, dtype, order=order, ndmin=ndmin))
    if not all(on_device):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")
    host = numpy.array(_strip(obj), dtype, copy=copy or None, order=order, ndmin=ndmin)
    return _result(host, obj)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, copy, order or "K")


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(stream, order, out) if type(a) is ndarray else numpy.asarray(a)


def full(shape, fill_value, dtype=None, order="C"):
    return _own(numpy.full(shape, _operand(fill_value), dtype, order))


def fuse(function):
    """The function, kept to what CuPy turns into a single elementwise kernel."""

    def kernel(*args):
        if not any(type(x) is ndarray for x in args):
            return function(*args)
        if _deferred(kernel, *args):
            return None
        for x in args:
            if type(x) not in (ndarray, int, float):
                raise TypeError(f"Invalid argument type for '{function.__name__}': {type(x)}")
        value = function(*[_Variable(x) for x in args])
        return value._content if type(value) is _Variable else value

    return functools.update_wrapper(kernel, function)


class _Variable:
    """An argument or a value inside a fused function: an array, or a number that CuPy knows not."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, content):
        self._content = content

    dtype = property(lambda self: numpy.asarray(_operand(self._content)).dtype)

    def __bool__(self):
        raise TypeError("Can't cast to bool")

    def __setitem__(self, key, value):
        if key is not Ellipsis:
            raise ValueError("The fusion supports `[...]` or `[:]`.")
        self._content[...] = value._content if type(value) is _Variable else value


def _fused_call(function, *args, **kwargs):
    """A ufunc, an operator or where among variables -> a variable."""
    inputs = [x._content if type(x) is _Variable else x for x in args]
    keywords = {k: x._content if type(x) is _Variable else x for k, x in kwargs.items()}
    if type(inputs[0]) is not ndarray and all(type(x) is not ndarray for x in inputs):
        raise TypeError("arithmetic of numbers alone is float64 in a kernel: do it before")
    return _Variable(function(*inputs, **keywords))


def _fused_operator(name):
    operation = getattr(operator, name)

    def method(self, *others):
        return _fused_call(operation, self, *others)

    def reflected(self, other):
        return _fused_call(operation, other, self)

    return method, reflected


def _fused_in_place(name):
    operation = getattr(operator, name)

    def method(self, other):
        if type(self._content) is not ndarray:
            raise TypeError("a number cannot be changed in place")
        return _fused_call(operation, self, other)

    return method


for _name in words("add sub mul truediv floordiv mod pow and or xor lshift rshift"):
    _operation = f"__{_name}__"
    _plain, _reflected = _fused_operator(_operation)
    setattr(_Variable, _operation, _plain)
    setattr(_Variable, f"__r{_name}__", _reflected)
    setattr(_Variable, f"__i{_name}__", _fused_in_place(f"__i{_name}__"))
for _name in words("__neg__ __invert__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__"):
    setattr(_Variable, _name, _fused_operator(_name)[0])


def get_array_module(*args):
    return cupy if any(type(x) is ndarray for x in args) else numpy


# --- The modules ---------------------------------------------------------------------------------


class Device:
    def __init__(self, device=0):
        self.id = device

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def use(self):
        return self

    def synchronize(self):
        _count("waits")


def _namesake(name):
    """CuPy's thing of this name, made from NumPy's."""
    host = getattr(numpy, name)
    if isinstance(host, numpy.ufunc) and name != "matmul":
        return ufunc(host)
    return host if isinstance(host, type) or not callable(host) else _function(name, host)


def _drawn(name, host):
    return _function(name, host, wanted=lambda args: ())


class Generator:
    def __init__(self, host):
        for name in GENERATOR:
            setattr(self, name, _drawn(name, getattr(host, name)))


def _choice(a, size=None, replace=True, p=None):
    if size is None or (p is not None and not replace):
        raise NotImplementedError
    a = a if isinstance(a, int) else array(a, copy=False)._host
    if p is not None:
        _count("waits")  # the sum of p
        p = array(p)._host.astype(float)
        p = p / p.sum() if numpy.allclose(p.sum(), 1) else p
    return _result(_state.choice(a, size, replace, p))


def _permutation(a):
    order = _own(_state.permutation(a if isinstance(a, int) else len(a)))
    return order if isinstance(a, int) else a[order]


def _shuffle(a):
    _array(a)[...] = _permutation(a)._host


def _default_rng(seed=None):
    if isinstance(seed, numpy.random.Generator):
        raise TypeError(f"SeedSequence expects int or sequence of ints for entropy not {seed}")
    return seed if isinstance(seed, Generator) else Generator(numpy.random.default_rng(seed))


def _module(name, **names):
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(names)
    return module


_state = numpy.random.RandomState()
cuda = _module(
    "cupy.cuda",
    Device=Device,
    Stream=Stream,
    Graph=Graph,
    get_current_stream=get_current_stream,
    is_available=lambda: True,
    runtime=types.SimpleNamespace(
        getDevice=lambda: 0,
        getDeviceCount=lambda: 1,
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}),
    ),
)
linalg = _module("cupy.linalg", LinAlgError=numpy.linalg.LinAlgError)
linalg.__dict__.update({n: _function(n, getattr(numpy.linalg, n)) for n in LINALG})
random = _module(
    "cupy.random",
    Generator=Generator,
    default_rng=_default_rng,
    choice=_choice,
    permutation=_permutation,
    shuffle=_shuffle,
    seed=lambda seed=None: _state.seed(seed),
    **{n: _drawn(n, getattr(_state, n)) for n in RANDOM},
)
cupy = _module(
    "cupy",
    __version__="14.2.0",
    **{name: _namesake(name) for name in NAMES if hasattr(numpy, name)},
    **{f.__name__: f for f in (ndarray, ufunc, array, asarray, asnumpy, full, fuse)},
    get_array_module=get_array_module,
    asanyarray=asarray,
    cuda=cuda,
    linalg=linalg,
    random=random,
    is_available=cuda.is_available,
    get_default_memory_pool=lambda: types.SimpleNamespace(
        used_bytes=lambda: 0, total_bytes=lambda: 0, free_all_blocks=lambda: None
    ),
)


@contextlib.contextmanager
def install():
    """Put the stand-in into sys.modules["cupy"] for the block; `cupyx` cannot be imported in it."""
    ours = {m.__name__: m for m in (cupy, cuda, linalg, random)} | {"cupyx": None}
    before = {name: sys.modules[name] for name in ours if name in sys.modules}
    sys.modules.update(ours)  # type: ignore[arg-type]
    try:
        with mock.patch("common.np._cublas", cublas):
            yield cupy
    finally:
        for name in ours:
            del sys.modules[name]
        sys.modules.update(before)
