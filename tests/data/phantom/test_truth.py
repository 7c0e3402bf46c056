from __future__ import annotations

from pathlib import Path

import pytest

from overread.data.phantom import read_truth
from overread.errors import CohortError


def test_a_folder_without_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="overread phantoms"):
        read_truth(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "settings": {"body": 3}}'])
def test_a_broken_truth_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(CohortError, match="cannot be read"):
        read_truth(tmp_path)


def test_another_version_says_which(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text('{"schema": 99}')
    with pytest.raises(CohortError, match="schema 99, this version reads 1"):
        read_truth(tmp_path)
