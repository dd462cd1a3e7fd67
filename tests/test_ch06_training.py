"""The training scripts of chapter 6: validation, the falling learning rate, the best weights."""

import json
import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from ch06 import language_model_run, train_better_rnnlm, train_rnnlm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from common.evaluate import eval_perplexity
from dataset import texts
from tests.scripts import ROOT, assert_not_blank, copy_packages, run

TINY: dict[str, Any] = {"wordvec_size": 6, "hidden_size": 6, "batch_size": 4, "time_size": 5}
TINY |= {"corpus": "grammar", "corpus_size": 400, "plot": False}


def better(**how):
    return train_better_rnnlm.main(**TINY | how)


def history(file="BetterRnnlm.json"):
    return json.loads(Path(file).read_text())


def untimed(history):
    """A history without the keys that tell how long things took."""
    rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in history["epochs"]]
    return history | {"epochs": rows}


@pytest.fixture
def valid(monkeypatch):
    """valid(5, 4): let validation find these perplexities, and the test 1."""

    def script(*perplexities):
        left = iter([*perplexities, 1.0])
        monkeypatch.setattr(language_model_run, "eval_perplexity", lambda *_: next(left))

    return script


def test_the_learning_rate_is_quartered_where_validation_does_not_improve(folder, valid):
    valid(9, 8, 8, 8.5, 7, math.nan, 6.5)
    better(max_epoch=7)
    epochs = history()["epochs"]
    assert [e["lr"] for e in epochs] == [20, 20, 20, 5, 1.25, 1.25, 0.3125]
    assert [e["epoch"] for e in epochs] == [1, 2, 3, 4, 5, 6, 7]
    assert [e["valid"] for e in epochs][:5] == [9, 8, 8, 8.5, 7]


def test_the_best_weights_are_kept_and_tested(folder, valid, monkeypatch, capsys):
    valid(9, 7, 8, 8)
    saved = []
    save = BetterRnnlm.save_params
    monkeypatch.setattr(
        BetterRnnlm, "save_params", lambda m, *a, **k: saved.append(m) or save(m, *a, **k)
    )
    assert better(max_epoch=4) == 1.0
    assert len(saved) == 2  # after the first and the second epoch
    last = saved[0]  # the same model: train() put the best weights back before the test
    best = BetterRnnlm(140, 6, 6)
    best.load_params("BetterRnnlm.npz")
    for a, b in zip(last.params, best.params, strict=True):
        numpy.testing.assert_array_equal(a, b)
    out = capsys.readouterr().out
    assert out.count("valid perplexity:") == 4
    assert "valid perplexity:  7.00" in out
    assert "-" * 50 in out
    assert "test perplexity:  1.00" in out


def test_the_perplexities_are_those_of_the_weights(folder):
    test = better(max_epoch=2)
    model = BetterRnnlm(140, 6, 6)
    model.load_params("BetterRnnlm.npz")
    assert eval_perplexity(model, texts.load_data("grammar", "test")[0], progress=False) == test
    found = history()
    assert found["test"] == test
    valid = eval_perplexity(model, texts.load_data("grammar", "valid")[0], progress=False)
    assert min(e["valid"] for e in found["epochs"]) == valid
    # 400 words are 19 batches of 4 x 5; a report at the first, and the epoch's mean is that of all
    assert [e["train"] for e in found["epochs"]] == pytest.approx(found["train"])


def test_every_epoch_of_the_better_model_reads_from_the_start(folder, monkeypatch):
    places = []
    forward = BetterRnnlm.forward

    def reading(model, xs, ts, **how):
        places.append(xs[:, 0].tolist())
        return forward(model, xs, ts, **how)

    monkeypatch.setattr(BetterRnnlm, "forward", reading)
    monkeypatch.setattr(language_model_run, "eval_perplexity", lambda *_: 5.0)
    better(max_epoch=2)
    assert places[1:20] == places[20:]  # the first batch only tries ids


def test_a_gru_learns_too(folder):
    train_rnnlm.main(**TINY, model="gru", max_epoch=1)
    model = GruRnnlm(140, 6, 6)
    model.load_params()
    with pytest.raises(ValueError, match="model is one of rnnlm, gru, not 'rnn'"):
        train_rnnlm.main(**TINY, model="rnn")


def test_a_figure_is_drawn(folder):
    better(max_epoch=1, plot=True, eval_interval=2)
    assert_not_blank("BetterRnnlm.png")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_script_says_how_to_go_on_and_does(number, folder):
    """Stopped at the second report, and resumed: the same weights and history in the end."""
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if k != "plot"]
    flags += ["--max-epoch=6", "--no-plot", "--eval-interval=1"]
    assert ends(run_script(*flags, "--weights=whole.npz"))[0] == 0
    stopped = run_script(*flags, "--weights=parts.npz")
    reports = (line for line in stopped.stdout if line.startswith("| epoch"))
    assert next(reports) < next(reports)
    stopped.send_signal(number)
    status, out, err = ends(stopped)
    assert status == 128 + number
    assert "--resume goes on with parts.checkpoint" in out
    assert "Traceback" not in err
    again = run_script(*flags, "--weights=parts.npz")
    assert "parts.checkpoint would be overwritten" in ends(again)[2]
    assert ends(run_script(*flags, "--weights=parts.npz", "--resume"))[0] == 0
    assert untimed(history("parts.json")) == untimed(history("whole.json"))
    a, b = numpy.load("parts.npz"), numpy.load("whole.npz")
    for name in a.files:
        numpy.testing.assert_array_equal(a[name], b[name])


def ends(process):
    out, err = process.communicate()
    return process.returncode, out, err


def run_script(*flags):
    return subprocess.Popen(
        [sys.executable, "-m", "ch06.train_better_rnnlm", *flags],
        env={"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


OWN_SCRIPT = """
import sys
sys.path.append('..')
from common import config
from common.np import *
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from common.util import eval_perplexity, to_gpu
from dataset import grammar
from better_rnnlm import BetterRnnlm

np.random.seed(1)
train, ids, words = grammar.load_data('train')
val = grammar.load_data('val')[0]
if config.GPU:
    train, val = to_gpu(train), to_gpu(val)
train, lr, best = train[:3000], 20.0, float('inf')
net, sgd = BetterRnnlm(len(ids), 12, 12, 0.2), SGD(20.0)
loop = RnnlmTrainer(net, sgd)
for k in range(4):
    loop.fit(train[:-1], train[1:], max_epoch=1, batch_size=5, time_size=10, max_grad=0.25)
    net.reset_state()
    now = eval_perplexity(net, val)
    if now < best:
        best = now
        net.save_params()
    else:
        lr /= 4.0
        sgd.lr = lr
    net.reset_state()
print('best %.2f of %d after %d' % (best, len(ids), loop.current_epoch))
"""


def test_a_script_typed_in_the_books_way_trains_the_better_model(tmp_path):
    place = copy_packages(tmp_path, "common", "dataset", "ch05", "ch06") / "ch06"
    (place / "mine.py").write_text(OWN_SCRIPT)
    out = run("mine.py", cwd=place).stdout.splitlines()
    assert sum(line.startswith("| epoch ") for line in out) == 4 * 3  # 59 batches each
    best, of, epochs = re.fullmatch(r"best (\S+) of (\d+) after (\d)", out[-1]).groups()
    assert (of, epochs) == ("140", "4")
    assert float(best) < 70
    assert (place / "BetterRnnlm.npz").exists()
