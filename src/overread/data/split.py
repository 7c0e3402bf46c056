"""Who is trained on, who picks the best epoch, and who is tested on: no patient in two parts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from overread.data.divide import divide_groups, divide_images
from overread.data.groups import Groups, cohort_groups
from overread.data.rows import Cohort
from overread.data.split_check import check_groups, check_parts, check_patients, shared_patients
from overread.data.split_rule import PARTS, Rule, read_rule
from overread.errors import SettingsError, SplitError

__all__ = [
    "PARTS",
    "SHARED",
    "UNKNOWN",
    "Split",
    "check_patients",
    "folds",
    "leave_one_site_out",
    "split_cohort",
]

SHARED = "split by image: patients are shared between train and test"
UNKNOWN = "patients unknown: these figures may be too good"
Fractions = tuple[float, float, float]
FRACTIONS: Fractions = (0.7, 0.15, 0.15)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The part of each row of a cohort: "train", "val", "calibrate", "test", or "" for a row that is not used.

    `unit` says what was not divided: "patient", "alike" (images that are nearly the same), "image", "given",
    "fold 2 of 5" or "site NAME". `marks` are sentences that every output made with the split must carry.
    """

    parts: tuple[str, ...] = field(repr=False)
    unit: str
    seed: int
    marks: tuple[str, ...] = ()

    def indices(self, part: str) -> NDArray[np.int64]:
        """The places of the rows of a part: (m,) int64, in order."""
        return np.flatnonzero(np.array(self.parts, dtype=object) == part)


def split_cohort(
    cohort: Cohort,
    *,
    by: str = "auto",
    fractions: Fractions = FRACTIONS,
    calibrate: float = 0.0,
    seed: int = 0,
    groups: Groups | None = None,
) -> Split:
    """Divide a cohort, stratified by class; the same seed gives the same split.

    `by`: "patient"; "alike" where patients are unknown; "image"; "given" (the list's own parts); "fold:K/N"
    (test is fold K of N); "site:NAME" (test is that site); "auto" is given, else patient, else alike.
    `fractions` of train, val and test. `groups` are those of `alike_groups`: (n,) int64; they count for rows
    without a patient. A validation part that the list, a fold or a site does not bring is taken from training,
    by patient, and so is a calibration part, the share `calibrate` of all. Raises SplitError where it cannot be
    done, SettingsError for another `by`.
    """
    rule = read_rule(by, cohort)
    if len(fractions) != 3 or min(fractions) <= 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise SettingsError(f"Shares of train, val and test are {fractions}; expected three that sum to 1.")
    check_patients(cohort, by)
    together = cohort_groups(cohort, groups)
    work = _Work(cohort=cohort, together=together, fractions=fractions, rng=np.random.default_rng(seed))
    parts = _MAKERS[rule.kind](work, rule)
    if calibrate and "calibrate" not in parts.tolist():
        parts = _take_from_train(work, parts, "calibrate", calibrate * len(cohort), by_image=rule.kind == "image")
    kept_whole = rule.kind not in ("image", "given")
    check_parts(cohort, parts.tolist(), together if kept_whole else None)
    marks = _marks(cohort, parts.tolist(), rule)
    return Split(parts=tuple(parts.tolist()), unit=rule.unit, seed=seed, marks=marks)


def folds(
    cohort: Cohort, k: int, *, seed: int = 0, fractions: Fractions = FRACTIONS, groups: Groups | None = None
) -> list[Split]:
    """The `k` splits of cross-validation; each image is in the test part of one of them."""
    return [
        split_cohort(cohort, by=f"fold:{fold}/{k}", fractions=fractions, seed=seed, groups=groups)
        for fold in range(1, k + 1)
    ]


