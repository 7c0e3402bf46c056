"""Ask every question of a cohort: the audit, and what it comes to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overread.audit import duplicates, labels, leakage, privacy, quality, shortcuts
from overread.audit.check import SEVERITIES, Check, Finding
from overread.audit.subject import Subject
from overread.errors import CohortError, SettingsError

_FAMILIES = (leakage, duplicates, shortcuts, labels, quality, privacy)
CHECKS: tuple[type[Check], ...] = tuple(check for family in _FAMILIES for check in family.CHECKS)
"""every check, by family"""
VERDICTS = {
    "fatal": "Do not believe a model that is trained on these data.",
    "serious": "Believe a model that is trained on these data with care.",
    "note": "Nothing was found that would make a model's figures wrong.",
}
FILE = "audit.json"
SCHEMA = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What every check said. Findings that a person has chosen to ignore are kept apart, each with the reason."""

    findings: tuple[Finding, ...]
    """the gravest first"""
    ignored: tuple[Finding, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    """the reason for each code that is ignored, whether or not anything was found"""
    n_images: int
    n_patients: int | None
    """None where not every patient is known"""
    asked: tuple[str, ...]
    """the codes of all checks that were made"""

    @property
    def worst(self) -> str:
        """The gravest severity of any finding that weighs on figures; "note" where there is none."""
        weighed = (finding.severity for finding in self.findings if finding.on_figures)
        return min(weighed, key=SEVERITIES.index, default="note")

    @property
    def verdict(self) -> str:
        """One sentence: whether a model that is trained on these data can be believed."""
        return VERDICTS[self.worst]

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `audit.json`."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            **dataclasses.asdict(self),
            "findings": [finding.to_json() for finding in self.findings],
            "ignored": [finding.to_json() for finding in self.ignored],
        }


def in_short(found: Audit) -> list[str]:
    """A line for each finding that is graver than a note, then the verdict."""
    grave = [f"{one.severity}: {one.title} ({one.code})" for one in found.findings if one.severity != "note"]
    return [*grave, f"audit: {found.verdict} Each finding with its numbers is in {FILE}."] if grave else []


def fatal_marks(found: Audit | None) -> tuple[str, ...]:
    """What every output of a model that is trained on these data must carry: the titles of fatal findings."""
    return (
        tuple(f"audit: {one.title[0].lower()}{one.title[1:]} ({one.code})" for one in found.of("fatal"))
        if found
        else ()
    )


def check_ignored(ignore: Mapping[str, str]) -> None:
    """Refuse codes that no check has, and reasons that say nothing. Raises SettingsError."""
    known = {check.code for check in CHECKS}
    for code, why in ignore.items():
        if code not in known:
            raise SettingsError(f"--ignore {code} is no check. The checks: overread audit --list")
        if len(why.split()) < 2:
            raise SettingsError(f'--ignore {code} needs a reason that others understand: --why "...".')


def audit(
    subject: Subject,
    *,
    ignore: Mapping[str, str] | None = None,
    earlier: Audit | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Make every check. `ignore` holds the reason for each code that is to be left out of the verdict.

    `earlier`: an audit of the same images divided otherwise, from which all is taken that a division does not change.
    """
    ignore = dict(ignore or {})
    check_ignored(ignore)
    known = {} if earlier is None else {one.code: one for one in (*earlier.findings, *earlier.ignored)}
    found = []
    for number, check in enumerate(CHECKS, start=1):
        taken_over = earlier is not None and not check.of_split
        finding = known.get(check.code) if taken_over else check().look(subject)
        if finding is not None:
            found.append(finding)
        if progress is not None:
            progress(number, len(CHECKS))
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(
        findings=tuple(finding for finding in found if finding.code not in ignore),
        ignored=tuple(finding for finding in found if finding.code in ignore),
        why=ignore,
        n_images=len(subject),
        n_patients=len(set(subject.cohort.patients())) if subject.knows_patients else None,
        asked=tuple(check.code for check in CHECKS),
    )


def read_audit(path: Path) -> Audit:
    """Read an `audit.json` back. Raises CohortError where it is damaged, or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise ValueError("it is of another version")
        del content["verdict"]
        for name in ("findings", "ignored"):
            content[name] = tuple(Finding(**{**one, "where": tuple(one["where"])}) for one in content[name])
        return Audit(**{**content, "asked": tuple(content["asked"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CohortError(f"{path} cannot be read ({fault}). Make the audit again: overread audit.") from fault
