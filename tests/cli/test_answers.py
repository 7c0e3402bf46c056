from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import pytest

from overread.cli.answers import GrowingTable, Table, key_of
from overread.predict import Prediction, Predictor


@pytest.fixture
def predictor(trained) -> Predictor:
    return Predictor(trained.folder)


def answers(files: Iterable[Path], frames: int = 1) -> list[Prediction]:
    return [
        Prediction(
            path=str(path),
            frame=frame,
            label="disc",
            probabilities={"disc": 0.75, "square": 0.25},
            problem='bad, "very"\nbad' if path.name == "3.png" else None,
        )
        for path in files
        for frame in range(frames)
    ]


FILES = [Path(f"a/{n}.png") for n in range(40)]


def whole(predictor: Predictor, files: Iterable[Path], frames: int = 1) -> bytes:
    stream = io.StringIO()
    table = Table(predictor, stream)
    table.write_header()
    for one in answers(files, frames):
        table.write(one)
    return stream.getvalue().encode()


@pytest.mark.parametrize("frames", [1, 3])
def test_wherever_it_was_cut_off_it_goes_on_to_the_same_table(predictor: Predictor, frames: int) -> None:
    full = whole(predictor, FILES, frames)
    for cut in [*range(0, len(full), 97), len(full) - 1, len(full)]:
        stream = io.BytesIO(full[:cut])
        table = GrowingTable(predictor, stream)
        left = list(table.left(FILES))
        n, n_failed = table.write(answers(left, frames))
        assert stream.getvalue() == full, cut
        assert n + table.n_kept == frames * len(FILES)
        assert n_failed + table.n_failed == frames
        assert len(left) <= len(FILES) - table.n_kept // frames
    assert len(left) == 1  # of a whole table only the last file is asked again


def test_rows_of_other_files_are_cut_off(predictor: Predictor) -> None:
    stream = io.BytesIO(whole(predictor, FILES))
    table = GrowingTable(predictor, stream)
    changed = [*FILES[:5], Path("a/4x.png"), *FILES[5:]]
    left = list(table.left(changed))
    assert left == changed[5:]
    table.write(answers(left))
    assert stream.getvalue() == whole(predictor, changed)


def test_the_same_file_twice_is_two_rows(predictor: Predictor) -> None:
    twice = [FILES[0], FILES[0], FILES[1], FILES[2]]
    stream = io.BytesIO(whole(predictor, twice))
    table = GrowingTable(predictor, stream)
    table.write(answers(list(table.left(twice))))
    assert stream.getvalue() == whole(predictor, twice)


def test_a_table_of_other_columns_is_begun_anew(predictor: Predictor) -> None:
    stream = io.BytesIO(b"path,frame\na/0.png,0\na/1.png,0\n")
    table = GrowingTable(predictor, stream)
    assert list(table.left(FILES)) == FILES
    table.write(answers(FILES))
    assert stream.getvalue() == whole(predictor, FILES)


def test_another_model_has_another_key(predictor: Predictor, trained, tmp_path: Path) -> None:
    card = (trained.folder / "model.json").read_text()
    (tmp_path / "model.json").write_text(card + " ")
    other = Predictor(trained.folder)
    other.folder = tmp_path
    assert key_of(other) != key_of(predictor) == key_of(Predictor(trained.folder))


def test_numbers_are_read_back_equal(predictor: Predictor) -> None:
    (one,) = answers(FILES[:1])
    one = dataclasses.replace(one, probabilities={"disc": 1 / 3, "square": 2 / 3})
    stream = io.StringIO()
    table = Table(predictor, stream)
    table.write_header()
    table.write(one)
    (row,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert (float(row["p_disc"]), float(row["p_square"])) == (1 / 3, 2 / 3)
