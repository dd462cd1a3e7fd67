"""Multi-head attention: its slow twin, masks, the cache, PyTorch's layer; positions."""

import math
import re
from itertools import pairwise

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.multi_head import CrossAttention, SelfAttention
from common.np import np, to_cpu
from common.positions import LearnedPositions, Positions, waves
from tests.reference import slow_multi_head

pytestmark = pytest.mark.usefixtures("backend")

N, S, T, D, HEADS = 2, 4, 5, 6, 3
MASK = numpy.array([[True, True, True, False, False], [False, True, True, True, True]])


def same(a, b, **tolerance):
    numpy.testing.assert_allclose(
        to_cpu(a), to_cpu(b), **{"rtol": 1e-12, "atol": 1e-12} | tolerance
    )


def equal(a, b):
    numpy.testing.assert_array_equal(to_cpu(a), to_cpu(b))


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def weights(r, D=D):
    return r(D, 3 * D), r(3 * D), r(D, D), r(D)


def self_attention(r, **options):
    return SelfAttention(*weights(r), num_heads=HEADS, **options)


def cross_attention(r):
    return CrossAttention(*weights(r), num_heads=HEADS)


# --- The slow twin --------------------------------------------------------------------------------

sizes = st.integers(1, 4)
by_hypothesis = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25
)


def drawn(random):
    rng = numpy.random.default_rng(random.randrange(2**32))
    return rng, lambda *shape: np.asarray(rng.standard_normal(shape))


def some_mask(rng, N, T):
    mask = rng.random((N, T)) < 0.6
    mask[numpy.arange(N), rng.integers(T, size=N)] = True
    return mask


@by_hypothesis
@given(sizes, sizes, sizes, sizes, st.booleans(), st.booleans(), st.randoms())
def test_self_attention_is_its_slow_twin(N, T, heads, d, causal, padded, random):
    rng, r = drawn(random)
    given_weights = weights(r, heads * d)
    layer = SelfAttention(*given_weights, num_heads=heads, causal=causal)
    x, mask = r(N, T, heads * d), some_mask(rng, N, T) if padded else None
    y, on_host = layer.forward(x, mask), [to_cpu(w) for w in given_weights]
    for n in range(N):

        def seen(s, t, n=n):
            real = mask is None or mask[n, t]
            return (t <= s and (real or t == s)) if causal else real

        expected, a = slow_multi_head(to_cpu(x)[n], to_cpu(x)[n], *on_host, heads, seen)
        same(y[n], expected, rtol=1e-9)
        same(layer.attention_weights[n], a, rtol=1e-9)


@by_hypothesis
@given(sizes, sizes, sizes, sizes, sizes, st.booleans(), st.randoms())
def test_cross_attention_is_its_slow_twin(N, S, T, heads, d, padded, random):
    rng, r = drawn(random)
    given_weights = weights(r, heads * d)
    layer = CrossAttention(*given_weights, num_heads=heads)
    x, memory, mask = r(N, S, heads * d), r(N, T, heads * d), some_mask(rng, N, T)
    layer.set_memory(memory, mask if padded else None)
    y, on_host = layer.forward(x), [to_cpu(w) for w in given_weights]
    for n in range(N):
        expected, a = slow_multi_head(
            *(to_cpu(x)[n], to_cpu(memory)[n], *on_host, heads),
            lambda s, t, n=n: not padded or mask[n, t],
        )
        same(y[n], expected, rtol=1e-9)
        same(layer.attention_weights[n], a, rtol=1e-9)


# --- Masks ----------------------------------------------------------------------------------------


def test_later_steps_do_not_influence_earlier_ones(r):
    layer, x = self_attention(r, causal=True), r(N, T, D)
    y = layer.forward(x)
    for t in range(1, T):
        changed = x.copy()
        changed[:, t:] = 10 * r(N, T - t, D)
        equal(layer.forward(changed)[:, :t], y[:, :t])
    equal(np.triu(layer.attention_weights, 1), np.zeros((N, HEADS, T, T)))


