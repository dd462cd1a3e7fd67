"""Chapter 3: its worked examples and equations, both models, its scripts and figures."""

import functools
import math
import re

import matplotlib.pyplot as plt
import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch03 import cbow_predict, figures, simple_cbow, simple_skip_gram, train
from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from common import plots
from common.functions import softmax
from common.gradient_check import check_gradients
from common.gradients import remove_duplicate
from common.layers import MatMul, Softmax
from common.np import np, to_cpu, use
from common.optimizer import SGD, Adam
from common.rng import generator, randn
from common.trainer import Trainer
from common.util import convert_one_hot, create_contexts_target, preprocess
from tests import cupy_stand_in
from tests.scripts import ROOT, assert_not_blank, copy_packages, run, written

SCRIPTS = ["cbow_predict", "figures", "train"]
MODELS = [SimpleCBOW, SimpleSkipGram]

both = pytest.mark.usefixtures("backend")
each_model = pytest.mark.parametrize("cls", MODELS)

WORDS = ["you", "say", "goodbye", "and", "i", "hello", "."]
YOU, SAY, GOODBYE, AND, ME, HELLO, DOT = range(7)
CONTEXTS = numpy.array([[0, 2], [1, 3], [2, 4], [3, 1], [4, 5], [1, 6]])
TARGET = numpy.array([1, 2, 3, 4, 1, 5])


def pairs():
    """The six samples of the sentence: contexts (6, 2, 7) and target (6, 7)."""
    return convert_one_hot(CONTEXTS, 7), convert_one_hot(TARGET, 7)


def log_p(model, shown):
    """log softmax of the model's scores, by the definition, in float64 on the host."""
    s = to_cpu(model.predict(shown)).astype("float64")
    return s - numpy.log(numpy.exp(s).sum(axis=1, keepdims=True))


@pytest.fixture
def large(monkeypatch):
    """large(cls): a model made by its own constructor, in float64, with weights of size one."""
    for module in (simple_cbow, simple_skip_gram):
        monkeypatch.setattr(module, "randn", functools.partial(randn, dtype="float64"))

    def make(cls, V=7, H=3):
        model = cls(V, H, rng=0)
        for p, _ in zip(*remove_duplicate(model.params, model.grads), strict=True):
            p *= 100
        return model

    return make


# --- The book's worked examples and equations ----------------------------------------------------


@both
def test_a_one_hot_row_times_a_matrix_is_a_row_of_the_matrix(r):
    c, W = np.array([[1.0, 0, 0, 0, 0, 0, 0]]), r(7, 3)
    assert_array_equal(to_cpu(c @ W), to_cpu(W[0:1]))
    assert_array_equal(to_cpu(MatMul(W).forward(c)), to_cpu(W[0:1]))


def test_the_sentence_becomes_contexts_and_target():
    corpus, word_to_id, _ = preprocess(train.SENTENCE)
    assert list(word_to_id) == WORDS
    assert corpus.tolist() == [0, 1, 2, 3, 4, 1, 5, 6]
    contexts, target = create_contexts_target(corpus, window_size=1)
    assert_array_equal(contexts, CONTEXTS)
    assert_array_equal(target, TARGET)
    assert [a.shape for a in pairs()] == [(6, 2, 7), (6, 7)]


@both
def test_cbow_predict_prints_half_the_sum_of_two_rows_times_the_second_matrix(capsys):
    s = cbow_predict.main(seed=4)
    rng = generator(4)
    W_in, W_out = rng.standard_normal((7, 3)), rng.standard_normal((3, 7))
    assert s.shape == (1, 7)
    assert s.dtype == "float64"
    assert_allclose(to_cpu(s), (W_in[[YOU]] + W_in[[GOODBYE]]) / 2 @ W_out, rtol=1e-13)
    printed = capsys.readouterr().out
    assert_allclose([float(x) for x in re.findall(r"-?\d+\.\d+", printed)], to_cpu(s)[0], rtol=1e-6)


def test_word_vectors_are_rows_of_float32(capsys):
    model, _ = train.main(max_epoch=1, plot=False)
    printed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in printed] == WORDS
    assert model.word_vecs.shape == (7, 5)
    for line, vector in zip(printed, to_cpu(model.word_vecs), strict=True):
        assert vector.dtype == "float32"
        assert str(vector) in line


