from __future__ import annotations

import io
import re
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pydicom
import pytest
import uvicorn
from pydicom.uid import SecondaryCaptureImageStorage, UltrasoundImageStorage
from sqlalchemy import select
from tests.serve.conftest import CLASSES, arrive

from overread.data.image import read_image
from overread.errors import ServiceError
from overread.model import bundle
from overread.predict import load
from overread.serve.intake import Arrived, Intake
from overread.serve.jobs import Jobs, JobSettings
from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.tables import Instance, Job, Study
from overread.serve.unpacking import Unpacker
from overread.serve.web import views
from overread.serve.web.app import make_app


class Running:
    """A service behind a real server on loopback."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.service = Service(
            open_store(folder), ServedModel(model), job_settings=JobSettings(max_files=40, max_upload_mb=5)
        )
        self.server = uvicorn.Server(uvicorn.Config(make_app(self.service), port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until = time.monotonic() + 30
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(timeout=30)


@pytest.fixture
def running(model_folder: Path, tmp_path: Path) -> Iterator[Running]:
    found = Running(model_folder, tmp_path / "store")
    yield found
    found.stop()


@pytest.fixture
def strict(needs_units: Path, tmp_path: Path) -> Iterator[Running]:
    """A service of a model that needs Hounsfield units."""
    found = Running(needs_units, tmp_path / "strict")
    yield found
    found.stop()


def _files(paths: list[Path]) -> list[Any]:
    return [("files", (path.name, path.read_bytes())) for path in paths]


def _hand_in(client: httpx.Client, paths: list[Path]) -> dict[str, Any]:
    response = client.post("/api/v1/images?wait=60", files=_files(paths))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_rest_says_what_the_predictor_says(running: Running, model_folder: Path, slices: list[Path]) -> None:
    job = _hand_in(running.client, slices)
    assert (job["state"], job["n_images"], job["n_answered"], job["problems"]) == ("done", 12, 12, [])
    want = [list(p.probabilities.values()) for p in load(model_folder).predict_files(slices)]
    got = [list(image["frames"][0]["probabilities"].values()) for image in job["images"]]
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert len(job["studies"]) == 3
    again = running.client.get(f"/api/v1/jobs/{job['id']}").json()
    assert again == job
    for limit, offset in ((0, 0), (5, 0), (5, 10), (1000, 12)):
        some = running.client.get(f"/api/v1/jobs/{job['id']}?limit={limit}&offset={offset}").json()
        assert some == {**job, "images": job["images"][offset : offset + limit]}


def test_the_page_is_told_from_a_program(running: Running, pictures: list[Path]) -> None:
    """Where nobody signs in, the page's word against forged requests is empty."""
    headers = ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "of a visit"})
    for path, header in zip(pictures, headers, strict=True):
        running.client.post("/api/v1/images?wait=30", files=_files([path]), headers=header)
    with running.service.store.read() as session:
        came_by = session.scalars(select(Instance.came_by).order_by(Instance.id)).all()
    assert came_by == ["rest", "page", "page"]


