from __future__ import annotations

import numpy as np

from overread.run.pictures import _in_grey


def test_three_windows_are_shown_as_the_first_in_grey() -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), np.uint8)
    shown, words = _in_grey(images, "brain,subdural,bone")
    assert (shown == images[..., :1]).all()
    assert "brain window" in words


def test_other_images_are_shown_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), np.uint8)
    for window in ("header", "brain", "40/80"):
        shown, words = _in_grey(images, window)
        assert (shown == images).all()
        assert words == ""
