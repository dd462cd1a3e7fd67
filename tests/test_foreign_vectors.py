"""Files of word vectors as other programs write them, and as readers come to have them."""

import bz2
import gzip
import lzma
import pickle
import struct
import tracemalloc
import warnings
import zipfile

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.storage.weights import is_pickle
from common.words import vector_formats
from common.words.vector_files import (
    load_vectors,
    read_counts,
    read_word2vec,
    save_vectors,
    write_word2vec,
)

TEXT = "the 0.5 -1\n日本 2e-3 4\n, 1 1\n".encode()
VECS = numpy.array([[0.5, -1], [2e-3, 4], [1, 1]], "float32")
WORDS = ["the", "日本", ","]


def assert_read(path, vecs=VECS, words=WORDS, **how):
    word_vecs, word_to_id, id_to_word = load_vectors(path, **how)
    assert word_vecs.dtype == "float32"
    assert_array_equal(word_vecs, vecs)
    assert id_to_word == dict(enumerate(words))
    assert word_to_id == {word: i for i, word in enumerate(words)}


def zipped(name):
    def write(path, content):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("folder/", b"")
            file.writestr(name, content)

    return write


PACKED = {
    "as it is": lambda path, content: path.write_bytes(content),
    "gzip": lambda path, content: path.write_bytes(gzip.compress(content)),
    "zip": zipped("folder/vectors.txt"),
    "bzip2": lambda path, content: path.write_bytes(bz2.compress(content)),
    "xz": lambda path, content: path.write_bytes(lzma.compress(content)),
}
BINARY = b"3 2\n" + b"".join(
    word.encode() + b" " + struct.pack("<2f", *row) + b"\n"
    for word, row in zip(WORDS, VECS, strict=True)
)
CONTENTS = {
    "GloVe": TEXT,
    "word2vec, fastText": b"3 2\n" + TEXT.replace(b"\n", b" \n"),
    "word2vec, binary": BINARY,
    "a byte order mark": b"\xef\xbb\xbf3 2\n" + TEXT,
    "a byte order mark before GloVe": b"\xef\xbb\xbf" + TEXT,
    "blanks in line 1": b" 3   2 \r\n" + TEXT,
    "a tab in line 1": b"3\t2\n" + TEXT,
    "tabs everywhere": (b"3 2\n" + TEXT).replace(b" ", b"\t"),
    "Windows": (b"3 2\n" + TEXT).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("content", CONTENTS)
def test_bytes_tell_what_a_file_is_whatever_its_name(content, packing, tmp_path):
    PACKED[packing](tmp_path / "vectors.pkl", CONTENTS[content])
    assert_read(tmp_path / "vectors.pkl")


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_limit_reads_the_first_words(content, packing, tmp_path):
    PACKED[packing](tmp_path / "a", CONTENTS[content])
    assert_read(tmp_path / "a", VECS[:2], WORDS[:2], limit=2)
    assert_read(tmp_path / "a", limit=50_000)


def test_our_own_files_have_a_limit_too(tmp_path):
    save_vectors(tmp_path / "a.npz", VECS, dict(enumerate(WORDS)), dtype="float32")
    assert_read(tmp_path / "a.npz", VECS[:1], WORDS[:1], limit=1)
    for path in "a.npz", "a.txt":
        (tmp_path / "a.txt").write_bytes(TEXT)
        with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
            load_vectors(tmp_path / path, limit=0)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1),
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3),
        min_size=1,
    ),
    st.booleans(),
)
def test_text_and_binary_are_told_apart(tmp_path_factory, table, binary):
    path = tmp_path_factory.mktemp("any") / "a"
    vecs = numpy.array(list(table.values()), "float32")
    write_word2vec(path, vecs, dict(enumerate(table)), binary=binary)
    numbers = vecs.tobytes()[:12]
    if not binary or any(byte < 9 for byte in numbers):  # else they might be text
        assert_read(path, vecs, list(table))


