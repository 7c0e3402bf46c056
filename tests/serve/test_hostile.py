"""Some spoilt files through both doors, and hundreds of pictures; benchmarks/serve_hostile.py sends thousands."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from tests.serve.hostile import OUTSIDE, PAYLOAD, good_files, hostile
from tests.serve.web.test_app import Running

from overread.data.image import read_frames, read_header
from overread.errors import ImageError
from overread.predict import load
from overread.serve.model import ServedModel
from overread.serve.node import NodeSettings
from overread.serve.proof import prove
from overread.serve.station import Station
from overread.serve.statuses import Status
from overread.serve.store import open_store

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
EXPECTED = {Status.SUCCESS, Status.DATA_SET_DOES_NOT_MATCH, Status.CANNOT_UNDERSTAND, Status.TOO_LARGE}


@pytest.fixture(scope="module")
def spoilt(slices: list[Path]) -> list[tuple[str, str, bytes]]:
    good = good_files(slices[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [hostile(seed, good) for seed in range(100)]


@pytest.fixture
def running(model_folder: Path, tmp_path: Path) -> Iterator[Running]:
    found = Running(model_folder, tmp_path / "store")
    yield found
    found.stop()


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def test_nothing_that_is_uploaded_harms(
    running: Running, spoilt: list[Any], slices: list[Path], model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = running.client
    for start in range(0, len(spoilt), 20):
        some = spoilt[start : start + 20]
        files = [("files", (f"{PAYLOAD}.dcm", content)) for _, _, content in some]
        assert client.post("/api/v1/images?wait=60", files=files).status_code == 200
    for row in client.get("/api/v1/studies?limit=500").json()["studies"]:
        page = client.get(f"/studies/{row['uid']}").text + client.get("/").text
        assert not re.search(r"<img|<script>|onerror=overread\(\)>", page)
        for data in re.findall(r'(?s)<script type="application/json" id="data">(.*?)</script>', page):
            json.loads(data, parse_constant=_no_number)
        study = client.get(f"/api/v1/studies/{row['uid']}").json()
        for series in study["series"]:
            place = f"/dicom-web/studies/{row['uid']}/series/{series['uid']}"
            for path in (place, f"{place}/metadata", f"{place}/instances"):
                assert client.get(path).status_code in (200, 204)
            for image in series["images"]:
                for path in (
                    f"/api/v1/images/{image['uid']}/frames/0/pixels",
                    f"/api/v1/images/{image['uid']}/frames/0/heat",
                    f"{place}/instances/{image['uid']}/rendered",
                    f"{place}/instances/{image['uid']}/frames/1",
                ):
                    assert client.get(path).status_code in (200, 404, 406, 422)
    response = client.post("/api/v1/images?wait=60", files={"files": slices[-1].read_bytes()})
    (image,) = response.json()["images"]
    (want,) = load(model_folder).predict_files([slices[-1]])
    assert image["frames"][0]["probabilities"] == pytest.approx(want.probabilities, abs=1e-6)
    assert prove(running.service.store).faults == ()
    _check_folder(running.service.store.files.folder.parent)
    _check_log(caplog)


def _check_log(caplog: pytest.LogCaptureFixture) -> None:
    records = [record for record in caplog.records if record.name.startswith("overread")]
    assert not [record for record in records if record.levelno >= logging.ERROR]


def _check_folder(folder: Path) -> None:
    """Nothing has a name of a file's own choosing, and nothing is left half received."""
    for path in (folder / "files").rglob("*"):
        assert path.is_dir() or re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{16}\.lock", path.name)
    assert not list(folder.parent.rglob(f"*{OUTSIDE}*"))
    assert not list(Path(tempfile.gettempdir()).glob(f"*{OUTSIDE}*"))


def test_nothing_that_is_sent_by_c_store_harms(
    model_folder: Path, tmp_path: Path, spoilt: list[Any], slices: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path / "store")
    station = Station(store, ServedModel(model_folder), NodeSettings(port=0, quiet_s=3600))
    ae = AE(ae_title="TEST")
    ae.acse_timeout = ae.dimse_timeout = 60
    ae.add_requested_context(CT, EXPLICIT)
    association = ae.associate("127.0.0.1", station.start(), ae_title="OVERREAD")
    try:
        statuses = [_send(association, uid, content) for _, uid, content in spoilt[:60]]
        assert set(statuses) <= EXPECTED
        assert statuses.count(Status.SUCCESS) > 5
        assert association.is_established
        assert association.send_c_store(slices[-1]).Status == Status.SUCCESS
    finally:
        association.release()
        station.stop()
    _check_folder(tmp_path / "store")
    _check_log(caplog)


def _send(association: Any, uid: str, content: bytes) -> int:
    """Send what stands behind the file meta information as Explicit VR Little Endian, whatever it is."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, uid
    begin = 144 + int.from_bytes(content[140:144], "little") if content[132:138] == b"\x02\x00\x00\x00UL" else 0
    request.DataSet = io.BytesIO(content[min(begin, len(content)) :] or b"\0\0")
    association._reactor_checkpoint.clear()
    while association.is_established and not association._is_paused:  # else it takes the answer for a request
        time.sleep(0.001)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return int(answer.Status)


def _pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    grey = Picture.fromarray(rng.integers(0, 255, (24, 24), np.uint8))
    found = {}
    for name, more in (("PNG", {}), ("JPEG", {}), ("TIFF", {"save_all": True, "append_images": [grey.rotate(9)]})):
        stream = io.BytesIO()
        grey.save(stream, format=name, **more)
        found[name] = stream.getvalue()
    voxels = nibabel.Nifti1Image(rng.random((6, 6, 3), np.float32), np.eye(4))
    found["NIfTI"] = voxels.to_bytes()
    found["NIfTI packed"] = gzip.compress(voxels.to_bytes())
    stream = io.BytesIO()
    np.savez_compressed(stream, train_images=rng.integers(0, 255, (2, 8, 8), np.uint8), train_labels=np.zeros(2))
    found["NPZ"] = stream.getvalue()
    return found


PICTURES = _pictures()


@pytest.mark.parametrize("name", PICTURES)
@settings(max_examples=120, deadline=None, database=None, derandomize=True)
@given(data=st.data())
def test_a_spoilt_picture_is_read_or_refused(name: str, data: st.DataObject) -> None:
    content = bytearray(PICTURES[name])
    extremes = st.sampled_from(
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff"]
    )
    spoils = st.tuples(st.integers(0, len(content) - 1), st.one_of(st.binary(min_size=1, max_size=1), extremes))
    for at, value in data.draw(st.lists(spoils, min_size=1, max_size=6)):
        content[at : at + len(value)] = value
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(1, len(content))) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(content)
        with suppress(ImageError):
            n_frames = min(3, read_header(path).n_frames)
            for image in read_frames(path, range(n_frames)):
                assert image.pixels.size < 1 << 24


def test_an_archive_in_an_archive_is_no_image(running: Running, slices: list[Path]) -> None:
    """It is not unpacked any further: no depth to fall into."""
    content = slices[0].read_bytes()
    for depth in range(5):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"../../{OUTSIDE}-{depth}.zip", content)
            archive.writestr(f"/tmp/{OUTSIDE}.dcm", slices[depth].read_bytes())
        content = stream.getvalue()
    response = running.client.post("/api/v1/images?wait=60", files={"files": ("a.zip", content)})
    job = response.json()
    assert (response.status_code, job["n_images"], job["n_files"]) == (200, 1, 2)
    assert [one["kind"] for one in job["problems"]] == ["not-an-image"]
    _check_folder(running.service.store.files.folder.parent)
