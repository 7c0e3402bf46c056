from __future__ import annotations

import json

import numpy as np
import pytest

from overread.errors import CohortError
from overread.evaluate.predictions import Predictions
from overread.evaluate.rank import pairs, pairs_of_folds, ranking_in_words

CLASSES = ("normal", "tumor")


def said(truth, sick, *, names=None) -> Predictions:
    n = len(truth)
    sick = np.asarray(sick, float)
    return Predictions(
        paths=tuple(names or (f"{i}.png" for i in range(n))),
        frames=(0,) * n,
        patients=tuple(f"p{i}" for i in range(n)),
        truth=np.asarray(truth, np.int64),
        probabilities=np.c_[1 - sick, sick],
        parts=("test",) * n,
        classes=CLASSES,
    )


def right(truth, wrong_at) -> list[float]:
    """Probabilities that are right but for some places."""
    return [0.1 if (label == 1) == (i in wrong_at) else 0.9 for i, label in enumerate(truth)]


def test_with_27_of_28_right_nobody_is_ranked():
    truth = [0, 1] * 14
    runs = {"one": said(truth, right(truth, {0})), "two": said(truth, right(truth, {3})),
            "three": said(truth, right(truth, set()))}  # fmt: skip
    found = pairs(runs, figure="accuracy", positive=None, seed=0)
    assert len(found) == 3
    assert not any(pair.differ for pair in found)
    words = ranking_in_words(found)
    assert words.startswith("These figures put no network above another: on 28 patients no two differ in accuracy")
    json.dumps([pair.to_json() for pair in found], allow_nan=False)


def test_a_network_that_knows_is_told_from_one_that_guesses():
    truth = [0, 1] * 100
    guesses = right(truth, set(range(0, 200, 2)))
    runs = {"knows": said(truth, right(truth, {5})), "guesses": said(truth, guesses)}
    (pair,) = pairs(runs, figure="accuracy", positive=None, seed=0)
    assert pair.differ
    assert (pair.found.first, pair.found.second) == pytest.approx((199 / 200, 0.5))
    assert "knows is better than guesses by 0.495" in ranking_in_words((pair,))


def test_two_equal_networks_do_not_differ_in_auroc():
    truth = [0, 1] * 40
    sick = np.random.default_rng(0).random(80)
    (pair,) = pairs({"a": said(truth, sick), "b": said(truth, sick)}, figure="auroc", positive="tumor", seed=0)
    assert not pair.differ
    assert "put no network above another" in ranking_in_words((pair,))


def test_the_p_value_pays_for_the_number_of_pairs():
    truth = [0, 1] * 20
    runs = {str(k): said(truth, right(truth, set(range(6 * k)))) for k in range(4)}
    alone = pairs({k: runs[k] for k in ("0", "1")}, figure="accuracy", positive=None, seed=0)[0]
    among = next(
        p for p in pairs(runs, figure="accuracy", positive=None, seed=0) if (p.first, p.second) == ("0", "1")
    )
    assert among.found.p == alone.found.p
    assert among.p_corrected > alone.p_corrected


def test_other_images_are_not_compared():
    truth = [0, 1] * 5
    runs = {"a": said(truth, right(truth, {0})), "b": said(truth, right(truth, {0}), names=map(str, range(10)))}
    with pytest.raises(CohortError, match="other images"):
        pairs(runs, figure="accuracy", positive=None, seed=0)


@pytest.mark.parametrize(
    ("wrong", "margin", "words"),
    [
        ({"a": 20, "b": 20}, 0.05, "a and b are equivalent: neither is better by 0.05 or more"),
        ({"a": 20, "b": 20}, 0.001, "Whether a and b are equivalent within 0.001 stays open"),
        ({"a": 20, "b": 50}, 0.05, "a is not inferior to b: if worse at all, by less than 0.05"),
        ({"a": 50, "b": 20}, 0.05, "b is not inferior to a: if worse at all, by less than 0.05"),
        ({"a": 40, "b": 120}, 0.05, "a is better than b by 0.200"),
    ],
)
def test_a_margin_tells_which_networks_are_as_good(wrong, margin, words):
    truth = [0, 1] * 200
    runs = {
        name: said(truth, right(truth, set(range(at, at + n)))) for at, (name, n) in enumerate(wrong.items(), start=7)
    }
    found = pairs(runs, figure="accuracy", positive=None, seed=0, margin=margin)
    told = ranking_in_words(found)
    assert words in told
    (plain,) = json.loads(json.dumps([pair.to_json() for pair in found], allow_nan=False))
    low, high = found[0].found.interval(0.90)
    assert (plain["equivalence"]["low"], plain["equivalence"]["high"]) == pytest.approx((low, high))


def test_without_a_margin_nobody_is_called_equivalent():
    truth = [0, 1] * 50
    runs = {"a": said(truth, right(truth, {1})), "b": said(truth, right(truth, {1}))}
    (pair,) = pairs(runs, figure="accuracy", positive=None, seed=0)
    assert pair.to_json()["equivalence"] is None
    assert "equivalent" not in ranking_in_words((pair,))


def test_folds_are_compared_by_the_resampled_t_test():
    # by hand: the gaps are 0.1, 0.1, 0.1, 0.1, 0.15; mean 0.11, variance 0.0005, corrected error
    # sqrt((1/5 + 20/80) * 0.0005) = 0.015; t = 7.333 with 4 degrees of freedom
    better, worse = [0.8, 0.8, 0.85, 0.9, 0.9], [0.7, 0.7, 0.75, 0.8, 0.75]
    one = {"deep": better, "flat": worse}
    (pair,) = pairs_of_folds(one, figure="auroc", n_train=80, n_test=20, n_patients=100)
    assert pair.found.standard_error == pytest.approx(0.015)
    assert pair.found.p == pytest.approx(0.00184, abs=2e-5)
    told = ranking_in_words((pair,))
    assert told.startswith("In AUROC, deep is better than flat by 0.110 (0.068 to 0.152")

    three = {**one, "middle": [0.71, 0.7, 0.75, 0.79, 0.76]}
    found = pairs_of_folds(three, figure="auroc", n_train=80, n_test=20, n_patients=None)
    assert found[0].p_corrected > pair.p_corrected  # three tests are paid for
    assert "patients" not in ranking_in_words(tuple(one for one in found if not one.differ))
