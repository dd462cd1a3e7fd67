"""BetterRnnlm: two LSTM layers, dropout, tied weights.  V words, D word vector, H hidden size."""

from functools import partial
from typing import Any

from common.language_model import DroppingLanguageModel
from common.np import np
from common.rng import Seed, generator, randn, recurrent_weights
from common.time_layers import (
    TimeAffine,
    TimeDropout,
    TimeEmbedding,
    TimeLSTM,
    TimeSoftmaxWithLoss,
)

__all__ = ["BetterRnnlm"]


class BetterRnnlm(DroppingLanguageModel):
    """ids (N, T) -> embedding, (dropout, LSTM) twice, dropout, affine -> scores (N, T, V).

    Three things make it better than `Rnnlm`: a second LSTM on top of the first, dropout between the
    layers, but never from one step to the next, and one matrix (V, H) with two uses, its rows as
    word vectors and its transpose as the weights of the affine layer (weight tying).

    dropout_ratio   probability that an element is switched off
    num_layers      LSTM layers, each with a dropout before it
    variational     whether the dropouts keep one mask for all steps, as in `TimeDropout`
    dropconnect_ratio, recurrent_dropout_ratio  of the LSTM layers, as in `TimeLSTM`
    rng             seed or Generator of the first weights and of the dropouts; None follows NumPy's
                    global seed
    Raises ValueError if wordvec_size is not hidden_size, which tying needs, for num_layers below 1,
    and for a ratio outside 0 <= ratio < 1.
    Source: book 6.5; Zaremba et al. 2014, Press and Wolf 2017, https://arxiv.org/abs/1608.05859.
    """

    def __init__(
        self,
        vocab_size: int = 10000,
        wordvec_size: int = 650,
        hidden_size: int = 650,
        dropout_ratio: float = 0.5,
        *,
        num_layers: int = 2,
        variational: bool = False,
        dropconnect_ratio: float = 0.0,
        recurrent_dropout_ratio: float = 0.0,
        rng: Seed = None,
    ) -> None:
        V, D, H = vocab_size, wordvec_size, hidden_size
        if D != H:
            raise ValueError(f"BetterRnnlm: tied weights need wordvec_size {D} = hidden_size {H}")
        if num_layers < 1:
            raise ValueError(f"BetterRnnlm: num_layers must be at least 1, not {num_layers}")
        rng = generator(rng)
        drop = partial(TimeDropout, dropout_ratio, variational=variational, rng=rng)
        embed_W = randn(rng, V, D) / 100
        layers: list[Any] = [TimeEmbedding(embed_W, sparse=True)]
        for _ in range(num_layers):
            lstm = TimeLSTM(
                *recurrent_weights(rng, D, H, blocks=4),  # Wx (D, 4H), Wh (H, 4H), b (4H,)
                stateful=True,
                dropconnect_ratio=dropconnect_ratio,
                recurrent_dropout_ratio=recurrent_dropout_ratio,
                rng=rng,
            )
            layers += [drop(), lstm]
        layers += [drop(), TimeAffine(embed_W.T, np.zeros(V, dtype="f"))]
        super().__init__(layers, TimeSoftmaxWithLoss())
        self.lstm_layers = self.recurrent_layers
        self.drop_layers = [layer for layer in layers if isinstance(layer, TimeDropout)]
        self.settings = {
            "vocab_size": V,
            "wordvec_size": D,
            "hidden_size": H,
            "dropout_ratio": dropout_ratio,
            "num_layers": num_layers,
            "variational": variational,
            "dropconnect_ratio": dropconnect_ratio,
            "recurrent_dropout_ratio": recurrent_dropout_ratio,
        }
