"""Pickles of the book are read; all others are refused, and change nothing."""

import codecs
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from numpy.testing import assert_array_equal

from common.storage.safe_pickle import DATA, read_pickle
from tests.fuzz import times
from tests.test_files import flipped
from tests.test_imports import ROOT

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
REFUSED = "^not a readable weight file "


@pytest.fixture
def read(tmp_path):
    """What a pickle of these bytes holds."""

    def read_bytes(content):
        (tmp_path / "a.pkl").write_bytes(content)
        return read_pickle(tmp_path / "a.pkl")

    return read_bytes


def assert_same(found, content):
    """Equal in values, types, dtypes and memory order; arrays can be written to."""
    assert type(found) is type(content)
    if isinstance(content, numpy.ndarray):
        assert found.dtype == content.dtype
        assert found.dtype.byteorder == content.dtype.byteorder
        assert found.flags.f_contiguous == content.flags.f_contiguous
        assert found.flags.writeable
        assert_array_equal(found, content)
    elif isinstance(content, list):
        assert len(found) == len(content)
        for a, b in zip(found, content, strict=True):
            assert_same(a, b)
    elif isinstance(content, dict):
        assert list(found) == list(content)
        for key in content:
            assert_same(found[key], content[key])
    else:
        assert found == content


# --- What is read --------------------------------------------------------------------------------

