"""Explain single images: the evidence for an answer over the image, where it lies, and which images it is like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overread.data.image import Image, prepare, read_frames, read_image
from overread.data.measures import letter_board, measure
from overread.data.placing import onto_image, place
from overread.data.window import own_brightness
from overread.errors import ImageError, OverreadError, SettingsError
from overread.explain.examples import Neighbour, examples_of, nearest
from overread.explain.trust import failed_controls
from overread.explain.where import CLASS_MAP, evidence_for, find_regions, shares
from overread.predict import UNLIKE, Prediction, Predictor, caveat, percent
from overread.report.heat import Told, heat_sheet
from overread.run.job import read_record
from overread.settings import between, setting

MakeMaps = Callable[[NDArray[np.uint8], Sequence[int], Sequence[int] | None], NDArray[np.float32]]
"""prepared images (n, side, side, 3), the class of each, and the class that it is held against: maps (n, h, w)"""
LIKE = 5


@dataclass(frozen=True, kw_only=True)
class ExplainSettings:
    """What an explanation is asked for. Flags are made of these."""

    about: str | None = setting(None, "the class to explain (default: the likeliest of each image)")
    against: str | None = setting(None, "the class to explain it against: why this, and not that")
    method: str = setting(CLASS_MAP, "how the maps are made; class-map comes with the prediction and needs no torch")
    quantile: float = setting(0.9, "the line runs around what lies above this share of the image")

    def __post_init__(self) -> None:
        between("quantile", self.quantile, 0.5, 0.999)
        if self.about is not None and self.about == self.against:
            raise SettingsError(f"--against {self.against} is the class that is explained. Name another one.")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One image, explained."""

    prediction: Prediction
    label: str = ""
    """the class whose evidence is shown"""
    places: Mapping[str, tuple[float, float, bool]] = field(default_factory=dict)
    """of each region its share of the evidence and of the picture, and whether the strongest evidence is there"""
    like: tuple[Neighbour, ...] = ()
    sheet: bytes = field(default=b"", repr=False)
    """the picture, as PNG"""


