"""The larger language models of chapter 6: BetterRnnlm, its ties and dropouts, and GruRnnlm."""

import math
import pickle

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from common.evaluate import eval_perplexity
from common.functions import perplexity
from common.gradient_check import check_gradients
from common.gradients import RowSparse, remove_duplicate
from common.np import np, to_cpu, use
from common.optimizer import SGD
from common.rng import generator, randn
from common.trainer import RnnlmTrainer
from tests import cupy_stand_in
from tests.reference import enlarge

both_backends = pytest.mark.usefixtures("backend")
both_models = pytest.mark.parametrize("model_class", [BetterRnnlm, GruRnnlm])
ALL_DROPOUTS = {
    "dropout_ratio": 0.4,
    "variational": True,
    "dropconnect_ratio": 0.3,
    "recurrent_dropout_ratio": 0.2,
}


def ids(*shape, V=7, seed=0):
    return numpy.random.default_rng(seed).integers(V, size=shape)


def small(model_class=BetterRnnlm, seed=0, **options):
    """A small model whose word vectors are not so close to zero that nothing shows."""
    model = model_class(7, 4, 4, rng=seed, **options)
    model.params[0][...] *= 100
    return model


def start(model):
    """The same start every time: the same state, the same random masks."""
    rng = numpy.random.default_rng(1)
    for layer in model.recurrent_layers:
        H = len(layer.params[1])
        layer.set_state(*(np.asarray(rng.standard_normal((2, H))) for _ in layer.state))
    for seed, layer in enumerate(model.layers):
        if layer.rng is not None:
            layer.rng = np.random.default_rng(seed)


def tied(model):
    """Whether a change of the embedding is one of the affine layer."""
    E, W = model.layers[0].params[0], model.layers[-1].params[0]
    E[2, 1] += 1
    return bool((E.T == W).all())


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(to_cpu(a), to_cpu(b))


# --- Sizes and first weights ---------------------------------------------------------------------


def test_the_model_has_the_sizes_of_the_book():
    model = BetterRnnlm(rng=0)
    layers = ["TimeEmbedding", *["TimeDropout", "TimeLSTM"] * 2, "TimeDropout", "TimeAffine"]
    assert [type(layer).__name__ for layer in model.layers] == layers
    assert (len(model.lstm_layers), len(model.drop_layers)) == (2, 3)
    assert {layer.dropout_ratio for layer in model.drop_layers} == {0.5}
    assert [p.shape for p in model.params] == [
        (10000, 650),
        *[(650, 2600), (650, 2600), (2600,)] * 2,
        (650, 10000),
        (10000,),
    ]
    assert sum(p.size for p in model.params) == 19_775_200
    params, _ = remove_duplicate(model.params, model.grads)
    assert len(params) == 8
    assert sum(p.size for p in params) == 13_275_200
    assert {str(p.dtype) for p in model.params} == {"float32"}


@both_backends
def test_first_weights_have_the_scales_of_the_book():
    model = BetterRnnlm(1000, 64, 64, rng=0)
    scales = [float(p.std()) for p in model.params]
    lstm = [1 / 8, 1 / 8, 0]  # 1 / sqrt(64)
    assert scales == pytest.approx([0.01, *lstm, *lstm, 0.01, 0], rel=0.02)


@both_backends
def test_the_first_weights_are_drawn_in_the_order_of_the_layers():
    rng = generator(0)
    drawn = [randn(rng, 7, 4) / 100, randn(rng, 4, 16) / 2, randn(rng, 4, 16) / 2]
    assert_same(BetterRnnlm(7, 4, 4, rng=0).params[:3], drawn)


@both_backends
@both_models
def test_a_fresh_model_knows_nothing(model_class):
    model = model_class(1000, 20, 20, rng=0)
    xs, ts = ids(5, 20, V=1000), ids(5, 20, V=1000, seed=1)
    assert perplexity(float(model.forward(xs, ts))) == pytest.approx(1000, rel=0.01)
    assert eval_perplexity(model, xs.reshape(-1), progress=False) == pytest.approx(1000, rel=0.01)


