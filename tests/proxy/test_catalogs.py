"""Snapshots of the servers' catalogs: kept fresh, through failures, and announced when they change."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from dbfirewall.catalog.types import Catalog
from dbfirewall.errors import CatalogError
from dbfirewall.metrics import Metrics
from dbfirewall.proxy import catalogs
from dbfirewall.proxy.catalogs import CatalogService, connect_asyncpg
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.tasks import TaskOwner
from dbfirewall.proxy.upstream import Credentials
from tests.support.postgres import Postgres

TARGET = Target("127.0.0.1", 1, "shop", connect_timeout=0.5)
LOGIN = Credentials("w", "secret")


class World:
    """A server of which only the fingerprint of its catalog and a process id are known.

    `down`: what connecting raises. `pids`: what the server says when it is asked for its process id.
    """

    def __init__(self) -> None:
        self.fingerprint = "one"
        self.down: Exception | None = None
        self.logins: list[Credentials] = []
        self.open = 0
        self.changes: list[str] = []
        self.pids: Iterator[int] = itertools.repeat(7)
        self.metrics = Metrics()
        self.tasks = TaskOwner()

    async def connect(self, _target: Target, credentials: Credentials) -> World:
        self.logins.append(credentials)
        if self.down is not None:
            raise self.down
        self.open += 1
        return self

    def get_server_pid(self) -> int:
        return 7

    def transaction(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    async def fetchval(self, _sql: str) -> int:
        return next(self.pids)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  as asyncpg has it
        self.open -= 1

    async def read_fingerprint(self, _connection: World) -> str:
        return self.fingerprint

    async def load(self, _connection: World, version: int) -> Catalog:
        return Catalog(version=version, complete=True)

    def service(self, interval: float = 60.0) -> CatalogService:
        return CatalogService(self.metrics, interval, self.changes.append)

    def refreshes(self, outcome: str) -> float:
        return self.metrics.catalog_refreshes.cell("shop", outcome).value


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    monkeypatch.setattr(catalogs, "connect_asyncpg", world.connect)
    monkeypatch.setattr(catalogs, "catalog_fingerprint", world.read_fingerprint)
    monkeypatch.setattr(catalogs, "load_catalog", world.load)
    monkeypatch.setattr(catalogs, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(catalogs, "DEBOUNCE_SECONDS", 0.001)
    yield world
    assert world.open == 0


def run(world: World, work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(20):
                await work()
        finally:
            await world.tasks.close()

    asyncio.run(main())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  what is waited for is no event
        await asyncio.sleep(0.001)


def test_the_first_snapshot_is_waited_for(world: World) -> None:
    """Whoever needs it gets it as soon as it is there; from then on it is at hand."""

    async def work() -> None:
        service = world.service()
        assert service.current("shop") is None
        service.watch("shop", TARGET, LOGIN, world.tasks)
        assert service.problems() == ["the catalog of database shop is not loaded: not loaded yet"]
        catalog = await service.wait_for("shop", 10)
        assert (catalog, await service.wait_for("shop", 10)) == (service.current("shop"), catalog)
        assert (world.changes, service.problems()) == (["shop"], [])

    run(world, work)


def test_a_server_that_is_down_is_tried_again(world: World) -> None:
    """Waiting for it ends with the reason; when it is back, the snapshot comes without being asked for."""

    async def work() -> None:
        world.down = ConnectionRefusedError("nobody there")
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        with pytest.raises(CatalogError, match="nobody there"):
            await service.wait_for("shop", 0.02)
        assert "nobody there" in service.problems()[0]
        await until(lambda: world.refreshes("failed") >= 2)
        world.down = None
        await until(lambda: service.current("shop") is not None)

    run(world, work)


def test_nothing_that_a_server_does_ends_the_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw is a failed refresh like any other."""

    async def work() -> None:
        service = world.service(0.001)
        service.watch("shop", TARGET, LOGIN, world.tasks)
        before = await service.wait_for("shop", 10)
        world.down = ZeroDivisionError("unforeseen")
        await until(lambda: world.refreshes("failed") >= 2)
        assert service.current("shop") is before
        world.down, world.fingerprint = None, "two"
        await until(lambda: service.current("shop") is not before)

    run(world, work)


def test_a_change_that_could_not_be_announced_is_announced_again(world: World) -> None:
    """A session that failed on it must not leave the others with old names for ever."""

    async def work() -> None:
        def announce(name: str) -> None:
            world.changes.append(name)
            if len(world.changes) == 1:
                raise ZeroDivisionError

        service = CatalogService(world.metrics, 60.0, announce)
        service.watch("shop", TARGET, LOGIN, world.tasks)
        await until(lambda: len(world.changes) == 2)

    run(world, work)


def test_a_catalog_that_did_not_change_is_not_loaded_again(world: World) -> None:
    """The fingerprint is looked at on an interval; only a new one makes a new snapshot."""

    async def work() -> None:
        service = world.service(0.001)
        service.watch("shop", TARGET, LOGIN, world.tasks)
        before = await service.wait_for("shop", 10)
        await until(lambda: world.refreshes("ok") >= 3)
        assert service.current("shop") is before
        world.fingerprint = "two"
        await until(lambda: len(world.changes) == 2)
        after = service.current("shop")
        assert after is not None
        assert after.version == before.version + 1

    run(world, work)


