from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.audit.conftest import MakeSubject, picture

from overread.audit.audit import CHECKS, Audit, audit, fatal_marks, in_short, read_audit
from overread.audit.check import SEVERITIES, Finding
from overread.errors import CohortError, SettingsError

_NOT_OF_THE_SPLIT = Finding(code="L04", title="x", severity="fatal", what="x", do="x", n=1, unit="classes")


@pytest.fixture
def leaky(make_subject: MakeSubject) -> Audit:
    n = 24
    subject = make_subject(
        [picture(at) for at in range(n)],
        ["a", "b"] * (n // 2),
        patients=[f"p{at // 2 % 6}-{at % 2}" for at in range(n)],
        parts=["train"] * 12 + ["test"] * 12,
    )
    return audit(subject)


def test_every_check_is_known_by_its_code() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    for check in CHECKS:
        assert check.severity in SEVERITIES
        assert check.title
        assert check.reference


def test_the_gravest_finding_comes_first_and_gives_the_verdict(leaky: Audit) -> None:
    assert leaky.findings[0].code == "L01"
    assert leaky.worst == "fatal"
    assert leaky.verdict.startswith("Do not believe")
    assert fatal_marks(leaky) == ("audit: a patient is in training and in test (L01)",)
    assert in_short(leaky)[0] == "fatal: A patient is in training and in test (L01)"
    assert leaky.verdict in in_short(leaky)[-1]


def test_what_is_ignored_is_kept_with_its_reason_and_does_not_count(make_subject: MakeSubject) -> None:
    subject = make_subject([picture(at) for at in range(8)], ["a", "b"] * 4)
    assert audit(subject).worst == "serious"
    found = audit(subject, ignore={"L06": "one image a patient"})
    assert found.worst == "note"
    assert [one.code for one in found.ignored] == ["L06"]
    assert found.to_json()["why"] == {"L06": "one image a patient"}


def test_of_an_earlier_audit_only_what_a_division_changes_is_asked_anew(make_subject: MakeSubject) -> None:
    cohort = [picture(at) for at in range(16)], ["a"] * 8 + ["b"] * 8
    patients = [f"p{at // 2}" for at in range(16)]
    apart = [("train", "test")[at // 4 % 2] for at in range(16)]
    first = audit(make_subject(*cohort, patients=patients, parts=apart))
    assert "L01" not in {one.code for one in first.findings}
    told = dataclasses.replace(first, findings=(*first.findings, _NOT_OF_THE_SPLIT))

    mixed = make_subject(*cohort, patients=patients, parts=["train", "test"] * 8)
    again = audit(mixed, earlier=told, ignore={"L04": "told of before"})
    assert "L01" in {one.code for one in again.findings}
    assert again.ignored == (_NOT_OF_THE_SPLIT,)
    back = audit(make_subject(*cohort, patients=patients, parts=apart), earlier=again)
    assert "L01" not in {one.code for one in back.findings}
    assert _NOT_OF_THE_SPLIT in back.findings


@pytest.mark.parametrize(("code", "why"), [("X99", "a good reason"), ("L06", ""), ("L06", "because")])
def test_a_code_that_is_unknown_or_has_no_reason_is_refused(make_subject: MakeSubject, code: str, why: str) -> None:
    subject = make_subject([np.zeros((64, 64), np.uint8)] * 2, ["a", "b"])
    with pytest.raises(SettingsError, match=code):
        audit(subject, ignore={code: why})


def test_an_audit_is_read_back_as_it_was_written(leaky: Audit, tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(leaky.to_json()))
    assert read_audit(path) == leaky


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": 9}', '{"schema": 1, "verdict": "x", "findings": 3}'])
def test_a_damaged_audit_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(CohortError, match="cannot be read"):
        read_audit(path)
