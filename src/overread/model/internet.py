"""Whether a file can be had from the internet, learnt within seconds and not after minutes of retries."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable


class Internet:
    """Asks servers for one byte, and remembers which of them stayed silent.

    Hand one object through a whole search, so that each silent server costs its time but once.
    """

    def __init__(self, *, timeout_s: float = 4.0) -> None:
        self.timeout_s = timeout_s
        self._silent: dict[str, str] = {}

    def why_not(self, url: str, *, also: Callable[[], object] | None = None) -> str | None:
        """None where the file at `url` can be had; else the reason, in words, within `timeout_s` seconds.

        `also` is a second trial, made at the same time; it fails by an exception.
        """
        host = urllib.parse.urlsplit(url).netloc
        if host in self._silent:
            return self._silent[host]
        trials = [lambda: self._ask(url)] + ([lambda: _failure(host, also)] if also else [])
        reasons = self._together(trials, late=f"{host} did not answer within {self.timeout_s:g} s")
        reason = next((reason for reason in reasons if reason is not None), None)
        if reason is not None and "answered" not in reason:
            self._silent[host] = reason
        return reason

    def _together(self, trials: list[Callable[[], str | None]], *, late: str) -> list[str | None]:
        """Run all trials at once, and give up on those that take too long.

        The wait is for threads, because a look-up of a name in the network's directory knows no time limit.
        """
        answers: list[str | None] = [late] * len(trials)

        def run(number: int) -> None:
            answers[number] = trials[number]()

        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(trials))]
        until = time.monotonic() + self.timeout_s
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return list(answers)

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


def _failure(host: str, trial: Callable[[], object]) -> str | None:
    try:
        trial()
    except Exception as error:  # whatever another library's HTTP client may raise
        return f"{host} cannot be reached ({(str(error).splitlines() or [type(error).__name__])[0]})"
    return None
