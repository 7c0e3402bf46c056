from __future__ import annotations

import json
from pathlib import Path

import pytest

from overread.cli.main import run
from overread.run.folds import SPREAD_OF

BY_PATIENT = ["--patient-regex", r"/(\w\d)-"]


def test_folds_are_told_in_one_table_with_the_words_it_needs(cohort_folder, tiny, tmp_path: Path, capsys) -> None:
    out = tmp_path / "folds"
    words = ["train", str(cohort_folder), *tiny, *BY_PATIENT, "--no-audit", "--folds", "2", "--out", str(out)]
    assert run(words) == 0
    printed = capsys.readouterr().out
    table = printed[printed.index("Cross-validation: 2 folds.") :]
    first = {line.split()[0]: line.split() for line in table.splitlines() if line.strip()}
    pooled = {
        one["name"]: one for one in json.loads((out / "metrics.json").read_text())["pooled"] if not one["label"]
    }
    values = [f"{pooled[name]['value']:.3f}" for name in SPREAD_OF]
    assert first["pooled"] == ["pooled", "48", "12", *values]
    assert "The spread over folds is no interval" in table
    assert str(out / "predictions.csv") in table

    assert run(words) == 0  # again: what has ended is kept
    assert capsys.readouterr().out.count("has ended already; kept.") == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--folds", "3", "--leave-one-site-out"], "two ways to hold patients back"),
        (["--repeats", "3"], "--repeats goes with --folds"),
        (["--folds", "3", "--seeds", "2"], "is repeated by --repeats 2, not by --seeds"),
        (["--folds", "3", "--split", "image"], "makes its own split, so --split image cannot be given"),
        (["--folds", "1"], "--folds 1 is out of range"),
        (["--folds", "9"], "--folds 9 needs 9 patients in each class"),
        (["--leave-one-site-out"], "needs two sites or more, found 0"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(cohort_folder, tiny, tmp_path, refusal, flags, said) -> None:
    out = tmp_path / "folds"
    assert said in refusal("train", cohort_folder, *tiny, *BY_PATIENT, *flags, "--out", out)
    assert not out.exists()
