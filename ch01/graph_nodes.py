"""Nodes of a computational graph, to compose and to check.  D numbers, N copies.

Each is a layer without parameters: `forward` computes, `backward` takes the gradient of the loss
with respect to the output and gives that of every input. An affine layer, for instance, is
`Add().forward(MatMul(W).forward(x), Repeat(N).forward(b))`. `Graph` connects nodes by name.
Source: book 1.3.4, appendix A.
"""

from typing import Any

from common.checks import floats
from common.layers import Elementwise, Layer
from common.np import Array, np

__all__ = [
    "Add",
    "Branch",
    "Exp",
    "Graph",
    "Multiply",
    "Reciprocal",
    "Repeat",
    "Sum",
    "sigmoid_graph",
    "tanh_graph",
]


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


class Exp(Elementwise):
    """y = exp(x), any shape.  Backward: dx = dy * y.

    Overflows above x = 709 in float64, and above 88 in float32.  Source: book A.1, (A.3).
    """

    def forward(self, x: Array) -> Array:
        self.out = y = np.exp(floats(self, x))
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * self.out


class Reciprocal(Elementwise):
    """y = 1 / x, any shape.  Backward: dx = -dy * y^2.  Source: book A.1, (A.2)."""

    def forward(self, x: Array) -> Array:
        self.out = y = 1 / floats(self, x)
        self.y_shape = y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        return dy * -(self.out**2)


class Graph(Layer):
    """Nodes from x to y, connected by the names of their outputs.   x, y: any shape, the same

    nodes      {name: (node, input, ...)} in the order of computing, y the last. An input is "x", an
               earlier name, or a number
    values     the output of each node by name, and "x", after forward
    gradients  the gradient of the loss with respect to each of these, after backward

    Backward goes through the nodes from last to first. The gradients of an output that several
    nodes take are summed, as in `Branch`.
    Raises ValueError for an input that no earlier node gives.  Source: book 1.3.4, A.1.
    """

    def __init__(self, nodes: dict[str, tuple[Any, ...]]) -> None:
        super().__init__()
        known: list[Any] = ["x"]
        for name, (_, *inputs) in nodes.items():
            for source in inputs:
                if isinstance(source, str) and source not in known:
                    raise self._refuse(f"{name!r} takes {source!r}, which is not among {known}")
            known.append(name)
        self.hold(**{name: node for name, (node, *_) in nodes.items()})
        self.nodes = nodes

    def forward(self, x: Array) -> Array:
        x = y = floats(self, x)
        values = {"x": x}
        for name, (node, *inputs) in self.nodes.items():
            arrays = (values[i] if isinstance(i, str) else np.full_like(x, i) for i in inputs)
            values[name] = y = node.forward(*arrays)
        self.values, self.y_shape = values, y.shape
        return y

    def backward(self, dy: Array) -> Array:
        self._check_gradient(dy)
        *_, last = self.values
        gradients = {name: np.zeros_like(value) for name, value in self.values.items()}
        gradients[last] = dy
        for name, (node, *inputs) in reversed(self.nodes.items()):
            found = node.backward(gradients[name])
            for source, d in zip(
                inputs, found if isinstance(found, tuple) else [found], strict=True
            ):
                if isinstance(source, str):
                    gradients[source] = gradients[source] + d
        self.gradients = gradients
        return gradients["x"]


def sigmoid_graph() -> Graph:
    """y = 1 / (1 + exp(-x)) as a graph.  Source: book A.1, (A.1)."""
    return Graph(
        {
            "-x": (Multiply(), "x", -1),
            "exp(-x)": (Exp(), "-x"),
            "1 + exp(-x)": (Add(), "exp(-x)", 1),
            "y": (Reciprocal(), "1 + exp(-x)"),
        }
    )


def tanh_graph() -> Graph:
    """y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)) as a graph.  Source: book A.2, (A.5)."""
    return Graph(
        {
            "-x": (Multiply(), "x", -1),
            "exp(-x)": (Exp(), "-x"),
            "exp(x)": (Exp(), "x"),
            "-exp(-x)": (Multiply(), "exp(-x)", -1),
            "sum": (Add(), "exp(x)", "exp(-x)"),
            "difference": (Add(), "exp(x)", "-exp(-x)"),
            "1 / sum": (Reciprocal(), "sum"),
            "y": (Multiply(), "difference", "1 / sum"),
        }
    )
