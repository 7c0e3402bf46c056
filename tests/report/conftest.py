from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overread.audit.audit import Audit
from overread.audit.check import Finding
from overread.data.cohort import patient_hash
from overread.evaluate.score import Score, score
from overread.model.bundle import Card, seal, write_json
from overread.report.checklist import fill_in
from overread.settings import ImageSettings, TrainSettings
from overread.stats.intervals import Measured


@pytest.fixture
def scored():
    """Make truth, probabilities and their Score for the given classes."""

    def make(classes, *, n=60, missing: int | None = None, patients=True) -> tuple[np.ndarray, np.ndarray, Score]:
        rng, k = np.random.default_rng(0), len(classes)
        truth = np.arange(n) % k
        if missing is not None:
            truth[truth == missing] = (missing + 1) % k
        raw = rng.random((n, k)) + np.eye(k)[truth]
        p = raw / raw.sum(1, keepdims=True)
        names = [f"p{i // 2}" if patients else None for i in range(n)]
        return truth, p, score(truth, p, names, classes, rng=rng)

    return make


@pytest.fixture
def words():
    """All text that stands on the figure itself: title, caption, warnings."""
    return lambda figure: "\n".join(text.get_text() for text in figure.texts)


@pytest.fixture
def assert_all_inside():
    """Check that nothing drawn is cut by the edge of the picture."""

    def check(figure) -> None:
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) >= 0
        assert drawn.x1 <= width
        assert drawn.y1 <= height

    return check


CLASSES = ("aneurysm", "tumor")
PATIENTS = {"train": 8, "val": 4, "test": 6}
IMAGES_A_PATIENT = 2
NAME = "MUELLER"
"""what every patient of the model folders below is called, with a number"""


def split_rows(*, shared: bool = False, unknown: bool = False, unused: int = 0) -> list[dict[str, str]]:
    """The lines of a split.csv: patients of both classes in turn, each with two images."""
    rows = []
    for part, n in PATIENTS.items():
        for i in range(n):
            patient = f"{NAME}-{'train' if shared and part == 'test' and i < 2 else part}-{i}"
            for frame in range(IMAGES_A_PATIENT):
                label, name = CLASSES[i % 2], "" if unknown else patient_hash(patient)
                rows.append(
                    {
                        "path": f"{label}/{patient}.dcm",
                        "frame": str(frame),
                        "label": label,
                        "patient": name,
                        "split": part,
                    }
                )
    return rows + [{**rows[0], "split": ""}] * unused


def audit_content() -> dict[str, Any]:
    found = Finding(
        code="D01",
        title="The same image is in training and in test",
        severity="serious",
        what="3 test images (25%) show what an image in training shows.",
        do="Leave the copies out.",
        n=3,
        unit="pairs",
        where=(f"aneurysm/{NAME}-test-0.dcm = aneurysm/{NAME}-train-0.dcm",),
        evidence={"pairs": [f"{NAME}-test-0"]},
    )
    return Audit(
        findings=(found,), n_images=36, n_patients=18, asked=("L01", "D01"), why={"L06": "one image a patient"}
    ).to_json()


def evaluation_content(scored: Score) -> dict[str, Any]:
    """What evaluation.json says, as far as it is read here."""

    def figure(name: str, value: float, label: str | None = None) -> dict[str, Any]:
        return Measured(
            name=name, value=value, low=value - 0.1, high=value + 0.1, n_images=12, n_patients=6, method="m",
            label=label,
        ).to_json()  # fmt: skip

    group = {"n_images": 6, "n_patients": 5, "auroc": None}
    few = {"n_images": 2, "n_patients": 1, "auroc": None, "accuracy": None}
    return {
        "verdict_in_words": "Believe it with care",
        "verdict": {
            "reasons": [
                {"grade": "with care", "text": "The test part is small."},
                {"grade": "good", "text": "All is well."},
            ]
        },
        "by_patient": scored.to_json(),
        "calibration": {
            "temperature": 1.5,
            "why": "fitted on the validation part",
            "by_class": [
                {
                    "label": "tumor",
                    "error": {"value": 0.125, "expected": 0.0625, "p": 0.5},
                    "line": {"slope": figure("slope", 0.75), "intercept": figure("intercept", 0.25)},
                }
            ],
        },
        "certainty": {"given": {"coverage": figure("coverage", 0.875)}},
        "operating": [
            {
                "label": "tumor",
                "threshold": 0.4375,
                "rule": "Youden",
                "chosen_on": "val",
                "prevalence": 0.5,
                "figures": [figure("sensitivity", 0.625, "tumor")],
            }
        ],
        "groups": [
            {"fact": "sex", "value": "F", **group, "accuracy": figure("accuracy", 0.75)},
            {"fact": "sex", "value": "M", **few},
            {"fact": "scanner", "value": "Orbis", **group, "accuracy": figure("accuracy", 0.6875)},
            {"fact": "site", "value": "Ulm", **group, "accuracy": figure("accuracy", 0.5625)},
        ],
    }


