"""The Transformer: gradients, causality, padding, the cache, answers, PyTorch's blocks."""

import re
from functools import partial

import numpy
import pytest

from ch07.seq2seq import Encoded
from ch08.transformer import Block, Transformer
from common.base_model import load_model
from common.gradient_check import check_gradients
from common.network import evaluating
from common.np import np, to_cpu
from tests.reference import in_float64

V, D, F, HEADS, N, T, L, PAD = 11, 8, 12, 2, 3, 6, 5, 0
KINDS = {
    "norm first": {},
    "norm behind": {"norm_first": False, "activation": "gelu"},
    "two blocks, learned positions": {"num_layers": 2, "max_length": 12},
    "label smoothing": {"label_smoothing": 0.1},
}
of_each_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


def made(scale=0.5, **options):
    return in_float64(Transformer(V, D, F, num_heads=HEADS, rng=0, **options), scale)


def questions(N=N, T=T, seed=0):
    return numpy.random.default_rng(seed).integers(1, V, (N, T))


def answers(N=N, L=L):
    return questions(N, L, seed=1)


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(to_cpu(a), to_cpu(b), **{"rtol": 0, "atol": 1e-12} | tolerance)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


# --- Gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_agree_with_differences(options):
    model = in_float64(Transformer(5, 4, 3, num_heads=2, pad_id=PAD, rng=0, **options), scale=0.7)
    xs, ts = numpy.array([[1, 2, 3, 0], [0, 4, 1, 2]]), numpy.array([[1, 2, 3], [4, 1, 0]])
    check_gradients(model, xs, ts, verbose=False)


def test_the_embedding_is_one_for_questions_and_answers():
    model = made()
    first, second = (part.stack.embed.params[0] for part in (model.encoder, model.decoder))
    assert first is second


# --- Causality, padding, the cache ----------------------------------------------------------------


@of_each_kind
def test_later_targets_do_not_influence_earlier_outputs(options, backend):
    model, xs, ts = made(**options), questions(), answers()
    scores = to_cpu(model.decoder.forward(ts, model.encoder.forward(xs)))
    for t in range(1, L):
        changed = ts.copy()
        changed[:, t:] = questions(N, L - t, seed=2)
        other = to_cpu(model.decoder.forward(changed, model.encoder.forward(xs)))
        numpy.testing.assert_array_equal(other[:, :t], scores[:, :t])


@of_each_kind
@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("behind", [0, 2])
def test_padding_of_any_length_changes_nothing(options, before, behind):
    model, xs, ts = made(pad_id=PAD, **options), questions(), answers()
    padded = numpy.pad(xs, ((0, 0), (before, behind)))
    scores = model.decoder.forward(ts, model.encoder.forward(xs))
    same(model.decoder.forward(ts, model.encoder.forward(padded)), scores)
    for how in (model.generate_batch, partial(model.beam_search, beam_width=3)):
        found, expected = (how(x, 1, L) for x in (padded, xs))
        assert str(ids_of(found)) == str(ids_of(expected))


def ids_of(answers):
    if isinstance(answers, list):
        return [[hypothesis.ids for hypothesis in found] for found in answers]
    return answers.tolist()


@of_each_kind
def test_steps_with_the_cache_are_one_pass(options, backend):
    model, xs, ts = made(**options), questions(), answers()
    encoded = model.encoder.forward(xs)
    whole = to_cpu(model.decoder.forward(ts, encoded))
    model.decoder.start(encoded)
    steps = [to_cpu(model.decoder.scores(ts[:, t : t + 1])) for t in range(L)]
    same(numpy.concatenate(steps, axis=1), whole)


def slow_greedy(model, xs, sample_size):
    """Each answer alone, and read anew from its beginning for every id."""
    found = []
    for x in xs:
        ids = [1]
        for _ in range(sample_size):
            encoded = model.encoder.forward(x[None])
            scores = to_cpu(model.decoder.forward(numpy.array([ids]), encoded))
            ids.append(int(scores[0, -1].argmax()))
        found.append(ids[1:])
    return found


