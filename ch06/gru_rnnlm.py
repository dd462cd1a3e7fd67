"""GruRnnlm, the model of chapter 5 with a GRU in place of the RNN."""

from typing import ClassVar

from ch06.rnnlm import Rnnlm
from common.time_layers import TimeGRU

__all__ = ["GruRnnlm"]


class GruRnnlm(Rnnlm):
    """Predicts each next word:  ids (N, T) -> embedding -> GRU -> affine -> scores (N, T, V).

    Arguments, state and errors as for `Rnnlm`. The recurrent layer has three blocks of weights
    where the LSTM has four.  Source: book appendix C.
    """

    recurrent_class: ClassVar = TimeGRU
