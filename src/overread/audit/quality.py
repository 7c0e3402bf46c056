"""Quality: inputs that cannot be used, and images of another kind than the rest, by what the files say."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from overread.audit import appearance, hounsfield
from overread.audit.check import Check, Finding
from overread.audit.spread import Spread, spread, spread_of
from overread.audit.subject import Subject
from overread.data.measures import column

_MANY_LOST = 0.05
_COLOURED = 0.02
"""of the pixels, from which a picture is one in colour"""
_SIZE_FACTOR = 2.0
"""rows and columns that differ by this factor from the usual ones are far off"""
_SPACING_FACTOR = 1.5
_SPREADS = 3.0
"""robust standard deviations: where sizes vary anyway, only what is farther off than this is told of"""
_SCALES = {"hu": "Hounsfield units", "raw": "values without a unit", "display": "pictures"}


class Unreadable(Check):
    """Files and rows of the list that could not be used."""

    code = "Q01"
    title = "Images or rows cannot be used"
    severity = "note"
    reference = "Mongan, Moy & Kahn 2020, CLAIM item 8, Radiol Artif Intell 2:e200029"

    def look(self, subject: Subject) -> Finding | None:
        """What is among the cohort's problems, by kind; more than one in twenty, or mostly of a class, is serious."""
        lost = [problem for problem in subject.cohort.problems if problem.kind != "unlisted"]
        if not lost:
            return None
        kinds = Counter("is not there" if problem.kind == "no-file" else problem.kind for problem in lost)
        share = len(lost) / (len(lost) + len(subject))
        by_class = _lost_by_class(subject, [problem.path for problem in lost])
        serious = share > _MANY_LOST or (by_class is not None and by_class.goes_with_class)
        told = f" By class: {by_class}." if by_class is not None else ""
        return self.finding(
            what=f"{len(lost)} of {len(lost) + len(subject)} inputs cannot be used "
            f"({', '.join(f'{kind} {n}' for kind, n in kinds.most_common())}).{told} If they are lost more often in "
            "one class than in another, the rest is no fair sample.",
            do="Mend them, or leave them out with --skip-bad and say so.",
            n=len(lost),
            unit="inputs",
            where=[problem.path for problem in lost],
            evidence={"kinds": dict(Counter(problem.kind for problem in lost)), "share": share},
            severity="serious" if serious else "note",
        )


class OddOnesOut(Check):
    """Images of another kind than the rest: localisers, other planes, other body parts, other modalities."""

    code = "Q03"
    title = "Images of several kinds are mixed"
    severity = "note"
    reference = "DICOM PS3.3 C.7.6.1.1.2 (Image Type), C.7.6.2.1.1 (Image Orientation)"
    facts = ("modality", "orientation", "image_type", "body_part", "view")

    def look(self, subject: Subject) -> Finding | None:
        """All values but the commonest of what a header says the image is; serious where they go with a class."""
        odd: dict[str, list[int]] = {}
        for fact in self.facts:
            values = [self.value(row.tags.get(fact, ""), fact) for row in subject.cohort.rows]
            counts = Counter(value for value in values if value)
            for value, _ in counts.most_common()[1:]:
                odd[f"{fact.replace('_', ' ')} {value}"] = [at for at, own in enumerate(values) if own == value]
        if not odd:
            return None
        touched = sorted({at for places in odd.values() for at in places})
        by_class = spread(subject, touched)
        return self.finding(
            what=f"{len(touched)} of {len(subject)} images are of another kind than the rest: "
            f"{'; '.join(f'{name} {len(places)}' for name, places in odd.items())} ({by_class}).{by_class.warning}",
            do="Leave them out, or train on them apart.",
            n=len(touched),
            unit="images",
            where=[subject.name(at) for at in touched],
            evidence={name: len(places) for name, places in odd.items()},
            severity=by_class.severity,
        )

    @staticmethod
    def value(said: str, fact: str) -> str:
        """What a tag says, in capitals but for the plane; of image types only whether it is a localiser."""
        if fact == "image_type":
            return "LOCALIZER" if said.upper() in ("LOCALIZER", "SCOUT") else "slice"
        return said if fact == "orientation" else said.upper()


