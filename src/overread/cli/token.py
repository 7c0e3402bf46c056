"""`overread token`: who may use a service."""

from __future__ import annotations

import argparse
import sys

from overread.cli.serve import add_store
from overread.errors import SettingsError

ABOUT = """\
Once a token was made, the service asks everybody for one, also when all were
ended: programs send it as Authorization: Bearer, people sign in with it on the
page. A token is shown once, when it is made, and kept hashed (argon2id).
Readers see everything and give readings; admins may also ask for other people's
uploads. A running service takes new tokens at once, and forgets ended ones
within half a minute; if it was started before the first, start it again."""
EXAMPLE = """\
overread token add dr-lee
overread token add pacs-bridge --role admin
overread token list
overread token end dr-lee"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("what", choices=("add", "list", "end"), help="what to do")
    parser.add_argument("name", nargs="?", metavar="NAME", help="whose token; for add and end")
    parser.add_argument("--role", default="reader", metavar="ROLE", help="reader or admin (default: reader)")
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    """Add, list or end."""
    from overread.serve.accounts import add_account, end_account, had_accounts, list_accounts
    from overread.serve.store import open_store

    if (args.name is None) != (args.what == "list"):
        words = "list takes no name" if args.name else f"{args.what} needs a NAME"
        raise SettingsError(f"{words}. Help: overread token --help")
    store = open_store(args.store, url=args.database, make=args.what == "add")
    try:
        with store.begin() as session:
            is_first = not had_accounts(session)
            if args.what == "add":
                token = add_account(session, args.name, args.role)
            elif args.what == "end":
                end_account(session, args.name)
            elif is_first:
                print("No account was ever made here. Make the first: overread token add NAME", file=sys.stderr)
            else:
                for account in list_accounts(session):
                    ended = f"ended {account.ended_at[:10]}" if account.ended_at else "good"
                    print(f"{account.name:24} {account.role:8} made {account.made_at[:10]}  {ended}")
    finally:
        store.close()
    if args.what == "add":
        print(token)
        print("Keep it: it is not shown again.", file=sys.stderr)
        if is_first:
            print("A service that runs already asks nobody for a token until it is started again.", file=sys.stderr)
    return 0
