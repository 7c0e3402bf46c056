"""Labels: those that are likely wrong, and classes that are much rarer than others."""

from __future__ import annotations

import numpy as np

from overread.audit.check import Check, Finding
from overread.audit.probes import grouping
from overread.audit.subject import Subject
from overread.stats.metrics import macro
from overread.stats.probe import Floats, Places, out_of_fold

_TELLING = 0.8
"""balanced accuracy of the features; below it a label that they contradict is no evidence"""
_RARE, _VERY_RARE = 5.0, 20.0


class LikelyWrong(Check):
    """Labels that a classifier on a pretrained network's features contradicts, on patients that it did not see."""

    code = "W01"
    title = "Labels are worth a second look"
    severity = "note"
    reference = "Northcutt, Jiang & Chuang 2021, J Artif Intell Res 70:1373, doi:10.1613/jair.1.12125"

    def look(self, subject: Subject) -> Finding | None:
        """Confident learning: images that score above another class's usual score, and higher than for their own."""
        if subject.features is None:
            return None
        labels = subject.labels
        units, folds, _ = grouping(subject, np.arange(len(subject)), labels, subject.rng())
        if len(np.unique(folds)) < 2:
            return None
        scores = _pooled(out_of_fold(subject.features.astype(np.float64), labels, folds), units, labels)
        right = scores.argmax(axis=1) == labels
        told = float(macro([right[labels == code].mean() for code in np.unique(labels)]))
        suspects = _confidently_other(scores, labels)
        if told < _TELLING or not len(suspects):
            return None
        classes = subject.cohort.classes
        other = scores.argmax(axis=1)
        named = [f"{subject.name(int(at))} (more like {classes[other[at]]})" for at in suspects]
        return self.finding(
            what=f"{len(suspects)} of {len(subject)} images look more like another class than like their own to a "
            f"pretrained network's features, which tell the classes with a balanced accuracy of {told:.3f}. "
            "Wrong labels are among them, and honest hard cases.",
            do="Have a radiologist look at them again, the first ones first.",
            n=len(suspects),
            unit="images",
            where=named,
            evidence={"balanced_accuracy": told},
        )


class Imbalance(Check):
    """A class that is much rarer than another."""

    code = "W02"
    title = "A class is rare"
    severity = "note"
    reference = "Johnson & Khoshgoftaar 2019, J Big Data 6:27, doi:10.1186/s40537-019-0192-5"

    def look(self, subject: Subject) -> Finding | None:
        """Where the largest class has more than five times the images of the smallest; twenty times is serious."""
        counts = np.bincount(subject.labels, minlength=len(subject.cohort.classes))
        ratio = counts.max() / max(1, counts.min())
        if ratio <= _RARE:
            return None
        classes = subject.cohort.classes
        images = dict(zip(classes, counts.tolist(), strict=True))
        patients = _patients(subject) if subject.knows_patients else {}
        told = ", ".join(
            f"{name} {n} images" + (f" of {patients[name]} patients" if patients else "")
            for name, n in images.items()
        )
        return self.finding(
            what=f"The largest class has {ratio:.0f} times the images of the smallest ({told}). Accuracy says little "
            "here: always naming the largest class scores "
            f"{counts.max() / counts.sum():.3f}.",
            do="Read balanced accuracy and each class's sensitivity; try --class-weights.",
            n=int(counts.min()),
            unit="images",
            evidence={"images": images, "patients": patients or None, "ratio": float(ratio)},
            severity="serious" if ratio > _VERY_RARE else "note",
        )


def _patients(subject: Subject) -> dict[str, int]:
    """How many patients each class has."""
    rows = subject.cohort.rows
    return {name: len({row.patient for row in rows if row.label == name}) for name in subject.cohort.classes}


def _pooled(scores: Floats, units: Places, labels: Places) -> Floats:
    """The mean score of each patient's images of one label, for each of these images: (n, k)."""
    group = np.unique(np.stack([units, labels], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    total = np.zeros((int(group.max()) + 1, scores.shape[1]))
    np.add.at(total, group, scores)
    result: Floats = (total / np.bincount(group)[:, None])[group]
    return result


def _confidently_other(scores: Floats, labels: Places) -> Places:
    """Places of images that belong to another class in the confident joint, the clearest first."""
    classes = np.unique(labels)
    usual = np.full(scores.shape[1], np.inf)
    usual[classes] = [scores[labels == code, code].mean() for code in classes]
    best = scores.argmax(axis=1)
    own = scores[np.arange(len(labels)), labels]
    highest = scores.max(axis=1)
    suspects = np.flatnonzero((best != labels) & (highest >= usual[best]))
    result: Places = suspects[np.argsort(-(highest - own)[suspects], kind="stable")]
    return result


CHECKS: tuple[type[Check], ...] = (LikelyWrong, Imbalance)
