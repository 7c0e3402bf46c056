from __future__ import annotations

import pytest

from overread.data.rows import Row
from overread.evaluate.facts import facts_of


def row(site: str | None = None, **tags: str) -> Row:
    return Row(path="1.dcm", label="a", patient="p", site=site, tags=tags)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        ("0", "0 to 19"),
        ("19.9", "0 to 19"),
        ("20", "20 to 39"),
        ("79", "60 to 79"),
        ("80", "80 and over"),
        ("103", "80 and over"),
        ("?", ""),
    ],
)
def test_ages_are_bands_and_the_oldest_are_one(years: str, band: str) -> None:
    assert facts_of([row(age_years=years), row(age_years="50")])["age"] == (band, "40 to 59")


@pytest.mark.parametrize(
    ("mm", "band"),
    [
        ("0.6", "up to 1.5 mm"),
        ("1.5", "up to 1.5 mm"),
        ("1.6", "1.5 to 3 mm"),
        ("3.0", "1.5 to 3 mm"),
        ("5", "above 3 mm"),
    ],
)
def test_slices_are_thin_or_thick(mm: str, band: str) -> None:
    assert facts_of([row(thickness_mm=mm)]) == {"thickness": (band,)}


def test_what_is_known_of_nobody_is_left_out() -> None:
    rows = [row(site="north", sex="F"), row(kernel="B30f")]
    assert facts_of(rows) == {"sex": ("F", ""), "site": ("north", ""), "kernel": ("", "B30f")}
    assert facts_of([row()]) == {}
