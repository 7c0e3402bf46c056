"""overread: train a disease classifier from medical images, and read its result a second time.

The front door. Each name is imported on first use, so that `import overread` stays quick.

- `read_image(path)`: one image of any format
- `read_cohort(source)`: images with their labels and patients
- `audit_cohort(source)`: what would make a model's figures too good
- `train(source, out=...)`: a trained and tested model folder
- `evaluate_model(folder, source, out=...)`: whether to believe it, here or on images from elsewhere
- `load(folder)`: a model folder, ready to predict
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overread.data.cohort import read_cohort
    from overread.data.image import read_image
    from overread.predict import load
    from overread.run.front import audit_cohort, evaluate_model, train

__version__ = "0.1.0"
__all__ = ["audit_cohort", "evaluate_model", "load", "read_cohort", "read_image", "train"]

_HOMES = {
    "audit_cohort": ("overread.run.front", "audit_cohort"),
    "evaluate_model": ("overread.run.front", "evaluate_model"),
    "load": ("overread.predict", "load"),
    "read_cohort": ("overread.data.cohort", "read_cohort"),
    "read_image": ("overread.data.image", "read_image"),
    "train": ("overread.run.front", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'overread' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
