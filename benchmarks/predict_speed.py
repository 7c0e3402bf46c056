"""Prediction: against the network alone, against a torch script, and on ever more files.

Throughput: a folder of DICOM files, read and predicted by `Predictor`, beside onnxruntime alone on as many prepared
images in memory, in batches of the same size, in turns. Cold start: one file by `overread predict`, beside a script
that imports torch and timm, reads the same file with pydicom and runs the same network. Memory: the largest resident
size of `overread predict --csv --out` on 100 and on many more files, with a small network, so that it ends.

    python benchmarks/predict_speed.py --weights resnet18.safetensors            # some ten minutes on two cores
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from overread.data.image import prepare, read_image
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.model import bundle
from overread.model.session import open_session
from overread.predict import BATCH, Predictor, image_files
from overread.run.job import Job, machine, versions
from overread.run.train import train
from overread.settings import ImageSettings, TrainSettings

TORCH_SCRIPT = """
import sys, numpy, pydicom, timm, torch
from PIL import Image
from safetensors.torch import load_file
folder, path = sys.argv[1:]
network = timm.create_model("resnet18", num_classes=3).eval()
network.load_state_dict(load_file(folder + "/weights.safetensors"))
file = pydicom.dcmread(path)
hu = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
grey = (numpy.clip((hu - 0) / 80, 0, 1) * 255).astype("uint8")
pixels = numpy.asarray(Image.fromarray(grey).resize((224, 224))).astype("float32") / 255
image = torch.from_numpy((pixels - 0.45) / 0.225)[None, None].repeat(1, 3, 1, 1)
with torch.inference_mode():
    print(network(image).softmax(1))
"""


def make_model(folder: Path, images: Path, **given: object) -> Path:
    """A model folder, trained as shortly as can be."""
    size = 224 if given.get("backbone") == "resnet18" else 32
    settings = TrainSettings(device="cpu", epochs=1, **given)  # type: ignore[arg-type]
    image = ImageSettings(size_px=size)
    train(Job(source=images, out=folder, train=settings, image=image, audit=False, workers=2))
    return folder


def throughput(model: Path, files: list[Path], rounds: int) -> None:
    """Images a second, reading included, beside the network alone."""
    predictor = Predictor(model)
    squares = np.stack([prepare(read_image(path), predictor.card.image) for path in files[:BATCH]])
    inputs = predictor.inputs(squares)
    session = open_session((model / bundle.NETWORK).read_bytes(), name="model.onnx")
    ratios = []
    for number in range(rounds):
        began = time.perf_counter()
        for _ in range(len(files) // BATCH):
            session.run(["logits", "features"], inputs)
        alone = len(files) // BATCH * BATCH / (time.perf_counter() - began)
        began = time.perf_counter()
        n = sum(1 for _ in predictor.predict_files(files))
        ours = n / (time.perf_counter() - began)
        ratios.append(ours / alone)
        print(
            f"round {number + 1}: onnxruntime alone {alone:.1f} images/s, "
            f"{n} DICOM files read and predicted {ours:.1f}: {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"median: {statistics.median(ratios):.2f} of the network alone")


def cold_start(model: Path, path: Path, rounds: int) -> None:
    """Seconds from nothing to one answer."""
    sides = {
        "overread predict": [sys.executable, "-m", "overread", "predict", str(model), str(path)],
        "torch and timm": [sys.executable, "-c", TORCH_SCRIPT, str(model), str(path)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, words in sides.items():
            began = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, found in seconds.items():
        print(f"one file, {name}: median {statistics.median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")


def memory(model: Path, picture: Path, folder: Path, counts: list[int]) -> None:
    """Largest resident size of a process that predicts so many files."""
    peaks = []
    for count in counts:
        below = folder / f"files-{count}"
        for number in range(count):
            path = below / f"{number // 1000:04}" / f"{number:07}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(picture, path)
        words = [sys.executable, "-m", "overread", "predict", str(model), str(below), "--csv"]
        words += ["--out", str(folder / "answers.csv")]
        began = time.perf_counter()
        child = os.posix_spawn(words[0], words, os.environ)
        _, status, used = os.wait4(child, 0)
        seconds = time.perf_counter() - began
        assert status == 0
        with (folder / "answers.csv").open() as stream:
            assert sum(1 for _ in stream) == count + 1
        peaks.append(used.ru_maxrss / 1024)
        print(f"{count} files: at most {peaks[-1]:.0f} MB, {count / seconds:.0f} files/s", flush=True)
        shutil.rmtree(below)
    print(f"memory of {counts[-1]} files against {counts[0]}: {peaks[-1] / peaks[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="of ResNet-18")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--many", type=int, nargs="*", default=[100, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"{machine()}\n{versions()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_phantoms(folder / "heads", PhantomSettings(patients=args.files // 4, seed=11), workers=2)
        images = folder / "heads/images"
        model = make_model(
            folder / "resnet18", images, backbone="resnet18", weights=args.weights, learn="head", split="patient"
        )
        files = list(image_files([images]))[: args.files]
        throughput(model, files, args.rounds)
        cold_start(model, files[0], 5)
        small = make_model(folder / "small", images, backbone="test_resnet", weights="none", split="patient")
        from PIL import Image as Pillow

        Pillow.fromarray(prepare(read_image(files[0]), ImageSettings(size_px=64))).save(folder / "one.png")
        if args.many:
            memory(small, folder / "one.png", folder, args.many)


if __name__ == "__main__":
    main()
