from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Picture
from tests.serve.web.test_app import Running

from overread.serve.codes import MANUFACTURER
from overread.serve.limits import IntakeSettings
from overread.serve.model import ServedModel
from overread.serve.reporting import Reporter
from overread.serve.service import Service
from overread.serve.statuses import Status
from overread.serve.store import open_store
from overread.serve.web import dicomweb
from overread.serve.web.app import make_app

KIND = 'multipart/related; type="application/dicom"; boundary=x'


@pytest.fixture
def client(model_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    service = Service(open_store(tmp_path / "store"), ServedModel(model_folder))
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        yield client


def _body(contents: list[bytes]) -> bytes:
    parts = (b"--x\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n" for content in contents)
    return b"".join(parts) + b"--x--\r\n"


def _stow(client: TestClient, contents: list[bytes], path: str = "", kind: str = KIND) -> Any:
    return client.post(f"/dicom-web/studies{path}", content=_body(contents), headers={"Content-Type": kind})


def _uids(paths: list[Path]) -> list[str]:
    return [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]


def test_what_is_stored_is_found_and_comes_back_as_it_was(client: TestClient, slices: list[Path]) -> None:
    contents = [path.read_bytes() for path in slices]
    response = _stow(client, contents)
    assert response.status_code == 200
    assert [one["00081155"]["Value"][0] for one in response.json()["00081199"]["Value"]] == _uids(slices)
    studies = client.get("/dicom-web/studies").json()
    assert sorted(one["00201208"]["Value"][0] for one in studies) == [4, 4, 4]
    dataset = pydicom.dcmread(slices[0])
    study, series = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
    (one,) = client.get("/dicom-web/studies", params={"PatientID": dataset.PatientID}).json()
    assert one["0020000D"]["Value"] == [study]
    (found,) = client.get(f"/dicom-web/studies/{study}/series", params={"Modality": "CT"}).json()
    assert found["0020000E"]["Value"] == [series]
    assert client.get("/dicom-web/series", params={"Modality": "MR"}).status_code == 204
    told = client.get("/dicom-web/instances", params={"SOPInstanceUID": ",".join(_uids(slices[:2]))}).json()
    assert [one["00080018"]["Value"][0] for one in told] == _uids(slices[:2])
    back = client.get(f"/dicom-web/studies/{study}").content
    assert all(content in back for content in contents[:4])
    assert contents[4] not in back
    one_path = f"/dicom-web/studies/{study}/series/{series}/instances/{dataset.SOPInstanceUID}"
    assert contents[0] in client.get(one_path).content
    (metadata,) = client.get(f"{one_path}/metadata").json()
    assert metadata["00100020"]["Value"] == [dataset.PatientID]
    assert "7FE00010" not in metadata
    assert Picture.open(io.BytesIO(client.get(f"{one_path}/rendered").content)).size == (64, 64)
    assert client.get("/dicom-web/studies/1.2.3").status_code == 404


def test_one_odd_object_hides_no_other(client: TestClient, slices: list[Path]) -> None:
    dataset = pydicom.dcmread(slices[0])
    dataset.InstanceNumber = 177777
    dataset.RealWorldValueSlope = float("nan")
    dataset.add_new(0x00091001, "FD", [float("inf"), 1.5])
    stream = io.BytesIO()
    dataset.save_as(stream)
    odd_content = stream.getvalue().replace(b"177777", b"first ")
    assert _stow(client, [odd_content, slices[1].read_bytes()]).status_code == 200
    told = _strict(client.get("/dicom-web/instances"))
    assert [one["00080018"]["Value"][0] for one in told] == _uids(slices[:2])
    (odd, plain) = _strict(client.get(f"/dicom-web/studies/{dataset.StudyInstanceUID}/metadata"))
    assert odd["00091001"]["Value"] == [None, 1.5]
    assert plain["00100020"]["Value"] == [dataset.PatientID]


def test_a_very_long_attribute_is_told_without_its_value(client: TestClient, slices: list[Path]) -> None:
    dataset = pydicom.dcmread(slices[0])
    dataset.private_block(0x0009, "VENDOR", create=True).add_new(0x01, "OB", bytes(1 << 20))
    dataset.private_block(0x0009, "VENDOR").add_new(0x02, "OB", b"short ")
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert _stow(client, [stream.getvalue(), slices[1].read_bytes()]).status_code == 200
    response = client.get(f"/dicom-web/studies/{dataset.StudyInstanceUID}/metadata")
    (long, plain) = _strict(response)
    assert len(response.content) < 100_000
    assert (long["00091001"], long["00091002"]) == ({"vr": "OB"}, {"vr": "OB", "InlineBinary": "c2hvcnQg"})
    assert plain["00080018"]["Value"] == [pydicom.dcmread(slices[1]).SOPInstanceUID]


def _strict(response: Any) -> Any:
    def no_number(name: str) -> None:
        raise ValueError(name)

    assert response.status_code == 200
    return json.loads(response.content, parse_constant=no_number)


def test_another_client_speaks_with_it(model_folder: Path, tmp_path: Path, slices: list[Path]) -> None:
    web = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")
    running = Running(model_folder, tmp_path / "store")
    try:
        peer = web.DICOMwebClient(url=f"http://127.0.0.1:{running.port}/dicom-web")
        peer.store_instances([pydicom.dcmread(path) for path in slices[:4]])
        (study,) = peer.search_for_studies()
        uid = study["0020000D"]["Value"][0]
        assert len(peer.search_for_instances(uid)) == 4
        back = peer.retrieve_study(uid)
        assert [str(one.SOPInstanceUID) for one in back] == _uids(slices[:4])
        assert (back[0].pixel_array == pydicom.dcmread(slices[0]).pixel_array).all()
        assert len(peer.retrieve_study_metadata(uid)) == 4
    finally:
        running.stop()


def test_what_cannot_be_kept_is_told(client: TestClient, slices: list[Path]) -> None:
    good = slices[0].read_bytes()
    some = _stow(client, [good, b"no DICOM", good[:300]])
    assert some.status_code == 202
    assert [one["00081197"]["Value"][0] for one in some.json()["0008119A"]["Value"]] == [0xC000, 0xC000]
    assert _stow(client, [b"no DICOM"]).status_code == 409
    other = pydicom.dcmread(slices[0])
    other.PixelData = bytes(reversed(other.PixelData))
    stream = io.BytesIO()
    other.save_as(stream)
    refused = _stow(client, [stream.getvalue()])
    assert (refused.status_code, refused.json()["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA900])
    other = pydicom.dcmread(slices[1])
    other.PatientID = "another"
    stream = io.BytesIO()
    other.save_as(stream)
    refused = _stow(client, [stream.getvalue()])
    assert (refused.status_code, refused.json()["00081198"]["Value"][0]["00081197"]["Value"]) == (409, [0xA900])
    assert _stow(client, [slices[1].read_bytes()], path="/1.2.3").status_code == 409


def test_each_object_is_named_in_the_answer(client: TestClient, slices: list[Path], pictures: list[Path]) -> None:
    good, other = pydicom.dcmread(slices[0]), pydicom.dcmread(slices[0])
    other.PixelData = bytes(reversed(other.PixelData))
    stream = io.BytesIO()
    other.save_as(stream)
    told = _stow(client, [slices[0].read_bytes(), stream.getvalue(), pictures[0].read_bytes()]).json()
    (kept,), (failed,), (unnamed,) = (told[tag]["Value"] for tag in ("00081199", "00081198", "0008119A"))
    for item in (kept, failed):
        assert item["00081150"]["Value"] == [str(good.SOPClassUID)]
        assert item["00081155"]["Value"] == [str(good.SOPInstanceUID)]
    assert unnamed == {"00081197": {"vr": "US", "Value": [0xC000]}}
    assert failed["00081197"]["Value"] == [0xA900]
    (url,), (of_study,) = kept["00081190"]["Value"], told["00081190"]["Value"]
    series = f"{of_study}/series/{good.SeriesInstanceUID}"
    assert (of_study.rsplit("/", 1)[1], url) == (good.StudyInstanceUID, f"{series}/instances/{good.SOPInstanceUID}")
    assert client.get(url).content.count(b"DICM") == 1


def test_a_result_of_overreads_own_is_thanked_for_and_left_out(client: TestClient, slices: list[Path]) -> None:
    dataset = pydicom.dcmread(slices[0])
    dataset.Manufacturer = MANUFACTURER
    stream = io.BytesIO()
    dataset.save_as(stream)
    both = _stow(client, [stream.getvalue(), slices[1].read_bytes()])
    assert both.status_code == 200
    (own, other) = both.json()["00081199"]["Value"]
    assert (own["00081155"]["Value"], own["00081190"]) == ([str(dataset.SOPInstanceUID)], {"vr": "UR"})
    assert client.get(other["00081190"]["Value"][0]).status_code == 200
    assert len(client.get("/dicom-web/instances").json()) == 1


def test_an_object_without_a_series_has_its_address(client: TestClient, slices: list[Path]) -> None:
    dataset = pydicom.dcmread(slices[0])
    del dataset.SeriesInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream)
    (kept,) = _stow(client, [stream.getvalue()]).json()["00081199"]["Value"]
    (url,) = kept["00081190"]["Value"]
    assert url.endswith(f"/instances/{dataset.SOPInstanceUID}")
    assert stream.getvalue() in client.get(url).content


def test_what_is_too_large_is_told_as_by_c_store(model_folder: Path, tmp_path: Path, slices: list[Path]) -> None:
    large = pydicom.dcmread(slices[1])
    large.private_block(0x0009, "VENDOR", create=True).add_new(0x01, "OB", bytes(1_500_000))
    stream = io.BytesIO()
    large.save_as(stream)
    service = Service(open_store(tmp_path / "store"), ServedModel(model_folder), IntakeSettings(max_file_mb=1))
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        response = _stow(client, [stream.getvalue(), slices[0].read_bytes()])
        assert response.status_code == 202
        assert [one["00081155"]["Value"][0] for one in response.json()["00081199"]["Value"]] == _uids(slices[:1])
        (failed,) = response.json()["00081198"]["Value"]
        assert (failed["00081155"]["Value"], failed["00081197"]["Value"]) == (_uids(slices[1:2]), [Status.TOO_LARGE])
        assert list(service.store.files.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "asked"),
    [
        ("studies", {"PatientName": "NOBODY"}),
        ("studies", {"00100010": "NOBODY"}),
        ("studies", {"AccessionNumber": "1"}),
        ("studies", {"StudyDate": "yesterday"}),
        ("studies", {"StudyDate": "20161301"}),
        ("studies", {"StudyDate": "20160101-20160132"}),
        ("series", {"PatientID": "1"}),
        ("instances", {"InstanceNumber": "1"}),
    ],
)
def test_what_cannot_be_looked_for_is_said(client: TestClient, where: str, asked: dict[str, str]) -> None:
    """All that is there would be taken for what was asked for."""
    response = client.get(f"/dicom-web/{where}", params=asked)
    assert response.status_code == 400
    assert next(iter(asked)) in response.json()["detail"]
    assert response.headers["content-type"] == "application/problem+json"


def test_studies_are_found_by_their_months(client: TestClient, slices: list[Path]) -> None:
    _stow(client, [slices[0].read_bytes()])
    month = str(pydicom.dcmread(slices[0]).StudyDate)[:6]
    found = {
        asked: client.get("/dicom-web/studies", params={"StudyDate": asked}).status_code
        for asked in (
            month,
            f"{month}15",
            f"{month}01-",
            f"-{month}31",
            f"{month}01-{month}28",
            "20300101-",
            "-19991231",
        )
    }
    assert list(found.values()) == [200] * 5 + [204] * 2, found
    others = {"includefield": "all", "fuzzymatching": "true", "PatientName": "*", "00100020": "", "0020000D": ""}
    assert client.get("/dicom-web/studies", params=others).status_code == 200


def test_that_there_is_more_than_is_told_is_said(
    client: TestClient, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PS3.18 8.3.4.4.1: of what is asked for as much is given as there may be."""
    monkeypatch.setattr(dicomweb, "_MOST_FOUND", 3)
    _stow(client, [path.read_bytes() for path in slices[:6]])
    more = '299 overread "There are additional results that can be requested."'
    for where, asked, n, warning in (
        ("instances", {}, 3, more),
        ("instances", {"limit": 100_000}, 3, more),
        ("instances", {"limit": 2}, 2, more),
        ("instances", {"limit": 3, "offset": 3}, 3, None),
        ("studies", {"limit": 2}, 2, None),
        ("studies", {"limit": 1}, 1, more),
        ("series", {"limit": 1}, 1, more),
    ):
        response = client.get(f"/dicom-web/{where}", params=asked)
        assert (len(response.json()), response.headers.get("Warning")) == (n, warning), (where, asked)
    assert client.get("/dicom-web/studies", params={"limit": 0}).status_code == 204
    fuzzy = client.get("/dicom-web/studies", params={"fuzzymatching": "true"}).headers["Warning"]
    assert fuzzy.startswith('299 overread "The fuzzymatching parameter is not supported.')


@pytest.mark.parametrize(
    "kind", ["application/dicom", "multipart/related", "", 'multipart/related; type="text/xml"; boundary=x']
)
def test_other_bodies_are_refused(client: TestClient, kind: str) -> None:
    assert _stow(client, [b"x"], kind=kind).status_code == 415


@pytest.mark.parametrize("body", [b"", b"--y\r\n", b"--x", b"nothing", b"--x\r\n\r\n\r\n--x--"])
def test_bodies_that_are_none_are_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/dicom-web/studies", content=body, headers={"Content-Type": KIND})
    assert response.status_code in (400, 409), response.text
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    assert list(service.store.files.incoming.iterdir()) == []


def test_values_that_are_none_break_no_answer(client: TestClient, slices: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "odd.dcm"
    content = slices[0].read_bytes()
    dataset = pydicom.dcmread(slices[0])
    number = b" \x00\x13\x00IS"
    at = content.index(number)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    path.write_bytes(content[: at + 8] + b"\xc6" * length + content[at + 8 + length :])
    assert _stow(client, [path.read_bytes()]).status_code == 200
    (one,) = client.get("/dicom-web/instances").json()
    assert one["00080018"]["Value"] == [dataset.SOPInstanceUID]
    assert "00200013" not in one
    series = f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    assert client.get(f"{series}/metadata").status_code < 500


def test_who_walks_the_series_comes_to_the_results(client: TestClient, slices: list[Path]) -> None:
    _stow(client, [path.read_bytes() for path in slices[:4]])
    _wait_for_answers(client)
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    destinations = ("ONE@127.0.0.1:1", "TWO@127.0.0.1:1")
    assert Reporter(store=service.store, model=service.model, destinations=destinations, quiet_s=0).report_due() == 1
    (study,) = client.get("/dicom-web/studies").json()
    assert study["00080061"]["Value"] == ["CT", "OT", "SR"]
    path = f"/dicom-web/studies/{study['0020000D']['Value'][0]}"
    found = {}
    for series in client.get(f"{path}/series").json():
        below = f"{path}/series/{series['0020000E']['Value'][0]}"
        objects, metadata = client.get(below), client.get(f"{below}/metadata").json()
        found[series["00080060"]["Value"][0]] = objects.content.count(b"DICM")
        assert len(metadata) == len(client.get(f"{below}/instances").json()) == series["00201209"]["Value"][0]
        frame = client.get(f"{below}/instances/{metadata[0]['00080018']['Value'][0]}/frames/1")
        if series["00080060"]["Value"] == ["SR"]:
            words = "The object is DICOM and not an image: it holds Comprehensive 3D SR Storage. Leave it out."
            assert (frame.status_code, frame.json()["detail"]) == (422, words)
        else:
            rows, columns = (metadata[0][tag]["Value"][0] for tag in ("00280010", "00280011"))
            n_bytes = rows * columns * (3 if series["00080060"]["Value"] == ["OT"] else 2)
            assert len(frame.content) == pytest.approx(n_bytes, abs=250)
    assert found == {"CT": 4, "SR": 1, "OT": 1}
    assert client.get(f"{path}/instances", params={"limit": 4, "offset": 8}).status_code == 204


def _wait_for_answers(client: TestClient) -> Any:
    until = time.monotonic() + 30
    while (study := client.get("/api/v1/studies").json()["studies"][0])["state"] != "answered":
        assert time.monotonic() < until
        time.sleep(0.05)
    return study


def test_what_was_stored_is_answered(client: TestClient, slices: list[Path]) -> None:
    _stow(client, [path.read_bytes() for path in slices[:4]])
    assert _wait_for_answers(client)["n_answered"] == 4
