"""Answers from scores: greedy, in batches, and by beam search."""

import itertools
import math
import types

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ch07.decoding import Hypothesis, beam_search, greedy, log_softmax
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common.np import np, to_cpu
from tests.reference import in_float64

both_backends = pytest.mark.usefixtures("backend")
MODELS = {
    "plain": (Seq2seq, {}),
    "plain, gru": (Seq2seq, {"cell": "gru"}),
    "plain, rnn, padding": (Seq2seq, {"cell": "rnn", "pad_id": 0}),
    "plain, everything": (Seq2seq, {"bidirectional": True, "pass_cell": True, "pad_id": 0}),
    "peeky": (PeekySeq2seq, {}),
    "peeky, gru, padding": (PeekySeq2seq, {"cell": "gru", "pad_id": 0}),
    "peeky, everything": (PeekySeq2seq, {"bidirectional": True, "pass_cell": True, "pad_id": 0}),
    "attention": (AttentionSeq2seq, {}),
    "attention, rnn": (AttentionSeq2seq, {"cell": "rnn"}),
    "attention, gru, padding": (AttentionSeq2seq, {"cell": "gru", "pad_id": 0}),
    "attention, cell passed": (AttentionSeq2seq, {"pass_cell": True}),
    "both directions": (BiAttentionSeq2seq, {}),
    "both directions, everything": (BiAttentionSeq2seq, {"pass_cell": True, "pad_id": 0}),
}
all_models = pytest.mark.parametrize("name", MODELS)
START = 1


def make(name, V=5):
    """A model with large weights and no biases, so that answers differ."""
    model_class, how = MODELS[name]
    model = in_float64(model_class(V, 3, 4, **how), 1.5)
    for p in model.params:
        if p.ndim == 1:
            p[...] = 0
    return model


