"""What a client takes (PS3.18 8.7.5), held against what is to be had: 406 in words where nothing fits.

Without an Accept header everything fits, and who names no transfer syntax takes the one that is stored: clients leave
both out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import parse_http_list

from fastapi import Request
from pydicom.filereader import read_file_meta_info
from python_multipart.multipart import parse_options_header

from overread.data.guard import guarded
from overread.errors import ImageError, ServiceError

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
MULTIPART = "multipart/related"
_UID = re.compile(r"[0-9.]{1,64}")
_QUALITY = re.compile(r"[01](\.\d*)?")
"""how gladly a client takes what it names (RFC 9110 12.4.2); 0 where it does not"""


@dataclass(frozen=True, kw_only=True)
class _Range:
    """One part of an Accept header."""

    kind: str
    """a media type, * in it for any"""
    inner: str
    """that of the parts of one in several parts"""
    syntax: str
    """the UID of a transfer syntax, or * for any"""
    quality: float
    """how gladly it is taken, above 0 and to 1"""

    def takes(self, kind: str, inner: str = DICOM) -> bool:
        return _fits(self.kind, kind) and (kind != MULTIPART or _fits(self.inner, inner))


@dataclass(frozen=True, kw_only=True)
class Form:
    """In what form a client gets frames."""

    kind: str
    syntax: str
    in_parts: bool

    @property
    def told(self) -> str:
        """What is told of each of them."""
        return f"{self.kind}; transfer-syntax={self.syntax}"


def check_taken(request: Request, *kinds: str) -> None:
    """Raise ServiceError (406) where a client takes none of these media types."""
    if not any(one.takes(kind) for one in _ranges(request) for kind in kinds):
        raise _not_acceptable(kinds[0])


def choose_kind(request: Request, *kinds: str) -> str:
    """The media type that a client takes most gladly, the first of equals. Raises ServiceError (406) for none."""
    ranges = _ranges(request)
    qualities = [max((one.quality for one in ranges if one.takes(kind)), default=0.0) for kind in kinds]
    if not any(qualities):
        raise _not_acceptable(" or ".join(kinds))
    return kinds[qualities.index(max(qualities))]


def choose_form(request: Request, paths: Sequence[Path], *, is_one: bool) -> str:
    """The media type in which a client gets objects: in parts, or one as it is where it is not taken in parts.

    Raises ServiceError (406) where neither is taken, or the transfer syntax of one of them is not.
    """
    stored: set[str] = set()
    for form in (MULTIPART, DICOM)[: 1 + is_one]:
        syntaxes = {one.syntax for one in _ranges(request) if one.takes(form)}
        if syntaxes and "*" not in syntaxes:
            stored = stored or {syntax_of(path) for path in paths}
        if "*" in syntaxes or (syntaxes and stored <= syntaxes):
            return form
    kinds = f'{MULTIPART}; type="{DICOM}"' + (f" or {DICOM}" if is_one else "")
    raise _not_acceptable(kinds + (f", in the transfer syntax {' or '.join(sorted(stored))}" if stored else ""))


def choose_frames(request: Request, forms: Sequence[tuple[str, str]], *, is_one: bool) -> Form:
    """The form in which a client gets frames: of what it wants most the first that is to be had.

    forms: media types and transfer syntaxes. Raises ServiceError (406) where the client takes none of them.
    """
    for one in sorted(_ranges(request), key=lambda one: -one.quality):
        for kind, syntax in forms:
            if one.syntax not in ("*", syntax):
                continue
            if one.takes(MULTIPART, kind) or (is_one and one.takes(kind)):
                return Form(kind=kind, syntax=syntax, in_parts=one.takes(MULTIPART, kind))
    if not forms:
        words = "Its pixels are compressed in a way of which single frames are not to be had. Retrieve the object."
        raise ServiceError(words, kind="not-acceptable", status=406)
    raise _not_acceptable(
        " or ".join(f'{MULTIPART}; type="{kind}"; transfer-syntax={syntax}' for kind, syntax in forms)
    )


def syntax_of(path: Path) -> str:
    """The UID of the transfer syntax of a file; empty where it does not say."""
    with suppress(ImageError), guarded(path):
        found = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
        return found if _UID.fullmatch(found) else ""
    return ""


def _ranges(request: Request) -> list[_Range]:
    text = ",".join(request.headers.getlist("accept"))
    found = []
    for one in parse_http_list(text if text.strip() else "*/*"):
        kind, options = _parse(one)
        # type="application/dicom; transfer-syntax=*", with the quotes around all of it, is sent as well
        inner, more = _parse(options.get("type", "*/*"))
        if quality := _quality(options.get("q", "1")):
            syntax = {**more, **options}.get("transfer-syntax", "*")
            found.append(_Range(kind=kind, inner=inner, syntax=syntax, quality=quality))
    return found


def _parse(text: str) -> tuple[str, dict[str, str]]:
    kind, options = parse_options_header(text)
    return kind.decode("latin-1"), {
        name.decode("latin-1"): value.decode("latin-1") for name, value in options.items()
    }


def _quality(text: str) -> float:
    return float(text) if _QUALITY.fullmatch(text) else 1.0


def _fits(pattern: str, kind: str) -> bool:
    return pattern in ("*/*", kind, f"{kind.split('/')[0]}/*")


def _not_acceptable(what: str) -> ServiceError:
    return ServiceError(f"It is to be had as {what}. Ask for that, or for */*.", kind="not-acceptable", status=406)
