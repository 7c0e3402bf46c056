"""Each kind of bad input, through a run's own door: found before training, listed, left out on request."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from overread.cli.main import run as command_line
from overread.data.cohort import CohortSettings
from overread.errors import BadInputsError, CohortError, SplitError
from overread.run.inputs import Inputs, gather
from overread.run.job import Job
from overread.settings import ImageSettings, TrainSettings
from overread.training.watch import Silent

FLAGS = ("--backbone", "test_resnet", "--weights", "none", "--size-px", "16", "--workers", "0")
HEADER = "path,label,patient\n"
N_GOOD = 12
BAD_PATIENT = "Doe^Jane"
PRIVATE = "1.2.826.0.1.3680043.110"
JPEG_XL = "1.2.840.10008.1.2.4.110"

Spoil = Callable[[Path], None]


def noise(seed: int, shape: tuple[int, ...] = (24, 24)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 good pictures of 12 patients in two classes, and `list.csv` that names them."""
    rows = []
    for at in range(N_GOOD):
        label = ("disc", "square")[at % 2]
        path = tmp_path / f"scans/{label}/{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(noise(at)).save(path)
        rows.append(f"{label}/{at}.png,{label},P{at}\n")
    (tmp_path / "scans/list.csv").write_text(HEADER + "".join(rows))
    return tmp_path / "scans"


def add_rows(folder: Path, *rows: str) -> None:
    with (folder / "list.csv").open("a") as stream:
        stream.writelines(f"{row}\n" for row in rows)


def make_job(source: Path, **changes: Any) -> Job:
    job = Job(
        source=source,
        out=source.parent.parent / "run" if source.is_file() else source.parent / "run",
        train=TrainSettings(val_fraction=0.3, test_fraction=0.3),
        image=ImageSettings(size_px=16),
    )
    return dataclasses.replace(job, **changes)


def read_list(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def check(folder: Path, capsys: pytest.CaptureFixture[str], *, kinds: dict[str, str], rows: int) -> Inputs:
    """The list stops a run and says what, where and why; and what is left out with --skip-bad is kept.

    kinds: of each bad input. rows: how many rows of the list it takes.
    """
    job = make_job(folder / "list.csv")
    with pytest.raises(BadInputsError) as refused:
        gather(job, Silent())
    said = str(refused.value)
    for path, kind in kinds.items():
        assert f"  {path}: " in said
        assert f"{kind} " in said
    assert "Nothing was trained" in said
    assert "--skip-bad" in said
    assert str(job.out / "problems.csv") in said
    assert BAD_PATIENT not in said
    listed = read_list(job.out / "problems.csv")
    assert {row["path"]: row["kind"] for row in listed} == kinds
    assert all(len(row["why"]) > 20 for row in listed)
    shutil.rmtree(job.out)

    code = command_line(["train", str(job.source), "--out", str(job.out), *FLAGS])
    printed = capsys.readouterr()
    assert code == 2
    assert printed.err.startswith("overread: ")
    assert "Traceback" not in printed.err
    assert read_list(job.out / "problems.csv") == listed
    assert not list(job.out.glob("*.safetensors"))
    assert not (job.out / "training.json").exists()

    inputs = gather(dataclasses.replace(job, skip_bad=True), Silent())
    skipped = read_list(job.out / "skipped.csv")
    assert skipped == listed
    assert not (job.out / "problems.csv").exists()
    assert len(inputs.cohort) + rows == len(read_list(job.source))
    assert len(read_list(job.out / "split.csv")) == len(inputs.cohort)
    assert all(len(set(inputs.pixels[place].ravel().tolist())) > 1 for place in inputs.places)
    return inputs


# files that cannot be used


def write_picture(path: Path) -> None:
    Pillow.fromarray(noise(99, (200, 200))).save(path)


def write_dicom(path: Path, stored: np.ndarray | None = None, *, syntax: str | None = None, **changes: Any) -> None:
    stored = np.arange(32 * 32, dtype=np.int16).reshape(32, 32) if stored is None else stored
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.Modality, ds.PatientID, ds.PatientName = "CT", BAD_PATIENT, BAD_PATIENT
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    if syntax == RLELossless:
        ds.compress(RLELossless)
    elif syntax is not None:
        ds.PixelData = encapsulate([b"what no decoder reads" * 20])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = PRIVATE
    for name, value in changes.items():
        setattr(ds, name, value)
    ds.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=True)
    if syntax is not None:
        # pydicom writes no syntax that it does not know
        path.write_bytes(path.read_bytes().replace(PRIVATE.encode(), syntax.encode()))


def cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def cut_picture(path: Path) -> None:
    write_picture(path)
    cut(path)


def cut_dicom(path: Path) -> None:
    write_dicom(path)
    cut(path)


def cut_compressed_dicom(path: Path) -> None:
    write_dicom(path, noise(5, (64, 64)).astype(np.int16), syntax=RLELossless)
    cut(path, 0.8)


def cut_dicom_in_its_header(path: Path) -> None:
    write_dicom(path)
    cut(path, 0.15)


def text(path: Path) -> None:
    path.write_text("Findings: no acute intracranial haemorrhage. Impression: normal for age.\n")


def png_of(width: int, height: int) -> Spoil:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def write(path: Path) -> None:
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        pixels = zlib.compress(bytes(1000))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))

    return write


def dicom_of(rows: int, columns: int) -> Spoil:
    return lambda path: write_dicom(path, Rows=rows, Columns=columns)


def nan_tiff(path: Path) -> None:
    pixels = noise(3).astype(np.float32)
    pixels[2, 3] = np.nan
    Pillow.fromarray(pixels).save(path)


def volume(*shape: int, nan: bool = False) -> Spoil:
    def write(path: Path) -> None:
        voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        if nan:
            voxels[0, 0, 0] = np.nan
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)

    return write


FILES: list[tuple[str, Spoil, str]] = [
    ("cut.png", cut_picture, "truncated"),
    ("cut.jpg", cut_picture, "truncated"),
    ("cut.tif", cut_picture, "truncated"),
    ("cut.dcm", cut_dicom, "truncated"),
    ("cut-rle.dcm", cut_compressed_dicom, "truncated"),
    ("cut-header.dcm", cut_dicom_in_its_header, "truncated"),
    ("empty.png", Path.touch, "empty"),
    ("empty.dcm", Path.touch, "empty"),
    ("text.jpg", text, "not-an-image"),
    ("text.dcm", text, "not-an-image"),
    ("bomb.png", png_of(60_000, 60_000), "bomb"),
    ("bomb.dcm", dicom_of(60_000, 60_000), "bomb"),
    ("nan.tif", nan_tiff, "nan"),
    ("nan.nii.gz", volume(8, 8, 1, nan=True), "nan"),
    ("zero.png", png_of(0, 4), "zero-size"),
    ("zero.dcm", dicom_of(0, 32), "zero-size"),
    ("constant.png", lambda path: Pillow.new("L", (24, 24), 7).save(path), "constant"),
    ("constant.jpg", lambda path: Pillow.new("RGB", (24, 24), (9, 9, 9)).save(path), "constant"),
    ("constant.dcm", lambda path: write_dicom(path, np.full((8, 8), -1000, np.int16)), "constant"),
    ("private.dcm", lambda path: write_dicom(path, syntax=PRIVATE), "no-codec"),
    ("jpeg-xl.dcm", lambda path: write_dicom(path, syntax=JPEG_XL), "no-codec"),
    ("folder.png", Path.mkdir, "not-an-image"),
]


@pytest.mark.parametrize(("name", "spoil", "kind"), FILES, ids=[name for name, _, _ in FILES])
def test_a_bad_file(folder: Path, capsys: pytest.CaptureFixture[str], name: str, spoil: Spoil, kind: str) -> None:
    spoil(folder / "disc" / name)
    add_rows(folder, f"disc/{name},disc,{BAD_PATIENT}")
    check(folder, capsys, kinds={f"disc/{name}": kind}, rows=1)


