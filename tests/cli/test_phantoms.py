from __future__ import annotations

import json

import pydicom

from overread.cli.main import run


def test_it_writes_patients_as_dicom_and_the_truth_about_them(tmp_path, capsys) -> None:
    out = tmp_path / "heads"
    assert run(["phantoms", str(out), "--patients", "3", "--slices", "2", "--size-px", "64"]) == 0
    assert f"Next: overread train {out / 'images'}" in capsys.readouterr().out
    files = sorted((out / "images").rglob("*.dcm"))
    assert len(files) == 6
    assert len({str(pydicom.dcmread(path, stop_before_pixels=True).PatientID) for path in files}) == 3
    assert {path.relative_to(out / "images").parts[0] for path in files} == {"aneurysm", "cancer", "tumor"}
    assert json.loads((out / "truth.json").read_text())


def test_bad_settings_and_a_full_folder_are_refused(tmp_path, refusal) -> None:
    (tmp_path / "thesis.txt").touch()
    assert "--patients 0 is out of range" in refusal("phantoms", tmp_path / "new", "--patients", "0")
    assert "--body" in refusal("phantoms", tmp_path / "new", "--body", "knee")
    assert "is not empty" in refusal("phantoms", tmp_path, "--patients", "3")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
