"""The intervals of figures that are no plain shares, again: leaving out each patient, and drawing patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from tests.report.again.figures import Rows, figure

N_DRAWS = 8000
RANKED = ("auroc", "average_precision")
Name = tuple[str, str | None]


def counted_figures(rows: Rows, w: np.ndarray) -> dict[Name, np.ndarray]:
    """Figures that are no ranks, of images that count (b, n) times: (b,) each."""
    classes, k = np.array(rows.classes), len(rows.classes)
    true, called = (values[:, None] == classes for values in (rows.truth, rows.called))
    cells = w @ (true[:, :, None] & called[:, None, :]).reshape(len(rows), k * k)
    table = cells.reshape(-1, k, k)
    total, of, said = w.sum(axis=1), table.sum(axis=2), table.sum(axis=1)
    hit = np.einsum("bii->bi", table)
    by_luck, right = (of * said).sum(axis=1), hit.sum(axis=1)
    spread = np.sqrt((total**2 - (of**2).sum(axis=1)) * (total**2 - (said**2).sum(axis=1)))
    f1 = 2 * hit / (of + said)
    own = rows.p[true]
    found = {
        ("balanced_accuracy", None): (hit / of).mean(axis=1),
        ("f1", None): f1.mean(axis=1),
        ("mcc", None): (total * right - by_luck) / spread,
        ("kappa", None): (right / total - by_luck / total**2) / (1 - by_luck / total**2),
        ("brier", None): w @ ((rows.p - true) ** 2).sum(axis=1) / total,
        ("log_loss", None): w @ -np.log(own) / total,
    }
    return found | {("f1", name): f1[:, i] for i, name in enumerate(rows.classes)}


@dataclass(frozen=True)
class Spread:
    """What leaving out each patient says of one figure."""

    value: float
    influence: np.ndarray
    strata: np.ndarray

    def parts(self) -> list[tuple[float, int]]:
        groups = [self.influence[self.strata == name] for name in np.unique(self.strata)]
        return [((one.size - 1) / one.size * float((one**2).sum()), one.size) for one in groups]

    @property
    def far(self) -> float:
        """Student's t with Satterthwaite's degrees of freedom."""
        parts = self.parts()
        return stats.t.ppf(0.975, sum(v for v, _ in parts) ** 2 / sum(v**2 / (n - 1) for v, n in parts))

    def on_log_odds(self) -> tuple[float, float]:
        error = math.sqrt(sum(v for v, _ in self.parts())) / (self.value * (1 - self.value))
        odds = math.log(self.value / (1 - self.value))
        return tuple(1 / (1 + math.exp(-odds - side * self.far * error)) for side in (-1, 1))

    def bca(self, drawn: np.ndarray) -> tuple[float, float]:
        """Efron's (1987), as wide as few patients ask for: Hesterberg (2015)."""
        parts = self.parts()
        reach = self.far * math.sqrt(sum(v for v, _ in parts) / sum(v * (n - 1) / n for v, n in parts))
        bias = stats.norm.ppf((drawn < self.value).mean() + 0.5 * (drawn == self.value).mean())
        bend = (self.influence**3).sum() / (6 * (self.influence**2).sum() ** 1.5)
        at = [bias + (bias + side * reach) / (1 - bend * (bias + side * reach)) for side in (-1, 1)]
        return tuple(np.quantile(drawn, stats.norm.cdf(at)))


class Intervals:
    """Of the figures of some rows: those of ranks exactly, the others as drawing gives them."""

    def __init__(self, rows: Rows) -> None:
        units = list(dict.fromkeys(rows.units))
        of = np.array([units.index(unit) for unit in rows.units])
        self.strata = np.array([rows.truth[of == i][0] for i in range(len(units))])
        assert all(len(set(rows.truth[of == i])) == 1 for i in range(len(units)))
        without = (of != np.arange(len(units))[:, None]).astype(float)
        self.exact = self._ranked(rows, without == 1)
        rng, times = np.random.default_rng(42), np.zeros((N_DRAWS, len(units)))
        for name in np.unique(self.strata):
            members = np.flatnonzero(self.strata == name)
            chosen = members[rng.integers(members.size, size=(N_DRAWS, members.size))]
            np.add.at(times, (np.arange(N_DRAWS)[:, None], chosen), 1)
        whole, left, drawn = (counted_figures(rows, w) for w in (np.ones((1, len(rows))), without, times[:, of]))
        self.rough = {name: self._spread(whole[name][0], left[name]).bca(drawn[name]) for name in whole}
        for (name, label), value in whole.items():
            assert abs(value[0] - figure(rows, name, label)) < 1e-12

    def _ranked(self, rows: Rows, kept: np.ndarray) -> dict[Name, tuple[float, float]]:
        found = {}
        for name in RANKED:
            labels = rows.classes if len(rows.classes) > 2 else rows.classes[-1:]
            values = np.array([[figure(rows, name, c) for c in labels]])
            left = np.array([[figure(rows.where(one), name, c) for c in labels] for one in kept])
            found[name, None] = self._spread(values.mean(), left.mean(axis=1)).on_log_odds()
            if len(labels) > 1:
                for i, c in enumerate(labels):
                    found[name, c] = self._spread(values[0, i], left[:, i]).on_log_odds()
        return found

    def _spread(self, value: float, left: np.ndarray) -> Spread:
        means = {name: left[self.strata == name].mean() for name in np.unique(self.strata)}
        return Spread(float(value), np.array([means[name] for name in self.strata]) - left, self.strata)
