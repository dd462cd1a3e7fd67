"""The models that turn a question into an answer: sizes, gradients, twins, padding, files."""

import json
import math
import pickle
import re
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ch06.rnnlm import Rnnlm
from ch07.peeky_seq2seq import PeekyDecoder, PeekySeq2seq
from ch07.seq2seq import Decoder, Encoded, Encoder, Seq2seq
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder, AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common.gradient_check import check_gradients
from common.network import param_names
from common.np import np, to_cpu, use
from common.optimizer import Adam
from common.rng import generator, randn
from common.time_layers import TimeBiLSTM, TimeLSTM
from common.trainer import Trainer
from tests import cupy_stand_in
from tests.reference import in_float64, slow_scores

both_backends = pytest.mark.usefixtures("backend")
MODELS = [Seq2seq, PeekySeq2seq, AttentionSeq2seq]
all_models = pytest.mark.parametrize("model_class", MODELS)
PAD = 0
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "cell passed": {"pass_cell": True},
    "two directions": {"bidirectional": True},
    "two directions, cell passed": {"bidirectional": True, "pass_cell": True},
}
OPTIONS |= {f"{name}, padding": how | {"pad_id": PAD} for name, how in OPTIONS.items()}
LSTM_WEIGHTS = ("Wx", "Wh", "b")
all_options = pytest.mark.parametrize("how", OPTIONS.values(), ids=OPTIONS)
padded_options = pytest.mark.parametrize(
    "how", [how for how in OPTIONS.values() if "pad_id" in how], ids=lambda how: ", ".join(how)
)

# Padding before a question, behind it, and inside; answers that end early or not at all.
QUESTIONS = numpy.array([[0, 0, 1, 2], [3, 0, 2, 0], [1, 3, 2, 3]])
ANSWERS = numpy.array([[3, 1, 0, 0], [3, 2, 1, 0], [3, 2, 2, 1]])


def ids(*shape, V=7, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=shape)


def assert_same(found, expected, **tolerance):
    for a, b in zip(found, expected, strict=True):
        assert_allclose(to_cpu(a), to_cpu(b), **{"rtol": 1e-10, "atol": 1e-12} | tolerance)


def gradients(model, xs, ts):
    """Loss and all gradients."""
    loss = float(model.forward(xs, ts))
    model.backward()
    return [loss, *(to_cpu(g).copy() for g in model.grads)]


def refused(message):
    return pytest.raises(ValueError, match=message)


# --- Sizes and first weights ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_class", "sizes", "count"),
    [
        (Seq2seq, (13, 16, 128), 150_573),
        (PeekySeq2seq, (13, 16, 128), 217_773),
        (Seq2seq, (59, 16, 256), 576_155),
        (PeekySeq2seq, (59, 16, 256), 853_403),
        (AttentionSeq2seq, (59, 16, 256), 591_259),
    ],
)
def test_the_models_have_the_sizes_of_the_book(model_class, sizes, count):
    model = model_class(*sizes, rng=0)
    assert sum(p.size for p in model.params) == count
    V, D, H = sizes
    lstm_inputs = H + D if model_class is PeekySeq2seq else D
    affine_inputs = H if model_class is Seq2seq else 2 * H
    assert [p.shape for p in model.params] == [
        *[(V, D), (D, 4 * H), (H, 4 * H), (4 * H,)],
        *[(V, D), (lstm_inputs, 4 * H), (H, 4 * H), (4 * H,), (affine_inputs, V), (V,)],
    ]
    assert [g.shape for g in model.grads] == [p.shape for p in model.params]


@both_backends
@all_models
def test_first_weights_have_the_scales_of_the_book(model_class):
    D, H = 64, 64
    model = model_class(1000, D, H, rng=0)
    lstm_inputs = H + D if model_class is PeekySeq2seq else D
    affine_inputs = H if model_class is Seq2seq else 2 * H
    scales = [0.01, D**-0.5, H**-0.5, 0, 0.01, lstm_inputs**-0.5, H**-0.5, 0]
    found = [float(p.std()) for p in model.params]
    assert found == pytest.approx([*scales, affine_inputs**-0.5, 0], rel=0.02)


