"""Images that show the same thing twice: in two parts, under two labels, under two patients, or just twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from overread.audit.check import Check, Finding, in_percent
from overread.audit.nearby import POSITIONS
from overread.audit.subject import Subject
from overread.audit.twins import Twins

Chosen = NDArray[np.bool_]

_FATAL_SHARE = 0.1
_COPY = 0.95
"""match from which a pair is one image twice; below it may also be its neighbour in the series"""
_SAME_PERSON = 0.5
"""share of the smaller patient's images that have a twin in the other, from which two patients look like one"""


class SameImageInTwoParts(Check):
    """An image that is trained on and tested on, also resized, windowed otherwise, mirrored or framed."""

    code = "D01"
    title = "The same image is in training and in test"
    severity = "serious"
    of_split = True
    reference = "Barz & Denzler 2020, J Imaging 6:41, doi:10.3390/jimaging6060041"

    def look(self, subject: Subject) -> Finding | None:
        """Pairs of which one is in the test part and the other in another, whoever they show."""
        parts = np.array(subject.parts(), dtype=object)
        twins = subject.twins
        one, other = parts[twins.first], parts[twins.second]
        across = (one != other) & ((one == "test") | (other == "test")) & (one != "") & (other != "")
        found = twins.take(across & ~_same(subject.cohort.patients(), twins))
        if not len(found):
            return None
        known = {*found.first[parts[found.first] == "test"], *found.second[parts[found.second] == "test"]}
        share = len(known) / max(1, (parts == "test").sum())
        return self.finding(
            what=f"{len(known)} test {_images(len(known))} ({in_percent(share)}) {_shows(len(known))} what an image "
            f"in training or validation shows ({_how(found)}).",
            do="Keep such images in one part (--split patient, or name the patients), or leave the copies out.",
            n=len(found),
            unit="pairs",
            where=_named(subject, found),
            evidence={"test_images_known": len(known), "share": share, **_counts(found)},
            severity="fatal" if share >= _FATAL_SHARE else "serious",
        )


class SameImageUnderTwoLabels(Check):
    """One image that is said to show two classes: at least one label is wrong."""

    code = "D02"
    title = "The same image has two labels"
    severity = "serious"
    reference = "Northcutt, Athalye & Mueller 2021, NeurIPS Datasets and Benchmarks, arXiv:2103.14749"

    def look(self, subject: Subject) -> Finding | None:
        """Pairs of copies with two labels; neighbours in one series may differ honestly, and are left out."""
        twins = subject.twins
        differ = subject.labels[twins.first] != subject.labels[twins.second]
        neighbours = _same([row.series for row in subject.cohort.rows], twins)
        copies = twins.is_exact | _strangers(subject, twins) | ((twins.match >= _COPY) & ~neighbours)
        found = twins.take(differ & copies)
        if not len(found):
            return None
        classes = sorted({subject.row(at).label for at in (*found.first, *found.second)})
        return self.finding(
            what=f"{_pairs(len(found))} of images {_shows(len(found))} the same under different labels "
            f"({', '.join(classes)}; {_how(found)}). At least one label of each pair is wrong, or the image shows "
            "neither class.",
            do="Look at each pair, and mend its label or leave both out.",
            n=len(found),
            unit="pairs",
            where=_named(subject, found),
            evidence=_counts(found),
        )


class OnePersonTwice(Check):
    """Two patients who share images: one person under two identifiers, or a copy in another's folder."""

    code = "D03"
    title = "Two patients share images"
    severity = "serious"
    reference = "Oakden-Rayner 2020, Acad Radiol 27:106, doi:10.1016/j.acra.2019.10.006"

    def look(self, subject: Subject) -> Finding | None:
        """Pairs of known patients with images that show the same."""
        patients = subject.hashed_patients
        twins = subject.twins
        found = twins.take(_strangers(subject, twins))
        if not len(found):
            return None
        shared = _shared_images(patients, found)
        one_person = [pair for pair, share in shared.items() if share >= _SAME_PERSON]
        copies = len(shared) - len(one_person)
        look = "looks" if len(one_person) == 1 else "look"
        told = [f"{_pairs(len(one_person))} of patients {look} like one person under two names"] * bool(one_person)
        told += [f"{_pairs(copies)} of patients with single images in common"] * bool(copies)
        return self.finding(
            what=f"{'; '.join(told)} ({_how(found)}). A split by patient does not keep them apart.",
            do="Look at each pair: give one person one identifier, and leave copies out.",
            n=len(shared),
            unit="pairs of patients",
            where=_named(subject, found),
            evidence={
                "one_person": [list(pair) for pair in one_person],
                "single_images": [list(pair) for pair in shared if pair not in one_person],
                **_counts(found),
            },
        )