def test_all_bad_files_at_once_in_folders_of_classes(folder: Path) -> None:
    (folder / "list.csv").unlink()
    for name, spoil, _ in FILES[:-1]:
        spoil(folder / "disc" / name)
    expected = {f"disc/{name}": kind for name, _, kind in FILES[:-1]}
    job = make_job(folder, cohort=CohortSettings(patient_regex=r"([^/]+)\."))
    with pytest.raises(BadInputsError) as refused:
        gather(job, Silent())
    assert str(refused.value).startswith(f"{len(expected)} inputs that cannot be used (bomb 2, constant 3, empty 2,")
    assert {row["path"]: row["kind"] for row in read_list(job.out / "problems.csv")} == expected
    inputs = gather(dataclasses.replace(job, skip_bad=True), Silent())
    assert {row["path"]: row["kind"] for row in read_list(job.out / "skipped.csv")} == expected
    assert len(inputs.cohort) == N_GOOD


# rows and files that do not agree


def test_a_label_without_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_rows(folder, f"disc/gone.png,disc,{BAD_PATIENT}", f",square,{BAD_PATIENT}")
    check(folder, capsys, kinds={"disc/gone.png": "no-file", "list.csv": "bad-row"}, rows=2)
    # the header is the first line
    assert "line 14 of list.csv names it" in (folder.parent / "run/skipped.csv").read_text()


