"""SQLAlchemy reflects a schema and works through the firewall, on psycopg and on asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, MetaData, Select, create_engine, func, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.e2e.world import World

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.filterwarnings("ignore:Did not recognize type 'place'"),  # a composite type, directly too
]

T = TypeVar("T")


def with_connection(url: str, driver: str, work: Callable[[Connection], T]) -> T:
    """`work` with a connection of an engine on `driver`."""
    full = url.replace("postgresql://", f"postgresql+{driver}://")
    if driver == "psycopg":
        engine = create_engine(full, poolclass=NullPool)
        with engine.connect() as connection:
            return work(connection)

    async def session() -> T:
        engine = create_async_engine(full, poolclass=NullPool)
        async with engine.connect() as connection:
            return await connection.run_sync(work)

    return asyncio.run(session())


def reflection(connection: Connection) -> dict[str, Any]:
    """Everything that the inspector finds, in a form that compares."""
    inspector = inspect(connection)
    found: dict[str, Any] = {
        "schemas": inspector.get_schema_names(),
        "views": inspector.get_view_names(),
        "definition": inspector.get_view_definition("busy_people"),
        "sequences": inspector.get_sequence_names(),
    }
    for table in inspector.get_table_names():
        columns = [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)]
        found[table] = (
            columns,
            inspector.get_pk_constraint(table),
            inspector.get_foreign_keys(table),
            inspector.get_indexes(table),
            inspector.get_unique_constraints(table),
            inspector.get_check_constraints(table),
            inspector.get_table_comment(table),
        )
    return found


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_reflection_finds_what_it_finds_directly(world: World, driver: str) -> None:
    """Tables, columns, keys, indexes, constraints, views and comments."""
    expected = with_connection(world.direct("reader"), driver, reflection)
    assert set(expected) > {"people", "visits"}
    assert with_connection(world.through("reader"), driver, reflection) == expected


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_reflected_table_can_be_queried(world: World, driver: str) -> None:
    """A join with aggregation, built by SQLAlchemy from reflected tables, returns the direct rows."""

    def work(connection: Connection) -> list[tuple[Any, ...]]:
        metadata = MetaData()
        metadata.reflect(connection, only=["people", "visits"])
        people, visits = metadata.tables["people"], metadata.tables["visits"]
        query: Select[Any] = (
            select(people.c.name, func.count(visits.c.id))
            .join(visits, visits.c.person == people.c.id)
            .where(people.c.id.in_([1, 2, 3]))
            .group_by(people.c.name)
            .order_by(people.c.name)
        )
        return [tuple(row) for row in connection.execute(query)]

    expected = with_connection(world.direct("reader"), driver, work)
    assert len(expected) == 3
    assert with_connection(world.through("reader"), driver, work) == expected


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_write_by_a_reader_is_an_error_and_the_connection_lives(world: World, driver: str) -> None:
    """The refusal is a DBAPIError; after a rollback the same connection works."""

    def work(connection: Connection) -> object:
        with pytest.raises(DBAPIError, match="This role only reads"):
            connection.exec_driver_sql("DELETE FROM people")
        connection.rollback()
        return connection.exec_driver_sql("SELECT count(*) FROM people").scalar()

    assert with_connection(world.through("reader"), driver, work) == 50
