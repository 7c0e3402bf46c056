"""Answers on the data: where they come from, how they were prepared, and how they were divided."""

from __future__ import annotations

from overread.report.answers.answer import Answer, by_class, counted, joined, known, size_of, sizes, tallied
from overread.report.known import PARTS, Known
from overread.settings import parse_window

_RULES = {
    "patient": "by patient, so that all images of a patient are in one part",
    "alike": "so that images that look nearly the same are in one part, as patients are not known",
    "image": "image by image",
    "auto": "by the list's own parts where it has them, else by patient, else by likeness (--split auto)",
}
_BURNT_IN = "Q04"
_PATIENTS_FROM = {
    "column": "the list's patient column",
    "path": "a pattern on the path of each image",
    "dicom": "the DICOM headers",
}


def source(run: Known) -> Answer:
    """Where the images were read from."""
    division, sha256 = run.division, run.record.found.get("data_sha256")
    n_images = sum(part.n_images for part in division.parts)
    return known(
        f"overread read {run.record.source_kind}: {_whole(run, n_images)} in {len(run.card.classes)} classes "
        f"({joined(run.card.classes)}).",
        f"SHA-256 of the prepared images, their labels and their parts: {sha256}." if sha256 else "",
    )


def _whole(run: Known, n_images: int) -> str:
    return size_of(n_images, None if run.division.n_unknown else run.division.n_patients)


def exclusions(run: Known) -> Answer:
    """What was left out by the program; the clinical criteria are not known."""
    return known(_left_out(run), _unused(run))


def _left_out(run: Known) -> str:
    if not run.skipped:
        return "overread could read every image of the list, and left none out."
    n = sum(run.skipped.values())
    return (
        f"{counted(n, 'input')} could not be used and {'was' if n == 1 else 'were'} left out: {tallied(run.skipped)}."
    )


def _unused(run: Known) -> str:
    n = run.division.n_unused
    return f"{counted(n, 'image')} of the list {'belongs' if n == 1 else 'belong'} to no part." if n else ""


def subsets(run: Known) -> Answer:
    """Which part of each image is used."""
    return known(
        "Each slice or frame of the list is an image by itself. No region was cut out: the network sees the whole "
        "image.",
        _unused(run),
    )


def preparation(run: Known) -> Answer:
    """From the stored image to the network's input."""
    card, side = run.card, run.card.image.size_px
    fit = {
        "squash": "stretched to a square",
        "pad": "made square by black borders, its shape kept",
    }[card.image.fit]
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (card.mean, card.std))
    return known(
        f"Grey levels: {_window(card.image.window)}.",
        f"Each image was {fit} and resized to {side} x {side} pixels (bilinear, antialiased), 3 channels of 8 bits.",
        f"Each channel was scaled to 0 to 1, less its mean ({mean}), divided by its standard deviation ({std}).",
    )


def _window(window: str) -> str:
    if window in ("auto", "header"):
        return "as each file asks to be shown (its look-up table or window, else the range of its values)"
    described = []
    for name in window.split(","):
        center, width = parse_window(name.strip())
        named = "" if "/" in name else f"{name.strip()}, "
        described.append(f"{named}center {center:g} and width {width:g}")
    if len(described) == 1:
        return f"one CT window ({described[0]} Hounsfield units) in all three channels"
    return f"three CT windows, one a channel ({'; '.join(described)} Hounsfield units)"


def preparation_and_checks(run: Known) -> Answer:
    """Preparation, and what the audit of the data found."""
    prepared = preparation(run).known
    if run.audited is None:
        return known(*prepared, add="There is no audit of the data: describe your checks of quality.")
    return known(*prepared, *audit_sentences(run))


def audit_sentences(run: Known) -> list[str]:
    """What the audit of the data asked and found; nothing where there is none."""
    if run.audited is None:
        return []
    found = [f"{one.title} ({one.code}, {one.severity}). {one.what}" for one in run.audited.findings]
    told = [f"Left out of the verdict: {code}, because: {why}." for code, why in run.audited.ignored.items()]
    n = counted(run.audited.n_checks, "check")
    return [f"overread audited the data before training ({n}): {run.audited.verdict}", *found, *told]


def deidentification(run: Known) -> Answer:
    """What the model folder keeps of patients."""
    # that the check found nothing says little: pictures have no header that could tell
    burnt = [one.what for one in run.audited.findings if one.code == _BURNT_IN] if run.audited else []
    return known(
        "The tables of the model folder name a patient by eight digits of a SHA-256 hash; the paths of the images "
        "stand there as they are.",
        *burnt,
    )


def missing(run: Known) -> Answer:
    """What the run did without."""
    unknown = run.division.n_unknown
    return known(
        _left_out(run),
        f"The patient of {counted(unknown, 'image')} is not known." if unknown else "",
        "The network takes nothing but the image, so nothing was imputed.",
    )


