from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from overread.evaluate.predictions import Predictions
from overread.evaluate.subgroups import FEW, TOO_FEW, subgroups


def said(sizes: dict[str, int], *, classes=("normal", "tumor"), known: bool = True, fact: str = "sex") -> Predictions:
    """Two images a patient; `sizes`: patients by value of the fact."""
    values = [value for value, n in sizes.items() for _ in range(2 * n)]
    n, rng = len(values), np.random.default_rng(0)
    truth = np.repeat(np.arange(n // 2), 2) % len(classes)
    raw = rng.random((n, len(classes))) + 0.7 * np.eye(len(classes))[truth]
    return Predictions(
        paths=tuple(f"{at}.png" for at in range(n)), frames=(0,) * n, truth=truth, parts=("test",) * n,
        patients=tuple(f"p{at // 2}" if known else None for at in range(n)), classes=classes,
        probabilities=raw / raw.sum(axis=1, keepdims=True), facts={fact: tuple(values)},
    )  # fmt: skip


def test_each_group_has_its_own_figures_and_the_largest_comes_first() -> None:
    found = said({"F": 30, "M": 40})
    groups = subgroups(found, labels=["tumor"], part="test")
    assert [(one.fact, one.value, one.n_images, one.n_patients) for one in groups] == [
        ("sex", "M", 80, 40), ("sex", "F", 60, 30),
    ]  # fmt: skip
    for group in groups:
        members = found.subset([at for at, value in enumerate(found.facts["sex"]) if value == group.value])
        right = members.probabilities.argmax(axis=1) == members.truth
        assert group.accuracy.value == pytest.approx(right.mean())
        assert group.auroc.value == pytest.approx(roc_auc_score(members.truth, members.probabilities[:, 1]))
        assert group.auroc.low < group.auroc.value < group.auroc.high
        assert not group.warning


@pytest.mark.parametrize(
    ("n", "warning", "has_figures"),
    [(FEW, "", True), (FEW - 1, f"only {FEW - 1} patients", True), (TOO_FEW, f"only {TOO_FEW} patients", True),
     (TOO_FEW - 1, f"fewer than {TOO_FEW} patients: no figure is given", False)],
)  # fmt: skip
def test_small_groups_are_warned_of_and_the_smallest_say_nothing(n: int, warning: str, has_figures: bool) -> None:
    group = subgroups(said({"M": 40, "F": n}), labels=["tumor"], part="test")[1]
    assert warning in group.warning
    assert (group.accuracy is not None) == has_figures


def test_where_patients_are_unknown_images_are_counted() -> None:
    groups = subgroups(said({"M": 40, "F": 2}, known=False), labels=["tumor"], part="test")
    assert groups[1].warning == f"fewer than {TOO_FEW} images: no figure is given"
    assert groups[0].n_patients is None


def test_a_fact_that_all_share_or_nobody_knows_makes_no_groups() -> None:
    assert subgroups(said({"F": 30}), labels=["tumor"], part="test") == ()
    assert subgroups(said({"F": 30, "": 30}), labels=["tumor"], part="test") == ()


def test_beyond_eight_groups_the_smallest_are_left_out() -> None:
    sizes = {f"site {at}": 20 + at for at in range(11)}
    groups = subgroups(said(sizes, fact="site"), labels=["tumor"], part="test")
    assert [one.value for one in groups] == [f"site {at}" for at in range(10, 2, -1)]


def test_of_several_classes_the_auroc_is_the_mean_without_an_interval() -> None:
    classes = ("cyst", "normal", "tumor")
    found = said({"F": 60, "M": 60}, classes=classes)
    group = subgroups(found, labels=classes, part="test")[0]
    members = found.subset([at for at, value in enumerate(found.facts["sex"]) if value == group.value])
    area = roc_auc_score(members.truth, members.probabilities, multi_class="ovr")
    assert group.auroc.value == pytest.approx(area)
    assert math.isnan(group.auroc.low)


def test_a_group_without_a_class_has_no_auroc_and_one_that_is_all_right_has_an_interval() -> None:
    found = said({"F": 30, "M": 30})
    sex = np.array(found.facts["sex"])
    truth = np.where(sex == "F", 1, found.truth)
    p = np.where((sex == "M")[:, None], np.eye(2)[truth] * 0.8 + 0.1, found.probabilities)
    changed = Predictions(**{**vars(found), "truth": truth, "probabilities": p})
    groups = {one.value: one for one in subgroups(changed, labels=["tumor"], part="test")}
    assert groups["F"].auroc is None
    assert groups["M"].auroc.value == 1
    assert 0.7 < groups["M"].auroc.low < 1
