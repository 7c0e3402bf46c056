"""Whether to believe a model, in one word, and the reasons that decide it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from overread.audit.audit import Audit
from overread.audit.check import Finding
from overread.data.split import SHARED, UNKNOWN
from overread.evaluate.calibration import Calibration
from overread.evaluate.certainty import Certainty
from overread.evaluate.measure import FEW
from overread.evaluate.score import Score
from overread.evaluate.subgroups import Group
from overread.explain.looking import Looking
from overread.stats.intervals import Measured

Grade = Literal["do not", "with care", "good"]
GRADES: tuple[Grade, ...] = ("do not", "with care", "good")
WORDS: dict[Grade, str] = {
    "do not": "Do not believe it",
    "with care": "Believe it with care",
    "good": "Believe it, for patients like these",
}
DECIDING = 3
_WIDE = 0.2
_CHANCE = 0.5
_SILENT = 0.5
"""share of the images without an answer, from which on it is worth a word"""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that speaks for or against a model: a sentence for a radiologist."""

    grade: Grade
    text: str
    source: str
    """where in the report the numbers are: audit, figures, calibration, certainty, subgroups, data, looks"""
    code: str = ""
    """the check of the audit that it comes from"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The word, and every reason, the gravest first."""

    grade: Grade
    reasons: tuple[Reason, ...]

    @property
    def words(self) -> str:
        """The verdict as a headline."""
        return WORDS[self.grade]

    @property
    def deciding(self) -> tuple[Reason, ...]:
        """The three reasons that weigh most."""
        return self.reasons[:DECIDING]


def judge(
    score: Score,
    *,
    audit: Audit | None,
    marks: Sequence[str],
    calibration: Calibration,
    certainty: Certainty,
    groups: Sequence[Group],
    more: Sequence[Reason] = (),
) -> Verdict:
    """Weigh all that is known of a model.

    One reason not to believe it is enough; without one, a single reason for care; what speaks for the model is told
    after these, and decides only where nothing speaks against it.
    """
    reasons = [
        *more,
        *_of_audit(audit),
        *_of_marks(marks),
        *_of_probes(audit, score),
        *_of_figures(score),
        *_of_calibration(calibration),
        *_of_certainty(certainty),
        *_of_groups(groups, score),
        *_good(score, audit, calibration),
    ]
    reasons.sort(key=lambda reason: GRADES.index(reason.grade))  # stable: the order above counts within a grade
    return Verdict(grade=reasons[0].grade, reasons=tuple(reasons))


def looking_reasons(looking: Looking) -> tuple[Reason, ...]:
    """Reasons for care where the evidence lies where no disease is."""
    if not looking.wrong:
        return ()
    return tuple(Reason(grade="with care", text=text, source="looks") for text in looking.sentences())


def main_figure(score: Score) -> Measured:
    """The AUROC, where it can be had, else the accuracy."""
    area = score.figure("auroc")
    return score.figure("accuracy") if math.isnan(area.value) else area


def _of_audit(audit: Audit | None) -> Iterable[Reason]:
    if audit is None:
        yield Reason(
            grade="with care", text="The data were not audited before training (--no-audit).", source="audit"
        )
        return
    for severity, grade in (("fatal", "do not"), ("serious", "with care")):
        for finding in audit.of(severity):
            if finding.on_figures and not _is_probe(finding):
                yield Reason(
                    grade="do not" if grade == "do not" else "with care",
                    text=f"{finding.title}. {_first_sentence(finding.what)}",
                    source="audit",
                    code=finding.code,
                )


def _is_probe(finding: Finding) -> bool:
    return finding.severity != "fatal" and "auroc" in finding.evidence


def _first_sentence(text: str) -> str:
    head, dot, _ = text.partition(". ")
    return head + (dot.strip() if dot else "")


def _of_marks(marks: Sequence[str]) -> Iterable[Reason]:
    if SHARED in marks:
        yield Reason(
            grade="do not",
            text="The images were divided one by one, so the network was tested on patients that it had learnt from.",
            source="data",
        )
    if UNKNOWN in marks:
        yield Reason(
            grade="with care",
            text="Nobody knows which images are of one patient: the network may have learnt from patients of the "
            "test part.",
            source="data",
        )