@both
def test_the_loss_of_cbow_is_the_mean_surprise_at_the_words_between(large):
    """(3.1) to (3.3)"""
    model, (contexts, target) = large(SimpleCBOW), pairs()
    W_in, W_out = (to_cpu(p) for p in model.params[1:])
    h = (W_in[CONTEXTS[:, 0]] + W_in[CONTEXTS[:, 1]]) / 2
    assert_allclose(to_cpu(model.predict(contexts)), h @ W_out, rtol=1e-13)
    surprises = -log_p(model, contexts)[numpy.arange(6), TARGET]
    assert_allclose(float(model.forward(contexts, target)), surprises.mean(), rtol=1e-12)
    one = float(model.forward(contexts[:1], target[:1]))  # (3.2), T = 1
    assert_allclose(one, surprises[0], rtol=1e-12)


@both
def test_the_loss_of_skip_gram_is_the_summed_surprise_at_both_neighbours(large):
    """(3.4) to (3.7): neighbours are independent, so their probabilities multiply."""
    model, (contexts, target) = large(SimpleSkipGram), pairs()
    W_in, W_out = (to_cpu(p) for p in model.params)
    assert_allclose(to_cpu(model.predict(target)), W_in[TARGET] @ W_out, rtol=1e-13)
    p = numpy.exp(log_p(model, target))
    before, after = (p[numpy.arange(6), CONTEXTS[:, k]] for k in (0, 1))
    loss = float(model.forward(contexts, target))
    assert_allclose(loss, -numpy.log(before * after).mean(), rtol=1e-12)
    assert_allclose(loss, -(numpy.log(before) + numpy.log(after)).mean(), rtol=1e-12)


@both
def test_softmax_and_cross_entropy_as_two_layers_are_the_one_layer(large):
    """Figures 3-13 and 3-14."""
    model, (contexts, target) = large(SimpleCBOW), pairs()
    loss = float(model.forward(contexts, target))
    first = Softmax()
    y = first.forward(model.predict(contexts))
    t = np.asarray(target, "float64")
    assert_allclose(loss, float(-(t * np.log(y)).sum() / 6), rtol=1e-12)
    ds = first.backward(-t / y / 6)  # cross-entropy alone: dL/dy = -t / y / N
    assert_allclose(to_cpu(model.loss_layer.backward()), to_cpu(ds), atol=1e-14)


# --- The models ----------------------------------------------------------------------------------


@both
@each_model
@pytest.mark.parametrize("ids", [False, True], ids=["one-hot", "ids"])
def test_gradients_agree_with_differences(cls, ids, large):
    contexts, target = pairs()
    errors = check_gradients(large(cls), contexts, TARGET if ids else target)
    assert len(errors) == 2  # the weights of CBOW's inputs are one array
    assert max(errors.values()) < 1e-6


@both
def test_gradients_are_the_formulas(large):
    model, (contexts, target) = large(SimpleCBOW), pairs()
    W_in, W_out = (to_cpu(p) for p in model.params[1:])
    h = (contexts[:, 0] + contexts[:, 1]) @ W_in / 2
    ds = (to_cpu(softmax(np.asarray(h @ W_out))) - target) / 6
    model.forward(contexts, target)
    assert model.backward() is None
    first, second, dW_out = (to_cpu(g) for g in model.grads)
    assert_allclose(dW_out, h.T @ ds, atol=1e-14)
    assert_allclose(first, contexts[:, 0].T @ (ds @ W_out.T / 2), atol=1e-14)
    assert_allclose(second, contexts[:, 1].T @ (ds @ W_out.T / 2), atol=1e-14)


@both
@each_model
def test_backward_twice_is_the_same_twice_scales_with_dout_and_keeps_the_arrays(cls, large):
    model = large(cls)
    listed = list(model.grads)
    model.forward(*pairs())
    found = []
    for dout in (1, 1, 3):
        assert model.backward(dout) is None
        found.append([to_cpu(g).copy() for g in listed])
    for once, again, thrice in zip(*found, strict=True):
        assert numpy.any(once)
        assert_array_equal(once, again)
        assert_allclose(3 * once, thrice, rtol=1e-12)
    assert all(g is kept for g, kept in zip(model.grads, listed, strict=True))


