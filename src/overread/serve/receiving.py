"""Receives what a peer sends: data sets straight onto the disk, as they come, and no more than is allowed."""

from __future__ import annotations

import io
import secrets
import weakref
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydicom.uid import UID
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from overread.errors import ServiceError

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import P_DATA

IMPLEMENTATION_UID = "2.25.185723175159198830522430987807812278779"
IMPLEMENTATION_VERSION = f"OVERREAD_{version('overread')}"[:16]
_MAX_COMMAND_BYTES = 1 << 16
_MAX_IN_MEMORY_BYTES = 1 << 21
"""of a data set that is no image: a notice of 12,000 images"""
_MAX_WAITING = 4


class Spool(io.BytesIO):
    """Stands where pynetdicom gathers a data set in memory, and writes that of a C-STORE to a file instead.

    pynetdicom has a switch for as much. It is one for the whole process, writes to the system's temporary folder,
    knows no limit, leaves the file behind where the peer hangs up, and dies of a full disk without an answer.
    What goes wrong here is kept as `fault`, and what still comes is dropped: then a status can say it.
    """

    def __init__(self, folder: Path, *, head: Callable[[], bytes | None], max_bytes: int) -> None:
        super().__init__()
        self._folder, self._head, self._max_bytes = folder, head, max_bytes
        self._file: BinaryIO | None = None
        self._begun, self._n_bytes = False, 0
        self.path: Path | None = None
        self.fault: OSError | ServiceError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Add a fragment."""
        self._n_bytes += len(data)
        try:
            if not self._begun:
                self._begin()
            if self.fault is None:
                self._add(data)
        except OSError as fault:
            self.discard()
            self.fault = fault
        return len(data)

    def _begin(self) -> None:
        self._begun = True
        head = self._head()
        if head is None:
            self._max_bytes = min(self._max_bytes, _MAX_IN_MEMORY_BYTES)
            return
        self.path = self._folder / secrets.token_hex(16)
        self._file = self.path.open("wb", buffering=1 << 18)
        weakref.finalize(self, _remove, self._file, self.path)
        self._file.write(head)

    def _add(self, data: bytes) -> None:
        if self._n_bytes > self._max_bytes:
            self.discard()
            self.fault = ServiceError(
                f"A data set has more than {self._max_bytes / 1e6:.0f} MB, and no more are taken. "
                "Raise --max-file-mb where it should be.",
                kind="too-large",
                status=413,
            )
        elif self._file is None:
            super().write(data)
        else:
            self._file.write(data)

    def finish(self) -> Path:
        """The file, whole. Raises ServiceError or OSError where it could not be received, or is none."""
        if self.fault is None and self._file is not None:
            self._file.close()
        if self.fault is not None:
            raise self.fault
        if self.path is None:
            raise ServiceError("A C-STORE without a data set was received.", kind="empty")
        return self.path

    def discard(self) -> None:
        """Remove the file, if it is still there."""
        if self._file is not None and self.path is not None:
            _remove(self._file, self.path)


class Receiver(DIMSEServiceProvider):
    """Puts messages together for one association, within bounds."""

    def __init__(self, association: Association, folder: Path, *, max_bytes: int) -> None:
        super().__init__(association)
        self._folder, self._max_bytes = folder, max_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Add fragments to the message that is coming in. A peer that keeps to no bounds loses its association."""
        known = {context.context_id for context in self.assoc.accepted_contexts}
        if any(context not in known for context, _ in primitive.presentation_data_value_list):
            self._hang_up()
            return
        if self.message is None:
            if self.msg_queue.qsize() > _MAX_WAITING:  # no more than one operation at once was negotiated
                self._hang_up()
                return
            message = self.message = DIMSEMessage()
            message.data_set = Spool(self._folder, head=lambda: self._head(message), max_bytes=self._max_bytes)
        if self.message.encoded_command_set.tell() > _MAX_COMMAND_BYTES:
            self._hang_up()
            return
        super().receive_primitive(primitive)

    def discard(self) -> None:
        """Remove what came in of a message that will not be whole."""
        if self.message is not None and isinstance(self.message.data_set, Spool):
            self.message.data_set.discard()

    def _hang_up(self) -> None:
        self.discard()
        self.message = None
        self.dul.event_queue.put("Evt19")  # as for an invalid PDU: abort (PS3.8 9.2)

    def _head(self, message: DIMSEMessage) -> bytes | None:
        """What a file begins with (PS3.10 7.1), before the data set as it came; None where this is no C-STORE."""
        if not isinstance(message, C_STORE_RQ):
            return None
        command = message.command_set
        syntaxes = {context.context_id: context.transfer_syntax for context in self.assoc.accepted_contexts}
        meta = create_file_meta(
            sop_class_uid=UID(command.get("AffectedSOPClassUID", "")),
            sop_instance_uid=UID(command.get("AffectedSOPInstanceUID", "")),
            transfer_syntax=syntaxes[message.context_id][0],
            implementation_uid=UID(IMPLEMENTATION_UID),
            implementation_version=IMPLEMENTATION_VERSION,
        )
        return bytes(128) + b"DICM" + encode_file_meta(meta)


def _remove(file: BinaryIO, path: Path) -> None:
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        path.unlink(missing_ok=True)
