"""Worked numbers, twins and masks of the attention layers."""

import math
import re
from functools import partial

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ch08.attention_layer
import common.attention
from common.attention import (
    AdditiveScore,
    Attention,
    AttentionWeight,
    DotScore,
    GeneralScore,
    ScaledDotScore,
    TimeAttention,
    WeightSum,
)
from common.np import np, to_cpu
from tests.reference import slow_score

pytestmark = pytest.mark.usefixtures("backend")

N, T, S, H = 2, 4, 3, 5
MASK = numpy.array([[False, True, True, False], [True, True, True, True]])


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(
        to_cpu(a), to_cpu(b), **{"rtol": 1e-12, "atol": 1e-12} | tolerance
    )


def all_same(found, expected, **tolerance):
    for a, b in zip(found, expected, strict=True):
        same(a, b, **tolerance)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


# --- Worked numbers ------------------------------------------------------------------------------


def test_a_weighted_sum_is_repeat_multiply_and_sum(r):
    """The first example of 8.1.3: five states of four numbers, weights 0.8, 0.1, ..."""
    hs, a = r(5, 4), np.array([0.8, 0.1, 0.03, 0.05, 0.02])
    repeated = a.reshape(5, 1).repeat(4, axis=1)
    product = hs * repeated
    assert repeated.shape == product.shape == (5, 4)
    c = product.sum(axis=0)
    same(WeightSum().forward(hs[None], a[None])[0], c)
    same(a @ hs, c)
    by_hand = [0.8 * hs[0, k] + 0.1 * hs[1, k] + 0.03 * hs[2, k] + 0.05 * hs[3, k] for k in (0, 3)]
    all_same([c[0] - 0.02 * hs[4, 0], c[3] - 0.02 * hs[4, 3]], by_hand)


def test_batches_are_weighted_and_scored_as_in_the_book(r):
    """The examples of 8.1.3 and 8.1.4 for ten samples, by repetition."""
    hs, a, h = r(10, 5, 4), r(10, 5), r(10, 4)
    product = hs * a.reshape(10, 5, 1).repeat(4, axis=2)
    assert product.shape == (10, 5, 4)
    same(WeightSum().forward(hs, a), product.sum(axis=1))
    scores = (hs * h.reshape(10, 1, 4).repeat(5, axis=1)).sum(axis=2)
    assert scores.shape == (10, 5)
    e = np.exp(scores)
    same(AttentionWeight().forward(hs, h), e / e.sum(axis=1, keepdims=True))


def test_repeat_and_sum_change_one_axis(r):
    x = r(2, 3, 4)
    assert x.repeat(3, axis=1).shape == (2, 9, 4)
    assert x.sum(axis=1).shape == (2, 4)


def test_scores_are_inner_products():
    """(8.1): a . b = 1 * 4 + 2 * 5 + 3 * 6 = 32; the other state has 0, so a is 1 / (1 + e^-32)."""
    hs, h = np.array([[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]]), np.array([[4.0, 5.0, 6.0]])
    a = to_cpu(AttentionWeight().forward(hs, h))
    assert math.log(a[0, 0] / a[0, 1]) == pytest.approx(32, abs=1e-12)


def test_attention_has_the_hand_worked_values():
    """s = (1, 0, 1), so a = (e, 1, e) / (2e + 1), and c = (2e, e + 1) / (2e + 1)."""
    hs, h = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]), np.array([[1.0, 0.0]])
    layer = Attention()
    same(layer.forward(hs, h)[0], np.array([0.8446, 0.5777]), rtol=0, atol=5e-5)
    same(layer.attention_weight[0], np.array([0.4223, 0.1554, 0.4223]), rtol=0, atol=5e-5)


def test_equal_states_get_equal_weights(r):
    hs = np.concatenate([r(N, 1, H)] * T, axis=1)
    same(AttentionWeight().forward(hs, r(N, H)), np.full((N, T), 1 / T))
    layer = TimeAttention()
    same(layer.forward(hs, r(N, S, H)), hs[:, :S])
    all_same(layer.attention_weights, [np.full((N, T), 1 / T)] * S)


