"""Chapter 7: language models as writers, the scripts that let them write, figures 7-2 to 7-4."""

import json
import pickle
import re

import matplotlib.pyplot as plt
import numpy
import pytest
from matplotlib.colors import to_rgba
from numpy.testing import assert_array_equal

from ch06 import eval as evaluation
from ch06 import train_better_rnnlm, train_rnnlm
from ch06 import trained as trained_models
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from ch07 import generate_better_text, generate_text, next_word_figure, rnnlm_gen
from ch07.rnnlm_gen import BetterRnnlmGen, GruRnnlmGen, RnnlmGen
from common import plots
from common.np import np, to_cpu
from dataset import texts
from tests.scripts import ROOT, assert_not_blank, copy_packages, run

CLASSES = {RnnlmGen: Rnnlm, BetterRnnlmGen: BetterRnnlm, GruRnnlmGen: GruRnnlm}
TINY = {"max_epoch": 1, "wordvec_size": 6, "hidden_size": 6, "corpus_size": 2000, "plot": False}
GRAMMAR = {"corpus": "grammar", "start": "the"}
V, H = 7, 4
both_backends = pytest.mark.usefixtures("backend")
every_model = pytest.mark.parametrize("model_class", CLASSES, ids=lambda c: c.__name__)


def writer(model_class=RnnlmGen):
    """A small model that expects some words much more than others, by all that it has read."""
    model, rng = model_class(V, H, H, rng=0), numpy.random.default_rng(24)
    for p in model.params:
        p[...] = np.asarray(2 * rng.standard_normal(p.shape).astype("f"))
    return model


def on_host(state):
    """The arrays of a state, in a row."""
    pairs = state if isinstance(state, list) else [state]
    return [None if a is None else to_cpu(a) for arrays in pairs for a in arrays]


def assert_same_state(one, other, equal=assert_array_equal):
    for a, b in zip(on_host(one), on_host(other), strict=True):
        equal(a, b)


def read(model, ids):
    """Let a model read a text word by word -> its scores (V,) for what comes next."""
    for id_ in ids:
        scores = to_cpu(model.predict(numpy.array([[id_]])))[0, 0]
    return scores


# --- A text --------------------------------------------------------------------------------------


@both_backends
@every_model
def test_a_text_has_the_size_asked_for_and_begins_with_its_start(model_class):
    model = writer(model_class)
    assert len(model.generate(3)) == 100
    for size in 1, 2, 30:
        text = model.generate(5, sample_size=size, rng=0)
        assert len(text) == size
        assert text[0] == 5
        assert all(type(id_) is int and 0 <= id_ < V for id_ in text)


@both_backends
@every_model
def test_greedy_takes_the_most_probable_word_each_time(model_class):
    model, expected = writer(model_class), [2]
    model.forward(numpy.array([[1, 2]]), numpy.array([[2, 3]]))  # with dropout, where there is one
    for how in {}, {"temperature": 5.0, "top_k": 4, "rng": 3}:
        model.reset_state()
        text = model.generate(2, sample_size=20, greedy=True, **how)
        model.reset_state()
        while len(expected) < 20:
            expected.append(int(read(model, expected[-1:]).argmax()))
        assert text == expected


def test_greedy_needs_no_random_numbers():
    numpy.random.seed(0)
    before = numpy.random.get_state()[2]
    writer().generate(0, greedy=True)
    assert numpy.random.get_state()[2] == before


@both_backends
def test_a_fresh_start_needs_reset_state():
    model = writer()
    first, second = (model.generate(2, sample_size=20, greedy=True) for _ in range(2))
    model.reset_state()
    assert model.generate(2, sample_size=20, greedy=True) == first != second


@both_backends
def test_the_state_has_read_all_but_the_last_word():
    model, other = writer(), writer()
    text = model.generate(1, sample_size=9, rng=0)
    read(other, text[:-1])
    assert_same_state(model.get_state(), other.get_state())


def test_generation_from_the_last_word_goes_on_with_the_text():
    whole = writer().generate(1, sample_size=50, rng=0)
    model, rng = writer(), numpy.random.default_rng(0)
    first = model.generate(1, sample_size=20, rng=rng)
    assert first + model.generate(first[-1], sample_size=31, rng=rng)[1:] == whole


