"""What audit, training and prediction cost at 1,000, 10,000 and 100,000 images: seconds, memory, and how they grow.

Pictures are made from the slices of phantom patients: each patient has a mixture of two of one class, turned and
stretched, and a texture; each image has another texture, shift and noise, so that no two patients are alike. Each
stage is a process of its own, as a user starts it, timed from its start to its end. The exponent is the slope of
log(cost) over log(images): 1 is in proportion, 2 means that ten times the images cost a hundred times as much.

    python benchmarks/cost_curve.py                             # an hour and more on two cores
    python benchmarks/cost_curve.py --sizes 1000 10000 --backbone resnet18 --weights FILE

Files are read once before each stage, so that the disk does not count: what it costs grows with other things.
Peak memory is what the system says of the largest process of a stage, pages of mapped files included: they are given
back when others need them. `own` leaves those out, and adds up all processes of the stage (Linux alone tells it).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from overread.data.image import prepare, read_image
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.run.job import machine, versions
from overread.settings import ImageSettings
from processes import family

SIDE_PX, WAVES, IMAGES_A_PATIENT, A_FOLDER = 64, 24, 5, 1000
SUCCEEDED = (0, 1)
"""an audit that believes nothing ends with 1, and has not failed"""
GROWING = ("seconds", "processor_s", "peak_mb", "own_mb")
STAGES = ("audit", "train", "predict")
Slices = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one stage took at one size."""

    stage: str
    n_images: int
    seconds: float
    processor_s: float
    """of all cores and processes: on a machine with other work it says more than the clock"""
    peak_mb: float
    """resident, of the largest process; pages of mapped files count"""
    own_mb: float
    """of all processes of the stage together, at most, without mapped files; 0 where the system does not tell"""
    exit_code: int
    note: str = ""


def phantom_slices(folder: Path) -> Slices:
    """By class, (n, SIDE_PX, SIDE_PX) grey values of phantom slices."""
    truth = make_phantoms(folder, PhantomSettings(patients=30, slices=4, size_px=128), workers=os.cpu_count() or 1)
    seen = ImageSettings(size_px=SIDE_PX, window="brain")
    return {
        name: np.stack(
            [
                prepare(read_image(path), seen)[..., 0].astype(np.float64)
                for path in sorted((folder / "images" / name).rglob("*.dcm"))
            ]
        )
        for name in truth.classes
    }


def make_images(folder: Path, n: int, slices: Slices, seed: int) -> Path:
    """Write n pictures, five a patient, and a list of them; returns the list."""
    rng = np.random.default_rng(seed)
    at = np.arange(SIDE_PX) + 0.5
    cosines = np.cos(np.pi * np.arange(WAVES)[:, None] * at / SIDE_PX)
    steep = 1 / (1 + np.hypot(*np.mgrid[:WAVES, :WAVES]))

    def texture(strength: float) -> NDArray[np.float64]:
        return strength * (cosines.T @ (rng.normal(size=(WAVES, WAVES)) * steep) @ cosines)

    names = list(slices)
    folder.mkdir(parents=True)
    with (folder / "list.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label", "patient"))
        for number in range(n):
            if number % A_FOLDER == 0:
                (folder / f"images/{number // A_FOLDER:04d}").mkdir(parents=True)
            if number % IMAGES_A_PATIENT == 0:
                patient = number // IMAGES_A_PATIENT
                label = names[patient % len(names)]
                one, other = slices[label][rng.integers(len(slices[label]), size=2)]
                share = rng.uniform(0.3, 0.7)
                of_patient = turned(share * one + (1 - share) * other, rng) + texture(12)
            moved = np.roll(of_patient, rng.integers(-4, 5, 2), axis=(0, 1))
            pixels = moved + texture(12) + rng.normal(0, 6, moved.shape)
            path = Path(f"images/{number // A_FOLDER:04d}/{number:06d}.png")
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / path, compress_level=1)
            rows.writerow((path.as_posix(), label, f"p{patient:06d}"))
    return folder / "list.csv"


