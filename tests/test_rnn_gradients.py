"""The two gradient scripts of chapter 6: how norms grow and fade, and how clipping bounds them."""

import numpy
import pytest

from ch06 import clip_grads, rnn_gradient_graph
from ch06.rnn_gradient_graph import gradient_norms, recurrent_weights
from tests.scripts import ROOT, assert_not_blank, copy_packages, run

GROWS = [2.46841, 3.33570, 4.78328, 6.27959, 8.08078]  # figure 6-8
FADES = [1.23420, 0.833926, 0.597910]  # figure 6-9


def test_the_gradient_grows_as_in_the_book():
    norms = gradient_norms()
    assert len(norms) == 20
    assert norms[:5] == pytest.approx(GROWS, rel=2e-6)
    assert [norms[9], *norms[-2:]] == pytest.approx([25.6890, 198.771, 249.496], rel=3e-6)


def test_half_the_weights_let_it_fade_as_in_the_book():
    norms = gradient_norms(0.5)
    assert norms[:3] == pytest.approx(FADES, rel=5e-6)
    expected = [0.0250869, 0.000379126, 0.000237938]
    assert [norms[9], *norms[-2:]] == pytest.approx(expected, rel=3e-6)


@pytest.mark.parametrize("scale", [0.5, 0.8, 2.0, -1.0])
def test_the_scale_counts_once_a_step(scale):
    powers = [abs(scale) ** t for t in range(1, 21)]
    expected = numpy.array(powers) * gradient_norms()
    numpy.testing.assert_allclose(gradient_norms(scale), expected, rtol=1e-12)


def test_the_norms_are_those_of_an_rnn_without_its_tanh():
    """The first by hand: rows of dh @ Wh.T, from ones, are the row sums of Wh, in both samples."""
    sums = recurrent_weights().sum(axis=1)
    assert gradient_norms()[0] == pytest.approx(numpy.sqrt(2 * (sums**2).sum()) / 2)


@pytest.mark.parametrize(
    ("scale", "singular", "radius", "file"),
    [
        (1.0, "2.659", "1.255", "fig_6_8_gradient_norms.png"),
        (0.5, "1.330", "0.628", "fig_6_9_gradient_norms.png"),
        (2.0, "5.319", "2.510", "scale_2_gradient_norms.png"),
    ],
)
def test_the_script_prints_what_foretells_the_norms(scale, singular, radius, file, folder, capsys):
    rnn_gradient_graph.main(scale)
    out = capsys.readouterr().out
    assert f"largest singular value of Wh: {singular}" in out
    assert f"spectral radius of Wh: {radius}" in out
    assert f"norms: {gradient_norms(scale)[0]:.6g} " in out
    assert_not_blank(folder / file)


def test_the_spectral_radius_is_the_growth_in_the_long_run():
    norms = gradient_norms()
    assert norms[-1] / norms[-2] == pytest.approx(1.255, abs=1e-3)


def test_the_global_random_numbers_of_numpy_are_left_alone(folder):
    numpy.random.seed(7)
    first = numpy.random.random()
    numpy.random.seed(7)
    rnn_gradient_graph.main()
    assert numpy.random.random() == first


@pytest.mark.usefixtures("backend")
def test_clipping_keeps_directions_and_bounds_the_length(capsys):
    clip_grads.main(seed=0)
    before, after = read(capsys.readouterr().out)
    for g, clipped in zip(before[1:], after[1:], strict=True):
        rate = after[0] / before[0]
        numpy.testing.assert_allclose(clipped, rate * g, rtol=1e-4)
    assert before[0] > 20
    assert after[0] == pytest.approx(5, abs=1e-4)
    assert after[0] <= 5
    for norm, *grads in (before, after):
        assert numpy.sqrt(sum((g**2).sum() for g in grads)) == pytest.approx(norm, rel=1e-4)


def read(out):
    """What clip_grads printed -> (joint norm, matrix, matrix) before, and the same after."""
    for part in out.removeprefix("before: ").split("after: "):
        norm, numbers = part.removeprefix("joint norm").split("\n", 1)
        numbers = [float(number) for number in numbers.replace("[", "").replace("]", "").split()]
        yield float(norm), *numpy.array(numbers).reshape(2, 3, 3)


def test_short_gradients_are_not_stretched(capsys):
    clip_grads.main(max_norm=100.0, seed=0)
    before, after = read(capsys.readouterr().out)
    for a, b in zip(before, after, strict=True):
        numpy.testing.assert_array_equal(a, b)


def test_a_seed_decides_the_gradients_and_without_one_they_differ(capsys):
    outs = []
    for seed in 0, 0, 1, None, None:
        clip_grads.main(seed=seed)
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]
    assert len(set(outs)) == 4


@pytest.mark.parametrize("max_norm", [0.0, -1.0])
def test_a_norm_that_is_not_positive_is_refused(max_norm):
    with pytest.raises(ValueError, match="clip_grads: max_norm must be positive"):
        clip_grads.main(max_norm=max_norm)


TYPED = """
import numpy as np
from clip_grads import clip_grads
from rnn_gradient_graph import gradient_norms

grads = [np.full((3, 3), 10.0), np.full((3, 3), 10.0)]
clip_grads(grads, 5.0)
print(round(float(np.sqrt(sum((g ** 2).sum() for g in grads))), 4), len(gradient_norms()))
"""


def test_scripts_run_from_their_folder_and_as_modules(tmp_path):
    copy_packages(tmp_path, "common", "dataset", "ch05", "ch06")
    (tmp_path / "ch06" / "typed.py").write_text(TYPED)
    here = {"cwd": tmp_path / "ch06", "installed": tmp_path}
    assert run("typed.py", **here).stdout == "5.0 20\n"
    for script, flags in [
        ("clip_grads", ["--seed", "1", "--max-norm", "2"]),
        ("rnn_gradient_graph", ["--scale", "0.5"]),
    ]:
        inside = run(f"{script}.py", *flags, **here).stdout
        as_module = run("-m", f"ch06.{script}", *flags, cwd=tmp_path).stdout
        assert inside == as_module != ""
    assert_not_blank(tmp_path / "fig_6_9_gradient_norms.png")


@pytest.mark.parametrize("script", ["clip_grads", "rnn_gradient_graph", "eval"])
def test_importing_a_script_prints_and_draws_nothing(script):
    code = f"import sys, ch06.{script}; print('matplotlib' in sys.modules)"
    assert run("-c", code, cwd=ROOT).stdout == "False\n"