@both
def test_cbow_has_the_layers_and_lists_of_the_book():
    model = SimpleCBOW(7, 5, rng=0)
    W_in, again, W_out = model.params
    assert W_in is again is model.word_vecs
    assert model.in_layer0.params[0] is model.in_layer1.params[0] is W_in
    assert model.out_layer.params[0] is W_out
    assert [g.shape for g in model.grads] == [(7, 5), (7, 5), (5, 7)]
    assert len({id(g) for g in model.grads}) == 3


@both
def test_skip_gram_has_the_layers_and_lists_of_the_book():
    model = SimpleSkipGram(7, 5, rng=0)
    W_in, W_out = model.params
    assert W_in is model.word_vecs is model.in_layer.params[0]
    assert W_out is model.out_layer.params[0]
    assert [g.shape for g in model.grads] == [(7, 5), (5, 7)]
    assert model.loss_layer1 is not model.loss_layer2


@both
@each_model
def test_weights_are_small_float32_numbers_that_the_seed_decides(cls):
    model = cls(500, 40, rng=1)
    assert {str(p.dtype) for p in (*model.params, *model.grads)} == {"float32"}
    assert [float(p.std()) for p in model.params] == pytest.approx([0.01] * len(model.params), 0.02)
    assert_array_equal(to_cpu(cls(500, 40, rng=1).params[-1]), to_cpu(model.params[-1]))
    assert (cls(500, 40, rng=2).params[-1] != model.params[-1]).any()
    numpy.random.seed(5)
    by_global_seed = cls(7, 5)
    numpy.random.seed(5)
    assert_array_equal(to_cpu(cls(7, 5).word_vecs), to_cpu(by_global_seed.word_vecs))


@both
@each_model
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_float32_stays_float32_whatever_the_one_hots_are(cls, dtype):
    model = cls(7, 5, rng=0)
    contexts, target = (np.asarray(a.astype(dtype)) if dtype != "int32" else a for a in pairs())
    assert model.forward(contexts, target).dtype == "float32"
    shown = contexts if cls is SimpleCBOW else target
    assert model.predict(shown).dtype == "float32"
    assert model.out_layer.x.dtype == "float32"
    assert {str(layer.x.dtype) for layer in model.children.values() if layer.params} == {"float32"}


@both
@each_model
def test_ids_and_one_hot_targets_are_the_same(cls):
    model, (contexts, target) = cls(7, 5, rng=0), pairs()
    by_one_hot = float(model.forward(contexts, target))
    assert float(model.forward(contexts, TARGET)) == by_one_hot
    assert float(model.forward(contexts, np.asarray(target))) == by_one_hot


BAD = {
    "swapped": lambda c, t: (t, c),
    "contexts are ids": lambda c, t: (CONTEXTS, t),
    "four words in a context": lambda c, t: (numpy.tile(c, (1, 2, 1)), t),
    "contexts of another vocabulary": lambda c, t: (c[:, :, :6], t),
    "target of another vocabulary": lambda c, t: (c, t[:, :6]),
    "both of another vocabulary": lambda c, t: (c[:, :, :6], t[:, :6]),
    "fewer targets": lambda c, t: (c, t[:5]),
    "fewer ids": lambda c, t: (c, TARGET[:5]),
}


@both
@each_model
@pytest.mark.parametrize("problem", BAD)
def test_shapes_that_do_not_fit_are_refused_before_anything_changes(cls, problem):
    model = cls(7, 5, rng=0)
    loss = float(model.forward(*pairs()))
    model.backward()
    before = [to_cpu(a).copy() for a in (*model.params, *model.grads)]
    contexts, target = BAD[problem](*pairs())
    shapes = re.escape(f"not {contexts.shape} and {target.shape}")
    message = rf"{cls.__name__}: contexts must be one-hot \(N, 2, 7\) and target .*{shapes}"
    with pytest.raises(ValueError, match=message):
        model.forward(contexts, target)
    model.backward()  # still of the forward before
    for a, was in zip((*model.params, *model.grads), before, strict=True):
        assert_array_equal(to_cpu(a), was)
    if len(contexts) == len(target):
        with pytest.raises(ValueError, match=message):
            Trainer(model, Adam()).fit(contexts, target, batch_size=len(contexts), rng=0)
    assert float(model.forward(*pairs())) == loss


