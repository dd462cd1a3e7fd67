"""Word vectors in files: what is written comes back, gensim agrees, bad files are refused."""

import errno
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from common.np import np
from common.storage import files
from common.words.vector_files import (
    load_vectors,
    read_word2vec,
    save_vectors,
    write_projector,
    write_word2vec,
)
from tests.test_files import flipped

WORDS = ["you", "n't", "café", "日本", "<unk>", "u.s."]
ID_TO_WORD = dict(enumerate(WORDS))
WORD_TO_ID = {word: i for i, word in ID_TO_WORD.items()}


@pytest.fixture
def vecs():
    return numpy.random.default_rng(0).standard_normal((len(WORDS), 5)).astype("float32")


@pytest.fixture
def gensim():
    reason = "gensim is not installed: pip install '.[bench]'"
    return pytest.importorskip("gensim.models", reason=reason).KeyedVectors


def assert_vectors(loaded, vecs, words=WORDS):
    word_vecs, word_to_id, id_to_word = loaded
    assert word_vecs.dtype == "float32"
    assert_array_equal(word_vecs, vecs)
    assert id_to_word == dict(enumerate(words))
    assert word_to_id == {word: i for i, word in enumerate(words)}


def npz(path, **arrays):
    with path.open("wb") as file:
        numpy.savez(file, **arrays)


def text_array(text):
    return numpy.frombuffer(text.encode(), numpy.uint8)


# --- Our own file, and the book's ----------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_float32_comes_back_as_it_was_and_float16_with_three_digits(tmp_path, vecs):
    save_vectors(tmp_path / "a.npz", np.asarray(vecs), ID_TO_WORD, dtype="float32")
    assert_vectors(load_vectors(tmp_path / "a.npz"), vecs)
    save_vectors(str(tmp_path / "b.npz"), np.asarray(vecs), ID_TO_WORD)
    assert_vectors(load_vectors(str(tmp_path / "b.npz")), vecs.astype("float16"))
    assert_allclose(vecs.astype("float16"), vecs, rtol=1e-3)


def test_the_file_holds_an_array_and_the_words_as_json(tmp_path, vecs):
    save_vectors(tmp_path / "a.npz", vecs, ID_TO_WORD)
    with numpy.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["word_vecs"].dtype == "float16"
        assert json.loads(file["vocabulary.json"].tobytes()) == WORDS


def test_words_with_spaces_are_kept_in_our_own_file(tmp_path, vecs):
    words = ["new york", "a\nb", "", "\t", "x", "\ud800"]
    save_vectors(tmp_path / "a.npz", vecs, dict(enumerate(words)), dtype="float32")
    assert_vectors(load_vectors(tmp_path / "a.npz"), vecs, words)


def test_the_order_of_the_dictionary_does_not_matter(tmp_path, vecs):
    save_vectors(tmp_path / "a.npz", vecs, dict(reversed(ID_TO_WORD.items())), dtype="float32")
    assert_vectors(load_vectors(tmp_path / "a.npz"), vecs)


def book_file(path, vecs, protocol=-1, **change):
    content = {"word_vecs": vecs, "word_to_id": WORD_TO_ID, "id_to_word": ID_TO_WORD}
    path.write_bytes(pickle.dumps(content | change, protocol))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_pickle_of_the_book_is_read(tmp_path, vecs, protocol):
    half = vecs.astype("float16")
    book_file(tmp_path / "cbow_params.pkl", half, protocol)
    assert_vectors(load_vectors(tmp_path / "cbow_params.pkl"), half)


