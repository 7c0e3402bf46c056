"""Whether maps of evidence point at what the network must have used: phantoms, whose lesions and letters are known.

Lesions: a network is trained on head phantoms, and its class maps go through their controls with the true masks; the
pointing game of a random map, of edges and of the middle of the picture stands beside it. Letters: phantoms with a
burnt-in letter against phantoms without one, where nothing else tells the classes; what the report says is printed.

    python benchmarks/explain_truth.py --weights resnet18.safetensors                # about 25 minutes on two cores
    python benchmarks/explain_truth.py --weights resnet50.safetensors --backbone resnet50 --size-px 224 --no-letters
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

from overread.data.phantom import PhantomSettings, make_phantoms
from overread.run.check import Asked, check
from overread.run.job import Job, machine
from overread.run.train import train
from overread.settings import ImageSettings, TrainSettings, recipe_settings


def lesions(folder: Path, settings: TrainSettings, args: argparse.Namespace) -> None:
    make_phantoms(folder / "heads", PhantomSettings(patients=args.patients, seed=11), workers=2)
    job = Job(
        source=folder / "heads/images",
        out=folder / "lesions",
        train=settings,
        image=ImageSettings(size_px=args.size_px),
        audit=False,
        workers=2,
    )
    outcome = train(job)
    print(f"{args.backbone}, {args.size_px} px: accuracy {outcome.score.figure('accuracy')}")
    asked = Asked(model=job.out, n_images=args.images, masks=folder / "heads", retrain=args.retrain, workers=2)
    for one in check(asked):
        for control in one.controls:
            said = control.why if control.value is None else f"{control.value}; wanted {control.wanted}"
            print(f"{control.title:<44}{'-' if control.passed is None else control.passed!s:<7}{said}")
            for name, value in control.rows:
                print(f"    {name:<40}{value}")


def letters(folder: Path, settings: TrainSettings) -> None:
    rows = [("path", "label", "patient")]
    for label, flaws, seed in (("without", "", 11), ("with", "marker", 12)):
        make_phantoms(folder / label, PhantomSettings(patients=60, seed=seed, flaws=flaws), workers=2)
        rows += [(str(p), label, f"{label} {p.parent.parent.name}") for p in sorted((folder / label).rglob("*.dcm"))]
    with (folder / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    job = Job(source=folder / "list.csv", out=folder / "letters", train=settings, audit=False, workers=2)
    outcome = train(job)
    print(f"a letter in one class: accuracy {outcome.score.figure('accuracy')}")
    print(*json.loads((job.out / "explanation.json").read_text())["says"], sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="ImageNet weights of the backbone")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size-px", type=int, default=448)
    parser.add_argument("--patients", type=int, default=180)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=24, help="that the maps are checked on")
    parser.add_argument("--retrain", action="store_true", help="ask the two controls that need a training each, too")
    parser.add_argument("--no-letters", action="store_true")
    args = parser.parse_args()
    print(machine())
    settings = recipe_settings("default", backbone=args.backbone, weights=args.weights, epochs=args.epochs)
    with tempfile.TemporaryDirectory() as folder:
        lesions(Path(folder), settings, args)
        if not args.no_letters:
            letters(Path(folder), settings)


if __name__ == "__main__":
    main()
