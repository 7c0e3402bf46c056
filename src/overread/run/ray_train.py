"""Trainings by Ray: one by several workers, as under torchrun; or several side by side, each by one."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from overread.audit.audit import FILE as AUDIT
from overread.errors import LostWorkerError, OverreadError, RunError
from overread.run.along import train_along
from overread.run.job import SPLIT, Job
from overread.run.many import train_or_go_on
from overread.run.outputs import Outcome
from overread.run.ray_cluster import check_ray, cluster
from overread.run.ray_watch import Teller, told_on
from overread.training.launch import joined
from overread.training.watch import Silent, Watcher

MAX_FAILURES = 3
"""how often a training is gone on with after a worker was lost"""


def train_by_ray(job: Job, *, n_workers: int, watch: Watcher | None = None) -> Outcome:
    """Train one network by several workers of Ray Train, a GPU each where there are GPUs; the result is one worker's.

    A lost worker is started again, and the run goes on from its last finished epoch. `job.out` must lie on a disk
    that all machines see. n_workers: 0 is one a GPU, or else one a machine. Raises SettingsError without Ray, and
    whatever `train` does.
    """
    check_ray("pyarrow", "pandas")
    with cluster(n_workers) as ray:
        n_workers = n_workers or int(ray.cluster_resources().get("GPU", 0)) or len(ray.nodes())
        try:
            found = told_on(lambda box: _fit(ray, _absolute(job), n_workers, box), watch or Silent())
        except OverreadError:
            raise
        except Exception as fault:  # Ray's own, of many kinds, when it has tried often enough
            words = (str(fault).splitlines() or ["no more is known"])[0][:200]
            raise RunError(
                f"Ray could not train ({words}). What was trained is kept: overread train --resume {job.out} goes on."
            ) from fault
    outcome: Outcome = dataclasses.replace(found[-1], folder=job.out)
    return outcome


def _fit(ray: Any, job: Job, n_workers: int, box: Any) -> None:
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = ray.cluster_resources()
    use_gpu = job.train.device != "cpu" and resources.get("GPU", 0) >= n_workers
    cores = max(1, int(resources["CPU"]) // n_workers)
    with tempfile.TemporaryDirectory(prefix="overread-") as folder:  # Ray's own notes, which nobody needs
        TorchTrainer(
            _work,
            train_loop_config={"job": job, "box": box},
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if use_gpu else "gloo"),
            scaling_config=train.ScalingConfig(
                num_workers=n_workers, use_gpu=use_gpu, resources_per_worker={"CPU": cores, "GPU": int(use_gpu)}
            ),
            run_config=train.RunConfig(
                name="overread", storage_path=folder, failure_config=train.FailureConfig(max_failures=MAX_FAILURES)
            ),
        ).fit()


def _work(given: dict[str, Any]) -> None:
    """What each worker does: the first the whole run, the others their share of its training."""
    from ray.train.torch import get_device

    if get_device().type == "cuda":
        torch.cuda.set_device(get_device())
    teller = Teller(given["box"])
    with joined(device="cpu") as world:
        if not world.is_first:
            train_along(world)
            return
        try:
            teller.give(train_or_go_on(given["job"], watch=teller))
        except LostWorkerError:
            raise  # then Ray starts them all anew
        except OverreadError as refusal:
            teller.refuse(refusal)
        world.call(None)


def train_side_by_side(jobs: Mapping[str, Job], *, n_workers: int, watch: Watcher | None = None) -> None:
    """Train several networks at once, each by one worker in its own folder; what has ended is kept as it is.

    The images are read, and audited, by the first training alone: the others wait for that. A lost worker's training
    is gone on with by another from its last finished epoch. n_workers: 0 is one a core.
    """
    check_ray()
    first, *others = [_absolute(job) for job in jobs.values()]
    with cluster(n_workers) as ray:
        n_cores = int(ray.cluster_resources()["CPU"])
        cores = max(1, n_cores // (n_workers or min(n_cores, len(jobs))))
        do = ray.remote(num_cpus=cores, max_retries=MAX_FAILURES)(_train_one)

        def work(box: Any) -> None:
            begun = [do.remote(first, box)]
            while not _has_read(first) and not ray.wait(begun, timeout=0.2)[0]:
                time.sleep(0.2)
            ray.get(begun + [do.remote(job, box) for job in others])

        told_on(work, watch or Silent())


def _train_one(job: Job, box: Any) -> None:
    teller = Teller(box)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))  # Ray says there how many cores are its
    try:
        train_or_go_on(job, watch=_OnlySays(teller, job.out.name))
    except OverreadError as refusal:
        teller.refuse(refusal)


def _has_read(job: Job) -> bool:
    """Whether a training has read its images, and has audited them if it is to."""
    return (job.out / (AUDIT if job.audit else SPLIT)).exists()


def _absolute(job: Job) -> Job:
    """The same job for a worker in another folder."""

    def absolute(path: Path | None) -> Path | None:
        return path and path.absolute()

    return dataclasses.replace(
        job,
        source=job.source.absolute(),
        out=job.out.absolute(),
        cache=absolute(job.cache),
        audited=absolute(job.audited),
    )


class _OnlySays(Silent):
    """Tells when each of several trainings has an epoch behind it, by its name."""

    def __init__(self, teller: Teller, name: str) -> None:
        self._teller, self._name = teller, name

    def epoch(self, row: Any, best: bool) -> None:
        """Tell of an epoch in one line."""
        self._teller.say(f"{self._name}: epoch {row.epoch}, validation loss {row.val_loss:.4f}{' *' if best else ''}")
