"""The site's own key: by it patients are told apart, and without it nobody can find them again."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from overread.disk import write_once
from overread.errors import SettingsError

_BYTES = 32
_SHOWN = 16


@dataclass(frozen=True)
class SiteKey:
    """The key of one site."""

    secret: bytes = field(repr=False)

    def hash_patient(self, patient_id: str | None) -> str:
        """A name for a patient that leads back to nobody without the key; empty where the ID is unknown."""
        text = (patient_id or "").strip()
        if not text:
            return ""
        return hmac.new(self.secret, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:_SHOWN]


def may_be_hash(patient: str) -> bool:
    """Whether a patient's name in the store has the form of a hash, so that somebody's key made it."""
    return re.fullmatch(rf"[0-9a-f]{{{_SHOWN}}}", patient) is not None


def read_key(path: Path, *, is_needed: Callable[[], bool] = lambda: False) -> SiteKey:
    """The key in a file that only its owner may read; made where it is not there.

    is_needed: whether hashes rest on it already. A new key would lead to none of them: then it is not made. Raises
    SettingsError.
    """
    # looked for again: another process may have made it, and hashed with it, since
    if not path.exists() and is_needed() and not path.exists():
        raise SettingsError(
            f"{path} is not there, and patients were hashed with it: by another one they are not found again. "
            "Bring it back from a backup."
        )
    try:
        if not path.exists():
            write_once(path, secrets.token_hex(_BYTES) + "\n")
    except OSError as fault:
        raise SettingsError(f"{path} cannot be written: {fault.strerror}. Check the store's folder.") from fault
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as fault:
        raise SettingsError(
            f"{path} is no site key. Bring it back from a backup: patients' hashes rest on it."
        ) from fault
    if len(secret) != _BYTES:
        raise SettingsError(f"{path} holds {len(secret)} bytes and not {_BYTES}. Bring it back from a backup.")
    return SiteKey(secret)
