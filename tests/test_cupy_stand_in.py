"""The stand-in for CuPy refuses what CuPy refuses, computes what NumPy computes, and counts."""

import copy
import importlib
import math
import pickle
import sys

import numpy
import pytest
from numpy.testing import assert_array_equal

from tests.cupy_stand_in import count_transfers, cupy, forbid_transfers, install

np = cupy
HOST = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)


@pytest.fixture
def a():
    return np.asarray(HOST)


@pytest.fixture
def ids():
    return np.asarray([1, 0])


MIXED = {
    "device + host": lambda a, h: a + h,
    "host + device": lambda a, h: h + a,
    "device + 0-d host": lambda a, h: a + numpy.array(1.0),
    "host @ device": lambda a, h: h @ a.T,
    "device @ host": lambda a, h: a @ h.T,
    "device += host": lambda a, h: a.__iadd__(h),
    "host += device": lambda a, h: h.copy().__iadd__(a),
    "device == host": lambda a, h: a == h,
    "host < device": lambda a, h: h < a,
    "device == None": lambda a, h: a == None,  # noqa: E711
    "device + list": lambda a, h: np.add(a, [1.0, 2.0, 3.0]),
    "numpy.tanh(device)": lambda a, h: numpy.tanh(a),
    "numpy.add(host, device)": lambda a, h: numpy.add(h, a),
    "numpy.add(out=device)": lambda a, h: numpy.add(h, h, out=a),
    "numpy.dot": lambda a, h: numpy.dot(h, a.T),
    "numpy.sum": lambda a, h: numpy.sum(a),
    "numpy.concatenate": lambda a, h: numpy.concatenate([h, a]),
    "numpy.asarray": lambda a, h: numpy.asarray(a),
    "numpy.array of a list": lambda a, h: numpy.array([a, a]),
    "numpy.float32": lambda a, h: numpy.float32(a[0, 0]),
    "host[device]": lambda a, h: h[np.asarray([0, 1])],
    "host[...] = device": lambda a, h: h.copy().__setitem__(..., a),
    "device[host]": lambda a, h: a[numpy.array([0, 1])],
    "device[host] = 1": lambda a, h: a.__setitem__(numpy.array([0, 1]), 1),
    "cupy.tanh(host)": lambda a, h: np.tanh(h),
    "cupy.maximum": lambda a, h: np.maximum(a, h),
    "cupy.add(out=host)": lambda a, h: np.add(a, a, out=h),
    "cupy.sum": lambda a, h: np.sum(h),
    "cupy.sum of a list": lambda a, h: np.sum([1.0, 2.0]),
    "cupy.sum(out=host)": lambda a, h: np.sum(a, axis=0, out=h[0]),
    "cupy.dot": lambda a, h: np.dot(a, h.T),
    "cupy.dot of a number": lambda a, h: np.dot(a, 2.0),
    "cupy.matmul": lambda a, h: np.matmul(h, a.T),
    "cupy.where": lambda a, h: np.where(a > 1, a, h),
    "cupy.where of a Python bool": lambda a, h: np.where(True, a, a),
    "cupy.stack": lambda a, h: np.stack([a, h]),
    "cupy.concatenate": lambda a, h: np.concatenate((a, h)),
    "cupy.einsum": lambda a, h: np.einsum("ij,ij", a, h),
    "cupy.take": lambda a, h: np.take(a, numpy.array([0])),
    "cupy.copyto": lambda a, h: np.copyto(a, h),
    "cupy.clip": lambda a, h: np.clip(a, h, 1.0),
    "cupy.zeros_like": lambda a, h: np.zeros_like(h),
    "cupy.add.at": lambda a, h: np.add.at(h, np.asarray([0]), 1.0),
    "cupy.add.at values": lambda a, h: np.add.at(a, np.asarray([0]), h[0]),
    "cupy.array of both": lambda a, h: np.array([a, h]),
    "cupy.lexsort of a tuple": lambda a, h: np.lexsort((a[0], a[1])),
    "cupy.linalg.norm": lambda a, h: np.linalg.norm(h),
    "cupy.random.shuffle": lambda a, h: np.random.shuffle(h),
    "set from device": lambda a, h: a.set(a),
    "default_rng of NumPy's": lambda a, h: np.random.default_rng(numpy.random.default_rng(0)),
}


