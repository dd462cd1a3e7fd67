"""Chapter 2: the worked numbers of its scripts, its figures, and Penn Treebank's neighbours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot as plt
import numpy
import pytest
from numpy.testing import assert_allclose

from ch02 import count_method_big, count_method_small, figures, most_similar, show_ptb, similarity
from ch02 import ppmi as ppmi_script
from ch02.svd import truncated_svd
from common import plots
from common.words.similarity import most_similar as neighbours
from common.words.text import create_co_matrix, ppmi, preprocess
from dataset import grammar

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["you", "say", "goodbye", "and", "i", "hello", "."]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def drawn(monkeypatch):
    """What `show` was called with -> the figure then open."""
    shown = {}
    monkeypatch.setattr(plots, "show", lambda path: shown.update({path: plt.gcf()}))
    yield shown
    plt.close("all")


# --- The sentence --------------------------------------------------------------------------------


def test_similarity_prints_the_number_of_the_book(capsys):
    assert similarity.main() == pytest.approx(0.7071067691154799, abs=1e-15)
    assert capsys.readouterr().out.startswith("0.70710676911547")


def test_a_sentence_without_the_two_words_is_refused():
    with pytest.raises(KeyError, match="not in the vocabulary of 3 words: i, you"):
        similarity.main(text="They say hello")


def test_most_similar_ranks_as_the_book_does(capsys):
    ranking = most_similar.main()
    assert {word for word, _ in ranking[:3]} == {"goodbye", "i", "hello"}
    assert [value for _, value in ranking] == pytest.approx([0.7071067691154799] * 3 + [0, 0])
    assert capsys.readouterr().out.startswith("\n[query] you\n goodbye: 0.70710676911547")
    assert most_similar.main(query="cat") == []


def test_ppmi_prints_counts_a_rule_and_ppmi(capsys):
    before = numpy.get_printoptions()
    W = ppmi_script.main()
    assert numpy.get_printoptions() == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "co-occurrence matrix"
    assert lines[1] == "[[0 1 0 0 0 0 0]"
    assert lines[8:10] == ["-" * 50, "PPMI"]
    assert lines[10] == "[[0.    1.807 0.    0.    0.    0.    0.   ]"
    assert lines[11] == " [1.807 0.    0.807 0.    0.807 0.807 0.   ]"
    assert lines[15] == " [0.    0.807 0.    0.    0.    0.    2.807]"
    assert W.shape == (7, 7)


def test_the_svd_of_the_sentence_up_to_what_is_arbitrary(capsys):
    """Equal singular values let the plane of U[:, :2] turn; tested is what turning keeps."""
    U, s = count_method_small.main(plot=False)
    pairs = [3.168045, 3.168045, 2.702987, 2.702987, 1.514481, 1.514481, 0]
    assert_allclose(s, pairs, atol=2e-6)
    lengths = [0.340949, 0.597636, 0.436312, 0.497828, 0.436312, 0.709237, 0.628489]
    assert_allclose(numpy.linalg.norm(U[:, :2], axis=1), lengths, atol=2e-6)
    assert_allclose(U[4, :2], U[2, :2], atol=1e-6)  # i stands where goodbye stands
    corpus, _, _ = preprocess("You say goodbye and I say hello.")
    W = ppmi(create_co_matrix(corpus, 7))
    assert_allclose(U * s @ numpy.linalg.svd(W)[2], W, atol=1e-5)
    out = capsys.readouterr().out
    assert out.startswith("[0 1 0 0 0 0 0]\n[0.    1.807 0.    0.    0.    0.    0.   ]\n[")


def test_the_words_of_figure_2_11_stand_at_their_first_two_numbers(drawn):
    U, _ = count_method_small.main()
    axes = drawn["fig_2_11_words.png"].axes[0]
    points = axes.collections[0]
    assert points.get_alpha() == 0.5
    assert_allclose(points.get_offsets(), U[:, :2])
    labels = {label.get_text(): label.xy for label in axes.texts}
    assert set(labels) == {"you", "say", "goodbye, i", "and", "hello", '"."'}
    for label, place in labels.items():
        for word in label.replace('"', "").split(", "):
            assert_allclose(place, U[WORDS.index(word), :2], atol=6e-4)


@pytest.mark.parametrize("turn", [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1], [-1, 0]]])
def test_no_two_labels_of_figure_2_11_overlap_whatever_the_axes(turn, drawn):
    U, _ = count_method_small.main(plot=False)
    count_method_small.plot_words({w: i for i, w in enumerate(WORDS)}, U[:, :2] @ turn)
    figure = drawn["fig_2_11_words.png"]
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].texts]
    assert len(boxes) == 6
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])


# --- Figures 2-4 to 2-8 --------------------------------------------------------------------------


def test_the_tables_show_the_counts(drawn, capsys):
    figures.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["figure 2-4: the words within 1 of 'you'", "say"]
    for title, word, counts in [
        ("figure 2-5: the counts of 'you'", "you", "0 1 0 0 0 0 0"),
        ("figure 2-6: the counts of 'say'", "say", "1 0 1 0 1 1 0"),
    ]:
        k = lines.index(title)
        assert lines[k + 1].split() == WORDS
        assert lines[k + 2].split() == [word, *counts.split()]
    k = lines.index("figure 2-7: the co-occurrence matrix")
    rows = [line.split() for line in lines[k + 2 : k + 9]]
    assert [row[0] for row in rows] == WORDS
    corpus, _, _ = preprocess("You say goodbye and I say hello.")
    assert [[int(n) for n in row[1:]] for row in rows] == create_co_matrix(corpus, 7).tolist()
    assert len({len(line) for line in lines[k + 1 : k + 9]}) == 1  # aligned


def test_a_wider_window_gives_other_tables(drawn, capsys):
    figures.main(window_size=2)
    assert "figure 2-4: the words within 2 of 'you'\nsay goodbye\n" in capsys.readouterr().out


def test_points_are_projected_onto_the_direction_of_their_largest_spread():
    points = figures.correlated_points(0)
    direction, along = figures.project(points)
    assert numpy.linalg.norm(direction) == pytest.approx(1)
    assert direction[0] > 0
    angles = numpy.linspace(0, numpy.pi, 181)
    every = points @ numpy.stack([numpy.cos(angles), numpy.sin(angles)])
    assert along.var() >= every.var(axis=0).max()
    rest = points - along[:, None] * direction
    assert_allclose(rest @ direction, 0, atol=1e-12)
    assert (rest**2).sum() < 0.2 * (points**2).sum()


def test_figure_2_8_shows_points_feet_and_axis(drawn):
    points = figures.correlated_points(0)
    figures.plot_projection(points)
    left, right = drawn["fig_2_8_projection.png"].axes
    assert_allclose(left.collections[0].get_offsets(), points)
    direction, along = figures.project(points)
    assert_allclose(right.collections[1].get_offsets(), along[:, None] * direction)
    assert left.get_aspect() == right.get_aspect() == 1


def test_the_figure_is_saved_where_nothing_can_be_shown(folder, capsys):
    count_method_small.main()
    assert [p.name for p in folder.iterdir()] == ["fig_2_11_words.png"]
    assert "figure saved: fig_2_11_words.png\n" in capsys.readouterr().out
    assert matplotlib.image.imread("fig_2_11_words.png")[..., :3].std() > 0.05


def test_cosines_of_words_are_shown_word_by_word(drawn):
    vectors = numpy.array([[3.0, 0], [0, 2], [1, 1], [5, 5]])
    ids = {"a": 0, "b": 1, "c": 2, "d": 3}
    figures.plot_cosines({"one": vectors, "two": vectors[:, :1] + 1}, ["d", "a", "b"], ids)
    one, two, _ = drawn["cosines.png"].axes
    half = 0.5**0.5
    assert_allclose(one.images[0].get_array(), [[1, half, half], [half, 1, 0], [half, 0, 1]], 1e-6)
    assert_allclose(two.images[0].get_array(), 1)
    assert [label.get_text() for label in one.get_yticklabels()] == ["d", "a", "b"]
    assert one.get_title() == "one"


# --- Texts ---------------------------------------------------------------------------------------


def test_show_ptb_runs_on_other_texts(capsys):
    show_ptb.main("grammar", "valid")
    out = capsys.readouterr().out
    text, word_to_id, id_to_word = grammar.load_data("valid")
    assert out.startswith(f"corpus size: {len(text)}\ncorpus[:30]: [")
    assert f"id_to_word[2]: {id_to_word[2]}\n" in out
    shown = re.findall(r"word_to_id\['(.+)'\]: (\d+)\n", out)  # of frequent words of the text
    assert len(shown) == 3
    assert all(word_to_id[word] == int(k) for word, k in shown)
    show_ptb.main("grammar", query="nobody")
    assert "word_to_id['nobody']: not found\n" in capsys.readouterr().out


def test_word_vectors_of_the_grammar_bring_like_words_together(capsys):
    vectors, word_to_id, id_to_word = count_method_big.main("grammar", wordvec_size=20)
    out = capsys.readouterr().out
    stages = ["counting co-occurrence ...", "calculating PPMI ...", "calculating SVD ..."]
    assert [line for line in out.splitlines() if line.endswith("...")] == stages
    assert 90 < out.count("% done") < 101
    assert "toyota" not in out
    assert out.count("[query]") == 4  # of frequent words in place of those of the book
    assert vectors.shape == (len(word_to_id), 20)
    assert vectors.dtype == "float32"
    assert "cat" in {word for word, _ in neighbours("dog", word_to_id, id_to_word, vectors, top=20)}


def test_dense_and_sparse_give_the_same_rankings():
    (a, word_to_id, id_to_word), (b, _, _) = (
        count_method_big.main("grammar", wordvec_size=10, dense=dense) for dense in (True, False)
    )
    for word in ("dog", "the", "sees"):
        cosines = [dict(neighbours(word, word_to_id, id_to_word, v, top=999)) for v in (a, b)]
        assert cosines[0] == pytest.approx(cosines[1], abs=1e-3)


def test_one_seed_is_one_set_of_vectors():
    a, b = (count_method_big.main("grammar", wordvec_size=5, seed=3)[0] for _ in range(2))
    numpy.testing.assert_array_equal(a, b)


def test_without_scikit_learn_our_own_svd_takes_over(monkeypatch):
    W = ppmi(create_co_matrix(grammar.load_data("valid")[0], 140, 2, sparse=True))
    theirs = count_method_big.left_vectors(W, 5, 5, 0)
    monkeypatch.setitem(sys.modules, "sklearn.utils.extmath", None)
    ours = count_method_big.left_vectors(W, 5, 5, 0)
    numpy.testing.assert_array_equal(ours, truncated_svd(W, 5, 5, rng=0)[0])
    assert_allclose(abs((ours * theirs).sum(axis=0)), 1, atol=1e-3)


@pytest.mark.parametrize("size", [0, 141])
def test_more_numbers_than_words_are_refused_before_work_begins(size, capsys):
    with pytest.raises(ValueError, match=rf"wordvec_size {size} is not in 1\.\.140, .* grammar"):
        count_method_big.main("grammar", wordvec_size=size)
    assert capsys.readouterr().out == ""


def test_any_text_file_is_a_corpus(folder, capsys):
    Path("novel.txt").write_text("you see the car\nthe car sees you\n" * 20)
    count_method_big.main("novel.txt", wordvec_size=3)
    out = capsys.readouterr().out
    assert "[query] you" in out
    assert "year" not in out
    assert out.startswith(
        "vocabulary: 6\ntext: 200 tokens, 0.0 % of the words unknown\n"
    )  # all 40 lines


def test_words_to_ask_about_can_be_chosen(capsys):
    count_method_big.main("grammar", wordvec_size=5, query="DOG unicorn", top=1)
    out = capsys.readouterr().out
    assert out.count("[query]") == out.count("[query] dog\n") == 1
    assert "unicorn is not found" in out


@pytest.mark.parametrize("script", [most_similar, similarity])
def test_a_sentence_is_cut_as_its_language_wants(script, capsys):
    query = "猫" if script is most_similar else "猫 犬"
    found = script.main(text="私は猫。私は犬。", tokens="characters", query=query)
    # 猫 and 犬 have the same neighbours, は and 。, but for the end of the text
    assert found == pytest.approx(1) if script is similarity else found[0][0] == "犬"


# --- From the command line -----------------------------------------------------------------------


def run(*argv, cwd):
    env = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", *argv], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("script", "flags", "said"),
    [
        ("similarity", [], "0.7071067"),
        ("most_similar", ["--query", "hello"], "[query] hello"),
        ("ppmi", ["--precision", "2"], "1.81"),
        ("count_method_small", ["--no-plot"], "[0 1 0 0 0 0 0]"),
        ("show_ptb", ["--corpus", "grammar"], "corpus size: "),
        ("count_method_big", ["--corpus", "grammar"], "calculating SVD ..."),
        ("figures", [], "figure 2-7: the co-occurrence matrix"),
    ],
)
def test_scripts_run_as_a_module_and_from_any_folder(script, flags, said, tmp_path):
    assert said in run("-m", f"ch02.{script}", *flags, cwd=tmp_path)


@pytest.mark.parametrize("script", ["similarity", "most_similar", "ppmi"])
def test_scripts_run_inside_the_chapter_though_they_share_names_with_modules(script):
    assert run(f"{script}.py", cwd=ROOT / "ch02") == run("-m", f"ch02.{script}", cwd=ROOT)


BOOK_SCRIPT = """
from common.util import preprocess, create_co_matrix, cos_similarity, most_similar, ppmi
import numpy as np
corpus, word_to_id, id_to_word = preprocess('You say goodbye and I say hello.')
C = create_co_matrix(corpus, len(word_to_id), window_size=1)
print(cos_similarity(C[word_to_id['you']], C[word_to_id['i']]))
U, S, V = np.linalg.svd(ppmi(C, verbose=False))
most_similar('you', word_to_id, id_to_word, U[:, :2], top=3)
"""


def test_a_script_typed_from_the_book_runs():
    out = run("-c", BOOK_SCRIPT, cwd=ROOT / "ch02")
    assert out.startswith("0.70710676911547")
    assert "\n[query] you\n" in out


# --- Penn Treebank -------------------------------------------------------------------------------


@pytest.mark.ptb
def test_penn_treebank_as_ids(ptb_text, capsys):
    show_ptb.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "corpus size: 929589"
    printed = " ".join(lines[1:3]).removeprefix("corpus[:30]: [").removesuffix("]")
    assert [int(n) for n in printed.split()] == list(range(30))
    for line in [
        "id_to_word[0]: aer",
        "id_to_word[1]: banknote",
        "id_to_word[2]: berlitz",
        "word_to_id['car']: 3856",
        "word_to_id['happy']: 4428",
        "word_to_id['lexus']: 7426",
    ]:
        assert line in lines


@pytest.mark.ptb
@pytest.mark.parametrize("how", ["scikit-learn", "our own"])
def test_neighbours_in_penn_treebank_are_of_the_kinds_of_the_book(how, ptb_text, monkeypatch):
    if how == "our own":
        monkeypatch.setitem(sys.modules, "sklearn.utils.extmath", None)
    vectors, *vocabulary = count_method_big.main()
    assert vectors.shape == (10_000, 100)

    def near(word, top):
        return {other for other, _ in neighbours(word, *vocabulary, vectors, top)}

    assert near("you", 5) >= {"i", "we"}
    assert near("year", 5) >= {"month", "quarter"}
    assert near("car", 10) & {"auto", "cars", "vehicle"}
    assert len(near("toyota", 10) & {"nissan", "honda", "lexus"}) >= 2


@pytest.mark.ptb
def test_counts_of_penn_treebank(ptb_text):
    corpus, word_to_id, _ = ptb_text("train")
    C = create_co_matrix(corpus, len(word_to_id), 2, sparse=True)
    assert C.nnz == 962_242
    assert C.sum() == 2 * (929_588 + 929_587)
    W = ppmi(C)
    assert W.dtype == "float32"
    assert numpy.isfinite(W.data).all()
    assert (W.data > 0).all()
