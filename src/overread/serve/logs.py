"""Logs: a line of JSON an event, without patients, UIDs or addresses of pages."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys
import time
import traceback
import warnings
from typing import TextIO

from overread.serve.tables import now

ACCESS = logging.getLogger("overread.serve.access")


_NO_FAULTS = {
    "Network timeout reached": "a peer was silent for a minute, and its association was ended",
    "TCP Initialisation Error": "a peer could not be reached",
    "Connection closed while waiting for DIMSE message": "a peer hung up before it answered",
    "DIMSE timeout reached": "a peer did not answer in time",
    "ACSE timeout reached": "a peer did not answer in time",
    "Association Rejected": "a peer rejected an association",
    "Association Aborted": "a peer aborted an association",
    "No accepted presentation contexts": "a peer takes none of what it was offered",
    "Cancel ": "requests in hand were ended: the service was told to stop",
}
"""what libraries call an error, and is none of ours"""


_SAID_TWICE = ("Association request failed: unable to connect", "Result: ", "Reason: ")
"""what stands before or behind one of these, and tells of the same"""


_FLOODS = ("asyncio", "uvicorn.error", "overread.serve.web.connections")
"""who says the same as often as strangers make them"""
_SELDOM_S = 10.0
_MOST_SAID = 1000


class JsonLines(logging.Formatter):
    """A record as one line of JSON. Of a fault it tells the kind and the places in the code, not the words.

    What a library says of a file that it cannot read may hold what the file says.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        what = type(record.msg).__name__ if isinstance(record.msg, BaseException) else record.getMessage()
        level = record.levelname.lower()
        for said, words in _NO_FAULTS.items():
            if what.startswith(said):
                level, what = "warning", words
        if isinstance(record.msg, ssl.SSLError):
            level, what = (
                "warning",
                f"a peer and we do not agree on TLS: {record.msg.reason or type(record.msg).__name__}",
            )
        line: dict[str, object] = {"at": now(), "level": level, "what": _first_line(what)}
        line.update(getattr(record, "facts", {}))
        if record.exc_info and record.exc_info[1] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["fault"] = type(record.exc_info[1]).__name__
            line["places"] = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what a library says a second time: of a peer, or of a request that the service's stop ended."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    return not (record.name.startswith("pynetdicom") and record.getMessage().startswith(_SAID_TWICE))


class _Seldom(logging.Filter):
    """Holds back what was said in the last ten seconds, of those who may say it without an end."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, type | None], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record."""
        if record.name not in _FLOODS:
            return True
        said = _first_line(record.getMessage()), record.exc_info[0] if record.exc_info else None
        at = time.monotonic()
        if at - self._said.get(said, -_SELDOM_S) < _SELDOM_S:
            return False
        if len(self._said) == _MOST_SAID:
            self._said.clear()
        self._said[said] = at
        return True


def _first_line(words: str) -> str:
    """What stands below it in messages of asyncio's may be of anything."""
    return words.partition("\n")[0]


def ready_logs(stream: TextIO | None = None) -> None:
    """Send overread's log, and what the server complains of, to a stream: the error stream by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_is_news)
    handler.addFilter(_Seldom())
    for name, level in (
        ("overread", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("asyncio", logging.WARNING),
        ("pynetdicom", logging.ERROR),
        ("pydicom", logging.CRITICAL),  # what it cannot decode is told of by overread
        ("python_multipart", logging.CRITICAL),  # and what of a body cannot be taken apart
    ):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [handler], False
        logger.setLevel(level)
    # pydicom warns of odd values in their own words
    warnings.simplefilter("ignore")
