from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.audit.conftest import MakeSubject, ReadSubject, measured, picture

from overread.audit.appearance import Border, BurntIn, Empty, Saturated
from overread.audit.subject import Subject
from overread.data.measures import column
from overread.data.phantom import PhantomSettings, make_phantoms
from overread.settings import ImageSettings


def as_ct(subject: Subject) -> Subject:
    files = {path: dataclasses.replace(header, scale="hu") for path, header in subject.cohort.files.items()}
    return dataclasses.replace(subject, cohort=dataclasses.replace(subject.cohort, files=files))


def test_a_disc_in_air_shows_nothing(make_subject: MakeSubject) -> None:
    rows, columns = np.mgrid[:64, :64]
    disc = np.where((rows - 32) ** 2 + (columns - 32) ** 2 < 400, 255, 0).astype(np.uint8)
    subject = make_subject([picture(0), disc, picture(1), picture(2)], ["a", "a", "b", "b"])
    finding = Empty().look(subject)
    assert finding is not None
    assert finding.where == ("a/1.png",)
    assert finding.severity == "note"


def test_ct_without_anything_denser_than_air_shows_nothing(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(8)]
    subject = make_subject(images, ["a", "b"] * 4, measures=measured(8, p99=[-600] + [1000] * 7))
    assert Empty().look(subject) is None
    finding = Empty().look(as_ct(subject))
    assert finding is not None
    assert finding.where == ("a/0.png",)


def test_text_that_the_header_tells_of_is_serious(make_subject: MakeSubject) -> None:
    tags = [{"burnt_in": "YES"}, {"burnt_in": "NO"}, {}, {}]
    finding = BurntIn().look(make_subject([picture(at) for at in range(4)], ["a", "b"] * 2, tags=tags))
    assert finding is not None
    assert (finding.n, finding.severity) == (1, "serious")


def test_letters_here_and_there_are_a_note(make_subject: MakeSubject) -> None:
    measures = measured(20, letters=[3, 1] + [0] * 18, letter_shape=[5, 6] + [0] * 18)
    finding = BurntIn().look(make_subject([picture(at) for at in range(20)], ["a", "b"] * 10, measures=measures))
    assert finding is not None
    assert (finding.n, finding.severity) == (2, "note")
    assert finding.evidence["seen"] == 2


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_letter_for_each_class_is_found_in_phantoms(
    read_subject: ReadSubject, tmp_path: Path, strength: float
) -> None:
    settings = PhantomSettings(patients=45, slices=1, seed=5, flaws="marker", flaw_strength=strength)
    truth = make_phantoms(tmp_path / "flawed", settings, workers=0)
    planted = {path.removeprefix("images/") for flaw in truth.flaws for path in flaw.files}
    finding = BurntIn().look(read_subject(tmp_path / "flawed/images"))
    assert finding is not None
    assert set(finding.where) <= planted
    assert finding.n >= 0.95 * len(planted)
    assert finding.severity == "serious"
    assert "One and the same letter" in finding.what


def test_black_and_white_images_are_told(make_subject: MakeSubject) -> None:
    images = [picture(at) for at in range(10)]
    finding = Saturated().look(make_subject(images, ["a", "b"] * 5, measures=measured(10, black=[0.96] + [0.4] * 9)))
    assert finding is not None
    assert (finding.where, finding.severity) == (("a/0.png",), "note")
    all_of_them = Saturated().look(make_subject(images, ["a", "b"] * 5, measures=measured(10, white=0.6)))
    assert all_of_them is not None
    assert (all_of_them.n, all_of_them.severity) == (10, "serious")


@pytest.mark.parametrize(("framed", "severity"), [([0], "note"), ([0, 2, 4, 6, 8, 10, 12], "serious")])
def test_wide_borders_are_told(make_subject: MakeSubject, framed: list[int], severity: str) -> None:
    border = [0.5 if at in framed else 0.02 for at in range(16)]
    subject = make_subject([picture(at) for at in range(16)], ["a", "b"] * 8, measures=measured(16, border=border))
    finding = Border().look(subject)
    assert finding is not None
    assert finding.n == len(framed)
    assert finding.severity == severity


def test_air_above_the_head_is_found_and_no_text_in_the_paper_data(shared: Path, read_subject: ReadSubject) -> None:
    subject = read_subject(shared / "data/brain-ct/jpg", image=ImageSettings())
    assert not column(subject.measures, "letters").any()
    finding = Empty().look(subject)
    assert finding is not None
    assert {"aneurysm/81.jpg", "aneurysm/82.jpg", "aneurysm/83.jpg", "cancer/89.jpg"} <= set(finding.where)
    assert finding.n < 20
