"""Train a machine with a memory, or an LSTM, to copy, to repeat, to recall or to sort.

python -m ch08.train_memory                       an NTM learns to copy (result: README.md)
python -m ch08.train_memory --model lstm          an LSTM without a memory does not
python -m ch08.train_memory --model dnc --max-length 10 --sequences 50000
python -m ch08.train_memory --task sort --read-heads 2

Source: book 8.5.3; Graves et al. 2014, https://arxiv.org/abs/1410.5401.
"""

import math
from dataclasses import replace
from typing import Annotated, Any

import numpy

from ch08.dnc import DNC
from ch08.memory_model import CONTROLLERS, BitLSTM, BitModel, MemoryModel
from ch08.ntm import NTM
from ch08.show_memory import plot_curves, plot_heads
from common.cli import at_least_one, run, then
from common.network import evaluating
from common.np import Array, np, to_cpu
from common.optimizer import Adam
from common.run import train, write_history
from common.storage.files import expanded
from common.trainer import Row, StreamTrainer
from dataset.copying import TASKS, wrong_bits

MODELS = {"ntm": NTM, "dnc": DNC, "lstm": BitLSTM}
SIZES = {  # where nothing else is asked for
    "ntm": {"hidden_size": 100, "memory_size": 32, "memory_width": 20},
    "dnc": {"hidden_size": 64, "memory_size": 16, "memory_width": 16},
    "lstm": {"hidden_size": 256},
}
FARTHER = (1, 2.5, 6)  # the tests: so many times as long as the longest sequences of training
TESTED = 50  # sequences of each length, at the end
VALID = 400  # sequences of the longest length, which choose the best weights; slips are rare
SOLVED = 0.1  # of the bits: once the cross-entropy was lower, training goes back when it is higher
LAST = 0.1  # of the learning rate, at the end of the run
EPOCH = 1000  # sequences from test to test


