"""The second read of a model: every figure that can be had from its predictions, and what they come to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from overread.audit.audit import Audit
from overread.evaluate.calibration import Calibration, calibrated
from overread.evaluate.certainty import Certainty, certainty
from overread.evaluate.operating import RULE, Operating, operate
from overread.evaluate.predictions import Predictions
from overread.evaluate.score import Score, score
from overread.evaluate.subgroups import Group, subgroups
from overread.evaluate.verdict import Reason, Verdict, judge
from overread.model.caution import Caution
from overread.stats.intervals import Measured
from overread.stats.patients import patient_codes

FILE = "evaluation.json"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class SecondRead:
    """What a model is worth on one part of a cohort, or on another cohort."""

    part: str
    score: Score
    """by image"""
    by_patient: Score | None
    """by patient, each with the mean of the probabilities; None where nothing is to be pooled"""
    two_labels: int
    """patients with images of more than one class, who are left out of `by_patient`"""
    operating: tuple[Operating, ...]
    calibration: Calibration
    certainty: Certainty
    groups: tuple[Group, ...]
    verdict: Verdict
    caution: Caution
    marks: tuple[str, ...]
    internal: Score | None = None
    """on the test part of its own cohort, where this is another one"""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `evaluation.json`."""
        values: dict[str, Any] = _plain(self)
        return {
            "schema": SCHEMA,
            "verdict_in_words": self.verdict.words,
            **values,
            "score": self.score.to_json(),
            "by_patient": None if self.by_patient is None else self.by_patient.to_json(),
            "internal": None if self.internal is None else self.internal.to_json(),
        }


def second_read(
    found: Predictions,
    *,
    caution: Caution,
    audit: Audit | None,
    marks: Sequence[str] = (),
    part: str = "test",
    positive: str | None = None,
    operating: str = RULE,
    prevalence: float | None = None,
    internal: Score | None = None,
    carried: Sequence[str] = (),
    reasons: Sequence[Reason] = (),
    seed: int,
) -> SecondRead:
    """Measure everything on the images of `part`, with what was chosen on the validation and calibration parts.

    found: the predictions of all these parts. positive: of two classes the one that counts as disease,
    `usual_positive` by default. operating, prevalence: as for `operate`. internal: figures to set beside these.
    marks: what weighs against these figures; carried: what every output of the model must say, and its own cohort
    alone is concerned by; reasons: more to weigh. Raises CohortError where the part has no image.
    """
    tested, rng = found.part(part), np.random.default_rng(seed)
    scored = measure(tested, part=part, positive=positive, seed=seed)
    labels = found.classes if scored.positive is None else (scored.positive,)
    fitted_on = found.part(caution.part or "val")
    pooled, two_labels = by_patient(tested)
    calibration = calibrated(
        tested, labels=labels, temperature=caution.temperature, why=caution.temperature_why, rng=rng
    )
    sure = certainty(fitted_on, tested, caution=caution, labels=labels, part=part)
    groups = subgroups(tested, labels=labels, part=part)
    return SecondRead(
        part=part,
        score=scored,
        by_patient=None if pooled is None else measure(pooled, part=part, positive=positive, seed=seed),
        two_labels=two_labels,
        operating=operate(found.part("val"), tested, labels=labels, rule=operating, prevalence=prevalence, part=part),
        calibration=calibration,
        certainty=sure,
        groups=groups,
        verdict=judge(
            scored, audit=audit, marks=marks, calibration=calibration, certainty=sure, groups=groups, more=reasons
        ),
        caution=caution,
        marks=tuple(dict.fromkeys([*carried, *marks])),
        internal=internal,
    )


def measure(found: Predictions, *, part: str, positive: str | None, seed: int) -> Score:
    """The figures of some predictions; the same seed gives the same intervals."""
    return score(
        found.truth,
        found.probabilities,
        found.patients,
        found.classes,
        rng=np.random.default_rng(seed),
        part=part,
        positive=positive,
    )


def by_patient(found: Predictions) -> tuple[Predictions | None, int]:
    """One row a patient with the mean of the images' probabilities, and how many patients are left out.

    Left out are those with images of two classes. None where patients are unknown, or each has one image: then
    nothing is to be pooled.
    """
    patients = found.known_patients
    if patients is None or len(set(patients)) == len(found):
        return None, 0
    codes = patient_codes(patients, len(found))
    first = np.unique(codes, return_index=True)[1]
    n_labels = [np.unique(found.truth[codes == code]).size for code in range(len(first))]
    kept = [code for code, n in enumerate(n_labels) if n == 1]
    if not kept:
        return None, len(first)
    means = np.stack([found.probabilities[codes == code].mean(axis=0) for code in kept])
    return dataclasses.replace(found.subset(first[kept]), probabilities=means, distance=None), len(first) - len(kept)


def _plain(value: Any) -> Any:
    """Dataclasses, arrays and numbers as JSON has them: None for nan and for an infinity."""
    if isinstance(value, Measured):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