@both_backends
@pytest.mark.parametrize("num_layers", [1, 3])
def test_there_may_be_other_numbers_of_layers(num_layers):
    model = small(num_layers=num_layers)
    assert len(model.lstm_layers) == num_layers
    assert len(model.drop_layers) == num_layers + 1
    assert len(model.params) == 3 + 3 * num_layers
    params, _ = remove_duplicate(model.params, model.grads)
    assert len(params) == 2 + 3 * num_layers


def test_sizes_that_make_no_model_are_refused():
    with pytest.raises(ValueError, match="tied weights need wordvec_size 3 = hidden_size 4"):
        BetterRnnlm(7, 3, 4)
    for num_layers in 0, -1:
        with pytest.raises(ValueError, match=f"num_layers must be at least 1, not {num_layers}"):
            small(num_layers=num_layers)
    for option in "dropout_ratio", "dropconnect_ratio", "recurrent_dropout_ratio":
        with pytest.raises(ValueError, match="at least 0 and below 1, not 1"):
            small(**{option: 1})


def test_a_gru_has_three_quarters_of_the_recurrent_weights():
    lstm, gru = Rnnlm(rng=0), GruRnnlm(rng=0)
    assert [p.shape for p in gru.params[1:4]] == [(100, 300), (100, 300), (300,)]
    of_gru, of_lstm = (sum(p.size for p in m.rnn_layer.params) for m in (gru, lstm))
    assert (of_gru, of_lstm) == (60_300, 80_400)  # 3 and 4 times 100 * 100 + 100 * 100 + 100
    others = slice(0, 1), slice(4, None)
    for where in others:
        assert [p.shape for p in gru.params[where]] == [p.shape for p in lstm.params[where]]


# --- Gradients -----------------------------------------------------------------------------------


@both_backends
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 1, "dropout_ratio": 0},
        {"num_layers": 3, "variational": True},
        ALL_DROPOUTS,
    ],
    ids=["defaults", "one layer", "three layers", "all dropouts"],
)
def test_gradients_of_the_better_model_agree_with_differences(options):
    model = BetterRnnlm(5, 3, 3, rng=0, **options)
    enlarge(model)
    xs, ts = ids(2, 2, V=5), ids(2, 2, V=5, seed=1)
    errors = check_gradients(model, xs, ts, before=lambda: start(model))
    assert len(errors) == len(model.params) - 1  # the tied matrix counts once


@both_backends
def test_gradients_of_the_gru_model_agree_with_differences():
    model = GruRnnlm(5, 3, 4, rng=0)
    enlarge(model)
    xs, ts = ids(2, 3, V=5), ids(2, 3, V=5, seed=1)
    assert len(check_gradients(model, xs, ts, before=lambda: start(model))) == 6


@both_backends
def test_the_tied_matrix_gets_the_gradients_of_both_uses():
    model = small()
    model.forward(ids(2, 3), ids(2, 3, seed=1))
    model.backward()
    dE, dW = model.grads[0], model.grads[-2]
    assert isinstance(dE, RowSparse)
    params, grads = remove_duplicate(model.params, model.grads)
    assert (len(model.params), len(params), len(grads)) == (9, 8, 8)
    assert params[0] is model.params[0]
    assert_same(grads[:1], [dE.to_dense() + dW.T])
    assert_same(grads[1:], [*model.grads[1:-2], model.grads[-1]])


# --- Tied weights --------------------------------------------------------------------------------


@both_backends
def test_a_change_of_the_embedding_is_a_change_of_the_affine_layer():
    model, xs = small(), ids(2, 3, V=6)
    before = to_cpu(model.predict(xs))
    model.reset_state()
    model.layers[0].params[0][6] += 1  # a word that is not read
    after = to_cpu(model.predict(xs))
    assert (after != before).any(axis=(0, 1)).tolist() == [False] * 6 + [True]
    assert tied(model)


