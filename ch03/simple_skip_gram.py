"""SimpleSkipGram guesses two neighbours from the word between.  N samples, V words, H hidden size.

A drop-in for SimpleCBOW: `forward` takes the same arguments in the same order.
"""

from ch03.simple_cbow import check_pairs
from common.base_model import BaseModel
from common.layers import MatMul, SoftmaxWithLoss
from common.np import Array, np
from common.rng import Seed, generator, randn
from common.words.text import convert_one_hot

__all__ = ["SimpleSkipGram"]


class SimpleSkipGram(BaseModel):
    """Skip-gram with a window of one word on each side.

    h = target @ W_in,  s = h @ W_out,
    loss = mean of -(log softmax(s)[before] + log softmax(s)[after]), in nats: a sum over neighbours

    Both neighbours are guessed from the same scores: the model does not know left from right.
    W_in (V, H) and W_out (H, V) start at 0.01 times standard normal numbers, in float32.
    word_vecs (V, H) is W_in itself and stays current while the model learns.
    rng  seed or Generator of the first weights; None follows NumPy's global seed
    Source: book 3.5.2; (3.6), (3.7).
    """

    def __init__(self, vocab_size: int, hidden_size: int, *, rng: Seed = None) -> None:
        V, H = vocab_size, hidden_size
        rng = generator(rng)
        W_in = 0.01 * randn(rng, V, H)
        W_out = 0.01 * randn(rng, H, V)

        self.in_layer = MatMul(W_in)
        self.out_layer = MatMul(W_out)
        self.loss_layer1 = SoftmaxWithLoss()
        self.loss_layer2 = SoftmaxWithLoss()

        super().__init__(
            in_layer=self.in_layer,
            out_layer=self.out_layer,
            loss_layer1=self.loss_layer1,
            loss_layer2=self.loss_layer2,
        )
        self.settings = {"vocab_size": V, "hidden_size": H}

    @property
    def word_vecs(self) -> Array:
        """W_in (V, H) itself."""
        return self.in_layer.params[0]

    def predict(self, target: Array) -> Array:
        """The scores (N, V) of every word to stand beside the word of target, (N, V) one-hot.

        Raises ValueError for a target of another shape.
        """
        target = np.asarray(target, self.word_vecs.dtype)  # with integers, W would go float64
        return self.out_layer.forward(self.in_layer.forward(target))

    def forward(self, contexts: Array, target: Array) -> Array:
        """The loss of guessing both neighbours of each target.

        contexts (N, 2, V)  the word before and the word after, one-hot
        target (N, V)       the word between them, one-hot; ids (N,) also work
        Raises ValueError for other shapes, or ids outside 0..V-1.
        """
        V = len(self.word_vecs)
        check_pairs("SimpleSkipGram", contexts, target, V)
        s = self.predict(convert_one_hot(target, V) if target.ndim == 1 else target)
        before, after = contexts[:, 0], contexts[:, 1]
        return self.loss_layer1.forward(s, before) + self.loss_layer2.forward(s, after)

    def backward(self, dout: float = 1) -> None:
        """Fill `grads` for the last forward.

        ds = dout / N * (2 softmax(s) - before - after),  dW_out = h.T @ ds,
        dW_in = target.T @ (ds @ W_out.T).
        """
        ds = self.loss_layer1.backward(dout) + self.loss_layer2.backward(dout)
        self.in_layer.backward(self.out_layer.backward(ds))
