from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from overread.data.image import read_image
from overread.data.phantom.dicom import make_uid, stored_values

if TYPE_CHECKING:
    from conftest import Made

# PS3.3 table A.3-1: what a CT image must hold a value of, and what it must hold though it may be empty.
# fmt: off
FILLED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "ImageType", "PatientID", "PatientName", "PatientPosition", "SamplesPerPixel", "PhotometricInterpretation",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "RescaleSlope",
    "RescaleIntercept", "KVP", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "BodyPartExamined",
    "InstanceNumber", "WindowCenter", "WindowWidth",
)
PRESENT = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "SeriesNumber", "AcquisitionNumber", "PositionReferenceIndicator",
)
# fmt: on


def test_each_file_is_a_ct_image(made: Made) -> None:
    for path in made.files():
        image = made.file(path)
        assert image.file_meta.MediaStorageSOPClassUID == image.SOPClassUID == CTImageStorage
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert [name for name in FILLED if image.get(name) in (None, "", b"")] == []
        assert [name for name in PRESENT if name not in image] == []
        assert image.Modality == "CT"
        assert (image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation) == (16, 12, 11, 0)
        assert len(image.PixelData) == 2 * image.Rows * image.Columns
        assert image.pixel_array.max() <= 4095


def test_identifiers_are_valid_and_nest(made: Made) -> None:
    images = [made.file(path) for path in made.files()]
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({image[name].value for image in images}) == len(made.truth.patients)
    assert all(image.SeriesInstanceUID.is_valid and image.SOPInstanceUID.is_valid for image in images)


def test_no_file_looks_like_a_persons(made: Made) -> None:
    image = made.file(made.files()[0])
    assert image.PatientIdentityRemoved == "YES"
    assert "no person" in image.DeidentificationMethod
    assert str(image.PatientName).startswith("Phantom^")


def test_slices_lie_where_the_headers_say(made: Made) -> None:
    for patient in made.truth.patients:
        images = [made.file(one.path) for one in patient.slices]
        heights = [float(image.ImagePositionPatient[2]) for image in images]
        assert heights == pytest.approx([one.position_mm for one in patient.slices], abs=0.001)
        assert np.diff(heights) == pytest.approx(float(images[0].SpacingBetweenSlices), abs=0.002)
        centre = -float(images[0].ImagePositionPatient[0]) / float(images[0].PixelSpacing[0])
        assert centre == pytest.approx((images[0].Columns - 1) / 2, abs=0.01)


def test_hounsfield_units_are_those_of_a_body(made: Made) -> None:
    for path in made.files():
        hu = made.hu(path)
        assert np.median(hu[:4]) == pytest.approx(-1000, abs=20)  # the air above the patient
        assert (hu > 400).mean() > 0.01  # bone
        assert ((hu > 0) & (hu < 90)).mean() > 0.06  # soft tissue
        assert hu.min() >= -1024


def test_overread_reads_the_same_units(made: Made) -> None:
    path = made.files()[0]
    image = read_image(made.folder / path)
    assert np.allclose(image.pixels, made.hu(path))


def test_values_are_kept_to_a_unit_and_cut_to_twelve_bits() -> None:
    hu = np.array([[-2000, -1024, 40.4, 5000]], np.float32)
    assert stored_values(hu).tolist() == [[0, 0, 1064, 4095]]


def test_an_identifier_depends_on_its_sources_alone() -> None:
    assert make_uid("a", 1) == make_uid("a", 1) != make_uid("a", 2)
    assert len(make_uid("a")) <= 64
