"""Built-in functions that take a type by its OID and read a value of it: what runs in them needs a rule."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import TupleRow

from dbfirewall.sql.functions import DENIED
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres

DATABASE = "type_inputs"
SCHEMA = """
CREATE FUNCTION is_good(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''ran''; RETURN true; END';
CREATE DOMAIN good AS int CHECK (is_good(VALUE));
CREATE TYPE pair AS (a good, b int);
CREATE TYPE goodrange AS RANGE (subtype = good, multirange_type_name = goodranges);
CREATE TABLE parted (a good) PARTITION BY HASH (a);
"""
VALUES = (
    *(("good", "1"), ("good", "{1}"), ("good[]", "{1}"), ("pair", "(1,2)")),
    *(("goodrange", "[1,2)"), ("goodranges", "{[1,2)}")),
)
"""Type, and a literal: of a value of that type, or of an array of such."""
FUNCTIONS = """
SELECT DISTINCT p.proname::text, p.pronargs::int
FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384 AND 'internal'::regtype <> ALL (p.proargtypes)
  AND p.proargtypes[0] = 'cstring'::regtype AND p.proargtypes[1] = 'oid'::regtype
ORDER BY 1
"""


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[TupleRow]]:
    """A superuser's session in a database with a domain that runs a function."""
    postgres.create_database(DATABASE)
    postgres.sql(SCHEMA, DATABASE)
    with psycopg.connect(postgres.dsn(DATABASE), autocommit=True) as connection:
        yield connection


def test_what_reads_a_value_of_any_type_is_on_the_list(connection: psycopg.Connection[TupleRow]) -> None:
    """Every input function is tried with types that run a function: those in which it runs are denied."""
    warnings: list[str | None] = []
    connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
    running = set()
    tried = connection.execute(FUNCTIONS).fetchall()
    for name, arguments in tried:
        for kind, value in VALUES:
            more = ", -1" if arguments > 2 else ""
            warnings.clear()
            try:
                connection.execute(f"SELECT pg_catalog.{name}('{value}', '{kind}'::regtype{more})")
            except psycopg.Error:
                continue
            finally:
                running |= {name} if "ran" in warnings else set()
    assert len(tried) > 10
    assert {"array_in", "record_in", "range_in", "multirange_in", "domain_in"} <= running
    assert running <= DENIED
