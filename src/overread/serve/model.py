"""The model that is served: its predictor, the images that it knows, and what may be shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.data.placing import onto_image, place
from overread.explain.examples import Examples, examples_of, nearest
from overread.explain.trust import failed_controls
from overread.explain.where import CLASS_MAP, evidence_for
from overread.model import bundle
from overread.model.session import ENGINES
from overread.predict import Predictor
from overread.serve.apart import PredictorApart

_N_NEAREST = 5
_FINEST = 64
"""places along the longer side of a heatmap that is handed out: a browser draws what lies between them"""


@dataclass(frozen=True, kw_only=True)
class Heat:
    """How much each part of an image speaks for a class."""

    rows: int
    columns: int
    values: NDArray[np.float32]
    """(rows, columns) over the whole image; below 0 it speaks against"""


class ServedModel:
    """A model folder, opened for service. Raises ModelError where it cannot be used.

    apart: whether the network runs in a process of its own.
    """

    def __init__(self, folder: str | Path, *, engine: str = ENGINES[0], cores: int = 0, apart: bool = False) -> None:
        opened = PredictorApart if apart else Predictor
        self.predictor: Predictor | PredictorApart = opened(folder, engine=engine, cores=cores)
        self.folder, self.card = self.predictor.folder, self.predictor.card
        self.name = self.folder.resolve().name
        self.sha256 = bundle.hash_file(self.folder / bundle.CARD)
        self._examples: Examples | None = examples_of(self.folder, self.card.files)
        self.failed = failed_controls(self.folder, self.card.files, CLASS_MAP)

    def close(self) -> None:
        """Let go of the process that predicts."""
        if isinstance(self.predictor, PredictorApart):
            self.predictor.close()

    @property
    def why_no_heat(self) -> str:
        """Why heatmaps are not shown; empty where they are."""
        if not self.failed:
            return ""
        return f"Heatmaps of this model failed their controls: {'; '.join(self.failed)}. They are withheld."

    @property
    def on_heat(self) -> str:
        """What to know of the heatmaps."""
        if self.failed is None:
            return "Its heatmaps were not checked: they may not show what the answer rests on."
        return self.why_no_heat or "Its heatmaps passed their controls."

    def nearest(self, features: NDArray[np.float32] | None) -> list[dict[str, Any]]:
        """The training images most like one with these features (d,), the nearest first."""
        if self._examples is None or features is None:
            return []
        found = nearest(self._examples, features, k=_N_NEAREST)
        return [
            {"label": one.label, "patient": one.patient or "", "distance": round(one.distance, 6)} for one in found
        ]

    def heat(self, class_maps: NDArray[np.float32], label: str, *, rows: int, columns: int) -> Heat:
        """Class maps (k, h, w) as evidence for one class, over an image of rows x columns pixels."""
        evidence = evidence_for(class_maps, self.card.classes.index(label))
        scale = min(1.0, _FINEST / max(rows, columns))
        small = (max(1, round(rows * scale)), max(1, round(columns * scale)))
        values = onto_image(evidence, place(*small, side_px=self.card.image.size_px, fit=self.card.image.fit))
        return Heat(rows=small[0], columns=small[1], values=values)

    @property
    def sets_why(self) -> str:
        """What its sets of classes promise, or why there are none, as the end of a sentence that says which."""
        return self.card.caution.sets_why.removeprefix("no sets: ")

    @cached_property
    def about(self) -> dict[str, Any]:
        """What a reader should know of the model before believing it."""
        card = self.card
        limits = [
            card.intended_use,
            f"Its sets of classes {self.sets_why}."
            if card.caution.thresholds
            else f"It cannot say how sure it is: {self.sets_why}.",
            f"Images unlike those it learnt from: {card.caution.far_why}.",
            self.on_heat,
        ]
        return {
            "name": self.name,
            "classes": list(card.classes),
            "backbone": card.backbone,
            "hash": self.sha256,
            "intended_use": card.intended_use,
            "marks": list(card.marks),
            "limits": limits,
            "weights_source": card.weights_source,
            "versions": card.versions,
            "windows": _windows(card.image.window),
        }


def pack_maps(maps: NDArray[np.float32] | None) -> tuple[bytes, Sequence[int]]:
    """Class maps (k, h, w) as float16 bytes, and their shape."""
    if maps is None:
        return b"", []
    return np.ascontiguousarray(maps, "<f2").tobytes(), list(maps.shape)


def unpack_maps(content: bytes, shape: Sequence[int]) -> NDArray[np.float32] | None:
    """Undo `pack_maps`; None where there are none."""
    return np.frombuffer(content, "<f2").reshape(shape).astype(np.float32) if content else None


def _windows(chosen: str) -> dict[str, tuple[float, float]]:
    """Windows to look at the image by, the model's own first."""
    from overread.settings import CT_WINDOWS, parse_window

    own = (
        {}
        if chosen in ("auto", "header")
        else {name.strip(): parse_window(name.strip()) for name in chosen.split(",")}
    )
    return {**own, **CT_WINDOWS}
