"""Models of chapter 8 beyond the book's: input feeding, other scores, convolution.

What they promise as encoders and decoders: gradients, causality, padding, steps, answers.
"""

import re
from functools import partial

import numpy
import pytest

from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.conv_seq2seq import ConvSeq2seq
from ch08.input_feeding import FeedingLSTM, FeedingSeq2seq
from common.attention import Attention
from common.base_model import load_model
from common.gradient_check import check_gradients
from common.network import evaluating
from common.np import np, to_cpu
from common.time_layers import LSTM
from tests.reference import in_float64

V, D, N, T, L, PAD = 7, 4, 3, 6, 5, 0
MODELS = {
    "scaled": partial(AttentionSeq2seq, score="scaled"),
    "general": partial(AttentionSeq2seq, score="general"),
    "additive": partial(AttentionSeq2seq, score="additive"),
    "feeding": partial(FeedingSeq2seq, context_out=False),
    "feeding, context out": FeedingSeq2seq,
    "conv": partial(ConvSeq2seq, max_length=12),
    "conv, sines": partial(ConvSeq2seq, kernel_size=5, num_layers=1, max_length=None),
}
of_each = pytest.mark.parametrize("name", MODELS)


def made(name, scale=0.5, **options):
    return in_float64(MODELS[name](V, D, D, rng=0, **options), scale)


def questions(N=N, T=T, seed=0):
    return numpy.random.default_rng(seed).integers(1, V, (N, T))


def answers(N=N, L=L):
    return questions(N, L, seed=1)


def same(a, b):
    numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), rtol=0, atol=1e-12)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


@of_each
def test_gradients_agree_with_differences(name):
    model = made(name, pad_id=PAD)
    xs, ts = numpy.array([[1, 2, 3, 0], [0, 4, 1, 2]]), numpy.array([[1, 2, 3], [4, 1, 0]])
    check_gradients(model, xs, ts, verbose=False)


@of_each
def test_later_targets_do_not_influence_earlier_outputs(name, backend):
    model, xs, ts = made(name), questions(), answers()
    scores = to_cpu(model.decoder.forward(ts, model.encoder.forward(xs)))
    for t in range(1, L):
        changed = ts.copy()
        changed[:, t:] = questions(N, L - t, seed=2)
        other = to_cpu(model.decoder.forward(changed, model.encoder.forward(xs)))
        numpy.testing.assert_array_equal(other[:, :t], scores[:, :t])


@of_each
@pytest.mark.parametrize(("before", "behind"), [(0, 2), (4, 0), (1, 3)])
def test_padding_of_any_length_changes_nothing(name, before, behind):
    model, xs, ts = made(name, pad_id=PAD), questions(), answers()
    padded = numpy.pad(xs, ((0, 0), (before, behind)))
    scores = model.decoder.forward(ts, model.encoder.forward(xs))
    same(model.decoder.forward(ts, model.encoder.forward(padded)), scores)
    assert model.generate_batch(padded, 1, L).tolist() == model.generate_batch(xs, 1, L).tolist()


@of_each
def test_one_step_at_a_time_is_one_pass(name, backend):
    model, xs, ts = made(name), questions(), answers()
    whole = to_cpu(model.decoder.forward(ts, model.encoder.forward(xs)))
    model.decoder.start(model.encoder.forward(xs))
    steps = [to_cpu(model.decoder.scores(ts[:, t : t + 1])) for t in range(L)]
    same(numpy.concatenate(steps, axis=1), whole)


@of_each
def test_selected_answers_go_on(name, backend):
    model, xs, ts, rows = made(name, pad_id=PAD), questions(), answers(), numpy.array([2, 0, 0, 1])
    whole = to_cpu(model.decoder.forward(ts, model.encoder.forward(xs)))
    model.decoder.start(model.encoder.forward(xs))
    model.decoder.scores(ts[:, :2])
    model.decoder.select(rows)
    same(model.decoder.scores(ts[rows, 2:]), whole[rows, 2:])


@of_each
def test_answers_are_those_of_the_slow_way(name, backend):
    """Each answer alone, and read anew from its beginning for every id."""
    model, xs, expected = made(name), questions(), []
    with evaluating(model):
        for x in xs:
            ids = [1]
            for _ in range(L):
                scores = model.decoder.forward(numpy.array([ids]), model.encoder.forward(x[None]))
                ids.append(int(to_cpu(scores)[0, -1].argmax()))
            expected.append(ids[1:])
    assert model.generate_batch(xs, 1, L).tolist() == expected
    assert [model.generate(x[None], 1, L) for x in xs] == expected
    assert [beam[0].ids for beam in model.beam_search(xs, 1, L, 1)] == expected


