"""Rows on several threads: every row once, errors, settings of BLAS; optimizers that use them."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st

from ch07.seq2seq import Seq2seq
from common.cores import parallel
from common.cores.parallel import BLOCK, blocks, in_parallel, split
from common.np import np, use
from common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from common.storage.checkpoint import digest
from common.trainer import Trainer
from tests import cupy_stand_in
from tests.conftest import THREADS, sharing

pytestmark = pytest.mark.skipif(os.environ.get("DLFS2_GPU") == "1", reason="a GPU has no parts")


# --- Who does what -------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(1, 2000), st.integers(1, 8))
def test_slices_are_all_rows_in_order(rows, width, threads):
    with sharing(threads):
        parts = split(rows, width)
    assert [k for part in parts for k in range(rows)[part]] == list(range(rows))
    assert 1 <= len(parts) <= threads
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    if len(parts) > 1:
        assert min(sizes) >= parallel.FEWEST_ROWS
        assert rows * width >= len(parts) * parallel.FEWEST_NUMBERS


def test_small_batches_are_not_divided():
    rows, numbers = parallel.FEWEST_ROWS, parallel.FEWEST_NUMBERS
    with sharing(THREADS):
        assert split(2 * rows - 1, numbers) == [slice(0, 2 * rows - 1)]
        assert split(2 * rows, numbers // rows - 1) == [slice(0, 2 * rows)]
        assert len(split(2 * rows, numbers // rows)) == 2
        assert len(split(100 * rows, numbers)) == THREADS
    with sharing(1):
        assert split(100 * rows, numbers) == [slice(0, 100 * rows)]


@pytest.mark.parametrize("first", ["common.layers", "numpy", "sklearn.decomposition"])
def test_the_first_layer_takes_over_the_threads_of_blas_whatever_was_imported_first(first):
    code = f"""
import {first}, numpy
from threadpoolctl import threadpool_info
from common.cores.parallel import threads
from common.layers import Affine

def count():
    pools = [p for p in threadpool_info() if p["internal_api"] == "openblas"]
    return [p["num_threads"] for p in pools if "numpy" in p["filepath"]] or [1]

