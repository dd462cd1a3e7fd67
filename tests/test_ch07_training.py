"""The training scripts of chapter 7: what they print and leave behind, stopping, comparing."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from ch07 import compare, comparison, seq2seq_run, show_addition_dataset, train_seq2seq
from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from common import plots
from common.cli import flags
from common.evaluate import seq2seq_accuracy
from dataset import addition, sequence
from tests.scripts import ROOT, assert_not_blank, copy_packages, run

TINY: dict[str, Any] = {"wordvec_size": 4, "hidden_size": 6, "batch_size": 20, "eval_interval": 5}
TINY |= {"data": "sums.txt", "max_epoch": 2, "plot": False}
FLAGS = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if k != "plot"] + ["--no-plot"]
SCRIPTS = ["show_addition_dataset", "train_seq2seq", "compare"]


@pytest.fixture
def sums(folder):
    """A folder to work in, with 300 additions in sums.txt: 270 to train on, 30 to test."""
    (folder / "sums.txt").write_text("\n".join(addition.lines(300)))
    return folder


def learn(**how):
    return train_seq2seq.main(**TINY | how)


def load(name="Seq2seq", model_class=Seq2seq, **options):
    model = model_class(13, 4, 6, **options)
    model.load_params(f"{name}.npz", vocab=sequence.get_vocab("sums.txt")[0])
    return model


def same_weights(a, b):
    a, b = numpy.load(a), numpy.load(b)
    return all((a[name] == b[name]).all() for name in a.files)


def test_it_prints_reports_questions_and_the_share_of_right_answers(sums, capsys):
    learn(reverse=True)
    out = capsys.readouterr().out
    reports = re.findall(
        r"^\| epoch (\d) \|  iter (\d+) / 13 \| time \d+\[s\] \| loss \d", out, re.M
    )
    assert reports == [(epoch, iteration) for epoch in "12" for iteration in ("1", "6", "11")]
    asked = re.findall(r"^Q (.*)\nT (.*)\n[☑☒] .{4}\n---$", out, re.M)
    _, (x, t) = sequence.load_data("sums.txt")
    _, ids = sequence.get_vocab()
    first = zip(sequence.decode(x[:10], ids), sequence.decode(t[:10, 1:], ids), strict=True)
    assert asked == 2 * list(first)
    assert (
        len(re.findall(r"^---\nval acc \d+\.\d{3}%\ncharacters right \d+\.\d{3}%$", out, re.M)) == 2
    )


def test_the_history_and_the_result_are_those_of_the_saved_weights(sums):
    epochs = learn(reverse=True)
    history = json.loads(Path("Seq2seq.json").read_text())
    assert history["epochs"] == epochs
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    last = epochs[-1]
    _, (x, t) = sequence.load_data("sums.txt")
    exact, by_position, _ = seq2seq_accuracy(load(), x[:, ::-1], t)
    assert (exact, by_position) == (last["accuracy"], last["characters"])
    assert 1 < last["loss"] < epochs[0]["loss"] < 3  # log 13 = 2.6
    assert min(last["train_seconds"], last["test_seconds"]) > 0


def test_questions_are_read_as_they_stand_or_reversed_in_training_and_testing(sums, monkeypatch):
    read = {"forward": [], "generate_batch": []}

    def reading(name):
        method = getattr(Seq2seq, name)

        def reads(model, xs, *rest, **how):
            read[name] += xs.tolist()
            return method(model, xs, *rest, **how)

        monkeypatch.setattr(Seq2seq, name, reads)

    reading("forward")
    reading("generate_batch")
    (x_train, _), (x_test, _) = sequence.load_data("sums.txt")
    for reverse, step in [(False, 1), (True, -1)]:
        learn(reverse=reverse, max_epoch=1, overwrite=reverse)
        assert read["generate_batch"] == x_test[:, ::step].tolist()
        whole = {tuple(row) for row in x_train[:, ::step].tolist()}
        assert {tuple(row) for row in read["forward"]} < whole
        assert len(read["forward"]) == 14 * 20  # the first only tries ids
        read["forward"].clear()
        read["generate_batch"].clear()


@pytest.mark.parametrize(
    "how",
    [
        {"model": "peeky"},
        {"cell": "gru"},
        {"cell": "rnn", "padding": True},
        {"bidirectional": True, "pass_cell": True},
        {"split": "answer"},
        {"model": "peeky", "padding": True, "pass_cell": True},
    ],
    ids=str,
)
def test_every_kind_of_model_is_trained_and_saved(sums, how):
    learn(**how, max_epoch=1, weights="new/kind.npz")
    options = {k: v for k, v in how.items() if k not in ("model", "padding", "split")}
    if "padding" in how:
        options["pad_id"] = sequence.get_vocab("sums.txt")[0][" "]
    load("new/kind", PeekySeq2seq if "model" in how else Seq2seq, **options)


def test_padding_is_the_id_of_the_blank(sums, monkeypatch):
    made = []
    keep = lambda net, *_, **__: made.append(net)  # noqa: E731
    monkeypatch.setattr(train_seq2seq, "train_and_answer", keep)
    learn(padding=True)
    learn()
    assert [net.pad_id for net in made] == [sequence.get_vocab("sums.txt")[0][" "], None]


def test_one_seed_decides_everything(sums):
    learn(weights="a.npz")
    learn(weights="b.npz")
    learn(weights="c.npz", seed=1)
    assert same_weights("a.npz", "b.npz")
    assert not same_weights("a.npz", "c.npz")


def test_a_figure_is_drawn(sums, capsys):
    learn(plot=True)
    assert_not_blank("Seq2seq.png")
    assert "figure saved: Seq2seq.png" in capsys.readouterr().out


def test_the_figure_begins_at_epoch_1_and_has_room_at_both_ends(folder, monkeypatch):
    import matplotlib.pyplot as plt

    seen = []

    def look(file):
        axes = plt.gca()
        seen.append((file, axes.get_ylim(), [line.get_xydata().tolist() for line in axes.lines]))
        seen.append(axes.get_legend())
        plt.close()

    monkeypatch.setattr(plots, "show", look)
    seq2seq_run.plot_accuracy({"": [[0.1, 0.5]]}, Path("f.png"))
    assert seen == [(Path("f.png"), (-0.05, 1.05), [[[1, 0.1], [2, 0.5]]]), None]
    seq2seq_run.plot_accuracy({"a": [[0.0, 1.0], [0.5, 0.5]], "b": [[0.2, 0.3]]}, Path("f.png"))
    _, _, lines = seen[2]
    assert lines[:3] == [[[1, 0], [2, 1]], [[1, 0.5], [2, 0.5]], [[1, 0.25], [2, 0.75]]]
    assert [text.get_text() for text in seen[3].get_texts()] == ["a", "b"]


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"model": "pecky"}, "model is one of seq2seq, peeky, not 'pecky'"),
        ({"cell": "lsmt"}, "cell is one of lstm, gru, rnn, not 'lsmt'"),
        ({"split": "date"}, "split is 'date'"),
        ({"data": "lost.txt"}, "lost.txt was not found"),
        ({"max_epoch": 0}, "max_epoch must be at least 1, not 0"),
        ({"batch_size": 271}, "a batch of 271 needs more than the 270 samples"),
        ({"eval_interval": 0}, "eval_interval must be at least 1"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, not 0"),
        ({"bidirectional": True, "cell": "gru"}, "two directions need cell='lstm'"),
        ({"resume": True}, "there is no checkpoint Seq2seq.checkpoint to resume"),
        ({"cell": "gru", "pass_cell": True}, "pass_cell needs cell='lstm', not 'gru'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_is_refused_before_a_file_is_touched(sums, how, problem):
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        learn(**how)
    assert [path.name for path in sums.iterdir()] == ["sums.txt"]


def test_padding_needs_a_blank(sums):
    Path("full.txt").write_text("\n".join(f"{n}_{n}" for n in range(10, 40)))
    with pytest.raises(ValueError, match=r"full.txt has no blank that could be padding"):
        learn(data="full.txt", padding=True)


def test_a_loss_that_is_not_finite_leaves_the_last_good_weights(sums, monkeypatch, capsys):
    losses = iter([2.5] * 6 + [float("nan")])  # the first is that of a try
    monkeypatch.setattr(Seq2seq, "forward", lambda *_: next(losses))
    monkeypatch.setattr(Seq2seq, "backward", lambda _: None)
    with pytest.raises(FloatingPointError, match="the loss became nan at step 6"):
        learn()
    load()
    assert capsys.readouterr().out.endswith("stopped early\n")


@pytest.mark.parametrize("other", [{"padding": True}, {"pass_cell": True}], ids=str)
def test_a_run_goes_on_only_with_the_options_it_began_with(sums, other):
    for begun, resumed in ({}, other), (other, {}):
        learn(**begun, max_epoch=1, weights="w.npz", overwrite=True)
        before = {path.name: path.read_bytes() for path in sums.iterdir()}
        with pytest.raises(ValueError, match=r"w\.checkpoint: is of another run: pa\w+ is .* here"):
            learn(**resumed, resume=True, weights="w.npz")
        assert {path.name: path.read_bytes() for path in sums.iterdir()} == before
        learn(**begun, resume=True, weights="w.npz")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_script_says_how_to_go_on_and_does(number, sums):
    """Stopped at the second report, and resumed: the same weights and accuracies in the end."""
    flags = [*FLAGS, "--max-epoch=6", "--eval-interval=1"]
    assert ends(script("train_seq2seq", *flags, "--weights=whole.npz"))[0] == 0
    stopped = script("train_seq2seq", *flags, "--weights=parts.npz")
    for _ in range(2):
        stopped.stdout.readline()
    stopped.send_signal(number)
    status, out, err = ends(stopped)
    assert status == 128 + number
    assert "--resume goes on with parts.checkpoint" in out
    assert "Traceback" not in err
    load("parts")
    assert not same_weights("parts.npz", "whole.npz")
    again = script("train_seq2seq", *flags, "--weights=parts.npz")
    assert "parts.checkpoint would be overwritten" in ends(again)[2]
    assert ends(script("train_seq2seq", *flags, "--weights=parts.npz", "--resume"))[0] == 0
    assert same_weights("parts.npz", "whole.npz")
    parts, whole = (json.loads(Path(f"{name}.json").read_text()) for name in ("parts", "whole"))
    for a, b in zip(parts["epochs"], whole["epochs"], strict=True):
        assert all(a[key] == b[key] for key in ("epoch", "accuracy", "characters", "loss"))


def script(name, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", f"ch07.{name}", *flags],
        env={"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(process):
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture
def trained(monkeypatch):
    """What was trained, as (class, reverse, seed, max_epoch), instead of training."""
    runs = []

    def train(model, data, settings, *, seed, **how):
        max_epoch = settings.max_epoch
        runs.append((type(model).__name__, data.reverse, seed, max_epoch))
        share = len(runs) / 10
        return [{"accuracy": share * k / max_epoch, "train_seconds": 2.0} for k in range(max_epoch)]

    monkeypatch.setattr(comparison, "train_and_answer", train)
    return runs


def compared(**how):
    return compare.main(**TINY | how)


def test_a_comparison_trains_three_models_and_draws_them(sums, capsys):
    curves = compared(plot=True, seeds=2, max_epoch=1)
    assert list(curves) == ["baseline", "reverse", "reverse + peeky"]
    assert [len(run) for runs in curves.values() for run in runs] == 6 * [1]
    runs = json.loads(Path("addition_comparison.json").read_text())["runs"]
    by_label = {label: [r for r in runs if r["settings"]["label"] == label] for label in curves}
    for label, several in by_label.items():
        assert [r["settings"]["seed"] for r in several] == [0, 1]
        assert [r["accuracies"] for r in several] == curves[label]
    assert_not_blank("addition_comparison.png")
    assert len(list(Path("addition_comparison").glob("*.npz"))) == 6
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "baseline, seed 0"
    table = lines[
        lines.index("model            seed   last epoch   best epoch   an epoch") + 1 : -1
    ]
    labels = [label for label in curves for _ in range(3)]
    for line, label, seed in zip(table, labels, 3 * ["0", "1", "mean"], strict=True):
        assert re.fullmatch(rf"{re.escape(label)} +{seed}( +\d+\.\d\d %){{2}} +\d+\.\d s", line)


def test_the_models_differ_as_in_the_book(sums, trained):
    compared()
    assert trained == [
        ("Seq2seq", False, 0, 2),
        ("Seq2seq", True, 0, 2),
        ("PeekySeq2seq", True, 0, 2),
    ]


def test_runs_that_were_made_already_are_not_made_again(sums, trained):
    first = compared()
    trained.clear()
    assert compared() == first
    assert trained == []
    more = compared(seeds=2)
    assert [seed for _, _, seed, _ in trained] == [1, 1, 1]
    assert {label: runs[:1] for label, runs in more.items()} == first
    trained.clear()
    compared(hidden_size=8)
    assert len(trained) == 3
    compared(max_epoch=3)  # longer, so the first three are of no use
    assert len(trained) == 6
    trained.clear()
    assert [len(run) for (run,) in compared(max_epoch=1).values()] == [1, 1, 1]
    assert compared(max_epoch=3, seeds=1).keys() == first.keys()
    assert trained == []
    Path("sums.txt").write_text("\n".join(addition.lines(300, seed=1)))  # other data, same name
    compared()
    assert len(trained) == 3


def test_a_stopped_comparison_goes_on_where_it_was(sums, monkeypatch, capsys):
    whole = compared(file="whole.json", max_epoch=3)
    evaluated = []

    def stops(*args):
        evaluated.append(args)
        if len(evaluated) == 5:  # in the second epoch of the second run
            raise KeyboardInterrupt
        return seq2seq_accuracy(*args)

    monkeypatch.setattr(seq2seq_run, "seq2seq_accuracy", stops)
    with pytest.raises(KeyboardInterrupt):
        compared(file="parts.json", max_epoch=3)
    with pytest.raises(
        FileExistsError, match=r"another --file keeps .* --resume goes on with that"
    ):
        compared(file="parts.json", max_epoch=3)
    capsys.readouterr()
    assert compared(file="parts.json", max_epoch=3, resume=True) == whole
    assert "baseline, seed 0" not in capsys.readouterr().out
    assert len(evaluated) == 5 + 2 + 3
    (peeky,) = Path("parts").glob("reverse_peeky_0_*.npz")
    (same,) = Path("whole").glob("reverse_peeky_0_*.npz")
    assert same_weights(peeky, same)
    (reverse,) = Path("parts").glob("reverse_0_*.npz")
    (same,) = Path("whole").glob("reverse_0_*.npz")
    assert same_weights(reverse, same)


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": [{}]}', '{"epochs": []}'])
def test_a_file_of_something_else_is_not_overwritten(sums, trained, content):
    Path("addition_comparison.json").write_text(content)
    with pytest.raises(ValueError, match=r"addition_comparison.json holds no comparison"):
        compared()
    assert Path("addition_comparison.json").read_text() == content


@pytest.mark.parametrize("how", [{"seeds": 0}, {"max_epoch": 0}, {"split": "no"}, {"file": "x"}])
def test_a_comparison_of_nothing_is_refused_before_a_file_is_touched(sums, how):
    with pytest.raises(ValueError, match=r"at least 1|split is|must end in .json"):
        compared(**how)
    assert [path.name for path in sums.iterdir()] == ["sums.txt"]


def test_the_data_are_shown(folder, capsys, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setitem(sequence.MADE, "addition.txt", lambda: addition.lines(2000))
    monkeypatch.delitem(sequence.FILES, "addition.txt")
    show_addition_dataset.main()
    (x, t), _ = sequence.load_data()
    _, ids = sequence.get_vocab()
    made, *shown = capsys.readouterr().out.split("\n")
    assert made.startswith("addition.txt was made, once: ")
    assert shown == [
        *("(1800, 7) (1800, 5)", "(200, 7) (200, 5)"),
        *(str(x[0]), str(t[0])),
        *(sequence.decode(x[0], ids), sequence.decode(t[0], ids), ""),
    ]


@pytest.fixture
def checkout(sums):
    return copy_packages(sums, "common", "dataset", "ch07", "ch06", "ch05")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_run_as_module_and_from_their_folder(checkout, name):
    flags = ["--data", str(checkout / "sums.txt")]
    if name != "show_addition_dataset":
        flags += [flag for flag in FLAGS if not flag.startswith("--data")]
    inside = run(f"{name}.py", *flags, cwd=checkout / "ch07", installed=checkout).stdout
    as_module = run("-W", "error", "-m", f"ch07.{name}", *flags, cwd=checkout).stdout
    assert without_times(inside) == without_times(as_module)
    assert inside


def without_times(out):
    return re.sub(r"time \d+", "", out)


@pytest.mark.parametrize("module", [show_addition_dataset, train_seq2seq, compare])
def test_every_flag_is_explained(module):
    for name, flag in flags(module.main).items():
        assert flag.help, name
    done = run("-m", module.__name__, "--no-such-flag", cwd=ROOT, status=2)
    assert "--no-such-flag" in done.stderr


# --- Scripts typed in the book's way, started in the chapter's folder ----------------------------

OWN_PEEKY = """
import sys
sys.path.append('..')
from common.time_layers import *
from seq2seq import Seq2seq, Encoder


