from __future__ import annotations

import json

import numpy as np
import pytest

from overread.errors import CohortError
from overread.evaluate.predictions import Predictions
from overread.evaluate.rank import pairs, ranking_in_words

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
