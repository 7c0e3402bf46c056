"""Which images must stay together: those of one patient, and those that may be of one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from overread.data.rows import Cohort

Groups = NDArray[np.int64]


def join_pairs(n: int, pairs: Iterable[tuple[int, int]]) -> Groups:
    """Connect `n` things by pairs: (n,) int64, the group of each, numbered from 0 as they appear.

    >>> join_pairs(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    parent = list(range(n))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for first, second in pairs:
        one, other = root(first), root(second)
        parent[max(one, other)] = min(one, other)
    seen: dict[int, int] = {}
    return np.array([seen.setdefault(root(at), len(seen)) for at in range(n)], dtype=np.int64)


def cohort_groups(cohort: Cohort, alike: Groups | None = None) -> Groups:
    """The groups of rows that a split may not divide: (n,) int64.

    A known patient is a group. A row without one goes with its study, its series, and all rows that look
    nearly the same (`alike`: a group for each row), whoever's they are: it may show the same patient.
    """
    rows = cohort.rows
    unknown = [row.patient is None for row in rows]
    ties: list[list[Hashable]] = [
        _with_unknown([row.study for row in rows], unknown),
        _with_unknown([row.series for row in rows], unknown),
    ]
    if alike is not None:
        ties.append(_with_unknown(alike.tolist(), unknown))
    keys: list[Sequence[Hashable]] = [[row.patient for row in rows], *ties]
    return join_pairs(len(rows), (pair for key in keys for pair in _pairs(key)))


def _with_unknown(keys: Sequence[Hashable], unknown: Sequence[bool]) -> list[Hashable]:
    """The keys that at least one row without a patient has; None for the others."""
    kept = {key for key, is_unknown in zip(keys, unknown, strict=True) if is_unknown}
    return [key if key in kept else None for key in keys]


def _pairs(keys: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Each place with the first place that has the same key; None is no key."""
    first: dict[Hashable, int] = {}
    for place, key in enumerate(keys):
        if key is not None and (at := first.setdefault(key, place)) != place:
            yield at, place
