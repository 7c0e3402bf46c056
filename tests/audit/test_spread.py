from __future__ import annotations

import pytest
from scipy.stats import fisher_exact
from tests.audit.conftest import MakeSubject, picture

from overread.audit.spread import spread, spread_of


def test_shares_are_counted_by_class(make_subject: MakeSubject) -> None:
    found = spread(make_subject([picture(at) for at in range(8)], ["a", "b"] * 4), [0, 1, 2])
    assert str(found) == "a 2 of 4, b 1 of 4"
    assert found.gap == 0.25
    assert (found.goes_with_class, found.severity, found.warning) == (False, "note", "")


def test_the_test_is_fishers() -> None:
    labels = ["a"] * 12 + ["b"] * 20
    places = {0, 1, 2, 3, 4, 5, 6, 12, 13}
    found = spread_of(labels, places, units=[str(at) for at in range(32)], classes=("a", "b"))
    assert found.p == pytest.approx(2 * fisher_exact([[7, 5], [2, 18]], alternative="greater").pvalue)


def test_images_of_one_patient_count_once(make_subject: MakeSubject) -> None:
    images, labels = [picture(at) for at in range(30)], ["a"] * 15 + ["b"] * 15
    of_one = make_subject(images, labels, patients=["p"] * 8 + [f"q{at}" for at in range(22)])
    of_many = make_subject(images, labels)
    assert spread(of_many, range(8)).goes_with_class
    assert not spread(of_one, range(8)).goes_with_class


def test_a_fault_of_one_class_alone_goes_with_it_in_however_few_patients(make_subject: MakeSubject) -> None:
    subject = make_subject([picture(at) for at in range(4)], ["a", "a", "b", "b"], patients=["p", "p", "q", "q"])
    assert spread(subject, [0, 1]).severity == "serious"
    assert spread(subject, [0, 1, 2, 3]).severity == "note"