@pytest.mark.parametrize("mix", MIXED.values(), ids=MIXED.keys())
def test_host_and_device_do_not_mix(mix, a):
    with pytest.raises(TypeError):
        mix(a, HOST)


def test_a_host_array_cannot_be_assigned_but_numbers_can(a):
    with pytest.raises(ValueError, match="non-scalar"):
        a[...] = HOST
    with pytest.raises(ValueError, match="non-scalar"):
        a[0] = [1, 2, 3]
    a[0] = numpy.array(7.0)
    a[1] = numpy.float64(8)
    assert a.get().tolist() == [[7, 7, 7], [8, 8, 8]]


KEYWORDS = {
    "sum(initial=)": lambda a: np.sum(a, initial=0),
    "a.sum(where=)": lambda a: a.sum(where=a > 1),
    "max(initial=)": lambda a: a.max(initial=0),
    "std(correction=)": lambda a: np.std(a, correction=1),
    "take(mode=)": lambda a: np.take(a, np.asarray([0]), mode="clip"),
    "clip(min=)": lambda a: np.clip(a, min=0),
    "einsum(out=)": lambda a: np.einsum("ij->i", a, out=np.zeros(2)),
    "zeros(like=)": lambda a: np.zeros(2, like=a),
    "argsort(stable=)": lambda a: np.argsort(a, stable=True),
    "add(order=)": lambda a: np.add(a, a, order="C"),
    "add(where=True)": lambda a: np.add(a, a, where=True),
    "add.reduce(initial=)": lambda a: np.add.reduce(a, initial=0),
    "reshape(shape=)": lambda a: np.reshape(a, shape=(3, 2)),
    "matmul(a, b, out)": lambda a: np.matmul(a, a.T, np.zeros((2, 2))),
    "astype(casting=)": lambda a: a.astype("d", casting="safe"),
    "item(0)": lambda a: a.item(0),
}


@pytest.mark.parametrize("call", KEYWORDS.values(), ids=KEYWORDS.keys())
def test_keywords_that_cupy_lacks_are_refused(call, a):
    with pytest.raises(TypeError):
        call(a)


SIZES = {
    "zeros(n)": lambda n, a: np.zeros(n),
    "zeros((n, 2))": lambda n, a: np.zeros((n, 2)),
    "arange(n)": lambda n, a: np.arange(n),
    "a.reshape(n, -1)": lambda n, a: a.reshape(n, -1),
    "reshape(a, (n, -1))": lambda n, a: np.reshape(a, (n, -1)),
    "sum(axis=n)": lambda n, a: np.sum(a, axis=n),
    "a.sum(n)": lambda n, a: a.sum(n),
    "split(a, n)": lambda n, a: np.split(a, n, axis=1),
    "range(n)": lambda n, a: range(n),
    "list[n]": lambda n, a: [1, 2, 3][n],
    "a[:n]": lambda n, a: a[:n],
    "round(n)": lambda n, a: round(n),
}


@pytest.mark.parametrize("call", SIZES.values(), ids=SIZES.keys())
def test_a_device_number_is_no_size(call, a):
    with pytest.raises(TypeError):
        call(np.asarray(1), a)


LACKING = """errstate seterr einsum_path insert block scatter_add nditer ndenumerate object_ str_
memmap asmatrix ElementwiseKernel install numpy"""


@pytest.mark.parametrize("name", LACKING.split())
def test_the_namespace_lacks_what_cupy_lacks(name):
    assert not hasattr(np, name)


def test_names_and_methods_are_those_of_the_real_cupy():
    real = pytest.importorskip("cupy", exc_type=ImportError)
    for ours, theirs in (
        (np, real),
        (np.ndarray, real.ndarray),
        (np.ufunc, real.ufunc),
        (np.linalg, real.linalg),
        (np.random, real.random),
        (np.random.default_rng(0), real.random.Generator),
    ):
        assert [n for n in dir(ours) if n[0] != "_" and not hasattr(theirs, n)] == []


@pytest.mark.parametrize("name", ["foo", "ctypes", "setflags", "resize", "H", "__index__"])
def test_an_array_has_no_other_attributes(name, a):
    assert not hasattr(a, name)
    with pytest.raises(AttributeError):
        setattr(a, name, 1)


