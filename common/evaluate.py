"""How good a trained model is.  N batch size, T time steps of a block."""

import math
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy
from tqdm import tqdm

from common.checks import described, on_host, text_on_host
from common.functions import perplexity
from common.network import evaluating, evaluation_options
from common.np import Array, to_cpu

__all__ = [
    "eval_perplexity",
    "eval_seq2seq",
    "on_terminal",
    "print_answer",
    "progress_bar",
    "seq2seq_accuracy",
]

# tqdm's own lock is shared by all forked processes, and taken even where no bar is shown: one of
# them that is killed while it holds the lock would stop the others for ever.
tqdm.set_lock(threading.RLock())


def progress_bar(steps: Iterable[int], *, shown: bool, **how: Any) -> Any:
    """`tqdm` of the steps with its keywords, seen on a terminal if it is to be shown."""
    closed = getattr(sys.stderr, "closed", not sys.stderr)  # None in daemons, and in pythonw
    return tqdm(steps, leave=False, disable=None if shown and not closed else True, **how)


def on_terminal() -> bool:
    """Whether what is printed appears on a terminal, not in a file, a pipe or a notebook."""
    return sys.stdout is not None and sys.stdout.isatty()


def eval_perplexity(
    model: Any, corpus: Array, batch_size: int = 10, time_size: int = 35, *, progress: bool = True
) -> float:
    """exp of the mean loss, in nats per word, of predicting each next word of a text.

    corpus (L,)  ids. Row n of the N reads the n-th of N equal parts, block after block, without
                 wrapping; words left over after the last full block are not counted
    batch_size   N; fewer where the text is too short to give each of N rows a block
    time_size    words of a block; fewer where the text is shorter
    The model's state is reset before and after, and its dropout is off.
    Raises ValueError for a text of fewer than two words, and sizes below 1.
    Source: book 5.5.2, 6.5.4.
    """
    if batch_size < 1 or time_size < 1:
        raise ValueError(
            f"eval_perplexity: batch_size and time_size are at least 1, not {batch_size} and "
            f"{time_size}"
        )
    corpus = text_on_host("eval_perplexity", corpus)
    length = len(corpus) - 1
    if length < 1:
        raise ValueError(
            f"eval_perplexity: a text of {len(corpus)} words is too short; each word is predicted "
            "from those before it, so two are the fewest"
        )
    time_size = min(time_size, length)
    batch_size = min(batch_size, length // time_size)
    max_iters = length // (batch_size * time_size)
    options = evaluation_options(model)
    starts = numpy.arange(batch_size)[:, None] * (length // batch_size)
    blocks = range(0, max_iters * time_size, time_size)
    if progress:
        print("evaluating perplexity ...")
    model.reset_state()
    losses = []
    try:
        with evaluating(model):
            for start in progress_bar(blocks, shown=progress):
                where = starts + start + numpy.arange(time_size)
                losses.append(model.forward(corpus[where], corpus[where + 1], **options))
    finally:
        model.reset_state()
    return perplexity(math.fsum(float(loss) for loss in losses) / max_iters)


class Seq2seqAccuracy(NamedTuple):
    """How many answers are right.

    exact          the share of questions whose answer is right in every character
    by_position    the share of characters that are right, each compared where it stands
    guesses        the answers (N, L - 1) on the host, without their start token
    Padding counts as characters do.
    """

    exact: float
    by_position: float
    guesses: Array


def seq2seq_accuracy(model: Any, questions: Array, answers: Array) -> Seq2seqAccuracy:
    """Let a seq2seq model answer many questions at once, as `eval_seq2seq` does with one.

    model      has `generate_batch`, as the book's `generate` for all questions together
    questions  ids (N, T)
    answers    ids (N, L); all begin with the same start token
    Raises ValueError if there are no questions, not one answer for each, or several start tokens.
    """
    questions, answers = (on_host("seq2seq_accuracy", ids) for ids in (questions, answers))
    if answers.ndim != 2 or answers.shape[1] < 2 or answers.dtype.kind not in "iu":
        found = described(answers)
        raise ValueError(f"seq2seq_accuracy: answers are ids (N, L) with L > 1, not {found}")
    if questions.ndim != 2 or len(questions) != len(answers) or len(answers) == 0:
        raise ValueError(
            f"seq2seq_accuracy: questions {questions.shape} and answers {answers.shape}; one for "
            "each is needed, and at least one"
        )
    starts, length = answers[:, 0], answers.shape[1] - 1
    if (starts != starts[0]).any():
        raise ValueError("seq2seq_accuracy: answers begin with different ids")
    guesses = model.generate_batch(questions, int(starts[0]), length)
    right = guesses == answers[:, 1:]
    return Seq2seqAccuracy(float(right.all(axis=1).mean()), float(right.mean()), guesses)


def eval_seq2seq(
    model: Any,
    question: Array,
    correct: Array,
    id_to_char: Mapping[int, str],
    verbose: bool = False,
    is_reverse: bool = False,
) -> int:
    """1 if a seq2seq model answers a question right in every character, padding included; else 0.

    question    ids (1, T)
    correct     ids (1, L) of its answer; the first is the start token for `model.generate`
    verbose     print question, truth and guess
    is_reverse  whether the ids of the question stand in reverse order; it is printed as people
                read it
    Raises ValueError for more than one question.  Source: book 7.3.4.
    """
    correct = to_cpu(correct)
    if len(question) != 1 or len(correct) != 1:
        raise ValueError(
            "eval_seq2seq: one question (1, T) and its answer (1, L) at a time, not "
            f"{question.shape} and {correct.shape}; seq2seq_accuracy takes many"
        )
    start_id, *truth = correct[0].tolist()
    guess = model.generate(question, start_id, len(truth))
    if verbose:
        print_answer(question[0], truth, guess, id_to_char, is_reverse)
    return int(_text(guess, id_to_char) == _text(truth, id_to_char))


def print_answer(
    question: Array, correct: Array, guess: Array, id_to_char: Mapping[int, str], is_reverse: bool
) -> None:
    """Print a question (T,), its answer and a guess (L - 1,), with a mark: ☑ if right, else ☒.

    The mark is green or red on a terminal.

    is_reverse  as for `eval_seq2seq`
    """
    asked, truth, guessed = (_text(ids, id_to_char) for ids in (question, correct, guess))
    right = guessed == truth
    if os.name == "nt":
        mark = "O" if right else "X"
    else:
        mark, colour = ("☑", 92) if right else ("☒", 91)
        mark = f"\033[{colour}m{mark}\033[0m" if on_terminal() else mark
    print("Q", asked[::-1] if is_reverse else asked)
    print("T", truth)
    print(mark, guessed)
    print("---")


def _text(ids: Any, id_to_char: Mapping[int, str]) -> str:
    return "".join(id_to_char[int(i)] for i in to_cpu(ids))