def test_gradients_of_earlier_steps_do_not_reach_later_ones(r):
    layer = self_attention(r, causal=True)
    layer.forward(r(N, T, D))
    for t in range(T - 1):
        dy = np.zeros((N, T, D))
        dy[:, : t + 1] = r(N, t + 1, D)
        equal(layer.backward(dy)[:, t + 1 :], np.zeros((N, T - t - 1, D)))


def test_padding_changes_nothing(r):
    layer, x = self_attention(r), r(N, T, D)
    x[~np.asarray(MASK)] = 1e3 * r(1, D)[0]
    y = layer.forward(x, MASK)
    for n in range(N):
        alone = layer.forward(x[n : n + 1][:, np.asarray(MASK[n])])
        same(y[n][np.asarray(MASK[n])], alone[0])


def test_padding_of_the_memory_changes_nothing(r):
    layer, x, memory = cross_attention(r), r(N, S, D), r(N, T, D)
    layer.set_memory(memory, MASK)
    y = layer.forward(x)
    layer.backward(np.ones_like(y))
    equal(layer.dmemory[~np.asarray(MASK)], np.zeros((3, D)))
    for n in range(N):
        layer.set_memory(memory[n : n + 1][:, np.asarray(MASK[n])])
        same(y[n], layer.forward(x[n : n + 1])[0])


def test_large_scores_do_not_overflow(r):
    layer = self_attention(lambda *shape: 1e4 * r(*shape), causal=True)
    with numpy.errstate(over="raise"):
        assert np.isfinite(layer.forward(r(N, T, D))).all()


# --- The cache ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[1] * T, [2, 3], [4, 1], [T]])
def test_parts_one_after_the_other_are_the_whole(r, parts):
    layer, x = self_attention(r, causal=True, stateful=True), r(N, T, D)
    whole = layer.forward(x)
    layer.reset_state()
    ends = numpy.cumsum([0, *parts])
    pieces = [layer.forward(x[:, a:b]) for a, b in pairwise(ends)]
    same(np.concatenate(pieces, axis=1), whole)


def test_selected_rows_go_on(r):
    layer, x, order = self_attention(r, causal=True, stateful=True), r(N, T, D), [1, 1, 0]
    whole = layer.forward(x)
    layer.reset_state()
    layer.forward(x[:, :3])
    layer.select(numpy.array(order))
    same(layer.forward(x[np.asarray(order)][:, 3:]), whole[np.asarray(order)][:, 3:])


def test_selected_rows_look_at_their_memory(r):
    layer, x, order = cross_attention(r), r(N, S, D), [1, 1, 0]
    layer.set_memory(r(N, T, D), MASK)
    y = layer.forward(x)
    layer.select(numpy.array(order))
    same(layer.forward(x[np.asarray(order)]), y[np.asarray(order)])


def test_gradients_do_not_cross_calls(r):
    """dk and dv of the steps before are dropped; the others are those of the whole sequence."""
    layer, x, dy = self_attention(r, causal=True, stateful=True), r(N, T, D), r(N, 2, D)
    layer.forward(x[:, :3])
    layer.forward(x[:, 3:])
    dx = layer.backward(dy)
    whole = SelfAttention(*layer.params, num_heads=HEADS, causal=True)
    whole.forward(x)
    same(dx, whole.backward(np.concatenate([np.zeros((N, 3, D)), dy], axis=1))[:, 3:])


# --- PyTorch --------------------------------------------------------------------------------------

DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])


def close(a, b, tolerance):
    """Within `tolerance` of the largest number."""
    b = b.detach().numpy()
    assert numpy.abs(to_cpu(a) - b).max() <= tolerance * max(1, numpy.abs(b).max())


