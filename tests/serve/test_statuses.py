from __future__ import annotations

import pytest

from overread.serve.statuses import Status, outcome_of


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (0x0000, "taken", "0x0000 success"),
        (0x0111, "taken", "0x0111 duplicate sop instance"),
        (0xB000, "taken", "0xB000 coercion of data elements"),
        (0xB123, "taken", "0xB123"),
        (0xA700, "again", "0xA700 out of resources"),
        (0xA7FF, "again", "0xA7FF out of resources"),
        (0x0110, "again", "0x0110 processing failure"),
        (0x0124, "again", "0x0124 not authorised"),
        (0x7777, "again", "0x7777"),
        (0x0122, "refused", "0x0122 sop class not supported"),
        (0xA901, "refused", "0xA901 data set does not match"),
        (0xC001, "refused", "0xC001 cannot understand"),
    ],
)
def test_what_follows_from_a_status(status: int, outcome: str, said: str) -> None:
    sent = outcome_of(status)
    assert (sent.outcome, sent.said, sent.uncertain) == (outcome, said, False)


def test_no_answer_leaves_it_open() -> None:
    assert outcome_of(None).outcome == "again"
    assert outcome_of(None).uncertain


def test_every_status_has_one_name() -> None:
    assert len({int(one) for one in Status}) == len(Status.__members__)
