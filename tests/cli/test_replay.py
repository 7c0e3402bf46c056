from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from overread.cli.main import run
from overread.run import replay as replaying
from overread.run.replay import Replay


def told(found: Replay, trained, monkeypatch, capsys) -> tuple[int, str]:
    """The exit code, and what is printed, where training again gives `found`."""
    monkeypatch.setattr(replaying, "replay", lambda run, **_: found)
    return run(["replay", str(trained.folder)]), capsys.readouterr().out


SAME = Replay(folder=Path("again"), same_data=True, same_weights=True, same_history=True, differing={}, elsewhere=())


def test_the_same_result_is_exit_code_0(trained, monkeypatch, capsys) -> None:
    code, printed = told(SAME, trained, monkeypatch, capsys)
    assert code == 0
    lines = [line for line in printed.splitlines() if line.endswith("the same, bit for bit")]
    assert [line.split(":")[0] for line in lines] == [
        "Images, labels and split", "Weights of the best epoch", "History, every epoch", "Test figures",
    ]  # fmt: skip


def test_a_different_result_is_exit_code_1_and_says_what(trained, monkeypatch, capsys) -> None:
    found = dataclasses.replace(
        SAME, same_weights=False, differing={"auroc": (0.9, 0.8)}, elsewhere=("version of torch: 2.4 then, 2.5 now",)
    )
    code, printed = told(found, trained, monkeypatch, capsys)
    assert code == 1
    assert "Images, labels and split:  the same, bit for bit" in printed
    assert "Weights of the best epoch: different" in printed
    assert "auroc: 0.900000 then, 0.800000 now" in printed
    assert "version of torch: 2.4 then, 2.5 now" in printed


def test_it_goes_beside_the_run_where_no_folder_is_named(trained, monkeypatch) -> None:
    folders = []
    monkeypatch.setattr(replaying, "replay", lambda run, *, out, **_: folders.append(out) or SAME)
    monkeypatch.chdir(trained.folder)
    assert run(["replay", str(trained.folder)]) == run(["replay", "."]) == 0
    assert folders == [trained.folder.with_name("run-replay")] * 2


@pytest.mark.parametrize("name", ["no-such-run", "."])
def test_a_folder_without_a_run_is_refused(name: str, refusal, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{name} holds no run" in refusal("replay", name)
    assert list(tmp_path.iterdir()) == []
