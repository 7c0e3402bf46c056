"""`overread serve` under load: many clients at once, beside `overread predict` on the same files.

Each client sends one DICOM file (or as many as --together says, as who sends a series does), waits for its answer,
and sends the next, over loopback. Every file has UIDs of its
own, so that none is answered from what is there. The clients share the cores with the service, and `predict` has
none; so they are sockets in one process that send bytes made beforehand, and what they take of a core is printed.
Printed too: images a second of both, their ratio, the median and the 99th percentile of the time to an answer,
errors, and the memory of the service's processes from the beginning to the end.

    python benchmarks/serve_load.py MODEL DICOM-FOLDER --clients 32 --seconds 60 --together 1
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from overread.cli.main import keep_cores_free

if "numpy" in sys.modules:
    raise RuntimeError("numpy was imported before its threads were set, and predict would be slower than the verb.")
keep_cores_free()

import pydicom  # noqa: E402

from overread.predict import Predictor  # noqa: E402
from overread.run.job import machine, versions  # noqa: E402
from processes import memory_mb  # noqa: E402

_UID = b"1.2.826.0.1.3680043.8.498.1000000000"
_BOUNDARY = b"----overread-load"
_PATIENCE_S = 120


def free_port() -> int:
    """A port that nobody listens on: another service there would answer in ours' stead."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Files:
    """Ever new images: a file's bytes under a new UID of the same length."""

    def __init__(self, folder: Path, *, together: int = 1) -> None:
        self.parts, self.together = [], together
        for path in sorted(folder.rglob("*.dcm")):
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _UID.decode()
            stream = io.BytesIO()
            dataset.save_as(stream)
            self.parts.append(stream.getvalue().split(_UID))
        self.numbers = itertools.count(1_000_000_001)

    def take(self) -> bytes:
        """The next one."""
        number = next(self.numbers)
        return (_UID[:-10] + str(number).encode()).join(self.parts[number % len(self.parts)])

    def request(self) -> bytes:
        """The next ones, as they are handed in."""
        head = b'--%b\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\n' % _BOUNDARY
        parts = (piece for _ in range(self.together) for piece in (head, self.take(), b"\r\n"))
        body = b"".join([*parts, b"--%b--\r\n" % _BOUNDARY])
        words = b"POST /api/v1/images?wait=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        words += b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n" % (
            _BOUNDARY,
            len(body),
        )
        return words + body


@dataclass
class Client:
    """One connection: what is still to be sent, and what has come."""

    files: Files
    connection: socket.socket
    left: memoryview = field(default_factory=lambda: memoryview(b""))
    came: bytearray = field(default_factory=bytearray)
    began: float = 0.0

    def next(self) -> None:
        """Begin another request."""
        self.left, self.came, self.began = memoryview(self.files.request()), bytearray(), time.monotonic()

    def answer(self) -> tuple[int, bytes] | None:
        """Status and body; None while they are not whole."""
        head, found, body = bytes(self.came).partition(b"\r\n\r\n")
        if not found:
            return None
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        return (int(head.split()[1]), body) if len(body) >= int(lines[b"content-length"]) else None


@dataclass
class Load:
    """What came of some seconds of it."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    took_s: float = 0.0
    cpu_s: float = 0.0
    """that the clients took themselves"""


def put_under_load(
    process: subprocess.Popen[bytes], port: int, files: Files, *, clients: int, seconds: float
) -> Load:
    """Send until the time is over, then wait for what is under way."""
    load, selector = Load(), selectors.DefaultSelector()
    began, cpu = time.monotonic(), time.process_time()
    until, look_at = began + seconds, began
    for _ in range(clients):
        client = Client(files, socket.create_connection(("127.0.0.1", port)))
        client.connection.setblocking(False)
        client.next()
        selector.register(client.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
    while selector.get_map():
        for key, events in selector.select(_PATIENCE_S):
            serve_one(key.data, events, selector, load, goes_on=time.monotonic() < until)
        if time.monotonic() >= look_at:
            load.memory_mb.append(memory_mb(process.pid))
            look_at += seconds / 4
        if time.monotonic() > until + _PATIENCE_S:
            load.errors.append(f"{len(selector.get_map())} requests without an answer")
            break
    load.took_s, load.cpu_s = time.monotonic() - began, time.process_time() - cpu
    load.memory_mb.append(memory_mb(process.pid))
    return load


def serve_one(client: Client, events: int, selector: selectors.BaseSelector, load: Load, *, goes_on: bool) -> None:
    """Send and receive what one connection takes and has now."""
    if events & selectors.EVENT_WRITE and client.left:
        client.left = client.left[client.connection.send(client.left) :]
        if not client.left:
            selector.modify(client.connection, selectors.EVENT_READ, client)
    if not events & selectors.EVENT_READ:
        return
    piece = client.connection.recv(1 << 16)
    client.came += piece
    answer = client.answer()
    if answer is None and piece:
        return
    load.seconds.append(time.monotonic() - client.began)
    if answer is None or answer[0] != 200 or json.loads(answer[1])["n_answered"] != client.files.together:
        load.errors.append(repr(answer)[:300])
    if not goes_on or not piece:
        selector.unregister(client.connection)
        client.connection.close()
        return
    client.next()
    selector.modify(client.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, client)


def start(model: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A service of our own, once it listens."""
    words = [sys.executable, "-m", "overread", "serve", str(model), "--store", str(folder / "store")]
    words += ["--port", str(port), "--requests-per-s", "10000"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    raise RuntimeError(f"The service did not start: {(folder / 'log').read_text()[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--together", type=int, default=1, help="images of one request")
    args = parser.parse_args()
    print(f"{machine()}\n{versions()}")
    files, folder = Files(args.images, together=args.together), Path(tempfile.mkdtemp())
    paths = [folder / f"{number}.dcm" for number in range(600)]
    for path in paths:
        path.write_bytes(files.take())
    predictor = Predictor(args.model)

    def alone() -> float:
        began = time.monotonic()
        return sum(1 for _ in predictor.predict_files(paths)) / (time.monotonic() - began)

    alone()
    before = alone()
    port = free_port()
    process = start(args.model, folder, port)
    try:
        put_under_load(process, port, files, clients=args.clients, seconds=3)
        load = put_under_load(process, port, files, clients=args.clients, seconds=args.seconds)
    finally:
        process.terminate()
        process.wait()
    after = alone()
    shutil.rmtree(folder)
    load.seconds.sort()
    served, beside = args.together * len(load.seconds) / load.took_s, (before + after) / 2
    print(f"predict alone: {before:.1f} and {after:.1f} images/s (before and after)")
    asked = f"{args.clients} clients, {args.together} a request"
    print(f"served to {asked}: {served:.1f} images/s, {served / beside:.2f} of it")
    print(f"the clients themselves took {load.cpu_s / load.took_s:.2f} of a core")
    p50, p99 = statistics.median(load.seconds), load.seconds[int(0.99 * len(load.seconds))]
    print(f"to an answer: median {p50:.2f} s, 99 % {p99:.2f} s")
    print(f"{len(load.seconds)} requests, {len(load.errors)} errors {load.errors[:2]}")
    print(f"memory: {', '.join(f'{mb:.0f}' for mb in load.memory_mb)} MB from the beginning to the end")


if __name__ == "__main__":
    main()