@both_backends
@all_models
@all_options
def test_everything_is_float32(model_class, how):
    model = model_class(4, 2, 4, rng=0, **how)
    model.forward(QUESTIONS, ANSWERS)
    model.backward()
    states = [model.encoder.hs, *model.decoder.lstm.state.values()]
    assert {str(a.dtype) for a in (*model.params, *model.grads, *states)} == {"float32"}


def test_the_first_weights_are_drawn_in_the_order_of_the_layers():
    rng = generator(0)
    embed, Wx, Wh = randn(rng, 7, 3), randn(rng, 3, 16), randn(rng, 4, 16)
    for model_class in MODELS:  # and an encoder is the same whatever comes after it
        drawn = embed / 100, Wx / math.sqrt(3), Wh / 2
        assert_same(model_class(7, 3, 4, rng=0).params[:3], drawn, rtol=0, atol=0)
    embed, Wx, Wh, W = (randn(rng, *s) for s in [(7, 3), (7, 16), (4, 16), (8, 7)])
    drawn = embed / 100, Wx / math.sqrt(7), Wh / 2, np.zeros(16), W / math.sqrt(8), np.zeros(7)
    assert_same(PeekySeq2seq(7, 3, 4, rng=0).params[4:], drawn, rtol=1e-6)


@all_models
def test_one_seed_is_one_model_and_the_global_seed_of_numpy_works_too(model_class):
    def first(rng=None):
        return model_class(7, 3, 4, rng=rng).params

    assert_same(first(0), first(0), rtol=0, atol=0)
    assert (first(0)[0] != first(1)[0]).any()
    numpy.random.seed(5)
    by_global_seed = first()
    numpy.random.seed(5)
    assert_same(first(), by_global_seed, rtol=0, atol=0)


@both_backends
@all_models
def test_a_fresh_model_knows_nothing(model_class):
    model = model_class(50, 8, 8, rng=0)
    loss = float(model.forward(ids(20, 7, V=50), ids(20, 5, V=50, seed=1)))
    assert loss == pytest.approx(math.log(50), rel=0.01)


def test_the_last_model_is_the_one_with_attention_that_reads_in_both_directions():
    model = BiAttentionSeq2seq(7, 3, 4, rng=0)
    assert isinstance(model.encoder.lstm, TimeBiLSTM)
    assert model.encoder.lstm.params[1].shape == (2, 8)  # half the units in each direction
    twin = AttentionSeq2seq(7, 3, 4, bidirectional=True, rng=0)
    xs, ts = ids(3, 5), ids(3, 4, seed=1)
    assert_same(gradients(model, xs, ts), gradients(twin, xs, ts), rtol=0, atol=0)
    one_way = BiAttentionSeq2seq(7, 3, 4, bidirectional=False, cell="gru", rng=0)
    assert [p.shape for p in one_way.params[:4]] == [(7, 3), (3, 12), (4, 12), (12,)]


@both_backends
def test_a_peeky_decoder_gives_the_encoded_vector_to_each_step_at_both_places(r):
    """The same for every step: repeated T times, which is h broadcast over time."""
    decoder = in_float64(PeekySeq2seq(7, 3, 4)).decoder
    h, xs = r(2, 4), ids(2, 5)
    decoder.forward(xs, h)
    repeated = to_cpu(h.repeat(5, axis=0).reshape(2, 5, 4))
    assert_array_equal(repeated, numpy.broadcast_to(to_cpu(h)[:, None], (2, 5, 4)))
    assert_array_equal(to_cpu(decoder.affine.x).reshape(2, 5, 8)[:, :, :4], repeated)
    lstm = TimeLSTM(*decoder.lstm.params, stateful=True)
    lstm.set_state(h)
    inputs = np.concatenate([np.asarray(repeated), decoder.embed.forward(xs)], axis=2)
    assert_same([lstm.forward(inputs)], [decoder.affine.x.reshape(2, 5, 8)[:, :, 4:]])


def test_models_are_made_of_their_encoders_and_decoders():
    for model_class, encoder, decoder in [
        (Seq2seq, Encoder, Decoder),
        (PeekySeq2seq, Encoder, PeekyDecoder),
        (AttentionSeq2seq, AttentionEncoder, AttentionDecoder),
    ]:
        model = model_class(7, 3, 4)
        assert type(model.encoder) is encoder
        assert type(model.decoder) is decoder
        assert [id(p) for p in model.params] == [
            id(p) for half in (model.encoder, model.decoder) for p in half.params
        ]


