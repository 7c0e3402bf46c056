"""The controls of maps of evidence, one by one, on the images and with the network of one model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from overread.data.placing import onto_image, place
from overread.explain.controls import Check, Control, alike, faithful, not_asked, on_lesions, similarity, unlike
from overread.explain.faith import Curves, Faith, compare_faith, curves
from overread.model.backbones import create, stages_of
from overread.model.bundle import Card
from overread.predict import Predictor
from overread.run.network import maps_of
from overread.stats.heatmaps import centre_map, edge_map, energy_inside, points_at, random_map
from overread.training.watch import Watcher

NOISE_GREY_LEVELS = 2.5
"""a hundredth of what there is"""
MARGIN = 15 / 224
"""of the longer side: the pointing game's tolerance (Zhang et al. 2018)"""

Squares = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The images that maps are checked on, and what they are checked with."""

    network: nn.Module
    card: Card
    predictor: Predictor
    squares: Squares
    rows: NDArray[np.int64]
    targets: list[int]
    patients: list[str] | None
    seed: int

    def maps(self, network: nn.Module, method: str, squares: Squares | None = None) -> NDArray[np.float32]:
        """Maps of another network, or of other images, for the classes that this network answered."""
        make = maps_of(network, self.card, method)
        return make(self.squares if squares is None else squares, self.targets, None)


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Where the lesion is in one of the images: (rows, columns) of the image itself."""

    at: int
    pixels: NDArray[np.bool_]


def check_maps(
    method: str, bench: Bench, again: Mapping[str, nn.Module], masks: Sequence[Mask] | None, watch: Watcher
) -> Check:
    """Put maps of one kind through every control that can be asked.

    again: networks of other trainings, `repeat` and `labels`; without one its control is not asked. masks: of those
    images that have one; None asks nothing of lesions.
    """
    watch.say(f"Checking maps of the kind {method} on {len(bench.squares)} images")
    own = bench.maps(bench.network, method)
    controls = [
        _weights(method, own, bench, watch),
        _labels(method, own, bench, again),
        _noise(method, own, bench),
        _repeat(method, own, bench, again),
        *faithful(_faith(method, own, bench, watch)),
        not_asked("lesions", "no masks were given: --masks FOLDER")
        if masks is None
        else _lesions(method, own, bench, masks),
    ]
    return Check(method=method, controls=tuple(controls))


def _weights(method: str, own: NDArray[np.float32], bench: Bench, watch: Watcher) -> Control:
    """Replace the weights by random ones, stage after stage from the head down."""
    stages = []
    for done, (name, network) in enumerate(randomised(bench.network, bench.card, seed=bench.seed + 1), start=1):
        label = f"from the head to {name}" if done > 1 else "head alone"
        stages.append((label, similarity(own, bench.maps(network, method), bench.patients)))
        watch.step(f"{method}: random weights", done, len(stages_of(bench.network)))
    return unlike("weights", stages)


def randomised(network: nn.Module, card: Card, *, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """The network with ever more of its stages drawn anew, from the head to the input; one network, changed on."""
    changed = copy.deepcopy(network)
    drawn = create(card.backbone, len(card.classes), seed=seed).eval()
    for (name, old), (_, new) in zip(reversed(stages_of(changed)), reversed(stages_of(drawn)), strict=True):
        for mine, other in zip(old, new, strict=True):
            with torch.no_grad():
                mine.load_state_dict(other.state_dict())
        yield name, changed


def _noise(method: str, own: NDArray[np.float32], bench: Bench) -> Control:
    rng = np.random.default_rng(bench.seed)
    noisy = bench.squares + rng.normal(0, NOISE_GREY_LEVELS, (*bench.squares.shape[:3], 1))
    maps = bench.maps(bench.network, method, np.rint(noisy.clip(0, 255)).astype(np.uint8))
    return alike("noise", similarity(own, maps, bench.patients))


def _repeat(method: str, own: NDArray[np.float32], bench: Bench, again: Mapping[str, nn.Module]) -> Control:
    if "repeat" not in again:
        return not_asked("repeat", "it takes another training: --retrain")
    return alike("repeat", similarity(own, bench.maps(again["repeat"], method), bench.patients))


def _labels(method: str, own: NDArray[np.float32], bench: Bench, again: Mapping[str, nn.Module]) -> Control:
    if "labels" not in again:
        return not_asked("labels", "it takes another training: --retrain")
    return unlike("labels", [("all", similarity(own, bench.maps(again["labels"], method), bench.patients))])


def _faith(method: str, own: NDArray[np.float32], bench: Bench, watch: Watcher) -> Faith:
    rng = np.random.default_rng(bench.seed)
    side = own.shape[-1]
    kinds = {
        method: list(own),
        "random": [random_map(rng, side).astype(np.float32) for _ in bench.squares],
        "edges": [edge_map(square).astype(np.float32) for square in bench.squares],
        "centre": [centre_map(side).astype(np.float32)] * len(bench.squares),
    }
    found: dict[str, Curves] = {}
    for done, (name, maps) in enumerate(kinds.items(), start=1):
        found[name] = curves(bench.predictor.probabilities, bench.squares, maps, bench.targets, rng=rng)
        watch.step(f"{method}: deletion and insertion", done, len(kinds))
    return compare_faith(found.pop(method), found, bench.patients)


def _lesions(method: str, own: NDArray[np.float32], bench: Bench, masks: Sequence[Mask]) -> Control:
    rng = np.random.default_rng(bench.seed)
    hits: dict[str, list[bool]] = {}
    energy: dict[str, list[float]] = {}
    side, fit = bench.card.image.size_px, bench.card.image.fit
    for mask in masks:
        kinds = {
            method: own[mask.at],
            "random": random_map(rng, own.shape[-1]),
            "edges": edge_map(bench.squares[mask.at]),
            "centre": centre_map(own.shape[-1]),
        }
        rows, columns = mask.pixels.shape
        for name, heat in kinds.items():
            there = onto_image(heat, place(rows, columns, side_px=side, fit=fit))
            hits.setdefault(name, []).append(points_at(there, mask.pixels, margin_px=MARGIN * max(rows, columns)))
            energy.setdefault(name, []).append(energy_inside(there, mask.pixels))
    patients = None if bench.patients is None else [bench.patients[mask.at] for mask in masks]
    return on_lesions(hits, energy, patients, method=method)
