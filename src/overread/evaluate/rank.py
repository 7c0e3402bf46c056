"""Whether networks that were tested on the same images may be put in an order."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from overread.errors import CohortError
from overread.evaluate.predictions import Predictions
from overread.evaluate.score import TITLES
from overread.stats.comparison import Equivalence, compare, equivalence
from overread.stats.paired import Comparison, resampled_t
from overread.stats.probe import holm

LEVEL = 0.05
Figure = Literal["accuracy", "auroc"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two networks on the same images."""

    first: str
    second: str
    found: Comparison
    p_corrected: float
    """Holm's, for the number of pairs; nan where no test could be made"""
    equivalence: Equivalence | None = None
    """whether they are as good as each other, where a margin was stated"""

    @property
    def differ(self) -> bool:
        """Whether they differ by more than chance, with all pairs counted."""
        return self.p_corrected < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no nan: None stands for it."""
        low, high = self.found.interval()
        values = {
            "first": self.first,
            "second": self.second,
            "figure": self.found.figure,
            "first_value": self.found.first,
            "second_value": self.found.second,
            "difference": self.found.difference,
            "low": low,
            "high": high,
            "p": self.found.p,
            "p_corrected": self.p_corrected,
            "test": self.found.test,
            "why": self.found.why,
            "n_images": self.found.n_images,
            "n_patients": self.found.n_patients,
        }
        plain = _without_nan(values)
        return plain | {"equivalence": None if self.equivalence is None else _without_nan(vars(self.equivalence))}


def pairs(
    runs: Mapping[str, Predictions],
    *,
    figure: Figure,
    positive: str | None,
    seed: int,
    margin: float | None = None,
) -> tuple[Pair, ...]:
    """Compare every two networks by the paired test that fits, p-values corrected by Holm for their number.

    runs: the predictions of each network for the same images in the same order, else CohortError. positive: of two
    classes the one that the AUROC is of. For more classes the AUROC is not compared: ValueError. margin: the largest
    difference that does not matter, where equivalence is asked about; it is tested pair by pair, not corrected.
    """
    first = next(iter(runs.values()))
    for name, one in runs.items():
        if (one.paths, one.frames) != (first.paths, first.frames) or (one.truth != first.truth).any():
            raise CohortError(f"{name} was tested on other images than the first network: they cannot be compared.")
    label = None if positive is None else first.classes.index(positive)
    found = {
        (a, b): compare(
            first.truth,
            runs[a].probabilities,
            runs[b].probabilities,
            figure=figure,
            rng=np.random.default_rng(seed),
            patients=first.known_patients,
            label=label,
        )
        for a, b in itertools.combinations(runs, 2)
    }
    return _corrected(found, margin)


def pairs_of_folds(
    runs: Mapping[str, Sequence[float]],
    *,
    figure: str,
    n_train: int,
    n_test: int,
    n_patients: int | None,
    margin: float | None = None,
) -> tuple[Pair, ...]:
    """Compare every two ways of training by the figures of the same folds, as `pairs` does otherwise.

    runs: a figure a fold, of each way, in the same order. n_train, n_test: patients in a fold's parts. n_patients:
    all that were tested, None where they are not known.
    """
    found = {}
    for a, b in itertools.combinations(runs, 2):
        tested = resampled_t(runs[a], runs[b], n_train=n_train, n_test=n_test, figure=TITLES[figure])
        found[a, b] = dataclasses.replace(tested, n_patients=n_patients)
    return _corrected(found, margin)


def _corrected(found: Mapping[tuple[str, str], Comparison], margin: float | None) -> tuple[Pair, ...]:
    tested = [names for names, one in found.items() if not math.isnan(one.p)]
    corrected = dict(zip(tested, holm([found[names].p for names in tested]), strict=True))
    return tuple(
        Pair(
            first=names[0],
            second=names[1],
            found=one,
            p_corrected=corrected.get(names, math.nan),
            equivalence=None if margin is None else equivalence(one, margin),
        )
        for names, one in found.items()
    )


def ranking_in_words(found: tuple[Pair, ...]) -> str:
    """Whether the table of these networks may be read as an order; and, for a margin, which are as good as others."""
    figure, counted = found[0].found.figure, _counted(found[0].found)
    apart = [pair for pair in found if pair.differ]
    alike = "".join(f" {_as_good(pair, pair.equivalence)}" for pair in found if pair.equivalence is not None)
    if not apart:
        least = min(found, key=lambda pair: math.inf if math.isnan(pair.found.p) else pair.found.p)
        return (
            f"These figures put no network above another: {counted}no two differ in {figure} by more than chance "
            f"({_closest(least)}).{alike}"
        )
    words = "; ".join(_told(pair) for pair in apart)
    rest = len(found) - len(apart)
    others = f" The other {rest} pairs do not differ by more than chance." if rest else ""
    return f"In {figure}, {words}.{others}{alike}"


def _counted(found: Comparison) -> str:
    """What the figures are of, before a sentence goes on."""
    if found.n_patients is not None:
        return f"on {found.n_patients} patients "
    return "" if found.n_images is None else f"on {found.n_images} images "


def _told(pair: Pair) -> str:
    better, worse = (pair.first, pair.second) if pair.found.difference > 0 else (pair.second, pair.first)
    low, high = sorted(abs(end) for end in pair.found.interval())
    return (
        f"{better} is better than {worse} by {abs(pair.found.difference):.3f} ({low:.3f} to {high:.3f}, {_p(pair)})"
    )


def _closest(pair: Pair) -> str:
    if math.isnan(pair.found.p):
        return "no test could be made"
    low, high = pair.found.interval()
    return (
        f"the most unlike are {pair.first} and {pair.second}: {pair.found.difference:+.3f}, "
        f"{low:+.3f} to {high:+.3f}, {_p(pair)}"
    )


def _as_good(pair: Pair, tested: Equivalence) -> str:
    """What two one-sided tests let one say of a pair, in a sentence."""
    one, other, margin = pair.first, pair.second, f"{tested.margin:g}"
    if math.isnan(tested.low):
        return f"Whether {one} and {other} are equivalent cannot be tested on these images."
    if tested.verdict == "equivalent":
        words = f"{one} and {other} are equivalent: neither is better by {margin} or more"
    elif tested.verdict == "not worse":
        words = f"{one} is not inferior to {other}: if worse at all, by less than {margin}"
    elif tested.high < tested.margin:
        words = f"{other} is not inferior to {one}: if worse at all, by less than {margin}"
    else:
        words = f"Whether {one} and {other} are equivalent within {margin} stays open"
    shown = f"difference {pair.found.difference:+.3f}, 90 % interval {tested.low:+.3f} to {tested.high:+.3f}"
    return f"{words} ({shown})."


def _p(pair: Pair) -> str:
    return f"p = {pair.p_corrected:.3f} for {pair.found.test}"


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}
