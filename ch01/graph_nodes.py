"""Nodes of a computational graph, to compose and to check.  D numbers, N copies.

Each is a layer without parameters: `forward` computes, `backward` takes the gradient of the loss
with respect to the output and gives that of every input. An affine layer, for instance, is
`Add().forward(MatMul(W).forward(x), Repeat(N).forward(b))`.  Source: book 1.3.4.
"""

from common.layers import Layer
from common.np import Array, np


class Add(Layer):
    """z = x + y, any shape, the same for both.  Backward: dz goes to both.

    Source: book 1.3.4.1.
    """

    def forward(self, x: Array, y: Array) -> Array:
        if x.shape != y.shape:
            raise self._refuse(f"inputs of shapes {x.shape} and {y.shape} differ; use Repeat first")
        return x + y

    def backward(self, dz: Array) -> tuple[Array, Array]:
        return dz.copy(), dz.copy()


class Multiply(Layer):
    """z = x * y, any shape, the same for both.  Backward: dx = dz * y, dy = dz * x.

    Source: book 1.3.4.
    """

    def forward(self, x: Array, y: Array) -> Array:
        if x.shape != y.shape:
            raise self._refuse(f"inputs of shapes {x.shape} and {y.shape} differ; use Repeat first")
        self.x, self.y = x, y
        return x * y

    def backward(self, dz: Array) -> tuple[Array, Array]:
        return dz * self.y, dz * self.x


class Branch(Layer):
    """n copies of x, of any shape.  Backward: dx is the sum of the copies' gradients.

    Source: book 1.3.4.2.
    """

    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Array) -> tuple[Array, ...]:
        return tuple(x.copy() for _ in range(self.n))

    def backward(self, *dys: Array) -> Array:
        if len(dys) != self.n:
            raise self._refuse(f"{len(dys)} gradients came back from {self.n} copies")
        return sum(dys[1:], start=dys[0])


class Repeat(Layer):
    """A row N times over.   x (1, D) or (D,) -> (N, D)

    Backward: the sum over the N rows, in the shape of x. Broadcasting does this unseen.
    Raises ValueError for an input that is not one row.  Source: book 1.3.4.3.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Array) -> Array:
        if x.ndim != 1 and (x.ndim != 2 or len(x) != 1):
            raise self._refuse(f"input must be one row, (1, D) or (D,), not {x.shape}")
        self.shape = x.shape
        return np.repeat(x.reshape(1, -1), self.n, axis=0)

    def backward(self, dy: Array) -> Array:
        return dy.sum(axis=0).reshape(self.shape)


class Sum(Layer):
    """The sum of N rows.   x (N, D) -> (1, D).  Backward: dy, repeated N times.

    Raises ValueError for an input that is not a matrix.  Source: book 1.3.4.4.
    """

    def forward(self, x: Array) -> Array:
        if x.ndim != 2:
            raise self._refuse(f"input must be (N, D), not {x.shape}")
        self.n = len(x)
        return x.sum(axis=0, keepdims=True)

    def backward(self, dy: Array) -> Array:
        return np.repeat(dy, self.n, axis=0)
