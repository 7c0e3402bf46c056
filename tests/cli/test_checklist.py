from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from overread.cli import checklist
from overread.cli.main import run
from overread.report.checklist import BOTH, FILES
from overread.report.checklist_page import FORMS

HEAVY = "{'torch', 'torchvision', 'timm', 'matplotlib', 'onnx', 'onnxruntime', 'pandas'}"


def printed_by(words: list[object], capsys) -> tuple[str, str]:
    capsys.readouterr()
    assert run([*map(str, words)]) == 0
    return capsys.readouterr()


def test_the_words_of_the_flags_are_those_of_the_library() -> None:
    assert {*FILES, BOTH} == set(checklist.LISTS)
    assert set(FORMS) == set(checklist.FORMATS)


def test_markdown_is_printed_and_the_counts_go_beside_it(trained, capsys) -> None:
    out, err = printed_by(["checklist", trained.folder], capsys)
    assert out.startswith("# Reporting checklists\n")
    assert out.count("\n## ") == 2
    first, second = err.splitlines()
    assert first.startswith("CLAIM 2024: of 44 items ")
    assert second.startswith("TRIPOD+AI 2024: of 52 items ")


@pytest.mark.parametrize(("name", "begin"), [("a.md", "# Rep"), ("a.HTML", "<!doctype html>"), ("a.json", "{")])
def test_the_ending_of_the_file_says_how_to_write_it(name, begin, trained, tmp_path, capsys) -> None:
    out, err = printed_by(["checklist", trained.folder, "--which", "claim", "--out", tmp_path / name], capsys)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)
    assert out.splitlines()[-1] == f"Written to {tmp_path / name}."
    assert err == ""


def test_a_real_run_answers_with_its_own_figures(trained, capsys) -> None:
    out, _ = printed_by(["checklist", trained.folder, "--format", "json"], capsys)
    claim, tripod = json.loads(out)["checklists"]
    answers = {item["number"]: " ".join(item["answer"]) for item in claim["items"]}
    whole = json.loads((trained.folder / "metrics.json").read_text())
    (area,) = (one for one in whole["measured"] if one["name"] == "auroc" and one["label"] is None)
    assert f"AUROC {area['value']:.3f} (" in answers["37"]
    assert "48 images of 12 patients in 2 classes (disc and square)" in answers["7"]
    assert "none of the 12 patients has images in more than one of the 3 parts" in answers["20"]
    assert "Patients are known from a pattern on the path of each image." in answers["20"]
    assert "divided at random, by patient" in answers["19"]
    assert "test_resnet" in answers["22"]
    assert "Every layer began with random weights" in answers["24"]
    assert "for 2 epochs" in answers["25"]
    assert "32 x 32 pixels" in answers["9"]
    verdict = next(item for item in tripod["items"] if item["number"] == "25")
    assert verdict["answer"][0].startswith("overread's own verdict: ")


def test_no_path_of_an_image_is_told(trained, capsys) -> None:
    out, _ = printed_by(["checklist", trained.folder], capsys)
    names = [path.stem for path in trained.source.rglob("*.png")]
    assert len(names) == 48
    assert not [name for name in names if name in out]


def test_it_reads_quickly_and_without_torch(trained) -> None:
    code = (
        "import sys\nfrom overread.cli.main import run\n"
        f"run(['checklist', {str(trained.folder)!r}])\nsys.exit(' '.join({HEAVY} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_ending_that_is_no_form_is_refused(trained, refusal) -> None:
    said = refusal("checklist", trained.folder, "--out", "list.docx")
    assert "list.docx ends in none of .md, .html and .json. Name the form too: --format md|html|json." in said


def test_a_folder_that_is_no_model_is_refused(tmp_path, refusal) -> None:
    assert "is not a model folder" in refusal("checklist", tmp_path)


def test_a_file_that_was_changed_is_refused(trained, tmp_path, refusal) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    (copy / "metrics.json").write_text((copy / "metrics.json").read_text().replace('"value": 0.', '"value": 0.9'))
    assert "metrics.json in" in (said := refusal("checklist", copy))
    assert "has changed since it was written" in said


def test_a_file_that_cannot_be_written_is_said(trained, tmp_path, refusal) -> None:
    (tmp_path / "file").write_text("")
    assert "checklists.md" in refusal("checklist", trained.folder, "--out", tmp_path / "file" / "checklists.md")
