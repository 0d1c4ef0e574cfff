"""A real server with a schema of its own for each test, and the firewall's own connection to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dbfirewall.catalog.builtin import offline_catalog
from dbfirewall.catalog.loader import load_catalog
from dbfirewall.catalog.types import Catalog, Scope
from dbfirewall.proxy.dsn import Target
from dbfirewall.proxy.side import SideConnection, side_connection
from dbfirewall.proxy.upstream import Credentials
from dbfirewall.sql.analyze import analyze
from dbfirewall.sql.facts import Statement
from tests.support.postgres import Postgres

T = TypeVar("T")


_catalogs: dict[str, Catalog] = {}


class Place:
    """One database. `user`, `password`: the login whose sessions `talk` opens; the superuser unless changed."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self.postgres = postgres
        self.database = database
        self.user = postgres.superuser
        self.password = postgres.password
        self.path: tuple[str, ...] = ("public",)
        self._history = f"{postgres.port}"
        postgres.create_database(database)

    def sql(self, text: str) -> list[tuple[object, ...]]:
        """Run as the superuser."""
        self._history += f"\n{text}"
        return self.postgres.sql(text, self.database)

    def dump(self) -> str:
        """All of it, to be compared."""
        return self.postgres.dump(self.database)

    def talk(self, work: Callable[[SideConnection], Awaitable[T]]) -> T:
        """What `work` gives, on a new connection."""

        async def main() -> T:
            target = Target(self.postgres.host, self.postgres.port, self.database, sslmode="disable")
            async with (
                asyncio.timeout(60),
                side_connection(target, Credentials(self.user, self.password), {}) as it,
            ):
                return await work(it)

        return asyncio.run(main())

    def catalog(self) -> Catalog:
        """The catalog snapshot that the firewall would have; databases that were made alike have the same one."""
        if self._history not in _catalogs:
            _catalogs[self._history] = self._load_catalog()
        return _catalogs[self._history]

    def _load_catalog(self) -> Catalog:
        async def load() -> Catalog:
            import asyncpg

            connection = await asyncpg.connect(self.postgres.dsn(self.database))
            try:
                return await load_catalog(connection, 1)
            finally:
                await connection.close()

        return asyncio.run(load())

    def facts(self, sql: str | bytes) -> tuple[Statement, ...]:
        """What the firewall says of a message, by the live catalog."""
        text = sql.encode() if isinstance(sql, str) else sql
        analysis = analyze(text, Scope(self.catalog(), self.path))
        assert analysis.refusal is None, analysis.refusal
        return analysis.statements


def offline_facts(sql: str) -> tuple[Statement, ...]:
    """What the firewall says of a message without a catalog."""
    return analyze(sql.encode(), Scope(offline_catalog())).statements
