"""The gradient checker finds right gradients right, and says what is wrong with the others."""

import re
import textwrap

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from common import gradient_check
from common.base_model import Chain
from common.gradient_check import check_gradients, numeric_gradient
from common.layers import Affine, Dropout, Embedding, Layer, ReLU, SigmoidWithLoss, Softmax
from common.network import Network
from common.np import np, to_cpu
from common.time_layers import TimeAffine

both_backends = pytest.mark.usefixtures("backend")
N, T, D, M = 4, 3, 2, 5


def verdict(layer, *inputs, **options):
    """What the checker says of a layer that is wrong."""
    with pytest.raises(AssertionError) as caught:
        check_gradients(layer, *inputs, **options)
    return str(caught.value)


def normal(*shape):
    """Other numbers for every shape, and none of those that weight the outputs."""
    return np.asarray(numpy.random.default_rng([1, *shape]).standard_normal(shape))


def mistaken(spoil, cls=Affine, D=D, M=M):
    """An affine layer whose backward ends with dx = spoil(dx, dy, dW, db, layer)."""

    class Mistaken(cls):
        def __init__(self, W, b):
            super().__init__(W, b)

        def backward(self, dy):
            dx = super().backward(dy)
            changed = spoil(dx, dy, *self.grads, self)
            return dx if changed is None else changed

    return Mistaken(normal(D, M), normal(M))


def fill(array, values):
    array[...] = values


# --- Differences ---------------------------------------------------------------------------------


def test_the_slope_of_a_square_is_twice_its_place():
    x = numpy.array([[1.0, -2.0], [3.0, 0.0]])
    before = x.copy()
    assert_allclose(numeric_gradient(lambda: (x**2).sum(), x), 2 * x, atol=1e-9)
    assert_array_equal(x, before)


def test_float32_is_refused():
    with pytest.raises(ValueError, match="numeric_gradient: needs float64, not float32"):
        numeric_gradient(lambda: 0, numpy.zeros(2, "f"))


# --- The table -----------------------------------------------------------------------------------


def columns(line, starts):
    return [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]


@both_backends
def test_right_gradients_have_tiny_errors_and_a_line_each(capsys):
    errors = check_gradients(Affine(normal(D, M), normal(M)), normal(N, D))
    assert list(errors) == ["input 0", "params[0]", "params[1]"]
    assert max(errors.values()) < 1e-9
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["Affine", "shape", "error", "at"]
    starts = [title.index(word) for word in ("Affine", "shape", "error", "at")]
    cells = [columns(line, [*starts, line.index("ok")]) for line in lines]
    assert [row[:2] for row in cells] == [["x", "(4, 2)"], ["W", "(2, 5)"], ["b", "(5,)"]]
    assert [row[2] for row in cells] == [f"{error:.1e}" for error in errors.values()]
    assert all(re.fullmatch(r"\(\d, \d\)|\(\d,\)", row[3]) for row in cells)
    assert len({line.index("ok") for line in lines}) == 1


def test_nothing_is_printed_if_not_verbose(capsys):
    check_gradients(ReLU(), normal(N, D), verbose=False)
    assert capsys.readouterr().out == ""


def test_the_table_is_printed_also_where_gradients_are_wrong(capsys):
    text = verdict(mistaken(lambda dx, dy, dW, db, layer: fill(dW, 0)), normal(N, D))
    verdicts = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert verdicts == ["ok", "WRONG", "ok"]
    assert "1 of 3 gradients are wrong" in text
    assert re.findall(r"^\w+(?= +\()", text, re.M) == ["W"]


def test_all_arrays_are_compared_before_it_raises():
    text = verdict(mistaken(lambda dx, dy, dW, db, layer: fill(db, -db) or -dx), normal(N, D))
    assert re.findall(r"^\w+(?= +\()", text, re.M) == ["x", "b"]
    assert text.count("the sign is wrong") == 2


