"""Chapter 5: its worked numbers, its batches, SimpleRnnlm, its scripts and figures."""

import math
import re
import signal
import subprocess
import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch05 import figures, train, train_custom_loop
from ch05.simple_rnnlm import SimpleRnnlm
from common import plots
from common.functions import perplexity
from common.gradient_check import check_gradients
from common.np import np, to_cpu
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import texts
from tests.reference import enlarge
from tests.scripts import ROOT, assert_not_blank, copy_packages, run, written

SCRIPTS = ["figures", "train", "train_custom_loop"]
TINY = {"max_epoch": 2, "wordvec_size": 5, "hidden_size": 6, "corpus_size": 300, "plot": False}
both_backends = pytest.mark.usefixtures("backend")
both_scripts = pytest.mark.parametrize("script", [train, train_custom_loop], ids=SCRIPTS[1:])


def ids(*shape, V=7, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=shape)


# --- The book's worked numbers -------------------------------------------------------------------


@pytest.mark.parametrize(("p", "words"), [(0.8, 1.25), (0.2, 5.0), (1.0, 1.0)])
def test_perplexity_is_one_over_the_probability_of_the_right_word(p, words):
    assert perplexity(-math.log(p)) == pytest.approx(words, rel=1e-12)


@both_backends
def test_equal_scores_leave_all_words_possible():
    model = SimpleRnnlm(418, 5, 6, rng=0)
    model.params[4][...] = 0  # of the affine layer, whose bias is zero
    loss = float(model.forward(ids(2, 3, V=418), ids(2, 3, V=418)))
    assert perplexity(loss) == pytest.approx(418, rel=1e-5)


def test_two_rows_of_a_thousand_steps_start_at_0_and_500():
    trainer, text = RnnlmTrainer(None, None), numpy.arange(1001)
    for start in 0, 10, 20:
        xs, ts = trainer.get_batch(text[:-1], text[1:], 2, 10)
        assert_array_equal(xs, [range(start, start + 10), range(500 + start, 510 + start)])
        assert_array_equal(ts, xs + 1)


def test_a_text_of_a_thousand_words_has_one_pair_fewer_so_the_second_row_starts_at_499():
    trainer, text = RnnlmTrainer(None, None), numpy.arange(1000)
    xs, _ = trainer.get_batch(text[:-1], text[1:], 2, 10)
    assert xs[:, 0].tolist() == [0, 499]


@both_backends
def test_a_block_takes_over_the_state_that_the_one_before_left():
    model, xs = SimpleRnnlm(7, 3, 4, rng=0), ids(2, 30)
    whole = to_cpu(model.predict(xs))
    model.reset_state()
    blocks = [to_cpu(model.predict(xs[:, k : k + 10])) for k in (0, 10, 20)]  # over h9 and h19
    assert_allclose(numpy.concatenate(blocks, axis=1), whole, atol=1e-6)


# --- Batches -------------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """The batches that a script shows its model; the text is 0, 1, 2, ... 999."""
    batches = []

    class Watched(SimpleRnnlm):
        def forward(self, xs, ts):
            self.shown = xs.copy(), ts.copy()
            return super().forward(xs, ts)

        def backward(self):  # not of the ids at the ends of their range, which `fit` tries first
            batches.append(self.shown)
            super().backward()

    monkeypatch.setattr(texts, "load_text", lambda *_, **__: (numpy.arange(1000), {}, {}))
    for script in train, train_custom_loop:
        monkeypatch.setattr(script, "SimpleRnnlm", Watched)
    return batches


