"""What a layer, a model or an optimizer shows of itself: names and sizes, at no cost."""

import numpy
import pytest

from ch01.two_layer_net import TwoLayerNet
from ch03.simple_cbow import SimpleCBOW
from ch04.cbow import CBOW
from ch06.better_rnnlm import BetterRnnlm
from ch06.rnnlm import Rnnlm
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Encoder
from ch08.attention_seq2seq import AttentionSeq2seq
from common.base_model import BaseModel
from common.layers import Affine, Dropout, Embedding, Layer, MatMul, Sigmoid
from common.negative_sampling import NegativeSamplingLoss
from common.np import np
from common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from common.time_layers import GRU, TimeBiLSTM, TimeDropout, TimeGRU, TimeLSTM, TimeRNN


def zeros(*shapes):
    return [np.zeros(shape, "f") for shape in shapes]


@pytest.mark.usefixtures("backend")
def test_a_layer_names_its_weights_and_their_shapes():
    assert repr(Affine(*zeros((2, 3), 3))) == "Affine(W (2, 3), b (3,))"
    assert repr(Embedding(*zeros((10, 4)), sparse=True)) == "Embedding(W (10, 4))"
    weights = zeros((2, 12), (3, 12), 12)
    assert repr(TimeLSTM(*weights, stateful=True)) == "TimeLSTM(Wx (2, 12), Wh (3, 12), b (12,))"
    assert repr(TimeBiLSTM(*weights, *weights)) == (
        "TimeBiLSTM(Wx1 (2, 12), Wh1 (3, 12), b1 (12,), Wx2 (2, 12), Wh2 (3, 12), b2 (12,))"
    )
    corpus = numpy.arange(10)
    loss = NegativeSamplingLoss(*zeros((10, 4)), corpus)  # whose second argument is no weight
    assert repr(loss) == "NegativeSamplingLoss(W (10, 4))"


@pytest.mark.parametrize(("cell", "blocks"), [(TimeRNN, 1), (GRU, 3), (TimeGRU, 3)])
def test_every_recurrent_layer_names_its_weights(cell, blocks):
    kH = 3 * blocks
    shown = repr(cell(*zeros((2, kH), (3, kH), kH)))
    assert shown == f"{cell.__name__}(Wx (2, {kH}), Wh (3, {kH}), b ({kH},))"


def test_a_layer_without_weights_shows_its_class_and_a_dropout_its_ratio():
    assert repr(Sigmoid()) == "Sigmoid()"
    assert repr(Dropout(0.25)) == "Dropout(dropout_ratio=0.25)"
    assert repr(TimeDropout()) == "TimeDropout(dropout_ratio=0.5)"


def test_sizes_are_not_taken_for_the_names_of_weights():
    class Dense(Layer):
        def __init__(self, input_size, output_size):
            super().__init__(*zeros((input_size, output_size), output_size))

    class Square(Layer):
        def __init__(self, D):
            super().__init__(*zeros((D, D)))

    assert repr(Dense(2, 3)) == "Dense((2, 3), (3,))"
    assert repr(Square(2)) == "Square((2, 2))"


def test_a_layer_of_the_readers_own_is_shown_like_ours():
    class Scale(Layer):
        def __init__(self, gamma, axis=0):
            super().__init__(gamma=gamma)

    class Typed:  # as in the book: it inherits nothing
        def __init__(self, W, b):
            self.params, self.grads = [W, b], zeros(W.shape, b.shape)

    class Model(BaseModel):
        def __init__(self):
            self.layers = [Typed(*zeros((2, 3), 3)), Scale(*zeros(3)), object(), None]
            self.params = self.layers[0].params + self.layers[1].params

    assert repr(Model()).splitlines() == [
        "Model: 12 parameters, float32",
        "  Typed((2, 3), (3,))",
        "  Scale(gamma (3,))",
    ]


@pytest.mark.usefixtures("backend")
def test_a_model_shows_its_parameters_and_a_line_for_each_layer():
    assert repr(Rnnlm(rng=0)).splitlines() == [
        "Rnnlm: 2,090,400 parameters, float32",
        "  TimeEmbedding(W (10000, 100))",
        "  TimeLSTM(Wx (100, 400), Wh (100, 400), b (400,))",
        "  TimeAffine(W (100, 10000), b (10000,))",
    ]
    assert repr(TwoLayerNet(2, 4, 3, rng=0)).splitlines() == [
        "TwoLayerNet: 27 parameters, float64",
        "  Affine(W (2, 4), b (4,))",
        "  Sigmoid()",
        "  Affine(W (4, 3), b (3,))",
    ]


@pytest.mark.usefixtures("backend")
def test_shared_weights_count_once():
    V, H = 11, 4
    assert repr(SimpleCBOW(V, H, rng=0)).startswith(
        f"SimpleCBOW: {2 * V * H} parameters, float32\n"
    )
    tied = V * H + 2 * (2 * H * 4 * H + 4 * H) + V  # the transpose is no second matrix
    lines = repr(BetterRnnlm(V, H, H, rng=0)).splitlines()
    assert lines[0] == f"BetterRnnlm: {tied} parameters, float32"
    assert lines[1] == f"  TimeEmbedding(W ({V}, {H}))"
    assert lines[-1] == f"  TimeAffine(W ({H}, {V}), b ({V},))"


