"""The page of a comparison: several networks side by side, and whether they may be ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from overread.disk import write_atomically
from overread.evaluate.rank import Pair
from overread.evaluate.score import TITLES, Score
from overread.report.charts import networks_chart
from overread.report.html import fill
from overread.report.page import today
from overread.stats.intervals import Measured

FILE = "comparison.html"
SHOWN = ("auroc", "accuracy", "balanced_accuracy", "f1")


def write_comparison(
    path: Path,
    networks: Mapping[str, Sequence[Measured]],
    tested: Mapping[str, tuple[Pair, ...]],
    *,
    sentences: Sequence[str],
    score: Score,
    version: str,
) -> None:
    """Write the page as one HTML file. RunError where it cannot be written.

    networks: the figures of each. tested: for each kind of figure every two networks. sentences: what may be said.
    score: any network's, for what it was measured on.
    """
    by_name = {name: {m.name: m for m in figures if m.label is None} for name, figures in networks.items()}
    page = fill(
        "comparison.html",
        name=path.absolute().parent.name,
        version=version,
        written=today(),
        networks=by_name,
        shown=[name for name in SHOWN if all(name in figures for figures in by_name.values())],
        tested=tested,
        may_rank=any(pair.differ for some in tested.values() for pair in some),
        sentences=sentences,
        score=score,
        titles=TITLES,
        chart=networks_chart([(name, figures["accuracy"]) for name, figures in by_name.items()]),
    )
    write_atomically(path, page)
