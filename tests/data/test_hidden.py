from __future__ import annotations

import pytest

from overread.data.cohort import patient_hash
from overread.data.hidden import hide_patients

WHO = "Doe_John-1970"
HASH = patient_hash(WHO)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"tumor/{WHO}/CT-1/001.dcm", f"tumor/{HASH}/CT-1/001.dcm"),
        (f"tumor/{WHO}.dcm", f"tumor/{HASH}.dcm"),
        (f"a/CT_{WHO}_slice-3.dcm = b/{WHO} [2] (mirrored)", f"a/CT_{HASH}_slice-3.dcm = b/{HASH} [2] (mirrored)"),
        (f"{WHO}_{WHO}.png", f"{HASH}_{HASH}.png"),
        (f"x\\{WHO}\\1.png", f"x\\{HASH}\\1.png"),
        ("Doe_John/1970.png", "Doe_John/1970.png"),  # the pieces alone are nobody's identifier
    ],
)
def test_an_identifier_in_a_path_becomes_its_hash_and_all_else_stays(text: str, shown: str) -> None:
    assert hide_patients(text, {HASH}) == shown


@pytest.mark.parametrize(
    "who", ["Doe Anna 1970", "Doe(1970)", "Doe [A]", "A=1970", "Doe, Anna", "(Doe) 1970.", "-1970-"]
)
@pytest.mark.parametrize("text", ["tumor/{}/CT-1/001.dcm", "a/CT_{}_3.dcm = b/{} (mirrored)", "({})", "{}.dcm"])
def test_an_identifier_may_hold_what_stands_between_others(who: str, text: str) -> None:
    assert hide_patients(text.format(who, who), {patient_hash(who)}) == text.format(*[patient_hash(who)] * 2)


def test_a_long_text_is_gone_through_in_no_time() -> None:
    text = "a b-c.d " * 2000
    assert hide_patients(text, {HASH}) == text


def test_what_is_nobody_s_identifier_or_too_short_to_find_anybody_stays() -> None:
    assert hide_patients("tumor/scan-17.png", {HASH}) == "tumor/scan-17.png"
    assert hide_patients("tumor/P7/17.png", {patient_hash("P7")}) == "tumor/P7/17.png"
    assert hide_patients("", {HASH}) == ""
