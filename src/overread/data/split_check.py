"""What keeps a cohort from being divided as asked, in sentences that say what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from overread.data.divide import groups_by_class
from overread.data.groups import Groups, cohort_groups
from overread.data.rows import Cohort, patient_hash
from overread.data.split_rule import PARTS, Rule, read_rule
from overread.errors import SplitError

_OVERRIDE = "accept figures that cannot be trusted with --split image"


def check_patients(cohort: Cohort, by: str) -> None:
    """Refuse, from headers and lists alone, a split that the patients do not allow. Raises SplitError."""
    rule = read_rule(by, cohort)
    if rule.kind == "given":
        _check_given(cohort)
    elif rule.kind == "site":
        _check_site(cohort, rule.site)
    elif rule.kind == "patient" and cohort.patients_from == "none":
        raise SplitError(
            "No patient is known, so --split patient cannot be done. Name them by a CSV column, by --patient-regex "
            "on the path, or give the DICOM files; or use --split alike, which keeps nearly equal images together."
        )
    elif rule.kind in ("patient", "alike", "fold") and cohort.patients_from != "none":
        check_groups(cohort, cohort_groups(cohort), rule)


def check_groups(cohort: Cohort, groups: Groups, rule: Rule) -> None:
    """Refuse a class that has too few patients, or groups of alike images, for one in each part."""
    n_groups = groups_by_class(groups, cohort.labels(), len(cohort.classes))
    if n_groups.min() >= rule.groups_needed:
        return
    counts = ", ".join(f"{name}: {n}" for name, n in zip(cohort.classes, n_groups, strict=True))
    few = [name for name, n in zip(cohort.classes, n_groups, strict=True) if n < rule.groups_needed]
    names = f"Class {few[0]} has" if len(few) == 1 else f"Classes {', '.join(few)} have"
    reason = "so a model tested on these images would recognise patients, not disease"
    if cohort.patients_from == "none":
        raise SplitError(
            f"{names} too few images that differ clearly ({counts} groups of nearly equal images; {rule.unit} needs "
            f"{rule.groups_needed} in each), so the same image would be trained and tested on. Add images of other "
            f"patients, or {_OVERRIDE}."
        )
    patients = {row.patient for row in cohort.rows}
    if len(patients) == 1 and (patient := patients.pop()) is not None:
        raise SplitError(
            f"All {len(cohort)} images carry one patient ({patient_hash(patient)}), {reason}. If anonymisation made "
            f"them equal, tell patients apart by a CSV column or --patient-regex; else add patients, or {_OVERRIDE}."
        )
    if n_groups.max() == 1:
        raise SplitError(f"Each class here is a single patient ({counts}), {reason}. Add patients, or {_OVERRIDE}.")
    raise SplitError(
        f"{names} too few patients ({counts}; {rule.unit} needs {rule.groups_needed} in each class), {reason}. Add "
        f"patients, leave the class out, or {_OVERRIDE}."
    )


def check_parts(cohort: Cohort, parts: Sequence[str], groups: Groups | None) -> None:
    """Refuse a split that leaves a class out of a part, or has a group in two parts."""
    labels, of_part = cohort.labels(), np.array(parts, dtype=object)
    for part in PARTS:
        counts = np.bincount(labels[of_part == part], minlength=len(cohort.classes))
        if not counts.all():
            lacking = cohort.classes[int(np.argmin(counts))]
            raise SplitError(
                f"No image of class {lacking} is in the {part} part ({counts.sum()} images in it). Give that class "
                "more patients, give that part a larger share, or leave the class out."
            )
    if groups is None:
        return
    used = of_part != ""
    in_parts = {(int(group), part) for group, part in zip(groups[used], of_part[used], strict=True)}
    if len(in_parts) > len(np.unique(groups[used])):
        raise SplitError("A patient is in two parts of the split, which must not happen. Please report this.")


def shared_patients(cohort: Cohort, parts: Sequence[str | None]) -> dict[str, list[str]]:
    """Known patients that are in more than one part, and those parts."""
    found: dict[str, set[str]] = {}
    for row, part in zip(cohort.rows, parts, strict=True):
        if row.patient is not None and part:
            found.setdefault(row.patient, set()).add(part)
    return {
        who: [part for part in (*PARTS, "calibrate") if part in held] for who, held in found.items() if len(held) > 1
    }


def _check_given(cohort: Cohort) -> None:
    parts = [row.split for row in cohort.rows]
    if missing := parts.count(None):
        raise SplitError(
            f"{missing} of {len(parts)} images have no part in the list. Name the column by --split-column and fill "
            "it with train, val and test, or make a new split with --split patient."
        )
    if lacking := [part for part in ("train", "test") if part not in parts]:
        raise SplitError(
            f"The list's split has no {' and no '.join(lacking)} part. Fill its column with train, val and test, or "
            "make a new split with --split patient."
        )
    if shared := shared_patients(cohort, parts):
        named = [f"{patient_hash(who)} in {' and '.join(held)}" for who, held in shared.items()]
        some = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
        are = "patient is" if len(shared) == 1 else "patients are"
        raise SplitError(
            f"{len(shared)} {are} in more than one part of the list's split ({some}). Mend "
            "the split column, or make a new split with --split patient."
        )


def _check_site(cohort: Cohort, name: str) -> None:
    sites = [row.site for row in cohort.rows]
    known = sorted({site for site in sites if site})
    if name not in known or len(known) < 2:
        found = f"the list names {', '.join(known)}" if known else "the list names none"
        raise SplitError(
            f"--split site:{name} needs that site and another; {found}. Name the column by --site-column."
        )
    if missing := sites.count(None):
        raise SplitError(
            f"{missing} of {len(sites)} images have no site, so they may be from {name}. Fill the site column."
        )
