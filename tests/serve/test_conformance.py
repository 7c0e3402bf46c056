"""The conformance statement says what the code does."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from pydicom.uid import UID

from overread.serve import scu, stow
from overread.serve.contexts import image_classes, transfer_syntaxes
from overread.serve.listening import MAX_PDU_BYTES
from overread.serve.node import NodeSettings
from overread.serve.outbox import FIRST_WAIT_S, LONGEST_WAIT_S
from overread.serve.peers import TlsFiles
from overread.serve.receiving import IMPLEMENTATION_UID
from overread.serve.statuses import Status, outcome_of

STATEMENT = (Path(__file__).parents[2] / "docs" / "dicom-conformance.md").read_text(encoding="utf-8")


def table(uids: list[str]) -> str:
    """The table of the statement; where this test fails, this is what belongs there."""
    rows = [f"| {UID(uid).name} | {uid} |" for uid in sorted(uids, key=lambda uid: UID(uid).name)]
    return "\n".join(["| name | UID |", "|---|---|", *rows])


def test_the_images_and_their_forms_are_those_that_are_offered() -> None:
    assert table(list(image_classes())) in STATEMENT
    assert table(list(transfer_syntaxes())) in STATEMENT
    assert f"| the {len(image_classes())} of images below |" in STATEMENT


def test_every_status_that_is_said_has_its_row_and_its_name() -> None:
    (rows,) = re.findall(r"Of C-STORE, as SCP.*?\n\n(\|.*?)\n\n", STATEMENT, re.DOTALL)
    said = {int(code, 16): name for code, name in re.findall(r"^\| 0x(\w{4}) \| ([^|]+) \|", rows, re.MULTILINE)}
    ours = [Status.SUCCESS, Status.PROCESSING_FAILURE, Status.OUT_OF_RESOURCES, Status.DATA_SET_DOES_NOT_MATCH]
    assert set(said) == {int(one) for one in [*ours, Status.CANNOT_UNDERSTAND, Status.TOO_LARGE]}
    for code, name in said.items():
        word = "cannot understand" if code == Status.TOO_LARGE else Status(code).name.lower().replace("_", " ")
        assert word in name.lower()


@pytest.mark.parametrize(
    ("row", "outcome"), [(r"taken", "taken"), (r"refused for good[^|]*", "refused"), (r"tried again", "again")]
)
def test_what_follows_from_a_status_is_what_is_said(row: str, outcome: str) -> None:
    (answers,) = re.findall(rf"^\| ([^|]*0x[^|]*) \| {row} \|$", STATEMENT, re.MULTILINE)
    codes = re.findall(r"0x([0-9A-Fx]{4})", answers)
    assert len(codes) >= 3
    for code in codes:
        for digits in ("00", "01", "FF"):
            assert (
                outcome_of(int(re.sub("x+", digits[: code.count("x")] or "", code).ljust(4, "0"), 16)).outcome
                == outcome
            )


def test_figures_are_those_of_the_code() -> None:
    settings = NodeSettings()
    for words in (
        f"`--quiet-s` seconds ({settings.quiet_s:g})",
        f"`--aet`, {settings.aet}",
        f"`--max-associations` ({settings.max_associations})",
        f"{MAX_PDU_BYTES:,} bytes",
        IMPLEMENTATION_UID,
        f"after {FIRST_WAIT_S:g} s",
    ):
        assert words in STATEMENT
    assert LONGEST_WAIT_S == 3600
    assert "up to an hour" in STATEMENT
    assert (scu._CONNECT_S, stow.CONNECT_S, scu._PATIENCE_S, stow._PATIENCE_S) == (10, 10, 30, 60)
    assert "| 30 s, 60 s, 60 s | 30 s, 30 s, 60 s |" in STATEMENT
    assert TlsFiles().context(server=True).minimum_version == ssl.TLSVersion.TLSv1_2
