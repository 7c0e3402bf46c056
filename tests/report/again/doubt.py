"""What a report says of doubt by other code: calibration, sets of classes and triage, in plain Python and scipy."""

from __future__ import annotations

import bisect
import math
import statistics
from collections import defaultdict

import numpy as np
from scipy import optimize, stats
from tests.report.again.figures import Rows, weights

ALPHA, FAR = 0.1, 0.05
CLOSE = 1e-9


def quantile(scores, units: list, alpha: float) -> float | None:
    """What a new patient's image stays below with 1 - alpha; each patient counts 1, the new one infinity."""
    n = len(set(units))
    if n < (1 - alpha) / alpha - CLOSE:
        return None
    so_far, ranked = 0.0, sorted(zip(scores, n * weights(units, equal=True), strict=True))
    for score, weight in ranked:
        so_far += weight
        if so_far >= (n + 1) * (1 - alpha) - CLOSE:
            return float(score)
    return float(ranked[-1][0])


def strangeness(p: np.ndarray, method: str) -> np.ndarray:
    """How strange each class would be, (n, k)."""
    found = np.empty_like(p)
    for i, row in enumerate(p):
        for c, own in enumerate(row):
            before = [one for one in row if one > own]
            found[i, c] = 1 - own if method == "lac" else sum(before) + own
            if method == "raps":
                found[i, c] += 0.01 * max(0, len(before))
    return found


def sets(rows: Rows, held_out: Rows, method: str, *, by_class: bool) -> np.ndarray | None:
    """Which classes are in the set of each image: (n, k)."""
    scores = strangeness(held_out.p, method)
    own = np.array([scores[i, rows.classes.index(t)] for i, t in enumerate(held_out.truth)])
    limits = []
    for label in rows.classes:
        chosen = held_out.truth == label if by_class else np.ones(len(held_out), bool)
        limits.append(quantile(own[chosen], [u for u, c in zip(held_out.units, chosen, strict=True) if c], ALPHA))
    return None if None in limits else strangeness(rows.p, method) <= np.array(limits) + CLOSE


def patients_of(rows: Rows, label: str) -> list[tuple[bool, float]]:
    """Whether each patient is ill, and the highest score among the patient's images."""
    ill, highest = defaultdict(bool), defaultdict(float)
    for unit, truth, score in zip(rows.units, rows.truth, rows.of(label), strict=True):
        ill[unit] |= truth == label
        highest[unit] = max(highest[unit], score)
    return [(ill[unit], highest[unit]) for unit in ill]


def _allowed(n: int) -> int:
    """How many of n may be wrong, so that the true share is at most 5 % with 95 % confidence; -1 for none."""
    return max((k for k in range(n) if stats.beta.ppf(0.95, k + 1, n - k) <= 0.05), default=-1)


def triage(held_out: Rows, label: str) -> tuple[float | None, float | None]:
    """Below the first a patient is ruled out, from the second ruled in; None where that cannot be promised."""
    seen = patients_of(held_out, label)
    ill, well = sorted(s for here, s in seen if here), sorted((s for here, s in seen if not here), reverse=True)
    out, into = _allowed(len(ill)), _allowed(len(well))
    low = None if out < 0 else ill[out]
    high = None if into < 0 else math.nextafter(well[into], math.inf)
    return low, high if high is None or low is None else max(low, high)


class Binned:
    """Images of one class against the rest in bins of equal size."""

    def __init__(self, rows: Rows, label: str) -> None:
        self.p, self.happened = rows.of(label), (rows.truth == label).astype(float)
        self.units, n_units = rows.units, len(set(rows.units))
        edges = statistics.quantiles(self.p.tolist(), n=min(10, max(4, n_units // 10)), method="inclusive")
        self.bins = defaultdict(list)
        for place, one in enumerate(self.p):
            self.bins[bisect.bisect_left(edges, one)].append(place)

    def error(self, happened: np.ndarray) -> float:
        """Mean distance of probability and share; happened: (..., n)."""
        gaps = [len(b) * abs(happened[..., b].mean(axis=-1) - self.p[b].mean()) for b in self.bins.values()]
        return sum(gaps) / len(self.p)

    def by_chance(self, n: int = 4000) -> np.ndarray:
        """Calibration errors (n,) of perfect probabilities, images of one patient drawn together."""
        rng, of = np.random.default_rng(99), {unit: i for i, unit in enumerate(dict.fromkeys(self.units))}
        drawn = rng.random((n, len(of)))[:, [of[unit] for unit in self.units]]
        return self.error((drawn < self.p).astype(float))

    def brier(self) -> dict[str, float]:
        """The score and its parts, each patient counting the same."""
        w = weights(self.units, equal=True)
        prevalence = float(w @ self.happened)
        reliability = resolution = 0.0
        for b in self.bins.values():
            mass = w[b].sum()
            predicted, observed = (w[b] @ self.p[b]) / mass, (w[b] @ self.happened[b]) / mass
            reliability += mass * (predicted - observed) ** 2
            resolution += mass * (observed - prevalence) ** 2
        return {
            "brier_one": float(w @ (self.p - self.happened) ** 2),
            "reliability": reliability,
            "resolution": resolution,
            "uncertainty": prevalence - prevalence**2,
        }

    def slope(self) -> tuple[float, float, float]:
        """Of the log odds on those predicted, with an interval by the sandwich of the patients.

        Probabilities count as no nearer to 0 and 1 than 1e-6, as overread says.
        """
        p = np.clip(self.p, 1e-6, 1 - 1e-6)
        x = np.stack([np.log(p / (1 - p)), np.ones(len(p))], axis=1)

        def off(beta):
            return self.happened - 1 / (1 + np.exp(-x @ beta))

        beta = optimize.root(lambda beta: x.T @ off(beta), [1.0, 0.0], tol=1e-13).x
        q = self.happened - off(beta)
        bread, meat, n = np.linalg.inv((x.T * (q * (1 - q))) @ x), np.zeros((2, 2)), len(set(self.units))
        sums = defaultdict(lambda: np.zeros(2))
        for unit, row in zip(self.units, x * off(beta)[:, None], strict=True):
            sums[unit] += row
        for one in sums.values():
            meat += np.outer(one, one)
        error = math.sqrt(n / (n - 1) * (bread @ meat @ bread)[0, 0])
        half = stats.t.ppf(0.975, n - 2) * error
        return beta[0], beta[0] - half, beta[0] + half


def temperature(rows: Rows, at: float) -> tuple[float, float, float]:
    """The best one for logits of which rows have the probabilities at another, and the log loss at 1 and at it."""
    logits = at * np.log(rows.p)
    true = np.array([rows.classes.index(t) for t in rows.truth])
    w = weights(rows.units, equal=True)

    def loss(t: float) -> float:
        z = logits / t
        return float(w @ (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), true]))

    best = optimize.minimize_scalar(loss, bracket=(0.5, 1.5), tol=1e-10)
    return best.x, loss(1.0), best.fun
