"""The shared store: what it needs of its database, and how it fares when that is down, silent, or cuts it off."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from dbfirewall.approvals import postgres as postgres_module
from dbfirewall.approvals import store_sql
from dbfirewall.approvals.model import State
from dbfirewall.approvals.postgres import PostgresStore
from dbfirewall.errors import StoreError
from tests.approvals.office import Office, eventually, running, working
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
    granted,
    opened,
    state_of,
    using,
)
from tests.support.embedded import EmbeddedPostgres
from tests.support.ports import free_port
from tests.support.postgres import Postgres


@pytest.fixture
def place(postgres: Postgres) -> PostgresPlace:
    """An empty database of the session's server."""
    postgres.create_database("store")
    return PostgresPlace(postgres.dsn("store"))


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that these tests may end and start again."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture
def own_place(own_server: EmbeddedPostgres) -> PostgresPlace:
    """An empty database of it."""
    where = f"{own_server.superuser}:{own_server.password}@{own_server.host}:{own_server.port}"
    with psycopg.connect(f"postgresql://{where}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS store WITH (FORCE)")
        connection.execute("CREATE DATABASE store")
    return PostgresPlace(f"postgresql://{where}/store")


def kill(server: EmbeddedPostgres) -> None:
    """End the server as a crash does."""
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGQUIT)
    process.wait(30)


def start_again(server: EmbeddedPostgres) -> None:
    """With the data it had. In this thread: the server ends with the one that started it."""
    server._launch(server._programs if os.geteuid() else server._reachable_binaries())


def processes(server: EmbeddedPostgres) -> list[int]:
    """The postmaster, which starts no more after that, and all that it has started."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


def test_down_and_back(own_server: EmbeddedPostgres, own_place: PostgresPlace) -> None:
    """While the database is away, everything raises StoreError and says why; then all goes on, waiters included."""

    async def work(office: Office) -> None:
        request_id = await office.approved()
        pending = await office.ready(asked(sql=b"2"))
        wait = office.tasks.spawn("wait", office.approvals.wait(pending.id, 60))
        kill(own_server)
        with pytest.raises(StoreError):
            await office.approvals.begin_release(request_id, "7")
        with pytest.raises(StoreError):
            await office.submit(asked(sql=b"3"))
        assert office.approvals.available != ""
        start_again(own_server)
        await eventually(lambda: office.approvals.available == "")
        async with running(own_place, instance="there") as other:
            await other.approve(pending)
        assert (await wait).state is State.APPROVED
        assert await office.approvals.begin_release(request_id, "7") is not None

    working(own_place, work)


def test_down_at_the_start(own_server: EmbeddedPostgres, own_place: PostgresPlace) -> None:
    """The service starts all the same, and opens the store once it is there."""
    kill(own_server)

    async def work(office: Office) -> None:
        assert office.approvals.available != ""
        with pytest.raises(StoreError):
            await office.submit()
        start_again(own_server)
        await eventually(lambda: office.approvals.available == "")
        assert (await office.submit()).state is State.PENDING

    working(own_place, work)


def test_a_restart_between_two_methods_is_not_noticed(
    own_server: EmbeddedPostgres, own_place: PostgresPlace
) -> None:
    """Connections that broke while they were idle are replaced."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        await all_of([store.count() for _ in range(8)])  # all connections are there
        kill(own_server)
        start_again(own_server)
        done = await all_of([store.begin_release(request_id, str(n), "", NOW) for n in range(8)])
        assert sum(one is not None for one in done) == 1

    using(own_place, work)


def test_a_server_that_hangs(own_server: EmbeddedPostgres, own_place: PostgresPlace) -> None:
    """Nobody waits longer than the limit; what was under way comes to one end or the other, once."""

    async def main() -> None:
        store = PostgresStore(own_place.dsn, answer_seconds=1.0)
        await store.open()
        request_id = await approved(store)
        halted = processes(own_server)
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        try:
            tries = [store.begin_release(request_id, str(n), "", NOW) for n in range(6)]
            answers = await asyncio.gather(*tries, return_exceptions=True)
            assert {type(answer) for answer in answers} == {StoreError}
        finally:
            for pid in halted:
                os.kill(pid, signal.SIGCONT)
        while True:
            if await store.check() == "":
                break
        assert await state_of(store, request_id) in (State.APPROVED, State.RELEASING)
        await store.close()

    asyncio.run(main())


