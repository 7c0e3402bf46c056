from __future__ import annotations

import json

import pytest

from overread.evaluate.score import TITLES
from overread.report.checklist import fill_in

NINE = tuple(f"class {i}" for i in range(9))


def answers_of(folder, which: str) -> dict[str, str]:
    return {row.item.number: " ".join(row.known) for row in fill_in(folder, which).lists[0].rows}


@pytest.mark.parametrize("classes", [("aneurysm", "tumor"), ("a", "b", "c")])
def test_every_figure_of_metrics_json_is_told_as_it_stands_there(classes, model_folder) -> None:
    folder = model_folder(classes=classes, rows=None if len(classes) == 2 else relabelled(classes))
    measured = json.loads((folder / "metrics.json").read_text())["measured"]
    claim, tripod = answers_of(folder, "claim"), answers_of(folder, "tripod")
    assert len(measured) > 10
    for one in measured:
        if one["low"] is None:
            continue
        told = f"{TITLES[one['name']]} {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
        assert told in tripod["23a"]
        assert told in claim["37" if one["label"] is None else "38"]


def relabelled(classes) -> list[dict[str, str]]:
    return [
        {"path": f"{i}.png", "frame": "0", "label": classes[i % len(classes)], "patient": f"{i:08x}", "split": part}
        for i, part in enumerate(["train"] * 12 + ["val"] * 6 + ["test"] * 18)
    ]


def test_the_confusion_table_is_the_one_of_metrics_json(model_folder) -> None:
    folder = model_folder()
    (a, b), (c, d) = json.loads((folder / "metrics.json").read_text())["confusion"]
    known = answers_of(folder, "claim")["39"]
    assert f"{b + c} of 12 test images were wrongly classified." in known
    assert f"True aneurysm: {a} as aneurysm, {b} as tumor. True tumor: {c} as aneurysm, {d} as tumor." in known


def test_of_many_classes_the_commonest_confusions_are_told(model_folder) -> None:
    folder = model_folder(classes=NINE, rows=relabelled(NINE))
    table = json.loads((folder / "metrics.json").read_text())["confusion"]
    worst = max(n for i, row in enumerate(table) for j, n in enumerate(row) if i != j)
    known = answers_of(folder, "claim")["39"]
    assert f"Most often: {worst} of class " in known
    assert "The whole table is in metrics.json." in known
    assert "True class" not in known


def test_the_method_of_the_intervals_is_told_and_no_test_is_claimed(model_folder) -> None:
    folder = model_folder()
    known = answers_of(folder, "claim")["29"]
    for one in json.loads((folder / "metrics.json").read_text())["measured"]:
        if one["label"] is None:
            assert one["method"] in known
    assert "No test of significance between models was made." in known


def test_a_figure_without_a_value_is_said_to_have_none(model_folder) -> None:
    classes = ("a", "b", "c")
    rows = [row for row in relabelled(classes) if row["split"] != "test"]
    rows += [{**rows[0], "patient": f"{i}", "split": "test"} for i in range(2)]  # the third class has no image there
    known = answers_of(model_folder(classes=classes, rows=rows), "claim")
    assert "c: AUROC (no value)" in known["38"]
    assert "-" not in known["38"].replace("(no value)", "")
    assert "-:" not in known["37"]


def test_the_one_auroc_of_two_classes_is_said_to_be_of_the_second(answered) -> None:
    assert "The one AUROC of all is that of tumor." in answered("claim", "28")[0]


def test_no_external_test_is_claimed(answered) -> None:
    known, add = answered("claim", "33")
    assert "the model folder holds no test on other data" in known
    assert add != ""


def test_a_site_that_was_left_out_is_told_by_its_name(answered) -> None:
    assert answered("claim", "33", found={"split": "site Ulm"})[0].startswith("The test part is all of site Ulm,")


def test_limitations_begin_with_the_marks_and_the_findings_of_the_audit(answered, audit) -> None:
    known, add = answered("claim", "40", audit=audit, marks=("patients unknown: these figures may be too good",))
    assert known.startswith("Patients unknown: these figures may be too good.")
    assert "The same image is in training and in test (D01, serious)." in known
    assert "no program can see" in add


def test_limitations_take_the_reasons_of_the_second_read_but_not_its_praise(answered) -> None:
    known, _ = answered("claim", "40", evaluated=True)
    assert "The test part is small." in known
    assert "All is well." not in known


def test_a_verdict_is_given_only_where_there_is_one(answered) -> None:
    assert answered("tripod", "25", evaluated=True)[0].startswith("overread's own verdict: Believe it with care.")


def test_without_a_verdict_the_interpretation_is_for_the_person(answered) -> None:
    assert answered("tripod", "25")[0] == ""


def test_calibration_is_among_the_measures_only_where_it_was_measured(answered) -> None:
    known, add = answered("tripod", "12e")
    assert "Calibration of each class" not in known
    assert "Calibration and clinical usefulness were not measured" in add


def test_calibration_is_among_the_measures_of_a_second_read(answered) -> None:
    known, _ = answered("tripod", "12e", evaluated=True)
    assert "Calibration of each class" in known
    assert "net benefit" in known


def test_thresholds_are_told_with_the_prevalence_that_they_hold_for(answered) -> None:
    known, _ = answered("claim", "38", evaluated=True)
    assert (
        "tumor at the threshold 0.438, predictive values at a prevalence of 0.500: sensitivity 0.625 (0.525 to 0.725)"
        in known
    )