def test_a_pickle_written_by_numpy_1_is_read(tmp_path, vecs):
    path = tmp_path / "old.pkl"
    book_file(path, vecs, 2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert_vectors(load_vectors(path), vecs)


class Bomb:
    def __reduce__(self):
        return open, ("exploded", "w")


BAD_FILES = {
    "a pickle that calls": (
        lambda p, v: book_file(p, v, word_to_id=Bomb()),
        r"the pickle wants to call (_io|io)\.open",
    ),
    "a pickled list": (lambda p, v: p.write_bytes(pickle.dumps([v])), "holds list, not a dict"),
    "a key more": (lambda p, v: book_file(p, v, extra=1), r"holds \['extra', 'id_to_word'"),
    "no array": (lambda p, v: book_file(p, v.tolist()), "holds a list, a dict, a dict, not an"),
    "ids with a gap": (
        lambda p, v: book_file(p, v, id_to_word={0: "a", 2: "b"}),
        "the 2 words need the ids 0 to 1",
    ),
    "dictionaries at odds": (
        lambda p, v: book_file(p, v, word_to_id=WORD_TO_ID | {"you": 1}),
        "contradict each other",
    ),
    "a truncated pickle": (
        lambda p, v: p.write_bytes(pickle.dumps({"word_vecs": v})[:-40]),
        "not a readable file of word vectors",
    ),
    "an empty file": (
        lambda p, v: p.write_bytes(b""),
        r"file of word vectors \(it seems to be an empty file",
    ),
    "another text": (lambda p, v: p.write_text("hello"), "word vectors .it begins with b'hell'"),
    "a zip with a damaged start": (
        lambda p, v: (npz(p, word_vecs=v), p.write_bytes(b"X" + p.read_bytes()[1:])),
        "word vectors .it begins with b'XK",
    ),
    "a word that is a list": (
        lambda p, v: book_file(p, v, id_to_word=ID_TO_WORD | {1: ["a"]}),
        r"a word is a text, not \['a'\]",
    ),
    "a word that is an array": (
        lambda p, v: book_file(p, v, id_to_word=ID_TO_WORD | {1: v}),
        "a word is a text, not array",
    ),
    "an id that is an array": (
        lambda p, v: book_file(p, v, word_to_id=WORD_TO_ID | {"you": v}),
        "contradict each other",
    ),
    "a word twice in a pickle": (
        lambda p, v: book_file(p, v, id_to_word=ID_TO_WORD | {1: "you"}),
        "the word 'you' is there twice",
    ),
    "a vocabulary of floats": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": v}),
        "not a readable file of word vectors",
    ),
    "a deep vocabulary": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": text_array("[" * 10**5)}),
        "not a readable file of word vectors",
    ),
    "a member that is no array": (lambda p, v: no_array(p), "not a readable file of word vectors"),
    "an array more": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": text_array("[]"), "x": v}),
        "it holds .'vocabulary.json', 'word_vecs', 'x'",
    ),
    "a compressed file": (
        lambda p, v: numpy.savez_compressed(p, word_vecs=numpy.zeros((10**4, 100))),
        "it is compressed",
    ),
    "a zip of something": (
        lambda p, v: zipfile.ZipFile(p, "w").writestr("a", "b"),
        "not a readable file of word vectors",
    ),
    "no words": (lambda p, v: npz(p, word_vecs=v), "not a readable file of word vectors"),
    "words that are no JSON": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": text_array("[")}),
        "not a readable file of word vectors",
    ),
    "words that are no list": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": text_array('{"a": 1}')}),
        "the vocabulary is a dict, not a list",
    ),
    "a number for a word": (
        lambda p, v: npz(p, **{"word_vecs": v[:1], "vocabulary.json": text_array("[7]")}),
        "a word is a text, not 7",
    ),
    "a word less": (
        lambda p, v: npz(p, **{"word_vecs": v, "vocabulary.json": text_array('["a"]')}),
        "1 words do not fit 6 vectors",
    ),
    "integers": (
        lambda p, v: npz(p, **{"word_vecs": v.astype(int), "vocabulary.json": text_array("[]")}),
        r"vectors are floats of shape \(V, D\), .*not int64 \(6, 5\)",
    ),
    "objects": (
        lambda p, v: npz(p, **{"word_vecs": v.astype(object), "vocabulary.json": text_array("[]")}),
        "not a readable file of word vectors",
    ),
    "NaN": (
        lambda p, v: npz(
            p,
            **{
                "word_vecs": numpy.array([[0.0], [numpy.nan]]),
                "vocabulary.json": text_array('["a", "b"]'),
            },
        ),
        r"the vector of 'b' \(row 1\) holds NaN",
    ),
    "an absurd size": (
        lambda p, v: absurd_npz(p),
        "not a readable file of word vectors",
    ),
}


