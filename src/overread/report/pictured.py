"""The images that a report shows: the worst mistakes, and what a finding names."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from overread.audit.audit import Audit
from overread.evaluate.predictions import Predictions

MOST_MISTAKES = 12
_EACH_PATIENT = 2
_SIDE_PX = 224
_FINDINGS_SHOWN, _PICTURES_EACH = 6, 4

FindPixels = Callable[[str, int], NDArray[np.uint8] | None]
"""The prepared image, (h, w, 3), of a path and a frame; None where it cannot be had."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a page."""

    png: bytes = field(repr=False)
    alt: str
    caption: str


def mistakes(tested: Predictions, find: FindPixels) -> tuple[Picture, ...]:
    """Pictures of the worst wrong answers whose images can be had."""
    shown = []
    for place in surest_mistakes(tested):
        pixels = find(tested.paths[place], tested.frames[place])
        if pixels is not None:
            shown.append(mistake_picture(tested, place, pixels))
    return tuple(shown)


def finding_pictures(audit: Audit | None, find: FindPixels) -> tuple[tuple[str, tuple[Picture, ...]], ...]:
    """The first images that findings name, so that a person can check them with the eyes: each list of them once."""
    named: dict[tuple[str, ...], list[str]] = {}
    for finding in () if audit is None else audit.findings:
        listed = [name.strip() for where in finding.where[:_PICTURES_EACH] for name in where.split(" = ")]
        named.setdefault(tuple(listed[: 2 * _PICTURES_EACH]), []).append(f"{finding.title} ({finding.code})")
    shown = []
    for names, titles in named.items():
        found = ((name, _named(name, find)) for name in names)
        pictures = [
            Picture(png=as_png(pixels), alt=f"The image {name}.", caption=name)
            for name, pixels in found
            if pixels is not None
        ]
        if pictures:
            shown.append(("; ".join(titles), tuple(pictures)))
    return tuple(shown[:_FINDINGS_SHOWN])


def _named(name: str, find: FindPixels) -> NDArray[np.uint8] | None:
    """The image that a finding names: `a.dcm`, or `a.dcm [3]` for a frame."""
    path, bracket, frame = name.partition(" [")
    number = frame.rstrip("]")
    return find(path, int(number) if bracket and number.isdigit() else 0)


def surest_mistakes(tested: Predictions, *, at_most: int = MOST_MISTAKES) -> list[int]:
    """Places of the wrong answers, the surest first, at most two of one patient."""
    sure, wrong = tested.probabilities.max(axis=1), tested.probabilities.argmax(axis=1) != tested.truth
    places: list[int] = []
    seen: dict[str, int] = {}
    for place in np.argsort(-np.where(wrong, sure, -math.inf), kind="stable"):
        if not wrong[place] or len(places) == at_most:
            break
        patient = tested.patients[place] or tested.paths[place]
        seen[patient] = seen.get(patient, 0) + 1
        if seen[patient] <= _EACH_PATIENT:
            places.append(int(place))
    return places


def mistake_picture(tested: Predictions, place: int, pixels: NDArray[np.uint8]) -> Picture:
    """One wrong answer: the image as the network saw it, in its first window. pixels: (h, w, 3) uint8."""
    row = tested.probabilities[place]
    answer, truth = tested.classes[int(row.argmax())], tested.classes[int(tested.truth[place])]
    patient = tested.patients[place]
    of = f"; patient {patient}" if patient else ""
    where = shown_path(tested.paths[place], tested.frames[place])
    return Picture(
        png=as_png(pixels),
        alt=f"An image of {truth} that was called {answer}.",
        caption=f"{truth}, called {answer} ({row.max():.2f}){of}; {where}",
    )


def shown_path(path: str, frame: int) -> str:
    """A file as people name it, with its frame where it has several."""
    return f"{path} [{frame}]" if frame else path


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """A small PNG of (h, w, 3) uint8."""
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((_SIDE_PX, _SIDE_PX))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def in_grey(pixels: NDArray[np.uint8], window: str) -> NDArray[np.uint8]:
    """An image as a radiologist reads it: of three CT windows in the three channels the first one alone."""
    return np.repeat(pixels[..., :1], 3, axis=-1) if len(window.split(",")) == 3 else pixels
