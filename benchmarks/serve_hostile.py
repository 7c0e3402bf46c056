"""Hostile files through both doors: what `overread serve` and `overread node` do with spoilt DICOM.

Thousands of images, each spoilt by a seed of its own (tests/serve/hostile.py), are sent over loopback: by uploads and
STOW-RS to a service, by C-STORE to a node that sends its results on. Checked: both processes live on, no answer is a
500 and no DIMSE status lays the fault on the node, no log tells of a fault, a good image gets the same probabilities
before and after, and its results are sent on; nothing lies outside the stores; what pages and JSON show of the files
is escaped and parses; and `overread store verify` finds no fault. Printed: counts, and the memory (VmRSS) of both at
the start, at the peak and at the end.

    python benchmarks/serve_hostile.py MODEL DICOM-FOLDER --files 10000 --first-seed 0
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from doors import OUTSIDE, Dimse, Http, Program, Sink, good_files, hostile
from overread.predict import Predictor
from overread.run.job import machine, versions

TOGETHER = 10


def escaped() -> list[str]:
    """Files that a path in a UID would have made."""
    return [str(found) for place in (Path("/tmp"), Path.cwd(), Path.home()) for found in place.glob(f"*{OUTSIDE}*")]


def batches(seeds: range, good: Sequence[bytes]) -> Iterator[list[tuple[str, str, bytes]]]:
    for start in range(seeds.start, seeds.stop, TOGETHER):
        yield [hostile(seed, good) for seed in range(start, min(start + TOGETHER, seeds.stop))]


def verify(program: Program) -> list[str]:
    words = [sys.executable, "-m", "overread", "store", "verify", "--store", str(program.folder / "store")]
    done = subprocess.run(words, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"store verify: {done.stdout[-300:]} {done.stderr[-300:]}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "images", type=Path, help="a folder of DICOM images; the first four are spoilt, the last is not"
    )
    parser.add_argument("--files", type=int, default=10_000, help="of all")
    parser.add_argument("--by-c-store", type=float, default=0.5, help="the share of them; the others come by HTTP")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--looked-at", type=int, default=300, help="studies whose pages and pixels are asked for")
    args = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    print(f"{machine()}\n{versions()}", flush=True)
    paths = sorted(args.images.rglob("*.dcm"))
    good, whole = good_files(paths[:4]), paths[-1].read_bytes()
    want = list(next(iter(Predictor(args.model).predict_files([paths[-1]]))).probabilities.values())
    folder, sink = Path(tempfile.mkdtemp()), Sink()
    served = Program("serve", args.model, folder / "served", "--requests-per-s", "100000")
    http = Http(served)
    node = Program("node", args.model, folder / "node", "--send-to", f"SINK@127.0.0.1:{sink.port}", "--quiet-s", "1")
    dimse = Dimse(node)
    dimse.associate().release()
    faults: list[str] = []
    if http.probabilities(whole) != want:
        faults.append("a good image has other probabilities than overread predict gives it")
    for program in (served, node):
        program.memory.append(program.measure())
    middle = args.first_seed + round(args.files * (1 - args.by_c_store))
    began = time.monotonic()
    for number, some in enumerate(batches(range(args.first_seed, middle), good)):
        http.send(some, stow=number % 4 == 3)
    http.settle()
    print(f"by HTTP: {middle - args.first_seed} files in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    for some in batches(range(middle, args.first_seed + args.files), good):
        for what, uid, content in some:
            dimse.send(what, uid, content)
    print(
        f"by C-STORE: {args.first_seed + args.files - middle} files in {time.monotonic() - began:.0f} s", flush=True
    )
    began = time.monotonic()
    http.look(args.looked_at)
    print(f"looked at what was kept: {time.monotonic() - began:.0f} s", flush=True)
    later = good[1].replace(b"1000000000", b"1999999999")
    if http.probabilities(later) != _predicted(args.model, later, folder):
        faults.append("afterwards a good image has other probabilities")
    faults += _reported(dimse, sink, paths[-1], whole)
    dimse.close()
    for name, program in (("serve", served), ("node", node)):
        if program.process.poll() is not None:
            faults.append(f"{name} ended with {program.process.returncode}")
            continue
        print(f"memory of overread {name}: {program.memory_said()}")
        program.stop()
        faults += program.faults() + verify(program)
    faults += http.faults + dimse.faults + escaped()
    print(f"HTTP: {dict(sorted(http.statuses.items()))}\nC-STORE: {dict(sorted(dimse.statuses.items()))}")
    print(f"results sent on: {sum(sink.studies.values())}")
    print(f"{len(faults)} faults", *faults[:40], sep="\n")
    if not faults:
        shutil.rmtree(folder)
    else:
        print(f"the stores and logs are left in {folder}")
        sys.exit(1)


def _predicted(model: Path, content: bytes, folder: Path) -> list[float]:
    (folder / "good.dcm").write_bytes(content)
    return list(next(iter(Predictor(model).predict_files([folder / "good.dcm"]))).probabilities.values())


def _reported(dimse: Dimse, sink: Sink, path: Path, content: bytes) -> list[str]:
    """Whether the node, after all that came, still takes a good image and sends its results on."""
    from pydicom import dcmread

    found = dcmread(path, stop_before_pixels=True)
    if dimse.send("good", str(found.SOPInstanceUID), content) != 0:
        return ["the node does not take a good image any more"]
    until = time.monotonic() + 240
    while sink.studies[str(found.StudyInstanceUID)] < 2:
        if time.monotonic() > until:
            return ["the results of a good image were not sent on"]
        time.sleep(0.5)
    return []


if __name__ == "__main__":
    main()