@of_each
def test_a_weight_file_builds_the_model_again(name, folder):
    model, xs, ts = MODELS[name](V, D, D, rng=0, pad_id=PAD), questions(), answers()
    model.save_params("w.npz")
    again = load_model("w.npz")
    assert again.settings == model.settings
    assert float(again.forward(xs, ts)) == float(model.forward(xs, ts))


def test_a_weight_file_of_another_score_is_refused(folder):
    AttentionSeq2seq(V, D, D, score="scaled").save_params("w.npz")
    with pytest.raises(ValueError, match=r"belongs to a model with .*'scaled'"):
        AttentionSeq2seq(V, D, D).load_params("w.npz")


# --- Input feeding --------------------------------------------------------------------------------


def test_a_feeding_lstm_is_a_cell_and_an_attention_for_each_step(r, backend):
    H, S = 4, 3
    layer = FeedingLSTM(r(D + H, 4 * H), r(H, 4 * H), r(4 * H))
    xs, hs, h, c, dys = r(N, S, D), r(N, T, H), r(N, H), r(N, H), r(N, S, 2 * H)
    layer.start(hs, h, c)
    ys = layer.forward(xs)

    cells, attentions = [LSTM(*layer.params) for _ in range(S)], [Attention() for _ in range(S)]
    context, state = np.zeros((N, H)), (h, c)
    for t in range(S):
        state = cells[t].forward(np.concatenate([xs[:, t], context], axis=1), *state)
        context = attentions[t].forward(hs, state[0])
        same(ys[:, t], np.concatenate([context, state[0]], axis=1))
        same(layer.attention_weights[t], attentions[t].attention_weight)

    dxs = layer.backward(dys)
    dhs, dcontext, dh, dc = np.zeros((N, T, H)), np.zeros((N, H)), np.zeros((N, H)), 0 * c
    grads = [np.zeros_like(g) for g in layer.grads]
    for t in reversed(range(S)):
        of_memory, of_query = attentions[t].backward(dcontext + dys[:, t, :H])
        dx, dh, dc = cells[t].backward(dh + dys[:, t, H:] + of_query, dc)
        same(dxs[:, t], dx[:, :D])
        dcontext, dhs = dx[:, D:], dhs + of_memory
        grads = [total + g for total, g in zip(grads, cells[t].grads, strict=True)]
    for a, b in zip([layer.dhs_enc, layer.dh, layer.dc, *layer.grads], [dhs, dh, dc, *grads]):  # noqa: B905
        numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), rtol=1e-10, atol=1e-12)


def test_a_feeding_lstm_refuses_what_does_not_fit(r):
    with refused("FeedingLSTM: weights are (D + H, 4H), (H, 4H) and (4H,), not (4, 16)"):
        FeedingLSTM(r(4, 16), r(4, 16), r(16))
    layer = FeedingLSTM(r(6, 16), r(4, 16), r(16))
    with refused("FeedingLSTM: start comes before forward"):
        layer.forward(r(2, 3, 2))
    with refused("FeedingLSTM: states are (N, T, 4) and (N, 4), not (2, 3, 5), (2, 4) and (2, 4)"):
        layer.start(r(2, 3, 5), r(2, 4))
    layer.start(r(2, 3, 4), r(2, 4))
    with refused("FeedingLSTM: input must be (N, S, 2), N = 2 as in start, not (3, 3, 2)"):
        layer.forward(r(3, 3, 2))


def test_settings_that_do_not_fit_are_refused():
    with refused("FeedingDecoder: cell must be 'lstm', not 'gru'"):
        FeedingSeq2seq(V, D, D, cell="gru")
    with refused("new_score: score is one of dot, scaled, general, additive, not 'cosine'"):
        AttentionSeq2seq(V, D, D, score="cosine")
    with refused("ConvSeq2seq: wordvec_size 4 and hidden_size 5 must be equal"):
        ConvSeq2seq(V, 4, 5)
    with refused("TimeConvolution: a kernel of 2 steps has no middle: k must be odd"):
        ConvSeq2seq(V, D, D, kernel_size=2)
    with refused("ConvStack: num_layers must be at least 1, not 0"):
        ConvSeq2seq(V, D, D, num_layers=0)


def test_a_sequence_longer_than_the_learned_positions_is_refused():
    with refused("LearnedPositions: a sequence of 6 steps is longer than the 5 learned"):
        ConvSeq2seq(V, D, D, max_length=5).forward(questions(), answers())
