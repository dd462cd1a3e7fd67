"""GloVe: its loss, its cells, its training script."""

import math
from pathlib import Path

import numpy
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from ch03 import train_glove
from ch03.glove import GloVe, nonzero_cells
from ch04 import eval as eval_script
from common.gradient_check import check_gradients
from common.np import np, to_cpu, use
from common.optimizer import SGD, AdaGrad
from common.trainer import Trainer
from common.words.text import create_co_matrix
from common.words.vector_files import load_vectors, read_counts
from tests import cupy_stand_in

RNG = numpy.random.default_rng(0)
CELLS = RNG.integers(0, 6, (20, 2))
COUNTS = RNG.uniform(0.1, 30, 20)
TEXT = "the cat sees the dog\na dog sees a cat today\n" * 30


def glove(dtype="float64", **options):
    """A model whose weights are large enough to matter."""
    model = GloVe(6, 4, x_max=10, rng=0, **options).astype(dtype)
    for p in model.params:
        p *= 50
    return model


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_is_the_weighted_sum_of_squares_of_the_paper(dtype):
    model = glove(dtype)
    W, W_out = map(to_cpu, model.params)
    expected = 0.0
    for (i, j), X in zip(CELLS, COUNTS, strict=True):
        error = W[i, :4] @ W_out[j, :4] + W[i, 4] + W_out[j, 4] - math.log(X)
        expected += min(1, (X / 10) ** 0.75) * error**2
    loss = model.forward(CELLS, COUNTS)
    assert loss.dtype == dtype
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_agree_with_differences(sparse):
    assert len(check_gradients(glove(sparse=sparse), CELLS, COUNTS)) == 2


@pytest.mark.usefixtures("backend")
def test_backward_twice_gives_the_same_and_dout_scales_it():
    model = glove()
    model.forward(CELLS, COUNTS)
    found = []
    for dout in 1, 1, 3:
        model.backward(dout)
        found.append([to_cpu(g.to_dense()).copy() for g in model.grads])
    for once, again, thrice in zip(*found, strict=True):
        numpy.testing.assert_array_equal(once, again)
        numpy.testing.assert_allclose(thrice, 3 * once, rtol=1e-12)


def test_row_sparse_and_dense_gradients_learn_the_same():
    for rule in SGD(0.01), AdaGrad(0.05):
        models = [glove(sparse=sparse) for sparse in (True, False)]
        for model in models:
            trainer = Trainer(model, type(rule)(rule.lr))
            trainer.fit(CELLS, COUNTS, 10, 5, eval_interval=None, rng=0)
        for a, b in zip(*(model.params for model in models), strict=True):
            numpy.testing.assert_allclose(a, b, rtol=1e-9)


def test_counts_that_are_products_are_fitted_exactly():
    rng = numpy.random.default_rng(1)
    W, W_out = rng.standard_normal((2, 9, 3)) / 2
    X = numpy.exp(W @ W_out.T + rng.standard_normal((9, 1)) + rng.standard_normal(9))
    cells = numpy.argwhere(X)
    model = GloVe(9, 6, x_max=1, rng=0).astype("float64")
    Trainer(model, AdaGrad(0.3)).fit(cells, X.reshape(-1), 1000, 81, eval_interval=None, rng=0)
    assert model.forward(cells, X.reshape(-1)) < 1e-6
    W, W_out = model.params
    fitted = W[:, :6] @ W_out[:, :6].T + W[:, 6:] + W_out[:, 6]
    numpy.testing.assert_allclose(fitted, numpy.log(X), atol=0.001)


def test_word_vectors_are_the_sum_of_both_tables_without_biases():
    model = glove()
    W, W_out = model.params
    numpy.testing.assert_array_equal(model.word_vecs, W[:, :4] + W_out[:, :4])
    assert [p.shape for p in model.params] == [(6, 5), (6, 5)]


def test_a_training_step_on_a_gpu_waits_for_nothing():
    with cupy_stand_in.install():
        use("cupy")
        try:
            trainer = Trainer(GloVe(6, 4, rng=0), AdaGrad(0.05))
            with cupy_stand_in.forbid_transfers():
                for _ in range(3):
                    trainer._gradients()(CELLS, COUNTS)
                    trainer._learn(None)
            assert bool(np.isfinite(trainer.model.word_vecs).all())
        finally:
            use("numpy")


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=30),
    st.floats(1e-300, 1e300),
    st.floats(1e-3, 1e3),
)
def test_no_text_and_no_weight_gives_nan(words, scale, x_max):
    C = create_co_matrix(numpy.array(words), 5, 1, by_distance=True)
    cells, counts = nonzero_cells(C)
    counts = numpy.clip(counts * scale, 1e-300, 1e300)
    model = GloVe(5, 3, x_max=x_max, rng=0)
    Trainer(model, AdaGrad(0.05)).fit(cells, counts, 3, 1, eval_interval=None, rng=0)
    assert all(numpy.isfinite(p).all() for p in model.params)


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x_max", "alpha"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, None])
def test_a_weight_without_meaning_is_refused(name, value):
    with pytest.raises(ValueError, match=f"GloVe: {name} must be above 0, not {value}"):
        GloVe(6, 4, **{name: value})


