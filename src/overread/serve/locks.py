"""Locks that one transaction holds until it ends."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

ROWS, TRAIL = 0x726F7773, 0x6F766572
"""of who adds studies, series and images; and of who writes steps of the trail, which is taken last"""


def lock(session: Session, what: int) -> None:
    """Wait until nobody else holds this lock, and hold it. SQLite has one writer at a time, and needs none."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": what})
