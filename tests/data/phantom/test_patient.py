from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from conftest import Made


def rings(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The mask without its soft edge, and a band around it."""
    inner = ndimage.binary_erosion(mask)
    outer = ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask, iterations=2)
    return (inner if inner.any() else mask), outer


def test_every_slice_of_a_diseased_patient_shows_the_disease(made: Made) -> None:
    for patient in made.truth.patients:
        healthy = patient.true_label == "normal"
        assert (len(patient.lesions) == 0) == healthy
        assert all(lesion.kind == patient.true_label for lesion in patient.lesions)
        for one in patient.slices:
            assert (one.mask is None) == healthy
            assert healthy or 4 < made.mask(one).sum() < 0.1 * made.mask(one).size


def test_masks_lie_on_what_is_brighter_than_its_surroundings(made: Made) -> None:
    for patient in made.truth.patients:
        for one in patient.slices if patient.lesions else ():
            hu = made.hu(one.path)
            inner, outer = rings(made.mask(one))
            least = 10 if made.truth.settings.body == "head" else 100
            # A metastasis is dead at its core: its bright rim is what shows.
            assert np.percentile(hu[inner], 75) > np.median(hu[outer]) + least


def test_masks_lie_where_the_truth_places_the_lesion(made: Made) -> None:
    for patient in made.truth.patients:
        for one in patient.slices if patient.lesions else ():
            image = made.file(one.path)
            spacing = float(image.PixelSpacing[0])
            corner = np.array(image.ImagePositionPatient[:2], float)
            rows, columns = np.nonzero(made.mask(one))
            seen = np.stack([columns, rows], axis=1) * spacing + corner
            near = [np.hypot(*(seen - lesion.centre_mm[:2]).T).min() for lesion in patient.lesions]
            assert min(near) < 7
            first = patient.lesions[0]
            assert abs(first.centre_mm[2] - one.position_mm) < 1.2 * first.radius_mm


def test_blood_in_an_aneurysm_is_as_bright_as_in_an_artery(heads: Made) -> None:
    for patient in heads.truth.patients:
        if patient.true_label == "aneurysm":
            hu, mask = heads.hu(patient.slices[0].path), heads.mask(patient.slices[0])
            assert np.percentile(hu[mask], 90) > 70


@pytest.mark.parametrize("label", ["normal", "nodule", "pneumonia"])
def test_a_chest_has_lungs_on_both_sides(chests: Made, label: str) -> None:
    for patient in chests.truth.patients:
        if patient.true_label == label:
            hu = chests.hu(patient.slices[0].path)
            middle = hu[40:90]
            lung = (middle > -950) & (middle < -650)
            half = hu.shape[1] // 2
            assert min(lung[:, 20:half].mean(), lung[:, half:108].mean()) > 0.05