def test_other_element_types_are_refused(a):
    for make in (
        lambda: np.array(["a"]),
        lambda: np.zeros(3, dtype=object),
        lambda: a.astype("U3"),
    ):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            make()


COMPUTED = {
    "operators": lambda np, x: -x * 2 + x / 3 - 1 // (x + 1) ** 2,
    "reflected": lambda np, x: (1 - x, 2**x, 1 / (x + 1)),
    "comparison": lambda np, x: (x > 2) & ~(x == 4) | (x != x),
    "matrix product": lambda np, x: x @ x.T,
    "0-d": lambda np, x: x.sum() * x[1, 2] + numpy.float64(2),
    "reductions": lambda np, x: (x.mean(axis=1, keepdims=True), np.max(x, 0), x.argmax(-1)),
    "shape": lambda np, x: (np.split(x, 3, axis=1), x.reshape(3, -1), np.hstack([x, x]), x.T),
    "indices": lambda np, x: (x[[1, 0]], x[:, np.asarray([2, 0])], x[x > 2], x[..., None], x[1]),
    "ufunc methods": lambda np, x: (np.add.reduce(x), np.add.outer(x[0], x[1])),
    "dtype of a NumPy scalar": lambda np, x: x * numpy.float64(2),
    "tuples": lambda np, x: np.unique(x > 2, return_inverse=True),
    "named tuples": lambda np, x: np.linalg.svd(x),
    "where": lambda np, x: (np.where(x > 2, x, 0.0), np.where(x > 2)),
    "division by zero is silent": lambda np, x: x / 0,
}


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED.keys())
def test_results_are_numpys_and_stay_on_the_device(compute):
    def compare(ours, theirs):
        if isinstance(theirs, (tuple, list)):
            for x, y in zip(ours, theirs, strict=True):
                compare(x, y)
        else:
            assert type(ours) is np.ndarray
            assert ours.dtype == theirs.dtype
            assert_array_equal(ours.get(), theirs)

    with numpy.errstate(all="ignore"):
        expected = compute(numpy, HOST)
    compare(compute(np, np.asarray(HOST)), expected)


def test_functions_of_numbers_give_device_arrays():
    assert type(np.sqrt(2)) is type(np.exp(numpy.float32(1))) is np.ndarray
    assert np.exp(numpy.float32(1)).dtype == "float32"
    for value in (np.allclose(np.ones(2), 1.0), np.count_nonzero(np.ones(2))):
        assert type(value) is np.ndarray


def test_every_view_has_its_owner_as_base(a):
    views = (a.T, a.T.T, a[0], a[0, 0], a[...], a.reshape(6), a.ravel(), a.view(), a[None][0].T)
    views += (np.swapaxes(a, 0, 1), *np.split(a, 3, axis=1), np.broadcast_to(a, (4, 2, 3)))
    assert all(v is not a and v.base is a for v in views)
    copies = (a, a.copy(), a + 0, a[[0]], a.flatten(), a.T.reshape(-1), np.array(a), copy.copy(a))
    assert all(c.base is None for c in copies)
    assert np.asarray(a) is a is np.ascontiguousarray(a)
    assert a[1].data.ptr - a.data.ptr == a.strides[0]
    assert np.may_share_memory(a, a.T)
    assert not np.may_share_memory(a, a.copy())


def test_writing_through_a_view_reaches_the_owner(a):
    a.T[2, 1] = 9
    corner = a[0, 0]
    corner += 7  # a 0-d view, not a number
    assert a.get()[1, 2] == 9
    assert a.get()[0, 0] == 7


def test_in_place_work_and_out_keep_the_array(a):
    b = a
    b += 1
    b *= a
    assert b is a is np.add(a, 1, out=a) is np.tanh(a, a)


def test_in_place_matrix_product_binds_a_new_array(a):
    square = b = a[:, :2].copy()
    b @= square
    assert b is not square


