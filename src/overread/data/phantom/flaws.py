"""Faults planted on request, each written down: what an audit of the data has to find."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import RLELossless

from overread.data.phantom.dicom import make_uid
from overread.data.phantom.patient import Plan
from overread.data.phantom.scanner import KERNELS
from overread.data.phantom.settings import PhantomSettings
from overread.data.phantom.truth import Flaw, PatientTruth

_MARKERS = ("L", "R", "P")
_LEAKED, _WRONG, _DUPLICATED = 0.05, 0.10, 0.03


def plant_in_plans(plans: list[Plan], settings: PhantomSettings, rng: np.random.Generator) -> list[Plan]:
    """The plans with the asked faults in them; all faults but duplicates, which need files."""
    classes, planned = settings.classes, list(plans)
    if "kernel" in settings.planted:
        planned = [
            dataclasses.replace(plan, kernel=classes.index(plan.true_label) % len(KERNELS)) if chosen else plan
            for plan, chosen in zip(planned, _chosen(planned, settings, "kernel"), strict=True)
        ]
    if "marker" in settings.planted:
        planned = [
            dataclasses.replace(plan, marker=_MARKERS[classes.index(plan.true_label)]) if chosen else plan
            for plan, chosen in zip(planned, _chosen(planned, settings, "marker"), strict=True)
        ]
    order = [int(index) for index in rng.permutation(len(planned))]
    if "leaked-patient" in settings.planted:
        order = _leak(planned, order, settings.flaw_strength)
    if "wrong-labels" in settings.planted:
        for index in order[: max(1, round(_WRONG * settings.flaw_strength * len(planned)))]:
            others = [name for name in classes if name != planned[index].true_label]
            planned[index] = dataclasses.replace(planned[index], label=others[int(rng.integers(len(others)))])
    return planned


def _chosen(planned: Sequence[Plan], settings: PhantomSettings, flaw: str) -> list[bool]:
    """Who has a fault that goes with the class: at full strength everybody, else a share at random."""
    rng = np.random.default_rng([settings.seed, settings.planted.index(flaw), len(planned)])
    return [bool(draw < settings.flaw_strength) for draw in rng.random(len(planned))]


def _leak(planned: list[Plan], order: list[int], strength: float) -> list[int]:
    """Give some patients another's anatomy and scanner, in place; the indices that stay free."""
    free = list(order)
    for _ in range(max(1, round(_LEAKED * strength * len(planned) / 2))):
        first = free.pop(0)
        twin = next((i for i in free if planned[i].true_label == planned[first].true_label), None)
        if twin is None:
            break
        free.remove(twin)
        planned[twin] = dataclasses.replace(
            planned[twin], anatomy=planned[first].number, scanner=planned[first].scanner
        )
    return free


def list_flaws(
    plans: Sequence[Plan], patients: Sequence[PatientTruth], settings: PhantomSettings
) -> tuple[Flaw, ...]:
    """What was planted in the plans, with the files that it touches."""
    by_number = {plan.number: patient for plan, patient in zip(plans, patients, strict=True)}
    flaws = []
    for plan in plans:
        if plan.anatomy != plan.number:
            pair = (by_number[plan.anatomy], by_number[plan.number])
            flaws.append(_flaw("leaked-patient", "one person's neighbouring slices under two patient IDs", *pair))
    for name, trait in (("kernel", "kernel"), ("marker", "marker")):
        if name not in settings.planted:
            continue
        for label in settings.classes:
            chosen = [plan for plan in plans if plan.true_label == label and getattr(plan, trait) not in (None, "")]
            if not chosen:
                continue
            value = chosen[0].marker if trait == "marker" else by_number[chosen[0].number].kernel
            said = f"burnt-in letter {value}" if trait == "marker" else f"reconstruction kernel {value}"
            flaws.append(_flaw(name, f"{said} goes with {label}", *(by_number[plan.number] for plan in chosen)))
    for plan in plans:
        if plan.label != plan.true_label:
            said = f"{plan.true_label} filed under {plan.label}"
            flaws.append(_flaw("wrong-labels", said, by_number[plan.number]))
    return tuple(flaws)


def _flaw(kind: str, what: str, *patients: PatientTruth) -> Flaw:
    return Flaw(
        kind=kind,
        what=what,
        patients=tuple(patient.id for patient in patients),
        files=tuple(one.path for patient in patients for one in patient.slices),
    )


def add_duplicates(
    out: Path, patients: Sequence[PatientTruth], settings: PhantomSettings, rng: np.random.Generator
) -> tuple[Flaw, ...]:
    """Write some files a second time: compressed or with another window, in the same series or another patient's."""
    if "duplicates" not in settings.planted:
        return ()
    count = max(4, round(_DUPLICATED * settings.flaw_strength * len(patients) * settings.slices))
    flaws = []
    for copy, index in enumerate(rng.permutation(len(patients))[: min(count, len(patients))]):
        source = patients[index]
        others = [patient for patient in patients if patient.label == source.label and patient.id != source.id]
        elsewhere = copy % 2 == 0 and bool(others)
        target = others[int(rng.integers(len(others)))] if elsewhere else source
        original = source.slices[int(rng.integers(len(source.slices)))].path
        path = _free_name(out, target)
        how = _write_copy(out, original, target.slices[0].path, path, compressed=copy % 4 < 2)
        what = f"the same pixels {how}, in {'another patient' if elsewhere else 'the same series'}"
        touched = tuple(dict.fromkeys((source.id, target.id)))
        flaws.append(Flaw(kind="duplicates", what=what, patients=touched, files=(original, path)))
    return tuple(flaws)


def _free_name(out: Path, target: PatientTruth) -> str:
    folder = Path(target.slices[0].path).parent
    number = len(list((out / folder).iterdir())) + 1
    return (folder / f"{number:03d}.dcm").as_posix()


def _write_copy(out: Path, original: str, neighbour: str, path: str, *, compressed: bool) -> str:
    """Write the pixels of `original` as one more image of the series that `neighbour` belongs to."""
    image, header = pydicom.dcmread(out / original), pydicom.dcmread(out / neighbour, stop_before_pixels=True)
    for name in ("PatientName", "PatientID", "PatientSex", "PatientAge", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(image, name, getattr(header, name))
    image.FrameOfReferenceUID = header.FrameOfReferenceUID
    image.InstanceNumber = int(Path(path).stem)
    image.SOPInstanceUID = make_uid(header.SeriesInstanceUID, path)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    if compressed:
        image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    else:
        image.WindowCenter, image.WindowWidth = float(image.WindowCenter) + 15, float(image.WindowWidth) * 1.5
    image.save_as(out / path, enforce_file_format=True)
    return "compressed (RLE)" if compressed else "with another window in the header"