# --- Gradients -----------------------------------------------------------------------------------


@all_models
@all_options
def test_gradients_agree_with_differences(model_class, how):
    model = in_float64(model_class(4, 2, 2, rng=0, **how), 0.8)
    assert len(check_gradients(model, QUESTIONS, ANSWERS)) == len(model.params)


@both_backends
@pytest.mark.parametrize("model_class", [*MODELS, BiAttentionSeq2seq])
def test_gradients_agree_with_differences_on_both_libraries(model_class):
    model = in_float64(model_class(4, 2, 2, pass_cell=True, pad_id=PAD, rng=0), 0.8)
    assert len(check_gradients(model, QUESTIONS, ANSWERS)) == len(model.params)


@both_backends
@all_models
def test_the_upstream_gradient_scales_all(model_class):
    model = in_float64(model_class(7, 3, 4, rng=0))
    _, *once = gradients(model, ids(3, 4), ids(3, 4, seed=1))
    model.backward(-2.5)
    assert_same(model.grads, [-2.5 * g for g in once])


@both_backends
@pytest.mark.parametrize("how", [{}, {"bidirectional": True}], ids=["one way", "both ways"])
@pytest.mark.parametrize("encoder_class", [Encoder, AttentionEncoder])
def test_without_a_gradient_of_its_states_an_encoder_learns_nothing(encoder_class, how):
    encoder, xs = encoder_class(7, 3, 4, rng=0, **how), ids(3, 5)
    encoded = encoder.forward(xs)
    for number, learns in (0, False), (1, True):
        assert encoder.backward(filled(encoded, number)) is None
        assert [bool((g != 0).any()) for g in encoder.grads] == [learns] * len(encoder.grads)
    hands_over_the_cell = encoder_class(7, 3, 4, rng=0, pass_cell=True, **how)
    dencoded = filled(hands_over_the_cell.forward(xs), 0)
    hands_over_the_cell.backward(dencoded._replace(c=np.ones((3, 4), "f")))
    assert all((g != 0).any() for g in hands_over_the_cell.grads)


def filled(encoded, number):
    """A gradient in the form of what an encoder hands over, of one number."""
    if isinstance(encoded, Encoded):
        return Encoded(*(None if a is None else np.full_like(a, number) for a in encoded))
    return np.full_like(encoded, number)


# --- PyTorch -------------------------------------------------------------------------------------


def torch_lstm(torch, xs, h, c, Wx, Wh, b):
    """nn.LSTM with weights of ours, whose gates come in the order f, g, i, o, not i, f, g, o."""

    def reordered(w):
        f, g, i, o = w.chunk(4, dim=-1)
        return torch.cat([i, f, g, o], dim=-1).T

    lstm = torch.nn.LSTM(len(Wx), len(Wh), batch_first=True, dtype=torch.float64)
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"]
    weights = dict(zip(names, [reordered(w) for w in (Wx, Wh, b[None])], strict=True))
    weights["bias_ih_l0"] = weights["bias_ih_l0"][:, 0]
    weights["bias_hh_l0"] = torch.zeros(4 * len(Wh), dtype=torch.float64)
    hs, (h, c) = torch.func.functional_call(lstm, weights, (xs, (h[None], c[None])))
    return hs, h[0], c[0]


def torch_loss(torch, model, params, xs, ts):
    """The loss of a model of LSTMs, from leaves in the order of its params."""
    E, *encoder = params[: len(model.encoder.params)]
    E2, Wx, Wh, b, W, bias = params[len(model.encoder.params) :]
    xs, ts = torch.from_numpy(xs), torch.from_numpy(ts)
    embedding, zero = torch.nn.functional.embedding, torch.zeros(len(xs), len(Wh)).double()
    read = [torch_lstm(torch, embedding(xs, E), *2 * [zero[:, : len(encoder[1])]], *encoder[:3])]
    if len(encoder) == 6:
        start = 2 * [zero[:, : len(encoder[1])]]
        turned, *end = torch_lstm(torch, embedding(xs.flip(1), E), *start, *encoder[3:])
        read.append((turned.flip(1), *end))
    hs, h, c = (torch.cat(parts, dim=-1) for parts in zip(*read, strict=True))
    inputs = embedding(ts[:, :-1], E2)
    peek = [h[:, None].expand(-1, inputs.shape[1], -1)] if isinstance(model, PeekySeq2seq) else []
    start = h, c if model.encoder.pass_cell else zero
    zs, _, _ = torch_lstm(torch, torch.cat([*peek, inputs], dim=2), *start, Wx, Wh, b)
    if isinstance(model, AttentionSeq2seq):
        peek = [torch.softmax(zs @ hs.transpose(1, 2), dim=2) @ hs]
    scores = torch.cat([*peek, zs], dim=2) @ W + bias
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), ts[:, 1:].flatten())


