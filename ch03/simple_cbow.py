"""SimpleCBOW guesses a word from its two neighbours.  N samples, V words, H hidden size."""

from common.base_model import BaseModel
from common.checks import checked_ids, numbers_on_host
from common.layers import MatMul, SoftmaxWithLoss
from common.np import Array, np
from common.rng import Seed, generator, randn

__all__ = ["SimpleCBOW", "check_pairs"]


class SimpleCBOW(BaseModel):
    """CBOW, the continuous bag of words, with a window of one word on each side.

    h = (c0 @ W_in + c1 @ W_in) / 2,  s = h @ W_out,  loss = mean of -log softmax(s)[target]

    W_in (V, H) and W_out (H, V) start at 0.01 times standard normal numbers, in float32.
    word_vecs (V, H) is W_in itself and stays current while the model learns. The loss is in nats.
    `params` lists W_in twice, once for each input layer; the Trainer adds up the two gradients.
    rng  seed or Generator of the first weights; None follows NumPy's global seed
    Source: book 3.4; (3.2), (3.3).
    """

    def __init__(self, vocab_size: int, hidden_size: int, *, rng: Seed = None) -> None:
        V, H = vocab_size, hidden_size
        rng = generator(rng)
        W_in = 0.01 * randn(rng, V, H)
        W_out = 0.01 * randn(rng, H, V)

        self.in_layer0 = MatMul(W_in)
        self.in_layer1 = MatMul(W_in)
        self.out_layer = MatMul(W_out)
        self.loss_layer = SoftmaxWithLoss()

        super().__init__(
            in_layer0=self.in_layer0,
            in_layer1=self.in_layer1,
            out_layer=self.out_layer,
            loss_layer=self.loss_layer,
        )
        self.settings = {"vocab_size": V, "hidden_size": H}

    @property
    def word_vecs(self) -> Array:
        """W_in (V, H) itself."""
        return self.in_layer0.params[0]

    def predict(self, contexts: Array) -> Array:
        """The scores (N, V) of every word to stand between the two words of contexts (N, 2, V).

        Raises ValueError for contexts of another shape.
        """
        V = len(self.word_vecs)
        if contexts.ndim != 3 or contexts.shape[1:] != (2, V):
            raise ValueError(
                f"SimpleCBOW: contexts must be one-hot (N, 2, {V}), not {contexts.shape}"
            )
        contexts = np.asarray(contexts, self.word_vecs.dtype)  # with integers, W would go float64
        h0 = self.in_layer0.forward(contexts[:, 0])
        h1 = self.in_layer1.forward(contexts[:, 1])
        return self.out_layer.forward((h0 + h1) * 0.5)

    def forward(self, contexts: Array, target: Array) -> Array:
        """The loss of guessing each target from its neighbours.

        contexts (N, 2, V)  the word before and the word after, one-hot
        target (N, V)       the word between them, one-hot; ids (N,) also work
        Raises ValueError for other shapes, or ids outside 0..V-1.
        """
        check_pairs("SimpleCBOW", contexts, target, len(self.word_vecs))
        return self.loss_layer.forward(self.predict(contexts), target)

    def backward(self, dout: float = 1) -> None:
        """Fill `grads` for the last forward.

        ds = dout / N * (softmax(s) - target),  dW_out = h.T @ ds,  da = ds @ W_out.T / 2,
        and each input layer has dW_in = c.T @ da.
        """
        ds = self.loss_layer.backward(dout)
        da = self.out_layer.backward(ds) * 0.5
        self.in_layer0.backward(da)
        self.in_layer1.backward(da)


def check_pairs(who: str, contexts: Array, target: Array, vocab_size: int) -> None:
    """Raise ValueError, in the name of `who`, unless contexts and target go together.

    contexts (N, 2, V) one-hot; target (N, V) one-hot, or ids (N,) in 0..V-1.
    """
    contexts, target = numbers_on_host(who, contexts), numbers_on_host(who, target)
    N, V = len(target) if target.ndim else 0, vocab_size
    if contexts.shape != (N, 2, V) or target.shape not in ((N, V), (N,)):
        raise ValueError(
            f"{who}: contexts must be one-hot (N, 2, {V}) and target one-hot (N, {V}) or ids (N,), "
            f"not {contexts.shape} and {target.shape}"
        )
    if target.ndim == 1:
        checked_ids(who, target, V)