def absurd_npz(path):
    """An .npz whose array says that it has 2^60 rows and holds 12 bytes."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 60, 3)}
    numpy.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word_vecs.npy", header.getvalue() + bytes(12))


def no_array(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word_vecs.npy", b"text")
        file.writestr("vocabulary.json.npy", b"[]")


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_of_vectors_are_refused(case, tmp_path, monkeypatch, vecs):
    monkeypatch.chdir(tmp_path)
    make, problem = BAD_FILES[case]
    path = tmp_path / "bad.npz"
    make(path, vecs)
    with pytest.raises(ValueError, match=rf"^load_vectors: .*bad\.npz: .*{problem}"):
        load_vectors(path)
    assert not (tmp_path / "exploded").exists()


def test_every_byte_cut_off_is_noticed(tmp_path, vecs):
    save_vectors(tmp_path / "a.npz", vecs, ID_TO_WORD)
    content = (tmp_path / "a.npz").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match="load_vectors"):
            load_vectors(tmp_path / "cut")


@pytest.mark.parametrize("read", [load_vectors, read_word2vec])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        read(tmp_path / "none.npz")


# --- Writing -------------------------------------------------------------------------------------

WRITERS = {
    "save_vectors": save_vectors,
    "write_word2vec": write_word2vec,
    "write_projector": write_projector,
}
ONE = numpy.ones((2, 3), "f")
BAD_VECTORS = {
    "a word less": (ONE, {0: "a"}, "1 words do not fit 2 vectors"),
    "a gap in the ids": (ONE, {0: "a", 2: "b"}, "the 2 words need the ids 0 to 1"),
    "a word twice": (ONE, {0: "a", 1: "a"}, "the word 'a' is there twice"),
    "no word": (ONE, {0: "a", 1: 7}, "a word is a text, not 7"),
    "NaN": (ONE * numpy.nan, {0: "a", 1: "b"}, r"the vector of 'a' \(row 0\) holds NaN"),
    "infinity": (ONE / [1, 1, numpy.inf] * 1e300, {0: "a", 1: "b"}, "too large for float"),
    "one dimension": (ONE[0], {0: "a", 1: "b", 2: "c"}, r"not float32 \(3,\)"),
    "integers": (ONE.astype(int), {0: "a", 1: "b"}, r"not int64 \(2, 3\)"),
    "nothing": (ONE[:0], {}, r"not float32 \(0, 3\)"),
}


@pytest.mark.parametrize("case", BAD_VECTORS)
@pytest.mark.parametrize("name", WRITERS)
def test_what_does_not_fit_is_not_written(name, case, tmp_path):
    vecs, id_to_word, problem = BAD_VECTORS[case]
    path = tmp_path / "a"
    with pytest.raises(ValueError, match=rf"^{name}: .*a: .*{problem}"):
        WRITERS[name](path, vecs, id_to_word)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["new york", "", "a\n", "\ta", "a\rb", "\x0b"])
@pytest.mark.parametrize("name", ["write_word2vec", "write_projector"])
def test_words_that_would_break_a_line_are_not_written(name, word, tmp_path):
    with pytest.raises(ValueError, match=rf"^{name}: .*no white space here"):
        WRITERS[name](tmp_path / "a", ONE, {0: "a", 1: word})
    with pytest.raises(ValueError, match=rf"^{name}: .*surrogates not allowed"):
        WRITERS[name](tmp_path / "a", ONE, {0: "a", 1: "\ud800"})
    assert not list(tmp_path.iterdir())


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    save_vectors(tmp_path / "a", 7e4 * ONE, {0: "a", 1: "b"}, dtype="float32")
    with pytest.raises(ValueError, match="too large for float16"):
        save_vectors(tmp_path / "a", 7e4 * ONE, {0: "a", 1: "b"})
    with pytest.raises(ValueError, match="the dtype is float16 or float32, not int8"):
        save_vectors(tmp_path / "a", ONE, {0: "a", 1: "b"}, dtype="int8")
    assert load_vectors(tmp_path / "a")[0][0, 0] == 7e4


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_with_the_file_and_changes_nothing(name, tmp_path, monkeypatch, vecs):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    WRITERS[name](tmp_path / "a", vecs, ID_TO_WORD)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a"):
        WRITERS[name](tmp_path / "a", 2 * vecs, ID_TO_WORD)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_files_of_the_projector_appear_together(tmp_path, monkeypatch, vecs):
    def second_fails(descriptor, calls=[]):  # noqa: B006
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_projector(tmp_path, vecs, ID_TO_WORD)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(files.os, "fsync", second_fails)
    with pytest.raises(OSError, match=r"No space left on device: '.*metadata\.tsv'"):
        write_projector(tmp_path, vecs[:2], {0: "a", 1: "b"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("last", ["w0", "another"])
def test_a_word_twice_among_many_is_found_at_once(tmp_path, last):
    words = [f"w{k}" for k in range(400_000)]
    words[-1] = last
    ones = numpy.ones((len(words), 1), "float16")
    text = text_array(json.dumps(words))
    npz(tmp_path / "a", **{"word_vecs": ones, "vocabulary.json": text})
    if last == "another":
        assert len(load_vectors(tmp_path / "a")[0]) == len(words)
        return
    with pytest.raises(ValueError, match="'w0' is there twice"):
        load_vectors(tmp_path / "a")
    with pytest.raises(ValueError, match="'w0' is there twice"):
        save_vectors(tmp_path / "b", ones, dict(enumerate(words)))


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    vecs = numpy.array([[1.5, -2], [0.25, 3]])
    path = tmp_path / "a.npz"
    save_vectors(path, vecs, {0: "a", 1: "é"})
    for damaged in flipped(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            loaded = load_vectors(path)
        except ValueError as error:
            assert str(error).startswith("load_vectors: ")  # noqa: PT017
        else:
            assert_vectors(loaded, vecs, ["a", "é"])  # the bit was of a date, a version, ...


# --- word2vec and gensim -------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.usefixtures("backend")
def test_word2vec_files_come_back_bit_for_bit(tmp_path, vecs, binary):
    path = tmp_path / ("a.bin" if binary else "a.txt")
    write_word2vec(path, np.asarray(vecs), ID_TO_WORD, binary=binary)
    assert_vectors(read_word2vec(path, binary=binary), vecs)
    assert_vectors(load_vectors(path), vecs)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1),
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_any_words_and_numbers_survive(tmp_path_factory, table, binary):
    path = tmp_path_factory.mktemp("any") / "a"
    vecs = numpy.array(list(table.values()), "float32")
    write_word2vec(path, vecs, dict(enumerate(table)), binary=binary)
    assert_vectors(read_word2vec(path, binary=binary), vecs, list(table))


def test_the_formats_look_like_this(tmp_path):
    vecs = numpy.array([[0.1, -2.0], [1e-20, 3.5]], "float32")
    write_word2vec(tmp_path / "a.txt", vecs, {0: "a", 1: "é"})
    assert (tmp_path / "a.txt").read_bytes() == "2 2\na 0.1 -2.0\né 1e-20 3.5\n".encode()
    write_word2vec(tmp_path / "a.bin", vecs, {0: "a", 1: "é"}, binary=True)
    assert (tmp_path / "a.bin").read_bytes() == (
        b"2 2\na " + struct.pack("<2f", 0.1, -2) + b"\n\xc3\xa9 " + struct.pack("<2f", 1e-20, 3.5)
    ) + b"\n"
    write_projector(tmp_path / "projector", vecs, {0: "a", 1: "é"})
    assert (tmp_path / "projector" / "vectors.tsv").read_text() == "0.1\t-2.0\n1e-20\t3.5\n"
    assert (tmp_path / "projector" / "metadata.tsv").read_text("utf-8") == "a\né\n"


def test_files_of_other_programs_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"2 1\r\na 1 \r\nb -2e3 \r\n\r\n")  # spaces and an empty line
    assert_vectors(read_word2vec(tmp_path / "a"), [[1], [-2000]], ["a", "b"])
    (tmp_path / "a").write_bytes(b"2 1\na 1\nb 2")  # no newline at the end
    assert_vectors(read_word2vec(tmp_path / "a"), [[1], [2]], ["a", "b"])
    one, two = struct.pack("<f", 1), struct.pack("<f", 2)
    (tmp_path / "a").write_bytes(b"2 1\na " + one + b"b " + two)  # no newlines between vectors
    assert_vectors(read_word2vec(tmp_path / "a", binary=True), [[1], [2]], ["a", "b"])


def test_a_number_whose_bytes_look_like_text_is_no_separator(tmp_path):
    spaces, newlines = struct.unpack("<ff", b"    \n\n\n\n")
    vecs = numpy.array([[newlines, spaces], [spaces, newlines]], "float32")
    write_word2vec(tmp_path / "a", vecs, {0: "a", 1: "b"}, binary=True)
    assert_vectors(read_word2vec(tmp_path / "a", binary=True), vecs, ["a", "b"])


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_opens_what_we_write(gensim, tmp_path, vecs, binary):
    write_word2vec(tmp_path / "a", vecs, ID_TO_WORD, binary=binary)
    theirs = gensim.load_word2vec_format(str(tmp_path / "a"), binary=binary)
    assert theirs.index_to_key == WORDS
    assert_array_equal(theirs.vectors, vecs)


@pytest.mark.parametrize("binary", [False, True])
def test_we_open_what_gensim_writes(gensim, tmp_path, vecs, binary):
    theirs = gensim(5)
    theirs.add_vectors(WORDS, vecs)
    theirs.save_word2vec_format(str(tmp_path / "a"), binary=binary)
    assert_vectors(read_word2vec(tmp_path / "a", binary=binary), vecs)


BAD_TEXTS = {
    "no first line": (b"", r"line 1: b'' came, two counts"),
    "a table without sizes": (b"a 1 2\nb 3 4\n", r"line 1: b'a 1 2\\n' came, two counts"),
    "one size": (b"2\na 1\n", "line 1: .* two counts"),
    "no words": (b"0 2\n", "line 1: .* two counts above 0"),
    "a negative size": (b"-2 1\na 1\n", "line 1: .* two counts"),
    "an absurd size": (b"9999999999999 300\na 1\n", "line 1: .* need 6019999999999415 bytes"),
    "an endless first line": (b"1" * 200 + b" 1\n", "line 1: .* two counts"),
    "too few lines": (b"3 1\na 1.000000\nb 2\n", "line 4: the file ends, line 1 promises 3 words"),
    "too many lines": (b"1 1\na 1\nb 2\n", "line 3: the file goes on after the 1 words"),
    "a short line": (b"2 2\na 1 2\nb 1\n     ", "line 3: 1 numbers came after the word, 2 are"),
    "a long line": (b"2 1\na 1 2\nb 1\n", "line 2: 2 numbers came after the word, 1 are"),
    "an empty line": (b"2 1\na 1\n\nb 1\n", "line 3: 0 numbers"),
    "two spaces": (b"1 2\na  2\n", "line 2: 1 numbers came after the word, 2 are needed"),
    "no number": (b"1 2\na 1 x\n", "line 2: could not convert string to float: b'x'"),
    "an underscore": (b"1 1\na_b 1_0\n", "line 2: a number has digits and no underscores"),
    "NaN": (b"2 1\na 1\nb nan\n", "line 3: NaN, infinity"),
    "infinity": (b"1 1\na inf\n", "line 2: NaN, infinity"),
    "a huge number": (b"1 1\na 1e39\n", "line 2: .*too large for float32"),
    "no word": (b"1 1\n 1\n\n", "line 2: 0 numbers came after the word, 1 are needed"),
    "a word with a tab": (b"1 1\na\tb 1\n", "line 2: a word has letters and no white space"),
    "not UTF-8": (b"2 1\na 1\n\xff\xfe 2\n", r"line 3: the word b'\\xff\\xfe' is not UTF-8"),
}
F = struct.pack("<f", 1)
BAD_BINARIES = {
    "no first line": (b"\x00\x01\x02", "line 1: .* two counts"),
    "an absurd size": (b"9999999999999 300\na " + F, "line 1: .* need 12019999999998816 bytes"),
    "truncated in a number": (b"2 1\na " + F + b"\nbbb " + F[:2], "byte 11: the file ends inside"),
    "truncated in a word": (b"2 1\na " + F + b"\nbbbbbbbb", "byte 11: .* word 2 of 2"),
    "too many": (b"1 1\na " + F + b"\nb " + F, "byte 10: the file goes on"),
    "infinity": (b"1 1\na " + struct.pack("<f", numpy.inf), "byte 4: NaN, infinity"),
    "no word": (b"1 1\n " + F + b"\n", "byte 4: a word has letters"),
    "not UTF-8": (b"1 1\n\xff " + F, r"byte 4: the word b'\\xff' is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_texts_are_refused_by_line(case, tmp_path):
    content, problem = BAD_TEXTS[case]
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^read_word2vec: .*bad\.txt: {problem}"):
        read_word2vec(tmp_path / "bad.txt")


@pytest.mark.parametrize("case", BAD_BINARIES)
def test_bad_binaries_are_refused_by_byte(case, tmp_path):
    content, problem = BAD_BINARIES[case]
    (tmp_path / "bad.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^read_word2vec: .*bad\.bin: {problem}"):
        read_word2vec(tmp_path / "bad.bin", binary=True)


@pytest.mark.parametrize("binary", [False, True])
def test_every_byte_cut_off_of_a_word2vec_file_is_noticed(tmp_path, vecs, binary):
    write_word2vec(tmp_path / "a", vecs, ID_TO_WORD, binary=binary)
    content = (tmp_path / "a").read_bytes()
    last = content.rindex(b".") if not binary else len(content) - 1  # a shorter number is one still
    for length in range(last):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(ValueError, match="read_word2vec"):
            read_word2vec(tmp_path / "cut", binary=binary)


@pytest.mark.parametrize("binary", [False, True])
def test_a_first_line_that_lies_costs_no_memory(tmp_path, binary):
    (tmp_path / "a").write_bytes(b"1000000 1000\n" + b"a 1\n" * 1000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="the file has 4013"):
        read_word2vec(tmp_path / "a", binary=binary)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
