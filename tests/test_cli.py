"""Every keyword of `main` is a flag."""

import pytest

from common.cli import arguments


def main(size=3, rate=0.5, name: str | None = None, count: int | None = None, plot=True):
    """Do something.

    size   how many things, in units
           and more about it
    rate   100 % at most

    Not a flag at all.
    """


def test_without_flags_the_defaults_hold():
    assert arguments(main, []) == {
        "size": 3,
        "rate": 0.5,
        "name": None,
        "count": None,
        "plot": True,
    }


def test_flags_are_read_by_type():
    argv = ["--size", "7", "--rate", "2", "--name", "x", "--count", "9", "--no-plot"]
    got = arguments(main, argv)
    assert got == {"size": 7, "rate": 2.0, "name": "x", "count": 9, "plot": False}
    assert isinstance(got["rate"], float)


def test_underscores_are_hyphens():
    def main(max_epoch=1):
        pass

    assert arguments(main, ["--max-epoch", "2"]) == {"max_epoch": 2}


def test_help_comes_from_the_docstring(capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(main, ["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Do something." in text
    assert "--size SIZE how many things, in units and more about it (default: 3)" in text
    assert "100 % at most (default: 0.5)" in text
    assert "Not a flag" not in text


@pytest.mark.parametrize("argv", [["--sise", "3"], ["--size", "three"], ["--size"], ["3"]])
def test_what_is_not_understood_ends_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(main, argv)
    assert ended.value.code == 2
    assert argv[-1].lstrip("-") in capsys.readouterr().err


def test_flags_may_not_be_shortened():
    with pytest.raises(SystemExit):
        arguments(main, ["--si", "3"])
