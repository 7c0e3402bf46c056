"""Speaks to a DICOMweb service: Store Instances (STOW-RS) and Search for Instances (QIDO-RS)."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from overread.serve.statuses import Sent, outcome_of

CONNECT_S = 10
_PATIENCE_S = 60
_CHUNK_BYTES = 1 << 20
_MAX_ANSWER_BYTES = 1 << 22
_LATER = {401, 403, 404, 405, 407, 408, 425, 429}
"""the fault lies with the service, the address or the rights: mended there, a later try helps"""
_REFERENCED, _FAILED, _INSTANCE, _REASON = "00081199", "00081198", "00081155", "00081197"
_FOUND = "00080018"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    body: bytes


def store_instance(
    path: Path, url: str, *, instance: str, context: ssl.SSLContext | None = None, authorization: str = ""
) -> Sent:
    """Store one file, as it lies there (PS3.18 10.5). instance: its SOP Instance UID, which the answer names."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        "Accept": "application/dicom+json",
    }
    try:
        connection = _connect(url, context)
    except (OSError, ValueError) as fault:
        return Sent(outcome="again", said=f"no connection ({type(fault).__name__})", away=True)
    try:
        body = _parts(head, path, tail)
        answer = _ask(connection, "POST", url, "/studies", authorization, body=body, headers=headers)
    except (OSError, http.client.HTTPException, ValueError):
        return outcome_of(None)
    finally:
        connection.close()
    return _judge(answer, instance)


def has_instance(
    url: str, uids: Mapping[str, str], *, context: ssl.SSLContext | None = None, authorization: str = ""
) -> bool:
    """Whether the service says that it has an instance; False where it cannot be asked (PS3.18 10.6).

    `uids`: StudyInstanceUID and SOPInstanceUID.
    """
    where = f"/studies/{quote(uids['StudyInstanceUID'])}/instances?SOPInstanceUID={quote(uids['SOPInstanceUID'])}"
    try:
        connection = _connect(url, context)
    except (OSError, ValueError):
        return False
    try:
        answer = _ask(connection, "GET", url, where, authorization, headers={"Accept": "application/dicom+json"})
        return answer.status == 200 and _is_among(json.loads(answer.body), uids["SOPInstanceUID"])
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _connect(url: str, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """An open connection: what fails from here on may have reached the service."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = context or ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=CONNECT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
    connection.connect()
    if connection.sock is not None:
        connection.sock.settimeout(_PATIENCE_S)
    return connection


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    where: str,
    authorization: str,
    *,
    headers: dict[str, str],
    body: Any = None,
) -> _Answer:
    """No redirect is followed: urllib would make a GET of a POST, and call that a success."""
    if authorization:
        headers = {**headers, "Authorization": authorization}
    connection.request(method, urlsplit(url).path.rstrip("/") + where, body=body, headers=headers)
    response = connection.getresponse()
    return _Answer(status=response.status, body=response.read(_MAX_ANSWER_BYTES))


def _parts(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    yield tail


def _judge(answer: _Answer, instance: str) -> Sent:
    """What the service says: of this object where it does (PS3.18 10.5.3), else by the status of HTTP."""
    reason = _failure_reason(answer.body, instance)
    if reason is not None:
        return outcome_of(reason)
    said = f"HTTP {answer.status}"
    if answer.status in (200, 201, 202):
        return Sent(outcome="taken", said=said)
    if answer.status >= 500:
        return Sent(outcome="again", said=said, uncertain=True)
    is_elsewhere = 300 <= answer.status < 400
    if is_elsewhere or answer.status in _LATER:
        return Sent(outcome="again", said=f"{said}: is the address right?" if is_elsewhere else said, away=True)
    return Sent(outcome="refused", said=said)


def _failure_reason(body: bytes, instance: str) -> int | None:
    """Why this instance was not stored: a status as of C-STORE; None where it was, or the answer does not say."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    told = found[0] if isinstance(found, list) and found else found
    if not isinstance(told, dict) or instance in _instances(told, _REFERENCED):
        return None
    return _instances(told, _FAILED).get(instance)


def _instances(told: Mapping[str, Any], sequence: str) -> dict[str, int]:
    """UID and failure reason (0 where none is given) of each item; what has another form is passed over."""
    found: dict[str, int] = {}
    for item in _values(told, sequence):
        if isinstance(item, dict) and (uid := _values(item, _INSTANCE)):
            reason = _values(item, _REASON)
            found[str(uid[0])] = int(reason[0]) if reason and isinstance(reason[0], int) else 0x0110
    return found


def _is_among(found: Any, instance: str) -> bool:
    """Whether an object is one of those that were found: a service may look for nothing, and tell of others."""
    items = found if isinstance(found, list) else []
    return any(isinstance(item, dict) and instance in _values(item, _FOUND) for item in items)


def _values(told: Mapping[str, Any], tag: str) -> list[Any]:
    element = told.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
