"""Divide labelled images, or groups of them, into parts of given shares; arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Matrix = NDArray[np.float64]

_TRIALS = 5
_EXCHANGES = 600
_MANY_GROUPS = 5_000
_MISSING = 1e3
_NEAR = 0.1
_GROUPS_COUNT = 0.25
"""how much a class's number of groups counts beside its number of images, where whole groups cannot meet both"""


def divide_images(labels: Places, sizes: Sequence[int], rng: np.random.Generator) -> Places:
    """Divide images one by one, stratified by class: (n,) int64, the part of each.

    Parts have exactly these sizes (their sum is n). Each class is spread in proportion, by the largest
    remainder, with one image at least in each part where it has as many as there are parts.
    """
    counts = np.bincount(labels)
    table = _whole_numbers(counts, np.asarray(sizes))
    parts = np.empty(len(labels), dtype=np.int64)
    for code in range(len(counts)):
        places = rng.permutation(np.flatnonzero(labels == code))
        parts[places] = np.repeat(np.arange(len(sizes)), table[code])
    return parts


def divide_groups(groups: Places, labels: Places, shares: Sequence[float], rng: np.random.Generator) -> Places:
    """Divide groups of images as wholes, stratified by class: (n,) int64, the part of each image.

    Each class's images, and each class's groups, are spread by `shares` (their sum is 1) as nearly as whole
    groups allow. Groups go one by one, in random order, to the part that lacks most of what they hold; then
    groups are moved or exchanged, until the parts are near enough. No further: the one best division would be
    the same for every seed, and several seeds would show no spread. The best of a few trials is kept where none
    comes near enough. Each class is in each part wherever the search finds a way.
    """
    problem = _Problem.of(groups, labels, np.asarray(shares, dtype=np.float64))
    best = _trial(problem, rng)
    for _ in range(_TRIALS - 1 if len(problem.weights) <= _MANY_GROUPS else 0):
        if best.is_near_enough:
            break
        best = min(best, _trial(problem, rng), key=lambda trial: trial.cost)
    return best.parts[groups]


def groups_by_class(groups: Places, labels: Places, n_classes: int) -> Places:
    """How many groups hold each class: (n_classes,) int64."""
    distinct = np.unique(np.stack([groups, labels], axis=1), axis=0)
    return np.bincount(distinct[:, 1], minlength=n_classes).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """What the groups hold, and the shares that are wanted.

    weights: (g, columns), what share of each column's total a group holds; the first `n_classes` columns count
    groups by class, the next images by class, the last all images. shares: (parts,).
    """

    weights: Matrix
    shares: Matrix
    n_classes: int

    @classmethod
    def of(cls, groups: Places, labels: Places, shares: Matrix) -> _Problem:
        kinds = np.unique(labels, return_inverse=True)[1].reshape(-1)
        images = np.zeros((int(groups.max()) + 1, int(kinds.max()) + 1))
        np.add.at(images, (groups, kinds), 1)
        columns = np.concatenate([images > 0, images, images.sum(axis=1, keepdims=True)], axis=1)
        return cls(weights=columns / columns.sum(axis=0), shares=shares, n_classes=images.shape[1])

    def costs(self, held: Matrix, shares: Matrix) -> Matrix:
        """How far each part is from its share, as chi-square; a class that is missing costs far more."""
        squares = (held - shares[..., None]) ** 2
        squares[..., : self.n_classes] *= _GROUPS_COUNT
        apart = squares.sum(axis=-1) / shares
        # half of the least weight of a group: sums that were added to and taken from are never exactly zero
        least = 0.5 / max(1, len(self.weights))
        missing = (held[..., : self.n_classes] < least).sum(axis=-1)
        return np.asarray(apart + _MISSING * missing)


class _Trial:
    """One assignment of groups to parts, and what it costs."""

    def __init__(self, problem: _Problem, parts: Places) -> None:
        self._problem = problem
        self.parts = parts
        self.held = np.zeros((len(problem.shares), problem.weights.shape[1]))
        np.add.at(self.held, parts, problem.weights)

    @property
    def cost(self) -> float:
        return float(self._problem.costs(self.held, self._problem.shares).sum())

    @property
    def is_near_enough(self) -> bool:
        """True if parts are off by a tenth of their share, on the average over the columns."""
        return self.cost <= _NEAR**2 * self.held.shape[1]

    def exchange(self, group: int, part: int, other: int | None) -> None:
        """Move a group to a part, and `other` back from there to where it was, if that costs less."""
        source = int(self.parts[group])
        flow = self._problem.weights[group].copy()
        if other is not None:
            flow -= self._problem.weights[other]
        both = [source, part]
        changed = self.held[both] + np.stack([-flow, flow])
        shares = self._problem.shares[both]
        if self._problem.costs(changed, shares).sum() < self._problem.costs(self.held[both], shares).sum() - 1e-12:
            self.held[both] = changed
            self.parts[group] = part
            if other is not None:
                self.parts[other] = source


def _trial(problem: _Problem, rng: np.random.Generator) -> _Trial:
    trial = _Trial(problem, _greedy(problem, rng))
    n_groups, n_parts = len(problem.weights), len(problem.shares)
    for _ in range(min(_EXCHANGES, 30 * n_groups)):
        if trial.is_near_enough:
            break
        group, other = (int(at) for at in rng.integers(n_groups, size=2))
        if trial.parts[group] != trial.parts[other]:
            trial.exchange(group, int(trial.parts[other]), other)
        part = int(rng.integers(n_parts))
        if trial.parts[group] != part:
            trial.exchange(group, part, None)
    return trial


def _greedy(problem: _Problem, rng: np.random.Generator) -> Places:
    """Each group, in random order, to the part that lacks most of what it holds, by the part's share."""
    n_groups, n_parts = len(problem.weights), len(problem.shares)
    parts = np.zeros(n_groups, dtype=np.int64)
    lacking = np.ones((n_parts, problem.weights.shape[1]))
    ties = rng.random((n_groups, n_parts)) * 1e-9
    for group in rng.permutation(n_groups):
        weight = problem.weights[group]
        part = int(np.argmax(lacking @ (weight / weight.sum()) + ties[group]))
        parts[group] = part
        lacking[part] -= weight / problem.shares[part]
    return parts


def _whole_numbers(counts: Places, sizes: Places) -> Places:
    """A table (classes, parts) of whole numbers near counts x sizes / n, whose rows and columns sum to them."""
    exact = np.outer(counts, sizes) / max(1, counts.sum())
    table: Places = np.floor(exact + 1e-9).astype(np.int64)
    while (missing := counts - table.sum(axis=1)).any():
        room = sizes - table.sum(axis=0)
        open_cells = (missing > 0)[:, None] & (room > 0)
        remainder = np.where(open_cells, exact - table, -np.inf)
        table[np.unravel_index(np.argmax(remainder), table.shape)] += 1
    _fill_empty_cells(table)
    return table


def _fill_empty_cells(table: Places) -> None:
    """Exchange images between parts so that no class is missing from one, without changing any sum."""
    for code, part in np.argwhere(table == 0):
        for other in np.argsort(-table[code]):
            givers = [at for at in np.argsort(-table[:, part]) if at != code and table[at, part] > 1]
            if table[code, other] > 1 and givers:
                table[code, [other, part]] += [-1, 1]
                table[givers[0], [part, other]] += [-1, 1]
                break
