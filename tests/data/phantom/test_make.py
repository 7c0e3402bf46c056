from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from overread import read_cohort
from overread.data.phantom import PhantomSettings, make_phantoms, read_truth
from overread.data.phantom import make as make_module
from overread.errors import RunError

if TYPE_CHECKING:
    from conftest import Made

SMALL = PhantomSettings(patients=3, slices=1, size_px=64)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_makes_the_same_bytes_in_any_number_of_processes(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "here", SMALL, workers=0)
    make_phantoms(tmp_path / "there", SMALL, workers=2)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_another_seed_makes_other_patients(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_phantoms(tmp_path / str(seed), PhantomSettings(patients=3, slices=1, size_px=64, seed=seed), workers=0)
    first, second = (contents(tmp_path / str(seed)) for seed in (0, 1))
    assert not set(first.values()) & set(second.values())


def test_each_class_comes_from_each_scanner_equally_often(made: Made) -> None:
    pairs = Counter((patient.true_label, patient.scanner) for patient in made.truth.patients)
    assert set(pairs.values()) == {1}
    assert len(pairs) == 9


def test_no_patient_is_split_over_classes(made: Made) -> None:
    found: dict[str, set[str]] = {}
    for path in made.files():
        found.setdefault(made.file(path).PatientID, set()).add(Path(path).parts[1])
    assert len(found) == 9
    assert all(len(classes) == 1 for classes in found.values())


def test_the_truth_lists_each_file_once(made: Made) -> None:
    listed = [one.path for patient in made.truth.patients for one in patient.slices]
    assert sorted(listed) == made.files()
    assert made.truth.flaws == ()
    assert read_truth(made.folder) == made.truth


def test_a_cohort_takes_its_patients_from_the_headers(made: Made) -> None:
    cohort = read_cohort(made.folder / "images")
    assert cohort.problems == ()
    assert cohort.classes == tuple(sorted(made.truth.classes))
    assert {(row.path, row.label, row.patient) for row in cohort.rows} == {
        (one.path.removeprefix("images/"), patient.label, patient.id)
        for patient in made.truth.patients
        for one in patient.slices
    }


def test_anatomy_varies_from_patient_to_patient_more_than_from_slice_to_slice(made: Made) -> None:
    pairs = [[made.hu(one.path).ravel() for one in patient.slices] for patient in made.truth.patients]
    within = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    between = np.corrcoef([pair[0] for pair in pairs])[np.triu_indices(len(pairs), 1)]
    assert within > between.max()
    sizes = [(pair[0] > -300).mean() for pair in pairs]
    assert np.std(sizes) > 0.01


def test_progress_counts_patients(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_phantoms(tmp_path / "out", SMALL, workers=0, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="is not empty"):
        make_phantoms(tmp_path, SMALL, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(make_module, "make_patient", fail)
    expected = RunError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        make_phantoms(tmp_path / "out", SMALL, workers=0)
    assert list(tmp_path.iterdir()) == []
