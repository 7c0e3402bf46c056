"""The model folder: the one place that writes it, and the one that checks it before anything is read from it.

No pickle: weights are safetensors, the rest is JSON and CSV. `model.json` is written last, with the SHA-256 of
every other file; a folder without it is a run that has not ended. Torch is not imported here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overread.disk import replacing, write_atomically
from overread.errors import ModelError, SettingsError
from overread.model.caution import Caution, parse_caution
from overread.settings import ImageSettings, from_dict

SCHEMA = 2
WEIGHTS = "weights.safetensors"
RESUME = "resume.safetensors"
CARD = "model.json"
NETWORK = "model.onnx"
INTENDED_USE = (
    "Research use, not a medical device. Classifies single images of the kind that it was trained on; "
    "it has not been validated for diagnosis."
)

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What `model.json` says: all that a prediction needs to know, and where the model comes from."""

    backbone: str
    classes: tuple[str, ...]
    image: ImageSettings
    mean: tuple[float, float, float]
    """what each channel is centred on, of pixels in 0 to 1"""
    std: tuple[float, float, float]
    weights_source: str
    """where the pretrained weights came from, in words"""
    marks: tuple[str, ...] = ()
    """sentences that every output of this model must carry"""
    caution: Caution = field(default_factory=Caution)
    """how sure a prediction may be, and when it is none"""
    best_epoch: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file of the folder, by its path in it"""
    schema: int = SCHEMA


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_weights(folder: Path, network: Arrays) -> None:
    """Write the weights of the best epoch so far."""
    _save_arrays(folder / WEIGHTS, network, metadata={})


def load_weights(folder: Path) -> Arrays:
    """The weights of the best epoch: names to arrays."""
    return _load_arrays(folder / WEIGHTS)[0]


def save_resume(folder: Path, state: Arrays, *, history: str) -> None:
    """Write all that a killed run goes on from, in one file: it is whole, or it is the last one."""
    _save_arrays(folder / RESUME, state, metadata={"history": history})


def load_resume(folder: Path) -> tuple[Arrays, str] | None:
    """The state that `save_resume` wrote and the history as CSV, or None where no epoch has ended yet."""
    if not (folder / RESUME).exists():
        return None
    arrays, metadata = _load_arrays(folder / RESUME)
    if "history" not in metadata:
        raise ModelError(f"{folder / RESUME} is not the state of a run: it holds no history. Start the run anew.")
    return arrays, metadata["history"]


def drop_resume(folder: Path) -> None:
    """Remove the state of a run that has ended."""
    (folder / RESUME).unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def seal(folder: Path, card: Card) -> Card:
    """Write `model.json` with the hash of every file in the folder; from here on it is a model folder.

    Hidden files and the state for resuming do not belong to it.
    """
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    kept = [
        path for path in paths if path.name not in (CARD, RESUME) and not any(p.startswith(".") for p in path.parts)
    ]
    files = {path.as_posix(): hash_file(folder / path) for path in kept}
    card = dataclasses.replace(card, files=files)
    write_json(folder / CARD, dataclasses.asdict(card))
    return card


def load_card(folder: Path, *, verify: tuple[str, ...] | None = None) -> Card:
    """Read `model.json`, and check the hashes of the files in `verify` (of all, where it is None).

    Raises ModelError where the folder is no model folder, or a file is missing or has changed.
    """
    path = folder / CARD
    if not path.is_file():
        raise ModelError(f"{folder} is not a model folder: it has no {CARD}. {_unfinished(folder)}")
    try:
        card = _parse_card(json.loads(path.read_text(encoding="utf-8")))
    except RecursionError as fault:
        raise ModelError(
            f"{path} cannot be used: it is nested too deep. Take the folder from its source again."
        ) from fault
    except (ValueError, SettingsError) as fault:
        raise ModelError(
            f"{path} cannot be used: {str(fault).rstrip('.')}. Take the folder from its source again."
        ) from fault
    for name in card.files if verify is None else verify:
        _check_hash(folder, name, card.files, hash_file)
    return card


def read_verified(folder: Path, name: str, files: Mapping[str, str]) -> bytes:
    """The bytes of a file whose hash is the one in `files`, a card's. Raises ModelError as `load_card` does."""
    content = b""

    def hash_content(path: Path) -> str:
        nonlocal content
        content = path.read_bytes()
        return hashlib.sha256(content).hexdigest()

    _check_hash(folder, name, files, hash_content)
    return content


def _unfinished(folder: Path) -> str:
    if (folder / RESUME).exists() or (folder / "training.json").exists():
        return f"Its training has not ended: go on with overread train --resume {folder}."
    return "Give the folder that overread train wrote."


def _check_hash(folder: Path, name: str, known: Mapping[str, str], hash_of: Callable[[Path], str]) -> None:
    path = folder / name
    if name not in known or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ModelError(f"{CARD} in {folder} does not vouch for {name}. Take the folder from its source again.")
    if not path.is_file():
        raise ModelError(f"{name} is missing from {folder}. Take the folder from its source again.")
    found = hash_of(path)
    if found != known[name]:
        raise ModelError(
            f"{name} in {folder} has changed since it was written (SHA-256 {found[:12]}..., "
            f"model.json says {known[name][:12]}...). Take the folder from its source again."
        )


def _parse_card(content: Any) -> Card:
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    if content.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {content.get('schema')}, and this overread reads {SCHEMA}")
    expected: dict[str, type | tuple[type, ...]] = {
        "backbone": str, "classes": list, "image": dict, "mean": list, "std": list, "weights_source": str,
        "marks": list, "best_epoch": int, "versions": dict, "intended_use": str, "files": dict,
    }  # fmt: skip
    for name, kind in expected.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{name} is missing or not of its kind")
    _check_classes(content["classes"])
    _check_normalisation(content["mean"], content["std"])
    if not all(isinstance(mark, str) for mark in content["marks"]):
        raise ValueError("marks are not sentences")
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in content["files"].items()):
        raise ValueError("files is not a table of hashes")
    values = {name: content[name] for name in expected}
    values["image"] = from_dict(ImageSettings, content["image"])
    values["caution"] = parse_caution(content.get("caution"), len(content["classes"]))
    for name in ("classes", "mean", "std", "marks"):
        values[name] = tuple(values[name])
    return Card(**values)


def _check_classes(names: list[Any]) -> None:
    if len(names) < 2 or not all(isinstance(name, str) and name and name.isprintable() for name in names):
        raise ValueError("classes are not two names or more")
    if len(set(names)) < len(names):
        raise ValueError("two classes have one name")


def _check_normalisation(mean: list[Any], std: list[Any]) -> None:
    """Pixels lie between 0 and 1; a centre or a width far from that would turn every prediction into nan."""
    for name, values, low in (("mean", mean, -10), ("std", std, 1e-3)):
        if len(values) != 3 or not all(isinstance(x, int | float) and low <= x <= 10 for x in values):
            raise ValueError(f"{name} is not three numbers between {low:g} and 10")


def _save_arrays(path: Path, arrays: Arrays, *, metadata: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata=metadata)


def _load_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as fault:
        raise ModelError(f"{path} cannot be read as safetensors: {fault}.") from fault
