"""Which patients a network may rule out or rule in, within a stated risk, and which a human must read.

The patient is what is triaged: ruled out when every image scores below one threshold, ruled in when any scores
at or above another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.conformal import Refused
from overread.stats.intervals import Measured
from overread.stats.means import measured_share, most
from overread.stats.patients import Floats, patient_codes

Action = Literal["rule out", "rule in", "read"]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A threshold, and the risk that the calibration patients leave believable on its side."""

    threshold: float
    n_wrong: int
    n_patients: int
    """n_wrong of n_patients: what the bound rests on."""
    bound: float
    """The true risk is at or below it in all but 1 - confidence of calibration parts."""


@dataclass(frozen=True, kw_only=True)
class TriageRule:
    """Two thresholds, either of which may be refused; between them a human reads."""

    rule_out: Cut | Refused
    rule_in: Cut | Refused

    def actions(self, scores: ArrayLike) -> tuple[Action, ...]:
        """What happens to each patient, from the highest score among the patient's images, (n_patients,)."""
        low = self.rule_out.threshold if isinstance(self.rule_out, Cut) else -math.inf
        high = self.rule_in.threshold if isinstance(self.rule_in, Cut) else math.inf
        highest = np.asarray(scores, np.float64)
        return tuple("rule out" if s < low else "rule in" if s >= high else "read" for s in highest)


@dataclass(frozen=True, kw_only=True)
class TriageReport:
    """What a rule did on patients that it was not made on, each counted once."""

    missed: Measured
    """Share of the ill patients who were ruled out."""
    ill_ruled_out: Measured
    """Share of those ruled out who are ill (1 - NPV)."""
    alarmed: Measured
    """Share of the healthy patients who were ruled in."""
    healthy_ruled_in: Measured
    """Share of those ruled in who are healthy (1 - PPV)."""
    read: Measured
    """Share of the patients left to a human."""


def bound_rates(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[Any] | None = None,
    *,
    missed: float,
    alarmed: float,
    confidence: float = 0.95,
) -> TriageRule:
    """Rule with bounds on the share of the ill who are ruled out and of the healthy who are ruled in.

    positive: (n,) bool. scores: (n,) float, higher is more like the disease. patients: (n,); one is ill who has an
    ill image. missed, alarmed: the largest risks, between 0 and 1 (else ValueError, as for scores that are nan), each
    kept with the stated confidence. Exact: misses only grow with
    the threshold, so that no price is paid for the search (fixed-sequence Learn then Test, Angelopoulos et al. 2021,
    with the bound of Clopper & Pearson 1934). Holds at any prevalence. Assumes that new patients come as these did,
    with as many images; where both thresholds would take a patient, ruling out comes first.
    """
    _check_risks(missed, alarmed)
    ill, score = _by_patient(positive, scores, patients)
    rule_out = _tail(score[ill], missed, confidence, "ill")
    # mirrored: the highest healthy scores are the lowest of the negated
    mirrored = _tail(-score[~ill], alarmed, confidence, "healthy")
    if isinstance(mirrored, Refused):
        return TriageRule(rule_out=rule_out, rule_in=mirrored)
    floor = rule_out.threshold if isinstance(rule_out, Cut) else -math.inf
    high = max(floor, float(np.nextafter(-mirrored.threshold, math.inf)))
    alarms = int((score[~ill] >= high).sum())
    return TriageRule(rule_out=rule_out, rule_in=_cut(high, alarms, int((~ill).sum()), confidence))


