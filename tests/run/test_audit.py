from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from overread.audit.audit import FILE, read_audit
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.model import bundle
from overread.run.audit import audit_source
from overread.run.job import Job
from overread.run.train import train
from overread.settings import TrainSettings, recipe_settings

NO_NETWORK = recipe_settings("default", weights="none")


def test_the_audit_comes_with_the_model_and_belongs_to_it(finished: Job) -> None:
    found = read_audit(finished.out / FILE)
    assert found.n_images == 48
    assert found.n_patients == 12
    assert FILE in bundle.load_card(finished.out).files


def test_an_audit_alone_leaves_nothing_behind(
    cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = audit_source(Job(source=cohort_folder, out=Path(), train=NO_NETWORK))
    assert "L06" in {one.code for one in found.findings}
    assert list(tmp_path.iterdir()) == []


def test_it_is_kept_where_asked(cohort_folder: Path, tmp_path: Path) -> None:
    found = audit_source(Job(source=cohort_folder, out=tmp_path / "out", train=NO_NETWORK), keep=True)
    assert read_audit(tmp_path / "out" / FILE) == found


def test_bad_images_do_not_stop_it(fresh_cohort: Path) -> None:
    (fresh_cohort / "disc" / "bad.png").write_bytes(b"")
    assert audit_source(Job(source=fresh_cohort, out=Path(), train=NO_NETWORK)).n_images == 48


def test_fatal_findings_mark_every_output_of_the_model(job: Job) -> None:
    by_image = dataclasses.replace(job, train=dataclasses.replace(job.train, split="image", epochs=1))
    outcome = train(by_image)
    assert any("(L01)" in mark for mark in outcome.card.marks)
    assert json.loads((job.out / "training.json").read_text())["found"]["marks"] == list(outcome.card.marks)


def test_without_an_audit_nothing_is_written(job: Job) -> None:
    short = dataclasses.replace(job, audit=False, train=dataclasses.replace(job.train, epochs=1))
    train(short)
    assert not (job.out / FILE).exists()


def test_a_pretrained_network_looks_too(cohort_folder: Path) -> None:
    from overread.model.weights import find_weights
    from overread.training.features import pretrained_features
    from overread.training.watch import Silent

    weights = find_weights("tf_efficientnet_lite0", "auto")
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8)
    places = np.array([4, 0, 2])
    features = pretrained_features(weights, pixels, places, settings=TrainSettings(), watch=Silent())
    alone = pretrained_features(weights, pixels, places[:1], settings=TrainSettings(), watch=Silent())
    assert features.shape == (3, 1280)
    assert np.allclose(features[0], alone[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flaw", "codes"),
    [("leaked-patient", {"D03"}), ("duplicates", {"D03", "D04"}), ("kernel", {"S01"}), ("marker", {"S04"})],
)
def test_planted_faults_are_found(tmp_path: Path, flaw: str, codes: set[str]) -> None:
    make_phantoms(tmp_path / "flawed", PhantomSettings(patients=60, seed=7, flaws=flaw), workers=2)
    found = audit_source(Job(source=tmp_path / "flawed/images", out=Path(), train=NO_NETWORK, workers=2))
    assert codes <= {one.code for one in found.findings}


@pytest.mark.slow
def test_clean_phantoms_are_passed(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "clean", PhantomSettings(patients=60, seed=8), workers=2)
    found = audit_source(Job(source=tmp_path / "clean/images", out=Path(), train=NO_NETWORK, workers=2))
    assert [one for one in found.findings if one.severity != "note"] == []
