"""Quality: images that show nothing, that could not be read, or that are of another kind than the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from overread.audit.check import Check, Finding
from overread.audit.subject import Subject

_EMPTY_SHARE = 0.97
"""of an image's pixels in two of 32 grey levels: air, or air and one even disc"""
_MANY_LOST = 0.05
_RARE = 0.1
"""of the images: a kind that is rarer is the odd one out"""


class Unreadable(Check):
    """Files and rows of the list that could not be used."""

    code = "Q01"
    title = "Images or rows cannot be used"
    severity = "note"
    reference = "Mongan, Moy & Kahn 2020, CLAIM item 8, Radiol Artif Intell 2:e200029"

    def look(self, subject: Subject) -> Finding | None:
        """What is among the cohort's problems, by kind; more than one in twenty is serious."""
        lost = [problem for problem in subject.cohort.problems if problem.kind != "unlisted"]
        if not lost:
            return None
        kinds = Counter(problem.kind for problem in lost)
        share = len(lost) / (len(lost) + len(subject))
        return self.finding(
            what=f"{len(lost)} of {len(lost) + len(subject)} inputs cannot be used "
            f"({', '.join(f'{kind} {n}' for kind, n in kinds.most_common())}). If they are lost more often in one "
            "class than in another, the rest is no fair sample.",
            do="Mend them, or leave them out with --skip-bad and say so.",
            n=len(lost),
            unit="inputs",
            where=[problem.path for problem in lost],
            evidence={"kinds": dict(kinds), "share": share},
            severity="serious" if share > _MANY_LOST else "note",
        )


class Empty(Check):
    """Images with nothing in them: air above the head, a page of one colour."""

    code = "Q02"
    title = "Images show next to nothing"
    severity = "note"
    reference = "Oakden-Rayner 2020, Acad Radiol 27:106, doi:10.1016/j.acra.2019.10.006"

    def look(self, subject: Subject) -> Finding | None:
        """Images of which nearly all pixels have one of two grey levels."""
        levels = np.sort(subject.views.histograms, axis=1)
        empty = np.flatnonzero(levels[:, -2:].sum(axis=1) >= _EMPTY_SHARE)
        if not len(empty):
            return None
        return self.finding(
            what=f"{len(empty)} of {len(subject)} images are air, or nearly so: {_EMPTY_SHARE:.0%} of their "
            f"pixels or more have one of two grey levels ({_by_class(subject, empty.tolist())}). "
            "Their label cannot be seen.",
            do="Leave out slices that do not show the organ.",
            n=len(empty),
            unit="images",
            where=[subject.name(int(at)) for at in empty],
        )


class OddOnesOut(Check):
    """Images of another kind than the rest: localisers, other planes, other body parts, other modalities."""

    code = "Q03"
    title = "Images of several kinds are mixed"
    severity = "note"
    reference = "DICOM PS3.3 C.7.6.1.1.2 (Image Type), C.7.6.2.1.1 (Image Orientation)"
    facts = ("modality", "orientation", "image_type", "body_part")

    def look(self, subject: Subject) -> Finding | None:
        """Rare values of what a header says the image is; serious where they go with one class alone."""
        rows = subject.cohort.rows
        odd: dict[str, list[int]] = {}
        for fact in self.facts:
            values = [row.tags.get(fact, "") for row in rows]
            counts = Counter(value for value in values if value)
            for value, n in counts.items():
                if len(counts) > 1 and n <= _RARE * sum(counts.values()):
                    odd[f"{fact.replace('_', ' ')} {value}"] = [at for at, own in enumerate(values) if own == value]
        if not odd:
            return None
        touched = sorted({at for places in odd.values() for at in places})
        return self.finding(
            what=f"{len(touched)} of {len(subject)} images are of another kind than the rest: "
            f"{'; '.join(f'{name} {len(places)}' for name, places in odd.items())} ({_by_class(subject, touched)}).",
            do="Leave them out, or train on them apart.",
            n=len(touched),
            unit="images",
            where=[subject.name(at) for at in touched],
            evidence={name: len(places) for name, places in odd.items()},
        )


class BurntIn(Check):
    """Headers that say that text is burnt into the pixels."""

    code = "Q04"
    title = "Text is burnt into images"
    severity = "serious"
    reference = "DICOM PS3.3 C.7.6.1 (Burned In Annotation); PS3.15 E.1"

    def look(self, subject: Subject) -> Finding | None:
        """Images whose header has Burned In Annotation YES."""
        found = [at for at, row in enumerate(subject.cohort.rows) if row.tags.get("burnt_in", "").upper() == "YES"]
        if not found:
            return None
        return self.finding(
            what=f"{len(found)} of {len(subject)} images have text burnt in, says their header "
            f"({_by_class(subject, found)}). It may name the patient, and the network can read it.",
            do="Cover the text before these images leave the hospital or train anything.",
            n=len(found),
            unit="images",
            where=[subject.name(at) for at in found],
        )


def _by_class(subject: Subject, places: Sequence[int]) -> str:
    """How many of each class are among these rows."""
    counts = Counter(subject.row(at).label for at in places)
    return ", ".join(f"{name} {counts[name]}" for name in subject.cohort.classes if counts[name])


CHECKS: tuple[type[Check], ...] = (Unreadable, Empty, OddOnesOut, BurntIn)
