from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.report.again.tree import parse_page

from overread.errors import CohortError, ModelError
from overread.evaluate.score import read_score
from overread.report.comparison import FILE as PAGE
from overread.run.compare import FILE, compare_tested, tell_of_folds
from overread.run.job import Job


@pytest.fixture
def make_twin(finished: Job, tmp_path: Path):
    """A second run on the same test part, with some of its lines changed."""

    def make(change) -> Path:
        folder = tmp_path / "twin"
        folder.mkdir()
        (folder / "metrics.json").write_bytes((finished.out / "metrics.json").read_bytes())
        with (finished.out / "predictions.csv").open(newline="") as stream:
            table = csv.DictReader(stream)
            rows = [row for row in map(change, table) if row is not None]
        with (folder / "predictions.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, table.fieldnames)
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return make


def test_a_run_does_not_differ_from_itself(finished: Job, make_twin, tmp_path: Path) -> None:
    runs = {"one": finished.out, "two": make_twin(lambda row: row)}
    told = compare_tested(runs, margin=0.02, out=tmp_path)
    n = read_score(finished.out).n_patients
    assert told.count(f"no network above another: on {n} patients") == 2  # accuracy, and the AUROC of two classes
    page = parse_page((tmp_path / PAGE).read_text())
    assert "These figures put no network above another" in next(page.all("section")).text
    assert [row.text.count("+0.000") >= 1 for table in list(page.all("table"))[1:] for row in table.all("tr")][1::2]
    assert all(image.attrs["alt"] for image in page.all("img"))
    found = json.loads((tmp_path / FILE).read_text())
    assert [found[name][0]["difference"] for name in ("accuracy", "auroc")] == [0, 0]


def test_runs_on_other_images_or_classes_are_refused(finished: Job, make_twin, tmp_path: Path) -> None:
    other = make_twin(lambda row: {**row, "path": f"elsewhere/{row['path']}"})
    with pytest.raises(CohortError, match="tested on other images"):
        compare_tested({"one": finished.out, "two": other})
    content = json.loads((other / "metrics.json").read_text())
    (other / "metrics.json").write_text(json.dumps({**content, "classes": ["a", "b"]}))
    with pytest.raises(CohortError, match="know different classes"):
        compare_tested({"one": finished.out, "two": other})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty holds no metrics\.json"):
        compare_tested({"one": finished.out, "two": tmp_path / "empty"})


def test_a_table_without_the_part_that_was_measured_is_refused(finished: Job, make_twin) -> None:
    twin = make_twin(lambda row: None if row["split"] == "test" else row)
    with pytest.raises(ModelError, match="of two has no images of the part test"):
        compare_tested({"one": finished.out, "two": twin})


def test_a_figure_that_a_fold_lacks_is_not_compared(finished: Job, tmp_path: Path) -> None:
    nan = float("nan")
    figures = {
        "accuracy": {"a": [0.8, 0.9, 0.85], "b": [0.7, 0.85, 0.8]},
        "auroc": {"a": [nan, 0.9, 0.85], "b": [0.7, 0.85, 0.8]},
    }
    score = read_score(finished.out)
    pooled = {"a": score.measured, "b": score.measured}
    told = tell_of_folds(figures, pooled, n_train=20, n_test=10, score=score, out=tmp_path)
    assert "accuracy" in told
    assert list(json.loads((tmp_path / FILE).read_text())) == ["accuracy"]


def test_a_network_that_is_better_is_said_to_be_and_by_how_much(finished: Job, make_twin, tmp_path: Path) -> None:
    def knows(row):
        return {**row, **{f"probability {name}": str(float(name == row["true"])) for name in ("disc", "square")}}

    def guesses(row):
        return {**row, "probability disc": "0.6", "probability square": "0.4"}

    folders = {}
    for name, change in (("knows", knows), ("guesses", guesses)):
        folders[name] = make_twin(change).rename(tmp_path / name)
    told = compare_tested(folders, out=tmp_path)
    found = json.loads((tmp_path / FILE).read_text())
    assert found["accuracy"][0]["difference"] == pytest.approx(0.5)
    apart = found["accuracy"][0]["p_corrected"] < 0.05
    assert apart == ("knows is better than guesses by 0.500" in told)
