"""Whether a file can be had from the internet, learnt within seconds: a network that is cut off costs no minutes."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class Internet:
    """Asks servers for one byte, and remembers which of them stayed silent.

    Hand one object through a whole search, so that each silent server costs its time but once.
    """

    def __init__(self, *, timeout_s: float = 4.0) -> None:
        self.timeout_s = timeout_s
        self._silent: dict[str, str] = {}

    def why_not(self, url: str) -> str | None:
        """None where the file at `url` can be had; else the reason, in words, within `timeout_s` seconds."""
        host = urllib.parse.urlsplit(url).netloc
        if host in self._silent:
            return self._silent[host]
        answer: list[str | None] = []
        # A look-up of a name knows no time limit, so the wait is for a thread and not for the look-up.
        asking = threading.Thread(target=lambda: answer.append(self._ask(url)), daemon=True)
        asking.start()
        asking.join(self.timeout_s)
        reason = answer[0] if answer else f"{host} did not answer within {self.timeout_s:g} s"
        if reason is not None and "answered" not in reason:
            self._silent[host] = reason
        return reason

    def _ask(self, url: str) -> str | None:
        """Fetch the first byte, over redirects and proxies as a download would."""
        host = urllib.parse.urlsplit(url).netloc
        request = urllib.request.Request(url, headers={"Range": "bytes=0-0", "User-Agent": "overread"})
        until = time.monotonic() + self.timeout_s
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                response.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            return f"{host} answered {error.code} {error.reason}"
        except urllib.error.URLError as error:
            return f"{host} cannot be reached ({getattr(error.reason, 'strerror', None) or error.reason})"
        except (OSError, ValueError, http.client.HTTPException) as error:
            late = time.monotonic() >= until or isinstance(error, TimeoutError)
            return f"{host} cannot be reached ({'it fell silent' if late else error or type(error).__name__})"
        return None
