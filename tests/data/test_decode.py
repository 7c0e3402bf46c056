from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import overread.data.decode as decode_module
from overread.data.alike import fingerprint
from overread.data.decode import Decoded, File, decode_file, decode_files
from overread.data.image import prepare, read_image
from overread.data.measures import measure
from overread.errors import RunError
from overread.settings import ImageSettings

SETTINGS = ImageSettings(size_px=16)


def picture(path: Path, seed: int = 0) -> File:
    noise = np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)
    Pillow.fromarray(noise).save(path)
    return File(name=f"a/{path.name}", path=path, frames=(0,), rows=(seed,))


def pictures(folder: Path, n: int) -> list[File]:
    return [picture(folder / f"{at}.png", at) for at in range(n)]


def target(folder: Path, n: int) -> Path:
    np.save(folder / "pixels.npy", np.zeros((n, 16, 16, 3), np.uint8))
    return folder / "pixels.npy"


def test_a_file_fills_its_rows(tmp_path: Path) -> None:
    file = picture(tmp_path / "1.png")
    pixels = np.zeros((3, 16, 16, 3), np.uint8)
    found = list(decode_file(File(name="1.png", path=file.path, frames=(0,), rows=(2,)), pixels, SETTINGS))
    expected = prepare(read_image(file.path), SETTINGS)
    assert (pixels[2] == expected).all()
    assert not pixels[:2].any()
    assert [(decoded.rows, decoded.problem) for decoded in found] == [((2,), None)]
    assert (found[0].fingerprint == fingerprint(expected)).all()
    assert found[0].measures is not None
    assert (found[0].measures == measure(read_image(file.path), expected, fit="squash")).all()


def test_a_file_that_cannot_be_opened_is_one_problem_of_all_its_rows(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("no picture at all")
    file = File(name="a/1.png", path=tmp_path / "1.png", frames=(0, 1), rows=(4, 7))
    (found,) = decode_file(file, np.zeros((8, 16, 16, 3), np.uint8), SETTINGS)
    assert found.rows == (4, 7)
    assert found.problem is not None
    assert (found.problem.path, found.problem.kind) == ("a/1.png", "not-an-image")


def test_too_little_memory_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise MemoryError

    file = picture(tmp_path / "1.png")
    for name in ("read_frames", "prepare"):
        with monkeypatch.context() as patch:
            patch.setattr(decode_module, name, refuse)
            with pytest.raises(RunError, match=r"a/1\.png needs more memory"):
                list(decode_file(file, np.zeros((1, 16, 16, 3), np.uint8), SETTINGS))


@pytest.mark.slow
def test_processes_do_what_one_does(tmp_path: Path) -> None:
    files = pictures(tmp_path, 60)
    files[7].path.write_bytes(files[7].path.read_bytes()[:100])
    found: dict[int, dict[tuple[int, ...], Decoded]] = {}
    arrays = {}
    for workers in (0, 3):
        reports: list[Decoded] = []
        decode_files(files, target(tmp_path, 60), SETTINGS, workers=workers, report=reports.append)
        found[workers] = {decoded.rows: decoded for decoded in reports}
        arrays[workers] = np.load(tmp_path / "pixels.npy")
        assert len(reports) == 60
    assert (arrays[0] == arrays[3]).all()
    assert found[0].keys() == found[3].keys()
    for rows, decoded in found[0].items():
        assert decoded.problem == found[3][rows].problem
        assert np.array_equal(decoded.fingerprint, found[3][rows].fingerprint)  # type: ignore[arg-type]
        assert np.array_equal(decoded.measures, found[3][rows].measures)  # type: ignore[arg-type]


def test_few_files_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decode_module, "_in_processes")
    reports: list[Decoded] = []
    decode_files(pictures(tmp_path, 5), target(tmp_path, 5), SETTINGS, workers=8, report=reports.append)
    assert [decoded.rows for decoded in reports] == [(at,) for at in range(5)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
def test_a_worker_that_is_killed_ends_the_work(tmp_path: Path) -> None:
    def kill(_: Decoded) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()

    with pytest.raises(RunError, match=r"killed.*fewer --workers"):
        decode_files(pictures(tmp_path, 300), target(tmp_path, 300), SETTINGS, workers=2, report=kill)


def test_workers_that_never_start_are_told_from_killed_ones(tmp_path: Path) -> None:
    said = decode_module._killed(pictures(tmp_path, 2), [0, 2])
    assert "did not start" in said
    assert '__name__ == "__main__"' in said
    assert "read a/1.png;" in decode_module._killed(pictures(tmp_path, 2), [2, 1])