@both_scripts
def test_ten_rows_read_on_from_their_offsets_and_wrap(script, seen, folder):
    script.main(max_epoch=2, wordvec_size=5, hidden_size=5, plot=False)
    xs = numpy.stack([x for x, _ in seen])
    assert xs.shape == (2 * 19, 10, 5)  # 999 // (10 * 5) = 19 iterations an epoch
    assert xs[0, :, 0].tolist() == [0, 99, 198, 297, 396, 495, 594, 693, 792, 891]
    # Counter 108 is iteration 3 of epoch 2: (19 + 3 - 1) * 5 = 105 and three more steps.
    assert xs[20, 9].tolist() == [991, 992, 993, 994, 995]
    assert xs[21, 9].tolist() == [996, 997, 998, 0, 1]
    rows = xs.transpose(1, 0, 2).reshape(10, -1)
    assert_array_equal(rows, (rows[:, :1] + numpy.arange(190)) % 999)
    for x, t in seen:
        assert_array_equal(t, x + 1)


def test_loop_and_trainer_show_the_same_batches_and_end_with_the_same_weights(seen, folder):
    how = {"max_epoch": 12, "wordvec_size": 5, "hidden_size": 6, "batch_size": 7, "plot": False}
    by_hand, _ = train_custom_loop.main(**how)
    by_trainer, _ = train.main(**how)
    half = len(seen) // 2
    for one, other in zip(seen[:half], seen[half:], strict=True):
        assert_array_equal(one, other)
    for p, q in zip(by_hand.params, by_trainer.params, strict=True):
        assert_array_equal(p, q)


def test_the_loop_forgets_nothing_between_epochs(folder, monkeypatch):
    monkeypatch.setattr(SimpleRnnlm, "reset_state", lambda _: pytest.fail("state was reset"))
    train_custom_loop.main("grammar", **TINY)
    train.main(corpus="grammar", **TINY)


# --- SimpleRnnlm ---------------------------------------------------------------------------------


@both_backends
@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_of_the_model_agree_with_differences(sparse):
    model = SimpleRnnlm(7, 3, 4, sparse=sparse, rng=0)
    enlarge(model)
    h = np.asarray(numpy.random.default_rng(1).standard_normal((2, 4)))
    errors = check_gradients(
        model, ids(2, 3), ids(2, 3, seed=1), before=lambda: model.rnn_layer.set_state(h)
    )
    assert set(errors) == {f"params[{k}]" for k in range(6)}
    assert max(errors.values()) < 1e-6


@both_backends
def test_the_model_has_the_sizes_and_scales_of_the_book():
    model = SimpleRnnlm(418, 100, 80, rng=0)
    shapes = [(418, 100), (100, 80), (80, 80), (80,), (80, 418), (418,)]
    assert [p.shape for p in model.params] == shapes
    assert [g.shape for g in model.grads] == shapes
    assert {str(p.dtype) for p in model.params} == {"float32"}
    scales = [float(p.std()) for p in model.params]
    assert scales == pytest.approx([0.01, 100**-0.5, 80**-0.5, 0, 80**-0.5, 0], rel=0.03)
    assert abs(float(model.params[2].mean())) < 0.005


def test_weights_are_drawn_in_order_and_one_seed_is_one_model():
    embed, Wx, Wh, _, affine, _ = SimpleRnnlm(7, 3, 4, rng=5).params
    drawn = numpy.random.default_rng(5)
    for p, scale in (embed, 0.01), (Wx, 3**-0.5), (Wh, 0.5), (affine, 0.5):
        assert_allclose(to_cpu(p), scale * drawn.standard_normal(p.shape), rtol=1e-6)
    numpy.random.seed(5)
    one = SimpleRnnlm(7, 3, 4)
    numpy.random.seed(5)
    for p, q in zip(one.params, SimpleRnnlm(7, 3, 4).params, strict=True):
        assert_array_equal(to_cpu(p), to_cpu(q))


@both_backends
def test_a_fresh_model_knows_nothing():
    model = SimpleRnnlm(418, 100, 100, rng=0)
    loss = float(model.forward(ids(10, 5, V=418), ids(10, 5, V=418, seed=1)))
    assert perplexity(loss) == pytest.approx(418, rel=0.03)


