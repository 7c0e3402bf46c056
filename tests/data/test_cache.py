from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import overread.data.cache as cache_module
from overread.data.alike import fingerprint
from overread.data.cache import Cache, build_cache
from overread.data.cohort import Cohort, CohortSettings, read_cohort
from overread.data.image import prepare, read_frames, read_image
from overread.data.measures import NAMES, measure
from overread.errors import RunError
from overread.settings import ImageSettings

SETTINGS = ImageSettings(size_px=32)
N_FILES = 30


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """30 pictures of noise in two classes, and one document of three pages."""
    rng = np.random.default_rng(0)
    for at in range(N_FILES):
        path = tmp_path / f"images/{'ab'[at % 2]}/{at:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)).save(path)
    pages = [Pillow.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(tmp_path / "images/b/pages.tif", save_all=True, append_images=pages[1:])
    return tmp_path / "images"


def build(source: Path, *, settings: ImageSettings = SETTINGS, workers: int = 0) -> Cache:
    return build_cache(read_cohort(source), settings, folder=source.parent / "cache", workers=workers)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on decoding fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(cache_module, "decode_files", refuse)


def test_every_image_is_there_as_it_is_prepared(source: Path) -> None:
    cohort = read_cohort(source)
    cache = build(source)
    assert (cache.pixels.shape, cache.pixels.dtype) == ((N_FILES + 3, 32, 32, 3), np.uint8)
    assert isinstance(cache.pixels, np.memmap)
    assert not cache.pixels.flags.writeable
    assert cache.good.tolist() == list(range(N_FILES + 3))
    assert cache.problems == ()
    assert (cache.measures.shape, cache.measures.dtype) == ((N_FILES + 3, len(NAMES)), np.float32)
    for at, row in enumerate(cohort.rows):
        image = read_image(cohort.locate(row), frame=row.frame)
        expected = prepare(image, SETTINGS)
        assert (cache.pixels[at] == expected).all()
        assert (cache.fingerprints[at] == fingerprint(expected)).all()
        assert (cache.measures[at] == measure(image, expected, fit="squash")).all()


def test_each_file_is_opened_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def count(path: Path, frames: Any, **more: Any) -> Any:
        opened.append((path.name, tuple(frames)))
        return read_frames(path, frames, **more)

    monkeypatch.setattr("overread.data.decode.read_frames", count)
    build(source)
    assert len(opened) == len({name for name, _ in opened}) == N_FILES + 1
    assert ("pages.tif", (0, 1, 2)) in opened


def test_a_second_build_decodes_nothing(source: Path, request: pytest.FixtureRequest) -> None:
    first = build(source)
    request.getfixturevalue("no_decoding")
    done = []
    cohort = read_cohort(source)
    again = build_cache(
        cohort, SETTINGS, folder=source.parent / "cache", progress=lambda n, total: done.append((n, total))
    )
    assert (again.pixels == first.pixels).all()
    assert (again.fingerprints == first.fingerprints).all()
    assert (again.measures == first.measures).all()
    assert done == [(33, 33)]


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit(source: Path) -> None:
    (source / "a/cut.png").write_bytes((source / "a/00.png").read_bytes()[:700])
    Pillow.new("L", (8, 8), 3).save(source / "b/flat.png")
    found = []
    for workers in (0, 2, 3):
        build(source, workers=workers)
        found.append(content(source.parent / "cache"))
        shutil.rmtree(source.parent / "cache")
    assert set(found[0]) == {"pixels.npy", "fingerprints.npy", "measures.npy", "cache.json"}
    assert found[0] == found[1] == found[2]


def test_progress_counts_every_image_up_to_the_last(source: Path) -> None:
    (source / "a/cut.png").write_bytes((source / "a/00.png").read_bytes()[:700])
    cohort, done = read_cohort(source), []
    build_cache(cohort, SETTINGS, folder=source.parent / "cache", progress=lambda n, total: done.append((n, total)))
    assert done == [(n, len(cohort)) for n in range(1, len(cohort) + 1)]


def test_bad_images_are_problems_and_zeros_and_not_good(source: Path) -> None:
    Pillow.new("L", (8, 8), 3).save(source / "a/flat.png")
    (source / "a/cut.png").write_bytes((source / "a/00.png").read_bytes()[:700])
    cohort = read_cohort(source)
    cache = build(source)
    bad = [at for at, row in enumerate(cohort.rows) if row.path in ("a/flat.png", "a/cut.png")]
    assert {problem.path: problem.kind for problem in cache.problems} == {
        "a/flat.png": "constant",
        "a/cut.png": "truncated",
    }
    assert sorted([*bad, *cache.good.tolist()]) == list(range(len(cohort)))
    assert not cache.pixels[bad].any()
    assert not cache.measures[bad].any()
    assert build(source).problems == cache.problems


def test_a_bad_page_leaves_the_others_good(tmp_path: Path) -> None:
    ramp = Pillow.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ramp.save(tmp_path / f"{name}/1.tif", save_all=True, append_images=[Pillow.new("L", (8, 8), 9), ramp])
    cache = build_cache(read_cohort(tmp_path), SETTINGS, folder=tmp_path / "cache")
    assert cache.good.tolist() == [0, 2, 3, 5]
    assert [problem.path for problem in cache.problems] == ["a/1.tif", "b/1.tif"]


def test_a_file_that_was_deleted_meanwhile_is_a_problem(source: Path) -> None:
    cohort = read_cohort(source)
    (source / "a/00.png").unlink()
    cache = build_cache(cohort, SETTINGS, folder=source.parent / "cache")
    assert [(problem.path, problem.kind) for problem in cache.problems] == [("a/00.png", "missing")]


def test_a_changed_file_is_read_again(source: Path) -> None:
    before = np.array(build(source).pixels)
    path = source / "a/00.png"
    stamp = path.stat()
    Pillow.fromarray(np.arange(1920, dtype=np.uint16).reshape(40, 48).astype(np.uint8)).save(path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    after = build(source).pixels
    assert (before[0] != after[0]).any()
    assert (before[1:] == after[1:]).all()


def test_other_settings_or_another_list_are_read_again(source: Path) -> None:
    build(source)
    assert build(source, settings=ImageSettings(size_px=16)).pixels.shape[1:] == (16, 16, 3)
    squash, pad = build(source), np.array(build(source, settings=ImageSettings(size_px=32, fit="pad")).pixels)
    assert (pad[:, 0] == 0).all()
    assert squash.pixels.shape == pad.shape
    (source / "b/29.png").unlink()
    assert len(build(source).pixels) == N_FILES + 2


@pytest.mark.parametrize("name", ["pixels.npy", "fingerprints.npy", "measures.npy", "cache.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "junk"])
def test_a_cache_that_is_not_whole_is_made_anew(source: Path, name: str, damage: str) -> None:
    build(source)
    path = source.parent / "cache" / name
    whole = content(path.parent)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[name][:-9], "empty": b"", "junk": b'["not", "a cache"]'}[damage])
    build(source)
    assert content(path.parent) == whole


def test_leftovers_of_a_killed_build_go(source: Path) -> None:
    folder = source.parent / "cache"
    folder.mkdir()
    (folder / ".part-0123abcd-pixels.npy").write_bytes(b"half")
    build(source)
    assert set(content(folder)) == {"pixels.npy", "fingerprints.npy", "measures.npy", "cache.json"}


_BUILD = """
import sys
from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.settings import ImageSettings
if __name__ == "__main__":
    build_cache(read_cohort(sys.argv[1]), ImageSettings(size_px=32), folder=sys.argv[2], workers=int(sys.argv[3]),
                progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_build_that_was_killed_is_repaired(source: Path, workers: int) -> None:
    build(source)
    folder = source.parent / "cache"
    whole = content(folder)
    shutil.rmtree(folder)
    (source.parent / "build.py").write_text(_BUILD)
    command = [sys.executable, str(source.parent / "build.py"), str(source), str(folder), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not (folder / "cache.json").exists() or content(folder) == whole
    time.sleep(0.2)  # workers see that their parent has gone
    build(source)
    assert content(folder) == whole


def test_nobody_is_named_in_the_cache(source: Path) -> None:
    cohort = read_cohort(source, CohortSettings(patient_regex="([0-9]+|pages)"))
    assert cohort.patients_from == "path"
    named = Cohort(root=cohort.root, rows=cohort.rows, classes=cohort.classes, patients_from="column")
    build_cache(named, SETTINGS, folder=source.parent / "cache")
    said = json.loads((source.parent / "cache/cache.json").read_text())
    assert set(said) == {"key", "bad", "problems"}
    assert (said["bad"], said["problems"]) == ([], [])


def test_a_disk_that_is_too_full_is_told_before_decoding(
    source: Path, no_decoding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(RunError, match=r"disk is too full: 33 prepared images"):
        build(source)


def test_a_folder_that_is_a_file_is_refused(source: Path) -> None:
    (source.parent / "cache").write_text("thesis")
    with pytest.raises(RunError, match="may not be written"):
        build(source)
    assert (source.parent / "cache").read_text() == "thesis"


def test_pneumoniamnist_is_cached_as_it_is(shared: Path, tmp_path: Path) -> None:
    cohort = read_cohort(shared / "data/pneumoniamnist/pneumoniamnist.npz").subset(range(0, 5856, 50))
    cache = build_cache(cohort, ImageSettings(size_px=28), folder=tmp_path)
    with np.load(shared / "data/pneumoniamnist/pneumoniamnist.npz") as archive:
        images: NDArray[np.uint8] = np.concatenate([archive[f"{part}_images"] for part in ("train", "val", "test")])
    assert (cache.pixels[..., 0] == images[::50]).all()
    assert len(cache.good) == len(cohort)
