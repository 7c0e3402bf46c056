"""Every picture of a run, in one place to import them from."""

from overread.report.curves import history_curves, roc_figure
from overread.report.grid import choose, prediction_grid, sample_figure
from overread.report.style import counted, save
from overread.report.table import confusion_figure

__all__ = [
    "choose",
    "confusion_figure",
    "counted",
    "history_curves",
    "prediction_grid",
    "roc_figure",
    "sample_figure",
    "save",
]
