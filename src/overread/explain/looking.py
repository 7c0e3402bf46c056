"""Where a network looks over many images, with intervals by patient, in sentences for a radiologist."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overread.explain.where import REGIONS, Regions, evidence_for, shares
from overread.stats.intervals import Measured
from overread.stats.means import measured_mean, measured_share

_LESS, _MORE, _OFTEN = 0.9, 1.1, 0.25
"""times a region's own size, the evidence in it that is few, and that is too much; and share of the images' peaks"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One region of the pictures, and how much of the evidence lies in it."""

    region: str
    """a key of `REGIONS`"""
    share: Measured
    """of the evidence for the answer, over the images that have the region"""
    area: float
    """of the picture: what evidence that is spread evenly would have there"""
    peak: Measured
    """of these images, those whose place with most evidence lies in it"""
    label: str | None = None
    """the answer that the images have; None for all"""

    @property
    def is_much(self) -> bool:
        """Whether the evidence lies there more than its size explains, by more than chance."""
        return bool(self.share.low > _MORE * self.area or self.peak.low > max(_OFTEN, self.area))


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Where the evidence for the answers lies."""

    places: tuple[Place, ...]
    """for all answers together, then for each class"""
    n_images: int
    n_patients: int | None
    part: str

    def sentences(self) -> tuple[str, ...]:
        """What it comes to, for a radiologist: what is wrong first."""
        wrong = [_say(place) for place in self.wrong]
        body = next((place for place in self.places if place.region == "outside" and place.label is None), None)
        if wrong or body is None:
            return tuple(wrong)
        inside = 1 - body.share.value
        low, high = max(0.0, 1 - body.share.high), min(1.0, 1 - body.share.low)
        even = not body.share.high < _LESS * body.area
        lead = "Its evidence is hardly drawn to the body" if even else "The network looks at the body"
        return (
            f"{lead}: {inside:.0%} of the evidence for its answers lies in it ({low:.0%} to {high:.0%}), which takes "
            f"{1 - body.area:.0%} of the picture.",
        )

    @property
    def wrong(self) -> tuple[Place, ...]:
        """Regions without disease that it looks at; of one class where this does not hold for all together."""
        of_all = {place.region for place in self.places if place.label is None and place.is_much}
        return tuple(
            place for place in self.places if place.is_much and (place.label is None or place.region not in of_all)
        )

    @property
    def shown(self) -> tuple[Place, ...]:
        """The places for all answers together, and those of a class that are wrong."""
        return (*(place for place in self.places if place.label is None), *(p for p in self.wrong if p.label))


_WRONG = {
    "outside": "{share} of the evidence lies outside the body ({low} to {high}), which takes {area} of the "
    "picture: it may look at a table, a marker or the frame, and not at the disease.",
    "edge": "{share} of the evidence lies in the outer rim ({low} to {high}), which takes {area} of the "
    "picture: it may look at how the picture was cut or marked, and not at the disease.",
    "letters": "it reads burnt-in letters: {n} images have some, and in {peak} of these the strongest "
    "evidence is at them; they and what touches them hold {share} of all evidence ({low} to {high}) on {area} of "
    "the picture.",
}


def _say(place: Place) -> str:
    text = _WRONG[place.region].format(**_words(place))
    return f"Where it answers {place.label}, {text}" if place.label else text[0].upper() + text[1:]


def _words(place: Place) -> dict[str, str]:
    return {
        "share": f"{place.share.value:.0%}",
        "low": f"{max(0.0, place.share.low):.0%}",
        "high": f"{min(1.0, place.share.high):.0%}",
        "area": f"{place.area:.0%}" if place.area >= 0.01 else "less than 1 %",
        "peak": f"{place.peak.value:.0%}",
        "n": str(place.share.n_images),
    }


def look(
    class_maps: NDArray[np.float32],
    regions: Iterable[Regions],
    answers: ArrayLike,
    patients: Sequence[str | None],
    classes: Sequence[str],
    *,
    part: str = "test",
) -> Looking:
    """Measure where the evidence for each image's answer lies.

    class_maps: (n, k, h, w). regions: of each image, in order. answers: (n,) places of the classes. Images without a
    region, or without evidence, do not count for it. Intervals take patients as independent.
    """
    said = np.asarray(answers, np.int64)
    found = [
        shares(evidence_for(maps, answer), where)
        for maps, answer, where in zip(class_maps, said.tolist(), regions, strict=True)
    ]
    known = None if None in patients else [str(patient) for patient in patients]
    chosen: dict[str | None, NDArray[np.bool_]] = {
        None: np.ones(said.size, bool),
        **{name: said == code for code, name in enumerate(classes)},
    }
    places = [
        _place(name, label, np.array([one[name] for one in found], float), where, known, part)
        for label, where in chosen.items()
        for name in REGIONS
    ]
    return Looking(
        places=tuple(place for place in places if place is not None),
        n_images=len(found),
        n_patients=None if known is None else len(set(known)),
        part=part,
    )


def _place(
    name: str,
    label: str | None,
    values: NDArray[np.float64],
    where: NDArray[np.bool_],
    patients: Sequence[str] | None,
    part: str,
) -> Place | None:
    """values: (n, 3) share of the evidence, of the picture, and whether the peak is there; None without an image."""
    counted = where & (values[:, 1] > 0) & np.isfinite(values[:, 0]) if len(values) else where
    if not counted.any():
        return None
    chosen = values[counted]
    of = None if patients is None else [patients[i] for i in np.flatnonzero(counted).tolist()]
    share = measured_mean(f"evidence_{name}", chosen[:, 0], of)
    peak = measured_share(f"peak_{name}", chosen[:, 2] > 0, of)
    return Place(
        region=name,
        label=label,
        share=dataclasses.replace(share, part=part, label=label),
        area=float(chosen[:, 1].mean()),
        peak=dataclasses.replace(peak, part=part, label=label),
    )
