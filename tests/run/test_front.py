from __future__ import annotations

from pathlib import Path

import pytest

import overread
from overread.errors import SettingsError
from overread.evaluate.score import read_score
from overread.run.job import Job

BY_NAME = r"/(\w\d)-"


def test_an_audit_is_one_call_and_writes_nothing(cohort_folder: Path) -> None:
    before = sorted(cohort_folder.rglob("*"))
    found = overread.audit_cohort(cohort_folder, patient_regex=BY_NAME, weights="none", size_px=64)
    assert (found.n_images, found.n_patients) == (48, 12)
    assert overread.audit_cohort(cohort_folder, weights="none", size_px=64).n_patients is None
    ignored = overread.audit_cohort(cohort_folder, weights="none", size_px=64, ignore={"L06": "one a patient"})
    assert [one.code for one in ignored.ignored] == ["L06"]
    assert sorted(cohort_folder.rglob("*")) == before


def test_a_second_read_is_one_call(finished: Job, tmp_path: Path) -> None:
    read = overread.evaluate_model(finished.out, out=tmp_path / "own")
    assert read.score.to_json() == read_score(finished.out).to_json()
    there = overread.evaluate_model(finished.out, finished.source, out=tmp_path / "there", patient_regex=BY_NAME)
    assert there.part == "external"
    assert (tmp_path / "there" / "report.html").exists()


def test_a_training_is_one_call(cohort_folder: Path, tmp_path: Path) -> None:
    outcome = overread.train(
        cohort_folder, out=tmp_path / "run", backbone="test_resnet", weights="none", epochs=1, batch_size=8,
        size_px=32, device="cpu", val_fraction=0.34, test_fraction=0.34, patient_regex=BY_NAME,
    )  # fmt: skip
    assert outcome.score.n_patients == 4
    assert overread.load(tmp_path / "run").card.classes == ("disc", "square")


def test_a_setting_that_is_none_is_named(cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"epoch is not a setting of overread\.train"):
        overread.train(cohort_folder, out=tmp_path / "run", epoch=3)
    with pytest.raises(SettingsError, match=r"colour is not a setting of overread\.audit_cohort"):
        overread.audit_cohort(cohort_folder, colour=True)
    with pytest.raises(SettingsError, match="Unknown settings for CohortSettings: colour"):
        overread.evaluate_model(tmp_path, cohort_folder, out=tmp_path / "read", colour=True)
