from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.image import prepare, read_frames
from overread.data.stream import PIECE, Frame, stream_frames
from overread.errors import ImageError
from overread.settings import ImageSettings

SETTINGS = ImageSettings(size_px=16, window="header")


def stream(paths: object, ahead: int = 4, threads: int = 3) -> list[Frame]:
    with ThreadPoolExecutor(threads) as pool:
        return list(stream_frames(paths, SETTINGS, pool=pool, ahead=ahead))  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Eleven pictures, a text, and a volume of more slices than are read in one go, with a bad one."""
    rng = np.random.default_rng(0)
    for number in range(11):
        Pillow.fromarray(rng.integers(0, 255, (20, 20), np.uint8)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05-not.png").write_text("nothing")
    voxels = rng.normal(size=(16, 16, 2 * PIECE + 3)).astype(np.float32)
    voxels[..., PIECE + 1] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "07-volume.nii.gz")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize(("ahead", "threads"), [(1, 1), (4, 3), (50, 8)])
def test_every_frame_comes_in_order_as_it_is_read_alone(files: list[Path], ahead: int, threads: int) -> None:
    found = stream(files, ahead, threads)
    expected = [(path, number) for path in files for number in range(2 * PIECE + 3 if "volume" in path.name else 1)]
    assert [(frame.path, frame.number) for frame in found] == [(str(path), number) for path, number in expected]
    bad = [Path(frame.path).name for frame in found if isinstance(frame.found, ImageError)]
    assert bad == ["05-not.png", "07-volume.nii.gz"]
    for frame in found:
        if not isinstance(frame.found, ImageError):
            alone = prepare(next(read_frames(frame.path, [frame.number])), SETTINGS)
            np.testing.assert_array_equal(frame.found, alone)


def test_no_more_files_are_taken_than_may_wait(files: list[Path]) -> None:
    taken = []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(files[0])
            yield files[0]

    with ThreadPoolExecutor(2) as pool:
        frames = stream_frames(endless(), SETTINGS, pool=pool, ahead=5)
        for _ in range(3):
            next(frames)
        assert len(taken) <= 5 + 3
        frames.close()


def test_no_files_are_no_frames() -> None:
    assert stream([]) == []