@both_backends
def test_training_keeps_the_tie():
    model, text = small(), ids(200)
    before = to_cpu(model.params[0]).copy()
    RnnlmTrainer(model, SGD(1.0)).fit(text[:-1], text[1:], 1, 5, 7, max_grad=0.25)
    assert (to_cpu(model.params[0]) != before).all()
    assert tied(model)


# --- Dropout -------------------------------------------------------------------------------------


@both_backends
def test_only_training_drops():
    model, xs, ts = small(**ALL_DROPOUTS), ids(5, 6), ids(5, 6, seed=1)

    def same_twice(f):
        results = []
        for _ in range(2):
            model.reset_state()
            results.append(to_cpu(f()).tolist())
        return results[0] == results[1]

    assert same_twice(lambda: model.predict(xs))
    assert not same_twice(lambda: model.predict(xs, train_flg=True))
    assert not same_twice(lambda: model.forward(xs, ts))
    assert same_twice(lambda: model.forward(xs, ts, train_flg=False))
    assert same_twice(lambda: model.predict(xs))


@both_backends
@pytest.mark.parametrize(
    "option", ["dropout_ratio", "dropconnect_ratio", "recurrent_dropout_ratio"]
)
def test_every_kind_of_dropout_drops_by_itself(option):
    model, xs = small(**{"dropout_ratio": 0, option: 0.5}), ids(5, 6)
    scores = []
    for train_flg in True, False:
        model.reset_state()
        scores.append(to_cpu(model.predict(xs, train_flg=train_flg)))
    assert (scores[0] != scores[1]).any()


@both_backends
@pytest.mark.parametrize("variational", [False, True])
def test_variational_dropout_keeps_a_mask_for_all_steps(variational):
    model = small(variational=variational)
    model.forward(ids(5, 6), ids(5, 6))
    steps = 1 if variational else 6
    assert [layer.mask.shape for layer in model.drop_layers] == [(5, steps, 4)] * 3


@both_backends
def test_evaluation_drops_nothing():
    model, text = small(**ALL_DROPOUTS), ids(101)
    found = eval_perplexity(model, text, 2, 5, progress=False)
    halves = text[:-1].reshape(2, 50), text[1:].reshape(2, 50)
    loss = float(model.forward(*halves, train_flg=False))
    assert found == pytest.approx(math.exp(loss), rel=1e-6)
    model.reset_state()
    assert float(model.forward(*halves)) != pytest.approx(loss, rel=1e-3)


@both_backends
def test_one_seed_is_one_model_and_one_sequence_of_masks():
    def losses(seed):
        model, xs = small(seed=seed, **ALL_DROPOUTS), ids(5, 6)
        return [float(model.forward(xs, xs)) for _ in range(3)]

    assert losses(0) == losses(0) != losses(1)
    numpy.random.seed(5)
    by_global_seed = losses(None)
    numpy.random.seed(5)
    assert losses(None) == by_global_seed


# --- State ---------------------------------------------------------------------------------------


@both_backends
@both_models
def test_the_state_goes_on_until_it_is_reset(model_class):
    model, xs = small(model_class), ids(2, 6)
    whole = to_cpu(model.predict(xs))
    model.reset_state()
    halves = [to_cpu(model.predict(part)) for part in (xs[:, :3], xs[:, 3:])]
    assert_allclose(numpy.concatenate(halves, axis=1), whole, atol=1e-6)
    model.reset_state()
    assert abs(to_cpu(model.predict(xs[:, 3:])) - whole[:, 3:]).max() > 0.01


@both_backends
@both_models
def test_a_refused_batch_changes_nothing(model_class):
    model, good = small(model_class), ids(2, 3)
    model.forward(good, good)
    before = [a.copy() for a in (*model.params, *states(model))]
    for xs, ts, problem in [
        (good + 7, good, r"TimeEmbedding: id \d+ is not in 0\.\.6"),
        (good, good + 7, r"TimeSoftmaxWithLoss: id \d+ is not in 0\.\.6"),
        (good, good[:, :2], r"labels have shape \(2, 2\)"),
        (good[:1], good[:1], r"the kept h is \(2, 4\), this batch needs \(1, 4\)"),
    ]:
        with pytest.raises(ValueError, match=problem):
            model.forward(xs, ts)
        assert_same([*model.params, *states(model)], before)


