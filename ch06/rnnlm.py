"""Rnnlm, the model of chapter 5 with an LSTM in place of the RNN."""

from typing import Any, ClassVar

from ch05.simple_rnnlm import SimpleRnnlm
from common.rng import Seed
from common.time_layers import TimeLSTM

__all__ = ["Rnnlm"]


class Rnnlm(SimpleRnnlm):
    """Predicts each next word:  ids (N, T) -> embedding -> LSTM -> affine -> scores (N, T, V).

    Arguments, state and errors as for `SimpleRnnlm`.  Source: book 6.4.
    """

    recurrent_class: ClassVar[Any] = TimeLSTM

    def __init__(
        self,
        vocab_size: int = 10000,
        wordvec_size: int = 100,
        hidden_size: int = 100,
        *,
        rng: Seed = None,
        sparse: bool = True,
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, rng=rng, sparse=sparse)

    @property
    def lstm_layer(self) -> Any:
        """The book's name for `rnn_layer`."""
        return self.rnn_layer
