from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.image import prepare
from overread.data.pixels import Header, Image
from overread.data.placing import onto_image, place
from overread.errors import SettingsError
from overread.explain.trust import FILE
from overread.explain.where import evidence_for
from overread.model import bundle
from overread.run.explain import Explainer, ExplainSettings
from overread.run.job import Job
from overread.settings import ImageSettings


def seal_again(folder: Path) -> None:
    bundle.seal(folder, bundle.load_card(folder, verify=()))


@pytest.fixture
def model(finished: Job, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(finished.out, tmp_path / "model")
    return tmp_path / "model"


def test_every_image_gets_a_picture_places_and_its_likes(finished: Job) -> None:
    explainer = Explainer(finished.out, ExplainSettings())
    files = sorted((finished.source / "disc").glob("*.png"))[:3]
    found = list(explainer.explain_files(files))
    assert [one.prediction.path for one in found] == [str(path) for path in files]
    for one in found:
        assert one.label == one.prediction.label
        with Pillow.open(io.BytesIO(one.sheet)) as sheet:
            assert sheet.width > 800
        assert set(one.places) == {"outside", "edge", "letters"}
        assert len(one.like) == 5
        assert max(sum(near.patient == like.patient for near in one.like) for like in one.like) <= 2


def test_a_training_image_is_most_like_itself(finished: Job) -> None:
    explainer = Explainer(finished.out, ExplainSettings())
    split = (finished.out / "split.csv").read_text().splitlines()
    path = next(line.split(",")[0] for line in split if line.endswith(",train"))
    (found,) = explainer.explain_files([finished.source / path])
    assert found.like[0].path == path
    assert found.like[0].distance == pytest.approx(0, abs=1e-3)


def test_the_answer_is_the_predictors(finished: Job) -> None:
    explainer = Explainer(finished.out, ExplainSettings())
    path = next((finished.source / "square").glob("*.png"))
    (found,) = explainer.explain_files([path])
    (told,) = explainer.predictor.predict_files([path])
    assert dataclasses.replace(found.prediction, class_maps=None) == told


def test_a_file_that_cannot_be_read_hides_no_other(finished: Job, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    path = next((finished.source / "disc").glob("*.png"))
    bad, good = Explainer(finished.out, ExplainSettings()).explain_files([broken, path])
    assert bad.prediction.problem
    assert not bad.sheet
    assert good.sheet


def test_wrong_classes_and_methods_are_refused_in_words(finished: Job) -> None:
    for settings, said in (
        ({"about": "triangle"}, "--about triangle is no class of the model; they are disc, square"),
        ({"against": "triangle"}, "--against triangle is no class"),
        ({"method": "cam"}, "--method cam is not known; it is one of class-map"),
    ):
        with pytest.raises(SettingsError, match=said):
            Explainer(finished.out, ExplainSettings(**settings))
    with pytest.raises(SettingsError, match="--against disc is the class that is explained"):
        ExplainSettings(about="disc", against="disc")


def test_maps_that_failed_are_withheld_until_asked_for_anyway(model: Path, finished: Job) -> None:
    path = next((finished.source / "disc").glob("*.png"))
    told = {
        about: next(iter(Explainer(model, ExplainSettings(about=about)).explain_files([path])))
        for about in ("disc", "square")
    }
    about = next(name for name, one in told.items() if one.places["edge"][0] > 0)  # something speaks for it
    content = json.loads((model / FILE).read_text())
    assert Explainer(model, ExplainSettings()).failed is None
    content["checks"] = {"class-map": [{"title": "other weights, another map", "passed": False}]}
    (model / FILE).write_text(json.dumps(content))
    seal_again(model)
    sheets = {}
    for anyway in (False, True):
        explainer = Explainer(model, ExplainSettings(about=about), anyway=anyway)
        assert explainer.failed == ("other weights, another map",)
        assert explainer.withheld is not anyway
        (found,) = explainer.explain_files([path])
        sheets[anyway] = np.asarray(Pillow.open(io.BytesIO(found.sheet)))
    right = (slice(120, 300), slice(440, 800))
    assert np.ptp(sheets[False][right], axis=2).max() < 10  # an even grey: nothing of the map
    assert np.ptp(sheets[True][right], axis=2).max() > 30


def test_a_damaged_explanation_is_an_error_in_words(model: Path) -> None:
    from overread.errors import ModelError

    (model / FILE).write_text("[]")
    seal_again(model)
    with pytest.raises(ModelError, match=r"explanation\.json in .* cannot be read"):
        Explainer(model, ExplainSettings())


def test_another_method_explains_the_same_answer(finished: Job) -> None:
    """Of a network that averages its last maps HiResCAM and the class map are one."""
    path = next((finished.source / "disc").glob("*.png"))
    (plain,) = Explainer(finished.out, ExplainSettings(about="square")).explain_files([path])
    (cam,) = Explainer(finished.out, ExplainSettings(method="hires-cam", about="square")).explain_files([path])
    for name, place_of in plain.places.items():
        np.testing.assert_allclose(cam.places[name], place_of, atol=1e-3)


def brightest(pixels: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(pixels.argmax()), pixels.shape)
    return int(row), int(column)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("shape", [(64, 64), (48, 120), (200, 90)])
@pytest.mark.parametrize("changed", ["not at all", "mirrored", "cut", "upside down"])
@pytest.mark.parametrize("inverted", [False, True])
def test_evidence_lands_on_the_pixels_that_it_is_of(
    fit: str, shape: tuple[int, int], changed: str, inverted: bool
) -> None:
    """Of a network that answers to brightness alone the evidence must come back to the only bright thing."""
    settings = ImageSettings(size_px=64, fit=fit)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre = (0.3 * shape[0], 0.7 * shape[1])
    values = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * 5.0**2)).astype(np.float32)
    values = {
        "not at all": values,
        "mirrored": values[:, ::-1],
        "upside down": values[::-1],
        "cut": values[: int(0.8 * shape[0]), int(0.2 * shape[1]) :],
    }[changed]
    shape, wanted = values.shape, brightest(values)
    stored = 1 - values if inverted else values
    header = Header(format="dicom", n_frames=1, rows=shape[0], columns=shape[1], scale="raw")
    image = Image(pixels=stored, scale="raw", window=None, header=header, frame=0, inverted=inverted)
    square = prepare(image, dataclasses.replace(settings, window="header"))
    coarse = square[..., 0].reshape(8, 8, 8, 8).mean(axis=(1, 3)).astype(np.float32)
    maps = np.stack([-coarse, coarse])
    there = onto_image(evidence_for(maps, 1), place(*shape, side_px=64, fit=fit))
    found = brightest(there)
    # half a place of the map, in pixels of the image
    reach = [0.6 * max(shape) / 8] * 2 if fit == "pad" else [0.6 * side / 8 for side in shape]
    assert abs(found[0] - wanted[0]) <= reach[0]
    assert abs(found[1] - wanted[1]) <= reach[1]
