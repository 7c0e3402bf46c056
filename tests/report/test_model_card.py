from __future__ import annotations

import pytest
import yaml
from tests.conftest import make_predictions
from tests.report.again.conftest import make_page

from overread.report.model_card import YOURS, render, write_model_card

CLASSES = ("a|b", "*normal*", "<tumor>")


@pytest.fixture(scope="module")
def page():
    found, caution = make_predictions(CLASSES)
    return make_page(
        found, caution, name="run: [1]", training=(("network", "resnet18"),), provenance=(("commit", "ab"),)
    )


@pytest.fixture(scope="module")
def card(page) -> str:
    return render(page)


def test_the_head_is_what_the_hub_reads(card: str, page) -> None:
    _, head, _ = card.split("---\n", 2)
    values = yaml.safe_load(head)
    assert values["pipeline_tag"] == "image-classification"
    assert "not-a-medical-device" in values["tags"]
    (entry,) = values["model-index"]
    assert entry["name"] == "run: [1]"
    metrics = {one["type"]: one["value"] for one in entry["results"][0]["metrics"]}
    assert metrics["roc_auc"] == pytest.approx(page.read.score.figure("auroc").value, abs=1e-4)
    assert metrics["accuracy"] == pytest.approx(page.read.score.figure("accuracy").value, abs=1e-4)


def test_each_figure_has_its_interval_and_what_it_was_measured_on(card: str, page) -> None:
    one = page.read.score.figure("accuracy")
    assert (
        f"| accuracy | all | {one.value:.3f} | {one.low:.3f} to {one.high:.3f} | {one.n_images} | {one.n_patients} |"
        in card
    )
    assert page.read.verdict.words in card


def test_names_do_not_break_its_tables(card: str) -> None:
    body = card.split("---\n", 2)[2]
    assert r"a\|b" in body
    assert r"\*normal\*" in body
    assert "&lt;tumor>" in body
    assert "<tumor>" not in body
    rows: list[str] = []
    for line in body.splitlines():
        if line.startswith("|"):
            rows.append(line)
            continue
        assert len({row.replace(r"\|", "").count("|") for row in rows}) <= 1
        rows = []


def test_what_no_run_knows_is_left_to_its_author(card: str, page, tmp_path) -> None:
    assert card.count(YOURS) == 3
    write_model_card(tmp_path / "MODEL_CARD.md", page)
    assert (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8") == card
