from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from overread.model import bundle
from overread.training import course
from overread.training.history import History
from overread.training.loop import loss_of_share
from overread.training.world import ALONE, Share, World

Run = Callable[..., list[subprocess.CompletedProcess[str]]]
SCRIPT = Path(__file__).with_name("lessons.py")
SIZE = 3


def load_lessons() -> ModuleType:
    spec = spec_from_file_location("lessons", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lessons = load_lessons()


@pytest.fixture(scope="module")
def together(run_workers: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three workers have made of every lesson."""
    folder = tmp_path_factory.mktemp("together")
    for done in run_workers(SIZE, str(SCRIPT), str(folder)):
        assert done.returncode == 0, done.stderr
    assert {json.loads(path.read_text())["size"] for path in folder.glob("said-*")} == {SIZE}
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", lessons.LESSONS)
def test_several_workers_learn_what_one_does(
    name: str, together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "gains", lambda before, after: True)
    history, weights = lessons.do(lessons.LESSONS[name], tmp_path)
    found = History.from_csv((together / f"{name}-of-0" / "history.csv").read_text())
    assert [row.stages_learning for row in found] == [row.stages_learning for row in history]
    # where the head is solved on what was rounded to float16, a last digit grows
    apart = 0.01 if name == "ever deeper" else 1e-5
    for row, wanted in zip(found, history, strict=True):
        for figure in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            assert getattr(row, figure) == pytest.approx(getattr(wanted, figure), abs=apart), (row.epoch, figure)
    for rank in range(SIZE):
        for key, array in bundle.load_weights(together / f"{name}-of-{rank}").items():
            np.testing.assert_allclose(array, weights[key], atol=10 * apart, err_msg=f"{key} of {rank}")
    best, wanted = bundle.load_weights(together / f"{name}-0"), bundle.load_weights(tmp_path)
    for key, array in best.items():
        np.testing.assert_allclose(array, wanted[key], atol=10 * apart, err_msg=key)


@pytest.mark.slow
def test_only_the_first_worker_writes(together: Path) -> None:
    for name in lessons.LESSONS:
        assert {path.name for path in (together / f"{name}-0").iterdir()} == {bundle.WEIGHTS, bundle.RESUME}
        assert not list((together / f"{name}-others").iterdir())


def test_shares_are_a_division() -> None:
    for n in (1, 2, 7, 64):
        for size in (1, 2, 3, 8):
            shares = [World(rank=rank, size=size).share(n) for rank in range(size)]
            rows = [row for share in shares for row in np.arange(n)[share.rows][: share.n]]
            assert rows == list(range(n))
            assert max(share.n for share in shares) - min(share.n for share in shares) <= 1
            assert all(len(np.arange(n)[share.rows]) >= 1 for share in shares)  # a network is never given nothing


@pytest.mark.parametrize("weight", [None, torch.tensor([0.2, 1.0, 3.0])])
def test_losses_of_shares_add_up(weight: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 3), torch.tensor([0, 0, 0, 0, 1, 2, 2])
    loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1)
    parts = []
    for rank in range(3):
        share = World(rank=rank, size=3).share(7)
        parts.append(loss_of_share(loss, logits[share.rows][: share.n], labels, share))
    torch.testing.assert_close(sum(parts), loss(logits, labels))
    assert loss_of_share(loss, logits[:0], labels, Share(slice(0, 1), 0, 7)) == 0


def test_alone_nothing_is_changed() -> None:
    tensor = torch.randn(4)
    assert ALONE.sum(tensor) is tensor
    assert ALONE.gather_rows(tensor, 4) is tensor
    assert ALONE.share(4) == Share(slice(0, 4), 4, 4)
    assert ALONE.agree("word") == "word"
    assert ALONE.all(False) is False
    ALONE.call("nobody hears it")
    ALONE.share_weights(nn.Linear(2, 2))


DIES = """
import os, signal
from overread.training.launch import joined
from overread.errors import RunError
import torch
with joined(device="cpu") as world:
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        world.sum(torch.ones(1))
    except RunError as fault:
        print(fault)
"""


@pytest.mark.slow
def test_who_loses_another_worker_says_so_at_once(run_workers: Run) -> None:
    first, _ = run_workers(2, "-c", DIES)
    assert "Another worker of this training has stopped" in first.stdout
    assert "--resume" in first.stdout
