"""A DICOM node: takes images by C-STORE, and says of each by a named status whether it is kept."""

from __future__ import annotations

import ipaddress
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.errors import ImageError, OverreadError, ServiceError, SettingsError
from overread.serve.peers import Status, TlsFiles
from overread.settings import between, setting

_log = logging.getLogger(__name__)
_MAX_PDU_BYTES = 131072
_KINDS = {"other-content": Status.DATA_SET_DOES_NOT_MATCH, "store-full": Status.OUT_OF_RESOURCES}


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """How the node is known, and who may speak to it. Flags are made of these."""

    aet: str = setting("OVERREAD", "AE title of this node")
    bind: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(11112, "port to listen on")
    quiet_s: float = setting(10.0, "a study is complete when no image of it came for so many seconds")
    max_associations: int = setting(16, "most associations at once")

    def __post_init__(self) -> None:
        if not (self.aet.strip() and len(self.aet) <= 16 and self.aet.isascii() and "\\" not in self.aet):
            raise SettingsError(f"--aet {self.aet!r} is no AE title: 1 to 16 plain characters (PS3.5 6.2).")
        between("port", self.port, 0, 65535)
        between("quiet-s", self.quiet_s, 0, 86400)
        between("max-associations", self.max_associations, 1, 1000)


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Who may call; nothing named: everybody."""

    aets: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise SettingsError(
                    f"--allow-address {network} is none; it is as in 10.0.0.5 or 10.0.0.0/24."
                ) from None

    def allows(self, address: str) -> bool:
        """Whether this address may call."""
        here = ipaddress.ip_address(address)
        return not self.networks or any(here in ipaddress.ip_network(network) for network in self.networks)


class Node:
    """Listens until it is stopped. `take` keeps a file, and raises an OverreadError where it cannot."""

    def __init__(
        self,
        settings: NodeSettings,
        take: Callable[[Path, str], None],
        *,
        incoming: Path,
        callers: Callers | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self.settings, self.take, self.incoming = settings, take, incoming
        self.callers, self.tls = callers or Callers(), tls
        self._server: Any = None

    def start(self) -> int:
        """Begin to listen, and return the port. Raises SettingsError where it cannot."""
        from pynetdicom import AE, _config, evt
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

        _config.STORE_RECV_CHUNKED_DATASET = True  # a data set goes to the disk as it comes, and not into memory
        ae = AE(ae_title=self.settings.aet)
        ae.maximum_pdu_size = _MAX_PDU_BYTES
        ae.maximum_associations = self.settings.max_associations
        ae.network_timeout = ae.dimse_timeout = 60
        ae.require_called_aet = True
        ae.require_calling_aet = list(self.callers.aets)
        ae.add_supported_context(Verification)
        for uid in image_classes():
            ae.add_supported_context(uid, list(transfer_syntaxes()))
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_C_ECHO, lambda event: Status.SUCCESS),
            (evt.EVT_C_STORE, self._on_store),
        ]
        secure = {"ssl_context": self.tls.context(server=True)} if self.tls else {}
        try:
            self._server = ae.start_server(
                (self.settings.bind, self.settings.port),
                block=False,
                evt_handlers=handlers,
                **secure,  # type: ignore[arg-type]
            )
        except OSError as fault:
            raise SettingsError(
                f"--port {self.settings.port} cannot be used: {fault.strerror}. Take another."
            ) from fault
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """End all associations, and listen no more."""
        if self._server is not None:
            self._server.shutdown()

    def _on_request(self, event: Any) -> None:
        """Reject who calls from an address that may not."""
        if not self.callers.allows(event.assoc.requestor.address):
            _log.warning("an association from an address that is not allowed was rejected")
            event.assoc.acse.send_reject(
                0x01, 0x01, 0x03
            )  # permanent, by the service user: calling AE not recognised
            event.assoc.kill()

    def _on_store(self, event: Any) -> int:
        """Keep one data set. Success is said when it would survive a power cut."""
        received = Path(event.dataset_path)
        path = self.incoming / received.name
        try:
            shutil.copyfile(received, path)
            self.take(path, str(event.assoc.requestor.ae_title).strip())
        except OverreadError as fault:
            status = status_of(fault)
            _log.warning("an image was refused with 0x%04X: %s", status, getattr(fault, "kind", "refused"))
            return status
        except OSError as fault:
            _log.error("an image could not be kept: %s", fault.strerror)
            return Status.OUT_OF_RESOURCES
        except Exception:
            _log.exception("an image could not be kept")
            return Status.CANNOT_UNDERSTAND
        finally:
            path.unlink(missing_ok=True)
        return Status.SUCCESS


def status_of(fault: OverreadError) -> Status:
    """The status that says why an image was refused."""
    kind = getattr(fault, "kind", "")
    if kind in _KINDS:
        return _KINDS[kind]
    if isinstance(fault, ServiceError) and fault.status >= 500:
        return Status.OUT_OF_RESOURCES
    return Status.CANNOT_UNDERSTAND if isinstance(fault, ImageError) else Status.OUT_OF_RESOURCES


def image_classes() -> Sequence[str]:
    """SOP classes of images, all that pynetdicom knows; what is no image is refused by not being among them."""
    from pydicom.uid import UID
    from pynetdicom import AllStoragePresentationContexts

    uids = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return [uid for uid in uids if "Image Storage" in UID(uid).name]


def transfer_syntaxes() -> Sequence[str]:
    """Transfer syntaxes that are read here, those without compression first."""
    from pydicom import uid as known
    from pydicom.pixels.decoders.base import get_decoder

    plain = [known.ExplicitVRLittleEndian, known.ImplicitVRLittleEndian, known.ExplicitVRBigEndian]
    plain.append(known.DeflatedExplicitVRLittleEndian)
    packed = [*known.JPEGTransferSyntaxes, *known.JPEGLSTransferSyntaxes, *known.JPEG2000TransferSyntaxes]
    return [*map(str, plain), *(str(uid) for uid in [*packed, known.RLELossless] if _is_read(get_decoder, uid))]


def _is_read(get_decoder: Callable[[Any], Any], uid: Any) -> bool:
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False
