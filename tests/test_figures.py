"""`python -m chNN.figures`: the figures of the book that show numbers, as files in one folder."""

import importlib
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import ch01.figures
import ch04.figures
import ch05.figures
import ch06.figures
import ch07.comparison
import ch07.figures
import ch08.figures
from ch01.graph_nodes import sigmoid_graph, tanh_graph
from common import plots
from dataset import ptb
from tests.scripts import ROOT, assert_not_blank, run

# What the book plots or tabulates from numbers, chapter by chapter; the sizes are for a quick test.
DRAWN = {
    1: ({"max_epoch": 3}, ["1_10", "1_14", "1_31", "1_32", "1_33", "a_6", "a_7"]),
    2: ({}, ["2_8", "2_11", "b_2"]),
    3: ({"max_epoch": 3}, ["3_8", "3_12", "3_21"]),
    4: ({"draws": 500}, ["4_9", "4_18", "4_20"]),
    5: ({"max_epoch": 2, "corpus": "grammar"}, ["5_26", "5_31", "5_32", "5_33"]),
    6: ({}, ["6_6", "6_8", "6_9", "6_28"]),
    7: ({}, ["7_2", "7_3", "7_4", "7_22", "7_24", "7_28"]),
    8: ({}, ["8_8", "8_25", "8_26", "8_27", *["8_28"] * 5]),
}
PRINTED = {
    2: ["2-4", "2-5", "2-6", "2-7"],
    3: ["3-4", "3-16", "3-17", "3-18"],
    4: ["4-14", "4-19"],
    6: ["6-27", "6-37"],
    7: ["7-12"],
    8: ["8-9", "8-10"],
}


@pytest.mark.parametrize("chapter", DRAWN)
def test_every_figure_of_a_chapter_goes_into_one_folder(chapter, folder, capsys):
    sizes, numbers = DRAWN[chapter]
    importlib.import_module(f"ch0{chapter}.figures").main(**sizes, folder="a/b")
    assert [p.name for p in folder.iterdir()] == ["a"]
    files = sorted(Path("a/b").iterdir())
    found = [match[1] for f in files if (match := re.match(r"fig_(\w_\d+)_\w+\.png", f.name))]
    assert sorted(found) == sorted(numbers)
    printed = capsys.readouterr().out
    for file in files:
        assert_not_blank(file)
        assert f"figure saved: {file}\n" in printed
    for number in PRINTED.get(chapter, []):
        assert re.search(rf"[Ff]igures? .*\b{number}\b", printed)


def test_figures_go_into_the_folder_figures_unless_told_otherwise(tmp_path):
    told = run("-m", "ch01.figures", "--max-epoch", "1", cwd=tmp_path).stderr
    assert f"written to {tmp_path / 'figures'}: fig_1_" in told
    assert len(re.findall(r"fig_\w_\d+_", told)) == 7
    assert len(list((tmp_path / "figures").iterdir())) == 7


# --- Into a folder -------------------------------------------------------------------------------


def test_within_into_a_figure_is_saved_even_where_it_could_be_shown(folder, monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("shown"))
    with plots.into("pictures"):
        plt.plot([1, 2])
        plots.show("elsewhere/a.png")
    assert [p.as_posix() for p in folder.rglob("*.png")] == [f"{folder}/pictures/a.png"]


def test_after_into_figures_are_shown_again_whatever_happened_within(folder):
    with pytest.raises(ZeroDivisionError), plots.into("pictures"), plots.into("inner"):
        raise ZeroDivisionError
    plt.plot([1, 2])
    plots.show("a.png")
    assert [p.name for p in folder.glob("*.png")] == ["a.png"]


def test_a_folder_that_is_a_file_is_refused_before_anything_is_drawn(folder):
    Path("pictures").write_text("mine")
    with pytest.raises(OSError, match="pictures cannot be a folder"), plots.into("pictures"):
        pytest.fail("drawn")


# --- What they show ------------------------------------------------------------------------------


@pytest.fixture
def axes(monkeypatch, request):
    """The axes of the figure that a function would show."""

    def draw(plot, *args):
        kept = []
        monkeypatch.setattr(plots, "show", lambda name: kept.extend(plt.gcf().axes))
        plot(*args)
        return kept

    yield draw
    plt.close("all")


@pytest.mark.parametrize(("graph", "top"), [(sigmoid_graph, 0.25), (tanh_graph, 1)])
def test_a_derivation_shows_value_and_gradient_of_every_node(graph, top, axes):
    graph = graph()
    above, below = axes(ch01.figures.plot_derivation, graph, "a.png", 0.5)
    boxes = {text.get_text().split("\n")[0]: text for text in above.texts}
    assert list(boxes) == ["x", *graph.nodes]
    assert boxes["y"].get_text() == f"y\nvalue {float(graph.values['y'][0]):.4f}\ngradient 1.0000"
    slope = f"gradient {float(graph.gradients['x'][0]):.4f}"
    assert boxes["x"].get_text() == f"x\nvalue 0.5000\n{slope}"
    assert len({text.get_position() for text in above.texts}) == len(boxes)
    _, drawn = below.lines
    assert drawn.get_ydata().max() == pytest.approx(top)
    edges = {
        (name, i) for name, (_, *ins) in graph.nodes.items() for i in ins if isinstance(i, str)
    }
    assert len(above.lines) == len(edges)
    for line in above.lines:
        (start, end), _ = line.get_data()
        assert start < end  # forward is to the right