def leave_one_site_out(
    cohort: Cohort, *, seed: int = 0, fractions: Fractions = FRACTIONS, groups: Groups | None = None
) -> list[Split]:
    """One split for each site, which is its test part. Raises SplitError where fewer than two are known."""
    sites = sorted({row.site for row in cohort.rows if row.site})
    if len(sites) < 2:
        raise SplitError(
            f"Leaving one site out needs two sites, found {len(sites)}. Name the column by --site-column."
        )
    return [split_cohort(cohort, by=f"site:{site}", fractions=fractions, seed=seed, groups=groups) for site in sites]


Parts = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every way of dividing needs."""

    cohort: Cohort
    together: Groups
    fractions: Fractions
    rng: np.random.Generator


def _by_group(work: _Work, rule: Rule) -> Parts:
    check_groups(work.cohort, work.together, rule)
    codes = divide_groups(work.together, work.cohort.labels(), work.fractions, work.rng)
    return _names(codes)


def _by_image(work: _Work, rule: Rule) -> Parts:
    n = len(work.cohort)
    # the small number keeps 0.1 x 30 = 2.9999... from losing an image
    n_train, n_val = (math.floor(share * n + 1e-6) for share in work.fractions[:2])
    return _names(divide_images(work.cohort.labels(), (n_train, n_val, n - n_train - n_val), work.rng))


def _as_given(work: _Work, rule: Rule) -> Parts:
    parts = np.array([row.split for row in work.cohort.rows], dtype=object)
    return parts if "val" in parts.tolist() else _with_val(work, parts)


def _by_fold(work: _Work, rule: Rule) -> Parts:
    check_groups(work.cohort, work.together, rule)
    # the fold's number comes after the folds are made: all folds of one seed fit together
    shares = [1 / rule.n_folds] * rule.n_folds
    fold = divide_groups(work.together, work.cohort.labels(), shares, work.rng)
    parts = np.where(fold == rule.fold - 1, "test", "train").astype(object)
    return _with_val(work, parts)


def _by_site(work: _Work, rule: Rule) -> Parts:
    """Test is the site; rows elsewhere of a patient (or group) who was also seen there are left out."""
    there = np.array([row.site == rule.site for row in work.cohort.rows])
    parts = np.where(there, "test", "train").astype(object)
    parts[~there & np.isin(work.together, work.together[there])] = ""
    return _with_val(work, parts)


def _with_val(work: _Work, parts: Parts) -> Parts:
    """Take the validation part from the training part."""
    share = work.fractions[1] / (work.fractions[0] + work.fractions[1])
    return _take_from_train(work, parts, "val", share * int((parts == "train").sum()))


def _take_from_train(work: _Work, parts: Parts, name: str, n_images: float, *, by_image: bool = False) -> Parts:
    """Take about so many images from the training part, whole groups at a time, or by image."""
    train = np.flatnonzero(parts == "train")
    if not len(train):
        return parts
    share = min(n_images / len(train), 0.9)
    labels = work.cohort.subset(train).labels()
    together = np.arange(len(train)) if by_image else work.together[train]
    groups = np.unique(together, return_inverse=True)[1].reshape(-1)
    taken = divide_groups(groups, labels, (1 - share, share), work.rng) == 1
    parts[train[taken]] = name
    return parts


def _names(codes: NDArray[np.int64]) -> Parts:
    return np.array(PARTS, dtype=object)[codes]


def _marks(cohort: Cohort, parts: list[str], rule: Rule) -> tuple[str, ...]:
    """The sentences that every output must carry."""
    unknown = any(row.patient is None for row in cohort.rows)
    marks = []
    if rule.kind == "image" and (unknown or shared_patients(cohort, parts)):
        marks.append(SHARED)
    if unknown:
        marks.append(UNKNOWN)
    if left_out := parts.count(""):
        marks.append(f"{left_out} images are in no part: their patients were also seen at site {rule.site}")
    return tuple(marks)


_MAKERS = {
    "patient": _by_group,
    "alike": _by_group,
    "image": _by_image,
    "given": _as_given,
    "fold": _by_fold,
    "site": _by_site,
}
