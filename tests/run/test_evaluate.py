from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from sklearn.metrics import accuracy_score
from tests.report.again.tree import parse_page

from overread.data.cohort import CohortSettings
from overread.errors import BadInputsError, CohortError, ModelError, RunError, SettingsError
from overread.evaluate.score import read_score
from overread.run.evaluate import Evaluation, evaluate
from overread.run.job import Job

BY_NAME = CohortSettings(patient_regex=r"/(\w\d)-")


@pytest.fixture
def asked(finished: Job, tmp_path: Path) -> Evaluation:
    return Evaluation(model=finished.out, out=tmp_path / "read")


@pytest.fixture
def elsewhere(finished: Job, tmp_path: Path) -> Path:
    """The cohort's pictures, noisier and of other patients."""
    rng, folder = np.random.default_rng(5), tmp_path / "elsewhere"
    for path in sorted(finished.source.rglob("*.png")):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Picture.open(path)) + rng.normal(0, 9, (64, 64))
        name = path.name.replace("d", "e").replace("s", "t")
        Picture.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / path.parent.name / name)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_its_own_test_part_read_again_is_what_training_said(asked: Evaluation, finished: Job) -> None:
    read = evaluate(asked)
    assert read.score.to_json() == read_score(finished.out).to_json()
    assert (asked.out / "predictions.csv").read_bytes() == (finished.out / "predictions.csv").read_bytes()
    then = json.loads((finished.out / "evaluation.json").read_text())
    now = json.loads((asked.out / "evaluation.json").read_text())
    assert now["verdict"] == then["verdict"]
    assert now["operating"] == then["operating"]


def test_another_threshold_and_prevalence_change_what_depends_on_them(asked: Evaluation) -> None:
    plain = evaluate(asked)
    other = evaluate(dataclasses.replace(asked, operating="sensitivity=1.0", prevalence=0.02))
    assert other.score.to_json() == plain.score.to_json()
    (one,) = other.operating
    assert one.rule == "highest threshold with sensitivity 1 or more"
    assert one.prevalence == 0.02


def test_images_from_elsewhere_stand_beside_its_own_figures(asked, elsewhere: Path, finished: Job) -> None:
    read = evaluate(dataclasses.replace(asked, source=elsewhere, cohort=BY_NAME))
    assert read.part == "external"
    assert (read.score.n_images, read.score.n_patients) == (48, 12)
    assert read.internal is not None
    assert read.internal.to_json() == read_score(finished.out).to_json()
    rows = [row for row in rows_of(asked.out / "predictions.csv") if row["split"] == "external"]
    right = accuracy_score([row["true"] for row in rows], [row["predicted"] for row in rows])
    assert read.score.figure("accuracy").value == pytest.approx(right)
    assert not any("in the model's own cohort" in reason.text for reason in read.verdict.reasons)
    page = parse_page((asked.out / "report.html").read_text())
    headings = [cell.text for cell in page.all("th")]
    assert headings.index("at home") < headings.index("here")
    own = {row["path"] for row in rows_of(finished.out / "predictions.csv") if row["split"] == "test"}
    assert not own & {row["path"] for row in rows_of(asked.out / "predictions.csv")}


def test_patients_that_it_has_learnt_from_are_no_external_test(asked, finished: Job) -> None:
    read = evaluate(dataclasses.replace(asked, source=finished.source, cohort=BY_NAME))
    assert read.verdict.grade == "do not"
    assert "12 patients of these images are in the model's own cohort" in read.verdict.deciding[0].text


def test_unknown_patients_elsewhere_are_said(asked, elsewhere: Path) -> None:
    read = evaluate(dataclasses.replace(asked, source=elsewhere))
    assert read.score.n_patients is None
    assert any("patients unknown" in mark for mark in read.marks)


def test_bad_images_stop_it_unless_they_are_to_be_left_out(asked, elsewhere: Path) -> None:
    (elsewhere / "disc" / "e9-0.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    asked = dataclasses.replace(asked, source=elsewhere, cohort=BY_NAME)
    with pytest.raises(BadInputsError, match=r"(?s)e9-0\.png.*--skip-bad"):
        evaluate(asked)
    assert not (asked.out / "report.html").exists()
    assert evaluate(dataclasses.replace(asked, skip_bad=True)).score.n_images == 48


def test_a_class_that_the_model_does_not_know_is_refused(asked, elsewhere: Path) -> None:
    (elsewhere / "disc").rename(elsewhere / "ring")
    with pytest.raises(CohortError, match=r"classes that the model does not know: ring\. It knows disc, square"):
        evaluate(dataclasses.replace(asked, source=elsewhere))


def test_a_model_folder_that_was_changed_is_not_evaluated(asked, finished: Job, tmp_path: Path) -> None:
    for name in ("predictions.csv", "metrics.json", "model.onnx"):
        changed = tmp_path / f"changed-{name}"
        shutil.copytree(finished.out, changed)
        (changed / name).write_bytes((changed / name).read_bytes() + b"\n")
        with pytest.raises(ModelError, match=name):
            evaluate(dataclasses.replace(asked, model=changed))
    with pytest.raises(ModelError):
        evaluate(dataclasses.replace(asked, model=tmp_path / "nowhere"))


def test_only_an_earlier_evaluation_is_written_over(asked: Evaluation, finished: Job) -> None:
    evaluate(asked)
    evaluate(asked)
    (asked.out / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"other things than an evaluation \(thesis\.txt\)"):
        evaluate(asked)
    with pytest.raises(RunError):
        evaluate(dataclasses.replace(asked, out=finished.out))
    with pytest.raises(RunError, match="is a file"):
        evaluate(dataclasses.replace(asked, out=asked.out / "thesis.txt"))
    with pytest.raises(SettingsError, match="--operating best"):
        evaluate(dataclasses.replace(asked, operating="best"))
