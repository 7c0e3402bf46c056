from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from overread.data.image import read_image
from overread.errors import ImageError, ModelError
from overread.model import bundle
from overread.model.backbones import create
from overread.model.bundle import Card
from overread.model.export import export_onnx
from overread.predict import BATCH, CHUNK, Predictor, image_files, load
from overread.settings import ImageSettings

CLASSES = ("dark", "light", "mixed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    export_onnx(create("test_resnet", 3, seed=0), folder / bundle.NETWORK, size_px=64)
    card = Card(
        backbone="test_resnet",
        classes=CLASSES,
        image=ImageSettings(size_px=64, window="header"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        weights_source="none",
    )
    bundle.seal(folder, card)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty pictures of noise: more than go through the network at once."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(BATCH + 4):
        Picture.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(folder / f"{number:02}.png")
    return folder


def test_every_file_is_predicted_in_order_and_alone_as_together(model: Path, pictures: Path) -> None:
    files = list(image_files([pictures]))
    predictor = load(model)
    found = list(predictor.predict_files(files))
    assert [p.path for p in found] == [str(path) for path in files]
    for path, prediction in zip(files, found, strict=True):
        assert list(prediction.probabilities) == list(CLASSES)
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        alone = predictor.predict_image(read_image(path))
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert len({tuple(p.probabilities.values()) for p in found}) == len(files)


def test_a_bad_file_hides_no_other(model: Path, pictures: Path) -> None:
    (pictures / "05.png").write_text("not a picture")
    (pictures / "11.png").write_bytes(b"")
    found = list(Predictor(model).predict_files(image_files([pictures])))
    assert [Path(p.path).name for p in found] == [f"{number:02}.png" for number in range(BATCH + 4)]
    bad = {Path(p.path).name: p for p in found if p.problem}
    assert set(bad) == {"05.png", "11.png"}
    assert all(p.label is None and not p.probabilities for p in bad.values())


def test_a_bad_slice_hides_no_other(model: Path, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).normal(size=(32, 32, 4)).astype(np.float32)
    voxels[..., 1] = np.nan
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    found = list(Predictor(model).predict_files([path]))
    assert [(p.frame, p.problem is None) for p in found] == [(0, True), (1, False), (2, True), (3, True)]


def test_files_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.png", ".hidden/3.png", "b/.4.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(image_files([tmp_path])) == [tmp_path / "a.png", tmp_path / "b" / "2.png"]
    with pytest.raises(ImageError, match="does not exist"):
        image_files([tmp_path / "c"])


def test_a_changed_network_is_not_run(model: Path, tmp_path: Path) -> None:
    for name in (bundle.CARD, bundle.NETWORK):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    with (tmp_path / bundle.NETWORK).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelError, match=bundle.NETWORK):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"), [("classes", ["dark", "light"]), ("image", {"size_px": 96, "window": "header"})]
)
def test_a_card_of_another_network_is_refused_before_any_image(
    model: Path, tmp_path: Path, field: str, value: object
) -> None:
    content = json.loads((model / bundle.CARD).read_text())
    content[field] = value
    (tmp_path / bundle.CARD).write_text(json.dumps(content))
    (tmp_path / bundle.NETWORK).write_bytes((model / bundle.NETWORK).read_bytes())
    with pytest.raises(ModelError, match="speaks of"):
        Predictor(tmp_path)


def test_nothing_is_left_in_the_home_folder(model: Path, pictures: Path, tmp_path: Path) -> None:
    """The wheels of onnxruntime write an identifier there unless they are told not to."""
    home = tmp_path / "home"
    home.mkdir()
    there = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    telemetry = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
    kept = {name: value for name, value in os.environ.items() if name not in telemetry}
    subprocess.run(
        [sys.executable, "-m", "overread", "predict", str(model), str(pictures / "00.png")],
        env=kept | there,
        check=True,
        capture_output=True,
    )
    assert list(home.rglob("*")) == []


def test_files_come_in_the_order_of_their_paths_and_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    for name in ("b/1.png", "b.png", "b/c/0.png", "a-1/z.png", "a/z.png", ".hidden/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "again").symlink_to(tmp_path)
    below = [p for p in tmp_path.rglob("*") if p.is_file() and ".hidden" not in p.parts and "again" not in p.parts]
    assert list(image_files([tmp_path])) == sorted(below)


def test_files_are_read_no_further_ahead_than_needed(model: Path, pictures: Path) -> None:
    asked = []

    def endless() -> Iterator[Path]:
        path = pictures / "00.png"
        while True:
            asked.append(path)
            yield path

    found = Predictor(model, cores=2).predict_files(endless())
    first = next(found)
    assert first.label is not None
    assert len(asked) <= 3 * CHUNK + 2 * CHUNK
    found.close()
    said = [next(Predictor(model).predict_files(endless())) for _ in range(2)]
    assert said[0] == said[1] == first


def test_an_error_in_the_list_of_files_is_not_swallowed(model: Path, pictures: Path) -> None:
    def breaks() -> Iterator[Path]:
        yield pictures / "00.png"
        raise RuntimeError("the list ended")

    with pytest.raises(RuntimeError, match="the list ended"):
        list(Predictor(model).predict_files(breaks()))


@pytest.mark.parametrize("cores", [1, 2, 40])
def test_the_answers_do_not_depend_on_the_cores(model: Path, pictures: Path, cores: int) -> None:
    (pictures / "03.png").write_text("no picture")
    files = list(image_files([pictures]))
    for found, expected in zip(
        Predictor(model, cores=cores).predict_files(files), Predictor(model).predict_files(files), strict=True
    ):
        assert (found.path, found.problem, found.label) == (expected.path, expected.problem, expected.label)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_many_images_at_once_are_as_each_alone(model: Path) -> None:
    predictor = Predictor(model, cores=3)
    pixels = np.random.default_rng(0).integers(0, 256, (29, 64, 64, 3), np.uint8)
    together = predictor.say(pixels, maps=True)
    assert together.class_maps is not None
    assert together.class_maps.shape[:2] == (29, 3)
    for i in (0, 7, 8, 28):
        alone = predictor.say(pixels[i : i + 1], maps=True)
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[i], atol=1e-6)
        np.testing.assert_allclose(alone.class_maps[0], together.class_maps[i], atol=1e-4)  # type: ignore[index]
