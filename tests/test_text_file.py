"""dataset/text_file.py: any UTF-8 text as training, validation and test streams."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dataset import sequence, text_file

TEN_LINES = "\n".join(["a b", "a c", "d", "b", "a", "a", "a", "e", "a z", "y e"])


@pytest.fixture
def save(tmp_path):
    def save(content):
        path = tmp_path / "text.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return save


def words_of(path, data_type):
    corpus, _, id_to_word = text_file.load_data(path, data_type)
    return [id_to_word[i] for i in corpus]


def test_ids_follow_first_appearance_and_each_line_ends_with_eos(save):
    corpus, word_to_id, id_to_word = text_file.load_data(save(TEN_LINES))
    # 8 of the 10 lines: a b . a c . d . b . a . a . a . e .    with . for <eos>
    assert word_to_id == {"a": 0, "b": 1, "<eos>": 2, "c": 3, "d": 4, "e": 5, "<unk>": 6}
    assert corpus.tolist() == [0, 1, 2, 0, 3, 2, 4, 2, 1, 2, 0, 2, 0, 2, 0, 2, 5, 2]
    assert corpus.dtype == np.int64
    assert id_to_word == {i: word for word, i in word_to_id.items()}


def test_words_that_training_lacks_become_unk(save):
    path = save(TEN_LINES)
    assert words_of(path, "valid") == ["a", "<unk>", "<eos>"]
    assert words_of(path, "test") == ["<unk>", "e", "<eos>"]


def test_all_parts_share_the_training_vocabulary(save):
    path = save(TEN_LINES)
    vocabularies = [text_file.load_data(path, part)[1:] for part in ("train", "valid", "test")]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2] == text_file.load_vocab(path)


def test_an_unk_in_the_text_keeps_its_id(save):
    _, word_to_id, _ = text_file.load_data(save("x <unk> y\n" * 10))
    assert word_to_id == {"x": 0, "<unk>": 1, "y": 2, "<eos>": 3}


def test_val_is_another_name_of_valid(save):
    path = save(TEN_LINES)
    assert words_of(path, "val") == words_of(path, "valid")


def test_case_and_punctuation_are_kept(save):
    assert words_of(save("The end.\n" * 10), "test") == ["The", "end.", "<eos>"]


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_do_not_count(save):
    plain = words_of(save("über alles\nja\n" * 10), "train")
    other = words_of(save("\ufeff\r\n\n" + "über  alles \r\n \t\nja\r\n" * 10), "train")
    assert other == plain


@given(n=st.integers(10, 200))
def test_the_parts_are_80_10_10_and_together_the_whole_text(tmp_path_factory, n):
    path = tmp_path_factory.mktemp("parts") / "text.txt"
    path.write_text("word\n" * n)
    train, valid, test = (len(words_of(path, part)) // 2 for part in ("train", "valid", "test"))
    assert train + valid + test == n
    assert abs(train - 0.8 * n) < 1
    assert abs(valid - 0.1 * n) < 1
    assert min(valid, test) >= 1


lines_of_words = st.lists(
    st.text(st.sampled_from("ab é\t,."), min_size=1, max_size=12).filter(str.strip),
    min_size=10,
    max_size=40,
)


@given(lines=lines_of_words)
def test_the_stream_says_what_the_lines_say(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("stream") / "text.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    kept = lines[: 8 * len(lines) // 10]
    assert words_of(path, "train") == " <eos> ".join([*kept, ""]).split()


def test_the_same_words_as_a_stream_get_the_same_ids():
    corpus, word_to_id, _ = text_file.number(["b", "a", "<eos>", "a", "<eos>"])
    assert corpus.tolist() == [0, 1, 2, 1, 2]
    assert_array_equal(text_file.encode(["a", "b"], word_to_id), [1, 0])
    with pytest.raises(KeyError, match="c"):
        text_file.encode(["a", "c"], word_to_id)


@pytest.mark.parametrize("data_type", ["Train", "", "dev", None, 3])
def test_an_unknown_part_is_named_beside_the_known_ones(save, data_type):
    with pytest.raises(ValueError, match=rf"{data_type!r}.*'train', 'valid'.*'val'.*'test'"):
        text_file.load_data(save(TEN_LINES), data_type)


@pytest.mark.parametrize("content", ["", "\n \n", "one\n" * 4])
def test_too_short_a_text_is_refused(save, content):
    lines = content.count("one")
    with pytest.raises(ValueError, match=rf"text.txt has {lines} lines.* {2 * lines} tokens.* 10 "):
        text_file.load_data(save(content))


@pytest.mark.parametrize("lines", [1, 3, 9])
def test_a_text_of_few_lines_is_divided_by_its_words(save, lines):
    path = save(" ".join(f"w{k % 7}" for k in range(99)) + "\n" + "more\n" * (lines - 1))
    parts = text_file.load_parts(path)
    n = 100 + 2 * (lines - 1)  # tokens, with an <eos> for each line
    assert [len(part) for part in parts[:3]] == [
        8 * n // 10,
        9 * n // 10 - 8 * n // 10,
        n - 9 * n // 10,
    ]


def test_all_of_a_text_is_there_for_word_vectors(save):
    corpus, word_to_id, id_to_word = text_file.load_text(save(TEN_LINES))
    assert [id_to_word[i] for i in corpus] == " <eos> ".join([*TEN_LINES.split("\n"), ""]).split()
    assert "<unk>" not in word_to_id
    assert {"z", "y"} <= word_to_id.keys()  # which only the last lines have
    assert len(text_file.load_text(save("one"))[0]) == 2  # no text is too short
    with pytest.raises(ValueError, match=r"text.txt has no words"):
        text_file.load_text(save(" \n"))


def test_rare_words_become_unk_in_training_too(save):
    path = save(TEN_LINES)
    corpus, word_to_id, _ = text_file.load_data(path, min_count=2)
    # a b . a c . d . b . a . a . a . e .    c, d and e stand there once
    assert word_to_id == {"a": 0, "b": 1, "<eos>": 2, "<unk>": 3}
    assert corpus.tolist() == [0, 1, 2, 0, 3, 2, 3, 2, 1, 2, 0, 2, 0, 2, 0, 2, 3, 2]
    whole, word_to_id, _ = text_file.load_text(path, min_count=2)
    assert (whole == word_to_id["<unk>"]).sum() == 4  # c, d, z, y; e is there twice
    assert text_file.load_vocab(path, min_count=100)[0] == {"<eos>": 0, "<unk>": 1}
    with pytest.raises(ValueError, match="min_count must be at least 1, not 0"):
        text_file.load_data(path, min_count=0)


def test_a_line_is_cut_as_the_reader_wants(save):
    path = save("Go, now!\n" * 10)
    cuts = {
        "words": ["Go,", "now!"],
        "lower": ["go", ",", "now", "!"],
        "characters": list("Go, now!"),
        lambda line: line.split(","): ["Go", " now!"],
    }
    for tokens, cut in cuts.items():
        corpus, _, id_to_word = text_file.load_data(path, "test", tokens=tokens)
        assert [id_to_word[i] for i in corpus] == [*cut, "<eos>"]


def test_text_that_is_not_utf8_is_refused_with_the_byte(save):
    path = save(b"plain\n" * 20 + b"caf\xe9 \n")  # 20 * 6 bytes, then c a f
    with pytest.raises(ValueError, match=r"text.txt is not UTF-8 text: byte 123 is 0xe9"):
        text_file.load_data(path)


@pytest.mark.parametrize("packing", [gzip, bz2, lzma])
def test_a_compressed_text_is_to_be_unpacked(save, packing):
    path = save(packing.compress(TEN_LINES.encode()))
    with pytest.raises(ValueError, match=r"text\.txt is not a text .*: it seems to be compressed"):
        text_file.load_data(path)


STRANGERS = {
    "a web page; save its text": b"\xef\xbb\xbf\n<!DOCTYPE HTML>\n" + b"<p>\n" * 20,
    "a web page": b"<html lang=ja>\n" * 20,
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "UTF-16 text; save it as UTF-8": ("a b\n" * 20).encode("utf-16"),
    "compressed; unpack it": b"PK\x03\x04 a zip file",
}


@pytest.mark.parametrize("load", [text_file.load_text, text_file.load_parts, sequence.load])
@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_text_to_read_is_told_by_its_bytes(load, kind, save):
    path = save(STRANGERS[kind])
    with pytest.raises(ValueError, match=rf"text\.txt is not a text to read: .* be {kind}"):
        load(path)


@pytest.mark.parametrize("line", ["<unk> a b\n", "< html >\n", "PK BZ\n", "version 2\n"])
def test_texts_that_begin_nearly_so_are_read(line, save):
    assert len(text_file.load_text(save(line * 10))[0]) == 10 * (len(line.split()) + 1)


def test_a_single_line_without_blanks_is_told_what_would_divide_it(save):
    path = save("私は猫が好きです。" * 5)
    with pytest.raises(ValueError, match=r"2 tokens in all; .* --tokens characters$"):
        text_file.load_parts(path)
    assert len(text_file.load_parts(path, tokens="characters").train) == 36  # 46 * 8 // 10
    for text in "", "one two three\n":
        with pytest.raises(ValueError, match=r"validation and test$"):
            text_file.load_parts(save(text))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        text_file.load_data(tmp_path / "nowhere.txt")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        text_file.load_data(tmp_path)