@pytest.fixture
def model_folder(tmp_path: Path):
    """Write a model folder as a finished run leaves it, without a network; settings and files can be changed."""

    def make(
        *,
        train: dict[str, Any] | None = None,
        found: dict[str, Any] | None = None,
        rows: list[dict[str, str]] | None = None,
        audit: dict[str, Any] | None = None,
        evaluated: bool = False,
        explained: dict[str, Any] | None = None,
        classes: tuple[str, ...] = CLASSES,
        source: str = f"/data/{NAME}-scans",
        skipped: tuple[str, ...] = (),
        **card: Any,
    ) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        rows = split_rows() if rows is None else rows
        tested = [row for row in rows if row["split"] == "test"]
        truth = np.array([i % len(classes) for i in range(len(tested))])
        raw = np.random.default_rng(1).random((len(tested), len(classes))) + 0.5 * np.eye(len(classes))[truth]
        patients = [row["patient"] or None for row in tested]
        scored = score(truth, raw / raw.sum(1, keepdims=True), patients, classes, rng=np.random.default_rng(0))
        settings = TrainSettings(**{"seed": 7, **(train or {})})
        record = {
            "source": source,
            "train": dataclasses.asdict(settings),
            "cohort": {"label_column": "label", "labels": None},
            "found": {
                "weights_sha256": "ab" * 32,
                "data_sha256": "cd" * 32,
                "split": "patient",
                "patients_from": "dicom",
            }
            | (found or {}),
            "versions": {"python": "3.11.7", "overread": "0.1.0", "torch": "2.4.0"},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "gpu": None},
            "git_commit": None,
        }
        write_json(folder / "training.json", record)
        write_json(folder / "metrics.json", scored.to_json())
        write_table(folder / "split.csv", rows)
        if audit is not None:
            write_json(folder / "audit.json", audit)
        if explained is not None:
            write_json(folder / "explanation.json", explained)
        if evaluated:
            write_json(folder / "evaluation.json", evaluation_content(scored))
        if skipped:
            lines = [{"path": f"{NAME}.dcm", "kind": kind, "why": f"{NAME} is bad"} for kind in skipped]
            write_table(folder / "skipped.csv", lines)
        filled = {"backbone": "resnet18", "weights_source": "the hub's cache", "best_epoch": 4, **card}
        image = ImageSettings(window="brain,subdural,bone")
        versions = {"overread": "0.1.0", "timm": "1.0.9"}
        defaults = {"image": image, "mean": (0.5,) * 3, "std": (0.25,) * 3, "versions": versions}
        seal(folder, Card(classes=classes, **{**defaults, **filled}))
        return folder

    return make


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def answered(model_folder):
    """The answer to one item of a new model folder: what is known and what is to be added, as two texts."""

    def answer(which: str, number: str, **changes: Any) -> tuple[str, str]:
        (filled,) = fill_in(model_folder(**changes), which).lists
        (row,) = (row for row in filled.rows if row.item.number == number)
        return " ".join(row.known), " ".join(row.add)

    return answer


@pytest.fixture
def audit() -> dict[str, Any]:
    """An audit.json with one serious finding that names patients, and one check that was left out."""
    return audit_content()


@pytest.fixture
def rows():
    """Make the lines of a split.csv."""
    return split_rows
