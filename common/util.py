"""The book's import path for helpers that live in modules of their own here."""

from common.evaluate import eval_perplexity
from common.gradients import clip_grads
from common.np import to_cpu, to_gpu
from common.text import convert_one_hot, create_contexts_target, preprocess

__all__ = [
    "clip_grads",
    "convert_one_hot",
    "create_contexts_target",
    "eval_perplexity",
    "preprocess",
    "to_cpu",
    "to_gpu",
]