@both_backends
def test_a_state_of_another_batch_size_is_refused_until_it_is_reset():
    model = SimpleRnnlm(7, 3, 4, rng=0)
    for N, other in (2, 3), (1, 2):  # one row would broadcast to two
        model.reset_state()
        model.forward(ids(N, 5), ids(N, 5))
        kept = model.rnn_layer.h
        with pytest.raises(ValueError, match=rf"TimeRNN: the kept h is \({N}, 4\).*\({other}, 4\)"):
            model.forward(ids(other, 5), ids(other, 5))
        numpy.testing.assert_array_equal(to_cpu(model.rnn_layer.h), to_cpu(kept))
    model.reset_state()
    model.forward(ids(3, 5), ids(3, 5))


# --- Training ------------------------------------------------------------------------------------


@pytest.mark.ptb
@pytest.mark.parametrize("seed", range(5))
def test_the_books_settings_learn_a_thousand_words(seed, ptb_text, capsys):
    _, ppl_list = train_custom_loop.main(seed=seed, plot=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "corpus size: 1000, vocabulary size: 418"
    assert len(lines) == 1 + 100
    assert lines[100] == f"| epoch 100 | perplexity {ppl_list[99]:.2f}"
    assert 300 < ppl_list[0] < 450
    assert ppl_list[99] < 10
    tens = [ppl_list[0], *ppl_list[9::10]]
    assert all(later < earlier for earlier, later in pairwise(tens))


@both_backends
def test_grammar_is_learned_on_both_libraries(folder):
    how = {"corpus": "grammar", "max_epoch": 20, "wordvec_size": 20, "hidden_size": 20, "lr": 0.5}
    _, by_hand = train_custom_loop.main(**how, plot=False)
    _, by_trainer = train.main(**how, plot=False)
    assert 0.5 * by_hand[0] > by_hand[-1]
    assert len(by_hand) == len(by_trainer) == 20


def test_printed_lines_are_the_books(folder, capsys):
    train_custom_loop.main("grammar", max_epoch=1, plot=False)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "corpus size: 1000, vocabulary size: 128"
    assert re.fullmatch(r"\| epoch 1 \| perplexity \d+\.\d\d", second)
    train.main(corpus="grammar", max_epoch=1, plot=False)
    (line,) = capsys.readouterr().out.splitlines()
    pattern = r"\| epoch 1 \|  iter 1 / 19 \| time \d+\[s\] \| perplexity 1[12]\d\.\d\d"
    assert re.fullmatch(pattern, line)


def test_the_trainer_reports_as_with_an_interval_of_twenty(folder):
    how = {"corpus": "grammar", "max_epoch": 4, "plot": False}
    reports = [train.main(**how, eval_interval=n, weights=f"{n}.npz")[1] for n in (19, 20)]
    assert reports[0] == reports[1]
    assert len(reports[0]) == 4
    model, losses = SimpleRnnlm(128, 100, 100, rng=0), []
    text, trainer = texts.load_data("grammar")[0][:1000], RnnlmTrainer(None, None)
    for _ in range(2 * 19 + 1):
        losses.append(float(model.forward(*trainer.get_batch(text[:-1], text[1:], 10, 5))))
        model.backward()
        SGD(0.1).update(model.params, model.grads)
    means = [losses[0], numpy.mean(losses[1:20]), numpy.mean(losses[20:])]
    assert_allclose(reports[0][:3], numpy.exp(means), rtol=1e-12)


@both_scripts
def test_bad_sizes_are_refused_and_overwrite_nothing(script, folder):
    (folder / "SimpleRnnlm.npz").write_text("mine")
    may = {"overwrite": True} if script is train else {}
    for flags in [
        {"time_size": 300, "batch_size": 1},  # 299 pairs
        {"batch_size": 300, "time_size": 1},
        {"corpus_size": 49},
        {"corpus_size": 1},
        {"corpus_size": 0},
        {"batch_size": 0},
        {"time_size": 0},
        {"batch_size": -1, "time_size": -1},
    ]:
        with pytest.raises(ValueError, match=r"fit: |no batch of .* in a text of"):
            script.main(corpus="grammar", **TINY | may | flags)
    assert [p.name for p in folder.iterdir()] == ["SimpleRnnlm.npz"]
    assert (folder / "SimpleRnnlm.npz").read_text() == "mine"


@both_scripts
def test_a_corpus_that_is_nothing_is_refused(script, folder):
    with pytest.raises(FileNotFoundError, match="'nope' is neither 'ptb' nor 'grammar' nor a file"):
        script.main(corpus="nope")


@both_scripts
def test_any_text_file_is_a_corpus(script, folder):
    (folder / "novel.txt").write_text("the sun sets\nit rises again\n" * 100)
    _, ppl_list = script.main(corpus="novel.txt", max_epoch=50, lr=1.0, corpus_size=500, plot=False)
    assert ppl_list[-1] < 1.1  # eight words in turn: all that comes is certain


@pytest.mark.parametrize("stop", [KeyboardInterrupt, FloatingPointError])
def test_an_early_stop_keeps_what_was_learned(stop, folder, monkeypatch, capsys):
    def fit(self, *args, **options):
        self._at.step = 1
        self.model.params[0][...] = 5
        raise stop

    monkeypatch.setattr(RnnlmTrainer, "fit", fit)
    with pytest.raises(stop):
        train.main(corpus="grammar", **TINY, weights="deep/w.npz")
    assert {float(v) for v in numpy.load("deep/w.npz")["0.W"].flat} == {5}
    assert "stopped early" in capsys.readouterr().out


def test_a_stopped_run_says_how_to_go_on_and_ends_with_the_same_weights(folder):
    flags = ["--corpus=grammar", "--corpus-size=300", "--max-epoch=40", "--no-plot"]
    run("-m", "ch05.train", *flags, "--weights=whole.npz", cwd=folder, installed=ROOT)
    command = [sys.executable, "-m", "ch05.train", *flags, "--weights=parts.npz"]
    env = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as stopped:
        stopped.stdout.readline()
        stopped.send_signal(signal.SIGINT)
        out, err = stopped.communicate()
    assert stopped.returncode == 128 + signal.SIGINT
    assert "--resume goes on with parts.checkpoint" in out
    assert "Traceback" not in err
    again = [*flags[:-1], "--weights=parts.npz"]
    done = run("-m", "ch05.train", *again, cwd=folder, installed=ROOT, status=1)
    assert "parts.checkpoint would be overwritten" in done.stderr
    run("-m", "ch05.train", *again, "--resume", cwd=folder, installed=ROOT)
    one, other = numpy.load("whole.npz"), numpy.load("parts.npz")
    for name in one.files:
        assert_array_equal(one[name], other[name])
    assert_not_blank(folder / "parts.png")


# --- Figures and scripts -------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the figures that a script would show, by file name."""
    axes = {}

    def keep(name):
        axes[str(name)] = plt.gcf().axes

    monkeypatch.setattr(plots, "show", keep)
    yield axes
    plt.close("all")


def test_scripts_save_their_figures(folder, capsys):
    figures.main(corpus="grammar", folder=".")
    train_custom_loop.main("grammar", **TINY | {"plot": True})
    train.main(corpus="grammar", **TINY | {"plot": True})
    names = [f"fig_5_{name}.png" for name in ("26_steps", "31_first_weights", "32_two_models")]
    names += ["fig_5_33_perplexity.png", "SimpleRnnlm.png"]
    assert sorted(p.name for p in folder.glob("*.png")) == sorted(names)
    printed = capsys.readouterr().out
    for name in names:
        assert_not_blank(name)
        assert f"figure saved: {name}\n" in printed


def test_no_plot_means_no_figure(folder):
    train_custom_loop.main("grammar", **TINY)
    assert list(folder.iterdir()) == []
    train.main(corpus="grammar", **TINY)
    files = [f"SimpleRnnlm.{ending}" for ending in ("checkpoint", "json", "npz")]
    assert sorted(p.name for p in folder.iterdir()) == files


def heights(axes):
    """The probabilities of a bar chart by word."""
    return dict(zip(figures.WORDS, [bar.get_width() for bar in axes.patches], strict=True))


def test_the_perplexity_figure_has_a_point_for_each_epoch(drawn):
    _, ppl_list = train_custom_loop.main("grammar", **TINY | {"max_epoch": 3, "plot": True})
    (axes,) = drawn["fig_5_33_perplexity.png"]
    x, y = axes.lines[0].get_data()
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == ppl_list
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "training perplexity")


