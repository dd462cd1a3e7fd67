"""Rnnlm, the LSTM language model of chapter 6.  V words, D word-vector size, H hidden size."""

import math

from common.base_model import Chain
from common.np import Array
from common.rng import Seed, generator, randn
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss, np


class Rnnlm(Chain):
    """Predicts each next word:  ids (N, T) -> embedding -> LSTM -> affine -> scores (N, T, V).

    forward(xs, ts) -> mean loss, in nats per word, of predicting ts (N, T) from xs (N, T).
    The LSTM keeps its state from call to call, so consecutive blocks of a text are one long
    sequence; `reset_state()` starts a new text.
    rng     seed or Generator of the first weights; None follows NumPy's global seed
    sparse  whether the embedding's gradient holds only the rows looked up
    Source: book 6.4.
    """

    def __init__(
        self,
        vocab_size: int = 10000,
        wordvec_size: int = 100,
        hidden_size: int = 100,
        *,
        rng: Seed = None,
        sparse: bool = True,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = generator(rng)
        embed_W = randn(rng, V, D) / 100
        lstm_Wx = randn(rng, D, 4 * H) / math.sqrt(D)
        lstm_Wh = randn(rng, H, 4 * H) / math.sqrt(H)
        lstm_b = np.zeros(4 * H, dtype="f")
        affine_W = randn(rng, H, V) / math.sqrt(H)
        affine_b = np.zeros(V, dtype="f")

        self.lstm_layer = TimeLSTM(lstm_Wx, lstm_Wh, lstm_b, stateful=True)
        layers = [
            TimeEmbedding(embed_W, sparse=sparse),
            self.lstm_layer,
            TimeAffine(affine_W, affine_b),
        ]
        super().__init__(layers, TimeSoftmaxWithLoss())

    def forward(self, xs: Array, ts: Array) -> Array:
        """Mean loss; ids or labels that are refused leave the state where it was."""
        state = self.lstm_layer.h, self.lstm_layer.c
        try:
            return super().forward(xs, ts)
        except ValueError:
            self.lstm_layer.set_state(*state)
            raise

    def reset_state(self) -> None:
        """Forget what was read so far: a new text begins."""
        self.lstm_layer.reset_state()