class Cut:
    """Ends connections at a chosen statement: before the server has it, or after it has answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, word: str, *, after: bool, times: int = 1) -> None:
        self.left = times
        for name in ("execute", "fetch"):
            monkeypatch.setattr(
                asyncpg.Connection, name, self._cutting(getattr(asyncpg.Connection, name), word, after)
            )

    def _cutting(self, call: Any, word: str, after: bool) -> Any:
        async def cutting(connection: Any, statement: str, *values: Any, **keywords: Any) -> Any:
            mine = word in statement and self.left > 0
            self.left -= mine
            if mine and not after:
                connection.terminate()
            result = await call(connection, statement, *values, **keywords)
            if mine:
                connection.terminate()
                raise ConnectionResetError("cut")
            return result

        return cutting


@pytest.mark.parametrize("word", ["BEGIN", "UPDATE requests SET state = 'releasing'", "pg_notify"])
@pytest.mark.parametrize("after", [False, True])
def test_what_surely_did_not_happen_is_tried_again(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch, word: str, after: bool
) -> None:
    """A connection that breaks before COMMIT is sent: the caller does not notice."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        with monkeypatch.context() as patched:
            Cut(patched, word, after=after)
            assert await store.begin_release(request_id, "a/1", "", NOW) is not None
        with monkeypatch.context() as patched:
            Cut(patched, word, after=after, times=10)
            with pytest.raises(StoreError):
                await store.begin_release(await approved(store, agent="b"), "a/1", "", NOW)

    using(place, work)


@pytest.mark.parametrize(("after", "state"), [(False, State.APPROVED), (True, State.RELEASING)])
def test_what_may_have_happened_is_not_tried_again(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch, after: bool, state: State
) -> None:
    """A connection that breaks at COMMIT: StoreError, whether it was committed or not."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        with monkeypatch.context() as patched:
            Cut(patched, "COMMIT;", after=after)
            with pytest.raises(StoreError):
                await store.begin_release(request_id, "a/1", "", NOW)
        assert await state_of(store, request_id) is state

    using(place, work)


def test_a_commit_whose_answer_was_lost_loses_nothing(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service finds out: nothing ran, so the approval is there again."""
    monkeypatch.setattr("dbfirewall.approvals.tending.RELEASES_EVERY", 0.05)

    async def work(office: Office) -> None:
        request_id = await office.approved()
        with monkeypatch.context() as patched:
            Cut(patched, "COMMIT;", after=True)
            with pytest.raises(StoreError):
                await office.approvals.begin_release(request_id, "")
        await office.until(request_id, State.APPROVED)

    working(place, work)


def test_listening_goes_on_after_it_was_cut_off(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was missed meanwhile is made up for: anything may have changed."""
    monkeypatch.setattr(postgres_module, "FIRST_PAUSE", 0.01)

    async def work(store: AnyStore) -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with opened(place) as other:
            request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
            other.on_change(heard.put_nowait)

            def cut() -> store_sql.Steps[int]:
                rows = yield (
                    (
                        "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity"
                        " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                    ),
                    (),
                )
                return int(rows[0]["n"])

            while True:
                if await store.run(cut) > 0:
                    break
            while True:
                if await heard.get() == "":
                    break
            await store.withdraw(request.id, "", NOW)
            while True:
                if await heard.get() in (request.id, ""):
                    break

    using(place, work)


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
        f"postgresql://me:hush@127.0.0.1:{free_port()}/store",
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


def test_serialization_failures_are_tried_again(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock or the like means that nothing happened."""

    async def work(store: AnyStore) -> None:
        request, _ = await store.submit(ASKED, TERMS, OPTIONS, NOW)
        fetch, failures = (
            asyncpg.Connection.fetch,
            [asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("y")],
        )

        async def failing(connection: Any, statement: str, *values: Any) -> Any:
            if "UPDATE" in statement and failures:
                raise failures.pop()
            return await fetch(connection, statement, *values)

        monkeypatch.setattr(asyncpg.Connection, "fetch", failing)
        vote = store.vote(request.id, granted(), State.APPROVED, None, undo_accepted=False, expected=0)
        assert await vote is not None
        assert failures == []

    using(place, work)


def test_a_caller_that_is_cancelled_is_cancelled(place: PostgresPlace) -> None:
    """Whatever the connection is at: cancelling is not made another error of, and the next caller is served."""

    async def work(store: AnyStore) -> None:
        request_id = await approved(store)
        for yields in range(40):
            begin = asyncio.get_running_loop().create_task(store.begin_release(request_id, "a/1", "", NOW))
            for _ in range(yields):
                await asyncio.sleep(0)
            if begin.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await begin
        assert await store.check() == ""

    using(place, work)


def test_closing_in_the_middle(place: PostgresPlace) -> None:
    """Tasks that wait for the store when it is closed end, and can be cancelled."""

    async def main() -> None:
        for _ in range(10):
            store = place.store()
            await store.open()
            calls = [asyncio.get_running_loop().create_task(store.count()) for _ in range(8)]
            await asyncio.sleep(0)
            await store.close()
            for call in calls:
                call.cancel()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(one) for one in ended} <= {dict, StoreError, asyncio.CancelledError}

    asyncio.run(main())
