from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overread.data.listing import Listing
from overread.data.manifest import list_csv, list_datalist, list_npz
from overread.data.rows import CohortSettings
from overread.errors import CohortError


def csv(folder: Path, text: str, **settings: Any) -> Listing:
    (folder / "list.csv").write_text(text)
    return list_csv(folder / "list.csv", CohortSettings(**settings))


def datalist(folder: Path, content: Any, **settings: Any) -> Listing:
    (folder / "list.json").write_text(json.dumps(content))
    return list_datalist(folder / "list.json", CohortSettings(**settings))


def kinds(listing: Listing) -> list[tuple[str, str]]:
    return [(problem.path, problem.kind) for problem in (*listing.problems, *listing.unlisted)]


def test_every_column_arrives(tmp_path: Path) -> None:
    listing = csv(
        tmp_path, "path,label,patient,series,site,split,frame\na/1.png,x,P1,S1,north,Training,3\na/2.png,y,,,,,\n"
    )
    first, second = listing.entries
    assert (first.path, first.label, first.frame, first.patient) == ("a/1.png", "x", 3, "P1")
    assert (first.series, first.site, first.split, first.where) == ("S1", "north", "train", "line 2 of list.csv")
    assert (second.frame, second.patient, second.series, second.site, second.split) == (None,) * 5
    assert listing.root == tmp_path


def test_columns_may_have_any_names(tmp_path: Path) -> None:
    text = "dcm,jpg,type,who\n/a/1.dcm,/a/1.jpg,x,7\n/b/1.dcm,/b/1.jpg,y,8\n"
    listing = csv(tmp_path, text, path_column="jpg", label_column="type", patient_column="who")
    found = [(entry.path, entry.label, entry.patient) for entry in listing.entries]
    assert found == [("a/1.jpg", "x", "7"), ("b/1.jpg", "y", "8")]


def test_paths_start_from_the_root_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "jpg").mkdir()
    listing = csv(tmp_path, "path,label\n/a/1.jpg,x\n", root=str(tmp_path / "jpg"))
    assert (listing.root, listing.entries[0].path) == (tmp_path / "jpg", "a/1.jpg")
    with pytest.raises(CohortError, match="--root"):
        csv(tmp_path, "path,label\n", root=str(tmp_path / "none"))


def test_each_kind_of_bad_row_is_told(tmp_path: Path) -> None:
    listing = csv(
        tmp_path,
        "path,label,split\n1.png,x,train\n1.png,x,train\n2.png,x,test\n2.png,y,test\n3.png,,test\n,x,test\n"
        "4.png,x,later\n5.png,x,test,more\n",
    )
    assert [entry.path for entry in listing.entries] == ["1.png"]
    assert sorted(kinds(listing)) == [
        ("1.png", "two-rows"),
        ("2.png", "two-labels"),
        ("2.png", "two-labels"),
        ("3.png", "no-label"),
        ("4.png", "bad-split"),
        ("list.csv", "bad-row"),
        ("list.csv", "bad-row"),
    ]


def test_a_file_that_only_a_bad_row_names_is_not_called_unlisted(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    (tmp_path / "2.png").touch()
    assert kinds(csv(tmp_path, "path,label\n1.png,\n")) == [("1.png", "no-label"), ("2.png", "no-label")]


def test_numbers_stay_text(tmp_path: Path) -> None:
    assert [entry.label for entry in csv(tmp_path, "path,label\na,0\nb,01\n").entries] == ["0", "01"]


def test_a_datalist_is_read_with_its_parts(tmp_path: Path) -> None:
    listing = datalist(
        tmp_path,
        {
            "description": "a set",
            "numTraining": 2,
            "training": [
                {"image": "./a/1.png", "label": 0, "patient": 17},
                {"image": "a/2.png", "label": 1.0, "subject": "P2", "series": "S", "site": "north", "fold": 0},
            ],
            "validation": [{"image": "a/3.png", "label": "1"}],
            "test": [{"image": "a/4.png", "label": 0}],
        },
    )
    assert [(entry.path, entry.label, entry.split) for entry in listing.entries] == [
        ("a/1.png", "0", "train"),
        ("a/2.png", "1", "train"),
        ("a/3.png", "1", "val"),
        ("a/4.png", "0", "test"),
    ]
    assert [entry.patient for entry in listing.entries] == ["17", "P2", None, None]
    assert (listing.entries[1].series, listing.entries[1].site) == ("S", "north")


def test_a_datalist_with_one_list_has_no_split(tmp_path: Path) -> None:
    listing = datalist(tmp_path, {"training": [{"image": "1.png", "label": 0}], "test": []})
    assert listing.entries[0].split is None


def test_bad_items_of_a_datalist_are_told(tmp_path: Path) -> None:
    items = [
        "./1.nii.gz",
        {"label": 1},
        {"image": ["2.nii", "3.nii"], "label": 1},
        {"image": "4.nii", "label": [0, 1]},
    ]
    listing = datalist(tmp_path, {"training": items})
    assert kinds(listing) == [
        ("1.nii.gz", "no-label"),
        ("list.json", "bad-row"),
        ("list.json", "bad-row"),
        ("4.nii", "bad-row"),
    ]
    assert "training[2] of list.json" in listing.problems[2].message


def test_a_file_that_a_datalist_does_not_name_has_no_label(tmp_path: Path) -> None:
    for name in ("1.nii", "2.nii", "3.txt"):
        (tmp_path / name).touch()
    listing = datalist(tmp_path, {"training": [{"image": "1.nii", "label": 0}, {"label": 1}]})
    assert kinds(listing) == [("list.json", "bad-row"), ("2.nii", "no-label")]


def test_a_line_whose_cells_are_shifted_tells_nobodys_name(tmp_path: Path) -> None:
    listing = csv(tmp_path, "path,label,patient,split,frame\n1.png,x,Doe, Jane\n2.png,x,P1,test,Jane\n")
    assert kinds(listing) == [("1.png", "bad-split"), ("2.png", "bad-row")]
    assert "Jane" not in repr(listing.problems)


@pytest.mark.parametrize("content", [[], {}, {"images": []}, {"training": []}, {"training": "x"}])
def test_json_that_is_no_datalist_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(CohortError, match="no list of images"):
        datalist(tmp_path, content)


def test_json_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("{")
    with pytest.raises(CohortError, match="no JSON"):
        list_datalist(tmp_path / "list.json", CohortSettings())


def test_an_npz_brings_its_split(tmp_path: Path) -> None:
    images = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    labels = np.array([[0], [1]])
    parts = {f"{part}_{what}": value for part in ("train", "val", "test") for what, value in
             (("images", images), ("labels", labels))}  # fmt: skip
    np.savez(tmp_path / "set.npz", **parts)
    entries = list_npz(tmp_path / "set.npz").entries
    assert [(entry.path, entry.frame, entry.label, entry.split) for entry in entries[:3]] == [
        ("set.npz", 0, "0", "train"),
        ("set.npz", 1, "1", "train"),
        ("set.npz", 2, "0", "val"),
    ]
    np.savez(tmp_path / "one.npz", train_images=images, train_labels=labels)
    assert {entry.split for entry in list_npz(tmp_path / "one.npz").entries} == {None}
