"""Speaks to an application entity: C-STORE of a file, and C-FIND of one object."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from overread.serve.statuses import Sent, outcome_of

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.transport import AssociationSocket

_CONNECT_S = 10
_PATIENCE_S = 30
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, kw_only=True)
class Entity:
    """An application entity, and how it is spoken to."""

    aet: str
    host: str
    port: int
    own_aet: str
    context: ssl.SSLContext | None = None


def store(path: Path, to: Entity) -> Sent:
    """Send one file. It stays as it is but for the order of its bytes where it is not compressed."""
    dataset = dcmread(path)
    own = UID(dataset.file_meta.TransferSyntaxUID)
    association = _associate(to, dataset.SOPClassUID, _offered(own))
    if isinstance(association, Sent):
        return association
    try:
        return outcome_of(association.send_c_store(dataset).get("Status"))
    except ValueError:
        # no presentation context of this association fits
        return Sent(outcome="refused", said=f"it does not take this kind of object as {own.name}")
    except RuntimeError:
        # the association was gone before the object was sent
        return Sent(outcome="again", said="the connection broke", away=True)
    finally:
        _end(association)


def find(to: Entity, uids: Mapping[str, str]) -> bool:
    """Whether it says that it has an instance; False where it cannot be asked (PS3.4 C.4.1, Study Root).

    `uids`: StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID.
    """
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find  # type: ignore[attr-defined]

    wanted = Dataset()
    wanted.QueryRetrieveLevel = "IMAGE"
    for name, uid in uids.items():
        setattr(wanted, name, uid)
    association = _associate(to, Find, [ImplicitVRLittleEndian])
    if isinstance(association, Sent):
        return False
    try:
        matches = [
            found for status, found in association.send_c_find(wanted, Find) if status.get("Status") in _PENDING
        ]
        return any(found is not None and found.get("SOPInstanceUID") == uids["SOPInstanceUID"] for found in matches)
    except (ValueError, RuntimeError):
        return False
    finally:
        _end(association)


def _offered(own: UID) -> Sequence[UID]:
    """Its own transfer syntax; where it is not compressed, also the one that every system takes (PS3.5 10.1)."""
    if own.is_encapsulated or own.is_deflated:
        return [own]
    return list(dict.fromkeys([own, ExplicitVRLittleEndian, ImplicitVRLittleEndian]))


def _associate(to: Entity, sop_class: str, syntaxes: Sequence[UID]) -> Association | Sent:
    """An association, or what to make of there being none."""
    from pynetdicom import AE

    from overread.serve.sockets import close_whole

    class Caller(AE):
        def _create_socket(self, *args: Any) -> AssociationSocket:
            connection = super()._create_socket(*args)
            close_whole(connection)
            return connection

    ae = Caller(ae_title=to.own_aet)
    ae.connection_timeout = _CONNECT_S
    ae.acse_timeout = ae.network_timeout = _PATIENCE_S
    ae.dimse_timeout = 2 * _PATIENCE_S
    ae.add_requested_context(sop_class, list(syntaxes))
    secure: dict[str, Any] = {"tls_args": (to.context, to.host)} if to.context else {}
    try:
        association = ae.associate(to.host, to.port, ae_title=to.aet, **secure)
    except OSError:  # a name that no address belongs to
        return Sent(outcome="again", said="no connection: the name of the host is not known", away=True)
    if association.is_established:
        return association
    if association.is_rejected:
        return Sent(outcome="again", said=f"the association was rejected: {_why(association)}", away=True)
    if association.rejected_contexts:
        return Sent(outcome="refused", said="it does not take this kind of object")
    return Sent(outcome="again", said="no connection", away=True)


def _why(association: Association) -> str:
    told = association.acceptor.primitive
    reason = str(getattr(told, "reason_str", "")).lower()
    return reason or "does it know this AE title?"


def _end(association: Association) -> None:
    """Release, and wait for the threads: else each file would leave two behind for a while."""
    association.release()
    association.join(timeout=_PATIENCE_S)
