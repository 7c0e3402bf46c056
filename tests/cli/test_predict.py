from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from overread.cli.answers import key_of
from overread.cli.main import run
from overread.disk import growing
from overread.predict import Predictor


@pytest.fixture
def predicted(trained, capsys):
    """Run `overread predict` on the trained model, and give its exit code and what it printed."""

    def predict(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["predict", str(trained.folder), *map(str, words)])
        return code, capsys.readouterr().out

    return predict


@pytest.fixture
def pictures(trained, tmp_path) -> Path:
    """Three good files of two classes, an empty one and a text among them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("disc/d0-0.png", "disc/d0-1.png", "square/s0-0.png"):
        shutil.copy(trained.source / name, folder)
    (folder / "d0-00.png").write_bytes(b"")
    (folder / "note.txt").write_text("not an image")
    return folder


def test_the_table_has_a_row_an_image(predicted, trained) -> None:
    first, second = trained.source / "disc" / "d0-0.png", trained.source / "square" / "s0-0.png"
    code, printed = predicted(first, second)
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].split() == ["image", "predicted", "disc", "square"]
    for line, path in zip(lines[1:3], (first, second), strict=True):
        shown, label, *values = line.split()
        assert shown == str(path)
        assert label in ("disc", "square")
        assert sum(map(float, values)) == pytest.approx(1, abs=0.002)
    assert "It cannot say how sure it is: no sets: 4 calibration patients; a promise of 90% needs" in lines[3]
    assert "not a medical device" in lines[4]


def test_a_bad_file_hides_no_other_and_the_exit_code_tells(predicted, pictures) -> None:
    code, printed = predicted(pictures)
    assert code == 2
    lines = printed.splitlines()
    shown = [Path(line.split()[0]).name for line in lines[1:6]]
    assert shown == ["d0-0.png", "d0-00.png", "d0-1.png", "note.txt", "s0-0.png"]
    assert [" not read" in line for line in lines[1:6]] == [False, True, False, True, False]
    told = [line for line in lines if line.startswith("not read: ")]
    assert len(told) == 2
    assert "d0-00.png is empty" in told[0]
    assert "note.txt is not an image" in told[1]


def test_csv_has_every_probability_and_every_problem(predicted, pictures) -> None:
    code, printed = predicted(pictures, "--csv")
    assert code == 2
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert list(rows[0]) == ["path", "frame", "predicted", "p_disc", "p_square", "set", "abstains", "problem"]
    assert len(rows) == 5
    for row in rows:
        if row["problem"]:
            assert (row["predicted"], row["p_disc"], row["p_square"]) == ("", "", "")
        else:
            assert float(row["p_disc"]) + float(row["p_square"]) == pytest.approx(1, abs=1e-5)


def test_csv_keeps_all_digits_so_that_its_readers_find_the_same_order(predicted, trained) -> None:
    paths = sorted(trained.source.rglob("*.png"))[:20]
    _, printed = predicted(*paths, "--csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    for row, said in zip(rows, Predictor(trained.folder).predict_files(paths), strict=True):
        assert {name: float(row[f"p_{name}"]) for name in said.probabilities} == said.probabilities


def test_another_engine_gives_the_same(predicted, trained) -> None:
    pytest.importorskip("openvino")
    paths = sorted(trained.source.rglob("*.png"))[:5]
    tables = [predicted(*paths, "--csv", "--engine", engine)[1] for engine in ("onnxruntime", "openvino")]
    for one, other in zip(*(csv.DictReader(io.StringIO(table)) for table in tables), strict=True):
        assert one["path"] == other["path"]
        assert float(one["p_disc"]) == pytest.approx(float(other["p_disc"]), abs=1e-5)


def test_an_engine_that_is_not_known_is_refused(refusal, trained) -> None:
    said = refusal("predict", trained.folder, trained.source, "--engine", "tensorrt")
    assert said == "overread: --engine tensorrt is not known; there are onnxruntime and openvino.\n"


def test_json_carries_what_the_model_must_say(predicted, pictures, trained) -> None:
    code, printed = predicted(pictures, "--json")
    assert code == 2
    content = json.loads(printed)
    card = json.loads((trained.folder / "model.json").read_text())
    assert content["classes"] == card["classes"] == ["disc", "square"]
    assert content["marks"] == card["marks"]
    assert content["intended_use"] == card["intended_use"]
    assert [p["problem"] is None for p in content["predictions"]] == [True, False, True, False, True]
    assert set(content["predictions"][0]["probabilities"]) == {"disc", "square"}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_file_gets_what_would_have_been_printed(form: str, predicted, pictures, tmp_path) -> None:
    _, printed = predicted(pictures, f"--{form}")
    out = tmp_path / f"answers.{form}"
    assert predicted(pictures, f"--{form}", "--out", out) == (2, "")
    assert out.read_text(encoding="utf-8") == printed


def test_out_never_replaces_an_image(trained, pictures, refusal) -> None:
    image = pictures / "d0-0.png"
    before = image.read_bytes()
    assert "does not end in .csv" in refusal("predict", trained.folder, image, "--csv", "--out", image)
    assert "--out goes with --json or --csv" in refusal("predict", trained.folder, image, "--out", image)
    assert image.read_bytes() == before


def test_a_prediction_repeats_what_training_found(predicted, trained) -> None:
    with (trained.folder / "predictions.csv").open(newline="") as stream:
        known = {row["path"]: row for row in csv.DictReader(stream)}
    code, printed = predicted(*(trained.source / path for path in known), "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) == len(known) == 32
    for row in rows:
        then = known[Path(row["path"]).relative_to(trained.source).as_posix()]
        assert row["predicted"] == then["predicted"]
        for name in ("disc", "square"):
            assert float(row[f"p_{name}"]) == pytest.approx(float(then[f"probability {name}"]), abs=1e-4)


def test_every_slice_of_a_volume_is_a_row(predicted, tmp_path) -> None:
    voxels = np.random.default_rng(0).normal(size=(32, 32, 3)).astype(np.float32)
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    code, printed = predicted(path)
    assert code == 0
    shown = [line.split("  ")[0] for line in printed.splitlines()[1:4]]
    assert shown == [f"{path}", f"{path} [1]", f"{path} [2]"]
    _, printed = predicted(path, "--csv")
    assert [row["frame"] for row in csv.DictReader(io.StringIO(printed))] == ["0", "1", "2"]


def test_names_are_shown_as_they_are(predicted, trained, tmp_path) -> None:
    strange = tmp_path / "[red]a scan[bold].png"
    shutil.copy(trained.source / "disc" / "d0-0.png", strange)
    code, printed = predicted(strange)
    assert code == 0
    assert f"{strange} " in printed


def test_a_narrow_terminal_shows_the_likeliest_classes_of_many(predicted, trained, monkeypatch) -> None:
    _, printed = predicted("--csv", trained.source / "disc" / "d0-0.png")
    row = next(csv.DictReader(io.StringIO(printed)))
    monkeypatch.setenv("COLUMNS", "26")
    _, printed = predicted(trained.source / "disc" / "d0-0.png")
    assert "The probability of every class: --csv or --json." in printed
    assert f"{max(float(row['p_disc']), float(row['p_square'])):.3f}" in printed


def test_what_cannot_be_encoded_is_spelt_out(overread, trained, tmp_path) -> None:
    strange = tmp_path / "снимок.png"
    shutil.copy(trained.source / "disc" / "d0-0.png", strange)
    done = overread("predict", trained.folder, strange, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"\u0441\u043d" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-file.png"], "no-such-file.png does not exist"),
        (["--json", "--csv", "scan.png"], "not allowed with"),
    ],
)
def test_what_cannot_be_predicted_is_refused(words: list[str], said: str, refusal, trained) -> None:
    assert said in refusal("predict", trained.folder, *words)


def test_a_folder_without_files_is_refused(refusal, trained, tmp_path) -> None:
    assert "No files in" in refusal("predict", trained.folder, tmp_path)


@pytest.mark.parametrize("card", ["", "{", "[]", '{"schema": 99}', "\xff"])
def test_a_model_folder_that_cannot_be_used_is_one_line(card: str, refusal, trained, tmp_path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained.folder, model)
    (model / "model.json").write_text(card, encoding="latin-1")
    assert "model.json cannot be used" in refusal("predict", model, trained.source)


def test_a_changed_network_is_not_run(refusal, trained, tmp_path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained.folder, model)
    whole = bytearray((model / "model.onnx").read_bytes())
    whole[len(whole) // 2] ^= 1
    (model / "model.onnx").write_bytes(whole)
    assert "model.onnx" in refusal("predict", model, trained.source)
    (model / "model.onnx").unlink()
    assert "model.onnx is missing" in refusal("predict", model, trained.source)


def test_a_run_that_was_stopped_goes_on(predicted, trained, tmp_path, monkeypatch, capsys) -> None:
    folder, out = tmp_path / "images", tmp_path / "answers.csv"
    folder.mkdir()
    source = sorted(trained.source.rglob("*.png"))
    for n in range(60):
        shutil.copyfile(source[n % len(source)], folder / f"{n:03}.png")
    _, whole = predicted(folder, "--csv")
    plain = Predictor.predict_files
    asked: list[Path] = []

    def stops(self, paths):
        for n, found in enumerate(plain(self, paths)):
            if n == 40:
                raise KeyboardInterrupt
            yield found

    def counts(self, paths):
        for path in paths:
            asked.append(path)
            yield from plain(self, [path])

    monkeypatch.setattr(Predictor, "predict_files", stops)
    assert predicted(folder, "--csv", "--out", out)[0] == 130
    assert not out.exists()
    monkeypatch.setattr(Predictor, "predict_files", counts)
    assert predicted(folder, "--csv", "--out", out)[0] == 0
    assert out.read_text() == whole
    assert len(asked) == 60 - 39
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".part-")] == []


def test_a_second_copy_does_not_write_the_same_table(trained, pictures, tmp_path, refusal) -> None:
    with growing(tmp_path / "a.csv", key=key_of(Predictor(trained.folder))):
        said = refusal("predict", trained.folder, pictures, "--csv", "--out", tmp_path / "a.csv")
    assert "is being written by another overread" in said


def test_many_images_are_shown_in_several_tables(predicted, pictures, monkeypatch) -> None:
    monkeypatch.setattr("overread.cli.predict.ROWS_OF_A_TABLE", 2)
    _, printed = predicted(pictures)
    assert sum(line.startswith("image") for line in printed.splitlines()) == 3
    assert printed.count("not read: ") == 2
