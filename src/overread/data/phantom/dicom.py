"""Write a slice as a valid CT image of DICOM (PS3.3 A.3), the same bytes each time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from overread.data.phantom.scanner import Kernel, Scanner
from overread.data.phantom.shapes import Field

INTERCEPT_HU = -1024
WINDOWS = {"head": (40, 80), "chest": (-600, 1500)}
# The prefix that pydicom's authors let its users make identifiers under.
_UID_PREFIX = "1.2.826.0.1.3680043.8.498."


def make_uid(*sources: object) -> UID:
    """A valid identifier that depends on `sources` alone."""
    return generate_uid(prefix=_UID_PREFIX, entropy_srcs=["overread phantom", *map(str, sources)])


def stored_values(hu: Field) -> NDArray[np.uint16]:
    """Hounsfield units as the file stores them: 12 bits, unsigned."""
    stored: NDArray[np.uint16] = np.clip(np.rint(hu) - INTERCEPT_HU, 0, 4095).astype("<u2")
    return stored


@dataclass(frozen=True, kw_only=True)
class Series:
    """What all slices of a patient's series share."""

    seed: int
    patient_id: str
    body: str
    age: int
    sex: str
    scanner: Scanner
    kernel: Kernel
    pixel_mm: float
    spacing_mm: float


def write_slice(path: Path, values: NDArray[np.uint16], series: Series, *, number: int, z_mm: float) -> None:
    """Write one slice; `number` counts from 1 towards the head."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = make_uid(series.seed, series.body, series.patient_id, "image", number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = make_uid("implementation")
    meta.ImplementationVersionName = "OVERREAD_PHANTOM"
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _describe_patient(image, series)
    _describe_scan(image, series, number)
    _describe_place(image, series, values.shape[0], number, z_mm)
    _describe_pixels(image, series, values)
    image.save_as(path, enforce_file_format=True)


def _describe_patient(image: FileDataset, series: Series) -> None:
    image.PatientName = f"Phantom^{series.patient_id[-4:]}"
    image.PatientID = series.patient_id
    image.PatientBirthDate = ""
    image.PatientSex = series.sex
    image.PatientAge = f"{series.age:03d}Y"
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "Synthetic: no person was scanned"
    image.StudyInstanceUID = make_uid(series.seed, series.body, series.patient_id, "study")
    image.StudyDate, image.StudyTime = "20240101", "120000"
    image.AccessionNumber, image.ReferringPhysicianName, image.StudyID = "", "", "1"
    image.StudyDescription = f"Phantom CT {series.body}"


def _describe_scan(image: FileDataset, series: Series, number: int) -> None:
    scanner = series.scanner
    image.Modality = "CT"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SeriesInstanceUID = make_uid(series.seed, series.body, series.patient_id, "series")
    image.SeriesNumber, image.AcquisitionNumber, image.InstanceNumber = 1, 1, number
    image.SeriesDate, image.SeriesTime = "20240101", "120000"
    image.ContentDate, image.ContentTime = "20240101", "120000"
    image.Manufacturer, image.ManufacturerModelName = scanner.manufacturer, scanner.model
    image.BodyPartExamined = series.body.upper()
    image.ConvolutionKernel = series.kernel.name
    image.KVP = scanner.kvp
    image.PatientPosition = "HFS"


def _describe_place(image: FileDataset, series: Series, size_px: int, number: int, z_mm: float) -> None:
    corner_mm = -(size_px - 1) / 2 * series.pixel_mm
    image.FrameOfReferenceUID = make_uid(series.seed, series.body, series.patient_id, "frame of reference")
    image.PositionReferenceIndicator = ""
    image.ImagePositionPatient = [f"{corner_mm:.4f}", f"{corner_mm:.4f}", f"{z_mm:.3f}"]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.SliceLocation = f"{z_mm:.3f}"
    image.SliceThickness = f"{series.scanner.thickness_mm:g}"
    image.SpacingBetweenSlices = f"{series.spacing_mm:g}"
    image.PixelSpacing = [f"{series.pixel_mm:.5f}", f"{series.pixel_mm:.5f}"]


def _describe_pixels(image: FileDataset, series: Series, values: NDArray[np.uint16]) -> None:
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = values.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = INTERCEPT_HU, 1, "HU"
    image.WindowCenter, image.WindowWidth = WINDOWS[series.body]
    image.PixelData = values.tobytes()
    image["PixelData"].VR = "OW"
