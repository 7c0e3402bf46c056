"""How often a 95 % interval of the AUROC holds the truth, on simulated patients with one to four images each.

Run: python benchmarks/interval_coverage.py      (about a minute; the table of docs/decisions/0005-intervals.md)
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from overread.stats import metrics
from overread.stats.intervals import delong, patient_bootstrap

N_PARTS, N_RESAMPLES = 1000, 600
CASES = ((1.5, 12), (1.5, 40), (2.4, 20), (2.4, 60))
"""(distance of the two classes in standard deviations of a score, number of patients, half of each class)"""


def intervals(distance: float, n_patients: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Intervals of the AUROC of one simulated test part, by method."""
    disease = np.arange(n_patients) % 2
    units = np.repeat(np.arange(n_patients), rng.integers(1, 5, n_patients))
    noise = 0.8 * rng.normal(size=n_patients)[units] + 0.6 * rng.normal(size=units.size)
    positive, scores = disease[units] == 1, distance * disease[units] + noise
    calls = []

    def statistic(weights: metrics.Floats) -> metrics.Floats:
        calls.append(metrics.auroc(positive, scores, weights=weights)[:, None])
        return calls[-1]

    low, high = patient_bootstrap(statistic, units, disease, rng=rng, n_resamples=N_RESAMPLES)
    percentiles = np.quantile(calls[1], [0.025, 0.975])  # the call before it is the value itself
    found = {"percentile": (percentiles[0], percentiles[1]), "BCa": (low[0], high[0])}
    for name, patients in (("DeLong by image", None), ("DeLong by patient", units)):
        area, variance = delong(positive, scores, patients)
        found[name] = area - 1.96 * variance**0.5, area + 1.96 * variance**0.5
    return found


def main() -> None:
    """Print a line a case: the share of the intervals that hold the true AUROC."""
    rng = np.random.default_rng(0)
    for distance, n_patients in CASES:
        truth = NormalDist().cdf(distance / 2**0.5)
        parts = [intervals(distance, n_patients, rng) for _ in range(N_PARTS)]
        shares = {name: np.mean([p[name][0] <= truth <= p[name][1] for p in parts]) for name in parts[0]}
        print(f"AUROC {truth:.3f}, {n_patients} patients:", {n: f"{s:.3f}" for n, s in shares.items()})


if __name__ == "__main__":
    main()
