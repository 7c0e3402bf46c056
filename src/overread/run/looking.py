"""What a report shows of how the network decides: where its evidence lies, as numbers and as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overread.data.measures import letter_board
from overread.explain.explanation import Explanation
from overread.explain.looking import look
from overread.explain.where import enlarge, evidence_for, find_regions
from overread.report.heat import overlay
from overread.report.pictured import Picture, as_png, in_grey, shown_path
from overread.run.inputs import Inputs
from overread.run.saying import Said

EXAMPLES_EACH = 2
MOST_LOOKED_AT = 2000
"""test images that regions are looked for in, evenly spread: more would move the figures little"""


def explain_test(inputs: Inputs, said: Said) -> Explanation:
    """Where the evidence for the answers lies in the images of the test part."""
    seen, tested = said.seen["test"], said.found.part("test")
    some = np.unique(np.linspace(0, len(tested) - 1, min(len(tested), MOST_LOOKED_AT)).astype(int))
    boards = letter_board(inputs.measures[seen.rows[some]])
    regions = (
        find_regions(np.asarray(inputs.pixels[place]), board)
        for place, board in zip(inputs.places[seen.rows[some]], boards, strict=True)
    )
    chosen = tested.subset(some)
    looking = look(seen.class_maps[some], regions, chosen.probabilities.argmax(axis=1), chosen.patients)
    return Explanation(method=said.method, looking=looking)


def evidence_pictures(inputs: Inputs, said: Said) -> tuple[Picture, ...]:
    """Of each class the mean evidence over the mean image, and the images whose right answer was surest."""
    seen, tested = said.seen["test"], said.found.part("test")
    answers, sure = tested.probabilities.argmax(axis=1), tested.probabilities.max(axis=1)
    shown: list[Picture] = []
    for code, label in enumerate(tested.classes):
        called = np.flatnonzero(answers == code)
        if not called.size:
            continue
        images = np.stack([_image(inputs, int(seen.rows[i])) for i in called[:_AVERAGED]])
        mean = np.mean([evidence_for(seen.class_maps[i], code) for i in called[:_AVERAGED]], axis=0)
        shown.append(
            Picture(
                png=as_png(_covered(images.mean(axis=0).astype(np.uint8), mean)),
                alt=f"Mean evidence of {len(images)} images that were called {label}.",
                caption=f"{label}: mean of {len(images)} images",
            )
        )
        right = called[tested.truth[called] == code]
        for i in _of_different_patients(right[np.argsort(-sure[right], kind="stable")], tested.patients):
            where = shown_path(tested.paths[i], tested.frames[i])
            shown.append(
                Picture(
                    png=as_png(_covered(_image(inputs, int(seen.rows[i])), evidence_for(seen.class_maps[i], code))),
                    alt=f"An image of {label} with the evidence for {label} over it.",
                    caption=f"{label}, called {label} ({sure[i]:.2f}); {where}",
                )
            )
    return tuple(shown)


_AVERAGED = 200


def _of_different_patients(order: NDArray[np.int64], patients: tuple[str | None, ...]) -> list[int]:
    kept: dict[str, int] = {}
    for i in order.tolist():
        kept.setdefault(patients[i] or str(i), i)
        if len(kept) == EXAMPLES_EACH:
            break
    return list(kept.values())


def _image(inputs: Inputs, row: int) -> NDArray[np.uint8]:
    return in_grey(np.asarray(inputs.pixels[inputs.places[row]]), inputs.image.window)


def _covered(image: NDArray[np.uint8], evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    return overlay(image, enlarge(evidence, len(image)))
