"""The book's import path for the layers of `common.negative_sampling`."""

from common.negative_sampling import EmbeddingDot, NegativeSamplingLoss, UnigramSampler

__all__ = ["EmbeddingDot", "NegativeSamplingLoss", "UnigramSampler"]
