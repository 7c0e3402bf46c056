"""The one door: whatever the format, the same way in and the same errors out."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data import image as door
from overread.data.image import prepare, read_frames, read_header, read_image
from overread.errors import ImageError
from overread.settings import ImageSettings


def test_the_door_offers_what_it_lists():
    assert all(hasattr(door, name) for name in door.__all__)


@pytest.mark.parametrize("read", [read_header, read_image, read_frames])
@pytest.mark.parametrize(("content", "kind"), [(b"", "empty"), (b"a,b\n", "not-an-image"), (None, "missing")])
def test_every_entry_refuses_alike(tmp_path, read, content, kind):
    path = tmp_path / "scan.dcm"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError) as failure:
        read(path)
    assert failure.value.kind == kind


def test_paths_may_be_text(make_dicom):
    assert read_image(str(make_dicom())).scale == "hu"


def test_dicom_and_its_picture_are_prepared_alike(make_dicom, tmp_path, ct):
    """A windowed export and the DICOM file under the same window agree to a grey level."""
    settings = ImageSettings(window="header", size_px=24)
    own = prepare(read_image(make_dicom(ct, WindowCenter=40.5, WindowWidth=81)), settings)
    Pillow.fromarray(np.rint(np.clip(ct / 80, 0, 1) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    exported = prepare(read_image(tmp_path / "a.png"), settings)
    assert np.abs(own.astype(int) - exported).max() <= 1


def test_reading_in_threads(make_dicom):
    paths = [make_dicom(name=f"{n}.dcm") for n in range(8)] * 4
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(read_image, paths))
    assert all((image.pixels == images[0].pixels).all() for image in images)


def test_nothing_slow_is_imported_for_a_picture(tmp_path):
    """Of the readers, pydicom and nibabel are imported when such a file is opened, and torch never."""
    Pillow.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "a.png")
    code = (
        "import sys; from overread.data.image import read_image; read_image(sys.argv[1]);"
        "print(sorted({'pydicom', 'nibabel', 'torch'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_pydicoms_own_settings_are_left_alone():
    code = (
        "import copy, pydicom; before = copy.deepcopy(vars(pydicom.config.settings));"
        "import overread.data.dicom; print(before == vars(pydicom.config.settings))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"


def test_a_brief_reading_has_the_same_pixels_and_names_nobody(make_dicom):
    path = make_dicom(PatientID="DOE-17", Manufacturer="Maker")
    whole, brief = next(read_frames(path)), next(read_frames(path, brief=True))
    assert np.array_equal(whole.pixels, brief.pixels)
    assert (brief.window, brief.scale, brief.inverted) == (whole.window, whole.scale, whole.inverted)
    assert whole.header.patient == "DOE-17"
    assert brief.header.patient is None
    assert set(brief.header.tags) == {"modality"}