def questions(N, T=4, V=5, seed=0):
    """Random ids, no question of padding only."""
    xs = numpy.random.default_rng(seed).integers(V, size=(N, T))
    xs[:, T // 2] = 1
    return xs


def teacher_forced(model, xs, answers):
    """Scores (N, S, V) of each id of the answers after those before it."""
    answers = numpy.asarray(answers)
    read = numpy.concatenate([numpy.full((len(answers), 1), START), answers[:, :-1]], axis=1)
    encoded = model.encoder.forward(xs)
    return to_cpu(model.decoder.forward(read, encoded))


def refused(message):
    return pytest.raises(ValueError, match=message)


# --- The most probable id each time --------------------------------------------------------------


@both_backends
@all_models
def test_an_answer_is_the_argmax_of_what_the_decoder_says_about_it(name):
    model = make(name)
    for seed in range(3):
        xs = questions(1, seed=seed)
        answer = model.generate(xs, START, 6)
        assert [type(k) for k in answer] == [int] * 6
        best = teacher_forced(model, xs, [answer])[0].argmax(axis=1).tolist()
        end = answer.index(0) + 1 if model.pad_id == 0 and 0 in answer else 6
        assert answer[:end] == best[:end]
        assert answer[end:] == [0] * (6 - end)
        assert model.generate(xs, START, 6) == answer


@all_models
@settings(max_examples=10)
@given(st.integers(1, 20), st.integers(1, 25), st.integers(1, 6), st.sampled_from([None, 0, 3]))
def test_a_batch_of_answers_is_one_answer_after_the_other(name, N, batch_size, S, stop_id):
    model, xs = make(name), questions(N, seed=N)
    answers = model.generate_batch(xs, START, S, stop_id=stop_id, batch_size=batch_size)
    assert answers.shape == (N, S)
    alone = [model.generate(xs[n : n + 1], START, S, stop_id=stop_id) for n in range(N)]
    assert_array_equal(answers, alone)


@both_backends
@all_models
def test_many_answers_are_on_the_host_and_differ(name):
    answers = make(name).generate_batch(questions(30), START, 4)
    assert isinstance(answers, numpy.ndarray)
    assert answers.dtype.kind == "i"
    assert len(numpy.unique(answers, axis=0)) >= 3
    assert make(name).generate_batch(questions(0), START, 4).shape == (0, 4)


@both_backends
@all_models
@pytest.mark.parametrize("stop_id", [None, 3])
def test_decoders_generate_as_in_the_book(name, stop_id):
    model = make(name)
    stop = {} if stop_id is None else {"stop_id": stop_id}
    ends = {} if model.pad_id is None else {"stop_id": model.pad_id}
    for seed in range(5):
        xs = questions(1, seed=seed)
        expected = model.generate(xs, START, 6, **stop)
        encoded = model.encoder.forward(xs)
        answer = model.decoder.generate(encoded, START, 6, **(ends | stop))
        assert [type(k) for k in answer] == [int] * 6
        assert answer == expected == model.generate(xs, start_id=START, sample_size=6, **stop)


@both_backends
def test_a_model_needs_no_more_of_a_decoder_than_the_book_does():
    """For one question, whatever class it is of: forward, backward and generate."""

    class Decoder:
        def generate(self, h, start_id, sample_size):
            asked.append((h.shape, start_id, sample_size))
            return [4] * sample_size

    model, asked = make("plain"), []
    model.decoder = Decoder()
    assert model.generate(questions(1), START, 3) == [4, 4, 4]
    assert asked == [((1, 4), START, 3)]


@both_backends
def test_generating_leaves_the_weights_of_the_last_step():
    model, xs = make("attention"), questions(1)
    answer = model.generate(xs, START, 5)
    (last,) = model.decoder.attention.attention_weights
    teacher_forced(model, xs, [answer])
    assert last.shape == (1, 4)
    assert_allclose(to_cpu(last), to_cpu(model.decoder.attention.attention_weights[-1]))


@both_backends
@all_models
def test_what_follows_a_stop_id_is_the_stop_id(name):
    model, xs = make(name, V=6), questions(20)
    model.decoder.affine.params[1][5] = -1e9
    free = model.generate_batch(xs, START, 6, stop_id=5)  # never comes
    stopped = model.generate_batch(xs, START, 6, stop_id=3)
    ends = numpy.logical_or.accumulate(free == 3, axis=1)
    assert_array_equal(stopped, numpy.where(ends, 3, free))
    if model.pad_id == 0:
        padded = numpy.logical_or.accumulate(free == 0, axis=1)
        assert_array_equal(model.generate_batch(xs, START, 6), numpy.where(padded, 0, free))


def test_an_answer_may_begin_with_the_id_that_stops_it():
    decoder = chain([[0.1, 0.9], [0.2, 0.8]])
    assert greedy(decoder, 1, 0, 3, stop_id=0).tolist() == [[1, 1, 1]]
    decoder = chain([[0.1, 0.9], [0.8, 0.2]])
    assert greedy(decoder, 1, 0, 4, stop_id=0).tolist() == [[1, 0, 0, 0]]
    assert greedy(decoder, 1, 0, 4).tolist() == [[1, 0, 1, 0]]


@both_backends
@all_models
def test_what_cannot_be_answered_is_refused(name):
    model = make(name)
    who = type(model).__name__
    for N in 0, 2:
        with refused(rf"{who}\.generate: one question at a time, \(1, T\), not \({N}, 4\)"):
            model.generate(questions(N), START, 3)
    for sample_size, batch_size in (0, 10), (-1, 10), (3, 0), (3, -5):
        what = "sample_size" if sample_size < 1 else "batch_size"
        with refused(f"{what} must be at least 1, not {min(sample_size, batch_size)}"):
            model.generate_batch(questions(2), START, sample_size, batch_size=batch_size)
    with refused("greedy: sample_size must be at least 1, not 0"):
        model.decoder.generate(model.encoder.forward(questions(1)), START, 0)
    with refused(r"TimeEmbedding: id 5 is not in 0\.\.4"):
        model.generate(questions(1), 5, 3)
    with refused(r"TimeEmbedding: id 5 is not in 0\.\.4"):
        model.generate(questions(1) * 0 + 5, START, 3)


# --- Beam search ---------------------------------------------------------------------------------


def chain(p):
    """A decoder that knows nothing but the id before:  p[i][j] is the probability of j after i."""
    return stub(lambda ids: numpy.array(p)[ids], len(p))


def stub(p, V):
    """A decoder without a state, from p(ids (N,)) -> probabilities (N, V) of the next ids."""

    def scores(ids):
        return np.asarray(numpy.log(p(ids[:, 0]))[:, None] + 7)  # scores are up to a constant

    return types.SimpleNamespace(scores=scores, select=lambda rows: None, vocab_size=V)


def found(hypotheses):
    return [h.ids for h in hypotheses]


@both_backends
@all_models
def test_a_beam_of_one_is_greedy(name):
    model, xs = make(name), questions(8)
    for stop_id in None, 3:
        greedy_answers = model.generate_batch(xs, START, 5, stop_id=stop_id).tolist()
        beams = model.beam_search(xs, START, 5, 1, stop_id=stop_id)
        assert [found(hypotheses) for hypotheses in beams] == [[a] for a in greedy_answers]


def all_answers(model, xs, V, S, stop_id):
    """Every answer to one question, by falling log p: the sum of its ids' up to the stop_id."""
    answers = {}
    for ids in itertools.product(range(V), repeat=S):
        scores = teacher_forced(model, xs, [ids])[0]
        log_p = scores - numpy.log(numpy.exp(scores).sum(axis=1, keepdims=True))
        end = ids.index(stop_id) + 1 if stop_id in ids else S
        answers[(*ids[:end], *[stop_id] * (S - end))] = sum(log_p[t, ids[t]] for t in range(end))
    return sorted(answers.items(), key=lambda item: -item[1])


@both_backends
@all_models
@pytest.mark.parametrize("stop_id", [None, 2])
def test_a_beam_of_all_answers_ranks_them_all(name, stop_id):
    V, S = 3, 3
    model, xs = make(name, V), questions(1, V=V)
    (hypotheses,) = model.beam_search(xs, START, S, V**S, stop_id=stop_id)
    if stop_id is None:
        stop_id = model.pad_id
    expected = all_answers(model, xs, V, S, stop_id)
    assert len(expected) == (V**S if stop_id is None else 15)  # 1 + 2 + 4 end early, and 8 do not
    assert found(hypotheses) == [list(ids) for ids, _ in expected]
    log_p = [log_p for _, log_p in expected]
    assert_allclose([h.log_p for h in hypotheses], log_p, rtol=0, atol=1e-9)
    assert [h.score for h in hypotheses] == [h.log_p for h in hypotheses]
    assert sum(math.exp(h.log_p) for h in hypotheses) == pytest.approx(1, abs=1e-12)


@all_models
@settings(max_examples=5)
@given(
    st.integers(2, 6),
    st.integers(1, 4),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([0, 0.7, 1]),
)
def test_hypotheses_are_sorted_distinct_and_true(name, width, S, stop_id, length_penalty):
    model, xs = make(name), questions(4)
    beams = model.beam_search(xs, START, S, width, stop_id=stop_id, length_penalty=length_penalty)
    stop_id = model.pad_id if stop_id is None else stop_id
    for n, hypotheses in enumerate(beams):
        assert 1 <= len(hypotheses) <= width
        scores, answers = [h.score for h in hypotheses], found(hypotheses)
        assert scores == sorted(scores, reverse=True)
        assert len(set(map(tuple, answers))) == len(answers)
        for h in hypotheses:
            assert [type(k) for k in h.ids] == [int] * S
            end = h.ids.index(stop_id) + 1 if stop_id in h.ids else S
            assert h.ids[end:] == [stop_id] * (S - end)
            log_p = log_softmax(teacher_forced(model, xs[n : n + 1], [h.ids])[0])
            assert h.log_p == pytest.approx(sum(log_p[t, h.ids[t]] for t in range(end)), abs=1e-9)
            assert h.score == pytest.approx(h.log_p / ((5 + end) / 6) ** length_penalty, abs=1e-12)


@both_backends
@all_models
def test_a_batch_of_questions_is_one_after_the_other(name):
    model, xs = make(name), questions(5)
    together = model.beam_search(xs, START, 4, 3, length_penalty=0.5)
    alone = [model.beam_search(xs[n : n + 1], START, 4, 3, length_penalty=0.5)[0] for n in range(5)]
    assert [found(h) for h in together] == [found(h) for h in alone]
    for a, b in zip(together, alone, strict=True):
        assert_allclose([h.log_p for h in a], [h.log_p for h in b], atol=1e-12)
    assert model.beam_search(xs[:0], START, 4, 3) == []


@all_models
def test_a_wider_beam_is_never_worse_when_it_holds_everything(name):
    model, xs = make(name), questions(6)
    by_width = [[h[0].log_p for h in model.beam_search(xs, START, 3, w)] for w in (1, 4, 125)]
    assert all(a <= c + 1e-12 and b <= c + 1e-12 for a, b, c in zip(*by_width, strict=True))


@both_backends
def test_a_beam_finds_what_greed_walks_past():
    """After 0, 1 has 0.6 but leads to 0.5 at most; 2 has 0.4 and leads to 0.9: 0.30 and 0.36."""
    decoder = chain([[1e-9, 0.6, 0.4], [0.5, 0.3, 0.2], [0.05, 0.05, 0.9]])
    assert greedy(decoder, 1, 0, 2).tolist() == [[1, 0]]
    ((first, second),) = beam_search(decoder, 1, 0, 2, 2)
    assert (first.ids, second.ids) == ([2, 2], [1, 0])
    assert math.exp(first.log_p) == pytest.approx(0.36)
    assert math.exp(second.log_p) == pytest.approx(0.30)


@both_backends
def test_a_length_penalty_prefers_longer_answers():
    """0 stops. [0] has 0.4; [1, 1, 0] has 0.6 * 0.8 * 0.7 = 0.336 in three steps.

    ln 0.4 = -0.916, over (6/6)^a; ln 0.336 = -1.091, over (8/6)^a: -0.818 for a = 1.
    """
    results = []
    for length_penalty in 0.0, 1.0:
        p = iter([[0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])  # one for each step
        decoder = stub(lambda ids, p=p: numpy.array([next(p)] * len(ids)), 2)
        (hypotheses,) = beam_search(decoder, 1, 1, 3, 4, stop_id=0, length_penalty=length_penalty)
        results.append(hypotheses)
    assert found(results[0]) == [[0, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert found(results[1]) == [[1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert [h.score for h in results[1][:2]] == pytest.approx([-0.818, -0.916], abs=5e-4)
    assert [h.log_p for h in results[1][:2]] == pytest.approx([-1.091, -0.916], abs=5e-4)


@both_backends
def test_there_are_no_more_hypotheses_than_answers():
    coin = chain([[0.5, 0.5], [0.5, 0.5]])
    (hypotheses,) = beam_search(coin, 1, 0, 1, 4)
    assert found(hypotheses) == [[0], [1]]
    (hypotheses,) = beam_search(coin, 1, 0, 2, 8, stop_id=1)
    assert found(hypotheses) == [[1, 1], [0, 0], [0, 1]]
    assert hypotheses[0] == Hypothesis([1, 1], *2 * [pytest.approx(math.log(0.5))])


def test_scores_of_any_size_have_a_log_softmax():
    x = numpy.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], "float32")
    assert_allclose(log_softmax(x), [[0, -1e4, -2e4], [-math.log(3)] * 3])
    assert log_softmax(x).dtype == "float64"
    assert x[0, 0] == 1e4


@both_backends
@all_models
def test_searches_that_make_no_sense_are_refused(name):
    model, xs = make(name), questions(2)
    for sample_size, width in (0, 3), (-1, 3), (3, 0), (3, -2):
        with refused(
            f"beam_search: .*beam_width must be at least 1, not .*{min(sample_size, width)}"
        ):
            model.beam_search(xs, START, sample_size, width)
    for batch_size in 0, -5:
        with refused(f"batch_size must be at least 1, not {batch_size}"):
            model.beam_search(xs, START, 3, 2, batch_size=batch_size)
    for penalty in -0.1, math.nan:
        with refused(f"beam_search: length_penalty must not be negative, not {penalty}"):
            model.beam_search(xs, START, 3, 2, length_penalty=penalty)


# --- Refused at the door, and nothing half done --------------------------------------------------


def attempts(model, xs, **how):
    """All ways to an answer, each as a function."""
    yield lambda: model.generate(xs[:1], START, 3, **how)
    yield lambda: model.generate_batch(xs, START, 3, **how)
    yield lambda: model.beam_search(xs, START, 3, 2, **how)


def all_answers_of(model, xs):
    """What a model says, by each way."""
    encoded = model.encoder.forward(xs)
    parts = encoded if isinstance(encoded, tuple) else [encoded]
    return [None if a is None else to_cpu(a).tolist() for a in parts] + [
        answer.tolist() if isinstance(answer, numpy.ndarray) else answer
        for answer in (attempt() for attempt in attempts(model, xs))
    ]


@both_backends
@all_models
@pytest.mark.parametrize("stop_id", [99, 5, -1])
def test_a_stop_id_that_no_answer_can_have_is_refused(name, stop_id):
    model, xs = make(name), questions(3)
    before = all_answers_of(model, xs)
    for attempt in attempts(model, xs, stop_id=stop_id):
        with refused(rf"stop_id: id {stop_id} is not in 0\.\.4"):
            attempt()
    assert all_answers_of(model, xs) == before


@all_models
@pytest.mark.parametrize("pad_id", [99, 5, -1])
def test_a_pad_id_outside_the_vocabulary_makes_no_model(name, pad_id):
    model_class, how = MODELS[name]
    with refused(rf"{model_class.__name__}: pad_id: id {pad_id} is not in 0\.\.4"):
        model_class(5, 3, 4, **how | {"pad_id": pad_id})


@both_backends
@all_models
def test_widths_and_sizes_below_1_are_refused_before_a_question_is_read(name, monkeypatch):
    model, xs = make(name), questions(3)
    before = all_answers_of(model, xs)

    def read(xs):
        raise AssertionError("a question was read")

    with monkeypatch.context() as patch:
        patch.setattr(model.encoder, "forward", read)
        for width in 0, -1:
            with refused(f"beam_search: beam_width must be at least 1, not {width}"):
                model.beam_search(xs, START, 3, width)
        for batch_size in 0, -1:
            with refused(f"batch_size must be at least 1, not {batch_size}"):
                model.generate_batch(xs, START, 3, batch_size=batch_size)
            with refused(f"batch_size must be at least 1, not {batch_size}"):
                model.beam_search(xs, START, 3, 2, batch_size=batch_size)
    assert all_answers_of(model, xs) == before


@both_backends
@all_models
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_model_with_spoilt_weights_gives_no_answer(name, bad):
    model, xs = make(name), questions(3)
    before = all_answers_of(model, xs)
    bias = model.decoder.affine.params[1]
    bias[3] = bad
    for attempt in attempts(model, xs):
        with refused("the model's scores are not finite; check its weights"):
            attempt()
    with refused("the model's scores are not finite"):
        encoded = model.encoder.forward(xs[:1])
        model.decoder.generate(encoded, START, 3)
    bias[3] = 0
    assert all_answers_of(model, xs) == before


@both_backends
@all_models
def test_questions_are_read_once_and_beams_walk_in_batches(name, monkeypatch):
    model, xs = make(name), questions(7)
    expected = model.beam_search(xs, START, 4, 3)
    read, forward = [], model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda xs: read.append(len(xs)) or forward(xs))
    found_in_threes = model.beam_search(xs, START, 4, 3, batch_size=3)
    assert read == [3, 3, 1]
    assert [found(h) for h in found_in_threes] == [found(h) for h in expected]
