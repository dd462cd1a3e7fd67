"""NTM and DNC: gradients through time, state, files, and training that can be interrupted."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ch08.dnc import DNC
from ch08.memory_model import BitLSTM, BitsWithLoss
from ch08.ntm import NTM
from common.base_model import load_model
from common.gradient_check import check_gradients
from common.layers import SigmoidWithLoss
from common.network import states, with_state
from common.np import np, to_cpu
from common.optimizer import Adam
from common.storage.checkpoint import digest
from common.trainer import StreamTrainer, Trainer
from dataset.copying import TASKS
from tests.benchmarks.rows import ch08_memory
from tests.reference import in_float64, slow_allocation, slow_focus, slow_lstm_step

SMALL = {"hidden_size": 4, "memory_size": 5, "memory_width": 3, "rng": 0}
MODELS = {
    "NTM": lambda **how: NTM(3, 2, **SMALL | how),
    "NTM, feed-forward, several heads": lambda **how: NTM(
        3, 2, controller="feedforward", read_heads=2, write_heads=2, focused=False, **SMALL | how
    ),
    "DNC": lambda **how: DNC(3, 2, **SMALL | how),
    "DNC, feed-forward, two heads": lambda **how: DNC(
        3, 2, controller="feedforward", read_heads=2, **SMALL | how
    ),
}
MEMORIES = [NTM, DNC]
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
each_class = pytest.mark.parametrize("made", MEMORIES, ids=lambda c: c.__name__)


def batch(N=2, T=6, seed=0):
    """Six steps of any numbers, and bits that are asked for at some of them."""
    rng = numpy.random.default_rng(seed)
    x, t = rng.standard_normal((N, T, 3)), rng.integers(2, size=(N, T, 2))
    t[:, ::2] = -1
    return np.asarray(x.astype("f")), t


# --- What they compute ----------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
@each_model
def test_gradients_of_a_whole_model_over_six_steps_agree_with_differences(make):
    x, t = batch(1)
    errors = check_gradients(in_float64(make(), 0.5), x.astype("float64"), t)
    assert len(errors) == 8
    assert max(errors.values()) < 1e-6


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def softplus(x):
    return numpy.log(1 + numpy.exp(x))


def softmax(x):
    return numpy.exp(x) / numpy.exp(x).sum(axis=-1, keepdims=True)


def test_an_ntm_is_what_its_equations_say_for_one_sequence_at_a_time():
    """Two read heads, one write head, H 4, R 5, W 3, S 3."""
    model = in_float64(NTM(3, 2, read_heads=2, **SMALL), 0.7)
    x = numpy.random.default_rng(1).standard_normal((2, 6, 3))
    Wx, Wh, b, Wp, bp, W, bias = model.params
    for n in range(2):
        h = c = numpy.zeros(4)
        r, memory = numpy.zeros(6), numpy.full((5, 3), 1e-6)
        w = numpy.eye(5)[[0, 0, 0]]
        for t in range(6):
            h, c = slow_lstm_step(x[n, t], numpy.concatenate([h, r]), c, Wx, Wh, b)
            p = h @ Wp + bp
            strength, sharpness = softplus(p[:3]), 1 + softplus(p[3:6])
            gate, erase = sigmoid(p[6:9]), sigmoid(p[9:12])
            shift, key, add = softmax(p[12:21].reshape(3, 3)), p[21:30].reshape(3, 3), p[30:33]
            w = numpy.array(
                [
                    slow_focus(memory, w[k], key[k], strength[k], gate[k], shift[k], sharpness[k])
                    for k in range(3)
                ]
            )
            memory = memory * (1 - numpy.outer(w[2], erase)) + numpy.outer(w[2], add)
            r = (w[:2] @ memory).reshape(6)
            scores = numpy.concatenate([h, r]) @ W + bias
            assert_allclose(model.predict(x)[n, t], scores, rtol=1e-9)
            assert_allclose(model.layer.read_weights[n, t], w[:2], rtol=1e-9)
            assert_allclose(model.layer.write_weights[n, t], w[2:], rtol=1e-9)


def test_a_dnc_is_what_its_equations_say_for_one_sequence_at_a_time():
    """Two read heads, H 4, R 5, W 3."""
    model = in_float64(DNC(3, 2, read_heads=2, **SMALL), 0.7)
    x = numpy.random.default_rng(1).standard_normal((2, 6, 3))
    Wx, Wh, b, Wp, bp, W, bias = model.params

    def content(memory, key, strength):
        rows = memory / numpy.sqrt((memory**2).sum(axis=1, keepdims=True) + 1e-6)
        return softmax(strength * (rows @ key) / numpy.sqrt((key**2).sum() + 1e-6))

    for n in range(2):
        h = c = numpy.zeros(4)
        r, memory, usage = numpy.zeros(6), numpy.zeros((5, 3)), numpy.zeros(5)
        links, read = numpy.zeros((5, 5)), numpy.zeros((2, 5))
        last = written = numpy.zeros(5)
        for t in range(6):
            h, c = slow_lstm_step(x[n, t], numpy.concatenate([h, r]), c, Wx, Wh, b)
            p = h @ Wp + bp
            strength, free, gates = 1 + softplus(p[:3]), sigmoid(p[3:5]), sigmoid(p[5:7])
            erase, modes = sigmoid(p[7:10]), softmax(p[10:16].reshape(2, 3))
            key, add = p[16:25].reshape(3, 3), p[25:28]
            usage = usage + written - usage * written
            usage = usage * (1 - free[0] * read[0]) * (1 - free[1] * read[1])
            looked = content(memory, key[2], strength[2])
            written = gates[1] * (gates[0] * slow_allocation(usage) + (1 - gates[0]) * looked)
            memory = memory * (1 - numpy.outer(written, erase)) + numpy.outer(written, add)
            links = (1 - written[:, None] - written) * links + numpy.outer(written, last)
            links[numpy.arange(5), numpy.arange(5)] = 0
            last = (1 - written.sum()) * last + written
            read = numpy.array(
                [
                    modes[k, 0] * (links.T @ read[k])
                    + modes[k, 1] * content(memory, key[k], strength[k])
                    + modes[k, 2] * (links @ read[k])
                    for k in range(2)
                ]
            )
            r = (read @ memory).reshape(6)
            scores = numpy.concatenate([h, r]) @ W + bias
            assert_allclose(model.predict(x)[n, t], scores, rtol=1e-8)
            assert_allclose(model.layer.read_weights[n, t], read, rtol=1e-8, atol=1e-12)
            assert_allclose(model.layer.write_weights[n, t, 0], written, rtol=1e-8, atol=1e-12)
            assert_allclose(model.layer.usage[n, t], usage, rtol=1e-8, atol=1e-12)


def test_the_loss_is_that_of_the_bits_that_are_asked_for():
    x, t = batch()
    scores = x[:, :, :2].astype("float64")
    layer, plain = BitsWithLoss(), SigmoidWithLoss()
    loss = layer.forward(scores, t)
    assert_allclose(loss, plain.forward(scores[t >= 0], t[t >= 0]))
    assert_allclose(layer.backward()[t >= 0], plain.backward())
    assert_array_equal(layer.backward()[t < 0], 0)


@each_class
def test_fresh_weights_are_drawn_by_the_seed(made):
    one, again, other = (made(3, 2, rng=seed) for seed in (0, 0, 1))
    assert digest(one.params) == digest(again.params) != digest(other.params)


@each_class
def test_gradients_between_steps_are_cut_off_where_that_is_asked_for(made):
    (x, t), found = batch(), {}
    for max_dw in (None, 1e9, 1e-6):
        model = made(3, 2, max_dw=max_dw, **SMALL)
        model.forward(x, t)
        model.backward()
        found[max_dw] = digest(model.grads)
    assert found[None] == found[1e9] != found[1e-6]


# --- State ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
@each_model
def test_two_stateful_halves_are_one_sequence(make):
    model, (x, _) = make(), batch()
    whole = model.predict(x)
    model.reset_state()
    model.stateful = True
    halves = [model.predict(x[:, :4]), model.predict(x[:, 4:])]
    assert_allclose(to_cpu(np.concatenate(halves, axis=1)), to_cpu(whole), atol=1e-6)
    model.reset_state()
    assert_allclose(to_cpu(model.predict(x)), to_cpu(whole), atol=1e-6)


@pytest.mark.usefixtures("backend")
@each_model
def test_selected_rows_go_on_as_if_they_had_been_alone(make):
    model, (x, _) = make(), batch(3)
    model.stateful = True
    model.predict(x[:, :4])
    model.select(numpy.array([2, 0, 2]))
    going_on = model.predict(x[:, 4:][np.asarray([2, 0, 2])])
    model.reset_state()
    model.predict(x[:, :4])
    expected = model.predict(x[:, 4:])[np.asarray([2, 0, 2])]
    assert_allclose(to_cpu(going_on), to_cpu(expected), atol=1e-6)


@each_class
def test_a_state_of_another_batch_size_is_refused_until_it_is_dropped(made):
    model = made(3, 2, **SMALL)
    model.stateful = True
    model.predict(batch(2)[0])
    with pytest.raises(ValueError, match=r"the kept output is \(2, 7\), .* needs \(3, 7\); reset"):
        model.predict(batch(3)[0])
    model.reset_state()
    assert model.predict(batch(3)[0]).shape == (3, 6, 2)


@each_class
def test_labels_that_are_refused_leave_the_state_where_it_was(made):
    model, (x, t) = made(3, 2, **SMALL), batch()
    model.stateful = True
    model.forward(x, t)
    before = digest(states(model))
    with pytest.raises(ValueError, match=r"^BitsWithLoss: "):
        model.forward(x, t + 5)
    assert digest(states(model)) == before


@each_class
def test_the_state_has_a_name_for_each_array(made):
    model = made(3, 2, **SMALL)
    (layer,) = with_state(model)
    assert set(layer.state.values()) == {None}
    model.predict(batch(2)[0])
    kept = states(model)
    assert [*kept] == ["0"]
    arrays = kept["0"]
    assert arrays["memory"].shape == (2, 5, 3)
    assert {len(a) for a in arrays.values()} == {2}


# --- Files and the size of the memory -------------------------------------------------------------


@each_model
def test_a_weight_file_brings_the_model_back(make, folder):
    model, (x, _) = make(), batch()
    model.save_params("w.npz")
    again = load_model("w.npz")
    assert again.settings == model.settings
    assert_array_equal(again.predict(x), model.predict(x))


def test_a_file_of_the_lstm_brings_it_back(folder):
    model, (x, _) = BitLSTM(3, 2, 4, rng=0), batch()
    model.save_params("w.npz")
    assert_array_equal(load_model("w.npz").predict(x), model.predict(x))


@each_class
def test_weights_for_another_memory_size_are_refused_and_given_by_name(made, folder):
    model, (x, _) = made(3, 2, **SMALL), batch()
    model.save_params("w.npz")
    larger = made(3, 2, **SMALL | {"memory_size": 9})
    before = digest(larger.params)
    with pytest.raises(ValueError, match=r"belongs to a model with \{'memory_size': 5\}"):
        larger.load_params("w.npz")
    assert digest(larger.params) == before
    larger = model.with_memory(9)
    assert larger.settings == model.settings | {"memory_size": 9}
    assert digest(larger.params) == digest(model.params)
    assert larger.predict(x).shape == (2, 6, 2)
    assert larger.layer.write_weights.shape == (2, 6, 1, 9)
    larger.params[0][...] = 0  # a model of its own
    assert digest(larger.params) != digest(model.params)


def test_a_memory_smaller_than_the_shifts_is_refused():
    with pytest.raises(ValueError, match="NTM: a memory of 2 rows is smaller than the 3 shifts"):
        NTM(3, 2, memory_size=2)
    with pytest.raises(ValueError, match="a memory of 2 rows"):
        NTM(3, 2, memory_size=4).with_memory(2)
    with pytest.raises(ValueError, match="the number of shifts is odd"):
        NTM(3, 2, shifts=2)


@each_class
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"controller": "gru"}, "the controller is lstm or feedforward, not 'gru'"),
        ({"memory_width": 0}, "memory_width must be at least 1, not 0"),
        ({"max_dw": 0.0}, "max_dw is above 0, not 0.0"),
        ({"read_heads": 0}, "read_heads must be at least 1, not 0"),
    ],
)
def test_settings_that_make_no_machine_are_refused(made, wrong, message):
    with pytest.raises(ValueError, match=message):
        made(3, 2, **SMALL | wrong)


@each_class
@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 0, 3), (6, 3)])
def test_sequences_of_another_shape_are_refused(made, shape):
    with pytest.raises(ValueError, match=rf"Time{made.__name__}: input must be \(N, T, 3\)"):
        made(3, 2, **SMALL).predict(np.zeros(shape, "f"))


@pytest.mark.parametrize("t", [numpy.full((2, 6, 2), -1), numpy.full((2, 6, 2), 2), numpy.ones(3)])
def test_labels_that_are_no_bits_are_refused(t):
    with pytest.raises(ValueError, match=r"^BitsWithLoss: "):
        NTM(3, 2, **SMALL).forward(batch()[0], t)


@each_class
def test_a_sequence_longer_than_the_memory_is_allowed(made):
    x, t = TASKS["copy"].test(0, 2, 8)
    model = made(9, 8, 4, memory_size=3, memory_width=2, rng=0)
    assert numpy.isfinite(float(model.forward(x, t)))
    model.backward()
    assert all(numpy.isfinite(g).all() for g in model.grads)


# --- Training -------------------------------------------------------------------------------------


def trained(make, **how):
    model = make()
    trainer = StreamTrainer(model, Adam(0.01))

    def batches(step):
        x, t = batch(T=2 + step % 3, seed=step)
        return to_cpu(x), t

    trainer.fit(batches, 5, 3, 1.0, 2, verbose=False, **how)
    return trainer


def outcome(trainer):
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    return digest(trainer.model.params, rows, trainer.optimizer.state, trainer.steps)


@each_model
def test_an_interrupted_run_goes_on_with_the_batches_it_would_have_had(make, folder):
    whole = outcome(trained(make))

    def interrupt(trainer):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(make, checkpoint="run.checkpoint", after_epoch=interrupt)
    again = trained(make, checkpoint="run.checkpoint", resume=True)
    assert outcome(again) == whole
    assert again.steps == 15


def test_a_run_on_other_batches_is_not_this_run(folder):
    make = MODELS["NTM"]
    trained(make, checkpoint="run.checkpoint")
    trainer = StreamTrainer(make(), Adam(0.01))
    x, t = batch(seed=77)
    with pytest.raises(ValueError, match="is of another run: x is"):
        trainer.fit(
            lambda step: (to_cpu(x), t), 5, 3, 1.0, 2, checkpoint="run.checkpoint", resume=True
        )


def test_every_step_gets_the_batch_of_its_number():
    asked = []

    def batches(step):
        asked.append(step)
        return to_cpu(batch()[0]), batch()[1]

    trainer = StreamTrainer(MODELS["NTM"](), Adam())
    trainer.fit(batches, 3, 2, verbose=False)
    trainer.fit(batches, 2, 1, verbose=False)
    assert [k for k in asked if k] == [1, 2, 3, 4, 5, 6, 7]
    assert trainer.steps == 8


def test_a_stream_has_no_validation_data_and_at_least_one_batch():
    trainer = StreamTrainer(MODELS["NTM"](), Adam())
    with pytest.raises(ValueError, match=r"StreamTrainer.fit: there is no valid here"):
        trainer.fit(lambda step: batch(), 3, valid=batch())
    with pytest.raises(ValueError, match=r"StreamTrainer.fit: iterations must be at least 1"):
        trainer.fit(lambda step: batch(), 0)


@pytest.mark.usefixtures("backend")
@each_class
def test_trainer_takes_a_machine_like_any_other_model(made):
    x, t = TASKS["copy"].test(0, 16, 1)
    trainer = Trainer(made(9, 8, 8, memory_size=4, memory_width=4, rng=0), Adam(0.03))
    losses = trainer.fit(x, t, 60, 8, 10.0, None, rng=0, verbose=False, valid=(x, t))
    assert losses[-1]["valid_loss"] < 0.5 * losses[0]["valid_loss"]


# --- PyTorch --------------------------------------------------------------------------------------


@pytest.fixture
def torch_in_float64(torch):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", ["NTM", "DNC"])
def test_loss_and_gradients_are_those_of_pytorch(name, torch_in_float64):
    torch = torch_in_float64
    size = ch08_memory.Copying(name, H=6, R=5, W=3, N=2, length=3)
    twin = {"NTM": ch08_memory.ntm_twin, "DNC": ch08_memory.dnc_twin}[name](size)
    made = {"NTM": NTM, "DNC": DNC}[name]
    model = in_float64(made(9, 8, 6, memory_size=5, memory_width=3, rng=0), 0.5)
    x, t = size.batches()[0]

    def gates(a):
        """The gates f, g, i, o in the order of PyTorch, i, f, g, o, along the first axis."""
        f, g, i, o = numpy.split(a.T, 4)
        return torch.tensor(numpy.concatenate([i, f, g, o]))

    def theirs(Wx, Wh, b, Wp, bp, W, bias):
        rows = [gates(numpy.concatenate([Wx, Wh[6:]])), gates(Wh[:6]), gates(b), 0 * gates(b)]
        return rows + [torch.tensor(a.T.copy()) for a in (Wp, bp, W, bias)]

    with torch.no_grad():
        for p, q in zip(twin.parameters(), theirs(*model.params), strict=True):
            p.copy_(q)
    loss = twin(torch.tensor(x.astype("float64")), torch.tensor(t))
    loss.backward()
    assert float(model.forward(x.astype("float64"), t)) == pytest.approx(loss.item(), rel=1e-12)
    model.backward()
    expected = theirs(*model.grads)
    expected[3] = expected[2]  # PyTorch adds a second bias, which has the same gradient
    for p, q in zip(twin.parameters(), expected, strict=True):
        assert_allclose(p.grad.numpy(), q.numpy(), rtol=1e-7, atol=1e-12)
