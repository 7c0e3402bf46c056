from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from overread.data.alike import alike_groups
from overread.data.cache import build_cache
from overread.data.cohort import read_cohort
from overread.data.rows import Cohort, Row
from overread.data.split import PARTS, SHARED, UNKNOWN, Split, folds, leave_one_site_out, split_cohort
from overread.errors import SettingsError, SplitError
from overread.settings import ImageSettings


def random_cohort(rng: np.random.Generator, *, n_sites: int = 0, share_unknown: float = 0.0) -> Cohort:
    """Patients with 1 to 30 images, of 2 to 4 classes; one in ten also has images of other classes."""
    n_classes = int(rng.integers(2, 5))
    of_patient = [*range(n_classes)] * 6 + rng.integers(n_classes, size=int(rng.integers(0, 60))).tolist()
    rows = []
    for patient, label in enumerate(of_patient):
        known = rng.random() >= share_unknown
        site = f"site {rng.integers(n_sites)}" if n_sites else None
        for at in range(int(rng.integers(1, 31 if rng.random() < 0.2 else 5))):
            own = int(rng.integers(n_classes)) if patient % 10 == 9 else label
            rows.append(
                Row(
                    path=f"{patient}/{at}.png",
                    label=f"class {own}",
                    patient=f"P{patient}" if known else None,
                    series=None if known else f"S{patient}",
                    site=site,
                )
            )
    classes = tuple(sorted({row.label for row in rows}))
    return Cohort(root=Path(), rows=tuple(rows), classes=classes, patients_from="column")


def owners(cohort: Cohort) -> list[str]:
    return [row.path.split("/")[0] for row in cohort.rows]


def assert_sound(cohort: Cohort, split: Split) -> None:
    assert len(split.parts) == len(cohort)
    parts_of: dict[str, set[str]] = {}
    for owner, part in zip(owners(cohort), split.parts, strict=True):
        parts_of.setdefault(owner, set()).update({part} - {""})
    assert all(len(parts) <= 1 for parts in parts_of.values())
    labels = cohort.labels()
    for part in PARTS:
        assert len(set(labels[split.indices(part)].tolist())) == len(cohort.classes)
    together = np.concatenate([split.indices(part) for part in (*PARTS, "")])
    assert sorted(together.tolist()) == list(range(len(cohort)))


@pytest.mark.parametrize("seed", range(60))
def test_no_patient_is_in_two_parts_and_every_class_is_in_each(seed: int) -> None:
    cohort = random_cohort(np.random.default_rng(seed))
    split = split_cohort(cohort, seed=seed)
    assert_sound(cohort, split)
    assert (split.unit, split.marks, split.seed) == ("patient", (), seed)
    assert split == split_cohort(cohort, seed=seed)
    # of few patients there are few good divisions, so two seeds may meet in one
    assert len({split_cohort(cohort, seed=other).parts for other in range(seed, seed + 4)}) > 1


def test_sizes_are_near_the_shares() -> None:
    off = []
    for seed in range(20):
        cohort = random_cohort(np.random.default_rng(seed))
        split = split_cohort(cohort, seed=seed)
        off += [
            len(split.indices(part)) / len(cohort) - share
            for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True)
        ]
    assert np.abs(off).max() < 0.08
    assert np.abs(off).mean() < 0.02


@pytest.mark.parametrize("seed", range(20))
def test_patients_known_in_part_are_kept_together_and_marked(seed: int) -> None:
    cohort = random_cohort(np.random.default_rng(seed), share_unknown=0.3)
    split = split_cohort(cohort, seed=seed)
    assert_sound(cohort, split)
    assert (split.unit, split.marks) == ("patient", (UNKNOWN,))


@pytest.mark.parametrize("seed", range(4))
def test_folds_test_every_image_once(seed: int) -> None:
    cohort = random_cohort(np.random.default_rng(seed))
    splits = folds(cohort, 5, seed=seed)
    assert [split.unit for split in splits] == [f"fold {fold} of 5" for fold in range(1, 6)]
    for split in splits:
        assert_sound(cohort, split)
    tested = np.concatenate([split.indices("test") for split in splits])
    assert sorted(tested.tolist()) == list(range(len(cohort)))


def test_a_site_is_left_out_with_the_patients_it_shares() -> None:
    rng = np.random.default_rng(0)
    cohort = random_cohort(rng, n_sites=3)
    seen_twice = cohort.rows[0].patient
    moved = [Row(path=row.path + "x", label=row.label, patient=seen_twice, site="site 9") for row in cohort.rows[:1]]
    moved += [
        Row(path=f"new{at}/1", label=name, patient=f"N{at}", site="site 9") for at, name in enumerate(cohort.classes)
    ]
    both = Cohort(root=Path(), rows=(*cohort.rows, *moved), classes=cohort.classes, patients_from="column")
    split = split_cohort(both, by="site:site 9")
    assert split.indices("test").tolist() == list(range(len(cohort), len(both)))
    left_out = [at for at, row in enumerate(cohort.rows) if row.patient == seen_twice]
    assert split.indices("").tolist() == left_out
    assert split.marks == (f"{len(left_out)} images are in no part: their patients were also seen at site site 9",)
    assert_sound(both, split)


@pytest.mark.parametrize("seed", range(5))
def test_each_site_is_left_out_in_turn(seed: int) -> None:
    cohort = random_cohort(np.random.default_rng(seed), n_sites=2)
    splits = leave_one_site_out(cohort, seed=seed)
    assert [split.unit for split in splits] == ["site site 0", "site site 1"]
    for split in splits:
        assert_sound(cohort, split)
    with pytest.raises(SplitError, match="two sites, found 0"):
        leave_one_site_out(random_cohort(np.random.default_rng(0)))


