"""Training throughput: overread against a plain PyTorch script and fastai, on the same images, batch and network.

The plain script is what most people write: torchvision transforms, ImageFolder, a DataLoader. All train the whole of
ResNet-18 with Adam for the ten passes of the paper's recipe over the same files, in turns, each in a process of its
own. Decoding counts for all: overread decodes once, the others at every pass. Imports count for none. The script
is run with workers and without, and the faster of the two is the one that overread is compared with. overread is run
as it comes, which is in bfloat16 on processors that have it, and in float32; the others know float32 alone on a CPU.

What share of the matrix peak that is counts the median pass, three times the arithmetic of a prediction, and the peak
that `overread bench` measures in the same precision.

    python benchmarks/train_speed.py IMAGES          # a folder with a sub-folder a class; ten minutes on two cores
    python benchmarks/train_speed.py IMAGES --fastai /other/venv/bin/python
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

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32


def files_below(folder: Path) -> list[Path]:
    """All files, in one order for all sides."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


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


def fastai_epochs(source: Path, chosen: list[int], n_epochs: int, workers: int) -> list[float]:
    """Seconds of each pass of fastai, nothing frozen and nothing validated."""
    import pandas as pd
    from fastai.vision.all import (
        Adam,
        Callback,
        ImageDataLoaders,
        Normalize,
        Resize,
        ResizeMethod,
        imagenet_stats,
        resnet18,
        vision_learner,
    )

    rows = [{"path": str(path.absolute()), "label": path.parent.name} for path in files_below(source)]
    table = pd.DataFrame([rows[place] for place in chosen])
    data = ImageDataLoaders.from_df(
        table, path="/", fn_col="path", label_col="label", valid_pct=0, bs=BATCH, num_workers=workers,
        item_tfms=Resize(224, method=ResizeMethod.Squish), batch_tfms=[Normalize.from_stats(*imagenet_stats)],
    )  # fmt: skip
    data.train.drop_last = False
    seconds: list[float] = []

    class Clock(Callback):
        def before_train(self) -> None:
            self.began = time.perf_counter()

        def after_train(self) -> None:
            seconds.append(time.perf_counter() - self.began)

        def before_validate(self) -> None:
            from fastai.callback.core import CancelValidException

            raise CancelValidException

    learner = vision_learner(data, resnet18, pretrained=False, normalize=False, n_out=3, opt_func=Adam)
    learner.unfreeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit(n_epochs, lr=1e-3, cbs=Clock())
    return seconds


def float32_epochs(source: Path, chosen: list[int], n_epochs: int, workers: int) -> list[float]:
    """As `overread_epochs`, in the precision of the others."""
    return overread_epochs(source, chosen, n_epochs, workers, precision="float32")


def overread_epochs(
    source: Path, chosen: list[int], n_epochs: int, workers: int, precision: str = "auto"
) -> list[float]:
    """Seconds of each pass of overread; the first includes reading and decoding the images."""
    from overread.data.cache import build_cache
    from overread.data.cohort import read_cohort
    from overread.model.backbones import create
    from overread.settings import ImageSettings, recipe_settings
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
            settings=recipe_settings("paper", epochs=n_epochs, batch_size=BATCH, device="cpu", precision=precision),
            normalise=Normaliser(MEAN, STD), folder=Path(folder), watch=Clock(),
        )  # fmt: skip
    return [seconds[0] + decoding, *seconds[1:]]


SIDES = {"plain": plain_epochs, "fastai": fastai_epochs, "overread": overread_epochs, "float32": float32_epochs}


def measure(side: str, workers: int, args: argparse.Namespace) -> list[float]:
    """Seconds of each pass of one side, in a new process."""
    words = [args.fastai if side == "fastai" else sys.executable, __file__, str(args.images), "--side", side]
    words += ["--workers", str(workers), "--epochs", str(args.epochs), "--images-used", str(args.images_used)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def peaks() -> dict[str, float]:
    """FLOP a second of the matrix product in the precision that each of overread's sides learns in."""
    from overread.run.bench_network import learns_in_bfloat16
    from overread.run.limits import SIDE, matrix_rates, torch_matrix_rates

    full = matrix_rates(seconds=3).high
    own = torch_matrix_rates("cpu", "bfloat16", seconds=3, side=SIDE).high if learns_in_bfloat16() else full
    return {"overread": own, "float32": full}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder with a sub-folder a class")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images-used", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fastai", default=sys.executable, metavar="PYTHON", help="one that has fastai")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if args.side:
        n = len(files_below(args.images))
        chosen = np.random.default_rng(0).permutation(n)[: args.images_used].tolist()
        print(json.dumps(SIDES[args.side](args.images, chosen, args.epochs, args.workers)))
        return

    from overread.run.bench_network import BACKWARD, count_flop
    from overread.run.job import machine, versions

    print(f"{machine()}\n{versions()}")
    others = ["plain"]
    if subprocess.run([args.fastai, "-c", "import fastai"], capture_output=True).returncode:
        print("fastai is not installed: left out")
    else:
        others.append("fastai")
    flop, peak = BACKWARD * count_flop("resnet18", size_px=224, n_classes=3), peaks()
    total = args.epochs * args.images_used
    ratios: dict[tuple[str, str], list[float]] = {}
    shares: dict[str, list[float]] = {}
    for number in range(args.rounds):
        found = {side: measure(side, args.workers, args) for side in (*others, *peak)}
        found["plain"] = min(found["plain"], measure("plain", 0, args), key=sum)
        print(f"round {number + 1}: images/s: " + ", ".join(f"{k} {total / sum(v):.1f}" for k, v in found.items()))
        for ours in peak:
            for side in others:
                ratios.setdefault((ours, side), []).append(sum(found[side]) / sum(found[ours]))
            rate = args.images_used / statistics.median(found[ours])
            shares.setdefault(ours, []).append(rate * flop / peak[ours])
    names = {"overread": "overread as it comes", "float32": "overread in float32"}
    print(f"medians of {args.rounds} rounds of {args.epochs} passes over {args.images_used} images:")
    for (ours, side), values in ratios.items():
        print(f"    {names[ours]}: {statistics.median(values):.2f} times {side}")
    for ours, values in shares.items():
        print(
            f"    {names[ours]}: {statistics.median(values):.0%} of the matrix peak of {peak[ours] / 1e9:.0f} GFLOP/s"
        )


if __name__ == "__main__":
    main()
