"""Damage by chance, seeded: bytes of files mutated, and limits under which they are read.

The environment variable DLFS2_FUZZ makes all fuzz tests longer by that factor.
"""

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

from tests.scripts import ROOT

FACTOR = float(os.environ.get("DLFS2_FUZZ", "1"))
MEMORY = 300  # MB beyond what the process has when it begins
CPU = 600  # seconds of a child process: what hangs is ended
DAMAGES = ["bit", "bit", "bit", "byte", "cut", "insert", "delete", "double", "swap"]
EXTREME = [b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\xff" * 8, b"\xff" * 7 + b"\x7f"]


def times(n: int) -> range:
    """n rounds, or more if the environment says so."""
    return range(max(1, int(n * FACTOR)))


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The bytes of a file after one to three damages: bits, bytes, blocks, the end."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        size = len(data)
        at, length = rng.randrange(size + 1), 1 + int(2 ** rng.uniform(0, 8))
        block, to = data[at : at + length], rng.randrange(size + 1)
        match rng.choice(
            ["bit", "bit", "bit", "byte", "cut", "insert", "delete", "double", "swap"]
        ):
            case "bit" if at < size:
                data[at] ^= 1 << rng.randrange(8)
            case "byte":
                data[at : at + 1] = rng.choice([rng.randbytes(1), *EXTREME])
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = rng.randbytes(length)
            case "delete":
                del data[at : at + length]
            case "double":
                data[to:to] = block
            case "swap":
                other = data[to : to + length]
                data[at : at + length], data[to : to + length] = other, block
    return bytes(data)


def limit() -> None:
    """From here on this process has no more than so much memory and time."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def in_a_child(call: str, folder: Path) -> None:
    """Run `module:function(...)` in a process of its own, which must end well, without a word."""
    module, _, expression = call.partition(":")
    name = expression.partition("(")[0]
    code = f"from {module} import {name}; {expression}"
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::UserWarning", "-c", code],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr or done.returncode