def turned(pixels: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A slice turned by up to 30 degrees, stretched and moved: a skull that is like no other."""
    angle = np.deg2rad(rng.uniform(-30, 30))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(rng.uniform(0.8, 1.3, 2))
    middle = np.full(2, SIDE_PX / 2)
    moved = middle - matrix @ middle + rng.uniform(-4, 4, 2)
    affine = (*matrix[0], moved[0], *matrix[1], moved[1])
    made = Image.fromarray(pixels.astype(np.float32)).transform(
        (SIDE_PX, SIDE_PX), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    return np.asarray(made, np.float64)


def read_all(folder: Path) -> None:
    """Have every file in the system's memory, so that no stage waits for the disk."""
    for path in folder.rglob("*.png"):
        path.read_bytes()


def command(stage: str, listed: Path, run: Path, args: argparse.Namespace) -> list[str]:
    seen = ["--backbone", args.backbone, "--weights", args.weights, "--size-px", str(SIDE_PX)]
    if stage == "audit":
        words = ["audit", str(listed), *seen, "--out", str(run.parent / "audit")]
    elif stage == "train":
        words = ["train", str(listed), *seen, "--epochs", "1", "--learn", args.learn, "--device", "cpu"]
        words += ["--out", str(run)]
    else:
        words = [
            "predict",
            str(run),
            str(listed.parent / "images"),
            "--csv",
            "--out",
            str(run.parent / "answers.csv"),
        ]
    return [sys.executable, "-m", "overread", *words]


LAUNCH = """
import json, os, subprocess, sys, threading, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[3:], stdout=open(sys.argv[2], "wb"), stderr=subprocess.STDOUT)
late = threading.Timer(float(sys.argv[1]), process.terminate)
late.start()
_, status, usage = os.wait4(process.pid, 0)
late.cancel()
print(json.dumps([time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss,
                  os.waitstatus_to_exitcode(status)]))
"""
"""in a process of its own that imports little: Linux counts the memory of whoever starts a process as its own"""


def measure(stage: str, n: int, words: list[str], *, limit_s: float, log: Path) -> Cost:
    """Run one stage to its end, or to the limit."""
    launch = [sys.executable, "-S", "-c", LAUNCH, str(limit_s), str(log), *words]
    with subprocess.Popen(launch, stdout=subprocess.PIPE, text=True) as process:
        own = OwnMemory(process.pid)
        seconds, processor_s, peak, code = json.loads(process.communicate()[0])
    return Cost(
        stage=stage,
        n_images=n,
        seconds=seconds,
        processor_s=processor_s,
        peak_mb=peak / (1024 if sys.platform != "darwin" else 1024**2),
        own_mb=own.most_mb(),
        exit_code=code,
    )


class OwnMemory:
    """The most memory that a process and its children take for themselves, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most_kb, self.over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def most_mb(self) -> float:
        """The most so far; nothing is looked at after."""
        self.over.set()
        self.thread.join()
        return self.most_kb / 1024

    def _watch(self) -> None:
        while not self.over.wait(0.1):
            self.most_kb = max(self.most_kb, sum(map(anonymous_kb, family(self.pid))))


def anonymous_kb(pid: int) -> int:
    try:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def epochs_of(run: Path) -> str:
    """Which stages learned, epoch by epoch: a training that went deeper has more to do."""
    if not (run / "history.csv").exists():
        return ""
    rows = csv.DictReader(io.StringIO((run / "history.csv").read_text()))
    return "learnt, in stages from the head: " + ", ".join(f"{float(row['stages_learning']):g}" for row in rows)


def slope(costs: list[Cost], what: str) -> float:
    """The exponent: least squares on logarithms; nan for fewer than two sizes, or a cost that is not known."""
    if len(costs) < 2 or not all(getattr(cost, what) for cost in costs):
        return math.nan
    x = np.log([cost.n_images for cost in costs])
    y = np.log([getattr(cost, what) for cost in costs])
    return float(np.polyfit(x, y, 1)[0])


def report(costs: list[Cost]) -> None:
    print("\nstage      images   seconds  processor s  ms an image   peak MB    own MB")
    for c in costs:
        each = 1000 * c.seconds / c.n_images
        failed = "" if c.exit_code in SUCCEEDED else f"  FAILED ({c.exit_code})"
        print(
            f"{c.stage:<8} {c.n_images:>8,} {c.seconds:9.1f} {c.processor_s:12.1f} {each:12.2f} "
            f"{c.peak_mb:9.0f} {c.own_mb:9.0f}{failed}  {c.note}"
        )
    print("\nexponent between the last two sizes, and over all")
    print("stage           seconds    processor s    peak memory     own memory")
    for stage in dict.fromkeys(c.stage for c in costs):
        done = [c for c in costs if c.stage == stage and c.exit_code in SUCCEEDED]
        parts = [(slope(done[-2:], what), slope(done, what)) for what in GROWING]
        print(f"{stage:<8}" + "".join(f"    {last:5.2f} {of_all:5.2f}" for last, of_all in parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="predict needs train")
    parser.add_argument("--backbone", default="test_resnet", help="small, so that 100,000 images end")
    parser.add_argument("--weights", default="none", help="as for overread train; none: everything learns at once")
    parser.add_argument("--learn", default="auto", help="as for overread train")
    parser.add_argument("--limit-s", type=float, default=3600, help="a stage that takes longer is ended")
    parser.add_argument("--scratch", type=Path, help="where to work, and leave all that was made (default: nowhere)")
    parser.add_argument("--json", type=Path, help="write what was measured here, as it comes")
    args = parser.parse_args()
    print(f"{machine()}\n{versions()}", flush=True)
    if args.scratch:
        args.scratch.mkdir(parents=True, exist_ok=True)
        walk(args.scratch, args)
        return
    with tempfile.TemporaryDirectory() as scratch:
        walk(Path(scratch), args)


def walk(scratch: Path, args: argparse.Namespace) -> None:
    slices = phantom_slices(scratch / "phantoms")
    costs: list[Cost] = []
    for n in sorted(args.sizes):
        folder = scratch / str(n)
        listed = make_images(folder, n, slices, seed=n)
        for stage in args.stages:
            words = command(stage, listed, folder / "run", args)
            log = folder / f"{stage}.log"
            read_all(listed.parent / "images")
            found = measure(stage, n, words, limit_s=args.limit_s, log=log)
            note = epochs_of(folder / "run") if stage == "train" else ""
            costs.append(Cost(**{**asdict(found), "note": note}))
            print(f"{stage} {n:,}: {found.seconds:.1f} s, {found.peak_mb:.0f} MB", flush=True)
            if found.exit_code not in SUCCEEDED:
                print(log.read_text(errors="replace")[-1000:], flush=True)
            if args.json:
                args.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2))
    report(costs)


if __name__ == "__main__":
    main()
