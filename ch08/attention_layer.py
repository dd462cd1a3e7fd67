"""The book's import path for the attention layers, which live in `common/attention.py`."""

from common.attention import Attention, AttentionWeight, TimeAttention, WeightSum

__all__ = ["Attention", "AttentionWeight", "TimeAttention", "WeightSum"]
