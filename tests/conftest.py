"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights; tests that measure on them skip where it is absent."""
    folder = Path(os.environ.get("OVERREAD_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"the real data are not here ({folder.name}/data); set OVERREAD_SHARED to their folder")
    return folder