def test_the_numbers_at_the_worst_element_are_those_of_both_gradients():
    layer, x = mistaken(lambda dx, dy, dW, db, layer: fill(dW[1:, 2], dW[1:, 2] + 3)), normal(N, D)
    text = verdict(layer, x)
    given = re.search(r"at \(1, 2\) backward gives (\S+), differences give (\S+)", text)
    weight = numpy.random.default_rng(0).standard_normal((N, M))
    right = (to_cpu(x).T @ weight)[1, 2]
    assert_allclose([float(n) for n in given.groups()], [right + 3, right], rtol=1e-7)
    assert "1 of 10 elements are off, all in row 1 (the last) and column 2" in text


def test_parameters_have_the_names_that_the_layer_gives_them(capsys):
    class Nameless(Affine):
        def __init__(self, W, b):
            Layer.__init__(self, W, b)

    check_gradients(Nameless(normal(2, 3), normal(3)), normal(N, 2))
    check_gradients(Embedding(normal(3, 2)), numpy.array([0, 2]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("Nameless", "x", "params[0]", "params[1]"),
        *("Embedding", "W"),
    ]


def test_an_input_without_a_gradient_says_so(capsys):
    labels = numpy.array([0.0, 1, 1, 0])
    assert list(check_gradients(SigmoidWithLoss(), normal(4), labels)) == ["input 0"]
    assert re.fullmatch(r"t +\(4,\) +- +- +no gradient", capsys.readouterr().out.splitlines()[2])


def test_the_example_of_the_docstring_prints_what_stands_there(capsys):
    blocks = re.findall(r"(?:^    .*\n|^\n)+", gradient_check.__doc__, re.M)
    code, table = (textwrap.dedent(block).strip() for block in blocks if block.strip())
    names = {"rng": numpy.random.default_rng(0), "Layer": Layer, "check_gradients": check_gradients}
    with pytest.raises(AssertionError, match="Scale: 1 of 2 gradients are wrong"):
        exec(code, names)
    without_rounding = re.compile(r"\S+e-1\d  \(\d, \d\)")
    printed, expected = (
        [without_rounding.sub("", line) for line in text.splitlines()]
        for text in (capsys.readouterr().out, table)
    )
    assert printed == expected


# --- What is probably wrong ----------------------------------------------------------------------

MISTAKES = {
    "right": (lambda dx, dy, dW, db, layer: None, None),
    "sign": (lambda dx, dy, dW, db, layer: -dx, "-1 times what it should be: the sign is wrong"),
    "not divided by N": (
        lambda dx, dy, dW, db, layer: fill(dW, dW * N),
        r"every element is 4 times .* 4 is the batch size N \(axis 0 of x\): perhaps forward div",
    ),
    "divided by N": (
        lambda dx, dy, dW, db, layer: fill(db, db / N),
        r"every element is 1/4 times .* 4 is the batch size N .* perhaps backward divides by it",
    ),
    "minus N": (
        lambda dx, dy, dW, db, layer: -dx / N,
        r"every element is -1/4 times .* 4 is the batch size N",
    ),
    "divided by M": (
        lambda dx, dy, dW, db, layer: dx / M,
        r"1/5 times .* 5 is the length of axis 1 of the output: perhaps backward divides by it",
    ),
    "mean of all": (
        lambda dx, dy, dW, db, layer: fill(dW, dW / (N * M)),
        "1/20 times .* 20 is the number of elements of the output",
    ),
    "an integer of no meaning": (
        lambda dx, dy, dW, db, layer: 7 * dx,
        "every element is 7 times what it should be$",
    ),
    "a number of no meaning": (
        lambda dx, dy, dW, db, layer: 0.3 * dx,
        "every element is 0.3 times what it should be$",
    ),
    "never written": (
        lambda dx, dy, dW, db, layer: fill(db, 0),
        r"zero everywhere: backward never writes grads\[1\]",
    ),
    "wrong shape": (
        lambda dx, dy, dW, db, layer: dx[:2],
        r"the gradient has shape \(2, 2\) instead of \(4, 2\)$",
    ),
    "reshaped": (
        lambda dx, dy, dW, db, layer: dx.reshape(-1),
        r"shape \(8,\) instead of \(4, 2\): the numbers are right, reshape it",
    ),
    "transposed": (lambda dx, dy, dW, db, layer: dx.T, "the gradient is transposed"),
    "only the first sample": (
        lambda dx, dy, dW, db, layer: fill(db, dy[0]),
        "only sample 0 of the output counts; the sum over the others is missing",
    ),
    "only the last sample": (
        lambda dx, dy, dW, db, layer: fill(dW, layer.x[-1:].T @ dy[-1:]),
        r"only sample 3 \(N-1\) of the output counts; the sum over the others is missing",
    ),
    "nan": (
        lambda dx, dy, dW, db, layer: fill(dW[1, 2:4], numpy.nan),
        r"2 of 10 elements of the gradient are nan or inf, the first at \(1, 2\)",
    ),
    "inf": (
        lambda dx, dy, dW, db, layer: fill(db[:1], numpy.inf),
        r"1 of 5 elements of the gradient are nan or inf, the first at \(0,\)",
    ),
    "a row": (
        lambda dx, dy, dW, db, layer: fill(dx[0], 2 * dx[0]),
        r"2 of 8 elements are off, all in row 0 \(the first\)$",
    ),
    "columns": (
        lambda dx, dy, dW, db, layer: fill(dW[:, 1:3], 0),
        "4 of 10 elements are off, all in columns 1 to 2 of 5$",
    ),
    "scattered columns": (
        lambda dx, dy, dW, db, layer: fill(dW[:, 0:5:2], 0),
        "6 of 10 elements are off, all in columns 0, 2, 4 of 5$",
    ),
    "elements of a vector": (
        lambda dx, dy, dW, db, layer: fill(db[3:], 0),
        "2 of 5 elements are off, all in axis 0 at indices 3 to 4 of 5$",
    ),
    "a diagonal": (
        lambda dx, dy, dW, db, layer: dx * np.asarray([[0, 1], [1, 0], [0, 1], [1, 0]]),
        "4 of 8 elements are off$",
    ),
    "an offset": (
        lambda dx, dy, dW, db, layer: dx + 1e-4,
        "all 8 elements are off, by no common factor",
    ),
    "too few digits": (
        lambda dx, dy, dW, db, layer: dx.astype("float16"),
        "the gradient is float16, which has too few digits",
    ),
}


@both_backends
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_an_affine_layer_are_named(name):
    spoil, words = MISTAKES[name]
    if words is None:
        check_gradients(mistaken(spoil), normal(N, D))
    else:
        assert re.search(words, verdict(mistaken(spoil), normal(N, D)))


@both_backends
def test_a_square_weight_gradient_that_is_transposed_is_found():
    layer = mistaken(lambda dx, dy, dW, db, layer: fill(dW, dW.T.copy()), D=3, M=3)
    assert "the gradient is transposed: its element (i, j) belongs to (j, i)" in verdict(
        layer, normal(N, 3)
    )


def test_a_softmax_backward_seven_times_too_large_is_found():
    class Sevenfold(Softmax):
        def backward(self, dy):
            return 7 * super().backward(dy)

    assert "every element is 7 times" in verdict(Sevenfold(), normal(2, 3))


def test_a_parameter_that_forward_does_not_use_is_found():
    class Forgetful(Affine):
        def forward(self, x):
            return super().forward(x) - self.params[1]

    text = verdict(Forgetful(normal(D, M), normal(M)), normal(N, D))
    assert "the gradient should be zero: the output does not change with b" in text


def test_gradients_as_small_as_rounding_are_told_from_wrong_ones():
    class Tiny(Layer):
        def forward(self, x):
            return 1e-12 * x

        def backward(self, dy):
            return 2e-12 * dy

    assert "every element is 2 times" in verdict(Tiny(), normal(N, D))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda dx, dy, dW, db, layer: T * dx, r"3 is T \(axis 1 of x\)"),
        (
            lambda dx, dy, dW, db, layer: fill(dW, dW / (N * T)),
            r"1/12 times .* 12 is N \* T \(axes 0 and 1 of x\): perhaps backward divides by it",
        ),
        (
            lambda dx, dy, dW, db, layer: dx.swapaxes(0, 1),
            "axes 0 and 1 of the gradient are exchanged",
        ),
        (
            lambda dx, dy, dW, db, layer: dx.reshape(-1, D),
            r"shape \(12, 2\) instead of \(4, 3, 2\): the numbers are right, reshape it",
        ),
        (
            lambda dx, dy, dW, db, layer: fill(db, dy[:, -1].sum(axis=0)),
            r"only step 2 \(T-1\) of the output counts; the sum over the others is missing",
        ),
        (
            lambda dx, dy, dW, db, layer: fill(db, dy[:, 0].sum(axis=0)),
            "only step 0 of the output counts",
        ),
        (
            lambda dx, dy, dW, db, layer: fill(dx[:, 1, 0], 0),
            "4 of 24 elements are off, all in axis 1 at index 1 and axis 2 at index 0",
        ),
    ],
    ids=["T", "N * T", "exchanged", "reshape", "last step", "first step", "index"],
)
@both_backends
def test_mistakes_of_a_layer_over_time_are_named(spoil, words):
    assert re.search(words, verdict(mistaken(spoil, TimeAffine), normal(N, T, D)))


