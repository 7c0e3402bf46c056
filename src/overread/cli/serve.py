"""`overread serve`: a model behind HTTP, with a store of all that came in and all that was said."""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from pathlib import Path

from overread.cli.flags import add_flags, given_flags, whole_number
from overread.errors import SettingsError
from overread.settings import from_dict

ABOUT = """\
Takes DICOM files, pictures and zip archives over HTTP, answers with what
overread predict would say, and keeps both: images, answers, readers' words and
an audit trail, in the folder --store. Stopped or killed it goes on where it was
when it is started again. It listens on this machine alone. Needs no torch."""
EXAMPLE = """\
overread serve runs/first
overread serve runs/first --store /srv/overread --port 8765
overread serve runs/first --database postgresql://overread@localhost/overread"""
PORT = 8765
STORE = Path("overread-store")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Declare where the store is: the same for every verb that opens one."""
    parser.add_argument(
        "--store", type=Path, default=STORE, metavar="FOLDER", help=f"what is kept lies here (default: {STORE})"
    )
    parser.add_argument(
        "--database", metavar="URL", help="a PostgreSQL database for the rows (default: SQLite in the store)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from overread.serve.intake import IntakeSettings
    from overread.serve.jobs import JobSettings

    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    add_store(parser)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=whole_number, default=PORT, help=f"(default: {PORT})")
    parser.add_argument("--engine", default="onnxruntime", help="what runs the network: onnxruntime, or openvino")
    add_flags(parser, IntakeSettings, title="what is let in")
    add_flags(parser, JobSettings, title="how much at once")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    _check_listen(args.host, args.port)
    import uvicorn

    from overread.serve.intake import IntakeSettings
    from overread.serve.jobs import JobSettings
    from overread.serve.model import ServedModel
    from overread.serve.service import Service
    from overread.serve.store import open_store
    from overread.serve.web.app import make_app

    service = Service(
        open_store(args.store, url=args.database),
        ServedModel(args.model, engine=args.engine),
        from_dict(IntakeSettings, given_flags(args, IntakeSettings)),
        from_dict(JobSettings, given_flags(args, JobSettings)),
    )
    app = make_app(service)
    host = f"[{args.host}]" if ":" in args.host else args.host
    print(f"overread serves {service.model.name} on http://{host}:{args.port} (Ctrl-C stops it).", file=sys.stderr)
    for mark in service.model.card.marks:
        print(f"! {mark}", file=sys.stderr)
    print(service.model.card.intended_use, file=sys.stderr)
    uvicorn.run(app, host=args.host, port=args.port, log_level="warning", access_log=False, server_header=False)
    return 0


def _check_listen(host: str, port: int) -> None:
    """Refuse to be reached from elsewhere, and a port that is taken."""
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise SettingsError(
            f"--host {host} can be reached from other machines, and this service asks nobody who they are. "
            "Use 127.0.0.1, and put a reverse proxy that does before it."
        )
    if not 1 <= port <= 65535:
        raise SettingsError(f"--port {port} is out of range; it lies between 1 and 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise SettingsError(f"--port {port} cannot be used on {host}: {fault.strerror}. Take another.") from fault