@both_backends
@all_models
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pass_cell", [False, True])
def test_loss_and_gradients_agree_with_torch(torch, model_class, bidirectional, pass_cell):
    how = {"bidirectional": bidirectional, "pass_cell": pass_cell}
    model, xs, ts = in_float64(model_class(7, 3, 4, **how)), ids(3, 5), ids(3, 4, seed=1)
    leaves = [torch.tensor(to_cpu(p), requires_grad=True) for p in model.params]
    loss = torch_loss(torch, model, leaves, xs, ts)
    loss.backward()
    expected = [loss.detach(), *(p.grad for p in leaves)]
    assert_same(gradients(model, xs, ts), expected, rtol=1e-10, atol=1e-10)


# --- Padding -------------------------------------------------------------------------------------


def rows_of(rows, width, starts):
    """Each row in a row of the width, from its start on; padding around it."""
    out = numpy.full((len(rows), width), PAD)
    for line, row, start in zip(out, rows, starts, strict=True):
        line[start : start + len(row)] = row
    return out


REAL = [[1, 2], [3, 0, 0, 2], [4]]  # questions, one with padding inside
SAID = [[3, 1], [3, 2, 1, 4], [3]]  # answers; padding follows, and the first is the end mark


@padded_options
@all_models
@settings(max_examples=10)
@given(st.integers(4, 8), st.lists(st.integers(0, 99), min_size=3, max_size=3), st.integers(5, 8))
def test_the_amount_of_padding_does_not_matter(model_class, how, width, left, answer_width):
    model = in_float64(model_class(5, 2, 4, rng=0, **how))
    starts = [k % (width - len(row) + 1) for row, k in zip(REAL, left, strict=True)]
    xs, tight = rows_of(REAL, width, starts), rows_of(REAL, 4, [0, 0, 3])
    ts, tight_ts = (rows_of(SAID, w, [0, 0, 0]) for w in (answer_width, 5))
    assert_same(gradients(model, xs, ts), gradients(model, tight, tight_ts))
    answers = model.generate_batch(xs, 3, 5)
    encoded = encode(model, xs)
    for n, row in enumerate(REAL):
        alone = numpy.array([row])
        assert model.generate(alone, 3, 5) == answers[n].tolist()
        assert_same(encode(model, alone), [a[n : n + 1] for a in encoded])


def encode(model, xs):
    """What the decoder starts from."""
    model.decoder.start(model.encoder.forward(xs))
    return [a for a in model.decoder.lstm.state.values() if a is not None]


@both_backends
@all_models
def test_padding_inside_a_question_is_read(model_class):
    reads_all, skips = (in_float64(model_class(5, 2, 4, **how)) for how in ({}, {"pad_id": PAD}))
    assert_same(encode(skips, ids_of(0, 3, 0, 0, 2)), encode(reads_all, ids_of(3, 0, 0, 2)))
    (h, *_), (without, *_) = encode(skips, ids_of(3, 0, 0, 2)), encode(skips, ids_of(3, 2))
    assert float(abs(h - without).max()) > 1e-3


def ids_of(*question):
    return numpy.array([question])


@both_backends
def test_padding_gets_no_attention():
    model = AttentionSeq2seq(4, 2, 4, pad_id=PAD, rng=0)
    model.forward(QUESTIONS, ANSWERS)
    real = numpy.array([[0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]]) == 1  # as the question begins
    for a in model.decoder.attention.attention_weights:
        assert_array_equal(to_cpu(a) > 0, real)
    model.generate_batch(QUESTIONS, 3, 2)
    (a,) = model.decoder.attention.attention_weights
    assert_array_equal(to_cpu(a) > 0, real)


