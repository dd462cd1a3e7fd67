"""The end of a figure: file or screen, and fonts for the characters of its words."""

import sys
import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.text import Text

from ch01 import figures as ch01_figures
from ch01 import train_custom_loop
from ch02 import count_method_small
from ch02 import figures as ch02_figures
from ch04 import show_vectors
from ch07.seq2seq_run import plot_accuracy
from ch08 import visualize_attention
from common import cli, plots
from common.trainer import Trainer
from common.words.vector_files import save_vectors

DEJAVU = [font for font in font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]


def make_font(file, family, characters):
    """A font whose glyphs are rectangles, of one size for each character."""
    font = FontBuilder(1000, isTTF=True)
    names = {ord(char): f"glyph{k}" for k, char in enumerate(characters)}
    font.setupGlyphOrder([".notdef", *names.values()])
    font.setupCharacterMap(names)
    glyphs = {}
    for k, name in enumerate([".notdef", *names.values()]):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in (0, 100 * k + 100), (600, 100 * k + 100), (600, 0):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (700, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(file)
    return str(file)


@pytest.fixture
def install(monkeypatch, folder):
    """install(family, characters): a machine that has such a font beside Matplotlib's own."""
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*DEJAVU])
    monkeypatch.setattr(plots, "_add_new_fonts", lambda: None)
    monkeypatch.setattr(plots, "_told", set())

    def install(family, characters):
        file = make_font(folder / f"{family}.ttf", family, characters)
        font_manager.fontManager.addfont(file)
        return file

    yield install
    font_manager._get_font.cache_clear()


def draw(word, file="a.png"):
    """A figure with a word in its title, its ticks and within, saved."""
    plt.figure()
    plt.title(word)
    plt.xticks([0, 1], [word, "x"])
    plt.annotate(word, (0, 0))
    plots.show(file)
    return matplotlib.image.imread(file)


def test_words_are_drawn_by_an_installed_font_that_has_their_characters(install, capsys):
    boxes = draw("日本")
    install("Noto Sans CJK JP", "日本語")
    words = draw("日本")
    assert boxes.shape != words.shape or (boxes != words).any()
    assert capsys.readouterr().err.count("\n") == 1  # of the first


def test_each_script_has_its_font_and_as_few_as_possible_are_taken(install):
    install("Malgun Gothic", "안녕")
    install("Hiragino Sans", "日本")
    assert plots.fallbacks("日本 안녕") == ["Hiragino Sans", "Malgun Gothic"]
    install("SimHei", "日本国")
    assert plots.fallbacks("日本国") == ["SimHei"]
    assert plots.fallbacks("日本") == ["Hiragino Sans"]  # the first of our list
    install("Arial Unicode MS", "日本国안녕")
    assert plots.fallbacks("日本国 안녕") == ["Arial Unicode MS"]


def test_a_font_that_nobody_listed_serves_other_scripts(install):
    install("A Font for Thai", "สวัดี")
    assert plots.fallbacks("สวัสดี") == ["A Font for Thai"]


def test_latin_greek_and_cyrillic_words_change_no_font(install, monkeypatch):
    monkeypatch.setattr(plots, "_add_new_fonts", lambda: pytest.fail("looked for fonts"))
    assert plots.fallbacks("you say → γεια, привет\u3000 $x^2$\n") == []


