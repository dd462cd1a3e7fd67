"""Draw where a trained machine with a memory writes and reads, step by step.

python -m ch08.show_memory                            the shipped NTM copies 20 vectors
python -m ch08.show_memory --model dnc --length 10
python -m ch08.show_memory --weights NTM_sort.npz --task sort
python -m ch08.show_memory --runs "*_copy.json"       the learning curves of these runs

Source: book 8.5.3, figure 8-41; Graves et al. 2014, https://arxiv.org/abs/1410.5401.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from ch08.dnc import DNC
from ch08.memory_model import MemoryModel
from common.base_model import load_model
from common.cli import at_least_one, run, then
from common.functions import sigmoid
from common.np import Array, np, to_cpu
from common.plots import COLORS, MAP, STYLE, axes, colour_bar, heat_map
from common.trainer import Row
from dataset.copying import TASKS, wrong_bits

WEIGHTS = Path(__file__).parent / "weights"
MODELS = {"ntm": "NTM_copy.npz", "dnc": "DNC_copy.npz"}


def main(
    *,
    model: Annotated[str, MODELS] = "ntm",
    weights: str | None = None,
    task: Annotated[str, TASKS] = "copy",
    length: int | None = None,
    memory_size: int | None = None,
    seed: int = 0,
    runs: str | None = None,
) -> None:
    """Draw one test sequence: input, output, write weights and read weights over time.

    model        the shipped one: ntm or dnc, which copy
    weights      a file of a machine of yours, instead
    task         what it was trained for: copy, copies, repeat, recall or sort
    length       of the sequence, in steps: vectors, or items of recall; the task's longest if not
                 given
    memory_size  rows in the memory, if another than in the file
    seed         decides the sequence
    runs         draw the learning curves of these runs instead: a pattern for their histories
                 (.json), of which those that differ only after the last _ have one colour
    """
    if runs is not None:
        plot_curves(curves_of(runs), Path("memory_curves.png"))
        return
    for name, choice, choices in ("model", model, MODELS), ("task", task, TASKS):
        if choice not in choices:
            raise ValueError(f"show_memory: {name} is one of {', '.join(choices)}, not {choice!r}")
    at_least_one(length=length, memory_size=memory_size)
    net = load_model(weights or WEIGHTS / MODELS[model])
    if not isinstance(net, MemoryModel):
        raise ValueError(f"show_memory: a {type(net).__name__} has no memory to show")
    net = net.with_memory(memory_size) if memory_size else net
    what = TASKS[task]
    x, t = what.test(seed, 1, length or what.high[0], *what.high[1:])
    wrong = plot_heads(net, x, t, Path(f"{type(net).__name__}_{task}_heads.png"))
    print(f"{wrong} bits wrong")
    then("ch08.train_memory", model="dnc" if isinstance(net, DNC) else "ntm", task=task)


def plot_heads(model: MemoryModel, x: Array, t: Array, file: Path) -> int:
    """Draw what happens in one sequence, x (1, T, D), t (1, T, M) -> how many bits are wrong.

    Four rows over time: inputs, outputs (probabilities, where a bit is asked for), the weights of
    the write heads, those of the read heads. Time runs to the right, the memory downwards. Inputs
    of 1 are red, of -1 blue.
    """
    scores = model.predict(np.asarray(x))
    y = to_cpu(sigmoid(scores))[0]
    y[t[0] < 0] = 0
    panels = {"input": x[0], "output": y}
    layer = model.layer
    for name, weights in ("write", layer.write_weights), ("read", layer.read_weights):
        weights = to_cpu(weights)[0]
        for head in range(weights.shape[1]):
            number = f" {head + 1}" if weights.shape[1] > 1 else ""
            panels[f"{name} weights{number}"] = weights[:, head]
    heights = [max(6, a.shape[1]) for a in panels.values()]
    size = (9, sum(heights) / 8 + 1)
    how = {"nrows": len(panels), "figsize": size, "height_ratios": heights, "sharex": True}
    with axes(file, style=STYLE | MAP, **how) as rows:
        for ax, (name, a) in zip(rows, panels.items(), strict=True):
            image = heat_map(a.T, ax, limits=(-1 if name == "input" else 0, 1))
            ax.set_ylabel(name)
            ax.set_yticks([])
        ax.set_xlabel("time step")
        colour_bar(image, rows[1:], "output, weight")
    return int(wrong_bits(to_cpu(scores), t)[0])


def curves_of(runs: str) -> dict[str, list[list[Row]]]:
    """The rows of the epochs of the runs whose histories (.json) a pattern finds, by label.

    Raises FileNotFoundError if it finds none, ValueError for a file of something else.
    """
    curves: dict[str, list[list[Row]]] = {}
    for file in sorted(Path().glob(runs)):
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))["epochs"]
            curves.setdefault(file.stem.rpartition("_")[0] or file.stem, []).append(
                [{name: float(row[name]) for name in ("sequences", "bits")} for row in rows]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"show_memory: {file} is no history of a run ({error!r})") from error
    if not curves:
        raise FileNotFoundError(f"show_memory: no file fits {runs}")
    return curves


def plot_curves(curves: Mapping[str, list[list[Row]]], file: Path, ax: Any = None) -> Any:
    """Learning curves: cross-entropy in bits a sequence against thousands of sequences.

    curves  label: the rows of the epochs of each run
    """
    with axes(file, ax) as ax:
        for k, (label, runs) in enumerate(curves.items()):
            for n, rows in enumerate(runs):
                seen = [row["sequences"] / 1000 for row in rows]
                bits, color = [row["bits"] for row in rows], COLORS[k % len(COLORS)]
                ax.plot(seen, bits, color=color, lw=1, label=label if n == 0 else None)
        ax.set(xlabel="sequences (thousands)", ylabel="cross-entropy (bits a sequence)")
        ax.set_ylim(bottom=0)
        ax.legend()
    return ax


if __name__ == "__main__":
    run(main)