@both_backends
@all_models
def test_the_first_padding_ends_an_answer_and_the_rest_counts_for_nothing(model_class):
    """The loss is the mean over the labels up to the first padding, here 2 + 3 + 3 of 9."""
    model = in_float64(model_class(4, 2, 4, pad_id=PAD))
    loss = float(model.forward(QUESTIONS, ANSWERS))
    encoded = model.encoder.forward(QUESTIONS)
    scores = to_cpu(model.decoder.forward(ANSWERS[:, :-1], encoded))
    log_p = scores - numpy.log(numpy.exp(scores).sum(axis=2, keepdims=True))
    counted = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert loss == pytest.approx(
        -sum(log_p[n, t, ANSWERS[n, t + 1]] for n, t in counted) / 8, abs=1e-12
    )


@both_backends
@all_models
def test_padding_in_the_wrong_place_is_refused(model_class):
    model = model_class(4, 2, 4, pad_id=PAD)
    nothing, goes_on = QUESTIONS.copy(), ANSWERS.copy()
    nothing[1], goes_on[1] = PAD, [3, 1, 0, 2]
    with refused("Encoder: a question is all padding, id 0"):
        model.forward(nothing, ANSWERS)
    with refused("Encoder: a question is all padding, id 0"):
        model.generate_batch(nothing, 3, 2)
    with refused("EncoderDecoder: an answer goes on after its padding, id 0"):
        model.forward(QUESTIONS, goes_on)


# --- Bad input -----------------------------------------------------------------------------------


@all_models
def test_options_that_make_no_model_are_refused(model_class):
    def make(H=4, **how):
        return model_class(7, 3, H, **how)

    with refused("recurrent: cell is one of lstm, gru, rnn, not 'cnn'"):
        make(cell="cnn")
    for cell in "gru", "rnn":
        with refused(rf"Encoder: two directions need cell='lstm' .* not '{cell}' and 4"):
            make(cell=cell, bidirectional=True)
        with refused(rf"\w*Encoder: pass_cell needs cell='lstm', not '{cell}'"):
            make(cell=cell, pass_cell=True)
    with refused("Encoder: two directions need .* an even hidden_size, not 'lstm' and 5"):
        make(5, bidirectional=True)


@both_backends
@all_models
def test_ids_that_do_not_fit_are_refused_with_nothing_changed(model_class):
    model, xs, ts = model_class(7, 3, 4, rng=0), ids(2, 5), ids(2, 4, seed=1)
    before = [a.copy() for a in (*model.params, *model.grads)]
    for questions, answers, problem in [
        (xs + 7, ts, r"TimeEmbedding: id \d+ is not in 0\.\.6"),
        (xs - 7, ts, r"TimeEmbedding: id -\d is not in 0\.\.6"),
        (xs, ts + 7, r"TimeEmbedding: id \d+ is not in 0\.\.6"),
        (xs, numpy.array([[1, 7], [1, 2]]), r"TimeSoftmaxWithLoss: id 7 is not in 0\.\.6"),
        (xs.astype(float), ts, "TimeEmbedding: ids must be integers"),
        (xs[:, :0], ts, "TimeLSTM: input must be"),
        (xs, ts[:, :1], "TimeLSTM: input must be"),
    ]:
        with refused(problem):
            model.forward(questions, answers)
    assert_same([*model.params, *model.grads], before, rtol=0, atol=0)


@both_backends
@all_models
@pytest.mark.parametrize(("questions", "answers"), [(3, 2), (2, 3), (1, 2), (2, 1)])
def test_as_many_answers_as_questions_are_needed(model_class, questions, answers):
    model = model_class(7, 3, 4, rng=0)
    problem = rf"\({questions}, 4\).*\({answers}, 4\)|{answers} answers .* not {questions}"
    with refused(problem):
        model.forward(ids(questions, 5), ids(answers, 4))


@both_backends
@all_models
@pytest.mark.parametrize("other", [1, 3])
def test_a_decoder_refuses_states_of_two_batches(model_class, other):
    model, xs = model_class(7, 3, 4, pad_id=PAD, pass_cell=True), ids(2, 4) % 6 + 1
    encoded = model.encoder.forward(xs)
    with refused(rf"the kept c is \({other}, 4\), this batch needs \(2, 4\)"):
        model.decoder.forward(xs, encoded._replace(c=np.zeros((other, 4), "f")))
    with refused(rf"the kept h is \(2, 4\), this batch needs \({other}, 4\)|{other} answers .* 2"):
        model.decoder.forward(ids(other, 4), encoded)
    if model_class is AttentionSeq2seq:
        with refused(rf"TimeAttention: the mask is \({other}, 4\) where \(2, 4\) is needed"):
            model.decoder.forward(xs, encoded._replace(mask=numpy.ones((other, 4), bool)))


