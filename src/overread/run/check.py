"""Put a model's maps of evidence through their controls, and tell of it in the model's report."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from overread.audit.audit import FILE as AUDIT
from overread.audit.audit import Audit, read_audit
from overread.data.control import ControlSettings, shuffle_labels
from overread.data.image import read_image
from overread.data.phantom.truth import FILE_NAME as TRUTH
from overread.data.phantom.truth import read_truth
from overread.errors import RunError, SettingsError
from overread.evaluate.predictions import FILE as PREDICTIONS
from overread.evaluate.predictions import read_predictions
from overread.explain.controls import Check, keep_earlier
from overread.explain.methods import METHODS, check_method
from overread.explain.trust import FILE as EXPLANATION
from overread.explain.where import CLASS_MAP
from overread.model import bundle
from overread.model.bundle import Card
from overread.model.weights import Weights, choose_backbone
from overread.predict import Predictor
from overread.report.html import FILE as REPORT
from overread.report.model_card import FILE as MODEL_CARD
from overread.run.inputs import Inputs, gather
from overread.run.job import Job, claimed, read_record
from overread.run.map_controls import Bench, Mask, check_maps
from overread.run.network import open_network, weights_of
from overread.run.outputs import HISTORY
from overread.run.result import Result, read_result, write_pages
from overread.run.saying import say_all
from overread.run.speaker import TorchSpeaker
from overread.run.train import fit_network
from overread.training.history import History
from overread.training.watch import Silent, Watcher

ALL = "all"
REWRITTEN = (EXPLANATION, REPORT, MODEL_CARD)
"""files of the model folder that a check writes anew"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to check."""

    model: Path
    method: str = CLASS_MAP
    """or all"""
    n_images: int = 40
    retrain: bool = False
    """train twice more: with another seed, and on labels without meaning"""
    masks: Path | None = None
    """a folder of PNGs named as the images, white where the lesion is; or a folder of phantoms"""
    workers: int = 0


def check(asked: Asked, *, watch: Watcher | None = None) -> tuple[Check, ...]:
    """Check the maps of a model: see `check_each`, whose results come all together here."""
    return tuple(check_each(asked, watch=watch))


def check_each(asked: Asked, *, watch: Watcher | None = None) -> Iterator[Check]:
    """Check the maps of a model, method by method; each yields its Check once it is in the model's report.

    `explanation.json` and the report are written anew. What an earlier check found, and this one does not ask, stays
    known.

    Raises ModelError where the folder cannot be used, RunError where its images are no longer the same, SettingsError
    for a method that is not known.
    """
    watch = watch or Silent()
    methods = list(METHODS) if asked.method == ALL else [asked.method]
    for name in methods:
        check_method(name)
    if asked.n_images < 8:
        raise SettingsError(f"--images {asked.n_images} are too few to check anything on; take 8 or more.")
    card = bundle.load_card(asked.model, verify=())
    # what is written anew below may be of a check that was killed before it had sealed the folder
    bundle.load_card(asked.model, verify=tuple(name for name in card.files if name not in REWRITTEN))
    job, before = read_record(asked.model)
    with claimed(asked.model), tempfile.TemporaryDirectory(prefix="overread-") as folder:
        anywhere = dataclasses.replace(job.train, device="auto", precision="auto")  # the GPU of then may be elsewhere
        here = dataclasses.replace(job, train=anywhere, out=Path(folder), workers=asked.workers, cache=None)
        inputs = gather(here, watch)
        if inputs.sha256 != before["data_sha256"]:
            raise RunError(f"The images, their labels or the split have changed since {asked.model} was trained.")
        bench = _lay_out(asked, card, job, inputs)
        masks = None if asked.masks is None else _read_masks(asked.masks, inputs, bench)
        again = _train_again(here, inputs, watch) if asked.retrain else {}
        known, pages = _earlier(asked.model), None
        for name in methods:  # written one by one: some take long, and what is known must outlive a Ctrl-C
            known = keep_earlier([check_maps(name, bench, again, masks, watch)], known)
            pages = pages or _look_again(asked.model, here, inputs, card, before, bench.network, watch)
            _rewrite(asked.model, here, inputs, card, pages, known)
            yield next(check for check in known if check.method == name)