def test_an_archive_is_unpacked_in_the_background(running: Running, slices: list[Path]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in slices:
            archive.write(path, f"../{path.parents[1].name}-{path.name}")
        archive.writestr("notes.txt", "hello")
    response = running.client.post("/api/v1/images", files={"files": ("all.zip", content.getvalue())})
    assert response.status_code == 202
    until = time.monotonic() + 60
    while (job := running.client.get(response.headers["Location"]).json())["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (job["n_files"], job["n_read"], job["n_images"], job["n_answered"]) == (13, 13, 12, 12)
    assert [(one["name"], one["kind"]) for one in job["problems"]] == [("all.zip: notes.txt", "not-an-image")]
    assert list(running.service.store.files.incoming.iterdir()) == []


def test_the_same_archive_twice_is_unpacked_twice(running: Running, slices: list[Path]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in slices:
            archive.write(path, f"{path.parents[1].name}-{path.name}")
    files = [("files", (name, content.getvalue())) for name in ("a.zip", "again.zip")]
    first = running.client.post("/api/v1/images", files=files).json()
    second = running.client.post("/api/v1/images?wait=30", files=files[:1]).json()
    first = running.client.get(f"/api/v1/jobs/{first['id']}").json()
    for job, n in ((first, 24), (second, 12)):
        assert (job["state"], job["problems"], job["n_files"], job["n_read"]) == ("done", [], n, n)
        assert (job["n_images"], job["n_answered"]) == (12, 12)


def test_nothing_is_left_of_an_archive_that_could_not_be_taken(
    running: Running, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **more: Any) -> Any:
        raise ServiceError("The store's database does not answer.", kind="store-away", status=503)

    files = running.service.store.files.folder
    before = {path for path in files.rglob("*") if path.is_file()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(slices[0], "a.dcm")
    monkeypatch.setattr(running.service.intake, "take", away)
    response = running.client.post("/api/v1/images", files={"files": ("a.zip", content.getvalue())})
    assert response.status_code == 503
    assert {path for path in files.rglob("*") if path.is_file()} == before


def test_two_processes_unpack_an_archive_once(model_folder: Path, tmp_path: Path, slices: list[Path]) -> None:
    stores = [open_store(tmp_path / "store") for _ in range(2)]
    jobs = [Jobs(Intake(store)) for store in stores]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number, path in enumerate(slices * 8):
            archive.write(path, f"{number}.dcm")
    handed_in = []
    for number in range(3):
        path = stores[0].files.incoming / f"{number}"
        path.write_bytes(content.getvalue())
        handed_in.append(jobs[0].hand_in([Arrived(path=path, name="a.zip")], came_by="rest", who="me").job_id)
    for one in jobs:
        one.start()
    until = time.monotonic() + 60
    with stores[0].read() as session:
        while session.scalars(select(Job.state).where(Job.state == "reading")).all():
            session.rollback()
            assert time.monotonic() < until
            time.sleep(0.1)
        told = [(job.n_files, job.n_read, len(job.instances), job.held) for job in session.scalars(select(Job))]
    assert told == [(96, 96, 12, [])] * 3
    for one, store in zip(jobs, stores, strict=True):
        one.stop()
        store.close()


def test_an_archive_that_fails_keeps_no_other_waiting(
    running: Running, slices: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = Unpacker.unpack

    def fail(self: Unpacker, member: zipfile.ZipInfo, path: Path) -> None:
        if member.filename == "bad.dcm":
            raise ZeroDivisionError
        unpack(self, member, path)

    monkeypatch.setattr(Unpacker, "unpack", fail)
    jobs = []
    for name in ("bad.dcm", "good.dcm"):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.write(slices[0], name)
        jobs.append(
            running.client.post("/api/v1/images?wait=30", files={"files": ("a.zip", content.getvalue())}).json()
        )
    assert [(job["state"], job["n_images"], len(job["problems"])) for job in jobs] == [("done", 0, 1), ("done", 1, 0)]


def test_the_work_list_is_found_again(running: Running, slices: list[Path], pictures: list[Path]) -> None:
    _hand_in(running.client, slices)
    _hand_in(running.client, pictures)

    def total(query: str) -> int:
        found: int = running.client.get(f"/api/v1/studies?{query}").json()["total"]
        return found

    page = running.client.get("/api/v1/studies?limit=2").json()
    assert (page["total"], len(page["studies"])) == (4, 2)
    patient = page["studies"][1]["patient"]
    assert total(f"search={patient[:6]}") == 1
    assert total("search=%25") == total("search=_") == 0
    assert total("state=answered") == 4
    assert total("state=waiting") == total("verdict=agree") == total("since=2999-01-01") == 0
    assert "No study fits" in running.client.get("/?since=2999-01-01").text
    assert total(f"label={page['studies'][0]['label']}") >= 1


def test_a_reader_disagrees(running: Running, slices: list[Path]) -> None:
    uid = _hand_in(running.client, slices[:2])["studies"][0]["uid"]
    own = running.client.get(f"/api/v1/studies/{uid}").json()["label"]
    other = next(name for name in CLASSES if name != own)
    said = {"study": uid, "verdict": "disagree", "label": other, "comment": "<img src=x onerror=alert(1)>"}
    assert running.client.post("/api/v1/readings", json=said).status_code == 201
    study = running.client.get(f"/api/v1/studies/{uid}").json()
    assert (study["verdict"], study["reader_label"]) == ("disagree", other)
    assert study["readings"][0]["comment"] == said["comment"]
    assert running.client.get("/api/v1/studies?verdict=disagree").json()["total"] == 1
    for wrong in ({**said, "label": "flu"}, {**said, "verdict": "maybe"}, {**said, "more": 1}):
        assert running.client.post("/api/v1/readings", json=wrong).status_code == 422
    assert running.client.post("/api/v1/readings", json={**said, "study": "1.2.3"}).status_code == 404


def test_a_reading_speaks_of_what_is_there(running: Running, slices: list[Path]) -> None:
    image = _hand_in(running.client, slices[:1])["images"][0]
    own = running.client.get(f"/api/v1/studies/{image['study']}").json()["label"]
    other = next(name for name in CLASSES if name != own)
    said = {"study": image["study"], "instance": image["instance"], "verdict": "agree"}

    def status(**more: Any) -> int:
        return running.client.post("/api/v1/readings", json={**said, **more}).status_code

    assert (status(frame=1), status(label=other)) == (404, 422)
    assert (status(instance="", frame=1), status(instance="", label=other)) == (422, 422)
    assert (status(), status(label=own), status(verdict="disagree", label=other)) == (201, 201, 201)
    assert (status(instance=""), status(instance="", label=own)) == (201, 201)


def test_who_agrees_with_an_image_names_its_own_class(running: Running, slices: list[Path]) -> None:
    images = _hand_in(running.client, slices[:2])["images"]
    with running.service.store.begin() as session:
        image = views.find_image(session, images[0]["instance"])
        answer = image.predictions[0]
        answer.label = own = next(name for name in CLASSES if name != image.series.study.label)
        of_study = image.series.study.label
    said = {"study": images[0]["study"], "instance": images[0]["instance"], "verdict": "agree"}
    assert running.client.post("/api/v1/readings", json={**said, "label": own}).status_code == 201
    refused = running.client.post("/api/v1/readings", json={**said, "label": of_study})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(f"The model's answer is {own}: who agrees names no other class.")


def test_who_disagrees_names_another_class_than_the_model(running: Running, slices: list[Path]) -> None:
    image = _hand_in(running.client, slices[:1])["images"][0]
    own = running.client.get(f"/api/v1/studies/{image['study']}").json()["label"]
    for instance in ("", image["instance"]):
        said = {"study": image["study"], "instance": instance, "verdict": "disagree"}
        refused = running.client.post("/api/v1/readings", json={**said, "label": own})
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith(f"The model's answer is {own} too: who disagrees names another")
        assert running.client.post("/api/v1/readings", json=said).status_code == 201
    page = running.client.get(f"/studies/{image['study']}").text
    offered = re.findall(r"<option>(.*?)</option>", page[page.index('<select name="label">') :])
    assert offered == [name for name in CLASSES if name != own]


def test_where_there_is_no_answer_there_is_nothing_to_agree_with(strict: Running, pictures: list[Path]) -> None:
    image = _hand_in(strict.client, pictures[:1])["images"][0]
    for instance in ("", image["instance"]):
        for label in ("", CLASSES[0]):
            said = {"study": image["study"], "instance": instance, "verdict": "agree", "label": label}
            refused = strict.client.post("/api/v1/readings", json=said)
            assert refused.status_code == 422
            assert refused.json()["detail"].startswith("There is no answer of the model to agree with.")
    page = strict.client.get(f"/studies/{image['study']}").text
    assert '<form id="reading" hidden>' in page
    assert "there is nothing to agree or disagree with" in page
    assert not strict.client.get(f"/api/v1/studies/{image['study']}").json()["readings"]


def test_an_image_that_cannot_be_used_is_not_counted_as_answered(
    strict: Running, pictures: list[Path], slices: list[Path]
) -> None:
    job = _hand_in(strict.client, [pictures[0], *slices[:2]])
    assert (job["state"], job["n_images"], job["n_answered"], job["n_refused"]) == ("done", 3, 2, 1)
    rows = {row["n_images"]: row for row in strict.client.get("/api/v1/studies").json()["studies"]}
    assert (rows[1]["state"], rows[1]["n_answered"], rows[1]["n_refused"]) == ("problem", 0, 1)
    assert (rows[2]["state"], rows[2]["n_answered"], rows[2]["n_refused"]) == ("answered", 2, 0)
    page = strict.client.get("/").text
    assert '<td data-name="Images" class="number">1</td>' in page
    assert "waiting</span>" not in page
    assert "No image could be used." in strict.client.get(rows[1]["url"]).text


def test_why_a_model_of_hounsfield_units_cannot_use_an_image_is_true_of_any_file(
    strict: Running, tmp_path: Path, pictures: list[Path], slices: list[Path]
) -> None:
    """A picture; ultrasound in colours; a capture that calls itself CT."""
    dataset = pydicom.dcmread(slices[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.save_as(tmp_path / "capture.dcm")
    dataset = pydicom.dcmread(slices[1])
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "US", "RGB", 3
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PlanarConfiguration = 0
    dataset.PixelData = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8).tobytes()
    dataset.save_as(tmp_path / "colours.dcm")
    job = _hand_in(strict.client, [pictures[0], tmp_path / "capture.dcm", tmp_path / "colours.dcm"])
    assert [image["state"] for image in job["images"]] == ["refused"] * 3
    (reason,) = job["reasons"]
    assert reason["problem"].startswith("This model needs images in Hounsfield units")
    for image in job["images"]:
        told = strict.client.get(f"/api/v1/studies/{image['study']}").text
        told += strict.client.get(f"/studies/{image['study']}").text
        assert told.count(reason["problem"]) >= 2
        assert "--window" not in told


def test_the_page_counts_frames_and_says_whose_answers_its_mean_is_of(
    running: Running, slices: list[Path], tmp_path: Path
) -> None:
    volume = tmp_path / "volume.nii"
    values = np.random.default_rng(0).normal(size=(20, 20, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), volume)
    url = _hand_in(running.client, [volume])["studies"][0]["url"]
    text = running.client.get(url).text
    assert "1 image with 5 frames ·" in text
    assert "Mean probability over 5 frames</caption>" in text
    study = _hand_in(running.client, slices[:4])["studies"][0]
    assert "Mean probability over 4 images</caption>" in running.client.get(study["url"]).text
    with running.service.store.begin() as session:  # as an earlier model left them
        found = session.scalars(select(Study).where(Study.uid == study["uid"])).one()
        found.n_frames = 3
        found.series[0].instances[0].predictions[0].model = "earlier"
    text = running.client.get(study["url"]).text
    assert "Mean probability over 3 of 4 images: the other was answered by an earlier model</caption>" in text


def test_a_page_that_is_not_there_leads_to_the_first(running: Running, pictures: list[Path]) -> None:
    assert "Nothing has come in yet." in running.client.get("/").text
    label = running.client.get(
        _hand_in(running.client, pictures)["studies"][0]["url"].replace("/studies", "/api/v1/studies")
    ).json()["label"]
    for query in ("", f"label={label}&"):
        text = running.client.get(f"/?{query}page=999").text
        assert (
            f'The list has no page 999. <a href="/?{query.replace("&", "&amp;")}page=1">Show the first.</a>' in text
        )
        assert "1 study</p>" in text
        assert 'rel="prev"' not in text


def test_what_is_not_taken_is_told_in_words(running: Running, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "hello")
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("in.zip", inner.getvalue())
        archive.write(tmp_path / "x.npz", "x.npz")
    job = running.client.post("/api/v1/images?wait=30", files={"files": ("all.zip", outer.getvalue())}).json()
    taken = "Send DICOM, PNG, JPEG, TIFF or NIfTI, or a zip of these (no zip within a zip)."
    assert sorted(one["message"] for one in job["problems"]) == [
        f"all.zip: in.zip is not an image: it is a ZIP file. {taken}",
        f"all.zip: x.npz is NPZ, which is not taken here. {taken}",
    ]
    none = running.client.get("/api/v1/jobs/" + "0" * 32)
    assert "a job is shown to who handed it in, and to admins." in none.json()["detail"]


def test_who_hangs_up_is_no_fault(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        head = b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; "
        connection.sendall(head + b'name="files"; filename="a.dcm"\r\n\r\n' + bytes(300_000))
    until = time.monotonic() + 30
    while '"499"' not in running.client.get("/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert list(running.service.store.files.incoming.iterdir()) == []


def test_pixels_and_heat_are_those_of_the_image(running: Running, slices: list[Path], pictures: list[Path]) -> None:
    job = _hand_in(running.client, [slices[0], pictures[0]])
    ct, png = (image["instance"] for image in job["images"])
    response = running.client.get(f"/api/v1/images/{ct}/frames/0/pixels")
    shape = int(response.headers["X-Rows"]), int(response.headers["X-Columns"])
    stored = np.frombuffer(response.content, "<i2").reshape(shape)
    values = stored * float(response.headers["X-Slope"]) + float(response.headers["X-Intercept"])
    np.testing.assert_allclose(values, read_image(slices[0]).pixels, atol=0.5)
    assert response.headers["X-Scale"] == "hu"
    assert response.headers["Cache-Control"] == "no-store"
    shown = running.client.get(f"/api/v1/images/{png}/frames/0/pixels")
    assert (shown.headers["X-Type"], len(shown.content)) == ("uint8", 1600)
    heat = running.client.get(f"/api/v1/images/{ct}/frames/0/heat").json()
    assert heat["shown"]
    assert np.array(heat["maps"]["tumor"]).shape == (heat["rows"], heat["columns"])
    assert running.client.get(f"/api/v1/images/{ct}/frames/1/pixels").status_code == 404
    assert running.client.get("/api/v1/images/1.2/frames/0/heat").status_code == 404


def test_a_model_without_sets_says_so_once(model_folder: Path, tmp_path: Path, pictures: list[Path]) -> None:
    card = bundle.load_card(model_folder)
    shutil.copytree(model_folder, tmp_path / "own")
    bundle.seal(tmp_path / "own", replace(card, caution=replace(card.caution, sets_why="no sets: 3 patients")))
    running = Running(tmp_path / "own", tmp_path / "store")
    text = running.client.get(_hand_in(running.client, pictures)["studies"][0]["url"]).text
    running.stop()
    assert "It cannot say how sure it is: 3 patients." in text
    assert '"sets_why": "3 patients"' in text


def test_pages_write_percentages_in_one_way(model_folder: Path, tmp_path: Path, slices: list[Path]) -> None:
    """The words of a model folder have no space there."""
    card = bundle.load_card(model_folder)
    shutil.copytree(model_folder, tmp_path / "own")
    caution = replace(card.caution, sets_why="no sets: hold the true class of 90% of all images")
    bundle.seal(tmp_path / "own", replace(card, caution=caution, marks=("trained on 10% of the patients",)))
    own = Running(tmp_path / "own", tmp_path / "store")
    study = _hand_in(own.client, slices[:1])["studies"][0]["url"]
    for path in ("/", "/about", study):
        page = own.client.get(path).text
        assert "10 % of the patients" in page
        assert re.search(r"\d%", page) is None, path
    assert "90 % of all images" in own.client.get(study).text
    own.stop()


def test_the_model_tells_its_limits(running: Running) -> None:
    about = running.client.get("/api/v1/model").json()
    assert about["classes"] == ["aneurysm", "cancer", "tumor"]
    assert about["marks"] == ["Trained on nothing."]
    assert any("not a medical device" in sentence for sentence in about["limits"])
    assert len(about["hash"]) == 64


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(running: Running, headers: dict[str, str], status: int) -> None:
    response = running.client.post("/api/v1/readings", json={}, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_a_person_under_another_name_is_told_on_a_page(running: Running) -> None:
    response = running.client.get("/", headers={"Host": "evil.example", "Accept": "text/html"})
    assert (response.status_code, response.headers["content-type"]) == (421, "text/html; charset=utf-8")
    assert "Open it as one of: 127.0.0.1, localhost" in response.text
    assert running.service.model.name not in response.text
    assert "Content-Security-Policy" in response.headers


def test_too_much_is_refused_as_it_comes(running: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b"\0" * 1_000_000

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    response = running.client.post("/api/v1/images", content=endless(), headers=kind)
    assert response.status_code in (400, 413)  # no boundary, or too much: what is seen first
    assert running.client.post("/api/v1/images", content=b"\0" * 6_000_000, headers=kind).status_code == 413
    assert running.client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("length", ["told", "not told"])
def test_only_images_may_be_large(running: Running, length: str) -> None:
    """Of other bodies the whole is held in memory, and one of them is open to everybody."""
    body = b'{"token": "' + b"x" * 100_000 + b'"}'
    content: Any = body if length == "told" else iter([body[:50_000], body[50_000:]])
    for path in ("/api/v1/visits", "/api/v1/readings", "/api/v1/images/more", "/dicom-web/studiesque"):
        response = running.client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["detail"]) == (413, "At most 64 KB are taken here.")
        content = body
    for path in ("/api/v1/images", "/dicom-web/studies", "/dicom-web/studies/1.2.3"):
        assert running.client.post(path, content=body).status_code == 415
    assert running.client.put("/api/v1/images", content=body).status_code == 413


def test_head_is_answered_like_get(running: Running, slices: list[Path]) -> None:
    """Such as those that watch whether a service is there."""
    study = _hand_in(running.client, slices[:1])["studies"][0]["uid"]
    paths = ("/healthz", "/", "/static/api.js", f"/dicom-web/studies/{study}", "/api/v1/studies/1.2", "/nothing")
    for path in paths:
        got, head = running.client.get(path), running.client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("content-length") == got.headers.get("content-length")
        assert head.headers["content-type"][:20] == got.headers["content-type"][:20]
    assert running.client.head("/api/v1/images").status_code == 405


def test_every_error_is_a_problem_in_words(running: Running) -> None:
    for path, status in (("/nothing", 404), ("/api/v1/studies/x", 422), ("/api/v1/studies?limit=0", 422)):
        response = running.client.get(path)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]
    assert running.client.post("/api/v1/images", files={"other": b""}).status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/studies/1.2.3", 404, "There is no such study"),
        ("/studies/<b>", 422, "The address is not understood: uid."),
        ("/nothing", 404, "There is nothing at this address."),
        ("/?state=odd&page=0", 422, "The address is not understood: state, page."),
    ],
)
def test_a_person_is_told_on_a_page(running: Running, path: str, status: int, words: str) -> None:
    response = running.client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in response.text
    assert '<a href="/">' in response.text
    assert "For research use" in response.text
    assert "<b>" not in response.text


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_fault_is_told_under_the_same_headers(
    running: Running, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    good = running.client.get("/").headers
    monkeypatch.delattr(views, "studies_view")
    response = running.client.get("/", headers={"Accept": accept})
    assert response.status_code == 500
    assert "This is a fault in overread." in response.text
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control"):
        assert response.headers[name] == good[name]


@pytest.mark.parametrize("path", ["/api/v1/studies/1.2.3", "/dicom-web/studies/1.2.3", "/static/none.js"])
def test_a_program_is_told_in_json_whatever_it_accepts(running: Running, path: str) -> None:
    response = running.client.get(path, headers={"Accept": "text/html"})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", "idna", "rot13", "utf-16"])
def test_a_name_in_any_character_set_is_shown_or_refused(running: Running, charset: str) -> None:
    """Some of Python's turn bytes into what is no text, and some fail in ways of their own."""
    head = b'--x\r\nContent-Disposition: form-data; name=files; filename="+2AA- \\ud800 \xff.dcm"'
    body = head + b"\r\n\r\nno image\r\n--x--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    response = running.client.post("/api/v1/images", content=body, headers=kind)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert "no image" not in response.text
        again = running.client.get(response.headers["Location"])
        assert (again.status_code, again.json()["problems"][0]["kind"]) == (200, "not-an-image")


def test_what_was_taken_in_is_answered_by_the_next_process(
    model_folder: Path, tmp_path: Path, slices: list[Path]
) -> None:
    first = Service(open_store(tmp_path / "store"), ServedModel(model_folder))
    content = tmp_path / "all.zip"
    with zipfile.ZipFile(content, "w") as archive:
        for path in slices[4:]:
            archive.write(path, f"{path.parents[1].name}/{path.name}")
    files = [*(arrive(first.store, path) for path in slices[:4]), arrive(first.store, content)]
    job_id = first.jobs.hand_in(files, came_by="rest", who="local").job_id
    first.store.close()  # and it is gone, before anything was unpacked or predicted
    second = Running(model_folder, tmp_path / "store")
    until = time.monotonic() + 60
    while (job := second.client.get(f"/api/v1/jobs/{job_id}").json())["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.05)
    second.stop()
    assert (job["n_images"], job["n_answered"]) == (12, 12)
