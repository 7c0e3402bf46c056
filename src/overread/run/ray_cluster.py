"""Ray, as overread uses it: nothing told to its makers, no web page, no port beyond this machine, nothing left."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from overread.errors import SettingsError

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # or each session reports to its makers
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_enable_metrics_collection": "0",
}
OBJECTS_BYTES = 512 * 1024 * 1024
"""shared memory for what goes between workers: names of files, answers, settings; never images"""


def has(name: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(name) is not None


def check_ray(*needed: str) -> None:
    """Refuse --ray where Ray is not installed, or not with all that is needed here."""
    missing = [name for name in ("ray", *needed) if not has(name)]
    if missing:
        raise SettingsError(
            f"--ray needs {' and '.join(missing)}, and this Python has not. Run pip install 'overread[ray]', or "
            "leave --ray out."
        )


@contextmanager
def cluster(n_workers: int) -> Iterator[Any]:
    """Lend Ray: the cluster that RAY_ADDRESS names, or one on this machine alone, which is gone afterwards."""
    check_ray()
    os.environ.update(QUIET)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    common = {"include_dashboard": False, "logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(address=os.environ["RAY_ADDRESS"], logging_level=logging.ERROR, log_to_driver=False)
        try:
            yield ray
        finally:
            ray.shutdown()
        return
    _stay_on_this_machine()
    # its sockets lie there too, and their paths may not be long
    folder = tempfile.mkdtemp(prefix="overread-ray-", dir="/tmp" if Path("/tmp").is_dir() else None)
    try:
        ray.init(
            num_cpus=max(n_workers, os.cpu_count() or 1),
            object_store_memory=OBJECTS_BYTES,
            _temp_dir=folder,
            **common,
        )
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _stay_on_this_machine() -> None:
    """Have Ray listen on the loopback alone, as it does on macOS.

    On Linux it would take the network's address, and be open to everyone who reaches that; no setting of its own
    prevents it, only this constant.
    """
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False
