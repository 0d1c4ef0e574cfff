"""The shared store: what it needs of its database, and what it does not."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from dbfirewall.approvals import store_sql
from dbfirewall.approvals.model import State
from dbfirewall.errors import StoreError
from tests.approvals.places import (
    ASKED,
    NOW,
    OPTIONS,
    TERMS,
    AnyStore,
    PostgresPlace,
    all_of,
    approved,
    asked,
    state_of,
    using,
)
from tests.support.postgres import Postgres


@pytest.fixture
def place(postgres: Postgres) -> PostgresPlace:
    """An empty database of the session's server."""
    postgres.create_database("store")
    return PostgresPlace(postgres.dsn("store"))


def test_durability_does_not_hang_on_the_database_s_settings(place: PostgresPlace) -> None:
    """Where the database says synchronous_commit = off, the store's sessions say on; and READ COMMITTED."""
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE store SET synchronous_commit = off")
        connection.execute("ALTER DATABASE store SET default_transaction_isolation = 'serializable'")
        connection.execute("ALTER DATABASE store SET search_path = elsewhere")

    def settings() -> store_sql.Steps[tuple[str, ...]]:
        names = ("synchronous_commit", "transaction_isolation", "search_path")
        answer = []
        for name in names:
            rows = yield "SELECT current_setting($1) AS value", (name,)
            answer.append(rows[0]["value"])
        return tuple(answer)

    async def work(store: AnyStore) -> None:
        for _ in range(3):
            assert await store.run(settings) == ("on", "read committed", "dbfirewall, pg_temp")

    using(place, work)


def test_a_firewall_that_vanished_holds_no_lock_for_long(place: PostgresPlace) -> None:
    """A session that stays idle in its transaction is ended by the server."""

    def setting() -> store_sql.Steps[str]:
        rows = yield "SELECT current_setting('idle_in_transaction_session_timeout') AS value", ()
        return str(rows[0]["value"])

    assert using(place, lambda store: store.run(setting)) == "5s"


def test_ordinary_rights_suffice(place: PostgresPlace, postgres: Postgres) -> None:
    """A login that may create its schema once, or that finds it made by somebody else with the rights it needs."""
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS keeper")
        connection.execute("CREATE ROLE keeper LOGIN PASSWORD 'hush'")
        connection.execute("GRANT CREATE ON DATABASE store TO keeper")
    theirs = PostgresPlace(postgres.dsn("store", "keeper", "hush"))
    request_id = using(theirs, approved)
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON DATABASE store FROM keeper")
    assert using(theirs, lambda store: state_of(store, request_id)) is State.APPROVED


def test_a_read_only_database(place: PostgresPlace) -> None:
    """A standby, or one that was set to be: `check` says so, and nothing is kept."""
    using(place, approved)
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE store SET default_transaction_read_only = on")

    async def work(store: AnyStore) -> None:
        assert "read-only" in await store.check()
        with pytest.raises(StoreError, match="read-only"):
            await store.submit(asked(agent="new"), TERMS, OPTIONS, NOW)

    using(place, work)


def test_another_encoding(postgres: Postgres) -> None:
    """What agents send in UTF-8 could not be kept: the database is refused."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS latin")
        connection.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc"
        )
    with pytest.raises(StoreError, match="encoding LATIN1; UTF8 is needed"):
        using(PostgresPlace(postgres.dsn("latin")), approved)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:hush@127.0.0.1:9/store",
        "postgresql://me:hush@[127.0.0.1/store",
        "postgresql://me:hush@127.0.0.1:x/store",
        "postgresql://me:hush@127.0.0.1/store?sslmode=nonsense",
    ],
)
def test_a_dsn_that_does_not_work(dsn: str) -> None:
    """A StoreError that does not show the password."""
    with pytest.raises(StoreError) as caught:
        using(PostgresPlace(dsn), approved)
    assert "hush" not in str(caught.value)


def test_a_wrong_password(postgres: Postgres) -> None:
    """What the server says of it."""
    with pytest.raises(StoreError, match="password authentication failed"):
        using(PostgresPlace(postgres.dsn("postgres", password="wrong")), approved)


def test_two_firewalls_make_the_schema_at_the_same_moment(place: PostgresPlace) -> None:
    """Both find it whole."""

    async def main() -> None:
        stores = [place.store() for _ in range(6)]
        await all_of([store.open() for store in stores])
        ids = await all_of([store.submit(ASKED, TERMS, OPTIONS, NOW) for store in stores])
        assert len({request.id for request, _ in ids}) == 1
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_refusals_cost_no_connection(place: PostgresPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with too many requests makes the store refuse, not reconnect."""
    monkeypatch.setattr(store_sql, "MAX_PENDING", 0)

    async def work(store: AnyStore) -> None:
        def pid() -> store_sql.Steps[int]:
            rows = yield "SELECT pg_backend_pid() AS pid", ()
            return int(rows[0]["pid"])

        before = await store.run(pid)
        for _ in range(5):
            with pytest.raises(StoreError, match="wait for a decision already"):
                await store.submit(ASKED, TERMS, OPTIONS, NOW)
        assert await store.run(pid) == before

    using(place, work)
