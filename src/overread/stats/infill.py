"""Fill in what is taken out of an image so that the hole itself tells nothing: ROAD's noisy linear imputation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

_MOST_ROWS = 112
_NEAR, _DIAGONAL = 1 / 6, 1 / 12
_STEPS = (
    (0, 1, _NEAR), (0, -1, _NEAR), (1, 0, _NEAR), (-1, 0, _NEAR),
    (1, 1, _DIAGONAL), (1, -1, _DIAGONAL), (-1, 1, _DIAGONAL), (-1, -1, _DIAGONAL),
)  # fmt: skip


def fill(
    image: NDArray[np.uint8], missing: NDArray[np.bool_], *, noise: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Replace missing places of an image (h, w, 3) by the weighted mean of their neighbours, plus noise.

    Neighbours beside, above and below count 1/6 each and diagonal ones 1/12 (Rong et al. 2022, arXiv:2202.00449); at
    the rim of the image the weights of those that there are sum to 1. noise: standard deviation, in grey levels. What
    is kept is unchanged. Where all is missing the image becomes its mean. A large image is solved for at 112 rows or
    fewer, from the means of what is kept in each square.
    """
    filled = image.astype(np.float64)
    if missing.all():
        filled[:] = image.mean(axis=(0, 1))
    elif missing.any():
        step = _step(missing.shape)
        coarse, holes = _reduced(filled, missing, step)
        if holes.any():
            coarse[holes] = _solve(coarse, holes)
        filled[missing] = coarse.repeat(step, axis=0).repeat(step, axis=1)[missing]
    filled[missing] += rng.normal(0, noise, (int(missing.sum()), image.shape[2]))
    return np.asarray(np.rint(filled.clip(0, 255)), np.uint8)


def _step(shape: tuple[int, ...]) -> int:
    """How many rows and columns become one: the fewest that leave no rest, and no more than `_MOST_ROWS`."""
    least = -(-max(shape) // _MOST_ROWS)
    return next((step for step in range(least, min(shape) // 8) if not any(side % step for side in shape)), 1)


def _reduced(
    image: NDArray[np.float64], missing: NDArray[np.bool_], step: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean of what is kept in each square of step x step, and the squares of which nothing is."""
    rows, columns = missing.shape[0] // step, missing.shape[1] // step
    kept = ~missing.reshape(rows, step, columns, step)
    blocks = image.reshape(rows, step, columns, step, image.shape[2]) * kept[..., None]
    counts = kept.sum(axis=(1, 3))
    return blocks.sum(axis=(1, 3)) / np.maximum(counts, 1)[..., None], counts == 0


def _solve(image: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The values (m, channels) of the missing places: each is the weighted mean of its neighbours."""
    rows, columns = np.nonzero(missing)
    m = rows.size
    number = np.full(missing.shape, -1)
    number[rows, columns] = np.arange(m)
    known, weight = np.zeros((m, image.shape[2])), np.zeros(m)
    of, by, values = [np.arange(m)], [np.arange(m)], [np.ones(m)]
    for down, across, share in _STEPS:
        r, c = rows + down, columns + across
        there = (r >= 0) & (r < missing.shape[0]) & (c >= 0) & (c < missing.shape[1])
        weight[there] += share
    for down, across, share in _STEPS:
        r, c = rows + down, columns + across
        there = np.flatnonzero((r >= 0) & (r < missing.shape[0]) & (c >= 0) & (c < missing.shape[1]))
        beside = number[r[there], c[there]]
        unknown, given = there[beside >= 0], there[beside < 0]
        of.append(unknown)
        by.append(beside[beside >= 0])
        values.append(-share / weight[unknown])
        known[given] += (share / weight[given])[:, None] * image[r[given], c[given]]
    system = sparse.csc_matrix((np.concatenate(values), (np.concatenate(of), np.concatenate(by))), (m, m))
    return np.asarray(spsolve(system, known)).reshape(m, -1)
