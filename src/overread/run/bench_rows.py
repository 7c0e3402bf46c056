"""The lines of `overread bench`: each piece of work, the limit that it is held against, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from overread.model.bundle import load_card
from overread.run import bench_network as network
from overread.run import limits
from overread.run.bench_reading import alone_rates, reading_rates, write_phantoms
from overread.run.limits import Rates
from overread.settings import ImageSettings, between, setting
from overread.training.watch import Watcher

WORTH = 1.1
"""how many times faster bfloat16 must be than float32 for a processor to count as having it"""
MATRIX, COPY = "matrix product", "copying memory"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What is measured, and for how long."""

    backbone: str = setting("resnet18", "network that learns and predicts: any name of timm's, or alexnet")
    size_px: int = setting(224, "side of the square that the network sees, in pixels")
    batch_size: int = setting(32, "images in one step of training")
    seconds: float = setting(5.0, "how long each line is measured, about")

    def __post_init__(self) -> None:
        between("size-px", self.size_px, 16, 2048)
        between("batch-size", self.batch_size, 2, 4096)
        between("seconds", self.seconds, 0.01, 600)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: what was measured, and the limit that it is held against."""

    what: str
    unit: str
    value: float
    """of a limit the best round, of everything else the median"""
    low: float
    high: float
    limit: float | None = None
    """in the same unit; None for what is a limit itself, and where none is known"""
    of: str = ""
    """what the limit is, in words"""
    do: str = ""
    """what to do where it is low, in a sentence"""

    @property
    def share(self) -> float | None:
        """How much of the limit is reached: 1 is all of it."""
        return None if self.limit is None else self.value / self.limit


class Measuring:
    """The lines so far, and what the next ones need of them."""

    def __init__(self, settings: BenchSettings, model: Path | None, *, folder: Path, watch: Watcher) -> None:
        self.settings, self.model, self.folder, self.watch = settings, model, folder, watch
        self.limits: list[Row] = []
        self.work: list[Row] = []
        self.remarks: list[str] = [] if (busy := limits.busy()) is None else [busy]
        self.seconds = settings.seconds

    def run(self) -> None:
        """Measure everything that this machine can."""
        matrix = self._limit(f"{MATRIX}, float32", "GFLOP/s", limits.matrix_rates, seconds=self.seconds / 2, do=_BUSY)
        learning = self._bfloat16(matrix) if limits.has_torch() else None
        copied = self._limit(COPY, "GB/s", limits.copy_rates, seconds=self.seconds / 2, do=_MODULES)
        paths = self._read()
        if limits.has_torch():
            self._gather(copied)
        self._predict(paths, matrix)
        if limits.has_torch():
            of = MATRIX if learning is None else f"{MATRIX} in bfloat16"
            self._train("cpu", of=of, peak=learning or matrix, do=_TRAIN)
        else:
            self.remarks.append(
                "Left out: training and bfloat16. They take PyTorch, which is not installed: "
                "pip install 'overread[train]'."
            )
        if limits.has_gpu():
            self._on_gpu()

    def _bfloat16(self, float32: float) -> float | None:
        """The best product in bfloat16, in FLOP a second, where training on the CPU takes it; None where not."""
        what, side = f"{MATRIX}, bfloat16", limits.SIDE
        self._begin(what)
        rates = limits.torch_matrix_rates("cpu", "bfloat16", seconds=self.seconds / 4, side=side)
        if network.learns_in_bfloat16():
            return self._add_limit(what, "GFLOP/s", rates, do=_BFLOAT16)
        if rates.high > WORTH * float32:
            self._add_limit(what, "GFLOP/s", rates, do=_NO_BFLOAT16)
        else:
            self.remarks.append("bfloat16 is no faster than float32 on this processor, and left out.")
        return None

    def _read(self) -> list[Path]:
        cores, settings = limits.n_cores(), ImageSettings(size_px=self.settings.size_px, window="brain")
        self._begin("making synthetic CT slices")
        paths = write_phantoms(self.folder / "phantoms")
        self._begin("decoding and scaling alone")
        alone = alone_rates(paths, size_px=settings.size_px, seconds=self.seconds / 2)

        def read(what: str, workers: int, expected: float) -> Rates:
            n, tell = int(self.seconds * expected), self._tell(what)
            return reading_rates(paths, settings, workers=workers, n_images=n, folder=self.folder, progress=tell)

        what = "reading, one core"
        one = read(what, 0, alone.median / 2)
        self._add(what, one, limit=alone.median, of="pydicom's decoding and Pillow's scaling alone", do=_READ)
        if cores > 1:
            what = f"reading, {cores} processes"
            rates = read(what, cores, cores * one.median)
            self._add(
                what, rates, limit=cores * one.median, of=f"{cores} times what one core reads", do=_READ_TOGETHER
            )
        return paths

    def _gather(self, copied: float) -> None:
        what, size = "gathering batches", self.settings.size_px
        self._begin(what)
        rates = network.gathering_rates(size_px=size, batch_size=self.settings.batch_size, seconds=self.seconds / 2)
        self._add(what, rates, limit=copied / (3 * size**2), of=_ONCE, do=_GATHER)

    def _train(self, device: str, *, of: str, peak: float, do: str) -> None:
        backbone, size = self.settings.backbone, self.settings.size_px
        what = f"training {backbone}" + (" on the GPU" if device != "cpu" else "")
        self._begin(f"{what}, the first batches")
        flop = network.BACKWARD * network.count_flop(backbone, size_px=size)
        rates = network.training_rates(
            backbone, device=device, size_px=size, batch_size=self.settings.batch_size,
            seconds=self.seconds, folder=self.folder, progress=self._tell(what),
        )  # fmt: skip
        self._add(what, rates, limit=peak / flop, of=f"{of}; {flop / 1e9:.3g} GFLOP an image", do=do)

    def _predict(self, paths: Sequence[Path], matrix: float) -> None:
        if self.model is None and not limits.has_torch():
            self.remarks.append(
                "Left out: prediction. Without PyTorch no network can be made for it; give one: overread bench MODEL."
            )
            return
        model = self.model or self._make_model()
        what = "predicting, network alone"
        self._begin(what)
        alone = network.network_rates(model, seconds=self.seconds)
        flop = self._flop_of(model)
        of = "" if flop is None else f"{MATRIX}; {flop / 1e9:.3g} GFLOP an image"
        self._add(what, alone, limit=None if flop is None else matrix / flop, of=of, do=_PREDICT)
        what = "predicting, from files"
        rates = network.predicting_rates(
            model, paths, images_per_second=alone.median, seconds=self.seconds, progress=self._tell(what)
        )
        self._add(what, rates, limit=alone.median, of="the network alone", do=_PREDICT_FILES)

    def _flop_of(self, model: Path) -> int | None:
        """What an image takes; None where that cannot be counted."""
        if not limits.has_torch():
            self.remarks.append(
                "Left out: the network's share of the matrix product. Counting its arithmetic takes PyTorch."
            )
            return None
        card = load_card(model, verify=())
        return network.count_flop(card.backbone, size_px=card.image.size_px, n_classes=len(card.classes))

    def _on_gpu(self) -> None:
        kind = limits.gpu_precision()
        what, seconds, side = f"{MATRIX} on the GPU, {kind}", self.seconds / 2, limits.SIDE_GPU
        self._begin(what)
        rates = limits.torch_matrix_rates(limits.GPU, kind, seconds=seconds, side=side)
        peak = self._add_limit(what, "GFLOP/s", rates, do=_GPU_BUSY)
        self._limit(f"{COPY} on the GPU", "GB/s", limits.gpu_copy_rates, seconds=seconds, do=_GPU_BUSY)
        self._train(limits.GPU, of=f"{MATRIX} on the GPU", peak=peak, do=_TRAIN_GPU)

    def _make_model(self) -> Path:
        self._begin("making a network to predict with")
        settings = self.settings
        return network.write_model(self.folder / "model", settings.backbone, size_px=settings.size_px)

    def _begin(self, what: str) -> None:
        """Tell of work whose pieces are not counted."""
        self.watch.step(what, 0, 1)

    def _tell(self, what: str) -> Callable[[int, int], None]:
        """What takes the progress of work whose pieces are images."""
        return lambda done, total: self.watch.step(what, done, total)

    def _limit(self, what: str, unit: str, measure: Callable[..., Rates], *, seconds: float, do: str) -> float:
        self._begin(what)
        return self._add_limit(what, unit, measure(seconds=seconds), do=do)

    def _add_limit(self, what: str, unit: str, rates: Rates, *, do: str) -> float:
        """A line of the limits, in thousand millions a second; returns its best round as it is."""
        low, high = rates.low / 1e9, rates.high / 1e9
        self.limits.append(Row(what=what, unit=unit, value=high, low=low, high=high, do=do))
        return rates.high

    def _add(self, what: str, rates: Rates, *, limit: float | None, of: str, do: str) -> None:
        value, low, high = rates.median, rates.low, rates.high
        self.work.append(Row(what=what, unit="images/s", value=value, low=low, high=high, limit=limit, of=of, do=do))


_BUSY = "Far below what the maker promises: other programs have the cores, or the machine saves power."
_BFLOAT16 = "Steps of learning are taken in it; what is measured or kept is float32."
_NO_BFLOAT16 = "overread computes in float32 here: this version of torch does not say that the processor has it."
_MODULES = "Far below what the maker promises: other programs are at work, or memory modules are missing."
_READ = "Below 20%: the folder for temporary files is slow, or a virus scanner looks into every file."
_READ_TOGETHER = "Below 60%: other programs have the cores, or the disk is slow; fewer --workers may do as well."
_ONCE = "the speed of copying memory, for each image once"
_GATHER = "Below 10%: memory is short; it matters only where it comes near to what training takes."
_TRAIN = "Below 25%: close other programs, or raise --batch-size. Less work: --learn head, a smaller --size-px."
_PREDICT = "Below 30%: other programs have the cores, or the network has many small layers: try another --backbone."
_PREDICT_FILES = "Below 70%: reading holds the network up: look at the lines of reading, and at the disk."
_GPU_BUSY = "Far below what the maker promises: other programs have the GPU (nvidia-smi tells), or it is too hot."
_TRAIN_GPU = "Below 25%: raise --batch-size; small networks and images leave a large GPU idle."
