"""What a report shows of how the network decides: where its evidence lies, as numbers and as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from overread.data.cohort import patient_hash
from overread.data.measures import letter_board
from overread.explain.examples import Examples, outliers, prototypes
from overread.explain.explanation import Explanation
from overread.explain.looking import look
from overread.explain.space import space_of
from overread.explain.where import enlarge, evidence_for, find_regions
from overread.report.heat import overlay
from overread.report.pictured import FindPixels, Picture, as_png, in_grey, shown_path
from overread.run.inputs import Inputs
from overread.run.saying import Said

EXAMPLES_EACH = 2
MOST_LOOKED_AT = 2000
"""test images that regions are looked for in, evenly spread: more would move the figures little"""


def explain_test(inputs: Inputs, said: Said, *, seed: int) -> Explanation:
    """Where the evidence lies in the test part, and what the features of images not learnt from are sorted by."""
    seen, tested = said.seen["test"], said.found.part("test")
    some = np.unique(np.linspace(0, len(tested) - 1, min(len(tested), MOST_LOOKED_AT)).astype(int))
    boards = letter_board(inputs.measures[seen.rows[some]])
    regions = (
        find_regions(np.asarray(inputs.pixels[place]), board, cells=seen.class_maps.shape[-1])
        for place, board in zip(inputs.places[seen.rows[some]], boards, strict=True)
    )
    chosen = tested.subset(some)
    looking = look(
        seen.class_maps[some], regions, chosen.probabilities.argmax(axis=1), chosen.patients, chosen.classes
    )
    features = np.concatenate([said.seen[part].features for part in dict.fromkeys(said.found.parts)])
    space = space_of(
        features,
        said.found.truth,
        said.found.classes,
        said.found.patients,
        said.found.facts,
        np.random.default_rng(seed),
    )
    return Explanation(method=said.method, looking=looking, space=space)


def learnt_examples(inputs: Inputs, said: Said) -> Examples:
    """The training images as the network sees them: what a new image is compared with."""
    learnt = said.seen["train"]
    rows = [inputs.cohort.rows[row] for row in learnt.rows.tolist()]
    return Examples(
        features=learnt.features.astype(np.float32),
        labels=inputs.cohort.labels()[learnt.rows],
        classes=inputs.cohort.classes,
        patients=tuple(patient_hash(row.patient) if row.patient else None for row in rows),
        paths=tuple(row.path for row in rows),
        frames=tuple(row.frame for row in rows),
        parts=("train",) * len(rows),
    )


def example_pictures(examples: Examples, find: FindPixels) -> tuple[Picture, ...]:
    """Of each class the training images that are most typical to the network, and the one that fits it least."""
    shown = []
    odd = outliers(examples, 1)
    for label, typical in prototypes(examples, EXAMPLES_EACH).items():
        for one in typical:
            shown.append((one, f"typical {label}", f"A training image that is typical of {label} to the network."))
        for worst in odd[label]:
            near = f", near {worst.other}" if worst.excess > 0 else ""
            words = f"The training image of {label} that fits this class least{near}."
            shown.append((worst.image, f"odd {label}{near}", words))
    return tuple(
        Picture(png=as_png(pixels), alt=words, caption=f"{title}; {shown_path(one.path, one.frame)}")
        for one, title, words in shown
        if (pixels := find(one.path, one.frame)) is not None
    )


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
