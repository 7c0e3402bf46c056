from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from overread.data.cohort import read_cohort
from overread.errors import RunError, SettingsError, SplitError
from overread.evaluate.predictions import read_predictions
from overread.run import fold_files, folds, many
from overread.run.job import CACHE, Job
from overread.training.history import EpochRow
from overread.training.watch import Silent

N_FOLDS = 3


class Interrupts(Silent):
    """Stops the work after an epoch of the last fold, as Ctrl-C does, and counts the epochs until then."""

    def __init__(self, *, armed: bool) -> None:
        self.armed, self.runs, self.epochs = armed, 0, 0

    def say(self, sentence: str) -> None:
        self.runs += sentence.startswith("Run ")

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.epochs += 1
        if self.armed and self.runs == N_FOLDS:
            raise KeyboardInterrupt


def short(job: Job, **changes: object) -> Job:
    return dataclasses.replace(job, train=dataclasses.replace(job.train, epochs=1, val_fraction=0.25), **changes)


@pytest.fixture(scope="module")
def crossed(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> folds.CrossValidation:
    """Three folds, stopped in the last one and gone on with. Its folder is read by many tests."""
    job = short(finished, out=tmp_path_factory.mktemp("folds") / "run")
    with pytest.raises(KeyboardInterrupt):
        folds.cross_validate(job, n_folds=N_FOLDS, watch=Interrupts(armed=True))
    watch = Interrupts(armed=False)
    found = folds.cross_validate(job, n_folds=N_FOLDS, watch=watch)
    assert watch.epochs == 0  # the one epoch of the last fold had ended
    return found


@pytest.fixture(scope="module")
def folder(crossed: folds.CrossValidation) -> Path:
    return crossed.folds[0].outcome.folder.parent


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_image_is_tested_once_and_never_by_a_network_that_knows_its_patient(folder: Path, finished: Job) -> None:
    rows = rows_of(folder / "predictions.csv")
    cohort = read_cohort(finished.source, finished.cohort)
    assert Counter(row["path"] for row in rows) == Counter(row.path for row in cohort.rows)
    for fold in range(1, N_FOLDS + 1):
        tested = {row["patient"] for row in rows if row["fold"] == str(fold)}
        learnt = {row["patient"] for row in rows_of(folder / f"fold-{fold}" / "split.csv") if row["split"] != "test"}
        assert tested
        assert not tested & learnt
        assert len(tested | learnt) == len({row["patient"] for row in rows})


def test_pooled_figures_are_those_of_every_line_together(folder: Path, crossed: folds.CrossValidation) -> None:
    rows = rows_of(folder / "predictions.csv")
    truth = [row["true"] for row in rows]
    pooled = {(one["name"], one["label"]): one for one in json.loads((folder / "metrics.json").read_text())["pooled"]}
    accuracy = pooled["accuracy", None]
    assert accuracy["value"] == pytest.approx(accuracy_score(truth, [row["predicted"] for row in rows]))
    assert (accuracy["n_images"], accuracy["n_patients"]) == (48, 12)
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    positive = crossed.repeats[0].positive
    area = roc_auc_score([label == positive for label in truth], [float(r[f"probability {positive}"]) for r in rows])
    assert pooled["auroc", None]["value"] == pytest.approx(area)


def test_the_spread_is_that_of_the_folds(folder: Path, crossed: folds.CrossValidation) -> None:
    values = [fold.outcome.figures()["accuracy"] for fold in crossed.folds]
    (accuracy,) = (one for one in crossed.spreads if one.name == "accuracy")
    assert (accuracy.mean, accuracy.lowest, accuracy.highest) == pytest.approx(
        (sum(values) / N_FOLDS, min(values), max(values))
    )
    assert [float(row["accuracy"]) for row in rows_of(folder / "folds.csv")] == pytest.approx(values)
    assert not (folder / CACHE).exists()


def test_repeats_divide_otherwise_and_their_pooled_figures_are_averaged(job: Job) -> None:
    found = folds.cross_validate(short(job, audit=False), n_folds=2, n_repeats=2)
    assert [fold.name for fold in found.folds] == [f"fold-{k}-repeat-{r}" for r in (1, 2) for k in (1, 2)]
    first, again = (set(found.folds[at].predictions.patients) for at in (0, 2))
    assert first != again
    pooled = {one.name: one.value for one in found.pooled if one.label is None}
    assert pooled["accuracy"] == pytest.approx(sum(one.figure("accuracy").value for one in found.repeats) / 2)
    rows = rows_of(job.out / "predictions.csv")
    assert Counter(row["repeat"] for row in rows) == {"1": 48, "2": 48}
    assert fold_files.REPEATED in json.loads((job.out / "metrics.json").read_text())["words"]


def test_each_site_is_tested_by_networks_of_the_others(job: Job, tmp_path: Path) -> None:
    cohort = read_cohort(job.source, job.cohort)
    sites = ("Ulm / north", "Ulm: north", "Bern")  # two that are one folder name
    lines = ["path,label,patient,site"]
    lines += [f"{job.source / r.path},{r.label},{r.patient},{sites[int(r.patient[1:]) % 3]}" for r in cohort.rows]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    settings = dataclasses.replace(job.cohort, patient_regex=None)
    job = short(job, source=tmp_path / "list.csv", cohort=settings, audit=False)
    found = folds.leave_sites_out(job)
    assert [fold.held_out for fold in found.folds] == sorted(sites)
    assert len({fold.name for fold in found.folds}) == 3
    for fold in found.folds:
        at = sites.index(fold.held_out)
        assert {int(Path(path).name[1]) % 3 for path in fold.predictions.paths} == {at}
    assert {row["site"] for row in rows_of(job.out / "predictions.csv")} == set(sites)


def test_what_cannot_be_divided_is_refused_before_anything_is_trained(job: Job) -> None:
    with pytest.raises(SplitError, match=r"--folds 7 needs 7 patients in each class, and class disc has 6"):
        folds.cross_validate(job, n_folds=7)
    with pytest.raises(SplitError, match=r"needs two sites or more, found 0\. Name the column by --site-column"):
        folds.leave_sites_out(job)
    for n_folds, n_repeats in ((1, 1), (101, 1), (3, 0), (3, 101)):
        with pytest.raises(SettingsError, match="out of range"):
            folds.cross_validate(job, n_folds=n_folds, n_repeats=n_repeats)
    assert not job.out.exists()


def test_a_folder_with_other_folds_is_left_as_it_is(
    crossed: folds.CrossValidation, folder: Path, finished: Job
) -> None:
    before = {path: path.read_bytes() for path in sorted(folder.glob("*.*"))}
    with pytest.raises(RunError, match=r"holds a run with other settings \(train\)"):
        folds.cross_validate(short(finished, out=folder), n_folds=4)
    assert {path: path.read_bytes() for path in sorted(folder.glob("*.*"))} == before


def test_networks_are_compared_on_the_same_folds_and_read_once(job: Job) -> None:
    jobs = many.by_backbone(short(job, audit=False), ["test_resnet", "test_efficientnet"])
    found = folds.cross_validate_each(jobs, out=job.out, n_folds=2)
    parts = [[set(fold.predictions.paths) for fold in one.folds] for one in found.values()]
    assert parts[0] == parts[1]
    told = folds.compare_folds(found, out=job.out, margin=0.5)
    assert "resampled t-test of 2 folds" in told
    assert "on 12 patients" in told
    assert "equivalent" in told or "inferior" in told
    assert not (job.out / CACHE).exists()
    assert read_predictions(job.out / "test_resnet" / "fold-1" / "predictions.csv").classes == ("disc", "square")
