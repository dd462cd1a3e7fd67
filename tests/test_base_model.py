"""Weights on their way to files and back: whole, checked, never executed."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy
import pytest

from ch01.two_layer_net import TwoLayerNet
from ch03.glove import GloVe
from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from ch04.cbow import CBOW
from ch05.simple_rnnlm import SimpleRnnlm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.rnnlm_gen import RnnlmGen
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common.base_model import BaseModel, load_model
from common.gradients import owner
from common.network import walk
from common.np import np, to_cpu
from common.storage.files import write_whole
from common.time_layers import TimeBiLSTM

SIZES = 11, 3, 4  # V, D, H


def model(seed=0):
    return Rnnlm(*SIZES, rng=seed)


def values(m):
    return [to_cpu(p).copy() for p in m.params]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        numpy.testing.assert_array_equal(x, y)


class Tied(BaseModel):
    """A model whose second parameter is the first one transposed."""

    def __init__(self):
        W = np.ones((3, 2), dtype="f")
        self.params, self.grads = [W, W.T], [0, 0]


@pytest.mark.usefixtures("backend")
def test_loading_gives_back_what_was_saved(tmp_path):
    first, second = model(0), model(1)
    arrays = second.params[:]
    first.save_params(tmp_path / "w.npz")
    second.load_params(tmp_path / "w.npz")
    assert_same(values(first), values(second))
    assert all(p is a for p, a in zip(second.params, arrays, strict=True))
    xs = numpy.arange(6).reshape(2, 3)
    assert_same([to_cpu(first.predict(xs))], [to_cpu(second.predict(xs))])


def test_the_default_file_has_the_name_of_the_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model(0).save_params()
    second = model(1)
    second.load_params()
    assert (tmp_path / "Rnnlm.npz").exists()
    assert_same(values(second), values(model(0)))


def test_float16_halves_the_file_and_keeps_three_digits(tmp_path):
    first, second = Rnnlm(1000, 20, 20, rng=0), Rnnlm(1000, 20, 20, rng=1)
    first.save_params(tmp_path / "32.npz")
    first.save_params(tmp_path / "16.npz", dtype="float16")
    second.load_params(tmp_path / "16.npz")
    assert second.params[0].dtype == "float32"
    for a, b in zip(first.params, second.params, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    sizes = [(tmp_path / name).stat().st_size for name in ("16.npz", "32.npz")]
    assert sizes[0] < 0.55 * sizes[1]


def test_a_weight_file_says_what_it_is(tmp_path):
    model().save_params(tmp_path / "w.npz")
    with numpy.load(tmp_path / "w.npz", allow_pickle=False) as file:
        header = json.loads(file["header.json"].tobytes())
        names = [name for name in file.files if name != "header.json"]
    assert header["class"] == "Rnnlm"
    assert header["shapes"]["1.Wx"] == [3, 16]
    assert header["dlfs2"]
    assert names == [
        "0.W",
        "1.Wx",
        "1.Wh",
        "1.b",
        "2.W",
        "2.b",
    ]


def test_a_tie_survives_loading(tmp_path):
    m = Tied()
    m.params[0][...] = numpy.arange(6).reshape(3, 2)
    m.save_params(tmp_path / "w.npz")
    other = Tied()
    other.load_params(tmp_path / "w.npz")
    other.params[0][0, 1] = 99
    assert other.params[1][1, 0] == 99


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_old_pickled_weights_of_the_book_are_read(tmp_path, protocol):
    first, second = model(0), model(1)
    old = [p.astype("float16") for p in first.params]
    (tmp_path / "Rnnlm.pkl").write_bytes(pickle.dumps(old, protocol))
    second.load_params(tmp_path / "Rnnlm.pkl")
    assert_same(values(second), [a.astype("float32") for a in old])


def test_old_pickles_of_numpy_1_are_read(tmp_path):
    content = pickle.dumps([p.astype("float16") for p in model(0).params], 2)
    content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core" in content
    (tmp_path / "old.pkl").write_bytes(content)
    second = model(1)
    second.load_params(tmp_path / "old.pkl")
    numpy.testing.assert_allclose(second.params[0], model(0).params[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("saved", "asked"), [("w.npz", "w.pkl"), ("w.pkl", "w.npz")])
def test_a_script_may_ask_for_either_ending(tmp_path, saved, asked):
    model(0).save_params(tmp_path / saved)
    second = model(1)
    second.load_params(str(tmp_path / asked))
    assert_same(values(second), values(model(0)))


class Bomb:
    def __reduce__(self):
        return open, ("exploded", "w")


class Smuggler:
    def __reduce__(self):
        return numpy.load, ("exploded",)


def npz(path, change):
    """A weight file without a digest, whose arrays were changed by `change(arrays)`."""
    model(0).save_params(path)
    with numpy.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["header.json"].tobytes())
    del header["digest"]
    arrays["header.json"] = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)
    change(arrays)
    numpy.savez(path, **arrays)


def broken_header(arrays):
    arrays["header.json"] = numpy.frombuffer(b"{", numpy.uint8)


def another_shape(arrays):
    arrays["2.b"] = numpy.zeros(12)


def an_array_less(arrays):
    del arrays["2.b"]


def objects(arrays):
    arrays["2.b"] = numpy.array([{}] * 11, object)


def integers(arrays):
    arrays["2.b"] = numpy.zeros(11, int)


def another_class(path):
    class Other(Rnnlm):
        pass

    Other(*SIZES).save_params(path)


def altered(path):
    model(0).save_params(path)
    content = bytearray(path.read_bytes())
    content[content.index(model(0).params[0].tobytes()) + 1] ^= 0xFF
    path.write_bytes(content)


def truncated(path):
    model(0).save_params(path)
    path.write_bytes(path.read_bytes()[:-100])


BAD = {
    "another class": (another_class, "holds the weights of Other"),
    "another shape": (lambda p: npz(p, another_shape), "holds arrays of shapes"),
    "an array less": (lambda p: npz(p, an_array_less), "holds the arrays"),
    "integers": (lambda p: npz(p, integers), "holds int64 where an array of floats"),
    "objects": (lambda p: npz(p, objects), "not a readable weight file"),
    "a broken header": (lambda p: npz(p, broken_header), "not a readable weight file"),
    "no header": (lambda p: numpy.savez(p, a=numpy.zeros(2)), "not a readable weight file"),
    "truncated": (truncated, "not a readable weight file"),
    "altered": (altered, "not a readable weight file"),
    "empty": (lambda p: p.write_bytes(b""), "not a readable weight file"),
    "no weights at all": (lambda p: p.write_text("hello"), "not a readable weight file"),
    "a zip of something": (lambda p: zipfile.ZipFile(p, "w").close(), "not a readable weight file"),
    "a pickle that calls": (
        lambda p: p.write_bytes(pickle.dumps([Bomb()])),
        r"the pickle wants to call (_io|io)\.open",
    ),
    "a pickle that calls numpy": (
        lambda p: p.write_bytes(pickle.dumps([Smuggler()])),
        r"the pickle wants to call numpy\S*\.load",
    ),
    "a pickled dictionary": (lambda p: p.write_bytes(pickle.dumps({})), "holds a dict"),
    "a pickle of objects": (
        lambda p: p.write_bytes(pickle.dumps([numpy.array([1, "a"], object)] * 6)),
        "holds object where an array of floats",
    ),
    "a pickle of numbers": (lambda p: p.write_bytes(pickle.dumps([1.0])), "holds float where"),
    "a pickle of other sizes": (
        lambda p: p.write_bytes(pickle.dumps([numpy.zeros((2, 2), "e")])),
        "holds arrays of shapes",
    ),
    "a truncated pickle": (
        lambda p: p.write_bytes(pickle.dumps([numpy.zeros(99)])[:-50]),
        "not a readable weight file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_weight_files_are_refused_with_nothing_changed(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, problem = BAD[case]
    path = tmp_path / "bad.npz"
    make(path)
    m = model(1)
    with pytest.raises(ValueError, match=rf"Rnnlm\.load_params: .*bad\.npz: .*{problem}"):
        m.load_params(path)
    assert_same(values(m), values(model(1)))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("dtype", "problem"), [("int8", "must be float"), ("float16", "not finite")]
)
def test_weights_that_would_not_survive_are_not_saved(dtype, problem, tmp_path):
    m = model()
    m.params[0][0, 0] = 1e6
    with pytest.raises(ValueError, match=rf"Rnnlm\.save_params: .*{problem}"):
        m.save_params(tmp_path / "w.npz", dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"load_params: there is no weight file .*none\.npz"
    ):
        model().load_params(tmp_path / "none.npz")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "w"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_forward_and_backward_are_the_models_to_write():
    for method in "forward", "backward":
        with pytest.raises(NotImplementedError, match=f"BaseModel has no {method}"):
            getattr(BaseModel(), method)()


# --- The vocabulary in the file ------------------------------------------------------------------

VOCAB = {char: k for k, char in enumerate("badcfehgié_")}


def with_vocab(path, vocab=VOCAB):
    model(0).save_params(path, vocab=vocab)
    return path


def test_a_file_may_hold_the_vocabulary_in_the_order_of_its_ids(tmp_path):
    shuffled = dict(sorted(VOCAB.items()))
    for k, vocab in enumerate([VOCAB, shuffled]):
        with numpy.load(with_vocab(tmp_path / f"{k}.npz", vocab)) as file:
            assert json.loads(file["header.json"].tobytes())["vocab"] == list(VOCAB)
        m = model(1)
        m.load_params(tmp_path / f"{k}.npz", vocab=shuffled)
        assert_same(values(m), values(model(0)))


def test_a_vocabulary_is_compared_only_where_both_sides_have_one(tmp_path):
    with_vocab(tmp_path / "with.npz")
    model(0).save_params(tmp_path / "without.npz")
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(values(model(0))))
    for name, vocab in [("with.npz", None), ("without.npz", VOCAB), ("old.pkl", {"other": 0})]:
        m = model(1)
        m.load_params(tmp_path / name, vocab=vocab)
        assert_same(values(m), values(model(0)))


OTHER_VOCABULARIES = {
    "another order": (VOCAB | {"b": 1, "a": 0}, "'b' is 0, not 1"),
    "another character": (
        {"x" if c == "c" else c: k for c, k in VOCAB.items()},
        "'c' is 3, not None",
    ),
    "one less": (dict(list(VOCAB.items())[:-1]), "'_' is 10, not None"),
    "one more": (VOCAB | {"x": 11}, "of 11, not of 12"),
    "none at all": ({}, "'b' is 0, not None"),
}


@pytest.mark.parametrize("case", OTHER_VOCABULARIES)
def test_weights_for_another_vocabulary_are_refused_with_nothing_changed(case, tmp_path):
    path, m = with_vocab(tmp_path / "w.npz"), model(1)
    vocab, problem = OTHER_VOCABULARIES[case]
    with pytest.raises(
        ValueError, match=rf"load_params: .*w\.npz: is for a vocabulary .*{problem}"
    ):
        m.load_params(path, vocab=vocab)
    assert_same(values(m), values(model(1)))


def test_a_vocabulary_with_a_gap_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"ids of a vocabulary are 0\.\.1, each once"):
        model(0).save_params(tmp_path / "w.npz", vocab={"a": 0, "b": 2})
    assert not list(tmp_path.iterdir())


# --- Files that build their model ----------------------------------------------------------------


def small_models():
    yield TwoLayerNet(2, 4, 3, rng=0)
    yield SimpleCBOW(7, 3, rng=0)
    yield SimpleSkipGram(7, 3, rng=0)
    yield GloVe(7, 3, x_max=10, sparse=False, rng=0)
    yield SimpleRnnlm(11, 3, 4, rng=0)
    yield Rnnlm(*SIZES, rng=0)
    yield GruRnnlm(*SIZES, rng=0)
    yield BetterRnnlm(11, 4, 4, 0.3, num_layers=3, variational=True, rng=0)
    yield Seq2seq(11, 3, 4, cell="gru", pad_id=2, rng=0)
    yield PeekySeq2seq(11, 3, 4, pass_cell=True, rng=0)
    yield AttentionSeq2seq(11, 3, 4, bidirectional=True, rng=0)
    yield BiAttentionSeq2seq(11, 3, 4, pad_id=0, rng=0)


@pytest.mark.usefixtures("backend")
def test_a_file_builds_the_model_that_it_was_saved_from(tmp_path):
    for m in small_models():
        m.save_params(tmp_path / "w.npz", dtype="float64")
        other = load_model(tmp_path / "w.npz")
        assert (type(other), other.settings, other.vocab) == (type(m), m.settings, None)
        assert_same(values(m), values(other))


def test_a_file_keeps_the_vocabulary_of_a_model_that_was_loaded(tmp_path):
    with_vocab(tmp_path / "w.npz")
    first = load_model(tmp_path / "w.npz")
    assert first.vocab == VOCAB
    first.save_params(tmp_path / "again.npz")
    assert load_model(tmp_path / "again.npz").vocab == VOCAB


def test_a_model_that_needs_more_than_settings_is_given_it(tmp_path):
    corpus = numpy.arange(7)
    first = CBOW(7, 3, 2, corpus, sample_size=3, rng=0)
    first.save_params(tmp_path / "w.npz")
    other = load_model(tmp_path / "w.npz", corpus=corpus)
    assert other.ns_loss.sample_size == 3
    assert_same(values(first), values(other))
    with pytest.raises(ValueError, match=r"load_model: .*CBOW cannot be built of .*'corpus'"):
        load_model(tmp_path / "w.npz")


def test_a_derived_class_can_be_asked_for(tmp_path):
    model(0).save_params(tmp_path / "w.npz")
    writer = load_model(tmp_path / "w.npz", RnnlmGen)
    assert type(writer) is RnnlmGen
    assert len(writer.generate(3, sample_size=4, rng=0)) == 4
    with pytest.raises(ValueError, match="holds the weights of Rnnlm"):
        load_model(tmp_path / "w.npz", BetterRnnlm)


def test_a_pickle_of_the_book_builds_the_class_that_is_given(tmp_path):
    first = model(0)
    (tmp_path / "Rnnlm.pkl").write_bytes(pickle.dumps(first.params))
    sizes = {"vocab_size": 11, "wordvec_size": 3, "hidden_size": 4}
    assert_same(values(load_model(tmp_path / "Rnnlm.pkl", Rnnlm, **sizes)), values(first))
    with pytest.raises(ValueError, match="the file tells no class; give model_class"):
        load_model(tmp_path / "Rnnlm.pkl")


def as_version_0_1_0(m, path, **header):
    """A file as that version wrote it: names by place and class of the layers, no settings."""
    layers = [
        layer
        for path, layer in walk(m)
        if isinstance(layer, TimeBiLSTM) or (layer.params and not layer.children)
        if not path.endswith(("forward_lstm", "backward_lstm"))
    ]
    arrays, seen = {}, set()
    for k, layer in enumerate(layers):
        for i, p in enumerate(layer.params):
            if id(owner(p)) not in seen:
                seen.add(id(owner(p)))
                arrays[f"{k}.{type(layer).__name__}.{i}"] = numpy.asarray(p, "f")
    options = {name: m.settings[name] for name in m.fixed}
    header |= {"class": m.weights_class(), "options": options, "dlfs2": "0.1.0", "vocab": None}
    text = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)
    numpy.savez(path, **arrays, **{"header.json": text})


@pytest.mark.parametrize("m", [m for m in small_models() if "wordvec_size" in m.settings])
def test_files_of_the_version_before_build_their_models_too(m, tmp_path):
    as_version_0_1_0(m, tmp_path / "old.npz")
    other = load_model(tmp_path / "old.npz")
    assert type(other) is type(m)
    assert_same(values(m), values(other))
    again = type(m)(**m.settings)
    again.load_params(tmp_path / "old.npz")
    assert_same(values(m), values(again))


def test_shipped_files_build_their_models():
    root = Path(__file__).parent.parent
    for name, size in [("ch06/weights/Rnnlm", 10000), ("ch06/weights/BetterRnnlm", 10000)]:
        m = load_model(root / f"{name}.npz")
        assert (len(m.vocab), m.vocab_size) == (size, size)
    m = load_model(root / "ch08/weights/AttentionSeq2seq.npz")
    assert len(m.vocab) == m.decoder.vocab_size == 59


def test_a_class_that_is_not_known_here_is_named_with_those_that_are(tmp_path):
    def renamed(arrays):
        header = json.loads(arrays["header.json"].tobytes()) | {"class": "os.system"}
        arrays["header.json"] = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)

    npz(tmp_path / "w.npz", renamed)
    with pytest.raises(ValueError, match=r"w\.npz: .* os\.system, which is not known") as e:
        load_model(tmp_path / "w.npz")
    assert all(name in str(e.value) for name in ("AttentionSeq2seq", "CBOW", "TwoLayerNet"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"hidden_size": 5}, "holds arrays of shapes"),
        ({"hidden_size": -1}, "Rnnlm cannot be built of"),
        ({"hidden_size": "4"}, "Rnnlm cannot be built of"),
        ({"hidden_size": 10**12}, "Rnnlm cannot be built of"),
        ({"colour": 1}, "Rnnlm cannot be built of .*colour"),
        ({"vocab_size": None}, "Rnnlm cannot be built of"),
    ],
)
def test_settings_that_do_not_fit_the_arrays_are_refused(settings, problem, tmp_path):
    m = model(0)
    m.settings = m.settings | settings
    m.save_params(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=rf"load_model: .*w\.npz: {problem}"):
        load_model(tmp_path / "w.npz")


def test_a_vocabulary_that_does_not_fit_the_model_is_refused(tmp_path):
    model(0).save_params(tmp_path / "nameless.npz")
    with pytest.raises(ValueError, match=r"is for a vocabulary of 11, not of 3"):
        load_model(tmp_path / "nameless.npz", vocab={"a": 0, "b": 1, "c": 2})
    with_vocab(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"is for a vocabulary where 'b' is 0, not 1"):
        load_model(tmp_path / "w.npz", vocab=VOCAB | {"b": 1, "a": 0})


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, 1e300])
def test_weights_that_are_not_finite_are_refused_with_nothing_changed(value, tmp_path):
    def spoil(arrays):
        arrays["1.b"] = arrays["1.b"].astype("float64")
        arrays["1.b"][3] = value

    npz(tmp_path / "w.npz", spoil)
    m = model(1)
    with pytest.raises(ValueError, match="not finite as float32, in array 3"):
        m.load_params(tmp_path / "w.npz")
    assert_same(values(m), values(model(1)))


def test_a_model_typed_from_the_book_reads_our_files_and_writes_such(tmp_path):
    class Typed(BaseModel):
        def __init__(self):
            m = model(3)
            self.layers = m.layers
            self.params = [p for layer in self.layers for p in layer.params]
            self.grads = [g for layer in self.layers for g in layer.grads]

    Typed.__name__ = "Rnnlm"
    model(0).save_params(tmp_path / "ours.npz")
    typed = Typed()
    typed.load_params(tmp_path / "ours.npz")
    assert_same(values(typed), values(model(0)))
    typed.save_params(tmp_path / "theirs.npz")
    other = model(1)
    other.load_params(tmp_path / "theirs.npz")
    assert_same(values(other), values(model(0)))


def test_a_class_of_the_chapters_is_not_replaced_by_another_of_its_name(tmp_path):
    impostor = type("Rnnlm", (Rnnlm,), {})
    model(0).save_params(tmp_path / "w.npz")
    assert type(load_model(tmp_path / "w.npz")) is Rnnlm is not impostor


def test_a_class_that_is_no_text_is_refused(tmp_path):
    def listed(arrays):
        header = json.loads(arrays["header.json"].tobytes()) | {"class": ["x"]}
        arrays["header.json"] = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)

    npz(tmp_path / "w.npz", listed)
    with pytest.raises(ValueError, match=r"w\.npz: not a readable weight file \(its class\)"):
        load_model(tmp_path / "w.npz")
