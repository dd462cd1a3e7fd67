"""The end of every figure: on the screen where there is one, else in a file."""

from pathlib import Path

from common.base_model import write_whole


def show(path: str | Path) -> None:
    """Show the open figures, or save the current one to `path` where nothing can be shown.

    path  a file to write on a machine without a display, or under a Matplotlib backend that only
          makes files; its ending is the format. The path is printed and the figure closed.
    Raises OSError if the file cannot be written; an older one then stays as it was.
    """
    # Imported here, so that training needs no Matplotlib until something is drawn.
    import matplotlib.pyplot as plt
    from matplotlib.backends import BackendFilter, backend_registry

    if plt.get_backend().lower() not in backend_registry.list_builtin(
        BackendFilter.NON_INTERACTIVE
    ):
        plt.show()
        return
    path = Path(path)
    figure = plt.gcf()
    try:
        write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=150))
    finally:
        plt.close(figure)
    print(f"figure saved: {path}")
