"""Answers as a table (CSV) that is written as they come, and that a run which was stopped goes on with."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from overread.model import bundle
from overread.predict import BATCH, Prediction, Predictor

SET_MARK = "|"
"""between the classes of a set"""
PROBLEM = -1
"""the column that says why there is no answer"""


class Table:
    """Writes answers as CSV, a row an image."""

    def __init__(self, predictor: Predictor, stream: TextIO) -> None:
        self.classes = predictor.card.classes
        self._writer = csv.writer(stream, lineterminator="\n")

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        names = (f"p_{name}" for name in self.classes)
        return ["path", "frame", "predicted", *names, "set", "abstains", "problem"]

    def write_header(self) -> None:
        """Write the names of the columns."""
        self._writer.writerow(self.header)

    def write(self, p: Prediction) -> None:
        """Write one answer; its numbers are read back equal."""
        values = [repr(p.probabilities[name]) if p.probabilities else "" for name in self.classes]
        doubt = [SET_MARK.join(p.classes), p.abstains or ""]
        self._writer.writerow([p.path, p.frame, p.label or "", *values, *doubt, p.problem or ""])


class GrowingTable:
    """Answers in a file that grows: what an earlier run of the same model has written is not predicted again."""

    def __init__(self, predictor: Predictor, stream: BinaryIO) -> None:
        self._stream = stream
        self._text = io.StringIO()
        self._table = Table(predictor, self._text)
        self.n_kept, self.n_failed = 0, 0
        """rows, and rows without an answer, of the earlier run"""

    def left(self, files: Iterable[Path]) -> Iterator[Path]:
        """The files that are still to be predicted; rows of other files, and half a row, are cut off."""
        end, files = 0, iter(files)
        groups = _by_file(_rows(self._stream, self._table.header))
        for (rows, after), _ in itertools.pairwise(groups):  # not the last: it may lack some of its frames
            file = next(files, None)
            if str(file) != rows[0][0]:
                files = files if file is None else itertools.chain([file], files)
                break
            end = after
            self.n_kept += len(rows)
            self.n_failed += sum(bool(row[PROBLEM]) for row in rows)
        self._stream.seek(end)
        self._stream.truncate()
        if not end:
            self._table.write_header()
        return files

    def write(self, predictions: Iterable[Prediction]) -> tuple[int, int]:
        """Write answers as they come; returns how many there are, and how many of these have none."""
        n, n_failed = 0, 0
        try:
            for n, p in enumerate(predictions, start=1):
                self._table.write(p)
                n_failed += p.problem is not None
                if n % BATCH == 0:
                    self._flush()
        finally:
            self._flush()
        return n, n_failed

    def _flush(self) -> None:
        self._stream.write(self._text.getvalue().encode("utf-8", "surrogateescape"))
        self._stream.flush()
        self._text.seek(0)
        self._text.truncate()


def _rows(stream: BinaryIO, header: list[str]) -> Iterator[tuple[list[str], int]]:
    """Each whole row below the header, and where in the file it ends; nothing where the header is another one."""
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for line in stream:
            end += len(line)
            if line.endswith(b"\n"):
                yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(lines())
    if next(reader, None) == header:
        yield from ((row, end) for row in reader if len(row) == len(header))


def _by_file(rows: Iterable[tuple[list[str], int]]) -> Iterator[tuple[list[list[str]], int]]:
    """The rows of each file together, and where the last of them ends: frames of one file rise."""
    held: list[list[str]] = []
    last = 0
    for row, end in rows:
        if held and (row[0] != held[-1][0] or int(row[1]) <= int(held[-1][1])):
            yield held, last
            held = []
        held.append(row)
        last = end
    if held:
        yield held, last


def key_of(predictor: Predictor) -> str:
    """What a half-written table must have been made by to be gone on with."""
    card = (predictor.folder / bundle.CARD).read_bytes()
    return hashlib.sha256(card + predictor.engine.encode()).hexdigest()[:12]
