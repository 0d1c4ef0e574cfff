"""A Parse names the types of its parameters by OID: what a value of such a type runs is a call as any other."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq

from tests.conftest import StartFirewall
from tests.e2e.world import LOGIN_PASSWORD, create_login
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

pytestmark = pytest.mark.postgres

DATABASE = "parameter_types"
SCHEMA = """
CREATE FUNCTION is_good(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''ran''; RETURN true; END';
CREATE DOMAIN good AS int CHECK (is_good(VALUE));
CREATE TYPE pair AS (a good, b int);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE FUNCTION mood_to_int(mood) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''ran''; RETURN 1; END';
CREATE CAST (mood AS int) WITH FUNCTION mood_to_int(mood) AS IMPLICIT;
CREATE TYPE plain AS ENUM ('a');
CREATE DOMAIN small AS int CHECK (VALUE < 10);
"""
REFUSED = ("good", "good[]", "pair", "pair[]", "mood", "mood[]")
FREE = ("plain", "plain[]", "small", "int", "int[]", "text", "money", "jsonb")
VALUES = {"good": b"1", "pair": b"(1,2)", "mood": b"sad", "plain": b"a", "small": b"1"}

RULES = """
version: 1
roles:
  reader: {access: read-only, rules: [{allow: select}]}
  strict: {access: read-only, pin: strict, rules: [{allow: select}]}
  caller: {access: read-only, rules: [{allow: select}, {allow: call, on: [public.is_good, public.mood_to_int]}]}
  asker: {access: read-write, rules: [{allow: select}, {gate: call, on: "public.*"}]}
agents:
%(agents)s
databases:
  parameter_types:
    dsn: postgresql://%(host)s:%(port)d/parameter_types?sslmode=disable
    logins:
%(logins)s
"""
ROLES = ("reader", "strict", "caller", "asker")


@pytest.fixture(scope="module")
def oids(postgres: Postgres) -> dict[str, int]:
    """The types, in a database of their own."""
    create_login(postgres, "e2e_types")
    postgres.create_database(DATABASE)
    postgres.sql(SCHEMA, DATABASE)
    names = ", ".join(f"('{name}')" for name in (*REFUSED, *FREE))
    return dict(postgres.sql(f"SELECT n, n::regtype::oid FROM (VALUES {names}) AS v (n)", DATABASE))


def rules(postgres: Postgres) -> str:
    """The rules file."""
    login = "{user: e2e_types, password: {env: E2E_PASSWORD}}"
    return RULES % {
        "agents": "\n".join(f'  {r}: {{role: {r}, database: {DATABASE}, password: "{verifier(r)}"}}' for r in ROLES),
        "logins": "\n".join(f"      {role}: {login}" for role in ROLES),
        "host": postgres.host, "port": postgres.port,
    }  # fmt: skip


@pytest.fixture(scope="module")
def guarded(postgres: Postgres, oids: dict[str, int], firewall: StartFirewall) -> Firewall:
    """A firewall in front of them."""
    return firewall(rules(postgres), environment={"E2E_PASSWORD": LOGIN_PASSWORD})


class Client:
    """A session, and the warnings that functions gave in it."""

    def __init__(self, firewall: Firewall, role: str) -> None:
        self.warnings: list[str | None] = []
        self.connection = psycopg.connect(firewall.dsn(role, role, DATABASE), autocommit=True)
        self.connection.add_notice_handler(lambda notice: self.warnings.append(notice.message_primary))

    def send(self, kind: str, oid: int) -> str:
        """`SELECT $1` with a parameter of this type; the SQLSTATE, empty where it runs."""
        value = VALUES.get(kind.removesuffix("[]"), b"1")
        value = b'{"%s"}' % value if kind.endswith("[]") else value
        return sqlstate(self.connection.pgconn.exec_params(b"SELECT $1", [value], [oid]))


def sqlstate(result: pq.abc.PGresult) -> str:
    """Empty where there was no error."""
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()


@pytest.fixture
def client(guarded: Firewall, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A session of the role that the test is parametrized with."""
    client = Client(guarded, request.param)
    yield client
    client.connection.close()


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("client", ["reader", "strict"], indirect=True)
def test_a_type_that_runs_a_function_needs_a_rule(client: Client, oids: dict[str, int], kind: str) -> None:
    """Constraints of domains and implicit casts, also inside arrays and composite types: none runs."""
    assert client.send(kind, oids[kind]) == "42501"
    assert client.warnings == []
    assert client.connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("kind", FREE)
@pytest.mark.parametrize("client", ["reader", "strict"], indirect=True)
def test_other_types_need_none(client: Client, oids: dict[str, int], kind: str) -> None:
    """Built-in ones, and a user's that run nothing of a user's."""
    assert client.send(kind, oids[kind]) == ""


@pytest.mark.parametrize("client", ["caller"], indirect=True)
def test_a_rule_allows_it(client: Client, oids: dict[str, int]) -> None:
    """`allow: call` on the function is what it takes, as for a cast in the text."""
    assert [client.send(kind, oids[kind]) for kind in REFUSED] == [""] * len(REFUSED)
    assert "ran" in client.warnings


@pytest.mark.parametrize("client", ["asker"], indirect=True)
def test_a_gate_refuses_it(client: Client, oids: dict[str, int]) -> None:
    """There is no statement that an approver could look at."""
    assert client.send("good", oids["good"]) == "0A000"
    assert client.warnings == []


def test_it_is_asked_again_when_the_rules_change(
    postgres: Postgres, oids: dict[str, int], firewall: StartFirewall
) -> None:
    """What was prepared under a rule that is gone is refused at its Bind."""
    guarded = firewall(rules(postgres), environment={"E2E_PASSWORD": LOGIN_PASSWORD})
    client = Client(guarded, "caller")
    raw = client.connection.pgconn
    assert sqlstate(raw.prepare(b"kept", b"SELECT $1", [oids["good"]])) == ""
    assert sqlstate(raw.exec_prepared(b"kept", [b"1"])) == ""
    guarded.rules.write_text(rules(postgres).replace("public.is_good", "public.other"))
    assert guarded.process is not None
    guarded.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while (state := sqlstate(raw.exec_prepared(b"kept", [b"1"]))) == "" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state == "42501"
    client.connection.close()