class PeekyDecoder:
    def __init__(self, vocab, wordvec, hidden):
        def draw(rows, columns, scale):
            return (scale * np.random.randn(rows, columns)).astype('f')

        both = hidden + wordvec
        self.embed = TimeEmbedding(draw(vocab, wordvec, 0.01))
        self.lstm = TimeLSTM(draw(both, 4 * hidden, both ** -0.5),
                             draw(hidden, 4 * hidden, hidden ** -0.5),
                             np.zeros(4 * hidden).astype('f'), stateful=True)
        self.affine = TimeAffine(draw(2 * hidden, vocab, (2 * hidden) ** -0.5),
                                 np.zeros(vocab).astype('f'))
        self.params, self.grads = [], []
        for layer in (self.embed, self.lstm, self.affine):
            self.params += layer.params
            self.grads += layer.grads
        self.hidden = hidden

    def forward(self, ids, h):
        N, T = ids.shape
        self.lstm.set_state(h)
        peek = np.repeat(h, T, axis=0).reshape(N, T, self.hidden)
        read = np.concatenate((peek, self.embed.forward(ids)), axis=2)
        return self.affine.forward(np.concatenate((peek, self.lstm.forward(read)), axis=2))

    def backward(self, dscore):
        H = self.hidden
        d_out = self.affine.backward(dscore)
        d_in = self.lstm.backward(d_out[:, :, H:])
        self.embed.backward(d_in[:, :, H:])
        return self.lstm.dh + np.sum(d_out[:, :, :H] + d_in[:, :, :H], axis=1)

    def generate(self, h, start_id, sample_size):
        self.lstm.set_state(h)
        peek, answer, last = h.reshape(1, 1, self.hidden), [], start_id
        for _ in range(sample_size):
            read = self.embed.forward(np.array([last]).reshape((1, 1)))
            state = self.lstm.forward(np.concatenate((peek, read), axis=2))
            score = self.affine.forward(np.concatenate((peek, state), axis=2))
            last = int(np.argmax(score.flatten()))
            answer.append(last)
        return answer


