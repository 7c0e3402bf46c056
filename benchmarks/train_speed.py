"""Training throughput: overread against a plain PyTorch script, on the same images, batch and network.

The plain script is what most people write: torchvision transforms, ImageFolder, a DataLoader. Both train ResNet-18
with Adam in float32 for the ten passes of the paper's recipe over the same files, in turns, each in a process of its
own. Decoding counts for both: overread decodes once, the script at every pass. Imports count for neither. The script
is run with workers and without, and the faster of the two is the one that overread is compared with.

    python benchmarks/train_speed.py IMAGES          # a folder with a sub-folder a class; ten minutes on two cores
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.settings import ImageSettings, recipe_settings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32


def plain_epochs(source: Path, chosen: list[int], n_epochs: int, workers: int) -> list[float]:
    """Seconds of each pass of the plain script."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    from overread.model.backbones import create

    steps = [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    images = Subset(datasets.ImageFolder(str(source), transforms.Compose(steps)), chosen)
    batches = DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=workers)
    network = create("resnet18", 3, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(n_epochs):
        began = time.perf_counter()
        network.train()
        for pixels, labels in batches:
            optimizer.zero_grad()
            loss = loss_of(network(pixels), labels)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds


def overread_epochs(source: Path, chosen: list[int], n_epochs: int, workers: int) -> list[float]:
    """Seconds of each pass of overread; the first includes reading and decoding the images."""
    from overread.model.backbones import create
    from overread.training.batches import Normaliser, Part
    from overread.training.course import train_network
    from overread.training.history import EpochRow
    from overread.training.watch import Silent

    seconds: list[float] = []

    class Clock(Silent):
        def epoch(self, row: EpochRow, best: bool) -> None:
            seconds.append(row.seconds)

    network = create("resnet18", 3, seed=0)
    began = time.perf_counter()
    cohort = read_cohort(source).subset(chosen)
    with tempfile.TemporaryDirectory() as folder:
        cache = build_cache(cohort, ImageSettings(window="header"), folder=Path(folder), workers=workers)
        part = Part(pixels=cache.pixels, indices=np.arange(len(cohort)), labels=cohort.labels())
        decoding = time.perf_counter() - began
        train_network(
            network, train=part, val=Part(pixels=part.pixels, indices=part.indices[:8], labels=part.labels[:8]),
            n_classes=len(cohort.classes),
            settings=recipe_settings("paper", epochs=n_epochs, batch_size=BATCH, device="cpu"),
            normalise=Normaliser(MEAN, STD), folder=Path(folder), watch=Clock(),
        )  # fmt: skip
    return [seconds[0] + decoding, *seconds[1:]]


SIDES = {"plain": plain_epochs, "overread": overread_epochs}


def measure(side: str, workers: int, args: argparse.Namespace) -> list[float]:
    """Seconds of each pass of one side, in a new process."""
    words = [sys.executable, __file__, str(args.images), "--side", side, "--workers", str(workers)]
    words += ["--epochs", str(args.epochs), "--images-used", str(args.images_used)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder with a sub-folder a class")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images-used", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if args.side:
        n = len(read_cohort(args.images))
        chosen = np.random.default_rng(0).permutation(n)[: args.images_used].tolist()
        print(json.dumps(SIDES[args.side](args.images, chosen, args.epochs, args.workers)))
        return

    from overread.run.job import machine, versions

    print(f"{machine()}\n{versions()}")
    total = args.epochs * args.images_used
    ratios, steady = [], []
    for number in range(args.rounds):
        alone, helped = (measure("plain", workers, args) for workers in (0, args.workers))
        plain, ours = min(alone, helped, key=sum), measure("overread", args.workers, args)
        ratios.append(sum(plain) / sum(ours))
        steady.append(statistics.median(plain) / statistics.median(ours))
        print(
            f"round {number + 1}: images/s: plain {total / sum(alone):.1f}, plain with {args.workers} workers "
            f"{total / sum(helped):.1f}, overread {total / sum(ours):.1f}; ratio {ratios[-1]:.2f} "
            f"(first pass {plain[0] / ours[0]:.2f}, median pass {steady[-1]:.2f})"
        )
    print(
        f"median of {args.rounds} rounds of {args.epochs} passes over {args.images_used} images: "
        f"ratio {statistics.median(ratios):.2f}, median pass {statistics.median(steady):.2f}"
    )


if __name__ == "__main__":
    main()
