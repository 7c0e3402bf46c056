from __future__ import annotations

from overread.cli.main import run


def test_it_says_what_is_lost_and_what_is_won(trained, tmp_path, capsys) -> None:
    out = tmp_path / "small"
    assert run(["quantize", str(trained.folder), "--out", str(out), "--lose-at-most", "0.5", "--workers", "0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "AUROC in validation: " in printed
    assert "16 images of 4 patients" in printed
    assert "MB before" in printed
    assert "images a second before" in printed
    assert f"Written: {out}, with the report of this network." in printed
    assert run(["predict", str(out), str(trained.source / "disc")]) == 0


def test_a_folder_that_is_taken_is_left_alone(trained, tmp_path, capsys) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert run(["quantize", str(trained.folder), "--out", str(tmp_path)]) == 2
    assert "is not empty (mine.txt is in it)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
