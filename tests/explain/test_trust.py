from __future__ import annotations

from overread.explain.trust import failed_methods


def test_each_kind_of_map_with_the_controls_that_it_failed() -> None:
    controls = [
        {"title": "one", "passed": False},
        {"title": "two", "passed": True},
        {"title": "three", "passed": None},
    ]
    assert failed_methods({"checks": {"cam": controls, "other": controls[1:]}}) == {"cam": ("one",), "other": ()}
    assert failed_methods({"schema": 1}) == {}