def torch_twin(torch, layer, dtype):
    W, b, Wo, bo = (torch.as_tensor(to_cpu(p)) for p in layer.params)
    twin = torch.nn.MultiheadAttention(D, HEADS, batch_first=True, dtype=getattr(torch, dtype))
    with torch.no_grad():
        twin.in_proj_weight.copy_(W.T)
        twin.in_proj_bias.copy_(b)
        twin.out_proj.weight.copy_(Wo.T)
        twin.out_proj.bias.copy_(bo)
    return twin


def gradients_agree(layer, twin, tolerance):
    theirs = (twin.in_proj_weight, twin.in_proj_bias, twin.out_proj.weight, twin.out_proj.bias)
    for g, p in zip(layer.grads, theirs, strict=True):
        close(g, p.grad.T, tolerance) if p.ndim == 2 else close(g, p.grad, tolerance)


@DTYPES
@pytest.mark.parametrize("kind", ["plain", "padding", "causal"])
def test_self_attention_is_that_of_pytorch(torch, r, dtype, tolerance, kind):
    layer = self_attention(lambda *s: r(*s).astype(dtype), causal=kind == "causal")
    x, dy = r(N, T, D).astype(dtype), r(N, T, D).astype(dtype)
    mask = MASK if kind == "padding" else None
    y = layer.forward(x, mask)
    twin, x2 = torch_twin(torch, layer, dtype), torch.tensor(to_cpu(x), requires_grad=True)
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if kind == "causal" else None
    y2, a2 = twin(
        *(x2, x2, x2),
        key_padding_mask=None if mask is None else torch.as_tensor(~mask),
        attn_mask=later,
        average_attn_weights=False,
    )
    y2.backward(torch.as_tensor(to_cpu(dy)))
    close(y, y2, tolerance)
    close(layer.attention_weights, a2, tolerance)
    close(layer.backward(dy), x2.grad, tolerance)
    gradients_agree(layer, twin, tolerance)


@DTYPES
def test_cross_attention_is_that_of_pytorch(torch, r, dtype, tolerance):
    layer = cross_attention(lambda *s: r(*s).astype(dtype))
    x, memory, dy = (r(N, steps, D).astype(dtype) for steps in (S, T, S))
    layer.set_memory(memory, MASK)
    y = layer.forward(x)
    twin = torch_twin(torch, layer, dtype)
    x2, memory2 = (torch.tensor(to_cpu(a), requires_grad=True) for a in (x, memory))
    y2, _ = twin(x2, memory2, memory2, key_padding_mask=torch.as_tensor(~MASK))
    y2.backward(torch.as_tensor(to_cpu(dy)))
    close(y, y2, tolerance)
    close(layer.backward(dy), x2.grad, tolerance)
    close(layer.dmemory, memory2.grad, tolerance)
    gradients_agree(layer, twin, tolerance)


# --- What is refused ------------------------------------------------------------------------------


def test_weights_that_do_not_fit_are_refused(r):
    with refused("SelfAttention: the width 6 cannot be divided between 4 heads"):
        SelfAttention(*weights(r), num_heads=4)
    with refused("CrossAttention: the width 6 cannot be divided between 0 heads"):
        CrossAttention(*weights(r), num_heads=0)
    with refused("SelfAttention: weights are (D, 3D), (3D,), (D, D) and (D,), not [(6, 12)"):
        SelfAttention(r(D, 2 * D), r(2 * D), r(D, D), r(D), num_heads=2)
    with refused("SelfAttention: stateful needs causal"):
        self_attention(r, stateful=True)


def test_a_mask_that_hides_everything_is_refused(r):
    nothing = numpy.array([[True] * T, [False] * T])
    for causal in (False, True):
        with refused("SelfAttention: a row of the mask is all padding"):
            self_attention(r, causal=causal).forward(r(N, T, D), nothing)
    layer = cross_attention(r)
    with refused("CrossAttention: a row of the mask is all padding"):
        layer.set_memory(r(N, T, D), nothing)
    assert layer.state == {"kv": None, "mask": None}


