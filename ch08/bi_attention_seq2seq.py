"""BiAttentionSeq2seq: attention over an encoder that reads in both directions."""

from typing import Any

from ch08.attention_seq2seq import AttentionSeq2seq

__all__ = ["BiAttentionSeq2seq"]


class BiAttentionSeq2seq(AttentionSeq2seq):
    """An `AttentionSeq2seq` whose encoder is a `TimeBiLSTM`, of size H/2 in each direction.

    State t then knows the characters around t, not just those before it. The decoder starts from
    where each direction ended. The other arguments are those of `Seq2seq`.
    Source: book 8.4.1; Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473.
    """

    def __init__(
        self, vocab_size: int, wordvec_size: int, hidden_size: int, **options: Any
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, **{"bidirectional": True} | options)