@pytest.mark.parametrize("content", ["GloVe", "word2vec, fastText", "word2vec, binary"])
def test_the_first_vector_of_a_word_is_kept_and_the_others_are_counted(content, tmp_path):
    again = {
        "GloVe": TEXT + b"the 7 7\n, 8 8\n",
        "word2vec, fastText": b"5 2\n" + TEXT + b"the 7 7\n, 8 8\n",
        "word2vec, binary": BINARY.replace(b"3 2\n", b"5 2\n")
        + b"the "
        + struct.pack("<2f", 7, 7)
        + b", "
        + struct.pack("<2f", 8, 8),
    }[content]
    (tmp_path / "a").write_bytes(again)
    with pytest.warns(UserWarning, match=r"load_vectors: .*a: 2 words came again, such as 'the'"):
        assert_read(tmp_path / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_read(tmp_path / "a", limit=3)


def test_words_that_are_not_utf8_are_read_on_request(tmp_path):
    (tmp_path / "a").write_bytes("2 1\nnaïve 1\nñ 2\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"line 2: the word .* is not UTF-8 .*errors='replace'"):
        load_vectors(tmp_path / "a")
    assert_read(tmp_path / "a", [[1], [2]], ["na\ufffdve", "\ufffd"], errors="replace")
    with pytest.raises(ValueError, match="errors is 'drop'"):
        load_vectors(tmp_path / "a", errors="drop")


def test_words_with_blanks_are_read_as_glove_has_them(tmp_path):
    (tmp_path / "a").write_bytes(b"a 1 2\n. . . 3 4\nat x@y.z 5 6\n")
    assert_read(tmp_path / "a", [[1, 2], [3, 4], [5, 6]], ["a", ". . .", "at x@y.z"])
    (tmp_path / "a").write_bytes(b"a 1 2\nb 3 4 5\n")
    with pytest.raises(ValueError, match="line 2: 3 numbers came after the word, 2 are needed"):
        load_vectors(tmp_path / "a")


STRANGERS = {
    "an empty file": (b"", "an empty file"),
    "a web page": (b"\n<!DOCTYPE html>\n<html><head>", "a web page"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
    "a model of fastText": (b"\xba\x16\x4f\x2f\x0c\0\0\0", r"fastText.*\.vec"),
    "UTF-16": ("3 2\n".encode("utf-16"), "UTF-16"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "JSON": (b'{"the": [0.5, -1]}', "JSON"),
    "one array": (b"\x93NUMPY\x01\x00", "a single NumPy array"),
    "a PDF": (b"%PDF-1.7\n", "a PDF"),
    "a tar archive": (b"a".ljust(257, b"\0") + b"ustar\0", "a tar archive"),
    "something": (b"hello world\n", "it begins with b'hell'"),
}


@pytest.mark.parametrize("case", STRANGERS)
@pytest.mark.parametrize("packing", ["as it is", "gzip"])
def test_strangers_are_told_by_name(case, packing, tmp_path):
    content, name = STRANGERS[case]
    PACKED[packing](tmp_path / "a.npz", content)
    with pytest.raises(ValueError, match=rf"not a readable file of word vectors \(.*{name}"):
        load_vectors(tmp_path / "a.npz")


@pytest.mark.parametrize("case", STRANGERS)
def test_weight_files_tell_strangers_as_well(case, tmp_path):
    (tmp_path / "Rnnlm.npz").write_bytes(STRANGERS[case][0])
    with pytest.raises(
        ValueError, match=rf"Rnnlm\.npz: not a readable weight .*{STRANGERS[case][1]}"
    ):
        is_pickle(tmp_path / "Rnnlm.npz")


@pytest.mark.parametrize("read", [load_vectors, read_word2vec, read_counts])
def test_a_missing_file_and_a_folder_are_named_as_the_user_wrote_them(read, folder):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'none\.txt'$"):
        read("none.txt")
    (folder / "vectors").mkdir()
    with pytest.raises(IsADirectoryError, match=r"'vectors'$"):
        read("vectors")


def test_a_zip_of_several_files_is_told_with_their_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in "glove.50d.txt", "glove.100d.txt":
            file.writestr(name, TEXT)
    with pytest.raises(ValueError, match=r"holds 2 files; unpack one of glove\.50d\.txt, glove"):
        load_vectors(tmp_path / "a.zip")


@pytest.mark.parametrize("packing", [name for name in PACKED if name != "as it is"])
def test_compressed_files_that_break_off_are_refused(packing, tmp_path):
    PACKED[packing](tmp_path / "whole", TEXT * 50)
    content = (tmp_path / "whole").read_bytes()
    for length in range(20, len(content), max(1, len(content) // 20)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"load_vectors: .*cut: "):
            load_vectors(tmp_path / "cut")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_scalars_of_numpy_in_the_pickle_of_the_book_are_read(protocol, tmp_path):
    words = numpy.array(WORDS)  # whose items are numpy.str_
    ids = numpy.arange(len(WORDS))  # and numpy.int64
    content = {
        "word_vecs": VECS,
        "word_to_id": dict(zip(words, ids, strict=True)),
        "id_to_word": dict(zip(ids, words, strict=True)),
    }
    assert type(next(iter(content["id_to_word"]))) is numpy.int64
    (tmp_path / "a").write_bytes(pickle.dumps(content, protocol))
    assert_read(tmp_path / "a")
    assert {type(word) for word in load_vectors(tmp_path / "a")[1]} == {str}
    (tmp_path / "a").write_bytes(pickle.dumps({numpy.float64(2.5): 1}, protocol))
    with pytest.raises(ValueError, match="a key is a text or an integer"):
        load_vectors(tmp_path / "a")


@pytest.mark.parametrize("header", [b"400000 1\n", b""])
def test_400_000_words_with_the_last_one_twice(header, tmp_path):
    # Reading is linear: at this size, comparing every word with all before it would take hours.
    lines = [b"w%d 1\n" % k for k in range(400_000)]
    lines[-1] = lines[0]
    (tmp_path / "a").write_bytes(header + b"".join(lines))
    with pytest.warns(UserWarning, match="1 words came again, such as 'w0'"):
        vecs, word_to_id, _ = load_vectors(tmp_path / "a")
    assert len(vecs) == len(word_to_id) == 399_999


def test_a_binary_file_without_blanks_is_given_up_early(tmp_path, monkeypatch):
    # What reads on for the end of a word must not copy all of a large file again and again.
    (tmp_path / "a").write_bytes(b"2 2\na" + b"\xff" * 10_000_000)
    monkeypatch.setattr(vector_formats, "BLOCK", 1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="byte 4: the file ends inside word 1"):
        read_word2vec(tmp_path / "a", binary=True)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_how_often_words_stand_in_the_text_is_kept(tmp_path):
    save_vectors(tmp_path / "a.npz", VECS, dict(enumerate(WORDS)), counts=numpy.array([5, 0, 7]))
    assert read_counts(tmp_path / "a.npz").tolist() == [5, 0, 7]
    assert load_vectors(tmp_path / "a.npz")[1] == {"the": 0, "日本": 1, ",": 2}
    save_vectors(tmp_path / "b.npz", VECS, dict(enumerate(WORDS)))
    (tmp_path / "c").write_bytes(TEXT)
    assert read_counts(tmp_path / "b.npz") is None
    assert read_counts(tmp_path / "c") is None
    for counts in [1, 2], [1, 2, -3], [1.0, 2.0, 3.0]:
        with pytest.raises(ValueError, match=r"save_vectors: .*counts are whole numbers"):
            save_vectors(
                tmp_path / "a.npz", VECS, dict(enumerate(WORDS)), counts=numpy.array(counts)
            )
