"""What a network is fed with: images, changed a little in training, or what its frozen layers made of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overread.training.batches import Normaliser, Part, augment, epoch_generator, in_order
from overread.training.machine import Machine
from overread.training.watch import Watcher
from overread.training.world import ALL

EVALUATION_BATCH = 64
DISK_SHARE = 0.5
"""of the disk that is free, what kept activations may take"""
FIRST_VIEW = 1_000_000
"""the number of the epoch whose chance the first changed view is drawn with: no training gets there"""
LARGEST = float(np.finfo(np.float16).max)


class Source(Protocol):
    """Images of one part, in a form that some network takes."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), class numbers."""

    def inputs(
        self, chosen: NDArray[np.int64], generator: torch.Generator | None = None, rows: slice = ALL
    ) -> Tensor:
        """Inputs (b, ...) of the chosen images, on the device; with a generator as training wants them.

        Only those of `rows` are made, and they are what they would be if all were.
        """


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Images as the first layer takes them: (b, 3, size, size) float32, normalised, laid out channels last."""

    part: Part
    normalise: Normaliser
    device: torch.device
    augment: bool = False
    """whether training changes them a little each time"""
    flip: bool = False

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), class numbers."""
        return self.part.labels

    def inputs(
        self, chosen: NDArray[np.int64], generator: torch.Generator | None = None, rows: slice = ALL
    ) -> Tensor:
        """The `rows` of the chosen images; with a generator changed a little, where that is wanted."""
        pixels = self.part.batch(chosen[rows]).to(self.device).float() / 255
        if self.augment and generator is not None:
            pixels = augment(pixels, flip=self.flip, generator=generator, n=len(chosen), rows=rows)
        return self.normalise(pixels).contiguous(memory_format=torch.channels_last)


def run_over(
    module: nn.Module, source: Source, *, machine: Machine, watch: Watcher, what: str
) -> NDArray[np.float32]:
    """What a module gives for all images of a source, in their order: (n, ...). Nothing is learned.

    Each worker of `machine.world` runs its share, and all know the whole.
    """
    module.eval()
    found: list[Tensor] = []
    done, n, world = 0, len(source.labels), machine.world
    own = np.arange(n)[world.share(n).rows]
    with torch.inference_mode():
        for chosen in in_order(len(own), batch_size=EVALUATION_BATCH):
            found.append(module(source.inputs(own[chosen])).float().cpu())
            done += len(chosen) * world.size
            watch.step(what, min(done, n), n)
    together: NDArray[np.float32] = world.gather_rows(torch.cat(found), n).numpy()
    return together


class Kept:
    """What frozen layers made of the images, each as it is and in a few changed views: run once, and read back.

    It lies as float16 in a file without a name, which is gone when the process is, however it ends; what memory is
    free holds it, and no more. Training draws one of the views of an image at each step.
    """

    def __init__(self, before: nn.Module, pixels: Pixels, *, n_views: int, machine: Machine, folder: Path) -> None:
        self._before, self._pixels, self._machine = before, pixels, machine
        before.eval()
        with torch.inference_mode():
            shape = _last(before(pixels.inputs(np.zeros(1, np.int64)))).shape[1:]
        self._shape = (n_views if pixels.augment else 1, len(pixels.part), *shape)
        self._folder = folder
        self._views: NDArray[np.float16] | None = None
        self._n_filled = 0

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), class numbers."""
        return self._pixels.labels

    @property
    def n_bytes(self) -> int:
        """What all views take."""
        return 2 * int(np.prod(self._shape))

    def fits(self) -> bool:
        """Whether the disk has room for it, and as much again: for one of each worker."""
        world = self._machine.world
        return world.all(self.n_bytes * world.n_local <= DISK_SHARE * shutil.disk_usage(self._folder).free)

    def fill(self, n_views: int, *, seed: int, watch: Watcher, what: str) -> None:
        """Run the frozen layers until there are so many views; the first is the image as it is."""
        if self._views is None:
            self._views = _file_of(self._shape, self._folder)
        self._before.eval()
        n, world = len(self._pixels.part), self._machine.world
        with torch.inference_mode():
            for view in range(self._n_filled, min(n_views, self._shape[0])):
                generator = epoch_generator(seed, FIRST_VIEW + view) if view else None
                for chosen in in_order(n, batch_size=EVALUATION_BATCH):
                    share = world.share(len(chosen))
                    inputs = self._pixels.inputs(chosen, generator, share.rows)
                    # what is learned from may be rough, what is measured on may not
                    with self._machine.autocast() if self._pixels.augment else nullcontext():
                        made = _last(self._before(inputs))
                    made = world.gather_rows(made.clamp(-LARGEST, LARGEST).half().cpu(), len(chosen))
                    self._views[view, chosen] = made.numpy()
                    watch.step(f"{what}, view {view + 1}" if n_views > 1 else what, int(chosen[-1]) + 1, n)
                self._n_filled = view + 1

    def inputs(
        self, chosen: NDArray[np.int64], generator: torch.Generator | None = None, rows: slice = ALL
    ) -> Tensor:
        """Activations (b, ...) float32 of the chosen images; with a generator one view of each, drawn by lot."""
        assert self._views is not None
        views = np.zeros(len(chosen), np.int64)
        if generator is not None:
            views = torch.randint(self._n_filled, (len(chosen),), generator=generator).numpy()
        read = torch.from_numpy(self._views[views[rows], chosen[rows]]).to(self._machine.device).float()
        return read.permute(0, 3, 1, 2) if read.ndim == 4 else read


def _last(maps: Tensor) -> Tensor:
    """Feature maps (n, c, h, w) with their channels last, as they lie in memory; others as they are."""
    return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps


def _file_of(shape: tuple[int, ...], folder: Path) -> NDArray[np.float16]:
    """An array in a nameless file, its blocks taken now: later a full disk would end the process by a signal."""
    n_bytes = 2 * int(np.prod(shape))
    with tempfile.TemporaryFile(dir=folder) as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, n_bytes)
        else:
            stream.truncate(n_bytes)
        return np.memmap(stream, np.float16, "r+", shape=shape)