def test_the_trainers_figure_says_how_far_apart_its_points_are(folder, drawn):
    _, ppl_list = train.main(corpus="grammar", max_epoch=3, wordvec_size=5, hidden_size=5)
    (axes,) = drawn["SimpleRnnlm.png"]
    assert axes.lines[0].get_ydata().tolist() == ppl_list
    assert len(ppl_list) == 3  # at iterations 1, 20 and 39 of the run: 19 apart
    assert axes.get_xlabel() == "iterations (x19)"


def test_after_you_comes_say_and_after_you_say_two_words_are_possible(drawn):
    figures.plot_steps(40, seed=0)
    steps = drawn["fig_5_26_steps.png"]
    titles = ["you", "say", "goodbye", "and", "i", "say", "hello"]
    assert [ax.get_title().strip('… "') for ax in steps] == titles
    words = [label.get_text() for label in steps[0].get_yticklabels()]
    assert words == figures.WORDS == ["you", "say", "goodbye", "and", "i", "hello", "."]
    after = [heights(ax) for ax in steps]
    for y in after:
        assert sum(y.values()) == pytest.approx(1, abs=1e-6)
    assert after[0].pop("say") > 0.5 > 5 * max(after[0].values())
    assert sorted(after[1], key=after[1].get)[-2:] == ["hello", "goodbye"]
    assert after[1]["hello"] > 0.2
    assert steps[0].yaxis_inverted()


