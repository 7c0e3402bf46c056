"""Files under the hash of their content: whole or not there, and never written twice."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overread.disk import flush_folder, replacing
from overread.errors import ServiceError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Archive:
    """A folder of files. Names are hashes, so that nothing of what a sender says becomes a path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def receiving(self) -> Iterator[Path]:
        """Lend a path for what is coming in; it is gone afterwards, unless it was kept."""
        path = self.incoming / secrets.token_hex(16)
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def keep(self, path: Path) -> str:
        """Take a file over, and return the SHA-256 that finds it again. It is on the disk when this returns."""
        with path.open("rb+") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        kept = self.path_of(sha256)
        if kept.exists():
            path.unlink()
            return sha256
        made = not kept.parent.exists()
        kept.parent.mkdir(exist_ok=True)
        path.replace(kept)
        flush_folder(kept.parent)
        if made:
            flush_folder(self.folder)
        return sha256

    def keep_bytes(self, content: bytes) -> str:
        """Keep what is in memory."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.path_of(sha256).exists():
            with replacing(self.path_of(sha256)) as temporary:
                temporary.write_bytes(content)
        return sha256

    def path_of(self, sha256: str) -> Path:
        """Where a file lies, or would lie. Raises ServiceError for what is no hash."""
        if not _SHA256.fullmatch(sha256):
            raise ServiceError(f"{sha256[:80]!r} is no SHA-256.", kind="not-found", status=404)
        return self.folder / sha256[:2] / sha256

    def remove_unfinished(self) -> int:
        """Remove what a process that is gone had only half received; only for the one that starts first."""
        found = list(self.incoming.iterdir())
        for path in found:
            with suppress(OSError):
                path.unlink()
        return len(found)