def test_a_single_weight_picks_a_state(r):
    hs = r(N, T, H)
    for t in range(T):
        a = np.zeros((N, T))
        a[:, t] = 1
        numpy.testing.assert_array_equal(to_cpu(WeightSum().forward(hs, a)), to_cpu(hs[:, t]))


def test_large_scores_do_not_overflow():
    hs, h = np.array([[[1e3], [-1e3], [0.0]]]), np.array([[1e3]])
    same(AttentionWeight().forward(hs, h)[0], np.array([1.0, 0.0, 0.0]))


# --- One step and all steps ----------------------------------------------------------------------


def step_by_step(hs_enc, hs_dec, mask, dcs):
    """S layers `Attention` -> contexts, weights, and the two gradients."""
    layers = [Attention() for _ in range(hs_dec.shape[1])]
    cs = [layer.forward(hs_enc, hs_dec[:, s], mask) for s, layer in enumerate(layers)]
    grads = [layer.backward(dcs[:, s]) for s, layer in enumerate(layers)]
    dhs_enc, dhs_dec = zip(*grads, strict=True)
    weights = [layer.attention_weight for layer in layers]
    return np.stack(cs, axis=1), weights, sum(dhs_enc), np.stack(dhs_dec, axis=1)


sizes = st.integers(1, 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(sizes, sizes, sizes, sizes, st.booleans(), st.randoms(use_true_random=False))
def test_time_attention_is_attention_step_by_step(N, T, S, H, padded, random):
    rng = numpy.random.default_rng(random.randrange(2**32))

    def r(*shape):
        return np.asarray(rng.standard_normal(shape))

    mask = None
    if padded:
        mask = rng.random((N, T)) < 0.5
        mask[numpy.arange(N), rng.integers(T, size=N)] = True
    hs_enc, hs_dec, dcs, fast = r(N, T, H), r(N, S, H), r(N, S, H), TimeAttention()
    cs, weights, dhs_enc, dhs_dec = step_by_step(hs_enc, hs_dec, mask, dcs)
    same(fast.forward(hs_enc, hs_dec, mask), cs)
    assert isinstance(fast.attention_weights, list)
    all_same(fast.attention_weights, weights)
    all_same(fast.backward(dcs), [dhs_enc, dhs_dec])


def test_the_weights_are_one_array_for_each_step_and_their_rows_sum_to_one(r):
    layer = TimeAttention()
    layer.forward(r(N, T, H), r(N, S, H))
    assert [a.shape for a in layer.attention_weights] == [(N, T)] * S
    all_same([a.sum(axis=1) for a in layer.attention_weights], [np.ones(N)] * S)


def test_attention_layers_have_no_parameters():
    for cls in WeightSum, AttentionWeight, Attention, TimeAttention:
        assert cls().params == cls().grads == []


# --- PyTorch -------------------------------------------------------------------------------------


def by_products(torch, hs_enc, hs_dec, mask):
    scores = torch.bmm(hs_dec, hs_enc.transpose(1, 2))
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -math.inf)
    return torch.bmm(torch.softmax(scores, dim=2), hs_enc)


