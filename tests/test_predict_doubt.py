"""When a prediction is one class, several, or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image as Picture

from overread.data.image import read_image
from overread.errors import ModelError
from overread.model import bundle
from overread.model.backbones import create
from overread.model.bundle import Card
from overread.model.caution import FILE, Caution, write_distance
from overread.model.export import export_onnx
from overread.predict import Prediction, Predictor
from overread.settings import ImageSettings
from overread.stats.outlying import fit_mahalanobis

CLASSES = ("dark", "light", "mixed")
PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


@pytest.fixture
def make_predictor(tmp_path: Path) -> Callable[[Caution], Predictor]:
    """A model folder with this caution, opened."""
    export_onnx(create("test_resnet", 3, seed=0), tmp_path / bundle.NETWORK, size_px=64)
    outputs = {out.name: out for out in onnx.load(tmp_path / bundle.NETWORK).graph.output}
    width = outputs["features"].type.tensor_type.shape.dim[1].dim_value
    rng = np.random.default_rng(0)
    write_distance(tmp_path, fit_mahalanobis(rng.normal(size=(40, width)), np.arange(40) % 3, 3))

    def make(caution: Caution) -> Predictor:
        card = Card(
            backbone="test_resnet", classes=CLASSES, image=ImageSettings(size_px=64, window="header"),
            mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), weights_source="none", caution=caution,
        )  # fmt: skip
        bundle.seal(tmp_path, card)
        return Predictor(tmp_path)

    return make


def predicted(predictor: Predictor) -> Prediction:
    scan = predictor.folder / "scan.png"
    Picture.fromarray(PIXELS).save(scan)
    (found,) = predictor.predict_files([scan])
    return found


def thresholds(predictor: Predictor, *named: str) -> tuple[float, ...]:
    """Just wide enough for these classes, and for no others."""
    p = predictor.say(PIXELS[None]).probabilities[0]
    return tuple(1 - p[i] + (1e-6 if name in named else -1e-3) for i, name in enumerate(CLASSES))


@pytest.mark.parametrize(
    ("named", "abstains"),
    [
        (("light",), None),
        (("dark", "light"), "cannot tell dark and light apart"),
        (CLASSES, "cannot tell dark, light and mixed apart"),
        ((), "no class is likely enough"),
    ],
)
def test_a_set_is_an_answer_only_if_it_is_one_class(make_predictor, named, abstains) -> None:
    plain = make_predictor(Caution())
    found = predicted(make_predictor(Caution(thresholds=thresholds(plain, *named))))
    assert (found.classes, found.abstains) == (named, abstains)
    assert found.label == predicted(plain).label
    assert list(found.probabilities) == list(CLASSES)


def test_an_image_unlike_the_training_images_is_not_answered_whatever_its_set(make_predictor) -> None:
    plain = make_predictor(Caution())
    distance = plain.say(PIXELS[None]).distance
    assert distance is not None
    one = thresholds(plain, "light")
    near, far = (Caution(thresholds=one, farthest=float(distance[0]) * by) for by in (1.01, 0.99))
    assert predicted(make_predictor(near)).abstains is None
    assert predicted(make_predictor(far)).abstains == "unlike the training images"


def test_a_model_that_promises_nothing_names_its_likeliest_class(make_predictor) -> None:
    found = predicted(make_predictor(Caution()))
    assert (found.classes, found.abstains) == ((), None)
    assert found.label in CLASSES


def test_the_temperature_changes_how_sure_it_is_and_not_the_answer(make_predictor) -> None:
    plain, cooled = (predicted(make_predictor(Caution(temperature=t))) for t in (1.0, 4.0))
    assert plain.label == cooled.label
    assert max(cooled.probabilities.values()) < max(plain.probabilities.values())


def test_an_image_by_itself_is_predicted_as_a_file_is(make_predictor, tmp_path: Path) -> None:
    predictor = make_predictor(Caution(thresholds=(0.9, 0.9, 0.9)))
    by_file = predicted(predictor)
    by_image = predictor.predict_image(read_image(tmp_path / "scan.png"))
    assert dataclasses.replace(by_image, path=by_file.path) == by_file


def test_a_distance_that_was_changed_is_not_used(make_predictor, tmp_path: Path) -> None:
    make_predictor(Caution(farthest=3.0))
    content = bytearray((tmp_path / FILE).read_bytes())
    content[-30] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"distance\.npz"):
        Predictor(tmp_path).say(PIXELS[None])
