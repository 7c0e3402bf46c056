"""What the audit finds of faults that are planted, and what it says of cohorts that have none.

Phantom patients of both bodies, several draws and strengths of each fault. Recall counts planted pairs of patients
(leaked-patient) or of images (duplicates) that are named, and cohorts in which the probe that should see the fault is
serious (kernel, marker). A clean cohort should get no fatal or serious finding. No network looks: labels are not
checked, so wrong-labels is not measured.

    python benchmarks/audit_power.py                                   # about half an hour
    python benchmarks/audit_power.py --seeds 400 401 --clean 4 --folder cohorts
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from overread.audit.audit import Audit
from overread.data.phantom import PhantomSettings, make_phantoms, read_truth
from overread.data.rows import patient_hash
from overread.run.audit import audit_source
from overread.run.job import Job, machine
from overread.settings import recipe_settings

PATIENTS = 90
STRENGTHS = (1.0, 0.5)
SEEN_BY = {"kernel": "S01", "marker": "S04"}
KINDS = ("leaked-patient", "duplicates", *SEEN_BY)
BODIES = ("head", "chest")


def cohort(folder: Path, body: str, *, flaws: str, strength: float, seed: int) -> Path:
    """A phantom cohort, made where it is not there yet."""
    path = folder / f"{body}-{flaws or 'clean'}-{strength:g}-{seed}"
    if not (path / "truth.json").exists():
        settings = PhantomSettings(body=body, patients=PATIENTS, seed=seed, flaws=flaws, flaw_strength=strength)
        make_phantoms(path, settings, workers=2)
    return path


def look(path: Path) -> Audit:
    settings = recipe_settings("default", weights="none")
    return audit_source(Job(source=path / "images", out=Path(), train=settings, workers=2))


def recall(path: Path, kind: str, found: Audit) -> tuple[int, int]:
    """How many of the planted were found, of how many."""
    by_code = {finding.code: finding for finding in found.findings}
    if kind in SEEN_BY:
        finding = by_code.get(SEEN_BY[kind])
        return int(finding is not None and finding.severity == "serious"), 1
    flaws = [flaw for flaw in read_truth(path).flaws if flaw.kind == kind]
    if kind == "leaked-patient":
        shared = by_code["D03"].evidence if "D03" in by_code else {"one_person": []}
        named = {frozenset(pair) for pair in shared["one_person"]}
        planted = [frozenset(patient_hash(patient) for patient in flaw.patients) for flaw in flaws]
    else:
        named = {frozenset(pair) for finding in found.findings for pair in _pairs(finding.where)}
        planted = [frozenset(Path(file).relative_to("images").as_posix() for file in flaw.files) for flaw in flaws]
    return sum(one in named for one in planted), len(planted)


def _pairs(where: tuple[str, ...]) -> Iterator[list[str]]:
    for named in where:
        if " = " in named:
            yield [name.split(" (")[0] for name in named.split(" = ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[400, 401, 402, 403])
    parser.add_argument("--clean", type=int, default=10, help="clean cohorts of each body")
    parser.add_argument("--folder", type=Path, help="keep the cohorts here")
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        print(f"{'fault':<16}{'body':<8}{'strength':>8}   found of planted")
        for kind in KINDS:
            for body in BODIES:
                for strength in STRENGTHS:
                    paths = [cohort(folder, body, flaws=kind, strength=strength, seed=seed) for seed in args.seeds]
                    counts = [recall(path, kind, look(path)) for path in paths]
                    hits, planted = (sum(column) for column in zip(*counts, strict=True))
                    print(
                        f"{kind:<16}{body:<8}{strength:>8g}   {hits} of {planted}: {hits / planted:.3f}", flush=True
                    )
        for body in BODIES:
            alarms = []
            for seed in range(300, 300 + args.clean):
                found = look(cohort(folder, body, flaws="", strength=1.0, seed=seed))
                alarms.append([finding.code for finding in found.findings if finding.severity != "note"])
            quiet = sum(not codes for codes in alarms)
            codes = sorted({code for one in alarms for code in one})
            told = f"; the others: {codes}" if codes else ""
            print(
                f"{'none':<16}{body:<8}{'-':>8}   {quiet} of {len(alarms)} without a fatal or serious finding{told}"
            )


if __name__ == "__main__":
    main()
