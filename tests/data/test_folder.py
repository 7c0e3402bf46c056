from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image as Pillow

from overread.data.folder import find_unlisted, list_files, list_folder
from overread.errors import CohortError


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (8, 8)).save(root / path, "PNG")


def test_classes_are_the_first_folders_however_deep_a_file_lies(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.png", "a/x/y/2.png", "a/1.png")
    found = [(entry.path, entry.label) for entry in list_folder(tmp_path).entries]
    assert found == [("a/1.png", "a"), ("a/x/y/2.png", "a"), ("b/1.png", "b")]


def test_hidden_and_system_files_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/1.png", "a/.DS_Store", "a/Thumbs.db", ".git/x", "a/DICOMDIR", "__MACOSX/a/1.png", "b/desktop.ini"
    )
    assert list(list_files(tmp_path)) == ["a/1.png"]


def test_a_link_to_a_folder_is_followed_and_a_ring_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.png", "root/a/2.png")
    (tmp_path / "root/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/a/ring").symlink_to(tmp_path / "root")
    assert list(list_files(tmp_path / "root")) == ["a/2.png", "b/1.png"]


def test_files_beside_the_classes_are_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", "lost.png")
    (tmp_path / "README.txt").write_text("About these images")
    (tmp_path / "empty.dcm").touch()
    problems = {problem.path: problem.kind for problem in list_folder(tmp_path).problems}
    assert problems == {"lost.png": "no-label", "README.txt": "unlisted", "empty.dcm": "no-label"}


def test_an_empty_class_folder_is_a_problem(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "c").mkdir()
    assert [(problem.path, problem.kind) for problem in list_folder(tmp_path).problems] == [("c", "no-file")]


def test_one_class_is_refused_and_a_list_in_it_is_pointed_at(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png")
    with pytest.raises(CohortError, match=r"has one class folder \(images\)"):
        list_folder(tmp_path)
    (tmp_path / "cohort.csv").write_text("path,label\n")
    with pytest.raises(CohortError, match=r"It holds cohort\.csv"):
        list_folder(tmp_path)


def test_folders_of_formats_are_no_classes(tmp_path: Path) -> None:
    touch(tmp_path, "DICOM/x/1.dcm", "DICOM/y/1.dcm", "jpg/x/1.png")
    with pytest.raises(CohortError, match="the folders DICOM, jpg, which name kinds of files and no classes"):
        list_folder(tmp_path)
    touch(tmp_path, "tumor/1.png")
    assert {entry.label for entry in list_folder(tmp_path).entries} == {"DICOM", "jpg", "tumor"}


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no class folder that holds files"):
        list_folder(tmp_path)


def test_each_image_that_no_row_names_has_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "x/a/1.png", "x/a/2.png", "x/b/4.PNG", "x/b/5.jpg", "elsewhere/6.png")
    found = find_unlisted(tmp_path, ["x/a/1.png", "x/b/9.png"], name="list.csv")
    assert [(problem.path, problem.kind) for problem in found] == [
        ("x/a/2.png", "no-label"),
        ("x/b/4.PNG", "no-label"),
    ]
    assert "no row of list.csv names it" in found[0].message


def test_a_listed_file_is_not_called_unlisted_by_its_other_name(tmp_path: Path) -> None:
    touch(tmp_path, "x/b/1.png")
    (tmp_path / "x/a").symlink_to(tmp_path / "x/b")
    (tmp_path / "x/2.png").symlink_to(tmp_path / "x/b/1.png")
    assert find_unlisted(tmp_path, ["x/b/1.png", "x/3.png"], name="list.csv") == []


def test_of_very_many_files_it_says_that_it_has_not_seen_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overread.data.folder._MAX_LOOKED_AT", 2)
    touch(tmp_path, "1.png", "2.png", "3.png")
    found = find_unlisted(tmp_path, ["1.png"], name="list.csv")
    assert [(problem.path, problem.kind) for problem in found] == [("2.png", "no-label"), (".", "unlisted")]
    assert "the rest were not compared" in found[1].message


def test_folders_of_parts_are_a_split_and_no_classes(tmp_path: Path) -> None:
    touch(
        tmp_path, "Train/x/1.png", "Train/y/2.png", "valid/x/3.png", "test/y/deep/4.png", "test/5.png", "other/6.png"
    )
    listing = list_folder(tmp_path)
    assert [(entry.path, entry.label, entry.split) for entry in listing.entries] == [
        ("Train/x/1.png", "x", "train"),
        ("Train/y/2.png", "y", "train"),
        ("test/y/deep/4.png", "y", "test"),
        ("valid/x/3.png", "x", "val"),
    ]
    assert {problem.path: problem.kind for problem in listing.problems} == {
        "test/5.png": "no-label",
        "other/6.png": "no-label",
    }


def test_one_file_in_two_classes_by_a_link_has_two_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/2.png", "b/1.png")
    (tmp_path / "b/2.png").symlink_to(tmp_path / "a/2.png")
    listing = list_folder(tmp_path)
    assert [entry.path for entry in listing.entries] == ["a/1.png", "b/1.png"]
    assert {problem.path: problem.kind for problem in listing.problems} == {
        "a/2.png": "two-labels",
        "b/2.png": "two-labels",
    }


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that bind")
def test_a_folder_that_may_not_be_entered_is_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", "b/locked/1.png")
    (tmp_path / "b/locked").chmod(0)
    with pytest.raises(CohortError, match="The folder locked cannot be listed"):
        list_folder(tmp_path)


def test_listed_files_outside_the_root_are_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.png", "root/2.png")
    assert find_unlisted(tmp_path / "root", [(tmp_path / "x/1.png").as_posix()], name="list.csv") == []
