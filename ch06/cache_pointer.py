"""The continuous cache: any language model here, with a memory of the words it has just read.

A model forgets that a text is about Zimbabwe; a reader expects the word to come again. The cache
keeps what the model's last layer was given, h_i, together with the word that followed, x_(i+1).
Words that followed in situations like the present h_t become more likely:

    cache(w)  ~  sum over the last K steps i < t, where x_(i+1) = w, of exp(theta * h_t . h_i)
    p(w)      =  (1 - mix) * softmax(scores)[w] + mix * cache(w)

theta says how much likeness counts (0: words count by how often they came), mix how much the cache
is trusted. Nothing is learned and the model stays as it is; theta and mix are chosen on a text that
is not the test text.  L words, T steps of a block, K cache size, D numbers in h, V vocabulary.
Source: Grave, Joulin and Usunier 2016, https://arxiv.org/abs/1612.04426; book, figure 6-37.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from common.checks import checked_ids, text_on_host
from common.evaluate import progress_bar
from common.functions import perplexity
from common.layers import Affine
from common.np import Array, np, to_cpu

__all__ = ["eval_perplexity_with_cache", "log_probabilities", "tune_cache"]


def eval_perplexity_with_cache(
    model: Any,
    corpus: Array,
    cache_size: int = 500,
    *,
    theta: float,
    mix: float,
    time_size: int = 35,
    progress: bool = True,
) -> float:
    """exp of the mean of -log p, in nats per word, over all words of a text but the first.

    corpus (L,)  ids, read as one row from beginning to end
    cache_size   K, how many of the last steps are remembered
    theta, mix   as above, 0 <= theta and 0 <= mix < 1
    time_size    T, how many steps the model reads at once; it changes time and memory only
    The model's state is reset before and after, and its dropout is off.
    Raises ValueError for settings out of range, for ids or a text that do not fit, and for a model
    whose last layer is not affine.
    """
    _check_mix(mix)
    plain, (cached,) = log_probabilities(
        model, corpus, [theta], cache_size, time_size=time_size, progress=progress
    )
    return _mixed_perplexity(plain, cached, mix)


def tune_cache(
    model: Any,
    corpus: Array,
    thetas: Sequence[float],
    mixes: Sequence[float],
    cache_size: int = 500,
    *,
    time_size: int = 35,
    progress: bool = True,
) -> tuple[float, float, float]:
    """The theta and the mix with the lowest perplexity of a text -> theta, mix, that perplexity.

    The model reads the text, corpus (L,), once for all pairs.  Arguments and errors as above.
    """
    if not len(thetas) or not len(mixes):
        raise ValueError("tune_cache: at least one theta and one mix are needed")
    for mix in mixes:
        _check_mix(mix)
    plain, cached = log_probabilities(
        model, corpus, thetas, cache_size, time_size=time_size, progress=progress
    )
    found = [
        (_mixed_perplexity(plain, row, mix), theta, mix)
        for theta, row in zip(thetas, cached, strict=True)
        for mix in mixes
    ]
    lowest, theta, mix = min(found, key=lambda each: each[0])
    return theta, mix, lowest


def log_probabilities(
    model: Any,
    corpus: Array,
    thetas: Sequence[float],
    cache_size: int = 500,
    *,
    time_size: int = 35,
    progress: bool = True,
) -> tuple[Array, Array]:
    """log of the probability of every word but the first -> plain (L-1,), cached (thetas, L-1).

    plain   the model's
    cached  the cache's, for each theta; -inf for a word that is not in the cache. Before the first
            of these words the cache is empty, and says what the model says
    Both are float64 and on the host.  Arguments and errors as above.
    """
    corpus = _checked(model, corpus, thetas, cache_size, time_size)
    affine, end = model.layers[-1], len(corpus) - 1
    keys = np.zeros((0, len(affine.params[0])), affine.params[0].dtype)
    plain, cached = [], []
    model.reset_state()
    for start in progress_bar(range(0, end, time_size), shown=progress):
        stop = min(start + time_size, end)
        scores = model.predict(corpus[None, start:stop])[0]  # (T, V)
        h = affine.x  # (T, D), what the last layer was given by `predict`
        keys = np.concatenate([keys, h])  # a copy, because layers use their buffers again
        words = corpus[stop + 1 - len(keys) : stop + 1]  # the word that followed each key
        label = np.asarray(words[-len(h) :])
        plain.append(scores[np.arange(len(h)), label] - _log_sum_exp(scores))
        cached.append(_log_cache(h, keys, words, thetas, cache_size))
        keys = keys[-cache_size:]
    model.reset_state()
    logs = to_cpu(np.concatenate(plain)).astype("float64")
    log_cache = to_cpu(np.concatenate(cached, axis=1))
    log_cache[:, 0] = logs[0]
    return logs, log_cache


# log 0 is the -inf of a word that is not in the cache; the nan of an empty cache is replaced above
@numpy.errstate(divide="ignore", invalid="ignore")
def _log_cache(
    h: Array, keys: Array, words: Array, thetas: Sequence[float], cache_size: int
) -> Array:
    """log of what the cache says of the word that comes -> (thetas, T).

    h (T, D)     the present
    keys (P, D)  the past, whose last T rows are h: the past of those who come later in the block
    words (P,)   the word that followed each of the keys, on the host
    """
    T, size = len(h), len(keys)
    age = numpy.arange(size - T, size)[:, None] - numpy.arange(size)  # of key i for query t: t - i
    in_cache = (age >= 1) & (age <= cache_size)  # (T, P): never the present nor the future
    same = np.asarray(in_cache & (words == words[-T:, None]))
    in_cache = np.asarray(in_cache)
    likeness = (h @ keys.T).astype("float64")  # (T, P)
    logs = []
    for theta in thetas:
        weight = likeness * float(theta)
        at_word = _log_sum_exp(np.where(same, weight, -math.inf))
        logs.append(at_word - _log_sum_exp(np.where(in_cache, weight, -math.inf)))
    return np.stack(logs)


def _log_sum_exp(x: Array) -> Array:
    """log sum exp of the rows of x (N, K) -> (N,): no overflow, and -inf where all are -inf."""
    top = np.maximum(x.max(axis=1), float(np.finfo(x.dtype).min))  # finite, since inf - inf is nan
    return top + np.log(np.exp(x - top[:, None]).sum(axis=1))


@numpy.errstate(divide="ignore")  # mix 0 has the logarithm -inf that it needs
def _mixed_perplexity(plain: Array, cached: Array, mix: float) -> float:
    logs = numpy.logaddexp(plain + math.log1p(-mix), cached + numpy.log(mix))
    return perplexity(-float(logs.mean()))


def _check_mix(mix: float) -> None:
    if not 0 <= mix < 1:
        raise ValueError(f"cache: mix must be at least 0 and below 1, not {mix}")


def _checked(
    model: Any, corpus: Array, thetas: Sequence[float], cache_size: int, time_size: int
) -> Array:
    """The corpus on the host, if all fits."""
    layers = getattr(model, "layers", None) or [None]
    if not isinstance(layers[-1], Affine):
        name = type(layers[-1]).__name__
        raise ValueError(f"cache: the last layer of the model must be affine, it is {name}")
    if cache_size < 1 or time_size < 1:
        raise ValueError(
            f"cache: cache_size and time_size must be at least 1, not {cache_size} and {time_size}"
        )
    for theta in thetas:
        if not 0 <= theta < math.inf:
            raise ValueError(f"cache: theta must be finite and not negative, not {theta}")
    corpus = text_on_host("cache", corpus)
    if len(corpus) < 2:
        raise ValueError(f"cache: the text must be (L,) ids, L at least 2, not {corpus.shape}")
    return checked_ids("cache", corpus, layers[-1].params[0].shape[1])
