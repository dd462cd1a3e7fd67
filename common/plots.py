"""The end of every figure: on the screen where there is one, else in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.storage.files import write_whole

FILE_BACKENDS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # plt.show() would warn
_folder: Path | None = None  # where figures go within `into`


def show(path: str | Path) -> None:
    """Show the open figures, or save the current one to `path` where nothing can be shown.

    path  a file to write on a machine without a display, or under a Matplotlib backend that only
          makes files; its ending is the format, png if there is none. The path is printed and the
          figure closed.
    Raises OSError if the file cannot be written; an older one then stays as it was.
    """
    import matplotlib.pyplot as plt  # here, because training needs it for its figures only

    if _folder is None and plt.get_backend().lower() not in FILE_BACKENDS:
        plt.show()
    else:
        save(_folder / Path(path).name if _folder else path)


def save(path: str | Path) -> None:
    """Save the current figure to `path`, whatever can be shown; otherwise as `show`."""
    import matplotlib.pyplot as plt

    path = Path(path)
    figure = plt.gcf()
    how: dict[str, Any] = {"format": path.suffix[1:] or "png", "dpi": 150, "bbox_inches": "tight"}
    try:
        write_whole(path, lambda file: figure.savefig(file, **how))
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {error.strerror}") from error
    finally:
        plt.close(figure)
    print(f"figure saved: {path}")


@contextmanager
def into(folder: str | Path) -> Iterator[None]:
    """Within it, `show` saves every figure into `folder`, whatever can be shown.

    The folder is made if need be.  Raises OSError where it cannot be.
    """
    global _folder
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"{folder} cannot be a folder for figures: {error.strerror}") from error
    before, _folder = _folder, Path(folder)
    try:
        yield
    finally:
        _folder = before
