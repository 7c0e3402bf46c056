"""Kills a service, or a node before a real PACS, at random moments, and proves what it left behind."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pydicom
from sqlalchemy import select
from tests.serve.orthanc import Orthanc, free_port

from overread.serve.intake import Arrived, Intake
from overread.serve.peers import parse_destination, send
from overread.serve.proof import prove
from overread.serve.store import Store, open_store
from overread.serve.tables import Answer, Instance, Sending, Step, Study

_PATIENCE_S = 600


@dataclass
class Killed:
    """What was acknowledged, and what was under way at each kill."""

    acknowledged: set[str] = field(default_factory=set)
    n_waiting: list[int] = field(default_factory=list)
    """images without an answer when it was killed"""
    n_unsent: list[int] = field(default_factory=list)
    """results that were not sent yet"""
    n_sending: list[int] = field(default_factory=list)
    """results that were on their way: nobody has heard whether they came"""


def copies(slices: Sequence[Path], folder: Path, n: int) -> list[Path]:
    """N images with UIDs of their own, in n / 4 studies."""
    found = []
    for number in range(n):
        dataset = pydicom.dcmread(slices[number % len(slices)])
        dataset.StudyInstanceUID, dataset.PatientID = f"1.2.3.{number // 4}", f"patient {number // 4}"
        dataset.SeriesInstanceUID = f"1.2.3.{number // 4}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number // 4}.1.{number}"
        found.append(folder / f"{number}.dcm")
        dataset.save_as(found[-1])
    return found


def start(*words: str) -> subprocess.Popen[bytes]:
    """A verb of overread, as a process."""
    return subprocess.Popen([sys.executable, "-m", "overread", *words], stderr=subprocess.DEVNULL)


def kill_service(
    model: Path, files: Sequence[Path], folder: Path, *, n_kills: int, rng: random.Random, at_once: int = 3
) -> Killed:
    """Kill a service while files are handed in, so many at once, and others are predicted; prove what is left."""
    killed, left = Killed(), list(files)
    for _ in range(n_kills):
        port = free_port()
        process = start("serve", str(model), "--store", str(folder), "--port", str(port))
        killer = _kill_later(process, port, 0.2 + 2 * rng.random())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            while process.poll() is None:
                some = left[:at_once] or list(files[-at_once:])
                try:
                    parts = [("files", (path.name, path.read_bytes())) for path in some]
                    job = client.post("/api/v1/images", files=parts).raise_for_status().json()
                    killed.acknowledged |= {image["instance"] for image in job["images"]}
                    left = left[at_once:]
                except httpx.HTTPError:
                    time.sleep(0.05)
        _note(killed, process, killer, folder)
    process = start("serve", str(model), "--store", str(folder), "--port", str(free_port()))
    store = open_store(folder)
    try:
        wait_until(lambda: not n_waiting(store))
    finally:
        _end(process)
    check(store, killed.acknowledged)
    unfinished = (folder / "files/incoming").rglob("*")
    assert [path for path in unfinished if path.is_file() and path.suffix != ".lock"] == []
    store.close()
    return killed


def kill_predictions(model: Path, files: Sequence[Path], folder: Path, *, n_kills: int, rng: random.Random) -> Killed:
    """Kill a service that does nothing but predict what another has left; prove what is left."""
    killed, store = Killed(), open_store(folder)
    intake = Intake(store)
    share = len(files) // n_kills
    for number in range(n_kills):
        for path in files[number * share : (number + 1) * share]:
            with store.files.receiving() as to:
                shutil.copy(path, to)
                (taken,) = intake.take([Arrived(path=to, name=path.name)], came_by="rest", who="test")
            assert taken.problem is None
            killed.acknowledged.add(taken.instance)
        port = free_port()
        process = start("serve", str(model), "--store", str(folder), "--port", str(port))
        _note(killed, process, _kill_later(process, port, 0.3 * rng.random()), folder)
    process = start("serve", str(model), "--store", str(folder), "--port", str(free_port()))
    try:
        wait_until(lambda: not n_waiting(store))
    finally:
        _end(process)
    check(store, killed.acknowledged)
    store.close()
    return killed


def kill_node(
    model: Path, files: Sequence[Path], folder: Path, *, n_kills: int, rng: random.Random, way: str = "by_web"
) -> Killed:
    """Kill a node while images come in and results go to an Orthanc, `by_web` or `by_dimse`; prove what is left.

    The road to it is slow, so that many a kill falls into a sending.
    """
    killed, left, port = Killed(), list(files), free_port()
    pacs = Orthanc(folder.with_name(f"{folder.name}-pacs"), node_port=port)
    pacs.start()
    address, road = pacs.by_slow_road(way)
    words = ["node", str(model), "--store", str(folder), "--port", str(port), "--quiet-s", "0.5"]
    words += ["--send-to", address]
    to = parse_destination(f"OVERREAD@127.0.0.1:{port}")
    try:
        for _ in range(n_kills):
            process = start(*words)
            killer = _kill_later(process, port, 0.2 + 9 * rng.random())
            while process.poll() is None:
                path = left[0] if left else files[-1]
                if send(path, to, own_aet="TEST").outcome == "taken":
                    killed.acknowledged.add(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID))
                    left = left[1:]
                else:
                    time.sleep(0.05)
            _note(killed, process, killer, folder)
        process = start(*words)
        store = open_store(folder)
        try:
            wait_until(lambda: not n_waiting(store) and not n_unsent(store))
        finally:
            _end(process)
        check(store, killed.acknowledged)
        with store.read() as session:
            sent = list(session.scalars(select(Sending.uid)))
        assert Counter(one["00080018"]["Value"][0] for one in pacs.find()) == Counter(sent)
        assert pacs.received() == Counter(sent)
        assert len(sent) == len(set(sent))
        store.close()
    finally:
        road.close()
        pacs.stop()
    return killed


def check(store: Store, acknowledged: set[str]) -> None:
    """Nothing acknowledged is lost, nothing answered twice, and the trail tells of each answer once."""
    with store.read() as session:
        there = {row.uid: row for row in session.scalars(select(Instance))}
        counts = Counter(session.scalars(select(Answer.instance_id)).all())
        studies = session.scalars(select(Study)).all()
        told = Counter(session.scalars(select(Step.subject).where(Step.did == "answered")).all())
    assert acknowledged
    assert acknowledged <= set(there)
    assert {row.state for row in there.values()} == {"answered"}
    assert set(counts.values()) == {1}
    assert len(counts) == len(there)
    assert told == Counter(there.keys())
    assert sum(study.n_frames for study in studies) == sum(study.n_answered for study in studies) == len(there)
    assert prove(store).faults == ()


def n_waiting(store: Store) -> int:
    """Images without an answer."""
    with store.read() as session:
        return len(session.scalars(select(Instance.id).where(Instance.state == "waiting")).all())


def n_unsent(store: Store) -> int:
    """Results that are not made yet, or not sent."""
    with store.read() as session:
        due = session.scalars(select(Study.id).where(Study.n_reported != Study.n_images)).all()
        return len(due) + len(session.scalars(select(Sending.id).where(Sending.state != "sent")).all())


def wait_until(is_so: Callable[[], bool]) -> None:
    """Come back when something is so."""
    until = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.2)


def _kill_later(process: subprocess.Popen[bytes], port: int, seconds: float) -> threading.Timer:
    """Wait until it listens, and kill it after so long; a process that does not start is an error."""
    until = time.monotonic() + 120
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    killer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
    killer.start()
    return killer


def _note(killed: Killed, process: subprocess.Popen[bytes], killer: threading.Timer, folder: Path) -> None:
    """Note what was under way, and that it was our signal and no fault that ended it."""
    killer.join()
    assert process.wait() == -signal.SIGKILL
    store = open_store(folder)
    killed.n_waiting.append(n_waiting(store))
    killed.n_unsent.append(n_unsent(store))
    with store.read() as session:
        killed.n_sending.append(len(session.scalars(select(Sending.id).where(Sending.state == "sending")).all()))
    store.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=60)
