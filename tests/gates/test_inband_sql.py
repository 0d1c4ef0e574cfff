"""The firewall's own tables in all the places where SQL has a table, on a real server, and what must not work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.gates.test_tickets import refused
from tests.gates.world import RULES, World, rules, run, start
from tests.support.postgres import Postgres

HOSTILE = 'DELETE FROM orders WHERE item = $q$\'); DROP TABLE orders; --\\" \\u0000 {"a": [1]} ü 😀$q$'


@pytest.fixture
def asked(tickets: World) -> str:
    """A request of `bot`, whose statement tries to be more than a text."""
    with tickets.connect() as agent:
        return refused(agent, lambda one: one.execute(HOSTILE))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, state FROM dbfirewall.approvals WHERE id = '{id}'",
        'SELECT "id", state FROM "dbfirewall"."approvals" WHERE id = \'{id}\'',
        "SELECT dbfirewall.approvals.id, approvals.state FROM DBFIREWALL.Approvals WHERE approvals.id = '{id}'",
        "SELECT a.id, a.state FROM dbfirewall.approvals AS a WHERE a.id = '{id}'",
        "SELECT i, s FROM dbfirewall.approvals a(i, s) WHERE i = '{id}'",
        "SELECT (a).id, (a).state FROM dbfirewall.approvals a WHERE a.id = '{id}'",
        "WITH mine AS (TABLE dbfirewall.approvals) SELECT id, state FROM mine WHERE id = '{id}'",
        "SELECT id, state FROM (SELECT * FROM dbfirewall.approvals) AS x WHERE id = '{id}'",
        "SELECT a.id, b.state FROM dbfirewall.approvals a JOIN dbfirewall.approvals b USING (id) WHERE a.id = '{id}'",
        "SELECT a.id, max(state) FROM dbfirewall.my_rules, dbfirewall.approvals a WHERE a.id = '{id}' GROUP BY 1",
        "SELECT '{id}', (SELECT state FROM dbfirewall.approvals WHERE id = '{id}')",
        "SELECT x.* FROM (VALUES (1)) v, LATERAL (SELECT id, state FROM dbfirewall.approvals) x WHERE x.id = '{id}'",
        "/* a */ SELECT id -- b\n, state FROM /* c */ dbfirewall /* d */ . approvals /* e */ WHERE id = '{id}'",
    ],
)
def test_it_is_a_table_like_any_other(tickets: World, asked: str, sql: str) -> None:
    """With or without an alias, qualified, joined, in WITH, in a subquery, beside real tables; by both protocols."""
    text = sql.format(id=asked)
    with tickets.connect() as agent:
        assert agent.execute(text).fetchall() == [(asked, "pending")]
        assert agent.execute(text, binary=True).fetchall() == [(asked, "pending")]


def test_what_it_holds_stays_data(tickets: World, asked: str) -> None:
    """The statement comes back letter for letter, whatever is in it, and none of it is run."""
    with tickets.connect() as agent:
        [(sql, created, expires, rows)] = agent.execute(
            "SELECT sql, created_at, expires_at, rows FROM dbfirewall.approvals WHERE id = %s", [asked]
        ).fetchall()
        assert sql == HOSTILE
        assert (expires - created).total_seconds() == pytest.approx(3600, abs=1)
        assert rows is None
        assert agent.execute("SELECT count(*) FROM orders").fetchone() == (20,)


def test_explain_and_cursors_and_copy(tickets: World, asked: str) -> None:
    """What shows the rows of a query shows these."""
    with tickets.connect() as agent:
        plan = agent.execute("EXPLAIN ANALYZE SELECT * FROM dbfirewall.approvals").fetchall()
        assert "Function Scan" in str(plan)
        with (
            agent.cursor() as cursor,
            cursor.copy("COPY (SELECT id FROM dbfirewall.approvals) TO STDOUT") as copy,
        ):
            assert asked.encode() in b"".join(bytes(part) for part in copy)
        with agent.transaction(), psycopg.ServerCursor(agent, "mine") as named:
            named.execute("SELECT id FROM dbfirewall.approvals WHERE id = %s", [asked])
            assert named.fetchall() == [(asked,)]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE dbfirewall.approvals SET state = 'approved'",
        "INSERT INTO dbfirewall.approvals (id, state) VALUES ('apr_1', 'approved')",
        "DELETE FROM dbfirewall.approvals",
        "TRUNCATE dbfirewall.approvals",
        "COPY dbfirewall.approvals FROM STDIN",
        "PREPARE p AS SELECT * FROM dbfirewall.approvals",
        "CREATE VIEW v AS SELECT * FROM dbfirewall.approvals",
        "CREATE TABLE dbfirewall.approvals (id int)",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone, dbfirewall.approvals",
    ],
)
def test_it_is_only_read(tickets: World, sql: str) -> None:
    """Anything else is refused in clear words, and makes no request of its own."""
    with tickets.connect() as agent:
        before = len(tickets.requests())
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            agent.execute(sql)
        assert "firewall" in str(caught.value)
        assert len(tickets.requests()) == before


def test_a_real_table_of_that_name_is_in_its_shadow(tickets: World, asked: str) -> None:
    """The firewall answers, and not the server, for its three names; others of that schema are the server's."""
    tickets.sql(
        "CREATE SCHEMA dbfirewall; CREATE TABLE dbfirewall.approvals AS SELECT 'theirs' AS id;"
        "CREATE TABLE dbfirewall.others AS SELECT 'theirs' AS id;"
        "GRANT ALL ON SCHEMA dbfirewall TO gates_login; GRANT ALL ON ALL TABLES IN SCHEMA dbfirewall TO gates_login"
    )
    try:
        with tickets.connect() as agent:
            assert (asked,) in agent.execute("SELECT id FROM dbfirewall.approvals").fetchall()
            assert agent.execute("SELECT id FROM dbfirewall.others").fetchall() == [("theirs",)]
    finally:
        tickets.sql("DROP SCHEMA dbfirewall CASCADE")


