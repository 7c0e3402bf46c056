"""What several workers gain: training by torchrun, predictions by Ray, each with one core; and what a lost one costs.

Ideal is the speed of one worker times their number. Beside it stand two processes that have nothing to do with each
other: what memory and cores that are shared already cost without a word between workers. Each figure is the median of
rounds, in turns. Training: ResNet-18 at 224 pixels, batch 32, all of it learns. Start-up counts for nothing, and is
told apart. Run it on an idle machine.

    python benchmarks/scale_out.py                  # ten minutes on two cores
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

N_WORKERS = 2
ONE_CORE = {"OMP_NUM_THREADS": "1"}


def worker(n_images: int, folder: Path) -> None:
    """One worker of a training of three epochs: prints the seconds of the last two."""
    import torch

    from overread.model.backbones import create
    from overread.settings import recipe_settings
    from overread.training.batches import Normaliser, Part
    from overread.training.course import train_network
    from overread.training.launch import joined
    from overread.training.watch import Silent

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n_images, 224, 224, 3), dtype=np.uint8)
    train = Part(pixels=pixels, indices=np.arange(n_images), labels=np.arange(n_images) % 2)
    val = Part(pixels=pixels, indices=np.arange(4), labels=np.arange(4) % 2)
    with joined(device="cpu") as world:
        torch.set_num_threads(1)
        history = train_network(
            create("resnet18", 2, seed=0), train=train, val=val, n_classes=2, world=world, watch=Silent(),
            settings=recipe_settings("default", epochs=3, device="cpu", learn="all", precision="float32"),
            normalise=Normaliser((0.5,) * 3, (0.25,) * 3), folder=folder / f"{os.getpid()}",
        )  # fmt: skip
    print(json.dumps([row.seconds for row in history][1:]))


def train_rate(n_processes: int, *, together: bool, n_images: int) -> float:
    """Images a second of so many processes: one training, or one each."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    told = {"WORLD_SIZE": str(n_processes), "LOCAL_WORLD_SIZE": str(n_processes), "MASTER_PORT": port}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--worker", folder, "--images", str(n_images)]
        started = []
        for rank in range(n_processes):
            ranks = {**told, "MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "LOCAL_RANK": str(rank)}
            environment = {**os.environ, **ONE_CORE, **(ranks if together else {})}
            started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment))
        said = [process.communicate()[0] for process in started]
    seconds = [statistics.fmean(json.loads(text.splitlines()[-1])) for text in said]
    return n_images / seconds[0] if together else sum(n_images / one for one in seconds)


def make_images(folder: Path, n: int) -> Path:
    """Noise, in two classes of twenty patients."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n):
        place = folder / "ab"[number % 2] / f"p{number % 40}-{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (256, 256), dtype=np.uint8)).save(place)
    return folder


def train_words(images: Path, out: Path) -> list[str]:
    flags = "--backbone resnet18 --weights none --device cpu --precision float32 --epochs 2 --no-audit --seed 0"
    more = ["--learning-rate", "1e-5", "--patient-regex", r"/(p\d+)-", "--out", str(out)]
    return ["-m", "overread", "train", str(images), *flags.split(), *more]


def descendants(pid: int) -> dict[int, float]:
    """The processes below one, and the seconds of computing that each has had."""
    parents, seconds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rsplit(")")[-1].split()
            parents[int(folder.name)] = int(fields[1])
            seconds[int(folder.name)] = (int(fields[11]) + int(fields[12])) / 100
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return {one: seconds.get(one, 0) for one in found[1:]}


def timed(words: list[str], *, kill: tuple[str, ...] = (), after_s: float = 0, once: Path | None = None) -> float:
    """Seconds of a command, one of whose workers is killed: by title, once it has computed and a file is there."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], env={**os.environ, **ONE_CORE}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while kill and process.poll() is None:
        time.sleep(0.1)
        if once is not None and not once.exists():
            continue
        for pid, seconds in descendants(process.pid).items():
            with suppress(OSError):
                told = Path(f"/proc/{pid}/cmdline").read_text() + "\0" + Path(f"/proc/{pid}/environ").read_text()
                if kill and seconds > after_s and all(word in told for word in kill):
                    os.kill(pid, signal.SIGKILL)
                    print(f"killed after {time.perf_counter() - began:.0f} s")
                    kill = ()
    process.wait()
    return time.perf_counter() - began