class MixedScales(Check):
    """Hounsfield units beside pictures that have lost them; colour beside grey."""

    code = "Q05"
    title = "Files with and without Hounsfield units, or colour and grey, are mixed"
    severity = "note"
    reference = "Garcia Santa Cruz et al. 2021, Med Image Anal 74:102225, doi:10.1016/j.media.2021.102225"

    def look(self, subject: Subject) -> Finding | None:
        """All images of another scale than the commonest; serious where they go with a class."""
        files = subject.cohort.files
        kinds = [_SCALES.get(files[row.path].scale, "") if row.path in files else "" for row in subject.cohort.rows]
        if subject.measures is not None:
            coloured = column(subject.measures, "colour") > _COLOURED
            kinds = [f"{kind} in colour" if own else kind for kind, own in zip(kinds, coloured, strict=True)]
        counts = Counter(kinds)
        if len(counts) < 2:
            return None
        usual = counts.most_common(1)[0][0]
        odd = [at for at, kind in enumerate(kinds) if kind != usual]
        by_class = spread(subject, odd)
        return self.finding(
            what=f"The images are {', '.join(f'{kind} {n}' for kind, n in counts.most_common())}; those unlike most: "
            f"{by_class}. Pictures cannot be windowed as CT can.{by_class.warning}",
            do="Export all images in one way, if possible as DICOM.",
            n=len(odd),
            unit="images",
            where=[subject.name(at) for at in odd],
            evidence={"kinds": dict(counts), **by_class.to_json()},
            severity=by_class.severity,
        )


class Resolution(Check):
    """Images whose rows, columns or pixel spacing are far from those of the rest."""

    code = "Q06"
    title = "Images have an unusual resolution"
    severity = "note"
    reference = "Sabottke & Spieler 2020, Radiol Artif Intell 2:e190015, doi:10.1148/ryai.2019190015"

    def look(self, subject: Subject) -> Finding | None:
        """Sizes twice or half the usual ones, spacings one and a half times; serious where they go with a class."""
        sides, spacings = _sizes(subject)
        small_or_large, otherwise_spaced = _far(sides, _SIZE_FACTOR), _far(spacings, _SPACING_FACTOR)
        odd = np.flatnonzero(small_or_large | otherwise_spaced).tolist()
        if not odd:
            return None
        by_class = spread(subject, odd)
        usual = ", ".join(
            f"{np.nanmedian(values):.3g} {unit}"
            for values, unit in ((sides, "pixels"), (spacings, "mm"))
            if np.isfinite(values).any()
        )
        return self.finding(
            what=f"{len(odd)} of {len(subject)} images are far from the usual size ({usual}): "
            f"{int(small_or_large.sum())} by pixels, {int(otherwise_spaced.sum())} by their spacing "
            f"({by_class}).{by_class.warning}",
            do="Look at them: other sources blur differently, and the same disease has another size in them.",
            n=len(odd),
            unit="images",
            where=[subject.name(at) for at in odd],
            evidence=by_class.to_json(),
            severity=by_class.severity,
        )


def _lost_by_class(subject: Subject, paths: list[str]) -> Spread | None:
    """How lost files are spread over the classes; None where their folders do not name one."""
    classes = subject.cohort.classes
    named = [path.split("/", 1)[0] for path in paths]
    if not all(name in classes for name in named):
        return None
    kept = [row.label for row in subject.cohort.rows]
    labels = [*named, *kept]
    lost = set(range(len(named)))
    return spread_of(labels, lost, units=[str(at) for at in range(len(labels))], classes=classes)


def _sizes(subject: Subject) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The longer side in pixels and the pixel spacing in mm of each image: (n,) each, nan where not known."""
    sides, spacings = np.full((2, len(subject)), np.nan)
    for at, row in enumerate(subject.cohort.rows):
        if (header := subject.cohort.files.get(row.path)) is not None:
            sides[at] = max(header.rows, header.columns)
        spacing = row.tags.get("spacing_mm", "").split("x")[0]
        spacings[at] = float(spacing) if spacing and float(spacing) > 0 else np.nan
    return sides, spacings


def _far(values: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    """Which values differ from the median by this factor, and by more than the values usually do: (n,)."""
    if not np.isfinite(values).any():
        return np.zeros(len(values), dtype=bool)
    off = np.abs(np.log(values / np.nanmedian(values)))
    limit = max(np.log(factor) - 1e-9, _SPREADS * 1.4826 * float(np.nanmedian(off)))
    found: NDArray[np.bool_] = np.nan_to_num(off) >= limit
    return found


CHECKS: tuple[type[Check], ...] = (
    Unreadable,
    OddOnesOut,
    MixedScales,
    Resolution,
    *appearance.CHECKS,
    *hounsfield.CHECKS,
)