def test_one_seed_is_one_text_and_the_global_seed_of_numpy_works_too():
    one, same, other = (writer().generate(0, rng=seed) for seed in (1, 1, 2))
    assert one == same != other
    drawn = []
    for _ in range(2):
        numpy.random.seed(5)
        drawn.append(writer().generate(0))
    assert drawn[0] == drawn[1]


# --- What is drawn -------------------------------------------------------------------------------


def probabilities(scores, skip_ids=(), temperature=1.0, top_k=V):
    """What each word should be drawn with, (V,)."""
    p = numpy.exp(scores.astype("float64"))
    p[list(skip_ids)] = 0
    p[numpy.argsort(p)[:-top_k]] = 0
    p **= 1 / temperature
    return p / p.sum()


@both_backends
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_k": 100},
        {"skip_ids": [0, 2]},
        {"skip_ids": {1}, "top_k": 2, "temperature": 0.7},
    ],
    ids=str,
)
def test_words_come_as_often_as_they_are_probable(how):
    model, N = writer(), 20000
    p = probabilities(read(model, [4]), **how)
    model.reset_state()
    drawn = [text[1] for text in model.generate(4, sample_size=2, batch_size=N, rng=0, **how)]
    found = numpy.bincount(drawn, minlength=V)
    assert_array_equal(found[p == 0], 0)
    found, expected = found[p > 0], N * p[p > 0]
    assert ((found - expected) ** 2 / expected).sum() < 22.5  # 1 in 1000 with six degrees


def test_a_low_temperature_and_one_word_to_draw_from_are_greedy():
    greedy = writer().generate(0, greedy=True)
    for how in {"temperature": 1e-3}, {"temperature": 1e-320}, {"top_k": 1}:
        assert writer().generate(0, rng=0, **how) == greedy


def test_of_equal_scores_the_first_ones_are_the_top_k():
    model = writer()
    for p in model.params[-2:]:
        p[...] = 0
    assert set(model.generate(6, rng=0)[1:]) == set(range(V))
    assert set(model.generate(6, rng=0, top_k=3)[1:]) == {0, 1, 2}
    assert set(model.generate(6, [0, 1], rng=0, top_k=3)[1:]) == {2, 3, 4}
    assert set(model.generate(6, top_k=1, rng=0)[1:]) == {0}


@both_backends
@pytest.mark.parametrize("how", [{"rng": 0}, {"greedy": True}])
def test_a_skipped_word_never_comes_and_moves_no_state(how, monkeypatch):
    model, other = writer(), writer()
    plain = writer().generate(3, sample_size=100, **how)
    skip_ids = sorted({*plain[1:]})[:2]
    steps = []
    predict = RnnlmGen.predict
    monkeypatch.setattr(RnnlmGen, "predict", lambda *args: steps.append(args) or predict(*args))
    text = model.generate(3, skip_ids, **how)
    assert len(steps) == 99
    assert not set(skip_ids) & set(text[1:])
    read(other, text[:-1])
    assert_same_state(model.get_state(), other.get_state())


def test_the_start_may_be_a_word_that_must_not_come():
    text = writer().generate(3, numpy.array([3, 3]), rng=0)
    assert text.index(3) == 0
    assert text.count(3) == 1


def test_the_last_word_left_is_taken():
    assert writer().generate(0, range(1, V), rng=0) == [0] * 100


@pytest.mark.parametrize(("u", "word"), [(0.0, 1), (0.5, 2), (1 - 2**-53, 2)])
def test_the_ends_of_the_random_numbers_belong_to_words_that_may_come(u, word):
    class Numbers:
        def random(self, shape):
            return numpy.full(shape, u)

    scores = numpy.array([[-numpy.inf, 0.3, 0.3, -numpy.inf]])
    assert rnnlm_gen.sample(scores, 1.0, None, Numbers()).tolist() == [word]


# --- Texts side by side --------------------------------------------------------------------------


