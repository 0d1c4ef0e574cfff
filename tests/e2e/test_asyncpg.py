"""asyncpg does its ordinary work through the firewall."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.postgres

Work = Callable[[Any], Awaitable[object]]


def run(url: str, work: Work) -> None:
    """`work(connection)` on a connection of its own."""

    async def session() -> None:
        connection = await asyncpg.connect(url)
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(session())


def test_rows_are_those_of_the_server(world: World) -> None:
    """Every query here is prepared and described; the rows equal the direct ones, custom types included."""
    found: list[object] = []

    async def read(connection: Any) -> None:
        rows = await connection.fetch(
            "SELECT id, name, state, home, tags, extra FROM people WHERE id > $1 ORDER BY id", 10
        )
        found.append([tuple(row) for row in rows])

    run(world.direct("reader"), read)
    run(world.through("reader"), read)
    assert found[0] == found[1]
    assert len(found[1]) == 40  # type: ignore[arg-type]


def test_a_prepared_statement(world: World) -> None:
    """An explicit prepared statement knows its types and runs many times."""

    async def work(connection: Any) -> None:
        statement = await connection.prepare("SELECT $1::int + $2::int AS total")
        assert [column.name for column in statement.get_attributes()] == ["total"]
        assert [await statement.fetchval(number, 1) for number in range(5)] == [1, 2, 3, 4, 5]

    run(world.through("reader"), work)


def test_composite_and_enum_types_are_introspected(world: World) -> None:
    """asyncpg's own catalog query, a long recursive CTE, is understood and allowed."""

    async def work(connection: Any) -> None:
        home = await connection.fetchval("SELECT home FROM people WHERE id = 4")
        assert (home["street"], home["number"]) == ("Street 4", 4)
        assert await connection.fetchval("SELECT ARRAY['calm', 'busy']::mood[]") == ["calm", "busy"]
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)
        assert await connection.fetchval("SELECT extra FROM people WHERE id = 4") == '{"n": 4}'

    run(world.through("reader"), work)


def test_a_pool_resets_its_connections(world: World) -> None:
    """The reset query that a pool sends on release is let through, and it resets what the agent had set."""

    async def work() -> None:
        async with asyncpg.create_pool(world.through("reader"), min_size=1, max_size=2) as pool:
            async with pool.acquire() as connection:
                await connection.execute("SET timezone = 'Asia/Tokyo'")
            for _ in range(5):
                async with pool.acquire() as connection:
                    assert await connection.fetchval("SHOW timezone") != "Asia/Tokyo"
                    assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
                    assert await connection.fetchval("SHOW statement_timeout") == "20s"

    asyncio.run(work())


def test_transactions(world: World) -> None:
    """Blocks with isolation levels, nested ones, and rollbacks."""
    world.sql("TRUNCATE scratch")

    async def work(connection: Any) -> None:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("INSERT INTO scratch VALUES (1, 'kept')")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO scratch VALUES (2, 'undone')")
                    raise ZeroDivisionError
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute("INSERT INTO scratch VALUES (3, 'undone')")
                await connection.execute("DELETE FROM secrets")

    run(world.through("writer"), work)
    assert world.sql("SELECT a FROM scratch") == [(1,)]


def test_a_cursor_pages(world: World) -> None:
    """A portal that is executed a few rows at a time."""

    async def work(connection: Any) -> None:
        async with connection.transaction():
            cursor = connection.cursor("SELECT id FROM people ORDER BY id", prefetch=7)
            ids = [row["id"] async for row in cursor]
        assert ids == list(range(1, 51))

    run(world.through("reader"), work)


def test_copy_in_and_out(world: World) -> None:
    """COPY both ways, by table, records and query."""
    world.sql("TRUNCATE scratch")

    async def work(connection: Any) -> None:
        await connection.copy_records_to_table("scratch", records=[(n, str(n)) for n in range(1000)])
        out = io.BytesIO()
        await connection.copy_from_query("SELECT a FROM scratch ORDER BY a LIMIT 3", output=out)
        assert out.getvalue() == b"0\n1\n2\n"

    run(world.through("writer"), work)
    assert world.sql("SELECT count(*) FROM scratch") == [(1000,)]


def test_executemany_is_one_pipeline(world: World) -> None:
    """Hundreds of Binds and Executes before one Sync."""
    world.sql("TRUNCATE scratch")

    async def work(connection: Any) -> None:
        await connection.executemany("INSERT INTO scratch VALUES ($1, $2)", [(n, "x") for n in range(500)])

    run(world.through("writer"), work)
    assert world.sql("SELECT count(*) FROM scratch") == [(500,)]


def test_listen_is_denied(world: World) -> None:
    """LISTEN subscribes to what others say; no rule names it."""

    async def work(connection: Any) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.add_listener("news", lambda *_: None)
        assert await connection.fetchval("SELECT 1") == 1

    run(world.through("writer"), work)


def test_a_refusal_keeps_the_session_usable(world: World) -> None:
    """A refused prepare and a refused execute are ordinary errors; what follows works."""

    async def work(connection: Any) -> None:
        for _ in range(3):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("DELETE FROM people")
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
                await connection.fetch("SELECT word FROM secrets WHERE id = $1", 1)
            assert "Secrets stay secret" in refused.value.args[0]
            assert refused.value.hint
            assert await connection.fetchval("SELECT $1::int", 5) == 5

    run(world.through("reader"), work)


def test_a_timeout_cancels_the_statement(world: World) -> None:
    """asyncpg's timeout sends a CancelRequest, and the connection can be used again."""

    async def work(connection: Any) -> None:
        with pytest.raises(TimeoutError):
            await connection.fetch("SELECT count(*) FROM generate_series(1, 2000000000)", timeout=0.3)
        assert await connection.fetchval("SELECT 1") == 1

    run(world.through("reader"), work)
