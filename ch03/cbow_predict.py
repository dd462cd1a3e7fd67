"""What CBOW does to predict a word, with layers only: no training, no model class.

    python -m ch03.cbow_predict
    python -m ch03.cbow_predict --seed 1

Source: book 3.2.1.
"""

import numpy

from common.cli import run, then
from common.layers import MatMul
from common.np import Array, np, to_cpu
from common.rng import generator, randn
from common.words.text import convert_one_hot


def main(seed: int = 0) -> Array:
    """Print and return the scores (1, 7) of the words between "you" and "goodbye".

    seed  decides the weights, which are standard normal numbers (book 3.2.1)
    """
    V, H = 7, 3
    rng = generator(seed)
    W_in = randn(rng, V, H, dtype="float64")
    W_out = randn(rng, H, V, dtype="float64")
    c0, c1 = (np.asarray(convert_one_hot(numpy.array([id_]), V), W_in.dtype) for id_ in (0, 2))

    in_layer0, in_layer1, out_layer = MatMul(W_in), MatMul(W_in), MatMul(W_out)
    h0 = in_layer0.forward(c0)
    h1 = in_layer1.forward(c1)
    s = out_layer.forward(0.5 * (h0 + h1))
    print(to_cpu(s))
    then("ch03.train")
    return s


if __name__ == "__main__":
    run(main)