class Copies(Check):
    """Images that are there twice within a class and a patient: they count twice and say nothing new."""

    code = "D04"
    title = "Images are there twice"
    severity = "note"
    reference = "Barz & Denzler 2020, J Imaging 6:41, doi:10.3390/jimaging6060041"

    def look(self, subject: Subject) -> Finding | None:
        """Exact copies, and in another position or file nearly exact ones, within one patient and one class."""
        twins = subject.twins
        same_label = subject.labels[twins.first] == subject.labels[twins.second]
        patients = subject.cohort.patients()
        unknown = np.array([patient is None for patient in patients])
        here = _same(patients, twins) | (unknown[twins.first] & unknown[twins.second])
        found = twins.take(same_label & here & (twins.is_exact | (twins.position > 0)))
        if not len(found):
            return None
        spare = len(set(found.second.tolist()))
        return self.finding(
            what=f"{spare} {_images(spare)} {'is' if spare == 1 else 'are'} there a second time ({_how(found)}). "
            "They make the data look larger than they are.",
            do="Leave the copies out.",
            n=spare,
            unit="images",
            where=_named(subject, found),
            evidence=_counts(found),
        )


def _same(keys: list[str | None], twins: Twins) -> Chosen:
    """Which pairs have the same known key."""
    values = np.array([key if key is not None else f"\0{at}" for at, key in enumerate(keys)], dtype=object)
    return np.asarray(values[twins.first] == values[twins.second], bool)


def _strangers(subject: Subject, twins: Twins) -> Chosen:
    """Which pairs are of two known patients."""
    patients = subject.cohort.patients()
    known = np.array([patient is not None for patient in patients], dtype=bool)
    return np.asarray(known[twins.first] & known[twins.second] & ~_same(patients, twins), bool)


def _shared_images(patients: list[str | None], found: Twins) -> dict[tuple[str, str], float]:
    """The share of its images that the smaller patient of each pair has in common with the other."""
    images: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
    for first, second in zip(found.first.tolist(), found.second.tolist(), strict=True):
        (one, at), (other, beside) = sorted([(str(patients[first]), first), (str(patients[second]), second)])
        held = images.setdefault((one, other), (set(), set()))
        held[0].add(at)
        held[1].add(beside)
    total = Counter(patients)
    return {
        (one, other): max(len(held[0]) / total[one], len(held[1]) / total[other])
        for (one, other), held in images.items()
    }


def _named(subject: Subject, found: Twins) -> list[str]:
    """The pairs in words, those that match best first."""
    order = np.lexsort((found.first, -found.match))
    named = []
    for at in order.tolist():
        position = int(found.position[at])
        how = f" ({POSITIONS[position]})" if position else ""
        named.append(f"{subject.name(found.first[at])} = {subject.name(found.second[at])}{how}")
    return named


def _counts(found: Twins) -> dict[str, int]:
    moved = int((found.position > 0).sum())
    return {"pairs": len(found), "exact": int(found.is_exact.sum()), "mirrored_or_turned": moved}


def _how(found: Twins) -> str:
    """How the pairs of a finding resemble each other, in numbers."""
    counts = _counts(found)
    nearly = counts["pairs"] - counts["exact"]
    words = [f"{counts['exact']} exactly"] * bool(counts["exact"]) + [f"{nearly} nearly"] * bool(nearly)
    if counts["mirrored_or_turned"]:
        words.append(f"{counts['mirrored_or_turned']} of them mirrored or turned")
    return ", ".join(words)


def _pairs(n: int) -> str:
    return f"{n} pair{'s' if n != 1 else ''}"


def _images(n: int) -> str:
    return "image" if n == 1 else "images"


def _shows(n: int) -> str:
    return "shows" if n == 1 else "show"


CHECKS: tuple[type[Check], ...] = (SameImageInTwoParts, SameImageUnderTwoLabels, OnePersonTwice, Copies)
