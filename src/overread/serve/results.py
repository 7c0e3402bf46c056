"""What the model says of a study, as DICOM: a structured report, and captures for who cannot read one.

IHE AI Results (AIR): Comprehensive 3D SR, TID 1500 at its root, TID 1501 for each image. Source objects are referred
to and never changed. The same answers give the same UIDs, so that what is sent again is the same object.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from overread.errors import ServiceError
from overread.predict import UNLIKE
from overread.serve import codes
from overread.serve.sources import in_utf_8

SERIES_NUMBERS = {"sr": 9001, "sc": 9002}
_LO = 64


@dataclass(frozen=True, kw_only=True)
class ModelSaid:
    """The model that the results are of."""

    name: str
    sha256: str
    classes: tuple[str, ...]
    intended_use: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One frame, and what the model says of it."""

    dataset: Dataset = field(repr=False)
    """the source's header; its pixels are not needed, and of most images no more than their UIDs and numbers"""
    frame: int
    """from 0"""
    label: str
    probabilities: dict[str, float]
    classes: tuple[str, ...] = ()
    abstains: str = ""


def make_report(
    answered: Sequence[Answered], model: ModelSaid, *, at: datetime, number: int = 1, answers: str = ""
) -> Dataset:
    """A Comprehensive 3D SR of the answers to the images of one study. Raises ServiceError where there are none.

    at: the time of the answers. number: which one of the study's it is, from 1. answers: a digest of all answers to
    the study, where these are some of them. Of the first image the whole header is wanted: patient and study are
    taken from it, with its character set where the report's own text is ASCII, else in UTF-8. Unverified: no person
    has looked at it.
    """
    from highdicom import sr

    _check_one_study(answered)
    sources, answers = _sources(answered), answers or digest(answered)
    if not _is_ascii(answered, model):
        sources[0] = in_utf_8(sources[0])
    first = sources[0]
    study = str(first.StudyInstanceUID)
    device = sr.ObserverContext(
        observer_type=codes.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=made_up_uid("device", model.sha256),
            name=model.name[:_LO],
            manufacturer_name=codes.MANUFACTURER,
            model_name=f"overread {version('overread')}",
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.procedure_code(str(first.get("Modality", ""))),
        imaging_measurements=[_group(one, model) for one in answered],
    )
    report: Dataset = sr.Comprehensive3DSR(
        evidence=sources,
        content=content,
        series_instance_uid=made_up_uid("sr-series", study, model.sha256, answers),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=made_up_uid("sr", study, model.sha256, answers, str(number)),
        instance_number=number,
        manufacturer=codes.MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="overread: research use, not a medical device",
        manufacturer_model_name="overread",
        software_versions=version("overread"),
        device_serial_number=model.sha256[:16],
    )
    codes.declare(report)
    _date(report, at, first)
    return report


def make_capture(
    source: Dataset, picture: NDArray[np.uint8], model: ModelSaid, *, at: datetime, number: int, answers: str
) -> Dataset:
    """A Secondary Capture of a drawn sheet (rows, columns, 3) uint8, in a series of its own in the source's study.

    answers: a digest of what the sheet tells; with it the UID changes.
    """
    from highdicom.sc import SCImage

    study = str(source.StudyInstanceUID)
    made = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=made_up_uid("sc-series", study, model.sha256, answers),
        series_number=SERIES_NUMBERS["sc"],
        sop_instance_uid=made_up_uid("sc", study, model.sha256, answers, str(number)),
        instance_number=number,
        manufacturer=codes.MANUFACTURER,
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description="overread heatmap: research use only",
        manufacturer_model_name="overread",
        software_versions=version("overread"),
    )
    made.copy_patient_and_study_information(source)  # of which it has taken what is of type 2 alone
    capture: Dataset = made
    capture.PatientOrientation = None  # a sheet of several pictures has none
    capture.Laterality = None
    capture.BurnedInAnnotation = "YES"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.DerivationDescription = "Evidence of a classifier over the image. Research use, not a medical device."
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    capture.SourceImageSequence = [reference]
    _date(capture, at, source)
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = capture.ContentDate, capture.ContentTime
    return capture


def name_of(header: Dataset, frame: int) -> str:
    """What a person finds an image of a study by.

    >>> header = Dataset()
    >>> header.SeriesNumber, header.InstanceNumber, header.NumberOfFrames = 2, 14, 30
    >>> name_of(header, 0)
    'series 2, image 14, frame 1'
    """
    series, image = header.get("SeriesNumber"), header.get("InstanceNumber")
    parts = [f"series {series}"] if series is not None else []
    parts += [f"image {image}"] if image is not None else []
    if int(header.get("NumberOfFrames") or 1) > 1 or not parts:
        parts.append(f"frame {frame + 1}")
    return ", ".join(parts)