def _of_probes(audit: Audit | None, score: Score) -> Iterable[Reason]:
    """A classifier that cannot see the disease, beside the network."""
    area = score.figure("auroc")
    for finding in () if audit is None else audit.findings:
        if not _is_probe(finding) or math.isnan(area.value):
            continue
        probe = float(finding.evidence["auroc"])
        near = probe >= (area.value - 0.05 if math.isnan(area.low) else area.low)
        if near:
            grade: Grade = "do not" if finding.severity == "serious" else "with care"
            text = (
                f"{finding.title}: a simple classifier that sees nothing else reaches an AUROC of {probe:.3f}, "
                f"the network {area}. The network may need nothing else either."
            )
            yield Reason(grade=grade, text=text, source="audit", code=finding.code)
        elif finding.severity == "serious":
            text = f"{finding.title} (AUROC {probe:.3f} from that alone; the network {area})."
            yield Reason(grade="with care", text=text, source="audit", code=finding.code)


def _of_figures(score: Score) -> Iterable[Reason]:
    area = score.figure("auroc")
    if math.isnan(area.value):
        yield Reason(grade="with care", text="A class has no image in the test part.", source="figures")
    elif math.isnan(area.low):
        yield Reason(
            grade="do not",
            text=f"The AUROC of {area.value:.3f} has no interval: {area.method.partition(': ')[2] or area.method}.",
            source="figures",
        )
    elif area.low <= _CHANCE:
        yield Reason(grade="do not", text=f"An AUROC of {area} cannot be told from guessing (0.5).", source="figures")
    elif area.high - area.low > _WIDE:
        yield Reason(
            grade="with care",
            text=f"The test part is small: the AUROC of {area.value:.3f} may be anything from {area.low:.2f} to "
            f"{area.high:.2f}.",
            source="figures",
        )
    if "rough" in area.method:
        yield Reason(
            grade="with care",
            text=f"A class has fewer than {FEW} patients in the test part, so that even the intervals are rough."
            if score.n_patients is not None
            else f"A class has fewer than {FEW} images in the test part, so that even the intervals are rough.",
            source="figures",
        )


def _of_calibration(calibration: Calibration) -> Iterable[Reason]:
    off = [one for one in calibration.by_class if one.is_off]
    if off:
        worst = max(off, key=lambda one: one.error.corrected)
        yield Reason(
            grade="with care",
            text=f"Its probabilities do not mean what they say: for {worst.label} they are off by "
            f"{worst.error.corrected:.2f} on average, more than chance explains.",
            source="calibration",
        )


def _of_certainty(certainty: Certainty) -> Iterable[Reason]:
    if certainty.given is None:
        yield Reason(grade="with care", text=f"It cannot say how sure it is: {certainty.why}.", source="certainty")
        return
    if certainty.abstained.value > _SILENT:
        yield Reason(
            grade="with care",
            text=f"It answers only {1 - certainty.abstained.value:.0%} of the images with one class; for the others "
            "it cannot tell the classes apart, or has seen nothing like them.",
            source="certainty",
        )
    for one in (certainty.given.coverage, *certainty.given.coverage_by_class):
        if one.high < 0.9:
            of = f" of {one.label}" if one.label else ""
            yield Reason(
                grade="with care",
                text=f"Its sets of classes hold the truth for {one.value:.0%}{of}, and promise 90 %.",
                source="certainty",
            )


def _of_groups(groups: Sequence[Group], score: Score) -> Iterable[Reason]:
    whole = score.figure("accuracy")
    for group in groups:
        if group.accuracy is not None and not group.warning and group.accuracy.high < whole.value:
            yield Reason(
                grade="with care",
                text=f"It is less often right where {group.fact} is {group.value}: {group.accuracy}, against "
                f"{whole.value:.3f} for all.",
                source="subgroups",
            )


def _good(score: Score, audit: Audit | None, calibration: Calibration) -> Iterable[Reason]:
    area = score.figure("auroc")
    if not math.isnan(area.low) and area.low > _CHANCE:
        of = "" if score.n_patients is None else f" of {score.n_patients} patients"
        yield Reason(
            grade="good",
            text=f"AUROC {area} on {score.n_images} images{of} in the {score.part} part.",
            source="figures",
        )
    if audit is not None and audit.worst == "note":
        yield Reason(grade="good", text=f"{len(audit.asked)} checks of the data found nothing grave.", source="audit")
    if calibration.by_class and not any(one.is_off for one in calibration.by_class):
        yield Reason(
            grade="good",
            text="Its probabilities are off by no more than chance explains, or by too little to matter.",
            source="calibration",
        )
