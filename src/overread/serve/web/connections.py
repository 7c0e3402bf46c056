"""Connections: so many at once, and none of which the other side is waited for without an end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE_S = 75.0
"""longer than proxies and clients keep connections that they use again (60 s is common): else they send a request
into one that is just being closed, and have to tell of a fault"""
_N_LOOKS = 12
"""in that time"""
_MOST_DESCRIPTORS = 4096
_log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """uvicorn's, which alone waits for ever for the end of a request that has begun.

    The head of a request has so long, and its body may stand still for as long. Who has sent a whole request, or
    is kept from sending more of it, may be silent. Who takes nothing of an answer is ended by the operating system.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count how often the other side was waited for in vain."""
        super().connection_made(transport)
        self._n_in_vain = 0
        self._next_look = self.loop.call_later(SILENCE_S / _N_LOOKS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count anew with each piece of a body, and not with those of a head or of what nobody reads any more."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._n_in_vain = 0

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        self._n_in_vain = self._n_in_vain + 1 if self._is_their_turn() else 0
        if self._n_in_vain > _N_LOOKS:
            self.transport.abort()
        else:
            self._next_look = self.loop.call_later(SILENCE_S / _N_LOOKS, self._look)

    def _is_their_turn(self) -> bool:
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return self.transport.get_write_buffer_size() == 0  # else the answer is still on its way
        return cycle.more_body and not (cycle.waiting_for_100_continue or self.flow.read_paused)


class Door(socket.socket):
    """A socket that listens, and closes at once what comes while too much is open.

    A process without descriptors hears nobody. A new one gets the lowest number that is free: from its number follows
    how many are open, whatever they are. One address gets half of all, so that it shuts nobody else out.
    """

    def __init__(self, family: int, *, most: int) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._most = most
        self._open: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()
        """connections that are open, and some that were, with the addresses that they come from"""

    def accept(self) -> tuple[socket.socket, object]:
        """Let one in. Raises ConnectionAbortedError, which asyncio takes for one that has gone again."""
        connection, address = super().accept()
        host = str(address[0])
        n_of_host = sum(other == host and one.fileno() >= 0 for one, other in self._open.items())
        if connection.fileno() >= self._most or n_of_host >= self._most // 2:
            connection.close()
            _log.warning("a connection was closed at once: there are as many as there may be")
            raise ConnectionAbortedError
        self._open[connection] = host
        return connection, address


def open_doors(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of a host's name, to listen on. Raises OSError where none can be had.

    Half of the descriptors that the process may have are for connections, the other half for files.
    """
    most = _n_descriptors() // 2
    doors: list[socket.socket] = []
    fault = OSError(f"{host} has no address")
    for family, _, _, _, address in dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)):
        try:
            doors.append(_open(family, address, most))
        except OSError as found:  # a name may have an address that this machine does not use
            fault = found
    if not doors:
        raise fault
    return doors


def _open(family: int, address: tuple[object, ...], most: int) -> Door:
    door = Door(family, most=most)
    try:
        if os.name == "posix":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # of connections, which have it from their door
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * SILENCE_S))
        door.bind(address)
    except OSError:
        door.close()
        raise
    return door


def _n_descriptors() -> int:
    """How many descriptors the process may have; some systems give few to whoever asks for no more."""
    try:
        import resource
    except ImportError:  # Windows, which numbers them in its own way
        return 1 << 62
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if few == resource.RLIM_INFINITY or few >= _MOST_DESCRIPTORS:
        return _MOST_DESCRIPTORS
    wanted = _MOST_DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, _MOST_DESCRIPTORS)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
