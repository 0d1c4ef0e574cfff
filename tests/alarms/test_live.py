"""The two thousand queries, and those of the extensions, through a running firewall: all end as directly."""

from __future__ import annotations

import pytest
from psycopg import connect, pq
from psycopg.pq.abc import PGconn, PGresult

from tests.alarms.generator import FOLDER, queries
from tests.alarms.test_alarms import COUNT, EXTENSIONS
from tests.conftest import StartFirewall
from tests.e2e.world import LOGIN_PASSWORD, create_login
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres
from tests.support.scram import verifier

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]

DATABASE, LOGIN = "alarms_live", "e2e_alarms"
RULES = """
version: 1
roles:
  session: &analyst
    access: read-only
    rules:
      - allow: select
        on: public.*
      - deny: select
        on: public.customers
        columns: [ssn, phone]
      - allow: call
        on: [public.net, public.recent_orders]
  strict:
    <<: *analyst
    pin: strict
agents:
  session: {role: session, database: alarms_live, password: "%(verifier)s"}
  strict: {role: strict, database: alarms_live, password: "%(verifier)s"}
databases:
  alarms_live:
    dsn: postgresql://%(host)s:%(port)d/alarms_live?sslmode=disable
    logins:
      session: &login {user: e2e_alarms, password: {env: E2E_PASSWORD}}
      strict: *login
"""


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Postgres:
    """The server, with the shop, the extensions and a login that may read."""
    create_login(postgres, LOGIN)
    postgres.sql(f"GRANT pg_read_all_data TO {LOGIN}")
    postgres.create_database(DATABASE)
    postgres.sql((FOLDER / "schema.sql").read_text("utf-8"), DATABASE)
    postgres.sql("".join(f"CREATE EXTENSION {name};" for name in EXTENSIONS), DATABASE)
    return postgres


@pytest.fixture(scope="module")
def guarded(shop: Postgres, firewall: StartFirewall) -> Firewall:
    """A firewall in front of it."""
    text = RULES % {"host": shop.host, "port": shop.port, "verifier": verifier("alarms")}
    return firewall(text, environment={"E2E_PASSWORD": LOGIN_PASSWORD})


def ended(connection: PGconn, sql: bytes, *, extended: bool) -> tuple[int, tuple[bytes | None, ...], str]:
    """How a statement ends: its status, its columns, and the error. A transaction that it opens is rolled back."""
    result: PGresult = connection.exec_params(sql, []) if extended else connection.exec_(sql)
    columns = tuple(result.fname(number) for number in range(result.nfields))
    if connection.transaction_status != pq.TransactionStatus.IDLE:
        connection.exec_(b"ROLLBACK")
    return result.status, columns, result.error_message.decode()


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("pin", ["session", "strict"])
def test_every_one_ends_as_it_does_directly(
    shop: Postgres, guarded: Firewall, pin: str, extended: bool
) -> None:
    """With and without the server's proof. Several statements in a message go by simple query and `pin: session`."""
    texts = [*queries(COUNT), *(FOLDER / "extensions.sql").read_text("utf-8").splitlines()]
    several = pin == "session" and not extended
    statements = [sql.encode() for sql in texts if several or ";" not in sql]
    assert len(statements) > COUNT - 100
    differing = []
    with (
        connect(shop.dsn(DATABASE, LOGIN, LOGIN_PASSWORD), autocommit=True) as straight,
        connect(guarded.dsn(pin, "alarms", DATABASE), autocommit=True) as through,
    ):
        for sql in statements:
            direct = ended(straight.pgconn, sql, extended=extended)
            found = ended(through.pgconn, sql, extended=extended)
            if found != direct:
                differing.append((sql, direct, found))
    assert differing == []
