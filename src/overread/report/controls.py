"""The page of controls: what each shows in a sentence, the figures of every arm, and the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overread.disk import write_atomically
from overread.evaluate.controls import CHANCE, LEARNING, TITLES, Arm, Told
from overread.report.charts import Chart, arms_chart, learning_chart
from overread.report.html import fill
from overread.stats.intervals import Measured

FILE = "controls.html"


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One way to train, on how many patients, and what it scored."""

    arm: Arm
    trained_on: int
    auroc: Measured
    accuracy: Measured
    balanced_accuracy: Measured


@dataclass(frozen=True, kw_only=True)
class ControlsPage:
    """All that the page says."""

    name: str
    dataset: str
    written: str
    version: str
    told: tuple[Told, ...]
    rows: tuple[ArmRow, ...]
    classes: tuple[str, ...]
    n_repeats: int
    network: str

    @property
    def worst(self) -> str:
        """The gravest tone of any control."""
        return min((one.tone for one in self.told), key=("do not", "with care", "good").index)


def write_controls(path: Path, page: ControlsPage) -> None:
    """Write the page as one HTML file. RunError where it cannot be written."""
    write_atomically(path, fill("controls.html", page=page, titles=TITLES, charts=_charts(page.rows)))


def _charts(rows: Sequence[ArmRow]) -> tuple[Chart, ...]:
    whole, by_arm = [row for row in rows if row.arm.share == 1], {row.arm: row for row in rows}
    charts = []
    if len(whole) > 1:
        charts.append(arms_chart([(row.arm.words, row.auroc) for row in whole], chance=CHANCE))
    if all(arm in by_arm for arm in LEARNING):
        points = [(by_arm[arm].trained_on, by_arm[arm].auroc) for arm in LEARNING]
        charts.append(learning_chart(points, chance=CHANCE))
    return tuple(charts)
