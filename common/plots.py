"""What all figures share: one style, maps of weights, the screen or a file, readable fonts."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy

from common.np import Array
from common.storage.files import expanded, write_whole

__all__ = [
    "COLORS",
    "MAP",
    "STYLE",
    "attention_map",
    "axes",
    "colour_bar",
    "draw_runs",
    "fallbacks",
    "heat_map",
    "into",
    "make_readable",
    "saved",
    "show",
]

# Colours that people with any kind of colour blindness can tell apart.
# Source: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLORS = (BLUE, RED, GREEN, PINK, "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": f"cycler('color', {COLORS})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (6, 4),
    "font.size": 11,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
MAP = {"axes.grid": False, "axes.spines.right": True, "axes.spines.top": True}  # for heat maps
FILE_BACKENDS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # plt.show() would warn
FAMILIES = (  # fonts of Linux, macOS and Windows for Chinese, Japanese and Korean, the best first
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR"),
    *("Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Arial Unicode MS"),
    *("Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic", "IPAexGothic", "IPAGothic"),
    *("PingFang SC", "Hiragino Sans GB", "Heiti TC", "STHeiti", "Microsoft YaHei", "SimHei"),
    *("Apple SD Gothic Neo", "AppleGothic", "Malgun Gothic", "NanumGothic", "UnDotum"),
)

_folder: Path | None = None  # where figures go within `into`
_saving = False  # within `saved`: figures are files
_shown = False  # within `saved`: and are shown at its end
_told: set[str] = set()  # characters that no font has


@contextmanager
def axes(file: str | Path, ax: Any = None, *, style: Any = STYLE, **how: Any) -> Iterator[Any]:
    """Axes to draw into: `ax`, or those of a new figure, which `show` shows or saves at the end.

        with axes("loss.png", ax) as ax:
            ax.plot(losses)
        return ax

    file   where the new figure goes
    style  its rcParams
    how    the keywords of `plt.subplots`, which say how many axes there are
    """
    if ax is not None:
        yield ax
        return
    import matplotlib.pyplot as plt

    with plt.rc_context(style):
        figure, ax = plt.subplots(**how)
        try:
            yield ax
        except BaseException:
            plt.close(figure)
            raise
        show(file)


def heat_map(values: Array, ax: Any, *, limits: tuple[float, float] = (0, 1)) -> Any:
    """Draw numbers (R, C) as coloured cells, row 0 on top -> the image, for a colour bar.

    limits  the numbers at the two ends of the colours. From 0 on, the colours follow the square
            root, so that small weights show; on both sides of 0, white is 0
    """
    from matplotlib.colors import Normalize, PowerNorm

    low, high = limits
    cmap, norm = (
        ("RdBu_r", Normalize(low, high)) if low < 0 else ("viridis", PowerNorm(0.5, *limits))
    )
    ax.grid(visible=False)
    return ax.imshow(values, cmap=cmap, norm=norm, aspect="auto", interpolation="nearest")


def colour_bar(image: Any, axes: Any, label: str = "") -> None:
    """Say which number a colour of a `heat_map` stands for, beside one or several axes."""
    ticks = [-1, -0.5, 0, 0.5, 1] if image.norm.vmin < 0 else [0, 0.01, 0.05, 0.2, 0.5, 1]
    image.figure.colorbar(image, ax=axes, label=label, ticks=ticks, format="%g")


def attention_map(
    weights: Array,
    read: Sequence[str],
    written: Sequence[str],
    ax: Any = None,
    *,
    bar: bool = True,
    file: str | Path = "attention.png",
) -> Any:
    """Draw attention weights (L, T): row l is what step l of the output attends to -> the axes.

    read (T,), written (L,)  the names of the steps of input and output. Blanks around the input
                             and after the output are padding, and not drawn
    bar                      add a colour bar
    file                     where a new figure goes, if `ax` is not given
    """
    filled = [k for k, name in enumerate(read) if name.strip()] or [0]
    columns = slice(filled[0], filled[-1] + 1)
    rows = slice(max((k for k, name in enumerate(written) if name.strip()), default=0) + 1)
    read, written = read[columns], written[rows]
    size = (3 + len(read) / 4, 2 + len(written) / 4)
    with axes(file, ax, style=STYLE | MAP, figsize=size) as ax:
        image = heat_map(weights[rows, columns], ax)
        ax.set_xticks(range(len(read)), read, parse_math=False)  # a $ is a character
        ax.set_yticks(range(len(written)), written, parse_math=False)
        ax.set(xlabel="read: question", ylabel="written: answer")
        if bar:
            colour_bar(image, ax, "attention weight")
    return ax


def show(path: str | Path) -> None:
    """Show the open figures; or save the current one, within `into` or `saved` or without display.

    path  the file to write then, under a Matplotlib backend that only makes files as well; its
          ending is the format, png if there is none. The figure is closed, and the path printed
          unless `saved` tells it
    Raises OSError if the file cannot be written; an older one then stays as it was.
    """
    import matplotlib.pyplot as plt  # here, because training needs it for its figures only

    if _folder is None and not _saving and can_show():
        make_readable(plt.gcf())
        plt.show()
        return
    path, figure = expanded(path), plt.gcf()
    path = _folder / path.name if _folder else path
    how: dict[str, Any] = {"format": path.suffix[1:] or "png", "dpi": 150, "bbox_inches": "tight"}
    try:
        make_readable(figure)
        write_whole(path, lambda file: figure.savefig(file, **how))
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if _shown:
            plt.figure()  # so that what comes next is not drawn into this one
        else:
            plt.close(figure)
    if not _saving:
        print(f"figure saved: {path}")


def draw_runs(curves: Mapping[str, list[list[float]]], ax: Any) -> None:
    """Draw, into the axes, what several runs reached after each epoch.

    curves  label: the values of each run, one per epoch
    Of several runs the mean has the dots, and the runs are thin lines.
    """
    from matplotlib.ticker import MaxNLocator

    for k, (label, runs) in enumerate(curves.items()):
        epochs, how = range(1, len(runs[0]) + 1), {"color": COLORS[k % len(COLORS)]}
        if len(runs) > 1:
            ax.plot(epochs, numpy.transpose(runs), alpha=0.4, linewidth=0.8, **how)
        ax.plot(epochs, numpy.mean(runs, axis=0), marker="os^Dv"[k % 5], label=label, **how)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(curves) > 1:
        ax.legend()


def can_show() -> bool:
    """Whether figures can appear on a screen or in a notebook."""
    import matplotlib.pyplot as plt

    return plt.get_backend().lower() not in FILE_BACKENDS


@contextmanager
def into(folder: str | Path) -> Iterator[None]:
    """Within it, `show` saves every figure into `folder`, whatever can be shown.

    The folder is made if need be.  Raises OSError where it cannot be.
    """
    global _folder
    place = expanded(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"{folder} cannot be a folder for figures: {error.strerror}") from error
    before, _folder = _folder, place
    try:
        yield
    finally:
        _folder = before


@contextmanager
def saved(*, shown: bool = False) -> Iterator[None]:
    """Within it, `show` saves every figure.

    shown  at the end show all of them as well, and wait until their windows are closed
    """
    global _saving, _shown
    _saving, _shown = True, shown
    try:
        yield
        if shown:
            _show_all()
    finally:
        _saving = _shown = False


def _show_all() -> None:
    import matplotlib.pyplot as plt

    for figure in map(plt.figure, plt.get_fignums()):
        if not figure.axes:
            plt.close(figure)
    if plt.get_fignums() and can_show():
        plt.show()
    else:
        print("--show: there is no figure, or no display", file=sys.stderr)
    plt.close("all")


# --- Fonts ---------------------------------------------------------------------------------------


def make_readable(figure: Any) -> None:
    """Put `fallbacks` behind the fonts of all texts of a figure."""
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    families = fallbacks("".join(text.get_text() for text in texts))
    for text in texts if families else ():
        text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *families])))


def fallbacks(text: str) -> list[str]:
    """Installed font families that have the characters of a text which the usual font lacks.

    As few as possible, those of FAMILIES first. Where no font has a character, this is printed
    once, instead of a warning of Matplotlib's for each place.
    """
    from matplotlib import font_manager, rcParams

    usual = [font_manager.FontProperties(family=[name]) for name in rcParams["font.family"]]
    missing = {char for char in text if char.isprintable() and not char.isspace()}
    missing -= set().union(*(_characters(font_manager.findfont(font)) for font in usual))
    if not missing:
        return []
    _add_new_fonts()
    files = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    others = [name for name in sorted(files) if "Resort" not in name]  # which has boxes for all
    found = []
    for names in [name for name in FAMILIES if name in files], others:
        while missing and names:
            best = max(names, key=lambda name: len(missing & _characters(files[name])))
            if not missing & _characters(files[best]):
                break
            found.append(best)
            missing -= _characters(files[best])
    if missing:
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        if missing - _told:
            shown = "".join(sorted(missing)[:20])
            print(
                f"no installed font has {shown}: boxes stand for them. Install one, for Chinese, "
                "Japanese and Korean Noto Sans CJK (Debian, Ubuntu: apt install fonts-noto-cjk)",
                file=sys.stderr,
            )
        _told.update(missing)
    return found


@cache
def _add_new_fonts() -> None:
    """Let Matplotlib, whose list of fonts is an old one, know those installed since."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {font.fname for font in fontManager.ttflist}
    for file in {*findSystemFonts()} - known:
        with suppress(OSError, RuntimeError):  # one that Matplotlib cannot read
            fontManager.addfont(file)


@cache
def _characters(file: str) -> frozenset[str]:
    """The characters that a font file has; none if it cannot be read."""
    from matplotlib.font_manager import get_font

    with suppress(OSError, RuntimeError):
        return frozenset(map(chr, get_font(file).get_charmap()))
    return frozenset()
