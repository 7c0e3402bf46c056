"""Predictions by many workers, on one machine or several, through Ray Data: files in, a folder of Parquet out."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.disk import replacing_folder
from overread.errors import ImageError, RunError
from overread.model.bundle import Card
from overread.predict import Prediction, Predictor, image_files
from overread.run.ray_cluster import check_ray, cluster

FILES_AT_ONCE = 64
"""what a worker is given, and what is done again where it is lost"""
REMOTE = "://"
SET_MARK = "|"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a run of predictions has written."""

    folder: Path
    n_images: int
    n_failed: int
    """rows without an answer: files, or frames of one, that could not be used"""


def predict_all(
    model: Path, sources: Sequence[str | Path], *, out: Path, n_workers: int = 0, engine: str = "onnxruntime"
) -> Answered:
    """Predict every image of files, folders and addresses (s3://bucket/folder), and write Parquet files into `out`.

    A row is an image, in no order; the columns are those of `overread predict --csv`. `out` appears when all is done,
    with every image once: what a lost worker had in hand is done again by another. n_workers: 0 is one a core. Raises
    SettingsError without Ray, ModelError, ImageError where nothing is found, RunError where `out` is there already.
    """
    check_ray("pyarrow")
    if out.exists():
        raise RunError(f"{out} is there already. Choose another --out.")
    card = Predictor(model, engine=engine).card  # a bad model dies before Ray starts
    files = [file for source in sources for file in _files(source)]
    if not files:
        raise ImageError(f"No files in {', '.join(map(str, sources))}. Give images, or folders that hold some.")
    with cluster(n_workers) as ray, replacing_folder(out) as folder, tempfile.TemporaryDirectory() as here:
        worker = {"model": model.absolute(), "card": card, "engine": engine, "folder": Path(here)}
        _write(ray, files, folder, worker=worker, n_workers=n_workers)
        return Answered(folder=out, **_count(folder))


def _write(ray: Any, files: list[dict[str, str]], folder: Path, *, worker: dict[str, Any], n_workers: int) -> None:
    """Have the workers predict, and write what they give as they give it."""
    import ray.data as data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    n_workers = n_workers or int(ray.cluster_resources()["CPU"])
    blocks = -(-len(files) // FILES_AT_ONCE)
    answers = data.from_items(files, override_num_blocks=blocks).map_batches(
        _Answers,
        fn_constructor_kwargs=worker,
        batch_size=FILES_AT_ONCE,
        compute=data.ActorPoolStrategy(size=min(n_workers, blocks)),
        num_cpus=1,
    )
    answers.write_parquet(str(folder), ray_remote_args={"num_cpus": 0})  # or it would wait for a core of theirs


class _Answers:
    """One worker: a predictor on one core."""

    def __init__(self, model: Path, card: Card, engine: str, folder: Path) -> None:
        self.predictor = Predictor(model, engine=engine, cores=1)
        self.schema, self.folder = _schema(card), folder
        folder.mkdir(exist_ok=True)  # where this is another machine than the one that removes it in the end

    def __call__(self, batch: dict[str, Any]) -> Any:
        import pyarrow

        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            names = {_at_hand(at, n, Path(folder)): name for n, (name, at) in enumerate(_pairs(batch))}
            rows = [_row(p, names[p.path]) for p in self.predictor.predict_files(list(names))]
        return pyarrow.Table.from_pylist(rows, schema=self.schema)


def _schema(card: Card) -> Any:
    """The columns of the answers; what every output of the model must carry stands with them."""
    import pyarrow

    text, numbers = pyarrow.string(), pyarrow.float64()
    columns = [("path", text), ("frame", pyarrow.int64()), ("predicted", text)]
    columns += [(f"p_{name}", numbers) for name in card.classes]
    columns += [("set", text), ("abstains", text), ("problem", text)]
    told = {"marks": json.dumps(card.marks, ensure_ascii=False), "intended_use": card.intended_use}
    return pyarrow.schema(columns, metadata=told)


def _row(p: Prediction, name: str) -> dict[str, Any]:
    return {
        "path": name,
        "frame": p.frame,
        "predicted": p.label,
        **{f"p_{label}": value for label, value in p.probabilities.items()},
        "set": SET_MARK.join(p.classes),
        "abstains": p.abstains,
        "problem": None if p.problem is None else p.problem.replace(p.path, name),
    }


def _files(source: str | Path) -> Iterator[dict[str, str]]:
    """The files of a folder on a disk, or of an address: their names, and where they are; no hidden ones."""
    if REMOTE not in str(source):
        yield from ({"path": str(path), "at": str(path.absolute())} for path in image_files([source]))
        return
    from pyarrow import fs

    kind = str(source).split(REMOTE)[0]
    try:
        system, root = fs.FileSystem.from_uri(str(source))
        found = system.get_file_info(root)
        below = (
            system.get_file_info(fs.FileSelector(root, recursive=True)) if found.type.name == "Directory" else [found]
        )
    except (OSError, ValueError, NotImplementedError) as fault:
        raise ImageError(f"{source} cannot be listed: {fault}. Check the address and who may read it.") from fault
    for info in sorted(below, key=lambda info: info.path):
        if info.is_file and not any(part.startswith(".") for part in info.path.removeprefix(root).split("/")):
            name = f"{kind}{REMOTE}{info.path}"
            yield {"path": name, "at": name}


def _pairs(batch: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The name of each file of a batch, and where it is."""
    yield from zip(batch["path"].tolist(), batch["at"].tolist(), strict=True)


def _at_hand(at: str, number: int, folder: Path) -> str:
    """The path of a file on a disk of this machine; it is brought into `folder` where it is elsewhere."""
    if REMOTE not in at:
        return at
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(at)
    copy = folder / f"{number}-{at.rsplit('/', 1)[-1]}"
    try:
        with system.open_input_stream(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
    except OSError:
        copy.unlink(missing_ok=True)  # it is told as a file that is not there
    return str(copy)


def _count(folder: Path) -> dict[str, int]:
    from pyarrow import dataset

    found = dataset.dataset(folder, format="parquet")
    failed = dataset.field("problem").is_valid()
    return {"n_images": found.count_rows(), "n_failed": found.count_rows(filter=failed)}