@pytest.mark.parametrize(
    ("summed", "words"),
    [
        ((0, 1), None),
        ((0,), r"shape \(3, 5\) instead of \(5,\): sum over axis 0$"),
        ((1,), r"shape \(4, 5\) instead of \(5,\): sum over axis 0, the batch$"),
        ((), r"shape \(4, 3, 5\) instead of \(5,\): sum over axes 0 and 1$"),
    ],
    ids=["right", "over N only", "over T only", "not at all"],
)
def test_axes_that_are_not_summed_are_named(summed, words):
    class Shift(Layer):
        """y = x + b, with b as an input, so that its gradient may have any shape."""

        def forward(self, x, b):
            return x + b

        def backward(self, dy):
            return dy, dy.sum(axis=summed)

    if words is None:
        check_gradients(Shift(), normal(N, T, M), normal(M))
    else:
        assert re.search(words, verdict(Shift(), normal(N, T, M), normal(M)))


class SlowRNN(Layer):
    """h[t] = tanh(x[t] @ Wx + h[t-1] @ Wh).   xs (N, T, D) -> hs (N, T, H), with one mistake."""

    def __init__(self, Wx, Wh, mistake=None):
        super().__init__(Wx, Wh)
        self.mistake = mistake

    def forward(self, xs):
        Wx, Wh = self.params
        hs = [np.zeros((len(xs), len(Wh)))]
        for t in range(xs.shape[1]):
            hs.append(np.tanh(xs[:, t] @ Wx + hs[-1] @ Wh))
        self.xs, self.hs = xs, hs
        return np.stack(hs[1:], axis=1)

    def backward(self, dhs):
        Wx, Wh = self.params
        dWx, dWh = np.zeros_like(Wx), np.zeros_like(Wh)
        dxs, dh = np.zeros_like(self.xs), 0
        for t in reversed(range(dhs.shape[1])):
            da = (dhs[:, t] + dh) * (1 - self.hs[t + 1] ** 2)
            dh = 0 if self.mistake == "nothing comes back" else da @ Wh.T
            dxs[:, t] = da @ Wx.T
            dWx += self.xs[:, t].T @ da
            dWh += self.hs[t].T @ da
        if self.mistake == "signs":
            dWh *= -1
        self.grads[0][...], self.grads[1][...] = dWx, dWh
        return dxs