# --- Files ---------------------------------------------------------------------------------------


KINDS = {Seq2seq: "plain", PeekySeq2seq: "peeky", AttentionSeq2seq: "attention"}


@both_backends
@all_models
def test_the_pickled_weights_of_the_book_are_read_in_its_order(folder, model_class):
    """Parameters and concatenations are as in the book: a slow twin of it gets the same scores."""
    rng, V, D, H = numpy.random.default_rng(0), 7, 3, 4
    lstm_inputs = H + D if model_class is PeekySeq2seq else D
    affine_inputs = H if model_class is Seq2seq else 2 * H
    shapes = [(V, D), (D, 4 * H), (H, 4 * H), (4 * H,)]
    shapes += [(V, D), (lstm_inputs, 4 * H), (H, 4 * H), (4 * H,), (affine_inputs, V), (V,)]
    old = [rng.standard_normal(shape).astype("float16") for shape in shapes]
    (folder / f"{model_class.__name__}.pkl").write_bytes(pickle.dumps(old))

    model = model_class(V, D, H)
    model.load_params(f"{model_class.__name__}.pkl")
    assert_same(model.params, old, rtol=0, atol=0)
    for question in ids(3, 5):
        answer, said = model.generate(question[None], 2, 6), [2]
        for _ in range(6):
            scores = slow_scores(KINDS[model_class], old, question, said)
            said.append(int(scores[-1].argmax()))
        assert answer == said[1:]
        encoded = model.encoder.forward(question[None])
        found = model.decoder.forward(numpy.array([said[:-1]]), encoded)
        assert_same(found, scores[None], rtol=1e-4, atol=1e-4)


@both_backends
@pytest.mark.parametrize("model_class", [*MODELS, BiAttentionSeq2seq])
def test_loading_gives_back_what_was_saved(folder, model_class):
    vocab = {char: k for k, char in enumerate("abc _+1")}
    first, second = model_class(7, 3, 4, rng=0), model_class(7, 3, 4, rng=1)
    first.save_params(vocab=vocab)
    assert [p.name for p in folder.iterdir()] == [f"{model_class.__name__}.npz"]
    arrays = list(second.params)
    second.load_params(vocab=vocab)
    assert all(p is a for p, a in zip(second.params, arrays, strict=True))
    assert_same(second.params, first.params, rtol=0, atol=0)
    xs = ids(3, 5)
    assert_array_equal(second.generate_batch(xs, 0, 6), first.generate_batch(xs, 0, 6))


OTHER = [how for how in OPTIONS.values() if how]


def kept_options(path):
    with numpy.load(path, allow_pickle=False) as file:
        return json.loads(file["header.json"].tobytes())["settings"]


@all_models
@all_options
def test_weight_files_keep_the_options_of_the_model(folder, model_class, how):
    plain = {"cell": "lstm", "bidirectional": False, "pass_cell": False, "pad_id": None}
    plain |= {"score": "dot"} if model_class is AttentionSeq2seq else {}
    sizes = {"vocab_size": 7, "wordvec_size": 3, "hidden_size": 4}
    first, second = (model_class(7, 3, 4, rng=seed, **how) for seed in range(2))
    first.save_params("w.npz")
    assert kept_options("w.npz") == sizes | plain | how
    second.load_params("w.npz")
    assert_same(second.params, first.params, rtol=0, atol=0)
    for other in OPTIONS.values():
        if other != how:
            model = model_class(7, 3, 4, rng=1, **other)
            before = [p.copy() for p in model.params]
            problem = re.escape(f"belongs to a model with {plain | how}, not {plain | other}")
            with refused(rf"{model_class.__name__}\.load_params: w\.npz: {problem}"):
                model.load_params("w.npz")
            assert_same(model.params, before, rtol=0, atol=0)


def test_files_without_options_are_read_whatever_they_were(folder):
    """Those of older versions, and of models that have none."""
    first, second = (Seq2seq(7, 3, 4, rng=seed, pad_id=PAD) for seed in range(2))
    first.settings = {}
    first.save_params("w.npz")
    assert kept_options("w.npz") == {}
    second.load_params("w.npz")
    assert_same(second.params, first.params, rtol=0, atol=0)


