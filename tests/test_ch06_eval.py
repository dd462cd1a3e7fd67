"""eval.py of chapter 6: every model, sizes from the weight file, the cache."""

import pickle
import re

import numpy
import pytest

from ch06 import eval as eval_script
from ch06.awd_lstm import AwdLstm
from ch06.better_rnnlm import BetterRnnlm
from ch06.cache_pointer import eval_perplexity_with_cache
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from common.evaluate import eval_perplexity
from common.np import to_cpu
from dataset import texts
from tests.scripts import ROOT, run

CLASSES = {"rnnlm": Rnnlm, "better": BetterRnnlm, "gru": GruRnnlm, "awd": AwdLstm}
V = 140  # words of the grammar


@pytest.fixture
def repeating(folder):
    """A text file whose lines come again and again."""
    lines = numpy.random.default_rng(0).integers(50, size=(60, 8))
    sentences = [" ".join(f"w{k}" for k in line) for line in lines for _ in range(3)]
    (folder / "text.txt").write_text("\n".join(sentences) + "\n")
    return "text.txt"


def saved(name, V=V, D=6, H=6, **how):
    model = CLASSES[name](V, D, H, rng=0, **how)
    model.save_params()
    return model


def plain(model, corpus="grammar"):
    return eval_perplexity(model, texts.load_data(corpus, "test")[0], progress=False)


@pytest.mark.parametrize("name", CLASSES)
def test_every_model_is_evaluated_with_the_sizes_of_its_file(name, folder, capsys):
    model = saved(name)
    result = eval_script.main(corpus="grammar", model=name)
    assert result == plain(model)
    assert capsys.readouterr().out.splitlines()[-1] == f"test perplexity:  {result:.2f}"


def test_word_vectors_and_states_may_differ_in_size(folder):
    model = saved("rnnlm", D=5, H=7)
    assert eval_script.main(corpus="grammar") == plain(model)


def test_the_number_of_layers_is_in_the_file_too(folder):
    model = saved("better", num_layers=3)
    assert eval_script.main(corpus="grammar", model="better") == plain(model)


def test_sizes_that_are_given_go_first(folder):
    saved("rnnlm")
    with pytest.raises(ValueError, match=r"load_model: Rnnlm\.npz: holds arrays of shapes"):
        eval_script.main(corpus="grammar", hidden_size=7)


def test_the_books_pickles_need_their_sizes(folder):
    model = saved("rnnlm")
    (folder / "Rnnlm.npz").unlink()
    arrays = [to_cpu(p).astype("float16") for p in model.params]
    (folder / "Rnnlm.pkl").write_bytes(pickle.dumps(arrays))
    model.load_params()
    for weights in None, "Rnnlm.pkl":
        found = eval_script.main(weights, "grammar", wordvec_size=6, hidden_size=6)
        assert found == plain(model)
    with pytest.raises(ValueError, match="the model needs"):
        eval_script.main(corpus="grammar")


@pytest.mark.ptb
@pytest.mark.slow
@pytest.mark.parametrize(("model", "perplexity"), [("rnnlm", 137.03), ("better", 76.70)])
def test_the_shipped_weights_are_what_the_readme_says(folder, ptb_text, model, perplexity):
    assert eval_script.main(model=model) == pytest.approx(perplexity, abs=0.05)


def test_weights_of_another_model_are_refused(folder):
    saved("rnnlm")
    with pytest.raises(ValueError, match=r"holds arrays of shapes .*\(6, 24\).* needs .*\(6, 18\)"):
        eval_script.main("Rnnlm.npz", "grammar", 6, 6, model="gru")
    (folder / "Rnnlm.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="not a readable weight file"):
        eval_script.main(corpus="grammar")
    with pytest.raises(
        FileNotFoundError, match=r"there is no GruRnnlm\.npz here; python -m ch06\.train_rnnlm"
    ):
        eval_script.main(corpus="grammar", model="gru")
    with pytest.raises(ValueError, match="model is one of rnnlm, better, gru, awd, not 'lstm'"):
        eval_script.main(corpus="grammar", model="lstm")


@pytest.mark.parametrize("name", CLASSES)
def test_weights_that_were_trained_on_another_text_are_refused(name, folder):
    vocab = texts.load_data("grammar", "train")[1]
    model = CLASSES[name](V, 6, 6, rng=0)
    model.save_params(vocab=vocab)
    assert eval_script.main(corpus="grammar", model=name) == plain(model)
    backwards = dict(zip(reversed(vocab), range(V), strict=True))
    model.save_params(vocab=backwards)
    with pytest.raises(ValueError, match="is for a vocabulary where"):
        eval_script.main(corpus="grammar", model=name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_sentence_is_scored_without_dropout(name, folder, capsys):
    saved(name)
    found = [
        eval_script.main(corpus="grammar", model=name, sentence="the dog sleeps") for _ in range(2)
    ]
    assert found[0] == found[1] == pytest.approx(V, rel=0.05)  # a fresh model knows nothing
    assert f"perplexity of the sentence:  {found[0]:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("name", CLASSES)
def test_the_cache_is_set_by_validation_and_helps_where_words_repeat(name, repeating, capsys):
    words = len(texts.load_data(repeating, "train")[1])
    model = saved(name, V=words)
    result = eval_script.main(corpus=repeating, model=name, cache=True)
    out = capsys.readouterr().out
    assert f"test perplexity:  {plain(model, repeating):.2f}" in out
    theta, mix, printed = re.search(
        r"^with cache \(size 500, theta (.*), mix (.*)\):  (.*)$", out, re.MULTILINE
    ).groups()
    assert printed == f"{result:.2f}"
    test = texts.load_data(repeating, "test")[0]
    again = eval_perplexity_with_cache(
        model, test, 500, theta=float(theta), mix=float(mix), progress=False
    )
    assert result == again < 0.95 * plain(model, repeating)


def test_the_test_text_has_no_say_in_the_settings(repeating, monkeypatch):
    saved("rnnlm", V=len(texts.load_data(repeating, "train")[1]))
    read = []

    def tune(model, corpus, *_):
        read.append(corpus)
        return 0.5, 0.1, 1.0

    monkeypatch.setattr(eval_script, "tune_cache", tune)
    eval_script.main(corpus=repeating, cache=True)
    numpy.testing.assert_array_equal(read, [texts.load_data(repeating, "valid")[0]])


def test_a_sentence_without_words_is_refused(folder):
    with pytest.raises(ValueError, match="the sentence has no words"):
        eval_script.main(corpus="grammar", sentence=" ")


def test_a_sentence_has_no_cache(folder):
    with pytest.raises(ValueError, match="the cache is for the test text, not for a sentence"):
        eval_script.main(corpus="grammar", sentence="the dog sleeps", cache=True)


def test_the_flags_work_from_the_command_line(folder):
    saved("better")
    flags = ["--corpus", "grammar", "--model", "better", "--cache"]
    lines = run("-m", "ch06.eval", *flags, cwd=folder, installed=ROOT).stdout.splitlines()
    assert lines[1].startswith("test perplexity:  ")
    assert lines[2].startswith("with cache (size 500, theta ")


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_a_file_without_weights_is_named_before_any_text_is_read(folder, monkeypatch, content):
    monkeypatch.setattr(texts, "load_data", lambda *_: pytest.fail("a text was read"))
    if content is not None:
        (folder / "w.npz").write_bytes(content)
    kind = FileNotFoundError if content is None else ValueError
    with pytest.raises(kind, match=r"there is no weight file w\.npz|not a readable weight file"):
        eval_script.main(weights="w.npz")