@both_backends
def test_a_recurrent_layer_to_which_nothing_comes_back_is_right_at_the_last_step_only():
    weights = normal(D, M), normal(M, M)
    check_gradients(SlowRNN(*weights), normal(N, T, D))
    text = verdict(SlowRNN(*weights, "nothing comes back"), normal(N, T, D))
    assert re.search(r"^xs +\(4, 3, 2\)", text, re.M)
    assert "the last step (axis 1) is right and all steps before it are off" in text
    assert "-1 times" in verdict(SlowRNN(*weights, "signs"), normal(N, T, D))


@both_backends
def test_a_row_sparse_gradient_is_looked_at_like_any_other():
    class Doubled(Embedding):
        def backward(self, dy):
            super().backward(2 * dy)

    assert "2 times" in verdict(Doubled(normal(5, 3), sparse=True), numpy.array([1, 4, 1]))


# --- Backward called again -----------------------------------------------------------------------


class Adding(Affine):
    def backward(self, dy):
        old = self.grads[0].copy()
        dx = super().backward(dy)
        self.grads[0][...] += old
        return dx


@both_backends
def test_a_backward_that_adds_to_grads_is_found_even_if_the_first_call_is_right():
    layer = Adding(normal(D, M), normal(M))
    for _ in range(2):  # fresh, then with gradients from before
        text = verdict(layer, normal(N, D))
        assert "1 of 3" in text
        assert "it adds to grads[0] instead of overwriting it" in text


