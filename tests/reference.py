"""Slow, readable twins of fast code: one obvious step after the other, over one-step layers.

And models in float64, which can be told apart from what is wrong by a little.
"""

import numpy

from common.gradients import distinct
from common.layers import Affine, Embedding, SigmoidWithLoss, SoftmaxWithLoss
from common.negative_sampling import EmbeddingDot
from common.np import np
from common.time_layers import LSTM


class CellByCell:
    """A recurrent layer as T cells in a row, which is how the book introduces it.

    cell_class  RNN, LSTM or GRU; a state is (h,), of an LSTM (h, c)
    mask        (N, T) on the host: state = m * new state + (1 - m) * old state
    dend        the gradients of the last state
    """

    def __init__(self, cell_class, *params):
        self.make = lambda: cell_class(*params)

    def forward(self, xs, *state, mask=None):
        T = xs.shape[1]
        self.cells, hs, self.states = [], [], len(state)
        m = np.ones(xs.shape[:2]) if mask is None else np.asarray(mask.astype(float))
        self.m = [m[:, t, None] for t in range(T)]
        for t, m in enumerate(self.m):
            self.cells.append(self.make())
            new = several(self.cells[-1].forward(xs[:, t], *state))
            state = [m * a + (1 - m) * old for a, old in zip(new, state, strict=True)]
            hs.append(state[0])
        return np.stack(hs, axis=1), *state

    def backward(self, dhs, *dend):
        dstate, dxs = list(dend) or [np.zeros_like(dhs[:, 0])] * self.states, []
        self.grads = [0, 0, 0]
        for t, (m, cell) in reversed(list(enumerate(zip(self.m, self.cells, strict=True)))):
            dstate[0] = dstate[0] + dhs[:, t]
            dx, *dold = cell.backward(*(m * d for d in dstate))
            dstate = [a + (1 - m) * d for a, d in zip(dold, dstate, strict=True)]
            dxs.insert(0, dx)
            self.grads = [total + g for total, g in zip(self.grads, cell.grads, strict=True)]
        return np.stack(dxs, axis=1), *dstate


class MaskedLSTM:
    """An LSTM cell that sees Wh and h_prev through masks."""

    def __init__(self, Wx, Wh, b, Wh_mask, h_mask):
        self.cell = LSTM(Wx, Wh * Wh_mask, b)
        self.Wh_mask, self.h_mask = Wh_mask, h_mask

    def forward(self, x, h_prev, c_prev):
        return self.cell.forward(x, h_prev * self.h_mask, c_prev)

    def backward(self, dh, dc):
        dx, dh_prev, dc_prev = self.cell.backward(dh, dc)
        dWx, dWh, db = self.cell.grads
        self.grads = [dWx, dWh * self.Wh_mask, db]
        return dx, dh_prev * self.h_mask, dc_prev


class TwoDirections:
    """TimeBiLSTM as one row of cells for the sequence, and one for the sequence turned round."""

    def __init__(self, *params):
        self.rows = CellByCell(LSTM, *params[:3]), CellByCell(LSTM, *params[3:])

    def forward(self, xs, *state, mask=None):
        H = state[0].shape[1] // 2
        turned = None if mask is None else mask[:, ::-1]
        hs, *first = self.rows[0].forward(xs, *(a[:, :H] for a in state), mask=mask)
        turned_hs, *second = self.rows[1].forward(
            xs[:, ::-1], *(a[:, H:] for a in state), mask=turned
        )
        return side_by_side(hs, turned_hs[:, ::-1]), *map(side_by_side, first, second)

    def backward(self, dhs, *dend):
        H = dhs.shape[2] // 2
        dxs, *first = self.rows[0].backward(dhs[:, :, :H], *(d[:, :H] for d in dend))
        turned_dxs, *second = self.rows[1].backward(dhs[:, ::-1, H:], *(d[:, H:] for d in dend))
        self.grads = self.rows[0].grads + self.rows[1].grads
        return dxs + turned_dxs[:, ::-1], *map(side_by_side, first, second)


def side_by_side(a, b):
    return np.concatenate([a, b], axis=-1)