def by_one_call(torch, hs_enc, hs_dec, mask):
    """Attention with the queries hs_dec, and hs_enc as both keys and values, unscaled."""
    return torch.nn.functional.scaled_dot_product_attention(
        *(hs_dec, hs_enc, hs_enc),
        attn_mask=None if mask is None else mask[:, None].expand(-1, hs_dec.shape[1], -1),
        scale=1,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("mask", [None, MASK], ids=["", "padding"])
@pytest.mark.parametrize("in_torch", [by_products, by_one_call])
def test_time_attention_agrees_with_torch(torch, r, in_torch, mask, dtype, tolerance):
    arrays = hs_enc, hs_dec, dcs = [
        r(*shape).astype(dtype) for shape in [(N, T, H), (N, S, H), (N, S, H)]
    ]
    leaves = [torch.tensor(to_cpu(a), requires_grad=True) for a in arrays]
    cs = in_torch(torch, *leaves[:2], None if mask is None else torch.tensor(mask))
    cs.backward(leaves[2].detach())
    layer, within = TimeAttention(), {"rtol": tolerance, "atol": tolerance}
    same(layer.forward(hs_enc, hs_dec, mask), cs.detach(), **within)
    all_same(layer.backward(dcs), [a.grad for a in leaves[:2]], **within)


# --- Masks ---------------------------------------------------------------------------------------


def test_padding_gets_no_weight_and_no_gradient(r):
    hs_enc, layer = r(N, T, H), TimeAttention()
    layer.forward(hs_enc, r(N, S, H), MASK)
    for a in layer.attention_weights:
        numpy.testing.assert_array_equal(to_cpu(a) > 0, MASK)
        same(a.sum(axis=1), np.ones(N))
    dhs_enc, _ = layer.backward(r(N, S, H))
    numpy.testing.assert_array_equal((to_cpu(dhs_enc) != 0).any(axis=2), MASK)


def test_a_mask_is_the_same_as_leaving_padding_out(r):
    hs_enc, hs_dec, dcs = r(N, T, H), r(N, S, H), r(N, S, H)
    masked = TimeAttention()
    cs = masked.forward(hs_enc, hs_dec, MASK)
    grads = masked.backward(dcs)
    for n, real in enumerate((slice(1, 3), slice(None))):
        row, alone = slice(n, n + 1), TimeAttention()
        same(cs[row], alone.forward(hs_enc[row, real], hs_dec[row]))
        all_same([grads[0][row, real], grads[1][row]], alone.backward(dcs[row]))


def test_a_mask_without_padding_is_no_mask(r):
    hs_enc, h, everything = r(N, T, H), r(N, H), numpy.ones((N, T), bool)
    for layer, state in (AttentionWeight(), h), (Attention(), h), (TimeAttention(), h[:, None]):
        same(layer.forward(hs_enc, state, everything), layer.forward(hs_enc, state), atol=0)


# --- Bad input -----------------------------------------------------------------------------------


def test_states_that_do_not_fit_are_refused(r):
    sum_of, weight, attention, time = WeightSum(), AttentionWeight(), Attention(), TimeAttention()
    for layer, hs, other in [
        *(
            (sum_of, hs, a)
            for hs, a in [((2, 3, 4), (2, 4)), ((2, 3, 4), (1, 3)), ((2, 3), (2, 3))]
        ),
        *((sum_of, hs, a) for hs, a in [((2, 3, 4), (2, 3, 1)), ((2, 3, 4), (3,))]),
        *(
            (weight, hs, h)
            for hs, h in [((2, 3, 4), (2, 3)), ((2, 3, 4), (1, 4)), ((2, 4), (2, 4))]
        ),
        *((attention, hs, h) for hs, h in [((2, 3, 4), (2, 5)), ((2, 3, 4), (2, 1, 4))]),
        *((time, hs, dec) for hs, dec in [((2, 3, 4), (2, 5, 3)), ((2, 3, 4), (1, 5, 4))]),
        *((time, hs, dec) for hs, dec in [((2, 3, 4), (2, 4)), ((2, 4), (2, 5, 4)), ((4,), (4,))]),
    ]:
        who = "AttentionWeight" if layer is attention else type(layer).__name__
        message = rf"^({who}|DotScore): states are \(N, T, H\) and "
        with pytest.raises(ValueError, match=message) as error:
            layer.forward(r(*hs), r(*other))
        assert str(hs) in str(error.value)
        as_steps = str((other[0], 1, *other[1:]))  # the score is asked for one step of several
        assert str(other) in str(error.value) or as_steps in str(error.value)


def test_masks_that_do_not_fit_are_refused(r):
    for who, layer, state in [
        ("AttentionWeight", AttentionWeight(), r(N, H)),
        ("AttentionWeight", Attention(), r(N, H)),
        ("TimeAttention", TimeAttention(), r(N, S, H)),
    ]:
        forward = partial(layer.forward, r(N, T, H), state)
        for shape in (1, T), (N, T + 1), (T,), (N, 1, T):
            with refused(f"{who}: the mask is {shape} where (2, 4) is needed"):
                forward(numpy.ones(shape, bool))
        with refused(f"{who}: a row of the mask is all padding"):
            forward(numpy.arange(N)[:, None] == numpy.zeros(T))


def test_the_layers_of_the_book_are_those_of_the_library():
    for name in "WeightSum", "AttentionWeight", "Attention", "TimeAttention":
        assert getattr(ch08.attention_layer, name) is getattr(common.attention, name)


# --- Scores ---------------------------------------------------------------------------------------

SCORES = {
    "dot": lambda r: DotScore(),
    "scaled dot": lambda r: ScaledDotScore(),
    "general": lambda r: GeneralScore(r(H, H)),
    "additive": lambda r: AdditiveScore(r(H, 3), r(H, 3), r(3)),
}
by_score = pytest.mark.parametrize("name", SCORES)


@by_score
def test_scores_are_those_of_each_pair_of_states(r, name):
    score, hs_enc, hs_dec = SCORES[name](r), r(N, T, H), r(N, S, H)
    found, on_host = to_cpu(score.forward(hs_enc, hs_dec)), [*map(to_cpu, score.params)]
    for n, s, t in numpy.ndindex(N, S, T):
        expected = slow_score(name, to_cpu(hs_dec)[n, s], to_cpu(hs_enc)[n, t], *on_host)
        assert found[n, s, t] == pytest.approx(expected, rel=1e-10)


@by_score
def test_all_steps_at_once_are_one_step_after_the_other_with_any_score(r, name):
    score, hs_enc, hs_dec, dcs = SCORES[name](r), r(N, T, H), r(N, S, H), r(N, S, H)
    layer = TimeAttention(score=score)
    cs, (dhs_enc, dhs_dec) = layer.forward(hs_enc, hs_dec, MASK), layer.backward(dcs)
    grads = [g.copy() for g in layer.grads]
    one, sums = Attention(score=score), [np.zeros((N, T, H)), *(0 * g for g in grads)]
    for s in range(S):
        same(one.forward(hs_enc, hs_dec[:, s], MASK), cs[:, s])
        same(one.attention_weight, layer.attention_weights[s])
        d_enc, d_dec = one.backward(dcs[:, s])
        same(d_dec, dhs_dec[:, s])
        sums = [a + d for a, d in zip(sums, [d_enc, *one.grads], strict=True)]
    all_same([dhs_enc, *grads], sums)


def test_a_general_score_of_the_unit_matrix_is_the_dot_product(r):
    hs_enc, hs_dec = r(N, T, H), r(N, S, H)
    dot = DotScore().forward(hs_enc, hs_dec)
    same(GeneralScore(np.eye(H)).forward(hs_enc, hs_dec), dot)
    same(ScaledDotScore().forward(hs_enc, hs_dec), dot / math.sqrt(H))


def test_scores_that_do_not_fit_are_refused(r):
    with refused("GeneralScore: W is (H_dec, H_enc), not (5,)"):
        GeneralScore(r(5))
    with refused("AdditiveScore: weights are (H_dec, A), (H_enc, A) and (A,), not (5, 3), (5, 2)"):
        AdditiveScore(r(5, 3), r(5, 2), r(3))
    for score in SCORES.values():
        layer = score(r)
        title = type(layer).__name__
        with refused(f"{title}: states are (N, T, H) and (N, S, H), not (2, 4, 4) and (2, 3, 5)"):
            layer.forward(r(N, T, 4), r(N, S, H))
        with refused(f"{title}: states are (N, T, H) and (N, S, H), not (2, 4, 5) and (3, 3, 5)"):
            layer.forward(r(N, T, H), r(3, S, H))