def states(model):
    return [a for layer in model.recurrent_layers for a in layer.state.values()]


# --- Files ---------------------------------------------------------------------------------------


@both_backends
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_loading_gives_back_what_was_saved_and_the_tie(folder, dtype):
    first, second = small(), small(seed=1)
    first.save_params(dtype=dtype)
    second.load_params()
    assert_same(second.params, [p.astype(dtype).astype("float32") for p in first.params])
    xs = ids(2, 3)
    found, saved = to_cpu(second.predict(xs)), to_cpu(first.predict(xs))
    assert_allclose(found, saved, rtol=0, atol=0 if dtype == "float32" else 0.005)
    assert tied(second)


def test_a_file_holds_the_tied_matrix_once(folder):
    model = small()
    model.save_params()
    with numpy.load("BetterRnnlm.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "header.json"}
    assert [*arrays] == [
        "0.W",
        *[f"{layer}.{name}" for layer in (2, 4) for name in ("Wx", "Wh", "b")],
        "6.b",
    ]
    assert_same(arrays.values(), [*model.params[:-2], model.params[-1]])


@both_backends
def test_the_pickled_weights_of_the_book_are_read(folder):
    first, second = small(), small(seed=1)
    old = [to_cpu(p).astype("float16") for p in first.params]
    assert len(old) == 9  # the tied matrix twice
    (folder / "BetterRnnlm.pkl").write_bytes(pickle.dumps(old))
    second.load_params()
    assert_same(second.params, [a.astype("float32") for a in old])
    assert tied(second)


def test_weights_of_another_number_of_layers_are_refused(folder):
    small(num_layers=3).save_params()
    model = small()
    before = [p.copy() for p in model.params]
    with pytest.raises(ValueError, match=r"holds the arrays .*'6\.Wx'"):
        model.load_params()
    assert_same(model.params, before)


# --- Training ------------------------------------------------------------------------------------


@both_models
def test_both_libraries_train_alike(model_class):
    text, perplexities = ids(500, V=50), []
    how = {"dropout_ratio": 0} if model_class is BetterRnnlm else {}  # masks differ on a GPU
    with cupy_stand_in.install():
        for library in "cupy", "numpy":  # numpy last, as the other tests expect it
            use(library)
            model = model_class(50, 8, 8, rng=0, **how)
            trainer = RnnlmTrainer(model, SGD(5.0))
            trainer.fit(text[:-1], text[1:], 2, 5, 7, max_grad=0.25, eval_interval=5)
            perplexities.append([*trainer.ppl_list, eval_perplexity(model, text, 5, 7)])
    assert_allclose(*perplexities, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: small(**ALL_DROPOUTS), lambda: small(GruRnnlm)])
def test_a_training_step_on_a_gpu_waits_for_nothing(make):
    with cupy_stand_in.install():
        use("cupy")
        try:
            trainer, text = RnnlmTrainer(make(), SGD(5.0)), ids(1000)
            with cupy_stand_in.forbid_transfers():
                for _ in range(3):
                    trainer._gradients()(*trainer.get_batch(text[:-1], text[1:], 5, 7))
                    trainer._learn(0.25)
        finally:
            use("numpy")


@both_models
def test_a_text_that_repeats_is_learned(model_class):
    text = numpy.tile(numpy.arange(7), 200)
    model = model_class(7, 16, 16, rng=0)
    RnnlmTrainer(model, SGD(5.0)).fit(text[:-1], text[1:], 10, 5, 7, max_grad=0.25)
    assert eval_perplexity(model, text, 5, 7, progress=False) < 1.1
