from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless
from tests.serve.conftest import arrive
from tests.serve.web.test_accept import BROWSER, OHIF, path_of
from tests.serve.web.test_app import Running

from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.web.app import make_app

OCTETS = 'multipart/related; type="application/octet-stream"'
LOSSLESS = 'multipart/related; type="image/jls"'
PLAIN = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
JLS = f"image/jls; transfer-syntax={JPEGLSLossless}"


@pytest.fixture(scope="module")
def frames(slices: list[Path]) -> list[NDArray[np.int16]]:
    one = pydicom.dcmread(slices[0]).pixel_array
    return [one, np.ascontiguousarray(one[::-1]), one + 1]


@pytest.fixture(scope="module")
def stored(slices: list[Path], frames: list[NDArray[np.int16]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CT object of three frames, and one compressed as JPEG-LS."""
    folder = tmp_path_factory.mktemp("frames")
    dataset = pydicom.dcmread(slices[0])
    dataset.NumberOfFrames, dataset.PixelData = 3, np.stack(frames).tobytes()
    dataset.save_as(folder / "three.dcm")
    dataset = pydicom.dcmread(slices[1])
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.save_as(folder / "jls.dcm")
    return folder


@pytest.fixture(scope="module")
def client(model_folder: Path, stored: Path) -> Iterator[TestClient]:
    service = Service(open_store(stored / "store"), ServedModel(model_folder))
    files = [arrive(service.store, stored / name) for name in ("three.dcm", "jls.dcm")]
    service.intake.take(files, came_by="stow", who="me")
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        del client.headers["accept"]
        yield client


def _parts(response: object) -> list[tuple[str, bytes]]:
    kind = response.headers["content-type"]
    boundary = re.search("boundary=(.+)", kind)[1].encode()
    pieces = response.content.split(b"--" + boundary)
    assert (pieces[0], pieces[-1]) == (b"", b"--\r\n")
    found = [piece.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b"\r\n\r\n", 1) for piece in pieces[1:-1]]
    return [(head.decode().removeprefix("Content-Type: "), body) for head, body in found]


def test_frames_come_in_the_order_that_is_asked_for(
    client: TestClient, slices: list[Path], frames: list[NDArray[np.int16]]
) -> None:
    response = client.get(f"{path_of(slices[0])}/frames/3,1")
    assert response.headers["content-type"].startswith(f"{OCTETS}; boundary=")
    assert _parts(response) == [(PLAIN, frames[2].tobytes()), (PLAIN, frames[0].tobytes())]
    alone = client.get(f"{path_of(slices[0])}/frames/2", headers={"Accept": "application/octet-stream"})
    assert (alone.headers["content-type"], alone.content) == (PLAIN, frames[1].tobytes())


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, PLAIN),
        ("*/*", PLAIN),
        (BROWSER, PLAIN),
        (OHIF, PLAIN),
        (OCTETS, PLAIN),
        (f"{OCTETS}; transfer-syntax={ExplicitVRLittleEndian}", PLAIN),
        (
            f"{OCTETS}; transfer-syntax={JPEGLSLossless}",
            f"application/octet-stream; transfer-syntax={JPEGLSLossless}",
        ),
        (LOSSLESS, JLS),
        (f"{LOSSLESS}; transfer-syntax={JPEGLSLossless}", JLS),
        (f"{OCTETS};q=0.5, {LOSSLESS}", JLS),
        (f"{OCTETS}, {LOSSLESS};q=0.9", PLAIN),
    ],
)
def test_a_compressed_frame_comes_as_it_is_wanted(
    client: TestClient, slices: list[Path], accept: str | None, kind: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    ((told, content),) = _parts(client.get(f"{path_of(slices[1])}/frames/1", headers=headers))
    assert told == kind
    if kind == PLAIN:
        assert content == pydicom.dcmread(slices[1]).pixel_array.tobytes()
    else:
        assert content.startswith(b"\xff\xd8")


@pytest.mark.parametrize("accept", ['multipart/related; type="image/jpeg"', "application/dicom", f"{OCTETS};q=0"])
def test_what_is_not_to_be_had_is_refused(client: TestClient, slices: list[Path], accept: str) -> None:
    response = client.get(f"{path_of(slices[1])}/frames/1", headers={"Accept": accept})
    assert response.status_code == 406
    assert "image/jls" in response.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "status"), [("4", 404), ("1,4", 404), ("0", 422), ("1,,2", 422), ("-1", 422), ("a", 422), ("1,", 422)]
)
def test_a_frame_that_is_not_there(client: TestClient, slices: list[Path], asked: str, status: int) -> None:
    response = client.get(f"{path_of(slices[0])}/frames/{asked}")
    assert response.status_code == status
    if status == 404:
        assert response.json()["detail"] == "The object has frames 1 to 3."


def test_another_client_gets_frames(
    model_folder: Path, tmp_path: Path, stored: Path, frames: list[NDArray[np.int16]]
) -> None:
    web = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")
    running = Running(model_folder, tmp_path / "store")
    try:
        peer = web.DICOMwebClient(url=f"http://127.0.0.1:{running.port}/dicom-web")
        dataset = pydicom.dcmread(stored / "three.dcm")
        peer.store_instances([dataset])
        uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        back = peer.retrieve_instance_frames(*uids, frame_numbers=[1, 3])
        assert back == [frames[0].tobytes(), frames[2].tobytes()]
    finally:
        running.stop()
