from __future__ import annotations

import json
from collections import Counter

import pytest

from overread.data.cohort import patient_hash
from overread.errors import SettingsError
from overread.report.answers import ANSWERS
from overread.report.checklist import FILES, fill_in, load_checklist
from overread.report.checklist_page import FORMS, write

LETTERS = {
    3: "abc",
    5: "ab",
    6: "abc",
    8: "abc",
    9: "abc",
    12: "abcdefg",
    18: "abcdef",
    20: "abc",
    23: "ab",
    27: "abc",
}
"""the parts of TRIPOD+AI's items, where an item has parts"""
NUMBERS = {
    "claim": [str(number) for number in range(1, 45)],
    "tripod": [f"{number}{letter}" for number in range(1, 28) for letter in LETTERS.get(number, ("",))],
}
FOR_A_PERSON = {
    "claim": {"4", "5", "14", "15", "16", "17", "18", "31", "34", "44"},
    "tripod": {"3a", "3c", "5b", "6a", "6c", "8b", "8c", "9c", "17", "18a", "18b", "18c", "18d", "18e", "19", "27c"},
}
"""aims, reference standard, ethics, funding, registration, ...: nothing that a run could know"""


@pytest.mark.parametrize("which", FILES)
def test_every_item_is_there_once_and_in_order(which) -> None:
    assert [item.number for item in load_checklist(which).items] == NUMBERS[which]


@pytest.mark.parametrize("which", FILES)
def test_every_item_says_what_it_asks_in_one_sentence(which) -> None:
    for item in load_checklist(which).items:
        assert item.asks.endswith(".")
        assert ". " not in item.asks
        assert item.topic
        assert item.section


def test_every_answer_has_an_item_and_every_item_an_answer_that_there_is() -> None:
    named = {item.answer for which in FILES for item in load_checklist(which).items if item.answer}
    assert named == set(ANSWERS)


@pytest.mark.parametrize("which", FILES)
def test_what_no_run_can_know_is_left_to_the_person(which, model_folder, audit) -> None:
    (filled,) = fill_in(model_folder(audit=audit, evaluated=True), which).lists
    by_number = {row.item.number: row for row in filled.rows}
    for number in FOR_A_PERSON[which]:
        assert by_number[number].status == "yours", number
        assert by_number[number].known == ()


@pytest.mark.parametrize("form", FORMS)
def test_no_form_names_a_patient(form, model_folder, audit, rows) -> None:
    folder = model_folder(audit=audit, evaluated=True, skipped=("empty",), rows=rows(shared=True))
    text = write(fill_in(folder), form)
    assert "MUELLER" not in text
    assert not [row["patient"] for row in rows() if row["patient"] in text]
    assert patient_hash("MUELLER-train-0") in (folder / "split.csv").read_text()


def test_the_statuses_add_up(model_folder) -> None:
    (claim, tripod) = fill_in(model_folder()).lists
    for filled in (claim, tripod):
        counted = Counter(row.status for row in filled.rows)
        assert all(filled.count(status) == counted[status] > 0 for status in ("answered", "partly", "yours"))
    assert len(claim.rows) == 44
    assert len(tripod.rows) == 52


def test_the_second_read_answers_more(model_folder, audit) -> None:
    folder = model_folder(audit=audit, evaluated=True)
    known = {row.item.number for row in fill_in(folder, "tripod").lists[0].rows if row.status != "yours"}
    (folder / "evaluation.json").unlink()
    without = {row.item.number for row in fill_in(folder, "tripod").lists[0].rows if row.status != "yours"}
    assert known - without == {"12d", "14", "23b", "25"}
    assert without < known


def test_the_marks_of_the_model_and_what_is_lost_are_told(model_folder, audit) -> None:
    folder = model_folder(audit=audit, marks=("patients unknown: these figures may be too good",))
    assert fill_in(folder).lost == ()
    (folder / "audit.json").unlink()
    reporting = fill_in(folder)
    assert reporting.lost == ("audit.json",)
    for form in FORMS:
        text = write(reporting, form)
        assert "atients unknown: these figures may be too good" in text
        assert "audit.json" in text


def test_a_run_without_an_audit_has_lost_nothing(model_folder) -> None:
    assert fill_in(model_folder()).lost == ()


def test_another_checklist_is_refused(model_folder) -> None:
    with pytest.raises(SettingsError, match="--which stard is not known; it is one of claim, tripod, both"):
        fill_in(model_folder(), "stard")


def test_the_json_holds_what_the_object_holds(model_folder) -> None:
    reporting = fill_in(model_folder(), "claim")
    (written,) = json.loads(write(reporting, "json"))["checklists"]
    assert written["counts"] == {s: reporting.lists[0].count(s) for s in ("answered", "partly", "yours")}
    assert [item["number"] for item in written["items"]] == NUMBERS["claim"]
    assert written["items"][26]["status"] == "answered"
    assert written["items"][43] == {
        "number": "44", "section": "Other information", "topic": "Funding", "stage": "",
        "asks": "Who paid for the study, and which role they had in it.",
        "status": "yours", "answer": [], "for_you": [],
    }  # fmt: skip
