"""Quality of Hounsfield units: whether the values of a series can be what its header says they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overread.audit.appearance import has_hounsfield, is_empty
from overread.audit.check import Check, Finding
from overread.audit.spread import spread
from overread.audit.subject import Subject
from overread.data.measures import column

_NO_AIR_HU, _TOO_LOW_HU = -200, -1400
"""the darkest percentile of a series: above the first there is no air, below the second even air is too dark"""
_BONE_HU, _ABSURD_MEDIAN_HU = 1000, 500
_OFF_HU = 250
"""distance of a series' air from that of the other series"""
_LEAST_SERIES = 4
_CUT_LOW, _CUT_HIGH = 0.05, 0.002
"""share of pixels that are exactly the least, and the greatest value, in values that were cut to a window"""
_UNCUT_LOW_HU = -900


class WrongHounsfield(Check):
    """Series that say Hounsfield units, and whose values cannot be that."""

    code = "Q09"
    title = "Values cannot be Hounsfield units"
    severity = "serious"
    reference = "DICOM PS3.3 C.11.1.1.2 (Rescale Type); Hounsfield 1973, Br J Radiol 46:1016"

    def look(self, subject: Subject) -> Finding | None:
        """Series by series; shifted or 8-bit values are serious, values without air or cut to a window a note."""
        if subject.measures is None:
            return None
        wrong: dict[str, list[int]] = {}
        for reason, places in _by_reason(subject, subject.measures):
            wrong.setdefault(reason, []).extend(places)
        if not wrong:
            return None
        touched = sorted(at for places in wrong.values() for at in places)
        by_class = spread(subject, touched)
        grave = any(reason not in _HARMLESS for reason in wrong)
        return self.finding(
            what=f"{len(touched)} of {len(subject)} images say Hounsfield units, and "
            f"{'; '.join(f'in {len(places)} {reason}' for reason, places in wrong.items())} "
            f"({by_class}).{by_class.warning}",
            do="Look at rescale slope and intercept of these series, or train with --window header.",
            n=len(touched),
            unit="images",
            where=[subject.name(at) for at in touched],
            evidence={"reasons": {reason: len(places) for reason, places in wrong.items()}, **by_class.to_json()},
            severity="serious" if grave else by_class.severity,
        )


_SHIFTED_UP = "air and tissue are far too bright, as if the intercept were missing"
_SHIFTED_DOWN = "air is far darker than -1000, as if the intercept counted twice"
_PICTURE = "all values are grey levels from 0 to 255"
_OFF = "air is more than 250 HU from that of the other series"
_CUT = "the values were cut to a window"
_NO_AIR = "there is no air, so they are cropped, masked or no CT"
_HARMLESS = (_CUT, _NO_AIR)


def _by_reason(subject: Subject, measures: NDArray[np.float32]) -> list[tuple[str, list[int]]]:
    """What is wrong with each series that is wrong, and the places of its images."""
    series: dict[str, list[int]] = {}
    for at in np.flatnonzero(has_hounsfield(subject) & ~is_empty(subject)).tolist():
        row = subject.row(at)
        series.setdefault(row.series or row.path, []).append(at)
    air = {name: float(np.median(column(measures[places], "floor"))) for name, places in series.items()}
    usual = float(np.median(list(air.values()))) if len(air) >= _LEAST_SERIES else None
    found = []
    for name, places in series.items():
        reason = _reason(measures[places])
        if reason is None and usual is not None and abs(air[name] - usual) > _OFF_HU:
            reason = _OFF
        if reason is not None:
            found.append((reason, places))
    return found


def _reason(own: NDArray[np.float32]) -> str | None:
    """Why the frames of one series cannot have Hounsfield units, by their medians; None where they can."""
    low, floor, middle, p99, high = (
        float(np.median(column(own, name))) for name in ("low", "floor", "median", "p99", "high")
    )
    if low >= 0 and high <= 255:
        return _PICTURE
    if middle > _ABSURD_MEDIAN_HU or (floor > _NO_AIR_HU and p99 > _BONE_HU):
        return _SHIFTED_UP
    if floor < _TOO_LOW_HU:
        return _SHIFTED_DOWN
    at_low, at_high = (float(np.median(column(own, name))) for name in ("lowest_share", "highest_share"))
    if low > _UNCUT_LOW_HU and at_low >= _CUT_LOW and at_high >= _CUT_HIGH:
        return _CUT
    return _NO_AIR if floor > _NO_AIR_HU else None


CHECKS: tuple[type[Check], ...] = (WrongHounsfield,)