def test_every_reading_is_fresh(tickets: World) -> None:
    """A statement that was prepared once tells of what happened since, each time that it is executed."""

    async def work() -> None:
        agent = await asyncpg.connect(tickets.dsn())
        try:
            count = await agent.prepare("SELECT count(*) FROM dbfirewall.approvals WHERE sql LIKE $1")
            for number in range(3):
                assert await count.fetchval("%fresh%") == number
                with pytest.raises(asyncpg.PostgresError):
                    await agent.execute(f"DELETE FROM orders WHERE item = 'fresh {number}'")
        finally:
            await agent.close()

    run(work)


def test_the_agents_own_words_for_the_rows_do_not_count(tickets: World, asked: str) -> None:
    """What somebody puts into that parameter is overwritten before each reading; and no rule here lets them."""
    with tickets.connect() as agent:
        for sql in (
            "SET dbfirewall.approvals = '[]'",
            "SELECT set_config('dbfirewall.approvals', '[]', false)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                agent.execute(sql)
        assert (asked,) in agent.execute("SELECT id FROM dbfirewall.approvals").fetchall()


def test_an_agent_with_a_search_path_or_settings_of_its_own(tickets: World, asked: str) -> None:
    """No name of the user's is in the way of what is put in the table's place, and times are what they are."""
    tickets.sql(
        "CREATE TYPE elsewhere.text AS (broken int); CREATE TYPE elsewhere.json AS (broken int);"
        "CREATE FUNCTION elsewhere.current_setting(text) RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT '[]'$$"
    )
    try:
        with tickets.connect() as agent:
            agent.execute("SET search_path = elsewhere, pg_catalog")
            agent.execute("SET datestyle = 'German'")
            agent.execute("SET timezone = 'Asia/Tokyo'")
            found = agent.execute(
                "SELECT created_at < now() FROM dbfirewall.approvals WHERE id = %s", [asked]
            )
            assert found.fetchall() == [(True,)]
    finally:
        tickets.sql(
            "DROP FUNCTION elsewhere.current_setting(pg_catalog.text); DROP TYPE elsewhere.text, elsewhere.json"
        )


def test_psql(tickets: World, asked: str) -> None:
    """As a person would look, or a model with a shell."""
    query = f"SELECT id, state, hint FROM dbfirewall.approvals WHERE id = '{asked}'"
    command = [str(tickets.postgres.bin("psql")), "--no-psqlrc", "-At", tickets.dsn(), "-c", query]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"{asked}|pending|A person has to decide.")


def test_it_is_on_record_as_it_was_sent(tickets: World, asked: str) -> None:
    """The audit has the agent's text and what it reads, and none of the rows."""
    sql = f"SELECT reason FROM dbfirewall.approvals WHERE id = '{asked}' -- for the record"
    with tickets.connect() as agent:
        agent.execute(sql)
    records = tickets.firewall.audit()
    [record] = [one for one in records if one.get("sql") == sql and one["event"] == "statement"]
    assert [(one["action"], one["object"]) for one in record["effects"]] == [
        ("select", "dbfirewall.approvals")
    ]


def test_where_the_store_is_out_of_order(shop: Postgres, tmp_path: Path) -> None:
    """The requests can't be read, in clear words; rules and limits can."""
    broken = tmp_path / "a folder"
    broken.mkdir()
    firewall = start(shop, tmp_path / "firewall", rules(shop))
    firewall.environment["DBFIREWALL_APPROVALS_STORE"] = str(broken)
    with firewall:
        world = World(shop, firewall)
        with world.connect() as agent:
            with pytest.raises(psycopg.errors.CannotConnectNow) as caught:
                agent.execute("SELECT * FROM dbfirewall.approvals")
            assert json.loads(caught.value.diag.message_detail or "")["retry"] == "later"
            assert agent.execute("SELECT name FROM dbfirewall.my_limits").fetchall() == [
                ("statement_timeout",)
            ]
            assert agent.execute("SELECT count(*) FROM orders").fetchone() == (20,)


@pytest.mark.parametrize("pin", ["session", "strict"])
def test_a_role_that_only_reads(shop: Postgres, tmp_path: Path, pin: str) -> None:
    """Its sessions on the server are read-only; a strict one is told that it can't, and goes on."""
    read_only = RULES.replace("access: read-write", f"access: read-only\n    pin: {pin}")
    firewall = start(shop, tmp_path / "firewall", rules(shop, read_only))
    with firewall, World(shop, firewall).connect(autocommit=False) as agent:
        for given, parameters in (("'read-only'", None), ("%s", ["read-only"])):
            query = f"SELECT effect FROM dbfirewall.my_rules WHERE rule = {given}"
            if pin == "session":
                assert agent.execute(query, parameters).fetchall() == [("deny",)]
                continue
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="pin: strict"):
                agent.execute(query, parameters)
            agent.rollback()
            assert agent.execute("SELECT count(*) FROM orders").fetchone() == (20,)
