"""The book's import path for helpers that live in modules of their own here."""

from common.evaluate import eval_perplexity
from common.gradients import clip_grads
from common.np import to_cpu, to_gpu
from common.text import preprocess

__all__ = ["clip_grads", "eval_perplexity", "preprocess", "to_cpu", "to_gpu"]
