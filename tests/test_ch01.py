"""Chapter 1: its worked numbers, its network, its scripts, and scripts typed from the book."""

import importlib
import math
import re
import textwrap

import matplotlib.pyplot as plt
import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch01 import figures, forward_net, show_spiral_dataset, train, train_custom_loop
from ch01.graph_nodes import Add, Multiply, Repeat
from ch01.two_layer_net import TwoLayerNet, accuracy
from common import plots
from common.functions import cross_entropy_error, sigmoid, softmax
from common.gradient_check import check_gradients
from common.layers import Affine, MatMul, Sigmoid, Softmax, SoftmaxWithLoss
from common.np import np, to_cpu
from common.optimizer import SGD
from common.rng import generator, randn
from common.trainer import RnnlmTrainer, Trainer
from dataset import spiral
from tests.scripts import ROOT, assert_not_blank, copy_packages, run, written

SCRIPTS = ["figures", "forward_net", "show_spiral_dataset", "train", "train_custom_loop"]


# --- The book's worked numbers -------------------------------------------------------------------


def test_vectors_and_matrices_tell_their_class_shape_and_dimensions(backend):
    x, W = np.array([1, 2, 3]), np.array([[1, 2, 3], [4, 5, 6]])
    assert type(x) is np.ndarray
    assert (x.shape, x.ndim) == ((3,), 1)
    assert (W.shape, W.ndim) == ((2, 3), 2)


def test_sums_and_products_go_element_by_element(backend):
    W, X = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[0, 1, 2], [3, 4, 5]])
    assert_array_equal(to_cpu(Add().forward(W, X)), [[1, 3, 5], [7, 9, 11]])
    assert_array_equal(to_cpu(Multiply().forward(W, X)), [[0, 2, 6], [12, 20, 30]])


def test_broadcasting_is_an_unseen_repeat(backend):
    A, row = np.array([[1, 2], [3, 4]]), np.array([10, 20])
    assert_array_equal(to_cpu(A * 10), [[10, 20], [30, 40]])
    assert_array_equal(to_cpu(A * row), [[10, 40], [30, 80]])
    assert_array_equal(to_cpu(Multiply().forward(A, Repeat(2).forward(row))), to_cpu(A * row))


def test_matmul_of_vectors_and_matrices():
    column = np.array([[4.0], [5.0], [6.0]])
    # 1 * 4 + 2 * 5 + 3 * 6 = 32
    assert_array_equal(to_cpu(MatMul(column).forward(np.array([[1.0, 2.0, 3.0]]))), [[32]])
    B = np.array([[5.0, 6.0], [7.0, 8.0]])
    # 1 * 5 + 2 * 7 = 19,  1 * 6 + 2 * 8 = 22,  3 * 5 + 4 * 7 = 43,  3 * 6 + 4 * 8 = 50
    y = MatMul(B).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert_array_equal(to_cpu(y), [[19, 22], [43, 50]])


def test_matmul_joins_the_inner_sizes_and_refuses_others(r):
    assert MatMul(r(2, 4)).forward(r(3, 2)).shape == (3, 4)
    with pytest.raises(ValueError, match=r"MatMul: input must be \(N, 2\), not \(3, 4\)"):
        MatMul(r(2, 4)).forward(r(3, 4))


def test_inner_product_of_unit_vectors_is_one_the_same_way_and_minus_one_the_other(r):
    u = r(1, 5)
    u = u / np.linalg.norm(u)
    assert_allclose(to_cpu(MatMul(u.T).forward(u)), [[1]], rtol=1e-14)
    assert_allclose(to_cpu(MatMul(u.T).forward(-u)), [[-1]], rtol=1e-14)


def test_a_batch_of_ten_goes_through_two_layers(backend, r):
    h = Sigmoid().forward(Affine(r(2, 4), r(4)).forward(r(10, 2)))
    s = Affine(r(4, 3), r(3)).forward(h)
    assert (h.shape, s.shape) == ((10, 4), (10, 3))


