"""Nodes of a computational graph, to compose and to check.  D numbers, N copies.

Each is a layer without parameters: `forward` computes, `backward` takes the gradient of the loss
with respect to the output and gives that of every input. An affine layer, for instance, is
`Add().forward(MatMul(W).forward(x), Repeat(N).forward(b))`.  Source: book 1.3.4.
"""

from common.checks import floats
from common.layers import Layer
from common.np import Array, np


class Add(Layer):
    """z = x + y, any shape, the same for both.  Backward: dz goes to both.

    Source: book 1.3.4.1.
    """

    def forward(self, x: Array, y: Array) -> Array:
        x, y = floats(self, x), floats(self, y)
        if x.shape != y.shape:
            raise self._refuse(f"inputs of shapes {x.shape} and {y.shape} differ; use Repeat first")
        self.y_shape = x.shape
        return x + y

    def backward(self, dz: Array) -> tuple[Array, Array]:
        self._check_gradient(dz)
        return dz.copy(), dz.copy()


class Multiply(Layer):
    """z = x * y, any shape, the same for both.  Backward: dx = dz * y, dy = dz * x.

    Source: book 1.3.4.
    """

    def forward(self, x: Array, y: Array) -> Array:
        x, y = floats(self, x), floats(self, y)
        if x.shape != y.shape:
            raise self._refuse(f"inputs of shapes {x.shape} and {y.shape} differ; use Repeat first")
        self.x, self.y, self.y_shape = x, y, x.shape
        return x * y

    def backward(self, dz: Array) -> tuple[Array, Array]:
        self._check_gradient(dz)
        return dz * self.y, dz * self.x


class Branch(Layer):
    """n copies of x, of any shape.  Backward: dx is the sum of the copies' gradients.

    Source: book 1.3.4.2.
    """

    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Array) -> tuple[Array, ...]:
        x = floats(self, x)
        self.y_shape = x.shape
        return tuple(x.copy() for _ in range(self.n))

    def backward(self, *dys: Array) -> Array:
        if len(dys) != self.n:
            raise self._refuse(f"{len(dys)} gradients came back from {self.n} copies")
        for dy in dys:
            self._check_gradient(dy)
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
        x = floats(self, x)
        if x.ndim != 1 and (x.ndim != 2 or len(x) != 1):
            raise self._refuse(f"input must be one row, (1, D) or (D,), not {x.shape}")
        self.shape, self.y_shape = x.shape, (self.n, x.size)
        return np.repeat(x.reshape(1, -1), self.n, axis=0)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy.sum(axis=0).reshape(self.shape)


class Sum(Layer):
    """The sum of N rows.   x (N, D) -> (1, D).  Backward: dy, repeated N times.

    Raises ValueError for an input that is not a matrix.  Source: book 1.3.4.4.
    """

    def forward(self, x: Array) -> Array:
        x = floats(self, x)
        if x.ndim != 2:
            raise self._refuse(f"input must be (N, D), not {x.shape}")
        self.n, self.y_shape = len(x), (1, x.shape[1])
        return x.sum(axis=0, keepdims=True)

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return np.repeat(dy, self.n, axis=0)
