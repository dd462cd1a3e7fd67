"""The switch between NumPy and CuPy."""

import importlib
import os
import subprocess
import sys
import types

import numpy
import pytest

from common import config
from common.layers import Affine, MatMul, Sigmoid
from common.negative_sampling import EmbeddingDot
from common.np import np, to_cpu, to_gpu, use
from common.rng import generator, randn
from common.time_layers import LSTM, TimeDropout
from tests import cupy_stand_in
from tests.models import MODELS


@pytest.fixture
def stand_in():
    with cupy_stand_in.install() as cupy:
        yield cupy
        use("numpy")


def test_np_is_numpy_at_first():
    assert config.GPU is False
    assert np.tanh is numpy.tanh
    assert np.random is numpy.random


def test_the_switch_exchanges_what_np_holds(stand_in):
    before = np
    config.GPU = True
    assert config.GPU is True
    assert np is before
    assert np.zeros is stand_in.zeros
    assert not hasattr(np, "errstate")
    config.GPU = False
    assert np.zeros is numpy.zeros


def test_layers_built_after_the_switch_compute_there(stand_in):
    from common.layers import Sigmoid

    config.GPU = True
    assert isinstance(Sigmoid().forward(np.zeros(3)), stand_in.ndarray)
    config.GPU = False
    assert isinstance(Sigmoid().forward(np.zeros(3)), numpy.ndarray)


def test_a_model_made_before_the_switch_says_so_either_way(stand_in):
    made = {name: (make(), batch) for name, (make, batch) in MODELS.items()}
    config.GPU = True
    on_gpu = {name: make() for name, (make, _) in MODELS.items()}
    for name, (model, batch) in made.items():
        with pytest.raises(TypeError, match=r"the weights are arrays of numpy, and cupy is in use"):
            model.forward(*batch())
        on_gpu[name].forward(*batch())
    config.GPU = False
    for name, (_, batch) in made.items():
        with pytest.raises(TypeError, match=r"are arrays of tests, and numpy is in use: set con"):
            on_gpu[name].forward(*batch())


def test_layers_made_before_the_switch_say_so(stand_in, r):
    layers = {  # with an input
        LSTM(r(3, 8), r(2, 8), r(8)): lambda: (np.ones((1, 3)), np.ones((1, 2)), np.ones((1, 2))),
        MatMul(r(3, 2)): lambda: (np.ones((1, 3)),),
        EmbeddingDot(r(5, 3)): lambda: (np.ones((1, 3)), numpy.array([1])),
    }
    config.GPU = True
    for layer, inputs in layers.items():
        with pytest.raises(TypeError, match="the weights are arrays of numpy, and cupy is in use"):
            layer.forward(*inputs())


def test_an_input_that_was_not_moved_is_named(stand_in):
    config.GPU = True
    for layer in Sigmoid(), Affine(np.ones((3, 2)), np.ones(2)), TimeDropout():
        with pytest.raises(TypeError, match=r"^\w+: a NumPy array came, and cupy is in use"):
            layer.forward(numpy.ones((2, 3)))


def test_without_cupy_the_switch_is_one_error_and_numpy_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r"'\.\[cuda12\]'"):
        config.GPU = True
    assert np.zeros is numpy.zeros
    assert config.GPU is False
    with pytest.raises(ImportError, match=r"'\.\[cuda12\]'"):
        to_gpu([1])


def test_cupy_without_a_gpu_is_one_error_and_numpy_stays(monkeypatch):
    def zeros(shape):
        raise RuntimeError("no CUDA-capable device is detected")

    fake = types.ModuleType("cupy")
    fake.zeros = zeros
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(ImportError, match="cupy is installed but cannot be used: no CUDA-capable"):
        config.GPU = True
    assert not config.GPU
    assert np.tanh is numpy.tanh


def test_another_library_is_refused():
    with pytest.raises(ValueError, match="use: the array library is 'numpy' or 'cupy', not 'jax'"):
        use("jax")


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("0", "False"),
        ("", "False"),
        ("1", "pip install '.[cuda12]'"),
        ("yes", "DLFS2_GPU is 0 (NumPy) or 1"),
    ],
)
def test_the_environment_variable_sets_the_start(value, outcome):
    code = "import sys; sys.modules['cupy'] = None; from common import config; print(config.GPU)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DLFS2_GPU": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in run.stdout + run.stderr


def test_star_imports_of_the_book_give_np_and_layers():
    names: dict = {}
    for module in "np", "layers", "time_layers", "functions":
        exec(f"from common.{module} import *", names)
    assert names["np"] is np
    for name in "Affine", "Embedding", "SoftmaxWithLoss", "TimeLSTM", "TimeAffine", "sigmoid":
        assert name in names


def test_the_import_paths_of_the_book_exist():
    for path in [
        "common.util.preprocess",
        "common.util.clip_grads",
        "common.util.eval_perplexity",
        "common.util.to_cpu",
        "common.util.to_gpu",
        "common.trainer.remove_duplicate",
        "common.config.GPU",
        "common.base_model.BaseModel",
        "dataset.ptb.load_vocab",
        "ch06.rnnlm.Rnnlm",
    ]:
        module, name = path.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), name)


def test_arrays_move_between_the_libraries(stand_in):
    host = numpy.arange(3)
    device = to_gpu(host)
    assert isinstance(device, stand_in.ndarray)
    assert to_gpu(device) is device
    numpy.testing.assert_array_equal(to_cpu(device), host)
    assert to_cpu(host) is host


def test_one_seed_gives_one_set_of_weights_on_both_libraries(stand_in):
    host = randn(generator(3), 2, 2)
    use("cupy")
    numpy.testing.assert_array_equal(to_cpu(randn(generator(3), 2, 2)), host)
    assert host.dtype == "float32"


def test_without_a_seed_the_global_one_of_numpy_decides():
    def draw():
        return generator().random()

    numpy.random.seed(0)
    first = draw()
    assert draw() != first
    numpy.random.seed(0)
    assert draw() == first


def test_a_generator_is_used_as_it_is():
    rng = numpy.random.default_rng(0)
    assert generator(rng) is rng
