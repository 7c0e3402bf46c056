from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from overread.data.image import read_image
from overread.serve.web.frames import _pixels


@pytest.mark.parametrize(
    ("spacing", "aspect"),
    [([1, 0.5], 2), ([0.5, 0.5], 1), ([0.25, 1], 0.25), ([0, 0], 1), ([1e9, 1], 1), ([1e300, 1e300], 1), (None, 1)],
)
def test_the_shape_of_a_pixel_is_told(slices: list[Path], tmp_path: Path, spacing: Any, aspect: float) -> None:
    dataset = pydicom.dcmread(slices[0])
    del dataset.PixelSpacing
    if spacing:
        dataset.PixelSpacing = spacing
    dataset.save_as(tmp_path / "one.dcm")
    assert float(_pixels(read_image(tmp_path / "one.dcm")).headers["X-Aspect"]) == aspect


@pytest.mark.parametrize(("low", "high", "window"), [(0, 0.003, "0.0015/0.003"), (0, 1, "0.5/1")])
def test_without_a_window_all_values_are_seen(tmp_path: Path, low: float, high: float, window: str) -> None:
    values = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8, 1)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "map.nii")
    center, width = (float(one) for one in _pixels(read_image(tmp_path / "map.nii")).headers["X-Window"].split("/"))
    wanted = [float(one) for one in window.split("/")]
    np.testing.assert_allclose((center, width), wanted, rtol=1e-6)