def test_a_cache_of_another_batch_size_is_refused_and_stays(r):
    layer = self_attention(r, causal=True, stateful=True)
    layer.forward(r(N, T, D))
    kept = layer.kv
    with refused("SelfAttention: the kept kv is (2, 5, 12), this batch needs (3, 5, 12)"):
        layer.forward(r(3, 1, D))
    assert layer.kv is kept
    layer.reset_state()
    layer.forward(r(3, 1, D))


def test_a_mask_for_a_sequence_that_goes_on_is_refused(r):
    layer = self_attention(r, causal=True, stateful=True)
    layer.forward(r(N, T, D))
    with refused("SelfAttention: a mask is for whole sequences"):
        layer.forward(r(N, T, D), MASK)


def test_a_memory_must_be_there_and_of_the_same_batch(r):
    layer = cross_attention(r)
    with refused("CrossAttention: set_memory comes before forward"):
        layer.forward(r(N, S, D))
    layer.set_memory(r(N, T, D))
    with refused("CrossAttention: the memory is of batch size 2, the input of 3"):
        layer.forward(r(3, S, D))
    with refused("CrossAttention: input must be (N, T, 6) with T > 0, not (2, 4, 5)"):
        layer.forward(r(N, S, 5))


# --- Positions ------------------------------------------------------------------------------------


def test_positions_are_sines_and_cosines():
    """Row 1 of width 4: sin 1, cos 1, sin 0.01, cos 0.01."""
    same(waves(2, 4)[1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)])
    same(waves(2, 4)[0], [0, 1, 0, 1])
    assert waves(3, 5).shape == (3, 5)


def test_a_fixed_distance_is_a_rotation():
    """(sin, cos) of p + 3 is that of p, turned by an angle that does not depend on p."""
    P = waves(50, 8)
    turned = numpy.einsum("pi,pj->pij", P[3:, :2], P[:-3, :2])
    sine = turned[:, 0, 1] - turned[:, 1, 0]
    cosine = turned[:, 0, 0] + turned[:, 1, 1]
    same(sine, numpy.full(47, math.sin(3)))
    same(cosine, numpy.full(47, math.cos(3)))


def made(kind, r, **options):
    return Positions(**options) if kind == "waves" else LearnedPositions(r(9, D), **options)


KINDS = pytest.mark.parametrize("kind", ["waves", "learned"])


@KINDS
def test_counting_goes_on_where_the_last_call_stopped(r, kind):
    layer, x = made(kind, r, stateful=True), r(N, T, D)
    whole = layer.forward(x)
    layer.reset_state()
    equal(np.concatenate([layer.forward(x[:, t : t + 1]) for t in range(T)], axis=1), whole)
    numpy.testing.assert_array_equal(layer.count, [T] * N)


@KINDS
def test_padding_has_no_position(r, kind):
    layer, x = made(kind, r), r(N, T, D)
    y, plain = layer.forward(x, MASK), layer.forward(r(1, T, D) * 0)[0]
    same(y[0, :3] - x[0, :3], plain[:3])
    same(y[1, 1:] - x[1, 1:], plain[:4])


@KINDS
def test_a_count_of_another_batch_size_is_refused(r, kind):
    layer = made(kind, r, stateful=True)
    layer.forward(r(N, T, D))
    with refused("Positions: the kept count is of batch size 2, the input of 3"):
        layer.forward(r(3, 1, D))
    numpy.testing.assert_array_equal(layer.count, [T] * N)


def test_more_steps_than_positions_were_learned_are_refused(r):
    layer = LearnedPositions(r(4, D), stateful=True)
    with refused("LearnedPositions: a sequence of 5 steps is longer than the 4 learned"):
        layer.forward(r(N, 5, D))
    layer.forward(r(N, 3, D))
    with refused("LearnedPositions: a sequence of 5 steps is longer than the 4 learned"):
        layer.forward(r(N, 2, D))
    numpy.testing.assert_array_equal(layer.count, [3] * N)
