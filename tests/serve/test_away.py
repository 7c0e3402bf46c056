"""What the service stands on is gone for a while: it says so, loses nothing, and goes on by itself."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from tests.serve.conftest import arrive, keep
from tests.serve.killing import copies
from tests.serve.postgres import PROGRAMS, Postgres

from overread.errors import ServiceError
from overread.serve.answering import Answerer
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.node import NodeSettings
from overread.serve.peers import parse_destination, send
from overread.serve.proof import prove
from overread.serve.service import Service
from overread.serve.station import Station
from overread.serve.store import Store, open_store
from overread.serve.tables import Instance
from overread.serve.web.app import make_app

_DISK_KB = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_KB}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    made = Postgres()
    yield made
    made.remove()


def _fill(folder: Path, *, leave_kb: int) -> Path:
    """A file that takes all of a disk but so much."""
    ballast = folder / "ballast"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, free - leave_kb * 1024))
    return ballast


def _hand_in(client: TestClient, path: Path, *, wait: int = 0) -> Any:
    return client.post(f"/api/v1/images?wait={wait}", files=[("files", (path.name, path.read_bytes()))])


def _client(service: Service) -> TestClient:
    return TestClient(make_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False)


def _check_all_answered(store: Store, acknowledged: set[str]) -> None:
    until = time.monotonic() + 30
    while True:
        with store.read() as session:
            there = {row.uid: row.state for row in session.scalars(select(Instance))}
        if acknowledged <= there.keys() and set(there.values()) <= {"answered"}:
            break
        assert time.monotonic() < until, there
        time.sleep(0.2)
    assert prove(store).faults == ()


@pytest.mark.parametrize("leave_kb", [0, 12, 60, 200])
def test_a_full_disk_is_said_and_more_is_taken_when_there_is_room(
    model_folder: Path, slices: list[Path], tmp_path: Path, small_disk: Path, leave_kb: int
) -> None:
    service = Service(open_store(small_disk / "store"), ServedModel(model_folder))
    store, acknowledged, refused = service.store, set[str](), []
    with _client(service) as client:
        ballast = _fill(small_disk, leave_kb=leave_kb)
        for path in copies(slices, tmp_path, 24):
            response = _hand_in(client, path)
            if response.is_success:
                acknowledged |= {image["instance"] for image in response.json()["images"]}
            else:
                refused.append(response)
        assert refused
        assert {(one.status_code, one.headers["content-type"]) for one in refused} == {
            (507, "application/problem+json")
        }
        assert {one.json()["title"] for one in refused} == {"store-full"}
        ballast.unlink()
        response = _hand_in(client, slices[0], wait=20)
        assert response.status_code == 200, response.text
        acknowledged |= {image["instance"] for image in response.json()["images"]}
        _check_all_answered(store, acknowledged)
        assert list(store.files.incoming.iterdir()) == []


def test_a_full_disk_for_what_is_coming_in_is_said(model_folder: Path, slices: list[Path], small_disk: Path) -> None:
    service = Service(open_store(small_disk / "store"), ServedModel(model_folder))
    with _client(service) as client:
        response = client.post("/api/v1/images", files=[("files", ("big.dcm", b"\0" * 2048 * _DISK_KB))])
        assert (response.status_code, response.json()["title"]) == (507, "store-full")
        assert list(service.store.files.incoming.iterdir()) == []
        assert _hand_in(client, slices[0], wait=20).status_code == 200


def test_a_node_with_a_full_disk_says_so_and_takes_more_when_there_is_room(
    model_folder: Path, slices: list[Path], tmp_path: Path, small_disk: Path
) -> None:
    store = open_store(small_disk / "store")
    station = Station(store, ServedModel(model_folder), NodeSettings(port=0, quiet_s=60))
    to = parse_destination(f"OVERREAD@127.0.0.1:{station.start()}")
    ballast = _fill(small_disk, leave_kb=60)
    said = [send(path, to, own_aet="TEST") for path in copies(slices, tmp_path, 12)]
    assert {(one.outcome, one.said) for one in said if one.outcome != "taken"} == {
        ("again", "0xA700 out of resources")
    }
    ballast.unlink()
    assert send(slices[0], to, own_aet="TEST").outcome == "taken"
    _check_all_answered(store, set())
    station.stop()


def test_files_that_are_away_are_said_to_be_and_refuse_no_image(
    model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    """As those of another machine are, whose disk is not mounted."""
    store = open_store(tmp_path / "store")
    Intake(store).take([arrive(store, path) for path in slices[:3]], came_by="rest", who="me")
    files, away = tmp_path / "store" / "files", tmp_path / "away"
    files.rename(away)
    files.mkdir()
    answerer = Answerer(store, ServedModel(model_folder))
    with pytest.raises(ServiceError, match="is away"):
        answerer.answer_waiting()
    answerer.claims.give_back()
    with _client(Service(store, answerer.model)) as client:
        response = _hand_in(client, slices[4])
        assert (response.status_code, response.json()["title"]) == (503, "store-away")
        files.rmdir()
        away.rename(files)
        assert _hand_in(client, slices[4]).status_code == 202
        _check_all_answered(store, {str(pydicom.dcmread(path).SOPInstanceUID) for path in (*slices[:3], slices[4])})


def test_a_result_that_a_full_disk_has_no_room_for_is_told_by_its_kind(small_disk: Path) -> None:
    full = open_store(small_disk / "store")
    ballast = _fill(small_disk, leave_kb=0)
    with pytest.raises(ServiceError) as fault:
        keep(full, b"x" * 100_000)
    assert (fault.value.kind, fault.value.status) == ("store-full", 507)
    ballast.unlink()
    assert full.files.path_of(keep(full, b"x" * 100_000)).exists()
    full.close()


def test_a_database_that_is_away_is_said_and_found_again(
    model_folder: Path, slices: list[Path], tmp_path: Path, server: Postgres
) -> None:
    store = open_store(tmp_path / "store", url=server.make())
    service = Service(store, ServedModel(model_folder))
    with _client(service) as client:
        assert _hand_in(client, slices[0], wait=20).status_code == 200
        server.stop()
        try:
            for _ in range(3):
                response = _hand_in(client, slices[1])
                assert (response.status_code, response.headers["retry-after"]) == (503, "5")
                assert response.headers["content-type"] == "application/problem+json"
                assert response.json()["title"] == "store-away"
            assert client.get("/healthz").status_code == 503
            assert client.get("/api/v1/studies").status_code == 503
        finally:
            server.start()
        assert client.get("/healthz").status_code == 200
        assert _hand_in(client, slices[1], wait=20).status_code == 200
        _check_all_answered(store, set())


def test_a_node_whose_database_is_away_says_so_and_finds_it_again(
    model_folder: Path, slices: list[Path], tmp_path: Path, server: Postgres
) -> None:
    store = open_store(tmp_path / "store", url=server.make())
    station = Station(store, ServedModel(model_folder), NodeSettings(port=0, quiet_s=60))
    to = parse_destination(f"OVERREAD@127.0.0.1:{station.start()}")
    assert send(slices[0], to, own_aet="TEST").outcome == "taken"
    server.stop()
    try:
        assert send(slices[1], to, own_aet="TEST").said == "0xA700 out of resources"
    finally:
        server.start()
    assert send(slices[1], to, own_aet="TEST").outcome == "taken"
    _check_all_answered(store, set())
    station.stop()
