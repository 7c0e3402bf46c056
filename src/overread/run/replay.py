"""Replay: train again from a run's record, and say whether the result is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from overread.errors import RunError
from overread.model import bundle
from overread.run.job import machine, read_record, versions
from overread.run.outputs import read_outcome
from overread.run.train import train
from overread.training.watch import Silent, Watcher


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What training again gave, beside what the record says."""

    folder: Path
    same_data: bool
    same_weights: bool
    same_history: bool
    differing: dict[str, tuple[float, float]]
    """test figures that differ: name -> (then, now)"""
    elsewhere: tuple[str, ...]
    """what differs between the two machines or installations, as sentences"""

    @property
    def same(self) -> bool:
        """Whether the weights and all figures are equal, bit for bit."""
        return self.same_weights and self.same_history and not self.differing


def replay(run: Path, *, out: Path, workers: int, watch: Watcher | None = None) -> Replay:
    """Train again what `run` records into `out`, and compare.

    Raises RunError where `run` has not ended, and ModelError where its files have changed since.
    """
    job, record = read_record(run)
    if not (run / bundle.CARD).exists():
        raise RunError(
            f"{run} has not ended, so there is nothing to compare with. First: overread train --resume {run}"
        )
    if job.quantized:
        raise RunError(f"{run} was not trained: it has the network of {job.quantized} in 8 bits. Replay that one.")
    then = read_outcome(run)
    now = train(dataclasses.replace(job, out=out, workers=workers), watch=watch or Silent())
    _, again = read_record(out)
    old, new = then.figures(), now.figures()
    return Replay(
        folder=out,
        same_data=record["data_sha256"] == again["data_sha256"],
        same_weights=then.card.files[bundle.WEIGHTS] == now.card.files[bundle.WEIGHTS],
        same_history=[row.figures() for row in then.history] == [row.figures() for row in now.history],
        differing={name: (old[name], new[name]) for name in old if repr(old[name]) != repr(new.get(name))},
        elsewhere=_differences("machine", record["machine"], machine())
        + _differences("version", record["versions"], versions()),
    )


def _differences(what: str, then: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, ...]:
    keys = sorted(set(then) | set(now))
    return tuple(
        f"{what} of {key}: {then.get(key)} then, {now.get(key)} now" for key in keys if then.get(key) != now.get(key)
    )
