"""A DICOM node: takes images by C-STORE, and says of each by a named status whether it is kept."""

from __future__ import annotations

import errno
import ipaddress
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.errors import ImageError, OverreadError, ServiceError, SettingsError
from overread.serve.contexts import image_classes, report_class, transfer_syntaxes
from overread.serve.peers import TlsFiles, is_ae_title
from overread.serve.statuses import Status
from overread.settings import between, setting

if TYPE_CHECKING:
    from overread.serve.notices import Notice

_log = logging.getLogger(__name__)
_KINDS = {
    "other-content": Status.DATA_SET_DOES_NOT_MATCH,
    "does-not-match": Status.DATA_SET_DOES_NOT_MATCH,
    "store-full": Status.OUT_OF_RESOURCES,
    "too-large": Status.TOO_LARGE,
    "too-many-frames": Status.TOO_LARGE,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """How the node is known, and who may speak to it. Flags are made of these."""

    aet: str = setting("OVERREAD", "AE title of this node")
    bind: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(11112, "port to listen on")
    quiet_s: float = setting(10.0, "a study is complete when no image of it came for so many seconds")
    max_associations: int = setting(16, "most associations at once")

    def __post_init__(self) -> None:
        _check_title("--aet", self.aet)
        if not self.bind.strip():
            raise SettingsError(
                "--bind is empty, which would be every address of this machine: that is 0.0.0.0 or ::."
            )
        between("port", self.port, 0, 65535)
        between("quiet-s", self.quiet_s, 0, 86400)
        between("max-associations", self.max_associations, 1, 1000)


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Who may call; nothing named: everybody."""

    aets: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for aet in self.aets:
            _check_title("--allow-aet", aet)
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise SettingsError(
                    f"--allow-address {network} is none; it is as in 10.0.0.5 or 10.0.0.0/24."
                ) from None

    def allows(self, address: str) -> bool:
        """Whether this address may call."""
        found = ipaddress.ip_address(address)
        here = getattr(found, "ipv4_mapped", None) or found  # as IPv4 comes to who listens at :: (RFC 4291 2.5.5.2)
        return not self.networks or any(here in ipaddress.ip_network(network) for network in self.networks)


class Node:
    """Listens until it is stopped. `take` keeps a file, and raises an OverreadError where it cannot.

    It is called from a thread of each association, and may move the file; what it leaves is removed. `announced`
    hears which images a study has, where a peer says so. max_bytes: of one data set.
    """

    def __init__(
        self,
        settings: NodeSettings,
        take: Callable[[Path, str], None],
        *,
        incoming: Path,
        callers: Callers | None = None,
        tls: TlsFiles | None = None,
        announced: Callable[[Notice], None] | None = None,
        max_bytes: int = 1 << 31,
    ) -> None:
        self.settings, self.take, self.incoming = settings, take, incoming
        self.callers, self.tls = callers or Callers(), tls
        self.announced, self.max_bytes = announced, max_bytes
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Begin to listen, and return the port. Raises SettingsError where it cannot."""
        from overread.serve.listening import Listener

        settings = self.settings
        context = self.tls.context(server=True) if self.tls and self.tls.cert else None
        try:
            self._server = self._entity().make_server(
                (settings.bind, settings.port),
                ssl_context=context,
                evt_handlers=self._handlers(),
                server_class=Listener,
                max_connections=2 * settings.max_associations,
                allows=self.callers.allows,
            )
        except OSError as fault:
            where = f"--bind {settings.bind} --port {settings.port}"
            raise SettingsError(f"{where} cannot be used: {fault.strerror}. Take another.") from fault
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="node", daemon=True)
        self._thread.start()
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Listen no more, let what is coming in come to an end for some seconds, and abort what is left."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()

    def _entity(self) -> Any:
        """Who this is, and what it takes."""
        from pynetdicom import AE
        from pynetdicom.sop_class import InstanceAvailabilityNotification, Verification  # type: ignore[attr-defined]

        from overread.serve.listening import MAX_PDU_BYTES
        from overread.serve.receiving import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION

        ae = AE(ae_title=self.settings.aet)
        ae.implementation_class_uid = IMPLEMENTATION_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION
        ae.maximum_pdu_size = MAX_PDU_BYTES
        ae.maximum_associations = self.settings.max_associations
        ae.network_timeout = ae.dimse_timeout = 60
        ae.require_called_aet = True
        ae.require_calling_aet = list(self.callers.aets)
        ae.add_supported_context(Verification)
        for uid in (*image_classes(), report_class()):
            ae.add_supported_context(uid, list(transfer_syntaxes()))
        if self.announced is not None:
            ae.add_supported_context(InstanceAvailabilityNotification)
        return ae

    def _handlers(self) -> list[Any]:
        from pynetdicom import evt

        return [
            (evt.EVT_CONN_OPEN, self._on_connection),
            (evt.EVT_CONN_CLOSE, _on_end),
            (evt.EVT_ABORTED, _on_end),
            (evt.EVT_C_ECHO, lambda event: Status.SUCCESS),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_CREATE, self._on_notice),
        ]

    def _on_connection(self, event: Any) -> None:
        """Have what comes go to the disk, within bounds."""
        from overread.serve.listening import bound
        from overread.serve.receiving import Receiver

        bound(event.assoc)
        event.assoc.dimse = Receiver(event.assoc, self.incoming, max_bytes=self.max_bytes)

    def _on_store(self, event: Any) -> Any:
        """Keep one data set. Success is said when it would survive a power cut."""
        spool = event.request.DataSet
        try:
            path = spool.finish()
            _check_match(path, event)
            self.take(path, str(event.assoc.requestor.ae_title).strip())
        except (OverreadError, OSError, MemoryError) as fault:
            status, why = status_of(fault), getattr(fault, "kind", type(fault).__name__)
            _log.warning("an image was refused with 0x%04X: %s", status, why)
            return _answer(status, f"overread: {why}")
        except Exception:
            _log.exception("an image could not be kept")
            return _answer(Status.PROCESSING_FAILURE, "overread: a fault of its own, see its log")
        finally:
            spool.discard()
        return Status.SUCCESS

    def _on_notice(self, event: Any) -> tuple[int, Any]:
        """Hear that all images of a study have been sent."""
        from pydicom import Dataset
        from pydicom.uid import generate_uid

        from overread.serve.notices import read_notice

        notice = read_notice(event.attribute_list)
        if notice is None or self.announced is None:
            return Status.MISSING_ATTRIBUTE, None
        self.announced(notice)
        made = Dataset()
        if event.request.AffectedSOPInstanceUID is None:
            made.AffectedSOPInstanceUID = generate_uid(prefix=None)
        return Status.SUCCESS, made


