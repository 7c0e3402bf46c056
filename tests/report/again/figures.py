"""The figures of a report by other code: scikit-learn, scipy and plain Python, from the rows of predictions.csv."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
from scipy import stats
from sklearn import metrics

Z = stats.norm.ppf(0.975)


class Rows:
    """Some rows of predictions.csv as arrays."""

    def __init__(self, rows: list[dict[str, str]], classes: list[str]) -> None:
        self.rows, self.classes = rows, classes
        self.truth = np.array([row["true"] for row in rows])
        self.p = np.array([[float(row[f"probability {name}"]) for name in classes] for row in rows])
        self.called = np.array([row["predicted"] for row in rows])
        known = [row["patient"] for row in rows]
        self.patients = known if all(known) else None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def units(self) -> list:
        return list(range(len(self))) if self.patients is None else self.patients

    def where(self, chosen) -> Rows:
        return Rows([row for row, take in zip(self.rows, chosen, strict=True) if take], self.classes)

    def of(self, label: str) -> np.ndarray:
        return self.p[:, self.classes.index(label)]

    def n_patients(self) -> str:
        return "?" if self.patients is None else str(len(set(self.patients)))

    def pooled(self) -> Rows:
        """A row a patient of one class, with the mean of the probabilities."""
        by: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(self.patients):
            by[name].append(place)
        pooled = []
        for places in by.values():
            if len({self.truth[place] for place in places}) > 1:
                continue
            means = self.p[places].mean(axis=0)
            values = {f"probability {name}": repr(float(m)) for name, m in zip(self.classes, means, strict=True)}
            pooled.append({**self.rows[places[0]], **values, "predicted": self.classes[means.argmax()]})
        return Rows(pooled, self.classes)


def weights(units: list, *, equal: bool) -> np.ndarray:
    """What each image counts, summing to 1."""
    count = Counter(units)
    w = np.array([1 / count[unit] if equal else 1.0 for unit in units])
    return w / w.sum()


def effective(hits: np.ndarray, units: list, *, equal: bool) -> tuple[float, float]:
    """A share and its effective number of images: Rao and Scott (1992), Korn and Graubard (1998)."""
    w, n, m = weights(units, equal=equal), len(units), len(set(units))
    value = float((w * hits).sum())
    if m in (n, 1):
        return value, float(m)
    influence, mass = defaultdict(float), defaultdict(float)
    for unit, weight, hit in zip(units, w, hits, strict=True):
        influence[unit] += weight * (hit - value)
        mass[unit] += weight
    variance = m / (m - 1) * sum(one**2 for one in influence.values())
    if value in (0.0, 1.0):
        return value, 1 / sum(one**2 for one in mass.values())
    size = value * (1 - value) / variance if variance > 1e-30 else n
    return value, min(size, n) * (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, m - 1)) ** 2


def wilson(value: float, n: float) -> tuple[float, float]:
    """The two shares p with (p - value)^2 = z^2 p (1 - p) / n."""
    low, high = sorted(np.roots([1 + Z**2 / n, -2 * value - Z**2 / n, value**2]).real)
    return max(low, 0.0), min(high, 1.0)


def share(hits, units: list, *, equal: bool = False) -> tuple[float, float, float]:
    value, n = effective(np.asarray(hits, float), units, equal=equal)
    return value, *wilson(value, n)


def figure(rows: Rows, name: str, label: str | None) -> float:
    """One figure by scikit-learn."""
    truth, called, k = rows.truth, rows.called, len(rows.classes)
    onehot = np.array([[t == c for c in rows.classes] for t in truth], float)
    if name in ("auroc", "average_precision"):
        one = metrics.roc_auc_score if name == "auroc" else metrics.average_precision_score
        labels = [label] if label else rows.classes[-1:] if k == 2 else rows.classes
        return float(np.mean([one(truth == c, rows.of(c)) for c in labels]))
    if name == "f1":
        scores = metrics.f1_score(truth, called, labels=rows.classes, average=None)
        return float(scores[rows.classes.index(label)] if label else scores.mean())
    if name in ("sensitivity", "specificity"):
        return float(metrics.recall_score(truth == label, called == label, pos_label=name == "sensitivity"))
    return float({
        "accuracy": lambda: metrics.accuracy_score(truth, called),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(truth, called),
        "mcc": lambda: metrics.matthews_corrcoef(truth, called),
        "kappa": lambda: metrics.cohen_kappa_score(truth, called),
        "brier": lambda: ((rows.p - onehot) ** 2).sum(axis=1).mean(),
        "log_loss": lambda: metrics.log_loss(truth, rows.p, labels=rows.classes),
    }[name]())  # fmt: skip


def youden(rows: Rows, label: str) -> float:
    """The lowest threshold with the greatest sensitivity + specificity, each patient counting the same on a side."""
    ill, w = rows.truth == label, np.zeros(len(rows))
    for side in (ill, ~ill):
        w[side] = weights([unit for unit, here in zip(rows.units, side, strict=True) if here], equal=True)
    alarms, hits, at = metrics.roc_curve(ill, rows.of(label), sample_weight=w, drop_intermediate=False)
    gain = np.round(hits - alarms, 10)
    return float(at[np.flatnonzero(gain == gain.max())[-1]])


def ratios(rows: Rows, label: str, threshold: float, prevalence: float) -> dict[str, tuple[float, float, float]]:
    """All that a table at a threshold shows, each with its interval."""
    ill, called = rows.truth == label, rows.of(label) >= threshold
    sides = {side: [u for u, here in zip(rows.units, ill == side, strict=True) if here] for side in (True, False)}
    hit, n_ill = effective(called[ill], sides[True], equal=False)
    alarm, n_well = effective(called[~ill], sides[False], equal=False)
    found = {"sensitivity": share(called[ill], sides[True]), "specificity": share(~called[~ill], sides[False])}
    odds = prevalence / (1 - prevalence)
    for sign, top, bottom in (("positive", hit, alarm), ("negative", 1 - hit, 1 - alarm)):
        ratio = top / bottom
        error = math.sqrt(1 / (top * n_ill) - 1 / n_ill + 1 / (bottom * n_well) - 1 / n_well)
        low, high = ratio * math.exp(-Z * error), ratio * math.exp(Z * error)
        found[f"{sign} likelihood ratio"] = ratio, low, high
        after = [1 - 1 / (1 + odds * one) for one in (ratio, low, high)]
        found[f"{sign} predictive value"] = (
            tuple(after) if sign == "positive" else (1 - after[0], 1 - after[2], 1 - after[1])
        )
    return found


def delong(rows: Rows, label: str) -> tuple[float, float]:
    """Interval of an AUROC by DeLong's variance, images independent, on the log odds."""
    assert rows.patients is None
    up, down = rows.of(label)[rows.truth == label], rows.of(label)[rows.truth != label]
    wins = (up[:, None] > down).astype(float) + 0.5 * (up[:, None] == down)
    value = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / up.size + wins.mean(axis=0).var(ddof=1) / down.size
    far = stats.t.ppf(0.975, min(up.size, down.size) - 1)
    half = far * math.sqrt(variance) / (value * (1 - value))
    return tuple(1 / (1 + math.exp(-(math.log(value / (1 - value)) + side * half))) for side in (-1, 1))
