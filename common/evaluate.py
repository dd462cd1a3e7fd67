"""How good a trained model is.  N batch size, T time steps of a block."""

import inspect
import math
from typing import Any

import numpy
from tqdm import tqdm

from common.functions import perplexity
from common.np import Array, to_cpu


def eval_perplexity(
    model: Any, corpus: Array, batch_size: int = 10, time_size: int = 35, *, progress: bool = True
) -> float:
    """exp of the mean loss, in nats per word, of predicting each next word of a text.

    corpus (L,)  ids. Row n of the N reads the n-th of N equal parts, block after block, without
                 wrapping; words left over after the last full block are not counted
    batch_size   N; fewer where the text is too short to give each of N rows a block
    The model's state is reset before and after, and its dropout is off (where its `forward` has a
    `train_flg`).
    Raises ValueError for a text too short for one row.  Source: book 5.5.2, 6.5.4.
    """
    corpus = to_cpu(corpus)
    length = len(corpus) - 1
    batch_size = min(batch_size, length // time_size)
    if batch_size < 1:
        raise ValueError(
            f"eval_perplexity: a text of {len(corpus)} words is too short for one block of "
            f"{time_size} and the word after it"
        )
    max_iters = length // (batch_size * time_size)
    options = {}
    if "train_flg" in inspect.signature(model.forward).parameters:
        options["train_flg"] = False
    starts = numpy.arange(batch_size)[:, None] * (length // batch_size)
    blocks = range(0, max_iters * time_size, time_size)
    if progress:
        print("evaluating perplexity ...")
    model.reset_state()
    losses = []
    for start in tqdm(blocks, leave=False, disable=None if progress else True):
        where = starts + start + numpy.arange(time_size)
        losses.append(model.forward(corpus[where], corpus[where + 1], **options))
    model.reset_state()
    return perplexity(math.fsum(float(loss) for loss in losses) / max_iters)
