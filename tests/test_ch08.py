"""The scripts of chapter 8: training with attention, comparing, and what attention looks at."""

import itertools
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08 import compare, train, visualize_attention
from ch08.attention_score import Hits, attention_hits, attention_maps, places, table
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common import plots
from common.cli import flags
from common.evaluate import seq2seq_accuracy
from common.np import np
from dataset import dates, sequence
from tests.scripts import ROOT, assert_not_blank, copy_packages, run

TINY: dict[str, Any] = {"wordvec_size": 4, "hidden_size": 6, "batch_size": 50, "eval_interval": 5}
TINY |= {"data": "days.txt", "max_epoch": 1, "plot": False}
FLAGS = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if k != "plot"]
SIZES = (59, 4, 6)
MODELS = {
    "attention": AttentionSeq2seq,
    "bi": BiAttentionSeq2seq,
    "peeky": PeekySeq2seq,
    "seq2seq": Seq2seq,
}


@pytest.fixture
def days(folder):
    """A folder to work in, with 200 dates in days.txt: 180 to train on, 20 to test."""
    (folder / "days.txt").write_text("\n".join(dates.lines(200)))
    return folder


def learn(**how):
    return train.main(**TINY | how)


def look(**how):
    visualize_attention.main(**{"data": "days.txt"} | how)


def files(folder):
    return {path.name for path in folder.iterdir()} - {"days.txt"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_trained_saved_and_drawn(days, model, capsys):
    learn(model=model, plot=True)
    name = MODELS[model].__name__
    net = MODELS[model](*SIZES)
    net.load_params(vocab=sequence.get_vocab("days.txt")[0])
    out = capsys.readouterr().out
    assert re.search(r"^val acc \d+\.\d{3}%$", out, re.M)
    maps = {f"{name}_{k}.png" for k in range(1, 6)} if model in ("attention", "bi") else set()
    rest = {f"{name}{ending}" for ending in (".npz", ".json", ".checkpoint", ".png")}
    assert files(days) == maps | rest
    for file in sorted(maps)[:1]:
        assert_not_blank(file)
        assert f"figure saved: {file}" in out


def test_dates_are_read_from_back_to_front_unless_told_otherwise(days, monkeypatch, capsys):
    read = []
    forward = AttentionSeq2seq.forward

    def reads(model, xs, ts):
        read.extend(xs.tolist())
        return forward(model, xs, ts)

    monkeypatch.setattr(AttentionSeq2seq, "forward", reads)
    blank = sequence.get_vocab("days.txt")[0][" "]
    learn()
    assert [row[0] for row in read].count(blank) > 140
    read.clear()
    learn(reverse=False, overwrite=True)
    assert blank not in [row[0] for row in read]
    asked = re.findall("^Q (.*)$", capsys.readouterr().out, re.M)
    _, (x, _) = sequence.load_data("days.txt")
    assert asked == 2 * sequence.decode(x[:10], sequence.get_vocab()[1])


def test_figures_and_checkpoint_go_beside_the_weights(days):
    learn(weights="runs/days.npz", plot=True)
    assert files(days) == {"runs"}
    left = {"days.npz", "days.json", "days.checkpoint", "days.png"}
    assert files(days / "runs") == left | {f"days_{k}.png" for k in range(1, 6)}


def test_the_accuracy_and_the_maps_are_figures_of_the_run_where_there_is_a_display_too(
    days, monkeypatch
):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("shown"))
    with plots.saved():
        learn(plot=True)
    maps = {f"AttentionSeq2seq_{k}.png" for k in range(1, 6)}
    assert figures(days) == maps | {"AttentionSeq2seq.png"}


