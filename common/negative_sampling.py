"""Negative sampling: a few yes-or-no questions in place of a softmax over all words.

N samples, H hidden size, V words, k negatives. W (V, H) holds a row per word. That word w belongs
to h has probability sigmoid(h . W[w]); the right word should get a yes, k words drawn a no.

`EmbeddingDot` is one such question, to be read; `NegativeSamplingLoss` asks all of them at once.
Source: book 4.2; Mikolov et al. 2013, https://arxiv.org/abs/1310.4546.
"""

import math
import sys
from functools import cached_property
from typing import Any

import numpy

from common.checks import checked_ids, floats
from common.functions import sigmoid
from common.layers import Embedding, EmbeddingPart, Layer, SigmoidWithLoss
from common.network import attributes
from common.np import Array, np, to_cpu
from common.rng import Seed, generator

__all__ = ["EmbeddingDot", "NegativeSamplingLoss", "UnigramSampler", "np"]


class EmbeddingDot(Layer):
    """y[n] = h[n] . W[ids[n]].   h (N, H), ids (N,), W (V, H) -> y (N,)

    Backward:  dh[n] = dy[n] * W[ids[n]];  dW collects dy[n] * h[n] in row ids[n].
    Arguments and errors as for `Embedding`; ValueError if h does not fit.  Source: book 4.2.4.
    """

    def __init__(self, W: Array, sparse: bool = False) -> None:
        self.embed = Embedding(W, sparse)
        self.hold(embed=self.embed)

    def forward(self, h: Array, idx: Array) -> Array:
        h = floats(self, h, self.params[0].dtype)
        idx = checked_ids(self, idx, len(self.params[0]))
        check_hidden(self, h, idx)
        self.h, self.rows = h, self.embed.forward(idx)
        self.y_shape = idx.shape
        return (h * self.rows).sum(axis=1)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        dy = dy[:, None]
        self.embed.backward(dy * self.h)
        return dy * self.rows


class UnigramSampler:
    """Draws words that are not the target, frequent ones more often.

    word_p (V,)  P(w)^power / sum of P(v)^power, P being the share of w in the corpus; power 0.75
                 gives rare words somewhat more than their share
    sample_size  k, how many words to draw for a target; no two of them are the same
    vocab_size   V; words that do not occur are never drawn. Without it, the largest id and one more
    rng          seed or Generator; None follows NumPy's global seed
    Works on the host, whichever library computes.
    Raises ValueError if the corpus has no k + 1 different words, or ids outside 0..V-1.
    Source: book 4.2.6, (4.4).
    """

    def __init__(
        self,
        corpus: Array,
        power: float,
        sample_size: int,
        *,
        vocab_size: int | None = None,
        rng: Seed = None,
    ) -> None:
        corpus = checked_ids(self, corpus, sys.maxsize if vocab_size is None else vocab_size)
        if corpus.ndim != 1:
            raise ValueError(f"UnigramSampler: the corpus is (L,), not {corpus.shape}")
        counts = numpy.bincount(corpus, minlength=vocab_size or 0)
        words = numpy.count_nonzero(counts)
        if not 1 <= sample_size < words:
            raise ValueError(
                f"UnigramSampler: sample_size is one of 1..{words - 1}, not {sample_size}, when a "
                f"corpus has {words} different words"
            )
        self.sample_size, self.vocab_size = sample_size, len(counts)
        with numpy.errstate(over="ignore", invalid="ignore"):  # told below
            weight = numpy.where(counts > 0, counts, 1) ** float(power) * (counts > 0)
            total = weight.sum()
        if not 0 < total < math.inf:
            raise ValueError(f"UnigramSampler: with the power {power}, counts are not finite")
        self.word_p = weight / total
        share, self._other = alias_table(self.word_p)
        self._end = numpy.arange(len(share)) + share
        self.rng = generator(rng)

    def get_negative_sample(self, target: Array) -> Array:
        """k words for each target (N,) -> (N, k) on the host, as if drawn without replacement."""
        target = to_cpu(target)
        sample = self._draw((len(target), self.sample_size))
        row = numpy.concatenate([target[:, None], sample], axis=1)
        row.sort(axis=1)
        (repeats,) = (row[:, 1:] == row[:, :-1]).any(axis=1).nonzero()
        if len(repeats):
            again = self._draw((len(repeats), self.sample_size))
            drawn = numpy.concatenate([target[repeats, None], sample[repeats], again], axis=1)
            sample[repeats] = [self._without_repeats(words) for words in drawn.tolist()]
        return sample

    def _draw(self, shape: tuple[int, int]) -> Array:
        """Words with replacement."""
        where = self.rng.random(shape) * self.vocab_size
        word = where.astype(numpy.int64)
        return numpy.where(where < self._end.take(word), word, self._other.take(word))

    def _without_repeats(self, words: list[int]) -> list[int]:
        """The first k different words that are not the target, which is the first of all.

        If these do not suffice, the words that are left with the smallest E / p, where E are
        exponential random numbers: such come out as if drawn one by one without replacement
        (Efraimidis and Spirakis 2006).
        """
        k = self.sample_size
        taken = list(dict.fromkeys(words))[: k + 1]
        if len(taken) <= k:
            p = self.word_p.copy()
            p[taken] = 0
            left = numpy.flatnonzero(p)
            race = numpy.argsort(self.rng.standard_exponential(len(left)) / p[left])
            taken += left[race[: k + 1 - len(taken)]].tolist()
        return taken[1:]


