"""Killed at random moments: what was acknowledged is there, and is answered, reported and sent once."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pydicom
import pytest
from sqlalchemy import select
from tests.serve.orthanc import PROGRAM, Orthanc, free_port

from overread.serve.peers import parse_destination, send
from overread.serve.proof import prove
from overread.serve.store import Store, open_store
from overread.serve.tables import Answer, Instance, Sending, Study

N_KILLS = int(os.environ.get("OVERREAD_KILLS", "6"))
pytestmark = pytest.mark.slow


def _start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "overread", *words], stderr=subprocess.DEVNULL)


def _copies(slices: list[Path], folder: Path, n: int) -> list[Path]:
    """N images with UIDs of their own, in n / 4 studies."""
    found = []
    for number in range(n):
        dataset = pydicom.dcmread(slices[number % len(slices)])
        dataset.StudyInstanceUID = f"1.2.3.{number // 4}"
        dataset.SeriesInstanceUID = f"1.2.3.{number // 4}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number // 4}.1.{number}"
        found.append(folder / f"{number}.dcm")
        dataset.save_as(found[-1])
    return found


def _check(store: Store, acknowledged: set[str]) -> None:
    with store.read() as session:
        there = {row.uid: row for row in session.scalars(select(Instance))}
        counts = Counter(session.scalars(select(Answer.instance_id)).all())
        studies = session.scalars(select(Study)).all()
    assert acknowledged <= set(there)
    assert {row.state for row in there.values()} == {"answered"}
    assert set(counts.values()) == {1}
    assert len(counts) == len(there)
    assert sum(study.n_frames for study in studies) == sum(study.n_answered for study in studies) == len(there)
    assert prove(store).faults == ()


def test_a_service_that_is_killed_loses_nothing(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    files = _copies(slices, tmp_path, 8 * N_KILLS)
    folder, acknowledged, rng = tmp_path / "store", set(), random.Random(0)
    left = list(files)
    for _ in range(N_KILLS):
        port = free_port()
        process = _start("serve", str(model_folder), "--store", str(folder), "--port", str(port))
        _wait_for_port(port)
        killer = threading.Timer(0.2 + 2 * rng.random(), process.send_signal, [signal.SIGKILL])
        killer.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            while process.poll() is None:
                some = left[:3] or files[-3:]
                try:
                    parts = [("files", (path.name, path.read_bytes())) for path in some]
                    job = client.post("/api/v1/images", files=parts).raise_for_status().json()
                    acknowledged |= {image["instance"] for image in job["images"]}
                    left = left[3:]
                except httpx.HTTPError:
                    time.sleep(0.05)
        process.wait()
        killer.cancel()
    assert acknowledged
    store = open_store(folder)
    process = _start("serve", str(model_folder), "--store", str(folder), "--port", str(free_port()))
    try:
        _wait_for_answers(store)
    finally:
        process.terminate()
        process.wait(timeout=30)
    _check(store, acknowledged)
    left = [path for path in (folder / "files/incoming").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    store.close()


@pytest.mark.skipif(not PROGRAM.exists(), reason="Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
def test_a_node_that_is_killed_sends_all_results_once(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    files = _copies(slices, tmp_path, 8 * N_KILLS)
    folder, acknowledged, rng = tmp_path / "store", set(), random.Random(1)
    port = free_port()
    pacs = Orthanc(tmp_path / "pacs", node_port=port)
    pacs.start()
    words = ["node", str(model_folder), "--store", str(folder), "--port", str(port), "--quiet-s", "0.5"]
    words += ["--send-to", pacs.by_web]
    to, left = parse_destination(f"OVERREAD@127.0.0.1:{port}"), list(files)
    for _ in range(N_KILLS):
        process = _start(*words)
        _wait_for_port(port)
        killer = threading.Timer(0.2 + 3 * rng.random(), process.send_signal, [signal.SIGKILL])
        killer.start()
        while process.poll() is None:
            path = left[0] if left else files[-1]
            if send(path, to, own_aet="TEST").outcome == "taken":
                acknowledged.add(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID))
                left = left[1:]
            else:
                time.sleep(0.05)
        process.wait()
        killer.cancel()
    assert acknowledged
    store = open_store(folder)
    process = _start(*words)
    try:
        _wait_for_answers(store)
        _wait_for_results(store)
    finally:
        process.terminate()
        process.wait(timeout=60)
    _check(store, acknowledged)
    with store.read() as session:
        sent = [row.uid for row in session.scalars(select(Sending))]
    assert len(sent) == len(set(sent))
    found = Counter(one["00080018"]["Value"][0] for one in pacs.find())
    assert found == Counter(sent)
    pacs.stop()
    store.close()


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + 120
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < until
        time.sleep(0.05)


def _wait_for_answers(store: Store) -> None:
    until = time.monotonic() + 300
    while True:
        with store.read() as session:
            if not session.scalars(select(Instance.id).where(Instance.state == "waiting").limit(1)).first():
                return
        assert time.monotonic() < until
        time.sleep(0.2)


def _wait_for_results(store: Store) -> None:
    until = time.monotonic() + 300
    while True:
        with store.read() as session:
            due = session.scalars(select(Study.id).where(Study.n_reported != Study.n_images).limit(1)).first()
            unsent = session.scalars(select(Sending.id).where(Sending.state != "sent").limit(1)).first()
        if due is None and unsent is None:
            return
        assert time.monotonic() < until
        time.sleep(0.2)