def _earlier(model: Path) -> tuple[Check, ...]:
    """What earlier checks found. The file may be of a check that was killed; it is written anew in any case."""
    try:
        content = json.loads((model / EXPLANATION).read_text(encoding="utf-8"))
        return tuple(Check.from_json(method, controls) for method, controls in content["checks"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _lay_out(asked: Asked, card: Card, job: Job, inputs: Inputs) -> Bench:
    tested = inputs.split.indices("test")
    rng = np.random.default_rng(job.train.seed)
    whose = [inputs.cohort.rows[row].patient for row in tested.tolist()]
    chosen = np.sort(tested[_spread(whose, asked.n_images, rng)])
    predictor = Predictor(asked.model)
    squares = np.stack([np.asarray(inputs.pixels[place]) for place in inputs.places[chosen]])
    patients = [inputs.cohort.rows[row].patient for row in chosen.tolist()]
    answers = [predictor.probabilities(squares[at : at + 16]).argmax(axis=1) for at in range(0, len(squares), 16)]
    return Bench(
        network=open_network(asked.model, card),
        card=card,
        predictor=predictor,
        squares=squares,
        rows=chosen,
        targets=np.concatenate(answers).tolist(),
        patients=None if None in patients else [str(patient) for patient in patients],
        seed=job.train.seed,
    )


def _spread(patients: Sequence[str | None], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of n images of as many patients as can be: each patient's first, then each one's second, and so on."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, int]] = []
    for at in rng.permutation(len(patients)).tolist():
        who = patients[at] or f"image {at}"
        turn[who] = turn.get(who, 0) + 1
        order.append((turn[who], len(order), at))
    return np.array([at for _, _, at in sorted(order)[:n]], np.int64)


def _read_masks(folder: Path, inputs: Inputs, bench: Bench) -> tuple[Mask, ...]:
    """The masks that there are, of the images that are checked."""
    known = _masks_of_phantoms(folder) if (folder / TRUTH).is_file() else None
    found = []
    for at, row in enumerate(bench.rows.tolist()):
        name = inputs.cohort.rows[row].path
        path = (folder / name).with_suffix(".png") if known is None else known.get(name)
        if path is None or not path.is_file():
            continue
        pixels = read_image(path).pixels
        mask = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
        found.append(Mask(at=at, pixels=mask))
    if not found:
        raise SettingsError(
            f"--masks {folder} holds no mask of any image that is checked. The mask of a/b.dcm is a/b.png below it; "
            "of phantoms name the folder with truth.json."
        )
    return tuple(found)


def _masks_of_phantoms(folder: Path) -> dict[str, Path]:
    """The mask of each image of phantom patients, by the image's path below `images`."""
    slices = [one for patient in read_truth(folder).patients for one in patient.slices]
    return {Path(one.path).relative_to("images").as_posix(): folder / one.mask for one in slices if one.mask}


def _train_again(job: Job, inputs: Inputs, watch: Watcher) -> dict[str, nn.Module]:
    """Networks from the same images and the same split: of another seed, and of labels without meaning."""
    choice = choose_backbone(job.train.backbone, job.train.weights)
    found = {}
    for name, seed, shuffled in (("repeat", job.train.seed + 1, False), ("labels", job.train.seed, True)):
        watch.say("Training with another seed" if not shuffled else "Training on labels without meaning")
        settings = dataclasses.replace(job.train, seed=seed)
        anew = dataclasses.replace(job, train=settings, out=job.out / name)
        anew.out.mkdir()
        cohort = shuffle_labels(inputs.cohort, ControlSettings(shuffle_labels=shuffled), seed=seed)
        found[name], _ = fit_network(anew, dataclasses.replace(inputs, cohort=cohort), choice, watch)
        found[name].cpu().float().eval()
    return found


@dataclass(frozen=True, kw_only=True)
class _Pages:
    """What the report tells beside the checks."""

    weights: Weights
    history: History
    result: Result


def _look_again(
    model: Path,
    job: Job,
    inputs: Inputs,
    card: Card,
    before: Mapping[str, object],
    network: nn.Module,
    watch: Watcher,
) -> _Pages:
    """What the report told when the model was made."""
    weights = weights_of(card, before)
    speaker = TorchSpeaker(network, inputs=inputs, weights=weights, job=job)
    said = say_all(job, inputs=inputs, speaker=speaker, watch=watch)
    # what was said when the model was made is what its figures rest on: a repeat may differ in the last digit
    said = dataclasses.replace(said, found=read_predictions(model / PREDICTIONS), caution=card.caution)
    return _Pages(
        weights=weights,
        history=History.from_csv((model / HISTORY).read_text(encoding="utf-8")),
        result=read_result(job, inputs=inputs, said=said, audit=_audit(model), marks=card.marks),
    )


def _rewrite(model: Path, job: Job, inputs: Inputs, card: Card, pages: _Pages, checks: tuple[Check, ...]) -> None:
    """Write the report anew, with the checks in it, and seal the model folder again."""
    explained = dataclasses.replace(pages.result.explained, checks=checks)
    bundle.write_json(model / EXPLANATION, explained.to_json())
    write_pages(
        dataclasses.replace(job, out=model),
        inputs=inputs,
        weights=pages.weights,
        history=pages.history,
        result=dataclasses.replace(pages.result, explained=explained),
    )
    bundle.seal(model, card)


def _audit(model: Path) -> Audit | None:
    return read_audit(model / AUDIT) if (model / AUDIT).exists() else None
