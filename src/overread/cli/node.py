"""`overread node`: a model as a DICOM node."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from overread.cli.flags import add_flags, given_flags
from overread.cli.serve import add_store
from overread.errors import SettingsError
from overread.settings import from_dict

ABOUT = """\
Takes images by C-STORE and says Success when they are kept. A study of which no
image came for --quiet-s seconds is complete: what the model says of it goes out
as a structured report (Comprehensive 3D SR, TID 1500) and as a capture with the
heatmap, in new series of the same study, until each destination has taken it.
Source images are never changed. Needs no torch."""
EXAMPLE = """\
overread node runs/first --send-to PACS@10.0.0.5:104
overread node runs/first --send-to https://pacs.local/dicom-web --quiet-s 30
overread node runs/first --bind 0.0.0.0 --allow-aet CT1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from overread.serve.limits import IntakeSettings
    from overread.serve.node import NodeSettings

    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    parser.add_argument(
        "--send-to",
        action="append",
        default=[],
        metavar="DEST",
        help="where results go, AETITLE@host:port or a DICOMweb address; may be given again",
    )
    parser.add_argument(
        "--send-auth",
        type=Path,
        metavar="FILE",
        help="what DICOMweb services ask for: lines of an address and Basic or Bearer with its value",
    )
    parser.add_argument(
        "--allow-aet", action="append", default=[], metavar="AET", help="who may call; may be repeated"
    )
    parser.add_argument(
        "--allow-address", action="append", default=[], metavar="NET", help="from where, as in 10.0.0.0/24"
    )
    add_store(parser)
    parser.add_argument("--engine", default="onnxruntime", help="what runs the network: onnxruntime, or openvino")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="a certificate (PEM): all connections use TLS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM)")
    parser.add_argument(
        "--tls-ca",
        type=Path,
        metavar="FILE",
        help="who signs the others' certificates (PEM); alone, it is for what is sent",
    )
    add_flags(parser, NodeSettings, title="the node")
    add_flags(parser, IntakeSettings, title="what is let in")


def run(args: argparse.Namespace) -> int:
    """Listen until stopped."""
    from overread.serve.limits import IntakeSettings
    from overread.serve.logs import ready_logs
    from overread.serve.model import ServedModel
    from overread.serve.node import Callers, NodeSettings
    from overread.serve.peers import TlsFiles, known_destinations, read_authorizations
    from overread.serve.station import Station
    from overread.serve.store import open_store

    settings = from_dict(NodeSettings, given_flags(args, NodeSettings))
    if bool(args.tls_cert) != bool(args.tls_key):
        raise SettingsError("--tls-cert and --tls-key go together. Give both.")
    authorizations = read_authorizations(args.send_auth) if args.send_auth else {}
    known_destinations(args.send_to, authorizations)
    ready_logs()
    station = Station(
        open_store(args.store, url=args.database),
        ServedModel(args.model, engine=args.engine, apart=True),
        settings,
        destinations=args.send_to,
        authorizations=authorizations,
        intake=from_dict(IntakeSettings, given_flags(args, IntakeSettings)),
        callers=Callers(aets=tuple(args.allow_aet), networks=tuple(args.allow_address)),
        tls=TlsFiles(cert=args.tls_cert, key=args.tls_key, ca=args.tls_ca) if args.tls_cert or args.tls_ca else None,
    )
    port = station.start()
    how = "over TLS" if args.tls_cert else "without TLS"
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    where = ", ".join(args.send_to) or "nowhere (--send-to)"
    print(
        f"overread listens as {settings.aet} on {host}:{port}, {how}; results go to {where}.",
        file=sys.stderr,
    )
    print(station.answerer.model.card.intended_use, file=sys.stderr)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    print("overread finishes what is in hand.", file=sys.stderr)
    station.stop()
    return 0
