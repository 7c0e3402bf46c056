"""Accuracy on public images: the paper's own, an honest chest CT benchmark, and one with printed figures.

Every row is one seed, tested once on the part that its data set keeps for testing. A folder given with --out keeps
the runs; the same command given again takes up what has ended.

    python benchmarks/accuracy.py brain-ct SHARED            # the paper's recipe on the paper's images, 5 seeds
    python benchmarks/accuracy.py covid-ct SHARED            # the default recipe against the paper's, 3 seeds each
    python benchmarks/accuracy.py pneumoniamnist SHARED      # beside the figures that MedMNIST v2 prints

SHARED holds data/ and weights/ as the tests find them through OVERREAD_SHARED.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.run.job import Job, machine, versions
from overread.run.many import by_seed, run_all
from overread.run.outputs import Outcome
from overread.settings import ImageSettings, recipe_settings
from overread.stats.intervals import wilson

RESNET18 = "weights/resnet18-imagenet-pq.safetensors"
Runs = dict[str, Outcome]


def train_seeds(source: Path, out: Path, *, recipe: str, n_seeds: int, size_px: int = 224, **changes: object) -> Runs:
    """One run a seed, from seed 0 on."""
    job = Job(
        source=source,
        out=out,
        train=recipe_settings(recipe, **changes),
        image=ImageSettings(size_px=size_px),
        workers=os.cpu_count() or 1,
    )
    return run_all(by_seed(job, n_seeds), out=out)


def print_runs(title: str, runs: Runs) -> None:
    """A line a seed with the intervals, and the medians."""
    print(f"\n{title}")
    print(f"{'':10}{'best val acc.':>14}{'test accuracy (95 %)':>26}{'test AUROC (95 %)':>26}")
    for name, outcome in runs.items():
        accuracy, auroc = outcome.score.figure("accuracy"), outcome.score.figure("auroc")
        shown = [f"{m.value:.3f} ({m.low:.3f} to {m.high:.3f})" for m in (accuracy, auroc)]
        print(f"{name:10}{outcome.best_val_accuracy:>14.3f}{shown[0]:>26}{shown[1]:>26}")
    last = next(iter(runs.values())).score
    medians = [
        statistics.median(outcome.best_val_accuracy for outcome in runs.values()),
        median(runs, "accuracy"),
        median(runs, "auroc"),
    ]
    print(f"{'median':10}{medians[0]:>14.3f}{medians[1]:>26.3f}{medians[2]:>26.3f}")
    patients = "unknown" if last.n_patients is None else last.n_patients
    print(f"test part: {last.n_images} images, patients: {patients}")


def median(runs: Runs, figure: str) -> float:
    """The median of a test figure over the runs."""
    return statistics.median(outcome.score.figure(figure).value for outcome in runs.values())


def print_thumbnails(source: Path) -> None:
    """What a linear model makes of each image's mean brightness in 8 x 8 squares: five folds, split by image."""
    cohort = read_cohort(source)
    with tempfile.TemporaryDirectory() as folder:
        grey = build_cache(cohort, ImageSettings(), folder=Path(folder), workers=os.cpu_count() or 1).pixels[..., 0]
        thumbnails = grey.reshape(len(grey), 8, 28, 8, 28).mean(axis=(2, 4), dtype=np.float32).reshape(len(grey), 64)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    n_right = int((cross_val_predict(model, thumbnails, cohort.labels(), cv=folds) == cohort.labels()).sum())
    low, high = wilson(n_right, len(grey))
    print(
        f"\nthumbnails of 8 x 8, logistic regression, five folds by image: accuracy {n_right / len(grey):.3f} "
        f"({low:.3f} to {high:.3f}), {len(grey)} images"
    )


def brain_ct(shared: Path, out: Path, n_seeds: int) -> None:
    source = shared / "data/brain-ct/jpg"
    print_thumbnails(source)
    runs = train_seeds(
        source,
        out,
        recipe="paper",
        n_seeds=n_seeds,
        split="image",
        weights=str(shared / RESNET18),
    )
    print_runs(
        "brain CT, three patients, paper's recipe, split by image (the paper: validation accuracy 0.960)", runs
    )


def covid_ct(shared: Path, out: Path, n_seeds: int) -> None:
    medians = {}
    for recipe in ("default", "paper"):
        source = shared / "data/covid-ct/cohort.csv"
        runs = train_seeds(source, out / recipe, recipe=recipe, n_seeds=n_seeds, weights=str(shared / RESNET18))
        print_runs(f"COVID-CT, its own split by patient, recipe {recipe}", runs)
        medians[recipe] = (median(runs, "accuracy"), median(runs, "auroc"))
    gain = [ours - theirs for ours, theirs in zip(medians["default"], medians["paper"], strict=True)]
    print(f"\ndefault against paper, medians: accuracy {gain[0]:+.3f}, AUROC {gain[1]:+.3f}")


def pneumoniamnist(shared: Path, out: Path, n_seeds: int) -> None:
    source = shared / "data/pneumoniamnist/pneumoniamnist.npz"
    runs = train_seeds(source, out, recipe="default", n_seeds=n_seeds, size_px=64, weights=str(shared / RESNET18))
    print_runs("PneumoniaMNIST 28 x 28, ResNet-18 (MedMNIST v2 prints: AUC 0.944, accuracy 0.854)", runs)


SETS: dict[str, tuple[Callable[[Path, Path, int], None], int]] = {
    "brain-ct": (brain_ct, 5),
    "covid-ct": (covid_ct, 3),
    "pneumoniamnist": (pneumoniamnist, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=tuple(SETS))
    parser.add_argument("shared", type=Path)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    measure, n_seeds = SETS[args.set]
    print(f"{machine()}\n{versions()}")
    with tempfile.TemporaryDirectory() as folder:
        measure(args.shared, args.out or Path(folder) / "runs", args.seeds or n_seeds)


if __name__ == "__main__":
    main()
