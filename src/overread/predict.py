"""The predictor: an image in, probabilities out. onnxruntime, no torch: this is what a hospital runs."""

from __future__ import annotations

import itertools
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.data.image import Image, prepare
from overread.data.stream import Frame, stream_frames
from overread.errors import ImageError, ModelError
from overread.model import bundle
from overread.model import caution as cautions
from overread.model.session import ENGINES, n_cores, open_session
from overread.stats.outlying import Mahalanobis

BATCH = 16
"""images to ask about at once: enough to keep the cores busy, few enough for any memory"""
CHUNK = 8
"""images in one pass, on one core"""
UNLIKE = "unlike the training images"
"""why there is no answer, and no promise either"""
MOST_RUNS = 16
"""passes at once, each of which takes memory; where there are more cores, a pass takes several"""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one image, or why it says nothing."""

    path: str
    frame: int
    label: str | None
    """the likeliest class; None where the file could not be used"""
    probabilities: dict[str, float]
    """by class, in the model's order, summing to 1; empty where the file could not be used"""
    classes: tuple[str, ...] = ()
    """the set of classes that holds the true one as often as the model promises; empty where it promises nothing"""
    abstains: str | None = None
    """why the model does not answer with one class, in words; None where it does, or promises nothing"""
    problem: str | None = None
    class_maps: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """(k, h, w), how much each place of the square that the network sees speaks for each class; where asked for"""
    features: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """(d,), pooled: what the last layer sees; where class maps were asked for"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the network gives for n images."""

    probabilities: NDArray[np.float64]
    """(n, k), at the model's temperature"""
    distance: NDArray[np.float64] | None
    """(n,) squared distance from the training images; None where the model keeps nothing to measure it by"""
    features: NDArray[np.float32]
    """(n, d), pooled: what the last layer sees"""
    class_maps: NDArray[np.float32] | None = None
    """(n, k, h, w), where the evidence for each class lies; None where it was not asked for"""


