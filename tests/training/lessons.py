"""Small trainings, done by one process or by several: `python lessons.py FOLDER` is one of the workers."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from overread.model import bundle
from overread.model.backbones import create
from overread.settings import TrainSettings
from overread.training import course
from overread.training.batches import Normaliser, Part
from overread.training.course import train_network
from overread.training.history import EpochRow, History
from overread.training.launch import joined, sharing_cores
from overread.training.loop import to_arrays
from overread.training.watch import Silent
from overread.training.world import ALONE, World

LESSONS: dict[str, dict[str, Any]] = {
    # batches of 8, 8 and 2: of three workers one has nothing to do in the last
    "all of it": {"learn": "all", "n": 18, "flip": True, "epochs": 2},
    "class weights": {"learn": "all", "n": 20, "class_weights": True, "rare": True, "epochs": 2},
    "frozen stages": {"learn": "all", "n": 20, "freeze": 4},
    "ever deeper": {"learn": "grow", "n": 20, "epochs": 2},
    "with patience": {"learn": "all", "n": 20, "epochs": 8, "patience": 1, "freeze": 4, "select": "val_accuracy"},
    "stopped and gone on with": {"learn": "all", "n": 20, "freeze": 4, "stop_after": 1},
}


class Stops(Silent):
    """Ends a training after some epoch."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch(self, row: EpochRow, best: bool) -> None:
        if row.epoch == self.after:
            raise KeyboardInterrupt


def make_part(n: int, *, seed: int, rare: bool) -> Part:
    """Images whose class is their brightness, but for a few that have the other's label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % (4 if rare else 2) == 0
    pixels = rng.integers(0, 80, (n, 32, 32, 3)) + 150 * labels[:, None, None, None]
    labels = labels ^ (np.arange(n) % 5 == 4)
    return Part(pixels=pixels.astype(np.uint8), indices=np.arange(n), labels=labels.astype(np.int64))


def do(lesson: dict[str, Any], folder: Path, world: World = ALONE) -> tuple[History, dict[str, Any]]:
    """One training: its history, and the weights that this worker has at the end."""
    given = {
        "epochs": 3,
        "batch_size": 8,
        "device": "cpu",
        "views": 2,
        "learning_rate": 1e-4,
        "precision": "float32",
        **lesson,
    }
    n, rare, stop_after = given.pop("n"), given.pop("rare", False), given.pop("stop_after", 0)

    def learn(watch: Silent) -> tuple[History, dict[str, Any]]:
        # another beginning for every worker: the first one's must count
        network = create("test_resnet", 2, seed=world.rank)
        history = train_network(
            network,
            train=make_part(n, seed=1, rare=rare),
            val=make_part(13, seed=2, rare=rare),
            n_classes=2,
            settings=TrainSettings(**given),
            normalise=Normaliser((0.5,) * 3, (0.25,) * 3),
            folder=folder,
            watch=watch,
            world=world,
        )
        return history, to_arrays(network.state_dict())

    with suppress(KeyboardInterrupt):
        if stop_after:
            learn(Stops(stop_after))
    return learn(Silent())


def main(folder: Path) -> None:
    """Do every lesson as one of the workers, and write down what came of it."""
    course.gains = lambda before, after: True  # type: ignore[assignment]  # each phase counts as one
    with joined(device="cpu") as world, sharing_cores(world):
        for name, lesson in LESSONS.items():
            run = folder / f"{name}-{0 if world.is_first else 'others'}"
            history, weights = do(lesson, run, world)
            bundle.save_weights(folder / f"{name}-of-{world.rank}", weights)
            (folder / f"{name}-of-{world.rank}" / "history.csv").write_text(history.to_csv())
        (folder / f"said-{world.rank}.json").write_text(json.dumps({"pid": os.getpid(), "size": world.size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