def test_a_model_lists_the_very_arrays_of_its_layers_in_order():
    model = TwoLayerNet(2, 10, 3, rng=0)
    first, _, second = model.layers
    assert [p.shape for p in model.params] == [(2, 10), (10,), (10, 3), (3,)]
    for joined, own in [
        (model.params, first.params + second.params),
        (model.grads, first.grads + second.grads),
    ]:
        assert len(joined) == 4
        assert all(a is b for a, b in zip(joined, own, strict=True))


def test_backward_writes_into_the_memory_that_the_model_listed(backend):
    model = TwoLayerNet(2, 4, 3, rng=0)
    listed = list(model.grads)
    x, t = spiral.load_data()
    for points in (slice(0, 10), slice(100, 110)):
        model.forward(np.asarray(x[points]), t[points])
        model.backward()
        seen = [to_cpu(g).copy() for g in listed]
        for g, kept, now in zip(model.grads, listed, seen, strict=True):
            assert g is kept
            assert_array_equal(to_cpu(g), now)
            assert numpy.any(now)


def test_assigning_through_an_ellipsis_keeps_the_memory():
    a, b = np.array([1, 2, 3]), np.array([4, 5, 6])
    place = a
    a[...] = b
    assert a is place
    assert a is not b
    assert_array_equal(to_cpu(place), [4, 5, 6])


class Recorder:
    """A model that learns nothing and notes the samples that it is shown."""

    def __init__(self):
        self.params, self.grads, self.seen = [], [], []

    def forward(self, x, t):
        assert_array_equal(x, t)
        self.seen += x.tolist()
        return 0.0

    def backward(self):
        pass


