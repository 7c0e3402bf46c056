from __future__ import annotations

from overread.serve.bounded import Ids


def test_ids_are_those_that_were_noted() -> None:
    ids = Ids()
    noted = [0, 1, 65535, 65536, 2**40, -1, -65537]
    for number in noted:
        ids.add(number)
    assert [number for number in [*noted, 2, 65537, -2, 2**40 + 8] if number in ids] == noted
