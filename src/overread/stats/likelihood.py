"""What a positive and a negative reading say about a patient: likelihood ratios and predictive values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from overread.stats.intervals import Measured
from overread.stats.means import Share, share
from overread.stats.patients import count_patients, of_some


@dataclass(frozen=True, kw_only=True)
class LikelihoodRatios:
    """By how much a reading multiplies the odds of disease."""

    positive: Measured
    """sensitivity / (1 - specificity)"""
    negative: Measured
    """(1 - sensitivity) / specificity"""


@dataclass(frozen=True, kw_only=True)
class PredictiveValues:
    """How often a reading is right where a stated share of the patients is ill."""

    prevalence: float
    positive: Measured
    """share of the positive readings with the disease (PPV)"""
    negative: Measured
    """share of the negative readings without it (NPV)"""


def likelihood_ratios(
    positive: ArrayLike, called: ArrayLike, patients: Sequence[Any] | None = None
) -> LikelihoodRatios:
    """Likelihood ratios of a reading, with 95 % intervals by the log method of Simel et al. (1991).

    positive, called: (n,) bool, the disease and the reading. patients: (n,); the counts are then divided by the
    design effect of each side (Rao & Scott 1992), so that copies of an image add nothing. A half is added to
    each cell of a ratio with an empty one. nan where images of either side are missing. Assumes independent
    patients, and that a patient's ill and healthy images, if there are both, vary apart: wider than needed where not.
    """
    ill, call = np.asarray(positive, bool), np.asarray(called, bool)
    hits = share(call[ill], of_some(patients, ill))
    alarms = share(call[~ill], of_some(patients, ~ill))
    n_images, n_patients = ill.size, count_patients(patients)
    return LikelihoodRatios(
        positive=_ratio("positive likelihood ratio", hits, alarms, n_images, n_patients),
        negative=_ratio("negative likelihood ratio", _rest(hits), _rest(alarms), n_images, n_patients),
    )


def predictive_values(ratios: LikelihoodRatios, prevalence: float) -> PredictiveValues:
    """Predictive values by Bayes' rule at a stated prevalence, 0 to 1 (else ValueError).

    Their intervals are those of the likelihood ratios carried over: the prevalence counts as known. Assumes that
    sensitivity and specificity are the same there as here.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"prevalence is {prevalence:g}; it must lie between 0 and 1")
    odds = prevalence / (1 - prevalence)
    up, down = ratios.positive, ratios.negative
    method = f"Bayes' rule at prevalence {prevalence:g}; {up.method}"
    ppv = [odds * ratio / (1 + odds * ratio) for ratio in (up.value, up.low, up.high)]
    npv = [1 / (1 + odds * ratio) for ratio in (down.value, down.high, down.low)]
    return PredictiveValues(
        prevalence=prevalence,
        positive=dataclasses.replace(
            up, name="positive predictive value", value=ppv[0], low=ppv[1], high=ppv[2], method=method
        ),
        negative=dataclasses.replace(
            down, name="negative predictive value", value=npv[0], low=npv[1], high=npv[2], method=method
        ),
    )


def _rest(one: Share) -> Share:
    return dataclasses.replace(one, value=1 - one.value)


def _ratio(name: str, top: Share, bottom: Share, n_images: int, n_patients: int | None) -> Measured:
    cells = [top.value * top.size, bottom.value * bottom.size]
    sizes, method = [top.size, bottom.size], "log method (Simel)"
    value = low = high = math.nan
    if n_patients is not None:
        method += ", effective images by patient"
    if not min(sizes):
        method = "no image of one side"
    else:
        if min(cells) <= 0:
            cells, sizes = [cell + 0.5 for cell in cells], [size + 1 for size in sizes]
            method += ", a half added to each cell because one is empty"
        value = cells[0] / sizes[0] / (cells[1] / sizes[1])
        error = math.sqrt(max(0.0, sum(1 / cell - 1 / size for cell, size in zip(cells, sizes, strict=True))))
        far = math.exp(float(ndtri(0.975)) * error)
        low, high = value / far, value * far
    return Measured(
        name=name, value=value, low=low, high=high, n_images=n_images, n_patients=n_patients, method=method
    )
