"""Two thousand ordinary read queries: Postgres runs every one, and roles that may see those tables may send it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from dbfirewall.catalog.loader import load_catalog
from dbfirewall.catalog.types import Catalog, Scope
from dbfirewall.policy.decision import decide
from dbfirewall.policy.loader import load_rules
from dbfirewall.sql.analyze import analyze
from tests.alarms.generator import FOLDER, queries
from tests.fuzz.arena import Session
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

COUNT = 2000
DATABASE = "alarms"


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """The shop's URL."""
    postgres.create_database(DATABASE)
    postgres.sql((FOLDER / "schema.sql").read_text("utf-8"), DATABASE)
    return postgres.dsn(DATABASE)


@pytest.fixture(scope="module")
def catalog(database: str) -> Catalog:
    """The shop's names."""

    async def load() -> Catalog:
        connection = await asyncpg.connect(database)
        try:
            return await load_catalog(connection, 1)
        finally:
            await connection.close()

    return asyncio.run(load())


@pytest.fixture(scope="module")
def session(database: str) -> Iterator[Session]:
    """A superuser's session."""
    session = Session(database)
    yield session
    session.close()


def test_postgres_runs_every_one(session: Session) -> None:
    """The queries are what they claim to be: valid, all of them."""
    broken = []
    for sql in queries(COUNT):
        answer = session.run(sql.encode())
        if not answer.ok:
            broken.append((sql, answer.said[-1]))
        session.settle()
        session.refresh()
    assert broken == []


@pytest.mark.parametrize("role", ["analyst", "exact"])
def test_every_one_is_allowed(role: str, catalog: Catalog) -> None:
    """A role that may see the tables, by broad rules or by exact columns, is refused none of them."""
    rules = load_rules(FOLDER / "rules.yaml").roles[role]
    scope = Scope(catalog, ("public",))
    decisions = ((sql, decide(analyze(sql.encode(), scope), rules)) for sql in queries(COUNT))
    assert [(sql, found.reason) for sql, found in decisions if found.outcome != "allow"] == []
