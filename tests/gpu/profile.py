"""Where the time of a step goes: kernels and transfers on the GPU, calls on the host."""

import cProfile
import io
import pstats
from collections import Counter
from collections.abc import Callable
from typing import Any

from common.np import np
from tests.gpu.library import computing, wait
from tests.gpu.steps import block, their_step

STEPS = 5
SHOWN = 14  # lines of each list


def profile(name: str, row: Any, real: bool, torch: Any) -> str:
    """A row of the benchmarks -> what one step of either side does, as text."""
    lines = [f"--- {name} ---"]
    with computing("cupy", real):
        step = row.ours()
        block(step, wait, 3)
        if torch is not None and torch.cuda.is_available():
            lines += ["ours, on the GPU:", *on_gpu(step, torch)]
            theirs = their_step(row, torch)
            block(theirs, torch.cuda.synchronize, 3)
            lines += ["PyTorch's, on the GPU:", *on_gpu(theirs, torch)]
        lines += ["ours, on the host:", *on_host(step)]
    return "\n".join(lines)


def on_gpu(step: Callable[[], object], torch: Any) -> list[str]:
    """Kernels, transfers, and calls of the CUDA library, in a step, with their times.

    PyTorch's profiler sees the kernels of the whole process, CuPy's included.
    """
    kinds = torch.profiler.ProfilerActivity
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as found:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize()
    count, spent = Counter[str](), Counter[str]()
    for event in found.events():
        on_device = "CUDA" in str(event.device_type)
        if on_device or event.name.startswith("cu"):
            name = ("GPU  " if on_device else "host ") + event.name[:90]
            count[name] += 1
            spent[name] += event.time_range.elapsed_us()
    lines = []
    for place in "GPU  ", "host ":
        names = [name for name, _ in spent.most_common() if name.startswith(place)]
        calls, us = sum(count[n] for n in names) / STEPS, sum(spent[n] for n in names) / STEPS
        lines.append(f"{place}{calls:8.1f} calls {us:10.1f} us a step")
        lines += [
            f"    {count[n] / STEPS:8.1f} {spent[n] / STEPS:10.1f} us  {n[5:]}"
            for n in names[:SHOWN]
        ]
    return lines


def on_host(step: Callable[[], object]) -> list[str]:
    """Python's functions by the time spent in them, of a few steps."""
    profiler, text = cProfile.Profile(), io.StringIO()
    profiler.enable()
    for _ in range(STEPS):
        step()
    wait()
    profiler.disable()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(2 * SHOWN)
    return [line[:120] for line in text.getvalue().splitlines() if line.strip()]


def calls(real: bool) -> str:
    """Microseconds of single calls, of which a recurrent step is made, as text."""
    import numpy

    from common import fused_steps
    from common.np import Loop, fused, product

    with computing("cupy", real):
        N, H = 20, 650
        h, W, out = np.ones((N, H), "f"), np.ones((H, 4 * H), "f"), np.empty((N, 4 * H), "f")
        small = np.ones((N, 100), "f")
        many = [np.zeros((N, H), "f") for _ in range(9)]
        ids = numpy.arange(700)
        step, dstep = fused(fused_steps.lstm_step), fused(fused_steps.lstm_dstep)
        loop = Loop()

        def steps() -> None:
            for _ in range(100):
                product(h, W, out)
                step(*many[:7])

        timed: dict[str, Callable[[], object]] = {
            "a[3]": lambda: h[3],
            "a[:, 3]": lambda: h[:, 3],
            "a + b": lambda: small + small,
            "a += b": lambda: np.add(small, small, out=small),
            "a.sum(axis=1)": lambda: small.sum(axis=1),
            "np.vdot(a, a)": lambda: np.vdot(small, small),
            "np.zeros": lambda: np.zeros((N, H), "f"),
            "a.copy()": lambda: small.copy(),
            "asarray(700 ids)": lambda: np.asarray(ids),
            "h.dot(Wh, out)": lambda: h.dot(W, out),
            "da.dot(Wh.T)": lambda: out.dot(W.T),
            "product(h, Wh, out)": lambda: product(h, W, out),
            "lstm_step, 7 arrays": lambda: step(*many[:7]),
            "lstm_dstep, 9 arrays": lambda: dstep(*many),
            "replay of 100 of both": lambda: loop(steps, h, W, out, *many),
        }
        lines = ["--- single calls: us of the host, us until the GPU is done, each of many ---"]
        for name, call in timed.items():
            block(call, wait, 3)
            both, host = block(call, wait, 300 if real else 3)
            lines.append(f"{name:<24}{host * 1e6:>8.1f}{both * 1e6:>8.1f}")
    return "\n".join(lines)