@pytest.mark.parametrize("other", [{"padding": True}, {"pass_cell": True}], ids=str)
def test_a_run_goes_on_only_with_the_options_it_began_with(days, other):
    learn()
    before = {path.name: path.read_bytes() for path in days.iterdir()}
    with pytest.raises(ValueError, match=r"is of another run: pa\w+ is (None|False) there"):
        learn(**other, resume=True)
    assert {path.name: path.read_bytes() for path in days.iterdir()} == before


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"model": "attend"}, r"model is one of seq2seq, peeky, attention, .*, conv, not 'attend'"),
        ({"model": "bi", "hidden_size": 5}, "even hidden_size"),
        ({"max_epoch": 0}, "max_epoch must be at least 1"),
        ({"split": "date"}, "split is 'date'"),
        ({"cell": "gru", "pass_cell": True}, "pass_cell needs cell='lstm'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_is_refused_before_a_file_is_touched(days, how, problem):
    with pytest.raises(ValueError, match=problem):
        learn(**how)
    assert files(days) == set()


def test_a_comparison_draws_attention_peeky_and_the_plain_model(days):
    curves = compare.main(**TINY | {"plot": True})
    assert list(curves) == ["baseline", "peeky", "attention"]
    runs = json.loads(Path("date_comparison.json").read_text())["runs"]
    models = [(run["settings"]["model"], run["settings"]["reverse"]) for run in runs]
    assert models == [("Seq2seq", True), ("PeekySeq2seq", True), ("AttentionSeq2seq", True)]
    assert_not_blank("date_comparison.png")


def test_a_comparisons_default_sizes_are_those_of_the_training_script():
    defaults = flags(train.main)
    for name, flag in flags(compare.main).items():
        if name not in ("models", "seeds", "file"):
            assert flag.default == defaults[name].default


class Looks:
    """Has the attention weights (S, T) that `where` gives for a question as the model reads it."""

    def __init__(self, where):
        self.where = where
        self.decoder = self.attention = self
        self.batches = []

    def forward(self, xs, ts):
        self.batches.append(len(xs))
        maps = numpy.stack([self.where(x, t) for x, t in zip(xs, ts, strict=True)])
        self.attention_weights = [np.asarray(maps[:, s]) for s in range(maps.shape[1])]


def read_dates(count, reverse=True):
    """ids (N, 29) as a model reads them, (N, 11), and id_to_char of made dates."""
    _, ids = sequence.get_vocab("days.txt")
    back = {char: i for i, char in ids.items()}
    questions, answers = zip(*(line.split("_") for line in dates.lines(count)), strict=True)
    t = numpy.array([[back[char] for char in f"_{answer}"] for answer in answers])
    return sequence.encode(questions, back, 29, reverse=reverse), t, ids


def right_places(ids, reverse, off=0):
    """What a perfect model looks at, or one that looks `off` characters further."""

    def where(x, t):
        weights = numpy.full((len(t) - 1, len(x)), 0.01)
        for _, row, right in places(sequence.decode(x[::-1] if reverse else x, ids)):
            column = right[0] if off == 0 else (right[-1] + off) % len(x)
            weights[row, -1 - column if reverse else column] = 0.5
        return weights

    return where


@pytest.mark.parametrize("reverse", [True, False])
def test_a_model_that_looks_at_the_right_characters_hits_always(days, backend, reverse):
    x, t, ids = read_dates(400, reverse)
    hits = attention_hits(Looks(right_places(ids, reverse)), x, t, ids, reverse=reverse)
    assert {hit.share for hit in hits.values()} == {1.0}
    assert len(hits) == 10
    assert hits["digit 2 of the day"].of == 400
    names = hits["digit 1 of the month, a name"].of
    assert names + hits["digit 1 of the month, a number"].of == 400
    assert hits["digit 1 of the year"].of == names
    assert hits["digit 3 of the year"].of == 400
    assert hits["digit 1 of the day, of two"].of == sum(ids[i] != "0" for i in t[:, 9].tolist())


def test_a_model_that_looks_one_character_further_hits_never(days):
    x, t, ids = read_dates(400)
    hits = attention_hits(Looks(right_places(ids, True, off=1)), x, t, ids, reverse=True)
    assert {hit.share for hit in hits.values()} == {0.0}


def test_a_wrong_direction_of_reading_is_told(days):
    x, t, ids = read_dates(50, reverse=True)
    with pytest.raises(ValueError, match="is no date of a known form"):
        attention_hits(Looks(lambda *_: numpy.ones((10, 29))), x, t, ids, reverse=False)


@pytest.mark.parametrize(
    ("question", "month", "day", "year"),
    [
        ("2/10/93", "2", "10", "93"),
        ("12/1/07  ", "2", "1", "07"),
        ("JUN 7, 2013", "JUN", "7", "2013"),
        ("may 15, 1970", "may", "15", "1970"),
        ("September 27, 1994   ", "September", "27", "1994"),
        ("friday, august 26, 1983", "august", "26", "1983"),
    ],
)
def test_places_are_those_that_a_reader_points_at(question, month, day, year):
    found = {}
    for _, row, right in places(question):
        found[row] = "".join(question[column] for column in right)
    digits = f"{year:>4}"
    expected = {0: digits[0], 1: digits[1], 2: digits[2], 3: digits[3], 5: month, 6: month}
    expected |= {8: day[0] if len(day) == 2 else " ", 9: day[-1]}
    assert found == {row: text for row, text in expected.items() if text != " "}
    columns = [right for _, row, right in places(question) if row in (8, 9)]
    assert columns[-1][0] == question.rfind(day, 1, question.rfind(year)) + len(day) - 1


@pytest.mark.parametrize(
    "question", ["", "today", "1994-09-27", "27 May 1994", "5/6/194", "May 1994"]
)
def test_what_is_no_date_has_no_places(question):
    with pytest.raises(ValueError, match=re.escape(f"attention_hits: {question!r} is no date")):
        list(places(question))


def test_the_table_has_a_line_for_each_part():
    lines = [*table({"digit 2 of the day": Hits(0.9994, 5000), "b": Hits(0.5, 20)})]
    assert [line.split() for line in lines[1:]] == [
        ["b", "50.0", "%", "20"],
        ["digit", "2", "of", "the", "day", "99.9", "%", "5000"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_maps_are_put_back_into_the_order_of_reading(days):
    x, t, _ = read_dates(30)
    model = Looks(lambda x, t: numpy.eye(len(t) - 1, len(x)))  # row s looks at position s
    maps = attention_maps(model, x, t, reverse=True, batch_size=8)
    assert maps.shape == (30, 10, 29)
    assert model.batches == [8, 8, 8, 6]
    assert (maps.argmax(axis=2) == 28 - numpy.arange(10)).all()
    maps = attention_maps(model, x, t, reverse=False)
    assert (maps.argmax(axis=2) == numpy.arange(10)).all()


@pytest.mark.parametrize("how", [{}, {"pad_id": 7}])
def test_rows_of_a_map_sum_to_one_and_batches_do_not_matter(days, backend, how):
    x, t, ids = read_dates(40)
    assert ids[7] == " "
    model = AttentionSeq2seq(*SIZES, rng=0, **how)
    maps = attention_maps(model, x, t, reverse=True)
    numpy.testing.assert_allclose(maps.sum(axis=2), 1, rtol=1e-5)
    parts = attention_maps(model, x, t, reverse=True, batch_size=7)
    numpy.testing.assert_allclose(maps, parts, rtol=1e-4, atol=1e-6)
    if how:  # in the order of reading, the padding is on the right
        for question, rows in zip(sequence.decode(x[:, ::-1], ids), maps, strict=True):
            end = len(question.rstrip())
            assert (rows[:, :end] > 0).all()
            assert not rows[:, end:].any()


def test_a_drawn_map_has_the_characters_on_its_axes_and_no_padding(folder, monkeypatch):
    import matplotlib.pyplot as plt

    chars, seen = "_ab12 ", {}

    def look_at(file):
        axes, bar = plt.gcf().axes
        (image,) = axes.images
        seen.update(image=image.get_array().tolist(), scale=image.get_clim())
        seen.update(top=axes.yaxis_inverted(), bar=bar.get_ylabel())
        seen.update(names=(axes.get_xlabel(), axes.get_ylabel()))
        for side, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            seen[side] = [label.get_text() for label in axis.get_ticklabels()]
            seen[f"{side} at"] = axis.get_ticklocs().tolist()
        plt.close()

    monkeypatch.setattr(plots, "show", look_at)
    model = Looks(lambda x, t: numpy.array([[0, 0.1, 0.2, 0.7], [0, 1, 0, 0], [1, 0, 0, 0]]))
    question, answer = numpy.array([5, 2, 1, 1]), numpy.array([0, 3, 4, 5])
    visualize_attention.draw(model, question, answer, dict(enumerate(chars)), reverse=True)
    assert seen == {
        "image": [[0.7, 0.2, 0.1], [0, 0, 1]],  # the model read " baa" and wrote "12 "
        "scale": (0, 1),
        "bar": "attention weight",
        "names": ("read: question", "written: answer"),
        "top": True,  # row 0
        "x": ["a", "a", "b"],
        "y": ["1", "2"],
        "x at": [0, 1, 2],
        "y at": [0, 1],
    }


@pytest.fixture
def trained(days, capsys):
    learn()
    capsys.readouterr()
    return days


def figures(folder):
    return {name for name in files(folder) if name.endswith(".png")}


def test_test_dates_are_drawn(trained):
    look(count=2)
    assert figures(trained) == {"attention_1.png", "attention_2.png"}
    assert_not_blank("attention_1.png")


def test_the_dates_are_chosen_as_in_the_book(trained, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        visualize_attention, "draw", lambda net, x, t, *_, **__: drawn.append((x, t))
    )
    look()
    _, (x, _) = sequence.load_data("days.txt")
    chosen = numpy.random.RandomState(1984).randint(0, 20, 5)
    assert len(drawn) == 5
    for (question, _), n in zip(drawn, chosen, strict=True):
        numpy.testing.assert_array_equal(question, x[n, ::-1])
    drawn.clear()
    rows = numpy.arange(5000)[:, None]  # as many as there are test dates in date.txt
    many = sequence.load("days.txt")._replace(x_test=rows, t_test=rows)
    silent = Looks(None)
    silent.generate_batch = lambda x, start_id, size: numpy.zeros((len(x), size), int)
    visualize_attention.draw_test_questions(silent, many)
    assert [int(n[0]) for n, _ in drawn] == [4316, 1779, 1817, 3848, 138]


def test_a_map_shows_the_models_own_answer_and_a_wrong_one_says_so(trained, monkeypatch):
    import matplotlib.pyplot as plt

    titles, rows = [], []

    def look_at(file):
        axes = plt.gcf().axes[0]
        titles.append(axes.get_title())
        rows.append("".join(label.get_text() for label in axes.get_yticklabels()))
        plt.close()

    monkeypatch.setattr(plots, "show", look_at)
    data = sequence.load("days.txt").reversed()
    model = visualize_attention.load("attention", None, "days.txt")
    chosen = numpy.random.RandomState(1984).randint(0, 20, 5)
    start_id, right = int(data.t_test[0, 0]), data.t_test[chosen]
    own = [model.generate(data.x_test[None, n], start_id, 10) for n in chosen]
    own = sequence.decode(numpy.array(own), data.id_to_char)
    answers = sequence.decode(right[:, 1:], data.id_to_char)
    visualize_attention.draw_test_questions(model, data)
    assert rows == [row.rstrip() or row[:1] for row in own]
    assert own != answers  # it was trained for an epoch, and knows nothing
    for title, mine, answer in zip(titles, own, answers, strict=True):
        assert title.endswith(f"→  {mine.strip()}  (wrong: {answer} is right)")

    titles.clear()
    model.generate_batch = lambda *_: right[:, 1:]
    visualize_attention.draw_test_questions(model, data)
    for title, answer in zip(titles, answers, strict=True):
        assert title.endswith(f"→  {answer}")


def test_a_table_of_hits_tells_that_the_answers_were_given():
    assert "teacher forced" in next(table({"digit 2 of the day": Hits(0.5, 20)}))


def test_a_question_is_answered_and_drawn(trained, capsys):
    question = "Tuesday, August 19, 2003"
    look(question=question)
    printed = capsys.readouterr().out.splitlines()
    net = AttentionSeq2seq(*SIZES)
    net.load_params()
    to_id, to_char = sequence.get_vocab("days.txt")
    guess = net.generate(sequence.encode([question], to_id, 29, reverse=True), to_id["_"], 10)
    answer = sequence.decode(guess, to_char)
    assert printed == [f"Q {question}", f"A {answer}", "figure saved: attention.png"]
    assert figures(trained) == {"attention.png"}
    assert_not_blank("attention.png")


def test_a_beam_prints_its_answers_and_draws_the_best(trained, monkeypatch, capsys):
    drawn, draw = [], visualize_attention.draw
    monkeypatch.setattr(
        visualize_attention, "draw", lambda *args, **how: drawn.append(args) or draw(*args, **how)
    )
    look(question="5/6/94", beam_width=3)
    asked, *answers, saved = capsys.readouterr().out.splitlines()
    assert (asked, saved) == ("Q 5/6/94", "figure saved: attention.png")
    found = [re.fullmatch(r"A (.{10}) (\d\.\d{6})", answer).groups() for answer in answers]
    probabilities = [float(p) for _, p in found]
    assert len({answer for answer, _ in found}) == 3
    assert 1 >= probabilities[0] >= probabilities[1] >= probabilities[2] >= 0
    ((_, _, answer, ids),) = [args[:4] for args in drawn]
    assert sequence.decode(answer, ids) == f"_{found[0][0]}"
    assert figures(trained) == {"attention.png"}


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ("August 19, 2003!", "needs '!', which has no id"),
        ("Wednesday, the 19th of September 2003", "has 37 characters; 29 are the most"),
    ],
)
def test_a_question_that_the_model_cannot_read_is_refused(trained, question, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        look(question=question)


def test_the_score_is_that_of_all_test_dates(trained, capsys):
    look(count=0, score=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("most attention on the right place")
    assert lines[-6].split()[-1] == "20"  # "digit 2 of the day"
    net = AttentionSeq2seq(*SIZES)
    net.load_params()
    _, (x, t) = sequence.load_data("days.txt")
    _, ids = sequence.get_vocab()
    assert lines == [*table(attention_hits(net, x[:, ::-1], t, ids, reverse=True))]
    assert figures(trained) == set()


@pytest.mark.parametrize(
    "how",
    [
        {"cell": "gru"},
        {"cell": "rnn", "padding": True},
        {"model": "bi", "padding": True, "reverse": False},
        {"pass_cell": True, "split": "answer"},
    ],
    ids=str,
)
def test_sizes_and_options_are_read_from_the_weights(days, how):
    learn(**how, weights="other.npz", wordvec_size=5, hidden_size=8)
    net = visualize_attention.load(how.get("model", "attention"), "other.npz", "days.txt")
    blank = sequence.get_vocab("days.txt")[0][" "]
    assert {name: net.settings[name] for name in net.fixed} == {
        "cell": how.get("cell", "lstm"),
        "bidirectional": "model" in how,
        "pass_cell": "pass_cell" in how,
        "score": "dot",
        "pad_id": blank if "padding" in how else None,
    }
    told = {k: v for k, v in how.items() if k in ("model", "reverse", "split")}
    look(**told, weights="other.npz", count=1)
    assert figures(days) == {"attention_1.png"}


def test_the_books_own_weight_files_are_read(days):
    net = AttentionSeq2seq(59, 16, 256)
    Path("AttentionSeq2seq.pkl").write_bytes(
        pickle.dumps([p.astype("float16") for p in net.params])
    )
    look(count=1)
    assert figures(days) == {"attention_1.png"}


def test_shipped_weights_are_taken_where_there_are_none_here(trained, monkeypatch):
    monkeypatch.setattr(visualize_attention, "SHIPPED", trained)
    elsewhere = trained / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    look(data="../days.txt", count=1)
    assert figures(elsewhere) == {"attention_1.png"}


def test_without_weights_it_is_said_what_trains_them(days, monkeypatch):
    monkeypatch.setattr(visualize_attention, "SHIPPED", days)
    with pytest.raises(FileNotFoundError, match=r"there is no BiAttentionSeq2seq.npz here; python"):
        look(model="bi")
    with pytest.raises(FileNotFoundError, match=r"there is no weight file lost.npz"):
        look(weights="lost.npz")


def test_weights_of_another_vocabulary_or_model_are_refused(trained):
    swapped = Path("days.txt").read_text().translate(str.maketrans("12", "21"))
    Path("swapped.txt").write_text(swapped)
    with pytest.raises(
        ValueError, match=r"of data days\.txt: add `--data days\.txt`.* for a vocabulary"
    ):
        look(data="swapped.txt")
    with pytest.raises(ValueError, match=r"belongs to a model with .*'bidirectional': False"):
        look(model="bi", weights="AttentionSeq2seq.npz")
    PeekySeq2seq(*SIZES).save_params("peeky.npz")
    with pytest.raises(ValueError, match="holds the weights of PeekySeq2seq"):
        look(weights="peeky.npz")
    Path("damaged.npz").write_bytes(Path("AttentionSeq2seq.npz").read_bytes()[:999])
    with pytest.raises(ValueError, match=r"damaged.npz: not a readable weight file"):
        look(weights="damaged.npz")
    with pytest.raises(ValueError, match=r"model is one of attention, .*, conv, not 'peeky'"):
        look(model="peeky")
    with pytest.raises(ValueError, match="count must not be negative, not -1"):
        look(count=-1)
    for width in 0, -1:
        with pytest.raises(ValueError, match=f"beam_width must be at least 1, not {width}"):
            look(question="5/6/94", beam_width=width)
    assert figures(trained) == set()


@pytest.mark.slow
def test_attention_learns_to_copy_and_looks_at_what_it_copies(folder):
    letters = numpy.random.default_rng(0).choice(list("abcdefgh"), (3000, 5))
    words = ["".join(row) for row in letters]
    Path("copy.txt").write_text("\n".join(f"{word}_{word}" for word in words))
    how = TINY | {"data": "copy.txt", "max_epoch": 8, "hidden_size": 64, "wordvec_size": 16}
    epochs = train.main(**how | {"reverse": False, "batch_size": 32})
    assert epochs[0]["accuracy"] < 0.1
    assert epochs[-1]["accuracy"] > 0.95
    net = AttentionSeq2seq(9, 16, 64)
    net.load_params()
    _, (x, t) = sequence.load_data("copy.txt")
    looked_at = attention_maps(net, x, t, reverse=False).argmax(axis=2)
    assert (looked_at == numpy.arange(5)).mean() > 0.8


@pytest.fixture
def checkout(days):
    return copy_packages(days, "common", "dataset", "ch08", "ch07", "ch06", "ch05")


def test_scripts_run_as_module_and_from_their_folder(checkout):
    for name in ("train", "compare", "visualize_attention"):
        flags = [*FLAGS, "--no-plot"] if name != "visualize_attention" else ["--count=1"]
        flags.append(f"--data={checkout / 'days.txt'}")
        inside = run(f"{name}.py", *flags, cwd=checkout / "ch08", installed=checkout).stdout
        as_module = run("-W", "error", "-m", f"ch08.{name}", *flags, cwd=checkout).stdout
        times = r"time \d+|\d+\.\d s"
        assert re.sub(times, "", inside) == re.sub(times, "", as_module)
        assert inside or name == "visualize_attention"  # which draws


# --- A script typed in the book's way, started in the chapter's folder ---------------------------

OWN_ATTENTION = """
import sys
sys.path.append('..')
from common.time_layers import *
from ch07.seq2seq import Encoder, Seq2seq
from ch08.attention_layer import TimeAttention


class AttentionEncoder(Encoder):
    def forward(self, ids):
        return self.lstm.forward(self.embed.forward(ids))

    def backward(self, dhs):
        return self.embed.backward(self.lstm.backward(dhs))


class AttentionDecoder:
    def __init__(self, vocab, wordvec, hidden):
        def draw(rows, columns, scale):
            return (np.random.randn(rows, columns) * scale).astype('f')

        zeros = [np.zeros(size).astype('f') for size in (4 * hidden, vocab)]
        self.embed = TimeEmbedding(draw(vocab, wordvec, 0.01))
        self.lstm = TimeLSTM(draw(wordvec, 4 * hidden, 1 / np.sqrt(wordvec)),
                             draw(hidden, 4 * hidden, 1 / np.sqrt(hidden)),
                             zeros[0], stateful=True)
        self.attention = TimeAttention()
        self.affine = TimeAffine(draw(2 * hidden, vocab, 1 / np.sqrt(2 * hidden)), zeros[1])
        used = [self.embed, self.lstm, self.attention, self.affine]
        self.params = [p for layer in used for p in layer.params]
        self.grads = [g for layer in used for g in layer.grads]

    def scores(self, ids, encoded):
        states = self.lstm.forward(self.embed.forward(ids))
        found = self.attention.forward(encoded, states)
        return self.affine.forward(np.concatenate((found, states), axis=2))

    def forward(self, ids, encoded):
        self.lstm.set_state(encoded[:, -1])
        return self.scores(ids, encoded)

    def backward(self, dscore):
        d_both = self.affine.backward(dscore)
        H = d_both.shape[2] // 2
        d_encoded, d_states = self.attention.backward(d_both[:, :, :H])
        self.embed.backward(self.lstm.backward(d_both[:, :, H:] + d_states))
        d_encoded[:, -1] += self.lstm.dh
        return d_encoded

    def generate(self, encoded, start_id, sample_size):
        self.lstm.set_state(encoded[:, -1])
        answer = [start_id]
        while len(answer) <= sample_size:
            score = self.scores(np.array([[answer[-1]]]), encoded)
            answer.append(int(np.argmax(score.flatten())))
        return answer[1:]


class AttentionSeq2seq(Seq2seq):
    def __init__(self, vocab, wordvec, hidden):
        sizes = vocab, wordvec, hidden
        self.encoder = AttentionEncoder(*sizes)
        self.decoder = AttentionDecoder(*sizes)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads
"""

OWN_TRAINING = """
import sys
sys.path.append('..')
import numpy as np
import matplotlib.pyplot as plt
from dataset import sequence
from common.optimizer import Adam
from common.trainer import Trainer
from common.util import eval_seq2seq
from my_attention import AttentionSeq2seq

np.random.seed(2)
(questions, answers), (asked, right) = sequence.load_data('copy.txt')
char_to_id, id_to_char = sequence.get_vocab()
questions, asked = questions[:, ::-1], asked[:, ::-1]
net = AttentionSeq2seq(len(char_to_id), 16, 32)
trainer = Trainer(net, Adam(lr=0.01))
for epoch in range(15):
    trainer.fit(questions, answers, max_epoch=1, batch_size=30, max_grad=5.0)
    shares = [eval_seq2seq(net, asked[[k]], right[[k]], id_to_char, k == 0, is_reverse=True)
              for k in range(len(asked))]
    print('val acc %.3f%%' % (100 * sum(shares) / len(shares)))
net.save_params()

net = AttentionSeq2seq(len(char_to_id), 16, 32)
net.load_params()
for k in range(2):
    net.forward(asked[[k]], right[[k]])
    weights = np.array(net.decoder.attention.attention_weights)
    weights = weights.reshape(weights.shape[0], weights.shape[2])[:, ::-1]
    print(weights.shape, np.allclose(weights.sum(axis=1), 1))
    plt.pcolor(weights, cmap=plt.cm.Greys_r, vmin=0.0, vmax=1.0)
    plt.savefig('map%d.png' % k)
print(sum(shares) / len(shares))
"""


def test_a_model_with_attention_typed_in_the_books_way_learns(checkout):
    place = checkout / "ch08"
    words = ["".join(word) for word in itertools.product("abcdefg", repeat=3)]
    (place / "copy.txt").write_text("\n".join(f"{word} _{word}" for word in words))
    (place / "my_attention.py").write_text(OWN_ATTENTION)
    (place / "my_training.py").write_text(OWN_TRAINING)
    out = run("my_training.py", cwd=place).stdout
    assert len(re.findall(r"^val acc \d+\.\d{3}%$", out, re.M)) == 15
    assert len(re.findall(r"^Q \w{3} \nT \w{3}\n", out, re.M)) == 15
    *_, first, second, share = out.splitlines()
    assert first == second == "(3, 4) True"
    assert float(share) > 0.8
    assert (place / "AttentionSeq2seq.npz").exists()
    assert_not_blank(place / "map1.png")


# --- The shipped weights -------------------------------------------------------------------------

WEIGHTS = ROOT / "ch08" / "weights" / "AttentionSeq2seq.npz"
shipped_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"there is no {WEIGHTS.name}")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped model, test questions as it reads them, answers and characters of date.txt."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("elsewhere")
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        net = visualize_attention.load("attention", str(WEIGHTS), "date.txt")
        data = sequence.load("date.txt").reversed()
    assert len(data.x_test) == 5000
    return net, data.x_test, data.t_test, data.id_to_char


@shipped_weights
def test_the_shipped_weights_are_those_of_the_default_settings(shipped):
    net, _, _, _ = shipped
    assert [p.shape for p in net.params] == [p.shape for p in AttentionSeq2seq(59, 16, 256).params]
    assert net.settings == AttentionSeq2seq(59, 16, 256).settings


@shipped_weights
def test_the_shipped_model_answers_nearly_all_test_dates(shipped):
    net, x, t, _ = shipped
    assert seq2seq_accuracy(net, x, t).exact >= 0.99


@shipped_weights
def test_the_shipped_model_looks_at_days_and_years_where_they_stand(shipped):
    hits = attention_hits(*shipped, reverse=True)
    parts = ["digit 1 of the day, of two", "digit 2 of the day"]
    parts += ["digit 3 of the year", "digit 4 of the year"]
    assert {part: hits[part].share for part in parts if hits[part].share < 0.95} == {}


@shipped_weights
@pytest.mark.slow
def test_the_shipped_model_gives_one_by_one_the_answers_it_gives_in_batches(shipped):
    net, x, t, _ = shipped
    start_id, size = int(t[0, 0]), t.shape[1] - 1
    answers = net.generate_batch(x, start_id, size)
    alone = [net.generate(x[n : n + 1], start_id, size) for n in range(len(x))]
    numpy.testing.assert_array_equal(alone, answers)


@pytest.mark.parametrize("module", [train, compare, visualize_attention])
def test_every_flag_is_explained(module):
    for name, flag in flags(module.main).items():
        assert flag.help, name
    done = run("-m", module.__name__, "--no-such-flag", cwd=ROOT, status=2)
    assert "--no-such-flag" in done.stderr