def test_a_file_without_a_label(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(folder / "disc/no-row.png")
    write_picture(folder / "disc/no-word.png")
    add_rows(folder, f"disc/no-word.png,,{BAD_PATIENT}")
    check(folder, capsys, kinds={"disc/no-row.png": "no-label", "disc/no-word.png": "no-label"}, rows=1)


def test_a_file_beside_the_folders_of_classes(folder: Path) -> None:
    write_picture(folder / "lost.png")
    job = make_job(folder, cohort=CohortSettings(patient_regex=r"([^/]+)\.png"))
    with pytest.raises(BadInputsError, match=r"lost\.png: it lies beside the class folders, so it has no label"):
        gather(job, Silent())
    assert len(gather(dataclasses.replace(job, skip_bad=True), Silent()).cohort) == N_GOOD
    # the list itself is told of, and stops nothing
    found = {row["path"]: row["kind"] for row in read_list(job.out / "skipped.csv")}
    assert found == {"lost.png": "no-label", "list.csv": "unlisted"}


@pytest.mark.parametrize("spelling", ["disc/0.png", "./disc/0.png", "disc//../disc/0.png", "disc\\0.png", "link.png"])
def test_two_rows_for_one_file(folder: Path, capsys: pytest.CaptureFixture[str], spelling: str) -> None:
    (folder / "link.png").symlink_to("disc/0.png")
    add_rows(folder, f"{spelling},disc,P0")
    path = "link.png" if spelling == "link.png" else "disc/0.png"
    inputs = check(folder, capsys, kinds={path: "two-rows"}, rows=1)
    assert "disc/0.png" in [row.path for row in inputs.cohort.rows]


@pytest.mark.parametrize("spelling", ["disc/0.png", "./disc/0.png", "link.png"])
def test_two_labels_for_one_file(folder: Path, capsys: pytest.CaptureFixture[str], spelling: str) -> None:
    (folder / "link.png").symlink_to("disc/0.png")
    add_rows(folder, f"{spelling},square,P0")
    kinds = {"disc/0.png": "two-labels"} | ({"link.png": "two-labels"} if spelling == "link.png" else {})
    inputs = check(folder, capsys, kinds=kinds, rows=2)
    assert "disc/0.png" not in [row.path for row in inputs.cohort.rows]


def test_a_line_with_too_many_cells(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_rows(folder, f"disc/gone.png,disc,{BAD_PATIENT},and,more")
    check(folder, capsys, kinds={"list.csv": "bad-row"}, rows=1)
    assert "line 14 has 5 cells for 3 columns" in (folder.parent / "run/skipped.csv").read_text()


def test_a_word_that_is_no_part(folder: Path) -> None:
    rows = read_list(folder / "list.csv")
    parts = ["train", "train", "train", "train", "val", "val", "test", "test", "train", "train", "train", "Jane"]
    lines = [f"{row['path']},{row['label']},{part}\n" for row, part in zip(rows, parts, strict=True)]
    (folder / "list.csv").write_text("path,label,split\n" + "".join(lines))
    job = make_job(folder / "list.csv")
    with pytest.raises(
        BadInputsError, match=r"square/11\.png: line 13 of list\.csv has a word for its part"
    ) as refused:
        gather(job, Silent())
    assert "Jane" not in str(refused.value)
    assert len(gather(dataclasses.replace(job, skip_bad=True), Silent()).cohort) == N_GOOD - 1


# what goes wrong besides


def test_so_many_bad_images_that_patients_lack_is_told_as_such(folder: Path) -> None:
    for at in range(0, N_GOOD - 4, 2):
        (folder / f"disc/{at}.png").write_bytes(b"")
    job = make_job(folder / "list.csv")
    for skip_bad in (False, True):
        with pytest.raises(SplitError, match=r"Class disc has too few .*Not counted: 4 inputs .*\(empty 4\)"):
            gather(dataclasses.replace(job, skip_bad=skip_bad), Silent())
        assert [row["kind"] for row in read_list(job.out / "problems.csv")] == ["empty"] * 4
        assert not (job.out / "skipped.csv").exists()


def test_a_class_whose_images_are_all_constant_is_told_as_such(folder: Path) -> None:
    for at in range(0, N_GOOD, 2):
        Pillow.new("L", (24, 24), 7).save(folder / f"disc/{at}.png")
    job = make_job(folder / "list.csv", skip_bad=True)
    with pytest.raises(SplitError, match=r"disc: 0.*Not counted: 6 inputs .*\(constant 6\)"):
        gather(job, Silent())


def test_a_list_of_which_nothing_is_left_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(CohortError, match=r"no image that can be used.*\(empty 12\)"):
        gather(make_job(folder / "list.csv"), Silent())
    assert command_line(["train", str(folder / "list.csv"), "--out", str(folder.parent / "run"), *FLAGS]) == 2
    assert "disc/0.png is empty" in capsys.readouterr().err.replace("disc/0.png: 0.png", "disc/0.png")
    assert not (folder.parent / "run").exists()


def test_every_bad_frame_of_a_file_is_told(folder: Path) -> None:
    pages = [Pillow.fromarray(noise(at)) for at in range(3)]
    blank = Pillow.new("L", (24, 24), 7)
    pages[0].save(folder / "disc/pages.tif", save_all=True, append_images=[blank, pages[1], blank, pages[2]])
    add_rows(folder, "disc/pages.tif,disc,P99")
    job = make_job(folder / "list.csv", skip_bad=True)
    inputs = gather(job, Silent())
    assert [row.frame for row in inputs.cohort.rows if row.path == "disc/pages.tif"] == [0, 2, 4]
    reasons = [row["why"] for row in read_list(job.out / "skipped.csv")]
    assert ["frame 1" in reasons[0], "frame 3" in reasons[1], len(reasons)] == [True, True, 2]


def test_bad_images_change_nothing_for_the_good_ones(folder: Path) -> None:
    job = make_job(folder / "list.csv")
    clean = gather(job, Silent())
    pixels = [clean.pixels[place].tobytes() for place in clean.places]
    shutil.rmtree(job.out)
    text(folder / "disc/text.png")
    add_rows(folder, "disc/text.png,disc,P99")
    left = gather(dataclasses.replace(job, skip_bad=True), Silent())
    assert [left.pixels[place].tobytes() for place in left.places] == pixels
    assert (left.split, left.sha256) == (clean.split, clean.sha256)
