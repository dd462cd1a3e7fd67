"""The READMEs: their commands run, the files they name are there, the tree is complete."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from common.cli import arguments
from dataset import addition, dates
from tests.conftest import missing_ptb
from tests.scripts import ROOT

READMES = [ROOT / "README.md", *sorted(ROOT.glob("ch0[1-8]/README.md"))]
READMES.append(ROOT / "dataset" / "README.md")
of_each = pytest.mark.parametrize(
    "readme", READMES, ids=lambda path: path.parent.relative_to(ROOT).name or "root"
)

# What makes a long command a matter of seconds. The rest of it stays as it is printed.
TINY_RNN = "--max-epoch 1 --wordvec-size 6 --hidden-size 6"
TINY_TRANSFORMER = "--max-epoch 1 --wordvec-size 8 --hidden-size 8"  # divided between 4 heads
SMALLER = {
    "ch03.train_glove": "--corpus novel.txt --max-epoch 1 --hidden-size 6 --overwrite",
    "ch04.compare": "--corpus novel.txt --max-epoch 1 --hidden-size 6",
    "ch04.shifted_pmi": "--corpus novel.txt --max-epoch 1 --hidden-size 6 --overwrite",
    "ch04.train": "--corpus novel.txt --max-epoch 1 --hidden-size 6 --overwrite",
    "ch04.show_vectors": "--words 'he she we they you car truck toyota'",
    "ch05.train": f"--corpus novel.txt {TINY_RNN}",
    "ch05.train_custom_loop": f"--corpus novel.txt {TINY_RNN}",
    "ch06.train_rnnlm": f"--corpus novel.txt {TINY_RNN}",
    "ch06.train_better_rnnlm": f"--corpus novel.txt {TINY_RNN}",
    "ch06.train_awd_lstm": f"--corpus novel.txt {TINY_RNN} --batch-size 2 --time-size 10 "
    "--overwrite",
    "ch06.eval": "--corpus novel.txt",
    "ch07.train_seq2seq": f"--data sums.txt {TINY_RNN}",
    "ch07.compare": f"--data sums.txt {TINY_RNN}",
    "ch08.train": f"--data days.txt {TINY_TRANSFORMER} --overwrite",
    "ch08.compare": f"--data days.txt {TINY_TRANSFORMER}",
    "ch08.compare_language_models": "--corpus novel.txt --num-weights 3000 "
    "--max-epoch 1 --rates 0.01 --seeds 1 --overwrite",
    "ch08.train_transformer_lm": "--corpus novel.txt --batch-size 2 --time-size 4 "
    f"{TINY_TRANSFORMER} --overwrite",
    "ch08.train_memory": "--sequences 8 --hidden-size 6 --overwrite",
}
NOVEL = """you know the meaning of life is $ N <unk>
the company said it expects higher sales and you say hello to the car
i take the toyota this year and we say goodbye
"""
PTB = ["ch02.show_ptb", "ch02.count_method_big"]


def commands(readme):
    """The commands `python -m chNN...` of a README as (module, flags), each of them once."""
    found = re.findall(r"python -m (ch\d\d\.\w+)([^`|&\n]*)", readme.read_text(encoding="utf-8"))
    return list(dict.fromkeys((module, flags.split("#")[0].strip()) for module, flags in found))


def test_commands_are_found_where_they_stand():
    root = commands(READMES[0])
    assert ("ch08.train", "--max-epoch 4") in root  # in a block of code
    assert ("ch06.eval", "--cache") in root  # in a table
    assert ("ch06.figures", "") in root  # in a sentence
    assert ("ch08.visualize_attention", '--question "FRIDAY, AUGUST 26, 1983"') in commands(
        READMES[8]
    )


@pytest.mark.slow
@of_each
def test_every_command_runs(readme, folder):
    Path("novel.txt").write_text(NOVEL * 120, encoding="utf-8")
    for name, made in ("sums.txt", addition), ("days.txt", dates):
        Path(name).write_text("\n".join(made.lines(400)) + "\n", encoding="utf-8")
    left_out = []
    for module, flags in commands(readme):
        script = importlib.import_module(module)
        smaller = SMALLER.get(module, "")
        if "--resume" in flags:
            smaller = smaller.replace("--overwrite", "")
        if module in PTB and "--corpus" not in flags and missing_ptb():
            left_out.append(module)
            continue
        argv = [*shlex.split(flags), *shlex.split(smaller)]
        print(f"--- python -m {module} {' '.join(argv)}")
        how = arguments(script.main, argv)
        if not module.endswith(".figures"):  # which test_figures runs
            script.main(**how)
    if left_out:
        pytest.skip(f"Penn Treebank is not on this machine; all ran but {', '.join(left_out)}")


@of_each
def test_every_file_named_is_there(readme):
    text = readme.read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+/[\w.]*)`", text) + re.findall(r"\]\(([\w./-]+)\)", text)
    made_by_runs = {"figures/", ".venv/bin/python"}
    for name in set(named) - made_by_runs:
        assert (ROOT / name).exists() or (readme.parent / name).exists(), name


def test_the_tree_names_every_file_once():
    tree = READMES[0].read_text(encoding="utf-8").split("## What is where")[1].split("```")[1]
    named, here = [], None
    for line in tree.strip().splitlines():
        name = line.split()[0]
        if line.startswith(" "):
            named.append(here + name)
        else:
            here = name
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("common", "dataset", *sorted(p.name for p in ROOT.glob("ch0[1-8]")))
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in ("__init__.py", "figures.py") and not path.name.endswith(".nb.py")
    ]
    assert sorted(named) == sorted([*files, "tests/benchmarks/", "tests/gpu/"])


def test_every_script_is_named_in_the_readme_of_its_chapter():
    for readme in READMES[1:]:
        chapter, named = readme.parent, {module for module, _ in commands(readme)}
        scripts = {
            f"{chapter.name}.{path.stem}"
            for path in chapter.glob("*.py")
            if "__main__" in path.read_text(encoding="utf-8")
        }
        assert scripts <= named, chapter.name


def test_quick_start_has_two_commands():
    text = READMES[0].read_text(encoding="utf-8").split("## Quick start")[1].split("```")[1]
    first, second = text.strip().splitlines()
    assert "-m ch08.train" in first
    assert second.endswith("-m pytest -n auto")
