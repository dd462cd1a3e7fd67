"""Running scripts in tests: a copy of the packages, another process, a look at its figures."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy

ROOT = Path(__file__).resolve().parent.parent


def copy_packages(root, *names):
    """Copy some packages into the folder `root`, to be written into -> root."""
    only_code = shutil.ignore_patterns("__pycache__", "*.txt", "*.npz", "*.pkl", "*.png")
    for name in names:
        shutil.copytree(ROOT / name, root / name, ignore=only_code)
    return root


def run(*argv, cwd, status=0, installed=None):
    """Run Python as someone would who has no display, and the packages in a folder `installed`."""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "PYTHONPATH", "DLFS2_GPU")}
    env |= {"MPLBACKEND": "Agg"} | ({"PYTHONPATH": str(installed)} if installed else {})
    done = subprocess.run(
        [sys.executable, *argv], cwd=cwd, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == status, done.stderr
    return done


def written(done):
    """The files that a script says it wrote."""
    told = re.findall("^written to (.*?): (.*)$", done.stderr, re.M)
    return [
        Path(folder) / name.removesuffix(" (replaced)")
        for folder, names in told
        for name in names.split(", ")
    ]


def assert_not_blank(path):
    image = matplotlib.image.imread(path)[:, :, :3]
    assert min(image.shape[:2]) > 300
    assert len(numpy.unique(image.reshape(-1, 3), axis=0)) > 10
    assert (image < 0.9).any(axis=2).mean() > 0.005