def slow_beam_search(model, x, sample_size, B):
    """The best B answers by their probability, hypothesis after hypothesis, without a cache."""
    beam = [([], 0.0)]
    for _ in range(sample_size):
        longer = []
        for ids, log_p in beam:
            encoded = model.encoder.forward(x[None])
            scores = to_cpu(model.decoder.forward(numpy.array([[1, *ids]]), encoded))[0, -1]
            following = scores - numpy.log(numpy.exp(scores).sum())
            longer += [([*ids, k], log_p + following[k]) for k in range(V)]
        beam = sorted(longer, key=lambda found: -found[1])[:B]
    return beam


@of_each_kind
def test_answers_are_those_of_the_slow_way(options, backend):
    model, xs = made(**options), questions()
    with evaluating(model):
        expected = slow_greedy(model, xs, L)
    assert model.generate_batch(xs, 1, L).tolist() == expected
    assert [model.generate(x[None], 1, L) for x in xs] == expected


def test_beams_are_those_of_the_slow_way(backend):
    model, xs = made(), questions()
    found = model.beam_search(xs, 1, 3, 4)
    for x, beam in zip(xs, found, strict=True):
        expected = slow_beam_search(model, x, 3, 4)
        assert [h.ids for h in beam] == [ids for ids, _ in expected]
        numpy.testing.assert_allclose([h.log_p for h in beam], [p for _, p in expected])


def test_selected_answers_go_on(backend):
    model, xs, ts, rows = made(pad_id=PAD), questions(), answers(), numpy.array([2, 0, 0, 1])
    whole = to_cpu(model.decoder.forward(ts, model.encoder.forward(xs)))
    model.decoder.start(model.encoder.forward(xs))
    model.decoder.scores(ts[:, :2])
    model.decoder.select(rows)
    same(model.decoder.scores(ts[rows, 2:]), whole[rows, 2:])


# --- Dropout, files -------------------------------------------------------------------------------


def test_dropout_acts_in_training_only():
    model, plain = made(dropout_ratio=0.4), made()
    xs, ts = questions(), answers()
    losses = {float(model.forward(xs, ts)) for _ in range(3)}
    assert len(losses) == 3
    with evaluating(model):
        assert float(model.forward(xs, ts)) == float(plain.forward(xs, ts))


def test_a_weight_file_builds_the_model_again(folder):
    options = {"num_layers": 2, "norm_first": False, "activation": "gelu", "max_length": 9}
    model = Transformer(V, D, F, num_heads=4, pad_id=PAD, rng=0, **options)
    model.save_params("w.npz")
    again = load_model("w.npz")
    assert again.settings == model.settings
    xs, ts = questions(), answers()
    assert float(again.forward(xs, ts)) == float(model.forward(xs, ts))


def test_weights_with_another_number_of_heads_or_layers_are_refused(folder):
    model = Transformer(V, D, F, num_heads=2, rng=0)
    model.save_params("w.npz")
    for options in ({"num_heads": 4}, {"num_heads": 2, "num_layers": 2}):
        other = Transformer(V, D, F, rng=1, **options)
        before = [p.copy() for p in other.params]
        with pytest.raises(ValueError, match=r"^Transformer\.load_params: w\.npz"):
            other.load_params("w.npz")
        for a, b in zip(before, other.params, strict=True):
            numpy.testing.assert_array_equal(a, b)


# --- What is refused ------------------------------------------------------------------------------


def test_settings_that_do_not_fit_are_refused():
    with refused("SelfAttention: the width 8 cannot be divided between 3 heads"):
        Transformer(V, D, F, num_heads=3)
    with refused("Stack: num_layers must be at least 1, not 0"):
        Transformer(V, D, F, num_layers=0)
    with refused("Block: activation is one of relu, gelu, not 'swish'"):
        Transformer(V, D, F, activation="swish")
    with refused("Transformer: label_smoothing is at least 0 and below 1, not 1"):
        Transformer(V, D, F, label_smoothing=1)
    with refused("TimeDropout: dropout_ratio is at least 0 and below 1, not 1"):
        Transformer(V, D, F, dropout_ratio=1)


