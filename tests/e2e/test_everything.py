"""A role that may do everything is held up by nothing but what the firewall cannot read at all."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection, errors

from tests.conftest import StartFirewall
from tests.e2e.world import LOGIN_PASSWORD, create_login
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

RULES = """
version: 1
roles:
  owner:
    access: read-write
    search_path: null
    rules: [{allow: everything}]
agents:
  boss: {role: owner, database: [everything, everything_new], password: "%(verifier)s"}
databases:
  everything:
    dsn: postgresql://%(host)s:%(port)d/everything?sslmode=disable
    logins: {owner: {user: e2e_owner, password: {env: E2E_PASSWORD}}}
  everything_new:
    dsn: postgresql://%(host)s:%(port)d/everything_new?sslmode=disable
    logins: {owner: {user: e2e_owner, password: {env: E2E_PASSWORD}}}
"""

Db = Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def owned(postgres: Postgres, firewall: StartFirewall) -> Iterator[Firewall]:
    """A firewall whose one agent is a superuser."""
    create_login(postgres, "e2e_owner")
    postgres.sql("ALTER ROLE e2e_owner SUPERUSER")
    for name in ("everything", "everything_new"):
        postgres.create_database(name)
    text = RULES % {"host": postgres.host, "port": postgres.port, "verifier": verifier("boss")}
    environment = {"E2E_PASSWORD": LOGIN_PASSWORD, "DBFIREWALL_LIMITS_SQL_BYTES": "16MiB"}
    yield firewall(text, environment=environment)
    postgres.sql("ALTER ROLE e2e_owner NOSUPERUSER")


@pytest.fixture
def boss(owned: Firewall) -> Iterator[Db]:
    with psycopg.connect(owned.dsn("boss", "boss", "everything"), autocommit=True) as connection:
        yield connection


def test_the_servers_own_search_path_holds(boss: Db) -> None:
    """It is not pinned, may be changed, and names are found by it."""
    assert boss.execute("SHOW search_path").fetchone() == ('"$user", public',)
    boss.execute("CREATE SCHEMA side; CREATE TABLE side.here (a int); SET search_path = side")
    assert boss.execute("SELECT count(*) FROM here").fetchone() == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN PERFORM set_config('search_path', 'pg_catalog', false); END $$",
        "LISTEN news",
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'row_security'",
        "DISCARD ALL",
        "CREATE DATABASE everything_else",
        "DROP DATABASE everything_else",
        "ALTER SYSTEM RESET work_mem",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
        "CREATE PROCEDURE nothing() LANGUAGE SQL AS ''; CALL nothing()",
        "VACUUM pg_class",
    ],
)
def test_whatever_the_login_may_do(boss: Db, statement: str) -> None:
    """The session goes on after it: no tripwire is in the way of what the rules allow."""
    boss.execute(statement.encode())
    assert boss.execute("SELECT 1").fetchone() == (1,)


def test_a_text_beyond_every_limit_runs(boss: Db) -> None:
    """A megabyte of it, deeper and longer than the firewall reads: unknown, and unknown is allowed."""
    assert boss.execute(b"SELECT length('%s')" % (b"x" * 1_000_000)).fetchone() == (1_000_000,)
    assert boss.execute(b"SELECT %s1%s" % (b"(" * 300, b")" * 300)).fetchone() == (1,)


def test_the_server_itself_says_what_is_no_sql(boss: Db) -> None:
    """A grammar newer than ours may know it; the session does not mind."""
    with pytest.raises(errors.SyntaxError) as refused:
        boss.execute("SELEC 1")
    assert refused.value.diag.statement_position == "1"
    assert refused.value.diag.source_file == "scan.l"
    assert boss.execute("SELECT 1").fetchone() == (1,)


def test_what_the_scanner_refuses_stays_refused(boss: Db) -> None:
    """The firewall's own 42601; nothing is sent."""
    with pytest.raises(errors.SyntaxError) as refused:
        boss.execute("SELECT 'open")
    assert refused.value.diag.source_file is None


def test_the_encoding_stays_a_wall(boss: Db) -> None:
    """Both must read a text alike: no rule allows another one."""
    with pytest.raises(errors.InsufficientPrivilege):
        boss.execute("SET client_encoding = 'LATIN1'")


def test_a_name_that_a_block_prepared_may_be_executed(boss: Db) -> None:
    """Nobody saw what it means."""
    boss.execute("DO $$ BEGIN EXECUTE 'PREPARE hidden AS SELECT 7'; END $$")
    assert boss.execute("EXECUTE hidden").fetchone() == (7,)


def test_an_agent_of_several_databases_reaches_each(owned: Firewall) -> None:
    """By name, and the first without one."""
    for name in ("everything", "everything_new"):
        with psycopg.connect(owned.dsn("boss", "boss", name)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
    with pytest.raises(psycopg.OperationalError, match="everything, everything_new"):
        psycopg.connect(owned.dsn("boss", "boss", "postgres")).close()
