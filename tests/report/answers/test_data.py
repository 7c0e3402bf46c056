from __future__ import annotations

import pytest

from overread.settings import ImageSettings


def test_the_parts_are_told_by_images_and_patients_of_each_class(answered) -> None:
    known, add = answered("tripod", "21")
    assert (
        "Training 16 images of 8 patients; tuning (validation) 8 images of 4 patients; test 12 images of 6" in known
    )
    assert "Test: aneurysm 6 images of 3 patients; tumor 6 images of 3 patients." in known
    assert add == ""


def test_unknown_patients_leave_the_numbers_of_participants_to_the_person(answered, rows) -> None:
    known, add = answered("tripod", "21", rows=rows(unknown=True))
    assert "Test: aneurysm 6 images; tumor 6 images." in known
    assert "patient" not in known
    assert "overread knows only images" in add


@pytest.mark.parametrize(
    ("found", "train", "said"),
    [
        (
            {"split": "patient"},
            {},
            "at random, by patient, so that all images of a patient are in one part; stratified",
        ),
        ({"split": "patient"}, {}, "with seed 7. Shares asked for: 70%, 15% and 15% of the images"),
        ({"split": "alike"}, {}, "images that look nearly the same are in one part"),
        ({"split": "image"}, {"val_fraction": 0.1, "test_fraction": 0.2}, "image by image; stratified"),
        ({"split": "fold 2 of 5"}, {}, "The test part is fold 2 of 5"),
        ({"split": "site Ulm"}, {}, "The test part is all images of site Ulm"),
    ],
)
def test_the_rule_of_the_split_is_the_one_that_the_run_recorded(found, train, said: str, answered) -> None:
    known, add = answered("claim", "19", found=found, train=train)
    assert said in known
    assert add == ""


def test_a_record_without_the_rule_says_what_was_asked_for(answered) -> None:
    assert "(--split auto)" in answered("claim", "19", found={"split": "auto"})[0]


def test_parts_of_the_list_are_for_the_person_to_explain(answered) -> None:
    known, add = answered("claim", "19", found={"split": "given"})
    assert "The list of images says which part each image is in." in known
    assert "random" not in known
    assert add == "Say how the parts of your list were made."


def test_the_level_of_separation_is_counted_and_not_believed(answered) -> None:
    known, add = answered("claim", "20")
    assert known == (
        "The patient: none of the 18 patients has images in more than one of the 3 parts. "
        "Patients are known from the DICOM headers."
    )
    assert add == ""


def test_shared_patients_are_told_whatever_the_rule_says(answered, rows) -> None:
    known, _ = answered("claim", "20", rows=rows(shared=True))
    assert known.startswith("2 of 16 patients have images in more than one part.")


def test_unknown_patients_make_no_promise(answered, rows) -> None:
    known, add = answered("claim", "20", rows=rows(unknown=True), found={"split": "alike"})
    assert "The patient of 36 of 36 images is not known" in known
    assert "none of" not in known
    assert add != ""


def test_what_was_left_out_is_told_by_kind(answered) -> None:
    known, add = answered("claim", "8", skipped=("empty", "truncated", "empty"))
    assert known == "3 inputs could not be used and were left out: empty 2, truncated 1."
    assert "clinical criteria" in add


def test_images_of_no_part_are_told(answered, rows) -> None:
    assert "1 image of the list belongs to no part." in answered("claim", "35", rows=rows(unused=1))[0]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("brain,subdural,bone", "three CT windows, one a channel (brain, center 40 and width 80; "),
        ("-600/1500", "one CT window (center -600 and width 1500 Hounsfield units) in all three channels"),
        ("header", "as each file asks to be shown"),
    ],
)
def test_the_window_is_told_in_numbers(window: str, said: str, answered) -> None:
    assert said in answered("tripod", "12b", image=ImageSettings(window=window))[0]


def test_preparation_is_that_of_the_model_folder(answered) -> None:
    image = ImageSettings(size_px=96, fit="pad")
    known, _ = answered("tripod", "12b", image=image, mean=(0.5, 0.25, 0.125))
    assert "by black borders, its shape kept and resized to 96 x 96 pixels" in known
    assert "less its mean (0.5, 0.25, 0.125), divided by its standard deviation (0.25, 0.25, 0.25)" in known


def test_the_audit_is_told_with_its_findings_and_what_was_left_out(answered, audit) -> None:
    known, _ = answered("tripod", "7", audit=audit)
    assert (
        "audited the data before training (2 checks): Believe a model that is trained on these data with care."
        in known
    )
    assert "The same image is in training and in test (D01, serious). 3 test images (25%) show" in known
    assert "Left out of the verdict: L06, because: one image a patient." in known


def test_without_an_audit_the_checks_are_for_the_person(answered) -> None:
    known, add = answered("tripod", "7")
    assert "audit" not in known
    assert add.startswith("There is no audit of the data: describe your checks of quality.")


def test_a_check_that_found_nothing_is_no_promise_that_nothing_is_burnt_in(answered, audit) -> None:
    assert "burnt in" not in answered("claim", "11", audit=audit)[0]


def test_burnt_in_text_is_told_where_it_was_found(answered, audit) -> None:
    audit["findings"] = [
        {**audit["findings"][0], "code": "Q04", "what": "4 of 36 images have text burnt in, says their header."}
    ]
    audit["asked"] = ["Q04"]
    assert "4 of 36 images have text burnt in" in answered("claim", "11", audit=audit)[0]


@pytest.mark.parametrize(("weighed", "said"), [(True, "in inverse proportion"), (False, "Nothing was done about it")])
def test_class_imbalance_is_told_as_it_was_set(weighed: bool, said: str, answered) -> None:
    known, _ = answered("tripod", "13", train={"class_weights": weighed})
    assert "Training: aneurysm 8 images of 4 patients; tumor 8 images of 4 patients." in known
    assert said in known


def test_the_mix_of_classes_is_compared(answered) -> None:
    assert "in the test part: aneurysm 50.0%, tumor 50.0%" in answered("tripod", "20c")[0]


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("patient", "random parts of one list"),
        ("site Ulm", "from which no image was trained on"),
        ("given", "whether they differ in setting is not known here"),
    ],
)
def test_how_test_differs_from_training_is_what_the_split_tells(unit: str, said: str, answered) -> None:
    assert said in answered("tripod", "16", found={"split": unit})[0]
