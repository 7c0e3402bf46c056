"""Connections that are opened and left: each has its time, and all together half of what there is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.serve.killing import start, wait_until
from tests.serve.orthanc import free_port

from overread.serve.web import connections
from overread.serve.web.connections import Connection, open_doors

SILENCE_S = 1.0
HEAD = b"POST /%s HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Does what the path says: rests, reads the body, answers in so many megabytes."""
    for word in scope["path"].strip("/").split("-"):
        if word.startswith("rest"):
            await asyncio.sleep(2 * SILENCE_S)
        elif word.startswith("read"):
            while (message := await receive()).get("more_body"):
                pass
            if message["type"] == "http.disconnect":
                return
    body = bytes(40_000_000) if "much" in scope["path"] else b"done"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "SILENCE_S", SILENCE_S)
    doors = open_doors("127.0.0.1", 0)
    config = uvicorn.Config(_app, http=Connection, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(doors,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield int(doors[0].getsockname()[1])
    server.should_exit = True
    thread.join(timeout=30)


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(8 * SILENCE_S)
        yield connection


def _is_ended(connection: socket.socket) -> bool:
    """Whether the other side ends it in time, after what it still has to say."""
    try:
        _take_all(connection)
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def _take_all(connection: socket.socket) -> None:
    while connection.recv(1_000_000):
        pass


def _trickle(connection: socket.socket, pieces: int) -> bool:
    """Send a byte now and then; True where they are all taken."""
    for _ in range(pieces):
        try:
            connection.sendall(b"x")
        except OSError:
            return False
        time.sleep(SILENCE_S / 4)
    return True


@pytest.mark.parametrize("said", [b"", b"POST / HT", HEAD % b"read" + b"\r\n", HEAD % b"read" + b"\r\nhalf of it"])
def test_a_request_that_stands_still_is_ended(port: int, said: bytes) -> None:
    with _connected(port) as connection:
        connection.sendall(said)
        began = time.monotonic()
        assert _is_ended(connection)
        assert SILENCE_S <= time.monotonic() - began < 3 * SILENCE_S


@pytest.mark.parametrize("before", [b"", b"GET /at-once HTTP/1.1\r\nHost: here\r\n\r\n"], ids=["first", "second"])
def test_a_head_that_trickles_is_ended(port: int, before: bytes) -> None:
    with _connected(port) as connection:
        connection.sendall(before + b"GET / HTTP/1.1\r\nX-")
        assert not _trickle(connection, 10)


def test_what_trickles_behind_the_answer_is_ended(port: int) -> None:
    with _connected(port) as connection:
        connection.sendall(HEAD % b"at-once" + b"\r\n")
        assert not _trickle(connection, 10)


def test_a_slow_body_is_waited_for(port: int) -> None:
    with _connected(port) as connection:
        connection.sendall(HEAD % b"read" + b"\r\n" + bytes(994))
        assert _trickle(connection, 6)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (HEAD % b"read-rest" + b"\r\n" + bytes(1000), b"HTTP/1.1 200"),
        (b"GET /rest HTTP/1.1\r\nHost: here\r\n\r\n", b"HTTP/1.1 200"),
        (HEAD % b"rest-read" + b"Expect: 100-continue\r\n\r\n", b"HTTP/1.1 100"),
    ],
    ids=["after a body", "without a body", "before a body"],
)
def test_who_waits_for_us_is_not_ended(port: int, said: bytes, answer: bytes) -> None:
    with _connected(port) as connection:
        connection.sendall(said)
        assert connection.recv(100).startswith(answer)


def test_who_is_kept_from_sending_is_not_ended(port: int) -> None:
    n_bytes = 20_000_000  # more than lies on the way
    with _connected(port) as connection:
        connection.sendall(b"POST /rest-read HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % n_bytes)
        connection.sendall(bytes(n_bytes))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends who takes nothing")
def test_who_takes_nothing_of_an_answer_is_ended(port: int) -> None:
    with _connected(port) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(4 * SILENCE_S)
        with pytest.raises(ConnectionResetError):
            _take_all(connection)


def test_who_takes_it_slowly_is_not_ended(port: int) -> None:
    with _connected(port) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n")
        n_bytes = 0
        while n_bytes < 40_000_000:
            time.sleep(SILENCE_S / 20)
            n_bytes += len(piece := connection.recv(1_000_000))
            assert piece


def test_a_name_has_a_door_for_each_address_that_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0)), (socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere, here, here])
    (door,) = open_doors("here", 0)
    door.close()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere])
    with pytest.raises(OSError, match="assign"):
        open_doors("here", 0)


def test_a_flood_of_connections_leaves_room_and_few_words(model_folder: Path, tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "overread", "serve", str(model_folder), "--store", str(tmp_path / "store")]
    command = f'ulimit -n 256; exec "$@" --port {port}'
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", command, "-", *words], stderr=log)
    flood: list[socket.socket] = []
    try:
        first = _first_connection(port)
        for _ in range(400):
            flood.append(socket.create_connection(("127.0.0.1", port)))
            flood[-1].settimeout(0.05)
        is_open = [not _is_ended(connection) for connection in flood]
        assert sum(is_open) < 64, "half of them"
        assert is_open[0]
        other = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0), timeout=30)
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 200"), "of another address"
        other.close()
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert first.recv(100).startswith(b"HTTP/1.1 200")
        first.close()
        for connection in flood:
            connection.close()
        time.sleep(0.5)
        again = _first_connection(port)
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert again.recv(100).startswith(b"HTTP/1.1 200")
        again.close()
    finally:
        process.terminate()
        process.wait(timeout=30)
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    told = [json.loads(line)["what"] for line in lines]
    assert sum("closed at once" in what for what in told) == 1
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert len(told) < 10


def _first_connection(port: int) -> socket.socket:
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            found = socket.create_connection(("127.0.0.1", port))
            found.settimeout(30)
            return found
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_connection_may_be_used_again_after_a_while(model_folder: Path, tmp_path: Path) -> None:
    """By a proxy, or a client that asks for a job every few seconds."""
    port = free_port()
    process = start("serve", str(model_folder), "--store", str(tmp_path / "store"), "--port", str(port))
    try:
        wait_until(lambda: process.poll() is not None or _listens(port))
        client = HTTPConnection("127.0.0.1", port, timeout=30)
        for rest_s in (6, 0):
            client.request("GET", "/healthz")
            assert json.load(client.getresponse())["status"] == "ok"
            time.sleep(rest_s)
        client.close()
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