def test_a_model_without_a_list_of_layers_shows_those_among_its_attributes():
    corpus = numpy.arange(7)
    assert repr(CBOW(7, 2, 1, corpus, rng=0)).splitlines() == [
        "CBOW: 28 parameters, float32",
        "  Embedding(W (7, 2))",
        "  NegativeSamplingLoss(W (7, 2))",
    ]

    class Typed(BaseModel):  # as the book writes it: the inputs' layers in a list
        def __init__(self):
            W_in, W_out = zeros((7, 2), (2, 7))
            self.in_layers = [MatMul(W_in), MatMul(W_in)]
            self.out_layer = MatMul(W_out)
            self.again = self.out_layer
            self.params = [W_in, W_in, W_out]

    assert repr(Typed()).splitlines() == [
        "Typed: 28 parameters, float32",
        "  MatMul(W (7, 2))",
        "  MatMul(W (7, 2))",
        "  MatMul(W (2, 7))",
    ]


@pytest.mark.usefixtures("backend")
def test_encoder_and_decoder_stand_indented_with_their_layers():
    assert repr(PeekySeq2seq(13, 2, 3, rng=0)).splitlines() == [
        "PeekySeq2seq: 323 parameters, float32",
        "  Encoder: 98 parameters, float32",
        "    TimeEmbedding(W (13, 2))",
        "    TimeLSTM(Wx (2, 12), Wh (3, 12), b (12,))",
        "  PeekyDecoder: 225 parameters, float32",
        "    TimeEmbedding(W (13, 2))",
        "    TimeLSTM(Wx (5, 12), Wh (3, 12), b (12,))",
        "    TimeAffine(W (6, 13), b (13,))",
    ]
    model = AttentionSeq2seq(13, 2, 3, cell="gru", rng=0)
    assert repr(model.encoder) == (
        "AttentionEncoder: 80 parameters, float32\n"
        "  TimeEmbedding(W (13, 2))\n"
        "  TimeGRU(Wx (2, 9), Wh (3, 9), b (9,))"
    )


def test_parameters_of_several_types_are_all_named():
    model = TwoLayerNet(1, 1, 2, rng=0)
    model.params[0] = model.params[0].astype("f")
    assert repr(model).startswith("TwoLayerNet: 6 parameters, float32, float64\n")


def test_optimizers_show_their_settings():
    assert repr(Adam()) == "Adam(lr=0.001, beta1=0.9, beta2=0.999)"
    assert repr(SGD(numpy.float64(0.5))) == "SGD(lr=0.5)"
    assert repr(Momentum(0.1, momentum=0.8)) == "Momentum(lr=0.1, momentum=0.8)"
    assert repr(Nesterov()) == "Nesterov(lr=0.01, momentum=0.9)"
    assert repr(AdaGrad()) == "AdaGrad(lr=0.01)"
    assert repr(RMSprop()) == "RMSprop(lr=0.01, decay_rate=0.99)"


def test_an_optimizer_shows_the_settings_of_now():
    optimizer = Adam()
    optimizer.update(zeros(2), zeros(2))
    optimizer.lr /= 4  # as training scripts do
    assert repr(optimizer) == "Adam(lr=0.00025, beta1=0.9, beta2=0.999)"


def test_an_optimizer_names_the_function_of_its_learning_rate():
    def warm_up(step):
        return min(0.1, step / 1000)

    assert repr(Momentum(warm_up)) == "Momentum(lr=warm_up, momentum=0.9)"


HALF_BUILT = [Affine, TimeLSTM, TimeDropout, NegativeSamplingLoss, Adam, SGD]


@pytest.mark.parametrize("made", HALF_BUILT, ids=lambda c: c.__name__)
def test_what_has_no_content_yet_shows_its_class(made):
    assert repr(made.__new__(made)) == f"{made.__name__}()"


@pytest.mark.parametrize("made", [Rnnlm, SimpleCBOW, PeekySeq2seq, Encoder, BaseModel])
def test_a_half_built_model_shows_its_class(made):
    assert repr(made.__new__(made)) == f"{made.__name__}: 0 parameters"


def test_a_layer_whose_init_failed_can_be_shown():
    layer = Affine.__new__(Affine)
    with pytest.raises(ValueError, match="Affine: W is"):
        layer.__init__(*zeros((2, 3), 4))
    assert repr(layer) == "Affine(W (2, 3), b (4,))"


def test_no_odd_content_makes_repr_raise():
    for odd in (None, 3, "W", zeros(2), [None, "W", 1.5], {"W": 1}):
        layer, model = Layer(), BaseModel()
        layer.params = model.params = model.layers = odd
        assert repr(layer).startswith("Layer(")
        assert repr(model).startswith("BaseModel: ")


def test_models_that_hold_one_another_can_be_shown():
    first, second = BaseModel(), BaseModel()
    first.params = second.params = zeros(2)
    first.other, second.other = second, first
    assert repr(first) == (
        "BaseModel: 2 parameters, float32\n  BaseModel: 2 parameters, float32\n    ..."
    )


class Untouchable:
    """An array that says its shape and dtype, and fails whatever else is asked of it."""

    shape, dtype, size, base = (2, 3), numpy.dtype("f"), 6, None

    def _refuse(self, *args):
        raise AssertionError("an array was read")

    __array__ = __len__ = __iter__ = __float__ = __bool__ = __repr__ = __str__ = get = _refuse
    __eq__ = __getitem__ = _refuse
    __hash__ = object.__hash__


def test_no_array_is_read_to_be_shown():
    layer, optimizer = Layer(), SGD()
    layer.params = [Untouchable()]
    optimizer.lr = Untouchable()
    model = BaseModel()
    model.layers, model.params, model.scores = [layer], layer.params, Untouchable()
    assert repr(model) == "BaseModel: 6 parameters, float32\n  Layer((2, 3))"
    assert repr(optimizer) == "SGD()"
