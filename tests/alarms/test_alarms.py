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
from dbfirewall.policy.models import Role
from dbfirewall.sql.analyze import analyze
from tests.alarms.generator import FOLDER, queries
from tests.fuzz.arena import Session
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

COUNT = 2000
DATABASE, EXTENDED = "alarms", "alarms_extended"
EXTENSIONS = (
    *(
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "earthdistance",
        "fuzzystrmatch",
        "hstore",
        "intagg",
        "intarray",
    ),
    *(
        "isn",
        "ltree",
        "pg_trgm",
        "seg",
        "tablefunc",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "vector",
    ),
)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """The shop's URL."""
    postgres.create_database(DATABASE)
    postgres.sql((FOLDER / "schema.sql").read_text("utf-8"), DATABASE)
    return postgres.dsn(DATABASE)


@pytest.fixture(scope="module")
def extended(postgres: Postgres) -> str:
    """The URL of a shop that has all of the extensions, which overload operators and functions."""
    postgres.create_database(EXTENDED)
    postgres.sql((FOLDER / "schema.sql").read_text("utf-8"), EXTENDED)
    postgres.sql("".join(f"CREATE EXTENSION {name};" for name in EXTENSIONS), EXTENDED)
    return postgres.dsn(EXTENDED)


def names_of(url: str) -> Catalog:
    """The snapshot of a database."""

    async def load() -> Catalog:
        connection = await asyncpg.connect(url)
        try:
            return await load_catalog(connection, 1)
        finally:
            await connection.close()

    return asyncio.run(load())


@pytest.fixture(scope="module")
def catalog(database: str) -> Catalog:
    """The shop's names."""
    return names_of(database)


@pytest.fixture(scope="module")
def extended_catalog(extended: str) -> Catalog:
    """The names of the shop with extensions."""
    return names_of(extended)


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
    assert refused(queries(COUNT), catalog, rules) == []


@pytest.mark.parametrize("role", ["analyst", "exact"])
def test_extensions_are_not_in_the_way(role: str, extended_catalog: Catalog) -> None:
    """What an extension adds to an operator or a name refuses none of them either."""
    rules = load_rules(FOLDER / "rules.yaml").roles[role]
    assert refused(queries(COUNT), extended_catalog, rules) == []


def test_extensions_can_be_used(extended: str, extended_catalog: Catalog) -> None:
    """Ordinary queries with what the extensions are for run, and need no rule."""
    rules = load_rules(FOLDER / "rules.yaml").roles["analyst"]
    texts = (FOLDER / "extensions.sql").read_text("utf-8").splitlines()
    assert refused(texts, extended_catalog, rules) == []
    session = Session(extended)
    broken = [(sql, answer.said[-1]) for sql in texts if not (answer := session.run(sql.encode())).ok]
    session.close()
    assert broken == []


def refused(texts: list[str], catalog: Catalog, rules: Role) -> list[tuple[str, str]]:
    """What of `texts` the role may not, and why."""
    scope = Scope(catalog, ("public",))
    decisions = ((sql, decide(analyze(sql.encode(), scope), rules)) for sql in texts)
    return [(sql, found.reason) for sql, found in decisions if found.outcome != "allow"]