def several(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


class StepByStep:
    """T layers of a class, one for each step of (N, T, ...), sharing their parameters."""

    def __init__(self, layer_class, *params):
        self.make = lambda: layer_class(*params)

    def forward(self, xs):
        self.layers = [self.make() for _ in range(xs.shape[1])]
        return np.stack([self.layers[t].forward(xs[:, t]) for t in range(xs.shape[1])], axis=1)

    def backward(self, dys):
        dxs = [layer.backward(dys[:, t]) for t, layer in enumerate(self.layers)]
        self.grads = [sum(gs) for gs in zip(*(layer.grads for layer in self.layers), strict=True)]
        return None if dxs[0] is None else np.stack(dxs, axis=1)


def step_by_step_affine(W, b):
    return StepByStep(Affine, W, b)


def step_by_step_embedding(W):
    return StepByStep(Embedding, W)


class StepByStepSoftmaxWithLoss:
    """The loss of every labelled position by a layer of its own, and their mean."""

    def forward(self, xs, ts):
        self.shape = xs.shape
        self.layers = {}
        losses = []
        for n, t in zip(*numpy.nonzero(ts != -1), strict=True):
            layer = self.layers[int(n), int(t)] = SoftmaxWithLoss()
            losses.append(layer.forward(xs[n : n + 1, t], ts[n : n + 1, t]))
        return sum(losses) / len(losses)

    def backward(self):
        dxs = np.zeros(self.shape)
        for (n, t), layer in self.layers.items():
            dxs[n, t] = layer.backward()[0] / len(self.layers)
        return dxs


class QuestionByQuestion:
    """NegativeSamplingLoss as 1 + k layers, each asking one question; negatives are given."""

    def __init__(self, W, sample_size):
        self.dots = [EmbeddingDot(W) for _ in range(1 + sample_size)]
        self.losses = [SigmoidWithLoss() for _ in self.dots]

    def forward(self, h, target, negatives):
        loss = 0
        for k, (dot, question) in enumerate(zip(self.dots, self.losses, strict=True)):
            ids = target if k == 0 else negatives[:, k - 1]
            right = numpy.full(len(ids), int(k == 0))
            loss += question.forward(dot.forward(h, ids), right)
        return loss

    def backward(self):
        dh = sum(
            dot.backward(question.backward())
            for dot, question in zip(self.dots, self.losses, strict=True)
        )
        self.grads = [sum(dot.grads[0] for dot in self.dots)]
        return dh


def slow_scores(kind, weights, question, ids):
    """What the book's three models answer, for one question, from the list of arrays of a file.

    kind  "plain", "peeky" or "attention"
    -> scores (len(ids), V) of the id after each of ids.  Source: book 7.3, 7.4.2, 8.2.
    """
    E, Wx, Wh, b, E2, Wx2, Wh2, b2, W, bias = (w.astype("float64") for w in weights)
    h = c = numpy.zeros(len(Wh))
    states, scores = [], []
    for k in question:
        h, c = slow_lstm_step(E[k], h, c, Wx, Wh, b)
        states.append(h)
    encoded, c = h, numpy.zeros(len(Wh))
    for k in ids:
        peek = [encoded] if kind == "peeky" else []
        h, c = slow_lstm_step(numpy.concatenate([*peek, E2[k]]), h, c, Wx2, Wh2, b2)
        if kind == "attention":
            e = numpy.exp([state @ h for state in states])
            peek = [sum(weight * state for weight, state in zip(e / e.sum(), states, strict=True))]
        scores.append(numpy.concatenate([*peek, h]) @ W + bias)
    return numpy.array(scores)


def slow_lstm_step(x, h, c, Wx, Wh, b):
    """(6.6) to (6.8) for one sample."""
    f, g, i, o = numpy.split(x @ Wx + h @ Wh + b, 4)
    c = c / (1 + numpy.exp(-f)) + numpy.tanh(g) / (1 + numpy.exp(-i))
    return numpy.tanh(c) / (1 + numpy.exp(-o)), c


def slow_layer_norm(x, gamma, beta, eps=1e-5):
    """One row (D,), number by number."""
    mean = sum(x) / len(x)
    variance = sum((a - mean) ** 2 for a in x) / len(x)
    z = [(a - mean) / (variance + eps) ** 0.5 for a in x]
    return numpy.array([g * a + b for g, a, b in zip(gamma, z, beta, strict=True)])


def slow_multi_head(x, memory, W, b, Wo, bo, num_heads, seen):
    """Multi-head attention of one sample, one head and one step after the other.

    x (S, D), memory (T, D) on the host; seen(s, t) tells whether step s may look at step t
    -> y (S, D), weights (h, S, T)
    """
    S, T, D = len(x), len(memory), x.shape[1]
    d = D // num_heads
    y, weights = numpy.zeros((S, D)), numpy.zeros((num_heads, S, T))
    for head in range(num_heads):
        columns = [slice(block * D + head * d, block * D + (head + 1) * d) for block in range(3)]
        of_q, of_k, of_v = ((W[:, c], b[c]) for c in columns)
        for s in range(S):
            q = x[s] @ of_q[0] + of_q[1]
            looked_at = [t for t in range(T) if seen(s, t)]
            e = {t: numpy.exp(q @ (memory[t] @ of_k[0] + of_k[1]) / d**0.5) for t in looked_at}
            c = numpy.zeros(d)
            for t in looked_at:
                weights[head, s, t] = e[t] / sum(e.values())
                c += weights[head, s, t] * (memory[t] @ of_v[0] + of_v[1])
            y[s] += c @ Wo[head * d : (head + 1) * d]
    return y + bo, weights


def slow_score(name, h, hs, *weights):
    """The score of one state h of a decoder and one state hs of an encoder."""
    if name == "additive":
        W1, W2, v = weights
        return sum(v * numpy.tanh(h @ W1 + hs @ W2))
    if name == "general":
        return h @ weights[0] @ hs
    return sum(h * hs) / (len(h) ** 0.5 if name == "scaled dot" else 1)


def in_float64(model, scale=1.0, seed=0):
    """Fill a model with normal float64 numbers, its biases too -> the model."""
    rng = numpy.random.default_rng(seed)
    for p in model.astype("float64").params:
        p[...] = np.asarray(scale * rng.standard_normal(p.shape))
    return model


def enlarge(model):
    """Make the arrays of a model float64 and ten times as large; a tie stays a tie."""
    for p in distinct(model.astype("float64").params):
        p *= 10


def slow_allocation(usage):
    """Weights of one memory from its usage (R,): each row's own product over the rows before it."""
    u = [1e-6 + (1 - 1e-6) * float(a) for a in usage]
    order = sorted(range(len(u)), key=lambda i: (u[i], i))
    weights = numpy.zeros(len(u))
    for place, i in enumerate(order):
        weights[i] = (1 - u[i]) * numpy.prod([u[j] for j in order[:place]])
    return weights


def slow_links(writes):
    """The links (R, R) and the precedence (R,) of one memory after writes (T, R), cell by cell."""
    R = len(writes[0])
    links, precedence = numpy.zeros((R, R)), numpy.zeros(R)
    for w in writes:
        for i in range(R):
            for j in range(R):
                if i != j:
                    links[i, j] = (1 - w[i] - w[j]) * links[i, j] + w[i] * precedence[j]
        precedence = (1 - sum(w)) * precedence + w
    return links, precedence


def slow_focus(memory, old, key, strength, gate, shift, sharpness):
    """The weights (R,) of one head of an NTM: memory (R, W), old (R,), key (W,), shift (S,)."""
    R, S = len(memory), len(shift)

    def size(a):
        return numpy.sqrt(sum(x * x for x in a) + 1e-6)

    cosine = [sum(row * key) / (size(row) * size(key)) for row in memory]
    content = numpy.exp([strength * c for c in cosine])
    content /= content.sum()
    mixed = [gate * content[i] + (1 - gate) * old[i] for i in range(R)]
    moved = [sum(mixed[(i - m + S // 2) % R] * shift[m] for m in range(S)) for i in range(R)]
    powers = numpy.array([w**sharpness for w in moved])
    return powers / powers.sum()
