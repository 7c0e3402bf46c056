"""Whether intervals over repeated splits keep their word, by simulation: 95 % intervals should hold the truth.

Patients have six images each, which are alike among themselves. A ridge classifier learns from three quarters of them
and is tested on the rest, on several splits of one cohort, as `overread controls --repeats` does. The truth of a
mean is the mean of what these classifiers score on 1500 new patients; with shuffled labels it is 0.5. Beside the
interval of `over_repeats` stand the means of the ends of each split's own (`mean_measured`), and the interval of the
gain from half to all of the training patients (`change`).

    python benchmarks/repeats.py                    # two minutes
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.evaluate.average import mean_measured
from overread.evaluate.predictions import Predictions
from overread.evaluate.repeated import Scored, change, over_repeats
from overread.evaluate.score import Score
from overread.stats.intervals import Measured
from overread.stats.jackknife import patient_jackknife
from overread.stats.metrics import auroc

IMAGES = 6
TESTED = 0.25
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Patients in so many dimensions, whose classes lie so far apart in the first of them."""

    n_patients: int
    n_splits: int
    apart: float
    dimensions: int = 30

    def draw(self, n: int, n_images: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        """Images (n * n_images, dimensions), and the class of each patient (n,)."""
        truth = np.arange(n) % 2
        centres = rng.normal(size=(n, self.dimensions))
        centres[:, 0] += self.apart * (truth - 0.5)
        return np.repeat(centres, n_images, axis=0) + 0.6 * rng.normal(size=(n * n_images, self.dimensions)), truth


def learn(x: Floats, y: NDArray[np.int64]) -> Floats:
    off = x - x.mean(axis=0)
    return np.linalg.solve(off.T @ off + 0.3 * len(x) * np.eye(x.shape[1]), off.T @ (y - y.mean()))


def scored(scores: Floats, truth: NDArray[np.int64], rows: NDArray[np.int64]) -> Scored:
    """A test part with its AUROC, as overread measures one; other figures are left out, as they take time."""
    patients = rows // IMAGES
    p = 1 / (1 + np.exp(-scores))
    units = np.unique(patients, return_inverse=True)[1]
    found = patient_jackknife(
        lambda w: auroc(truth == 1, p, weights=w)[:, None], units, truth[np.unique(units, return_index=True)[1]]
    )
    low, high = found.logit_interval()
    area = Measured(
        name="auroc", value=float(found.value[0]), low=float(low[0]), high=float(high[0]), n_images=rows.size,
        n_patients=int(units.max()) + 1, method="",
    )  # fmt: skip
    classes = ("a", "b")
    predictions = Predictions(
        paths=tuple(map(str, rows)), frames=(0,) * rows.size, patients=tuple(map(str, patients)), truth=truth,
        probabilities=np.stack([1 - p, p], axis=1), parts=("test",) * rows.size, classes=classes,
    )  # fmt: skip
    score = Score(
        measured=(area,), confusion=(), classes=classes, n_images=rows.size, n_patients=area.n_patients, part="test",
        positive="b",
    )  # fmt: skip
    return Scored(predictions=predictions, score=score)


def one_study(world: World, *, shuffled: bool, rng: np.random.Generator) -> tuple[list[Scored], list[Scored], Floats]:
    """Each split with all and with half of its training patients; what both score on new patients: (splits, 2)."""
    x, own = world.draw(world.n_patients, IMAGES, rng)
    new_x, new_y = world.draw(1500, 1, rng)
    runs: tuple[list[Scored], list[Scored]] = [], []
    truths = []
    for _ in range(world.n_splits):
        label = rng.permutation(own) if shuffled else own
        order = [rng.permutation(np.flatnonzero(label == c)) for c in (0, 1)]
        n = max(2, round(TESTED * world.n_patients / 2))
        rows = np.flatnonzero(np.isin(np.arange(len(x)) // IMAGES, np.concatenate([o[:n] for o in order])))
        truth = []
        for run, share in zip(runs, (1.0, 0.5), strict=True):
            kept = np.concatenate([o[n:][: round(share * (o.size - n))] for o in order])
            learnt = np.flatnonzero(np.isin(np.arange(len(x)) // IMAGES, kept))
            weights = learn(x[learnt], label[learnt // IMAGES])
            run.append(scored(x[rows] @ weights, label[rows // IMAGES], rows))
            truth.append(0.5 if shuffled else float(auroc(new_y == 1, new_x @ weights)))
        truths.append(truth)
    return *runs, np.array(truths)


def row(world: World, *, shuffled: bool, studies: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    areas: list[float] = []
    held: dict[str, list[tuple[bool, float]]] = {"over": [], "ends": [], "gain": []}
    for _ in range(studies):
        whole, half, truth = one_study(world, shuffled=shuffled, rng=rng)
        mean = truth.mean(axis=0)
        areas.append(mean[0])
        ends = mean_measured([run.score.figure("auroc") for run in whole], of="splits")
        found = over_repeats("auroc", whole)
        gain = change("auroc", half, whole)
        for name, one, real in (("over", found, mean[0]), ("ends", ends, mean[0]), ("gain", gain, mean[0] - mean[1])):
            if not np.isnan(one.low):
                held[name].append((one.low <= real <= one.high, one.high - one.low))
    kind = "shuffled" if shuffled else f"{np.mean(areas):.2f}"
    cells = [f"{np.mean([h for h, _ in v]):.3f} ({np.mean([w for _, w in v]):.2f})" for v in held.values()]
    return f"| {world.n_patients} | {world.n_splits} | {kind} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| patients | splits | AUROC | over repeats: held (width) | mean of ends | gain, half to all |")
    print("|---|---|---|---|---|---|")
    for n_patients in (20, 30, 60, 120):
        for n_splits in (3, 5):
            for shuffled, apart in ((True, 0.0), (False, 1.5)):
                world = World(n_patients=n_patients, n_splits=n_splits, apart=apart)
                print(row(world, shuffled=shuffled, studies=args.studies, seed=args.seed), flush=True)


if __name__ == "__main__":
    main()
