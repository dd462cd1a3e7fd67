"""The language model of chapter 6 and its scripts."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from ch06 import eval as eval_script
from ch06 import train_rnnlm
from ch06.rnnlm import Rnnlm
from common.evaluate import eval_perplexity
from common.gradient_check import check_gradients
from common.np import np, to_cpu, use
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import grammar, texts
from tests import cupy_stand_in
from tests.reference import enlarge

ROOT = Path(__file__).parent.parent
TINY = {"max_epoch": 1, "wordvec_size": 5, "hidden_size": 6, "corpus_size": 2000, "plot": False}


def ids(*shape, V=7, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=shape)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_of_the_model_agree_with_differences(sparse):
    model = Rnnlm(7, 3, 4, rng=0, sparse=sparse)
    enlarge(model)
    assert max(check_gradients(model, ids(2, 3), ids(2, 3, seed=1)).values()) < 1e-6


@pytest.mark.usefixtures("backend")
def test_the_model_has_the_sizes_and_scales_of_the_book():
    model = Rnnlm(rng=0)
    assert sum(p.size for p in model.params) == 2_090_400
    assert [p.shape for p in model.params] == [
        (10000, 100),
        (100, 400),
        (100, 400),
        (400,),
        (100, 10000),
        (10000,),
    ]
    assert {str(p.dtype) for p in model.params} == {"float32"}
    scales = [float(p.std()) for p in model.params]
    assert scales == pytest.approx([0.01, 0.1, 0.1, 0, 0.1, 0], rel=0.01)


@pytest.mark.usefixtures("backend")
def test_a_fresh_model_knows_nothing():
    model = Rnnlm(rng=0)
    loss = float(model.forward(ids(2, 5, V=10000), ids(2, 5, V=10000, seed=1)))
    assert math.exp(loss) == pytest.approx(10000, rel=0.01)


def test_one_seed_is_one_model_and_the_global_seed_of_numpy_works_too():
    a, b, c = Rnnlm(7, 3, 4, rng=0), Rnnlm(7, 3, 4, rng=0), Rnnlm(7, 3, 4, rng=1)
    assert (a.params[0] == b.params[0]).all()
    assert (a.params[0] != c.params[0]).any()
    numpy.random.seed(5)
    d = Rnnlm(7, 3, 4)
    numpy.random.seed(5)
    assert (d.params[0] == Rnnlm(7, 3, 4).params[0]).all()


@pytest.mark.usefixtures("backend")
def test_the_state_goes_on_until_it_is_reset():
    model, xs = Rnnlm(7, 3, 4, rng=0), ids(2, 6)
    whole = to_cpu(model.predict(xs))
    model.reset_state()
    halves = [to_cpu(model.predict(part)) for part in (xs[:, :3], xs[:, 3:])]
    numpy.testing.assert_allclose(numpy.concatenate(halves, axis=1), whole, atol=1e-6)


def test_sparse_and_dense_embeddings_learn_the_same():
    losses = []
    for sparse in True, False:
        model = Rnnlm(50, 8, 8, rng=0, sparse=sparse)
        trainer, text = RnnlmTrainer(model, SGD(5.0)), ids(500, V=50)
        trainer.fit(text[:-1], text[1:], 3, 5, 7, max_grad=0.25, eval_interval=5)
        losses.append(trainer.ppl_list)
    numpy.testing.assert_allclose(*losses, rtol=1e-5)


def test_both_libraries_train_alike():
    text, perplexities = ids(500, V=50), []
    with cupy_stand_in.install():
        for name in "cupy", "numpy":  # numpy last, as the other tests expect it
            use(name)
            model = Rnnlm(50, 8, 8, rng=0)
            trainer = RnnlmTrainer(model, SGD(5.0))
            trainer.fit(text[:-1], text[1:], 2, 5, 7, max_grad=0.25, eval_interval=5)
            perplexities.append([*trainer.ppl_list, eval_perplexity(model, text, 5, 7)])
    numpy.testing.assert_allclose(*perplexities, rtol=1e-5)


def test_a_training_step_on_a_gpu_waits_for_nothing():
    """From corpus to update, nothing comes back from the device until a loss is reported."""
    with cupy_stand_in.install():
        use("cupy")
        try:
            model = Rnnlm(50, 8, 8, rng=0)
            trainer, text = RnnlmTrainer(model, SGD(5.0)), ids(1000, V=50)
            xs, ts = text[:-1], text[1:]
            with cupy_stand_in.forbid_transfers():
                for _ in range(3):
                    loss = trainer._gradients()(*trainer.get_batch(xs, ts, 5, 7))
                    trainer._learn(0.25)
            assert isinstance(loss, type(np.zeros(1)))
            with cupy_stand_in.count_transfers() as counts:
                trainer.fit(xs, ts, 1, 5, 7, max_grad=0.25, eval_interval=10)
            assert counts.to_host == len(xs) // 35  # each loss once, when it is reported
            assert counts.waits == 0
        finally:
            use("numpy")


def test_bad_ids_and_labels_are_refused_with_nothing_changed():
    model = Rnnlm(7, 3, 4, rng=0)
    before = [p.copy() for p in model.params]
    good = ids(2, 3)
    model.forward(good, good)
    h, c = model.lstm_layer.h.copy(), model.lstm_layer.c.copy()
    for xs, ts, problem in [
        (good + 7, good, r"TimeEmbedding: id \d+ is not in 0\.\.6"),
        (good - 7, good, r"TimeEmbedding: id -\d is not in 0\.\.6"),
        (good, good + 7, r"TimeSoftmaxWithLoss: id \d+ is not in 0\.\.6"),
        (good, good[:, :, None], r"labels have shape \(2, 3, 1\)"),
        (good, good[:, :2], r"labels have shape \(2, 2\)"),
    ]:
        with pytest.raises(ValueError, match=problem):
            model.forward(xs, ts)
    state = model.lstm_layer.h, model.lstm_layer.c
    for p, was in zip([*model.params, *state], [*before, h, c], strict=True):
        numpy.testing.assert_array_equal(p, was)


def test_training_runs_small_and_leaves_its_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    perplexity = train_rnnlm.main(corpus="grammar", **TINY | {"plot": True})
    endings = ["checkpoint", "json", "npz", "png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"Rnnlm.{e}" for e in endings]
    history = json.loads((tmp_path / "Rnnlm.json").read_text())
    assert history["test"] == perplexity
    assert len(history["train"]) == 1
    out = capsys.readouterr().out
    assert "| epoch 1 |  iter 1 / 2 | time 0[s] | perplexity 14" in out
    assert f"test perplexity:  {perplexity:.2f}" in out
    assert "true perplexity:  9.40" in out


def test_evaluation_finds_what_training_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    perplexity = train_rnnlm.main(corpus="grammar", **TINY)
    sizes = {"corpus": "grammar", "wordvec_size": 5, "hidden_size": 6}
    assert eval_script.main(**sizes) == perplexity
    of_sentence = eval_script.main(**sizes, sentence="the dog sleeps")
    assert f"perplexity of the sentence:  {of_sentence:.2f}" in capsys.readouterr().out
    with pytest.raises(KeyError, match=r"words_to_ids: not in the vocabulary.*: xylophone"):
        eval_script.main(**sizes, sentence="the xylophone sleeps")
    with pytest.raises(ValueError, match=r"load_model: Rnnlm\.npz: holds arrays of shapes"):
        eval_script.main(corpus="grammar", hidden_size=7)


def test_any_text_file_is_a_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("novel.txt").write_text("the sun sets\nit rises again\n" * 200)
    assert train_rnnlm.main(corpus="novel.txt", **TINY | {"max_epoch": 3, "eval_interval": 1}) < 9


@pytest.mark.parametrize("stop", [KeyboardInterrupt, FloatingPointError])
def test_an_early_stop_keeps_what_was_learned(stop, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def fit(self, *args, **options):
        self._at.step = 1
        self.model.params[0][...] = 5
        raise stop

    monkeypatch.setattr(RnnlmTrainer, "fit", fit)
    with pytest.raises(stop):
        train_rnnlm.main(corpus="grammar", **TINY)
    model = Rnnlm(140, 5, 6)
    model.load_params()
    assert (model.params[0] == 5).all()
    assert "stopped early" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [{"batch_size": 0}, {"time_size": 5000}, {"max_grad": -1.0}])
def test_a_bad_setting_does_not_overwrite_weights(flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Rnnlm.npz").write_text("mine")
    with pytest.raises(ValueError, match=r"fit|clip_grads"):
        train_rnnlm.main(corpus="grammar", overwrite=True, **TINY | flags)
    assert Path("Rnnlm.npz").read_text() == "mine"


def test_a_corpus_that_is_nothing_is_refused():
    with pytest.raises(FileNotFoundError, match="'nope' is neither 'ptb' nor 'grammar' nor a file"):
        texts.load_data("nope")


def test_every_corpus_has_the_same_form(tmp_path):
    (tmp_path / "t.txt").write_text("a b\n" * 20)
    for name in "grammar", str(tmp_path / "t.txt"):
        text, word_to_id, id_to_word = texts.load_data(name, "valid")
        assert text.ndim == 1
        assert text.dtype == "int64"
        assert [word_to_id[id_to_word[k]] for k in range(len(id_to_word))] == list(
            range(len(word_to_id))
        )


def test_all_parts_of_a_corpus_are_those_that_are_loaded_one_by_one(tmp_path):
    (tmp_path / "t.txt").write_text("a b\nc <unk>\n" * 10 + "d <unk> a\n" * 10)
    (tmp_path / "u.txt").write_text("a b\nc\n" * 10 + "d a\n<unk>\n" * 4)
    for name in "grammar", str(tmp_path / "t.txt"), str(tmp_path / "u.txt"):
        parts = texts.load_parts(name)
        for split, text in (("train", parts.train), ("valid", parts.valid), ("test", parts.test)):
            expected, word_to_id, id_to_word = texts.load_data(name, split)
            numpy.testing.assert_array_equal(text, expected)
            assert (parts.word_to_id, parts.id_to_word) == (word_to_id, id_to_word)
            assert text.max() < len(word_to_id)
    with pytest.raises(FileNotFoundError, match="'nope' is neither 'ptb' nor 'grammar' nor a file"):
        texts.load_parts("nope")


@pytest.mark.parametrize("how", [["-m", "ch06.train_rnnlm"], ["train_rnnlm.py"]])
def test_the_script_runs_as_a_module_and_from_its_folder(how, tmp_path):
    flags = ["--corpus", "grammar", "--max-epoch", "1", "--corpus-size", "2000", "--no-plot"]
    flags += ["--weights", str(tmp_path / "w.npz")]
    cwd = ROOT if how[0] == "-m" else ROOT / "ch06"
    path = {"PYTHONPATH": str(ROOT)} if how[0] != "-m" else {}
    run = subprocess.run(
        [sys.executable, *how, *flags],
        cwd=cwd,
        env=os.environ | path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "test perplexity:" in run.stdout
    assert (tmp_path / "w.npz").exists()


def test_an_lstm_comes_within_ten_percent_of_the_true_perplexity(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    perplexity = train_rnnlm.main(corpus="grammar", plot=False)
    assert grammar.true_perplexity("test") < perplexity < 1.10 * grammar.true_perplexity("test")


@pytest.mark.ptb
def test_penn_treebank_starts_as_in_the_book(ptb_text):
    """First report about 10,000, and below 400 before iteration 320 (book, figure 6-27)."""
    text, word_to_id, _ = ptb_text("train")
    model = Rnnlm(len(word_to_id), rng=0)
    trainer = RnnlmTrainer(model, SGD(20.0))
    losses = []
    for _ in range(320):
        losses.append(trainer._gradients()(*trainer.get_batch(text[:-1], text[1:], 20, 35)))
        trainer._learn(max_grad=0.25)
    reports = [math.exp(numpy.mean(losses[k : k + 20])) for k in range(0, 320, 20)]
    assert math.exp(losses[0]) == pytest.approx(10000, rel=0.01)
    assert min(reports) < 400
