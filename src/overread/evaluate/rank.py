"""Whether networks that were tested on the same images may be put in an order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from overread.errors import CohortError
from overread.evaluate.predictions import Predictions
from overread.stats.comparison import compare
from overread.stats.paired import Comparison
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
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}


def pairs(runs: Mapping[str, Predictions], *, figure: Figure, positive: str | None, seed: int) -> tuple[Pair, ...]:
    """Compare every two networks by the paired test that fits, p-values corrected by Holm for their number.

    runs: the predictions of each network for the same images in the same order, else CohortError. positive: of two
    classes the one that the AUROC is of. For more classes the AUROC is not compared: ValueError.
    """
    first = next(iter(runs.values()))
    for name, one in runs.items():
        if (one.paths, one.frames) != (first.paths, first.frames) or (one.truth != first.truth).any():
            raise CohortError(f"{name} was tested on other images than the first network: they cannot be compared.")
    label = None if positive is None else first.classes.index(positive)
    found = [
        compare(
            first.truth,
            runs[a].probabilities,
            runs[b].probabilities,
            figure=figure,
            rng=np.random.default_rng(seed),
            patients=first.known_patients,
            label=label,
        )
        for a, b in itertools.combinations(runs, 2)
    ]
    tested = [i for i, one in enumerate(found) if not math.isnan(one.p)]
    corrected = dict(zip(tested, holm([found[i].p for i in tested]), strict=True))
    return tuple(
        Pair(first=a, second=b, found=one, p_corrected=corrected.get(i, math.nan))
        for i, ((a, b), one) in enumerate(zip(itertools.combinations(runs, 2), found, strict=True))
    )


def ranking_in_words(found: tuple[Pair, ...]) -> str:
    """Whether the table of these networks may be read as an order, in one sentence."""
    figure = found[0].found.figure
    noun = "images" if found[0].found.n_patients is None else "patients"
    n = found[0].found.n_images if found[0].found.n_patients is None else found[0].found.n_patients
    apart = [pair for pair in found if pair.differ]
    if not apart:
        least = min(found, key=lambda pair: math.inf if math.isnan(pair.found.p) else pair.found.p)
        return (
            f"These figures put no network above another: on {n} {noun} no two differ in {figure} by more than "
            f"chance ({_closest(least)})."
        )
    words = "; ".join(_told(pair) for pair in apart)
    rest = len(found) - len(apart)
    others = f" The other {rest} pairs do not differ by more than chance." if rest else ""
    return f"In {figure}, {words}.{others}"


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


def _p(pair: Pair) -> str:
    return f"p = {pair.p_corrected:.3f} for {pair.found.test}"
