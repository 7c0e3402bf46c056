from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from tests.report.again.tree import parse_page

from overread.errors import ModelError, RunError, SettingsError
from overread.explain.controls import TITLES
from overread.explain.trust import FILE
from overread.model import bundle
from overread.predict import Predictor
from overread.run.check import Asked, check
from overread.run.explain import Explainer, ExplainSettings
from overread.run.job import Job
from overread.run.map_controls import randomised
from overread.run.network import open_network
from overread.training.watch import Silent


@pytest.fixture(scope="module")
def checked(finished: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder after its check, with masks of everything that is bright, and after two more trainings."""
    folder = tmp_path_factory.mktemp("checked")
    shutil.copytree(finished.out, folder / "model")
    for path in finished.source.rglob("*.png"):
        mask = folder / "masks" / path.relative_to(finished.source)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(np.asarray(Pillow.open(path)) > 120).save(mask)
    asked = Asked(model=folder / "model", n_images=8, retrain=True, masks=folder / "masks")
    (found,) = check(asked)
    assert [one.name for one in found.controls] == list(TITLES)
    assert all(one.value is not None and one.passed is not None for one in found.controls)
    return folder / "model"


def test_the_folder_is_whole_and_predicts_as_before(checked: Path, finished: Job) -> None:
    bundle.load_card(checked)
    path = next(finished.source.rglob("*.png"))
    assert list(Predictor(checked).predict_files([path])) == list(Predictor(finished.out).predict_files([path]))
    for name in ("predictions.csv", "metrics.json", "evaluation.json", "weights.safetensors"):
        assert (checked / name).read_bytes() == (finished.out / name).read_bytes()


def test_the_report_and_the_table_tell_every_control(checked: Path) -> None:
    controls = json.loads((checked / FILE).read_text())["checks"]["class-map"]
    page = parse_page((checked / "report.html").read_text())
    text = " ".join(page.text.split())
    assert "They were not checked" not in text
    for one in controls:
        assert one["title"] in text
        assert f"{one['value']['value']:.2f}" in text
    stages = next(one for one in controls if one["name"] == "weights")["rows"]
    assert len(stages) > 2
    assert stages[0]["of"] == "head alone"


def test_what_failed_is_withheld_from_then_on(checked: Path) -> None:
    controls = json.loads((checked / FILE).read_text())["checks"]["class-map"]
    failed = tuple(one["title"] for one in controls if one["passed"] is False)
    assert Explainer(checked, ExplainSettings()).failed == failed
    withheld = "The maps are withheld" in (checked / "report.html").read_text()
    assert withheld == bool(failed)


def test_stages_are_drawn_anew_from_the_head_down(finished: Job) -> None:
    card = bundle.load_card(finished.out)
    network = open_network(finished.out, card)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    changed = []
    for name, one in randomised(network, card, seed=1):
        after = one.state_dict()
        changed.append({key for key in before if not before[key].equal(after[key])})
        assert name
    assert changed[0] == {"fc.weight", "fc.bias"} or changed[0] == {"fc.weight"}
    assert all(one < two or one == two for one, two in itertools.pairwise(changed))
    assert {key for key in before if key.endswith("conv1.weight")} <= changed[-1]
    assert all(before[key].equal(value) for key, value in network.state_dict().items())


def test_without_masks_and_trainings_it_says_what_was_not_asked(finished: Job, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "model")
    first, second = (
        check(Asked(model=tmp_path / "model", n_images=8)),
        check(Asked(model=tmp_path / "model", n_images=8)),
    )
    assert first == second  # the same seed, the same figures
    check(Asked(model=tmp_path / "model", method="grad-cam", n_images=8))
    known = json.loads((tmp_path / "model" / FILE).read_text())["checks"]
    assert list(known) == ["class-map", "grad-cam"]
    assert known["class-map"] == first[0].to_json()
    why = {one.name: one.why for one in first[0].controls if one.passed is None}
    assert set(why) == {"labels", "repeat", "lesions"}
    assert "--retrain" in why["repeat"]
    assert "--masks" in why["lesions"]


def test_a_check_that_was_killed_is_mended_by_the_next(finished: Job, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "model")
    (tmp_path / "model/report.html").write_text("half a report")
    check(Asked(model=tmp_path / "model", n_images=8))
    bundle.load_card(tmp_path / "model")
    (tmp_path / "model/predictions.csv").write_text("changed")
    with pytest.raises(ModelError, match=r"predictions\.csv .* has changed"):
        check(Asked(model=tmp_path / "model", n_images=8))


def test_refusals(finished: Job, tmp_path: Path, fresh_cohort: Path) -> None:
    with pytest.raises(SettingsError, match="--method cam is not known"):
        check(Asked(model=finished.out, method="cam"))
    with pytest.raises(SettingsError, match="--images 3 are too few"):
        check(Asked(model=finished.out, n_images=3))
    with pytest.raises(ModelError, match="not a model folder"):
        check(Asked(model=tmp_path))
    shutil.copytree(finished.out, tmp_path / "model")
    (tmp_path / "none").mkdir()
    with pytest.raises(SettingsError, match="holds no mask of any image"):
        check(Asked(model=tmp_path / "model", masks=tmp_path / "none"))
    record = json.loads((tmp_path / "model/training.json").read_text())
    record["source"] = str(fresh_cohort)
    path = next(fresh_cohort.rglob("*.png"))
    Pillow.fromarray(255 - np.asarray(Pillow.open(path))).save(path)
    (tmp_path / "model/training.json").write_text(json.dumps(record))
    bundle.seal(tmp_path / "model", bundle.load_card(tmp_path / "model", verify=()))
    with pytest.raises(RunError, match="have changed since"):
        check(Asked(model=tmp_path / "model"))


def test_what_is_done_outlives_a_stop(finished: Job, tmp_path: Path) -> None:
    shutil.copytree(finished.out, tmp_path / "model")

    class StopsAtTheSecond(Silent):
        def say(self, sentence: str) -> None:
            if "grad-cam" in sentence:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(Asked(model=tmp_path / "model", method="all", n_images=8), watch=StopsAtTheSecond())
    bundle.load_card(tmp_path / "model")
    assert list(json.loads((tmp_path / "model" / FILE).read_text())["checks"]) == ["class-map"]
