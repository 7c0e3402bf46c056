"""What a report tells, before it is put into a page."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from overread.audit.audit import Audit
from overread.evaluate.predictions import Predictions
from overread.evaluate.second_read import SecondRead
from overread.explain.explanation import Explanation
from overread.report.pictured import Picture
from overread.stats.intervals import Measured
from overread.training.history import History

METHODS = (
    "Shares (accuracy, sensitivity, specificity, coverage): Wilson's interval with the number of images divided by "
    "the patients' design effect (Rao and Scott 1992; Korn and Graubard 1998).",
    "AUROC, average precision, F1, Matthews correlation, kappa, Brier score and log loss: bootstrap of whole "
    "patients, BCa, 2,000 resamples (Efron 1987); where all resamples agree, Newcombe's or Wilson's by patient.",
    "Likelihood ratios: the log method (Simel et al. 1991), by patient; predictive values from them by Bayes' rule.",
    "Calibration error: bins of equal size, with its bias by consistency resampling (Broecker and Smith 2007); slope "
    "with a sandwich variance by patient.",
    "Sets of classes: split conformal prediction by patient (Lee, Barber and Willett 2023), class by class where "
    "there are 9 patients of each; temperature after Guo et al. (2017).",
    "Distance from the training images: Mahalanobis on the network's pooled features (Lee et al. 2018).",
    "Evidence: class activation maps (Zhou et al. 2016) or HiResCAM (Draelos and Carin 2020), each class's map less "
    "the mean of all, smoothed to the image's pixels; what speaks against a class counts as nothing.",
    "Triage: thresholds that keep a stated risk with confidence (Angelopoulos et al. 2021), by patient.",
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that a report shows."""

    name: str
    subtitle: str
    dataset: str
    """the name of the source of the images, without its folder"""
    written: str
    version: str
    read: SecondRead
    found: Predictions
    audit: Audit | None
    intended_use: str
    data_words: tuple[str, ...]
    counted_parts: tuple[str, ...] = ()
    counts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    training: tuple[tuple[str, str], ...] = ()
    history: History | None = None
    best_epoch: int = 0
    explained: Explanation | None = None
    evidence: tuple[Picture, ...] = ()
    """what the answers rest on, over the images"""
    examples: tuple[Picture, ...] = ()
    """training images that are typical, and odd, to the network"""
    mistakes: tuple[Picture, ...] = ()
    finding_pictures: tuple[tuple[str, tuple[Picture, ...]], ...] = ()
    patients: frozenset[str] = frozenset()
    """hashes of all patients whose identifiers may stand in a path: the page names none"""
    limits: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    methods: tuple[str, ...] = METHODS

    @property
    def tested(self) -> Predictions:
        """The images that the figures are of."""
        return self.found.part(self.read.part)

    @property
    def n_mistakes(self) -> int:
        """Images whose likeliest class is not the true one."""
        tested = self.tested
        return int((tested.probabilities.argmax(axis=1) != tested.truth).sum())

    @property
    def tiles(self) -> tuple[Measured, ...]:
        """The figures that stand on top."""
        return self.read.score.figure("auroc"), self.read.score.figure("accuracy")

    @property
    def other_marks(self) -> tuple[str, ...]:
        """Sentences that every output must carry, and that the three reasons on top do not tell."""
        codes = {reason.code for reason in self.read.verdict.deciding if reason.code}
        return tuple(mark for mark in self.read.marks if not any(f"({code})" in mark for code in codes))

    @property
    def certainty_rows(self) -> tuple[Measured, ...]:
        """The figures of sets, distance and abstention that can be had."""
        sure = self.read.certainty
        rows: list[Measured | None] = []
        if sure.given is not None:
            rows += [sure.given.coverage, *sure.given.coverage_by_class, sure.given.single, sure.given.empty]
        rows += [sure.far, sure.abstained, sure.answered]
        return tuple(row for row in rows if row is not None)

    @property
    def side_by_side(self) -> tuple[tuple[Measured, Measured], ...]:
        """Each figure at home, and here."""
        if self.read.internal is None:
            return ()
        here = {(m.name, m.label): m for m in self.read.score.measured}
        return tuple(
            (home, here[home.name, home.label])
            for home in self.read.internal.measured
            if (home.name, home.label) in here
        )

    @property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """Where a reader can go: the mark in the page, and its words."""
        known = [
            ("data", "data"), ("audit", "audit"), ("training", "training"), ("figures", "figures"),
            ("operating", "at a threshold"), ("calibration", "calibration"), ("certainty", "certainty"),
            ("subgroups", "subgroups"), ("looks", "where it looks"),
            ("errors", "mistakes"), ("limits", "limits"), ("reproduce", "again"),
            ("methods", "methods"),
        ]  # fmt: skip
        absent = {"training": not self.training, "looks": self.explained is None}
        return tuple((mark, words) for mark, words in known if not absent.get(mark))


def today() -> str:
    """The date, as a report names it."""
    now = datetime.datetime.now().astimezone()
    return f"{now.day} {now:%B %Y}"


def list_limits(read: SecondRead, *, external: bool) -> tuple[str, ...]:
    """What these figures do not say, in sentences."""
    found = list(_limits(read, external=external))
    return tuple(found)


def _limits(read: SecondRead, *, external: bool) -> Iterable[str]:
    if external:
        yield "These images come from one other source. A third may differ again."
    else:
        yield (
            "All images come from one cohort. At another hospital, with other scanners and another mix of patients, "
            "the figures will differ, and most often be lower: overread evaluate MODEL OTHER_IMAGES."
        )
    yield f"It knows {', '.join(read.score.classes)}, and takes every image for one of these."
    if read.score.n_patients is None:
        yield "Patients are unknown: no interval can allow for several images of one patient."
    if read.certainty.given is None:
        yield "It cannot say how sure it is."
    if not read.groups:
        yield "Whether it is as good for women as for men, or for one scanner as for another, could not be measured."
    yield "The labels count as true. How they were made, and by whom, is not known here."
    yield "One training with one seed: another seed would give somewhat other figures (overread train --seeds 5)."


def count_cells(
    classes: Sequence[str], parts: Sequence[str], rows: Sequence[tuple[str, str, str | None]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Images, and patients in brackets, of each class (row) in each part (column); rows: (label, part, patient)."""
    table = []
    for name in classes:
        cells = []
        for part in parts:
            patients = [patient for label, where, patient in rows if (label, where) == (name, part)]
            known = {patient for patient in patients if patient}
            cells.append(f"{len(patients)} ({len(known)})" if patients and all(patients) else str(len(patients)))
        table.append((name, tuple(cells)))
    return tuple(table)
