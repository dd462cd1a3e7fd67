"""ch01/graph_nodes.py: the backward rules of book 1.3.4 and appendix A, alone and composed."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch01.graph_nodes import (
    Add,
    Branch,
    Exp,
    Graph,
    Multiply,
    Reciprocal,
    Repeat,
    Sum,
    sigmoid_graph,
    tanh_graph,
)
from common.gradient_check import check_gradients
from common.layers import Affine, MatMul, Sigmoid, Tanh
from common.np import np, to_cpu

D, N, M = 8, 7, 3  # D and N as in the book's listings


@pytest.mark.parametrize(
    ("node", "shapes"),
    [
        (Add(), [(N, D), (N, D)]),
        (Multiply(), [(N, D), (N, D)]),
        (Branch(3), [(N, D)]),
        (Repeat(N), [(1, D)]),
        (Repeat(N), [(D,)]),
        (Sum(), [(N, D)]),
    ],
    ids=repr,
)
def test_gradients_agree_with_differences(node, shapes, r):
    assert len(check_gradients(node, *(r(*shape) for shape in shapes))) == len(shapes)


def test_add_passes_the_gradient_on_and_multiply_swaps_the_inputs():
    x, y, dz = np.array([2.0, 3.0]), np.array([5.0, 7.0]), np.array([1.0, 10.0])
    add, multiply = Add(), Multiply()
    assert_array_equal(to_cpu(add.forward(x, y)), [7, 10])
    assert_array_equal([to_cpu(d) for d in add.backward(dz)], [[1, 10], [1, 10]])
    assert_array_equal(to_cpu(multiply.forward(x, y)), [10, 21])
    # dx = dz * y = (1 * 5, 10 * 7),  dy = dz * x = (1 * 2, 10 * 3)
    assert_array_equal([to_cpu(d) for d in multiply.backward(dz)], [[5, 70], [2, 30]])


def test_branch_adds_up_what_comes_back():
    branch = Branch(3)
    copies = branch.forward(np.array([1.0, 2.0]))
    assert_array_equal([to_cpu(c) for c in copies], [[1, 2]] * 3)
    dx = branch.backward(np.array([1.0, 1.0]), np.array([10.0, 20.0]), np.array([100.0, 0.0]))
    assert_array_equal(to_cpu(dx), [111, 21])


def test_repeat_makes_rows_and_sums_their_gradients(backend, r):
    repeat, x, dy = Repeat(N), r(1, D), r(N, D)
    y = repeat.forward(x)
    assert y.shape == (N, D)
    assert_array_equal(to_cpu(y), numpy.tile(to_cpu(x), (N, 1)))
    dx = repeat.backward(dy)
    assert dx.shape == (1, D)
    assert_allclose(to_cpu(dx), to_cpu(dy).sum(axis=0, keepdims=True), rtol=1e-14)


def test_repeat_of_a_plain_vector_gets_a_plain_gradient(r):
    repeat = Repeat(N)
    assert repeat.forward(r(D)).shape == (N, D)
    assert repeat.backward(r(N, D)).shape == (D,)


def test_sum_adds_rows_and_repeats_their_gradient(backend, r):
    total, x, dy = Sum(), r(N, D), r(1, D)
    y = total.forward(x)
    assert y.shape == (1, D)
    assert_allclose(to_cpu(y), to_cpu(x).sum(axis=0, keepdims=True), rtol=1e-14)
    dx = total.backward(dy)
    assert dx.shape == (N, D)
    assert_array_equal(to_cpu(dx), numpy.tile(to_cpu(dy), (N, 1)))


def test_repeat_and_sum_are_each_others_backward(r):
    row, rows = r(1, D), r(N, D)
    repeat, total = Repeat(N), Sum()
    repeated, summed = repeat.forward(row), total.forward(rows)
    assert_array_equal(to_cpu(total.backward(row)), to_cpu(repeated))
    assert_array_equal(to_cpu(repeat.backward(rows)), to_cpu(summed))


def test_matmul_repeat_and_add_make_an_affine_layer(backend, r):
    x, W, b, dy = r(N, D), r(D, M), r(M), r(N, M)
    affine = Affine(W, b)
    matmul, repeat, add = MatMul(W), Repeat(N), Add()

    y = add.forward(matmul.forward(x), repeat.forward(b))
    assert_allclose(to_cpu(y), to_cpu(affine.forward(x)), rtol=1e-14)

    d_product, d_bias = add.backward(dy)
    dx, db = matmul.backward(d_product), repeat.backward(d_bias)
    assert_allclose(to_cpu(dx), to_cpu(affine.backward(dy)), rtol=1e-14)
    assert_allclose(to_cpu(matmul.grads[0]), to_cpu(affine.grads[0]), rtol=1e-14)
    assert db.shape == affine.grads[1].shape
    assert_allclose(to_cpu(db), to_cpu(affine.grads[1]), rtol=1e-14)


def test_a_backward_of_add_gives_arrays_that_do_not_hang_together(r):
    dz = r(N, D)
    before = to_cpu(dz).copy()
    add = Add()
    add.forward(r(N, D), r(N, D))
    dx, dy = add.backward(dz)
    dx += 1
    assert_array_equal(to_cpu(dy), before)
    assert_array_equal(to_cpu(dz), before)


@pytest.mark.parametrize("node", [Add(), Multiply()], ids=repr)
def test_shapes_that_would_broadcast_are_refused(node, r):
    with pytest.raises(ValueError, match=r"\(7, 8\) and \(8,\) differ; use Repeat"):
        node.forward(r(N, D), r(D))


def test_nodes_name_what_they_cannot_take(r):
    with pytest.raises(ValueError, match=r"Repeat.*one row.*\(7, 8\)"):
        Repeat(2).forward(r(N, D))
    with pytest.raises(ValueError, match=r"Sum.*\(N, D\).*\(8,\)"):
        Sum().forward(r(D))
    branch = Branch(2)
    branch.forward(r(D))
    with pytest.raises(ValueError, match=r"Branch: 3 gradients came back from 2 copies"):
        branch.backward(r(D), r(D), r(D))


# --- Appendix A ----------------------------------------------------------------------------------


def test_exp_and_reciprocal_at_worked_numbers():
    exp, reciprocal = Exp(), Reciprocal()
    assert_allclose(to_cpu(exp.forward(np.array([0.0, 1.0]))), [1, numpy.e], rtol=1e-15)
    assert_allclose(to_cpu(exp.backward(np.array([3.0, 2.0]))), [3, 2 * numpy.e], rtol=1e-15)
    assert_array_equal(to_cpu(reciprocal.forward(np.array([2.0, -4.0]))), [0.5, -0.25])
    # dx = -dy / x^2 = (-8 / 4, -8 / 16)
    assert_array_equal(to_cpu(reciprocal.backward(np.array([8.0, 8.0]))), [-2, -0.5])


@pytest.mark.parametrize(
    ("graph", "layer"), [(sigmoid_graph, Sigmoid), (tanh_graph, Tanh)], ids=["sigmoid", "tanh"]
)
def test_node_by_node_equals_the_closed_form(graph, layer, backend):
    graph, layer = graph(), layer()
    x = np.asarray(numpy.linspace(-20, 20, 801))
    dy = np.asarray(numpy.random.default_rng(0).standard_normal(801))
    assert_allclose(to_cpu(graph.forward(x)), to_cpu(layer.forward(x)), rtol=0, atol=1e-12)
    assert_allclose(to_cpu(graph.backward(dy)), to_cpu(layer.backward(dy)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("graph", [sigmoid_graph, tanh_graph])
def test_slopes_of_a_graph_agree_with_central_differences(graph):
    graph, x, h = graph(), np.asarray(numpy.linspace(-6, 6, 49)), 1e-5
    differences = (graph.forward(x + h) - graph.forward(x - h)) / (2 * h)
    graph.forward(x)
    assert_allclose(to_cpu(graph.backward(np.ones(49))), to_cpu(differences), rtol=1e-6)


def test_sigmoid_and_tanh_at_zero_and_in_terms_of_each_other():
    sigmoid, tanh, zero, one = sigmoid_graph(), tanh_graph(), np.zeros(1), np.ones(1)
    assert (float(sigmoid.forward(zero)[0]), float(sigmoid.backward(one)[0])) == (0.5, 0.25)
    assert (float(tanh.forward(zero)[0]), float(tanh.backward(one)[0])) == (0, 1)
    x = np.asarray(numpy.linspace(-6, 6, 49))
    assert_allclose(to_cpu(tanh.forward(x)), to_cpu(2 * sigmoid.forward(2 * x) - 1), atol=1e-15)


def test_the_gradients_in_the_sigmoid_are_those_of_the_derivation():
    """From the end: dy = g, then -g y^2 before 1/x, the same before +1, times exp(-x), times -1."""
    graph, g = sigmoid_graph(), 3.0
    y = graph.forward(np.array([0.7]))
    graph.backward(np.array([g]))
    y, e = float(y[0]), numpy.exp(-0.7)
    expected = {"y": g, "1 + exp(-x)": -g * y**2, "exp(-x)": -g * y**2, "-x": -g * y**2 * e}
    expected["x"] = g * y**2 * e
    assert {name: float(d[0]) for name, d in graph.gradients.items()} == pytest.approx(expected)
    assert expected["x"] == pytest.approx(g * y * (1 - y))


def test_gradients_of_an_output_that_two_nodes_take_are_summed():
    square = Graph({"y": (Multiply(), "x", "x")})
    assert_array_equal(to_cpu(square.forward(np.array([3.0, -1.0]))), [9, 1])
    assert_array_equal(to_cpu(square.backward(np.array([1.0, 10.0]))), [6, -20])


def test_a_graph_refuses_an_input_that_nothing_gives():
    with pytest.raises(ValueError, match=r"Graph: 'y' takes 'z', which is not among \['x', 'a'\]"):
        Graph({"a": (Exp(), "x"), "y": (Add(), "a", "z")})


def test_a_graph_refuses_a_node_in_two_places():
    exp = Exp()
    with pytest.raises(ValueError, match=r"Graph: .* is declared twice"):
        Graph({"a": (exp, "x"), "y": (exp, "a")})
