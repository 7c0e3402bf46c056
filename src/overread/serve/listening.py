"""Listens for associations: who is silent, or may not call, keeps nobody waiting."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any

from pynetdicom.transport import ThreadedAssociationServer

from overread.serve.sockets import close_whole

if TYPE_CHECKING:
    from pynetdicom.association import Association

_log = logging.getLogger(__name__)
MAX_PDU_BYTES = 131072
_MAX_HEARD_BYTES = 1 << 20
"""Room for an association request of 128 contexts (PS3.8 9.3.2); a data PDU has at most `MAX_PDU_BYTES`."""
_HANDSHAKE_S = 10
_SILENCE_S = 60
_END_S = 5


class Listener(ThreadedAssociationServer):
    """pynetdicom's server, but for what happens before an association.

    There a handshake of TLS is waited for by the thread that accepts: one silent peer keeps all others out. And who
    may not call at all takes nobody's place.
    """

    def __init__(
        self, *args: Any, max_connections: int, allows: Callable[[str], bool] = lambda address: True, **kwargs: Any
    ) -> None:
        self._room, self._allows = max_connections, allows
        self._greeting: set[Any] = set()
        super().__init__(*args, **kwargs)

    def get_request(self) -> Any:
        """Accept a connection. The handshake of TLS is left to the connection's own thread."""
        connection, address = self.socket.accept()  # type: ignore[union-attr]
        connection.settimeout(_SILENCE_S)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether it may come in, and there is room for one more; who has been rejected may still be there."""
        if not self._allows(str(client_address[0])):
            _log.warning("a connection from an address that is not allowed was closed")
            return False
        n_greeting = len(self._greeting)  # counted first: who becomes an association now is counted twice, not never
        return n_greeting + len(self.active_associations) < self._room

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection before its thread has begun: the next one may be there sooner."""
        self._greeting.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, within a time, and begin an association."""
        try:
            if isinstance(request, ssl.SSLSocket):
                request.settimeout(_HANDSHAKE_S)
                request.do_handshake()
                request.settimeout(_SILENCE_S)
            self.finish_request(request, client_address)
        except (OSError, ValueError) as fault:
            _log.warning("a connection ended before there was an association: %s", type(fault).__name__)
            self.shutdown_request(request)
        finally:
            self._greeting.discard(request)

    def shutdown(self) -> None:
        """Take no more connections, let those that are there come to an end, and then abort them."""
        BaseServer.shutdown(self)
        self.server_close()
        until = time.monotonic() + _END_S
        while self.active_associations and time.monotonic() < until:
            time.sleep(0.05)
        for association in self.active_associations:
            association.abort()


def bound(association: Association) -> None:
    """Have an association hear no PDU that is longer than any can be; pynetdicom would make room for 4 GiB."""
    connection = association.dul.socket
    if connection is None:
        return
    close_whole(connection)
    hear = connection.recv

    def recv(n_bytes: int) -> bytearray:
        if n_bytes > _MAX_HEARD_BYTES:
            raise OSError(f"a PDU of {n_bytes} bytes")
        return hear(n_bytes)

    # an association makes its own socket, and is at hand only after that
    connection.recv = recv  # type: ignore[method-assign, assignment]
