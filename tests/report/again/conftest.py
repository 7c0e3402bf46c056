"""Reports, and the tables that their numbers are computed again from."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.conftest import make_predictions
from tests.report.again.figures import Rows
from tests.report.again.tree import Node, parse_page

from overread.audit.audit import CHECKS, Audit
from overread.audit.check import Finding
from overread.evaluate.predictions import Predictions, write_predictions
from overread.evaluate.second_read import second_read
from overread.model.caution import Caution
from overread.report.html import render
from overread.report.page import Page, count_cells, list_limits
from overread.run.job import Job
from overread.run.train import train
from overread.settings import ImageSettings, recipe_settings


def make_page(found: Predictions, caution: Caution, *, audit: Audit | None = None, **more: Any) -> Page:
    """The page of these predictions; `more` are other fields of it, or arguments of `second_read`."""
    asked = {key: more.pop(key) for key in list(more) if key not in Page.__dataclass_fields__}
    read = second_read(found, caution=caution, audit=audit, **{"seed": 0, **asked})
    parts = tuple(dict.fromkeys(found.parts))
    labels = [found.classes[code] for code in found.truth]
    fields = {
        "counted_parts": parts,
        "counts": count_cells(found.classes, parts, list(zip(labels, found.parts, found.patients, strict=True))),
        "name": "run", "subtitle": "a model", "dataset": "scans", "written": "1 May 2026", "version": "0",
        "intended_use": "Research use.", "data_words": ("Some images.",),
        "limits": list_limits(read, external=False), "commands": ("overread replay run",),
    }  # fmt: skip
    return Page(read=read, found=found, audit=audit, **{**fields, **more})


PROBE = Finding(
    code="S01", title="The frame tells the classes", severity="serious", what="It does. Much.", do="Crop.",
    n=1, unit="images", evidence={"auroc": 0.612},
)  # fmt: skip
CASES = {
    "three classes by patient": {
        "classes": ("cyst", "normal", "tumor"),
        "parts": {"val": 60, "calibrate": 200, "test": 90},
        "images_each": 3,
        "facts": {"sex": ("F", "M"), "site": ("north", "south", "")},
    },
    "two classes, patients unknown": {
        "classes": ("normal", "tumor"),
        "parts": {"val": 140, "test": 70},
        "images_each": 1,
        "known": False,
        "skill": 2.0,
        "facts": {"sex": ("F", "M"), "kernel": ("B30f", "B70f")},
    },
}


@pytest.fixture(scope="session")
def trained_on_shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training on pictures of 90 patients at two sites: grey of three shades in noise.

    Only the head is learnt, which has one best answer: every processor finds the same.
    """
    source, rng = tmp_path_factory.mktemp("shades"), np.random.default_rng(2)
    lines = ["path,label,patient,site,split"]
    for patient in range(90):
        label, part = ("dark", "grey", "light")[patient % 3], ("train", "val", "test")[patient // 30]
        site, shade = ("north", "south")[patient // 3 % 2], 90 + 25 * (patient % 3) + rng.normal(0, 17)
        for number in range(1 + patient % 2 + (patient % 3 == 0)):
            pixels = shade + rng.normal(0, 10) + rng.normal(0, 30, (32, 32))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(source / f"{patient}-{number}.png")
            lines.append(f"{patient}-{number}.png,{label},person {patient},{site},{part}")
    (source / "list.csv").write_text("\n".join(lines) + "\n")
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet").state_dict(), source / "drawn.safetensors")
    settings = recipe_settings(
        "default", backbone="test_resnet", weights=str(source / "drawn.safetensors"), learn="head", device="cpu"
    )
    job = Job(source=source / "list.csv", out=source / "run", train=settings, image=ImageSettings(size_px=32))
    train(job)
    return job.out


class Told:
    """A report, and the rows of the table that stands beside it."""

    def __init__(self, folder: Path) -> None:
        self.page = parse_page((folder / "report.html").read_text(encoding="utf-8"))
        with (folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
            self.rows = list(csv.DictReader(stream))
        findings = json.loads((folder / "audit.json").read_text(encoding="utf-8"))["findings"]
        self.probed = [found["evidence"]["auroc"] for found in findings if "auroc" in found["evidence"]]
        self.classes = [name.removeprefix("probability ") for name in self.rows[0] if name.startswith("probability ")]

    def of(self, part: str, **where: str) -> Rows:
        chosen = [r for r in self.rows if r["split"] == part and all(r[key] == v for key, v in where.items())]
        return Rows(chosen, self.classes)

    @property
    def tested(self) -> Rows:
        return self.of("test")

    @property
    def held_out(self) -> Rows:
        """What the caution was fitted on."""
        return self.of("calibrate") if len(self.of("calibrate")) else self.of("val")

    @property
    def shown(self) -> list[str]:
        """The classes that have rows of their own."""
        return self.classes if len(self.classes) > 2 else self.classes[-1:]

    def table(self, kind: str) -> list[Node]:
        return list(self.page.all("table", kind=kind))


TRAINED = "a training"


@pytest.fixture(scope="session", params=[*CASES, TRAINED])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    if request.param == TRAINED:
        return Told(request.getfixturevalue("trained_on_shades"))
    found, caution = make_predictions(**CASES[request.param])
    audit = Audit(findings=(PROBE,), n_images=len(found), n_patients=None, asked=tuple(c.code for c in CHECKS))
    folder = tmp_path_factory.mktemp("told")
    write_predictions(folder / "predictions.csv", found)
    (folder / "audit.json").write_text(json.dumps(audit.to_json()))
    (folder / "report.html").write_text(render(make_page(found, caution, audit=audit)), encoding="utf-8")
    return Told(folder)
