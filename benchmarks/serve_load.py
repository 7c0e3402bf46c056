"""`overread serve` under load: many clients at once, beside `overread predict` on the same files.

Each client sends one DICOM file, waits for its answer, and sends the next, over loopback. Every file has UIDs of its
own, so that none is answered from what is there. Printed: images a second of both, their ratio, the median and the
99th percentile of the time to an answer, errors, and the service's memory at the beginning and at the end.

    python benchmarks/serve_load.py MODEL DICOM-FOLDER --clients 32 --seconds 60
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pydicom

from overread.predict import Predictor
from overread.run.job import machine, versions

PORT = 18765


def rss_mb(process: subprocess.Popen[bytes]) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


class Files:
    """Ever new images: a file's bytes under a new UID of the same length."""

    def __init__(self, folder: Path) -> None:
        self.contents = []
        for path in sorted(folder.rglob("*.dcm")):
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
                "1.2.826.0.1.3680043.8.498.1000000000"
            )
            stream = io.BytesIO()
            dataset.save_as(stream)
            self.contents.append(stream.getvalue())
        self.numbers = itertools.count(1_000_000_001)
        self.lock = threading.Lock()

    def take(self) -> bytes:
        """The next one."""
        with self.lock:
            number = next(self.numbers)
        return self.contents[number % len(self.contents)].replace(b"1000000000", str(number).encode())


def work(files: Files, until: float, seconds: list[float], errors: list[str]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=120, trust_env=False) as client:
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                response = client.post("/api/v1/images?wait=100", files={"files": ("a.dcm", files.take())})
                if response.status_code != 200 or response.json()["n_answered"] != 1:
                    errors.append(response.text[:200])
            except httpx.HTTPError as fault:
                errors.append(repr(fault))
            seconds.append(time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    print(f"{machine()}\n{versions()}")
    files, folder = Files(args.images), Path(tempfile.mkdtemp())
    paths = [folder / f"{number}.dcm" for number in range(600)]
    for path in paths:
        path.write_bytes(files.take())
    predictor = Predictor(args.model)

    def alone() -> float:
        began = time.monotonic()
        return sum(1 for _ in predictor.predict_files(paths)) / (time.monotonic() - began)

    alone()
    before = alone()
    words = [sys.executable, "-m", "overread", "serve", str(args.model), "--store", str(folder / "store")]
    words += ["--port", str(PORT), "--requests-per-s", "10000"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        seconds: list[float] = []
        errors: list[str] = []
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{PORT}/healthz", trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        work(files, time.monotonic() + 3, [], errors)
        began, first = time.monotonic(), rss_mb(process)
        until = began + args.seconds
        clients = [threading.Thread(target=work, args=(files, until, seconds, errors)) for _ in range(args.clients)]
        for client in clients:
            client.start()
        time.sleep(args.seconds / 2)
        middle = rss_mb(process)
        for client in clients:
            client.join()
        served = len(seconds) / (time.monotonic() - began)
        last = rss_mb(process)
    finally:
        process.terminate()
        process.wait()
    after = alone()
    shutil.rmtree(folder)
    seconds.sort()
    print(f"predict alone: {before:.1f} and {after:.1f} images/s (before and after)")
    print(f"served to {args.clients} clients: {served:.1f} images/s, {served / ((before + after) / 2):.2f} of it")
    print(f"to an answer: median {statistics.median(seconds):.2f} s, 99 % {seconds[int(0.99 * len(seconds))]:.2f} s")
    print(f"{len(seconds)} requests, {len(errors)} errors {errors[:2]}")
    print(f"memory: {first:.0f} MB at the beginning, {middle:.0f} MB in the middle, {last:.0f} MB at the end")


if __name__ == "__main__":
    main()