class PeekySeq2seq(Seq2seq):
    def __init__(self, vocab, wordvec, hidden):
        self.encoder = Encoder(vocab, wordvec, hidden)
        self.decoder = PeekyDecoder(vocab, wordvec, hidden)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads
"""

OWN_TRAINING = """
import sys
sys.path.append('..')
import numpy as np
import matplotlib.pyplot as plt
from dataset import sequence
from common.optimizer import Adam
from common.trainer import Trainer
from common.util import eval_seq2seq
from my_peeky import PeekySeq2seq

np.random.seed(2)
(questions, answers), (asked, right) = sequence.load_data('echo.txt', seed=1984)
char_to_id, id_to_char = sequence.get_vocab()
questions, asked = questions[:, ::-1], asked[:, ::-1]

net = PeekySeq2seq(len(char_to_id), 16, 32)
trainer = Trainer(net, Adam(0.01))
shares = []
for epoch in range(12):
    trainer.fit(questions, answers, max_epoch=1, batch_size=30, max_grad=5.0)
    hits = 0
    for k in range(len(asked)):
        question, answer = asked[[k]], right[[k]]
        hits += eval_seq2seq(net, question, answer, id_to_char, k < 2, is_reverse=True)
    shares.append(hits / len(asked))
    print('val acc %.3f%%' % (shares[-1] * 100))

