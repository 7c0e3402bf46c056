from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from overread.explain.looking import Looking, look
from overread.explain.where import GRID, Regions

N = 24
PATIENTS = [str(i // 2) for i in range(N)]
ANSWERS = np.arange(N) % 2
NOTHING = np.zeros((GRID, GRID), bool)


def regions(*, letters: bool = True) -> Regions:
    """Body in the middle half of the rows; letters in the upper left eighth."""
    outside, edge, corner = ~NOTHING, ~NOTHING, NOTHING.copy()
    outside[GRID // 4 : -GRID // 4] = False
    edge[6:-6, 6:-6] = False
    corner[:14, :14] = letters
    return Regions(outside=outside, edge=edge, letters=corner)


def maps(*places: tuple[int, int]) -> NDArray[np.float32]:
    """Class maps of a network whose evidence for the answer of each class lies at one place of 8 x 8."""
    rng = np.random.default_rng(0)
    found = rng.normal(0, 0.01, (N, 2, 8, 8)).astype(np.float32)
    for i, answer in enumerate(ANSWERS):
        row, column = places[answer % len(places)]
        found[i, answer, row, column] += 10 + rng.normal()
    return found


def seen(*places: tuple[int, int], **more: bool) -> Looking:
    return look(maps(*places), [regions(**more)] * N, ANSWERS, PATIENTS, ("healthy", "ill"))


def test_a_network_that_looks_at_the_body() -> None:
    found = seen((4, 4))
    assert found.wrong == ()
    (text,) = found.sentences()
    assert text.startswith("The network looks at the body: 9")
    assert text.endswith("which takes 50% of the picture.")
    assert (found.n_images, found.n_patients) == (N, N // 2)


def test_a_network_that_reads_letters() -> None:
    found = seen((0, 0))
    assert {place.region for place in found.wrong} == {"outside", "edge", "letters"}
    (letters,) = (text for text in found.sentences() if "letters" in text)
    assert letters.startswith("It reads burnt-in letters: 24 images have some, and in 100% of these")


def test_a_network_that_looks_elsewhere_for_one_class_alone() -> None:
    found = seen((4, 4), (0, 4))
    assert {(place.region, place.label) for place in found.wrong} >= {("edge", "ill"), ("outside", "ill")}
    assert all(text.startswith("Where it answers ill, ") for text in found.sentences())
    assert [place.label for place in found.shown[:3]] == [None, None, None]


def test_even_evidence_is_no_finding() -> None:
    even = np.zeros((N, 2, 8, 8), np.float32)
    even[np.arange(N), ANSWERS] = 1
    found = look(even, [regions()] * N, ANSWERS, PATIENTS, ("healthy", "ill"))
    assert found.wrong == ()
    assert found.sentences()[0].startswith("Its evidence is hardly drawn to the body: 50%")


def test_images_without_letters_or_without_evidence_do_not_count() -> None:
    found = seen((4, 4), letters=False)
    assert all(place.region != "letters" for place in found.places)
    some = maps((4, 4))
    some[:6] = 0
    few = look(some, [regions()] * N, ANSWERS, PATIENTS, ("healthy", "ill"))
    assert next(place for place in few.places if place.region == "outside").share.n_images == N - 6
    none = look(0 * some, [regions()] * N, ANSWERS, PATIENTS, ("healthy", "ill"))
    assert none.places == ()
    assert none.sentences() == ()


def test_unknown_patients_leave_images_as_units() -> None:
    found = look(maps((4, 4)), [regions()] * N, ANSWERS, [None, *PATIENTS[1:]], ("healthy", "ill"))
    assert found.n_patients is None
    assert found.places[0].share.n_patients is None
    with pytest.raises(ValueError, match="zip"):
        look(maps((4, 4)), [regions()], ANSWERS, PATIENTS, ("healthy", "ill"))
