from __future__ import annotations

import subprocess
import sys

import pytest

import overread

HEAVY = ("torch", "torchvision", "timm", "matplotlib", "scipy", "onnx", "pandas", "sklearn")


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('|'.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.strip().splitlines()[-1].split("|"))


def test_every_name_of_the_front_door_opens() -> None:
    assert set(overread.__all__) == {
        "audit_cohort", "evaluate_model", "load", "read_cohort", "read_image", "train",
    }  # fmt: skip
    for name in overread.__all__:
        assert callable(getattr(overread, name))
        assert name in dir(overread)
    with pytest.raises(AttributeError, match="nothing"):
        overread.nothing  # noqa: B018


def test_import_brings_nothing_heavy_not_even_numpy() -> None:
    assert not modules_after("import overread") & {*HEAVY, "numpy", "rich", "pydicom"}


def test_help_brings_nothing_heavy() -> None:
    code = "from overread.cli.main import run\ntry:\n    run(['--help'])\nexcept SystemExit:\n    pass"
    assert not modules_after(code) & {*HEAVY, "numpy"}


def test_prediction_needs_no_torch() -> None:
    assert not modules_after("import overread.predict, overread.cli.predict, overread.data.dicom") & set(HEAVY)
