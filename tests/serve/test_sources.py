from __future__ import annotations

import io
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, config, dcmread
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName
from tests.serve.hostile import good_files, hostile

from overread.data.image import read_header
from overread.errors import ImageError
from overread.serve.results import Answered, ModelSaid, make_capture, make_report, to_bytes
from overread.serve.sources import repeatable

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MODEL = ModelSaid(name="m", sha256="ab" * 32, classes=("cancer",), intended_use="Research use.")
UIDS: dict[str, Any] = {"study": "1.2.3", "series": "1.2.3.4", "instance": "1.2.3.4.5", "n_frames": 1}


def _clean(header: Dataset) -> Dataset:
    found = repeatable(header, **UIDS)
    assert found is not None
    return found


def test_what_is_valid_is_repeated(slices: list[Path]) -> None:
    header = dcmread(slices[0], stop_before_pixels=True)
    found = _clean(header)
    for name in ("PatientID", "PatientName", "PatientSex", "StudyDate", "StudyTime", "StudyID", "Modality"):
        assert found[name].value == header[name].value
    assert found.StudyInstanceUID == "1.2.3"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "yesterday"),
        ("PatientSex", "<script>"),
        ("PatientID", "x" * 65),
        ("PatientName", ["Doe^Jane", "Roe^Joan"]),
        ("StudyID", None),
        ("AccessionNumber", ["1", "2"]),
        ("StudyDescription", ["Head", "Neck"]),
        ("SpecificCharacterSet", "none of these"),
        ("SpecificCharacterSet", ["", "ISO 2022 IR 87"]),
    ],
)
def test_what_is_not_valid_is_left_out(slices: list[Path], keyword: str, value: Any) -> None:
    header = dcmread(slices[0], stop_before_pixels=True)
    with config.disable_value_validation():
        setattr(header, keyword, value)
    source = _clean(header)
    report = make_report(
        [Answered(dataset=source, frame=0, label="cancer", probabilities={"cancer": 1.0})], MODEL, at=AT
    )
    back = dcmread(io.BytesIO(to_bytes(report)))
    assert back.get("SpecificCharacterSet") in (None, "ISO_IR 192")
    if keyword != "SpecificCharacterSet":
        assert not back.get(keyword)
    assert back.StudyTime == header.StudyTime


def test_text_in_no_character_set_is_read_as_latin_1_and_written_anew(slices: list[Path], tmp_path: Path) -> None:
    content = slices[0].read_bytes()
    name = str(dcmread(slices[0]).PatientName).encode()
    odd = b"M\xfcller^J".ljust(len(name))
    assert len(odd) == len(name)
    (tmp_path / "a.dcm").write_bytes(content.replace(name, odd))
    header = dcmread(tmp_path / "a.dcm", stop_before_pixels=True)
    found = _clean(header)
    assert (found.SpecificCharacterSet, str(found.PatientName)) == ("ISO_IR 192", "Müller^J")
    one = Answered(dataset=found, frame=0, label="cancer", probabilities={"cancer": 1.0})
    back = dcmread(io.BytesIO(to_bytes(make_report([one], MODEL, at=AT))))
    assert (back.SpecificCharacterSet, str(back.PatientName)) == ("ISO_IR 192", "Müller^J")


@pytest.mark.parametrize(
    ("names", "name", "told"),
    [
        ("ISO_IR 100", "Müller^J", "ISO_IR 100"),
        ("ISO_IR 6", "Miller^J", "ISO_IR 192"),
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "Yamada^T=山田^太郎", ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^G=洪^吉洞=홍^길동", "ISO_IR 192"),
        (["ISO_IR 100", "ISO 2022 IR 144"], "Müller^J", "ISO_IR 192"),
        (["ISO 2022 IR 87", "ISO 2022 IR 6"], "Yamada^T", "ISO_IR 192"),
    ],
)
def test_every_character_set_that_can_be_read_makes_results(
    slices: list[Path], names: str | list[str], name: str, told: str | list[str]
) -> None:
    header = dcmread(slices[0], stop_before_pixels=True)
    header.SpecificCharacterSet, header.PatientName = names, name
    stream = io.BytesIO()
    header.save_as(stream)
    stream.seek(0)
    source = _clean(dcmread(stream, force=True))
    one = Answered(dataset=source, frame=0, label="cancer", probabilities={"cancer": 1.0})
    capture = make_capture(source, np.zeros((8, 8, 3), np.uint8), MODEL, at=AT, number=1, answers="-")
    for result in (make_report([one], MODEL, at=AT), capture):
        back = dcmread(io.BytesIO(to_bytes(result)))
        assert (back.SpecificCharacterSet, str(back.PatientName)) == (told, name)


def test_chinese_by_iso_2022_is_written_anew(slices: list[Path]) -> None:
    """The name of PS3.5 K.2, of which pydicom writes other bytes."""
    header = dcmread(slices[0], stop_before_pixels=True)
    encodings = convert_encodings(["", "ISO 2022 IR 58"])
    header.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 58"]
    header.PatientName = PersonName(b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", encodings)
    header.StudyDescription = "\x1b$)A张"
    source = _clean(header)
    one = Answered(dataset=source, frame=0, label="cancer", probabilities={"cancer": 1.0})
    back = dcmread(io.BytesIO(to_bytes(make_report([one], MODEL, at=AT))))
    assert (back.SpecificCharacterSet, back.StudyDescription) == ("ISO_IR 192", "张")
    assert str(back.PatientName) == "Zhang^XiaoDong=张^小东"


def test_results_can_be_made_of_whatever_was_taken(slices: list[Path], tmp_path: Path) -> None:
    good, path, n_made = good_files(slices[:1]), tmp_path / "a.dcm", 0
    for seed in range(60):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, _, content = hostile(seed, good)
            path.write_bytes(content)
            try:
                read_header(path)
            except ImageError:
                continue
            source = repeatable(dcmread(path, stop_before_pixels=True, force=True), **UIDS)
            if source is None:
                continue
            one = Answered(dataset=source, frame=0, label="cancer", probabilities={"cancer": 1.0})
            to_bytes(make_report([one], MODEL, at=AT))
            picture = np.zeros((8, 8, 3), np.uint8)
            to_bytes(make_capture(source, picture, MODEL, at=AT, number=1, answers="-"))
            n_made += 1
    assert n_made > 20