@both_backends
def test_a_gradient_array_that_is_replaced_is_found_though_its_numbers_are_right():
    def spoil(dx, dy, dW, db, layer):
        layer.grads[1] = db.copy()

    text = verdict(mistaken(spoil), normal(N, D))
    assert "1 of 3" in text
    assert "backward puts another array into grads[1]" in text
    assert "backward gives" not in text


def test_replaced_and_not_summed_are_both_said():
    class Batched(Affine):
        def backward(self, dy):
            self.grads[1] = dy
            return dy @ self.params[0].T

    text = verdict(Batched(normal(D, M), normal(M)), normal(N, D))
    assert "(4, 5) instead of (5,): sum over axis 0, the batch; besides, backward puts" in text


def test_a_list_of_new_gradients_is_replaced_as_well():
    def spoil(dx, dy, dW, db, layer):
        layer.grads = [dW.copy(), db.copy()]

    assert verdict(mistaken(spoil), normal(N, D)).count("puts another array into grads") == 2


def test_a_layer_that_replaces_its_gradients_leaves_those_of_its_model_unwritten():
    def spoil(dx, dy, dW, db, layer):
        layer.grads[1] = db.copy()
        fill(db, 0)

    model = Chain([mistaken(spoil, M=1), Flat()], SigmoidWithLoss())
    text = verdict(model, normal(N, D), numpy.array([0, 1, 1, 0]))
    assert "backward never writes grads[1]" in text


class Flat(Layer):
    def forward(self, x):
        return x.reshape(-1)

    def backward(self, dy):
        return dy.reshape(-1, 1)


class Popping(Affine):
    def forward(self, x):
        self.kept = [x]
        return super().forward(x)

    def backward(self, dy):
        self.kept.pop()
        return super().backward(dy)


class Overwriting(Softmax):
    def backward(self, dy):
        dx = super().backward(dy)
        self.out *= 0.5
        return dx


class Remembering(Layer):
    """y = x * a, summing over all inputs that it has ever seen."""

    def __init__(self, a):
        super().__init__(a)
        self.kept = []

    def forward(self, x):
        self.kept.append(x)
        return x * self.params[0]

    def backward(self, dy):
        self.grads[0][...] = sum(dy * x for x in self.kept).sum(axis=0)
        return dy * self.params[0]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Popping(normal(D, M), normal(M)), "works only once: called again, it raises IndexError"),
        (Overwriting(), "gives something else when called again"),
        (Remembering(normal(D)), "another forward and backward give something else"),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Layer) else "",
)
def test_layers_that_work_the_first_time_only_are_found(layer, words):
    assert words in verdict(layer, normal(N, D))


