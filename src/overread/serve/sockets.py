"""Closes connections whole."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.transport import AssociationSocket


def close_whole(connection: AssociationSocket) -> None:
    """Have a socket of pynetdicom closed even where the peer was quicker; it gives up when `shutdown` fails."""

    def shut() -> None:
        if (raw := connection.socket) is not None:
            with suppress(OSError):
                raw.shutdown(2)
            raw.close()

    connection._shutdown_socket = shut  # type: ignore[method-assign]