def outcome(run: Known) -> Answer:
    """What is predicted."""
    column = run.record.cohort.get("label_column", "label")
    given = (
        "the sub-folder that it lies in" if "folder" in run.record.source_kind else f"the column or field {column}"
    )
    if run.record.cohort.get("labels"):
        given = f"a table of labels (column {column})"
    return known(
        f"The class of a single image, one of {len(run.card.classes)}: {joined(run.card.classes, 'or')}. Nothing is "
        "predicted for a later time.",
        f"The run took each image's class from {given}." if "NPZ" not in run.record.source_kind else "",
    )


def assignment(run: Known) -> Answer:
    """How the cohort was divided."""
    train, unit = run.record.train, _unit(run)
    seed, tuned = f"with seed {train.seed}", train.val_fraction
    if unit == "given":
        add = "Say how the parts of your list were made."
        return known("The list of images says which part each image is in.", sizes(run.division), add=add)
    if unit.startswith("fold"):
        words = f"The test part is {unit}; folds were made by patient where known, stratified by class, {seed}."
    elif unit.startswith("site"):
        words = f"The test part is all images of {unit}; what other sites have of its patients was left out."
    else:
        shares = joined([f"{share:.0%}" for share in (1 - tuned - train.test_fraction, tuned, train.test_fraction)])
        words = (
            f"The images were divided at random, {_RULES[unit]}; stratified by class, {seed}. Shares asked for: "
            f"{shares} of the images for training, tuning (validation) and test."
        )
    return known(words, sizes(run.division))


def _unit(run: Known) -> str:
    """What was not divided, as the run recorded it; else what was asked for."""
    unit = str(run.record.found.get("split", run.record.train.split))
    return unit if unit in _RULES or unit == "given" or unit.startswith(("fold", "site")) else "auto"


def separation(run: Known) -> Answer:
    """At which level the parts share nothing: counted, not believed."""
    division, n_parts = run.division, len(run.division.parts)
    whose = _PATIENTS_FROM.get(str(run.record.found.get("patients_from")), "")
    told = f" Patients are known from {whose}." if whose else ""
    if division.n_unknown:
        n_images = sum(part.n_images for part in division.parts)
        return known(
            f"The patient of {division.n_unknown:,} of {n_images:,} images is not known, so nobody can say whether "
            "parts share patients.",
            "Images that look nearly the same were kept in one part." if _unit(run) == "alike" else "",
            add="Say at which level the parts are apart, if you know more.",
        )
    if division.n_shared:
        return known(
            f"{division.n_shared:,} of {counted(division.n_patients, 'patient')} have images in more than one "
            f"part.{told}"
        )
    return known(
        f"The patient: none of the {division.n_patients:,} patients has images in more than one of the {n_parts} "
        f"parts.{told}"
    )


def sample_size(run: Known) -> Answer:
    """How large it was; never why."""
    return known(sizes(run.division), *(by_class(part) for part in run.division.parts if part.name == "test"))


def flow(run: Known) -> Answer:
    """What came in, what was left out, and where the rest went."""
    return known(_left_out(run), _unused(run), sizes(run.division), *map(by_class, run.division.parts))


def numbers(run: Known) -> Answer:
    """Images and patients of each class in each part."""
    unknown = run.division.n_unknown
    add = "Give the numbers of participants: overread knows only images." if unknown else ""
    return known(sizes(run.division), *map(by_class, run.division.parts), add=add)


def shares(run: Known) -> Answer:
    """The mix of classes in development and in test."""
    words = []
    for part in run.division.parts:
        mix = ", ".join(f"{label} {n / max(part.n_images, 1):.1%}" for label, n in part.images.items())
        words.append(f"Share of the images in the {PARTS[part.name]} part: {mix}.")
    return known(*words)


def differences(run: Known) -> Answer:
    """What tells the test part from the training part."""
    unit = _unit(run)
    if unit.startswith("site"):
        words = f"The test part is {unit}, from which no image was trained on."
    elif unit == "given":
        words = "The list of images made the parts; whether they differ in setting is not known here."
    else:
        words = "All parts are random parts of one list of images, prepared in the same way."
    return known(words, *shares(run).known)


def imbalance(run: Known) -> Answer:
    """What was done about rare classes."""
    training = run.division.part("train")
    weighed = (
        "The loss weighs each class in inverse proportion to its share of the training images."
        if run.record.train.class_weights
        else "Nothing was done about it: no class was weighed up, and no image was drawn more often than others."
    )
    recalibrated = f"Temperature of the probabilities: {run.evaluated.temperature}." if run.evaluated else ""
    return known(by_class(training) if training else "", weighed, recalibrated)
