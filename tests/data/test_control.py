from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from overread.data.control import (
    SHUFFLED,
    ControlSettings,
    control_marks,
    shuffle_labels,
    shuffled_name,
    thin_training,
)
from overread.data.rows import Cohort, Row
from overread.data.split import split_cohort
from overread.errors import SettingsError

SHUFFLE = ControlSettings(shuffle_labels=True)
PATIENTS = {"ill": 20, "well": 10}


@pytest.fixture
def cohort() -> Cohort:
    """20 ill and 10 well patients, with 1 to 4 images each."""
    rows = tuple(
        Row(path=f"{label}/{number}-{at}.png", label=label, patient=f"{label} {number}")
        for label, n in PATIENTS.items()
        for number in range(n)
        for at in range(1 + number % 4)
    )
    return Cohort(root=Path(), rows=rows, classes=tuple(PATIENTS), patients_from="column")


def dealt(cohort: Cohort) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for row in cohort.rows:
        found.setdefault(row.patient, set()).add(row.label)
    return found


def test_each_patient_gets_one_label_and_each_class_keeps_its_number_of_patients(cohort: Cohort) -> None:
    shuffled = shuffle_labels(cohort, SHUFFLE, seed=0)
    labels = dealt(shuffled)
    assert {len(of_patient) for of_patient in labels.values()} == {1}
    counts = Counter(next(iter(one)) for one in labels.values())
    assert counts == {shuffled_name(name): n for name, n in PATIENTS.items()}
    assert shuffled.classes == ("ill (shuffled)", "well (shuffled)")
    assert [row.path for row in shuffled.rows] == [row.path for row in cohort.rows]


def test_a_seed_deals_once_and_for_all_and_another_deals_otherwise(cohort: Cohort) -> None:
    first, again, other = (shuffle_labels(cohort, SHUFFLE, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_over_many_seeds_every_patient_is_ill_as_often_as_patients_are(cohort: Cohort) -> None:
    ill = Counter()
    n = 600
    for seed in range(n):
        ill.update(
            who
            for who, labels in dealt(shuffle_labels(cohort, SHUFFLE, seed=seed)).items()
            if "ill (shuffled)" in labels
        )
    shares = np.array([ill[who] / n for who in dealt(cohort)])
    assert abs(shares - 2 / 3).max() < 4.5 * np.sqrt(2 / 9 / n)


def test_images_of_nobody_go_together_where_they_look_alike() -> None:
    rows = tuple(Row(path=f"{at}.png", label="ab"[at % 2], patient=None) for at in range(12))
    cohort = Cohort(root=Path(), rows=rows, classes=("a", "b"), patients_from="none")
    alike = np.array([0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5])
    shuffled = shuffle_labels(cohort, SHUFFLE, seed=3, alike=alike)
    assert all(
        len({row.label for row, own in zip(shuffled.rows, alike, strict=True) if own == g}) == 1 for g in range(6)
    )


def test_nothing_is_shuffled_or_left_out_unless_asked_for(cohort: Cohort) -> None:
    split = split_cohort(cohort, by="patient", fractions=(0.6, 0.2, 0.2), seed=0)
    assert shuffle_labels(cohort, ControlSettings(), seed=0) is cohort
    assert thin_training(split, cohort, ControlSettings()) is split
    assert control_marks(ControlSettings()) == ()
    assert control_marks(SHUFFLE) == (SHUFFLED,)


def test_a_smaller_share_of_patients_is_part_of_a_larger_one_class_by_class(cohort: Cohort) -> None:
    split = split_cohort(cohort, by="patient", fractions=(0.6, 0.2, 0.2), seed=0)
    patients = np.array(cohort.patients())

    def learnt_from(share: float) -> set[str]:
        thin = thin_training(split, cohort, ControlSettings(train_share=share))
        for part in ("val", "test"):
            assert thin.indices(part).tolist() == split.indices(part).tolist()
        assert any(f"{share:.0%}" in mark for mark in thin.marks)
        return set(patients[thin.indices("train")])

    whole = set(patients[split.indices("train")])
    nested = [learnt_from(share) for share in (0.01, 0.25, 0.5, 0.75)]
    for smaller, larger in zip(nested, [*nested[1:], whole], strict=True):
        assert smaller < larger
    assert Counter(who.split()[0] for who in nested[0]) == {"ill": 1, "well": 1}
    by_class = Counter(who.split()[0] for who in whole)
    assert Counter(who.split()[0] for who in nested[2]) == {name: round(n / 2) for name, n in by_class.items()}


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="train-share"):
        ControlSettings(train_share=0)
