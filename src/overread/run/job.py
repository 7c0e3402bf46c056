"""What a run was asked to do, and the record of it: `training.json`."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from overread.data.cohort import CohortSettings
from overread.data.control import ControlSettings
from overread.disk import try_lock
from overread.errors import OverreadError, RunError
from overread.model import bundle
from overread.settings import ImageSettings, TrainSettings, from_dict

RECORD = "training.json"
LOCK = ".lock"
SPLIT = "split.csv"
PROBLEMS = "problems.csv"
CACHE = ".cache"
SCHEMA = 4
READABLE = (2, 3, SCHEMA)
"""schema 2 knew no controls; before schema 4 everything learned from the first epoch on"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that is needed to train again: the images, the settings, and where the result goes."""

    source: Path
    out: Path
    train: TrainSettings = field(default_factory=TrainSettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    cohort: CohortSettings = field(default_factory=CohortSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    """what a control changes on purpose; nothing, in a training in earnest"""
    skip_bad: bool = False
    audit: bool = True
    """whether the data are audited before training"""
    ignore: Mapping[str, str] = field(default_factory=dict)
    """the reason for each check of the audit that is left out of its verdict"""
    workers: int = 0
    """processes that decode images; no result depends on it"""
    cache: Path | None = None
    """a folder for the decoded images that outlives this run; None keeps them in the run until it ends"""
    quantized: str = ""
    """the name of the model whose network this one has in 8 bits; empty for one that was trained"""
    audited: Path | None = None
    """an audit of the same images, divided otherwise, whose findings hold here too; None asks every question"""


def write_record(job: Job, **found: Any) -> None:
    """Write `training.json`: what was asked, what was found, and on which machine."""
    content = {
        "schema": SCHEMA,
        "source": str(job.source.absolute()),
        "train": dataclasses.asdict(job.train),
        "image": dataclasses.asdict(job.image),
        "cohort": dataclasses.asdict(job.cohort),
        "control": dataclasses.asdict(job.control),
        "skip_bad": job.skip_bad,
        "audit": job.audit,
        "ignore": dict(job.ignore),
        "quantized": job.quantized,
        "found": found,
        "versions": versions(),
        "machine": machine(),
        "git_commit": git_commit(),
    }
    bundle.write_json(job.out / RECORD, content)


def read_record(folder: Path) -> tuple[Job, dict[str, Any]]:
    """The job that a folder was made for, and what the run had found when it was last written.

    Raises RunError where the folder holds no run, or its record cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        raise RunError(f"{folder} holds no run: it has no {RECORD}. Give the folder named by --out before.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] not in READABLE:
            raise ValueError(f"its schema is {content['schema']}, and this overread reads {SCHEMA}")
        job = Job(
            source=Path(content["source"]),
            out=folder,
            train=from_dict(TrainSettings, {"learn": "all", **content["train"]}),
            image=from_dict(ImageSettings, content["image"]),
            cohort=from_dict(CohortSettings, content["cohort"]),
            control=from_dict(ControlSettings, content["control"] if content["schema"] > 2 else {}),
            skip_bad=bool(content["skip_bad"]),
            audit=bool(content["audit"]),
            ignore={str(code): str(why) for code, why in content["ignore"].items()},
            quantized=str(content.get("quantized", "")),
        )
        return job, {**content["found"], "machine": content["machine"], "versions": content["versions"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError, OverreadError) as fault:
        raise RunError(
            f"{path} cannot be read: {str(fault).rstrip('.')}. Start the run anew in another folder."
        ) from fault


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder against a second process that would write the same run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("w")
    except OSError as fault:
        raise RunError(f"{folder} may not be written: {fault.strerror}. Choose another --out.") from fault
    with stream:
        if not try_lock(stream.fileno()):
            raise RunError(
                f"{folder} is in use: another overread is training there. Wait for it, or choose another --out."
            )
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)


def check_free(folder: Path) -> None:
    """Refuse a folder that holds anything but the leftovers of a run that never began."""
    ours = {LOCK, PROBLEMS, CACHE}
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"{folder} is a file, and --out must name a folder. Choose another --out.")
    if (folder / bundle.CARD).exists():
        raise RunError(f"{folder} holds a finished run. Choose another --out.")
    if (folder / RECORD).exists():
        with claimed(folder):  # another process that trains there now is told of first
            pass
        raise RunError(
            f"{folder} holds a run that has not ended. Go on with overread train --resume {folder}, "
            "or choose another --out."
        )
    others = sorted(p.name for p in folder.iterdir() if p.name not in ours and not p.name.startswith(".part-"))
    if others:
        raise RunError(f"{folder} is not empty ({others[0]} is in it). Choose a new folder for --out.")


def versions() -> dict[str, str]:
    """The versions of what a result depends on."""
    names = ("overread", "torch", "timm", "torchvision", "numpy", "pillow", "pydicom", "onnxruntime")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The machine, as far as a result can depend on it; no host or user name."""
    import torch

    from overread.training.machine import has_bfloat16

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "bfloat16": has_bfloat16(),
    }


def git_commit() -> str | None:
    """The commit of overread's own source where it runs from a checkout; None where it is installed."""
    here = Path(__file__).parent
    if not (here.parents[2] / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
