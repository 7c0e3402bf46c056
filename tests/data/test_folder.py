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
    os.symlink(tmp_path / "elsewhere", tmp_path / "root/b")
    os.symlink(tmp_path / "root", tmp_path / "root/a/ring")
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
    with pytest.raises(CohortError, match="It holds cohort.csv"):
        list_folder(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no class folder that holds files"):
        list_folder(tmp_path)


def test_images_that_no_row_names_are_counted_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, "x/a/1.png", "x/a/2.png", "x/a/3.png", "x/b/4.PNG", "x/b/5.jpg", "elsewhere/6.png")
    found = {problem.path: problem for problem in find_unlisted(tmp_path, ["x/a/1.png", "x/b/9.png"])}
    assert set(found) == {"x/a", "x/b"}
    assert {problem.kind for problem in found.values()} == {"unlisted"}
    assert "2 files lie among the listed ones and no row names them: 2.png, 3.png" in found["x/a"].message


def test_listed_files_outside_the_root_are_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.png", "root/2.png")
    assert find_unlisted(tmp_path / "root", [(tmp_path / "x/1.png").as_posix()]) == []