W = numpy.arange(6, dtype="f4").reshape(2, 3)
PLAIN = [
    None,
    True,
    [1, -2, 300, 70000, -(2**40), 2**70, -(2**2100)],
    [0.5, -1e300, float("inf")],
    ["", "a", "日本", "\n\\", "\ud800", "x" * 300],
    {"a": {1: "one"}, 2: [], "": {}},
    b"",
    b"abc",
    b"\xff" * 300,
]
HONEST = [
    *PLAIN,
    [W.astype(kind) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8")],
    [W.astype(kind) for kind in ("u1", "u2", "u4", "u8", "b1")],
    [W.astype(kind) for kind in (">f4", ">i8", ">u2")],
    [W.T, W[0], W[:1, :1], numpy.array(2.5), numpy.zeros((0, 3)), numpy.zeros((2, 0), "i1")],
    {"word_vecs": W, "word_to_id": {"a": 0, "b": 1}, "id_to_word": {0: "a", 1: "b"}},
    [W, W, [W]],  # one array, which is there several times
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("content", HONEST, ids=range(len(HONEST)))
def test_what_pickle_writes_is_read(read, content, protocol):
    assert_same(read(pickle.dumps(content, protocol)), content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_of_numpy_1_are_read(read, protocol):
    content = pickle.dumps([W, W.T], protocol)
    for module in (b"multiarray", b"numeric"):
        for length in (b"", b"\x8c"):  # protocol 4 writes the length of a text before it
            new, old = b"numpy._core." + module, b"numpy.core." + module
            if length:
                new, old = length + bytes([len(new)]) + new, length + bytes([len(old)]) + old
                content = _without_frame(content.replace(new, old))
            elif protocol < 4:
                content = content.replace(new, old)
    assert b"numpy.core" in content
    assert_same(read(content), [W, W.T])


def _without_frame(content):
    """A frame only says how much may be read at once, and its length is another one now."""
    return content[:2] + content[11:] if content[2:3] == b"\x95" else content


def test_old_numpy_wrote_the_flags_of_a_dtype_as_numbers(read):
    content = pickle.dumps(W, 2)
    assert b"\x89\x88\x87" in content
    assert_same(read(content.replace(b"\x89\x88\x87", b"K\0K\1\x87")), W)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_array_with_axes_in_another_order_is_read(read, protocol):
    a = numpy.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)
    found = read(pickle.dumps(a, protocol))
    assert_array_equal(found, a)
    assert found.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_of_numpy_become_pythons(read, protocol):
    scalars = [numpy.int64(-3), numpy.uint8(200), numpy.float32(0.5), numpy.bool_(True)]
    texts = {numpy.str_("日本"): numpy.int64(1), numpy.str_(""): numpy.str_("\ud800")}
    keys = {numpy.int64(7): numpy.float16(2)}
    found = read(pickle.dumps([scalars, texts, keys], protocol))
    assert_same(found, [[-3, 200, 0.5, True], {"日本": 1, "": "\ud800"}, {7: 2.0}])


def test_the_error_names_the_kind_of_file_and_a_missing_one_is_missing(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^not a readable file of letters "):
        read_pickle(tmp_path / "a.pkl", "file of letters")
    with pytest.raises(FileNotFoundError, match=r"none\.pkl"):
        read_pickle(tmp_path / "none.pkl")


# --- What is refused -----------------------------------------------------------------------------


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


OBJECTS = b"cnumpy\ndtype\n(VO8\nI00\nI01\ntR(I3\nV|\nNNNI-1\nI-1\nI1\ntb"
FLOATS = OBJECTS.replace(b"O8", b"f4").replace(b"|", b"<").replace(b"I1\ntb", b"I0\ntb")
TEXT = b"c_codecs\nencode\n(VABCDEFGH\nVlatin1\ntR"
BEGIN = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt"
BEGIN += TEXT.replace(b"ABCDEFGH", b"b") + b"tR"


ENCODED = b"c_codecs\nencode\n(g0\nVlatin1\ntR"  # of the text that is number 0 of the memo


def array(dtype=FLOATS, shape=b"(I2\nt", data=TEXT, begin=BEGIN, version=b"I1\n"):
    """A list with an array, in protocol 0."""
    return b"(" + begin + b"(" + version + shape + dtype + b"I00\n" + data + b"tbl."


def test_the_array_that_hostile_pickles_change_is_read(read):
    assert_same(read(array()), [numpy.frombuffer(b"ABCDEFGH", "<f4").copy()])


DEEP = 300_000  # deeper than what fits on the stack of a process

HOSTILE = {
    "pointers as bytes": array(OBJECTS, b"(I1\nt"),
    "pointers as Python 2 wrote texts": (
        b"(cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nt"
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI1\ntbI00\nS'ABCDEFGH'\ntbl."
    ),
    "flags of an object": array(FLOATS.replace(b"I0\ntb", b"I1\ntb")),
    "fields": array(FLOATS.replace(b"NNN", b"N(Va\nt}Va\n(I0\nI0\ntsN")),
    "a subarray": array(FLOATS.replace(b"NNN", b"(" + FLOATS + b"(I2\nttNN")),
    "a dtype as bytes": array(FLOATS.replace(b"f4", b"V4")),
    "a dtype with another order": array(FLOATS.replace(b"<", b"|")),
    "a dtype by a name": array(FLOATS.replace(b"f4", b"float32")),
    "a dtype without a state": array(FLOATS[: FLOATS.index(b"(I3")]),
    "a dtype with two states": array(FLOATS + FLOATS[FLOATS.index(b"(I3") :]),
    "a long double": array(
        FLOATS.replace(b"f4", b"f16"), b"(I1\nt", TEXT.replace(b"GH", b"GH" * 5)
    ),
    "words": array(FLOATS.replace(b"f4", b"U1").replace(b"I-1\nI-1\nI0", b"I4\nI4\nI8")),
    "a word of 2 GB": array(
        FLOATS.replace(b"f4", b"U536870911").replace(b"I-1\nI-1\nI0", b"I2147483644\nI4\nI8")
    ),
    "an array without data": (b"(cnumpy\nndarray\n((I1000\nt" + FLOATS + b"tRl."),
    "an array that never gets data": b"(" + BEGIN + b"l.",
    "an array taken out too early": b"(" + BEGIN + b"p0\ng0\nl.",
    "too few bytes": array(shape=b"(I3\nt"),
    "too many bytes": array(shape=b"(I1\nt"),
    "a negative shape": array(shape=b"(I-1\nI-2\nt"),
    "a huge shape of nothing": array(shape=b"(I%d\nI0\nt" % 2**70, data=b"c__builtin__\nbytes\n)R"),
    "a billion empty rows": array(
        shape=b"(" + b"I1000\n" * 3 + b"I0\nt", data=b"c__builtin__\nbytes\n)R"
    ),
    "65 axes": array(shape=b"(" + b"I1\n" * 64 + b"I2\nt"),
    "a shape that is a list": array(shape=b"(I2\nl"),
    "a shape of texts": array(shape=b"(V2\nt"),
    "data that are a list": array(data=b"(I1\nI2\nl"),
    "data that are a text": array(data=b"VABCDEFGH\n"),
    "data that are an array": array(data=array()[1:-2]),
    "another class of array": array(begin=BEGIN.replace(b"numpy\nndarray", b"numpy\nmatrix")),
    "a memory map": array(begin=BEGIN.replace(b"numpy\nndarray", b"numpy\nmemmap")),
    "a begun array of a shape": array(begin=BEGIN.replace(b"(I0\n", b"(I9\n")),
    "another version": array(version=b"I2\n"),
    "defaults of a function": b"](cnumpy.core.numeric\n_frombuffer\n(N}V__defaults__\nNstb0.",
    "code of a function": b"](c_codecs\nencode\n(N}V__code__\nNstb0.",
    "attributes of a class": b"](cnumpy\nndarray\n(N}Vtolist\nNstb0.",
    "attributes of a dtype": b"(" + FLOATS + b"}Va\nI1\nsbl.",
    "another encoding": b"(c_codecs\nencode\n(Va\nVrot13\ntRl.",
    "a function as data": b"(c_codecs\nencode\nl.",
    "a call of a text": b"(Vnumpy\n(tRl.",
    "a name made of what is no text": b"\x80\x04]K\x01\x93.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tolist\x93.",
    "a memo index of nothing": b"h\x05.",
    "a text of 2 GB": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes of 2^63": b"\x80\x05\x8e" + b"\xff" * 7 + b"\x7fabc.",
    "a bytearray of 2^63": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7fabc.",
    "a frame beyond the file": b"\x80\x04\x95\xff\xff\xff\x7f\0\0\0\0]\x94.",
    "a negative length": b"\x80\x02T\xff\xff\xff\xffabc.",
    "a number of a million digits": b"L" + b"9" * 10**6 + b"L\n.",
    "deep tuples as a key": b"})" + b"\x85" * DEEP + b"I1\ns.",
    "deep tuples": b")" + b"\x85" * DEEP + b".",
    "tuples of tuples, twice each": b"})" + b"q\0h\0\x86" * 1000 + b"Ns.",
    "lists of one list": b"]q\0" + b"]q\1h\0ah\0a" * 10 + b".",
    "a list in itself": b"]q\0h\0a.",
    "a dictionary in itself": b"}q\0I1\nh\0s.",
    "a list as a key": b"}]I1\ns.",
    "an array as a key": b"}" + array()[1:-2] + b"I1\ns.",
    "keys of one hash": pickle.dumps({k * (2**61 - 1): None for k in range(1, 9)}),
    "an odd number of keys": b"}(I1\nu.",
    "one text encoded often": b"(V" + b"A" * 9000 + b"\np0\n" + ENCODED * 100 + b"l.",
    "one state for many arrays": (
        array(shape=b"(I2500\nt", data=b"B\x10\x27\0\0" + b"A" * 10**4)[:-4]
        + b"tp9\nb"
        + 100 * (BEGIN + b"g9\nb")
        + b"l."
    ),
    "no end": b"]",
    "two values": b"]].",
    "no value": b"\x80\x02.",
    "an open mark": b"](.",
    "more after the end": b"].]",
    "an empty stack": b"a.",
    "a mark that is missing": b"]e.",
    "an append to a text": b"Va\nI1\na.",
    "a tuple": b"(I1\nt.",
    "a set": pickle.dumps({1}),
    "a complex number": pickle.dumps(1j),
    "an extension": b"\x80\x02\x82\x01.",
    "an identity outside": b"Pa\n.",
    "a buffer outside": b"\x80\x05\x97.",
    "another protocol": b"\x80\x06N.",
    "an unknown operation": b"\xff.",
    "an object": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "an instance": b"(inumpy\nndarray\n.",
    "objects in an array": pickle.dumps([numpy.array([1, "a"], object)]),
    "dates": pickle.dumps(numpy.array(["2001-01-01"], "M8[D]")),
    "complex numbers": pickle.dumps(numpy.array([1j])),
    "a structure": pickle.dumps(numpy.zeros(2, "i4,f4")),
    "a call of open": pickle.dumps([Calls(open, "exploded", "w")]),
    "a call of eval": pickle.dumps([Calls(eval, "1")], 0),
    "a call of numpy.load": pickle.dumps([Calls(numpy.load, "exploded")]),
    "a call of numpy.frombuffer": pickle.dumps([Calls(numpy.frombuffer, b"abcd")]),
    "a random generator": pickle.dumps(numpy.random.default_rng(0)),
    "a file with a number": b"42",
    "nothing": b"",
}


@pytest.fixture(autouse=True)
def nothing_changes(tmp_path, monkeypatch):
    """After each test the process is as before, and pickles of arrays load."""
    monkeypatch.chdir(tmp_path)
    before = fingerprint()
    yield
    assert fingerprint() == before
    assert not Path("exploded").exists()
    assert_array_equal(pickle.loads(pickle.dumps(W, 5)), W)


def fingerprint():
    """The parts of the functions and classes in a pickle of arrays that could be set."""
    frombuffer = numpy._core.numeric._frombuffer
    reconstruct = numpy._core.multiarray._reconstruct
    named = numpy.ndarray, numpy.dtype, numpy._core.multiarray.scalar, codecs.encode, read_pickle
    parts = "__defaults__", "__kwdefaults__", "__code__", "__module__", "__name__"
    return [
        (id(thing), dict(getattr(thing, "__dict__", {})), *(getattr(thing, p, 0) for p in parts))
        for thing in (frombuffer, reconstruct, *named)
    ]


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused(case, read):
    with pytest.raises(ValueError, match=REFUSED):
        read(HOSTILE[case])
    assert_same(read(array()), [numpy.frombuffer(b"ABCDEFGH", "<f4").copy()])


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("pointers as bytes", "it holds object where an array of floats"),
        ("objects in an array", "it holds object where an array of floats"),
        ("dates", "it holds M8 where an array of floats"),
        ("words", "it holds <U1 where an array of floats"),
        ("a call of open", r"the pickle wants to call (_io|io)\.open"),
        ("a dotted name", r"the pickle wants to call numpy\.ndarray\.tolist"),
        ("too few bytes", r"8 bytes are no array of float32 \(3,\)"),
        ("an object", "refused: the operation NEWOBJ"),
        ("one state for many arrays", "the same bytes again and again"),
        ("one text encoded often", "the same bytes again and again"),
        ("a list in itself", "the memo has no text, tuple, or complete array 0"),
        ("more after the end", "it ends at byte 2 of 3, with values left"),
        ("a list as a key", "a key is a text or an integer"),
    ],
)
def test_an_error_says_what_is_wrong(case, problem, read):
    with pytest.raises(ValueError, match=rf"{REFUSED}\(.*{problem}"):
        read(HOSTILE[case])


STRANGE = {  # but harmless, and so not refused
    "a memo index of 2 GB": b"]r\x00\x00\x00\x08.",
    "deep lists": b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "deep lists by marks": b"(" * DEEP + b"l" * DEEP + b".",
}


def test_hostile_pickles_neither_end_a_process_nor_fill_its_memory(tmp_path):
    """Such a crash may come after a good error, when what was read is given free."""
    code = (
        "import gc, resource, sys; from pathlib import Path\n"
        "from tests.test_safe_pickle import HOSTILE, STRANGE, read_pickle\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for name, content in (HOSTILE | STRANGE).items():\n"
        "    Path(sys.argv[1]).write_bytes(content)\n"
        "    try: found = type(read_pickle(sys.argv[1]))\n"
        "    except ValueError as error: found = ValueError\n"
        "    assert found is (list if name in STRANGE else ValueError), name\n"
        "    gc.collect()\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    pytest.importorskip("resource", reason="memory is measured where POSIX tells it")
    args = [sys.executable, "-c", code, tmp_path / "a.pkl"]
    run = subprocess.run(args, cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout) < 300  # MB


# --- Damage by chance ----------------------------------------------------------------------------


def assert_data(found):
    """Only what a pickle may hold, and all of it can be used."""
    assert type(found) in DATA
    if isinstance(found, list | dict):
        for part in found.values() if isinstance(found, dict) else found:
            assert_data(part)
    elif isinstance(found, numpy.ndarray):
        assert found.dtype.kind in "fiub"
        assert found.nbytes <= 1000
        found.tolist()
        found[...] = 0


def assert_refused_or_data(read, content):
    try:
        found = read(content)
    except ValueError as error:
        assert str(error).startswith("not a readable weight file (")  # noqa: PT017
    else:
        assert_data(found)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_flipped_bit_is_refused_or_gives_data(read, protocol):
    """A pickle has no checksum: what is damaged inside its numbers cannot be told."""
    for content in flipped(pickle.dumps([W[:1], {"a": 0}], protocol)):
        assert_refused_or_data(read, content)


PLACES = [b"]%sa.", b"}Va\n%ss.", b"(I1\n%sl.", b"(%s%sl.", b"\x80\x04]%s\x94a.", b"(%s0l."]


@pytest.mark.parametrize("place", PLACES)
def test_hostile_parts_of_honest_pickles_are_refused_or_give_data(place, read):
    for content in HOSTILE.values():
        part = content.removesuffix(b".")
        if len(part) < 10_000:
            assert_refused_or_data(read, place.replace(b"%s", part))


def test_random_mutations_are_refused_or_give_data(read):
    rng = random.Random(0)
    seeds = [pickle.dumps(c, p) for c in ([W, W.T], HONEST[-2]) for p in PROTOCOLS]
    seeds += [content for content in HOSTILE.values() if len(content) < 1000]
    for _ in times(2000):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at, other = rng.randint(0, len(content)), rng.choice(seeds)
            start = rng.randint(0, len(other))
            piece = other[start : start + rng.randint(1, 40)]
            match rng.randrange(4):
                case 0:
                    content[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    del content[at : at + rng.randint(1, 9)]
                case 2:
                    content[at:at] = piece
                case 3:
                    content[at : at + len(piece)] = piece
        assert_refused_or_data(read, bytes(content))