def main(
    *,
    model: Annotated[str, MODELS] = "ntm",
    task: Annotated[str, TASKS] = "copy",
    sequences: int = 20000,
    batch_size: int = 4,
    max_length: int | None = None,
    hidden_size: int | None = None,
    memory_size: int | None = None,
    memory_width: int | None = None,
    read_heads: int = 1,
    write_heads: int = 1,
    controller: Annotated[str, CONTROLLERS] = "lstm",
    focused: bool = True,
    test_memory: int = 160,
    lr: float = 0.001,
    max_grad: float = 1.0,
    max_dw: float = 0.05,
    seed: int = 0,
    weights: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    plot: bool = True,
) -> dict[str, float]:
    """Train a model on one task, test it on longer sequences -> wrong bits a sequence, by size.

    model         ntm (neural Turing machine), dnc (differentiable neural computer) or lstm
    task          copy, copies (several in a row), repeat (one copied several times), recall (the
                  item after one) or sort (by priority)
    sequences     how many to train on, each of them once; tested after every 1000
    batch_size    sequences in a training step, all of one length
    max_length    the longest sequence that is trained, in steps: vectors, or items of recall;
                  the task's own if not given
    hidden_size   numbers in the state of the controller; 100 (ntm), 64 (dnc) or 256 (lstm)
    memory_size   rows of the memory; 32 (ntm) or 16 (dnc)
    memory_width  numbers in a row of the memory; 20 (ntm) or 16 (dnc)
    read_heads    number of heads that read
    write_heads   number of heads that write, of the ntm
    controller    lstm or feedforward
    focused       the heads of the ntm begin on the first row, not on all rows alike
    test_memory   rows of the memory for sequences longer than the trained ones
    lr            learning rate of Adam at first; it falls, in a line, to 10 % of it at the end
    max_grad      largest norm of all gradients together
    max_dw        largest number in the gradients between steps, of a machine's heads
    seed          decides the first weights and all sequences
    weights       file to save the best weights in, <class>_<task>.npz if not given; checkpoint,
                  history (.json), curve (.png) and a picture of the heads go beside it
    resume        go on with a run that was stopped, from its checkpoint
    overwrite     replace the files of an earlier run
    plot          draw the curve, and where the heads read and write
    """
    for name, choice, choices in ("model", model, MODELS), ("task", task, TASKS):
        if choice not in choices:
            raise ValueError(f"train_memory: {name} is one of {', '.join(choices)}, not {choice!r}")
    given = {"hidden_size": hidden_size, "memory_size": memory_size, "memory_width": memory_width}
    at_least_one(max_length=max_length, batch_size=batch_size, sequences=sequences, **given)
    what, iterations = TASKS[task], max(1, min(EPOCH, sequences) // batch_size)
    if max_length is not None:
        if max_length < what.low[0]:
            raise ValueError(f"train_memory: {task} needs a max_length of at least {what.low[0]}")
        what = replace(what, high=(max_length, *what.high[1:]))
    how: dict[str, Any] = {k: given[k] or default for k, default in SIZES[model].items()}
    if model != "lstm":
        how |= {"read_heads": read_heads, "controller": controller, "max_dw": max_dw}
    if model == "ntm":
        how |= {"write_heads": write_heads, "focused": focused}
    net: Any = MODELS[model](what.input_size, what.output_size, **how, rng=seed)
    file = expanded(weights or f"{type(net).__name__}_{task}.npz")
    epochs = math.ceil(sequences / (iterations * batch_size))
    fall = (1 - LAST) / (epochs * iterations)
    trainer: Any = StreamTrainer(net, Adam(lambda step: lr * (1 - fall * step)))

    def evaluate(trainer: StreamTrainer) -> dict[str, float]:
        lowest = min((row["bits"] for row in trainer.epochs[:-1]), default=math.inf)
        x, t = what.test(seed, VALID, *what.high)
        seen = (trainer.current_epoch + 1) * batch_size * iterations
        found = {"sequences": seen} | measured(net, x, t, at_once=100)
        print(
            f"| {seen} sequences | wrong bits {found['wrong']:.2f} of {asked(t)} "
            f"| cross-entropy {found['bits']:.2f} bits a sequence"
        )
        if lowest < SOLVED * asked(t) < found["bits"]:
            print(f"back to the weights with {lowest:.2f} bits a sequence")
            net.load_params(file)
        return found

    rows: list[Row] = train(
        trainer,
        lambda step: what.batch(seed, step, batch_size),
        iterations,
        weights=file,
        save=lambda: net.save_params(file),
        evaluate=evaluate,
        lowest="bits",
        max_epoch=epochs,
        max_grad=max_grad,
        eval_interval=iterations,
        resume=resume,
        overwrite=overwrite,
    )
    net.load_params(file)
    results = {}
    for factor in FARTHER:
        sizes = [*what.high]
        sizes[what.grows] = size = round(factor * sizes[what.grows])
        x, t = what.test(seed + 1, TESTED, *sizes)
        longer = sizes[0] > what.high[0]
        found = measured(in_memory(net, test_memory) if longer else net, x, t)
        results[f"wrong_{size}"] = found["wrong"]
        print(f"size {sizes}: {found['wrong']:.2f} of {asked(t)} bits wrong")
    write_history(trainer, file, **results)
    if plot:
        label = f"{type(net).__name__}, {task}"
        plot_curves({label: [rows]}, file.with_suffix(".png"))
        if isinstance(net, MemoryModel):
            x, t = what.test(seed, 1, *what.high)
            plot_heads(net, x, t, file.with_name(f"{file.stem}_heads.png"))
    if isinstance(net, MemoryModel):
        then("ch08.show_memory", weights=str(file), task=task)
    return results


def measured(model: BitModel, x: Array, t: Array, at_once: int = 10) -> dict[str, float]:
    """Test a model on x (N, T, D), t (N, T, M), a few sequences at a time.

    -> wrong  wrong bits in a sequence
       bits   cross-entropy of a sequence, in bits
    """
    wrong, loss = [], 0.0
    with evaluating(model):
        for k in range(0, len(x), at_once):
            part = slice(k, k + at_once)
            scores = model.predict(np.asarray(x[part]))
            nats = float(model.loss_layer.forward(scores, t[part]))
            loss += nats * asked(t) / math.log(2) * len(t[part])
            wrong += wrong_bits(to_cpu(scores), t[part]).tolist()
    return {"wrong": sum(wrong) / len(wrong), "bits": loss / len(wrong)}


def asked(t: Array) -> int:
    """How many bits of a sequence are asked for, of labels t (N, T, M)."""
    return int(numpy.count_nonzero(t[0] >= 0))


def in_memory(model: BitModel, rows: int) -> BitModel:
    """The model with a memory of at least so many rows, if it has a memory."""
    if not isinstance(model, MemoryModel) or rows <= model.settings["memory_size"]:
        return model
    grown: BitModel = model.with_memory(rows)
    return grown


if __name__ == "__main__":
    run(main)
