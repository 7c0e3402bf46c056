"""Which of two models is better: the test that fits the figure and the patients, and what may be said after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from overread.stats.paired import Comparison, delong_test, mcnemar, mcnemar_clustered, swap_test
from overread.stats.patients import patient_codes

FEW_A_SIDE = 20
"""Fewer patients in a class than this: an AUROC is not near normal, and its variance is itself uncertain."""
FEW_UNLIKE = 25
"""Fewer patients than this whom the models read differently: no chi-squared (Fagerland et al. 2013)."""

Verdict = Literal["equivalent", "not worse", "worse", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Whether the first model is as good as the second, but for a margin stated beforehand."""

    verdict: Verdict
    margin: float
    low: float
    """Ends of the 90 % interval of first - second: both one-sided tests at 5 %."""
    high: float
    p_worse: float
    """Of the hypothesis that the first is worse by the margin or more: small, then it is not."""
    p_better: float
    """Of the hypothesis that the first is better by the margin or more."""


def compare(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    figure: Literal["accuracy", "auroc"],
    rng: np.random.Generator,
    patients: Sequence[Any] | None = None,
    label: int | None = None,
) -> Comparison:
    """Compare two models on the same images by the paired test that fits, and say why it does.

    truth: (n,) int. first, second: (n, k) float probabilities. patients: (n,). label: the class that the AUROC is
    of; the second of two by default, ValueError where there are more, or no images. For two ways of training, each
    trained many times by cross-validation, see `paired.resampled_t`: one model a side says nothing of its seed.
    """
    t, a, b = np.asarray(truth, np.int64), np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not t.size:
        raise ValueError("there are no images to compare the models on")
    if figure == "accuracy":
        return _compare_accuracy(a.argmax(axis=1) == t, b.argmax(axis=1) == t, patients)
    if label is None and a.shape[1] != 2:
        raise ValueError(f"an AUROC of {a.shape[1]} classes needs the label of the class that it is of")
    of = 1 if label is None else label
    return _compare_auroc(t == of, a[:, of], b[:, of], patients, rng)


def equivalence(found: Comparison, margin: float) -> Equivalence:
    """Two one-sided tests at 5 %, read off the 90 % interval of the difference: Schuirmann (1987).

    margin: above 0 (else ValueError), the largest difference that does not matter, stated before the data were
    seen. `not worse`: the interval ends above -margin; `equivalent`: it lies within the margin on both sides;
    `worse`: wholly below -margin; else `undecided`, as where there is no interval. Not to differ is not to be equal.
    """
    if not margin > 0:
        raise ValueError(f"the margin is {margin:g}; it must be above 0")
    low, high = found.interval(0.90)
    verdict: Verdict = "undecided"
    if low > -margin:
        verdict = "equivalent" if high < margin else "not worse"
    elif high < -margin:
        verdict = "worse"
    return Equivalence(
        verdict=verdict,
        margin=margin,
        low=low,
        high=high,
        p_worse=1 - found.tail(-margin),
        p_better=found.tail(margin),
    )


def _compare_auroc(
    positive: Any, first: Any, second: Any, patients: Sequence[Any] | None, rng: np.random.Generator
) -> Comparison:
    codes = patient_codes(patients, positive.size)
    rarer = min(np.unique(codes[positive]).size, np.unique(codes[~positive]).size)
    noun = "images" if patients is None else "patients"
    if rarer < FEW_A_SIDE:
        found = swap_test(positive, first, second, patients=patients, rng=rng)
        return dataclasses.replace(found, why=f"{rarer} {noun} on the rarer side, too few for DeLong's test")
    found = delong_test(positive, first, second, patients)
    return dataclasses.replace(found, why=f"{rarer} {noun} on the rarer side, enough for a normal distribution")


def _compare_accuracy(first_right: Any, second_right: Any, patients: Sequence[Any] | None) -> Comparison:
    gaps = first_right.astype(np.int64) - second_right.astype(np.int64)
    codes = patient_codes(patients, gaps.size)
    unlike = int((np.bincount(codes, weights=gaps) != 0).sum())
    if patients is None or codes.max() + 1 == gaps.size:
        noun = "images" if patients is None else "patients with one image each"
        return dataclasses.replace(mcnemar(first_right, second_right, patients), why=f"independent {noun}")
    if unlike < FEW_UNLIKE:
        why = f"only {unlike} patients on whom the models differ: every swap can be counted"
        return dataclasses.replace(mcnemar(first_right, second_right, patients), why=why)
    why = f"several images a patient, and {unlike} patients on whom the models differ"
    return dataclasses.replace(mcnemar_clustered(first_right, second_right, patients), why=why)
