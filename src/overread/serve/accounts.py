"""Who may come in: tokens that are shown once and kept hashed, and browsers that have shown one."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.errors import ServiceError, SettingsError
from overread.serve.tables import Account, Visit, now
from overread.serve.trail import record

ROLES = ("reader", "admin")
VISIT_HOURS = 12
_TOKEN = re.compile(r"ovr_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_TRUSTED_S = 30.0
_MOST_TRUSTED = 1000
_VERIFIED_AT_ONCE = 2
"""since a run of argon2 takes 64 MiB and a core"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who asks."""

    name: str
    role: str
    by: str
    """token, visit, or nobody where the service asks nobody who they are"""
    csrf: str = field(default="", repr=False)
    """what a page of ours must send along with a change; empty but for a visit"""


NOBODY = Person(name="local", role="admin", by="nobody")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A visit that has begun."""

    cookie: str = field(repr=False)
    person: Person


def add_account(session: Session, name: str, role: str) -> str:
    """Make an account, and return its token: nobody can see it again. Raises SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name[:64]!r} is no name: letters, digits, dots, dashes and @, at most 64.")
    if role not in ROLES:
        raise SettingsError(f"--role {role} is not known; it is one of {', '.join(ROLES)}.")
    if session.scalar(select(func.count()).select_from(Account).where(Account.name == name)):
        raise SettingsError(f"{name} has an account already, or had one. Choose another name.")
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    session.add(Account(name=name, role=role, key=key, secret_hash=_hasher().hash(secret), made_at=now()))
    record(session, who="command line", did="account made", subject=name, role=role)
    return f"ovr_{key}_{secret}"


def end_account(session: Session, name: str) -> None:
    """Take a token back, with all visits that began with it. Raises SettingsError."""
    account = session.scalars(select(Account).where(Account.name == name)).first()
    if account is None:
        raise SettingsError(f"{name[:64]!r} has no account here. See: overread token list")
    if account.ended_at:
        raise SettingsError(f"{name!r} has no account any more: it was ended on {account.ended_at[:10]}.")
    account.ended_at = now()
    for visit in session.scalars(select(Visit).where(Visit.account_id == account.id)):
        session.delete(visit)
    record(session, who="command line", did="account ended", subject=name)


def list_accounts(session: Session) -> list[Account]:
    """All accounts, those that were ended included, by name."""
    return list(session.scalars(select(Account).order_by(Account.name)))


def n_accounts(session: Session) -> int:
    """How many accounts are good."""
    return session.scalar(select(func.count()).select_from(Account).where(Account.ended_at == "")) or 0


def had_accounts(session: Session) -> bool:
    """Whether an account was ever made: from then on the service asks, though each may have been ended."""
    return session.scalars(select(Account.id).limit(1)).first() is not None


class Gate:
    """Knows people by their tokens. What was verified is believed for half a minute: argon2 is slow on purpose."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(_VERIFIED_AT_ONCE)
        """to be had before `who_is` is asked for a token that `recall` does not know"""
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, Person]] = OrderedDict()

    def recall(self, token: str) -> Person | None:
        """The person whose token was verified a moment ago."""
        with self._lock:
            until, person = self._known.get(_digest(token), (0.0, NOBODY))
        return person if time.monotonic() < until else None

    def was_right(self, token: str) -> bool:
        """Whether a token was right when it was last verified, however long ago."""
        return _digest(token) in self._known

    def who_is(self, session: Session, token: str) -> Person | None:
        """The person with this token, or None: a wrong key takes as long as a wrong secret."""
        if person := self.recall(token):
            return person
        found = _verify(session, token)
        with self._lock:
            self._known.pop(_digest(token), None)
            if found is not None:
                self._known[_digest(token)] = (time.monotonic() + _TRUSTED_S, found)
            while len(self._known) > _MOST_TRUSTED:
                self._known.popitem(last=False)
        return found


def begin_visit(session: Session, person: Person) -> Begun:
    """Let a browser in for some hours."""
    account = session.scalars(select(Account).where(Account.name == person.name, Account.ended_at == "")).first()
    if account is None:
        raise ServiceError("The token was taken back.", kind="unknown-token", status=401)
    for old in session.scalars(select(Visit).where(Visit.ends_at < now())):
        session.delete(old)
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    ends_at = (datetime.now(UTC) + timedelta(hours=VISIT_HOURS)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    session.add(Visit(account_id=account.id, cookie_sha256=_sha256(cookie), csrf=csrf, ends_at=ends_at))
    record(session, who=person.name, did="signed in")
    return Begun(cookie=cookie, person=Person(name=person.name, role=person.role, by="visit", csrf=csrf))


def who_visits(session: Session, cookie: str) -> Person | None:
    """The person whose browser has this cookie; None where its visit has ended."""
    row = session.execute(
        select(Account, Visit)
        .join(Visit, Visit.account_id == Account.id)
        .where(Visit.cookie_sha256 == _sha256(cookie), Visit.ends_at > now(), Account.ended_at == "")
    ).first()
    if row is None:
        return None
    account, visit = row
    return Person(name=account.name, role=account.role, by="visit", csrf=visit.csrf)


def end_visit(session: Session, cookie: str) -> None:
    """Sign out."""
    for visit in session.scalars(select(Visit).where(Visit.cookie_sha256 == _sha256(cookie))):
        session.delete(visit)


def _verify(session: Session, token: str) -> Person | None:
    found = _TOKEN.fullmatch(token)
    key, secret = found.groups() if found else ("", "")
    account = session.scalars(select(Account).where(Account.key == key, Account.ended_at == "")).first()
    try:
        _hasher().verify(account.secret_hash if account else _nobodys_hash(), secret)
    except (Argon2Error, InvalidHashError):
        return None
    return Person(name=account.name, role=account.role, by="token") if account else None


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(32))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
