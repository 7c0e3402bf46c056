"""Killed at random moments: what was acknowledged is there, and is answered, reported and sent once."""

from __future__ import annotations

import random
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.serve.killing import copies, kill_node, kill_predictions, kill_service, start
from tests.serve.orthanc import PROGRAM, Orthanc, free_port

from overread.serve.peers import parse_destination, send

N_KILLS = 4
"""benchmarks/serve_faults.py does it a hundred times"""
needs_orthanc = pytest.mark.skipif(
    not PROGRAM.exists(), reason="Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)"
)


@pytest.mark.slow
def test_a_service_that_is_killed_loses_nothing(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    files = copies(slices, tmp_path, 8 * N_KILLS)
    killed = kill_service(model_folder, files, tmp_path / "store", n_kills=N_KILLS, rng=random.Random(0))
    assert len(killed.n_waiting) == N_KILLS


@pytest.mark.slow
def test_predictions_that_are_killed_are_made_once(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    files = copies(slices, tmp_path, 40)
    killed = kill_predictions(model_folder, files, tmp_path / "store", n_kills=2, rng=random.Random(2))
    assert len(killed.acknowledged) == 40


@pytest.mark.slow
@needs_orthanc
def test_a_node_that_is_killed_sends_all_results_once(model_folder: Path, slices: list[Path], tmp_path: Path) -> None:
    files = copies(slices, tmp_path, 8 * N_KILLS)
    killed = kill_node(model_folder, files, tmp_path / "store", n_kills=N_KILLS, rng=random.Random(1))
    assert len(killed.n_unsent) == N_KILLS


@pytest.mark.slow
def test_a_service_that_is_stopped_waits_for_no_slow_sender(model_folder: Path, tmp_path: Path) -> None:
    port = free_port()
    process = start("serve", str(model_folder), "--store", str(tmp_path / "store"), "--port", str(port))
    until = time.monotonic() + 60
    while True:
        with suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", port))
            break
        assert time.monotonic() < until
        time.sleep(0.1)
    with connection:
        head = b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        connection.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
        time.sleep(1)
        process.terminate()
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)


@needs_orthanc
def test_a_pacs_tells_what_came_twice(slices: list[Path], tmp_path: Path) -> None:
    pacs = Orthanc(tmp_path / "pacs", node_port=free_port())
    pacs.start()
    to = parse_destination(pacs.by_dimse)
    for path in (slices[0], slices[1], slices[0]):
        assert send(path, to, own_aet="TEST").outcome == "taken"
    assert sorted(pacs.received().values()) == [1, 2]
    pacs.stop()
