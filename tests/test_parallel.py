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
from common.cores.parallel import BLOCK, blocks, in_parallel, split, threads
from common.np import np, use
from common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from common.storage.checkpoint import digest
from common.trainer import Trainer
from tests import cupy_stand_in
from tests.conftest import THREADS, blas_threads

pytestmark = [
    pytest.mark.skipif(os.environ.get("DLFS2_GPU") == "1", reason="a GPU has no parts"),
    pytest.mark.usefixtures("idle_threads_sleep"),
]


# --- Who does what -------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(1, 2000), st.integers(1, 8))
def test_slices_are_all_rows_in_order(rows, width, threads):
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        parts = split(rows, width)
        most = max(1, min([threads, *blas_threads()]))
    assert [k for part in parts for k in range(rows)[part]] == list(range(rows))
    assert 1 <= len(parts) <= most
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    if len(parts) > 1:
        assert min(sizes) >= parallel.FEWEST_ROWS
        assert rows * width >= len(parts) * parallel.FEWEST_NUMBERS


def test_small_batches_are_not_divided():
    rows, numbers = parallel.FEWEST_ROWS, parallel.FEWEST_NUMBERS
    with threadpoolctl.threadpool_limits(THREADS, user_api="blas"):
        assert split(2 * rows - 1, numbers) == [slice(0, 2 * rows - 1)]
        assert split(2 * rows, numbers // rows - 1) == [slice(0, 2 * rows)]
        if blas_threads():
            assert len(split(2 * rows, numbers // rows)) == 2
            assert len(split(100 * rows, numbers)) == THREADS
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert split(100 * rows, numbers) == [slice(0, 100 * rows)]


def test_where_threads_of_blas_keep_cores_busy_all_rows_are_one_slice(three_threads, monkeypatch):
    assert len(split(10_000, 10_000)) == THREADS
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT")
    assert split(10_000, 10_000) == [slice(0, 10_000)]


@pytest.mark.parametrize(("first", "told"), [("common", "20"), ("numpy", None)])
def test_idle_threads_are_told_to_sleep_where_numpy_is_not_loaded_yet(first, told):
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    code = f"import {first}, common, os; print(os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout.strip() == str(told)


def test_on_a_gpu_all_rows_are_one_slice(three_threads):
    with cupy_stand_in.install():
        use("cupy")
        try:
            assert split(10_000, 10_000) == [slice(0, 10_000)]
        finally:
            use("numpy")
    assert len(split(10_000, 10_000)) == THREADS


def test_without_a_blas_that_can_be_told_all_rows_are_one_slice(monkeypatch):
    nothing = threadpoolctl.ThreadpoolController().select(internal_api="none of this name")
    monkeypatch.setattr(parallel, "_openblas", lambda: nothing)
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


def test_parts_run_side_by_side_each_with_blas_on_one_core(three_threads):
    assert_side_by_side()


def assert_side_by_side():
    meeting, seen = threading.Barrier(THREADS), []

    def work(part):
        meeting.wait(timeout=600)  # breaks unless all are at work at once
        seen.append((part, threading.get_ident(), blas_threads()))

    in_parallel(work, ["a", "b", "c"])
    parts, threads, blas = zip(*seen, strict=True)
    assert sorted(parts) == ["a", "b", "c"]
    assert len(set(threads)) == THREADS
    assert threads[parts.index("a")] == threading.get_ident()
    assert blas == ([1] * len(blas_threads()),) * THREADS


def test_a_single_part_runs_here_with_blas_as_it_is(three_threads):
    seen = []
    in_parallel(lambda part: seen.append((part, threading.get_ident(), blas_threads())), ["all"])
    assert seen == [("all", threading.get_ident(), [THREADS] * len(blas_threads()))]


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
    assert blas_threads() == [THREADS] * len(blas_threads())
    assert_side_by_side()  # as if nothing had been


def test_parts_may_have_parts_of_their_own(three_threads):
    done = []
    in_parallel(lambda part: in_parallel(lambda k: done.append(part + k), "xyz"), "abc")
    assert sorted(done) == [a + b for a in "abc" for b in "xyz"]


def test_what_another_thread_does_is_not_seen_in_the_number_of_threads(three_threads):
    found = []

    def ask():
        found.append((threads(), len(split(9, 1)), blas_threads()))

    def work(part):
        other = threading.Thread(target=ask)
        other.start()
        other.join()

    in_parallel(work, "ab")
    assert found == [(THREADS, THREADS, [1] * len(blas_threads()))] * 2


def test_callers_in_several_threads_wait_for_each_other(three_threads):
    at_work, most, errors = [], [], []

    def work(part):
        at_work.append(part)
        most.append(len({caller for caller, _ in at_work}))
        time.sleep(0.001)
        at_work.remove(part)

    def call(caller):
        try:
            for _ in range(20):
                in_parallel(work, [(caller, k) for k in range(3)])
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert errors == []
    assert set(most) == {1}
    assert blas_threads() == [THREADS] * len(blas_threads())


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
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
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
