"""How long until a classifier is trained, and how good it is: overread, a plain PyTorch script, and fastai.

All three start from the same files, the same division and the same ImageNet weights of ResNet-18, on the CPU, each
in a process of its own, in turns. The clock runs from the start of that process to the probabilities of the test
part: imports, decoding and training count for all. overread is its default recipe. The plain script is the paper's
recipe as most people write it: a DataLoader, torchvision's transforms, Adam, 10 epochs, the best by validation
accuracy. fastai is its quick start: fine_tune(9), which is one epoch of the head and nine of everything.

overread is not worse where the lower end of the 95 % interval of its AUROC less the better one's, by a bootstrap of
test images in pairs, lies above -0.02. That margin was set before anything was run.

    python benchmarks/time_to_accuracy.py covid-ct SHARED --seeds 0 1 2             # about an hour on two cores
    python benchmarks/time_to_accuracy.py brain-ct SHARED
    python benchmarks/time_to_accuracy.py phantoms SHARED --fastai /other/venv/bin/python

SHARED holds data/ and weights/. Needs `pip install fastai`, here or where --fastai says; without it, it is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BEGAN = time.perf_counter()
MARGIN = 0.02
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, BATCH, EPOCHS = 224, 32, 10
Rows = list[dict[str, str]]


def pretrained(weights: str, network: Any) -> Any:
    """The network with these weights below its last layer."""
    from safetensors.torch import load_file

    found = {name: value.float() for name, value in load_file(weights).items() if not name.startswith("fc.")}
    network.load_state_dict(found, strict=False)
    return network


def plain_side(rows: Rows, weights: str, seed: int) -> np.ndarray:
    """What most people write."""
    import copy

    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import models, transforms

    torch.manual_seed(seed)
    classes = sorted({row["label"] for row in rows})
    steps = [transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    change = transforms.Compose(steps)

    class Images(Dataset):
        def __init__(self, part: str) -> None:
            self.rows = [row for row in rows if row["part"] == part]

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, at: int) -> Any:
            row = self.rows[at]
            return change(Image.open(row["path"]).convert("RGB")), classes.index(row["label"])

    def batches(part: str) -> DataLoader:
        return DataLoader(Images(part), batch_size=BATCH, shuffle=part == "train", num_workers=2)

    network = pretrained(weights, models.resnet18(num_classes=len(classes)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss_of = torch.nn.CrossEntropyLoss()
    best, kept = -1.0, None

    def predict(part: str) -> Any:
        network.eval()
        with torch.no_grad():
            return torch.cat([network(pixels).softmax(1) for pixels, _ in batches(part)]).numpy()

    truth = np.array([classes.index(row["label"]) for row in rows if row["part"] == "val"])
    for _ in range(EPOCHS):
        network.train()
        for pixels, labels in batches("train"):
            optimizer.zero_grad()
            loss_of(network(pixels), labels).backward()
            optimizer.step()
        accuracy = float((predict("val").argmax(axis=1) == truth).mean())
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return np.asarray(predict("test"))


def fastai_side(rows: Rows, weights: str, seed: int) -> np.ndarray:
    """The quick start of fastai."""
    import pandas as pd
    from fastai.vision.all import (
        ImageDataLoaders,
        Normalize,
        Resize,
        ResizeMethod,
        create_body,
        imagenet_stats,
        resnet18,
        set_seed,
        vision_learner,
    )

    set_seed(seed)
    table = pd.DataFrame(rows)
    learnt = table[table.part != "test"].assign(is_val=lambda t: t.part == "val")
    data = ImageDataLoaders.from_df(
        learnt, path="/", fn_col="path", label_col="label", valid_col="is_val", bs=BATCH, num_workers=2,
        item_tfms=Resize(SIZE, method=ResizeMethod.Squish), batch_tfms=[Normalize.from_stats(*imagenet_stats)],
    )  # fmt: skip
    learner = vision_learner(data, resnet18, pretrained=False, normalize=False)
    body = create_body(pretrained(weights, resnet18()), pretrained=False)
    learner.model[0].load_state_dict(body.state_dict())
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(EPOCHS - 1)
        test = data.test_dl(table[table.part == "test"].path.tolist())
        probabilities, _ = learner.get_preds(dl=test)
    return np.asarray(probabilities.numpy())


def overread_side(rows: Rows, weights: str, seed: int) -> np.ndarray:
    """The default recipe of overread, without its audit and its report."""
    from overread.model.weights import choose_backbone
    from overread.run.inputs import gather
    from overread.run.job import Job
    from overread.run.train import fit_network
    from overread.settings import recipe_settings
    from overread.stats.metrics import softmax
    from overread.training.batches import Normaliser
    from overread.training.history import EpochRow
    from overread.training.machine import choose_machine
    from overread.training.sources import Pixels, run_over
    from overread.training.watch import Silent

    class Tells(Silent):
        def epoch(self, row: EpochRow, best: bool) -> None:
            words = f"stages {row.stages_learning:g}, {row.seconds:.1f} s, validation loss {row.val_loss:.3f}"
            print(f"    epoch {row.epoch}: {words}{', best' * best}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.csv"
        lines = ["path,label,split", *(f"{row['path']},{row['label']},{row['part']}" for row in rows)]
        listed.write_text("\n".join(lines) + "\n")
        job = Job(
            source=listed,
            out=Path(folder) / "run",
            train=recipe_settings("default", backbone="resnet18", weights=weights, seed=seed, device="cpu"),
            workers=2,
        )
        inputs = gather(job, Silent())
        choice = choose_backbone("resnet18", weights)
        network, _ = fit_network(job, inputs, choice, Tells())
        machine = choose_machine(job.train)
        normalise = Normaliser(choice.weights.mean, choice.weights.std)
        source = Pixels(part=inputs.part("test"), normalise=normalise, device=machine.device)
        said = softmax(run_over(network, source, machine=machine, watch=Silent(), what=""))
        order = [inputs.cohort.rows[at].path for at in inputs.split.indices("test")]
    place = {path: at for at, path in enumerate(order)}
    return np.asarray(said[[place[row["path"]] for row in rows if row["part"] == "test"]])


SIDES = {"overread": overread_side, "plain": plain_side, "fastai": fastai_side}


def listed(name: str, shared: Path, folder: Path, seed: int) -> Rows:
    """The images of a cohort as pictures that all sides read, their classes, and their parts."""
    from overread.data.cohort import read_cohort
    from overread.data.split import split_cohort

    source, by = {
        "covid-ct": (shared / "data/covid-ct/cohort.csv", "given"),
        "brain-ct": (shared / "data/brain-ct/jpg", "image"),
        "phantoms": (folder / "phantoms/images", "patient"),
    }[name]
    if name == "phantoms" and not source.exists():
        from overread.data.phantom import PhantomSettings, make_phantoms

        make_phantoms(folder / "phantoms", PhantomSettings(patients=180, seed=11), workers=2)
    cohort = read_cohort(source)
    fractions = (0.8, 0.1, 0.1) if name == "brain-ct" else (0.7, 0.15, 0.15)
    split = split_cohort(cohort, by=by, fractions=fractions, seed=seed)
    rows = []
    for row, part in zip(cohort.rows, split.parts, strict=True):
        path = cohort.root / row.path
        rows.append({"path": str(_picture(path, folder)), "label": row.label, "part": str(part)})
    return rows


def _picture(path: Path, folder: Path) -> Path:
    """The file itself, or a DICOM file as a PNG in its own window: the other two read no DICOM."""
    if path.suffix != ".dcm":
        return path
    from PIL import Image as Pillow

    from overread.data.image import prepare, read_image
    from overread.settings import ImageSettings

    made = folder / f"{'-'.join(path.parts[-4:])}.png"
    if not made.exists():
        Pillow.fromarray(prepare(read_image(path), ImageSettings(size_px=512))).save(made)
    return made


def measure(side: str, rows: Rows, weights: str, seed: int, python: str, folder: Path) -> tuple[float, np.ndarray]:
    """Seconds and test probabilities of one side, in a process of its own."""
    (folder / "rows.json").write_text(json.dumps(rows))
    answer = folder / f"{side}.npz"
    words = [python, __file__, side, str(folder / "rows.json"), "--weights", weights, "--seeds", str(seed)]
    subprocess.run([*words, "--answer", str(answer)], check=True)
    found = np.load(answer)
    return float(found["seconds"]), found["probabilities"]


def paired(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Difference of the macro AUROCs, and its 95 % interval by 2000 draws of test images in pairs."""
    from overread.stats.metrics import auroc_macro

    rng = np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        at = rng.integers(0, len(truth), len(truth))
        draws.append(auroc_macro(truth[at], ours[at]) - auroc_macro(truth[at], theirs[at]))
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return auroc_macro(truth, ours) - auroc_macro(truth, theirs), float(low), float(high)


