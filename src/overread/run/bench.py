"""A machine against its own limits: reading, training and predicting, each beside the most that is possible here."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.predict import Predictor
from overread.run.bench_rows import BenchSettings, Measuring, Row
from overread.run.job import versions
from overread.run.limits import describe_machine
from overread.training.watch import Silent, Watcher

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Bench:
    """All that was measured."""

    machine: dict[str, Any]
    versions: dict[str, str]
    settings: BenchSettings
    limits: tuple[Row, ...]
    work: tuple[Row, ...]
    remarks: tuple[str, ...]
    """sentences: what was not measured, and why; and whether other programs were at work"""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the share of each line."""
        content = dataclasses.asdict(self)
        for part in ("limits", "work"):
            content[part] = [{**dataclasses.asdict(row), "share": row.share} for row in getattr(self, part)]
        return {"schema": SCHEMA, **content}


def bench(settings: BenchSettings | None = None, *, model: Path | None = None, watch: Watcher | None = None) -> Bench:
    """Measure this machine: its limits first, then what overread makes of them.

    model: a model folder to predict with; without one, and with torch, a network of random weights is made. What
    cannot be measured here is left out, and said. Raises ModelError where the network or the folder cannot be used.
    """
    began = time.perf_counter()
    if model is not None:
        Predictor(model)  # a folder that cannot be used is refused at once
    with tempfile.TemporaryDirectory(prefix="overread-") as folder:
        measuring = Measuring(settings or BenchSettings(), model, folder=Path(folder), watch=watch or Silent())
        measuring.run()
    return Bench(
        machine=describe_machine(),
        versions=versions(),
        settings=measuring.settings,
        limits=tuple(measuring.limits),
        work=tuple(measuring.work),
        remarks=tuple(measuring.remarks),
        seconds=time.perf_counter() - began,
    )
