"""Hands a DICOM file to another system: by C-STORE, or to a DICOMweb service by STOW-RS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from overread.errors import SettingsError
from overread.serve import stow
from overread.serve.statuses import Sent

if TYPE_CHECKING:
    from overread.serve.scu import Entity

_AE = re.compile(r"(?P<aet>[^@\s][^@]*)@(?P<host>[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_AUTHORIZATION = re.compile(r"(?P<url>https?://\S+)\s+(?P<said>(Basic|Bearer) [!-~]+)")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where results go: an application entity, or the address of a DICOMweb service."""

    aet: str = ""
    host: str = ""
    port: int = 0
    url: str = ""
    authorization: str = field(default="", repr=False)
    """what a DICOMweb service is told (RFC 9110 11.6.2): a secret"""


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Certificates for connections; empty paths are not used. Who has none of its own still sends over TLS."""

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
                f"The files of TLS cannot be used: {fault}. Check --tls-cert, --tls-key and --tls-ca."
            ) from fault
        found.minimum_version = ssl.TLSVersion.TLSv1_2  # BCP 195, as PS3.15 asks
        if server and self.ca is not None:
            found.verify_mode = ssl.CERT_REQUIRED
        return found


def is_ae_title(text: str) -> bool:
    """Whether it is an AE title: 1 to 16 plain characters, not all of them spaces (PS3.5 6.2)."""
    return bool(_TITLE.fullmatch(text) and text.strip())


def parse_destination(text: str) -> Destination:
    """`PACS@10.0.0.5:104`, or `https://pacs/dicom-web`. Raises SettingsError.

    >>> parse_destination("PACS@10.0.0.5:104").aet
    'PACS'
    """
    if re.match(r"https?://[^/]*@", text):
        raise SettingsError(
            "--send-to has a user's name or password in its address, which others on this machine can read. Leave "
            "them out, and give --send-auth."
        )
    if _is_url(text):
        return Destination(url=text.rstrip("/"))
    found = _AE.fullmatch(text)
    if found is None or not is_ae_title(found["aet"]) or not 0 < int(found["port"]) < 65536:
        raise SettingsError(
            f"--send-to {text} is no destination; it is AETITLE@host:port, or the http address of a DICOMweb service."
        )
    return Destination(aet=found["aet"].strip(), host=found["host"].strip("[]"), port=int(found["port"]))


def known_destinations(texts: Iterable[str], authorizations: Mapping[str, str]) -> dict[str, Destination]:
    """Destinations by what they are called, with what each is told. Raises SettingsError.

    authorizations: of `read_authorizations`.
    """
    found = {text: parse_destination(text) for text in texts}
    if strangers := authorizations.keys() - {one.url for one in found.values()}:
        raise SettingsError(f"--send-auth tells {', '.join(sorted(strangers))} something, which is no --send-to.")
    return {
        text: replace(one, authorization=authorizations.get(one.url, "")) if one.url else one
        for text, one in found.items()
    }


def read_authorizations(path: Path) -> dict[str, str]:
    """What DICOMweb services are told to be let in, by their address. Raises SettingsError, which tells no secret."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as fault:
        why = getattr(fault, "strerror", "") or "it is no text"
        raise SettingsError(f"--send-auth {path} cannot be read: {why}. Check the path.") from fault
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        said = _AUTHORIZATION.fullmatch(line.strip())
        if said is None:
            raise SettingsError(
                f"--send-auth {path}, line {number}, is not an address and Basic or Bearer with its value, as in: "
                "https://pacs.local/dicom-web Basic dXNlcjp3b3Jk"
            )
        found[parse_destination(said["url"]).url] = said["said"]
    return found


def _is_url(text: str) -> bool:
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def send(path: Path, destination: Destination, *, own_aet: str, tls: TlsFiles | None = None) -> Sent:
    """Send one file, as it lies there."""
    if destination.url:
        instance = uids_of(path)["SOPInstanceUID"]
        return stow.store_instance(
            path,
            destination.url,
            instance=instance,
            context=_context(destination, tls),
            authorization=destination.authorization,
        )
    from overread.serve.scu import store

    return store(path, _entity(destination, own_aet, tls))


def has(path: Path, destination: Destination, *, own_aet: str, tls: TlsFiles | None = None) -> bool:
    """Whether the other side says that it has the object of this file; False where it cannot be asked.

    A DICOMweb service is asked by QIDO-RS, an application entity by C-FIND.
    """
    uids = uids_of(path)
    if destination.url:
        return stow.has_instance(
            destination.url, uids, context=_context(destination, tls), authorization=destination.authorization
        )
    from overread.serve.scu import find

    return find(_entity(destination, own_aet, tls), uids)


def uids_of(path: Path) -> dict[str, str]:
    """The UIDs that a file is found again by."""
    from pydicom import dcmread

    dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_UIDS))
    return {name: str(dataset[name].value) for name in _UIDS}


def _entity(to: Destination, own_aet: str, tls: TlsFiles | None) -> Entity:
    from overread.serve.scu import Entity

    return Entity(aet=to.aet, host=to.host, port=to.port, own_aet=own_aet, context=_context(to, tls))


def _context(to: Destination, tls: TlsFiles | None) -> ssl.SSLContext | None:
    return tls.context(server=False) if tls and not to.url.startswith("http:") else None
