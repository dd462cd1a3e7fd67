"""What a run leaves: files with paths of their own, told before training if they cannot be."""

import os
import re
from pathlib import Path

import pytest

from common import run
from common.cli import check_writable
from common.run import check_outputs
from common.trainer import Trainer


def begin(weights):
    """A run whose training would be a failure."""
    trainer = Trainer(None, None)
    trainer.fit = lambda *_, **__: pytest.fail("training began")
    run.train(trainer, [], [], weights=weights, save=lambda: pytest.fail("saved"))


@pytest.mark.parametrize("ending", [".png", ".json", ".checkpoint", ".PNG", ".Json"])
def test_no_two_outputs_of_a_run_have_one_path(ending, tmp_path):
    file = tmp_path / f"out{ending}"
    file.write_text("mine")
    lower = re.escape(str(file.with_suffix(ending.lower())))
    with pytest.raises(ValueError, match=f"^{lower} would be written twice: the weights, and"):
        begin(file)
    assert [*tmp_path.iterdir()] == [file]
    assert file.read_text() == "mine"


def test_a_link_does_not_hide_that_two_outputs_are_one_file(tmp_path):
    (tmp_path / "w.npz").symlink_to(tmp_path / "w.json")
    with pytest.raises(ValueError, match=r"w\.json would be written twice"):
        begin(tmp_path / "w.npz")


def test_what_goes_beside_the_weights_must_be_writable_too(tmp_path):
    (tmp_path / "w.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"w\.json is a folder"):
        begin(tmp_path / "w.npz")
    with pytest.raises(
        OSError, match=r"\.checkpoint cannot be written into .*: File name too long"
    ):
        begin(tmp_path / ("a" * 251 + ".npz"))


def test_outputs_with_names_of_their_own_are_left_alone(tmp_path):
    check_outputs(*(tmp_path / "deep" / f"w{ending}" for ending in ("", ".npz", ".json", ".png")))
    assert [*tmp_path.rglob("*")] == [tmp_path / "deep"]


@pytest.mark.skipif(os.name == "nt", reason="FIFOs and devices are POSIX's")
def test_what_is_no_regular_file_is_told_at_the_start_and_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(os.devnull)
    for file in tmp_path / "fifo", tmp_path / "link", Path(os.devnull):
        with pytest.raises(OSError, match=f"{file.name} cannot be written .*: not a regular file"):
            check_writable(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "link"]
    assert not Path(os.devnull).is_file()


def test_the_longest_name_is_writable_and_a_longer_one_is_told(tmp_path):
    check_writable(tmp_path / ("a" * 255))
    with pytest.raises(OSError, match=r"a cannot be written into .*: File name too long"):
        check_writable(tmp_path / ("a" * 256))
    assert [*tmp_path.iterdir()] == []
