"""Shortcuts: whether the class can be told without the disease, by the scanner, the file, the rim, brightness."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from overread.audit.check import Check, Finding
from overread.audit.facts import FILE, SCANNER, file_facts, patient_facts, scanner_facts, telling
from overread.audit.probes import Probed, probed
from overread.audit.subject import Subject
from overread.stats.probe import Floats

_SIGNIFICANT, _NOTABLE = 0.01, 0.65
"""corrected p-value, and AUROC, from which a probe is worth a word"""


class Shortcut(Check):
    """A probe: a classifier that sees these facts alone."""

    severity = "serious"
    seen: ClassVar[str]
    """what the probe sees, in words"""
    sees_disease: ClassVar[bool] = False
    """whether an honest disease could show in it"""
    serious_from: ClassVar[float] = 0.65
    """AUROC; where no disease can show, whatever is beyond chance is serious"""
    remedy: ClassVar[str]

    @staticmethod
    @abstractmethod
    def table(subject: Subject) -> Floats | None:
        """What the probe sees of each image: (n, d); None where there is nothing to see."""

    def look(self, subject: Subject) -> Finding | None:
        """What the probe scores on patients that it was not fitted on, if that is more than chance."""
        result = probed(subject, {check.code: check.table for check in CHECKS}).get(self.code)
        if result is None or result.p_corrected >= _SIGNIFICANT or result.probe.auroc < _NOTABLE:
            return None
        known = self.told(subject)
        return self.finding(
            what=f"From {self.seen} alone the class is told with an AUROC of {result.probe.auroc:.3f} (balanced "
            f"accuracy {result.probe.balanced_accuracy:.3f}, chance {1 / len(subject.cohort.classes):.3f}; by chance "
            f"labels stay below {result.probe.null_95:.3f}; p = {result.p_corrected:.3f} after correction; "
            f"{_tested(result)}).{known}"
            + (" That can be disease, or the scan." if self.sees_disease else " No disease shows there."),
            do=f"{self.remedy} A model that scores no better than this has shown nothing.",
            n=result.probe.n_images,
            unit="images",
            evidence={"probe": self.seen, **result.to_json()},
            severity="serious" if result.probe.auroc >= self.serious_from else "note",
        )

    def told(self, subject: Subject) -> str:
        """What in particular tells the classes apart, as a sentence with a space before it."""
        return ""


class Scanner(Shortcut):
    """Manufacturer, model, kernel, window, spacing, thickness, tube voltage."""

    code = "S01"
    title = "The scanner's settings tell the class"
    reference = "Zech et al. 2018, PLoS Med 15:e1002683, doi:10.1371/journal.pmed.1002683"
    seen = "the scanner and its settings"
    remedy = "Take the classes from the same scanners and protocols, or balance them in each."
    table = staticmethod(scanner_facts)

    def told(self, subject: Subject) -> str:
        """The setting that goes with the class most."""
        return telling(subject, SCANNER)


class Patient(Shortcut):
    """Sex, age and month: an honest risk factor, or another way of choosing the patients."""

    code = "S02"
    title = "Age, sex or date tell the class"
    reference = "Badgeley et al. 2019, npj Digit Med 2:31, doi:10.1038/s41746-019-0105-1"
    seen = "age, sex and date"
    sees_disease = True
    remedy = "Report figures by age, sex and period, and match the classes where you can."
    table = staticmethod(patient_facts)


class FileFacts(Shortcut):
    """Format, size in pixels and in bytes."""

    code = "S03"
    title = "The file tells the class"
    reference = "Garcia Santa Cruz et al. 2021, Med Image Anal 74:102225, doi:10.1016/j.media.2021.102225"
    seen = "the file's format and size"
    remedy = "Export every class in the same way, from the same kind of source."
    table = staticmethod(file_facts)

    def told(self, subject: Subject) -> str:
        """The fact that goes with the class most."""
        return telling(subject, FILE)


class Border(Shortcut):
    """The outer rim of the image: markers, tables, collimation."""

    code = "S04"
    title = "The rim of the image tells the class"
    reference = "DeGrave, Janizek & Lee 2021, Nat Mach Intell 3:610, doi:10.1038/s42256-021-00338-7"
    seen = "the outer rim of the image"
    sees_disease = True
    serious_from = 0.75
    remedy = "Look at corners and edges for markers and tables, and crop or cover them."

    @staticmethod
    def table(subject: Subject) -> Floats | None:
        """The outer two of 32 pixels on each side, averaged by twos: (n, 60)."""
        return _shrunk(subject, 16)[:, _ring(16, 1)]


class Histogram(Shortcut):
    """The grey-level histogram: no place, no shape."""

    code = "S05"
    title = "Plain brightness tells the class"
    reference = "Zech et al. 2018, PLoS Med 15:e1002683, doi:10.1371/journal.pmed.1002683"
    seen = "the grey-level histogram"
    sees_disease = True
    serious_from = 0.9
    remedy = "Compare windows, kernels and scanners between the classes."

    @staticmethod
    def table(subject: Subject) -> Floats | None:
        """The square root of the share of pixels at each of 32 levels: (n, 32)."""
        return np.sqrt(subject.views.histograms.astype(np.float64))


class Thumbnail(Shortcut):
    """The image at 8 x 8 pixels: no lesion can be seen."""

    code = "S06"
    title = "An 8 x 8 thumbnail tells the class"
    reference = "Yagis et al. 2021, Sci Rep 11:22544, doi:10.1038/s41598-021-01681-w"
    seen = "a thumbnail of 8 x 8 pixels"
    sees_disease = True
    serious_from = 0.9
    remedy = "Ask what differs between the classes besides the disease: patient, position, protocol."

    @staticmethod
    def table(subject: Subject) -> Floats | None:
        """64 grey levels: (n, 64)."""
        return _shrunk(subject, 8)


class Surroundings(Shortcut):
    """The image with its middle blanked out."""

    code = "S07"
    title = "The image without its middle tells the class"
    reference = "Maguolo & Nanni 2021, Inf Fusion 76:1, doi:10.1016/j.inffus.2021.04.008"
    seen = "what surrounds the middle of the image"
    sees_disease = True
    serious_from = 0.9
    remedy = "Compare how the classes were positioned, cropped and collimated."

    @staticmethod
    def table(subject: Subject) -> Floats | None:
        """The outer quarter on each side of 16 x 16 pixels: (n, 192)."""
        return _shrunk(subject, 16)[:, _ring(16, 4)]


def _shrunk(subject: Subject, side: int) -> Floats:
    """Every image at side x side pixels, averaged: (n, side * side)."""
    small = subject.thumbnails
    factor = small.shape[1] // side
    blocks = small.reshape(len(small), side, factor, side, factor).astype(np.float32).mean(axis=(2, 4))
    result: Floats = blocks.reshape(len(small), -1).astype(np.float64)
    return result


def _ring(side: int, width: int) -> NDArray[np.bool_]:
    """Which of side x side pixels are within `width` of the edge: (side * side,) bool."""
    inside = np.zeros((side, side), bool)
    inside[width:-width, width:-width] = True
    return ~inside.ravel()


def _tested(result: Probed) -> str:
    if result.by == "patient":
        return f"{result.probe.n_images} images, tested on other patients than it was fitted on"
    return f"{result.probe.n_images} images, tested by image, so a patient may be on both sides"


CHECKS: tuple[type[Shortcut], ...] = (Scanner, Patient, FileFacts, Border, Histogram, Thumbnail, Surroundings)
