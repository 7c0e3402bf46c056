"""How fast DICOM files become network input on one core: decode, rescale, window, resize to 224.

    python benchmarks/read_speed.py [--folder FOLDER] [--rounds 7]

Reads the brain CT files of the shared folder where they are, synthetic CT slices otherwise. MONAI's transforms
read the same files in turns with overread where MONAI is installed (`pip install monai`).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from overread.data.image import prepare, read_image
from overread.settings import ImageSettings

TARGET_PER_SECOND = 150
Read = Callable[[Path], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder of DICOM files to read instead")
    parser.add_argument("--rounds", type=int, default=7, help="times that every file is read by each reader")
    arguments = parser.parse_args()
    use_one_core()
    with tempfile.TemporaryDirectory() as scratch:
        paths, what = find_files(arguments.folder, Path(scratch))
        readers = overread_readers() | monai_readers()
        measured = {name: [] for name in readers}
        for round_number in range(arguments.rounds + 1):
            for name, read in readers.items():
                rate = images_per_second(read, paths)
                # the first round warms the disk's cache and the imports
                if round_number:
                    measured[name].append(rate)
    report(what, len(paths), measured)


def use_one_core() -> None:
    """Pin the process to one core, so that no library gains by threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def find_files(folder: Path | None, scratch: Path) -> tuple[list[Path], str]:
    shared = Path(os.environ.get("OVERREAD_SHARED", Path(__file__).parents[2] / "shared"))
    folder = folder or shared / "data/brain-ct/dicom"
    if paths := sorted(folder.rglob("*.dcm")):
        return paths, folder.name if folder != shared / "data/brain-ct/dicom" else "brain CT, 512 x 512"
    return [synthetic_slice(scratch / f"{n}.dcm", n) for n in range(60)], "synthetic CT, 512 x 512"


def synthetic_slice(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-256:256, -256:256]
    head = np.where(x**2 + y**2 < 200**2, 40, -1000) + rng.normal(0, 12, (512, 512))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.PhotometricInterpretation, ds.SamplesPerPixel = "CT", "MONOCHROME2", 1
    ds.Rows = ds.Columns = 512
    ds.PixelSpacing, ds.ImagePositionPatient = [0.5, 0.5], [0, 0, seed]
    ds.ImageOrientationPatient, ds.SliceThickness = [1, 0, 0, 0, 1, 0], 5
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = (head + 1024).astype("<i2").tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


def overread_readers() -> dict[str, Read]:
    one, three = ImageSettings(window="brain"), ImageSettings(window="brain,subdural,bone")
    return {
        "overread, one window": lambda path: prepare(read_image(path), one),
        "overread, three windows": lambda path: prepare(read_image(path), three),
    }


def monai_readers() -> dict[str, Read]:
    if importlib.util.find_spec("monai") is None:
        return {}
    warnings.simplefilter("ignore")
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize, ScaleIntensityRange

    torch.set_num_threads(1)
    transform = Compose(
        [
            LoadImage(reader="PydicomReader", image_only=True),
            EnsureChannelFirst(),
            ScaleIntensityRange(a_min=0, a_max=80, b_min=0, b_max=1, clip=True),
            Resize((224, 224), mode="bilinear"),
        ]
    )
    return {"MONAI, one window": transform}


def images_per_second(read: Read, paths: list[Path]) -> float:
    start = time.perf_counter()
    for path in paths:
        read(path)
    return len(paths) / (time.perf_counter() - start)


def report(what: str, n_files: int, measured: dict[str, list[float]]) -> None:
    print(f"{n_files} files ({what}) to 224 x 224, one core of: {processor()}")
    print(f"Python {platform.python_version()}, pydicom {pydicom.__version__}, numpy {np.__version__}")
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    for name, rates in measured.items():
        low, high = min(rates), max(rates)
        print(f"{name:<24} {medians[name]:7.0f} images/s  (median of {len(rates)}; {low:.0f} to {high:.0f})")
    ours = medians["overread, one window"]
    print(f"target {TARGET_PER_SECOND} images/s: {'met' if ours >= TARGET_PER_SECOND else 'MISSED'}")
    if theirs := medians.get("MONAI, one window"):
        print(f"overread / MONAI: {ours / theirs:.2f}")
    else:
        print("MONAI is not installed, so there is nothing to compare with (pip install monai)")


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if (info.is_file())
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
