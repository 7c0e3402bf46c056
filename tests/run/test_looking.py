from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.report.again.tree import parse_page

from overread.data.image import prepare, read_image
from overread.data.measures import letter_board, measure
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.explain.examples import read_examples
from overread.explain.looking import look
from overread.explain.where import find_regions
from overread.predict import Predictor
from overread.run.job import Job
from overread.run.train import train
from overread.settings import ImageSettings, recipe_settings


def test_examples_are_the_training_images_without_a_picture(finished: Job) -> None:
    found = read_examples((finished.out / "examples.npz").read_bytes(), name="examples.npz")
    with (finished.out / "split.csv").open(newline="") as stream:
        learnt = {row["path"]: row for row in csv.DictReader(stream) if row["split"] == "train"}
    assert set(found.paths) == set(learnt)
    for path, patient, label in zip(found.paths, found.patients, found.labels, strict=True):
        assert (patient, found.classes[label]) == (learnt[path]["patient"], learnt[path]["label"])


def test_the_explanation_is_what_the_exported_network_and_the_images_give(finished: Job) -> None:
    told = json.loads((finished.out / "explanation.json").read_text())
    predictor = Predictor(finished.out)
    with (finished.out / "predictions.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    maps, regions, answers = [], [], []
    for row in rows:
        image = read_image(finished.source / row["path"])
        square = prepare(image, predictor.card.image)
        class_maps = predictor.say(square[None], maps=True).class_maps
        assert class_maps is not None
        board = letter_board(measure(image, square, fit="squash")[None])[0]
        regions.append(find_regions(square, board, cells=class_maps.shape[-1]))
        maps.append(class_maps[0])
        answers.append(predictor.card.classes.index(row["predicted"]))
    again = look(np.stack(maps), regions, answers, [row["patient"] for row in rows], predictor.card.classes)
    assert told["says"][: len(again.sentences())] == list(again.sentences())
    assert len(told["places"]) == len(again.places)
    for one, place in zip(told["places"], again.places, strict=True):
        assert (one["region"], one["answer"]) == (place.region, place.label)
        assert one["share"]["value"] == pytest.approx(place.share.value, abs=1e-3)


def test_the_report_shows_it_and_says_that_nobody_checked_it(finished: Job) -> None:
    page = parse_page((finished.out / "report.html").read_text())
    text = " ".join(page.text.split())
    told = json.loads((finished.out / "explanation.json").read_text())
    for sentence in told["says"]:
        assert sentence in text
    assert "They were not checked" in text
    shown = [image.attrs["alt"] for image in page.all("img")]
    assert any(alt.startswith("Mean evidence of") for alt in shown)
    assert any("typical of disc" in alt for alt in shown)


@pytest.mark.slow
def test_evidence_sits_on_a_planted_letter_and_the_report_says_so(shared: Path, tmp_path: Path) -> None:
    """Phantoms with a burnt-in letter against phantoms without: nothing else tells the classes."""
    weights = shared / "weights/resnet18-imagenet-pq.safetensors"
    if not weights.exists():
        pytest.skip(f"{weights.name} is not there")
    rows = [("path", "label", "patient")]
    for label, flaws, seed in (("without", "", 11), ("with", "marker", 12)):
        folder = tmp_path / label
        make_phantoms(folder, PhantomSettings(patients=60, slices=4, seed=seed, flaws=flaws), workers=2)
        rows += [(str(p), label, f"{label} {p.parent.parent.name}") for p in sorted(folder.rglob("*.dcm"))]
    with (tmp_path / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    settings = recipe_settings("default", backbone="resnet18", weights=str(weights), epochs=6, device="cpu")
    job = Job(source=tmp_path / "list.csv", out=tmp_path / "run", train=settings, image=ImageSettings(), workers=2)
    outcome = train(dataclasses.replace(job, audit=False))
    assert outcome.score.figure("accuracy").value > 0.9
    told = json.loads((job.out / "explanation.json").read_text())
    letters = next(one for one in told["places"] if one["region"] == "letters" and one["answer"] is None)
    assert letters["peak"]["low"] > 0.25
    assert letters["peak"]["value"] > 0.5
    assert letters["share"]["low"] > 2 * letters["area"]
    assert any("reads burnt-in letters" in sentence for sentence in told["says"])
    assert "reads burnt-in letters" in (job.out / "report.html").read_text()
    assert outcome.verdict is not None
    assert any(reason.source == "looks" for reason in outcome.verdict.deciding)
