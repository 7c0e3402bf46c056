"""Quality, by the pixels: images that show nothing, burnt-in text, wrong Hounsfield units, windows and borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overread.audit.check import Check, Finding
from overread.audit.spread import Spread, spread
from overread.audit.subject import Subject
from overread.data.measures import column

Chosen = NDArray[np.bool_]

_EMPTY_SHARE = 0.97
"""of an image's pixels in two of 32 grey levels: air, or air and one even disc"""
_NO_TISSUE_HU = -200
_SATURATED, _FAR_MORE = 0.98, 0.2
"""share of an image's pixels that are black or white, and how far that is beyond the usual share"""
_SHAPES, _SEVERAL = 8, 4
"""letters that are looked at one by one, and how many images must have one"""
_WIDE_BORDER = 0.3
"""share of the frame beyond the usual border"""


class Empty(Check):
    """Images with nothing in them: air above the head, a page of one colour."""

    code = "Q02"
    title = "Images show next to nothing"
    severity = "note"
    reference = "Oakden-Rayner 2020, Acad Radiol 27:106, doi:10.1016/j.acra.2019.10.006"

    def look(self, subject: Subject) -> Finding | None:
        """Images of which nearly all pixels have one of two grey levels, and CT without anything denser than air."""
        empty = np.flatnonzero(is_empty(subject)).tolist()
        if not empty:
            return None
        by_class = spread(subject, empty)
        return self.finding(
            what=f"{len(empty)} of {len(subject)} images are air, or nearly so: {_EMPTY_SHARE:.0%} of their "
            f"pixels or more have one of two grey levels ({by_class}). Their label cannot be seen.{by_class.warning}",
            do="Leave out slices that do not show the organ.",
            n=len(empty),
            unit="images",
            where=[subject.name(at) for at in empty],
            evidence=by_class.to_json(),
            severity=by_class.severity,
        )


class BurntIn(Check):
    """Text that is burnt into the pixels, by the header or by the pixels themselves."""

    code = "Q04"
    title = "Text is burnt into images"
    severity = "serious"
    reference = "DICOM PS3.3 C.7.6.1 (Burned In Annotation); Zech et al. 2018, doi:10.1371/journal.pmed.1002683"

    def look(self, subject: Subject) -> Finding | None:
        """Serious where a header says so, or where letters go with a class; else a note."""
        told, seen = says_burnt_in(subject), has_letters(subject)
        found = np.flatnonzero(told | seen).tolist()
        if not found:
            return None
        by_class, letter = spread(subject, found), _telling_letter(subject)
        one = f" One and the same letter is in {letter}.{letter.warning}" if letter else by_class.warning
        return self.finding(
            what=f"{len(found)} of {len(subject)} images have text burnt in ({by_class}): {int(told.sum())} say so "
            f"in their header, and in {int(seen.sum())} letters are seen near the edge. It may name the patient, and "
            f"the network can read it.{one}",
            do="Cover the text before these images leave the hospital or train anything.",
            n=len(found),
            unit="images",
            where=[subject.name(at) for at in found],
            evidence={"told": int(told.sum()), "seen": int(seen.sum()), **(letter or by_class).to_json()},
            severity="serious" if told.any() else (letter or by_class).severity,
        )


class Saturated(Check):
    """Images of which a window has left black and white alone."""

    code = "Q07"
    title = "Images are black and white alone"
    severity = "note"
    reference = "Willemink et al. 2020, Radiology 295:4, doi:10.1148/radiol.2020192224"

    def look(self, subject: Subject) -> Finding | None:
        """Images that are far more saturated than the rest; serious where most are, or where it goes with a class."""
        if subject.measures is None:
            return None
        share = column(subject.measures, "black") + column(subject.measures, "white")
        usual = float(np.median(share))
        is_found = (share >= _SATURATED) & ((share >= usual + _FAR_MORE) | (usual >= _SATURATED)) & ~is_empty(subject)
        found = np.flatnonzero(is_found).tolist()
        if not found:
            return None
        by_class = spread(subject, found)
        return self.finding(
            what=f"In {len(found)} of {len(subject)} images {_SATURATED:.0%} of the pixels or more are black or "
            f"white ({by_class}); the median image has {usual:.0%}. The window cuts off what could be "
            f"seen.{by_class.warning}",
            do="Choose a window that suits them (--window), or leave them out.",
            n=len(found),
            unit="images",
            where=[subject.name(at) for at in found],
            evidence={"median_share": usual, **by_class.to_json()},
            severity="serious" if usual >= _SATURATED else by_class.severity,
        )


