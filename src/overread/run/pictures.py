"""The pictures of a run: which images, in which figure, under which name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overread.evaluate.score import Score
from overread.report.figures import (
    choose,
    confusion_figure,
    counted,
    history_curves,
    prediction_grid,
    roc_figure,
    sample_figure,
    save,
)
from overread.run.inputs import Inputs
from overread.run.job import Job
from overread.training.history import History

FOLDER = "figures"
SHOWN = 20
"""images in a grid, as in the paper's Figure 1"""


def draw_pictures(
    job: Job,
    *,
    inputs: Inputs,
    probabilities: NDArray[np.float64],
    scored: Score,
    history: History,
    marks: tuple[str, ...],
) -> None:
    """Draw the paper's Figures 1 and 3 and the curves of its Table 2, the confusion table and the ROC curves.

    probabilities: (n, k), of the test part in its order.
    """
    folder, classes = job.out / FOLDER, inputs.cohort.classes
    test = inputs.part("test")
    shown = choose(len(test), SHOWN, np.random.default_rng(job.train.seed))
    images, window = _in_grey(np.asarray(inputs.pixels[test.indices[shown]]), inputs.image.window)
    truth = test.labels[shown]
    n_shown = f"{len(shown)} at random of the " if len(shown) < len(test) else ""
    n_shown += counted(scored.n_images, scored.n_patients) + window
    names = [classes[label] for label in truth]
    save(sample_figure(images, names, caption=n_shown, marks=marks), folder, "test-images")
    grid = prediction_grid(
        images,
        truth,
        probabilities[shown].argmax(axis=1),
        probabilities[shown],
        classes,
        caption=n_shown,
        marks=marks,
    )
    save(grid, folder, "test-predictions")
    save(history_curves(history, select=job.train.select, marks=marks), folder, "learning-curves")
    save(confusion_figure(scored, marks=marks), folder, "confusion")
    save(roc_figure(test.labels, probabilities, scored, marks=marks), folder, "roc")


def _in_grey(images: NDArray[np.uint8], window: str) -> tuple[NDArray[np.uint8], str]:
    """Images as a radiologist reads them, and words for the caption: of three CT windows the first one alone.

    images: (n, h, w, 3) uint8. As red, green and blue, three windows are false colours that show no anatomy well.
    """
    windows = window.split(",")
    if len(windows) != 3:
        return images, ""
    return np.repeat(images[..., :1], 3, axis=-1), f"; {windows[0]} window, the first of the network's three"