def test_what_changes_names_causes_one_refresh(world: World) -> None:
    """A run of DDL is one refresh, at once and not at the next interval; unknown databases cause none."""

    async def work() -> None:
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        await service.wait_for("shop", 10)
        world.fingerprint = "two"
        for _ in range(10):
            service.refresh_soon("shop")
        service.refresh_soon("elsewhere")
        await until(lambda: len(world.changes) == 2)
        assert world.refreshes("ok") == 2

    run(world, work)


def test_a_stream_of_ddl_leaves_the_server_to_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two readings of the catalog lies as much rest as the first one took, times RESTS."""
    times: list[tuple[float, float]] = []

    async def load(_connection: World, version: int) -> Catalog:
        began = time.monotonic()
        await asyncio.sleep(0.02)
        times.append((began, time.monotonic()))
        return Catalog(version=version, complete=True)

    monkeypatch.setattr(catalogs, "load_catalog", load)

    async def work() -> None:
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        while len(times) < 3:
            world.fingerprint = f"change {len(times)}"
            service.refresh_soon("shop")
            await asyncio.sleep(0.001)
        for (began, ended), (next_began, _) in itertools.pairwise(times):
            assert next_began - ended >= catalogs.RESTS * (ended - began)

    run(world, work)


def test_new_credentials_keep_the_snapshot(world: World) -> None:
    """A changed password is used for the next refresh; agents do not notice."""

    async def work() -> None:
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        before = await service.wait_for("shop", 10)
        other = Credentials("w", "new")
        service.watch("shop", TARGET, other, world.tasks)
        assert service.current("shop") is before
        service.refresh_soon("shop")
        await until(lambda: world.logins[-1] is other)

    run(world, work)


def test_another_server_needs_another_snapshot(world: World) -> None:
    """The names of the old one say nothing about it."""

    async def work() -> None:
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        before = await service.wait_for("shop", 10)
        service.watch("shop", Target("127.0.0.1", 2, "shop"), LOGIN, world.tasks)
        assert service.current("shop") is None
        assert await service.wait_for("shop", 10) is not before

    run(world, work)


def test_a_database_that_is_no_longer_named_is_forgotten(world: World) -> None:
    """And whoever still waits for it is told."""

    async def work() -> None:
        service = world.service()
        service.watch("shop", TARGET, LOGIN, world.tasks)
        service.keep(frozenset({"elsewhere"}))
        assert service.current("shop") is None
        with pytest.raises(CatalogError, match="no longer"):
            await service.wait_for("shop", 10)

    run(world, work)


@pytest.mark.postgres
def test_a_real_catalog_is_read(postgres: Postgres) -> None:
    """From connect to snapshot, and again after DDL."""
    postgres.create_database("proxy_catalogs")
    postgres.sql("CREATE TABLE first (a int)", "proxy_catalogs")
    target = Target(postgres.host, postgres.port, "proxy_catalogs")
    login = Credentials(postgres.superuser, postgres.password)
    changes: list[str] = []

    async def main() -> None:
        tasks = TaskOwner()
        service = CatalogService(Metrics(), 60.0, changes.append)
        service.watch("db", target, login, tasks)
        try:
            before = await service.wait_for("db", 20)
            assert ("public", "first") in before.relations
            postgres.sql("CREATE TABLE second (b int)", "proxy_catalogs")
            service.refresh_soon("db")
            async with asyncio.timeout(20):
                await until(lambda: len(changes) == 2)
            after = service.current("db")
            assert after is not None
            assert ("public", "second") in after.relations
        finally:
            await tasks.close()

    asyncio.run(main())


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_connection_without_tls_is_made_where_that_may_be(postgres: Postgres, mode: str) -> None:
    """The test server speaks none."""
    target = Target(postgres.host, postgres.port, "postgres", sslmode=mode)

    async def main() -> None:
        connection = await connect_asyncpg(target, Credentials(postgres.superuser, postgres.password))
        assert await connection.fetchval("SELECT current_setting('application_name')") == "dbfirewall catalog"
        await connection.close()

    asyncio.run(main())


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_connection_without_tls_is_not_made_where_tls_is_demanded(postgres: Postgres, mode: str) -> None:
    """The password must not go out in the open."""
    target = Target(postgres.host, postgres.port, "postgres", sslmode=mode, root_cert="system")
    with pytest.raises(ConnectionError):
        asyncio.run(connect_asyncpg(target, Credentials(postgres.superuser, postgres.password)))


@pytest.mark.parametrize(
    ("session_pooler", "pids", "problem"),
    [
        (False, [7], ""),
        (False, [8], "a connection pooler stands before the database"),
        (True, [8, 9], ""),
        (True, [8, 8], "shares server connections between sessions"),
    ],
)
def test_a_pooler_is_found_out(world: World, session_pooler: bool, pids: list[int], problem: str) -> None:
    """By a process id that is not the one of BackendKeyData, and by one server connection for two clients."""
    world.pids = itertools.cycle(pids)
    target = Target("127.0.0.1", 1, "shop", connect_timeout=0.5, session_pooler=session_pooler)

    async def work() -> None:
        service = world.service()
        service.watch("shop", target, LOGIN, world.tasks)
        if problem:
            with pytest.raises(CatalogError, match=problem):
                await service.wait_for("shop", 0.2)
        else:
            await service.wait_for("shop", 10)

    run(world, work)
