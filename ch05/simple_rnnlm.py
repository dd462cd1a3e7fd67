"""SimpleRnnlm, a recurrent language model.  V words, D word-vector size, H hidden size."""

import math
from typing import Any, ClassVar

from common.language_model import LanguageModel
from common.np import np
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import TimeAffine, TimeEmbedding, TimeRNN, TimeSoftmaxWithLoss

__all__ = ["SimpleRnnlm"]


class SimpleRnnlm(LanguageModel):
    """Predicts each next word:  ids (N, T) -> embedding -> RNN -> affine -> scores (N, T, V).

    forward(xs, ts), state and errors as for `LanguageModel`.
    rng     seed or Generator of the first weights, which have standard deviation 1/100 (embedding)
            or 1 / sqrt(rows); None follows NumPy's global seed
    sparse  whether the embedding's gradient holds only the rows looked up
    recurrent_class  the layer between embedding and affine; subclasses name another one
    Source: book 5.5.1.
    """

    recurrent_class: ClassVar[Any] = TimeRNN

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        *,
        rng: Seed = None,
        sparse: bool = True,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        k = self.recurrent_class.blocks
        rng = generator(rng)
        embed_W = randn(rng, V, D) / 100
        Wx, Wh, b = recurrent_weights(rng, D, H, k)  # (D, kH), (H, kH), (kH,)
        affine_W = randn(rng, H, V) / math.sqrt(H)
        affine_b = np.zeros(V, dtype="f")

        self.rnn_layer = self.recurrent_class(Wx, Wh, b, stateful=True)
        layers = [
            TimeEmbedding(embed_W, sparse=sparse),
            self.rnn_layer,
            TimeAffine(affine_W, affine_b),
        ]
        super().__init__(layers, TimeSoftmaxWithLoss())
        self.settings = {"vocab_size": V, "wordvec_size": D, "hidden_size": H, "sparse": sparse}
