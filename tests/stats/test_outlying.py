from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from overread.stats.conformal import conformal_quantile
from overread.stats.outlying import fit_mahalanobis, ledoit_wolf, neighbour_distance, outlier_p


def features(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    spread = np.exp(rng.normal(size=d))
    return 3 * rng.normal(size=(3, d))[truth] + spread * rng.normal(size=(n, d)), truth


@pytest.mark.parametrize(("n", "d"), [(200, 6), (20, 50), (40, 40)])
def test_shrinkage_is_that_of_scikit_learn(n, d) -> None:
    x, _ = features(0, n, d)
    x = x - x.mean(axis=0)
    assert ledoit_wolf(x) == pytest.approx(LedoitWolf(assume_centered=True).fit(x).shrinkage_)


@pytest.mark.parametrize(("n", "d"), [(200, 6), (24, 60), (60, 60)])
def test_distance_is_that_of_the_shrunk_covariance(n, d) -> None:
    x, truth = features(1, n, d)
    new = features(2, 15, d)[0]
    model = fit_mahalanobis(x, truth, 3)
    means = np.stack([x[truth == c].mean(axis=0) for c in range(3)])
    shrunk = LedoitWolf(assume_centered=True).fit(x - means[truth])
    inverse = np.linalg.inv(shrunk.covariance_)
    expected = np.min([np.einsum("ni,ij,nj->n", new - m, inverse, new - m) for m in means], axis=0)
    assert model.shrinkage == pytest.approx(shrunk.shrinkage_)
    assert model.distance(new) == pytest.approx(expected)


def test_a_class_without_images_is_not_near_anything() -> None:
    x, truth = features(3, 60, 4)
    keep = truth != 1
    model = fit_mahalanobis(x[keep], truth[keep], 3)
    assert np.isnan(model.means[1]).all()
    without = fit_mahalanobis(x[keep], truth[keep] // 2, 2)
    assert model.distance(x) == pytest.approx(without.distance(x))


def test_far_features_lie_far_and_class_means_lie_nowhere() -> None:
    x, truth = features(4, 90, 5)
    model = fit_mahalanobis(x, truth, 3)
    assert model.distance(model.means) == pytest.approx(0, abs=1e-9)
    assert model.distance(x + 100).min() > model.distance(x).max()


def test_a_direction_in_which_training_never_varied_is_far_and_not_infinite() -> None:
    x, truth = features(5, 90, 5)
    x[:, 4] = 1.0
    model = fit_mahalanobis(x, truth, 3)
    off = x.copy()
    off[:, 4] = 50.0
    assert np.isfinite(model.distance(off)).all()
    assert model.distance(off).min() > model.distance(x).max()


def test_features_without_spread_have_no_distance() -> None:
    with pytest.raises(ValueError, match="of 4 images do not differ"):
        fit_mahalanobis(np.ones((4, 3)), [0, 0, 1, 1], 2)
    with pytest.raises(ValueError, match="of 0 images do not differ"):
        fit_mahalanobis(np.zeros((0, 3)), [], 2)


@pytest.mark.parametrize("k", [1, 10])
def test_neighbours_are_those_of_scikit_learn(k) -> None:
    x, _ = features(6, 300, 8)
    new = features(7, 40, 8)[0]
    theirs = NearestNeighbors(n_neighbors=k).fit(normalize(x)).kneighbors(normalize(new))[0][:, -1]
    assert neighbour_distance(new, x, k=k) == pytest.approx(theirs, abs=1e-7)


def test_too_few_neighbours_are_refused_and_empty_features_do_not_break_it() -> None:
    with pytest.raises(ValueError, match="3 reference images; the 10-th nearest needs 10"):
        neighbour_distance(np.ones((2, 4)), np.ones((3, 4)))
    assert np.isfinite(neighbour_distance(np.zeros((1, 4)), np.eye(4), k=1)).all()


def test_p_by_hand() -> None:
    known = np.array([1.0, 2.0, 3.0, 4.0])
    assert outlier_p(known, [0.5, 3.0, 3.5, 9.0]) == pytest.approx([1, 3 / 5, 2 / 5, 1 / 5])


def test_p_by_patient_by_hand() -> None:
    # patient a: 1 and 4, half each; patient b: 2
    assert outlier_p([1.0, 4.0, 2.0], [3.0, 5.0], ["a", "a", "b"]) == pytest.approx([1.5 / 3, 1 / 3])


def test_p_and_the_conformal_quantile_are_one_rule() -> None:
    rng = np.random.default_rng(0)
    known, patients = rng.normal(size=120), list(np.repeat(np.arange(30), 4))
    limit = conformal_quantile(known, 0.1, patients)
    scores = np.r_[rng.normal(size=300), known]
    assert ((outlier_p(known, scores, patients) <= 0.1 + 1e-9) == (scores > limit)).all()


def test_few_patients_can_never_be_sure() -> None:
    assert outlier_p(np.arange(19), [1e9])[0] == pytest.approx(0.05)
    assert outlier_p(np.zeros(100), [1e9], ["a"] * 100)[0] == pytest.approx(0.5)
    assert outlier_p([], [1e9], [])[0] == 1


def test_images_of_new_patients_like_these_are_called_outliers_as_often_as_said() -> None:
    rng, called = np.random.default_rng(1), []
    for _ in range(400):
        codes = np.repeat(np.arange(40), 5)
        known = rng.normal(size=40)[codes] + 0.5 * rng.normal(size=200)
        new = rng.normal(size=20) + 0.5 * rng.normal(size=20)
        called.append((outlier_p(known, new, list(codes)) <= 0.1).mean())
    assert 0.07 <= np.mean(called) <= 0.105
