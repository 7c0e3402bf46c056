"""What happened in each epoch: a row an epoch, that prints as the paper's Table 2 and is kept as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from overread.errors import RunError


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One epoch. nan where there is nothing to say, such as a validation AUROC with one class."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_auroc: float = math.nan
    learning_rate: float = math.nan
    seconds: float = math.nan
    images_per_second: float = math.nan
    stages_learning: float = math.nan
    """how many stages learned, counted from the head: 1 is the last layer alone"""

    def figures(self) -> dict[str, str]:
        """Everything but the clock, as it is written: equal for two runs that learned the same."""
        timed = ("seconds", "images_per_second")
        return {name: _written(getattr(self, name)) for name in _COLUMNS if name not in timed}


_COLUMNS = tuple(f.name for f in dataclasses.fields(EpochRow))
_FIRST_COLUMNS = _COLUMNS[:-1]
"""those of histories from before the stages that learn had a column"""
_TABLE_2 = {
    "epoch": "epoch",
    "train_loss": "train loss",
    "train_accuracy": "train accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}


@dataclass
class History:
    """The rows of a run so far, in the order of their epochs."""

    rows: list[EpochRow] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[EpochRow]:
        return iter(self.rows)

    def add(self, **values: float) -> EpochRow:
        """Append the row of an epoch, given field by field as `EpochRow` names them."""
        row = EpochRow(**values)  # type: ignore[arg-type]
        if row.epoch != len(self.rows) + 1:
            raise ValueError(f"epoch {row.epoch} cannot follow epoch {len(self.rows)}")
        self.rows.append(row)
        return row

    def is_best(self, metric: str) -> bool:
        """Whether the last epoch is the best so far: an equal one is not better. False without epochs."""
        return len(self.rows) > 0 and self.best_epoch(metric) == len(self.rows)

    def best_epoch(self, metric: str) -> int:
        """The first epoch with the best `metric`: the lowest loss, the highest of all else. 0 without epochs.

        An epoch whose metric is nan is best only while no other has a number, and then it is the first.
        """
        values = [float(getattr(row, metric)) for row in self.rows]
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return min(1, len(values))
        return values.index(min(known) if metric.endswith("loss") else max(known)) + 1

    def best(self, metric: str) -> EpochRow:
        """The row of `best_epoch`; RunError without epochs."""
        if not self.rows:
            raise RunError("No epoch has been trained yet, so none is the best. Train at least one: --epochs 1.")
        return self.rows[self.best_epoch(metric) - 1]

    def to_csv(self) -> str:
        """Every column as CSV; numbers in the shortest form that reads back equal, nan as nothing."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in self.rows:
            writer.writerow([_written(getattr(row, name)) for name in _COLUMNS])
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Undo `to_csv`; RunError, with the line, where the text is not of that form."""
        history = cls()
        lines = list(csv.reader(io.StringIO(text)))
        columns = tuple(lines[0]) if lines else ()
        if columns not in (_COLUMNS, _FIRST_COLUMNS):
            raise RunError(
                f"The training history does not begin with its columns ({','.join(_COLUMNS)}). "
                "It was changed or cut short: train again into a new folder."
            )
        for number, cells in enumerate(lines[1:], start=2):
            try:
                values = {n: math.nan if c == "" else float(c) for n, c in zip(columns, cells, strict=True)}
                history.add(**{**values, "epoch": int(cells[0])})
            except ValueError as error:
                raise RunError(
                    f"Line {number} of the training history cannot be read: {error}. "
                    "It was changed or cut short: train again into a new folder."
                ) from error
        return history

    def __str__(self) -> str:
        """Table 2: the header and a line an epoch."""
        return "\n".join([header(), *map(format_row, self.rows)])


def header() -> str:
    """The column titles of Table 2, aligned with `format_row`."""
    return "  ".join(_TABLE_2.values())


def format_row(row: EpochRow) -> str:
    """One line of Table 2: losses to four places, accuracies to three, under the titles of `header`."""
    cells = [str(row.epoch)]
    for name in list(_TABLE_2)[1:]:
        value = float(getattr(row, name))
        places = 4 if name.endswith("loss") else 3
        cells.append("-" if math.isnan(value) else f"{value:.{places}f}")
    return "  ".join(cell.rjust(len(title)) for cell, title in zip(cells, _TABLE_2.values(), strict=True))


def _written(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if math.isnan(value) else repr(float(value))
