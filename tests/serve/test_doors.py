"""The same study through every door: page, REST, STOW-RS, C-STORE and the command line give one answer."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import uvicorn

from overread.cli.main import run
from overread.serve.accounts import add_account
from overread.serve.model import ServedModel
from overread.serve.node import NodeSettings
from overread.serve.peers import parse_destination, send
from overread.serve.service import Service
from overread.serve.station import Station
from overread.serve.store import Store, open_store
from overread.serve.web import views
from overread.serve.web.app import make_app

Answers = dict[str, dict[str, float]]
"""probabilities by SOP Instance UID"""
WAIT_S = 60


@contextmanager
def _served(model: Path, folder: Path) -> Iterator[tuple[httpx.Client, str]]:
    """A service that asks for tokens, behind a real server; and a token."""
    service = Service(open_store(folder), ServedModel(model))
    with service.store.begin() as session:
        token = add_account(session, "dr-lee", "reader")
    server = uvicorn.Server(uvicorn.Config(make_app(service, asks=True), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S, trust_env=False) as client:
        yield client, token
    server.should_exit = True
    thread.join(timeout=WAIT_S)


def _wait(ready: Callable[[], Any]) -> Any:
    until = time.monotonic() + WAIT_S
    while not (found := ready()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def _by_page(model: Path, files: list[Path], folder: Path) -> Answers:
    """As the page does it: signed in, with its word against forged requests; the study's page has the answers."""
    with _served(model, folder) as (client, token):
        assert client.post("/api/v1/visits", json={"token": token}).status_code < 300
        (csrf,) = re.findall(r'name="csrf" content="([^"]+)"', client.get("/").text)
        form = [("files", (path.name, path.read_bytes())) for path in files]
        job = client.post("/api/v1/images", files=form, headers={"X-CSRF-Token": csrf}).raise_for_status().json()
        _wait(lambda: client.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "done")
        (study,) = client.get(f"/api/v1/jobs/{job['id']}").json()["studies"]
        (data,) = re.findall(r'id="data">(.*?)</script>', client.get(study["url"]).text)
        return _of_study(json.loads(data)["study"])


def _by_rest(model: Path, files: list[Path], folder: Path) -> Answers:
    with _served(model, folder) as (client, token):
        form = [("files", (path.name, path.read_bytes())) for path in files]
        response = client.post("/api/v1/images?wait=60", files=form, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200, response.text
        return {image["instance"]: image["frames"][0]["probabilities"] for image in response.json()["images"]}


def _by_stow(model: Path, files: list[Path], folder: Path) -> Answers:
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + path.read_bytes() + b"\r\n" for path in files) + b"--x--\r\n"
    with _served(model, folder) as (client, token):
        client.headers["Authorization"] = f"Bearer {token}"
        kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
        assert client.post("/dicom-web/studies", content=body, headers=kind).status_code == 200
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        return _of_study(_wait(lambda: _whole(client.get(f"/api/v1/studies/{study}").json())))


def _by_c_store(model: Path, files: list[Path], folder: Path) -> Answers:
    station = Station(open_store(folder), ServedModel(model), NodeSettings(port=0))
    to = parse_destination(f"OVERREAD@127.0.0.1:{station.start()}")
    try:
        assert {send(path, to, own_aet="SCANNER").outcome for path in files} == {"taken"}
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        return _of_study(_wait(lambda: _whole(_kept(station.store, study))))
    finally:
        station.stop()


def _by_command_line(model: Path, files: list[Path], folder: Path) -> Answers:
    folder.mkdir()
    words = ["predict", str(model), *map(str, files), "--json", "--out", str(folder / "said.json")]
    assert run(words) == 0
    said = json.loads((folder / "said.json").read_text())["predictions"]
    uid = {str(path): str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files}
    return {uid[one["path"]]: one["probabilities"] for one in said}


def _kept(store: Store, study: str) -> dict[str, Any]:
    with store.read() as session:
        return views.study_view(session, study)


def _whole(study: dict[str, Any]) -> dict[str, Any] | None:
    return study if study["n_answered"] == study["n_images"] else None


def _of_study(study: dict[str, Any]) -> Answers:
    images = (image for series in study["series"] for image in series["images"])
    return {image["uid"]: image["frames"][0]["probabilities"] for image in images}


DOORS = (_by_page, _by_rest, _by_stow, _by_c_store, _by_command_line)


def _all_doors(model: Path, files: list[Path], folder: Path) -> list[Answers]:
    """Each with a store of its own: an image that is there already would not be predicted again."""
    return [door(model, files, folder / door.__name__) for door in DOORS]


def _check(found: list[Answers], n_images: int) -> None:
    first = found[0]
    assert len(first) == n_images
    assert len({tuple(p.values()) for p in first.values()}) > 1
    for door, answers in zip(DOORS, found, strict=True):
        assert answers.keys() == first.keys(), door.__name__
        for uid, probabilities in answers.items():
            assert probabilities == pytest.approx(first[uid], abs=1e-6), (door.__name__, uid)


def test_every_door_gives_the_same_answer(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    _check(_all_doors(model_folder, slices[:4], tmp_path), 4)


@pytest.mark.slow
def test_every_door_gives_the_same_answer_to_a_real_series(model_folder: Path, shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "data/brain-ct/dicom/aneurysm").glob("*.dcm"))
    _check(_all_doors(model_folder, files, tmp_path), 40)
