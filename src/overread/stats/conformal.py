"""Sets of classes that hold the true one as often as promised, whatever the network: split conformal prediction.

numpy alone, since a prediction in a hospital repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.stats.patients import Floats, equal_weights, patient_codes

Kind = Literal["lac", "aps", "raps"]
Promise = Literal["image", "patient"]
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Refused:
    """No promise can be given, and why, in a sentence to print: a result, not an error."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Strangeness:
    """How strange a class would be for an image: what a set leaves out when it is too great."""

    kind: Kind = "lac"
    """`lac`: 1 - its probability (Sadinle, Lei & Wasserman 2019), the smallest sets. `aps`: the probability of the
    classes before it and its own (Romano, Sesia & Candes 2020), larger sets where an image is hard. `raps`: that
    with a price on many classes (Angelopoulos et al. 2021). Not randomised, the least probable class always counts 1
    or more, so that of two classes `aps` and `raps` mostly take both."""
    randomised: bool = False
    """Count a random part of the class's own probability (not `lac`): exact and smaller sets, which may differ
    between two readings of the same image, and may be empty."""
    price: float = 0.01
    """Of each class further than `free` in the order of probability, for `raps`."""
    free: int = 1

    def of(self, probabilities: ArrayLike, rng: np.random.Generator | None = None) -> Floats:
        """Scores (n, k) of probabilities (n, k); rng is needed where randomised, else ValueError."""
        p = np.asarray(probabilities, np.float64)
        if self.kind == "lac":
            return 1 - p
        part = np.ones((len(p), 1))
        if self.randomised:
            if rng is None:
                raise ValueError(f"randomised {self.kind} needs a random generator: rng")
            part = rng.random((len(p), 1))
        order = np.argsort(-p, axis=1, kind="stable")
        ranked = np.take_along_axis(p, order, axis=1)
        scores = np.cumsum(ranked, axis=1) - (1 - part) * ranked
        if self.kind == "raps":
            scores += self.price * np.maximum(0, np.arange(1, p.shape[1] + 1) - self.free)
        result = np.empty_like(p)
        np.put_along_axis(result, order, scores, axis=1)
        return result


@dataclass(frozen=True, kw_only=True)
class SetRule:
    """What a class's score may be for it to enter the set."""

    strangeness: Strangeness
    thresholds: tuple[float, ...]
    """One a class; all the same unless made class by class."""
    alpha: float
    by_class: bool
    promise: Promise
    n_patients: tuple[int, ...]
    """Calibration patients (or images, where those are unknown) behind each threshold."""

    def sets(self, probabilities: ArrayLike, rng: np.random.Generator | None = None) -> NDArray[np.bool_]:
        """Which classes are in the set of each image: (n, k) bool of probabilities (n, k)."""
        scores = self.strangeness.of(probabilities, rng)
        return np.asarray(scores <= np.asarray(self.thresholds) + _ROUNDING)


def patients_needed(alpha: float) -> int:
    """Smallest number of calibration patients that can promise 1 - alpha; ValueError unless 0 < alpha < 1.

    >>> patients_needed(0.1)
    9
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha:g}; it must lie between 0 and 1")
    return math.ceil((1 - alpha) / alpha - _ROUNDING)


def conformal_quantile(scores: ArrayLike, alpha: float, patients: Sequence[Any] | None = None) -> float | Refused:
    """Value that the score of one image of a new patient stays at or below with probability 1 - alpha or more.

    scores: (n,) float of the calibration images. Without patients the ceil((n + 1)(1 - alpha))-th smallest score
    (Vovk et al. 2005). With them every patient weighs the same, shared by the patient's images, and the new one's
    weight stands at infinity: hierarchical conformal prediction (Lee, Barber & Willett 2023), the pooling of Dunn,
    Wasserman & Ramdas (2023) with a guarantee in finite samples, and no draw of one image a patient.

    Assumes that patients are exchangeable with each other and the new one, and within a patient the images.
    """
    s = np.asarray(scores, np.float64)
    weights = equal_weights(patients, s.size)
    n = round(float(weights.sum()))
    target = (n + 1) * (1 - alpha)
    if n < patients_needed(alpha):
        noun = ("image" if patients is None else "patient") + ("" if n == 1 else "s")
        return Refused(
            reason=f"{n} calibration {noun}; a promise of {1 - alpha:.0%} needs at least {patients_needed(alpha)}"
        )
    order = np.argsort(s, kind="stable")
    place = int(np.searchsorted(np.cumsum(weights[order]), target - _ROUNDING, "left"))
    return float(s[order][min(place, s.size - 1)])


def calibrate_sets(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    alpha: float = 0.1,
    strangeness: Strangeness | None = None,
    by_class: bool = False,
    promise: Promise = "image",
    patients: Sequence[Any] | None = None,
    rng: np.random.Generator | None = None,
) -> SetRule | Refused:
    """Thresholds from a calibration part that the network has not seen, or why there are none.

    truth: (n,) int. probabilities: (n, k) float. by_class: the promise holds for the images of each class by itself
    (Mondrian, Vovk 2012), not just for all together; each class needs patients enough. promise: `image`, that an
    image drawn from a new patient has its class in its set; `patient`, that all images of a new patient have, by
    calibrating on each patient's worst. Assumptions: see `conformal_quantile`; another scanner or hospital breaks
    them.
    """
    t, p = np.asarray(truth, np.int64), np.asarray(probabilities, np.float64)
    how = strangeness or Strangeness()
    scores, codes = how.of(p, rng)[np.arange(t.size), t], patient_codes(patients, t.size)
    groups = [t == c for c in range(p.shape[1])] if by_class else [np.ones(t.size, bool)]
    found = [_threshold(scores[group], alpha, codes[group], promise) for group in groups]
    short = [(c, one) for c, one in enumerate(found) if isinstance(one, Refused)]
    if short:
        noun = "image" if patients is None else "patient"
        where = "; ".join(f"class {c}: {one.reason}" if by_class else one.reason for c, one in short)
        return Refused(reason=where.replace("patient", noun))
    sizes = [int(np.unique(codes[group]).size) for group in groups]
    repeats = 1 if by_class else p.shape[1]
    return SetRule(
        strangeness=how,
        thresholds=tuple(one for one in found if not isinstance(one, Refused)) * repeats,
        alpha=alpha,
        by_class=by_class,
        promise=promise,
        n_patients=tuple(sizes) * repeats,
    )


def _threshold(scores: Floats, alpha: float, codes: NDArray[np.int64], promise: Promise) -> float | Refused:
    if promise == "image" or not scores.size:
        return conformal_quantile(scores, alpha, list(codes))
    worst = np.full(int(codes.max()) + 1, -math.inf)
    np.maximum.at(worst, codes, scores)
    worst = worst[np.unique(codes)]
    return conformal_quantile(worst, alpha, list(range(worst.size)))