def test_ids_out_of_range_wrap_silently(a):
    wrong = np.asarray([2, -3])  # two rows: 2 -> 0, -3 -> 1
    assert_array_equal(a[wrong].get(), HOST)
    assert_array_equal(a[..., np.asarray([5])].get(), HOST[:, [2]])
    assert_array_equal(np.take(a, wrong, axis=0).get(), a.take(wrong, axis=0).get())
    np.add.at(a, wrong, 1.0)
    a[wrong] *= 2
    assert_array_equal(a.get(), (HOST + 1) * 2)
    with pytest.raises(IndexError):
        a[2]


def test_ufuncs_have_few_methods(a, ids):
    np.add.at(a, ids, a.copy())
    np.maximum.at(a, ids, 3.0)
    np.subtract.at(ids.astype("int32"), ids, 1)
    with pytest.raises(TypeError, match="subtract"):
        np.subtract.at(a, ids, 1.0)
    for missing in (
        lambda: np.multiply.at(a, ids, 2.0),
        lambda: np.maximum.reduce(a),
        lambda: np.subtract.accumulate(a),
        lambda: np.multiply.reduceat(a, ids),
    ):
        with pytest.raises(NotImplementedError):
            missing()


def test_random_draws_are_device_arrays_and_choice_is_limited():
    np.random.seed(0)
    first = np.random.randn(2, 3)
    np.random.seed(0)
    assert_array_equal(np.random.randn(2, 3).get(), first.get())
    assert type(np.random.choice(5, 3, p=np.full(5, 0.2))) is np.ndarray
    assert sorted(np.random.permutation(4).tolist()) == [0, 1, 2, 3]
    rng = np.random.default_rng(0)
    assert rng.random((2,), dtype=np.float32).dtype == "float32"
    assert not any(hasattr(rng, name) for name in ("choice", "permutation", "normal", "shuffle"))
    for refused in ({"p": np.full(5, 0.2), "replace": False, "size": 3}, {}):
        with pytest.raises(NotImplementedError):
            np.random.choice(5, **refused)


READS = {
    "float": float, "int": int, "bool": bool, "str": str, "format": "{:.2f}".format,
    "math.sqrt": math.sqrt, "item": lambda s: s.item(), "tolist": lambda s: s.tolist(),
    "get": lambda s: s.get(), "asnumpy": np.asnumpy, "if": lambda s: 1 if s > 0 else 0,
}  # fmt: skip


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_reading_a_number_is_one_transfer(read, a):
    with count_transfers() as counts:
        s = a.sum() + 1
        assert counts.to_host == 0
        read(s)
        assert (counts.to_host, counts.to_device, counts.waits) == (1, 0, 0)


WAITING = {
    "mask": lambda a: a[a > 1],
    "nonzero": lambda a: np.nonzero(a),
    "a.nonzero": lambda a: a.nonzero(),
    "where": lambda a: np.where(a > 1),
    "unique": lambda a: np.unique(a),
    "bincount": lambda a: np.bincount(np.asarray([0, 1])),
    "synchronize": lambda a: np.cuda.Device().synchronize(),
}


@pytest.mark.parametrize("wait", WAITING.values(), ids=WAITING.keys())
def test_sizes_that_depend_on_data_wait_for_the_gpu(wait, a):
    with count_transfers() as counts:
        wait(a)
    assert (counts.to_host, counts.waits) == (0, 1)
    with forbid_transfers(), pytest.raises(AssertionError):
        wait(a)


def test_transfers_can_be_forbidden_while_computing_goes_on(a):
    with forbid_transfers():
        b = np.where(a > 1, a, 0).sum() + np.asarray(HOST).max()
        a[a > 1] = 0
        for read in (float, bool, np.asnumpy):
            with pytest.raises(AssertionError):
                read(b)
    assert float(b) > 0


def test_going_to_the_device_is_counted(a):
    with count_transfers() as counts:
        np.asarray(HOST)
        np.array([1, 2])
        np.asarray(a)
        np.zeros(3)
        a.set(HOST)
    assert counts.to_device == 3


def test_copies_and_pickles_are_independent(a):
    for other in (copy.copy(a), copy.deepcopy([a])[0], pickle.loads(pickle.dumps(a))):
        assert type(other) is np.ndarray
        other += 1
    assert_array_equal(a.get(), HOST)


