"""The first worker does a whole run; the others are called into each of its trainings, and write nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from overread.errors import RunError
from overread.model.backbones import create
from overread.settings import TrainSettings
from overread.training.batches import Normaliser, Part
from overread.training.course import train_network
from overread.training.history import History
from overread.training.launch import here, sharing_cores
from overread.training.watch import Silent, Watcher
from overread.training.world import ALONE, World


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A training as `train_network` takes it: all but the network itself."""

    train: Part
    val: Part
    n_classes: int
    settings: TrainSettings
    normalise: Normaliser
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Call:
    """What another worker needs to know to train along."""

    backbone: str
    lesson: Lesson
    """its parts without their pixels"""
    pixels: Path
    """the file of all prepared images: on a disk that every machine sees"""
    shape: tuple[int, ...]


def learn(network: nn.Module, lesson: Lesson, *, backbone: str, watch: Watcher, go_on: bool = True) -> History:
    """Train a network, together with all workers that there are; `go_on` False only tells how far it has come."""
    world = here() if go_on else ALONE
    if world.size > 1:
        world.call(_call(lesson, backbone))
    with sharing_cores(world):
        return train_network(network, **vars(lesson), watch=watch, go_on=go_on, world=world)


def train_along(world: World) -> None:
    """Take part in every training that the first worker calls for, until it says that nothing is left."""
    while (call := world.hear()) is not None:
        _follow(call, world)


def _follow(call: Call, world: World) -> None:
    pixels = _open(call)
    given: dict[str, Any] = vars(call.lesson)
    for name in ("train", "val"):
        part: Part = given[name]
        given = {**given, name: Part(pixels=pixels, indices=part.indices, labels=part.labels)}
    network = create(call.backbone, call.lesson.n_classes, seed=0)
    with sharing_cores(world):
        train_network(network, **given, watch=Silent(), world=world)


def _call(lesson: Lesson, backbone: str) -> Call:
    def without_pixels(part: Part) -> Part:
        return Part(pixels=np.empty((0, 0, 0, 3), np.uint8), indices=part.indices, labels=part.labels)

    pixels = lesson.train.pixels
    given = {**vars(lesson), "train": without_pixels(lesson.train), "val": without_pixels(lesson.val)}
    given["folder"] = lesson.folder.absolute()
    return Call(
        backbone=backbone,
        lesson=Lesson(**given),
        pixels=Path(pixels.filename).absolute(),  # type: ignore[attr-defined]  # a memory map knows its file
        shape=pixels.shape,
    )


def _open(call: Call) -> NDArray[np.uint8]:
    """The prepared images, which the first worker has read."""
    try:
        pixels: NDArray[np.uint8] = np.load(call.pixels, mmap_mode="r")
    except (OSError, ValueError) as fault:
        raise RunError(
            f"A worker on another machine cannot read {call.pixels}, where the first has put the prepared images "
            f"({fault.__class__.__name__}). Give --out on a disk that all machines share."
        ) from fault
    if pixels.shape != call.shape:
        raise RunError(
            f"{call.pixels} is another file on this machine than on the first: {pixels.shape}, there {call.shape}. "
            "Give --out on a disk that all machines share."
        )
    return pixels
