from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from tests.report.again.tree import parse_page

from overread.data.control import SHUFFLED
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.errors import SettingsError, SplitError
from overread.evaluate.controls import ARMS, PATIENT
from overread.evaluate.controls import SHUFFLED as SHUFFLED_ARMS
from overread.run.controls import Controls, run_controls
from overread.run.job import Job
from overread.settings import ImageSettings, recipe_settings
from overread.training.history import EpochRow
from overread.training.watch import Silent

N_RUNS = 7


class Interrupts(Silent):
    """Stops the work after an epoch of the last run, as Ctrl-C does, and counts the epochs until then."""

    def __init__(self, *, armed: bool) -> None:
        self.armed, self.runs, self.epochs = armed, 0, 0

    def say(self, sentence: str) -> None:
        self.runs += sentence.startswith("Run ")

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.epochs += 1
        if self.armed and self.runs == N_RUNS:
            raise KeyboardInterrupt


def short(job: Job, **changes: object) -> Job:
    train = dataclasses.replace(job.train, epochs=1, val_fraction=0.34, test_fraction=0.34)
    return dataclasses.replace(job, train=train, **changes)


@pytest.fixture(scope="module")
def folder(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Controls that were stopped in the last run and gone on with. Their folder is read by many tests."""
    job = short(finished, out=tmp_path_factory.mktemp("controls") / "run")
    job = dataclasses.replace(job, train=dataclasses.replace(job.train, positive="square"))
    with pytest.raises(KeyboardInterrupt):
        run_controls(job, watch=Interrupts(armed=True))
    watch = Interrupts(armed=False)
    run_controls(job, watch=watch)
    assert watch.epochs == 0  # the one epoch of the last run had ended
    return job.out


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["run"]: row for row in csv.DictReader(stream)}


def parts_of(folder: Path) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    with (folder / "split.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            parts.setdefault(row["patient"], set()).add(row["split"])
    return parts


def test_arms_differ_in_what_they_are_to_show_and_in_nothing_else(folder: Path) -> None:
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/training.json")}
    assert len(records) == N_RUNS
    for name, record in records.items():
        assert record["train"].pop("split") == ("image" if "image" in name else "patient")
        assert record["train"].pop("positive") == ("square (shuffled)" if "shuffled" in name else "square")
        assert record["control"]["shuffle_labels"] == ("shuffled" in name)
    assert len({json.dumps(record["train"], sort_keys=True) for record in records.values()}) == 1
    shares = {name: record["control"]["train_share"] for name, record in records.items() if "percent" in name}
    assert shares == {"patient-25-percent": 0.25, "patient-50-percent": 0.5, "patient-75-percent": 0.75}


def test_by_patient_nobody_is_in_two_parts_and_by_image_many_are(folder: Path) -> None:
    for name in ("patient", "shuffled-patient", "patient-50-percent"):
        assert all(len(parts - {""}) <= 1 for parts in parts_of(folder / name).values())
    assert sum(len(parts) > 1 for parts in parts_of(folder / "image").values()) > 6


def test_shuffled_runs_can_be_taken_for_nothing_else(folder: Path) -> None:
    for name in ("shuffled-patient", "shuffled-image"):
        card = json.loads((folder / name / "model.json").read_text())
        assert SHUFFLED in card["marks"]
        assert card["classes"] == ["disc (shuffled)", "square (shuffled)"]
    assert SHUFFLED not in json.loads((folder / "patient" / "model.json").read_text())["marks"]


def test_the_table_the_words_and_the_page_say_the_same(folder: Path) -> None:
    rows, told = rows_of(folder / "controls.csv"), json.loads((folder / "controls.json").read_text())
    assert set(rows) == {path.parent.name for path in folder.glob("*/metrics.json")}
    for name, row in rows.items():
        measured = json.loads((folder / name / "metrics.json").read_text())["measured"]
        area = next(one for one in measured if one["name"] == "auroc" and one["label"] is None)
        assert [float(row[key]) for key in ("auroc", "auroc low", "auroc high")] == pytest.approx(
            [area["value"], area["low"], area["high"]]
        )
        assert told["figures"][name][0]["value"] == pytest.approx(area["value"])
        learnt = sum("train" in parts for parts in parts_of(folder / name).values())
        assert int(row["learnt_from"]) == learnt
    page = parse_page((folder / "controls.html").read_text())
    text = " ".join(page.text.split())
    assert [one["control"] for one in told["told"]] == list(ARMS)
    for one in told["told"]:
        assert one["words"] in text
    assert all(f"{float(row['auroc']):.3f}" in text for row in rows.values())
    assert [image.attrs["alt"].split(":")[0] for image in page.all("img")] == ["AUROC", "Learning curve"]


def test_some_of_them_with_repeats_are_means(job: Job) -> None:
    found = run_controls(short(job), only=["gap"], n_repeats=2)
    assert [trial.name for trial in found.trials] == [
        f"{arm}-repeat-{r}" for r in (1, 2) for arm in ("patient", "image")
    ]
    values = [trial.outcome.score.figure("auroc").value for trial in found.of(PATIENT)]
    assert found.figure(PATIENT, "auroc").value == pytest.approx(sum(values) / 2)
    assert parts_of(job.out / "patient-repeat-1") != parts_of(job.out / "patient-repeat-2")
    of_both = [set(trial.tested.predictions.patients) for trial in found.of(PATIENT)]
    assert found.figure(PATIENT, "auroc").n_patients == len(set.union(*of_both))
    assert [one.control for one in found.told] == ["gap"]


def test_without_patients_there_is_nothing_to_compare(job: Job) -> None:
    unknown = dataclasses.replace(job, cohort=dataclasses.replace(job.cohort, patient_regex=None))
    with pytest.raises(SplitError, match="no patient is known"):
        run_controls(unknown)
    for only, repeats, said in (
        (["gaps"], 1, "--only gaps is no control"),
        ([], 1, "names no control"),
        (["gap"], 0, "--repeats 0"),
    ):
        with pytest.raises(SettingsError, match=said):
            run_controls(job, only=only, n_repeats=repeats)
    assert not job.out.exists()


def test_what_could_say_nothing_is_refused_before_anything_is_trained(job: Job) -> None:
    lone = dataclasses.replace(job, train=dataclasses.replace(job.train, test_fraction=0.1))
    with pytest.raises(SplitError, match=r"one patient of class disc, .*share than --test-fraction 0\.1"):
        run_controls(lone, n_repeats=2)
    one_each = dataclasses.replace(job, cohort=dataclasses.replace(job.cohort, patient_regex=r"/(\w\d-\d)"))
    with pytest.raises(SplitError, match="Each of the 48 patients has one image"):
        run_controls(one_each, only=["learning", "gap"])
    assert not job.out.exists()
    assert [one.control for one in run_controls(short(one_each), only=["learning"]).told] == ["learning"]


@pytest.mark.slow
def test_on_slices_shuffled_labels_score_chance_by_patient_and_not_by_image(shared: Path, tmp_path: Path) -> None:
    """Yagis et al. 2021, on phantoms: a network that knows patients again scores well on labels without meaning."""
    weights = shared / "weights/resnet18-imagenet-pq.safetensors"
    if not weights.exists():
        pytest.skip(f"{weights.name} is not there")
    make_phantoms(tmp_path / "phantoms", PhantomSettings(patients=45, slices=12, seed=7), workers=2)
    train = recipe_settings("default", weights=str(weights), epochs=6, device="cpu")
    job = Job(
        source=tmp_path / "phantoms/images",
        out=tmp_path / "run",
        train=train,
        image=ImageSettings(size_px=128),
        workers=2,
    )
    found: Controls = run_controls(job, only=["shuffled"])
    by_patient, by_image = (found.figure(arm, "auroc") for arm in SHUFFLED_ARMS)
    assert by_patient.low <= 0.5 <= by_patient.high
    assert by_image.low > 0.5
    assert "knows the patients again" in (job.out / "controls.html").read_text()