def unknown_cohort(n: int) -> Cohort:
    rows = [Row(path=f"{at}.png", label="xy"[at % 2]) for at in range(n)]
    return Cohort(root=Path(), rows=tuple(rows), classes=("x", "y"))


def test_images_that_look_alike_stay_on_one_side_where_patients_are_unknown() -> None:
    cohort = unknown_cohort(60)
    groups = np.arange(60) // 4
    split = split_cohort(cohort, groups=groups)
    assert (split.unit, split.marks) == ("alike", (UNKNOWN,))
    assert all(len({split.parts[at] for at in np.flatnonzero(groups == group)}) == 1 for group in range(15))
    with pytest.raises(SplitError, match="groups of nearly equal images"):
        split_cohort(cohort, groups=np.arange(60) % 2)


def test_copies_of_an_image_are_in_one_part_from_their_pixels_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for at in range(24):
        folder = tmp_path / f"images/{'xy'[at % 2]}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Pillow.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8))
        scan = coarse.resize((200, 200), Pillow.Resampling.BICUBIC)
        scan.save(folder / f"{at}.png")
        scan.resize((150, 150)).save(folder / f"{at} copy.jpg", quality=60)
    cohort = read_cohort(tmp_path / "images")
    cache = build_cache(cohort, ImageSettings(size_px=64), folder=tmp_path / "cache")
    for seed in range(5):
        split = split_cohort(cohort, groups=alike_groups(cache.fingerprints), seed=seed)
        part = {row.path: part for row, part in zip(cohort.rows, split.parts, strict=True)}
        assert all(part[path] == part[path.replace(".png", " copy.jpg")] for path in part if path.endswith(".png"))
        assert set(part.values()) == set(PARTS)
        assert split.marks == (UNKNOWN,)


@pytest.mark.parametrize("n", [30, 100, 259, 1000])
def test_by_image_the_sizes_are_exact(n: int) -> None:
    split = split_cohort(unknown_cohort(n), by="image", fractions=(0.8, 0.1, 0.1))
    sizes = [len(split.indices(part)) for part in PARTS]
    assert sizes == [n * 8 // 10, n // 10, n - n * 8 // 10 - n // 10]
    assert split.marks == (SHARED, UNKNOWN)


def test_by_image_the_mark_says_what_is_so() -> None:
    shared = random_cohort(np.random.default_rng(1))
    assert split_cohort(shared, by="image").marks == (SHARED,)
    alone = unknown_cohort(60)
    rows = tuple(Row(path=row.path, label=row.label, patient=row.path) for row in alone.rows)
    known = Cohort(root=Path(), rows=rows, classes=alone.classes, patients_from="column")
    assert split_cohort(known, by="image").marks == ()


def with_parts(cohort: Cohort, parts: list[str]) -> Cohort:
    rows = [
        Row(path=row.path, label=row.label, patient=row.patient, split=part)
        for row, part in zip(cohort.rows, parts, strict=True)
    ]
    return Cohort(root=Path(), rows=tuple(rows), classes=cohort.classes, patients_from="column")


def test_a_given_split_is_kept() -> None:
    cohort = random_cohort(np.random.default_rng(2))
    parts = list(split_cohort(cohort).parts)
    split = split_cohort(with_parts(cohort, parts), seed=7)
    assert (list(split.parts), split.unit) == (parts, "given")


def test_a_given_split_without_validation_takes_it_from_training_by_patient() -> None:
    cohort = random_cohort(np.random.default_rng(3))
    parts = [part.replace("val", "train") for part in split_cohort(cohort).parts]
    split = split_cohort(with_parts(cohort, parts))
    assert_sound(cohort, split)
    assert split.indices("test").tolist() == [at for at, part in enumerate(parts) if part == "test"]


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(SettingsError, match="three that sum to 1"):
        split_cohort(unknown_cohort(30), fractions=(0.8, 0.1, 0.2))


def test_an_empty_cohort_is_refused() -> None:
    for by in ("auto", "image"):
        with pytest.raises(SplitError):
            split_cohort(unknown_cohort(30).subset([]), by=by)


def cohort_of(n_patients: int, *, images_each: int) -> Cohort:
    """Patients of three classes in turn."""
    rows = [
        Row(path=f"{who}/{at}.png", label="abc"[who % 3], patient=f"P{who}")
        for who in range(n_patients)
        for at in range(images_each)
    ]
    return Cohort(root=Path(), rows=tuple(rows), classes=("a", "b", "c"), patients_from="column")


@pytest.mark.parametrize("by", ["patient", "fold:1/3", "image"])
def test_a_calibration_part_is_taken_from_training_alone(by):
    made = cohort_of(30, images_each=4)
    before, after = (split_cohort(made, by=by, calibrate=share, seed=3) for share in (0.0, 0.2))
    for part in ("val", "test"):
        assert before.indices(part).tolist() == after.indices(part).tolist()
    kept = after.indices("calibrate")
    assert 0.15 * len(made) <= len(kept) <= 0.25 * len(made)
    assert set(kept) <= set(before.indices("train"))
    assert {made.rows[place].label for place in kept} == set(made.classes)
    if by != "image":
        patients = made.patients()
        others = [patients[place] for part in ("train", "val", "test") for place in after.indices(part)]
        assert not {patients[place] for place in kept} & set(others)


def test_a_list_can_name_its_calibration_part():
    made = cohort_of(12, images_each=1)
    words = ["train", "val", "calibrate", "test"] * 3
    rows = tuple(dataclasses.replace(row, split=word) for row, word in zip(made.rows, sorted(words), strict=True))
    split = split_cohort(dataclasses.replace(made, rows=rows), by="given", calibrate=0.3)
    assert split.parts == tuple(sorted(words))