def _check_title(flag: str, aet: str) -> None:
    if not is_ae_title(aet):
        raise SettingsError(f"{flag} {aet!r} is no AE title: 1 to 16 plain characters (PS3.5 6.2).")


def status_of(fault: BaseException) -> Status:
    """The status that says why an image was refused.

    Out of resources and a processing failure tell the sender to keep it and to try again; the others, that the
    image is at fault.
    """
    cause = fault if isinstance(fault, OSError) else fault.__cause__
    # without a number it is a library's word for a file that it cannot read
    if isinstance(cause, OSError) and (cause is fault or cause.errno is not None):
        number = cause.errno
        return Status.OUT_OF_RESOURCES if number in _FULL else Status.PROCESSING_FAILURE
    kind = getattr(fault, "kind", "")
    if kind in _KINDS:
        return _KINDS[kind]
    if isinstance(fault, ImageError) or (isinstance(fault, ServiceError) and fault.status < 500):
        return Status.CANNOT_UNDERSTAND
    return Status.OUT_OF_RESOURCES


def _check_match(path: Path, event: Any) -> None:
    """Refuse a data set that is another one than the command says (PS3.4 B.2.3)."""
    from overread.data.dicom import load
    from overread.data.guard import guarded

    names = ["SOPClassUID", "SOPInstanceUID"]
    with guarded(path):  # quietly, too: what pydicom warns of it puts into words of the data set's
        found = load(path, pixels=False, specific_tags=names)
        both = [str(found.get(name, "")) for name in names]
    if both != [str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID)]:
        raise ServiceError(
            "A data set that was received has another SOP Class or Instance UID than its C-STORE says.",
            kind="does-not-match",
        )


def _answer(status: Status, comment: str) -> Any:
    """A status with a comment (PS3.7 C; LO, 64 characters at most)."""
    from pydicom import Dataset

    answer = Dataset()
    answer.Status = int(status)
    answer.ErrorComment = comment[:64]
    return answer


def _on_end(event: Any) -> None:
    """Leave nothing behind of an image that did not come whole."""
    from overread.serve.receiving import Receiver

    association = event.assoc
    if isinstance(association.dimse, Receiver):
        association.dimse.discard()
    if association.requestor.primitive is None:
        # who hung up without a word: pynetdicom would wait for one, and count this as an association meanwhile
        association.dul.to_user_queue.put(None)