class Predictor:
    """A model folder, opened for prediction.

    The folder's hashes are checked first. Predictions repeat the image settings that the model was trained with.
    `engine` is what runs the network: onnxruntime, or openvino where it is installed. cores: how many it may take;
    0 is all. Raises ModelError where the folder cannot be used, SettingsError for an engine that is not there.
    """

    def __init__(self, folder: str | Path, *, engine: str = ENGINES[0], cores: int = 0) -> None:
        self.folder, self.engine = Path(folder), engine
        cores = cores or n_cores()
        # one core a pass and several passes at once: threads of one pass wait for each other, and for who reads
        self.n_runs = min(cores, MOST_RUNS)
        """passes at once"""
        self._pool = ThreadPoolExecutor(self.n_runs + 1, thread_name_prefix="overread")
        self.card = bundle.load_card(self.folder, verify=())
        network = bundle.read_verified(self.folder, bundle.NETWORK, self.card.files)
        self._session = open_session(
            network, name=str(self.folder / bundle.NETWORK), engine=engine, threads=cores // self.n_runs
        )
        self._check_shapes()
        self._distance = self._read_distance()
        self._mean = np.asarray(self.card.mean, np.float32).reshape(3, 1, 1)
        self._std = np.asarray(self.card.std, np.float32).reshape(3, 1, 1)

    def _check_shapes(self) -> None:
        """A card that does not belong to its network is an error here, not at the first image."""
        side, k = self.card.image.size_px, len(self.card.classes)
        if self._session.takes.get("image") != (3, side, side) or self._session.gives.get("logits") != (k,):
            raise ModelError(
                f"{bundle.CARD} in {self.folder} speaks of {side} x {side} pixels and {k} classes, and "
                f"{bundle.NETWORK} of others. Take the folder from its source again."
            )

    def _read_distance(self) -> Mahalanobis | None:
        """What the distance from the training images is measured by; None where the model keeps nothing of it."""
        if cautions.FILE not in self.card.files:
            return None
        content = bundle.read_verified(self.folder, cautions.FILE, self.card.files)
        return cautions.read_distance(content, name=str(self.folder / cautions.FILE))

    def inputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared images (n, size, size, 3) uint8 as the network takes them: (n, 3, size, size), normalised."""
        n, rows, columns, channels = pixels.shape
        inputs = np.empty((n, channels, rows, columns), np.float32)
        for image, square in zip(inputs, pixels, strict=True):  # one by one: an image stays in the core's own cache
            image[...] = square.transpose(2, 0, 1)
            image /= np.float32(255)
            image -= self._mean
            image /= self._std
        return inputs

    def say(self, pixels: NDArray[np.uint8], *, maps: bool = False) -> Said:
        """What the model gives for prepared images (n, size, size, 3) uint8; `maps`: with its class maps."""
        size = min(CHUNK, math.ceil(len(pixels) / self.n_runs))
        if size >= len(pixels):
            return self._said(self._run(pixels, maps=maps))
        pieces = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        found = self._pool.map(lambda piece: self._run(piece, maps=maps), pieces)
        return self._said([np.concatenate(column) for column in zip(*found, strict=True)])

    def _run(self, pixels: NDArray[np.uint8], *, maps: bool) -> list[NDArray[np.float32]]:
        """Logits and features, and the class maps where they are wanted: one pass, on one core."""
        names = ["logits", "features", *(["class_maps"] if maps else [])]
        return self._session.run(names, self.inputs(pixels))

    def _said(self, outputs: Sequence[NDArray[np.float32]]) -> Said:
        logits, features, *more = outputs
        return Said(
            probabilities=self.card.caution.probabilities(logits),
            distance=None if self._distance is None else self._distance.distance(features),
            features=features,
            class_maps=more[0] if more else None,
        )

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities (n, k) of prepared images (n, size, size, 3) uint8."""
        return self.say(pixels).probabilities

    def predict_image(self, image: Image, *, maps: bool = False) -> Prediction:
        """What the model says of one image; `maps`: with its class maps, from the same pass."""
        said = self.say(prepare(image, self.card.image)[None], maps=maps)
        return self.predictions([("", image.frame)], said)[0]

    def predict_files(self, paths: Iterable[str | Path], *, maps: bool = False) -> Iterator[Prediction]:
        """Predict every frame of every file, in order. A file or a frame that cannot be used yields its problem.

        maps: with class maps and features, from the same pass.

        Files are taken as they are asked for, read and predicted side by side, a core each: a million take no more
        memory than a hundred.
        """
        frames = stream_frames(paths, self.card.image, pool=self._pool, ahead=2 * CHUNK)
        waiting: deque[Future[list[Prediction]]] = deque()
        try:
            while chunk := list(itertools.islice(frames, CHUNK)):
                waiting.append(self._pool.submit(self._answer, chunk, maps=maps))
                if len(waiting) > self.n_runs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            frames.close()
            for future in waiting:
                future.cancel()

    def _answer(self, frames: Sequence[Frame], *, maps: bool) -> list[Prediction]:
        """What the model says of some frames, in one pass; the problems of those that have one."""
        good = [(frame.path, frame.number, frame.found) for frame in frames if isinstance(frame.found, np.ndarray)]
        said: list[Prediction] = []
        if good:
            outputs = self._run(np.stack([pixels for _, _, pixels in good]), maps=maps)
            said = self.predictions([(path, number) for path, number, _ in good], self._said(outputs))
        answers = iter(said)
        return [
            Prediction(path=frame.path, frame=frame.number, label=None, probabilities={}, problem=str(frame.found))
            if isinstance(frame.found, ImageError)
            else next(answers)
            for frame in frames
        ]

    def predictions(self, names: Sequence[tuple[str, int]], said: Said) -> list[Prediction]:
        """What the model gave for n images, as answers; names: the path and the frame of each."""
        classes, caution = self.card.classes, self.card.caution
        sets = caution.sets(said.probabilities)
        far = None if said.distance is None else caution.far(said.distance)
        found = []
        for i, ((path, frame), row) in enumerate(zip(names, said.probabilities, strict=True)):
            named = () if sets is None else tuple(np.array(classes, dtype=object)[sets[i]])
            found.append(
                Prediction(
                    path=path,
                    frame=frame,
                    label=classes[int(row.argmax())],
                    probabilities=dict(zip(classes, row.tolist(), strict=True)),
                    classes=named,
                    abstains=_why_silent(named, promised=sets is not None, far=far is not None and bool(far[i])),
                    class_maps=None if said.class_maps is None else said.class_maps[i],
                    features=None if said.class_maps is None else said.features[i],
                )
            )
        return found


def percent(probability: float) -> str:
    """A probability as people read it; never 0 % or 100 % by rounding.

    >>> percent(0.847), percent(0.9999), percent(0.0001)
    ('85 %', '> 99 %', '< 1 %')
    """
    if 0 < probability < 0.01:
        return "< 1 %"
    if 0.99 < probability < 1:
        return "> 99 %"
    return f"{probability:.0%}".replace("%", " %")


def caveat(why: str) -> str:
    """What is said over probabilities for which there is no answer; why: the reason that there is none."""
    return f"What the network says, {'not to be relied on' if why == UNLIKE else 'but no answer'}:"


def _why_silent(named: Sequence[str], *, promised: bool, far: bool) -> str | None:
    """Why one class is no answer, in words for a radiologist; None where it is one."""
    if far:
        return UNLIKE
    if not promised or len(named) == 1:
        return None
    if not named:
        return "no class is likely enough"
    return f"cannot tell {', '.join(named[:-1])} and {named[-1]} apart"


def load(folder: str | Path, *, engine: str = ENGINES[0]) -> Predictor:
    """Open a model folder for prediction, run by `engine`. Raises ModelError where it cannot be used."""
    return Predictor(folder, engine=engine)


def image_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Files as they are, and every file below each folder, sorted; hidden files are left out.

    Folders are read as their turn comes, so that a million files take no more memory than the largest folder's names.
    Raises ImageError for a path that does not exist, before anything is yielded.
    """
    given = [Path(path) for path in paths]
    for path in given:
        if not path.exists():
            raise ImageError(f"{path} does not exist. Give a file, or a folder of files.", kind="missing")
    return itertools.chain.from_iterable(_files_below(path) if path.is_dir() else [path] for path in given)


def _files_below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)  # the names alone: a path takes ten times their memory
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():  # two that point at each other would never end
                yield from _files_below(path)
        elif path.is_file():
            yield path