@both_backends
@every_model
def test_texts_side_by_side_are_those_written_alone(model_class, monkeypatch):
    starts, N, T = [3, 0, 3], 3, 30
    u = numpy.random.default_rng(0).random((N, T))

    class Numbers:  # in place of a Generator: each text has its own numbers
        def __init__(self, rows):
            self.steps = iter(rows.T)

        def random(self, shape):
            return next(self.steps).reshape(shape)

    monkeypatch.setattr(rnnlm_gen, "generator", Numbers)
    for how in {}, {"skip_ids": [1], "temperature": 0.8, "top_k": 4}, {"greedy": True}:
        together = writer(model_class).generate(
            starts, sample_size=T, batch_size=N, rng=u, stop_id=5, **how
        )
        alone = [
            writer(model_class).generate(start, sample_size=T, rng=u[n : n + 1], stop_id=5, **how)
            for n, start in enumerate(starts)
        ]
        assert together == alone


def test_one_start_is_enough_for_all():
    one, each = (writer().generate(s, batch_size=4, rng=0) for s in (2, [2, 2, 2, 2]))
    assert one == each
    assert len({tuple(text) for text in one}) == 4
    assert writer().generate(2, batch_size=1, rng=0) == [writer().generate(2, rng=0)]


def test_a_text_ends_with_the_word_that_stops_it():
    plain = writer().generate(6, batch_size=50, rng=0)
    stopped = writer().generate(6, batch_size=50, stop_id=6, rng=0)
    for whole, text in zip(plain, stopped, strict=True):
        assert text == whole[: whole.index(6, 1) + 1]  # the start does not count
    assert len({len(text) for text in stopped}) > 5
    alone = writer().generate(6, stop_id=6, rng=1)
    assert [k for k, id_ in enumerate(alone) if id_ == 6] == [0, len(alone) - 1]


def test_nothing_is_read_after_the_last_text_has_stopped():
    model, other = writer(), writer()
    text = model.generate(0, stop_id=2, rng=0)
    assert 1 < len(text) < 100
    read(other, text[:-1])
    assert_same_state(model.get_state(), other.get_state())


# --- The state -----------------------------------------------------------------------------------


@both_backends
@every_model
def test_a_text_can_be_continued_twice_from_one_state(model_class):
    model, other = writer(model_class), writer(model_class)
    read(model, [1, 2, 3])
    state = model.get_state()
    first = model.generate(4, rng=0)
    model.set_state(state)
    other.set_state(state)
    assert model.generate(4, rng=0) == other.generate(4, rng=0) == first
    model.reset_state()
    assert model.generate(4, rng=0) != first


@both_backends
def test_a_state_has_a_pair_for_each_lstm_and_is_a_copy():
    one, better, gru = (writer(model_class) for model_class in CLASSES)
    assert one.get_state() == (None, None)
    assert better.get_state() == [(None, None)] * 2
    assert gru.get_state() == (None,)
    for model, arrays in (one, 2), (better, 4), (gru, 1):
        model.generate(0, sample_size=2, batch_size=3, greedy=True)
        state = model.get_state()
        flat = on_host(state)
        assert [a.shape for a in flat] == [(3, H)] * arrays
        before = [a.copy() for a in flat]
        for a in [state] if isinstance(state, tuple) else state:
            a[0][...] = 9
        assert_same_state(model.get_state(), tuple(before))
        model.set_state(state)
        for a in [state] if isinstance(state, tuple) else state:
            a[0][...] = 5
        assert float(on_host(model.get_state())[0].max()) == 9


def test_an_empty_state_is_a_fresh_start_and_an_empty_cell_may_be_left_out():
    model = writer()
    fresh = model.get_state()
    first = model.generate(1, greedy=True)
    model.set_state(fresh)
    assert model.generate(1, greedy=True) == first
    h, _ = model.get_state()
    model.set_state((h, None))
    other = writer()
    other.set_state((h, numpy.zeros((1, H))))
    assert model.generate(1, greedy=True) == other.generate(1, greedy=True)