def compare(args: argparse.Namespace) -> None:
    """All sides, seed by seed."""
    from overread.run.job import machine, versions
    from overread.stats.metrics import auroc_macro

    print(f"{machine()}\n{versions()}")
    weights = str(args.source / "weights/resnet18-imagenet-pq.safetensors")
    sides = ["overread", "plain", "fastai"]
    if subprocess.run([args.fastai, "-c", "import fastai"], capture_output=True).returncode:
        print("fastai is not installed: left out")
        sides.pop()
    folder = Path(args.work or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    ratios = []
    for seed in args.seeds:
        rows = listed(args.what, args.source, folder, seed)
        classes = sorted({row["label"] for row in rows})
        truth = np.array([classes.index(row["label"]) for row in rows if row["part"] == "test"])
        found = {}
        for side in sides:
            python = args.fastai if side == "fastai" else sys.executable
            found[side] = measure(side, rows, weights, seed, python, folder)
            seconds, said = found[side]
            accuracy = float((said.argmax(axis=1) == truth).mean())
            print(
                f"seed {seed} {side:9}{seconds:8.1f} s   test AUROC {auroc_macro(truth, said):.3f}, "
                f"accuracy {accuracy:.3f} ({len(truth)} images)",
                flush=True,
            )
        others = [side for side in sides if side != "overread"]
        ratios.append(min(found[side][0] for side in others) / found["overread"][0])
        for side in others:
            gap, low, high = paired(truth, found["overread"][1], found[side][1])
            words = "not worse" if low > -MARGIN else "worse" if high < -MARGIN else "not shown to be no worse"
            print(f"    AUROC less that of {side}: {gap:+.3f} ({low:+.3f} to {high:+.3f}): {words} by {MARGIN}")
        print(f"    {ratios[-1]:.1f} times less time than the faster of the others", flush=True)
    print(f"{args.what}: median of {len(ratios)} seeds: {statistics.median(ratios):.1f} times less time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="covid-ct, brain-ct or phantoms")
    parser.add_argument("source", type=Path, metavar="SHARED")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fastai", default=sys.executable, metavar="PYTHON", help="one that has fastai")
    parser.add_argument("--work", type=Path, help="a folder for the pictures and the answers")
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer is None:
        compare(args)
        return
    said = SIDES[args.what](json.loads(args.source.read_text()), args.weights, args.seeds[0])
    np.savez(args.answer, seconds=time.perf_counter() - BEGAN, probabilities=said)


if __name__ == "__main__":
    main()