def test_a_model_reads_the_files_of_the_classes_it_builds_on(folder):
    class Mine(AttentionSeq2seq):
        pass

    first, second = AttentionSeq2seq(7, 3, 4, rng=0), Mine(7, 3, 4, rng=1)
    first.save_params()
    second.load_params("AttentionSeq2seq.npz")
    assert_same(second.params, first.params, rtol=0, atol=0)
    second.save_params()
    with refused("holds the weights of Mine"):
        first.load_params("Mine.npz")


def test_weights_of_another_model_or_vocabulary_are_refused_with_nothing_changed(folder):
    vocab = {char: k for k, char in enumerate("abcdefg")}
    Seq2seq(7, 3, 4, rng=0).save_params("w", vocab=vocab)
    for model, here, problem in [
        (PeekySeq2seq(7, 3, 4), vocab, "holds arrays of shapes"),
        (Seq2seq(8, 3, 4), vocab, "holds arrays of shapes"),
        (Rnnlm(7, 3, 4), vocab, "holds the weights of Seq2seq"),
        *((Seq2seq(7, 3, 4, **how), vocab, "belongs to a model with") for how in OTHER),
        (Seq2seq(7, 3, 4), {c: k for k, c in enumerate("abcdegf")}, "'f' is 5, not 6"),
    ]:
        before = [p.copy() for p in model.params]
        with refused(rf"{type(model).__name__}\.load_params: w: .*{re.escape(problem)}"):
            model.load_params("w", vocab=here)
        assert_same(model.params, before, rtol=0, atol=0)


def test_parameters_are_named_after_their_layers():
    assert param_names(BiAttentionSeq2seq(7, 3, 4)) == [
        "encoder.embed.W",
        *(f"encoder.lstm.{way}_lstm.{w}" for way in ("forward", "backward") for w in LSTM_WEIGHTS),
        "decoder.embed.W",
        *(f"decoder.lstm.{w}" for w in LSTM_WEIGHTS),
        "decoder.affine.W",
        "decoder.affine.b",
    ]


# --- Training ------------------------------------------------------------------------------------


def mirrored(N):
    """Questions of three ids, and answers that are their reverse behind a 6."""
    xs = ids(N, 3, V=6)
    return xs, numpy.concatenate([numpy.full((N, 1), 6), xs[:, ::-1]], axis=1)


@pytest.mark.parametrize("model_class", [*MODELS, BiAttentionSeq2seq])
def test_models_learn_a_small_task(model_class):
    model, (xs, ts) = model_class(7, 8, 32, rng=0), mirrored(30)
    Trainer(model, Adam(lr=0.02)).fit(xs, ts, 60, 15, 5.0, None, rng=0)
    assert (model.generate_batch(xs, 6, 3) == ts[:, 1:]).all(axis=1).mean() > 0.9


@all_models
@pytest.mark.parametrize("how", [{}, {"pad_id": 5, "pass_cell": True}], ids=["plain", "padding"])
def test_both_libraries_train_alike(model_class, how):
    xs, ts = mirrored(60)
    if how:  # answers end where they first have a 5, and questions have something else
        xs[:, 1] %= 5
        ts[(ts == 5).cumsum(axis=1) > 0] = 5
    losses, answers = [], []
    with cupy_stand_in.install():
        for library in "cupy", "numpy":  # numpy last, as the other tests expect it
            use(library)
            model = model_class(7, 8, 8, rng=0, **how)
            trainer = Trainer(model, Adam(lr=0.01))
            trainer.fit(xs, ts, 3, 15, 5.0, eval_interval=1, rng=0)
            losses.append(trainer.loss_list)
            answers.append(model.generate_batch(xs, 6, 3))
    assert_allclose(*losses, rtol=1e-4)
    assert_array_equal(*answers)


@all_models
@all_options
def test_a_training_step_on_a_gpu_waits_for_nothing(model_class, how):
    with cupy_stand_in.install():
        use("cupy")
        try:
            trainer = Trainer(model_class(4, 2, 4, **how), Adam())
            with cupy_stand_in.forbid_transfers():
                for _ in range(2):
                    trainer._gradients()(QUESTIONS, ANSWERS)
                    trainer._learn(5.0)
        finally:
            use("numpy")
