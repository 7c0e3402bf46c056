from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.uid import JPEG2000Lossless, RLELossless
from tests.serve.conftest import arrive

from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.web.app import make_app

PARTS = 'multipart/related; type="application/dicom"'
EXPLICIT = "1.2.840.10008.1.2.1"
OHIF = (
    "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(scope="module")
def client(model_folder: Path, slices: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Of a service with one study: one image of it as it was made, and one compressed by RLE."""
    folder = tmp_path_factory.mktemp("accept")
    dataset = pydicom.dcmread(slices[1])
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(folder / "rle.dcm")
    service = Service(open_store(folder / "store"), ServedModel(model_folder))
    files = [arrive(service.store, path) for path in (slices[0], folder / "rle.dcm")]
    service.intake.take(files, came_by="stow", who="me")
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        del client.headers["accept"]
        yield client


def path_of(of: Path, level: str = "instance") -> str:
    dataset = pydicom.dcmread(of)
    study = f"/dicom-web/studies/{dataset.StudyInstanceUID}"
    series = f"{study}/series/{dataset.SeriesInstanceUID}"
    return {"study": study, "series": series, "instance": f"{series}/instances/{dataset.SOPInstanceUID}"}[level]


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        BROWSER,
        "multipart/related",
        "multipart/*",
        PARTS,
        f"{PARTS}; transfer-syntax=*",
        f"{PARTS}; transfer-syntax={EXPLICIT}",
        "multipart/related; type=application/dicom; transfer-syntax=*",
        'Multipart/Related;TYPE="application/dicom";Transfer-Syntax="*"',
        f'multipart/related; type="application/dicom; transfer-syntax={EXPLICIT}"',
        f"{PARTS}; transfer-syntax={JPEG2000Lossless}, {PARTS}; transfer-syntax={EXPLICIT}",
        f"image/jpeg, {PARTS};q=0.1",
    ],
)
def test_objects_come_in_parts_where_that_is_taken(
    client: TestClient, slices: list[Path], accept: str | None
) -> None:
    response = client.get(path_of(slices[0]), headers={} if accept is None else {"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(f"{PARTS}; boundary=")
    assert f"Content-Type: application/dicom; transfer-syntax={EXPLICIT}\r\n\r\n".encode() in response.content
    assert slices[0].read_bytes() in response.content


@pytest.mark.parametrize(
    "accept",
    [
        "image/jpeg",
        "application/dicom+xml",
        "application/dicom+json",
        'multipart/related; type="application/octet-stream"',
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        f"{PARTS}; transfer-syntax={JPEG2000Lossless}",
        f"application/dicom; transfer-syntax={JPEG2000Lossless}",
        f"{PARTS}; q=0",
        ";",
    ],
)
def test_what_is_not_to_be_had_is_refused(client: TestClient, slices: list[Path], accept: str) -> None:
    for level in ("study", "series", "instance"):
        response = client.get(path_of(slices[0], level), headers={"Accept": accept})
        assert (response.status_code, response.headers["content-type"]) == (406, "application/problem+json")
        assert PARTS in response.json()["detail"]


def test_who_asks_for_one_object_alone_has_its_file(client: TestClient, slices: list[Path]) -> None:
    for accept in ("application/dicom", "application/dicom; transfer-syntax=*", "application/*"):
        response = client.get(path_of(slices[0]), headers={"Accept": accept})
        assert response.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
        assert response.content == slices[0].read_bytes()
    study = client.get(path_of(slices[0], "study"), headers={"Accept": "application/dicom"})
    assert study.status_code == 406


def test_each_object_names_its_transfer_syntax(client: TestClient, slices: list[Path]) -> None:
    study = path_of(slices[0], "study")
    content = client.get(study).content
    assert content.count(f"transfer-syntax={EXPLICIT}\r\n".encode()) == 1
    assert content.count(f"transfer-syntax={RLELossless}\r\n".encode()) == 1
    both = f"{PARTS}; transfer-syntax={EXPLICIT}, {PARTS}; transfer-syntax={RLELossless}"
    assert client.get(study, headers={"Accept": both}).content.count(b"DICM") == 2
    refused = client.get(study, headers={"Accept": f"{PARTS}; transfer-syntax={EXPLICIT}"})
    assert refused.status_code == 406
    assert RLELossless in refused.json()["detail"]


@pytest.mark.parametrize(
    ("accept", "json", "picture"),
    [
        (None, 200, "image/jpeg"),
        ("*/*", 200, "image/jpeg"),
        (BROWSER, 200, "image/jpeg"),
        ("application/dicom+json", 200, ""),
        ("application/dicom+json, application/json", 200, ""),
        ("application/json", 200, ""),
        (OHIF, 200, ""),
        ("application/dicom+json; transfer-syntax=*", 200, ""),
        ('multipart/related; type="application/dicom+xml"', 406, ""),
        ("application/dicom+xml", 406, ""),
        ("image/png", 406, "image/png"),
        ("image/*", 406, "image/jpeg"),
        ("image/jpeg", 406, "image/jpeg"),
        ("image/png;q=0.5, image/jpeg", 406, "image/jpeg"),
        ("image/jpeg;q=0.5, image/png", 406, "image/png"),
        ("image/png, */*;q=0.1", 200, "image/png"),
        ("image/jpeg;q=0, image/png;q=odd", 406, "image/png"),
        ("image/gif", 406, ""),
    ],
)
def test_attributes_and_pictures_keep_to_what_is_taken(
    client: TestClient, slices: list[Path], accept: str | None, json: int, picture: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    study, series, instance = (path_of(slices[0], level) for level in ("study", "series", "instance"))
    asked = [f"/dicom-web/{what}" for what in ("studies", "series", "instances")]
    asked += [f"{where}/metadata" for where in (study, series, instance)]
    asked += [f"{study}/series", f"{study}/instances", f"{series}/instances"]
    assert {client.get(where, headers=headers).status_code for where in asked} == {json}
    shown = client.get(f"{instance}/rendered", headers=headers)
    if picture:
        assert (shown.status_code, shown.headers["content-type"]) == (200, picture)
        found = Image.open(io.BytesIO(shown.content))
        assert (found.size, found.get_format_mimetype()) == ((64, 64), picture)
    else:
        assert shown.status_code == 406
        assert "image/jpeg or image/png" in shown.json()["detail"]


def test_another_clients_choices_are_understood(client: TestClient, slices: list[Path]) -> None:
    web = pytest.importorskip("dicomweb_client.web", reason="dicomweb-client is not installed")
    kinds = (("application/dicom", str(JPEG2000Lossless)), ("application/dicom", "*"))
    known = {str(JPEG2000Lossless): "application/dicom", EXPLICIT: "application/dicom"}
    accept = web.DICOMwebClient._build_multipart_accept_header_field_value(kinds, known)
    back = client.get(path_of(slices[0]), headers={"Accept": accept})
    assert pydicom.dcmread(io.BytesIO(back.content[back.content.index(b"DICM") - 128 :])).Modality == "CT"
