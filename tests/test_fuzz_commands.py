"""Hostile command lines: every script ends with status 0, or says in one line what is wrong.

Each command runs in a fork of a process that has imported all scripts. One that uses a core
for half a second is stopped: it works, as it was told to.
"""

import importlib
import io
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from common import cli
from tests.fuzz import in_a_child, limit, times
from tests.test_help import SCRIPTS

WHOLE = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "4294967296",
    "9223372036854775808",
    "9" * 40,
    "1e3",
    "0x1f",
]
NUMBERS = ["nan", "inf", "-inf", "-1", "0", "0.5", "1", "1e308", "-1e-9", "1e999", "half", "1_0"]
TEXTS = [
    "",
    " ",
    ".",
    "/",
    "no such",
    "\udcff",
    "x" * 300,
    "-",
    "--",
    "é 日本",
    "a b c d",
    "none.npz",
]
FILES = {
    "empty": b"",
    "zeros": bytes(100),
    "noise": random.Random(0).randbytes(300),
    "text": b"the cat sat\n" * 12,
    "latin": "caf\xe9\tau lait\n".encode("latin-1") * 12,
    "numbers": b"2 2\na 1 2\nb 3 4\n",
    "archive.npz": b"PK\3\4 and nothing more",
    "list.pkl": b"]q\0.",
    "runs.json": b'{"runs": [{}]}',
}
SMALL = {  # settings that begin a long script with little work
    "corpus": "text",
    "max_epoch": "1",
    "batch_size": "2",
    "time_size": "2",
    "hidden_size": "3",
    "wordvec_size": "3",
}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_hostile_flags_end_a_script_with_status_0_or_in_one_line(tmp_path):
    in_a_child("tests.test_fuzz_commands:try_all()", tmp_path)


def try_all():
    """Give every script hostile flags, in the current folder."""
    mains = {name: importlib.import_module(name).main for name in SCRIPTS}
    import matplotlib.pyplot
    import sklearn.decomposition
    import sklearn.linear_model
    import sklearn.manifold
    import sklearn.model_selection

    del matplotlib, sklearn
    folder, rng = Path.cwd(), random.Random(0)
    for k in times(4):
        for name, main in mains.items():
            place = folder / f"{name} {k}"
            place.mkdir()
            (place / "folder").mkdir()
            for file, content in FILES.items():
                (place / file).write_bytes(content)
            check(name, main, hostile(main, rng), place)


def hostile(main, rng):
    """Flags of a script, small but for one or two."""
    flags = cli.flags(main)
    chosen = {name: SMALL[name] for name in SMALL if name in flags and rng.random() < 0.8}
    for name in rng.sample(list(flags), min(len(flags), rng.choice([1, 1, 2]))):
        kind = flags[name].kind
        if kind is bool:
            chosen[name] = None
        elif kind in (int, float):
            chosen[name] = rng.choice([*WHOLE, *NUMBERS] if rng.random() < 0.5 else WHOLE)
        else:
            chosen[name] = rng.choice([*TEXTS, *FILES, "folder", "new.json", "new.png"])
    argv = []
    for name, value in chosen.items():
        flag = "--" + name.replace("_", "-")
        argv += [flag] if value is None else [flag, value]
    return argv


def check(name, main, argv, place):
    """Run a script in a fork, and look at how it ends."""
    out, err = place.parent / "stdout", place.parent / "stderr"
    if not (process := os.fork()):
        run(main, argv, place, out, err)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    said = err.read_text(errors="replace")
    told = f"{name} {argv}: status {status}\n{said}"
    assert "Traceback" not in said, told
    assert "Warning" not in said, told
    if status == 1:
        assert said.startswith("error: "), told
    elif status == 2:
        assert said.startswith("usage: "), told
        assert ": error: " in said, told
    else:
        assert status in (0, -signal.SIGPROF), told


def run(main, argv, place, out, err):
    """In the fork: call a script as its module does, then end."""
    status = 1
    try:
        for descriptor, file in enumerate([os.devnull, out, err]):
            mode = os.O_RDONLY if not descriptor else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(file, mode), descriptor)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"))
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), errors="backslashreplace")
        os.chdir(place)
        sys.argv = [main.__module__, *argv]
        limit()
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, 0.5)
        cli.run(main)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
