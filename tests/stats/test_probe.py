from __future__ import annotations

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from overread.stats.probe import holm, probe


def folds_of(units: np.ndarray, n_folds: int = 5) -> np.ndarray:
    return units % n_folds


def test_agrees_with_scikit_learn_on_the_same_folds() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 100)
    x = rng.normal(size=(100, 6)) + labels[:, None] * 0.5
    units = np.arange(100)
    folds = folds_of(units)
    scores = np.empty(100)
    for fold in range(5):
        held, learnt = folds == fold, folds != fold
        mean, spread = x[learnt].mean(0), x[learnt].std(0)
        y = labels[learnt] - labels[learnt].mean()
        ridge = Ridge(alpha=1 + 6, fit_intercept=False).fit((x[learnt] - mean) / spread, y)
        scores[held] = ridge.predict((x[held] - mean) / spread) / labels[learnt].std()
    result = probe(x, labels, units=units, folds=folds, rng=rng, permutations=20)
    assert np.isclose(result.auroc, roc_auc_score(labels, scores), atol=1e-9)


def test_a_signal_is_found() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    x = np.eye(3)[labels] + rng.normal(0, 0.3, (120, 3))
    result = probe(x, labels, units=np.arange(120), folds=np.arange(120) % 5, rng=rng)
    assert result.p == 0.001
    assert result.auroc > 0.98
    assert result.balanced_accuracy > 0.9
    assert 0.5 < result.null_95 < 0.65


def test_by_chance_the_p_value_is_even() -> None:
    """Patients with four images each, alike among themselves; labels that mean nothing."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        units = np.repeat(np.arange(30), 4)
        x = rng.normal(size=(30, 5))[units] + rng.normal(0, 0.2, (120, 5))
        labels = rng.permutation(np.repeat([0, 1], 15))[units]
        found.append(probe(x, labels, units=units, folds=units % 5, rng=rng, permutations=99).p)
    assert 0.01 <= np.mean(np.array(found) <= 0.05) <= 0.09
    assert 0.4 < np.mean(found) < 0.6


def test_by_chance_the_p_value_is_even_where_some_patients_have_two_labels() -> None:
    """As above, but three of 30 patients have images under both labels: the others must still move as wholes."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        units = np.repeat(np.arange(30), rng.integers(2, 9, 30))
        x = rng.normal(size=(30, 5))[units] + rng.normal(0, 0.2, (len(units), 5))
        labels = rng.permutation(np.repeat([0, 1], 15))[units]
        for unit in rng.choice(30, 3, replace=False):
            own = np.flatnonzero(units == unit)
            labels[own[0]] = 1 - labels[own[-1]]
        found.append(probe(x, labels, units=units, folds=units % 5, rng=rng, permutations=99).p)
    assert 0.01 <= np.mean(np.array(found) <= 0.05) <= 0.09
    assert 0.4 < np.mean(found) < 0.6


def test_a_signal_within_patients_is_found() -> None:
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(30), 8)
    labels = (rng.random(240) < rng.random(30)[units]).astype(np.int64)
    x = rng.normal(size=(30, 3))[units] + labels[:, None] + rng.normal(0, 0.5, (240, 3))
    assert probe(x, labels, units=units, folds=units % 5, rng=rng).p < 0.01


def test_one_wild_value_does_not_decide() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    x = (labels + rng.normal(0, 0.5, 100))[:, None]
    x[3] = 1e9
    result = probe(x, labels, units=np.arange(100), folds=np.arange(100) % 5, rng=rng, permutations=99)
    assert np.isfinite(result.auroc)


def test_holm_keeps_order_and_stays_a_probability() -> None:
    assert holm([0.5, 0.001, 0.9]) == [1.0, 0.003, 1.0]
    assert holm([]) == []
