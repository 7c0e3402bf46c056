"""`overread serve` and `overread node` for a long time: whether their memory stays where it was.

Studies of four images, each under ever new UIDs, come without a pause: by uploads that wait for their answers, and by
C-STORE to a node that sends its results on. Printed each minute: images taken by both doors, results sent on, and the
memory (VmRSS) of all processes of each; at the end how much that grew over the second half, by the thousand images.

    python benchmarks/serve_soak.py MODEL DICOM-FOLDER --minutes 60
"""

from __future__ import annotations

import argparse
import io
import itertools
import logging
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom

from doors import Dimse, Http, Program, Sink
from overread.run.job import machine, versions

_OF_A_STUDY = 4
_ROOT = "1.2.826.0.1.3680043.8.498"
_UIDS = {name: f"{_ROOT}.{place}.1000000000" for place, name in enumerate(("study", "series", "instance"), start=1)}


class Studies:
    """Ever new studies of one image's bytes."""

    def __init__(self, path: Path) -> None:
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _UIDS["study"], _UIDS["series"]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = _UIDS["instance"]
        stream = io.BytesIO()
        dataset.save_as(stream)
        self.content, self.numbers = stream.getvalue(), itertools.count(1_000_000_001)

    def take(self) -> list[tuple[str, bytes]]:
        """The UIDs and the files of the next one's images."""
        study = next(self.numbers)
        found = []
        for number in (study, *(next(self.numbers) for _ in range(_OF_A_STUDY - 1))):
            content = self.content
            for name, of in (("study", study), ("series", study), ("instance", number)):
                content = content.replace(_UIDS[name].encode(), _new(name, of).encode())
            found.append((_new("instance", number), content))
        return found


def _new(name: str, number: int) -> str:
    return f"{_UIDS[name][:-10]}{number}"


class Senders:
    """Threads that send until they are told to stop."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"HTTP": 0, "C-STORE": 0}
        self.faults: list[str] = []
        self.is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, door: str, send: Callable[[], str]) -> None:
        """Send by a door, one study after the other; `send` returns what went wrong."""

        def work() -> None:
            while not self.is_over.is_set():
                fault = send()
                with self._lock:
                    self.counts[door] += _OF_A_STUDY
                    self.faults += [fault] if fault else []

        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Let each finish its study."""
        self.is_over.set()
        for thread in self._threads:
            thread.join(120)


def by_http(http: Http, studies: Studies) -> str:
    files = [("files", (f"{uid}.dcm", content)) for uid, content in studies.take()]
    answer = http.client.post("/api/v1/images?wait=100", files=files)
    return "" if answer.status_code == 200 else f"HTTP {answer.status_code} {answer.text[:200]}"


def by_c_store(dimse: Dimse, studies: Studies) -> str:
    said = [dimse.send("good", uid, content) for uid, content in studies.take()]
    return "" if not any(said) else f"C-STORE {said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, help="a folder of DICOM images, of which the first is sent")
    parser.add_argument("--minutes", type=int, default=60)
    args = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    print(f"{machine()}\n{versions()}", flush=True)
    folder, sink, senders = Path(tempfile.mkdtemp()), Sink(), Senders()
    studies = Studies(sorted(args.images.rglob("*.dcm"))[0])
    served = Program("serve", args.model, folder / "served", "--requests-per-s", "100000")
    node = Program("node", args.model, folder / "node", "--send-to", f"SINK@127.0.0.1:{sink.port}", "--quiet-s", "1")
    Http(served).settle()
    Dimse(node).associate().release()
    for _ in range(4):
        http = Http(served)
        senders.start("HTTP", lambda http=http: by_http(http, studies))  # type: ignore[misc]
    for _ in range(2):
        dimse = Dimse(node)
        senders.start("C-STORE", lambda dimse=dimse: by_c_store(dimse, studies))  # type: ignore[misc]
    told: list[dict[str, float]] = []
    for minute in range(1, args.minutes + 1):
        time.sleep(60)
        told.append({**senders.counts, "serve": served.measure(), "node": node.measure()})
        print(
            "minute {}: {HTTP} images by HTTP, serve {serve:.0f} MB; {C-STORE} by C-STORE, node {node:.0f} MB; "
            "{} results".format(minute, sum(sink.studies.values()), **told[-1]),
            flush=True,
        )
    senders.stop()
    half = told[(len(told) - 1) // 2]
    for door, verb in (("HTTP", "serve"), ("C-STORE", "node")):
        more, images = told[-1][verb] - half[verb], told[-1][door] - half[door]
        if images:
            print(f"{verb}: {more:+.0f} MB over the second half, {1000 * more / images:+.2f} MB a thousand images")
    for program in (served, node):
        program.stop()
        senders.faults += program.faults()
    print(f"{len(senders.faults)} faults", *senders.faults[:20], sep="\n")
    shutil.rmtree(folder)
    sys.exit(bool(senders.faults))


if __name__ == "__main__":
    main()
