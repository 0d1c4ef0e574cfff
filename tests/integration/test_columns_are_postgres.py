"""Column facts against Postgres' own privilege checks, the only arbiter of what a query reads.

For each statement a role is granted exactly the columns that the facts name, and asks for the plan (which
checks privileges, and runs nothing). If Postgres refuses, the facts miss a column.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest

from dbfirewall.catalog.loader import load_catalog
from dbfirewall.catalog.types import Scope
from dbfirewall.sql.analyze import resolve
from dbfirewall.sql.facts import Effect
from dbfirewall.sql.reading import Parsed, Reading
from tests.sql.trees import trees_of
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres

SCHEMA = """
CREATE SCHEMA fz;
CREATE TYPE fz.ct AS (p int, q int);
CREATE TABLE fz.t1 (a int, b int, c text);
CREATE TABLE fz.t2 (a int PRIMARY KEY, d int, e text);
CREATE TABLE fz.t3 (x int, y int, t1 int, b int);
CREATE TABLE fz.t4 (a int, k fz.ct, arr int[]);
CREATE VIEW fz.v1 AS SELECT a, d AS z FROM fz.t2;
"""

QUERIES = [
    "SELECT a FROM t1",
    "SELECT count(*) FROM t1",
    "SELECT * FROM t1",
    "SELECT t1 FROM t1",
    "SELECT t1 FROM t1, t3",
    "SELECT t3 FROM t3",
    "SELECT t1.t1 FROM t3 AS t1",
    "SELECT (t4).k FROM t4",
    "SELECT (k).p FROM t4",
    "SELECT ((t4).k).p, (t4.k).q FROM t4",
    "SELECT (t4.k).* FROM t4",
    "SELECT arr[a] FROM t4",
    "SELECT x.ctid, x.a FROM t1 x",
    "SELECT t1.row_to_json FROM t1",
    "SELECT (t1).to_json FROM t1",
    "SELECT t1::text, t1 IS NULL, row(t1.*) FROM t1",
    "SELECT a, z FROM v1 WHERE z > 1",
    "SELECT b FROM t1 ORDER BY a",
    "SELECT b AS a FROM t1 ORDER BY a",
    "SELECT b AS a FROM t1 ORDER BY a + 1",
    "SELECT max(b) AS a FROM t1 GROUP BY a",
    "SELECT b AS z FROM t1 GROUP BY z",
    "SELECT DISTINCT ON (z) b AS z FROM t1",
    "SELECT sum(a) OVER (PARTITION BY b ORDER BY c) FROM t1",
    "SELECT count(*) FILTER (WHERE b > 1) FROM t1 HAVING max(c) > ''",
    "SELECT 1 FROM t1 JOIN t2 USING (a)",
    "SELECT a FROM t1 JOIN t2 USING (a)",
    "SELECT t1.b FROM t1 NATURAL JOIN t2",
    "SELECT * FROM t1 NATURAL JOIN t2",
    "SELECT j.d FROM (t1 JOIN t2 USING (a)) j",
    "SELECT j.* FROM (t1 CROSS JOIN t3) j (m, n)",
    "SELECT j.n FROM (t1 CROSS JOIN t3) j (m, n)",
    "SELECT j.n FROM (t1 JOIN t2 USING (a)) j (m, n)",
    "SELECT m.a FROM t1 JOIN t2 USING (a) AS m",
    "SELECT j FROM (t1 CROSS JOIN t3) j",
    "SELECT b, c FROM t1 AS x (b, a)",
    "SELECT x.a FROM t1 AS x (b, a)",
    "SELECT (SELECT b FROM t2 LIMIT 1) FROM t1",
    "SELECT (SELECT d FROM t1 LIMIT 1) FROM t2",
    "SELECT (SELECT t2 FROM t1 LIMIT 1) FROM t2",
    "SELECT 1 FROM t1 WHERE EXISTS (SELECT 1 FROM t2 WHERE e = c)",
    "SELECT 1 FROM t1, LATERAL (SELECT b AS q FROM t2) l WHERE l.q = 1",
    "SELECT 1 FROM t1, LATERAL generate_series(1, b) g",
    "SELECT q.a FROM (SELECT * FROM t1) q",
    "SELECT q.n FROM (SELECT a, b FROM t1) q (m, n)",
    "SELECT z FROM (SELECT a AS z FROM t1) q, t2",
    "SELECT g FROM generate_series(1, 2) g, t1",
    "SELECT count(g) FROM t1 g",
    "WITH t1 AS (SELECT d FROM t2) SELECT d FROM t1",
    "WITH t1 AS (SELECT d FROM t2) SELECT fz.t1.a FROM fz.t1",
    "WITH q AS (SELECT * FROM t1), t1 AS (SELECT d FROM t2) SELECT b, d FROM q, t1",
    "WITH t1 AS (SELECT a FROM t1) SELECT a FROM t1",
    "WITH RECURSIVE r (n) AS (SELECT a FROM t1 UNION SELECT n + d FROM r, t2) SELECT n FROM r",
    "SELECT 1 FROM (WITH t1 AS (SELECT d FROM t2) SELECT d FROM t1) q, t1 WHERE t1.c = ''",
    "SELECT a FROM t1 UNION SELECT d FROM t2 ORDER BY a",
    "SELECT a FROM t1 WHERE b IN (SELECT y FROM t3 WHERE t1.c = '') AND (a, b) = (SELECT x, t1 FROM t3 LIMIT 1)",
    "TABLE t1",
    "VALUES ((SELECT b FROM t1))",
    "INSERT INTO t2 (a, d) SELECT a, b FROM t1",
    "INSERT INTO t2 (a) VALUES (1) RETURNING d",
    "INSERT INTO t2 (a) VALUES (1) ON CONFLICT (a) DO NOTHING",
    "INSERT INTO t2 AS x (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET d = x.d + 1 WHERE x.e = ''",
    "UPDATE t1 SET a = 1",
    "UPDATE t1 SET a = b WHERE c = ''",
    "UPDATE t1 AS x SET (a, b) = (SELECT d, x.b FROM t2 LIMIT 1) FROM t3 WHERE y = 1 RETURNING t3.x",
    "UPDATE t1 SET a = 1 RETURNING t1",
    "DELETE FROM t1",
    "DELETE FROM t1 WHERE a = 1 RETURNING c",
    "DELETE FROM t1 USING t3 WHERE y = a",
    "WITH d AS (DELETE FROM t1 RETURNING b) SELECT * FROM d, t2 WHERE t2.d = d.b",
]


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a database with SCHEMA and a role without privileges."""
    postgres.create_database("columns_facts")
    with psycopg.connect(postgres.dsn("columns_facts"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute("DROP ROLE IF EXISTS columns_reader")
        connection.execute("CREATE ROLE columns_reader")
        connection.execute("GRANT USAGE ON SCHEMA fz TO columns_reader")
        connection.execute("SET search_path = fz")
        yield connection


@pytest.fixture(scope="module")
def scope(postgres: Postgres, connection: psycopg.Connection) -> Scope:
    """The live catalog of that database."""

    async def load() -> Scope:
        reader = await asyncpg.connect(postgres.dsn("columns_facts"))
        try:
            return Scope(await load_catalog(reader, 1), ("fz",))
        finally:
            await reader.close()

    return asyncio.run(load())


def _grants(effects: tuple[Effect, ...], scope: Scope) -> list[str]:
    grants = []
    for effect in effects:
        if effect.action == "delete":
            grants.append(f"DELETE ON {effect.object_name}")
            continue
        assert effect.action in ("select", "insert", "update"), effect
        known = scope.catalog.relations[str(effect.object[0]), str(effect.object[1])].columns or ()
        columns = effect.columns or ()
        if not set(columns) & set(known):
            # Reading no column at all needs the privilege on any one.
            columns = (*columns, known[-1])
        grants += [f"{effect.action} ({column}) ON {effect.object_name}" for column in columns]
    return grants


@pytest.mark.parametrize("query", QUERIES)
def test_postgres_needs_no_column_that_the_facts_lack(
    query: str, connection: psycopg.Connection, scope: Scope
) -> None:
    """With the privileges that the facts name, and no others, Postgres plans the statement."""
    (statement,) = resolve(Reading(tuple(map(Parsed, trees_of(query)))), scope).statements
    with connection.transaction(force_rollback=True):
        for grant in _grants(statement.effects, scope):
            connection.execute(f"GRANT {grant} TO columns_reader".encode())
        connection.execute("SET LOCAL ROLE columns_reader")
        assert connection.execute(f"EXPLAIN {query}".encode()).fetchone()


@pytest.mark.parametrize("query", [query for query in QUERIES if query.startswith("SELECT")])
def test_the_facts_name_no_relation_in_vain(query: str, connection: psycopg.Connection, scope: Scope) -> None:
    """Without privileges on one of the relations that the facts name, Postgres refuses the statement."""
    (statement,) = resolve(Reading(tuple(map(Parsed, trees_of(query)))), scope).statements
    for left_out in statement.effects:
        with connection.transaction(force_rollback=True):
            for grant in _grants(tuple(e for e in statement.effects if e != left_out), scope):
                connection.execute(f"GRANT {grant} TO columns_reader".encode())
            connection.execute("SET LOCAL ROLE columns_reader")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(f"EXPLAIN {query}".encode())