def test_a_sequence_longer_than_the_learned_positions_is_refused():
    model = made(max_length=5)
    with refused("LearnedPositions: a sequence of 6 steps is longer than the 5 learned"):
        model.forward(questions(), answers())
    with refused("LearnedPositions: a sequence of 6 steps is longer than the 5 learned"):
        model.generate_batch(questions(T=5), 1, 6)


def test_a_question_of_nothing_but_padding_is_refused():
    model, xs = made(pad_id=PAD), questions()
    xs[1] = PAD
    with refused("Encoder: a question is all padding, id 0"):
        model.forward(xs, answers())


def test_answers_to_another_number_of_questions_are_refused():
    model = made()
    encoded = model.encoder.forward(questions())
    with refused("CrossAttention: the memory is of batch size 3, the input of 2"):
        model.decoder.forward(answers(N=2), encoded)
    model.decoder.forward(answers(), encoded)
    with refused("Positions: the kept count is of batch size 3, the input of 2"):
        model.decoder.scores(answers(N=2))


# --- PyTorch --------------------------------------------------------------------------------------


def copy_linear(torch, theirs, ours):
    W, b = ours.params
    theirs.weight.copy_(torch.as_tensor(to_cpu(W)).T)
    theirs.bias.copy_(torch.as_tensor(to_cpu(b)))


def pairs_of(block, twin):
    """(ours, theirs) of all parameters of a block and its twin; matrices are transposed."""
    attentions = [(block.attention, twin.self_attn)]
    if block.cross is not None:
        attentions.append((block.cross, twin.multihead_attn))
    for ours, theirs in attentions:
        others = (theirs.in_proj_weight, theirs.in_proj_bias)
        yield from zip(
            ours.params, ours.grads, [*others, *theirs.out_proj.parameters()], strict=True
        )
    first, _, second = block.layers[-1].f.layers
    layers = [(first, twin.linear1), (second, twin.linear2)]
    norms = [twin.norm1, twin.norm2, *([twin.norm3] if block.cross is not None else [])]
    layers += [(sub.norm, norm) for sub, norm in zip(block.layers, norms, strict=True)]
    for ours, theirs in layers:
        yield from zip(ours.params, ours.grads, theirs.parameters(), strict=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("decoder", [False, True])
def test_a_block_is_that_of_pytorch(torch, dtype, tolerance, norm_first, decoder):
    block = Block(D, F, HEADS, causal=decoder, memory=decoder, norm_first=norm_first, rng=0)
    block = in_float64(block, 0.5).astype(dtype)
    layer = torch.nn.TransformerDecoderLayer if decoder else torch.nn.TransformerEncoderLayer
    kind = {"batch_first": True, "norm_first": norm_first, "dtype": getattr(torch, dtype)}
    twin = layer(D, HEADS, F, 0.0, **kind)
    with torch.no_grad():
        for p, _, q in pairs_of(block, twin):
            q.copy_(torch.as_tensor(p.T.copy()))
    rng = numpy.random.default_rng(0)
    x, memory, dy = (rng.standard_normal((N, steps, D)).astype(dtype) for steps in (L, T, L))
    x2, memory2 = (torch.tensor(a, requires_grad=True) for a in (x, memory))
    if decoder:
        block.cross.set_memory(memory)
        later = torch.ones(L, L, dtype=torch.bool).triu(1)
        y, y2 = block.forward(x), twin(x2, memory2, tgt_mask=later)
    else:
        y, y2 = block.forward(x), twin(x2)
    y2.backward(torch.as_tensor(dy))
    found = [(y, y2.detach()), (block.backward(dy), x2.grad)]
    found += [(block.cross.dmemory, memory2.grad)] if decoder else []
    found += [(g.T, q.grad) for _, g, q in pairs_of(block, twin)]
    for ours, theirs in found:
        same(ours, theirs.numpy(), atol=tolerance * max(1, float(theirs.abs().max())))


def test_encoded_has_no_last_state():
    encoded = made(pad_id=PAD).encoder.forward(questions())
    assert isinstance(encoded, Encoded)
    assert encoded.h is None
    assert encoded.hs.shape == (N, T, D)
    assert np.ndim(encoded.mask) == 2
