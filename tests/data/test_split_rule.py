from __future__ import annotations

from pathlib import Path

import pytest

from overread.data.rows import Cohort, Row
from overread.data.split_rule import Rule, read_rule
from overread.errors import SettingsError, SplitError


def cohort(*, patient: str | None = None, splits: tuple[str | None, ...] = (None, None)) -> Cohort:
    rows = [Row(path=f"{at}.png", label="x", patient=patient, split=split) for at, split in enumerate(splits)]
    return Cohort(root=Path(), rows=tuple(rows), classes=("x",))


@pytest.mark.parametrize(
    ("by", "rule", "unit"),
    [
        ("patient", Rule(kind="patient"), "patient"),
        ("image", Rule(kind="image"), "image"),
        ("given", Rule(kind="given"), "given"),
        ("fold:2/5", Rule(kind="fold", fold=2, n_folds=5), "fold 2 of 5"),
        ("site:St. Mary", Rule(kind="site", site="St. Mary"), "site St. Mary"),
    ],
)
def test_words_for_rules(by: str, rule: Rule, unit: str) -> None:
    assert read_rule(by, cohort()) == rule
    assert rule.unit == unit


@pytest.mark.parametrize(
    "by", ["", "patients", "fold", "fold:2", "fold:0/5", "fold:6/5", "fold:1/1", "fold:1/101", "site:"]
)
def test_other_words_are_refused(by: str) -> None:
    with pytest.raises(SettingsError, match="--split"):
        read_rule(by, cohort())


def test_auto_takes_what_the_cohort_knows() -> None:
    assert read_rule("auto", cohort()).kind == "alike"
    assert read_rule("auto", cohort(patient="P")).kind == "patient"
    assert read_rule("auto", cohort(patient="P", splits=("train", "test"))).kind == "given"


def test_auto_does_not_guess_where_some_images_have_a_part() -> None:
    with pytest.raises(SplitError, match="1 of 2 images have no part"):
        read_rule("auto", cohort(splits=("train", None)))


def test_folds_need_a_group_each() -> None:
    needed = [Rule(kind="fold", fold=1, n_folds=n).groups_needed for n in (2, 3, 5)]
    assert (Rule(kind="patient").groups_needed, needed) == (3, [4, 3, 5])