def digest(answered: Sequence[Answered]) -> str:
    """SHA-256 of all answers, in their order."""
    said = [
        (str(one.dataset.SOPInstanceUID), one.frame, one.label, sorted(one.probabilities.items()), one.classes)
        for one in answered
    ]
    said_nothing = [one.abstains for one in answered]
    return hashlib.sha256(repr((said, said_nothing)).encode()).hexdigest()


def made_up_uid(*parts: str) -> str:
    """A UID that is always the same for the same parts (PS3.5 B.2)."""
    number = int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:16], "big")
    return f"2.25.{number}"


def to_bytes(dataset: Dataset) -> bytes:
    """A data set as a DICOM file."""
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _group(one: Answered, model: ModelSaid) -> Dataset:
    """TID 1501 for one image: its class, or that there is none, and the probability of each."""
    from highdicom import sr

    frames = [one.frame + 1] if int(one.dataset.get("NumberOfFrames") or 1) > 1 else None
    source = sr.SourceImageForMeasurementGroup(
        referenced_sop_class_uid=one.dataset.SOPClassUID,
        referenced_sop_instance_uid=one.dataset.SOPInstanceUID,
        referenced_frame_numbers=frames,
    )
    uid = str(one.dataset.SOPInstanceUID)
    group: Dataset = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=made_up_uid("group", uid, str(one.frame), model.sha256), identifier=name_of(one.dataset, one.frame)
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name=model.name[:_LO],
            version=f"overread {version('overread')}",
            parameters=[f"model SHA-256 {model.sha256}", model.intended_use, *model.marks],
            manufacturer=codes.MANUFACTURER,
        ),
        measurements=[
            sr.Measurement(
                name=codes.probability_code(name),
                value=_decimal(p),
                unit=codes.NO_UNITS,
                qualifier=codes.NOT_RELIED_ON if one.abstains == UNLIKE else None,
            )
            for name, p in one.probabilities.items()
        ],
        qualitative_evaluations=_evaluations(one),
        source_images=[source],
    )
    return group


def _evaluations(one: Answered) -> list[Dataset]:
    from highdicom import sr

    found = []
    if one.abstains:
        found.append(sr.QualitativeEvaluation(name=codes.ANSWER, value=codes.silence_code(one.abstains)))
    likeliest = codes.NO_ANSWER_LIKELIEST if one.abstains else codes.LIKELIEST
    found.append(sr.QualitativeEvaluation(name=likeliest, value=codes.class_code(one.label)))
    if one.abstains != UNLIKE:  # of an image unlike the training images a set promises nothing
        found += [sr.QualitativeEvaluation(name=codes.IN_SET, value=codes.class_code(name)) for name in one.classes]
    return found


def _decimal(p: float) -> float:
    """A probability as a Decimal String holds it: 16 characters (PS3.5 6.2)."""
    return float(f"{p:.9f}")


def _check_one_study(answered: Sequence[Answered]) -> None:
    if len({str(one.dataset.StudyInstanceUID) for one in answered}) != 1:
        raise ServiceError("A report is of the images of one study, and of one image at least.", kind="no-report")


def _sources(answered: Sequence[Answered]) -> list[Dataset]:
    """Each image once, in its order: of several frames the first, which may be the one with the whole header."""
    found: dict[str, Dataset] = {}
    for one in answered:
        found.setdefault(str(one.dataset.SOPInstanceUID), one.dataset)
    return list(found.values())


def _is_ascii(answered: Sequence[Answered], model: ModelSaid) -> bool:
    """Whether what a report says itself can stand in every character set."""
    said = [(one.label, one.abstains, *one.classes, *one.probabilities) for one in answered]
    return all(text.isascii() for texts in (*said, (model.name, model.intended_use, *model.marks)) for text in texts)


def _date(dataset: Dataset, at: datetime, source: Dataset) -> None:
    """The same answers make the same file: its times are those of the answers, in the source's zone."""
    zone = _zone(source)
    if zone is not None:
        dataset.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    local = at.astimezone(zone)  # the machine's where the source names none
    date, time = local.strftime("%Y%m%d"), local.strftime("%H%M%S")
    for name in ("Content", "Series", "InstanceCreation"):
        setattr(dataset, f"{name}Date", date)
        setattr(dataset, f"{name}Time", time)
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = date + time


def _zone(source: Dataset) -> timezone | None:
    """The zone that all times of a source are in (PS3.3 C.12.1); None where it does not say."""
    found = re.fullmatch(r"([+-])(0\d|1[0-4])([0-5]\d)", str(source.get("TimezoneOffsetFromUTC", "")))
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)
