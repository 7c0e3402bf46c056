"""Make a folder of phantom patients: plan them, draw them in several processes, write down the truth."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from overread.data.phantom.flaws import add_duplicates, list_flaws, plant_in_plans
from overread.data.phantom.patient import Plan, make_patient
from overread.data.phantom.scanner import SCANNERS
from overread.data.phantom.settings import PhantomSettings
from overread.data.phantom.truth import FILE_NAME, PatientTruth, PhantomTruth
from overread.errors import RunError

Progress = Callable[[int, int], None]


def make_phantoms(
    out: str | Path, settings: PhantomSettings, *, workers: int = 2, progress: Progress | None = None
) -> PhantomTruth:
    """Write phantom patients to `out`: `images/<class>/<patient>/<series>/NNN.dcm`, `masks/` and `truth.json`.

    `out` appears whole or not at all, and must not hold anything before (RunError). The files are the same for
    any number of `workers`; 0 works in this process. `progress(done, total)` counts patients.
    """
    out = Path(out)
    with _appearing(out) as folder:
        rng = np.random.default_rng([settings.seed, 0])
        plans = plant_in_plans(_plan(settings, rng), settings, rng)
        patients = _draw(plans, settings, folder, workers=workers, progress=progress)
        truth = PhantomTruth(
            settings=settings,
            classes=settings.classes,
            patients=patients,
            flaws=list_flaws(plans, patients, settings) + add_duplicates(folder, patients, settings, rng),
        )
        (folder / FILE_NAME).write_text(truth.to_json(), encoding="utf-8")
    return truth


def _plan(settings: PhantomSettings, rng: np.random.Generator) -> list[Plan]:
    """Each class on each scanner equally often, in a random order."""
    kinds, count = settings.classes, settings.patients
    pairs = [(index % len(kinds), index // len(kinds) % len(SCANNERS)) for index in range(count)]
    shuffled = [pairs[index] for index in rng.permutation(count)]
    return [
        Plan(number=number, true_label=kinds[kind], label=kinds[kind], scanner=scanner, anatomy=number)
        for number, (kind, scanner) in enumerate(shuffled, start=1)
    ]


def _draw(
    plans: list[Plan], settings: PhantomSettings, folder: Path, *, workers: int, progress: Progress | None
) -> tuple[PatientTruth, ...]:
    report = progress or (lambda done, total: None)
    report(0, len(plans))
    patients: dict[int, PatientTruth] = {}
    if workers < 1:
        for plan in plans:
            patients[plan.number] = make_patient(plan, settings, folder)
            report(len(patients), len(plans))
    else:
        # Spawned, not forked: a fork of a process that runs threads can hang.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = {pool.submit(make_patient, plan, settings, folder): plan.number for plan in plans}
            try:
                for job in as_completed(jobs):
                    patients[jobs[job]] = job.result()
                    report(len(patients), len(plans))
            except BrokenProcessPool:
                raise RunError(
                    "The processes that draw phantom patients did not start, or were killed. In a script of your "
                    'own, put the call under if __name__ == "__main__": or pass workers=0.'
                ) from None
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return tuple(patients[plan.number] for plan in plans)


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Lend a temporary folder beside `out` that takes its name at the end, and is gone after a failure."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "and is not empty" if out.is_dir() else "and is a file"
        raise RunError(f"{out.name} is there already {what}: name a new folder, or delete it first.")
    temporary = out.with_name(f".part-{secrets.token_hex(4)}-{out.name}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise RunError(
                f"The phantom patients could not be written to {out.name}: {error.strerror or error}. "
                "Free some space, or name another folder."
            ) from error
        raise
