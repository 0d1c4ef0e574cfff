"""Statements of well-known clients."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import asyncpg
import pytest
from asyncpg.connection import _detect_server_capabilities
from asyncpg.types import ServerVersion

from dbfirewall.policy.decision import Context
from dbfirewall.policy.housekeeping import ANY_SESSION, PG_DUMP, PG_DUMP_TIMEOUTS, housekeeping, loosened
from tests.policy.build import role

READER = role(access="read-only")
DUMP = Context(application_name="pg_dump")


@pytest.mark.parametrize("version", [14, 18])
def test_asyncpgs_reset_is_known(version: int) -> None:
    """The text that asyncpg's pool really builds for a PostgreSQL server."""
    capabilities = _detect_server_capabilities(ServerVersion(version, 0, 0, "final", 0), object())
    connection = SimpleNamespace(_server_caps=capabilities, _reset_query=None)
    text = asyncpg.Connection.get_reset_query(connection)
    assert housekeeping(text.encode(), READER, Context())


def test_asyncpgs_type_lookup_is_known() -> None:
    """The texts that surround its type queries stand like this in its source."""
    source = inspect.getsource(asyncpg.Connection._introspect_types).encode()
    texts = [text for text in ANY_SESSION if b"jit" in text]
    assert len(texts) == 2
    for text in texts:
        assert text in source
        assert housekeeping(text, READER, Context())


@pytest.mark.parametrize("sql", sorted(PG_DUMP | PG_DUMP_TIMEOUTS.keys()))
def test_pg_dumps_texts_are_known_in_its_sessions_alone(sql: bytes) -> None:
    """Another client's SET row_security is a statement like any other."""
    assert housekeeping(sql, READER, DUMP)
    assert not housekeeping(sql, READER, Context(application_name="psql"))
    assert not housekeeping(sql + b" ", READER, DUMP)


@pytest.mark.parametrize("name", sorted(PG_DUMP_TIMEOUTS.values()))
def test_pg_dump_lifts_no_limit(name: str) -> None:
    """A role with a timeout keeps it, whatever the client calls itself."""
    limited = role(access="read-only", limits={name: "30s"})
    assert not housekeeping(f"SET {name} = 0".encode(), limited, DUMP)


@pytest.mark.parametrize(
    "sql", [b"", b"RESET ALL", b"SELECT 1", b"SELECT pg_catalog.set_config('search_path', 'x', false);"]
)
def test_anything_else_is_not(sql: bytes) -> None:
    """Only exact texts count."""
    assert not housekeeping(sql, READER, DUMP)


def test_only_an_emptied_path_may_be_reported() -> None:
    """The tripwire on search_path stands down for pg_dump's own text, and for no other."""
    assert [sql for sql in ANY_SESSION | PG_DUMP | PG_DUMP_TIMEOUTS.keys() if loosened(sql)] == [
        b"SELECT pg_catalog.set_config('search_path', '', false);"
    ]