def show_training(args: argparse.Namespace) -> None:
    rounds: list[tuple[float, float, float]] = []
    for _ in range(args.rounds):
        rounds.append(
            (
                train_rate(1, together=False, n_images=args.images),
                train_rate(N_WORKERS, together=True, n_images=args.images),
                train_rate(N_WORKERS, together=False, n_images=args.images),
            )
        )
        one, two, apart = rounds[-1]
        print(f"training, images/s: one {one:.2f}, two as one {two:.2f}, two apart {apart:.2f}", flush=True)
    shares = [two / one / N_WORKERS for one, two, _ in rounds]
    apart = [two / apart for _, two, apart in rounds]
    print(
        f"training by two workers: {statistics.median(shares):.0%} of the ideal, {statistics.median(apart):.0%} of "
        "two that have nothing to do with each other"
    )


def show_lost_worker(images: Path, folder: Path) -> None:
    from overread.model import bundle

    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    whole, cut = folder / "whole", folder / "cut"
    undisturbed = timed([*launcher, *train_words(images, whole)])
    disturbed = timed(
        [*launcher, *train_words(images, cut)], kill=("-m\0overread\0train", "\0RANK=1\0"), once=cut / bundle.RESUME
    )
    first, second = bundle.load_weights(whole), bundle.load_weights(cut)
    apart = max(float(np.abs(first[name] - second[name]).max()) for name in first)
    print(
        f"torchrun, a worker killed after the first of two epochs: {disturbed:.0f} s, undisturbed {undisturbed:.0f} "
        f"s; weights differ by {apart:.1e} at most"
    )


def predict(model: Path, images: Path, out: Path, n_workers: int, **kill: Any) -> float:
    return timed(
        ["-m", "overread", "predict", str(model), str(images), "--ray", str(n_workers), "--out", str(out)], **kill
    )


def show_predicting(model: Path, images: Path, few: Path, folder: Path, rounds: int) -> None:
    from pyarrow import dataset

    n = sum(1 for _ in images.rglob("*.png"))
    shares = []
    for number in range(rounds):
        seconds = {}
        for n_workers in (1, N_WORKERS):
            whole = predict(model, images, folder / f"{number}-{n_workers}", n_workers)
            start = predict(model, few, folder / f"{number}-{n_workers}-few", n_workers)
            seconds[n_workers] = whole - start
            print(
                f"predictions by Ray, {n_workers} workers: {whole:.1f} s, of which start-up {start:.1f} s", flush=True
            )
        shares.append(seconds[1] / seconds[N_WORKERS] / N_WORKERS)
    print(f"predictions by two workers of Ray: {statistics.median(shares):.0%} of the ideal, start-up left out")
    disturbed = predict(model, images, folder / "killed", N_WORKERS, kill=("MapWorker",), after_s=4)
    paths = dataset.dataset(folder / "killed", format="parquet").to_table(columns=["path"])["path"].to_pylist()
    print(
        f"Ray, a worker killed: {disturbed:.1f} s, {len(set(paths))} of {n} images, "
        f"{len(paths) - len(set(paths))} twice"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="of a training")
    parser.add_argument("--predicted", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.images, args.worker)
        return

    from overread.run.job import machine, versions

    print(f"{machine()}\n{versions()}\nload before: {os.getloadavg()[0]:.1f}", flush=True)
    show_training(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = make_images(folder / "images", 160)
        show_lost_worker(images, folder)
        many, few = make_images(folder / "many", args.predicted), make_images(folder / "few", 2)
        show_predicting(folder / "whole", many, few, folder, args.rounds)


if __name__ == "__main__":
    main()
