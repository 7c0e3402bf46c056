"""Hands a DICOM file to another system: by C-STORE, or to a DICOMweb service by STOW-RS."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from overread.errors import SettingsError

_AE = re.compile(r"(?P<aet>[^@\\\s][^@\\]{0,15})@(?P<host>[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})")
_PATIENCE_S = 30


class Status(IntEnum):
    """Statuses of C-STORE that are sent or understood (PS3.4 B.2.3, PS3.7 C)."""

    SUCCESS = 0x0000
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORISED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    COERCION_OF_DATA_ELEMENTS = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    WARNING_DATA_SET_DOES_NOT_MATCH = 0xB007


_TAKEN = {Status.SUCCESS, *(status for status in Status if status >> 12 == 0xB)}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where results go: an application entity, or the address of a DICOMweb service."""

    aet: str = ""
    host: str = ""
    port: int = 0
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Certificates for a connection; empty paths are not used."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def context(self, *, server: bool) -> ssl.SSLContext:
        """A context of these files. Raises SettingsError where they cannot be used."""
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        try:
            found = ssl.create_default_context(purpose, cafile=self.ca)
            if self.cert is not None:
                found.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as fault:
            raise SettingsError(
                f"The files of TLS cannot be used: {fault}. Check --tls-cert and --tls-key."
            ) from fault
        if server and self.ca is not None:
            found.verify_mode = ssl.CERT_REQUIRED
        return found


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a file."""

    outcome: str
    """taken; again, where a later try may help; or refused, where none will"""
    said: str
    """by the other side, in words without patients"""


def parse_destination(text: str) -> Destination:
    """`PACS@10.0.0.5:104`, or `https://pacs/dicom-web`. Raises SettingsError.

    >>> parse_destination("PACS@10.0.0.5:104").aet
    'PACS'
    """
    if re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", text):
        return Destination(url=text.rstrip("/"))
    found = _AE.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise SettingsError(
            f"--send-to {text} is no destination; it is AETITLE@host:port, or the http address of a DICOMweb service."
        )
    return Destination(aet=found["aet"].strip(), host=found["host"].strip("[]"), port=int(found["port"]))


def send(path: Path, destination: Destination, *, own_aet: str, tls: TlsFiles | None = None) -> Sent:
    """Send one file, as it lies there."""
    if destination.url:
        return _stow(path, destination.url, tls)
    return _c_store(path, destination, own_aet, tls)


def has(uid: str, destination: Destination, *, tls: TlsFiles | None = None) -> bool:
    """Whether a DICOMweb service says that it has an object; False where it cannot be asked."""
    if not destination.url:
        return False
    request = urllib.request.Request(
        f"{destination.url}/instances?SOPInstanceUID={uid}", headers={"Accept": "application/dicom+json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S, context=_context(destination.url, tls)) as answer:
            return bool(json.loads(answer.read() or b"[]"))
    except (OSError, ValueError):
        return False


def _c_store(path: Path, to: Destination, own_aet: str, tls: TlsFiles | None) -> Sent:
    from pydicom import dcmread
    from pynetdicom import AE

    dataset = dcmread(path)
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = ae.acse_timeout = ae.network_timeout = _PATIENCE_S
    ae.dimse_timeout = 2 * _PATIENCE_S
    ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    secure = {"tls_args": (tls.context(server=False), to.host)} if tls else {}
    association = ae.associate(to.host, to.port, ae_title=to.aet, **secure)  # type: ignore[arg-type]
    if not association.is_established:
        if association.is_rejected:
            return Sent(outcome="again", said="the association was rejected: does it know this AE title?")
        return Sent(outcome="again", said="no connection")
    try:
        if not association.accepted_contexts:
            return Sent(outcome="refused", said="it does not take this kind of object")
        answer = association.send_c_store(dataset)
    except ValueError:  # no accepted presentation context
        return Sent(outcome="refused", said="it does not take this kind of object")
    finally:
        association.release()
    return _outcome(answer.get("Status"))


def _outcome(status: int | None) -> Sent:
    if status is None:
        return Sent(outcome="again", said="the connection broke, or it did not answer in time")
    if status in _TAKEN:
        return Sent(outcome="taken", said=f"0x{status:04X}")
    is_full = status >> 8 == Status.OUT_OF_RESOURCES >> 8
    return Sent(outcome="again" if is_full else "refused", said=f"status 0x{status:04X}")


def _stow(path: Path, url: str, tls: TlsFiles | None) -> Sent:
    """Store Instances, PS3.18 10.5."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    request = urllib.request.Request(f"{url}/studies", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=2 * _PATIENCE_S, context=_context(url, tls)) as answer:
            return Sent(outcome="taken", said=str(answer.status))
    except urllib.error.HTTPError as fault:
        later = fault.code >= 500 or fault.code in (401, 403, 404, 408, 429)
        return Sent(outcome="again" if later else "refused", said=f"HTTP {fault.code}")
    except (OSError, ValueError):
        return Sent(outcome="again", said="no connection")


def _context(url: str, tls: TlsFiles | None) -> Any:
    return tls.context(server=False) if tls and url.startswith("https") else None
