"""Fixtures for all tests: the array library, random numbers, the data and tools a test may need."""

import importlib.util
import os
import signal
from contextlib import contextmanager

import hypothesis
import matplotlib
import numpy
import pytest
from threadpoolctl import threadpool_info

from common.cores import parallel
from common.np import np, use
from dataset import ptb, wordnet
from dataset.fetch import folders
from tests.gpu.library import computing

matplotlib.use("Agg")
hypothesis.settings.register_profile("no timing", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("no timing")

THREADS = 3  # of BLAS, where a test wants several
REAL_GPU = os.environ.get("DLFS2_GPU") == "1"
use("numpy")  # as all tests expect it; the fixture below goes to CuPy


def pytest_report_header() -> str:
    return f"array libraries: numpy, then {'CuPy' if REAL_GPU else 'the strict stand-in for CuPy'}"


@pytest.fixture(params=["numpy", "cupy"])
def backend(request):
    """Run the test over NumPy, and again over CuPy or its stand-in."""
    with computing(request.param, REAL_GPU):
        yield request.param


@pytest.fixture(params=["cupy"])
def cupy_backend(request):
    """Run the test over CuPy or its stand-in alone."""
    with computing(request.param, REAL_GPU):
        yield request.param


@pytest.fixture
def r():
    """r(2, 3): a (2, 3) float64 array of standard normal numbers, in the array library in use."""
    rng = numpy.random.default_rng(0)
    return lambda *shape: np.asarray(rng.standard_normal(shape))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in; no figure may stay open behind a test."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[bench]'")


def blas_threads() -> list[int]:
    """How many threads each OpenBLAS of this process may use."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]


@pytest.fixture
def three_threads(monkeypatch):
    """The smallest batch and product are divided, between three threads."""
    for fewest in "FEWEST_ROWS", "FEWEST_NUMBERS", "FEWEST_PRODUCTS":
        monkeypatch.setattr(parallel, fewest, 1)
    with sharing(THREADS):
        assert len(parallel.split(THREADS, 1)) == THREADS
        yield


@contextmanager
def sharing(count):
    """Large work is shared by so many threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "_openblas_threads", lambda: count)
        yield


@pytest.fixture(scope="session")
def ptb_text():
    """Penn Treebank's loader, where the files are on this machine already."""
    if missing := missing_ptb():
        pytest.skip(f"Penn Treebank is not on this machine ({', '.join(missing)})")
    return ptb.load_data


@pytest.fixture(scope="session")
def wordnet_database():
    """The nouns of WordNet 3.0, where the database is on this machine."""
    if not (folder := wordnet.find()):
        pytest.skip("WordNet is not on this machine: apt install wordnet-base")
    return wordnet.load(folder)


def missing_ptb() -> list[str]:
    """The files of Penn Treebank that would have to be downloaded."""
    return [
        file.name
        for file in ptb.FILES.values()
        if not any((folder / file.name).exists() for folder in folders())
    ]


def pytest_configure(config) -> None:
    if REAL_GPU and importlib.util.find_spec("cupy") is None:
        raise pytest.UsageError("DLFS2_GPU=1, but CuPy is not installed")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell began this in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
