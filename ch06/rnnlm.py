"""Rnnlm, the LSTM language model of chapter 6.  V words, D word-vector size, H hidden size."""

import math
from typing import Any

from common.base_model import BaseModel
from common.np import Array
from common.rng import Seed, generator, randn
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss, np


class Rnnlm(BaseModel):
    """Predicts each next word:  ids (N, T) -> embedding -> LSTM -> affine -> scores (N, T, V).

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
        self.layers: list[Any] = [
            TimeEmbedding(embed_W, sparse=sparse),
            self.lstm_layer,
            TimeAffine(affine_W, affine_b),
        ]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.params = [p for layer in self.layers for p in layer.params]
        self.grads = [g for layer in self.layers for g in layer.grads]

    def predict(self, xs: Array) -> Array:
        """Scores (N, T, V) of every word as the next one, before softmax."""
        for layer in self.layers:
            xs = layer.forward(xs)
        return xs

    def forward(self, xs: Array, ts: Array) -> Array:
        """Mean loss, in nats per word, of predicting ts (N, T) from xs (N, T)."""
        return self.loss_layer.forward(self.predict(xs), ts)

    def backward(self, dout: float = 1) -> Any:
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def reset_state(self) -> None:
        self.lstm_layer.reset_state()
