from __future__ import annotations

import time
import warnings

import numpy as np
import pytest

from overread.stats import metrics

sklearn = pytest.importorskip("sklearn.metrics")

TABLE = np.array([[5, 1, 0], [2, 6, 1], [0, 0, 3]])  # 18 images, 14 right


def random_case(seed: int, *, n: int = 150, k: int = 4):
    """Truth, predictions and probabilities with many ties (one decimal) and every class present."""
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(k), rng.integers(k, size=n - k)]
    raw = rng.random((n, k)) + 0.8 * np.eye(k)[truth]
    probabilities = np.round(raw / raw.sum(1, keepdims=True), 1)
    return truth, probabilities.argmax(1), probabilities


def test_confusion_counts_rows_as_truth():
    table = metrics.confusion([0, 0, 1, 2], [0, 1, 1, 0], 3)
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_confusion_refuses_a_class_that_does_not_exist():
    with pytest.raises(ValueError, match="predicted holds 0 to 3"):
        metrics.confusion([0, 1], [0, 3], 3)


def test_figures_known_by_hand():
    assert metrics.accuracy(TABLE) == pytest.approx(14 / 18)
    assert metrics.sensitivity(TABLE) == pytest.approx([5 / 6, 6 / 9, 1])
    assert metrics.specificity(TABLE) == pytest.approx([10 / 12, 8 / 9, 14 / 15])
    assert metrics.precision(TABLE) == pytest.approx([5 / 7, 6 / 7, 3 / 4])
    assert metrics.f1(TABLE) == pytest.approx([10 / 13, 12 / 16, 6 / 7])
    assert metrics.balanced_accuracy(TABLE) == pytest.approx((5 / 6 + 6 / 9 + 1) / 3)


def test_auroc_known_by_hand_with_a_tie():
    # pairs: (0.8 > 0.3), (0.8 > 0.5), (0.5 > 0.3), (0.5 = 0.5)
    assert metrics.auroc([True, True, False, False], [0.8, 0.5, 0.3, 0.5]) == 3.5 / 4


@pytest.mark.parametrize("seed", range(5))
def test_counts_agree_with_scikit_learn(seed):
    truth, predicted, _ = random_case(seed)
    table = metrics.confusion(truth, predicted, 4)
    assert table.tolist() == sklearn.confusion_matrix(truth, predicted).tolist()
    assert metrics.accuracy(table) == pytest.approx(sklearn.accuracy_score(truth, predicted))
    assert metrics.balanced_accuracy(table) == pytest.approx(sklearn.balanced_accuracy_score(truth, predicted))
    assert metrics.sensitivity(table) == pytest.approx(sklearn.recall_score(truth, predicted, average=None))
    assert metrics.precision(table) == pytest.approx(sklearn.precision_score(truth, predicted, average=None))
    assert metrics.f1(table) == pytest.approx(sklearn.f1_score(truth, predicted, average=None))
    assert metrics.macro(metrics.f1(table)) == pytest.approx(sklearn.f1_score(truth, predicted, average="macro"))
    assert metrics.mcc(table) == pytest.approx(sklearn.matthews_corrcoef(truth, predicted))
    assert metrics.kappa(table) == pytest.approx(sklearn.cohen_kappa_score(truth, predicted))


@pytest.mark.parametrize("seed", range(5))
def test_specificity_is_the_sensitivity_of_all_the_rest(seed):
    truth, predicted, _ = random_case(seed)
    expected = [sklearn.recall_score(truth != c, predicted != c) for c in range(4)]
    assert metrics.specificity(metrics.confusion(truth, predicted, 4)) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_ranks_agree_with_scikit_learn_despite_ties(seed):
    truth, _, p = random_case(seed)
    by_class = metrics.auroc_by_class(truth, p)
    assert by_class == pytest.approx([sklearn.roc_auc_score(truth == c, p[:, c]) for c in range(4)])
    assert metrics.average_precision(truth == 1, p[:, 1]) == pytest.approx(
        sklearn.average_precision_score(truth == 1, p[:, 1])
    )


