"""What a node takes: kinds of images, and the ways that these may be written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def image_classes() -> Sequence[str]:
    """SOP classes of images, all that pynetdicom knows but video; what is no image is refused by not being here."""
    from pydicom.uid import UID
    from pynetdicom import AllStoragePresentationContexts

    uids = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return [uid for uid in uids if "Image Storage" in UID(uid).name and not UID(uid).name.startswith("Video")]


def report_class() -> str:
    """The SOP class of overread's own reports, which come back where whole studies are forwarded."""
    from pydicom.uid import Comprehensive3DSRStorage

    return str(Comprehensive3DSRStorage)


def transfer_syntaxes() -> Sequence[str]:
    """Transfer syntaxes that are read here, those without compression first."""
    from pydicom import uid as known
    from pydicom.pixels.decoders.base import get_decoder

    plain = [known.ExplicitVRLittleEndian, known.ImplicitVRLittleEndian, known.ExplicitVRBigEndian]
    plain.append(known.DeflatedExplicitVRLittleEndian)
    # GDCM and Pillow decode JPEG Extended in 8 bits only: who has it in 12 should send it uncompressed
    extended = known.JPEGExtended12Bit
    packed = [
        *(uid for uid in known.JPEGTransferSyntaxes if uid != extended),
        *known.JPEGLSTransferSyntaxes,
        *known.JPEG2000TransferSyntaxes,
    ]
    return [*map(str, plain), *(str(uid) for uid in [*packed, known.RLELossless] if _is_read(get_decoder, uid))]


def _is_read(get_decoder: Callable[[Any], Any], uid: Any) -> bool:
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False