@both_backends
def test_states_that_do_not_fit_are_refused_and_change_nothing():
    a, b, wide, flat = (np.zeros(shape, "f") for shape in ((2, H), (3, H), (2, H + 1), (H,)))
    bad = {
        RnnlmGen: [(a,), (a, a, a), (a, b), (a, wide), (wide, wide), (flat, flat), [(a, a)]],
        BetterRnnlmGen: [(a, a), [(a, a)], [(a, a)] * 3, [(a, a), (b, b)], [(a, a), (a, wide)]],
        GruRnnlmGen: [(a, a), a, (wide,), [(a,)]],
    }
    for model_class, states in bad.items():
        model = writer(model_class)
        model.generate(0, sample_size=3, batch_size=2, greedy=True)
        before = model.get_state()
        for state in states:
            with pytest.raises(ValueError, match=r"set_state: the arrays are \[.*must be \[\["):
                model.set_state(state)
            assert_same_state(model.get_state(), before)


# --- What is refused -----------------------------------------------------------------------------


@both_backends
@pytest.mark.parametrize(
    ("start", "how", "problem"),
    [
        (0, {"temperature": 0}, r"temperature must be above 0 and finite, not 0; .*greedy=True"),
        (0, {"temperature": -1.0}, "temperature must be above 0"),
        (0, {"temperature": float("nan")}, "temperature must be above 0 and finite, not nan"),
        (0, {"temperature": float("inf")}, "temperature must be above 0 and finite, not inf"),
        (0, {"temperature": 0, "greedy": True}, "temperature must be above 0"),
        (0, {"top_k": 0}, "top_k must be at least 1, not 0"),
        (0, {"sample_size": 0}, "sample_size must be at least 1, not 0"),
        (0, {"batch_size": 0}, "batch_size must be at least 1, not 0"),
        (0, {"skip_ids": [V]}, r"generate: skip_ids: id 7 is not in 0\.\.6"),
        (0, {"skip_ids": [-1]}, "generate: skip_ids: id -1"),
        (0, {"skip_ids": ["N"]}, "generate: skip_ids: ids must be integers"),
        (0, {"skip_ids": range(V)}, "skip_ids leave none of the 7 words"),
        (V, {}, r"generate: start_id: id 7 is not in 0\.\.6"),
        (-1, {}, "generate: start_id: id -1"),
        (1.0, {}, "generate: start_id: ids must be integers"),
        ([0], {}, r"start_id has shape \(1,\).*batch_size is None"),
        ([0, 1], {"batch_size": 3}, r"start_id has shape \(2,\).*batch_size is 3"),
        ([], {"batch_size": 1}, "generate: start_id"),
        (0, {"stop_id": V}, "generate: stop_id: id 7"),
        (0, {"batch_size": 3}, "the kept state is of batch size 1, this call needs 3; reset_state"),
        (0, {"batch_size": 3, "sample_size": 1}, "the kept state is of batch size 1"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_anything_moves(start, how, problem):
    model, rng = writer(BetterRnnlmGen), numpy.random.default_rng(0)
    read(model, [1])
    before = model.get_state()
    with pytest.raises(ValueError, match=problem):
        model.generate(start, **how, rng=rng)
    assert_same_state(model.get_state(), before)
    assert rng.random() == numpy.random.default_rng(0).random()


@pytest.mark.parametrize("name", ["sample_size", "top_k", "batch_size"])
def test_sizes_are_whole_numbers(name):
    with pytest.raises(TypeError, match="float"):
        writer().generate(0, **{name: 2.0})


def test_layers_that_have_read_different_numbers_of_texts_do_not_write():
    model = writer(BetterRnnlmGen)
    read(model, [1])
    model.recurrent_layers[1].set_state(*[numpy.zeros((2, H))] * 2)
    before = model.get_state()
    with pytest.raises(ValueError, match="of batch size 2, this call needs 1"):
        model.generate(0)
    assert_same_state(model.get_state(), before)


@pytest.mark.parametrize("greedy", [True, False])
def test_a_model_with_spoilt_weights_says_so(greedy):
    model = writer()
    model.params[-1][3] = numpy.nan
    with pytest.raises(ValueError, match="scores are not finite; check its weights"):
        model.generate(0, greedy=greedy)


# --- Weight files --------------------------------------------------------------------------------


@both_backends
@every_model
def test_weight_files_are_those_of_chapter_6(model_class, folder):
    plain = CLASSES[model_class](V, H, H, rng=5)
    plain.save_params()
    model = model_class(V, H, H, rng=0)
    model.load_params()
    for p, q in zip(model.params, plain.params, strict=True):
        assert_array_equal(to_cpu(p), to_cpu(q))
    model.params[0][...] = 1
    model.save_params()
    plain.load_params()
    assert to_cpu(plain.params[0] == 1).all()
    assert [p.name for p in folder.iterdir()] == [f"{CLASSES[model_class].__name__}.npz"]


def test_the_books_pickles_load_too(folder):
    plain = Rnnlm(V, H, H, rng=5)
    arrays = [p.astype("float16") for p in plain.params]
    (folder / "Rnnlm.pkl").write_bytes(pickle.dumps(arrays))
    for name in "Rnnlm.pkl", None:
        model = RnnlmGen(V, H, H, rng=0)
        model.load_params(name)
        for p, a in zip(model.params, arrays, strict=True):
            assert_array_equal(p, a.astype("float32"))


def test_weights_of_another_model_are_refused(folder):
    GruRnnlm(V, H, H).save_params("w.npz")
    with pytest.raises(ValueError, match=r"RnnlmGen\.load_params: w\.npz: .* weights of GruRnnlm"):
        RnnlmGen(V, H, H).load_params("w.npz")


def test_a_model_that_builds_on_a_writer_has_its_weights(folder):
    class Mine(RnnlmGen):
        pass

    Rnnlm(V, H, H).save_params()
    Mine(V, H, H).load_params()


def test_weights_that_were_trained_on_another_text_are_refused(here):
    vocab = texts.load_data("grammar", "train")[1]
    words = [*vocab]
    words[3], words[4] = words[4], words[3]
    other = {word: k for k, word in enumerate(words)}
    for model_class in CLASSES:
        model = model_class(len(vocab), 6, 6, rng=0)
        first = [to_cpu(p).copy() for p in model.params]
        with pytest.raises(
            ValueError, match=r"of corpus grammar: add `--corpus grammar`.* for a vocabulary"
        ):
            model.load_params(vocab=other)
        for p, a in zip(model.params, first, strict=True):
            assert_array_equal(to_cpu(p), a)
        model.load_params(vocab=vocab)


# --- Scripts -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with weights of tiny models that have read some of the grammar."""
    folder = tmp_path_factory.mktemp("trained")
    train_rnnlm.main(corpus="grammar", **TINY, weights=str(folder / "Rnnlm.npz"))
    train_rnnlm.main(corpus="grammar", **TINY, weights=str(folder / "GruRnnlm.npz"), model="gru")
    train_better_rnnlm.main(corpus="grammar", **TINY, weights=str(folder / "BetterRnnlm.npz"))
    return folder


@pytest.fixture
def here(trained, monkeypatch):
    """The folder with the weights is the current one."""
    monkeypatch.chdir(trained)


@pytest.fixture
def nothing_shipped(folder, monkeypatch):
    monkeypatch.setattr(trained_models, "SHIPPED", folder)
    return folder


def words(text):
    """The words that a script put together, with `<eos>` for a full stop at the end of a line."""
    return re.sub(r"\.(\n|$)", " <eos> ", text).split()


def test_words_are_joined_by_blanks_and_sentences_end_in_a_full_stop():
    assert generate_text.sentences(["you", "say", "goodbye"]) == "you say goodbye"
    two = ["you", "say", "goodbye", "<eos>", "i", "say", "hello", "<eos>"]
    assert generate_text.sentences(two) == "you say goodbye.\ni say hello."
    assert words(generate_text.sentences(two)) == two
    assert generate_text.sentences([*two, "no"]) == "you say goodbye.\ni say hello.\nno"
    assert generate_text.sentences(["<eos>", *two, "<eos>"]) == "you say goodbye.\ni say hello.\n."


def test_a_sentence_that_ends_in_a_mark_gets_no_full_stop():
    assert generate_text.sentences(["Who?", "<eos>", "I", "<eos>"]) == "Who?\nI."
    lower = ["who", ",", "me", "?", "<eos>", "i", "<eos>"]
    assert generate_text.sentences(lower, "lower") == "who, me?\ni"
    assert generate_text.sentences([*"月は。", "<eos>", *"海"], "characters") == "月は。\n海"


@pytest.mark.parametrize("model", ["rnnlm", "better", "gru"])
def test_the_script_prints_the_text_of_a_model(model, here, capsys):
    (text,) = generate_text.main(**GRAMMAR, model=model, seed=0)
    assert capsys.readouterr().out == text + "\n"
    net, word_to_id, id_to_word = generate_text.load(model, None, "grammar")
    ids = net.generate(word_to_id["the"], rng=0)
    assert words(text) == [id_to_word[id_] for id_ in ids]
    assert len(ids) == 100


def test_the_script_has_the_settings_of_generate(here, capsys):
    how = GRAMMAR | {"sample_size": 30, "stop": "<eos>", "batch_size": 3, "seed": 0}
    written = generate_text.main(**how, skip="dog <unk>", temperature=0.8, top_k=20)
    assert capsys.readouterr().out == f"\n{'-' * 50}\n".join(written) + "\n"
    net, word_to_id, id_to_word = generate_text.load("rnnlm", None, "grammar")
    expected = net.generate(
        *(word_to_id["the"], [word_to_id["dog"]], 30),
        stop_id=word_to_id["<eos>"],
        **{"batch_size": 3, "temperature": 0.8, "top_k": 20, "rng": 0},
    )
    assert [words(text) for text in written] == [[id_to_word[k] for k in ids] for ids in expected]
    one, other = (generate_text.main(**GRAMMAR, greedy=True, seed=seed) for seed in (0, 1))
    assert one == other


def test_without_a_seed_each_run_is_another_text(here):
    assert generate_text.main(**GRAMMAR) != generate_text.main(**GRAMMAR)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_prompt_is_read_before_the_text_and_stands_before_it(batch_size, here):
    net, word_to_id, id_to_word = generate_text.load("better", None, "grammar")
    net.generate(0, rng=0)  # something to be forgotten
    vocabulary, prompt = (word_to_id, id_to_word), "the dogs that see"
    written = generate_text.write(
        *(net, prompt, *vocabulary), batch_size=batch_size, sample_size=20, greedy=True
    )
    net.reset_state()
    *before, last = (word_to_id[word] for word in prompt.split())
    read(net, before)
    ids = before + net.generate(last, sample_size=20, greedy=True)
    assert [words(text) for text in written] == [[id_to_word[k] for k in ids]] * batch_size
    assert len(ids) == 23


def test_the_better_model_writes_from_a_word_and_from_a_prompt(here, capsys):
    first, second = generate_better_text.main(**GRAMMAR, prompt="every dog that a cat sees", seed=0)
    assert capsys.readouterr().out == f"{first}\n{'-' * 50}\n{second}\n"
    assert [len(words(text)) for text in (first, second)] == [100, 105]
    assert words(second)[:6] == ["every", "dog", "that", "a", "cat", "sees"]
    assert first == generate_text.main(**GRAMMAR, model="better", seed=0)[0]


def test_the_books_prompt_makes_a_text_of_104_words(folder, monkeypatch):
    vocabulary = ["you", *["the", "meaning", "of", "life", "is"], "<eos>"]
    vocabulary += [f"w{k}" for k in range(140 - len(vocabulary))]
    ids = {word: k for k, word in enumerate(vocabulary)}
    monkeypatch.setattr(texts, "load_data", lambda *_: ([], ids, dict(enumerate(ids))))
    BetterRnnlm(140, 6, 6, rng=0).save_params(vocab=ids)
    you, meaning = generate_better_text.main(weights="BetterRnnlm.npz", seed=0)
    assert (len(words(you)), len(words(meaning))) == (100, 104)
    assert words(you)[0] == "you"
    assert meaning.startswith("the meaning of life is ")


@pytest.mark.parametrize(
    ("script", "how", "command"),
    [
        (generate_text, {}, "Rnnlm.npz here; python -m ch06.train_rnnlm trains"),
        (generate_better_text, {}, "BetterRnnlm.npz here; python -m ch06.train_better_rnnlm"),
        (generate_text, {"model": "gru"}, "GruRnnlm.npz here; python -m .*train_rnnlm --model gru"),
        (generate_text, {"corpus": "grammar"}, "train_rnnlm --corpus grammar trains one"),
    ],
    ids=str,
)
def test_without_weights_the_script_that_trains_them_is_named(
    script, how, command, nothing_shipped
):
    with pytest.raises(FileNotFoundError, match=command):
        script.main(**how)


def test_shipped_weights_are_for_penn_treebank_only(folder):
    with pytest.raises(FileNotFoundError, match=r"there is no Rnnlm\.npz here"):
        generate_text.main(corpus="grammar")


def test_bad_flags_are_refused(here):
    for how, error, problem in [
        ({"model": "lstm"}, ValueError, "model is one of rnnlm, better, gru, awd, not 'lstm'"),
        ({"start": "the xylophone"}, KeyError, "not in the vocabulary.*: xylophone"),
        ({"start": " "}, ValueError, "needs a word to start from"),
        ({"stop": "nowhere"}, KeyError, "not in the vocabulary.*: nowhere"),
        ({"temperature": 0.0}, ValueError, "greedy=True"),
        ({"weights": "nothing.npz"}, FileNotFoundError, "no weight file nothing.npz"),
    ]:
        with pytest.raises(error, match=problem):
            generate_text.main(**GRAMMAR | how)


@pytest.mark.parametrize("how", [["-m", "ch07.generate_text"], ["generate_text.py"]])
def test_the_script_runs_as_a_module_and_from_its_folder(how, trained):
    flags = ["--corpus=grammar", "--start=every dog", "--sample-size=5", "--seed=0"]
    cwd = trained if how[0] == "-m" else ROOT / "ch07"
    weights = f"--weights={trained / 'Rnnlm.npz'}"
    out = run(*how, *flags, weights, cwd=cwd, installed=ROOT).stdout
    assert len(words(out)) == 6
    assert words(out)[:2] == ["every", "dog"]


def test_the_better_script_runs_too(trained):
    flags = ["--corpus=grammar", "--start=the", "--prompt=every dog", "--top-k=5"]
    lines = run("-m", "ch07.generate_better_text", *flags, cwd=trained, installed=ROOT).stdout
    first, second = lines.split(f"\n{'-' * 50}\n")
    assert words(first)[0] == "the"
    assert words(second)[:2] == ["every", "dog"]


@pytest.fixture
def no_corpus(monkeypatch):
    def load_data(*args):
        pytest.fail("a corpus was asked for")

    monkeypatch.setattr(evaluation.texts, "load_data", load_data)


@pytest.mark.usefixtures("folder", "no_corpus")
def test_the_shipped_weights_know_their_words_and_write_a_hundred_of_them():
    (text,) = generate_text.main(seed=0)
    written = words(text)
    _, word_to_id, _ = generate_text.load("rnnlm")
    assert len(word_to_id) == 10000
    assert len(written) == 100
    assert written[0] == "you"
    assert set(written) <= set(word_to_id) - {"N", "<unk>", "$"}
    assert len(set(written)) > 40
    assert written.count("<eos>") > 2


@pytest.mark.usefixtures("folder", "no_corpus")
def test_a_sentence_is_judged_by_the_words_that_the_shipped_weights_know():
    good, turned = "the company said it expects", "expects it said company the"
    assert evaluation.main(sentence=good) < 0.5 * evaluation.main(sentence=turned)


def test_weights_that_name_no_words_are_for_penn_treebank(folder, monkeypatch):
    Rnnlm(7, 2, 2, rng=0).save_params("nameless.npz")
    (folder / "old.pkl").write_bytes(pickle.dumps(Rnnlm(rng=0).params))
    asked = []
    monkeypatch.setattr(texts, "load_data", lambda *args: (asked.append(args), {}, {}))
    for file in "nameless.npz", "old.pkl":
        with pytest.raises(ValueError, match=f"load_model: {file}: "):  # for other sizes, here
            trained_models.load("rnnlm", file)
    assert asked == [("ptb", "train")] * 2


def test_a_damaged_weight_file_is_named(folder):
    (folder / "Rnnlm.npz").write_bytes(b"PK" + bytes(100))
    with pytest.raises(ValueError, match=r"load_model: Rnnlm\.npz: not a readable weight file"):
        generate_text.main()


OWN_WRITER = """
import sys
sys.path.append('..')
import numpy as np
from common.functions import softmax
from ch06.rnnlm import Rnnlm
from dataset import grammar


class RnnlmGen(Rnnlm):
    def generate(self, start_id, skip_ids=None, sample_size=100):
        text, last = [start_id], start_id
        while len(text) < sample_size:
            score = self.predict(np.array(last).reshape(1, 1))
            p = softmax(score.flatten())
            drawn = int(np.random.choice(len(p), size=1, p=p)[0])
            if skip_ids is None or drawn not in skip_ids:
                last = drawn
                text.append(last)
        return text


np.random.seed(4)
ids, word_to_id, id_to_word = grammar.load_data('train')
for name in sys.argv[1:]:
    net = RnnlmGen(len(word_to_id), 6, 6)
    net.load_params(name)
    skipped = [word_to_id[word] for word in ('dog', 'the')]
    text = net.generate(word_to_id['every'], skipped, 60)
    print(' '.join(id_to_word[k] for k in text))
    net.reset_state()
    print(net.predict(np.array([[1, 2]])).tolist())
"""


def test_a_writer_typed_in_the_books_way_writes(trained, tmp_path):
    place = copy_packages(tmp_path, "common", "dataset", "ch05", "ch06", "ch07") / "ch07"
    (place / "my_writer.py").write_text(OWN_WRITER)
    plain = Rnnlm(140, 6, 6)
    plain.load_params(trained / "Rnnlm.npz")
    plain.save_params(place.parent / "ch06" / "Rnnlm.npz")
    (place / "Rnnlm.pkl").write_bytes(pickle.dumps([p.astype("float16") for p in plain.params]))
    files = ["../ch06/Rnnlm.npz", "../ch06/Rnnlm.pkl", "Rnnlm.pkl"]
    lines = run("my_writer.py", *files, cwd=place).stdout.splitlines()
    for text in lines[::2]:
        assert text.startswith("every ")
        assert len(text.split()) == 60
        assert not {"dog", "the"} & set(text.split())
    expected = plain.predict(numpy.array([[1, 2]]))
    for scores, tolerance in zip(lines[1::2], [1e-6, 1e-6, 0.01], strict=True):
        numpy.testing.assert_allclose(json.loads(scores), expected, rtol=0, atol=tolerance)


# --- Figures -------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the figures that would be shown, by file name."""
    axes = {}

    def keep(name):
        axes[name] = plt.gca()

    monkeypatch.setattr(plots, "show", keep)
    yield axes
    plt.close("all")


def bars(axes):
    """The probabilities of a bar chart by word, and the words whose bar is red."""
    names = [label.get_text() for label in axes.get_xticklabels()]
    by_name = dict(zip(names, axes.patches, strict=True))
    red = [n for n, bar in by_name.items() if bar.get_facecolor() == to_rgba(plots.RED)]
    return {n: bar.get_height() for n, bar in by_name.items()}, red


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_show_the_next_word_after_i_and_after_i_say(seed, drawn):
    written = next_word_figure.main(seed=seed)
    two, three, four = drawn.values()
    assert list(drawn) == [
        "fig_7_2_next_word.png",
        "fig_7_3_word_drawn.png",
        "fig_7_4_second_word.png",
    ]
    (after_i, none), (again, first), (after_say, second) = map(bars, (two, three, four))
    assert list(after_i) == ["you", "say", "goodbye", "and", "i", "hello", "."]
    assert again == after_i
    for y in after_i, after_say:
        assert sum(y.values()) == pytest.approx(1, abs=1e-6)
    assert after_i["say"] > 0.9
    assert sorted(after_say, key=after_say.get)[-2:] == ["goodbye", "hello"]
    assert written == ["i", *first, *second]
    assert none == []
    assert [ax.get_title() for ax in (two, four)] == [
        'after "i"',
        f'after "i say", drawn: "{written[2]}"',
    ]


def test_the_figures_are_saved(folder, capsys):
    next_word_figure.main()
    out = capsys.readouterr().out.splitlines()
    files = [line.removeprefix("figure saved: ") for line in out]
    assert sorted(files) == sorted(path.name for path in folder.iterdir())
    for file in files:
        assert_not_blank(file)
