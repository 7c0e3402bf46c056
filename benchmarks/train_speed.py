"""Training throughput: overread against a plain PyTorch script, on the same images, batch and network.

The plain script is what most people write: torchvision transforms, ImageFolder, a DataLoader with workers. Both
train ResNet-18 with Adam for the same number of passes over the same files, in one process, in turns. Decoding
counts for both: overread decodes once, the script at every pass.

    python benchmarks/train_speed.py IMAGES [--epochs 3] [--images 192]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.model.backbones import create
from overread.settings import ImageSettings, recipe_settings
from overread.training.batches import Normaliser, Part
from overread.training.loop import Trainer
from overread.training.watch import Silent

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32


def plain_epochs(source: Path, chosen: list[int], n_epochs: int, workers: int) -> list[float]:
    """Seconds of each pass of the plain script."""
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
    began = time.perf_counter()
    cohort = read_cohort(source).subset(chosen)
    with tempfile.TemporaryDirectory() as folder:
        cache = build_cache(cohort, ImageSettings(window="header"), folder=Path(folder), workers=workers)
        rows = np.arange(len(cohort))
        part = Part(pixels=cache.pixels, indices=rows, labels=cohort.labels())
        settings = recipe_settings("paper", epochs=n_epochs, batch_size=BATCH, device="cpu")
        trainer = Trainer(
            create("resnet18", len(cohort.classes), seed=0), train=part, val=part, n_classes=len(cohort.classes),
            settings=settings, normalise=Normaliser(MEAN, STD), folder=Path(folder), watch=Silent(),
        )  # fmt: skip
        seconds = []
        for epoch in range(n_epochs):
            trainer.run_epoch(epoch)
            seconds.append(time.perf_counter() - began)
            began = time.perf_counter()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder with a sub-folder a class")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images-used", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    n = len(read_cohort(args.images))
    chosen = np.random.default_rng(0).permutation(n)[: args.images_used].tolist()
    workers = os.cpu_count() or 1
    print(f"{platform.machine()}, {workers} cores, torch {torch.__version__}, {torch.get_num_threads()} threads")
    ratios = []
    for number in range(args.rounds):
        plain = min(
            (plain_epochs(args.images, chosen, args.epochs, workers=w) for w in (0, workers)), key=sum
        )  # the better of two usual choices
        ours = overread_epochs(args.images, chosen, args.epochs, workers=workers)
        total = args.epochs * len(chosen)
        ratios.append(sum(plain) / sum(ours))
        print(
            f"round {number + 1}: plain {total / sum(plain):.1f} images/s, overread {total / sum(ours):.1f}, "
            f"ratio {ratios[-1]:.2f} (first pass {plain[0] / ours[0]:.2f}, last {plain[-1] / ours[-1]:.2f})"
        )
    print(f"median ratio over {args.rounds} rounds of {args.epochs} passes: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