def test_the_slope_of_tanh_is_largest_in_the_middle_where_it_is_one(axes):
    (ax,) = axes(ch06.figures.plot_tanh)
    curve, slope = (line.get_ydata() for line in ax.lines)
    middle = len(curve) // 2
    assert (curve[middle], slope[middle], slope.max()) == pytest.approx((0, 1, 1))
    assert slope == pytest.approx(1 - curve**2)


def test_the_curve_of_figure_6_28_is_the_recorded_run(axes):
    history = ch06.figures.histories()["Rnnlm"]
    (ax,) = axes(ch06.figures.plot_reports, history)
    assert ax.lines[0].get_ydata().tolist() == history["train"]
    assert len(history["train"]) == 268  # 67 in each of four epochs, as in the book
    assert ax.get_ylim() == (0, 500)


def test_the_first_reports_are_printed_with_their_iterations(capsys):
    ch06.figures.print_reports({"eval_interval": 20, "train": [9.0, 8.0, 7.5, 7.0]}, count=3)
    assert capsys.readouterr().out.splitlines() == [
        "| iter   1 | perplexity 9.00",
        "| iter  21 | perplexity 8.00",
        "| iter  41 | perplexity 7.50",
    ]


def test_the_three_figures_of_chapter_7_show_one_two_and_three_models(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        ch07.figures, "plot_accuracy", lambda curves, file: drawn.update({file.name: list(curves)})
    )
    ch07.figures.plot_accuracies()
    assert drawn == {
        "fig_7_22_accuracy.png": ["baseline"],
        "fig_7_24_accuracy.png": ["baseline", "reverse"],
        "fig_7_28_accuracy.png": ["baseline", "reverse", "reverse + peeky"],
    }


@pytest.mark.parametrize(
    ("script", "how", "problem"),
    [
        (ch01.figures, {"at": float("nan")}, "at must be a number from -1e6 to 1e6, not nan"),
        (ch04.figures, {"draws": 0}, "draws must be at least 1, not 0"),
        (ch04.figures, {"power": float("inf")}, "power must be a finite number, not inf"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is(script, how, problem, folder):
    with pytest.raises(ValueError, match=problem):
        script.main(**how)
    assert list(folder.iterdir()) == []


def test_the_epochs_of_a_run_are_drawn_with_their_learning_rate(axes):
    epochs = [
        {"epoch": k, "train": 200 / k, "valid": 150 / k, "lr": 20 / k, "reports": k}
        for k in (1, 2, 3)
    ]
    above, below = axes(ch06.figures.plot_epochs, {"epochs": epochs}, "A")
    assert above.get_title() == "A"
    train, valid = (line.get_ydata() for line in above.lines)
    assert (list(train), list(valid)) == ([200, 100, 200 / 3], [150, 75, 50])
    assert list(below.lines[0].get_ydata()) == [20, 10, 20 / 3]


def test_the_table_of_results_counts_weights_and_quotes_the_record(capsys):
    ch06.figures.print_results()
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    # V D + (D + H + 1) 4H + H V + V, with V = 10,000 and D = H = 100
    millions = (2 * 10_000 * 100 + 201 * 400 + 10_000) / 1e6
    assert rows["Rnnlm"] == [f"{millions:.1f}M", "141.52", "137.03"]


def test_the_sum_of_figure_8_8_is_the_weighted_mean_of_the_states(axes):
    parts = axes(ch08.figures.plot_weighted_sum, 0)
    a, hs, c = ([float(text.get_text()) for text in ax.texts] for ax in parts)
    assert a == list(ch08.figures.WEIGHTS)
    for column in range(4):
        mean = sum(w * x for w, x in zip(a, hs[column::4], strict=True))
        assert c[column] == pytest.approx(mean, abs=0.011)  # of numbers with two digits


def test_shapes_of_a_weighted_sum(capsys):
    ch08.figures.print_shapes()
    one, many = capsys.readouterr().out.splitlines()
    assert one.endswith("a (5,) as (5, 1), times hs (5, 4) = (5, 4), summed over T = c (4,)")
    assert many.endswith(
        "a (10, 5) as (10, 5, 1), times hs (10, 5, 4) = (10, 5, 4), summed over T = c (10, 4)"
    )


def test_curves_of_a_comparison_are_grouped_by_model():
    curves = ch07.comparison.curves_in(ROOT / "ch08/results/date_comparison.json")
    deep = {"transformer": 6, "conv": 6}  # epochs; of the others 10
    scores = {"scaled", "general", "additive", "feeding"}
    assert {*curves} == {*ch08.figures.MODELS, *scores, *deep}
    for label, runs in curves.items():
        assert [len(run) for run in runs] == [deep.get(label, 10)] * 3
    with pytest.raises(FileNotFoundError, match=r"nothing.json; `compare` of a chapter makes it"):
        ch07.comparison.curves_in(ROOT / "nothing.json")


def test_without_penn_treebank_chapter_5_draws_the_other_figures(folder, monkeypatch, capsys):
    def missing(file):
        raise FileNotFoundError(f"{file.name} was not found")

    monkeypatch.setattr(ptb, "read", missing)
    ch05.figures.main(max_epoch=2)
    drawn = sorted(file.name[:8] for file in Path("figures").iterdir())
    assert drawn == ["fig_5_26", "fig_5_31", "fig_5_32"]
    told = capsys.readouterr().err
    assert told.startswith("figure 5-33 is left out, or try --corpus grammar: ptb.train.txt was")
    with pytest.raises(FileNotFoundError, match="lost"):
        ch05.figures.main(max_epoch=2, corpus="lost.txt")