def test_where_no_font_has_a_character_one_line_says_what_to_install(install, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw("日本")
        draw("日本", "b.png")
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("no installed font has 日本: boxes stand for them. Install one, ")
    assert "Noto Sans CJK (Debian, Ubuntu: apt install fonts-noto-cjk)" in told
    draw("日本語")
    assert capsys.readouterr().err.startswith("no installed font has 日本語")


def test_a_font_installed_after_matplotlib_made_its_list_is_found(install, monkeypatch, folder):
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*DEJAVU])
    new = make_font(folder / "new.ttf", "Noto Sans CJK JP", "日本")
    (folder / "broken.ttf").write_text("no font")
    found = [new, str(folder / "broken.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    plots._add_new_fonts.cache_clear()
    assert plots.fallbacks("日本") == ["Noto Sans CJK JP"]
    plots._add_new_fonts.cache_clear()


def test_words_are_measured_by_the_font_that_draws_them(install):
    install("Noto Sans CJK JP", "日本")
    save_vectors("v.npz", numpy.eye(3), {0: "日本", 1: "本", 2: "word"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        show_vectors.main("v.npz", words="日本 本 word")


def test_a_dollar_in_a_word_is_no_formula(folder, monkeypatch):
    drawn = []

    def look_at(file):
        figure = plt.gcf()
        figure.canvas.draw()  # a formula such as $^$ would be an error
        drawn.extend(text for text in figure.findobj(Text) if "$" in text.get_text())
        plt.close()

    monkeypatch.setattr(plots, "show", look_at)
    words = ["$^$", "$x$", "a$b$"]
    show_vectors.plot_words(numpy.eye(3)[:, :2], words)
    count_method_small.main("$^$ costs $x$ or a$b$")
    ch02_figures.plot_cosines({"W": numpy.eye(3)}, words, {word: k for k, word in enumerate(words)})
    chars = dict(enumerate("_$^"))
    maps = [numpy.eye(3)[None]]
    monkeypatch.setattr(visualize_attention, "head_maps", lambda *_, **__: maps)
    question, answer = numpy.array([1, 2, 1]), numpy.array([0, 1, 2, 1])
    visualize_attention.draw(None, question, answer, chars, reverse=False)
    assert [*(text.get_text() for text in drawn)].count("$^$") >= 4
    assert {text.get_parse_math() for text in drawn if text.get_text().count("$") > 1} == {False}


# --- Building blocks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plot",
    [
        ch01_figures.plot_sigmoid,
        lambda ax: ch01_figures.plot_tangent(1.0, ax=ax),
        lambda ax: train_custom_loop.plot_loss([3.0, 2.0], 10, ax=ax),
        lambda ax: count_method_small.plot_words({"a": 0, "b": 1}, numpy.eye(2), ax=ax),
        lambda ax: show_vectors.plot_words(numpy.eye(2), ["a", "b"], ax=ax),
        lambda ax: plot_accuracy({"a": [[0.1, 0.2]]}, ax=ax),
        lambda ax: Trainer(None, None).plot(ax=ax),
        lambda ax: plots.attention_map(numpy.eye(2), "ab", "cd", ax),
    ],
)
def test_a_figure_is_drawn_into_axes_that_are_given_and_they_come_back(plot, folder, monkeypatch):
    monkeypatch.setattr(plots, "show", lambda file: pytest.fail("shown"))
    figure, (left, right) = plt.subplots(1, 2)
    assert plot(ax=right) is right
    assert right.has_data()
    assert not left.has_data()
    plt.close(figure)


def test_figures_share_a_style_and_leave_that_of_others_alone_and_one_that_fails_is_closed(folder):
    before = dict(plt.rcParams)
    with plots.axes("a.png") as ax:
        (line,) = ax.plot([1, 2])
        assert line.get_color() == plots.BLUE
    with pytest.raises(ZeroDivisionError), plots.axes("b.png"):
        raise ZeroDivisionError
    assert plt.get_fignums() == []
    assert [file.name for file in folder.iterdir()] == ["a.png"]
    assert dict(plt.rcParams) == before


def test_small_weights_show_and_cosines_go_from_minus_1_to_1(folder):
    figure, ax = plt.subplots()
    weights = plots.heat_map(numpy.array([[0.0, 0.04, 1.0]]), ax)
    assert weights.norm(0.04) == pytest.approx(0.2)  # a fifth of all colours, for a 25th
    cosines = plots.heat_map(numpy.array([[-1.0, 0.0, 1.0]]), ax, limits=(-1, 1))
    assert cosines.norm([-1, 0, 1]).tolist() == [0, 0.5, 1]
    red, green, blue, _ = cosines.cmap(0.5)
    assert min(red, green, blue) > 0.9
    plt.close(figure)


def test_padding_around_a_question_and_behind_an_answer_is_not_drawn(folder):
    figure, ax = plt.subplots()
    weights = numpy.arange(20.0).reshape(4, 5) / 20
    plots.attention_map(weights, " a b ", "c  \n", ax)
    assert ax.images[0].get_array().tolist() == weights[:1, 1:4].tolist()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", " ", "b"]
    plots.attention_map(weights, " " * 5, " " * 4, ax)  # nothing but padding
    assert ax.images[-1].get_array().shape == (1, 1)
    plt.close(figure)


# --- Files and the screen ------------------------------------------------------------------------


@pytest.fixture
def screen(monkeypatch):
    """A display: how many figures were open each time that windows appeared."""
    shown = []
    monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(plt, "show", lambda: shown.append(len(plt.get_fignums())))
    yield shown
    plt.close("all")


def start(monkeypatch, main, *argv):
    monkeypatch.setattr(sys, "argv", ["script.py", *argv])
    cli.run(main)


def test_a_script_saves_its_figures_where_there_is_a_display_too(folder, screen, monkeypatch):
    start(monkeypatch, ch01_figures.main, "--max-epoch=1")
    assert len([*folder.glob("figures/*.png")]) == 7
    assert screen == []
    assert plt.get_fignums() == []


def test_show_shows_all_figures_at_the_end_as_they_were_saved(folder, screen, monkeypatch):
    start(monkeypatch, ch01_figures.main, "--max-epoch=1", "--show")
    assert len([*folder.glob("figures/*.png")]) == 7
    assert screen == [7]
    assert plt.get_fignums() == []
    saved = {path.name: path.read_bytes() for path in folder.glob("figures/*.png")}
    start(monkeypatch, ch01_figures.main, "--max-epoch=1")
    assert {path.name: path.read_bytes() for path in folder.glob("figures/*.png")} == saved


@pytest.mark.parametrize("main", [lambda: None, ch01_figures.plot_sigmoid])
def test_show_says_if_there_is_nothing_to_show_or_no_display(main, folder, monkeypatch, capsys):
    start(monkeypatch, lambda: main(), "--show")
    assert capsys.readouterr().err.endswith("--show: there is no figure, or no display\n")


def test_after_a_script_figures_are_shown_as_in_the_book(folder, screen, monkeypatch):
    with pytest.raises(SystemExit):
        start(monkeypatch, lambda: (folder / "lost").read_bytes(), "--show")
    plt.figure()
    plots.show("never.png")
    assert screen == [1]
    assert not (folder / "never.png").exists()


def test_a_script_may_have_a_flag_show_of_its_own(folder, monkeypatch):
    got = []

    def main(show=3):
        got.append(show)

    start(monkeypatch, main, "--show=7")
    assert got == [7]
