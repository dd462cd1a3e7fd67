"""Files of pairs with a tab between, of any lengths: padded, read by the scripts, drawn."""

from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch07 import compare, show_addition_dataset, train_seq2seq
from ch07.seq2seq import Seq2seq
from ch08 import train, visualize_attention
from ch08.attention_seq2seq import AttentionSeq2seq
from common.base_model import load_model
from dataset import sequence
from tests.scripts import assert_not_blank

PAIRS = [
    ("Go.", "Va !"),
    ("Hi there.", "Salut."),
    ("Who?", "Qui ?"),
    ("I see a_b.", "Je vois a_b."),
    ("月", "moon"),
]
TINY = {"wordvec_size": 4, "hidden_size": 8, "batch_size": 8, "max_epoch": 1}


def write(pairs, path="pairs.txt", after="\tCC-BY (somebody)"):
    Path(path).write_text("".join(f"{q}\t{a}{after}\n" for q, a in pairs), encoding="utf-8")
    return str(path)


def texts_of(data):
    """All questions and answers as text, in the order of the file's pairs."""
    x, t = (numpy.concatenate(parts) for parts in (data[0:3:2], data[1:4:2]))
    return set(zip(*(sequence.decode(ids, data.id_to_char) for ids in (x, t)), strict=True))


def test_pairs_of_unequal_lengths_are_padded(folder):
    data = sequence.load(write(PAIRS * 4))
    assert data.x_train.shape == (18, 10)  # the longest question is I see a_b.
    assert data.t_train.shape == (18, 14)  # a tab, Je vois a_b., and padding at least once
    assert texts_of(data) == {(q, f"\t{a}") for q, a in PAIRS}
    assert (data.t_train[:, 0] == data.char_to_id["\t"]).all()
    assert (data.t_train[:, -1] == data.pad_id).all()
    assert data.char_to_id[""] == data.pad_id != data.char_to_id[" "]


def test_padding_is_where_the_text_ends_and_blanks_inside_are_not(folder):
    data = sequence.load(write(PAIRS * 4))
    row = next(row for row in data.x_train if sequence.decode(row, data.id_to_char) == "Hi there.")
    assert (row == data.pad_id).tolist() == [False] * 9 + [True]
    assert_same = numpy.testing.assert_array_equal
    assert_same(sequence.encode(["Hi there."], data.char_to_id, 10)[0], row)
    assert_same(sequence.encode(["Hi there."], data.char_to_id, 10, reverse=True)[0], row[::-1])


def test_files_of_fixed_widths_have_no_pad_id(folder):
    assert sequence.load("addition.txt").pad_id is None


lines = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=9)


@given(st.lists(st.tuples(lines, lines), min_size=1, max_size=12))
def test_any_pairs_come_back(tmp_path_factory, pairs):
    path = write(pairs * 10, tmp_path_factory.mktemp("pairs") / "p", after="")
    data = sequence.load(path, split="random")
    assert texts_of(data) == {(q, f"\t{a}") for q, a in pairs}


@pytest.mark.parametrize("line", ["no tab", "Go.\t", "\tVa !", "Go.\t \tCC", ""])
def test_a_line_without_two_texts_is_named(line, folder):
    Path("pairs.txt").write_text("Go.\tVa !\n" * 11 + f"{line}\nGo.\tVa !\n")
    with pytest.raises(ValueError, match=r"pairs\.txt, line 12: .* is not a question, a tab and"):
        sequence.load("pairs.txt")


def test_200_000_pairs_of_which_the_last_is_bad_are_refused_in_one_pass(folder):
    Path("pairs.txt").write_text("Go.\tVa !\n" * 200_000 + "Go.\n")
    with pytest.raises(ValueError, match="line 200001: "):
        sequence.load("pairs.txt")


@pytest.mark.parametrize("script", [train_seq2seq, train])
def test_training_scripts_take_pairs_and_do_not_count_padding(script, folder, capsys):
    rows = script.main(data=write(PAIRS * 20), **TINY)
    name = {train_seq2seq: "Seq2seq", train: "AttentionSeq2seq"}[script]
    assert_not_blank(f"{name}.png")
    model = load_model(f"{name}.npz")
    data = sequence.load("pairs.txt")
    assert model.pad_id == data.pad_id
    assert model.trained_on == {"data": "pairs.txt"}
    assert model.loss_terms(data.t_train[:1]) == (data.t_train[0] != data.pad_id).sum()
    assert 0 <= rows[-1]["accuracy"] <= 1
    out = capsys.readouterr().out
    assert "\nT Va !\n" in out  # printed without padding


def test_a_model_learns_pairs(folder):
    rows = train.main(
        data=write(PAIRS * 40), **TINY | {"hidden_size": 32, "max_epoch": 25, "plot": False}
    )
    assert rows[-1]["accuracy"] == 1


def test_the_other_scripts_take_pairs_too(folder, capsys):
    path = write(PAIRS * 20)
    show_addition_dataset.main(path)
    assert "(90, 10) (90, 14)" in capsys.readouterr().out
    compare.main(data=path, **TINY, plot=False)
    train.main(data=path, **TINY, plot=False)
    visualize_attention.main(data=path, count=1)
    assert_not_blank("attention_1.png")
    visualize_attention.main(data=path, question="Go.")
    assert "Q Go.\nA " in capsys.readouterr().out


def test_weights_of_other_pairs_name_their_file(folder):
    train.main(data=write(PAIRS * 20), **TINY, plot=False)
    other = write([("a", "b")] * 10, "other.txt")
    told = r"these weights are of data pairs\.txt: add `--data pairs\.txt`"
    with pytest.raises(ValueError, match=told):
        visualize_attention.main(data=other)


@pytest.mark.parametrize("cls", [Seq2seq, AttentionSeq2seq])
def test_from_python_the_pad_id_goes_to_the_model(cls, folder):
    data = sequence.load(write(PAIRS * 20)).reversed()
    model = cls(len(data.char_to_id), 4, 8, pad_id=data.pad_id, rng=0)
    whole = float(model.forward(data.x_train[:8], data.t_train[:8]))
    wider = numpy.pad(data.t_train[:8], ((0, 0), (0, 3)), constant_values=data.pad_id)
    assert float(model.forward(data.x_train[:8], wider)) == pytest.approx(whole, rel=1e-6)