@each_model
@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (TARGET + 2, r"id 7 is not in 0\.\.6"),
        (TARGET - 2, "id -1 is not"),
        (TARGET / 1, "integers"),
    ],
)
def test_bad_ids_are_refused_at_the_door(cls, target, problem):
    model = cls(7, 5, rng=0)
    with pytest.raises(ValueError, match=f"{cls.__name__}: .*{problem}"):
        model.forward(pairs()[0], target)
    assert not any(hasattr(layer, "x") for layer in model.children.values())


def test_predict_refuses_other_shapes():
    contexts, target = pairs()
    for bad in (target, contexts[:, :1], contexts[:, :, :6]):
        with pytest.raises(ValueError, match=r"SimpleCBOW: contexts must be one-hot \(N, 2, 7\)"):
            SimpleCBOW(7, 5, rng=0).predict(bad)
    for bad in (contexts, target[:, :6]):
        with pytest.raises(ValueError, match=r"input must be \(N, 7\)"):
            SimpleSkipGram(7, 5, rng=0).predict(bad)


def test_the_trainer_updates_the_shared_weight_once_with_the_sum():
    model, (contexts, target) = SimpleCBOW(7, 5, rng=0), pairs()
    params, grads = remove_duplicate(model.params, model.grads)
    assert [p is q for p, q in zip(params, model.params[1:], strict=True)] == [True, True]
    assert len(grads) == 2
    before = model.word_vecs.copy()
    Trainer(model, SGD(0.5)).fit(contexts, target, 1, batch_size=6, eval_interval=None, rng=0)
    assert model.params[0] is model.params[1] is model.word_vecs
    first, second, _ = model.grads
    assert_allclose(model.word_vecs, before - 0.5 * (first + second), rtol=1e-6)


@each_model
def test_weights_are_saved_and_loaded_into_the_word_vectors(cls, tmp_path):
    model, other = cls(7, 5, rng=0), cls(7, 5, rng=1)
    model.save_params(tmp_path / "w.npz")
    vectors = other.word_vecs
    other.load_params(tmp_path / "w.npz")
    assert_array_equal(vectors, model.word_vecs)
    assert float(other.forward(*pairs())) == float(model.forward(*pairs()))


# --- Training ------------------------------------------------------------------------------------


def cosine(a, b):
    return float(a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b))


@pytest.mark.parametrize("seed", range(20))
def test_cbow_learns_the_sentence_with_the_books_settings(seed, capsys):
    model, losses = train.main(seed=seed, plot=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(losses) == 1000
    assert len(lines) == 100 + 7
    assert re.fullmatch(r"\| epoch 991 \|  iter 1 / 2 \| time \d+\[s\] \| loss \d\.\d\d", lines[99])
    assert losses[0] == pytest.approx(math.log(7), abs=1e-3)
    assert 0.231 < numpy.mean(losses[-50:]) < 1.0
    v = model.word_vecs
    assert cosine(v[GOODBYE], v[ME]) > 0.999
    assert cosine(v[YOU], v[HELLO]) > 0.999


@pytest.mark.parametrize("seed", range(20))
def test_skip_gram_learns_the_sentence_with_the_books_settings(seed):
    model, losses = train.main("skipgram", seed=seed, plot=False)
    assert len(losses) == 1000
    assert losses[0] == pytest.approx(2 * math.log(7), abs=1e-3)
    assert 1.848 < numpy.mean(losses[-50:]) < 2.3
    v = model.word_vecs
    assert cosine(v[GOODBYE], v[ME]) > 0.999
    # "you" and "." are never between two words, so their vectors have learned nothing.
    assert_array_equal(v[[YOU, DOT]], SimpleSkipGram(7, 5, rng=seed).word_vecs[[YOU, DOT]])


@pytest.mark.parametrize(
    ("cls", "lowest"),
    [
        # (say, and) and (and, say) look alike, but one word of two is right: ln 2, twice in six.
        (SimpleCBOW, 2 * math.log(2) / 6),
        # Beside say: you, goodbye, i, hello, so 4 * ln 4; 2 * ln 2 for each of the other four.
        (SimpleSkipGram, 16 * math.log(2) / 6),
    ],
)
def test_the_loss_comes_down_to_the_least_possible_but_not_below(cls, lowest):
    model, (contexts, target) = cls(7, 5, rng=0), pairs()
    trainer = Trainer(model, Adam(0.02))
    trainer.fit(contexts, target, 1500, batch_size=6, eval_interval=None, rng=0)
    assert lowest - 1e-6 < float(model.forward(contexts, target)) < lowest + 2e-3


def test_both_libraries_train_alike():
    vectors = {cls: [] for cls in MODELS}
    with cupy_stand_in.install():
        for name in "cupy", "numpy":  # numpy last, as the other tests expect it
            use(name)
            for cls in MODELS:
                model = cls(7, 5, rng=0)
                trainer = Trainer(model, Adam())
                trainer.fit(*pairs(), 50, batch_size=3, eval_interval=None, rng=0)
                assert isinstance(model.word_vecs, np.ndarray)
                vectors[cls].append(to_cpu(model.word_vecs))
    for pair in vectors.values():
        assert_allclose(*pair, atol=1e-5)


@each_model
def test_a_training_step_on_a_gpu_waits_for_nothing(cls):
    with cupy_stand_in.install():
        use("cupy")
        try:
            model, optimizer = cls(7, 5, rng=0), Adam()
            with cupy_stand_in.forbid_transfers():
                for _ in range(3):
                    model.forward(*pairs())
                    model.backward()
                    optimizer.update(*remove_duplicate(model.params, model.grads))
        finally:
            use("numpy")


@pytest.mark.parametrize("name", ["CBOW", "skip-gram", ""])
def test_a_model_that_is_none_is_refused(name, capsys):
    with pytest.raises(ValueError, match=f"model is one of cbow, skipgram, not {name!r}"):
        train.main(name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"text": "You say"}, "window_size 1 does not fit a text of 2 words"),
        ({"text": " "}, "there is no word"),
        ({"batch_size": 7}, "a batch of 7 needs more than the 6 samples"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"max_epoch": 0}, "max_epoch must be at least 1, not 0"),
    ],
)
def test_bad_settings_are_refused(settings, problem):
    with pytest.raises(ValueError, match=problem):
        train.main(**settings)


