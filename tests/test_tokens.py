"""How lines are cut into tokens and joined again, and warnings about texts that do not suit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import grammar, text_file, texts
from dataset.suitability import describe
from dataset.tokens import CUTS, cutter, join, name_of

CUT = {
    ("words", "It's  cold, 5.30!"): ["It's", "cold,", "5.30!"],
    ("lower", "It's  cold, 5.30!"): ["it's", "cold", ",", "5.30", "!"],
    ("lower", '"Well-known" <unk>.'): ['"', "well-known", '"', "<unk>", "."],
    ("lower", "(1,000) É"): ["(", "1,000", ")", "é"],
    ("lower", "हिन्दी में।"): ["हिन्दी", "में", "।"],  # with marks that belong to letters
    ("characters", " a b\tc "): ["a", " ", "b", " ", "c"],
    ("characters", "私は 猫"): ["私", "は", " ", "猫"],
    ("words", "私は　猫"): ["私は", "猫"],  # a blank of full width
}


@pytest.mark.parametrize(("name", "line"), CUT)
def test_lines_are_cut_in_three_ways(name, line):
    assert cutter(name)(line) == CUT[name, line]


@given(st.text(st.characters(exclude_categories=["C"])), st.sampled_from(sorted(CUTS)))
def test_tokens_never_hold_white_space_but_one_blank(line, name):
    words = cutter(name)(line)
    assert all(word == " " or (word and not any(map(str.isspace, word))) for word in words)
    if name != "lower":  # which writes capitals small
        assert join(words, name) == " ".join(line.split())


def test_lower_text_is_joined_as_people_write():
    line = "it's cold, they say (in the north): 5.30!"
    assert join(cutter("lower")(line), "lower") == line


def test_a_function_of_the_readers_own_cuts_and_its_words_are_joined_by_script():
    def pairs(line):
        return [line[k : k + 2] for k in range(0, len(line), 2)]

    assert cutter(pairs)("私は猫") == ["私は", "猫"]
    assert name_of(pairs) == "own"
    assert join(["私は", "猫", "です", "。", "ok", "then"], "own") == "私は猫です。 ok then"


@pytest.mark.parametrize("found", ["one text", None, [1, 2], {"a": 1}])
def test_a_function_that_returns_no_list_of_texts_is_refused(found):
    with pytest.raises(TypeError, match=r"the function returned .* for the line 'a b'; a list"):
        cutter(lambda line: found)("a b")


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="tokens is 'chars'; it can be words, lower, characters"):
        cutter("chars")


@pytest.mark.parametrize("how", [{"tokens": "lower"}, {"min_count": 2}])
@pytest.mark.parametrize("name", ["ptb", "grammar"])
@pytest.mark.parametrize("load", [texts.load_data, texts.load_parts, texts.load_text])
def test_texts_that_are_words_already_are_not_cut_again(load, name, how):
    with pytest.raises(ValueError, match=f"are for a text file; {name} is words already"):
        load(name, **how)


def test_word_vectors_learn_from_the_training_text_where_there_is_one():
    assert np.array_equal(texts.load_text("grammar")[0], grammar.load_data("train")[0])


# --- Whether a text suits ------------------------------------------------------------------------


def described(tmp_path, lines, **how):
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return describe(text_file.load_parts(tmp_path / "text.txt", **how)).splitlines()


JAPANESE = [f"私は{k}番目の猫が好きです。" for k in range(40)]


def test_sizes_and_shares_of_unknown_words_are_told(tmp_path):
    lines = ["a b c d"] * 8 + ["a b c x", "a b x y"]
    assert described(tmp_path, lines) == [
        "vocabulary: 6",  # a b c d <eos> <unk>
        "train: 40 tokens, 0.0 % of the words unknown",
        "valid: 5 tokens, 25.0 % of the words unknown",
        "test: 5 tokens, 50.0 % of the words unknown",
        "warning: 50 % of the words of test are unknown, so that a perplexity says little. More "
        "text helps, or --tokens lower, or --tokens characters",
        "note: <unk> never occurs in train, so nothing is learned about it; --min-count 2 makes it "
        "occur",
    ]


def test_a_text_without_blanks_is_warned_of_and_characters_mend_it(tmp_path):
    found = "\n".join(described(tmp_path, JAPANESE))
    assert "vocabulary: 34" in found  # 32 lines, <eos>, <unk>
    assert "test: 8 tokens, 100.0 % of the words unknown" in found
    assert "warning: most lines are a single token." in found
    assert "--tokens characters" in found
    assert "warning" not in "\n".join(described(tmp_path, JAPANESE, tokens="characters"))


def test_a_list_of_words_is_warned_of_too(tmp_path):
    assert any("single token" in line for line in described(tmp_path, ["one", "two"] * 10))


def test_rare_words_that_became_unknown_leave_no_note(tmp_path):
    lines = ["a b c d", "a b c e"] * 8 + ["a b c f", "a b d g"] + ["a b c d", "a b c h"]
    lines.insert(3, "a b c z")
    assert any("note: <unk> never" in line for line in described(tmp_path, lines))
    assert not any("note" in line for line in described(tmp_path, lines, min_count=2))


def test_a_text_that_is_not_divided_is_one_line(tmp_path):
    (tmp_path / "text.txt").write_text("a b\nc\nd e f")
    assert describe(text_file.load_text(tmp_path / "text.txt")).splitlines() == [
        "vocabulary: 7",
        "text: 9 tokens, 0.0 % of the words unknown",
    ]
