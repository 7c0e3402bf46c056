"""The words after `--split`, and what they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from overread.data.rows import Cohort
from overread.errors import SettingsError, SplitError

PARTS = ("train", "val", "test")
"""the parts that every split has; a calibration part may be taken from training"""
_MAX_FOLDS = 100


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What must not be divided: kind "given", "patient", "alike", "image", "fold" (`fold` of `n_folds`), "site"."""

    kind: str
    fold: int = 0
    n_folds: int = 0
    site: str = ""

    @property
    def unit(self) -> str:
        """The rule in words, as every output names it."""
        words = {"fold": f"fold {self.fold} of {self.n_folds}", "site": f"site {self.site}"}
        return words.get(self.kind, self.kind)

    @property
    def groups_needed(self) -> int:
        """How many groups each class must have, for one in each part and some to choose from."""
        # with two folds the half that is not tested on is divided once more
        return max(4 if self.n_folds == 2 else 3, self.n_folds)


def read_rule(by: str, cohort: Cohort) -> Rule:
    """The rule that `by` names; `auto` is given, else patient, else alike, by what the cohort knows.

    Raises SettingsError for words that are no rule, SplitError for `auto` where some rows have a part and some
    have none.
    """
    if by == "auto":
        return Rule(kind=_automatic(cohort))
    if by in ("given", "patient", "alike", "image"):
        return Rule(kind=by)
    if found := re.fullmatch(r"fold:([0-9]{1,3})/([0-9]{1,3})", by):
        fold, n_folds = int(found[1]), int(found[2])
        if 2 <= n_folds <= _MAX_FOLDS and 1 <= fold <= n_folds:
            return Rule(kind="fold", fold=fold, n_folds=n_folds)
        raise SettingsError(
            f"--split {by} is out of range; write fold:K/N with N from 2 to {_MAX_FOLDS} and K from 1 to N."
        )
    if by.startswith("site:") and by != "site:":
        return Rule(kind="site", site=by.removeprefix("site:").strip())
    raise SettingsError(
        f"--split {by} is not known; it is auto, patient, alike, image, given, fold:K/N (such as fold:1/5) or "
        "site:NAME."
    )


def _automatic(cohort: Cohort) -> str:
    n_given = sum(row.split is not None for row in cohort.rows)
    if n_given == len(cohort):
        return "given"
    if n_given:
        raise SplitError(
            f"{len(cohort) - n_given} of {len(cohort)} images have no part in the list's split column. Fill it, or "
            "make a new split with --split patient."
        )
    return "patient" if any(row.patient is not None for row in cohort.rows) else "alike"
