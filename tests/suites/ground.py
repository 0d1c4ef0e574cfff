"""What a suite runs on: a throw-away Postgres, and a firewall in front of it whose one role may do everything.

Both are reached by the same user, password and databases, so that a suite differs in nothing but the port.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbfirewall.policy.verifier import make_verifier
from tests.support.embedded import FAST, EmbeddedPostgres
from tests.support.firewall import Firewall
from tests.support.postgres import Postgres

USER = "postgres"
PASSWORD = "pw"
START_SECONDS = 30.0

SETTINGS = {**FAST, "max_connections": "200", "max_prepared_transactions": "10", "log_statement": "none"}

OWNER = """\
  owner:
    access: read-write
    search_path: null
    rules: [{allow: everything}]
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a suite connects. `name`: direct or firewall."""

    name: str
    host: str
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """libpq's variables, which nearly every client reads."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "disable",
        }

    def dsn(self, database: str, driver: str = "postgresql") -> str:
        """A URL of one of the databases."""
        return f"{driver}://{USER}:{PASSWORD}@{self.host}:{self.port}/{database}"


def rules(server: EmbeddedPostgres, databases: Sequence[str]) -> str:
    """The rules: one role that may do everything, one agent that may reach all of `databases`."""
    login = f"logins: {{owner: {{user: {USER}, password: {{env: SUITE_PASSWORD}}}}}}"
    places = "".join(
        f"  {name}:\n    dsn: postgresql://{server.host}:{server.port}/{name}?sslmode=disable\n    {login}\n"
        for name in databases
    )
    agent = f'  {USER}: {{role: owner, database: [{", ".join(databases)}], password: "{make_verifier(PASSWORD)}"}}'
    return f"version: 1\nroles:\n{OWNER}agents:\n{agent}\ndatabases:\n{places}"


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """A new server, for the length of the block."""
    with EmbeddedPostgres(password=PASSWORD, settings=SETTINGS) as running:
        yield running


@contextmanager
def firewall(behind: EmbeddedPostgres, databases: Sequence[str], folder: Path) -> Iterator[Firewall]:
    """A firewall in front of `behind`. Ready when its first database is: others may be created by the suite."""
    environment = {
        "SUITE_PASSWORD": PASSWORD,
        "DBFIREWALL_LIMITS_CONNECTIONS_PER_AGENT": "200",
        "DBFIREWALL_LIMITS_SQL_BYTES": "64MiB",
    }
    running = Firewall(rules(behind, databases), folder, environment=environment)
    process = running.launch()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(running, databases[0]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the firewall did not start:\n{running.errors()}")
            time.sleep(0.1)
        yield running
    finally:
        if process.poll() is None:
            running.stop()


def _answers(running: Firewall, database: str) -> bool:
    try:
        psycopg.connect(running.dsn(USER, PASSWORD, database), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def as_postgres(server: EmbeddedPostgres) -> Postgres:
    """The server, for what a suite prepares on it."""
    return Postgres(server.host, server.port, server.superuser, server.password, "embedded")