class Explainer:
    """A model folder, opened to explain its answers.

    Raises ModelError where the folder cannot be used, SettingsError for classes that it does not know.
    """

    def __init__(self, folder: str | Path, settings: ExplainSettings, *, anyway: bool = False) -> None:
        self.predictor = Predictor(folder)
        self.settings, self.anyway = settings, anyway
        card = self.predictor.card
        for flag, name in (("about", settings.about), ("against", settings.against)):
            if name is not None and name not in card.classes:
                raise SettingsError(f"--{flag} {name} is no class of the model; they are {', '.join(card.classes)}.")
        self.failed = failed_controls(self.predictor.folder, card.files, settings.method)
        self._examples = examples_of(self.predictor.folder, card.files)
        self._root = self._find_root()
        self._make_maps = None if settings.method == CLASS_MAP else _by_torch(self.predictor, settings.method)

    @property
    def withheld(self) -> bool:
        """Whether maps of this method failed their controls, and are not shown."""
        return bool(self.failed) and not self.anyway

    def explain_files(self, paths: Sequence[str | Path]) -> Iterator[Explained]:
        """Explain every frame of every file, in order. A file or a frame that cannot be used yields its problem."""
        for path in paths:
            try:
                frames = read_frames(path)
            except ImageError as fault:
                yield _problem(str(path), 0, fault)
                continue
            for number in range(2**31):
                try:
                    image = next(frames)
                    yield self.explain_image(image, path=str(path))
                except StopIteration:
                    break
                except ImageError as fault:
                    yield _problem(str(path), number, fault)

    def explain_image(self, image: Image, *, path: str = "") -> Explained:
        """Explain one image."""
        card, settings = self.predictor.card, self.settings
        square = prepare(image, card.image)
        said = self.predictor.say(square[None], maps=True)
        prediction = self.predictor.predictions([(path, image.frame)], said)[0]
        label = settings.about or str(prediction.label)
        against = None if settings.against in (None, label) else settings.against
        evidence = self._evidence(square, said.class_maps, card.classes.index(label), against)
        board = letter_board(measure(image, square, fit=card.image.fit)[None])[0]
        where = shares(evidence, find_regions(square, board, cells=evidence.shape[-1]))
        rows, columns = image.pixels.shape[:2]
        heat = onto_image(evidence, place(rows, columns, side_px=card.image.size_px, fit=card.image.fit))
        like = () if self._examples is None else nearest(self._examples, said.features[0], k=LIKE)
        told = self._tell(image, prediction, label, against, where, like)
        sheet = heat_sheet(own_brightness(image), None if self.withheld else heat, told, quantile=settings.quantile)
        return Explained(prediction=prediction, label=label, places=where, like=like, sheet=sheet)

    def _evidence(
        self, square: NDArray[np.uint8], class_maps: NDArray[np.float32] | None, target: int, against: str | None
    ) -> NDArray[np.float32]:
        other = None if against is None else self.predictor.card.classes.index(against)
        if self._make_maps is None:
            assert class_maps is not None
            return evidence_for(class_maps[0], target, against=other)
        made = self._make_maps(square[None], [target], None if other is None else [other])
        return np.asarray(made[0], np.float32)

    def _tell(
        self,
        image: Image,
        prediction: Prediction,
        label: str,
        against: str | None,
        where: Mapping[str, tuple[float, float, bool]],
        like: Sequence[Neighbour],
    ) -> Told:
        card = self.predictor.card
        p = prediction.probabilities[str(prediction.label)]
        silent = prediction.abstains
        title = f"No answer: {silent}" if silent else f"{prediction.label} ({percent(p)})"
        lines = []
        if prediction.classes and silent != UNLIKE:
            lines.append(f"Set: {', '.join(prediction.classes)}. Such sets {card.caution.sets_why}.")
        nothing = f"Nothing in the image speaks for {label} more than for the others: no place is coloured."
        lines.append(_where_in_words(where) or nothing)
        lines.append(f"{self._method_in_words(label, against)} {self._checked_in_words()}")
        lines.append(card.intended_use)
        return Told(
            title=title,
            lines=tuple(line for line in lines if line),
            probabilities=prediction.probabilities,
            caveat=caveat(silent) if silent else "",
            covered=f"evidence for {label}" + (f" against {against}" if against else ""),
            toward=image.header.tags.get("toward", ""),
            marks=card.marks,
            like=tuple((self._picture(one), _name(one)) for one in like),
            failed="This map did not pass its controls" if self.failed else "",
        )

    def _method_in_words(self, label: str, against: str | None) -> str:
        share = 1 - self.settings.quantile
        than = against or "the mean of all classes"
        return (
            f"Colour: how much more each place speaks for {label} than for {than} ({self.settings.method}), as a "
            f"share of the strongest in this image. The line runs around the {share:.0%} with most of it."
        )

    def _checked_in_words(self) -> str:
        if self.failed is None:
            return "This kind of map was not checked on this model: overread explain MODEL --check."
        if not self.failed:
            return "This kind of map passed its controls on this model."
        words = f"Maps of this kind failed on this model: {'; '.join(self.failed)}."
        return words if self.anyway else f"{words} Withheld; --anyway shows it."

    def _find_root(self) -> Path | None:
        """The folder that the paths of the training images start from; None where it is not here."""
        try:
            job, _ = read_record(self.predictor.folder)
        except OverreadError:
            return None
        root = job.source if job.source.is_dir() else Path(job.cohort.root or job.source.parent)
        return root if root.is_dir() else None

    def _picture(self, one: Neighbour) -> NDArray[np.uint8] | None:
        """A training image as its file asks to be shown; None where it is not at hand."""
        if self._root is None:
            return None
        try:
            return own_brightness(read_image(self._root / one.path, frame=one.frame))
        except (ImageError, OSError):
            return None


def _by_torch(predictor: Predictor, method: str) -> MakeMaps:
    from overread.run.network import map_maker

    return map_maker(predictor.folder, predictor.card, method)


def _problem(path: str, frame: int, fault: ImageError) -> Explained:
    return Explained(prediction=Prediction(path=path, frame=frame, label=None, probabilities={}, problem=str(fault)))


def _name(one: Neighbour) -> str:
    return f"{one.label}" + (f", {one.patient}" if one.patient else "")


def _where_in_words(where: Mapping[str, tuple[float, float, bool]]) -> str:
    words = {"outside": "outside the body", "edge": "in the outer rim", "letters": "on burnt-in letters"}
    told = [(share, words[name], area) for name, (share, area, _) in where.items() if area > 0 and share == share]
    if not told:
        return ""
    first, *rest = told
    more = "".join(f", {share:.0%} {place} ({area:.0%})" for share, place, area in rest)
    return f"{first[0]:.0%} of the evidence lies {first[1]} ({first[2]:.0%} of the picture){more}."
