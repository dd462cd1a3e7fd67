"""The book's import path for helpers that live in modules of their own here."""

from common.evaluate import eval_perplexity, eval_seq2seq
from common.gradients import clip_grads
from common.np import to_cpu, to_gpu
from common.words.similarity import analogy, cos_similarity, most_similar, normalize
from common.words.text import (
    convert_one_hot,
    create_co_matrix,
    create_contexts_target,
    ppmi,
    preprocess,
)

__all__ = [
    "analogy",
    "clip_grads",
    "convert_one_hot",
    "cos_similarity",
    "create_co_matrix",
    "create_contexts_target",
    "eval_perplexity",
    "eval_seq2seq",
    "most_similar",
    "normalize",
    "ppmi",
    "preprocess",
    "to_cpu",
    "to_gpu",
]
