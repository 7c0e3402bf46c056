from __future__ import annotations

import numpy as np
from tests.audit.conftest import MakeSubject, picture

from overread.audit.shortcuts import CHECKS, Border, Histogram, Patient, Scanner, Surroundings, Thumbnail
from overread.audit.subject import Subject

N = 60
LABELS = ["a", "b"] * (N // 2)
PATIENTS = [f"p{at}" for at in range(N)]


def noise(seed: int) -> np.ndarray:
    return picture(seed)


def test_a_telling_tag_is_found_and_named(make_subject: MakeSubject) -> None:
    tags = [{"kernel": "FC30" if label == "a" else "FC68", "manufacturer": "Acme"} for label in LABELS]
    subject = make_subject([noise(at) for at in range(N)], LABELS, patients=PATIENTS, tags=tags)
    finding = Scanner().look(subject)
    assert finding is not None
    assert finding.severity == "serious"
    assert "It goes with kernel (a: FC30 30; b: FC68 30)" in finding.what
    assert finding.evidence["probe"] == "the scanner and its settings"
    assert finding.evidence["by"] == "patient"
    assert finding.evidence["auroc"] == 1.0


def test_a_tag_that_is_missing_in_one_class_tells_too(make_subject: MakeSubject) -> None:
    tags = [{"kvp": "120"} if label == "a" else {} for label in LABELS]
    subject = make_subject([noise(at) for at in range(N)], LABELS, patients=PATIENTS, tags=tags)
    finding = Scanner().look(subject)
    assert finding is not None
    assert "b: not stated 30" in finding.what


def test_chance_is_passed_by_every_probe(make_subject: MakeSubject) -> None:
    rng = np.random.default_rng(0)
    tags = [{"kernel": str(rng.integers(3)), "sex": str(rng.choice(["F", "M"]))} for _ in range(N)]
    subject = make_subject([noise(at) for at in range(N)], LABELS, patients=PATIENTS, tags=tags)
    assert [check().look(subject) for check in CHECKS] == [None] * len(CHECKS)


def test_age_is_called_what_it_may_be(make_subject: MakeSubject) -> None:
    tags = [{"age_years": str(40 + 20 * (label == "b") + at % 7)} for at, label in enumerate(LABELS)]
    finding = Patient().look(make_subject([noise(at) for at in range(N)], LABELS, patients=PATIENTS, tags=tags))
    assert finding is not None
    assert "That can be disease" in finding.what


def marked(label: str, seed: int) -> np.ndarray:
    """A letter's worth of white in a corner: the left one for a, the right one for b."""
    image = noise(seed)
    column = 2 if label == "a" else 54
    image[2:10, column : column + 8] = 255
    return image


def test_a_marker_in_the_corner_is_seen_by_the_rim(make_subject: MakeSubject) -> None:
    images = [marked(label, at) for at, label in enumerate(LABELS)]
    finding = Border().look(make_subject(images, LABELS, patients=PATIENTS))
    assert finding is not None
    assert finding.severity == "serious"


def test_the_middle_is_not_seen_from_its_surroundings(make_subject: MakeSubject) -> None:
    images = [noise(at) for at in range(N)]
    for image, label in zip(images, LABELS, strict=True):
        image[24:40, 24:40] = 250 if label == "a" else 5
    subject = make_subject(images, LABELS, patients=PATIENTS)
    assert Surroundings().look(subject) is None
    assert Border().look(subject) is None
    assert Thumbnail().look(subject) is not None
    assert Histogram().look(subject) is not None


def test_one_patient_a_class_is_tested_by_image_and_says_so(make_subject: MakeSubject) -> None:
    tags = [{"kernel": label} for label in LABELS]
    subject: Subject = make_subject([noise(at) for at in range(N)], LABELS, patients=LABELS, tags=tags)
    finding = Scanner().look(subject)
    assert finding is not None
    assert finding.evidence["by"] == "image"
    assert "a patient may be on both sides" in finding.what


def test_many_images_are_sampled_by_patient(make_subject: MakeSubject) -> None:
    n = 2400
    images = [np.roll(noise(at % 20), at, axis=0) for at in range(n)]
    patients = [f"p{at // 4}" for at in range(n)]
    labels = ["ab"[at // 4 % 2] for at in range(n)]
    finding = Scanner().look(make_subject(images, labels, patients=patients, tags=[{"kernel": k} for k in labels]))
    assert finding is not None
    assert finding.evidence["n_images"] == 2000
    assert finding.evidence["n_units"] == 500
