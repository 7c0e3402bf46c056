"""How hard phantom patients are, and how long they take to make.

Two linear models tell the three classes apart, always tested on patients that they were not fitted on (five folds):
one on thumbnails of 8 x 8 pixels, which has to stay near chance, or the answer lies in plain brightness; and one on
the features of a frozen network with ImageNet weights, which has to be clearly above it. The strength of their
regularisation is chosen within the fitting patients. `--fine-tune` also trains the network itself, as
`overread demo` does, on 70 % of the patients, and tests it on 15 %. One draw of 120 patients is a small sample, so
several are made, each with its own seed, and the median is what counts.

    python benchmarks/phantom_difficulty.py                       # four draws of each body, about eight minutes
    python benchmarks/phantom_difficulty.py --body head --seeds 0 --fine-tune
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.model.backbones import create, pretraining
from overread.model.weights import find_weights, load_weights
from overread.run.job import Job, machine
from overread.run.train import train
from overread.settings import ImageSettings, recipe_settings
from overread.stats.intervals import patient_bootstrap, wilson

BACKBONE = "tf_efficientnet_lite0"
EPOCHS = 8  # as overread demo
N_FOLDS, STRENGTHS = 5, (1e-4, 1e-2, 1.0)

Values = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Phantoms:
    """Prepared images and whose they are: pixels (n, size, size, 3) uint8, labels and patients (n,) int64."""

    pixels: NDArray[np.uint8]
    labels: Places
    patients: Places


def make(folder: Path, settings: PhantomSettings, workers: int) -> None:
    """Make the phantoms, and print how long it took."""
    start, before = time.perf_counter(), cpu_seconds()
    make_phantoms(folder, settings, workers=workers)
    print(
        f"made {settings.patients} patients ({settings.patients * settings.slices} slices of {settings.size_px} px) "
        f"in {time.perf_counter() - start:.0f} s with {workers} processes, {cpu_seconds() - before:.0f} s of CPU"
    )


def cpu_seconds() -> float:
    """What this process and its ended children have computed, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read(folder: Path, workers: int) -> Phantoms:
    """Read the images back as a training run does, with the window that fits them."""
    cohort = read_cohort(folder / "images")
    cache = build_cache(cohort, ImageSettings(), folder=folder / "cache", workers=workers)
    _, labels = np.unique([row.label for row in cohort.rows], return_inverse=True)
    _, patients = np.unique([row.patient or "" for row in cohort.rows], return_inverse=True)
    return Phantoms(pixels=cache.pixels, labels=labels, patients=patients)


def thumbnails(pixels: NDArray[np.uint8], side: int = 8) -> Values:
    """Each image's mean brightness in each of 8 x 8 squares: (n, 64)."""
    n, size = pixels.shape[:2]
    squares = pixels[..., 0].reshape(n, side, size // side, side, size // side)
    return squares.mean(axis=(2, 4), dtype=np.float32).reshape(n, side * side)


@torch.inference_mode()
def features(pixels: NDArray[np.uint8], batch: int = 32) -> Values:
    """What the frozen network's last layer would see: (n, 1280)."""
    network = create(BACKBONE, 3, seed=0).eval()
    load_weights(network, find_weights(BACKBONE))
    known = pretraining(BACKBONE)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (known.mean, known.std))
    found = []
    for start in range(0, len(pixels), batch):
        images = torch.from_numpy(np.array(pixels[start : start + batch])).permute(0, 3, 1, 2) / 255
        maps = network.forward_features((images - mean) / std)  # type: ignore[operator]
        found.append(network.forward_head(maps, pre_logits=True).numpy())  # type: ignore[operator]
    return np.concatenate(found)


def predict(values: Values, phantoms: Phantoms) -> NDArray[np.float64]:
    """Probabilities (n, 3) of each image, from a model fitted on other patients."""
    probabilities = np.zeros((len(values), 3))
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=0)
    for fitting, testing in folds.split(values, phantoms.labels, phantoms.patients):
        model = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
            {"logisticregression__C": STRENGTHS},
            cv=StratifiedGroupKFold(4, shuffle=True, random_state=1),
        )
        model.fit(values[fitting], phantoms.labels[fitting], groups=phantoms.patients[fitting])
        probabilities[testing] = model.predict_proba(values[testing])
    return probabilities


def report(name: str, probabilities: NDArray[np.float64], phantoms: Phantoms) -> float:
    """Print accuracy by image (patients drawn again) and by patient (Wilson); return the former."""
    right = (probabilities.argmax(axis=1) == phantoms.labels).astype(float)
    first = np.unique(phantoms.patients, return_index=True)[1]
    classes = phantoms.labels[first]
    low, high = patient_bootstrap(
        lambda weights: (weights @ right / weights.sum(axis=1))[:, None],
        phantoms.patients,
        classes,
        rng=np.random.default_rng(0),
    )
    means = np.stack([probabilities[phantoms.patients == patient].mean(axis=0) for patient in range(len(first))])
    hits, count = int((means.argmax(axis=1) == classes).sum()), len(first)
    ends = wilson(hits, count)
    print(
        f"{name:36} by image {right.mean():.3f} ({low[0]:.3f} to {high[0]:.3f}), n = {len(right)};  "
        f"by patient {hits / count:.3f} ({ends[0]:.3f} to {ends[1]:.3f}), n = {count}"
    )
    return float(right.mean())


def fine_tune(folder: Path, workers: int) -> float:
    """Train the network itself with the default recipe, print its test figures, and return the accuracy."""
    settings = recipe_settings("default", backbone=BACKBONE, epochs=EPOCHS, seed=0)
    outcome = train(Job(source=folder / "images", out=folder / "model", train=settings, workers=workers))
    accuracy, auroc = outcome.score.figure("accuracy"), outcome.score.figure("auroc")
    print(
        f"{'the network fine-tuned':36} by image {accuracy}, AUROC {auroc}, n = {outcome.score.n_images};  "
        f"{outcome.score.n_patients} patients"
    )
    return accuracy.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--body", choices=("head", "chest"), nargs="+", default=["head", "chest"])
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--fine-tune", action="store_true")
    args = parser.parse_args()
    workers = os.cpu_count() or 1
    print(machine())
    for body in args.body:
        found: dict[str, list[float]] = {}
        for seed in args.seeds:
            settings = PhantomSettings(body=body, patients=args.patients, seed=seed)
            print(f"\n{body}, seed {seed}: {', '.join(settings.classes)}; chance {1 / 3:.3f}")
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "phantoms"
                make(folder, settings, workers)
                phantoms = read(folder, workers)
                for name, values in (("thumbnails of 8 x 8", thumbnails), ("frozen network's features", features)):
                    accuracy = report(f"{name}, linear", predict(values(phantoms.pixels), phantoms), phantoms)
                    found.setdefault(name, []).append(accuracy)
                if args.fine_tune:
                    found.setdefault("the network fine-tuned", []).append(fine_tune(folder, workers))
        for name, accuracies in found.items():
            print(f"{body}, {name}: accuracy by image, median of {len(accuracies)}: {np.median(accuracies):.3f}")


if __name__ == "__main__":
    main()