# --- What cannot be checked ----------------------------------------------------------------------


def refusal(layer, *inputs, **options):
    with pytest.raises(ValueError, match=r"^check_gradients: ") as caught:
        check_gradients(layer, *inputs, **options)
    return str(caught.value)


@both_backends
def test_arrays_that_are_not_float64_or_not_finite_are_refused():
    single = Affine(normal(D, M).astype("f"), normal(M).astype("f"))
    assert "Affine needs float64, W is float32" in refusal(single, normal(N, D))
    x = normal(N, D)
    double = Affine(normal(D, M), normal(M))
    assert "Affine needs float64, x is float32" in refusal(double, x.astype("f"))
    x[1, 1] = numpy.nan
    assert "x holds nan or inf" in refusal(double, x)


def test_a_forward_in_float32_is_refused():
    class Single(ReLU):
        def forward(self, x):
            return super().forward(x.astype("f"))

    assert "its forward gives float32" in refusal(Single(), normal(N, D))


def test_grads_that_do_not_go_with_params_are_refused():
    layer = Affine(normal(D, M), normal(M))
    layer.grads = [None, layer.grads[1]]
    assert "2 arrays in params and 1 in grads" in refusal(layer, normal(N, D))
    del layer.grads
    assert "Affine has no grads" in refusal(layer, normal(N, D))

    def spoil(dx, dy, dW, db, layer):
        layer.grads = [dW]

    assert "2 arrays in params and 1 in grads" in refusal(mistaken(spoil), normal(N, D))


def test_a_check_of_nothing_is_refused():
    class Silent(ReLU):
        def backward(self, dy):
            super().backward(dy)

    assert "has nothing to check" in refusal(Silent(), normal(N, D))


@both_backends
def test_a_random_layer_needs_before():
    layer = Dropout(0.5)
    assert "pass before=" in refusal(layer, normal(N, D))

    def same_mask():
        layer.rng = np.random.default_rng(0)

    check_gradients(layer, normal(N, D), before=same_mask)


class HalfLogarithm(Layer):
    """y = log x, which is nan below zero, and -inf at zero."""

    def forward(self, x):
        with numpy.errstate(all="ignore"):
            self.x = x
            return np.log(x)

    def backward(self, dy):
        return dy / self.x


def test_nan_in_the_output_or_in_the_differences_is_said():
    x = numpy.array([[1.0, 2.0], [3.0, -1.0]])
    assert "forward gives nan or inf, first at (1, 1)" in verdict(HalfLogarithm(), x)
    x[1, 1] = 1e-6
    words = r"1 of 4 elements of what differences give are nan or inf, the first at \(1, 1\)"
    assert re.search(words, verdict(HalfLogarithm(), x))


class InPlace(ReLU):
    def forward(self, x):
        x[x < 0] = 0
        return super().forward(x)


class InPlaceBackward(Layer):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        self.x *= 2 * dy
        return self.x


def test_a_layer_that_changes_its_input_is_told_so_and_the_input_stays():
    x = normal(N, D)
    before = x.copy()
    assert verdict(InPlace(), x) == "InPlace: forward changes x itself, not a copy"
    assert verdict(InPlaceBackward(), x) == "InPlaceBackward: backward changes x itself, not a copy"
    assert_array_equal(x, before)


