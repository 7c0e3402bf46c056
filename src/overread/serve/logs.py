"""Logs: a line of JSON an event, without patients, UIDs or addresses of pages."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
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
        line: dict[str, object] = {"at": now(), "level": level, "what": what}
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


def ready_logs(stream: TextIO | None = None) -> None:
    """Send overread's log, and what the server complains of, to a stream: the error stream by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_is_news)
    for name, level in (
        ("overread", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("pynetdicom", logging.ERROR),
        ("pydicom", logging.CRITICAL),  # what it cannot decode is told of by overread
        ("python_multipart", logging.CRITICAL),  # and what of a body cannot be taken apart
    ):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [handler], False
        logger.setLevel(level)
    # pydicom warns of odd values in their own words
    warnings.simplefilter("ignore")