class Border(Check):
    """Images with a wide even border that the rest does not have."""

    code = "Q08"
    title = "Images have wide even borders"
    severity = "note"
    reference = "Maguolo & Nanni 2021, Inf Fusion 76:1, doi:10.1016/j.inffus.2021.04.008"

    def look(self, subject: Subject) -> Finding | None:
        """Images whose border takes much more of the frame than usual; serious where that goes with a class."""
        if subject.measures is None:
            return None
        border = column(subject.measures, "border")
        usual = float(np.median(border))
        found = np.flatnonzero((border >= usual + _WIDE_BORDER) & ~is_empty(subject)).tolist()
        if not found:
            return None
        by_class = spread(subject, found)
        return self.finding(
            what=f"In {len(found)} of {len(subject)} images an even border takes {usual + _WIDE_BORDER:.0%} of the "
            f"frame or more ({by_class}); in the median image {usual:.0%}. What they show is smaller than in the "
            f"rest.{by_class.warning}",
            do="Crop such borders, the same way in every class.",
            n=len(found),
            unit="images",
            where=[subject.name(at) for at in found],
            evidence={"median_share": usual, **by_class.to_json()},
            severity=by_class.severity,
        )


def _telling_letter(subject: Subject) -> Spread | None:
    """How that letter is spread over the classes which goes with one most; None where none does."""
    if subject.measures is None:
        return None
    shapes = column(subject.measures, "letter_shape") * has_letters(subject)
    spreads = [spread(subject, np.flatnonzero(shapes == shape).tolist()) for shape in _common(shapes[shapes > 0])]
    return min((one for one in spreads if one.goes_with_class), key=lambda one: one.p, default=None)


def _common(shapes: NDArray[np.float32]) -> list[float]:
    """Shapes of letters that several images have, the most frequent ones."""
    values, counts = np.unique(shapes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHAPES]
    return [float(values[at]) for at in order if counts[at] >= _SEVERAL]


def is_empty(subject: Subject) -> Chosen:
    """Which images show next to nothing: (n,)."""
    levels = np.sort(subject.views.histograms, axis=1)
    empty: Chosen = levels[:, -2:].sum(axis=1) >= _EMPTY_SHARE
    if subject.measures is not None:
        empty = empty | (has_hounsfield(subject) & (column(subject.measures, "p99") < _NO_TISSUE_HU))
    return empty


def has_hounsfield(subject: Subject) -> Chosen:
    """Which images are said to have Hounsfield units: (n,)."""
    files = subject.cohort.files
    return np.array([row.path in files and files[row.path].scale == "hu" for row in subject.cohort.rows], dtype=bool)


def says_burnt_in(subject: Subject) -> Chosen:
    """Which headers have Burned In Annotation YES: (n,)."""
    return np.array([row.tags.get("burnt_in", "").upper() == "YES" for row in subject.cohort.rows], dtype=bool)


def has_letters(subject: Subject) -> Chosen:
    """In which images letters are seen near the edge: (n,)."""
    if subject.measures is None:
        return np.zeros(len(subject), dtype=bool)
    seen: Chosen = column(subject.measures, "letters") > 0
    return seen


CHECKS: tuple[type[Check], ...] = (Empty, BurntIn, Saturated, Border)
