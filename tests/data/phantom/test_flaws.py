from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from overread import read_cohort
from overread.data.phantom import FLAWS, Flaw

if TYPE_CHECKING:
    from conftest import Made


def planted(made: Made, kind: str) -> list[Flaw]:
    found = [flaw for flaw in made.truth.flaws if flaw.kind == kind]
    assert found
    return found


def test_all_that_was_asked_for_is_listed_with_files_that_exist(flawed: Made) -> None:
    assert {flaw.kind for flaw in flawed.truth.flaws} == set(FLAWS)
    known = {patient.id for patient in flawed.truth.patients}
    for flaw in flawed.truth.flaws:
        assert flaw.what
        assert set(flaw.patients) <= known
        assert flaw.files
        assert all((flawed.folder / path).is_file() for path in flaw.files)


def test_a_leaked_patient_is_one_anatomy_under_two_identifiers(flawed: Made) -> None:
    firsts = {patient.id: flawed.hu(patient.slices[0].path) for patient in flawed.truth.patients}
    for flaw in planted(flawed, "leaked-patient"):
        one, other = flaw.patients
        assert one != other
        assert flawed.patient(one).true_label == flawed.patient(other).true_label
        likeness = {
            name: np.corrcoef(firsts[one].ravel(), hu.ravel())[0, 1] for name, hu in firsts.items() if name != one
        }
        assert max(likeness, key=lambda name: float(likeness[name])) == other
        assert likeness[other] > 0.97
        heights = [flawed.patient(name).slices[0].position_mm for name in (one, other)]
        assert 0.2 < abs(heights[0] - heights[1]) < 3
        studies = {flawed.file(flawed.patient(name).slices[0].path).StudyInstanceUID for name in (one, other)}
        assert len(studies) == 2


def test_duplicates_hold_the_same_pixels_in_other_files(flawed: Made) -> None:
    elsewhere = set()
    for flaw in planted(flawed, "duplicates"):
        original, copy = (flawed.file(path) for path in flaw.files)
        assert np.array_equal(original.pixel_array, copy.pixel_array)
        assert original.SOPInstanceUID != copy.SOPInstanceUID
        compressed = copy.file_meta.TransferSyntaxUID.is_compressed
        assert compressed or copy.WindowWidth != original.WindowWidth
        target = flawed.patient(copy.PatientID)
        neighbour = flawed.file(target.slices[0].path)
        assert copy.SeriesInstanceUID == neighbour.SeriesInstanceUID
        assert set(flaw.patients) == {original.PatientID, copy.PatientID}
        elsewhere.add(original.PatientID != copy.PatientID)
    assert elsewhere == {True, False}


def test_the_kernel_tells_the_class(flawed: Made) -> None:
    kernels = {}
    for flaw in planted(flawed, "kernel"):
        (label,) = {flawed.patient(name).true_label for name in flaw.patients}
        (kernel,) = {str(flawed.file(path).ConvolutionKernel) for path in flaw.files}
        assert kernel in flaw.what
        assert label in flaw.what
        kernels[label] = kernel
    assert len(set(kernels.values())) == len(kernels) == 3


def test_a_burnt_in_marker_tells_the_class(flawed: Made) -> None:
    letters = {}
    for flaw in planted(flawed, "marker"):
        (label,) = {flawed.patient(name).true_label for name in flaw.patients}
        counts = set()
        for path in flaw.files:
            corner = flawed.hu(path)[:20, :20] > 1000
            counts.add(int(corner.sum()))
        (letters[label],) = counts
    assert len(set(letters.values())) == 3
    assert min(letters.values()) > 8


def test_wrong_labels_lie_in_another_classs_folder(flawed: Made) -> None:
    for flaw in planted(flawed, "wrong-labels"):
        (name,) = flaw.patients
        patient = flawed.patient(name)
        assert patient.label != patient.true_label
        assert {Path(path).parts[1] for path in flaw.files} == {patient.label}
        assert {lesion.kind for lesion in patient.lesions} == {patient.true_label}
    wrong = [patient for patient in flawed.truth.patients if patient.label != patient.true_label]
    assert len(wrong) == len(planted(flawed, "wrong-labels")) == 2


def test_phantoms_without_faults_have_none(heads: Made) -> None:
    assert all(patient.label == patient.true_label for patient in heads.truth.patients)
    stored = [heads.file(path).PixelData for path in heads.files()]
    assert len(set(stored)) == len(stored)
    assert all((heads.hu(path)[:8, :8] < 0).all() for path in heads.files())


@pytest.mark.parametrize("kind", FLAWS)
def test_a_cohort_with_faults_can_be_read(flawed: Made, kind: str) -> None:
    cohort = read_cohort(flawed.folder / "images")
    assert cohort.problems == ()
    assert {f"images/{row.path}" for row in cohort.rows} == set(flawed.files())
    touched = {path for flaw in planted(flawed, kind) for path in flaw.files}
    assert touched <= {f"images/{row.path}" for row in cohort.rows}
