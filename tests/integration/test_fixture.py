"""The fixture `postgres` keeps its promises."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.postgres import Postgres, running_postgres

pytestmark = pytest.mark.postgres


def test_a_database_can_be_made_used_and_made_again(postgres: Postgres) -> None:
    """`create_database` gives an empty database, also the second time."""
    for _ in range(2):
        postgres.create_database("fixture")
        postgres.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)", "fixture")
    assert postgres.sql("SELECT a FROM t ORDER BY a", "fixture") == [(1,), (2,)]


def test_the_dump_shows_a_change_and_nothing_else(postgres: Postgres) -> None:
    """Two dumps of an unchanged database are equal, and one more row makes them differ."""
    postgres.create_database("dumped")
    postgres.sql("CREATE TABLE t (a int)", "dumped")
    before = postgres.dump("dumped")
    assert "CREATE TABLE public.t" in before
    assert postgres.dump("dumped") == before
    postgres.sql("INSERT INTO t VALUES (1)", "dumped")
    assert postgres.dump("dumped") != before


def test_the_server_asks_for_a_password(postgres: Postgres) -> None:
    """A wrong password is refused, so tests of credentials mean something."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn(password="wrong"))


def test_client_programs_are_at_hand(postgres: Postgres) -> None:
    """psql, pg_dump and pgbench come with the fixture."""
    assert all(postgres.bin(name).exists() for name in ("psql", "pg_dump", "pgbench"))


def test_an_unknown_kind_is_an_error() -> None:
    """A typing error in DBFIREWALL_TEST_PG does not silently run the default."""
    with pytest.raises(ValueError, match="expected container, embedded"), running_postgres("contianer"):
        pass