def test_a_longer_text_is_reported_once_an_epoch_too():
    _, losses = train.main(text="a b c d e f g. " * 20, batch_size=2, max_epoch=3, plot=False)
    assert len(losses) == 3


# --- Figures and scripts -------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the figures that a script would show, by file name."""
    axes = {}

    def keep(name):
        axes[name] = plt.gcf().axes

    monkeypatch.setattr(plots, "show", keep)
    yield axes
    plt.close("all")


@both
def test_scripts_save_their_figures(folder, capsys):
    train.main(max_epoch=3)
    figures.main(max_epoch=3, folder=".")
    names = ["fig_3_12_activations.png", "fig_3_21_loss.png", "fig_3_8_matmul.png"]
    assert sorted(p.name for p in folder.iterdir()) == names
    printed = capsys.readouterr().out
    for name in names:
        assert_not_blank(name)
        assert f"figure saved: {name}\n" in printed


def test_no_plot_means_no_file(folder):
    train.main(max_epoch=1, plot=False)
    assert list(folder.iterdir()) == []


def test_the_loss_curve_counts_epochs(drawn):
    _, losses = train.main(max_epoch=4)
    (axes,) = drawn["fig_3_21_loss.png"]
    x, y = axes.lines[0].get_data()
    assert x.tolist() == [1, 2, 3, 4]
    assert y.tolist() == losses
    assert axes.get_xlabel() == "epoch"


def numbers(axes):
    return [float(text.get_text()) for text in axes.texts]


def test_the_pictures_show_the_row_and_the_word_between(drawn):
    figures.main()
    c, W, h = drawn["fig_3_8_matmul.png"]
    assert numbers(c) == [1, 0, 0, 0, 0, 0, 0]
    assert numbers(h) == numbers(W)[:3]
    assert len(numbers(W)) == 21
    you, goodbye, hidden, scores, probabilities = drawn["fig_3_12_activations.png"]
    assert numbers(you).index(1) == YOU
    assert numbers(goodbye).index(1) == GOODBYE
    assert len(numbers(hidden)) == 5
    assert numpy.argmax(numbers(scores)) == numpy.argmax(numbers(probabilities)) == SAY
    assert [label.get_text() for label in scores.get_yticklabels()][SAY] == "say"
    assert scores.yaxis_inverted()


