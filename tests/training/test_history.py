from __future__ import annotations

import math

import numpy as np
import pytest

from overread.errors import RunError
from overread.training.history import EpochRow, History, format_row, header


def history_of(*accuracies: float, **columns: list[float]) -> History:
    history = History()
    for i, accuracy in enumerate(accuracies):
        more = {name: values[i] for name, values in columns.items()}
        history.add(
            **{"train_loss": 1 / (i + 1), "train_accuracy": 0.5, "val_loss": 0.3, "val_accuracy": accuracy} | more,
            epoch=i + 1,
        )
    return history


def test_csv_gives_every_bit_back():
    rng = np.random.default_rng(0)
    history = history_of(*rng.random(9), train_loss=list(np.exp(rng.normal(size=9) * 30)))
    history.add(epoch=10, train_loss=math.pi, train_accuracy=1 / 3, val_loss=5e-324, val_accuracy=1.0,
                val_auroc=0.1 + 0.2, learning_rate=1e-4, seconds=30.125, images_per_second=6.87)  # fmt: skip
    again = History.from_csv(history.to_csv())
    assert again.rows[-1] == history.rows[-1]
    assert again.to_csv() == history.to_csv()
    assert [row.train_loss for row in again] == [row.train_loss for row in history]
    assert math.isnan(again.rows[0].val_auroc)


def test_csv_of_no_epochs_is_its_columns():
    assert len(History.from_csv(History().to_csv())) == 0
    assert History().to_csv().startswith("epoch,train_loss,train_accuracy,val_loss,val_accuracy,val_auroc,")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not begin with its columns"),
        ("epoch,loss\n1,2\n", "does not begin with its columns"),
        (history_of(0.5).to_csv()[:-20], "Line 2 .* cannot be read"),
        (history_of(0.5).to_csv().replace("\n1,", "\none,"), "Line 2 .* cannot be read"),
        (history_of(0.5).to_csv().replace("\n1,", "\n2,"), "epoch 2 cannot follow epoch 0"),
    ],
)
def test_csv_that_was_changed_is_refused(text, complaint):
    with pytest.raises(RunError, match=complaint):
        History.from_csv(text)


def test_best_is_the_first_of_equals():
    history = history_of(0.80, 0.96, 0.90, 0.96)
    assert history.best_epoch("val_accuracy") == 2
    assert history.best("val_accuracy").val_accuracy == 0.96
    assert not history.is_best("val_accuracy")
    history.add(epoch=5, train_loss=0.1, train_accuracy=1, val_loss=0.1, val_accuracy=0.97)
    assert history.is_best("val_accuracy")


def test_of_losses_the_lowest_is_best():
    assert history_of(0.5, 0.5, 0.5, val_loss=[0.9, 0.2, 0.4]).best_epoch("val_loss") == 2


def test_an_epoch_without_a_number_is_best_only_where_none_has_one():
    nan = math.nan
    assert history_of(nan).is_best("val_accuracy")  # else a run could end without weights
    assert not history_of(nan, nan).is_best("val_accuracy")
    assert history_of(nan, 0.1).is_best("val_accuracy")
    assert not history_of(0.1, nan).is_best("val_accuracy")


def test_no_epoch_has_no_best():
    assert History().best_epoch("val_loss") == 0
    assert not History().is_best("val_loss")
    with pytest.raises(RunError, match="--epochs 1"):
        History().best("val_loss")


def test_an_epoch_cannot_be_skipped_or_repeated():
    with pytest.raises(ValueError, match="epoch 3 cannot follow epoch 1"):
        history_of(0.5).add(epoch=3, train_loss=0, train_accuracy=0, val_loss=0, val_accuracy=0)


def test_prints_the_columns_of_table_2_in_line():
    row = EpochRow(
        epoch=10, train_loss=0.03456, train_accuracy=0.9952, val_loss=math.nan, val_accuracy=0.96, seconds=3
    )
    assert header() == "epoch  train loss  train accuracy  validation loss  validation accuracy"
    assert format_row(row).split() == ["10", "0.0346", "0.995", "-", "0.960"]
    assert len(format_row(row)) == len(header())
    lines = str(history_of(0.5, 0.75)).splitlines()
    assert len(lines) == 3
    assert lines[2].endswith(" 0.750")
