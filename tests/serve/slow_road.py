"""A slow road to a peer: what goes there is on its way for a while, and so is the answer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_PIECE = 1 << 17


class SlowRoad:
    """Passes connections on to a port of this machine. Who goes away on one side is gone on the other at once."""

    def __init__(self, to_port: int, *, there_s: float = 0.02, back_s: float = 0.3) -> None:
        """there_s: before each 128 KiB of what is sent; back_s: before each piece of an answer."""
        self._to_port, self._there_s, self._back_s = to_port, there_s, back_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to_port))
                except OSError:
                    near.close()
                    continue
                for ends in ((near, far, self._there_s), (far, near, self._back_s)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(of: socket.socket, to: socket.socket, wait_s: float) -> None:
    with suppress(OSError):
        while piece := of.recv(_PIECE):
            time.sleep(wait_s)
            to.sendall(piece)
    for one in (of, to):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
