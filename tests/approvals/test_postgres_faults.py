"""The shared store while its database is down, silent, or cuts it off."""

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


COMMIT = "COMMIT;"


class Cut:
    """Ends connections at a chosen statement: before the server has it, or after it has answered.

    COMMIT is that of a release that begins.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, word: str, *, after: bool, times: int = 1) -> None:
        self.left = times
        self._begun: set[int] = set()
        for name in ("execute", "fetch"):
            monkeypatch.setattr(
                asyncpg.Connection, name, self._cutting(getattr(asyncpg.Connection, name), word, after)
            )

    def _cutting(self, call: Any, word: str, after: bool) -> Any:
        async def cutting(connection: Any, statement: str, *values: Any, **keywords: Any) -> Any:
            if "SET state = 'releasing'" in statement:
                self._begun.add(id(connection))
            mine = word in statement and self.left > 0 and (word != COMMIT or id(connection) in self._begun)
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
            Cut(patched, COMMIT, after=after)
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
            Cut(patched, COMMIT, after=True)
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
