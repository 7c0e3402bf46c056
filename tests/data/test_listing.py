from __future__ import annotations

import os
from pathlib import Path

import pytest

from overread.data.listing import Entry, make_entry, resolve, sort_out
from overread.data.rows import Problem


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("a/b.png", "a/b.png"),
        ("./a//b.png", "a/b.png"),
        ("a/../b.png", "b.png"),
        ("/a/b.png", "a/b.png"),
        ("../b.png", None),
    ],
)
def test_paths_become_relative_to_the_root(tmp_path: Path, written: str, resolved: str | None) -> None:
    assert resolve(written, tmp_path) == (resolved or (tmp_path.parent / "b.png").as_posix())


def test_an_absolute_path_that_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "root").mkdir()
    assert resolve(str(tmp_path / "a.png"), tmp_path / "root") == (tmp_path / "a.png").as_posix()
    assert resolve(str(tmp_path / "a.png"), tmp_path) == "a.png"


@pytest.mark.skipif(os.name == "nt", reason="backslashes are ordinary there")
def test_windows_paths_are_read_elsewhere(tmp_path: Path) -> None:
    assert resolve("a\\b.png", tmp_path) == "a/b.png"
    (tmp_path / "odd\\name.png").touch()
    assert resolve("odd\\name.png", tmp_path) == "odd\\name.png"
    assert resolve("C:\\scans\\a\\b.png", tmp_path) == "scans/a/b.png"
    assert resolve("\\\\server\\share\\a\\b.png", tmp_path) == "a/b.png"


@pytest.mark.parametrize(
    ("word", "part"),
    [("train", "train"), ("Training", "train"), ("VALID", "val"), ("validation", "val"), ("testing", "test")],
)
def test_words_for_parts(word: str, part: str) -> None:
    entry = make_entry("a.png", {"label": "x", "split": word}, where="line 2")
    assert isinstance(entry, Entry)
    assert entry.split == part


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"label": ""}, "no-label"),
        ({"label": "  "}, "no-label"),
        ({}, "no-label"),
        ({"label": "x", "split": "holdout"}, "bad-split"),
        ({"label": "x", "frame": "-1"}, "bad-row"),
        ({"label": "x", "frame": "one"}, "bad-row"),
    ],
)
def test_what_a_row_lacks_is_a_problem(said: dict[str, str | None], kind: str) -> None:
    found = make_entry("a.png", said, where="line 2 of list.csv")
    assert isinstance(found, Problem)
    assert (found.path, found.kind) == ("a.png", kind)
    assert "line 2 of list.csv" in found.message


def test_labels_are_one_text_whatever_their_unicode_form() -> None:
    forms = [make_entry("a", {"label": label}, where="") for label in ("La\u0308sion", "L\u00e4sion")]
    assert len({entry.label for entry in forms if isinstance(entry, Entry)}) == 1


def test_two_rows_for_a_file_keep_the_first() -> None:
    first = Entry(path="a.png", label="x", where="line 2", split="train")
    again = Entry(path="a.png", label="x", where="line 9", split="test")
    other = Entry(path="b.png", label="x", where="line 3")
    kept, problems = sort_out([first, other, again], Path())
    assert kept == [first, other]
    assert [(problem.path, problem.kind) for problem in problems] == [("a.png", "two-rows")]
    assert "line 9 names the file that line 2 names, with another split" in problems[0].message


def test_two_labels_for_a_file_keep_neither() -> None:
    entries = [Entry(path="a.png", label=label, where=f"line {at}") for at, label in enumerate("xyx")]
    kept, problems = sort_out([*entries, Entry(path="b.png", label="x")], Path())
    assert [entry.path for entry in kept] == ["b.png"]
    assert [problem.kind for problem in problems] == ["two-labels"] * 3
    assert problems[1].message.startswith("line 1 says y, and of the same file line 0 says x, line 2 says x;")


def test_frames_of_a_file_are_images_of_their_own() -> None:
    frames = [Entry(path="v.nii", label=label, frame=at) for at, label in enumerate("xyx")]
    assert sort_out(frames, Path()) == (frames, [])


def test_a_row_for_the_whole_file_meets_those_for_its_frames() -> None:
    kept, problems = sort_out([Entry(path="v.nii", label="x"), Entry(path="v.nii", label="y", frame=1)], Path())
    assert kept == []
    assert [problem.kind for problem in problems] == ["two-labels"] * 2