def bound_predictions(
    positive: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[Any] | None = None,
    *,
    ill_ruled_out: float,
    healthy_ruled_in: float,
    thresholds: ArrayLike,
    confidence: float = 0.95,
) -> TriageRule:
    """Rule with bounds on the share of the ruled out who are ill (1 - NPV) and of the ruled in who are healthy.

    Other arguments as for `bound_rates`. thresholds: (m,) tried, fixed before these patients were seen, such as
    tenths of the validation scores. The aim of Angelopoulos et al. (2024, conformal triage); these risks need not
    grow with the threshold, so that all m are tested at once, each at (1 - confidence) / m (Bonferroni). Holds only
    at the prevalence of these patients.
    """
    _check_risks(ill_ruled_out, healthy_ruled_in)
    ill, score = _by_patient(positive, scores, patients)
    tried = np.unique(np.asarray(thresholds, np.float64))
    if not tried.size:
        raise ValueError("there are no thresholds to try")
    each = 1 - (1 - confidence) / tried.size
    below = [_cut(t, int((ill & (score < t)).sum()), int((score < t).sum()), each) for t in tried]
    above = [_cut(t, int((~ill & (score >= t)).sum()), int((score >= t).sum()), each) for t in tried]
    rule_out = _first(below[::-1], ill_ruled_out, "ruled out")
    floor = rule_out.threshold if isinstance(rule_out, Cut) else -math.inf
    kept = [cut for cut in above if cut.threshold >= floor]
    return TriageRule(rule_out=rule_out, rule_in=_first(kept, healthy_ruled_in, "ruled in"))


def triage_report(
    rule: TriageRule, positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None = None
) -> TriageReport:
    """Risks of a rule on other patients, with 95 % intervals; arguments as for `bound_rates`."""
    ill, score = _by_patient(positive, scores, patients)
    action = np.array(rule.actions(score))
    out, into = action == "rule out", action == "rule in"
    return TriageReport(
        missed=_share("ill and ruled out, of the ill", out[ill]),
        ill_ruled_out=_share("ill, of the ruled out", ill[out]),
        alarmed=_share("healthy and ruled in, of the healthy", into[~ill]),
        healthy_ruled_in=_share("healthy, of the ruled in", ~ill[into]),
        read=_share("left to a human", ~(out | into)),
    )


def _check_risks(*risks: float) -> None:
    for risk in risks:
        if not 0 < risk < 1:
            raise ValueError(f"a risk is {risk:g}; it must lie between 0 and 1")


def _share(name: str, hits: Bools) -> Measured:
    return measured_share(name, hits, list(range(hits.size)))


def _by_patient(positive: ArrayLike, scores: ArrayLike, patients: Sequence[Any] | None) -> tuple[Bools, Floats]:
    """Whether each patient is ill, and the highest score: (n_patients,) each."""
    is_positive, s = np.asarray(positive, bool), np.asarray(scores, np.float64)
    if np.isnan(s).any():
        raise ValueError(f"{np.isnan(s).sum()} of {s.size} scores are nan")
    codes = patient_codes(patients, s.size)
    n = int(codes.max(initial=-1)) + 1
    highest = np.full(n, -math.inf)
    np.maximum.at(highest, codes, s)
    return np.bincount(codes, weights=is_positive, minlength=n) > 0, highest


def _tail(scores: Floats, limit: float, confidence: float, noun: str) -> Cut | Refused:
    """Highest threshold with so few of these patients below it that the share of such patients is within limit."""
    n, allowed = scores.size, -1
    while allowed + 1 < n and most(allowed + 1, n, confidence=confidence) <= limit:
        allowed += 1
    if allowed < 0:
        needed = math.ceil(math.log(1 - confidence) / math.log(1 - limit) - 1e-9)
        return Refused(
            reason=f"{n} {noun} patients; a risk of {limit:.3g} with {confidence:.0%} confidence needs {needed}"
        )
    threshold = float(np.sort(scores)[allowed])
    return _cut(threshold, int((scores < threshold).sum()), n, confidence)


def _cut(threshold: float, n_wrong: int, n: int, confidence: float) -> Cut:
    bound = most(n_wrong, n, confidence=confidence)
    return Cut(threshold=float(threshold), n_wrong=n_wrong, n_patients=n, bound=bound)


def _first(cuts: Sequence[Cut], limit: float, group: str) -> Cut | Refused:
    """First cut that keeps the limit; else the best that was reached, in words."""
    for cut in cuts:
        if cut.bound <= limit:
            return cut
    best = min(cuts, key=lambda cut: cut.bound, default=None)
    reached = (
        "no threshold is left" if best is None else f"the best of {len(cuts)} thresholds leaves {best.bound:.3g}"
    )
    count = "" if best is None else f" ({best.n_wrong} wrong of {best.n_patients} patients {group})"
    return Refused(reason=f"a risk of {limit:.3g} cannot be promised: {reached}{count}")
