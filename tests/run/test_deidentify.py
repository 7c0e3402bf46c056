from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from PIL import ImageDraw
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import RLELossless

from overread.cli.main import run
from overread.data.phantom import PhantomSettings, make_phantoms

DCIODVFY = Path("/usr/bin/dciodvfy")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    make_phantoms(folder, PhantomSettings(patients=3, slices=2, size_px=128, seed=3))
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".dcm":
            path.unlink()
    return folder


def _copies(out: Path) -> list[Path]:
    return sorted(out.rglob("*.dcm"))


def test_a_folder_is_cleaned_and_a_second_run_goes_on(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean"
    assert run(["deidentify", str(scans), "--out", str(out)]) == 0
    first = capsys.readouterr().out
    assert "6 written" in first
    assert "The key is new" in first
    copies = _copies(out)
    assert len(copies) == 6
    assert (tmp_path / "clean.key").stat().st_mode & 0o077 == 0
    patients = {str(pydicom.dcmread(path).PatientID) for path in copies}
    assert len(patients) == 3
    sources = {str(pydicom.dcmread(path).PatientID) for path in scans.rglob("*.dcm")}
    told = first + (out / "deidentified.csv").read_text() + " ".join(map(str, copies))
    assert not any(source in told for source in sources)
    copies[0].unlink()
    assert run(["deidentify", str(scans), "--out", str(out)]) == 0
    assert "1 written" in (said := capsys.readouterr().out)
    assert "5 there already" in said
    assert _copies(out) == copies


def _name_age_and_device(scans: Path) -> None:
    for path in scans.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.PatientAge, dataset.PatientSex, dataset.DeviceSerialNumber = "083Y", "F", "SN-4711"
        dataset.save_as(path)


def test_other_options_make_copies_again(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _name_age_and_device(scans)
    out = tmp_path / "clean"
    words = ["deidentify", str(scans), "--out", str(out)]
    assert run([*words, "--keep-characteristics", "--keep-device", "--shift-dates"]) == 0
    assert {pydicom.dcmread(path).DeviceSerialNumber for path in _copies(out)} == {"SN-4711"}
    assert run(words) == 0
    assert "6 written again" in capsys.readouterr().out
    for path in _copies(out):
        copy = pydicom.dcmread(path)
        assert not copy.get("PatientAge")
        assert not copy.get("PatientSex")
        assert not copy.get("StudyDate")
        assert [item.CodeValue for item in copy.DeidentificationMethodCodeSequence] == ["113100"]
        assert b"SN-4711" not in path.read_bytes()
    before = {path: path.read_bytes() for path in _copies(out)}
    assert run(words) == 0
    assert "6 there already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in _copies(out)} == before


def test_copies_that_a_run_did_not_make_are_told_of(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(scans.rglob("*.dcm"))[0]
    dataset = pydicom.dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    out = tmp_path / "clean"
    assert run(["deidentify", str(scans), "--out", str(out), "--anyway"]) == 0
    assert "Not of this run" not in capsys.readouterr().out
    assert run(["deidentify", str(scans), "--out", str(out)]) == 2
    said = capsys.readouterr().out
    assert "5 there already" in said
    assert "other options may have made them: 1 DICOM files" in said


def test_an_image_that_comes_twice_is_written_once(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(sorted(scans.rglob("*.dcm"))[0], scans / "twice.dcm")
    words = ["deidentify", str(scans), "--out", str(tmp_path / "clean")]
    assert run(words) == 0
    assert "6 written, 1 there already" in capsys.readouterr().out
    assert run(words) == 0
    assert "7 there already" in capsys.readouterr().out


def test_another_image_under_the_same_uid_is_told_of_and_replaces_nothing(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = sorted(scans.rglob("*.dcm"))[:2]
    dataset = pydicom.dcmread(one)
    dataset.PixelData = bytes(reversed(dataset.PixelData))
    dataset.save_as(other)
    out = tmp_path / "clean"
    assert run(["deidentify", str(one), str(other), "--out", str(out)]) == 2
    assert "with other content" in (out / "deidentified.csv").read_text()
    (copy,) = _copies(out)
    assert pydicom.dcmread(copy).PixelData == pydicom.dcmread(one).PixelData
    assert "1 refused" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_image_without_a_place_is_refused_and_the_others_are_written(
    scans: Path, tmp_path: Path, name: str
) -> None:
    first = sorted(scans.rglob("*.dcm"))[0]
    dataset = pydicom.dcmread(first)
    del dataset[name]
    dataset.save_as(first)
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 2
    assert f"no {name}" in (tmp_path / "clean" / "deidentified.csv").read_text()
    assert len(_copies(tmp_path / "clean")) == 5


def test_text_in_the_pixels_sets_a_file_aside(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(scans.rglob("*.dcm"))[0]
    dataset = pydicom.dcmread(path)
    canvas = Picture.new("L", (128, 128))
    ImageDraw.Draw(canvas).text((2, 2), "MILLER A", fill=255)
    pixels = dataset.pixel_array.copy()
    pixels[np.asarray(canvas) > 128] = pixels.max()
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)
    told = pydicom.dcmread(sorted(scans.rglob("*.dcm"))[1])
    told.BurnedInAnnotation = "YES"
    told.save_as(sorted(scans.rglob("*.dcm"))[1])
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 2
    said = capsys.readouterr().out
    assert "2 set aside" in said
    assert "letters are seen" in said
    assert "its header says" in said
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean"), "--anyway"]) == 0
    assert len(_copies(tmp_path / "clean")) == 6


def _first(scans: Path) -> tuple[Path, pydicom.FileDataset]:
    path = sorted(scans.rglob("*.dcm"))[0]
    return path, pydicom.dcmread(path)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "Secondary Capture"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.6.1", "Ultrasound"),
        ("Modality", "us", "images of its kind (US)"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "a label or a screen"),
        ("SpecimenLabelInImage", "YES", "a label or a screen"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_images_that_often_have_names_in_them_are_set_aside(
    scans: Path, tmp_path: Path, name: str, value: str | list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, dataset = _first(scans)
    setattr(dataset, name, value)
    dataset.save_as(path)
    assert run(["deidentify", str(path), "--out", str(tmp_path / "clean")]) == 2
    assert "1 set aside" in (said := capsys.readouterr().out)
    assert why in said


def _lettered(dataset: pydicom.Dataset, colour: tuple[int, int, int], *, frame: int, n_frames: int) -> None:
    """Make it a colour image of many frames, with a name in one of them."""
    frames = np.zeros((n_frames, 128, 128, 3), np.uint8)
    canvas = Picture.new("RGB", (128, 128))
    ImageDraw.Draw(canvas).text((2, 2), "MILLER A", fill=colour)
    frames[frame] = np.asarray(canvas)
    frames[:, 50:80, 50:80] = 200
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.NumberOfFrames, dataset.PixelData = n_frames, frames.tobytes()


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (255, 0, 255), (255, 255, 255)])
def test_a_name_of_any_colour_in_any_frame_sets_a_file_aside(
    scans: Path, tmp_path: Path, colour: tuple[int, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    path, dataset = _first(scans)
    _lettered(dataset, colour, frame=3, n_frames=9)
    dataset.save_as(path)
    assert run(["deidentify", str(path), "--out", str(tmp_path / "clean")]) == 2
    assert "letters are seen near the edge of frame 3" in capsys.readouterr().out


def _without_syntax(content: bytes) -> bytes:
    at = content.index(b"\x02\0\x10\0UI")
    end = at + 8 + int.from_bytes(content[at + 6 : at + 8], "little")
    length = int.from_bytes(content[140:144], "little") - (end - at)
    return content[:140] + length.to_bytes(4, "little") + content[144:at] + content[end:]


@pytest.mark.parametrize("spoil", [lambda content: content + bytes(64), _without_syntax])
def test_odd_ends_and_beginnings_of_files_are_got_over(
    scans: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path, _ = _first(scans)
    path.write_bytes(spoil(path.read_bytes()))
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 0
    assert len(_copies(tmp_path / "clean")) == 6


def test_a_file_that_cannot_be_written_anew_hides_no_other(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = _first(scans)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean"), "--anyway"]) == 2
    said = capsys.readouterr().out
    assert "5 written" in said
    assert "1 refused" in said


def test_no_value_of_a_file_is_in_the_reason_why_it_was_refused(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, dataset = _first(scans)
    dataset[0x00280008] = RawDataElement(Tag(0x00280008), "IS", 6, b"Miller", 0, False, True)
    dataset.save_as(path)
    assert run(["deidentify", str(path), "--out", str(tmp_path / "clean")]) == 2
    assert "Miller" not in capsys.readouterr().out + (tmp_path / "clean/deidentified.csv").read_text()


def test_an_overlay_in_compressed_pixels_sets_a_file_aside(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted(scans.rglob("*.dcm"))[0]
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 15)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 2
    assert "1 set aside" in (said := capsys.readouterr().out)
    assert "an overlay lies in its compressed pixels" in said
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean"), "--anyway"]) == 0


def test_what_is_no_dicom_image_is_refused_without_its_name(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scans / "Miller^Anna.txt").write_text("a letter")
    Picture.new("L", (8, 8)).save(scans / "Miller.png")
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 2
    said = capsys.readouterr().out
    assert "2 refused" in said
    assert "Miller" not in said + (tmp_path / "clean/deidentified.csv").read_text()


def test_a_key_is_made_and_told_of_when_it_is_used(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "nowhere"):
        assert run(["deidentify", str(tmp_path / wrong), "--out", str(tmp_path / "clean")]) == 2
    assert not (tmp_path / "clean.key").exists()
    assert run(["deidentify", str(scans), "--out", str(tmp_path / "clean")]) == 0
    assert "The key is new" in capsys.readouterr().out


@pytest.mark.parametrize("has_other", [True, False], ids=["another", "lost"])
def test_copies_of_one_folder_are_made_with_one_key(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], has_other: bool
) -> None:
    """A patient with two names would be in training and in test."""
    words = ["deidentify", str(scans), "--out", str(tmp_path / "clean")]
    assert run(words) == 0
    copies, key = _copies(tmp_path / "clean"), tmp_path / "clean.key"
    kept = key.read_text()
    key.unlink()
    if has_other:
        key.write_text("ab" * 32)
    capsys.readouterr()
    assert run(words) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert _copies(tmp_path / "clean") == copies
    assert key.exists() == has_other
    key.write_text(kept)
    assert run(words) == 0
    assert "6 there already" in capsys.readouterr().out


def test_the_folder_that_one_stands_in_takes_copies(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clean").mkdir()
    monkeypatch.chdir(tmp_path / "clean")
    assert run(["deidentify", "../scans", "--out", "."]) == 0
    assert (tmp_path / "clean.key").exists()
    assert len(_copies(tmp_path / "clean")) == 6
    assert run(["deidentify", "../scans", "--out", "/"]) == 2


def test_what_a_killed_run_left_half_written_goes(scans: Path, tmp_path: Path) -> None:
    words = ["deidentify", str(scans), "--out", str(tmp_path / "clean")]
    run(words)
    copy = _copies(tmp_path / "clean")[0]
    (copy.parent / f".part-0123-{copy.name}").write_bytes(b"half")
    run(words)
    assert len(_copies(tmp_path / "clean")) == 6


@pytest.mark.parametrize("key", ["clean/inside.key", "broken.key"])
def test_a_key_in_the_wrong_place_is_refused(scans: Path, tmp_path: Path, key: str) -> None:
    (tmp_path / "broken.key").write_text("nonsense")
    words = ["deidentify", str(scans), "--out", str(tmp_path / "clean"), "--key", str(tmp_path / key)]
    assert run(words) == 2
    assert not _copies(tmp_path / "clean")


@pytest.mark.skipif(not DCIODVFY.exists(), reason="dicom3tools are not installed (Debian: dicom3tools)")
def test_copies_are_as_valid_as_their_sources(scans: Path, tmp_path: Path) -> None:
    run(["deidentify", str(scans), "--out", str(tmp_path / "clean")])

    def errors(path: Path) -> list[str]:
        said = subprocess.run([DCIODVFY, path], capture_output=True, text=True, timeout=60).stderr
        return [line for line in said.splitlines() if "Error" in line]

    assert errors(_copies(tmp_path / "clean")[0]) == errors(sorted(scans.rglob("*.dcm"))[0])


@pytest.mark.parametrize("out", ["", "clean", "deep/clean"])
def test_copies_among_what_is_to_be_cleaned_are_refused(
    scans: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(scans.rglob("*"))
    assert run(["deidentify", str(scans), "--out", str(scans / out), "--key", str(scans.parent / "key")]) != 0
    assert "Choose a folder beside it" in " ".join(capsys.readouterr().err.split())
    assert sorted(scans.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "out", "why"),
    [
        ("scans", "scans/out", "cleaned again"),
        ("scans", "scans", "cleaned again"),
        ("scans", "link/a/b", "cleaned again"),
        ("scans", "", "who gets the copies"),
        ("scans/{file}", "scans", "who gets the copies"),
    ],
)
def test_copies_lie_apart_from_what_is_cleaned(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, out: str, why: str
) -> None:
    (tmp_path / "link").symlink_to(scans)
    before = sorted(tmp_path.rglob("*"))
    file = sorted(scans.rglob("*.dcm"))[0].relative_to(scans)
    where = ["--out", str(tmp_path / out), "--key", str(tmp_path.parent / f"{tmp_path.name}.key")]
    assert run(["deidentify", str(tmp_path / given.format(file=file)), *where]) == 2
    assert why in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
