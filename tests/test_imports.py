"""Imports point one way, and nothing heavy is imported before it is needed."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import run

ROOT = Path(__file__).parent.parent
FOLDERS = ["common", "dataset", *sorted(p.name for p in ROOT.glob("ch0[1-8]"))]
PYTHON = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
FILES = [path for path in PYTHON if not path.name.endswith(".nb.py")]  # the text of a notebook

# What each file of `common` may import of its own folder; the order is from the ground up.
ORDER = [
    "np",
    "config",
    "cores.parallel",
    "rng",
    "checks",
    "functions",
    "gradients",
    "network",
    "layers",
    "cuda_graphs",
    "fused_steps",
    "recurrent",
    "time_layers",
]


def imports(path, top_level_only=False):
    """The modules that a file imports, dotted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path):
    return {name for name in imports(path) if name.split(".")[0] in FOLDERS}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    here = path.relative_to(ROOT).parts[0]
    for name in ours(path):
        there = name.split(".")[0]
        if here == "common":
            assert there == "common"
        elif here == "dataset":
            assert there == "dataset"
        else:  # a chapter uses earlier chapters
            assert there in ("common", "dataset") or there <= here


def test_common_is_built_from_the_ground_up():
    for k, name in enumerate(ORDER):
        below = {f"common.{lower}" for lower in ORDER[:k]}
        modules = {
            m for m in ours(ROOT / path_of(f"common.{name}")) if (ROOT / path_of(m)).exists()
        }
        assert modules <= below, name


def path_of(module):
    return module.replace(".", "/") + ".py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_np_names_cupy(path):
    if path.name != "np.py":
        assert not any(name.split(".")[0] in ("cupy", "cupyx") for name in imports(path))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_heavy_is_imported_at_the_top(path):
    heavy = {"matplotlib", "sklearn", "scipy", "torch", "cupy"}
    assert not heavy & {name.split(".")[0] for name in imports(path, top_level_only=True)}


@pytest.mark.parametrize("module", ["common.layers", "common.util", "ch06.train_rnnlm"])
def test_importing_loads_no_plots_no_learning_library_and_no_seed(module):
    code = (
        f"import sys, numpy; before = numpy.random.get_state()[1].tolist(); import {module}; "
        "print(*{m.split('.')[0] for m in sys.modules} & {'matplotlib', 'sklearn', 'torch'}); "
        "print(before == numpy.random.get_state()[1].tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True"]


@pytest.mark.parametrize("module", ["common", "ch01.train", "ch06.train_rnnlm"])
def test_an_old_python_is_told_which_one_is_needed(module):
    code = f"import sys; sys.version_info = (3, 8, 18); import {module}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    last = run.stderr.splitlines()[-1]
    assert last == "ImportError: dlfs2 needs Python 3.11 or newer; this is Python 3.8"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_an_old_python_gets_as_far_as_that_message(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


def searches(path):
    """Where a file looks through attributes: vars, __dict__, signature, a computed name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("__dict__", "signature"):
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name, args = node.func.id, node.args
            computed = name in ("getattr", "setattr") and not isinstance(args[1], ast.Constant)
            if name == "vars" or computed:
                yield ast.unparse(node)


SEARCHES = {
    "common/network.py": "for models and layers typed from the book, which declare nothing",
    "common/cli.py": "for the flags of scripts, which are the keywords of their `main`",
    "common/gradients.py": "to hand on what is asked of a row-sparse gradient to its dense array",
    "common/np.py": "to fill the module `np` from NumPy or CuPy",
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_attributes_are_looked_through_in_two_places_and_in_the_switch_of_libraries(path):
    place = path.relative_to(ROOT).as_posix()
    found = [*searches(path)]
    if place == "common/network.py":
        text = path.read_text(encoding="utf-8")
        declared, undeclared = text.split("# --- Models and layers typed from the book")
        assert "__dict__" not in declared
        assert "inspect." not in declared
        assert "__dict__" in undeclared
    assert bool(found) == (place in SEARCHES), found


BOOK = {  # the import paths of the book, with names that its scripts take from there
    "common.np": "np",
    "common.config": "GPU",
    "common.functions": "sigmoid relu softmax cross_entropy_error",
    "common.layers": "MatMul Affine Softmax SoftmaxWithLoss Sigmoid SigmoidWithLoss Dropout "
    "Embedding",
    "common.time_layers": "RNN TimeRNN LSTM TimeLSTM GRU TimeGRU TimeEmbedding TimeAffine "
    "TimeSoftmaxWithLoss TimeDropout TimeBiLSTM TimeSigmoidWithLoss",
    "common.optimizer": "SGD Momentum Nesterov AdaGrad RMSprop Adam",
    "common.trainer": "Trainer RnnlmTrainer remove_duplicate",
    "common.base_model": "BaseModel",
    "common.util": "preprocess cos_similarity most_similar convert_one_hot create_co_matrix ppmi "
    "create_contexts_target to_cpu to_gpu clip_grads eval_perplexity eval_seq2seq analogy "
    "normalize",
    "dataset.ptb": "load_data",
    "dataset.sequence": "load_data get_vocab",
    "dataset.spiral": "load_data",
    "ch01.two_layer_net": "TwoLayerNet",
    "ch03.simple_cbow": "SimpleCBOW",
    "ch03.simple_skip_gram": "SimpleSkipGram",
    "ch04.negative_sampling_layer": "EmbeddingDot UnigramSampler NegativeSamplingLoss",
    "ch04.cbow": "CBOW",
    "ch04.skip_gram": "SkipGram",
    "ch05.simple_rnnlm": "SimpleRnnlm",
    "ch06.rnnlm": "Rnnlm",
    "ch06.better_rnnlm": "BetterRnnlm",
    "ch07.rnnlm_gen": "RnnlmGen BetterRnnlmGen",
    "ch07.seq2seq": "Encoder Decoder Seq2seq",
    "ch07.peeky_seq2seq": "PeekyDecoder PeekySeq2seq",
    "ch08.attention_layer": "WeightSum AttentionWeight Attention TimeAttention",
    "ch08.attention_seq2seq": "AttentionEncoder AttentionDecoder AttentionSeq2seq",
}


@pytest.mark.parametrize("module", BOOK)
def test_the_import_paths_of_the_book_work(module):
    found = importlib.import_module(module)
    assert [name for name in BOOK[module].split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("place", ["common.py", "dataset/__init__.py"])
def test_a_package_of_somebody_else_in_the_way_is_named(place, tmp_path):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    for argv in ["-m", "ch04.train"], ["-c", "import ch08.transformer"]:
        done = run(*argv, cwd=tmp_path, status=1, installed=ROOT)
        assert "another package of this name hides ours" in done.stderr
        assert f"({tmp_path / place})" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_but_the_commands_says_what_is_public(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if path.name in ("__init__.py", "config.py") or hasattr(module, "main"):
        pytest.skip("it has nothing to import, or is a command")
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert module.__all__