def test_the_sentence_can_be_learned_by_heart(drawn):
    corpus, probabilities = figures.learned(1000, seed=0)
    right = probabilities[numpy.arange(7), corpus[1:]]
    assert right.min() > 0.98


def test_the_two_models_have_perplexities_1_25_and_5(drawn):
    figures.plot_two_models()
    good, bad = drawn["fig_5_32_two_models.png"]
    for axes, p, words in (good, 0.8, "1.25"), (bad, 0.2, "5.00"):
        assert heights(axes)["say"] == p
        assert sum(heights(axes).values()) == pytest.approx(1, abs=1e-12)
        assert axes.get_title().endswith(f"perplexity {words}")


def test_first_weights_follow_the_curve(drawn):
    figures.plot_first_weights(seed=0)
    (axes,) = drawn["fig_5_31_first_weights.png"]
    w, density = axes.lines[0].get_data()
    assert density.sum() * (w[1] - w[0]) == pytest.approx(1, abs=1e-4)
    assert density.max() == pytest.approx(10 / math.sqrt(2 * math.pi))
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    found = [bar.get_height() for bar in axes.patches]
    assert_allclose(found, numpy.interp(middles, w, density), atol=0.5)


def test_importing_a_script_imports_no_matplotlib():
    modules = ", ".join(f"ch05.{name}" for name in SCRIPTS)
    code = f"import sys, {modules}; print('matplotlib' in sys.modules)"
    assert run("-c", code, cwd=ROOT).stdout == "False\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages that chapter 5 needs, to be written into."""
    folder = tmp_path_factory.mktemp("checkout")
    return copy_packages(folder, "ch03", "ch05", "common", "dataset")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_run_as_a_module_and_from_inside_the_chapter(script, checkout):
    flags = ["--max-epoch", "2", "--corpus", "grammar"]
    inside = run(f"{script}.py", *flags, cwd=checkout / "ch05", installed=checkout)
    as_module = run("-W", "error", "-m", f"ch05.{script}", *flags, cwd=checkout)
    untimed = [re.sub(r"time \d+", "time 0", done.stdout) for done in (inside, as_module)]
    assert untimed[0] == untimed[1] != ""
    here, above = written(inside), written(as_module)
    assert [checkout / "ch05" / path.relative_to(checkout) for path in above] == here
    for path in [path for path in here + above if path.suffix == ".png"]:
        assert_not_blank(path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_wrong_flags_end_with_status_2_and_are_named(script):
    for flags in ["--no-such-flag"], ["--max-epoch", "three"]:
        done = run("-m", f"ch05.{script}", *flags, cwd=ROOT, status=2)
        assert flags[0] in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize("script", SCRIPTS[1:])
def test_help_explains_every_flag(script):
    text = " ".join(run("-m", f"ch05.{script}", "--help", cwd=ROOT).stdout.split())
    for words in [
        "ptb, grammar, or a text file (one sentence a line), of which no part is kept for",
        "passes over the text (default: 100)",
        "side by side (default: 10)",
        "numbers in a word vector (default: 100)",
        "state (default: 100)",
        "5.2) (default: 5)",
        "learning rate of SGD (default: 0.1)",
        "words of the text (default: 1000)",
        "decides the first weights (default: 0)",
    ]:
        assert words in text


# --- Scripts typed in the book's way, started in the chapter's folder ----------------------------

OWN_LOOP = """
import sys
sys.path.append('..')
import numpy as np
from common.optimizer import SGD
from dataset import {corpus}
from simple_rnnlm import SimpleRnnlm

np.random.seed(3)
words, word_to_id, id_to_word = {corpus}.load_data('train')
words = words[:1000]
V = int(max(words) + 1)
inputs, answers = words[:-1], words[1:]
N, T = 10, 5
model, sgd = SimpleRnnlm(V, 60, 60), SGD(lr=0.3)
history, position = [], 0
for epoch in range(40):
    losses = []
    for _ in range(len(inputs) // (N * T)):
        xb, tb = np.empty((N, T), dtype='i'), np.empty((N, T), dtype='i')
        for t in range(T):
            for n in range(N):
                k = (n * (len(inputs) // N) + position) % len(inputs)
                xb[n, t], tb[n, t] = inputs[k], answers[k]
            position += 1
        losses.append(model.forward(xb, tb))
        model.backward()
        sgd.update(model.params, model.grads)
    history.append(np.exp(np.mean(losses)))
print(len(words), V, '%.2f' % history[0], '%.2f' % history[-1])
"""

OWN_TRAINER = """
import sys
sys.path.append('..')
import numpy as np
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import {corpus}
from simple_rnnlm import SimpleRnnlm

np.random.seed(3)
words, _, _ = {corpus}.load_data('train')
words = words[:1000]
model = SimpleRnnlm(int(max(words) + 1), 60, 60)
trainer = RnnlmTrainer(model, SGD(0.3))
trainer.fit(words[:-1], words[1:], max_epoch=40, batch_size=10, time_size=5)
trainer.plot()
print(len(trainer.ppl_list), '%.2f' % trainer.ppl_list[0], '%.2f' % trainer.ppl_list[-1])
"""


@pytest.mark.parametrize("corpus", ["grammar", pytest.param("ptb", marks=pytest.mark.ptb)])
def test_scripts_typed_in_the_books_way_learn(corpus, checkout, request):
    if corpus == "ptb":
        request.getfixturevalue("ptb_text")
    place = checkout / "ch05"
    (place / "my_loop.py").write_text(OWN_LOOP.format(corpus=corpus))
    (place / "my_trainer.py").write_text(OWN_TRAINER.format(corpus=corpus))
    V = {"grammar": 128, "ptb": 418}[corpus]
    size, vocab, first, last = run("my_loop.py", cwd=place).stdout.split()
    assert (size, vocab) == ("1000", str(V))
    assert float(last) < 0.1 * float(first) < 0.1 * V
    *reports, saved, result = run("my_trainer.py", cwd=place).stdout.splitlines()
    assert len(reports) == 40
    assert saved == "figure saved: perplexity.png"
    count, first, last = result.split()
    assert count == "40"
    assert float(first) == pytest.approx(V, rel=0.03)
    assert float(last) < 0.1 * V
    assert_not_blank(place / "perplexity.png")
