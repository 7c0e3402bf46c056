from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from overread.errors import SettingsError
from overread.serve import accounts
from overread.serve.accounts import Gate, add_account, begin_visit, end_account, end_visit, n_accounts, who_visits
from overread.serve.store import Store, open_store
from overread.serve.tables import Account, Visit


def test_a_token_is_known_and_not_kept(store: Store) -> None:
    with store.begin() as session:
        token = add_account(session, "dr-lee", "reader")
    with store.read() as session:
        person = Gate().who_is(session, token)
        kept = session.scalars(select(Account)).one()
    assert person is not None
    assert (person.name, person.role, person.by) == ("dr-lee", "reader", "token")
    assert kept.secret_hash.startswith("$argon2id$")
    assert token.split("_", 2)[2] not in kept.secret_hash


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "x", lambda t: t[:-1] + "-", lambda t: "", str.upper]
)
def test_no_other_token_is(store: Store, change) -> None:  # type: ignore[no-untyped-def]
    with store.begin() as session:
        token = add_account(session, "dr-lee", "reader")
    wrong = change(token)
    with store.read() as session:
        assert wrong == token or Gate().who_is(session, wrong) is None


def test_an_ended_account_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    with store.begin() as session:
        token = add_account(session, "dr-lee", "reader")
        person = gate.who_is(session, token)
        assert person is not None
        begun = begin_visit(session, person)
        end_account(session, "dr-lee")
        assert who_visits(session, begun.cookie) is None
        assert n_accounts(session) == 0
        monkeypatch.setattr(accounts.time, "monotonic", lambda: 1e12)
        assert gate.who_is(session, token) is None
        with pytest.raises(SettingsError, match="another name"):
            add_account(session, "dr-lee", "admin")
        with pytest.raises(SettingsError, match="no account"):
            end_account(session, "dr-lee")


def test_a_visit_ends(store: Store) -> None:
    with store.begin() as session:
        add_account(session, "dr-lee", "reader")
        one, other = (begin_visit(session, _person()) for _ in range(2))
        assert one.cookie not in str([visit.cookie_sha256 for visit in session.scalars(select(Visit))])
        found = who_visits(session, one.cookie)
        assert found is not None
        assert found.csrf == one.person.csrf != other.person.csrf
        end_visit(session, one.cookie)
        assert who_visits(session, one.cookie) is None
        session.execute(text("update visit set ends_at = '2020'"))
        assert who_visits(session, other.cookie) is None


def _person() -> accounts.Person:
    return accounts.Person(name="dr-lee", role="reader", by="token")


@pytest.mark.parametrize(("name", "role"), [("", "reader"), ("a b", "reader"), ("x" * 65, "reader"), ("a", "king")])
def test_odd_names_and_roles_are_refused(store: Store, name: str, role: str) -> None:
    with pytest.raises(SettingsError), store.begin() as session:
        add_account(session, name, role)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("empty"))


def test_nothing_is_a_token_by_chance(empty: Store) -> None:
    gate = Gate()

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(st.text(max_size=200), st.from_regex(r"ovr_[0-9a-f]{16}_[\w-]{43}", fullmatch=True)))
    def check(token: str) -> None:
        with empty.read() as session:
            assert gate.who_is(session, token) is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", lambda: accounts.PasswordHasher(time_cost=1, memory_cost=8))
        accounts._nobodys_hash.cache_clear()
        check()
    accounts._nobodys_hash.cache_clear()
