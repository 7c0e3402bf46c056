from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.audit.conftest import MakeSubject, picture

from overread.audit import leakage
from overread.audit.leakage import (
    FewPatients,
    OnePatientAClass,
    PatientInTwoParts,
    PatientsUnknown,
    SeriesInTwoParts,
    SlicesInARow,
)
from overread.data.rows import patient_hash

BLANK = np.zeros((64, 64), np.uint8)


def test_a_patient_in_training_and_in_test_is_found_and_named_by_a_hash(make_subject: MakeSubject) -> None:
    subject = make_subject(
        [BLANK] * 6,
        ["a", "a", "a", "b", "b", "b"],
        patients=["Ann", "Ann", "Bob", "Cy", "Cy", "Di"],
        parts=["train", "test", "test", "train", "val", "test"],
    )
    finding = PatientInTwoParts().look(subject)
    assert finding is not None
    assert finding.where == (patient_hash("Ann"),)
    assert finding.evidence == {"test_images": 3, "test_images_known": 1, "share": 1 / 3}
    assert finding.severity == "fatal"
    assert "Ann" not in json.dumps(finding.to_json())


def test_a_patient_in_validation_and_in_test_counts_too(make_subject: MakeSubject) -> None:
    subject = make_subject([BLANK] * 2, ["a", "b"], patients=["p", "p"], parts=["val", "test"])
    assert PatientInTwoParts().look(subject) is not None


def test_one_shared_patient_of_many_is_serious_and_not_fatal(make_subject: MakeSubject) -> None:
    n = 40
    patients = [f"p{at}" for at in range(n)]
    patients[1] = "p0"
    subject = make_subject(
        [BLANK] * n, ["a", "b"] * (n // 2), patients=patients, parts=["train", *["test"] * (n - 1)]
    )
    finding = PatientInTwoParts().look(subject)
    assert finding is not None
    assert finding.severity == "serious"


@pytest.mark.parametrize("check", leakage.CHECKS)
def test_a_clean_cohort_is_passed(make_subject: MakeSubject, check: type) -> None:
    n = 60
    subject = make_subject(
        [picture(at) for at in range(n)],
        ["a", "b"] * (n // 2),
        patients=[f"p{at}" for at in range(n)],
        series=[f"s{at}" for at in range(n)],
        parts=["train"] * 40 + ["val"] * 10 + ["test"] * 10,
    )
    assert check().look(subject) is None


def test_a_divided_series_is_found_also_where_no_patient_is_known(make_subject: MakeSubject) -> None:
    subject = make_subject([BLANK] * 3, ["a", "a", "b"], series=["s", "s", "t"], parts=["train", "test", "train"])
    finding = SeriesInTwoParts().look(subject)
    assert finding is not None
    assert finding.n == 1


@pytest.mark.parametrize(("n_patients", "severity"), [(2, "serious"), (5, "note"), (10, None)])
def test_few_patients_in_a_class(make_subject: MakeSubject, n_patients: int, severity: str | None) -> None:
    patients = [f"a{at}" for at in range(12)] + [f"b{at}" for at in range(n_patients)]
    subject = make_subject([BLANK] * len(patients), ["a"] * 12 + ["b"] * n_patients, patients=patients)
    finding = FewPatients().look(subject)
    assert (finding.severity if finding else None) == severity


def test_one_patient_a_class_is_fatal(make_subject: MakeSubject) -> None:
    subject = make_subject([BLANK] * 4, ["a", "a", "b", "b"], patients=["p", "p", "q", "q"])
    finding = OnePatientAClass().look(subject)
    assert finding is not None
    assert finding.severity == "fatal"
    assert FewPatients().look(subject) is None


def drift(seed: int, n: int) -> list[NDArray[np.uint8]]:
    """N images that change little from one to the next, and much over ten."""
    stops = [picture(seed * 100 + at).astype(float) for at in range(n // 10 + 2)]
    shares = [(at // 10, at % 10 / 10) for at in range(n)]
    return [(stops[at] * (1 - share) + stops[at + 1] * share).astype(np.uint8) for at, share in shares]


def test_slices_in_the_order_of_their_names_are_one_patient_a_class(make_subject: MakeSubject) -> None:
    paths = [f"{label}/{at}.jpg" for label in "ab" for at in range(60)]
    subject = make_subject([*drift(1, 60), *drift(2, 60)], ["a"] * 60 + ["b"] * 60, paths=paths)
    finding = SlicesInARow().look(subject)
    assert finding is not None
    assert finding.severity == "fatal"
    assert finding.evidence["a"]["n_runs"] == 1


def test_names_that_are_shuffled_show_no_series(make_subject: MakeSubject) -> None:
    rng = np.random.default_rng(0)
    images = [picture(at) for at in range(40)]
    paths = [f"{'ab'[at // 20]}/{name}.jpg" for at, name in enumerate(rng.permutation(40))]
    subject = make_subject(images, ["a"] * 20 + ["b"] * 20, paths=paths)
    assert SlicesInARow().look(subject) is None


def test_unknown_patients_are_told_of(make_subject: MakeSubject) -> None:
    subject = make_subject([BLANK] * 3, ["a", "b", "b"], patients=["p", None, None])
    finding = PatientsUnknown().look(subject)
    assert finding is not None
    assert finding.n == 2


def test_the_paper_data_are_one_patient_a_class(shared: Path) -> None:
    from overread.run.audit import audit_source
    from overread.run.job import Job
    from overread.settings import recipe_settings

    job = Job(source=shared / "data/brain-ct/dicom", out=Path(), train=recipe_settings("default", weights="none"))
    assert {one.code for one in audit_source(job).of("fatal")} >= {"L04"}