net.save_params()
again = PeekySeq2seq(len(char_to_id), 16, 32)
again.load_params()
start = char_to_id['_']
print(all(again.generate(asked[[k]], start, 3) == net.generate(asked[[k]], start, 3)
          for k in range(len(asked))))
plt.plot(np.arange(len(shares)), shares, marker='o')
plt.savefig('shares.png')
print(shares[0], shares[-1])
"""


def test_a_peeky_model_typed_in_the_books_way_learns(checkout):
    place = checkout / "ch07"
    pairs = [f"{a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"]
    (place / "echo.txt").write_text("\n".join(f"{pair}  _{pair} " for pair in pairs))
    (place / "my_peeky.py").write_text(OWN_PEEKY)
    (place / "my_training.py").write_text(OWN_TRAINING)
    out = run("my_training.py", cwd=place).stdout
    assert len(re.findall(r"^\| epoch \d+ \|  iter 1 / 12 ", out, re.M)) == 12
    assert len(re.findall(r"^Q \w\w  \nT \w\w \n[☑☒] ...\n---$", out, re.M)) == 24
    *_, same, shares = out.splitlines()
    assert same == "True"
    first, last = map(float, shares.split())
    assert first < 0.5 < 0.8 < last
    assert (place / "PeekySeq2seq.npz").exists()
    assert_not_blank(place / "shares.png")