def test_an_epoch_shows_every_sample_once_in_a_new_order():
    model, x = Recorder(), numpy.arange(10.0)
    Trainer(model, SGD()).fit(x, x, max_epoch=2, batch_size=5, eval_interval=None, rng=0)
    first, second = model.seen[:10], model.seen[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert_array_equal(x, numpy.arange(10.0))


def test_normal_numbers_are_float64_in_numpy_and_float32_on_request():
    drawn = numpy.random.default_rng(0).standard_normal(3)
    assert drawn.dtype == numpy.float64
    assert drawn.astype(numpy.float32).dtype == drawn.astype("f").dtype == numpy.float32
    assert randn(generator(0), 3).dtype == np.float32


def test_row_sums_on_the_device(backend):
    x = np.arange(6).reshape(2, 3).astype("f")
    s = x.sum(axis=1)
    assert s.dtype == np.float32
    assert_array_equal(to_cpu(s), [3, 12])


SCORES, CLASSES = [[0.3, 2.9, 4.0], [1.0, 1.0, 1.0]], [2, 0]
ONE_HOT = [[0, 0, 1], [1, 0, 0]]


def test_softmax_gives_positive_shares_of_one():
    y = to_cpu(softmax(np.array(SCORES)))
    assert numpy.all((y > 0) & (y < 1))
    assert_allclose(y.sum(axis=1), 1, rtol=1e-15)
    assert_allclose(y[1], 1 / 3, rtol=1e-15)


def test_softmax_takes_large_scores():
    y = to_cpu(softmax(np.array([1010.0, 1000.0, 990.0])))
    # exp(0) : exp(-10) : exp(-20), over their sum
    weights = [1, math.exp(-10), math.exp(-20)]
    assert_allclose(y, numpy.array(weights) / sum(weights), rtol=1e-14)


@pytest.mark.parametrize("t", [CLASSES, ONE_HOT], ids=["ids", "one-hot"])
def test_cross_entropy_picks_the_true_class(t):
    y = np.array([[0.1, 0.2, 0.7], [0.4, 0.5, 0.1]])
    # -(ln 0.7 + ln 0.4) / 2 = (0.35667494 + 0.91629073) / 2
    # and 1e-7 beside each probability, which takes half of 1e-7 / 0.7 + 1e-7 / 0.4 off
    assert_allclose(float(cross_entropy_error(y, np.array(t))), 0.63648284 - 1.96e-7, atol=1e-8)


def test_sigmoid_at_four_places_and_its_slopes():
    layer, x = Sigmoid(), np.array([-1.0, 0.0, 1.0, 2.0])
    values = [0.26894142, 0.5, 0.73105858, 0.88079708]
    slopes = [0.19661193, 0.25, 0.19661193, 0.10499359]
    assert_allclose(to_cpu(layer.forward(x)), values, atol=5e-9)
    assert_allclose(to_cpu(layer.backward(np.ones(4))), slopes, atol=5e-9)
    assert_allclose(forward_net.Sigmoid().forward(to_cpu(x)), values, atol=5e-9)


@pytest.mark.parametrize("t", [CLASSES, ONE_HOT], ids=["ids", "one-hot"])
def test_softmax_with_loss_and_its_gradient(t, backend):
    layer = SoftmaxWithLoss()
    loss = float(layer.forward(np.array(SCORES), numpy.array(t)))
    # Row 0: ln(e^0.3 + e^2.9 + e^4) - 4,  row 1: ln(3 e) - 1 = ln 3
    exactly = (math.log(math.exp(0.3) + math.exp(2.9) + math.exp(4)) - 4 + math.log(3)) / 2
    assert_allclose(loss, exactly, rtol=1e-14)
    assert_allclose(loss, 0.70216316, atol=3e-7)  # with 1e-7 added to the probabilities
    dx = [[0.00910564, 0.12259591, -0.13170154], [-1 / 3, 1 / 6, 1 / 6]]
    assert_allclose(to_cpu(layer.backward()), dx, atol=5e-9)


def test_softmax_with_loss_is_the_softmax_layer_followed_by_cross_entropy():
    together, first = SoftmaxWithLoss(), Softmax()
    loss = float(together.forward(np.array(SCORES), numpy.array(CLASSES)))
    y = first.forward(np.array(SCORES))
    assert_allclose(float(cross_entropy_error(y, np.array(CLASSES))), 0.70216316, atol=5e-9)
    assert_allclose(loss, 0.70216316, atol=3e-7)
    # cross-entropy alone: dL/dy = -t / y / N
    dx = first.backward(-np.array(ONE_HOT) / y / 2)
    assert_allclose(to_cpu(together.backward()), to_cpu(dx), atol=1e-15)


def test_the_derivative_of_a_square_is_twice_the_number(backend):
    x = np.array([-3.0, 0.0, 0.5, 2.0])
    y, slope = figures.square(x)
    assert_array_equal(to_cpu(y), [9, 0, 0.25, 4])
    assert_array_equal(to_cpu(slope), [-6, 0, 1, 4])


# --- The networks --------------------------------------------------------------------------------


def test_gradients_of_the_network_agree_with_differences():
    model = TwoLayerNet(2, 4, 3, rng=0)
    for p in model.params:
        p[...] += np.asarray(numpy.random.default_rng(p.size).standard_normal(p.shape))
    x, t = spiral.load_data()
    errors = check_gradients(model, np.asarray(x[::40]), t[::40])
    assert set(errors) == {"input 0", *(f"params[{k}]" for k in range(4))}


def test_weights_are_a_hundredth_of_normal_numbers_drawn_in_order():
    W1, b1, W2, b2 = TwoLayerNet(2, 4, 3, rng=7).params
    drawn = numpy.random.default_rng(7)
    assert_array_equal(to_cpu(W1), 0.01 * drawn.standard_normal((2, 4)))
    assert_array_equal(to_cpu(W2), 0.01 * drawn.standard_normal((4, 3)))
    assert not b1.any()
    assert not b2.any()
    assert {p.dtype for p in (W1, b1, W2, b2)} == {numpy.dtype("float64")}


@pytest.mark.parametrize("net", [TwoLayerNet, forward_net.TwoLayerNet], ids=["", "forward_net"])
def test_numpys_global_seed_decides_a_network_without_its_own(net):
    nets = []
    for _ in range(2):
        numpy.random.seed(3)
        nets.append(net(2, 4, 3))
    for p, q in zip(nets[0].params, nets[1].params, strict=True):
        assert_array_equal(to_cpu(p), to_cpu(q))


def test_an_untrained_network_is_as_surprised_as_a_guess():
    x, t = spiral.load_data()
    loss = float(TwoLayerNet(2, 10, 3, rng=0).forward(np.asarray(x), t))
    assert_allclose(loss, math.log(3), atol=1e-3)


def test_the_network_saves_and_loads_its_weights(tmp_path):
    model, other = TwoLayerNet(2, 4, 3, rng=0), TwoLayerNet(2, 4, 3, rng=1)
    model.save_params(tmp_path / "net.npz")
    other.load_params(tmp_path / "net.npz")
    for p, q in zip(model.params, other.params, strict=True):
        assert_allclose(to_cpu(q), to_cpu(p), rtol=1e-7)


def test_accuracy_is_the_share_of_highest_scores_at_the_class():
    class Fixed:
        def predict(self, x):
            return np.asarray([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])

    t = numpy.eye(3)[[1, 0, 2, 1]]
    assert accuracy(Fixed(), numpy.zeros((4, 2)), t) == 0.75


def test_the_forward_net_agrees_with_the_layers_of_common():
    net = forward_net.TwoLayerNet(2, 4, 3, rng=0)
    W1, b1, W2, b2 = (np.asarray(p) for p in net.params)
    x = numpy.random.default_rng(1).standard_normal((10, 2))
    h = sigmoid(Affine(W1, b1).forward(np.asarray(x)))
    assert_allclose(net.predict(x), to_cpu(Affine(W2, b2).forward(h)), rtol=1e-14)


def test_the_forward_net_imports_no_module_of_ours_and_prints_nothing():
    code = """
        import sys, ch01.forward_net
        print([m for m in sys.modules if m.startswith(("common.", "dataset."))])
    """
    assert run("-c", textwrap.dedent(code), cwd=ROOT).stdout == "[]\n"


def test_the_sigmoid_of_the_forward_net_never_overflows():
    y = forward_net.Sigmoid().forward(numpy.array([-1e4, 0, 1e4], numpy.float32))
    assert_array_equal(y, [0, 0.5, 1])


# --- Training on the spiral ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_books_settings_learn_the_spiral(seed, capsys):
    model, loss_list = train_custom_loop.main(seed=seed, plot=False)
    assert len(loss_list) == 300
    assert 1.05 < loss_list[0] < 1.25  # near ln 3 = 1.0986, a guess among three
    assert loss_list[-1] < 0.2
    assert accuracy(model, *spiral.load_data()) > 0.93
    assert capsys.readouterr().out.count("| epoch ") == 300


def test_loop_and_trainer_end_with_the_same_weights():
    by_hand, _ = train_custom_loop.main(max_epoch=30, plot=False)
    by_trainer, _ = train.main(max_epoch=30, plot=False)
    for p, q in zip(by_hand.params, by_trainer.params, strict=True):
        assert_array_equal(to_cpu(p), to_cpu(q))


def test_loop_and_trainer_report_the_same_losses_where_an_epoch_is_one_batch():
    _, by_hand = train_custom_loop.main(max_epoch=5, batch_size=300, plot=False)
    _, by_trainer = train.main(max_epoch=5, batch_size=300, plot=False)
    assert by_hand == by_trainer


def test_the_loop_reports_the_epoch_before_and_the_trainer_one_iteration_later():
    # One report every 10 iterations; a mean over 10 for the loop, over 1, 10, 10 for the trainer.
    losses = []
    forward = TwoLayerNet.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwoLayerNet, "forward", lambda *a: losses.append(forward(*a)) or losses[-1])
        _, by_hand = train_custom_loop.main(max_epoch=3, plot=False)
    _, by_trainer = train.main(max_epoch=3, plot=False)
    losses = [float(loss) for loss in losses]
    assert_allclose(by_hand, numpy.reshape(losses, (3, 10)).mean(axis=1), rtol=1e-14)
    means = [losses[0], numpy.mean(losses[1:11]), numpy.mean(losses[11:21])]
    assert_allclose(by_trainer, means, rtol=1e-14)


