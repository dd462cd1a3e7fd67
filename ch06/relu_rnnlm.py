"""ReluRnnlm, the model of chapter 5 with ReLU in place of tanh, begun with the identity."""

from typing import Any, ClassVar

from ch05.simple_rnnlm import SimpleRnnlm
from common.np import np
from common.time_layers import TimeReluRNN

__all__ = ["ReluRnnlm"]


class ReluRnnlm(SimpleRnnlm):
    """Predicts each next word:  ids (N, T) -> embedding -> RNN of ReLU -> affine -> (N, T, V).

    h = max(0, x @ Wx + h @ Wh + b), with Wh the identity at first: a state that is not negative is
    then handed on as it is, and so is its gradient, whatever the number of steps.
    Arguments, state and errors as for `SimpleRnnlm`.
    Source: book 6.1; Le et al. 2015, https://arxiv.org/abs/1504.00941.
    """

    recurrent_class: ClassVar[Any] = TimeReluRNN

    def __init__(
        self, vocab_size: int, wordvec_size: int, hidden_size: int, **options: Any
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, **options)
        _, Wh, _ = self.rnn_layer.params
        Wh[...] = np.eye(hidden_size)