before = count()
Affine(numpy.ones((2, 2)), numpy.ones(2))
print(before == [threads()], count() == [1], threads())
"""
    for told in "3", "1":
        env = os.environ | {"OPENBLAS_NUM_THREADS": told}
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        *agree, count = run.stdout.split()
        assert agree == ["True", "True"]
        assert int(count) <= int(told)  # 1 with another BLAS, and no more than there are cores


def test_on_a_gpu_all_rows_are_one_slice(three_threads):
    with cupy_stand_in.install():
        use("cupy")
        try:
            assert split(10_000, 10_000) == [slice(0, 10_000)]
        finally:
            use("numpy")
    assert len(split(10_000, 10_000)) == THREADS


def test_without_a_blas_that_can_be_told_all_rows_are_one_slice(monkeypatch):
    class Nothing:
        def select(self, **which):
            return nothing

    nothing = threadpoolctl.ThreadpoolController().select(internal_api="none of this name")
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Nothing)
    monkeypatch.setattr(parallel, "_openblas_threads", parallel._openblas_threads.__wrapped__)
    assert split(10_000, 10_000) == [slice(0, 10_000)]


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 2 * BLOCK))
def test_blocks_are_all_rows_in_order_and_no_larger_than_told(start, rows, width):
    found = [*blocks(slice(start, start + rows), width)]
    assert [k for block in found for k in range(1000)[block]] == [*range(start, start + rows)]
    sizes = [block.stop - block.start for block in found]
    assert all(size == 1 or size * width <= BLOCK for size in sizes)
    assert all((size + 1) * width > BLOCK for size in sizes[:-1])  # no smaller than they must be


def test_on_a_gpu_all_rows_are_one_block():
    with cupy_stand_in.install():
        use("cupy")
        try:
            assert [*blocks(slice(0, 10_000), 10_000)] == [slice(0, 10_000)]
            assert [*blocks(slice(5, 7), 10 * BLOCK)] == [slice(5, 7)]
        finally:
            use("numpy")
    assert len([*blocks(slice(0, 10_000), 10_000)]) > 1


# --- Side by side --------------------------------------------------------------------------------


def test_parts_run_side_by_side(three_threads):
    assert_side_by_side()


def assert_side_by_side():
    meeting, seen = threading.Barrier(THREADS), []

    def work(part):
        meeting.wait(timeout=600)  # breaks unless all are at work at once
        seen.append((part, threading.get_ident()))

    in_parallel(work, ["a", "b", "c"])
    parts, threads = zip(*seen, strict=True)
    assert sorted(parts) == ["a", "b", "c"]
    assert len(set(threads)) == THREADS
    assert threads[parts.index("a")] == threading.get_ident()


def test_a_single_part_runs_here(three_threads):
    seen = []
    in_parallel(lambda part: seen.append((part, threading.get_ident())), ["all"])
    assert seen == [("all", threading.get_ident())]


@pytest.mark.parametrize("bad", ["a", "b", "c", "ab", "bc", "abc"])
def test_an_error_is_raised_after_all_parts_have_ended(three_threads, bad):
    ended = []

    def work(part):
        try:
            if part in bad:
                raise ZeroDivisionError(part)
            time.sleep(0.02)
        finally:
            ended.append(part)

    with pytest.raises(ZeroDivisionError):
        in_parallel(work, "abc")
    assert sorted(ended) == ["a", "b", "c"]
    assert_side_by_side()  # as if nothing had been


def test_parts_may_have_parts_of_their_own(three_threads):
    done = []
    in_parallel(lambda part: in_parallel(lambda k: done.append(part + k), "xyz"), "abc")
    assert sorted(done) == [a + b for a in "abc" for b in "xyz"]


def test_callers_in_several_threads_do_not_disturb_each_other(three_threads):
    done, errors = [], []

    def call(caller):
        try:
            for _ in range(20):
                in_parallel(lambda k: done.append((caller, k)), range(3))
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert errors == []
    assert sorted(done) == sorted([(caller, k) for caller in range(4) for k in range(3)] * 20)


def test_trainers_in_several_threads_give_the_bits_that_each_gives_alone(three_threads):
    def trained(seed):
        xs, ts = numpy.random.default_rng(0).integers(1, 7, (2, 60, 4))
        trainer = Trainer(Seq2seq(7, 3, 4, rng=seed), Adam(0.01))
        trainer.fit(xs, ts, 5, 20, rng=seed, verbose=False)
        return digest(trainer.model.params, trainer.loss_list)

    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(trained, range(4))] == alone


def test_what_numpy_says_about_errors_is_settled_by_the_caller(three_threads):
    large = numpy.full((6, 2), 1e308)
    with numpy.errstate(over="ignore"):
        in_parallel(lambda rows: large[rows] * 10, split(6, 2))


# --- Products and passes -------------------------------------------------------------------------

SHAPES = {
    "more rows": ((40, 7), (7, 5)),
    "more columns": ((5, 7), (7, 40)),
    "many": ((30, 4, 7), (30, 7, 5)),
    "many of one matrix": ((30, 4, 7), (7, 5)),
    "one matrix by three": ((40, 7), (3, 7, 5)),
    "one matrix by two": ((40, 7), (2, 7, 50)),
    "many heads": ((30, 2, 4, 7), (30, 2, 7, 5)),
    "fewer rows than threads": ((2, 7), (7, 2)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_a_product_that_is_divided_is_the_whole_one(three_threads, shapes, dtype):
    rng = numpy.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    whole = a @ b
    out = numpy.full_like(whole, numpy.nan)
    turned = numpy.full_like(whole.swapaxes(-1, -2), numpy.nan).swapaxes(-1, -2)
    assert parallel.matmul(a, b, out) is out
    parallel.matmul(a, b, turned)
    found = [out, turned, parallel.matmul(a, b)]
    if a.ndim == b.ndim == 2:
        c = rng.standard_normal(b.shape[1]).astype(dtype)
        found += [parallel.dot(a, b), parallel.affine(a, b, c) - c]
    for product in found:
        assert product.dtype == dtype
        numpy.testing.assert_allclose(product, whole, atol=1e-5 if dtype == "float32" else 1e-13)


def test_a_small_product_is_not_divided(monkeypatch):
    monkeypatch.setattr(parallel, "in_parallel", None)
    with sharing(THREADS):
        a = numpy.ones((20, 100), "f")
        parallel.matmul(a, a.T)
        parallel.dot(a, a.T)
        parallel.affine(a, a.T, a[:, 0])


@given(st.integers(1, 400), st.integers(1, 3000))
def test_blocks_of_a_pass_are_all_rows_once(rows, width):
    seen = []
    with sharing(THREADS):
        parallel.in_blocks(seen.append, rows, width)
    seen.sort(key=lambda part: part.start)
    assert [k for part in seen for k in range(rows)[part]] == list(range(rows))
    assert all(
        part.stop - part.start == 1 or (part.stop - part.start) * width <= BLOCK for part in seen
    )


# --- Optimizers ----------------------------------------------------------------------------------

LARGE = {
    "a last block that is smaller": (1501, 300),
    "one axis": (400_003,),
    "three axes": (501, 30, 31),
    "rows wider than a block": (5, BLOCK + 7),
    "one row": (1, 7 * BLOCK),
}


@pytest.mark.parametrize("shape", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("threads", [1, THREADS])
@pytest.mark.parametrize("cls", [SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam])
def test_a_large_parameter_moves_as_in_one_piece(three_threads, monkeypatch, cls, threads, shape):
    rng, steps = numpy.random.default_rng(0), []
    w, *gradients = (rng.standard_normal(shape, "float32") for _ in range(4))
    whole, optimizer, twin = w.copy(), cls(0.1), cls(0.1)
    state = [numpy.zeros_like(w) for _ in cls.state_names]

    def step(part, *arrays):
        steps.append((part.shape, threading.get_ident()))
        cls.step(optimizer, part, *arrays)

    monkeypatch.setattr(optimizer, "step", step)
    with sharing(threads):
        for g in gradients:
            optimizer.update([w], [g])
            twin.iter, twin.rate = twin.iter + 1, 0.1
            twin.step(whole, g, *state)
    numpy.testing.assert_array_equal(w, whole)
    for name, a in zip(cls.state_names, state, strict=True):
        numpy.testing.assert_array_equal(optimizer.state[name][0], a)
    sizes = [part[0] for part, _ in steps]
    assert sum(sizes) == len(gradients) * len(w)
    assert all(
        size == 1 or numpy.prod(part) <= BLOCK for size, (part, _) in zip(sizes, steps, strict=True)
    )
    several = threads > 1 and len(w) > 1
    assert (len({thread for _, thread in steps}) > 1) == several


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK])
def test_a_small_parameter_moves_in_one_piece(three_threads, monkeypatch, size):
    optimizer, shapes = SGD(0.1), []
    monkeypatch.setattr(optimizer, "step", lambda w, g: shapes.append(w.shape))
    optimizer.update([numpy.ones(size)], [numpy.ones(size)])
    assert shapes == [(size,)]


def test_on_a_gpu_a_large_parameter_moves_in_one_piece(three_threads, monkeypatch):
    with cupy_stand_in.install():
        use("cupy")
        try:
            optimizer, shapes = SGD(0.1), []
            monkeypatch.setattr(optimizer, "step", lambda w, g: shapes.append(w.shape))
            optimizer.update([np.ones((1501, 300))], [np.ones((1501, 300))])
        finally:
            use("numpy")
    assert shapes == [(1501, 300)]