def test_printed_lines_are_the_books(capsys):
    train_custom_loop.main(max_epoch=1, plot=False)
    line, last = capsys.readouterr().out.splitlines()
    assert line == "| epoch 1 |  iter 10 / 10 | loss 1.16"
    assert last.startswith("accuracy 0.")
    train.main(max_epoch=1, plot=False)
    line, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| epoch 1 \|  iter 1 / 10 \| time \d+\[s\] \| loss 1\.10", line)
    assert last.startswith("accuracy 0.")


@pytest.mark.parametrize("batch_size", [0, 301])
@pytest.mark.parametrize("script", [train, train_custom_loop])
def test_a_batch_size_that_cannot_be_is_refused(script, batch_size):
    with pytest.raises(ValueError, match=str(batch_size)):
        script.main(batch_size=batch_size)


def test_training_runs_on_both_array_libraries(backend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, by_hand = train_custom_loop.main(max_epoch=2, batch_size=100)
    _, by_trainer = train.main(max_epoch=2, batch_size=100)
    assert len(by_hand) == len(by_trainer) == 2
    assert len(list(tmp_path.iterdir())) == 3


# --- Figures -------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the figures that a script would show, by file name."""
    axes = {}
    monkeypatch.setattr(plots, "show", lambda name: axes.update({name: plt.gca()}))
    yield axes
    plt.close("all")


@pytest.mark.parametrize(
    ("main", "options", "names"),
    [
        (show_spiral_dataset.main, {}, ["fig_1_31_spiral.png"]),
        (
            train_custom_loop.main,
            {"max_epoch": 3, "hidden_size": 4},
            ["fig_1_32_loss.png", "fig_1_33_regions.png"],
        ),
        (train.main, {"max_epoch": 3, "hidden_size": 4}, ["loss.png"]),
    ],
    ids=["show_spiral_dataset", "train_custom_loop", "train"],
)
def test_scripts_save_their_figures_where_nothing_can_be_shown(
    main, options, names, folder, capsys
):
    main(**options)
    assert sorted(p.name for p in folder.iterdir()) == names
    printed = capsys.readouterr().out
    for name in names:
        assert_not_blank(name)
        assert f"figure saved: {name}\n" in printed


def test_no_plot_means_no_file(folder):
    train.main(max_epoch=1, plot=False)
    train_custom_loop.main(max_epoch=1, plot=False)
    assert list(folder.iterdir()) == []


def test_the_sigmoid_figure_is_an_s_between_zero_and_one(drawn):
    figures.plot_sigmoid()
    x, y = drawn["fig_1_10_sigmoid.png"].lines[0].get_data()
    assert (x[0], x[-1]) == (-5, 5)
    assert numpy.all((y > 0) & (y < 1))
    assert numpy.all(numpy.diff(y) > 0)
    assert y[100] == 0.5


@pytest.mark.parametrize("at", [-4.0, 0.0, 1.0])
def test_the_tangent_touches_the_parabola_in_one_point_and_lies_below_it(at, drawn):
    figures.plot_tangent(at)
    axes = drawn["fig_1_14_tangent.png"]
    curve, tangent, point = axes.lines
    x, y = curve.get_data()
    assert_allclose(y, x**2)
    assert_allclose(y - tangent.get_ydata(), (x - at) ** 2, atol=1e-12)
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (at, at**2)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert left < at < right
    assert low < at**2 < high


def test_the_spiral_figure_has_a_marker_for_each_class(drawn):
    show_spiral_dataset.main()
    x, t = spiral.load_data()
    assert_points_by_class(drawn["fig_1_31_spiral.png"], x, t)


def test_regions_show_the_predicted_class_under_the_right_points(drawn):
    model, loss_list = train_custom_loop.main()
    assert_array_equal(drawn["fig_1_32_loss.png"].lines[0].get_ydata(), loss_list)
    axes = drawn["fig_1_33_regions.png"]
    assert not axes.axison
    x, t = spiral.load_data()
    regions = axes.collections[:3]
    assert_points_by_class(axes, x, t)
    # A point lies in the region of the class that the model gives it.
    inside = numpy.stack([covers(region, x) for region in regions], axis=1)
    agree = inside[numpy.arange(300), model.predict(x).argmax(axis=1)]
    assert agree.mean() > 0.97  # a grid of 0.01 cannot follow the border to the last point
    assert inside.sum(axis=1).max() == 1


def covers(region, points):
    paths = region.get_paths()
    return sum(path.contains_points(points).astype(int) for path in paths) > 0


def assert_points_by_class(axes, x, t):
    clouds = [c for c in axes.collections if len(c.get_offsets()) > 1]
    assert len(clouds) == 3
    for k, cloud in enumerate(clouds):
        assert_array_equal(cloud.get_offsets(), x[t[:, k] == 1])
    markers = {cloud.get_paths()[0].vertices.tobytes() for cloud in clouds}
    assert len(markers) == 3
    assert axes.get_aspect() == 1


def test_points_keep_their_class_in_any_order():
    x, t = spiral.load_data()
    order = numpy.random.default_rng(0).permutation(300)
    _, axes = plt.subplots()
    show_spiral_dataset.draw_points(x[order], t[order], axes)
    first = axes.collections[0].get_offsets()
    plt.close()
    assert sorted(map(tuple, first.tolist())) == sorted(map(tuple, x[:100].tolist()))


@pytest.mark.parametrize(
    ("trainer", "file"), [(Trainer, "loss.png"), (RnnlmTrainer, "perplexity.png")]
)
def test_a_trainer_plots_into_a_file_without_a_display(trainer, file, folder, capsys):
    trainer = trainer(None, None)
    trainer.eval_interval = 20
    history = trainer.loss_list if file == "loss.png" else trainer.ppl_list
    history += [3.0, 2.0, 1.5]
    trainer.plot(ylim=(0, 5))
    assert_not_blank(folder / file)
    assert capsys.readouterr().out == f"figure saved: {file}\n"


def test_show_uses_the_display_where_there_is_one(folder, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    figure = plt.figure()
    plots.show("never.png")
    assert shown == [[figure.number]]
    assert list(folder.iterdir()) == []
    assert capsys.readouterr().out == ""
    plt.close(figure)


def test_show_takes_the_format_from_the_ending(folder):
    plt.plot([1, 2])
    plots.show(folder / "line.svg")
    assert b"<svg" in (folder / "line.svg").read_bytes()


def test_a_figure_that_cannot_be_written_leaves_the_older_file_and_no_open_figure(folder):
    (folder / "old.unknown").write_text("old")
    plt.plot([1, 2])
    with pytest.raises(ValueError, match="unknown"):
        plots.show(folder / "old.unknown")
    plt.plot([1, 2])
    with pytest.raises(FileNotFoundError):
        plots.show(folder / "nowhere" / "line.png")
    assert [p.name for p in folder.iterdir()] == ["old.unknown"]
    assert (folder / "old.unknown").read_text() == "old"


def test_matplotlib_is_only_imported_to_draw():
    modules = ", ".join(f"ch01.{name}" for name in SCRIPTS)
    code = f"import sys, common.trainer, {modules}; print('matplotlib' in sys.modules)"
    assert run("-c", code, cwd=ROOT).stdout == "False\n"


# --- From the command line -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages that chapter 1 needs, to be written into."""
    return copy_packages(tmp_path_factory.mktemp("checkout"), "ch01", "common", "dataset")


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_flag_ends_with_status_2_and_is_named(script):
    done = run(f"{script}.py", "--no-such-flag", cwd=ROOT / "ch01", status=2, installed=ROOT)
    assert "--no-such-flag" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("script", "flag"),
    [
        ("figures", "--at"),
        ("forward_net", "--seed"),
        ("show_spiral_dataset", "--seed"),
        ("train", "--lr"),
        ("train_custom_loop", "--max-epoch"),
    ],
)
def test_a_wrong_value_ends_with_status_2_and_is_named(script, flag):
    done = run("-m", f"ch01.{script}", flag, "three", cwd=ROOT, status=2)
    assert flag in done.stderr
    assert "three" in done.stderr


@pytest.mark.parametrize("script", ["train", "train_custom_loop"])
def test_help_explains_every_flag(script):
    text = " ".join(run("-m", f"ch01.{script}", "--help", cwd=ROOT).stdout.split())
    for flag, words in [
        ("--max-epoch", "how often to go through the data (default: 300)"),
        ("--batch-size", "(default: 30)"),
        ("--hidden-size", "neurons between input and output (default: 10)"),
        ("--lr", "learning rate (default: 1.0)"),
        ("--no-plot", "whether to draw"),
    ]:
        assert flag in text
        assert words in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_run_as_a_module_and_from_inside_the_chapter(script, checkout):
    short = ["--max-epoch", "2"] if script.startswith("train") else []
    inside = run(f"{script}.py", *short, cwd=checkout / "ch01", installed=checkout)
    as_module = run("-W", "error", "-m", f"ch01.{script}", *short, cwd=checkout)
    untimed = [re.sub(r"time \d+", "time 0", done.stdout) for done in (inside, as_module)]
    assert untimed[0] == untimed[1] != ""
    here, above = written(inside), written(as_module)
    assert [checkout / "ch01" / path.relative_to(checkout) for path in above] == here
    for path in [path for path in here + above if path.suffix == ".png"]:
        assert_not_blank(path)


def test_the_forward_net_prints_the_same_scores_for_the_same_seed(capsys):
    scores = [forward_net.main(seed) for seed in (0, 0, 1)]
    assert scores[0].shape == (10, 3)
    assert_array_equal(scores[0], scores[1])
    assert not numpy.allclose(scores[0], scores[2])
    assert capsys.readouterr().out.startswith("[[")


def test_importing_a_script_prints_nothing(capsys):
    for name in SCRIPTS:
        importlib.reload(importlib.import_module(f"ch01.{name}"))
    assert capsys.readouterr().out == ""


# --- Scripts typed in the book's way, started in the chapter's folder ----------------------------

OWN_LOOP = """
import sys
sys.path.append('..')
import numpy as np
from common.optimizer import SGD
from dataset import spiral
import matplotlib.pyplot as plt
from two_layer_net import TwoLayerNet

np.random.seed(1)
points, labels = spiral.load_data()
net = TwoLayerNet(input_size=2, hidden_size=10, output_size=3)
sgd = SGD(lr=1.0)
history = []
for epoch in range(40):
    shuffled = np.random.permutation(len(points))
    points, labels = points[shuffled], labels[shuffled]
    for k in range(0, len(points), 30):
        history.append(net.forward(points[k:k + 30], labels[k:k + 30]))
        net.backward()
        sgd.update(net.params, net.grads)
print('%.2f' % np.mean(history[:10]), '%.2f' % np.mean(history[-10:]))
print(net.predict(points).shape)

plt.plot(np.arange(len(history)), history, label='train')
plt.savefig('history.png')
plt.show()
"""

OWN_MODEL = """
import sys
sys.path.append('..')
from common.np import *
from common.layers import *
from common.time_layers import *
from common.optimizer import Adam
from common.trainer import Trainer
from dataset import spiral


class ThreeLayerNet:
    def __init__(self, sizes):
        self.layers = []
        for rows, columns in zip(sizes, sizes[1:]):
            W = np.random.randn(rows, columns) / np.sqrt(rows)
            self.layers += [Affine(W, np.zeros(columns)), Sigmoid()]
        self.layers.pop()
        self.loss_layer = SoftmaxWithLoss()
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, x, t):
        for layer in self.layers:
            x = layer.forward(x)
        return self.loss_layer.forward(x, t)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


np.random.seed(0)
x, t = spiral.load_data()
trainer = Trainer(ThreeLayerNet([2, 16, 8, 3]), Adam(lr=0.02))
trainer.fit(x, t, max_epoch=60, batch_size=30, eval_interval=10)
trainer.plot()
print(trainer.loss_list[0] > 2 * trainer.loss_list[-1])

sequence = np.random.randn(2, 5, 3).astype('f')
D, H = 3, 4
lstm = TimeLSTM(np.random.randn(D, 4 * H).astype('f'), np.random.randn(H, 4 * H).astype('f'),
                np.zeros(4 * H).astype('f'), stateful=True)
print(lstm.forward(sequence).shape)
"""


def test_a_loop_typed_in_the_books_way_learns(checkout):
    (checkout / "ch01" / "my_loop.py").write_text(OWN_LOOP)
    first, last, shape = run("my_loop.py", cwd=checkout / "ch01").stdout.split(maxsplit=2)
    assert float(last) < 0.85 < 1 < float(first)
    assert shape == "(300, 3)\n"
    assert_not_blank(checkout / "ch01" / "history.png")


def test_a_model_built_from_star_imports_learns(checkout):
    (checkout / "ch01" / "my_model.py").write_text(OWN_MODEL)
    lines = run("my_model.py", cwd=checkout / "ch01").stdout.splitlines()
    assert len(lines) == 60 + 3
    assert lines[60:] == ["figure saved: loss.png", "True", "(2, 5, 4)"]