def test_cells_and_counts_that_cannot_be_learned_are_refused_with_nothing_changed():
    model = glove()
    model.forward(CELLS, COUNTS)
    before = [p.copy() for p in model.params]
    for cells, counts, problem in [
        (CELLS[:, :1], COUNTS, r"cells \(20, 1\) and counts \(20,\) do not go together"),
        (CELLS[:-1], COUNTS, "do not go together"),
        (CELLS + 6, COUNTS, r"id \d+ is not in 0\.\.5"),
        (CELLS, 0 * COUNTS, "counts must be above 0"),
        (CELLS, -COUNTS, "counts must be above 0"),
        (CELLS, COUNTS * math.nan, "counts must be above 0"),
        (CELLS, COUNTS * math.inf, "counts must be above 0"),
    ]:
        with pytest.raises(ValueError, match=problem):
            model.forward(cells, counts)
    for p, was in zip(model.params, before, strict=True):
        numpy.testing.assert_array_equal(p, was)


@pytest.mark.parametrize("kind", [numpy.array, scipy.sparse.csr_array])
def test_cells_are_those_that_are_not_zero(kind):
    cells, counts = nonzero_cells(kind([[0, 1.5, 0], [1.5, 0, 3], [0, 3, 2]]))
    assert cells.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [2, 2]]
    assert counts.tolist() == [1.5, 1.5, 3, 3, 2]


@pytest.mark.parametrize("kind", [numpy.array, scipy.sparse.csr_array])
@pytest.mark.parametrize(
    ("C", "problem"),
    [
        ([[0, 1.0], [2, 0]], "counts are not symmetric"),
        ([[0, 1.0], [0, 0]], "counts are not symmetric"),
        ([[0, 1.0, 0], [1, 0, 0]], r"counts have shape \(2, 3\)"),
        ([[0.0, 0], [0, 0]], "all counts are 0, no word stands near another"),
        ([[0, -1.0], [-1, 0]], "counts must be finite and not negative"),
        ([[math.nan]], "counts must be finite and not negative"),
        ([[math.inf]], "counts must be finite and not negative"),
    ],
)
def test_a_matrix_that_holds_no_counts_is_refused(C, problem, kind):
    with pytest.raises(ValueError, match=f"nonzero_cells: {problem}"):
        nonzero_cells(kind(C))


# --- The script ----------------------------------------------------------------------------------

TINY = {"corpus": "text.txt", "window_size": 3, "hidden_size": 4, "batch_size": 8, "max_epoch": 2}


def test_training_leaves_vectors_that_the_scripts_of_chapter_4_read(folder, capsys):
    Path("text.txt").write_text(TEXT)
    losses = train_glove.main(**TINY)
    assert sorted(path.suffix for path in folder.glob("glove_params.*")) == [
        ".checkpoint",
        ".json",
        ".npz",
        ".png",
    ]
    word_vecs, word_to_id, _ = load_vectors("glove_params.npz")
    assert word_vecs.shape == (len(word_to_id), 4)
    assert read_counts("glove_params.npz").sum() == 30 * (5 + 6 + 2)  # and the ends of sentences
    assert len(losses) == 2  # one report for each pass
    eval_script.main("glove_params.npz", query="cat")
    out = capsys.readouterr().out
    assert "cells of 7 x 7 are not zero" in out
    assert "[query] cat" in out


def test_the_made_up_english_is_learned_and_a_run_goes_on_where_it_was(folder):
    how = {"corpus": "grammar", "hidden_size": 10, "batch_size": 512, "plot": False}
    whole = train_glove.main(**how, max_epoch=4, vectors="whole.npz")
    assert whole[-1] < 0.3 * whole[0]
    train_glove.main(**how, max_epoch=2, vectors="parts.npz")
    train_glove.main(**how, max_epoch=4, vectors="parts.npz", resume=True)
    numpy.testing.assert_array_equal(load_vectors("parts.npz")[0], load_vectors("whole.npz")[0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("word", "window_size 10 does not fit a text"),
        ("word\n" * 20, "no word stands near another"),
    ],
)
def test_a_text_without_neighbours_is_refused(text, problem, folder):
    Path("text.txt").write_text(text)
    with pytest.raises(ValueError, match=problem):
        train_glove.main("text.txt")
    assert [*folder.iterdir()] == [folder / "text.txt"]


def test_a_weight_of_0_is_refused_before_anything_is_counted(folder):
    Path("text.txt").write_text(TEXT)
    with pytest.raises(ValueError, match=r"GloVe: x_max must be above 0, not 0"):
        train_glove.main(**TINY, x_max=0)
