from __future__ import annotations

import pytest

from overread.data.phantom import CLASSES, PhantomSettings
from overread.errors import SettingsError


def test_classes_follow_the_body() -> None:
    assert PhantomSettings().classes == ("aneurysm", "cancer", "tumor")
    assert PhantomSettings(body="chest").classes == ("normal", "nodule", "pneumonia") == CLASSES["chest"]


def test_faults_are_read_from_a_list_in_any_order() -> None:
    assert PhantomSettings(flaws="wrong-labels, kernel,kernel").planted == ("kernel", "wrong-labels")
    assert PhantomSettings().planted == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"body": "knee"}, "--body knee"),
        ({"patients": 2}, "--patients 2"),
        ({"slices": 0}, "--slices 0"),
        ({"size_px": 32}, "--size-px 32"),
        ({"seed": -1}, "--seed -1"),
        ({"flaws": "ghost"}, "--flaws ghost"),
        ({"flaws": "kernel", "patients": 5}, "ask for 6 or more"),
    ],
)
def test_what_cannot_be_made_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        PhantomSettings(**settings)  # type: ignore[arg-type]