@pytest.mark.parametrize("seed", range(3))
def test_losses_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, p = rng.integers(3, size=80), rng.dirichlet(np.ones(3), size=80)
    assert metrics.log_loss(truth, p) == pytest.approx(sklearn.log_loss(truth, p, labels=[0, 1, 2]))
    single = sum(sklearn.brier_score_loss(truth == c, p[:, c]) for c in range(3))
    assert metrics.brier(truth, p) == pytest.approx(single)


def test_a_certain_and_wrong_probability_costs_much_but_not_infinity():
    assert metrics.log_loss([1], [[1.0, 0.0]]) == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_same_as_repeated_images(seed):
    truth, predicted, p = random_case(seed, n=40)
    weights = np.random.default_rng(seed).integers(0, 4, size=(5, 40))
    tables = metrics.confusion(truth, predicted, 4, weights=weights)
    for w, table, area, precise, loss in zip(
        weights,
        tables,
        metrics.auroc_by_class(truth, p, weights=weights),
        metrics.average_precision(truth == 1, p[:, 1], weights=weights),
        metrics.brier(truth, p, weights=weights),
        strict=True,
    ):
        again = np.repeat(np.arange(40), w)
        t, q = truth[again], p[again]
        assert (table == metrics.confusion(t, predicted[again], 4)).all()
        assert area == pytest.approx(metrics.auroc_by_class(t, q), nan_ok=True)
        assert precise == pytest.approx(metrics.average_precision(t == 1, q[:, 1]), nan_ok=True)
        assert loss == pytest.approx(metrics.brier(t, q))


def test_what_has_no_meaning_is_nan_without_a_warning():
    one_class = np.array([[4, 0], [0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.sensitivity(one_class).tolist() == pytest.approx([1, np.nan], nan_ok=True)
        assert metrics.specificity(one_class).tolist() == pytest.approx([np.nan, 1], nan_ok=True)
        assert metrics.precision(one_class).tolist() == pytest.approx([1, np.nan], nan_ok=True)
        assert metrics.f1(one_class).tolist() == pytest.approx([1, np.nan], nan_ok=True)
        assert metrics.balanced_accuracy(one_class) == 1
        assert np.isnan(metrics.mcc(one_class))
        assert np.isnan(metrics.kappa(one_class))
        assert np.isnan(metrics.accuracy(np.zeros((2, 2))))
        assert np.isnan(metrics.auroc([True, True], [0.1, 0.2]))
        assert np.isnan(metrics.auroc([], []))
        assert np.isnan(metrics.average_precision([False], [0.1]))
        assert np.isnan(metrics.brier(np.zeros(0, int), np.zeros((0, 2))))


def test_a_class_never_predicted_has_an_f1_of_zero_not_nan():
    assert metrics.f1([[3, 0], [2, 0]])[1] == 0


def test_scores_that_are_nan_have_no_auroc():
    assert np.isnan(metrics.auroc([True, False], [np.nan, 0.5]))


@pytest.mark.parametrize(("k", "n"), [(2, 203), (3, 203), (2, 624)])
def test_two_thousand_resamples_take_a_few_seconds(k, n):
    truth, predicted, p = random_case(0, n=n, k=k)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=2000).astype(float)
    start = time.perf_counter()
    table = metrics.confusion(truth, predicted, k, weights=weights)
    for figure in (metrics.balanced_accuracy, metrics.f1, metrics.mcc, metrics.kappa, metrics.specificity):
        figure(table)
    metrics.auroc_by_class(truth, p, weights=weights)
    metrics.brier(truth, p, weights=weights)
    metrics.log_loss(truth, p, weights=weights)
    assert time.perf_counter() - start < 3


def test_roc_curve_agrees_with_scikit_learn():
    truth, _, p = random_case(3)
    alarms, found = metrics.roc_curve(truth == 2, p[:, 2])
    theirs = sklearn.roc_curve(truth == 2, p[:, 2], drop_intermediate=False)
    assert alarms == pytest.approx(theirs[0])
    assert found == pytest.approx(theirs[1])


def test_softmax_of_large_logits_does_not_overflow() -> None:
    found = metrics.softmax(np.array([[1000.0, 0.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[1, 0], [0.5, 0.5]])
