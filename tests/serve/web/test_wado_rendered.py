from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image as Picture
from tests.serve.conftest import arrive
from tests.serve.web.test_accept import path_of

from overread.errors import ImageError
from overread.serve.model import ServedModel
from overread.serve.service import Service
from overread.serve.store import open_store
from overread.serve.web.app import make_app
from overread.serve.web.wado_rendered import picture_of

ROWS, COLUMNS = 24, 48
HU = np.linspace(-100, 100, ROWS * COLUMNS).astype(np.int16).reshape(ROWS, COLUMNS)
"""a ramp, the lowest at the upper left"""


@pytest.fixture(scope="module")
def client(model_folder: Path, slices: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Of a service with one CT object of two frames, the second the first upside down, and a plain image."""
    folder = tmp_path_factory.mktemp("rendered")
    dataset = pydicom.dcmread(slices[0])
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = ROWS, COLUMNS, 2
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelRepresentation = 1, -1024, 0
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = np.stack([HU + 1024, HU[::-1] + 1024]).astype("<u2").tobytes()
    dataset.save_as(folder / "ramp.dcm")
    service = Service(open_store(folder / "store"), ServedModel(model_folder))
    files = [arrive(service.store, path) for path in (folder / "ramp.dcm", slices[1])]
    service.intake.take(files, came_by="stow", who="me")
    with TestClient(make_app(service), base_url="http://127.0.0.1") as client:
        client.headers["accept"] = "image/png"
        yield client


def _shown(client: TestClient, path: str, **query: str) -> NDArray[np.int16]:
    response = client.get(path, params=query)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    return np.asarray(Picture.open(io.BytesIO(response.content))).astype(np.int16)


def test_a_window_is_put_on_the_values(client: TestClient, slices: list[Path]) -> None:
    place = f"{path_of(slices[0])}/rendered"
    exact = _shown(client, place, window="0,100,linear-exact")
    np.testing.assert_allclose(exact, np.clip((HU + 50) * 2.55, 0, 255), atol=1)
    linear = _shown(client, place, window="0.5,101,linear")
    np.testing.assert_allclose(linear, exact, atol=1)
    bent = _shown(client, place, window="0,100,sigmoid")
    np.testing.assert_allclose(bent, 255 / (1 + np.exp(-4 * HU / 100.0)), atol=1)
    assert (_shown(client, place) != exact).any()


def test_a_frame_is_counted_from_one(client: TestClient, slices: list[Path]) -> None:
    window = "0,100,linear-exact"
    first, second = (
        _shown(client, f"{path_of(slices[0])}/frames/{number}/rendered", window=window) for number in (1, 2)
    )
    np.testing.assert_array_equal(first, second[::-1])
    np.testing.assert_array_equal(first, _shown(client, f"{path_of(slices[0])}/rendered", window=window))
    gone = client.get(f"{path_of(slices[0])}/frames/3/rendered")
    assert (gone.status_code, gone.json()["detail"]) == (404, "The object has no frame 3.")


@pytest.mark.parametrize(("viewport", "shape"), [("24,24", (12, 24)), ("96,24", (24, 48)), ("192,960", (96, 192))])
def test_a_picture_fits_into_its_viewport(
    client: TestClient, slices: list[Path], viewport: str, shape: tuple[int, int]
) -> None:
    assert _shown(client, f"{path_of(slices[0])}/rendered", viewport=viewport).shape == shape


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_thumbnail_is_small(client: TestClient, slices: list[Path], level: str) -> None:
    assert max(_shown(client, f"{path_of(slices[0], level)}/thumbnail").shape) == 128
    assert max(_shown(client, f"{path_of(slices[0], level)}/thumbnail", viewport="32,32").shape) == 32
    assert client.get(f"{path_of(slices[0], level)}/thumbnail", headers={"Accept": "text/csv"}).status_code == 406


@pytest.mark.parametrize(
    "query",
    ["window=1", "window=0,0,linear", "window=0,-5,linear", "window=0,5,LINEAR", "viewport=0,5", "viewport=5"],
)
def test_what_is_not_understood_is_refused(client: TestClient, slices: list[Path], query: str) -> None:
    assert client.get(f"{path_of(slices[0])}/rendered?{query}").status_code == 422


def test_what_is_too_long_for_a_jpeg_is_a_png(tmp_path: Path) -> None:
    Picture.linear_gradient("L").resize((1, 66_000)).save(tmp_path / "long.png")
    assert picture_of(tmp_path / "long.png", "PNG").startswith(b"\x89PNG")
    with pytest.raises(ImageError, match=r"Ask for image/png\."):
        picture_of(tmp_path / "long.png", "JPEG")
