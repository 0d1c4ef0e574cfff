"""What a refusal gives away: nothing that Postgres itself would not tell the same login.

Each pair of statements differs only in whether the hidden object exists. Where the server answers both alike, so must
the firewall.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import StartFirewall
from tests.e2e.world import DATABASE, LOGIN_PASSWORD, World, create_login
from tests.support.firewall import Firewall
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

HIDDEN = """
DROP SCHEMA IF EXISTS hidden CASCADE;
CREATE SCHEMA hidden;
CREATE TYPE hidden.kind_there AS ENUM ('a');
CREATE DOMAIN hidden.domain_there AS int;
CREATE TABLE hidden.rel_there (id int PRIMARY KEY, col_there text);
CREATE VIEW hidden.view_there AS SELECT * FROM hidden.rel_there;
CREATE SEQUENCE hidden.seq_there;
CREATE FUNCTION hidden.fun_there() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION hidden.fun_there(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION hidden.rows_there() RETURNS SETOF hidden.rel_there LANGUAGE sql AS 'SELECT * FROM hidden.rel_there';
CREATE PROCEDURE hidden.proc_there() LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR hidden.### (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);
CREATE COLLATION hidden.coll_there FROM "C";
"""

RULES = """
version: 1
roles:
  prober:
    access: ACCESS
    rules:
      - allow: select
        on: public.people
        columns: [id, name]
      - {deny: select, on: public.visits, columns: [rating], id: no-ratings}
      - {allow: select, on: public.visits}
  other:
    access: read-write
    rules:
      - {allow: [select, insert], on: hidden.rel_there, id: the-rule-of-others, reason: Only others know why.}
      - {gate: delete, on: hidden.rel_there, approvers: [the-other-group]}
agents:
  prober: {role: prober, database: e2e, password: "VERIFIER"}
  stranger: {role: other, database: e2e, password: "VERIFIER"}
approvers:
  somebody: {groups: [the-other-group], token: "sha256:DIGEST"}
databases:
  e2e:
    dsn: postgresql://HOST:PORT/e2e?sslmode=disable
    logins:
      prober: {user: e2e_prober, password: {env: E2E_PASSWORD}}
      other: {user: e2e_other, password: {env: E2E_PASSWORD}}
"""


def _rules(world: World, access: str, template: str = RULES) -> str:
    text = template.replace("HOST", world.postgres.host).replace("PORT", str(world.postgres.port))
    text = text.replace("DIGEST", "0" * 64)
    return text.replace("VERIFIER", verifier("probe")).replace("ACCESS", access)


@pytest.fixture(scope="module")
def hidden(world: World) -> Iterator[World]:
    """The world with a schema that the prober's login may not even use."""
    for login in ("e2e_prober", "e2e_other"):
        create_login(world.postgres, login, LOGIN_PASSWORD)
    world.sql(HIDDEN)
    world.sql("GRANT CONNECT ON DATABASE e2e TO e2e_prober, e2e_other")
    world.sql("GRANT SELECT ON people, visits TO e2e_prober")
    yield world
    world.sql("DROP SCHEMA hidden CASCADE")


@pytest.fixture(scope="module", params=["read-only", "read-write"])
def door(hidden: World, firewall: StartFirewall, request: pytest.FixtureRequest) -> Firewall:
    """A firewall in front of it, for a prober that only reads and for one that may write (but nowhere)."""
    return firewall(_rules(hidden, request.param), environment={"E2E_PASSWORD": LOGIN_PASSWORD})


PROBES = [
    "SELECT * FROM hidden.rel_X",
    "SELECT col_there FROM hidden.rel_X",
    "SELECT r.nothing FROM hidden.rel_X r",
    "SELECT count(*) FROM hidden.rel_X",
    "SELECT hidden.rel_X FROM hidden.rel_X",
    "SELECT * FROM hidden.view_X",
    "SELECT * FROM hidden.seq_X",
    "SELECT * FROM ONLY hidden.rel_X",
    "TABLE hidden.rel_X",
    "SELECT id FROM people NATURAL JOIN hidden.rel_X",
    "SELECT * FROM people NATURAL JOIN hidden.rel_X",
    "SELECT person FROM visits NATURAL JOIN hidden.rel_X",
    "SELECT person FROM visits JOIN hidden.rel_X USING (rating)",
    "SELECT name FROM people JOIN hidden.rel_X USING (id)",
    "SELECT col_there FROM people, hidden.rel_X",
    "SELECT home FROM people, hidden.rel_X",
    "SELECT col_there, id FROM visits, hidden.rel_X, people",
    "SELECT id FROM people WHERE EXISTS (SELECT FROM hidden.rel_X)",
    "SELECT id FROM people WHERE EXISTS (SELECT col_there FROM hidden.rel_X WHERE home IS NULL)",
    "SELECT id FROM people p WHERE (SELECT id FROM hidden.rel_X WHERE state = p.state) = 1",
    "SELECT id FROM people WHERE id = (SELECT rel_X.extra FROM hidden.rel_X)",
    "SELECT rel_X.fun_X FROM hidden.rel_X",
    "WITH t AS (SELECT * FROM hidden.rel_X) SELECT * FROM t, people",
    "SELECT id FROM people ORDER BY (SELECT col_there FROM hidden.rel_X)",
    "SELECT id FROM people UNION SELECT id FROM hidden.rel_X",
    "SELECT id FROM people, LATERAL hidden.fun_X(people.id)",
    "SELECT hidden.fun_X(p) FROM people p",
    "SELECT hidden.fun_X(tags) FROM people",
    "SELECT hidden.fun_X()",
    "SELECT hidden.fun_X(1)",
    "SELECT hidden.fun_X('a', 'b')",
    "SELECT * FROM hidden.rows_X()",
    "SELECT * FROM hidden.fun_X() WITH ORDINALITY",
    "CALL hidden.proc_X()",
    "SELECT nextval('hidden.seq_X')",
    "SELECT 'hidden.rel_X'::regclass",
    "SELECT to_regclass('hidden.rel_X')",
    "SELECT NULL::hidden.kind_X",
    "SELECT 'a'::hidden.kind_X",
    "SELECT 1::hidden.domain_X",
    "SELECT NULL::hidden.rel_X",
    "SELECT (NULL::hidden.rel_X).col_there",
    "SELECT 'a' COLLATE hidden.coll_X",
    "INSERT INTO hidden.rel_X VALUES (1)",
    "INSERT INTO hidden.rel_X (col_there) VALUES ('a')",
    "UPDATE hidden.rel_X SET col_there = 'a'",
    "DELETE FROM hidden.rel_X WHERE id = 1",
    "TRUNCATE hidden.rel_X",
    "LOCK TABLE hidden.rel_X",
    "COPY hidden.rel_X TO STDOUT",
    "COPY hidden.rel_X (col_there) TO STDOUT",
    "EXPLAIN SELECT * FROM hidden.rel_X",
    "DECLARE c CURSOR FOR SELECT * FROM hidden.rel_X",
    "PREPARE p AS SELECT * FROM hidden.rel_X",
    "CREATE TABLE IF NOT EXISTS hidden.rel_X (id int)",
    "CREATE TABLE t (LIKE hidden.rel_X)",
    "CREATE VIEW v AS SELECT * FROM hidden.rel_X",
    "ALTER TABLE hidden.rel_X ADD COLUMN c int",
    "DROP TABLE hidden.rel_X",
    "DROP TABLE IF EXISTS hidden.rel_X",
    "DROP FUNCTION hidden.fun_X()",
    "COMMENT ON TABLE hidden.rel_X IS 'x'",
    "GRANT SELECT ON hidden.rel_X TO e2e_prober",
    "ANALYZE hidden.rel_X",
    "VACUUM hidden.rel_X",
    "REFRESH MATERIALIZED VIEW hidden.view_X",
    "MERGE INTO hidden.rel_X USING people ON false WHEN NOT MATCHED THEN INSERT VALUES (1, 'a')",
    "SELECT id FROM visits TABLESAMPLE hidden.fun_X (1)",
    "SELECT 1 OPERATOR(hidden.OP) 2",
]

OPERATORS = {"there": "###", "gone": "##+"}


def _answer(
    connection: psycopg.Connection[tuple[object, ...]], probe: str, suffix: str
) -> tuple[str | None, ...]:
    """What a probe is answered, the object's own name and positions in the text left out."""
    statement = probe.replace("_X", f"_{suffix}").replace("OP", OPERATORS[suffix])
    try:
        connection.execute(statement.encode())
    except psycopg.Error as error:
        told = error.diag
        texts = (told.sqlstate, told.message_primary, told.message_detail, told.message_hint)
        return tuple(_without(text, suffix) for text in texts)
    finally:
        connection.rollback()
    return ("answered",)


def _without(text: str | None, suffix: str) -> str | None:
    if text is None:
        return None
    text = text.replace(OPERATORS[suffix], "OP")
    return re.sub(r"col_there", "C", text).replace(f"_{suffix}", "_X")


@pytest.mark.parametrize("probe", PROBES)
def test_whether_a_hidden_object_exists_is_not_told(hidden: World, door: Firewall, probe: str) -> None:
    """Unless the server itself tells it to the same login."""
    with psycopg.connect(hidden.postgres.dsn(DATABASE, "e2e_prober", LOGIN_PASSWORD)) as direct:
        if _answer(direct, probe, "there") != _answer(direct, probe, "gone"):
            return
    with psycopg.connect(door.dsn("prober", "probe", DATABASE), prepare_threshold=None) as connection:
        assert _answer(connection, probe, "there") == _answer(connection, probe, "gone")


def _refusals(door: Firewall, statements: list[str]) -> list[str]:
    """All that these statements are answered."""
    told = []
    with psycopg.connect(door.dsn("prober", "probe", DATABASE), prepare_threshold=None) as connection:
        for statement in statements:
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(statement.encode())
            diag = caught.value.diag
            told.append(f"{diag.message_primary}\n{diag.message_detail}\n{diag.message_hint}\n{diag.context}")
            connection.rollback()
    return told


def test_hints_name_only_columns_that_the_role_may_read(door: Firewall) -> None:
    """Of a table with some columns allowed, and of one with a column denied; of a hidden table none."""
    hints = [
        text.splitlines()[2]
        for text in _refusals(
            door,
            [
                "SELECT * FROM people",
                "SELECT home FROM people",
                "SELECT * FROM visits",
                "SELECT rating FROM visits",
            ],
        )
    ]
    assert hints[0] == hints[1] == "Columns of public.people that this role may read: id, name."
    assert hints[2] == hints[3] == "Columns of public.visits that this role may read: id, person, happened."
    (hint,) = (text.splitlines()[2] for text in _refusals(door, ["SELECT * FROM hidden.rel_there"]))
    assert "col_there" not in hint


def test_refusals_speak_of_no_other_role_and_of_no_place(hidden: World, door: Firewall) -> None:
    """Neither other roles' rules, agents, approvers and logins, nor hosts, ports, folders and code."""
    statements = [
        probe.replace("_X", "_there").replace("OP", "###") for probe in PROBES if "to_reg" not in probe
    ]
    told = "\n".join(
        _refusals(
            door,
            [one for one in statements if not one.startswith(("SELECT NULL", "SELECT 'a'", "SELECT 1"))]
            + [
                "SELECT * FROM secrets",
                "COPY people TO '/etc/passwd'",
                "DO $$x$$",
                "SET role postgres",
                "EXECUTE nothing",
            ],
        )
    )
    names = ["the-rule-of-others", "others know", "the-other-group", "somebody", "stranger", "e2e_other"]
    places = [str(hidden.postgres.port), str(door.folder), "dbfirewall/", ".py", "Traceback", "rules.yaml"]
    assert [word for word in names + places if word in told] == []
    for line in told.splitlines():
        if line.startswith("{"):
            assert set(json.loads(line)) == {"decision", "rule", "reason", "effect", "retry"}


BROKEN = [
    ("/e2e?", "/e2e_nothing?"),
    ("e2e_prober,", "e2e_nobody,"),
    ("sslmode=disable", "sslmode=require"),
    ("dsn: postgresql://HOST", "dsn: postgresql://no-such-host.invalid"),
]


@pytest.mark.parametrize(("right", "wrong"), BROKEN)
def test_a_database_that_is_down_is_not_described(
    hidden: World, tmp_path: Path, right: str, wrong: str
) -> None:
    """No such database, no such login, no TLS, no such host: the agent reads one and the same sentence."""
    template = RULES.replace("sslmode=disable", "connect_timeout=1&sslmode=disable")
    assert right in template
    text = _rules(hidden, "read-only", template.replace(right, wrong))
    refused = Firewall(text, tmp_path, environment={"E2E_PASSWORD": LOGIN_PASSWORD})
    refused.launch()
    try:
        assert _turned_away(refused) == (
            "The database behind the firewall cannot be reached now.\nHINT:  Retry later."
        )
    finally:
        refused.kill()


def _turned_away(refused: Firewall) -> str:
    """What a login is told, once the firewall listens."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(refused.dsn("prober", "probe", DATABASE))
        if "FATAL: " in str(caught.value):
            return str(caught.value).partition("FATAL: ")[2].strip()
        time.sleep(0.05)
    raise AssertionError("it never listened")
