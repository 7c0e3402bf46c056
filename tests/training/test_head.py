from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from overread.stats.metrics import log_loss, softmax
from overread.training.head import STRENGTHS, Solved, solve_head


def blobs(n: int, *, seed: int, apart: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Three classes in 6 dimensions, of very different scales; one dimension never moves."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    x = rng.normal(size=(n, 6)) + apart * np.eye(3, 6)[labels] * 2
    x = x * [1, 10, 0.1, 5, 1, 0] + [0, 100, -3, 0, 0, 7]
    return x.astype(np.float32), labels


def logits(solved: Solved, x: NDArray[np.float32]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (
        x.astype(np.float64) @ solved.weight.double().numpy().T + solved.bias.double().numpy()
    )
    return found


def test_it_is_the_optimum_that_scikit_learn_finds() -> None:
    (x, y), (v, w) = blobs(90, seed=0), blobs(60, seed=1)
    solved = solve_head(x, y, v, w, n_classes=3)
    centre, spread = x.mean(axis=0), np.where(x.std(axis=0) > 1e-6, x.std(axis=0), 1)
    again = LogisticRegression(C=1 / (solved.strength * len(x)), tol=1e-10, max_iter=10_000)
    again.fit((x - centre) / spread, y)
    theirs = again.predict_proba((v - centre) / spread)
    np.testing.assert_allclose(softmax(logits(solved, v)), theirs, atol=2e-4)


def test_the_strength_is_the_one_that_validation_likes_best() -> None:
    (x, y), (v, w) = blobs(30, seed=2, apart=0.5), blobs(60, seed=3, apart=0.5)
    centre, spread = x.mean(axis=0), np.where(x.std(axis=0) > 1e-6, x.std(axis=0), 1)
    losses = {}
    for strength in STRENGTHS:
        model = LogisticRegression(C=1 / (strength * len(x)), tol=1e-10, max_iter=10_000).fit(
            (x - centre) / spread, y
        )
        losses[strength] = log_loss(w, model.predict_proba((v - centre) / spread))
    assert solve_head(x, y, v, w, n_classes=3).strength == min(losses, key=losses.__getitem__)


def test_rare_classes_count_as_they_are_weighed() -> None:
    x, y = blobs(300, seed=4, apart=0.3)
    kept = (y != 2) | (np.arange(300) % 30 == 2)
    plain = solve_head(x[kept], y[kept], x, y, n_classes=3)
    weight = torch.tensor([0.5, 0.5, 5.0])
    weighed = solve_head(x[kept], y[kept], x, y, n_classes=3, class_weight=weight)
    assert (logits(weighed, x).argmax(axis=1) == 2).sum() > 2 * (logits(plain, x).argmax(axis=1) == 2).sum()


def test_a_class_that_validation_lacks_is_no_trouble() -> None:
    (x, y), (v, w) = blobs(90, seed=0), blobs(60, seed=1)
    assert solve_head(x, y, v[w < 2], w[w < 2], n_classes=3).weight.shape == (3, 6)
    assert np.isfinite(logits(solve_head(x, y, v, w, n_classes=4), v)).all()


def test_features_that_never_move_have_no_say() -> None:
    (x, y), (v, w) = blobs(90, seed=0), blobs(60, seed=1)
    v[:, 5] += 1e6
    solved = solve_head(x, y, v, w, n_classes=3)
    assert solved.weight[:, 5].abs().max() == pytest.approx(0)
