from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from overread.errors import ModelError, SettingsError
from overread.model import bundle
from overread.model.session import ENGINES
from overread.predict import Predictor
from overread.serve.apart import DiedError, PredictorApart, _work


@pytest.fixture(scope="module")
def apart(model_folder: Path) -> Iterator[PredictorApart]:
    made = PredictorApart(model_folder)
    yield made
    made.close()


def _pid(apart: PredictorApart) -> int:
    pid = apart._child._process.pid
    assert pid is not None
    return pid


def test_it_says_what_the_predictor_says(
    apart: PredictorApart, model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"none")
    files = [*slices, bad, *slices[:5]]
    here = list(Predictor(model_folder).predict_files(files, maps=True))
    there = list(apart.predict_files(files, maps=True))
    assert [(p.path, p.frame, p.label, p.classes, p.abstains, p.problem) for p in there] == [
        (p.path, p.frame, p.label, p.classes, p.abstains, p.problem) for p in here
    ]
    for one, other in zip(there, here, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        assert (one.class_maps is None) == (other.class_maps is None)
        if one.class_maps is not None and other.class_maps is not None:
            np.testing.assert_allclose(one.class_maps, other.class_maps, atol=1e-4)


@pytest.mark.parametrize("is_there", [True, False])
def test_it_ends_quietly_where_who_asks_has_gone_before_it_had_begun(
    model_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], is_there: bool
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    folder = model_folder if is_there else tmp_path
    process = context.Process(target=_work, args=(theirs, str(folder), ENGINES[0], 1))
    process.start()
    theirs.close()
    ours.close()
    process.join(60)
    assert (process.exitcode, capfd.readouterr().err) == (0, "")


def test_many_ask_at_once(apart: PredictorApart, slices: list[Path]) -> None:
    def ask(number: int) -> list[str]:
        return [p.path for p in apart.predict_files(slices[number % 3 :])]

    with ThreadPoolExecutor(6) as pool:
        for number, paths in enumerate(pool.map(ask, range(18))):
            assert paths == list(map(str, slices[number % 3 :]))


def test_who_asks_hears_that_it_has_died_and_the_next_is_answered(apart: PredictorApart, slices: list[Path]) -> None:
    found = apart.predict_files(slices * 20)
    next(found)
    os.kill(_pid(apart), signal.SIGKILL)
    with pytest.raises(DiedError):
        list(found)
    assert len(list(apart.predict_files(slices))) == len(slices)


def test_signals_to_all_processes_of_a_service_end_it_last(apart: PredictorApart, slices: list[Path]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(_pid(apart), number)
    assert len(list(apart.predict_files(slices))) == len(slices)


def test_it_ends_when_it_is_let_go(model_folder: Path) -> None:
    other = PredictorApart(model_folder)
    pid = _pid(other)
    began = time.monotonic()
    other.close()
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_another_model_in_the_same_folder_is_not_taken_for_the_first(
    model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    other = PredictorApart(folder)
    card = bundle.load_card(folder)
    bundle.seal(folder, dataclasses.replace(card, classes=tuple(reversed(card.classes))))
    assert len(list(other.predict_files(slices[:1]))) == 1
    os.kill(_pid(other), signal.SIGKILL)
    with pytest.raises((DiedError, ModelError)):
        list(other.predict_files(slices[:1]))
    with pytest.raises(ModelError, match="another model"):
        list(other.predict_files(slices[:1]))


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path: Path, model_folder: Path) -> None:
    with pytest.raises(ModelError):
        PredictorApart(tmp_path)
    with pytest.raises(SettingsError, match="--engine"):
        PredictorApart(model_folder, engine="tea")
