"""The picture of an explanation: the image, the image under its heatmap, and what the model says, on one sheet."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from overread.predict import percent
from overread.report.colours import heat_colours

Bytes = NDArray[np.uint8]

_PAPER, _INK, _SOFT, _TRACK, _BAR = "#ffffff", "#1f2933", "#52606d", "#e4e7eb", "#2f80c9"
_STOP, _STOP_PANEL, _CARE, _CARE_PANEL = "#b3261e", "#fdecea", "#7a3e00", "#fff3c4"
_LEAST_PX, _MOST_PX = 384, 768
"""longer side of the image as it is shown"""
_MARGIN, _GAP, _LINE, _SCALE_WIDTH = 24, 20, 22, 84
_OPAQUE = 0.72
"""opacity of the strongest evidence; the weakest has none"""
_MOST_CLASSES = 8
_LIKE_PX = 140


@dataclass(frozen=True, kw_only=True)
class Told:
    """What stands around the pictures."""

    title: str
    """what the model answers, or that it does not"""
    lines: tuple[str, ...] = ()
    """what else is to be said, below the pictures"""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    caveat: str = ""
    """words over the probabilities where they are no answer; the bars are hatched"""
    scale: tuple[str, str] = ("none", "most")
    """words at the two ends of the scale"""
    alone: str = "the image"
    covered: str = "with what the answer rests on"
    toward: str = ""
    """what of the patient lies at the right and at the lower edge, as `L/P`"""
    marks: tuple[str, ...] = ()
    """sentences of warning"""
    like: tuple[tuple[Bytes | None, str], ...] = ()
    """images that the network takes to be like this one, where they can be had, and what they are"""
    failed: str = ""
    """words over the heatmap of a method that did not pass its controls"""


def heat_sheet(image: Bytes, heat: NDArray[np.float32] | None, told: Told, *, quantile: float = 0.9) -> bytes:
    """One sheet as PNG; see `draw_sheet`."""
    stream = io.BytesIO()
    Pillow.fromarray(draw_sheet(image, heat, told, quantile=quantile)).save(stream, format="PNG")
    return stream.getvalue()


def draw_sheet(image: Bytes, heat: NDArray[np.float32] | None, told: Told, *, quantile: float = 0.9) -> Bytes:
    """Draw one sheet, (height, width, 3) uint8. image: (rows, columns[, 3]) uint8, as it is to be looked at.

    heat: (rows, columns), evidence in the pixels of the image; what is below 0 is not shown. None: the heatmap is
    withheld. The contour encloses the 1 - quantile of the image with most evidence.
    """
    shown = _enlarged(image)
    width, height = shown.size
    inner = 2 * width + _GAP + _SCALE_WIDTH
    marks = _wrapped(told.marks, inner - 24, bold=True)
    lines = _wrapped(told.lines, inner)
    bars = sorted(told.probabilities.items(), key=lambda item: -item[1])[:_MOST_CLASSES]
    top = _MARGIN + (len(marks) * _LINE + 28 if marks else 0)
    panels = top + 34 + _LINE
    below = panels + height + 14
    caveats = _wrapped((told.caveat,), inner, bold=True) if told.caveat else []
    total = (
        below
        + len(caveats) * (_LINE + 3)
        + len(bars) * (_LINE + 4)
        + (10 if bars else 0)
        + len(lines) * _LINE
        + _MARGIN
    )
    total += _LIKE_PX + 3 * _LINE if told.like else 0
    sheet = Pillow.new("RGB", (inner + 2 * _MARGIN, total), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if marks:
        _box(draw, (_MARGIN, _MARGIN, _MARGIN + inner, top - 12), _CARE_PANEL, _CARE)
        for i, line in enumerate(marks):
            draw.text((_MARGIN + 12, _MARGIN + 8 + i * _LINE), line, font=_font(15), fill=_CARE)
    title_ink = _STOP if told.caveat else _INK
    draw.text((_MARGIN, top), _shortened(told.title, inner, 20), font=_font(20), fill=title_ink)
    right = _MARGIN + width + _GAP
    for x, words in ((_MARGIN, told.alone), (right, told.covered)):
        draw.text((x, panels - _LINE), _shortened(words, width, 14), font=_font(14), fill=_SOFT)
    sheet.paste(shown, (_MARGIN, panels))
    sheet.paste(_covered(shown, heat, quantile), (right, panels))
    for x in (_MARGIN, right):
        _draw_sides(draw, told.toward, x, panels, width, height)
    if heat is not None:
        _draw_scale(draw, sheet, right + width + 14, panels, height, told.scale)
    if told.failed:
        _draw_over(draw, told.failed, right, panels, width, height)
    for line in caveats:
        draw.text((_MARGIN, below), line, font=_font(15), fill=_INK)
        below += _LINE + 3
    y = _draw_bars(draw, bars, below, inner, hatched=bool(caveats))
    for i, line in enumerate(lines):
        draw.text((_MARGIN, y + i * _LINE), line, font=_font(14), fill=_SOFT)
    _draw_like(draw, sheet, told.like, y + len(lines) * _LINE + 8)
    return np.asarray(sheet)


def overlay(image: Bytes, heat: NDArray[np.float32], *, quantile: float = 0.9) -> Bytes:
    """Lay evidence over an image of the same size: (h, w[, 3]) uint8 and (h, w) to (h, w, 3) uint8.

    Colour and opacity follow the evidence, from none at 0 to the strongest of this image; a line runs around the
    1 - quantile of the image with most evidence.
    """
    grey = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
    strength = np.clip(heat, 0, None)
    strength = strength / max(float(strength.max()), 1e-12)
    colours = heat_colours()[np.rint(255 * strength).astype(np.uint8)]
    opacity = _OPAQUE * strength[..., None]
    mixed = (1 - opacity) * grey + opacity * colours
    if strength.max() > 0:
        mixed[_outline(strength, quantile)] = 255
    covered: Bytes = np.rint(mixed).astype(np.uint8)
    return covered


def _outline(strength: NDArray[np.float32], quantile: float) -> NDArray[np.bool_]:
    """The edge, two pixels wide, of what lies at or above a quantile."""
    level = max(float(np.quantile(strength, quantile)), 1e-6)
    inside = np.pad(strength >= level, 1, mode="edge")
    core = inside[1:-1, 1:-1]
    kept = core & inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    thin = np.pad(core & ~kept, 1)
    return thin[1:-1, 1:-1] | thin[:-2, 1:-1] | thin[1:-1, :-2]


def _enlarged(image: Bytes) -> Pillow.Image:
    """The image at a size that can be looked at, in its own shape."""
    picture = Pillow.fromarray(np.ascontiguousarray(image)).convert("RGB")
    longer = max(picture.size)
    wanted = min(max(longer, _LEAST_PX), _MOST_PX)
    if wanted == longer:
        return picture
    size = tuple(max(1, round(side * wanted / longer)) for side in picture.size)
    return picture.resize((size[0], size[1]), Pillow.Resampling.BICUBIC)


def _covered(shown: Pillow.Image, heat: NDArray[np.float32] | None, quantile: float) -> Pillow.Image:
    if heat is None:
        return Pillow.new("RGB", shown.size, _TRACK)
    fine = Pillow.fromarray(np.ascontiguousarray(heat, np.float32)).resize(shown.size, Pillow.Resampling.BILINEAR)
    return Pillow.fromarray(overlay(np.asarray(shown), np.asarray(fine), quantile=quantile))


def _draw_sides(draw: ImageDraw.ImageDraw, toward: str, x: int, y: int, width: int, height: int) -> None:
    """Letters of the patient's sides at the image's edges, as DICOM viewers put them."""
    ends = toward.split("/")
    if len(ends) != 2:
        return
    opposite = str.maketrans("LRAPHF", "RLPAFH")
    right, bottom = ends
    for text, place, anchor in (
        (right, (x + width - 6, y + height // 2), "rm"),
        (right.translate(opposite), (x + 6, y + height // 2), "lm"),
        (bottom, (x + width // 2, y + height - 6), "mb"),
        (bottom.translate(opposite), (x + width // 2, y + 6), "mt"),
    ):
        draw.text(place, text, font=_font(16), fill="#ffd34d", anchor=anchor, stroke_width=2, stroke_fill="#000000")


def _draw_scale(
    draw: ImageDraw.ImageDraw, sheet: Pillow.Image, x: int, y: int, height: int, words: tuple[str, str]
) -> None:
    """The colours over mid-grey, at the opacity that they have in the picture, strongest on top."""
    length = min(height - 2 * _LINE, 260)
    strength = np.linspace(1, 0, length, dtype=np.float32)[:, None].repeat(16, axis=1)
    grey = np.full((length, 16), 110, np.uint8)
    colours, opacity = heat_colours()[np.rint(255 * strength).astype(np.uint8)], _OPAQUE * strength[..., None]
    strip = np.rint((1 - opacity) * grey[..., None] + opacity * colours).astype(np.uint8)
    draw.text((x, y), words[1], font=_font(13), fill=_SOFT)
    sheet.paste(Pillow.fromarray(strip), (x, y + _LINE))
    draw.text((x, y + _LINE + length + 3), words[0], font=_font(13), fill=_SOFT)


def _draw_over(draw: ImageDraw.ImageDraw, words: str, x: int, y: int, width: int, height: int) -> None:
    """Words across the picture that nobody can miss."""
    lines = _wrapped((words,), width - 40, size=16)
    half = len(lines) * _LINE // 2 + 10
    middle = y + height - half - 34
    _box(draw, (x + 8, middle - half, x + width - 8, middle + half), _STOP_PANEL, _STOP)
    for i, line in enumerate(lines):
        draw.text((x + width // 2, middle - half + 10 + i * _LINE), line, font=_font(16), fill=_STOP, anchor="ma")


def _draw_bars(
    draw: ImageDraw.ImageDraw, bars: Sequence[tuple[str, float]], y: int, inner: int, *, hatched: bool
) -> int:
    """A bar a class, in full colour or, where it is no answer, as grey strokes; returns where the next line goes."""
    if not bars:
        return y
    ink = _SOFT if hatched else _INK
    names = min(220, int(max(_font(14).getlength(name) for name, _ in bars)) + 12)
    track = (_MARGIN + names, _MARGIN + min(inner - 60, names + 360))
    for name, p in bars:
        draw.text((_MARGIN, y), _shortened(name, names - 8, 14), font=_font(14), fill=ink)
        draw.rounded_rectangle((track[0], y + 3, track[1], y + 16), 5, fill=_TRACK)
        end = int(track[0] + max(8, p * (track[1] - track[0])))
        if p > 0.005 and hatched:
            for x in range(track[0] + 4, end - 4, 6):
                draw.line((x, y + 14, x + 5, y + 5), fill=_SOFT)
        elif p > 0.005:
            draw.rounded_rectangle((track[0], y + 3, end, y + 16), 5, fill=_BAR)
        draw.text((track[1] + 12, y), percent(p), font=_font(14), fill=ink)
        y += _LINE + 4
    return y + 10


def _draw_like(
    draw: ImageDraw.ImageDraw, sheet: Pillow.Image, like: Sequence[tuple[Bytes | None, str]], y: int
) -> None:
    """A row of training images."""
    if not like:
        return
    draw.text((_MARGIN, y), "most like it among the training images", font=_font(14), fill=_SOFT)
    for i, (pixels, words) in enumerate(like):
        x, top = _MARGIN + i * (_LIKE_PX + 12), y + _LINE
        draw.rectangle((x, top, x + _LIKE_PX - 1, top + _LIKE_PX - 1), fill=_TRACK)
        if pixels is None:
            draw.text(
                (x + _LIKE_PX // 2, top + _LIKE_PX // 2), "not at hand", font=_font(13), fill=_SOFT, anchor="mm"
            )
        else:
            small = Pillow.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
            sheet.paste(small.resize((_LIKE_PX, _LIKE_PX), Pillow.Resampling.BICUBIC), (x, top))
        draw.text((x, top + _LIKE_PX + 4), _shortened(words, _LIKE_PX, 13), font=_font(13), fill=_INK)


def _box(draw: ImageDraw.ImageDraw, place: tuple[int, int, int, int], fill: str, edge: str) -> None:
    draw.rounded_rectangle(place, 6, fill=fill, outline=edge)


def _wrapped(sentences: Sequence[str], width: int, *, size: int = 14, bold: bool = False) -> list[str]:
    lines = []
    for sentence in sentences:
        each = _font(size + bold).getlength(sentence) / max(1, len(sentence))
        lines += textwrap.wrap(sentence, max(20, int(0.97 * width / max(each, 1))))
    return lines


def _shortened(text: str, width: int, size: int) -> str:
    """Text that fits: the middle of a long one is left out."""
    kept = len(text)
    short = text
    while kept > 2 and _font(size).getlength(short) > width:
        kept -= 1
        short = text[: (kept + 1) // 2].rstrip() + "..." + text[-(kept // 2) :].lstrip()
    return short


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans where matplotlib brought it, which knows Greek and Cyrillic; else Pillow's own, which is Latin."""
    found = find_spec("matplotlib")
    if found is not None and found.origin:
        path = Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)