def test_a_backward_may_write_into_the_gradient_it_gets():
    class Doubled(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            dy *= 2
            return dy

    check_gradients(Doubled(), normal(N, D))


def test_one_array_given_twice_counts_as_two_inputs():
    class Product(Layer):
        def forward(self, x, y):
            self.x, self.y = x, y
            return x * y

        def backward(self, dz):
            return dz * self.y, dz * self.x

    x = normal(N, D)
    assert len(check_gradients(Product(), x, x)) == 2


# --- Any shape -----------------------------------------------------------------------------------

length = st.integers(1, 4)


@given(N=length, D=length, M=length)
def test_no_shape_makes_a_right_layer_wrong(N, D, M):
    check_gradients(Affine(normal(D, M), normal(M)), normal(N, D), verbose=False)


@given(N=length, D=length, M=length, k=st.sampled_from([-4, -1, 2, 3, 7]), inverse=st.booleans())
def test_a_factor_is_found_in_any_shape(N, D, M, k, inverse):
    c = 1 / k if inverse else k
    text = verdict(
        mistaken(lambda dx, dy, dW, db, layer: fill(dW, c * dW) or c * dx, D=D, M=M), normal(N, D)
    )
    said = re.findall(r"every element is (\S+) times", text)
    assert said == [(f"{'-' * (k < 0)}1/{abs(k)}" if inverse and abs(k) > 1 else str(k))] * 2


@given(N=length, D=length, M=length)
def test_a_transposed_gradient_is_found_in_any_shape(N, D, M):
    def spoil(dx, dy, dW, db, layer):
        return dx.T if dx.shape != (1, 1) else -dx

    text = verdict(mistaken(spoil, D=D, M=M), normal(N, D))
    assert ("the gradient is transposed" in text) == (N * D > 1)


# --- Kinks, and what is no array -----------------------------------------------------------------


class Peak(Layer):
    """y = max over the last axis of x W: a kink where the two largest are equal."""

    def __init__(self, W):
        super().__init__(W=W)

    def forward(self, x):
        self.x, y = x, x @ self.params[0]
        self.at = y.argmax(axis=1)
        return y.max(axis=1)

    def backward(self, dy):
        d = np.zeros((len(dy), self.params[0].shape[1]))
        d[np.arange(len(dy)), self.at] = dy
        self.grads[0][...] = self.x.T @ d
        return d @ self.params[0].T


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (ReLU(), np.array([[1.0, 0], [2, -3]])),
        (ReLU(), np.zeros((2, 2))),
        (Peak(np.ones((3, 2))), np.array([[1.0, 2, 3]])),
        (Network([Affine(np.zeros((2, 3)), np.zeros(3)), ReLU()]), np.ones((2, 2))),
    ],
    ids=["ReLU at one 0", "ReLU at zeros", "two equal maxima", "ReLU after zero weights"],
)
def test_a_kink_is_told_from_a_mistake(layer, x):
    with pytest.raises(AssertionError, match="has a kink there, with slope"):
        check_gradients(layer, x, verbose=False)


def test_a_wrong_gradient_beside_a_kink_is_no_kink(r):
    class Twice(ReLU):
        def backward(self, dy):
            return 2 * super().backward(dy)

    with pytest.raises(AssertionError, match="every element is 2 times what it should be"):
        check_gradients(Twice(), abs(r(2, 3)) + 1, verbose=False)
    with pytest.raises(AssertionError) as error:
        check_gradients(Twice(), np.array([[1.0, 1e-7, 2.0]]), verbose=False)
    assert "kink" not in str(error.value)


@pytest.mark.parametrize("x", [[[1.0, 2], [3, 4]], ([1.0, 2],), [np.float64(1)]])
def test_a_list_in_place_of_an_array_is_named(r, x):
    layer = Affine(r(2, 3), r(3))
    with pytest.raises(ValueError, match=r"Affine needs arrays, input 0 is a (list|tuple): np.arr"):
        check_gradients(layer, x)
    for name in "params", "grads":
        spoilt = Affine(r(2, 3), r(3))
        getattr(spoilt, name)[1] = [1.0, 2, 3]
        with pytest.raises(ValueError, match=rf"needs arrays in {name}, {name}\[1\] is a list"):
            check_gradients(spoilt, r(2, 2))


def test_ids_may_be_a_list(r):
    assert check_gradients(Embedding(r(5, 3)), [1, 4, 1], verbose=False)
