"""The firewall's own connection, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dbfirewall.approvals.model import Parameter
from dbfirewall.preview.talk import ServerError
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.side import SideConnection, side_connection
from dbfirewall.proxy.upstream import Credentials
from tests.support.postgres import Postgres


def talk(postgres: Postgres, work: Callable[[SideConnection], Awaitable[None]]) -> None:
    """`work` on a new connection."""

    async def main() -> None:
        target = Target(postgres.host, postgres.port, "postgres", sslmode="disable")
        credentials = Credentials(postgres.superuser, postgres.password)
        async with asyncio.timeout(30), side_connection(target, credentials, {}) as side:
            await work(side)

    asyncio.run(main())


def test_statement_with_parameters(postgres: Postgres) -> None:
    """Columns, rows and the tag of a statement come back, NULL as None, typed parameters as they were bound."""

    async def work(side: SideConnection) -> None:
        result = await side.run(
            "SELECT $1::int + 1 AS n, $2 AS t, NULL AS nothing",
            [Parameter(23, 1, b"\0\0\0\x29"), Parameter(25, 0, "ü".encode())],
        )
        assert (result.tag, result.rows, result.more) == ("SELECT 1", (("42", "ü", None),), False)
        assert [(column.name, column.type_oid) for column in result.columns][:2] == [("n", 23), ("t", 25)]

    talk(postgres, work)


def test_rows_beyond_the_limit_are_dropped(postgres: Postgres) -> None:
    """No more than `max_rows` rows are kept, `more` says so, and the tag still counts all of them."""

    async def work(side: SideConnection) -> None:
        result = await side.run("SELECT generate_series(1, 50000)", max_rows=3)
        assert (result.tag, len(result.rows), result.more) == ("SELECT 50000", 3, True)

    talk(postgres, work)


def test_refusal_leaves_it_usable(postgres: Postgres) -> None:
    """A statement that the server refuses raises its error, and the next one runs."""

    async def work(side: SideConnection) -> None:
        with pytest.raises(ServerError) as caught:
            await side.run("SELECT 1/0")
        assert caught.value.sqlstate == "22012"
        with pytest.raises(ServerError):
            await side.script(b"SELECT 1; SELECT nonsense")
        assert await side.script(b"BEGIN; SELECT 1; ROLLBACK") == ("BEGIN", "SELECT 1", "ROLLBACK")

    talk(postgres, work)


def test_copy_from_stdin_gets_no_data(postgres: Postgres) -> None:
    """A COPY FROM STDIN fails instead of waiting for data for ever."""

    async def work(side: SideConnection) -> None:
        await side.run("CREATE TEMP TABLE t (a int)")
        with pytest.raises(ServerError) as caught:
            await side.script(b"COPY t FROM STDIN")
        assert caught.value.sqlstate == "57014"

    talk(postgres, work)


def test_long_row(postgres: Postgres) -> None:
    """A row much longer than what one read brings arrives whole."""

    async def work(side: SideConnection) -> None:
        result = await side.run("SELECT repeat('x', 3000000)")
        assert len(result.rows[0][0] or "") == 3_000_000

    talk(postgres, work)


def test_given_up_statement_is_cancelled(postgres: Postgres) -> None:
    """A statement that nobody waits for any more is cancelled at the server."""

    async def work(side: SideConnection) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await side.run("SELECT pg_sleep(60)")

    talk(postgres, work)
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%' AND state = 'active'"
    )
    for _ in range(500):
        if postgres.sql(running) == [(0,)]:
            return
    raise AssertionError("it still runs")
