"""Tables of any length are gone through in bounded memory."""

from __future__ import annotations

from typing import TypeVarTuple

from sqlalchemy import Result, Select
from sqlalchemy.orm import Session

_Columns = TypeVarTuple("_Columns")
_PIECE = 500
_PAGE_BITS = 16


def stream(session: Session, asked: Select[*_Columns]) -> Result[*_Columns]:
    """Rows as they are wanted: the database hands over a few hundred at a time."""
    return session.execute(asked, execution_options={"yield_per": _PIECE})


class Ids:
    """A set of rows' IDs that costs a bit each."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> None:
        """Note one."""
        page, place = self._pages.get(number >> _PAGE_BITS), number & ((1 << _PAGE_BITS) - 1)
        if page is None:
            page = self._pages[number >> _PAGE_BITS] = bytearray(1 << (_PAGE_BITS - 3))
        page[place >> 3] |= 1 << (place & 7)

    def __contains__(self, number: int) -> bool:
        page, place = self._pages.get(number >> _PAGE_BITS), number & ((1 << _PAGE_BITS) - 1)
        return page is not None and bool(page[place >> 3] & (1 << (place & 7)))
