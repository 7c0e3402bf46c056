"""What a reader would divide patients by: sex, age, site, scanner, kernel, slice thickness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from overread.data.cohort import Row

FACTS = ("sex", "age", "site", "manufacturer", "kernel", "thickness")
TITLES = {
    "sex": "sex",
    "age": "age (years)",
    "site": "site",
    "manufacturer": "scanner",
    "kernel": "kernel",
    "thickness": "slice thickness",
}
_AGE_BAND = 20
_OLDEST = 80
"""one band from here on: an age above 89 can name a person (45 CFR 164.514)"""
_THIN_MM, _THICK_MM = 1.5, 3.0


def facts_of(rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    """Each fact that is known of any row: its name to its values, (n,); "" for a row of which it is not known."""
    found = {name: tuple(_READERS[name](row) for row in rows) for name in FACTS}
    return {name: values for name, values in found.items() if any(values)}


def _age(row: Row) -> str:
    years = _number(row.tags.get("age_years", ""))
    if years is None:
        return ""
    low = min(int(years) // _AGE_BAND * _AGE_BAND, _OLDEST)
    return f"{low} and over" if low == _OLDEST else f"{low} to {low + _AGE_BAND - 1}"


def _thickness(row: Row) -> str:
    mm = _number(row.tags.get("thickness_mm", ""))
    if mm is None:
        return ""
    if mm <= _THIN_MM:
        return f"up to {_THIN_MM:g} mm"
    return f"above {_THICK_MM:g} mm" if mm > _THICK_MM else f"{_THIN_MM:g} to {_THICK_MM:g} mm"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _tag(name: str) -> Callable[[Row], str]:
    return lambda row: row.tags.get(name, "")


_READERS: dict[str, Callable[[Row], str]] = {
    "sex": _tag("sex"),
    "age": _age,
    "site": lambda row: row.site or "",
    "manufacturer": _tag("manufacturer"),
    "kernel": _tag("kernel"),
    "thickness": _thickness,
}
