from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("which", "number", "said", "unsaid"),
    [
        ("tripod", "14", "Test part by sex: F (6 images of 5 patients) accuracy 0.750 (0.650 to 0.850)", "Orbis"),
        ("tripod", "23b", "Test part by site: Ulm (6 images of 5 patients) accuracy 0.562", "sex"),
        ("tripod", "12d", "Test part by scanner: Orbis (6 images of 5 patients) accuracy 0.688", "sex"),
        ("claim", "30", "Test part by scanner: Orbis (6 images of 5 patients) accuracy 0.688", "Ulm"),
        ("claim", "13", "Test part by scanner: Orbis (6 images of 5 patients).", "accuracy"),
        ("claim", "36", "Test part by sex: F (6 images of 5 patients); M (very few).", "accuracy"),
    ],
)
def test_groups_of_the_second_read_are_told_where_they_belong(which, number, said, unsaid, answered) -> None:
    known, add = answered(which, number, evaluated=True)
    assert said in known
    assert unsaid not in known
    assert add != ""


@pytest.mark.parametrize(("which", "number"), [("tripod", "14"), ("tripod", "23b"), ("claim", "30"), ("claim", "13")])
def test_without_a_second_read_they_are_for_the_person(which, number, answered) -> None:
    known, add = answered(which, number)
    assert known == ""
    assert add != ""


def test_a_group_that_could_name_a_person_has_no_number(answered) -> None:
    known, _ = answered("tripod", "14", evaluated=True)
    assert "M (too few for a figure)" in known
    assert "1 patient" not in known


def test_performance_in_subgroups_is_asked_for_where_it_is_not_known(answered) -> None:
    assert "key subgroups" in answered("tripod", "23a")[1]


def test_performance_tells_calibration_sets_and_subgroups(answered) -> None:
    known, add = answered("tripod", "23a", evaluated=True)
    assert (
        "Calibration of tumor: expected calibration error 0.125 (by chance 0.062), slope 0.750 (0.650 to 0.850), "
        "intercept 0.250 (0.150 to 0.350)." in known
    )
    assert "Sets of classes hold the true one for 0.875 (0.775 to 0.975) of the test images." in known
    assert "By patient (mean of the images' probabilities): accuracy" in known
    assert add == ""


def explanation(**checks: list[dict[str, object]]) -> dict[str, object]:
    return {"method": "class activation maps", "says": ["The network looks at the body."], "checks": checks}


def test_maps_are_told_with_the_controls_that_they_failed(answered) -> None:
    controls = [
        {"title": "other weights, another map", "passed": False},
        {"title": "on the lesion", "passed": True},
        {"title": "labels without meaning, another map", "passed": None},
    ]
    known, add = answered("claim", "31", explained=explanation(cam=controls))
    assert "a map of evidence (class activation maps). The network looks at the body." in known
    assert "put through 2 controls and failed 1: other weights, another map." in known
    assert add


def test_maps_that_nobody_checked_are_told_as_such(answered) -> None:
    assert "not put through controls" in answered("claim", "31", explained=explanation())[0]


def test_a_run_without_an_explanation_leaves_it_to_the_person(answered) -> None:
    known, add = answered("claim", "31")
    assert known == ""
    assert add