def test_the_tables_hold_words_ids_and_one_hot_vectors(drawn, capsys):
    figures.main(max_epoch=1)
    tables = capsys.readouterr().out.split("\n\n")
    assert tables[0].splitlines() == [train.SENTENCE, "[0 1 2 3 4 1 5 6]"]
    assert tables[1].splitlines()[1:] == [
        "you      0  [1 0 0 0 0 0 0]",
        "goodbye  2  [0 0 1 0 0 0 0]",
    ]
    words = [line.replace(",", "").split() for line in tables[2].splitlines()[1:]]
    assert words[0] == ["you", "goodbye", "say"]
    assert words[5] == ["say", ".", "hello"]
    ids = [[int(k) for k in re.findall(r"\d", line)] for line in tables[3].splitlines()[1:]]
    assert_array_equal(ids, numpy.column_stack([CONTEXTS, TARGET]))
    assert "contexts (6, 2, 7), target (6, 7)" in tables[4]
    bits = [[int(k) for k in re.findall(r"\d", line)] for line in tables[4].splitlines()[1:7]]
    contexts, target = pairs()
    assert_array_equal(bits, numpy.hstack([contexts.reshape(6, 14), target]))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages that chapter 3 needs, to be written into."""
    return copy_packages(tmp_path_factory.mktemp("checkout"), "ch03", "common", "dataset")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_run_as_a_module_and_from_inside_the_chapter(script, checkout):
    short = [] if script == "cbow_predict" else ["--max-epoch", "2"]
    inside = run(f"{script}.py", *short, cwd=checkout / "ch03", installed=checkout)
    as_module = run("-W", "error", "-m", f"ch03.{script}", *short, cwd=checkout)
    untimed = [re.sub(r"time \d+", "time 0", done.stdout) for done in (inside, as_module)]
    assert untimed[0] == untimed[1] != ""
    here, above = written(inside), written(as_module)
    assert [checkout / "ch03" / path.relative_to(checkout) for path in above] == here
    for path in [path for path in here + above if path.suffix == ".png"]:
        assert_not_blank(path)


def test_help_explains_the_flags_and_an_unknown_model_is_named(checkout):
    text = " ".join(run("-m", "ch03.train", "--help", cwd=checkout).stdout.split())
    for words in [
        "--model {cbow,skipgram} cbow or skipgram (default: cbow)",
        "numbers in a word vector (default: 5)",
        "(default: 1000)",
        "(default: 3)",
        "learning rate of Adam (default: 0.001)",
    ]:
        assert words in text
    done = run("-m", "ch03.train", "--model", "glove", cwd=checkout, status=2)
    assert "--model: it is one of cbow, skipgram, not 'glove'" in done.stderr


TYPED = """
import sys
sys.path.append('..')
import numpy as np
from common.trainer import Trainer
from common.optimizer import Adam
from simple_cbow import SimpleCBOW
from simple_skip_gram import SimpleSkipGram
from common.util import preprocess, create_contexts_target, convert_one_hot

np.random.seed(0)  # without it, a vector with an exponent may take two lines to print
corpus, word_to_id, id_to_word = preprocess('You say goodbye and I say hello.')
contexts, target = create_contexts_target(corpus, 1)
size = len(word_to_id)
target = convert_one_hot(target, size)
contexts = convert_one_hot(contexts, size)
for make in SimpleCBOW, SimpleSkipGram:
    model = make(size, 5)
    trainer = Trainer(model, Adam())
    trainer.fit(contexts, target, 200, 3)
    trainer.plot()
    for k, word in id_to_word.items():
        print(word, model.word_vecs[k].round(3))
    print(len(trainer.loss_list), trainer.loss_list[-1] < trainer.loss_list[0] - 0.2)
"""


def test_a_script_typed_in_the_books_way_learns(checkout):
    (checkout / "ch03" / "typed.py").write_text(TYPED)
    lines = run("-W", "error", "typed.py", cwd=checkout / "ch03").stdout.splitlines()
    assert len(lines) == 2 * (100 + 1 + 7 + 1)  # of 200 reports, a log has 100
    assert lines[108] == lines[-1] == "200 True"
    assert lines[101].startswith("you [")


@pytest.mark.parametrize("script", SCRIPTS)
def test_importing_a_script_prints_and_draws_nothing(script):
    code = f"import sys, ch03.{script}; print('matplotlib' in sys.modules)"
    assert run("-c", code, cwd=ROOT).stdout == "False\n"
