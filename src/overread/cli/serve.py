"""`overread serve`: a model behind HTTP, with a store of all that came in and all that was said."""

from __future__ import annotations

import argparse
import ipaddress
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path

from overread.cli.flags import add_flags, given_flags, number, whole_number
from overread.errors import SettingsError
from overread.settings import between, from_dict

ABOUT = """\
Takes DICOM files, pictures and zip archives over HTTP, answers with what
overread predict would say, and keeps both: images, answers, readers' words
and an audit trail, in the folder --store. Stopped or killed, it goes on where
it was when it is started again. It listens on this machine alone, unless
people must show a token: overread token. Needs no torch."""
EXAMPLE = """\
overread serve runs/first
overread serve runs/first --store /srv/overread --port 8765
overread serve runs/first --host 0.0.0.0 --tls-cert a.pem --tls-key a.key
overread serve runs/first --database postgresql://overread@db/overread"""
PORT = 8765
STORE = Path("overread-store")
_PATIENCE_S = 10
"""for a request in hand, where the service is told to stop"""
_NOT_STARTED = 3


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
    from overread.serve.jobs import JobSettings
    from overread.serve.limits import IntakeSettings

    parser.add_argument("model", type=Path, metavar="MODEL", help="a model folder that overread train wrote")
    add_store(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="an address to listen on; others than 127.0.0.1 (the default) need tokens"
    )
    parser.add_argument("--port", type=whole_number, default=PORT, help=f"(default: {PORT})")
    parser.add_argument("--engine", default="onnxruntime", help="what runs the network: onnxruntime, or openvino")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="a certificate (PEM): then it is https")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM)")
    parser.add_argument(
        "--requests-per-s",
        type=number,
        default=200.0,
        metavar="X",
        help="requests that one address may make in the long run (default: 200)",
    )
    add_flags(parser, IntakeSettings, title="what is let in")
    add_flags(parser, JobSettings, title="how much at once")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    _check_tls(args)
    between("requests-per-s", args.requests_per_s, 1, 100_000)
    import uvicorn

    from overread.serve.accounts import had_accounts, n_accounts
    from overread.serve.jobs import JobSettings
    from overread.serve.limits import IntakeSettings
    from overread.serve.logs import ready_logs
    from overread.serve.model import ServedModel
    from overread.serve.service import Service
    from overread.serve.store import open_store
    from overread.serve.web.app import make_app
    from overread.serve.web.connections import SILENCE_S, Connection, open_doors

    store = open_store(args.store, url=args.database)
    with store.read() as session:
        asks, is_shut = had_accounts(session), n_accounts(session) == 0
    _check_listen(args, asks=asks)
    service = Service(
        store,
        ServedModel(args.model, engine=args.engine, apart=True),
        from_dict(IntakeSettings, given_flags(args, IntakeSettings)),
        from_dict(JobSettings, given_flags(args, JobSettings)),
    )
    app = make_app(service, asks=asks, per_s=args.requests_per_s)
    host = f"[{args.host}]" if ":" in args.host else args.host
    address = f"http{'s' if args.tls_cert else ''}://{host}:{args.port}"
    whom = "whoever has a token" if asks else "whoever is on this machine"
    print(f"overread serves {service.model.name} on {address} to {whom} (Ctrl-C stops it).", file=sys.stderr)
    if asks and is_shut:
        print(
            "! Every token was ended, so that nobody can come in. Make one: overread token add NAME", file=sys.stderr
        )
    for mark in service.model.card.marks:
        print(f"! {mark}", file=sys.stderr)
    print(service.model.card.intended_use, file=sys.stderr)
    ready_logs()
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(SILENCE_S),
        timeout_graceful_shutdown=_PATIENCE_S,
        ssl_certfile=args.tls_cert,
        ssl_keyfile=args.tls_key,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # which comes again when the service has stopped
        server.run(open_doors(args.host, args.port))
    return 0 if server.started else _NOT_STARTED


def _check_listen(args: argparse.Namespace, *, asks: bool) -> None:
    """Refuse to be reached from elsewhere by people whom nobody asks who they are, and a port that is taken."""
    try:
        is_here = args.host == "localhost" or ipaddress.ip_address(args.host).is_loopback
    except ValueError:
        is_here = False
    if not is_here and not asks:
        raise SettingsError(
            f"--host {args.host} can be reached from other machines, and the store knows nobody who may come in. "
            "Make a token first: overread token add NAME"
        )
    if not is_here and not args.tls_cert:
        print("! Without --tls-cert and --tls-key, tokens and images cross the network in the open.", file=sys.stderr)
    if not 1 <= args.port <= 65535:
        raise SettingsError(f"--port {args.port} is out of range; it lies between 1 and 65535.")
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((args.host, args.port))
        except OSError as fault:
            raise SettingsError(
                f"--port {args.port} cannot be used on {args.host}: {fault.strerror}. Take another."
            ) from fault


def _check_tls(args: argparse.Namespace) -> None:
    """Refuse a certificate and a key that are not there, or do not fit each other."""
    if bool(args.tls_cert) != bool(args.tls_key):
        raise SettingsError("--tls-cert and --tls-key go together. Give both.")
    if args.tls_cert:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(args.tls_cert, args.tls_key)
        except (OSError, ssl.SSLError) as fault:
            raise SettingsError(
                f"--tls-cert {args.tls_cert} and --tls-key {args.tls_key} cannot be used together: {fault}."
            ) from fault