def alias_table(p: Array) -> tuple[Array, Array]:
    """Cut a distribution p (V,) into V equal parts of at most two words each.

    Part w is word w for the share[w] of its width, and word other[w] for the rest, so that drawing
    a word takes one random number and no search.  Source: Walker 1977; Vose 1991.
    """
    share = (p / p.sum() * len(p)).tolist()
    other = list(range(len(p)))
    light = [w for w, s in enumerate(share) if s < 1]
    heavy = [w for w, s in enumerate(share) if s >= 1]
    while light and heavy:
        w, donor = light.pop(), heavy[-1]
        other[w] = donor
        share[donor] -= 1 - share[w]
        if share[donor] < 1:
            light.append(heavy.pop())
    for w in heavy + light:  # what rounding left over is full, or a word that p lacks
        share[w] = 1.0 if p[w] > 0 else 0.0
        other[w] = int(p.argmax())
    return numpy.array(share), numpy.array(other)


class NegativeSamplingLoss(Layer):
    """Does h[n] belong to target[n], and not to k words drawn at random?

    loss = mean over n of  -log sigmoid(h . W[target]) - sum over w drawn of log sigmoid(-h . W[w])

    forward(h (N, H), target (N,)) -> loss, in nats, with fresh negatives each time
    backward(dout=1) -> dh (N, H)
    W (V, H) a row per word;  corpus, power, sample_size: see `UnigramSampler`
    sparse   whether the gradient of W holds only the rows asked about
    Raises ValueError for ids out of range, or if h does not fit.  Source: book 4.2.5, 4.2.7.
    """

    def __init__(
        self,
        W: Array,
        corpus: Array,
        power: float = 0.75,
        sample_size: int = 5,
        *,
        sparse: bool = False,
        rng: Seed = None,
    ) -> None:
        self.embed = Embedding(W, sparse)
        self.hold(embed=self.embed)
        self.sample_size = sample_size
        self.sampler = UnigramSampler(corpus, power, sample_size, vocab_size=len(W), rng=rng)

    @property
    def rng(self) -> numpy.random.Generator:
        """What the negatives are drawn from."""
        return self.sampler.rng

    @rng.setter
    def rng(self, rng: numpy.random.Generator) -> None:
        self.sampler.rng = rng

    @cached_property
    def embed_dot_layers(self) -> list[EmbeddingDot]:
        """The book's 1 + k questions, that about the target first; they are parts of `embed`."""
        return with_parts([EmbeddingDot(*self.params) for _ in range(1 + self.sample_size)], self)

    @cached_property
    def loss_layers(self) -> list[SigmoidWithLoss]:
        """The book's losses of these questions: label 1 for the first, 0 for the others."""
        return [SigmoidWithLoss() for _ in range(1 + self.sample_size)]

    def forward(self, h: Array, target: Array) -> Array:
        h = floats(self, h, self.params[0].dtype)
        target = checked_ids(self, target, self.sampler.vocab_size)
        check_hidden(self, h, target)
        negatives = self.sampler.get_negative_sample(target)
        rows = self.embed.forward(numpy.concatenate([target[:, None], negatives], axis=1))
        self.h, self.rows = h, rows
        self.scores = np.matmul(rows, h[:, :, None])[:, :, 0]  # (N, 1 + k), the target's first
        wrong = self.scores.copy()
        wrong[:, 0] *= -1  # -log sigmoid(x) = log(1 + exp(-x)), and the answer should be yes here
        self.y_shape = ()
        return np.logaddexp(0, wrong).sum() / len(h)

    def backward(self, dout: float = 1) -> Array:
        factor = self._loss_factor(dout) / len(self.h)
        dscores = sigmoid(self.scores)
        dscores[:, 0] -= 1
        dscores *= factor
        self.embed.collect(self.h, dscores)
        return np.matmul(dscores[:, None], self.rows)[:, 0]


def with_parts(layers: list[Any], whole: Any) -> list[Any]:
    """Layers whose embeddings become parts of the embedding of the layer `whole`."""
    parts: list[Any] = []
    for layer in layers:
        for name in "embed_dot_layers", "loss_layers":
            attributes(layer).pop(name, None)  # those of the layer that it is a copy of
        layer.embed = EmbeddingPart(whole.embed, parts)
        layer.hold(embed=layer.embed)
    return layers


def check_hidden(layer: Layer, h: Array, ids: Array) -> None:
    """Refuse an h that is not (N, H) for N ids and rows of W that are (H,)."""
    H = layer.params[0].shape[1]
    if ids.ndim != 1 or h.shape != (len(ids), H) or not len(ids):
        raise ValueError(
            f"{type(layer).__name__}: h has shape {h.shape} and ids {ids.shape}; h (N, {H}) and "
            "ids (N,) are needed"
        )