def test_a_fused_function_computes_and_writes_in_place(a):
    def function(x, y, k):
        x *= 2
        y[...] = np.where(x > 1, -x, k / np.maximum(x, 1))
        return np.add(x, y, out=y) ** 2

    host = a.get()
    x, y = a.copy(), np.empty_like(a)
    result = np.fuse(function)(x, y, 0.5)
    expected = 2 * host + numpy.where(2 * host > 1, -2 * host, 0.5)
    assert_array_equal(x.get(), 2 * host)
    assert_array_equal(y.get(), expected)
    assert_array_equal(result.get(), expected**2)
    assert result.dtype == a.dtype
    assert np.fuse(lambda x: x + 1)(2) == 3  # without an array, it is the function itself


REFUSED_IN_A_KERNEL = {
    "an index": lambda x, k: x[0],
    "an assignment to a part": lambda x, k: x.__setitem__(0, k),
    "a sum": lambda x, k: np.sum(x),
    "a method": lambda x, k: x.sum(),
    "a shape": lambda x, k: x.reshape(-1),
    "a product": lambda x, k: x @ x,
    "a question": lambda x, k: x if x > 0 else k,
    "arithmetic of numbers": lambda x, k: x * (1 - k),
    "a number in place": lambda x, k: k.__iadd__(x),
}


@pytest.mark.parametrize("function", REFUSED_IN_A_KERNEL.values(), ids=REFUSED_IN_A_KERNEL)
def test_what_is_no_single_kernel_is_refused(function, a):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        np.fuse(function)(a, 2.0)


def test_a_kernel_takes_arrays_of_the_device_and_numbers(a):
    for other in (HOST, "text", [1.0]):
        with pytest.raises(TypeError, match="Invalid argument type for 'add'"):
            np.fuse(add)(a, other)


def add(x, y):
    return x + y


def test_array_modules(a):
    assert np.get_array_module(1, a) is np
    assert np.get_array_module(HOST) is numpy


def test_installing_replaces_cupy_only_inside_the_block(monkeypatch):
    before = object()
    monkeypatch.setitem(sys.modules, "cupy", before)
    monkeypatch.delitem(sys.modules, "cupy.random", raising=False)
    with install() as installed:
        assert importlib.import_module("cupy") is installed is np
        assert importlib.import_module("cupy.random") is np.random
        with pytest.raises(ImportError):
            importlib.import_module("cupyx")
    assert sys.modules["cupy"] is before
    assert "cupy.random" not in sys.modules


RECORDED = {
    "ufunc": lambda a: np.multiply(a, 2, out=a),
    "operator": lambda a: a.__imul__(2),
    "item": lambda a: a.__setitem__(slice(None), np.broadcast_to(a[:1], a.shape)),
    "copyto": lambda a: np.copyto(a, 3),
    "fused": lambda a: np.fuse(doubled)(a),
}


def doubled(a):
    a *= 2


def recorded(work):
    with np.cuda.Stream() as stream:
        stream.begin_capture()
        try:
            work()
        finally:
            graph = stream.end_capture()
    return graph


@pytest.mark.parametrize("name", RECORDED)
def test_a_stream_records_what_writes_into_arrays_and_does_it_at_every_launch(name):
    ours, theirs = np.asarray(HOST), np.asarray(HOST)
    graph = recorded(lambda: RECORDED[name](ours))
    assert_array_equal(ours.get(), HOST)
    for _ in range(2):
        graph.launch()
        RECORDED[name](theirs)
        assert_array_equal(ours.get(), theirs.get())
    assert not numpy.array_equal(ours.get(), HOST)


@pytest.mark.parametrize(
    "work", [lambda a: a + 1, lambda a: a.copy(), lambda a: a.sum(), lambda a: a.get()]
)
def test_a_new_array_or_a_transfer_while_a_stream_records_is_an_error(work, a):
    with pytest.raises(RuntimeError, match="a stream is recording"):
        recorded(lambda: work(a))
    assert float((a + 1)[0, 0]) == 1


def test_the_default_stream_records_nothing():
    assert np.cuda.get_current_stream() is np.cuda.Stream.null
    with pytest.raises(RuntimeError, match="cannot capture on the default"):
        np.cuda.Stream.null.begin_capture()
    np.cuda.Stream.null.synchronize()
