from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from overread.explain import space
from overread.explain.space import Space, sentence, space_of
from overread.stats.means import measured_mean
from overread.stats.neighbours import expected_purity, principal_plane, purity, silhouette

N_PATIENTS, SLICES = 24, 4
CLASSES = ("none", "haemorrhage")


def made(by_class: float, by_scanner: float, *, by_patient: float = 0.5, seed: int = 0) -> Space:
    """24 patients of 4 slices: class by turns, scanner by pairs of turns; features moved by each so far."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(N_PATIENTS), SLICES)
    label, scanner = patient % 2, patient // 2 % 2
    x = 0.3 * rng.normal(size=(len(patient), 6)) + by_patient * rng.normal(size=(N_PATIENTS, 6))[patient]
    x[:, 0] += by_class * label
    x[:, 1] += by_scanner * scanner
    facts = {
        "manufacturer": [("SIEMENS", "GE")[place] for place in scanner],
        "sex": ["F"] * len(patient),
        "kernel": [f"kernel {place}" for place in range(len(patient))],
        "site": [("", "east", "west")[place % 3] for place in patient],
    }
    return space_of(x, label, CLASSES, [f"p{place}" for place in patient], facts, rng)


def of(found: Space, fact: str) -> space.Clustering:
    one = found.clustering(fact)
    assert one is not None
    return one


def test_classes_well_parted_are_pure_and_scanners_are_as_chance_has_them() -> None:
    found = made(50, 0)
    assert of(found, "class").purity.value == 1
    assert of(found, "class").expected == pytest.approx(44 / 92)
    assert of(found, "class").silhouette.value > 0.9
    scanner = of(found, "manufacturer")
    assert scanner.purity.low < scanner.expected < scanner.purity.high
    assert scanner.excess_interval[0] < 0 < scanner.excess_interval[1]


def test_slices_of_a_patient_are_no_evidence_but_for_the_fact_patient() -> None:
    found = made(0, 0, by_patient=50)
    assert of(found, "patient").purity.value == pytest.approx(3 / 5)
    assert of(found, "patient").expected == pytest.approx(3 / 95)
    assert of(found, "patient").silhouette.value > 0.9
    assert of(found, "class").purity.low < of(found, "class").expected < of(found, "class").purity.high


def test_figures_are_those_of_their_statistics_with_intervals_by_patient() -> None:
    rng = np.random.default_rng(1)
    x, label = rng.normal(size=(60, 4)), np.arange(60) % 3
    x[:, 0] += label
    patients = [f"p{place}" for place in rng.integers(0, 20, 60)]
    found = of(space_of(x, label, "abc", patients, {}, rng), "class")
    assert found.purity == measured_mean("purity", purity(x, label, groups=patients), patients)
    assert found.silhouette == measured_mean("silhouette", silhouette(x, label, patients), patients)
    assert found.expected == expected_purity(label, patients)
    assert found.n_values == 3
    assert found.purity.n_patients == len(set(patients))
    assert found.excess == pytest.approx((found.purity.value - found.expected) / (1 - found.expected))


def test_facts_by_which_nothing_can_cluster_are_left_out() -> None:
    found = made(1, 0)
    assert [one.fact for one in found.clusterings] == ["class", "patient", "manufacturer", "site"]
    # the rows without a site are left out of the site alone
    assert of(found, "site").purity.n_images == 64
    assert of(found, "class").purity.n_images == 96
    assert of(found, "site").n_values == 2


def test_a_fact_of_one_patient_a_value_is_left_out() -> None:
    x = np.random.default_rng(2).normal(size=(8, 3))
    patients, sites = list("aabbccdd"), ["north"] * 2 + ["east"] * 2 + ["south"] * 2 + ["west"] * 2
    found = space_of(x, [0, 0, 0, 0, 1, 1, 1, 1], CLASSES, patients, {"site": sites}, np.random.default_rng(0))
    assert [one.fact for one in found.clusterings] == ["class", "patient"]
    assert found.values["site"] == tuple(sites)


def test_patients_of_one_image_are_not_asked_for_their_own() -> None:
    x = np.random.default_rng(3).normal(size=(8, 3))
    found = space_of(x, np.arange(8) % 2, CLASSES, list("aabbcdef"), {}, np.random.default_rng(0))
    assert of(found, "patient").purity.n_images == 4
    single = space_of(x, np.arange(8) % 2, CLASSES, list("abcdefgh"), {}, np.random.default_rng(0))
    assert single.clustering("patient") is None


@pytest.mark.parametrize("patients", [None, ["a", None, "b", "b", "c", "c"]])
def test_without_all_patients_images_count_as_independent(patients: Sequence[str | None] | None) -> None:
    x = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]
    found = space_of(x, [0, 0, 0, 1, 1, 1], CLASSES, patients, {}, np.random.default_rng(0))
    assert [one.fact for one in found.clusterings] == ["class"]
    assert of(found, "class").purity.n_patients is None
    assert of(found, "class").purity.value == pytest.approx(2 / 5)
    assert of(found, "class").expected == pytest.approx(2 / 5)


def test_the_plane_holds_every_image_where_figures_are_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_MOST_IMAGES", 40)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(100, 3))
    label = np.arange(100) % 2
    found = space_of(x + 20 * label[:, None], label, CLASSES, None, {}, np.random.default_rng(5))
    assert found.plane.shape == (100, 2)
    assert found.plane == pytest.approx(principal_plane(x + 20 * label[:, None]).points)
    assert found.shares[0] > 0.9
    assert of(found, "class").purity.n_images == 40
    assert of(found, "class").purity.value == 1


def test_the_sentence_sets_the_class_beside_the_scanner() -> None:
    text = sentence(made(50, 0))
    known = re.fullmatch(
        r"In the network's features images lie with others of their class \(1\.00 of the 5 nearest, 0\.48 expected "
        r"by chance\) more than with others of their (scanner|site) \(0\.\d\d, 0\.\d\d expected by chance\)\.",
        text,
    )
    assert known, text


def test_features_that_follow_the_scanner_are_warned_of() -> None:
    text = sentence(made(0, 50))
    assert " less than with others of their scanner (1.00, 0.48 expected by chance). Beware: " in text
    assert text.endswith("so that an answer may rest on the scanner and not on the disease.")


def test_class_and_scanner_alike_are_not_warned_of() -> None:
    text = sentence(made(50, 50))
    assert " about as much as with others of their scanner (1.00, " in text
    assert "Beware" not in text


def test_a_rare_scanner_is_weighed_against_what_chance_leaves() -> None:
    """Nine in ten images of one scanner, perfectly apart: little above chance by difference, and yet all of it."""
    rng = np.random.default_rng(6)
    scanner, label = (np.arange(120) >= 108).astype(int), np.arange(120) % 2
    x = rng.normal(size=(120, 2)) + np.stack([3 * label, 50 * scanner], axis=1)
    names = [("A", "B")[place] for place in scanner]
    found = space_of(x, label, CLASSES, None, {"scanner": names}, rng)
    mine, theirs = of(found, "class"), of(found, "scanner")
    assert theirs.purity.value - theirs.expected < mine.purity.value - mine.expected
    assert theirs.excess == 1
    assert "Beware" in sentence(found)


def test_sex_and_age_are_measured_and_not_warned_of() -> None:
    rng = np.random.default_rng(7)
    sex = np.arange(80) // 2 % 2
    x = rng.normal(size=(80, 2)) + 50 * sex[:, None]
    found = space_of(x, np.arange(80) % 2, CLASSES, None, {"sex": [("F", "M")[place] for place in sex]}, rng)
    assert of(found, "sex").purity.value == 1
    assert sentence(found).endswith("0.49 expected by chance): no more than chance would have it.")


def test_random_features_are_called_no_better_than_chance_nearly_always() -> None:
    """The interval is of 95 %, so that one time in forty chance alone looks like more."""
    said = [sentence(made(0, 0, by_patient=1, seed=seed)) for seed in range(60)]
    assert sum("Beware" in text for text in said) <= 3
    assert sum("about as much as" in text for text in said) >= 48


@pytest.mark.parametrize(
    ("x", "label", "patients"),
    [([[1.0, 2.0]], [0], ["a"]), (np.ones((6, 3)), [1] * 6, list("aabbcc")), (np.eye(4), [0, 0, 1, 1], ["a"] * 4)],
)
def test_one_image_one_class_or_one_patient_cannot_be_said(x, label, patients) -> None:
    found = space_of(x, label, CLASSES, patients, {}, np.random.default_rng(0))
    assert found.clustering("class") is None
    assert sentence(found).startswith("Whether images of one class lie together")


def test_the_same_features_everywhere_are_as_chance_has_them() -> None:
    found = space_of(np.full((12, 3), 0.1), np.arange(12) % 2, CLASSES, None, {}, np.random.default_rng(0))
    assert of(found, "class").purity.value == pytest.approx(of(found, "class").expected)
    assert of(found, "class").silhouette.value == 0
    assert math.isnan(found.shares[0])
    assert sentence(found).endswith("no more than chance would have it.")


def test_what_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="not finite"):
        space_of([[math.nan], [1.0]], [0, 1], CLASSES, None, {}, rng)
    with pytest.raises(ValueError, match="the site of 1 images"):
        space_of([[0.0], [1.0]], [0, 1], CLASSES, None, {"site": ["a"]}, rng)
