"""What the audit finds of faults that are planted, and what it says of cohorts that have none.

Phantom patients of both bodies, several draws and strengths of each fault. Recall counts planted pairs of patients
(leaked-patient) or of images (duplicates), files (faults of files, see faults.py) and wrong labels that are named,
and cohorts in which a check that should see the fault is serious (kernel, marker). A clean cohort should get no fatal
or serious finding. Wrong labels are looked for by a network, and so only where its weights are given.

    python benchmarks/audit_power.py                                   # about forty minutes
    python benchmarks/audit_power.py --seeds 400 401 --clean 4 --folder cohorts --weights resnet18.safetensors
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faults import FAULTS, Fault, named, plant
from overread.audit.audit import Audit
from overread.data.phantom import PhantomSettings, make_phantoms, read_truth
from overread.data.rows import patient_hash
from overread.run.audit import audit_source
from overread.run.job import Job, machine
from overread.settings import recipe_settings

PATIENTS = 90
STRENGTHS = (1.0, 0.5)
SEEN_BY = {"kernel": ("S01",), "marker": ("Q04", "S04")}
PATIENTS_EACH = (6, 2)
"""how many patients have a fault of files"""
KINDS = ("leaked-patient", "duplicates", *SEEN_BY)
BODIES = ("head", "chest")


def cohort(folder: Path, body: str, *, flaws: str, strength: float, seed: int) -> Path:
    """A phantom cohort, made where it is not there yet."""
    path = folder / f"{body}-{flaws or 'clean'}-{strength:g}-{seed}"
    if not (path / "truth.json").exists():
        settings = PhantomSettings(body=body, patients=PATIENTS, seed=seed, flaws=flaws, flaw_strength=strength)
        make_phantoms(path, settings, workers=2)
    return path


def look(path: Path, weights: str = "none") -> Audit:
    settings = recipe_settings("default", weights=weights)
    return audit_source(Job(source=path / "images", out=Path(), train=settings, workers=2))


def recall(path: Path, kind: str, found: Audit) -> tuple[int, int]:
    """How many of the planted were found, of how many."""
    by_code = {finding.code: finding for finding in found.findings}
    if kind in SEEN_BY:
        return int(any(code in by_code and by_code[code].severity == "serious" for code in SEEN_BY[kind])), 1
    flaws = [flaw for flaw in read_truth(path).flaws if flaw.kind == kind]
    if kind == "wrong-labels":
        told = {name.split(" (")[0] for name in by_code["W01"].where} if "W01" in by_code else set()
        files = [Path(file).relative_to("images").as_posix() for flaw in flaws for file in flaw.files]
        return len(told & set(files)), len(files)
    if kind == "leaked-patient":
        shared = by_code["D03"].evidence if "D03" in by_code else {"one_person": []}
        named = {frozenset(pair) for pair in shared["one_person"]}
        planted = [frozenset(patient_hash(patient) for patient in flaw.patients) for flaw in flaws]
    else:
        named = {frozenset(pair) for finding in found.findings for pair in _pairs(finding.where)}
        planted = [frozenset(Path(file).relative_to("images").as_posix() for file in flaw.files) for flaw in flaws]
    return sum(one in named for one in planted), len(planted)


def _pairs(where: tuple[str, ...]) -> Iterator[list[str]]:
    for pair in where:
        if " = " in pair:
            yield [name.split(" (")[0] for name in pair.split(" = ")]


def print_flaws(folder: Path, kinds: tuple[str, ...], seeds: list[int], weights: str = "none") -> None:
    for kind in kinds:
        for body in BODIES:
            for strength in STRENGTHS:
                paths = [cohort(folder, body, flaws=kind, strength=strength, seed=seed) for seed in seeds]
                counts = [recall(path, kind, look(path, weights)) for path in paths]
                _print_row(kind, body, f"{strength:g}", counts)


def print_faults(folder: Path, seeds: list[int]) -> None:
    """Faults of files: half of them in one cohort, each in patients of its own, and half in another."""
    for body in BODIES:
        for patients_each in PATIENTS_EACH:
            counts: dict[str, list[tuple[int, int]]] = {fault.name: [] for fault in FAULTS}
            for seed in seeds:
                clean = cohort(folder, body, flaws="", strength=1.0, seed=seed)
                for half in (FAULTS[::2], FAULTS[1::2]):
                    for name, found in _found(clean, half, patients_each, seed).items():
                        counts[name].append(found)
            for name, found in counts.items():
                _print_row(name, body, f"{patients_each} pat.", found)


def _found(clean: Path, faults: Sequence[Fault], patients_each: int, seed: int) -> dict[str, tuple[int, int]]:
    """How many files with each of these faults are named, of how many, in a copy of a clean cohort."""
    with tempfile.TemporaryDirectory() as scratch:
        spoilt = Path(scratch) / "spoilt"
        shutil.copytree(clean, spoilt)
        planted = plant(spoilt / "images", faults, patients_each, np.random.default_rng(seed))
        where = {finding.code: finding.where for finding in look(spoilt).findings}
    return {one.name: (named(where.get(one.code, ()), planted[one.name]), len(planted[one.name])) for one in faults}


def _print_row(kind: str, body: str, strength: str, counts: list[tuple[int, int]]) -> None:
    hits, planted = (sum(column) for column in zip(*counts, strict=True))
    print(f"{kind:<18}{body:<8}{strength:>8}   {hits} of {planted}: {hits / planted:.3f}", flush=True)


def print_clean(folder: Path, n: int) -> None:
    for body in BODIES:
        alarms = []
        for seed in range(300, 300 + n):
            found = look(cohort(folder, body, flaws="", strength=1.0, seed=seed))
            alarms.append([finding.code for finding in found.findings if finding.severity != "note"])
        quiet = sum(not codes for codes in alarms)
        codes = sorted({code for one in alarms for code in one})
        told = f"; the others: {codes}" if codes else ""
        print(f"{'none':<18}{body:<8}{'-':>8}   {quiet} of {n} without a fatal or serious finding{told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[400, 401, 402, 403])
    parser.add_argument("--clean", type=int, default=10, help="clean cohorts of each body")
    parser.add_argument("--folder", type=Path, help="keep the cohorts here")
    parser.add_argument("--weights", help="pretrained weights, for wrong labels")
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        print(f"{'fault':<18}{'body':<8}{'strength':>8}   found of planted")
        print_flaws(folder, KINDS, args.seeds)
        if args.weights:
            print_flaws(folder, ("wrong-labels",), args.seeds, args.weights)
        print_faults(folder, args.seeds)
        print_clean(folder, args.clean)


if __name__ == "__main__":
    main()
