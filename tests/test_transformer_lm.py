"""The Transformer language model: the promises of LanguageModel, the cache, writing."""

import math
import re
from pathlib import Path

import numpy
import pytest

from ch08 import train_transformer_lm
from ch08.transformer_lm import TransformerLM
from common.base_model import load_model
from common.evaluate import eval_perplexity
from common.gradient_check import check_gradients
from common.np import to_cpu
from dataset import grammar
from tests.reference import in_float64

V, N, T, CONTEXT = 9, 2, 5, 8


def made(context=CONTEXT, scale=0.5, dropout=0.0, **options):
    model = TransformerLM(V, 4, 6, dropout, num_layers=2, num_heads=2, context=context, **options)
    return in_float64(model, scale)


def ids(*shape, seed=0):
    return numpy.random.default_rng(seed).integers(0, V, shape)


def same(a, b):
    numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), rtol=0, atol=1e-12)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def test_gradients_agree_with_differences():
    check_gradients(made(rng=0), ids(N, T), ids(N, T, seed=1), verbose=False)


def test_the_embedding_is_the_output_as_well():
    model = made()
    first, last = model.params[0], model.params[-2]
    assert last.base is first
    assert last.shape == first.T.shape


def test_later_words_do_not_influence_earlier_scores(backend):
    model, xs = made(), ids(N, T)
    scores = to_cpu(model.predict(xs))
    for t in range(1, T):
        changed = xs.copy()
        changed[:, t:] = ids(N, T - t, seed=2)
        model.reset_state()
        numpy.testing.assert_array_equal(to_cpu(model.predict(changed))[:, :t], scores[:, :t])


def test_calls_go_on_until_the_state_is_reset(backend):
    model, xs = made(), ids(N, CONTEXT)
    whole = to_cpu(model.predict(xs))
    model.reset_state()
    parts = [to_cpu(model.predict(xs[:, k : k + 1])) for k in range(CONTEXT)]
    same(numpy.concatenate(parts, axis=1), whole)
    model.reset_state()
    same(model.predict(xs), whole)


def test_a_full_context_begins_anew_with_its_last_half(backend):
    """After 8 words of a context of 8, words 5 to 8 are read again before the ninth."""
    model, xs = made(), ids(N, CONTEXT + 1)
    model.predict(xs[:, :CONTEXT])
    ninth = to_cpu(model.predict(xs[:, CONTEXT:]))
    model.reset_state()
    same(ninth, model.predict(xs[:, CONTEXT // 2 :])[:, -1:])
    numpy.testing.assert_array_equal(model.history.ids, xs[:, CONTEXT // 2 :])


def test_a_text_longer_than_the_context_is_read_in_parts():
    model, xs = made(), ids(N, 3 * CONTEXT + 1)
    whole = to_cpu(model.predict(xs))
    model.reset_state()
    half = CONTEXT // 2
    parts = [to_cpu(model.predict(xs[:, k : k + half])) for k in range(0, xs.shape[1], half)]
    same(numpy.concatenate(parts, axis=1), whole)
    assert model.history.ids.shape[1] <= CONTEXT


def test_training_begins_anew_with_each_call():
    model, xs, ts = made(dropout=0.2, rng=0), ids(N, T), ids(N, T, seed=1)
    model.predict(ids(3, T))
    model.forward(xs, ts)
    assert model.history.ids.shape == (N, T)
    with refused("TransformerLM: 9 words are more than the context, 8"):
        model.forward(ids(N, CONTEXT + 1), ids(N, CONTEXT + 1))


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    model = made(scale=0.0)
    assert eval_perplexity(model, ids(200), 3, 4, progress=False) == pytest.approx(V)
    assert model.history.ids is None


def slow_text(model, start, size):
    """The most probable words, the context read anew for each of them."""
    text = [start]
    seen = [start]
    while len(text) < size:
        if len(seen) > CONTEXT:
            seen = seen[-CONTEXT // 2 - 1 :]
        model.reset_state()
        text.append(int(to_cpu(model.predict(numpy.array([seen])))[0, -1].argmax()))
        seen.append(text[-1])
    model.reset_state()
    return text


def test_it_writes_what_it_would_without_the_cache():
    model = made(scale=0.8)
    assert model.generate(3, sample_size=30, greedy=True) == slow_text(model, 3, 30)


def test_texts_side_by_side_are_those_written_alone():
    model = made(scale=0.8)
    together = model.generate([1, 2, 3], sample_size=20, greedy=True, batch_size=3)
    for start, text in zip([1, 2, 3], together, strict=True):
        model.reset_state()
        assert model.generate(start, sample_size=20, greedy=True) == text


def test_writing_goes_on_from_a_state():
    model, other = made(scale=0.8), made(scale=0.8)
    model.predict(ids(1, T))
    other.set_state(model.get_state())
    assert model.generate(2, sample_size=9, rng=1) == other.generate(2, sample_size=9, rng=1)


def test_a_state_of_another_batch_size_is_refused():
    model = made()
    model.predict(ids(N, T))
    with refused("generate: the kept state is of batch size 2, this call needs 1"):
        model.generate(1, sample_size=3)
    with refused("History: the kept ids are of batch size 2, the input of 3"):
        model.predict(ids(3, 1))
    assert model.history.ids.shape == (N, T)


def test_settings_that_do_not_fit_are_refused():
    with refused("TransformerLM: context must be at least 2, not 1"):
        made(context=1)
    with refused("SelfAttention: the width 4 cannot be divided between 3 heads"):
        TransformerLM(V, 4, 6, num_heads=3)
    with refused("History: id 9 is not in 0..8"):
        made().predict(numpy.array([[1, V]]))


def test_a_weight_file_builds_the_model_again(folder):
    model = TransformerLM(V, 4, 6, num_layers=1, num_heads=2, context=7, rng=0)
    model.save_params("w.npz")
    again = load_model("w.npz")
    assert again.settings == model.settings
    same(again.predict(ids(N, T)), model.predict(ids(N, T)))


TINY = {"wordvec_size": 8, "hidden_size": 8, "num_layers": 1, "num_heads": 2, "max_epoch": 1}
TINY |= {"batch_size": 4, "time_size": 5, "plot": False, "sample_size": 12}


def test_the_script_trains_on_words_and_writes(folder, capsys):
    how = TINY | {"corpus_size": 400}
    perplexity = train_transformer_lm.main(corpus="grammar", **how)
    assert grammar.true_perplexity("test") < perplexity < math.inf
    assert load_model("TransformerLM.npz").settings["context"] == 5
    assert len(capsys.readouterr().out.splitlines()[-1].split()) > 0


def test_the_script_trains_on_characters_and_writes(folder, capsys):
    Path("novel.txt").write_text("abc abd\nacb\n" * 30, encoding="utf-8")
    how = TINY | {"max_epoch": 12, "lr": 0.01, "dropout": 0.0}
    assert train_transformer_lm.main(corpus="novel.txt", tokens="characters", **how) < 3
    text = load_model("TransformerLM.npz").vocab
    assert set(text) == {*"abcd ", "<eos>", "<unk>"}
