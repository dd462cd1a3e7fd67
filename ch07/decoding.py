"""From scores to answers: the most probable next id each time, or the best of several attempts.

A decoder has begun the answers to N questions; `scores(ids (N, 1))` -> (N, 1, V) goes on with them.
V ids, S of an answer.
"""

from typing import Any, NamedTuple

import numpy

from common.checks import checked_ids
from common.np import Array, to_cpu

__all__ = ["Hypothesis", "beam_search", "greedy", "log_softmax"]


class Hypothesis(NamedTuple):
    """An answer that beam search found.

    ids    its ids, without the start id
    log_p  the sum of log P(id | question, ids before), in nats
    score  what it was ranked by: log_p over the length penalty
    """

    ids: list[int]
    log_p: float
    score: float


def greedy(
    decoder: Any, N: int, start_id: int, sample_size: int, stop_id: int | None = None
) -> Array:
    """Always the id with the highest score -> (N, sample_size) ids on the host, without start_id.

    stop_id  once an answer has it, the rest of the answer is stop_id
    Raises ValueError for a sample_size below 1, for a stop_id outside 0..V-1, and if scores are not
    finite.  Source: book 7.3.2.
    """
    if sample_size < 1:
        raise ValueError(f"greedy: sample_size must be at least 1, not {sample_size}")
    check_stop("greedy", decoder, stop_id)
    answers = numpy.empty((N, sample_size), int)
    ids = numpy.full(N, start_id)
    for k in range(sample_size):
        stopped = ids == stop_id if k else False
        ids = next_scores("greedy", decoder, ids).argmax(axis=1)
        answers[:, k] = ids = ids if stop_id is None else numpy.where(stopped, stop_id, ids)
    return answers


def beam_search(
    decoder: Any,
    N: int,
    start_id: int,
    sample_size: int,
    beam_width: int,
    *,
    stop_id: int | None = None,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """Keep the B best answers at every step -> up to B hypotheses for each question, best first.

    score = log_p / ((5 + length) / 6) ** length_penalty

    decoder         has begun the answers to N questions; has `vocab_size`, `scores` and `select`
    beam_width      B; 1 is `greedy`
    stop_id         ends an answer, and counts in its length; then ids are filled up with it
    length_penalty  0 ranks by probability, which favours short answers; 1 nearly by the mean
    Raises ValueError for a sample_size or beam_width below 1, a length_penalty that is negative, a
    stop_id outside 0..V-1, and if scores are not finite.
    Source: Wu et al. 2016 (GNMT), https://arxiv.org/abs/1609.08144, section 7.
    """
    if sample_size < 1 or beam_width < 1:
        raise ValueError(
            "beam_search: sample_size and beam_width must be at least 1, not "
            f"{sample_size} and {beam_width}"
        )
    if not length_penalty >= 0:
        raise ValueError(f"beam_search: length_penalty must not be negative, not {length_penalty}")
    check_stop("beam_search", decoder, stop_id)
    B, rows = beam_width, numpy.arange(N)[:, None]
    decoder.select(numpy.arange(N).repeat(B))
    answers = numpy.empty((N, B, 0), int)
    ids = numpy.full((N, B), start_id)
    log_p = numpy.full((N, B), -numpy.inf)
    log_p[:, 0] = 0  # all rows of a question begin alike, so one of them is enough
    length, running = numpy.zeros((N, B)), numpy.ones((N, B), bool)
    for _ in range(sample_size):
        following = log_softmax(next_scores("beam_search", decoder, ids.reshape(N * B)))
        V = following.shape[1]
        following = following.reshape(N, B, V)
        if stop_id is not None:  # an answer that is over can only stay as it is
            following[~running] = -numpy.inf
            following[~running, stop_id] = 0
        length = length + running
        penalty = ((5 + length) / 6) ** length_penalty
        together = log_p[:, :, None] + following
        score = (together / penalty[:, :, None]).reshape(N, B * V)
        best = numpy.argsort(-score, axis=1, kind="stable")[:, :B]
        beam, ids = numpy.divmod(best, V)
        answers = numpy.concatenate([answers[rows, beam], ids[:, :, None]], axis=2)
        log_p, length = together[rows, beam, ids], length[rows, beam]
        running = running[rows, beam] & (ids != stop_id)
        decoder.select((rows * B + beam).reshape(-1))
    return [
        [
            Hypothesis(answers[n, b].tolist(), float(log_p[n, b]), float(score[n, best[n, b]]))
            for b in range(B)
            if numpy.isfinite(log_p[n, b])
        ]
        for n in range(N)
    ]


def next_scores(who: str, decoder: Any, ids: Array) -> Array:
    """ids (N,) -> the scores (N, V) of what comes next, on the host."""
    scores = to_cpu(decoder.scores(ids[:, None]))[:, 0]
    if not numpy.isfinite(scores).all():
        raise ValueError(f"{who}: the model's scores are not finite; check its weights")
    return scores


def check_stop(who: str, decoder: Any, stop_id: int | None) -> None:
    """ValueError, in the name of `who`, for a stop_id that no answer can have."""
    if stop_id is not None:
        checked_ids(f"{who}: stop_id", stop_id, decoder.vocab_size)


def log_softmax(x: Array) -> Array:
    """log softmax of scores (N, V) on the host, in float64."""
    x = x.astype("float64")
    x -= x.max(axis=1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(axis=1, keepdims=True))
