from __future__ import annotations

import numpy as np
import pytest

from overread.errors import SettingsError
from overread.evaluate.operating import check_rule, operate
from overread.evaluate.predictions import Predictions


def said(truth, ill, part: str, classes=("normal", "tumor"), patients=None) -> Predictions:
    n, ill = len(truth), np.asarray(ill, float)
    p = np.c_[1 - ill, ill] if len(classes) == 2 else np.c_[1 - ill, ill / 2, ill / 2]
    return Predictions(
        paths=tuple(f"{part}/{at}.png" for at in range(n)),
        frames=(0,) * n,
        patients=tuple(patients or (f"{part}{at}" for at in range(n))),
        truth=np.asarray(truth),
        probabilities=p,
        parts=(part,) * n,
        classes=classes,
    )


VAL = said([0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.25, 0.7, 0.8, 0.9], "val")
TEST = said([0, 0, 0, 1, 1, 1, 1, 1], [0.05, 0.5, 0.75, 0.65, 0.7, 0.72, 0.2, 0.95], "test")


def figures(found) -> dict[str, float]:
    return {one.name: one.value for one in found.figures}


def test_the_threshold_is_that_of_the_other_part() -> None:
    (found,) = operate(VAL, TEST, labels=["tumor"], part="test")
    assert (found.label, found.threshold, found.chosen_on) == ("tumor", 0.7, "val")  # 3/4 + 4/4, more than anywhere
    values = figures(found)
    assert values["sensitivity"] == pytest.approx(3 / 5)
    assert values["specificity"] == pytest.approx(2 / 3)
    assert values["positive likelihood ratio"] == pytest.approx((3 / 5) / (1 / 3))
    assert values["negative likelihood ratio"] == pytest.approx((2 / 5) / (2 / 3))
    assert {one.part for one in found.figures} == {"test"}


@pytest.mark.parametrize(
    ("rule", "threshold"), [("sensitivity=1", 0.25), ("sensitivity=0.75", 0.7), ("specificity=1.0", 0.7)]
)
def test_a_target_is_reached_where_the_threshold_is_chosen(rule: str, threshold: float) -> None:
    (found,) = operate(VAL, TEST, labels=["tumor"], rule=rule, part="test")
    assert found.threshold == pytest.approx(threshold)


def test_predictive_values_follow_the_prevalence() -> None:
    (here,) = operate(VAL, TEST, labels=["tumor"], part="test")
    (rare,) = operate(VAL, TEST, labels=["tumor"], prevalence=0.01, part="test")
    assert here.prevalence == pytest.approx(5 / 8)
    by_bayes = 0.6 * 0.01 / (0.6 * 0.01 + (1 / 3) * 0.99)
    assert figures(rare)["positive predictive value"] == pytest.approx(by_bayes)
    assert figures(rare)["sensitivity"] == figures(here)["sensitivity"]


def test_a_class_that_a_part_lacks_has_no_threshold() -> None:
    healthy = said([0] * 8, np.linspace(0.1, 0.9, 8), "val")
    assert operate(healthy, TEST, labels=["tumor"], part="test") == ()
    assert operate(VAL, said([1] * 4, [0.2, 0.4, 0.6, 0.8], "test"), labels=["tumor"], part="test") == ()
    three = ("normal", "tumor", "bleed")
    wide = (
        said([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "val", three),
        said([0, 1, 0, 1], [0.1, 0.9, 0.3, 0.8], "test", three),
    )
    assert [one.label for one in operate(*wide, labels=three, part="test")] == ["normal", "tumor"]


@pytest.mark.parametrize(
    "rule", ["", "best", "sensitivity", "sensitivity=95", "sensitivity=-0.1", "specificity=0.9.1"]
)
def test_another_rule_is_refused(rule: str) -> None:
    with pytest.raises(SettingsError, match="it is youden, sensitivity="):
        check_rule(rule)
