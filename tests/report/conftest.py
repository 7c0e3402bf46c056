from __future__ import annotations

import numpy as np
import pytest

from overread.evaluate.score import Score, score


@pytest.fixture
def scored():
    """Make truth, probabilities and their Score for the given classes."""

    def make(classes, *, n=60, missing: int | None = None, patients=True) -> tuple[np.ndarray, np.ndarray, Score]:
        rng, k = np.random.default_rng(0), len(classes)
        truth = np.arange(n) % k
        if missing is not None:
            truth[truth == missing] = (missing + 1) % k
        raw = rng.random((n, k)) + np.eye(k)[truth]
        p = raw / raw.sum(1, keepdims=True)
        names = [f"p{i // 2}" if patients else None for i in range(n)]
        return truth, p, score(truth, p, names, classes, rng=rng)

    return make


@pytest.fixture
def words():
    """All text that stands on the figure itself: title, caption, warnings."""
    return lambda figure: "\n".join(text.get_text() for text in figure.texts)


@pytest.fixture
def assert_all_inside():
    """Check that nothing drawn is cut by the edge of the picture."""

    def check(figure) -> None:
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) >= 0
        assert drawn.x1 <= width
        assert drawn.y1 <= height

    return check
