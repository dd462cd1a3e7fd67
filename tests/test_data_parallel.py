"""Samples divided between copies of a model: losses, gradients, answers of the whole ones."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Decoder, Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from common.base_model import BaseModel, Chain
from common.cores import data_parallel
from common.cores.data_parallel import DataParallel
from common.np import use
from common.optimizer import SGD, Adam
from common.time_layers import TimeAffine, TimeEmbedding, TimeSoftmaxWithLoss
from common.trainer import RnnlmTrainer, Trainer
from tests import cupy_stand_in
from tests.conftest import THREADS, sharing
from tests.reference import in_float64
from tests.test_seq2seq import OPTIONS

pytestmark = [
    pytest.mark.skipif(os.environ.get("DLFS2_GPU") == "1", reason="a GPU has no parts"),
    pytest.mark.usefixtures("three_threads"),
]
MODELS = [Seq2seq, PeekySeq2seq, AttentionSeq2seq, BiAttentionSeq2seq]
all_models = pytest.mark.parametrize("model_class", MODELS)

CASES = {
    f"{model_class.__name__}, {name}": (model_class, how)
    for model_class in MODELS
    for name, how in OPTIONS.items()
    if model_class is not BiAttentionSeq2seq or "cell" not in how  # which reads with an LSTM
}


def translations(N, seed=0):
    """Questions (N, 5) and answers (N, 4); some of them begin, or end, with padding, 0."""
    rng = numpy.random.default_rng(seed)
    xs, ts = rng.integers(1, 7, (N, 5)), rng.integers(1, 7, (N, 4))
    xs[::2, :2], ts[::3, 3:], ts[1::3, 2:] = 0, 0, 0
    return xs, ts


def gradients(model, xs, ts):
    """Loss and gradients as `DataParallel` computes them, and how many copies it needed."""
    copies = DataParallel(model)
    found = [copies.gradients(xs, ts), *(g.copy() for g in model.grads)]
    return found, len(copies.replicas)


def undivided(model, xs, ts):
    loss = model.forward(xs, ts)
    model.backward()
    return [loss, *(g.copy() for g in model.grads)]


def assert_same(found, expected, tolerance=1e-12):
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("N", [2, 7])
@pytest.mark.parametrize(("model_class", "how"), CASES.values(), ids=CASES)
def test_a_divided_batch_gives_the_loss_and_gradients_of_the_whole(model_class, how, N):
    model = in_float64(model_class(7, 3, 4, rng=0, **how))
    xs, ts = translations(N)
    found, replicas = gradients(model, xs, ts)
    assert replicas == min(N, THREADS)
    assert_same(found, undivided(model, xs, ts))
    assert_same(gradients(model, xs, ts)[0], found, 0)


@all_models
def test_batches_of_other_sizes_may_follow_each_other(model_class):
    model = in_float64(model_class(7, 3, 4, rng=0))
    copies, twin = DataParallel(model), in_float64(model_class(7, 3, 4, rng=0))
    for N in 7, 2, 1, 5, 7:
        xs, ts = translations(N, seed=N)
        loss = copies.gradients(xs, ts)
        assert_same([loss, *model.grads], undivided(twin, xs, ts))


def trained(model, threads, epochs=3, **options):
    """The weights and losses after some epochs, in float64."""
    trainer = Trainer(in_float64(model), Adam(0.01))
    with sharing(threads):
        trainer.fit(*translations(60), epochs, 20, max_grad=1.0, rng=1, verbose=False, **options)
    return [*model.params, trainer.loss_list]


def seen(monkeypatch, where):
    """Every `DataParallel` that is made by this name."""
    found = []

    class Seen(DataParallel):
        def __init__(self, model):
            super().__init__(model)
            found.append(self)

    monkeypatch.setattr(where, Seen)
    return found


@pytest.fixture
def made(monkeypatch):
    """What trainers made."""
    return seen(monkeypatch, "common.trainer.DataParallel")


@all_models
def test_training_gives_the_weights_that_one_core_gives(model_class, made):
    one, several = (trained(model_class(7, 3, 4, rng=0), threads) for threads in (1, THREADS))
    assert_same(several, one, 1e-8)
    assert [len(copies.replicas) for copies in made] == [1] * 3 + [THREADS] * 3


@pytest.mark.parametrize("threads", [1, THREADS])
def test_a_run_goes_on_from_its_checkpoint_whatever_the_cores(tmp_path, threads):
    whole = trained(Seq2seq(7, 3, 4, rng=0), THREADS)
    file = tmp_path / "run"
    trained(Seq2seq(7, 3, 4, rng=0), THREADS, epochs=2, checkpoint=file)
    resumed = trained(Seq2seq(7, 3, 4, rng=0), threads, checkpoint=file, resume=True)
    assert_same(resumed, whole, 0 if threads == THREADS else 1e-8)


def test_what_the_model_keeps_is_that_of_the_first_part():
    model = AttentionSeq2seq(7, 3, 4, rng=0)
    xs, ts = translations(6)
    gradients(model, xs, ts)
    found = model.decoder.attention.attention_weights
    undivided(model, xs[:2], ts[:2])
    assert_same(found, model.decoder.attention.attention_weights, 1e-6)


# --- Answers -------------------------------------------------------------------------------------


@pytest.fixture
def answering(monkeypatch):
    """What answered questions."""
    return seen(monkeypatch, "ch07.encoder_decoder.DataParallel")


@pytest.mark.parametrize(("N", "replicas"), [(0, 1), (4, 1), (5, 2), (9, 3), (41, 3)])
@pytest.mark.parametrize(("model_class", "how"), CASES.values(), ids=CASES)
def test_divided_questions_get_the_answers_of_each_alone(model_class, how, N, replicas, answering):
    model = in_float64(model_class(7, 3, 4, rng=0, **how))
    for p in model.params:
        p *= 5  # answers differ from question to question
    xs, _ = translations(N)
    found = model.generate_batch(xs, 1, 6, batch_size=4)
    assert [len(copies.replicas) for copies in answering] == [replicas]
    assert found.tolist() == [model.generate(x[None], 1, 6) for x in xs]


def test_weights_that_have_changed_answer_from_now_on():
    model = in_float64(Seq2seq(7, 3, 4, rng=0))
    xs, _ = translations(20)
    model.generate_batch(xs, 1, 6, batch_size=4)
    for p in model.params:
        p *= -5
    assert model.generate_batch(xs, 1, 6, batch_size=4).tolist() == [
        model.generate(x[None], 1, 6) for x in xs
    ]


def test_a_question_that_a_copy_refuses_is_refused():
    model, (xs, _) = Seq2seq(7, 3, 4, rng=0), translations(9)
    xs[8, 0] = 7
    with pytest.raises(ValueError, match=r"id 7 is not in 0\.\.6"):
        model.generate_batch(xs, 1, 6, batch_size=4)


def test_answers_of_a_model_that_says_it_is_not_divisible_are_not_divided(answering):
    xs, _ = translations(9)
    found = Indivisible(7, 3, 4, rng=0).generate_batch(xs, 1, 6, batch_size=4)
    assert [len(copies.replicas) for copies in answering] == [1]
    assert found.tolist() == Seq2seq(7, 3, 4, rng=0).generate_batch(xs, 1, 6).tolist()


# --- What is not divided -------------------------------------------------------------------------


class Indivisible(Seq2seq):
    """A class derived from one that is divisible, which says that it is not."""

    divisible = False


class IndivisibleDecoder(Decoder):
    """A part that says so."""

    divisible = False


class WithAPart(Seq2seq):
    """A divisible class with a part that is not."""

    decoder_class = IndivisibleDecoder


def test_a_derived_class_is_divided_as_well():
    class Derived(Seq2seq):
        pass

    xs, ts = translations(6)
    found, replicas = gradients(in_float64(Derived(7, 3, 4, rng=0)), xs, ts)
    assert replicas == THREADS
    assert_same(found, undivided(in_float64(Seq2seq(7, 3, 4, rng=0)), xs, ts))


class Typed(BaseModel):
    """A model as a reader writes it: the loss is the mean of (x * w - t)^2."""

    def __init__(self):
        super().__init__()
        self.params, self.grads = [numpy.arange(3.0)[None]], [numpy.zeros((1, 3))]

    def forward(self, x, t):
        self.x, self.error = x, x * self.params[0] - t
        return (self.error**2).mean()

    def backward(self, dout=1):
        self.grads[0][...] = (2 * self.error * self.x).sum(axis=0) / self.x.size * dout


class TypedAndDivisible(Typed):
    divisible = True


def test_a_model_that_does_not_say_so_is_not_divided(monkeypatch):
    monkeypatch.setattr(data_parallel, "in_parallel", None)
    xs, ts = translations(6)
    for model in Indivisible(7, 3, 4, rng=0), WithAPart(7, 3, 4, rng=0), Typed():
        x, t = (xs, ts) if isinstance(model, Seq2seq) else (xs[:, :3], ts[:, :3])
        found, replicas = gradients(model, x, t)
        assert replicas == 1
        assert_same(found, undivided(model, x, t), 0)


def test_a_text_read_in_order_is_not_divided(monkeypatch):
    monkeypatch.setattr(data_parallel, "in_parallel", None)
    x, t = (a[:, :3] for a in translations(8))
    loss = RnnlmTrainer(TypedAndDivisible(), SGD(0.1))._gradients()(x, t)
    assert loss == undivided(Typed(), x, t)[0]


# --- Models of a reader --------------------------------------------------------------------------


def test_a_model_of_a_reader_is_divided_if_its_class_says_so():
    x, t = (a[:, :3] for a in translations(8))
    found, replicas = gradients(TypedAndDivisible(), x, t)
    assert replicas == THREADS
    assert_same(found, undivided(Typed(), x, t))


def test_a_gradient_that_is_listed_twice_counts_once():
    model, (x, t) = TypedAndDivisible(), (a[:, :3] for a in translations(8))
    model.params, model.grads = model.params * 2, model.grads * 2
    assert_same(gradients(model, x, t)[0], undivided(model, x, t))


class Tagger(Chain):
    """A label for each word; -1 is none."""

    divisible = True

    def __init__(self, sparse):
        rng = numpy.random.default_rng(0)
        W, V = rng.standard_normal((7, 3)), rng.standard_normal((3, 4))
        layers = [TimeEmbedding(W, sparse=sparse), TimeAffine(V, numpy.zeros(4))]
        super().__init__(layers, TimeSoftmaxWithLoss())

    def loss_terms(self, t):
        return (t != -1).sum()


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "row-sparse"])
def test_parts_count_by_their_labels(sparse):
    xs, ts = (a[:, :4] for a in translations(6))
    ts = numpy.minimum(ts, 3)
    ts[0, 1:], ts[2] = -1, -1
    model = Tagger(sparse)
    copies = DataParallel(model)
    found = [copies.gradients(xs, ts), *(numpy.array(g) for g in model.grads)]
    assert len(copies.replicas) == THREADS
    loss = model.forward(xs, ts)
    model.backward()
    assert_same(found, [loss, *(numpy.asarray(g) for g in model.grads)])


def test_a_batch_with_a_part_without_labels_is_right_too():
    xs, ts = (a[:, :4] for a in translations(6))
    ts = numpy.where(numpy.arange(6)[:, None] < 2, -1, numpy.minimum(ts, 3))
    model = Tagger(sparse=False)
    assert_same(gradients(model, xs, ts)[0], undivided(model, xs, ts))


class Scaled(TypedAndDivisible):
    divisible, scale = True, 1

    def forward(self, x, t):
        return self.scale * super().forward(x, t)

    def backward(self, dout=1):
        super().backward(dout * self.scale)


def test_what_is_changed_after_an_epoch_counts_for_all_parts(made):
    x, t = (a[:, :3].astype(float) for a in translations(60))

    def weights(threads):
        model = Scaled()
        with sharing(threads):
            Trainer(model, SGD(0.01)).fit(
                *(x, t, 2, 20),
                rng=0,
                verbose=False,
                after_epoch=lambda trainer: setattr(model, "scale", 5),
            )
        return model.params

    assert_same(weights(THREADS), weights(1))
    assert [len(copies.replicas) for copies in made] == [THREADS, THREADS, 1, 1]


def test_a_small_batch_is_not_divided(monkeypatch):
    monkeypatch.undo()  # of what makes the smallest batch large enough
    model = Seq2seq(7, 3, 4, rng=0)
    assert gradients(model, *translations(60))[1] == 1
    assert gradients(Seq2seq(7, 3, 128, rng=0), *translations(128))[1] == THREADS


def test_nothing_is_divided_on_a_gpu():
    with cupy_stand_in.install():
        use("cupy")
        try:
            assert gradients(Seq2seq(7, 3, 4, rng=0), *translations(6))[1] == 1
        finally:
            use("numpy")


# --- Mistakes, threads and processes of the caller -----------------------------------------------


def test_what_a_part_refuses_is_refused_and_the_next_batch_is_right():
    model = in_float64(Seq2seq(7, 3, 4, rng=0))
    copies, (xs, ts) = DataParallel(model), translations(6)
    bad = xs.copy()
    bad[5, 0] = 7
    with pytest.raises(ValueError, match="7"):
        copies.gradients(bad, ts)
    assert_same([copies.gradients(xs, ts), *model.grads], undivided(model, xs, ts))


def test_a_batch_without_a_label_is_refused_as_by_the_model():
    xs, ts = translations(6)
    with pytest.raises(ValueError, match="T > 0, not"):
        DataParallel(Seq2seq(7, 3, 4, rng=0)).gradients(xs, ts[:, :1])


def test_threads_of_the_caller_do_not_disturb_each_other():
    models = [in_float64(m(7, 3, 4, rng=k)) for k, m in enumerate(MODELS * 4)]
    xs, ts = translations(7)
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda model: gradients(model, xs, ts)[0], models)]
    for model, a in zip(models, found, strict=True):
        assert_same(a, undivided(model, xs, ts))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_goes_on():
    model = in_float64(Seq2seq(7, 3, 4, rng=0))
    xs, ts = translations(7)
    expected, _ = gradients(model, xs, ts)  # its threads have begun, the child has none
    child = os.fork()
    if not child:
        signal.alarm(20)  # ends it if it waits for ever
        status = 1
        try:
            assert_same(gradients(model, xs, ts)[0], expected)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
