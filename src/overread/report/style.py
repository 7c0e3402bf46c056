"""How overread's figures look: one sheet with a title, warnings that cannot be missed, and plain colours."""

from __future__ import annotations

import functools
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from matplotlib import font_manager, style, textpath
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from overread.disk import replacing

RIGHT, WRONG = "#00735C", "#C22F1B"
"""Green and red that a red-blind and a green-blind eye still tell apart (bluish green, orange-red)."""
INK, SOFT, LINE = "#1F2933", "#616E7C", "#CBD2D9"
BLUE, ORANGE = "#2166AC", "#C25E00"
TICK, CROSS = "\N{CHECK MARK}", "\N{BALLOT X}"
_WARNING_FILL, _WARNING_EDGE, _WARNING_INK = "#FFF3C4", "#DE911D", "#7A3E00"
_DPI = 160
_MARGIN_IN, _TITLE_IN, _CAPTION_IN, _LINE_IN = 0.22, 0.3, 0.24, 0.2
_STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5 $6"
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "svg.hashsalt": "overread",  # names inside the SVG are the same in each run
}
# DejaVu Sans comes with matplotlib and holds Latin, Greek, Cyrillic and the two marks; these hold the rest.
_MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Noto Sans Devanagari", "Arial Unicode MS",
)  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in overread's style, whatever the user's own matplotlib settings are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with style.context(["default", {**_STYLE, "font.family": _families()}]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # it is drawn as a box
            return draw(*args, **kwargs)

    return drawn


@functools.cache
def _families() -> list[str]:
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)]


@dataclass(frozen=True)
class Sheet:
    """A figure whose content is placed in inches from the content's lower left corner."""

    figure: Figure
    left_in: float
    bottom_in: float

    def axes(self, x_in: float, y_in: float, width_in: float, height_in: float) -> Axes:
        """Axes at a place of the content."""
        width, height = self.figure.get_size_inches()
        place = (
            (self.left_in + x_in) / width,
            (self.bottom_in + y_in) / height,
            width_in / width,
            height_in / height,
        )
        return self.figure.add_axes(place)


def sheet(width_in: float, height_in: float, *, title: str, caption: str = "", marks: Sequence[str] = ()) -> Sheet:
    """An empty sheet with room for content of the given size below its warnings, title and caption.

    marks: sentences of warning; they stand first, in a box over the whole width. A content narrower than
    its title is put in the middle.
    """
    total = max(width_in, 4.6, text_width_in(title, 12), text_width_in(caption, 9)) + 2 * _MARGIN_IN
    lines = [line for mark in marks for line in _wrap(f"! {mark}", total - 0.7)]
    banner_in = len(lines) * _LINE_IN + 0.16 if lines else 0.0
    top_in = _MARGIN_IN + banner_in + (0.16 if lines else 0) + _TITLE_IN + (_CAPTION_IN if caption else 0) + 0.04
    height = top_in + height_in + _MARGIN_IN
    figure = Figure(figsize=(total, height), dpi=_DPI)
    y = height - _MARGIN_IN
    if lines:
        _draw_banner(figure, lines, top_in=y, height_in=banner_in)
        y -= banner_in + 0.16
    left = _MARGIN_IN / total
    figure.text(left, y / height, title, fontsize=12, fontweight="bold", va="top")
    if caption:
        figure.text(left, (y - _TITLE_IN) / height, caption, fontsize=9, color=SOFT, va="top")
    return Sheet(figure, (total - width_in) / 2, _MARGIN_IN)


def _draw_banner(figure: Figure, lines: list[str], *, top_in: float, height_in: float) -> None:
    width, height = figure.get_size_inches()
    corner = (_MARGIN_IN, top_in - height_in)
    box = FancyBboxPatch(
        corner, width - 2 * _MARGIN_IN, height_in, boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=_WARNING_FILL, edgecolor=_WARNING_EDGE, linewidth=1, transform=figure.dpi_scale_trans,
    )  # fmt: skip
    figure.add_artist(box)
    figure.text(
        (_MARGIN_IN + 0.14) / width, (top_in - height_in / 2) / height, "\n".join(lines),
        fontsize=9, fontweight="bold", color=_WARNING_INK, va="center", linespacing=1.45,
    )  # fmt: skip


def counted(n_images: int, n_patients: int | None, *, part: str = "test") -> str:
    """How much a figure rests on: `test part: 203 images of 101 patients`."""
    of = "patients unknown" if n_patients is None else f"of {n_patients} patient{'s' * (n_patients != 1)}"
    comma = "," if n_patients is None else ""
    return f"{part} part: {n_images} image{'s' * (n_images != 1)}{comma} {of}"


def text_width_in(text: str, size_pt: float, *, bold: bool = False) -> float:
    """Width of one line of text, in inches."""
    font = font_manager.FontProperties(size=size_pt, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that is missing counts as a box
        width, _, _ = textpath.text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def shorten(text: str, width_in: float, size_pt: float, *, bold: bool = False) -> str:
    """Text that fits: the middle of a long one becomes a dot leader, as names differ at their ends."""
    text = " ".join(text.split())
    kept = len(text)
    short = text
    while kept > 2 and text_width_in(short, size_pt, bold=bold) > 0.97 * width_in:
        kept -= 1
        short = text[: (kept + 1) // 2].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + text[-(kept // 2) :].lstrip()
    return short


def _wrap(text: str, width_in: float) -> list[str]:
    n_characters = int(0.95 * width_in * len(text) / text_width_in(text, 9, bold=True))
    return textwrap.wrap(text, max(20, n_characters), subsequent_indent="  ", break_on_hyphens=False)


@styled
def save(figure: Figure, folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write `name.png` and `name.svg` into `folder`, each whole or not at all.

    The same figure gives the same SVG, byte for byte. RunError where the files cannot be written.
    """
    paths = Path(folder) / f"{name}.png", Path(folder) / f"{name}.svg"
    for path, metadata in zip(paths, ({"Software": None}, {"Date": None}), strict=True):
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=_DPI, metadata=metadata)
    return paths
